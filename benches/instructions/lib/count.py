"""Counts the instructions, allocations and system calls of requests, and compares them with a baseline."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import counters
import gateway
import main as compare
import processes as programs
import rows
import scenarios
import stand_ins

HERE = Path(__file__).resolve().parent.parent
BASELINE = HERE / "baseline.json"

# Instructions repeat within 1 %. Whether a read finds the whole answer, or the end of it, is chance.
TOLERANCES = {"instructions": 0.03, "allocations": 0.03, "syscalls": 0.1}

# One hundred requests cost far more than the few things that a worker does by itself.
REQUESTS = 100
WARM_UP = 20

# Request ids of four digits, 1000 created the session.
FIRST_RID = 1000


@dataclass
class Target(compare.Target):
    """A gateway, and the last request id of its BOSH session."""

    rid: int = FIRST_RID


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--scenarios", help="for example file-tcp,bosh-tls; all")
    parser.add_argument("--update", action="store_true", help="writes the figures to baseline.json")
    parser.add_argument("--keep", type=Path, help="a directory for the callgrind profiles")
    parser.add_argument("--skip-syscalls", action="store_true")
    return parser.parse_args()


def binary():
    """Named functions are needed to count allocations."""
    if "GATEWAY_BIN" not in os.environ:
        target = Path(os.environ.get("CARGO_TARGET_DIR", gateway.REPOSITORY / "target"))
        os.environ["GATEWAY_BIN"] = str(target / "symbols" / "jitsi-auth-gateway")
    if not gateway.binary().exists():
        raise SystemExit(f"no gateway at {gateway.binary()}: cargo build --profile symbols")


def main():
    options = arguments()
    chosen = scenarios.choose(options.scenarios)
    binary()
    gateway.check()
    # Programs start slowly inside valgrind.
    programs.READY_WITHIN = 180.0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))

    figures = {}
    upstream = stand_ins.start()
    for many_rules in (False, True):
        group = [one for one in chosen if one.many_rules == many_rules]
        if group:
            rules = scenarios.MANY_RULES if many_rules else []
            for measure in (count_instructions, count_syscalls):
                if measure is count_syscalls and options.skip_syscalls:
                    continue
                with tempfile.TemporaryDirectory(prefix="gateway-count-") as directory:
                    with programs.Processes(directory) as processes:
                        measure(processes, upstream, rules, group, figures, options)
    sys.exit(report(chosen, figures, options))


def start(processes, upstream, rules, wrapper):
    tcp, tls = programs.free_ports(2)
    ports = compare.Ports(tcp, tls)
    behind = compare.BackendPorts(upstream, upstream)
    certificate = compare.make_certificate(processes.directory)
    origin = f"https://localhost:{ports.tls}"
    provider = gateway.start_provider(processes, origin)
    program = gateway.start(
        processes, provider, origin, behind, ports, certificate, None, wrapper, rules
    )
    target = Target("gateway", program, ports, certificate)
    visitor = rows.Visitor(origin, gateway.sign_in(program, origin, provider, certificate))
    target.sid = gateway.bosh_sid(target, visitor)
    return target, visitor


def count_instructions(processes, upstream, rules, group, figures, options):
    callgrind = counters.Callgrind(processes.directory, "gateway")
    target, visitor = start(processes, upstream, rules, callgrind.command())
    for scenario in group:

        def measure(send, scenario=scenario):
            send(WARM_UP)
            callgrind.take(target.program)
            profiles = []
            for count in (REQUESTS, 2 * REQUESTS):
                send(count)
                profiles.append(callgrind.take(target.program))
            figures[scenario.name], profile = counters.difference(*profiles, REQUESTS)
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(profile, options.keep / f"{scenario.name}.callgrind")
            say(f"{scenario.name}: {figures[scenario.name]}")

        with_client(scenario, target, visitor, measure)


def count_syscalls(processes, upstream, rules, group, figures, _):
    target, visitor = start(processes, upstream, rules, ())
    for scenario in group:

        def measure(send, scenario=scenario):
            send(WARM_UP)
            few, many = (
                counters.count_syscalls(
                    target.program.pid, processes.directory, lambda count=count: send(count)
                )
                for count in (REQUESTS, 2 * REQUESTS)
            )
            figures[scenario.name]["syscalls"] = (many - few) / REQUESTS
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


def report(chosen, figures, options):
    """Prints a table; answers the exit status."""
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    failed = []
    print("| request | instructions | control | allocations | system calls |")
    print("|---|---:|---:|---:|---:|")
    for scenario in chosen:
        known = baseline.get(scenario.name, {})
        cells = []
        for key in ("instructions", "control", "allocations", "syscalls"):
            value, before = figures[scenario.name].get(key), known.get(key)
            if value is None:
                cells.append("–")
            elif before is None or key not in TOLERANCES:
                cells.append(f"{value:.1f}")
            else:
                change = (value - before) / max(before, 1)
                cells.append(f"{value:.1f} ({change:+.1%})")
                if abs(change) > TOLERANCES[key]:
                    failed.append(f"{scenario.name}: {key} {before:.1f} → {value:.1f}")
        print(f"| {scenario.title} | {' | '.join(cells)} |")
    if options.update:
        for scenario in chosen:
            rounded = {key: round(value, 2) for key, value in figures[scenario.name].items()}
            baseline[scenario.name] = {**baseline.get(scenario.name, {}), **rounded}
        BASELINE.write_text(json.dumps(baseline, indent=2) + "\n")
        return 0
    for line in failed:
        say(f"differs from the baseline: {line}")
    return int(bool(failed))


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
