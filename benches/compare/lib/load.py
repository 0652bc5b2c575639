"""Sends one checked request (`probe`), or loads a proxy for a slice of time (`run`)."""

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import machine
import rows

CONNECTIONS = 64
SLICE_SECONDS = 1

# wrk tells answers of 400 and more; a redirect shows by its size only. Heads differ by a few
# bytes between answers (counters, chunk sizes).
SIZE_TOLERANCE = 0.01

HERE = Path(__file__).resolve().parent
SCRIPT = HERE.parent / "load.lua"

# A slice has fewer requests, so that no request id of a session occurs twice.
RIDS_OF_SLICE = 1_000_000
FIRST_RID = 1_000_000_000


@dataclass
class Answer:
    status: int
    body: bytes
    # Of head and body; framing of chunks is not counted.
    size: int


@dataclass
class Sample:
    micros: float
    rate: float
    used: float
    others: float
    requests: int
    problem: str


def probe(target, transport, row, visitor):
    """One request and its whole answer, over a new connection of HTTP/1.1."""
    with connect(target, transport) as sock:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = sock
        body = row.body(target.sid) if row.body else None
        connection.request(row.method, row.path, body, row.head(visitor))
        answer = connection.getresponse()
        content = answer.read()
        head = sum(len(name) + len(value) + 4 for name, value in answer.getheaders())
        line = len(f"HTTP/1.1 {answer.status} {answer.reason}\r\n\r\n")
        return Answer(answer.status, content, line + head + len(content))


def connect(target, transport):
    sock = socket.create_connection(("127.0.0.1", target.port(transport)), timeout=10)
    if transport == "tcp":
        return sock
    context = ssl.create_default_context(cafile=target.certificate.chain)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context.wrap_socket(sock, server_hostname="localhost")


def cipher(target):
    with connect(target, "tls") as sock:
        return sock.cipher()[0]


def run(target, transport, row, visitor, cores, expected, directory, number):
    """Loads a proxy for one slice, and gives the cost of each request."""
    load = {
        rows.WRK: wrk, rows.SESSIONS: sessions, rows.SOCKETS: python, rows.HANDSHAKES: python,
    }[row.load]
    if transport == "h2":
        load = h2load
    began, cpu_began = time.monotonic(), machine.cpu_seconds(target.program.pid)
    core_began = machine.core_seconds(cores.proxy)
    result = load(target, transport, row, visitor, expected, directory, number)
    cpu = machine.cpu_seconds(target.program.pid) - cpu_began
    core = machine.core_seconds(cores.proxy) - core_began
    elapsed = time.monotonic() - began
    requests = result["requests"]
    return Sample(
        micros=cpu / max(requests, 1) * 1e6,
        rate=requests / (result["microseconds"] / 1e6),
        # The load generator starts and stops within the time that was measured.
        used=cpu / (result["microseconds"] / 1e6),
        others=max(core - cpu, 0) / elapsed,
        requests=requests,
        problem=result["problem"] if requests else "no answers",
    )


def wrk(target, transport, row, visitor, expected, directory, number, environment=None):
    """One thread with all connections; or one thread for each BOSH session."""
    threads = len(target.sids) if environment else 1
    connections = threads if environment else CONNECTIONS
    scheme, host = ("http", "127.0.0.1") if transport == "tcp" else ("https", "localhost")
    command = [
        "wrk", f"-t{threads}", f"-c{connections}", f"-d{SLICE_SECONDS}s", "-s", SCRIPT,
        f"{scheme}://{host}:{target.port(transport)}{row.path}",
    ]
    for name, value in row.head(visitor).items():
        command += ["-H", f"{name}: {value}"]
    output = run_program(command, {"COMPARE_METHOD": row.method, **(environment or {})})
    lines = [line for line in output.splitlines() if line.startswith("result ")]
    if not lines:
        raise SystemExit(f"wrk failed: {output}")
    result = json.loads(lines[0].removeprefix("result "))
    result["problem"] = problem(result, expected.size, connections)
    return result


def sessions(target, transport, row, visitor, expected, directory, number):
    """Each connection has a BOSH session of its own, whose request ids follow each other."""
    sids, body = directory / "sids", directory / "body"
    sids.write_text("".join(f"{sid}\n" for sid in target.sids))
    body.write_text(row.body("SID", "RID"))
    first = FIRST_RID + number * RIDS_OF_SLICE
    environment = {
        "COMPARE_SIDS": str(sids), "COMPARE_BODY": str(body), "COMPARE_FIRST_RID": str(first),
    }
    return wrk(target, transport, row, visitor, expected, directory, number, environment)


def h2load(target, transport, row, visitor, expected, directory, number):
    """HTTP/2: each connection has one request in flight."""
    url = f"https://localhost:{target.port(transport)}{row.path}"
    command = [
        "h2load", f"-c{CONNECTIONS}", "-m1", "-t1", f"-D{SLICE_SECONDS}", "--warm-up-time=0", url,
    ]
    for name, value in row.head(visitor).items():
        # The scheme of HTTP/2 says that the connection is secure.
        if name not in ("Host", "X-Forwarded-Proto"):
            command += ["-H", f"{name}: {value}"]
    command += ["-H", f":authority: {visitor.origin.removeprefix('https://')}"]
    output = run_program(command)
    seconds = re.search(r"^finished in ([\d.]+)(m?)s, ([\d.]+) req/s", output, re.M)
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    statuses = re.search(r"(\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    data = re.search(r"headers \(.*?\), \S+ \((\d+)\) data", output)
    if not (seconds and counts and statuses and data):
        raise SystemExit(f"h2load failed: {output}")
    succeeded, *failures = map(int, counts.groups())
    found = [] if not any(failures) else [f"{sum(failures)} errors"]
    if any(map(int, statuses.groups()[1:])):
        found.append(statuses[0])
    mean = int(data[1]) / max(succeeded, 1)
    size = len(expected.body)
    if abs(mean - size) > size * (SIZE_TOLERANCE + CONNECTIONS / max(succeeded, 1)):
        found.append(f"answers of {mean:.0f} bytes instead of {size}")
    micros = float(seconds[1]) * (1e3 if seconds[2] else 1e6)
    return {"requests": succeeded, "microseconds": micros, "problem": ", ".join(found)}


def python(target, transport, row, visitor, expected, directory, number):
    """A program of this directory makes the load."""
    order = directory / "order.json"
    order.write_text(json.dumps({
        "port": target.port(transport), "chain": str(target.certificate.chain),
        "tls": transport == "tls", "seconds": SLICE_SECONDS, "origin": visitor.origin,
        "cookie": visitor.cookie, "path": row.path, "fields": row.head(visitor),
    }))
    program = {rows.SOCKETS: "websocket_load.py", rows.HANDSHAKES: "handshake_load.py"}[row.load]
    return json.loads(run_program([sys.executable, "-B", HERE / program, order]))


def run_program(command, environment=None):
    answer = subprocess.run(
        [*map(str, command)], env={**os.environ, **(environment or {})}, capture_output=True,
        text=True, check=False,
    )
    if answer.returncode:
        raise SystemExit(f"{command[0]} failed: {answer.stdout}{answer.stderr}")
    return answer.stdout


def problem(result, expected, connections):
    """What makes a slice worthless; nothing, mostly."""
    found = [f"{count} {kind} errors" for kind, count in result["errors"].items() if count]
    requests = result["requests"]
    if not requests:
        return "no answers"
    # Each connection may have got part of an answer when the time was over.
    slack = expected * (SIZE_TOLERANCE + connections / requests)
    mean = result["bytes"] / requests
    if abs(mean - expected) > slack:
        found.append(f"answers of {mean:.0f} bytes instead of {expected}")
    return ", ".join(found)
