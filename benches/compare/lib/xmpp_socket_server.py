"""A stand-in for Prosody's WebSocket, in a process of its own: `xmpp_socket_server.py PORT`."""

import asyncio
import sys

from xmpp_framing import TEXT, answers, frame, switching, take_frame


class Connection(asyncio.Protocol):
    """One client: the handshake, and then an answer to each stanza."""

    def connection_made(self, transport):
        self.transport = transport
        self.buffer = bytearray()
        self.switched = False
        # The last frame and its answer: clients of a load repeat themselves.
        self.known = (None, b"")

    def data_received(self, data):
        if data == self.known[0] and not self.buffer:
            self.transport.write(self.known[1])
            return
        self.buffer += data
        if not self.switched:
            head, end, rest = bytes(self.buffer).partition(b"\r\n\r\n")
            if not end:
                return
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            # The key itself is case-sensitive.
            at = head.lower().index(b"sec-websocket-key: ") + len(b"sec-websocket-key: ")
            key = head[at : at + len(fields[b"sec-websocket-key"])].decode()
            self.buffer = bytearray(rest)
            self.switched = True
            self.transport.write(switching(key))
        while found := take_frame(self.buffer):
            first, content, end = found
            if first & 0x0F == 8:
                self.transport.close()
                return
            answer = b"".join(frame(TEXT, one.encode()) for one in answers(content))
            if bytes(self.buffer) == data and end == len(data):
                self.known = (data, answer)
            del self.buffer[:end]
            self.transport.write(answer)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
