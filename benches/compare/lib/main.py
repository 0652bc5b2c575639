"""Compares the gateway with nginx and HAProxy as plain proxies: CPU time per request, in alternating slices."""

import argparse
import json
import os
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import backend
import gateway
import load
import machine
import plain
import processes as programs
import report
import rows
from rows import CACHING, PLAIN, RULES, WEBSOCKET
from targets import BackendPorts, Target, make_certificate

BASE, GATEWAY = plain.NGINX, "gateway"


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--slices", type=positive, default=15, help="of each proxy and row; 15")
    parser.add_argument("--rows", help="for example bosh,file-tls; all")
    parser.add_argument("--skip-gateway", action="store_true", help="nginx and HAProxy only")
    parser.add_argument("--json", type=Path, help="a file for the figures of each slice")
    parser.add_argument("--update", action="store_true", help="writes the results to README.md")
    options = parser.parse_args()
    if options.update and (options.rows or options.skip_gateway):
        parser.error("--update needs all rows and the gateway")
    return options


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
            proxies, visitor = start(processes, cores, options.skip_gateway)
            for name, variants in proxies.items():
                facts[f"TLS of {name}"] = load.cipher(variants[PLAIN])
            results = compare(proxies, visitor, cores, chosen, options.slices, processes.directory)

    text = f"{report.table(results, [*proxies], BASE)}\n\n{report.machine_facts(facts)}\n"
    print(text, end="")
    if options.json:
        write_json(options.json, facts, results)
    if any(report.problems_of(of) for samples in results.values() for of in samples.values()):
        sys.exit(1)
    if options.update:
        report.write_readme(text)


def start(processes, cores, skip_gateway):
    """The backend, and everything in front of it; and a visitor who is signed in."""
    upstream = BackendPorts(*programs.free_ports(3))
    certificate = make_certificate(processes.directory)
    backend.start(processes, upstream)
    proxies = {
        BASE: plain.start_nginx(processes, upstream, certificate, cores.proxy),
        plain.HAPROXY: plain.start_haproxy(processes, upstream, certificate, cores.proxy),
    }
    if skip_gateway:
        return proxies, rows.Visitor("https://localhost", gateway.STAND_IN)
    proxies[GATEWAY], visitor = start_gateways(processes, cores, upstream, certificate)
    return proxies, visitor


def start_gateways(processes, cores, upstream, certificate):
    """A gateway for each configuration; a session of one is a session of all, which have one origin and one key."""
    of_variant = dict(zip((PLAIN, CACHING, RULES, WEBSOCKET), plain.ports(4)))
    origin = f"https://localhost:{of_variant[PLAIN].tls}"
    provider = gateway.start_provider(processes, origin)
    variants = {}
    for variant, ports in of_variant.items():
        # Prosody has one address for both kinds of signalling; here they are two programs.
        to = upstream._replace(xmpp=upstream.websocket) if variant == WEBSOCKET else upstream
        program = gateway.start(
            processes, provider, origin, to, ports, certificate, cores.proxy,
            rules=rows.MANY_RULES if variant == RULES else (),
            cached=variant == CACHING, name=f"{GATEWAY}-{variant}",
        )
        variants[variant] = Target(GATEWAY, program, ports, certificate)
    signed_in = gateway.sign_in(variants[PLAIN].program, origin, provider, certificate)
    visitor = rows.Visitor(origin, signed_in)
    for variant in (PLAIN, RULES):
        target = variants[variant]
        target.sids = [gateway.bosh_sid(target, visitor) for _ in range(load.CONNECTIONS)]
    return variants, visitor


def compare(proxies, visitor, cores, chosen, slices, directory):
    """Rounds outermost and proxies innermost, so that what is compared ran side by side."""
    for name in (plain.NGINX, plain.HAPROXY):
        for target in proxies[name].values():
            target.sids = [backend.SID] * load.CONNECTIONS
    expected = {
        (by, row, name): checked_answer(proxies[BASE], variants, name, by, row, visitor)
        for by, row in chosen
        for name, variants in proxies.items()
    }
    results = {(by, row): {name: [] for name in proxies} for by, row in chosen}
    names = [*proxies]
    for number in range(slices):
        for by, row in chosen:
            # Each proxy is the first in turn.
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                target = proxies[name][row.variant]
                sample = load.run(
                    target, by, row, visitor, cores, expected[by, row, name], directory, number
                )
                programs.must_run(target.program)
                results[by, row][name].append(sample)
                say(f"slice {number + 1}/{slices}  {f'{row.name}-{by}':18} {name:8}"
                    f"{sample.micros:8.1f} µs{sample.rate:8.0f}/s  {sample.used:4.0%}  {sample.problem}")
    return results


def checked_answer(base, variants, name, transport, row, visitor):
    """Makes sure that a proxy gives what was asked for; None for WebSockets, whose load does that."""
    if row.load == rows.SOCKETS:
        return None
    target, where = variants[row.variant], f"{row.name}-{transport} by {name}"
    # The second answer is from the cache, where there is one.
    _, answer = (load.probe(target, transport, row, visitor) for _ in range(2))
    expected = load.probe(base[row.variant], transport, row, visitor)
    if answer.status != 200:
        raise SystemExit(f"{where}: {answer.status} {answer.body[:500]!r}")
    if row.name == "page" and name == GATEWAY:
        # A display token is shaped like a JWT, whose first letters are always these.
        if b"eyJ" not in answer.body or not answer.body.startswith(b"<!DOCTYPE html>"):
            raise SystemExit(f"{where}: not completed: {answer.body[:500]!r}")
    elif answer.body != expected.body:
        raise SystemExit(f"{where}: not what the backend has: {answer.body[:500]!r}")
    return answer


def write_json(path, facts, results):
    slices = [
        {"row": row.name, "transport": by, "proxy": name, "slice": number, **asdict(sample)}
        for (by, row), samples in results.items()
        for name, of in samples.items()
        for number, sample in enumerate(of, 1)
    ]
    path.write_text(json.dumps({"machine": facts, "slices": slices}, indent=2) + "\n")


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
