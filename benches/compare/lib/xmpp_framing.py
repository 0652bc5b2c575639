"""XMPP over WebSocket (RFC 7395): stanzas of a stream, and the frames that carry them (RFC 6455)."""

import base64
import hashlib
import re

import backend

FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"

FEATURES = (
    "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>"
    f"<mechanisms xmlns='{SASL}'><mechanism>ANONYMOUS</mechanism></mechanisms></stream:features>"
)
OPEN = (
    f"<open xmlns='{FRAMING}' from='{backend.XMPP_DOMAIN}' id='a1' version='1.0' xml:lang='en'/>"
)
SUCCESS = f"<success xmlns='{SASL}'/>"
BOUND = (
    "<iq xmlns='jabber:client' type='result' id='bind'>"
    f"<bind xmlns='{BIND}'><jid>0a1b2c3d@meet.jitsi/r</jid></bind></iq>"
)
MESSAGE = (
    f"<message xmlns='jabber:client' type='groupchat' from='{backend.ROOM}@muc.meet.jitsi/0a1b2c3d'"
    " to='0a1b2c3d@meet.jitsi/r'><body>A message as people in a meeting send it.</body></message>"
)

# What a client sends before its first message, and how many frames answer each.
NEGOTIATION = (
    (f"<open xmlns='{FRAMING}' to='{backend.XMPP_DOMAIN}' version='1.0'/>", 2),
    (f"<auth xmlns='{SASL}' mechanism='ANONYMOUS'/>", 1),
    (f"<open xmlns='{FRAMING}' to='{backend.XMPP_DOMAIN}' version='1.0'/>", 2),
    (f"<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='{BIND}'/></iq>", 1),
)

WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLIENT_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x11\x22\x33\x44"
TEXT = 0x81


def handshake(visitor, more=None):
    """The head of a client's handshake."""
    fields = {
        "Host": visitor.origin.removeprefix("https://"), "Upgrade": "websocket",
        "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "xmpp",
        "Sec-WebSocket-Key": CLIENT_KEY, "Origin": visitor.origin, "Cookie": visitor.cookie,
        **(more or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET /xmpp-websocket?room={backend.ROOM} HTTP/1.1\r\n{lines}\r\n".encode()


def switching(key):
    """The server's answer to a handshake."""
    accept = base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode()).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n"
    ).encode()


def answers(stanza):
    """Prosody's answers to a stanza: one message to each message."""
    for beginning, found in (
        (rb"<open\b", [OPEN, FEATURES]), (rb"<auth\b", [SUCCESS]), (rb"<iq\b", [BOUND]),
    ):
        if re.match(beginning, stanza):
            return found
    return [MESSAGE]


def frame(first, content, mask=b""):
    """A frame of less than 64 KiB (RFC 6455 § 5.2)."""
    masked = 0x80 if mask else 0
    if len(content) < 126:
        head = bytes([first, masked | len(content)])
    else:
        head = bytes([first, masked | 126]) + len(content).to_bytes(2, "big")
    return head + mask + (apply_mask(content, mask) if mask else content)


def take_frame(buffer):
    """The first byte and the content of the frame at the beginning, and its length; None if it is incomplete."""
    if len(buffer) < 2:
        return None
    length, at = buffer[1] & 0x7F, 2
    if length == 126:
        length, at = int.from_bytes(buffer[2:4], "big"), 4
    mask = bytes(buffer[at : at + 4]) if buffer[1] & 0x80 else b""
    at += len(mask)
    end = at + length
    if len(buffer) < end:
        return None
    content = bytes(buffer[at:end])
    return buffer[0], apply_mask(content, mask) if mask else content, end


def apply_mask(content, mask):
    """By one operation on large numbers, which is far faster than byte by byte."""
    length = len(content)
    repeated = (mask * (length // 4 + 1))[:length]
    masked = int.from_bytes(content, "little") ^ int.from_bytes(repeated, "little")
    return masked.to_bytes(length, "little")
