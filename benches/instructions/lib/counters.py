"""Counters of what the worker thread does: instructions by callgrind, system calls by strace."""

import re
import signal
import subprocess
import time
from collections import namedtuple
from pathlib import Path

# Of jemalloc, which Rust code calls by the last two and C code by the others.
ALLOCATING = {
    "malloc", "calloc", "realloc", "memalign", "posix_memalign", "aligned_alloc", "mallocx", "rallocx",
}

# What one thread did.
Profile = namedtuple("Profile", "path instructions allocations is_worker")

# Only workers have a runtime of one thread.
WORKER_FUNCTION = "scheduler::current_thread"


class Callgrind:
    """Counts instructions of a program inside valgrind."""

    def __init__(self, directory, name):
        self.output = Path(directory, f"{name}.callgrind")
        self.dumps = 0

    def command(self):
        return [
            "valgrind", "--tool=callgrind", "--separate-threads=yes", "--quiet",
            f"--callgrind-out-file={self.output}",
        ]

    def take(self, program):
        """The profiles since the last call, by thread."""
        settle(program)
        subprocess.run(
            ["callgrind_control", "--dump", str(program.pid)], check=True, capture_output=True
        )
        self.dumps += 1
        beginning = f"{self.output.name}.{self.dumps}-"
        profiles = {
            path.name.removeprefix(beginning): Profile(path, *read(path))
            for path in self.output.parent.glob(f"{beginning}*")
        }
        if not profiles:
            raise SystemExit(f"callgrind wrote nothing; its log is {program.log}")
        return profiles


def cost(few, many, requests):
    """What one request takes: blocks of twice as many requests, less blocks of `requests`, each the smallest of its
    kind. What a worker does now and then by itself only adds to a block. Gives the last profile of the worker, too."""
    workers = {
        thread for profiles in many for thread, one in profiles.items() if one.is_worker
    }
    if len(workers) != 1:
        raise SystemExit("no worker in the profile: has the program been stripped of symbols?")
    (worker,) = workers

    def growth(figure):
        return min(map(figure, many)) - min(map(figure, few))

    work = {
        "instructions": growth(lambda profiles: profiles[worker].instructions),
        "control": growth(lambda profiles: sum(
            one.instructions for thread, one in profiles.items() if thread != worker
        )),
        "allocations": growth(lambda profiles: profiles[worker].allocations),
    }
    return {key: value / requests for key, value in work.items()}, many[-1][worker].path


def read(path):
    """Instructions and allocations of one thread's profile, and whether it is the worker's."""
    names, instructions, allocations = {}, 0, 0
    callee = None
    for line in path.open():
        if line.startswith("cfn="):
            callee, _, name = line[4:].strip().partition(" ")
            if name:
                names[callee] = name
        elif line.startswith("fn="):
            number, _, name = line[3:].strip().partition(" ")
            if name:
                names[number] = name
        elif line.startswith("calls=") and names.get(callee) in ALLOCATING:
            allocations += int(line[6:].split()[0])
        elif line.startswith(("totals:", "summary:")):
            instructions = int(line.split()[1])
    is_worker = any(WORKER_FUNCTION in name for name in names.values())
    return instructions, allocations, is_worker


def settle(program):
    """Waits until the program has no more to do for what it was sent."""
    before, now = None, cpu_ticks(program.pid)
    while before != now:
        time.sleep(0.1)
        before, now = now, cpu_ticks(program.pid)


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def worker_thread(pid):
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().startswith("worker-"):
            return int(task.name)
    raise SystemExit("the gateway has no worker thread")


def count_syscalls(pid, directory, action):
    """The system calls of the worker thread during an action."""
    summary = Path(directory, "strace")
    tracer = subprocess.Popen(
        ["strace", "-c", "-o", str(summary), "-p", str(worker_thread(pid))],
        stderr=subprocess.PIPE, text=True,
    )
    # `strace: Process N attached`; nothing before it is counted.
    attached = tracer.stderr.readline()
    if "attached" not in attached:
        raise SystemExit(attached)
    action()
    tracer.send_signal(signal.SIGINT)
    tracer.communicate()
    total = re.search(r"^\s*100\.00\s+\S+\s+\S*\s+(\d+).*\btotal$", summary.read_text(), re.M)
    if not total:
        raise SystemExit(f"strace counted nothing: {summary.read_text()}")
    return int(total[1])
