"""Starts the API server and runs the checks: main.py DEPLOY_TOOLS CLUSTER_TOOLS [PART…]."""

import importlib
import pathlib
import signal
import sys
import time

from client import Cluster
from control_plane import ControlPlane
from suite import Suite

PARTS = ["releases", "applied", "admission", "fields"]


def main():
    # Without this, a terminated run leaves the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    suite = Suite(sys.argv[1])
    tools = pathlib.Path(sys.argv[2]).resolve()
    began = time.monotonic()
    with ControlPlane(tools / "bin") as control_plane:
        cluster = Cluster(control_plane, tools / "bin" / "kubectl", suite)
        suite.check("definitions: the API server establishes them, without a warning", lambda: cluster.define(tools / "definitions"))
        print(f"-- start: {time.monotonic() - began:.0f} s", flush=True)
        for part in sys.argv[3:] or PARTS:
            began = time.monotonic()
            # A part that raises has failed; the others still run.
            suite.check(f"{part}: ran to its end", lambda p=part: importlib.import_module(p).check(suite, cluster))
            print(f"-- {part}: {time.monotonic() - began:.0f} s", flush=True)
    print(f"# pass {suite.passed}\n# fail {suite.failed}")
    return 0 if suite.failed == 0 and suite.passed > 0 else 1


sys.exit(main())
