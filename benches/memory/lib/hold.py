"""Measures the memory of connections that are held open, and what is left of it when they close."""

import argparse
import asyncio
import re
import signal
import ssl
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import backend
import gateway
import machine
import plain
import processes as programs
import rows
import targets
from xmpp_framing import MASK, NEGOTIATION, TEXT, frame, handshake, take_frame

ROW = {row.name: row for row in rows.ROWS}

GATEWAY = "gateway"
PROXIES = (GATEWAY, plain.NGINX, plain.HAPROXY)

# Handshakes at a time: more would only queue in the kernel.
AT_ONCE = 32

# The gateway notices closed connections at once; its allocator returns pages that have been free for 10 seconds.
SETTLE_SECONDS = 15.0

# The gateway frees the buffers of an idle connection after 5 to 10 seconds (`BUFFER_TIMEOUT` in server/http1.rs), and
# its allocator returns them as above.
IDLE_SECONDS = 25.0

# What the gateway may keep when all connections have closed, in relation to its memory before.
MOST_LEFT = 1.2

# How long it may take. A BOSH session outlives its last request by 90 seconds, as Prosody's does; then its memory is
# free, and the allocator returns it.
LONGEST_SETTLE_SECONDS = 150.0

# Of a proxy, beside those of connections.
OTHER_DESCRIPTORS = 200


class Kind(NamedTuple):
    title: str
    transport: str
    row: str
    connections: int = 2000
    # Of a proxy; two are one to the client and one to the backend.
    descriptors: int = 1


KINDS = {
    "keep-alive": Kind("idle keep-alive connection", "tcp", "file"),
    "keep-alive-tls": Kind("idle keep-alive connection, TLS", "tls", "file"),
    "poll": Kind("held BOSH poll", "tcp", "bosh", descriptors=2),
    "poll-tls": Kind("held BOSH poll, TLS", "tls", "bosh", descriptors=2),
    "websocket": Kind("idle WebSocket", "tcp", "websocket", 10_000, 2),
    "websocket-tls": Kind("idle WebSocket, TLS", "tls", "websocket", 10_000, 2),
}


class Figures(NamedTuple):
    """Of one proxy, in KiB."""

    before: int
    held: int
    after: int
    # From the close to the measurement of `after`.
    seconds: float


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--connections", type=int, help="of each kind; 2,000, and 10,000 WebSockets")
    parser.add_argument("--kinds", help=f"of {', '.join(KINDS)}; all")
    parser.add_argument("--proxies", help=f"of {', '.join(PROXIES)}; all")
    return parser.parse_args()


async def serve(reader, writer, sids=iter(range(10**9))):
    """Jitsi's web server, and a Prosody that holds every poll."""
    try:
        while line := await reader.readline():
            fields = {}
            while field := (await reader.readline()).strip():
                name, _, value = field.decode().partition(":")
                fields[name.lower()] = value.strip()
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            if b"/http-bind" not in line:
                content = "<svg>".ljust(backend.KIB - 6) + "</svg>"
            elif b" sid=" in body:
                await reader.read()
                return
            else:
                content = backend.created(f"{next(sids):036d}")
            writer.write(
                f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n{content}".encode()
            )
    except (ConnectionError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


def request(row, visitor, body=""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    fields = "".join(f"{name}: {value}\r\n" for name, value in row.head(visitor).items())
    return f"{row.method} {row.path} HTTP/1.1\r\n{fields}{length}\r\n{body}".encode()


async def answered(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if not head.startswith("http/1.1 200 "):
        raise SystemExit(f"not answered: {head}")
    length = re.search(r"content-length: (\d+)", head)
    return await reader.readexactly(int(length[1]))


async def hold(target, kind, visitor, count):
    """Opens connections that each had an answer, or wait for one."""
    context = None
    if kind.transport == "tls":
        context = ssl.create_default_context(cafile=target.certificate.chain)
    turn = asyncio.Semaphore(AT_ONCE)
    row = ROW[kind.row]

    async def one():
        async with turn:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", target.port(kind.transport), ssl=context,
                server_hostname="localhost" if context else None,
            )
            if row.load == rows.SOCKETS:
                await negotiate(reader, writer, visitor)
                return reader, writer
            first = backend.CREATE if row.name == "bosh" else ""
            writer.write(request(row, visitor, first))
            content = await answered(reader)
            if row.name == "bosh":
                sid = re.search(rb"""\ssid=['"]([^'"]+)""", content)[1].decode()
                writer.write(request(row, visitor, backend.later(sid)))
            return reader, writer

    return await asyncio.gather(*(one() for _ in range(count)))


async def negotiate(reader, writer, visitor):
    """A WebSocket whose stream is bound."""
    writer.write(handshake(visitor, rows.COMMON))
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        raise SystemExit(f"no WebSocket: {head!r}")
    buffer = bytearray()
    for stanza, answers in NEGOTIATION:
        writer.write(frame(TEXT, stanza.encode(), MASK))
        for _ in range(answers):
            while not (found := take_frame(buffer)):
                more = await reader.read(65536)
                if not more:
                    raise SystemExit("the proxy closed a WebSocket")
                buffer += more
            del buffer[: found[2]]


def pss(program):
    """Proportional set size of a program and its children, in KiB."""
    sizes = 0
    for pid in [program.pid, *machine.children(program.pid)]:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        sizes += int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1])
    return sizes


async def measure(kind, proxy, count):
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="gateway-memory-") as directory:
        with programs.Processes(directory) as processes:
            target, visitor = await asyncio.to_thread(start, processes, proxy, kind, port)
            # What the first requests allocate is not of the connections.
            for _, writer in await hold(target, kind, visitor, 8):
                writer.close()
            await asyncio.sleep(SETTLE_SECONDS)
            before = pss(target.program)
            try:
                connections = await hold(target, kind, visitor, count)
            except ConnectionError as error:
                log = target.program.log.read_text(errors="replace")[-2000:]
                raise SystemExit(f"{proxy} broke off a connection: {error}\n{log}") from error
            await asyncio.sleep(SETTLE_SECONDS if kind.row == "bosh" else IDLE_SECONDS)
            if closed := sum(reader.at_eof() for reader, _ in connections):
                raise SystemExit(f"{proxy} closed {closed} connections")
            held = pss(target.program)
            for _, writer in connections:
                writer.transport.abort()
            seconds = SETTLE_SECONDS
            await asyncio.sleep(seconds)
            after = pss(target.program)
            while proxy == GATEWAY and after > MOST_LEFT * before and seconds < LONGEST_SETTLE_SECONDS:
                await asyncio.sleep(5.0)
                seconds += 5.0
                after = pss(target.program)
    server.close()
    return Figures(before, held, after, seconds)


def start(processes, proxy, kind, port):
    """A proxy in front of this process, and of a server of WebSockets."""
    certificate = targets.make_certificate(processes.directory)
    (websocket,) = programs.free_ports(1)
    upstream = targets.BackendPorts(port, port, websocket)
    backend.start_sockets(processes, websocket)
    if proxy == GATEWAY:
        return start_gateway(processes, kind, upstream, certificate)
    starts = {plain.NGINX: plain.start_nginx, plain.HAPROXY: plain.start_haproxy}
    target = starts[proxy](processes, upstream, certificate, None)[rows.PLAIN]
    return target, rows.Visitor("https://localhost", gateway.STAND_IN)


def start_gateway(processes, kind, upstream, certificate):
    (ports,) = plain.ports(1)
    origin = f"https://localhost:{ports.tls}"
    provider = gateway.start_provider(processes, origin)
    if kind.row == "websocket":
        upstream = upstream._replace(xmpp=upstream.websocket)
    program = gateway.start(processes, provider, origin, upstream, ports, certificate, None)
    target = targets.Target(GATEWAY, program, ports, certificate)
    return target, rows.Visitor(origin, gateway.sign_in(program, origin, provider, certificate))


def measure_apart(name, proxy, count):
    """In a process of its own, with its own descriptors."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    return asyncio.run(measure(KINDS[name], proxy, count))


def possible(kind, wanted):
    """How many connections a proxy has descriptors for."""
    usable = programs.descriptors() - OTHER_DESCRIPTORS
    return min(wanted or kind.connections, usable // kind.descriptors)


def choose(names, known):
    chosen = names.split(",") if names else [*known]
    if unknown := set(chosen) - set(known):
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return chosen


def main():
    options = arguments()
    gateway.check()
    names, proxies = choose(options.kinds, KINDS), choose(options.proxies, PROXIES)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    print("| held | connections | proxy | before, MiB | per connection, KiB | after the close, MiB | of before | seconds |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    failed = []
    for name in names:
        kind = KINDS[name]
        count = possible(kind, options.connections)
        if count < (options.connections or kind.connections):
            print(f"{name}: {count} connections, because a process may have no more open files",
                  file=sys.stderr)
        # Memory does not depend on what else the machine does.
        with ProcessPoolExecutor(len(proxies)) as pool:
            jobs = [pool.submit(measure_apart, name, proxy, count) for proxy in proxies]
        for proxy, job in zip(proxies, jobs):
            before, held, after, seconds = job.result()
            print(f"| {kind.title} | {count} | {proxy} | {before / 1024:.1f} | {(held - before) / count:.1f} "
                  f"| {after / 1024:.1f} | {after / before:.0%} | {seconds:.0f} |", flush=True)
            if proxy == GATEWAY and after > MOST_LEFT * before:
                failed.append(f"{name}: {after / before:.0%} of the memory before is in use after the close")
    for line in failed:
        print(line, file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    began = time.monotonic()
    try:
        main()
    finally:
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
