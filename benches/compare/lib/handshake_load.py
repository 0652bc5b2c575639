"""New connections of TLS 1.3 with one request each, 16 at a time and none resumed. Prints what `load.run` reads."""

import json
import selectors
import socket
import ssl
import sys
import time
from pathlib import Path

AT_ONCE = 16


class Connection:
    """A connection without blocking: handshake, request, answer up to the end."""

    def __init__(self, order, context, request, selector):
        plain = socket.create_connection(("127.0.0.1", order["port"]), timeout=10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setblocking(False)
        self.sock = context.wrap_socket(
            plain, server_hostname="localhost", do_handshake_on_connect=False
        )
        self.request = request
        self.answer = b""
        self.selector = selector
        selector.register(self.sock, selectors.EVENT_READ, self)

    def advance(self):
        """Goes on as far as it can; whether the answer has ended."""
        try:
            if self.request:
                self.sock.do_handshake()
                self.sock.send(self.request)
                self.request = b""
            while more := self.sock.recv(65536):
                self.answer += more
        except ssl.SSLWantReadError:
            return False
        # An end without `close_notify`: the length of the answer shows whether it is whole.
        except (ssl.SSLEOFError, ConnectionResetError):
            pass
        self.selector.unregister(self.sock)
        self.sock.close()
        return True


def is_whole(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    return lines[0].startswith(b"http/1.1 200 ") and b"content-length: %d" % len(body) in lines


def main():
    order = json.loads(Path(sys.argv[1]).read_text())
    context = ssl.create_default_context(cafile=order["chain"])
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    lines = "".join(f"{name}: {value}\r\n" for name, value in order["fields"].items())
    request = f"GET {order['path']} HTTP/1.1\r\n{lines}\r\n".encode()
    selector = selectors.DefaultSelector()

    def start():
        # The handshake's first message goes out at once; the rest waits for answers.
        Connection(order, context, request, selector).advance()

    began = time.monotonic()
    deadline = began + order["seconds"]
    count, broken = 0, 0
    for _ in range(AT_ONCE):
        start()
    while selector.get_map():
        for key, _ in selector.select(1):
            connection = key.data
            if connection.advance():
                count += 1
                broken += not is_whole(connection.answer)
                if time.monotonic() < deadline:
                    start()
    elapsed = time.monotonic() - began
    problem = f"{broken} answers were not whole" if broken else ""
    print(json.dumps({"requests": count, "microseconds": elapsed * 1e6, "problem": problem}))


if __name__ == "__main__":
    main()
