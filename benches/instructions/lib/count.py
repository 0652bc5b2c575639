"""Counts the instructions, allocations and system calls of requests, and compares them with a baseline."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import baseline
import counters
import gateway
import machine
import processes as programs
import rows
import scenarios
import stand_ins
import targets

HERE = Path(__file__).resolve().parent.parent

# Of each size. A timer of the worker that fires in both of them is rare.
BLOCKS = 2

# Requests below strace, where they take no time.
TRACED = 100

# The allocator's housekeeping happens by time and by what other threads did. Its cost is not of a request.
ALLOCATOR = "background_thread:false,dirty_decay_ms:-1,muzzy_decay_ms:-1,tcache_gc_incr_bytes:1073741824"

# Request ids of four digits, 1000 created the session.
FIRST_RID = 1000


@dataclass(frozen=True)
class Profile:
    """A way of cargo to build, with a baseline of its own."""

    directory: str
    build: str
    baseline: Path
    scenarios: list
    # Of the smaller blocks.
    requests: int
    warm_up: int = 20


PROFILES = {
    "symbols": Profile(
        "symbols", "cargo build --profile symbols", HERE / "baseline.json",
        [one.name for one in scenarios.SCENARIOS], 50,
    ),
    "debug": Profile("debug", "cargo build --bins --examples", HERE / "baseline-debug.json", scenarios.GATE, 20),
}


@dataclass
class Target(targets.Target):
    """A gateway, and the last request id of its BOSH session."""

    rid: int = FIRST_RID


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, default="symbols", help="of cargo; symbols")
    parser.add_argument("--scenarios", help="for example file-tcp,bosh-tls; those of the profile")
    parser.add_argument("--update", action="store_true", help="writes the figures to the baseline")
    parser.add_argument("--keep", type=Path, help="a directory for the callgrind profiles")
    parser.add_argument("--skip-syscalls", action="store_true")
    return parser.parse_args()


def choose_binary(profile):
    """Named functions are needed to count allocations."""
    if "GATEWAY_BIN" not in os.environ:
        target = Path(os.environ.get("CARGO_TARGET_DIR", gateway.REPOSITORY / "target"))
        os.environ["GATEWAY_BIN"] = str(target / profile.directory / "jitsi-auth-gateway")
    if not gateway.binary().exists():
        raise SystemExit(f"no gateway at {gateway.binary()}: {profile.build}")
    gateway.check()


def main():
    options = arguments()
    profile = PROFILES[options.profile]
    chosen = scenarios.choose(options.scenarios, profile.scenarios)
    choose_binary(profile)
    # Programs start slowly inside valgrind.
    programs.READY_WITHIN = 180.0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))

    os.environ["MALLOC_CONF"] = ALLOCATOR
    figures = {one.name: {} for one in chosen}
    upstream = stand_ins.start()
    measures = [count_instructions] + ([] if options.skip_syscalls else [count_syscalls])
    # Counts do not depend on what else the machine does: a gateway for each core.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        jobs = [
            pool.submit(run, measure, upstream, group, figures, profile, options.keep)
            for measure in measures
            for group in groups(chosen)
        ]
        for job in jobs:
            job.result()
    sys.exit(report(chosen, figures, profile, options))


def groups(chosen):
    """The scenarios of each gateway."""
    for many_rules in (True, False):
        group = [one for one in chosen if one.many_rules == many_rules]
        if group:
            yield group


def run(measure, upstream, group, figures, profile, keep):
    rules = rows.MANY_RULES if group[0].many_rules else ()
    with tempfile.TemporaryDirectory(prefix="gateway-count-") as directory:
        with programs.Processes(directory) as processes:
            measure(processes, upstream, rules, group, figures, profile, keep)


def start(processes, upstream, rules, wrapper):
    tcp, tls = programs.free_ports(2)
    ports = targets.Ports(tcp, tls)
    behind = targets.BackendPorts(upstream, upstream, upstream)
    certificate = targets.make_certificate(processes.directory)
    origin = f"https://localhost:{ports.tls}"
    provider = gateway.start_provider(processes, origin)
    program = gateway.start(
        processes, provider, origin, behind, ports, certificate, None, wrapper, rules
    )
    target = Target("gateway", program, ports, certificate)
    visitor = rows.Visitor(origin, gateway.sign_in(program, origin, provider, certificate))
    target.sids = [gateway.bosh_sid(target, visitor)]
    return target, visitor


def count_instructions(processes, upstream, rules, group, figures, profile, keep):
    callgrind = counters.Callgrind(processes.directory, "gateway")
    target, visitor = start(processes, upstream, rules, callgrind.command())
    for scenario in group:

        def measure(send, scenario=scenario):
            send(profile.warm_up)
            callgrind.take(target.program)
            blocks = {profile.requests: [], 2 * profile.requests: []}
            for _ in range(BLOCKS):
                for count, profiles in blocks.items():
                    send(count)
                    profiles.append(callgrind.take(target.program))
            counted, path = counters.cost(*blocks.values(), profile.requests)
            figures[scenario.name].update(counted)
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, keep / f"{scenario.name}.callgrind")
            say(f"{scenario.name}: {counted}")

        with_client(scenario, target, visitor, measure)


def count_syscalls(processes, upstream, rules, group, figures, profile, _):
    target, visitor = start(processes, upstream, rules, ())
    for scenario in group:

        def measure(send, scenario=scenario):
            send(profile.warm_up)
            few, many = (
                counters.count_syscalls(
                    target.program.pid, processes.directory, lambda count=count: send(count)
                )
                for count in (TRACED, 2 * TRACED)
            )
            figures[scenario.name]["syscalls"] = (many - few) / TRACED
            say(f"{scenario.name}: {figures[scenario.name]['syscalls']} system calls")

        with_client(scenario, target, visitor, measure)


def with_client(scenario, target, visitor, measure):
    client = scenario.client(target, visitor)
    sent = 0

    def send(count):
        nonlocal sent
        for _ in range(count):
            content = client.request()
            if scenario.expected not in content:
                raise SystemExit(f"{scenario.name}: an answer without {scenario.expected!r}: "
                                 f"{content[:300]!r}")
        sent += count

    measure(send)
    client.close()
    if "bosh" in scenario.name:
        target.rid += sent


def conditions():
    """What counts depend on beside the source."""
    found = {
        name: subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        for name, command in (
            ("rustc", ["rustc", "--version"]), ("valgrind", ["valgrind", "--version"]),
            ("libc", ["getconf", "GNU_LIBC_VERSION"]),
        )
    }
    return {**found, "processor": machine.processor()}


def report(chosen, figures, profile, options):
    """Prints a table, and what differs from the baseline; answers the exit status."""
    recorded, known = baseline.read(profile.baseline)
    print("| request | instructions | control | allocations | system calls |")
    print("|---|---:|---:|---:|---:|")
    for scenario in chosen:
        before = known.get(scenario.slows or scenario.name, {})
        cells = [
            cell(figures[scenario.name].get(key), before.get(key), key)
            for key in ("instructions", "control", "allocations", "syscalls")
        ]
        print(f"| {scenario.title} | {' | '.join(cells)} |")
    plain = {one.name: figures[one.name] for one in chosen if not one.slows}
    if options.update:
        baseline.write(profile.baseline, conditions(), known, plain)
        return 0
    failed = [baseline.describe(one) for one in baseline.differences(plain, known)]
    failed = [f"differs from the baseline: {line}" for line in failed]
    for scenario in chosen:
        if scenario.slows:
            if baseline.notices({scenario.slows: figures[scenario.name]}, known):
                print(f"\n{scenario.title}: differs from {scenario.slows}, as it has to")
            else:
                failed.append(f"{scenario.name} should differ from the baseline of {scenario.slows}: "
                              "the comparison does not notice more work")
    for line in failed:
        say(line)
    if failed:
        update = f"benches/instructions/run --profile {options.profile} --update"
        for line in baseline.advice(recorded, conditions(), update):
            say(line)
    return int(bool(failed))


def cell(value, before, key):
    if value is None:
        return "–"
    if before is None or key not in baseline.TOLERANCES:
        return f"{value:.1f}"
    return f"{value:.1f} ({baseline.change(before, value):+.1%})"


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
