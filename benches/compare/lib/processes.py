"""Programs that are started for a comparison, and stopped by their ids when it is over."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import machine

# Everything here is up in well under a second; a busy machine may take some more.
READY_WITHIN = 20.0
STOP_WITHIN = 5.0
POLL_EVERY = 0.02

# Programs start in several threads, and take their port some time after it was given to them.
PORTS = threading.Lock()
given = set()


class Processes:
    """Started programs; as a context manager, they end with it."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self._running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self._running:
            stop(self._running.pop())

    def start(self, name, command, core=None, **options):
        """Starts a program, on one core if it is named. Its output goes to NAME.log."""
        if core is not None:
            command = ["taskset", "--cpu-list", str(core), *command]
        options.setdefault("stdin", subprocess.DEVNULL)
        log = self.directory / f"{name}.log"
        with log.open("ab") as output:
            options.setdefault("stdout", output)
            # A session of its own: Ctrl-C is ours to pass on, in order.
            program = subprocess.Popen(
                [*map(str, command)], stderr=output, start_new_session=True, **options
            )
        program.name, program.log = name, log
        self._running.append(program)
        return program


def stop(program):
    family = [program.pid, *machine.children(program.pid)]
    if program.stdin:
        program.stdin.close()
    program.terminate()
    try:
        program.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        for pid in family[1:]:
            kill_child(pid, program.pid)
        program.kill()
        program.wait()


def kill_child(pid, parent):
    """The number may be somebody else's by now, unless it still has the same parent."""
    fields = machine.stat(pid)
    if fields and int(fields[1]) == parent:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def must_run(program):
    if program.poll() is not None:
        tail = program.log.read_text(errors="replace")[-4000:]
        raise SystemExit(f"{program.name} ended with {program.returncode}\n{tail}")


def until(check, program, what):
    """Asks until the answer is true; gives up when the program ends or takes too long."""
    deadline = time.monotonic() + READY_WITHIN
    while not check():
        must_run(program)
        if time.monotonic() > deadline:
            tail = program.log.read_text(errors="replace")[-4000:]
            raise SystemExit(f"{what}: not within {READY_WITHIN:.0f} s\n{tail}")
        time.sleep(POLL_EVERY)


def until_accepts(program, *ports):
    for port in ports:
        until(lambda: accepts(port), program, f"{program.name} on port {port}")


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count):
    """Loopback ports that nothing listens on, none of them given out before."""
    probes, found = [], []
    with PORTS:
        try:
            while len(found) < count:
                probe = socket.socket()
                probes.append(probe)
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
                if port not in given:
                    given.add(port)
                    found.append(port)
        finally:
            for probe in probes:
                probe.close()
    return found


def descriptors():
    """How many files a started program may have open; benchmarks that hold connections need them."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
