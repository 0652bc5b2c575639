"""Measures the memory of connections that are held open, and what is left of it when they close."""

import argparse
import asyncio
import re
import signal
import ssl
import sys
import tempfile
import time
from pathlib import Path

import backend
import gateway
import main as compare
import processes as programs
import rows

ROW = {row.name: row for row in rows.ROWS}

# Handshakes at a time: more would only queue in the kernel.
AT_ONCE = 32

# The gateway notices closed connections at once; its allocator returns pages that have been free for 10 seconds.
SETTLE_SECONDS = 15.0

# The gateway frees the buffers of an idle connection after 5 to 10 seconds (`BUFFER_TIMEOUT` in server/http1.rs), and
# its allocator returns them as above.
IDLE_SECONDS = 25.0

KINDS = {
    "keep-alive": ("idle keep-alive connection", "tcp", "file"),
    "keep-alive-tls": ("idle keep-alive connection, TLS", "tls", "file"),
    "poll": ("held BOSH poll", "tcp", "bosh"),
    "poll-tls": ("held BOSH poll, TLS", "tls", "bosh"),
}


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--connections", type=int, default=2000, help="of each kind; 2000")
    parser.add_argument("--kinds", help=f"of {', '.join(KINDS)}; all")
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
                content = backend.CREATED.replace(backend.SID, f"{next(sids):036d}")
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


async def hold(target, transport, row, visitor, count):
    """Opens connections that each had an answer, or wait for one."""
    context = None
    if transport == "tls":
        context = ssl.create_default_context(cafile=target.certificate.chain)
    turn = asyncio.Semaphore(AT_ONCE)

    async def one():
        async with turn:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", getattr(target.ports, transport), ssl=context,
                server_hostname="localhost" if context else None,
            )
            first = backend.CREATE if row.name == "bosh" else ""
            writer.write(request(row, visitor, first))
            content = await answered(reader)
            if row.name == "bosh":
                sid = re.search(rb"""\ssid=['"]([^'"]+)""", content)[1].decode()
                writer.write(request(row, visitor, backend.later(sid)))
            return writer

    return await asyncio.gather(*(one() for _ in range(count)))


def pss(program):
    """Proportional set size, in KiB."""
    rollup = Path(f"/proc/{program.pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1])


async def measure(kind, count):
    title, transport, row = KINDS[kind]
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    upstream = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="gateway-memory-") as directory:
        with programs.Processes(directory) as processes:
            target, visitor = await asyncio.to_thread(start, processes, upstream)
            # What the first requests allocate is not of the connections.
            for writer in await hold(target, transport, ROW[row], visitor, 8):
                writer.close()
            await asyncio.sleep(SETTLE_SECONDS)
            before = pss(target.program)
            writers = await hold(target, transport, ROW[row], visitor, count)
            await asyncio.sleep(SETTLE_SECONDS if row == "bosh" else IDLE_SECONDS)
            held = pss(target.program)
            for writer in writers:
                writer.transport.abort()
            await asyncio.sleep(SETTLE_SECONDS)
            after = pss(target.program)
    server.close()
    print(f"| {title} | {before / 1024:.1f} | {(held - before) / count:.1f} "
          f"| {(after - before) / 1024:.1f} |", flush=True)


def start(processes, upstream):
    tcp, tls = programs.free_ports(2)
    ports = compare.Ports(tcp, tls)
    certificate = compare.make_certificate(processes.directory)
    origin = f"https://localhost:{tls}"
    provider = gateway.start_provider(processes, origin)
    behind = compare.BackendPorts(upstream, upstream)
    program = gateway.start(processes, provider, origin, behind, ports, certificate, None)
    target = compare.Target("gateway", program, ports, certificate)
    return target, rows.Visitor(origin, gateway.sign_in(program, origin, provider, certificate))


def main():
    options = arguments()
    gateway.check()
    chosen = options.kinds.split(",") if options.kinds else [*KINDS]
    if unknown := set(chosen) - set(KINDS):
        raise SystemExit(f"no such kinds: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    print("| kind | before, MiB | per connection, KiB | left after the close, MiB |")
    print("|---|---:|---:|---:|")
    for kind in chosen:
        asyncio.run(measure(kind, options.connections))


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
