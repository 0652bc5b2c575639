"""A small test runner: prints each check with its complaints, and the totals."""

import pathlib
import subprocess
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "tests" / "output" / "deploy"
GATEWAY = ROOT / "target" / "debug" / "jitsi-auth-gateway"


class Suite:
    """The results of the checks, and the tools that they use."""

    def __init__(self, tools):
        self.tools = pathlib.Path(tools).resolve()
        self.passed = 0
        self.failed = 0

    def tool(self, name):
        return str(self.tools / "bin" / name)

    def leave_out(self, name, reason):
        print(f"NOT RUN - {name}: {reason}")

    def check(self, name, found):
        """Records one check; `found` is a list of complaints, or a function that returns one."""
        try:
            complaints = found() if callable(found) else found
        except Exception:  # a check that breaks has failed, and the others still run
            complaints = [traceback.format_exc()]
        if complaints:
            self.failed += 1
            print(f"not ok - {name}")
            for complaint in complaints:
                print("    " + str(complaint).strip().replace("\n", "\n    "))
        else:
            self.passed += 1
            print(f"ok - {name}")


def permits_mounts():
    """Whether this machine permits mounts in a namespace of their own; a container without privileges does not."""
    return run("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt")[0] == 0


def run(*command, **options):
    """Runs a program; returns its exit code and output."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=options.pop("cwd", ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    return done.returncode, done.stdout


def complaints_of(*command, **options):
    """The output of a validator if it failed."""
    code, text = run(*command, **options)
    return [f"{' '.join(map(str, command))}: exit {code}\n{text}"] if code else []
