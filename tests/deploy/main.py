"""Runs the checks: main.py TOOLS [PART…]."""

import importlib
import shutil
import sys
import time

from suite import OUTPUT, Suite

PARTS = [
    "chart", "kustomize", "examples", "policy", "compose", "existing", "files", "activation", "supply", "workflow", "release", "package", "book",
]


def main():
    suite = Suite(sys.argv[1])
    parts = sys.argv[2:] or PARTS
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    for part in parts:
        began = time.monotonic()
        # A part that raises has failed; the others still run.
        suite.check(f"{part}: ran to its end", lambda p=part: importlib.import_module(p).check(suite))
        print(f"-- {part}: {time.monotonic() - began:.0f} s")
    print(f"# pass {suite.passed}\n# fail {suite.failed}")
    return 0 if suite.failed == 0 and suite.passed > 0 else 1


sys.exit(main())
