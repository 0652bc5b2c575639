"""Jitsi's web server and Prosody, whose answers are one `send` each, so that runs are alike."""

import socketserver
import threading

import backend
from xmpp_framing import TEXT, answers, frame, switching, take_frame


class Handler(socketserver.StreamRequestHandler):
    """One connection of the gateway."""

    disable_nagle_algorithm = True

    def handle(self):
        while line := self.rfile.readline():
            path = line.split()[1].decode().partition("?")[0]
            fields = {}
            while (field := self.rfile.readline().strip()):
                name, _, value = field.decode().partition(":")
                fields[name.lower()] = value.strip()
            body = self.rfile.read(int(fields.get("content-length", 0)))
            if fields.get("upgrade") == "websocket":
                self.switch(fields["sec-websocket-key"])
                return
            self.respond(path, body)

    def respond(self, path, body):
        if path == "/http-bind":
            kind = "text/xml; charset=utf-8"
            content = (backend.POLLED if b" sid=" in body else backend.CREATED).encode()
        else:
            kind, content = self.server.files.get(path, self.server.files["/"])
        # For years, whatever the date of the day is.
        lifetime = "Cache-Control: max-age=2000000000\r\n" if "/cached" in path else ""
        head = (
            "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 01 Aug 2026 12:00:00 GMT\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n{lifetime}"
            "Last-Modified: Sat, 01 Aug 2026 10:00:00 GMT\r\nConnection: keep-alive\r\n"
            'ETag: "66ab5c10-400"\r\nAccept-Ranges: bytes\r\n\r\n'
        )
        self.request.sendall(head.encode() + content)

    def switch(self, key):
        """Speaks XMPP over WebSocket: the answers to a stanza are one `send`."""
        self.request.sendall(switching(key))
        buffer = b""
        while more := self.request.recv(65536):
            buffer += more
            while found := take_frame(buffer):
                first, content, end = found
                if first & 0x0F == 8:
                    return
                buffer = buffer[end:]
                frames = [frame(TEXT, one.encode()) for one in answers(content)]
                self.request.sendall(b"".join(frames))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """The gateway stopped while its connection was open."""


def start():
    """A server for both, whose port is the answer."""
    server = Server(("127.0.0.1", 0), Handler)
    page = ("text/html", backend.page().encode())
    file = "<svg>".ljust(backend.KIB - 6).encode() + b"</svg>"
    script = backend.script(100 * backend.KIB).encode()
    server.files = {
        "/": page,
        "/images/watermark.svg": ("image/svg+xml", file),
        "/libs/app.bundle.min.js": ("text/javascript", script),
        # Types that are not compressed.
        "/images/cached.png": ("image/png", file),
        "/libs/cached.wasm": ("application/wasm", script),
        "/static/close.html": ("text/html", b"<p>Thank you</p>\n"),
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
