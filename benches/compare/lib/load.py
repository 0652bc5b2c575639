"""Sends one checked request (`probe`), or a load (`run`)."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import machine

CONNECTIONS = 64

# wrk tells answers of 400 and more; a redirect shows by its size only. Heads differ by a few
# bytes between answers (counters, chunk sizes).
SIZE_TOLERANCE = 0.01

SCRIPT = Path(__file__).parent.parent / "load.lua"


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
    p99: float
    requests: int
    problem: str


def probe(target, transport, row, visitor):
    """One request and its whole answer, over a new connection."""
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
    sock = socket.create_connection(("127.0.0.1", getattr(target.ports, transport)), timeout=10)
    if transport == "tcp":
        return sock
    context = ssl.create_default_context(cafile=target.certificate.chain)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context.wrap_socket(sock, server_hostname="localhost")


def cipher(target):
    with connect(target, "tls") as sock:
        return sock.cipher()[0]


def run(target, transport, row, visitor, cores, seconds, expected, directory):
    """Loads a proxy for some seconds and tells what each request cost it."""
    scheme, host = {"tcp": ("http", "127.0.0.1"), "tls": ("https", "localhost")}[transport]
    url = f"{scheme}://{host}:{getattr(target.ports, transport)}{row.path}"
    environment = {**os.environ, "COMPARE_METHOD": row.method}
    if row.body:
        body = directory / "body"
        body.write_text(row.body(target.sid))
        environment["COMPARE_BODY"] = str(body)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(SCRIPT), url]
    for name, value in row.head(visitor).items():
        command += ["-H", f"{name}: {value}"]

    began, cpu_began = time.monotonic(), machine.cpu_seconds(target.program.pid)
    core_began = machine.core_seconds(cores.proxy)
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    cpu = machine.cpu_seconds(target.program.pid) - cpu_began
    core = machine.core_seconds(cores.proxy) - core_began
    elapsed = time.monotonic() - began

    lines = [line for line in answer.stdout.splitlines() if line.startswith("result ")]
    if not lines:
        raise SystemExit(f"wrk failed: {answer.stdout}{answer.stderr}")
    result = json.loads(lines[0].removeprefix("result "))
    requests = max(result["requests"], 1)
    return Sample(
        micros=cpu / requests * 1e6,
        rate=result["requests"] / (result["microseconds"] / 1e6),
        used=cpu / elapsed,
        others=max(core - cpu, 0) / elapsed,
        p99=result["p99"] / 1000,
        requests=result["requests"],
        problem=problem(result, expected),
    )


def problem(result, expected):
    """What makes a run worthless; nothing, mostly."""
    found = [f"{count} {kind} errors" for kind, count in result["errors"].items() if count]
    requests = result["requests"]
    if not requests:
        return "no answers"
    # Each connection may have got part of an answer when the time was over.
    slack = expected * (SIZE_TOLERANCE + CONNECTIONS / requests)
    mean = result["bytes"] / requests
    if abs(mean - expected) > slack:
        found.append(f"answers of {mean:.0f} bytes instead of {expected}")
    return ", ".join(found)
