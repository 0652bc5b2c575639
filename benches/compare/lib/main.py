"""Compares the gateway with nginx as a plain proxy: CPU time per request, requests per second."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import namedtuple
from dataclasses import asdict, dataclass
from pathlib import Path

import backend
import gateway
import load
import machine
import plain
import processes as programs
import report
import rows

Ports = namedtuple("Ports", "tcp tls")
BackendPorts = namedtuple("BackendPorts", "web xmpp")
Certificate = namedtuple("Certificate", "chain key")

BASE, JITSI, GATEWAY = "nginx", "nginx-jitsi", "gateway"

# Without a gateway nobody is signed in; the requests should be as long nevertheless.
STAND_IN = f"{gateway.SESSION_COOKIE}={'x' * 400}"


@dataclass
class Target:
    """A proxy under test."""

    name: str
    program: subprocess.Popen
    ports: Ports
    certificate: Certificate
    sid: str = backend.SID


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5, help="medians are over these; 5")
    parser.add_argument("--seconds", type=positive, default=5, help="of each run; 5")
    parser.add_argument("--rows", help="for example bosh,file-tls; all")
    parser.add_argument("--skip-gateway", action="store_true", help="the two nginx only")
    parser.add_argument("--json", type=Path, help="a file for the figures of each run")
    return parser.parse_args()


def positive(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main():
    options = arguments()
    chosen = rows.choose(options.rows)
    cores = machine.Cores()
    if not options.skip_gateway:
        gateway.check()
    facts = machine.facts(cores, None if options.skip_gateway else gateway.binary())
    # What is started inherits this; only the proxies are moved to their own core.
    os.sched_setaffinity(0, cores.load)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))

    with tempfile.TemporaryDirectory(prefix="gateway-compare-") as directory:
        with programs.Processes(directory) as processes:
            say("starting")
            targets, visitor = start(processes, cores, options.skip_gateway)
            for target in targets:
                facts[f"TLS of {target.name}"] = load.cipher(target)
            results = compare(targets, visitor, cores, chosen, options, processes.directory)

    print(report.machine_facts(facts))
    print(report.tables(results, targets, BASE))
    if options.json:
        write_json(options.json, facts, results)
    if any(report.problems_of(of) for samples in results.values() for of in samples.values()):
        sys.exit(1)


def start(processes, cores, skip_gateway):
    """The backend, and everything in front of it; and a visitor who is signed in."""
    web, xmpp, *others = programs.free_ports(8)
    behind = BackendPorts(web, xmpp)
    pairs = {
        name: Ports(*others[at : at + 2]) for at, name in zip((0, 2, 4), (BASE, JITSI, GATEWAY))
    }
    certificate = make_certificate(processes.directory)
    backend.start(processes, web, xmpp)
    targets = []
    for name, write in ((BASE, plain.tuned), (JITSI, plain.jitsi)):
        config = write(behind, pairs[name], certificate)
        program = plain.start(processes, name, config, pairs[name], cores.proxy)
        targets.append(Target(name, program, pairs[name], certificate))
    origin = f"https://localhost:{pairs[GATEWAY].tls}"
    if skip_gateway:
        return targets, rows.Visitor(origin, STAND_IN)

    provider = gateway.start_provider(processes, origin)
    program = gateway.start(
        processes, provider, origin, behind, pairs[GATEWAY], certificate, cores.proxy
    )
    target = Target(GATEWAY, program, pairs[GATEWAY], certificate)
    visitor = rows.Visitor(origin, gateway.sign_in(program, origin, provider, certificate))
    target.sid = gateway.bosh_sid(target, visitor)
    return [*targets, target], visitor


def make_certificate(directory):
    certificate = Certificate(directory / "tls.crt", directory / "tls.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", certificate.key, "-out", certificate.chain],
        check=True, capture_output=True,
    )
    return certificate


def compare(targets, visitor, cores, chosen, options, directory):
    """Rounds outermost and proxies innermost, so that what is compared ran side by side."""
    expected = {
        (by, row.name, target.name): size_of_answer(targets[0], target, by, row, visitor)
        for by, row in chosen
        for target in targets
    }
    results = {(by, row): {target.name: [] for target in targets} for by, row in chosen}
    for number in range(options.rounds):
        for by, row in chosen:
            # Nobody is always first.
            turn = number % len(targets)
            for target in targets[turn:] + targets[:turn]:
                size = expected[by, row.name, target.name]
                sample = load.run(
                    target, by, row, visitor, cores, options.seconds, size, directory
                )
                programs.must_run(target.program)
                results[by, row][target.name].append(sample)
                name = f"{row.name}-{by}"
                say(f"round {number + 1}/{options.rounds}  {name:11} {target.name:12}"
                    f"{sample.micros:8.1f} µs{sample.rate:8.0f}/s  {sample.problem}")
    return results


def size_of_answer(base, target, transport, row, visitor):
    """Makes sure that a proxy gives what was asked for, and tells its size."""
    answer = load.probe(target, transport, row, visitor)
    plain_answer = load.probe(base, transport, row, visitor)
    where = f"{row.name}-{transport} by {target.name}"
    if answer.status != 200:
        raise SystemExit(f"{where}: {answer.status} {answer.body[:500]!r}")
    if row.name == "page" and target.name == GATEWAY:
        # A display token is shaped like a JWT, whose first letters are always these.
        if b"eyJ" not in answer.body or not answer.body.startswith(b"<!DOCTYPE html>"):
            raise SystemExit(f"{where}: not completed: {answer.body[:500]!r}")
    elif answer.body != plain_answer.body:
        raise SystemExit(f"{where}: not what the backend has: {answer.body[:500]!r}")
    return answer.size


def write_json(path, facts, results):
    runs = [
        {"row": row.name, "transport": by, "proxy": name, "round": number, **asdict(sample)}
        for (by, row), samples in results.items()
        for name, of in samples.items()
        for number, sample in enumerate(of, 1)
    ]
    path.write_text(json.dumps({"machine": facts, "runs": runs}, indent=2) + "\n")


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
