"""WebSocket round trips: 64 sockets, each with one message in flight. Prints what `load.run` reads."""

import json
import selectors
import socket
import ssl
import sys
import time
from pathlib import Path

from rows import COMMON, Visitor
from xmpp_framing import MASK, MESSAGE, NEGOTIATION, TEXT, frame, handshake, take_frame

SOCKETS = 64


def connect(order):
    """A socket whose stream is bound, so that messages are all that follows."""
    sock = socket.create_connection(("127.0.0.1", order["port"]), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if order["tls"]:
        context = ssl.create_default_context(cafile=order["chain"])
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        sock = context.wrap_socket(sock, server_hostname="localhost")
    sock.sendall(handshake(Visitor(order["origin"], order["cookie"]), COMMON))
    buffer = bytearray()
    while b"\r\n\r\n" not in buffer:
        receive(sock, buffer)
    head, _, rest = bytes(buffer).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        raise SystemExit(f"no WebSocket: {head!r}")
    buffer = bytearray(rest)
    for stanza, count in NEGOTIATION:
        sock.sendall(frame(TEXT, stanza.encode(), MASK))
        for _ in range(count):
            while not (found := take_frame(buffer)):
                receive(sock, buffer)
            del buffer[: found[2]]
    return sock


def receive(sock, buffer):
    more = sock.recv(65536)
    if not more:
        raise SystemExit("the proxy closed a WebSocket")
    buffer += more


def main():
    order = json.loads(Path(sys.argv[1]).read_text())
    message = frame(TEXT, MESSAGE.encode(), MASK)
    expected = len(frame(TEXT, MESSAGE.encode()))
    selector = selectors.DefaultSelector()
    missing = {}
    for _ in range(SOCKETS):
        sock = connect(order)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
        missing[sock] = expected
    began = time.monotonic()
    deadline = began + order["seconds"]
    for sock in missing:
        sock.send(message)
    count = 0
    while time.monotonic() < deadline:
        for key, _ in selector.select(1):
            sock = key.fileobj
            try:
                got = len(sock.recv(65536))
            except ssl.SSLWantReadError:
                continue
            if not got:
                raise SystemExit("the proxy closed a WebSocket")
            missing[sock] -= got
            if missing[sock] == 0:
                count += 1
                missing[sock] = expected
                sock.send(message)
    elapsed = time.monotonic() - began
    problem = "answers of another size" if min(missing.values()) < 0 else ""
    print(json.dumps({"requests": count, "microseconds": elapsed * 1e6, "problem": problem}))


if __name__ == "__main__":
    main()
