"""The machine: its cores, what it is, and what CPU time was spent on it."""

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Cores:
    """The proxy under test gets a core of its own, load and backend get the others."""

    def __init__(self):
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            raise SystemExit("two cores are needed: one for the proxy, one for load and backend")
        self.count = len(allowed)
        self.proxy = allowed[-1]
        others = set(allowed) - {self.proxy}
        # A hyperthread of the proxy's core would slow it down whenever the load is busy.
        self.load = sorted(others - siblings(self.proxy) or others)


def siblings(core):
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    found = set()
    if path.exists():
        for part in path.read_text().strip().split(","):
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    return found


def cpu_seconds(pid):
    """CPU time of a process and its children, with all their threads, to the nanosecond."""
    return sum(thread_seconds(one) for one in [pid, *children(pid)])


def thread_seconds(pid):
    """The clock ticks of /proc/PID/stat are one percent of a slice; the scheduler counts nanoseconds."""
    nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        # A thread may end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            nanoseconds += int(task.read_text().split()[0])
    return nanoseconds / 1e9


def children(pid):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = stat(int(entry.name))
            if fields and int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def stat(pid):
    """The fields of /proc/PID/stat behind the program's name, which may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def core_seconds(core):
    """CPU time of all processes on a core and steal time, without interrupts."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name == f"cpu{core}":
            user, nice, system, *_ = map(int, values[:3])
            steal = int(values[7])
            return (user + nice + system + steal) / TICKS
    raise SystemExit(f"no core {core} in /proc/stat")


def processor():
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return model[1] if model else os.uname().machine


def facts(cores, gateway):
    """The facts of the machine that figures depend on."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    found = {
        "CPU": processor(),
        "cores": f"{cores.count}, proxy on {cores.proxy}, load and backend on "
        + ",".join(map(str, cores.load)),
        "kernel": os.uname().release,
        "nginx": version("nginx", "-v"),
        "HAProxy": version("haproxy", "-v"),
        "wrk": version("wrk", "-v"),
        "h2load": version("h2load", "--version"),
        "OpenSSL": version("openssl", "version"),
        "rustc": version("rustc", "--version"),
        "load average before": load,
    }
    if gateway:
        # The directory is named after cargo's profile: a debug build should not pass for more.
        found["gateway"] = f"{version(gateway, '--version')} ({gateway.parent.name} build)"
    return found


def version(program, option):
    if not shutil.which(program):
        return "not installed"
    answer = subprocess.run([program, option], capture_output=True, text=True, check=False)
    lines = (answer.stdout + answer.stderr).strip().splitlines()
    return lines[0].removeprefix("nginx version: ") if lines else "unknown"
