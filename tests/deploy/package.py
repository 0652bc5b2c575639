"""The Debian package: lintian, its content, and its life on a machine: installed, started, upgraded, removed, purged."""

import contextlib
import re
import ssl
import subprocess
import tempfile
import time

import activation
import artefacts
import standins
from suite import complaints_of, run

NAME = "jitsi-auth-gateway"
ETC = f"/etc/{NAME}"
STATE = f"/var/lib/{NAME}"
UNITS = [f"{NAME}.service", *(f"{NAME}-{socket}.socket" for socket in activation.NAMES)]

# The required files of the package, with mode and owner.
CONTENT = [
    ("-rwxr-xr-x", f"usr/bin/{NAME}"),
    ("-rw-r-----", f"etc/{NAME}/gateway.toml"),
    ("-rw-r--r--", f"usr/share/man/man1/{NAME}.1.gz"),
    ("-rw-r--r--", f"usr/share/bash-completion/completions/{NAME}"),
    ("-rw-r--r--", f"usr/share/zsh/vendor-completions/_{NAME}"),
    ("-rw-r--r--", f"usr/share/fish/vendor_completions.d/{NAME}.fish"),
    *(("-rw-r--r--", f"lib/systemd/system/{unit}") for unit in UNITS),
    ("-rw-r--r--", f"usr/lib/sysusers.d/{NAME}.conf"),
    ("-rw-r--r--", f"usr/share/doc/{NAME}/copyright"),
    ("-rw-r--r--", f"usr/share/doc/{NAME}/changelog.gz"),
    ("-rw-r--r--", f"usr/share/doc/{NAME}/changelog.Debian.gz"),
    ("-rw-r--r--", f"usr/share/doc/{NAME}/docs/debian.md"),
]


def check(suite):
    deb = artefacts.package()
    # Beside the rest: it takes the longest.
    lintian = subprocess.Popen(
        ["lintian", "--allow-root", "--fail-on", "error,warning", deb],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    listing = run("dpkg-deb", "--contents", deb)[1]
    there = {(line.split()[0], line.split()[5].removeprefix("./")) for line in listing.splitlines()}
    suite.check("debian: the package has what it should", [f"missing: {x}" for x in CONTENT if x not in there])
    fields = run("dpkg-deb", "--field", deb)[1]
    wanted = [f"Homepage: {artefacts.SOURCE}", f"Version: {artefacts.VERSION}-1", "Recommends: ca-certificates"]
    suite.check("debian: fields of the package", [f"missing: {field} in {fields}" for field in wanted if field not in fields])
    depends = re.search(r"^Depends: (.*)$", fields, re.M).group(1)
    ordered = re.fullmatch(r"libc6 \(>= [\d.]+\), systemd", depends)
    suite.check("debian: dependencies are those of the program, in order", [] if ordered else [depends])
    if permits_layers():
        with machine() as inside:
            life(suite, inside, deb)
    else:
        suite.leave_out("debian: installation, upgrade and removal", "this machine permits no mounts of overlays")
    said = lintian.communicate()[0]
    suite.check("debian: lintian finds no errors and no warnings", [said] if lintian.returncode else [])


# A layer over the files of this machine; $0 is an empty directory for it.
LAYER = (
    'mount -t tmpfs layer "$0" && mkdir "$0/changes" "$0/work" "$0/root" &&'
    ' mount -t overlay overlay -o "lowerdir=/,upperdir=$0/changes,workdir=$0/work" "$0/root"'
)


class Machine:
    """This machine, with a layer over its files that takes all changes and is dropped at the end."""

    def __init__(self, holder, root):
        self.holder = holder
        self.root = root

    def enter(self, *command):
        return ("nsenter", f"--target={self.holder}", "--mount", "chroot", str(self.root), *map(str, command))

    def run(self, *command):
        return run(*self.enter(*command))

    def complaints(self, *command):
        return complaints_of(*self.enter(*command))

    def lines(self, script):
        """The output of a shell script, which must succeed."""
        code, text = self.run("sh", "-ec", script)
        if code:
            raise RuntimeError(f"{script}: exit {code}: {text}")
        return text.splitlines()


def permits_layers():
    """Whether this machine permits such a layer; many containers do not."""
    return run("unshare", "--mount", "--propagation", "private", "sh", "-c", LAYER, "/mnt")[0] == 0


@contextlib.contextmanager
def machine():
    with tempfile.TemporaryDirectory() as place:
        # The layer is over one file system; the packages may be on another, or below /tmp.
        script = LAYER + (
            ' && mount --bind /proc "$0/root/proc" && mount -t tmpfs run "$0/root/run" && mount -t tmpfs tmp "$0/root/tmp"'
            ' && mkdir -p "$0/root$1" && mount --bind "$1" "$0/root$1"'
            # Left by a gateway of this machine, such as one of another test.
            f' && rm -rf "$0/root{ETC}" "$0/root{STATE}" && echo ready && exec cat'
        )
        command = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, place, artefacts.FOLDER.parent)
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if holder.stdout.readline() != "ready\n":
                raise RuntimeError("no layer over the files of this machine")
            yield Machine(holder.pid, f"{place}/root")
        finally:
            # The namespace ends with its last process, and with it the layer.
            holder.stdin.close()
            holder.wait(30)


def older(deb, folder):
    """The package as a version before would be: less, and with another gateway.toml."""
    run("dpkg-deb", "--raw-extract", deb, f"{folder}/tree")
    for file, before, after in [
        ("DEBIAN/control", f"Version: {artefacts.VERSION}-1", "Version: 0.0.9-1"),
        (f"etc/{NAME}/gateway.toml", "public_url", "# of 0.0.9\npublic_url"),
    ]:
        with open(f"{folder}/tree/{file}", "r+", encoding="utf-8") as opened:
            text = opened.read().replace(before, after, 1)
            opened.seek(0)
            opened.write(text)
    code, text = run("dpkg-deb", "-Znone", "--build", f"{folder}/tree", f"{folder}/older.deb")
    if code:
        raise RuntimeError(text)
    return f"{folder}/older.deb"


def life(suite, inside, deb):
    def named(step, found):
        suite.check(f"debian: {step}", found)

    with tempfile.TemporaryDirectory(dir=artefacts.FOLDER.parent) as folder:
        old = older(deb, folder)
        before = set(inside.lines(TRACES))
        install = ("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confold", "--install")
        named("dpkg installs the version before", lambda: inside.complaints(*install, old))
        named("root owns the configuration, and the service's group reads it", lambda: modes(inside))
        named("nothing is enabled by the installation", lambda: enabled(inside, "disabled"))
        named("the installed units pass `systemd-analyze verify`", lambda: verified(inside))
        named("the unit's command serves, as the unit's user, by its sockets", lambda: serves(inside))
        inside.lines(f"systemctl enable {NAME}.service 2>/dev/null; echo '# changed here' >>{ETC}/gateway.toml")
        text = inside.lines(f"cat {ETC}/gateway.toml")
        named("dpkg upgrades it", lambda: inside.complaints(*install, deb))
        version = f"dpkg-query --show --showformat '${{Version}}\\n' {NAME}"
        named("the new version is there", lambda: differs(inside.lines(version), [f"{artefacts.VERSION}-1"]))
        named("the upgrade keeps gateway.toml", lambda: differs(inside.lines(f"cat {ETC}/gateway.toml"), text) + modes(inside))
        named("the upgrade keeps what was enabled", lambda: enabled(inside, "enabled"))
        named("dpkg removes it", lambda: inside.complaints("dpkg", "--remove", NAME))
        named("its removal keeps the configuration only", lambda: removed(inside, text))
        named("dpkg purges it", lambda: inside.complaints("dpkg", "--purge", NAME))
        left = {line for line in inside.lines(TRACES) if line not in before}
        # Debian keeps accounts, whose number may own files. Secrets are the administrator's.
        kept = {ETC, *(f"{ETC}/{name}" for name in SECRETS)}
        named("a purge leaves the administrator's secrets only", differs(sorted(left), sorted(kept)))


# All files that a package or its unit makes are named after it.
TRACES = f"find /etc /usr /lib/systemd /var -xdev -path '*/target/*' -prune -o -path '*{NAME}*' -print"
SECRETS = {
    "tls.crt": "tls.crt",
    "tls.key": "tls.key",
    "oidc.secret": "client-secret",
    "session.key": "session-key",
    "prosody.secret": "app-secret",
}


def differs(found, wanted):
    return [] if found == wanted else [f"{found}, wanted {wanted}"]


def modes(inside):
    found = inside.lines(f"stat --format '%U %G %a %n' {ETC} {ETC}/gateway.toml")
    return differs(found, [f"root {NAME} 750 {ETC}", f"root {NAME} 640 {ETC}/gateway.toml"])


def enabled(inside, wanted):
    # The words are compared; the exit code is 1 if a unit is disabled.
    return differs(inside.lines(f"systemctl is-enabled {' '.join(UNITS)} || true"), [wanted] * len(UNITS))


def verified(inside):
    code, text = inside.run("systemd-analyze", "verify", *(f"/lib/systemd/system/{unit}" for unit in UNITS))
    # Ignores messages about other units of the machine.
    return [text] if code or NAME in text else []


def serves(inside):
    """Writes the secrets as docs/debian.md has them, and runs ExecStart as systemd would, with sockets on other ports."""
    files = standins.files()
    for name, source in SECRETS.items():
        script = f"umask 027; cat >{ETC}/{name}; chgrp {NAME} {ETC}/{name}"
        subprocess.run(inside.enter("sh", "-ec", script), input=files[source], check=True)
    unit = "\n".join(inside.lines(f"cat /lib/systemd/system/{NAME}.service"))
    field = {name: re.search(rf"^{name}=(.*)$", unit, re.M).group(1) for name in ("ExecStart", "User", "Group", "StateDirectory", "WorkingDirectory")}
    inside.lines(f"install -d -m 700 -o {field['User']} -g {field['Group']} /var/lib/{field['StateDirectory']}")
    ports = [activation.free_port() for _ in activation.NAMES]
    listen = " ".join(f"-l 127.0.0.1:{port}" for port in ports)
    identity = f"setpriv --reuid={field['User']} --regid={field['Group']} --clear-groups --no-new-privs --bounding-set=-all"
    script = (
        f"cd {field['WorkingDirectory']}; exec {identity} systemd-socket-activate {listen}"
        f" --fdname={':'.join(activation.NAMES)} {field['ExecStart']}"
    )
    with activation.running(inside.enter("sh", "-ec", script)) as program:
        deadline = time.monotonic() + 20
        while True:
            try:
                return activation.serves(*ports)
            # Refused before it listens, ended without an answer if the program fails.
            except (ConnectionError, IndexError, ssl.SSLError) as error:
                if program.poll() is not None:
                    return [program.stderr.read()]
                if time.monotonic() > deadline:
                    return [error]
                time.sleep(0.05)


def removed(inside, text):
    complaints = differs(inside.lines(f"cat {ETC}/gateway.toml"), text)
    for path in (f"/usr/bin/{NAME}", f"/lib/systemd/system/{NAME}.service", f"/usr/share/doc/{NAME}"):
        complaints += [] if inside.run("test", "!", "-e", path)[0] == 0 else [f"still there: {path}"]
    return complaints
