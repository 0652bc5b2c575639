"""The rows: each is one request, repeated."""

from dataclasses import dataclass
from typing import Callable, Optional

import backend

# Headers that browsers send, which a proxy has to parse.
COMMON = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    # Over plain TCP the client acts as the load balancer that terminated TLS.
    "X-Forwarded-Proto": "https",
}

TRANSPORTS = {"tcp": "plain TCP", "tls": "TLS 1.3", "h2": "HTTP/2"}
HTTP1 = ("tcp", "tls")

# Configurations of a proxy.
PLAIN, CACHING, RULES, WEBSOCKET = "plain", "caching", "rules", "websocket"

# Programs that make a load.
WRK, SESSIONS, SOCKETS, HANDSHAKES = "wrk", "sessions", "sockets", "handshakes"


# Compared by identity, so that it can be a key.
@dataclass(frozen=True, eq=False)
class Row:
    name: str
    title: str
    path: str
    headers: dict
    method: str = "GET"
    body: Optional[Callable[[str], str]] = None
    transports: tuple = HTTP1
    variant: str = PLAIN
    load: str = WRK

    def head(self, visitor):
        """All headers of the request: the same for every proxy."""
        own = {"Origin": visitor.origin} if self.method == "POST" else {}
        host = visitor.origin.removeprefix("https://")
        return {"Host": host, **COMMON, **self.headers, **own, "Cookie": visitor.cookie}


@dataclass(frozen=True)
class Visitor:
    """Somebody signed in at the gateway, as every proxy sees them."""

    origin: str
    cookie: str


IMAGE, ANY = {"Accept": "image/*"}, {"Accept": "*/*"}
SIGNALLING = {**ANY, "Content-Type": "text/xml; charset=utf-8"}
EVERY = tuple(TRANSPORTS)


def file(name, title, path, headers, **more):
    return Row(name, title, path, headers, **{"transports": EVERY, **more})


def bosh(name, title, variant):
    path = f"/http-bind?room={backend.ROOM}"
    return Row(name, title, path, SIGNALLING, "POST", backend.later, variant=variant, load=SESSIONS)


# A connection of one request; its answer has no body to speak of.
ONE_REQUEST = {**IMAGE, "Connection": "close"}

ROWS = [
    file("file", "1 KiB file", "/images/watermark.svg", IMAGE),
    file("script", "100 KiB script", "/libs/app.bundle.min.js?v=1", ANY),
    # Types that are not compressed.
    file("cached-file", "1 KiB file, cached", "/images/cached.png?v=1", IMAGE, variant=CACHING),
    file("cached-script", "100 KiB file, cached", "/libs/cached.wasm?v=1", ANY, variant=CACHING),
    Row(
        "page",
        "room page, 32 KiB",
        f"/{backend.ROOM}",
        {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"},
    ),
    bosh("bosh", "BOSH request", PLAIN),
    bosh("bosh-rules", "BOSH request, 500 rules before", RULES),
    Row(
        "websocket", "WebSocket round trip", "/xmpp-websocket", {},
        variant=WEBSOCKET, load=SOCKETS,
    ),
    Row(
        "resumed", "connection with one request, resumed", "/images/watermark.svg", ONE_REQUEST,
        transports=("tls",),
    ),
    Row(
        "connection", "connection with one request", "/images/watermark.svg", ONE_REQUEST,
        transports=("tls",), load=HANDSHAKES,
    ),
]

# Half of the rules name one room, half of them a beginning; none is of the room that is entered.
MANY_RULES = [
    {
        "match": f"team-{number}" if number % 2 else f"course-{number}-*",
        "enter": "member",
        "moderators": ["group:staff"],
    }
    for number in range(500)
]


def choose(names):
    """Pairs of transport and row, from names such as `bosh` or `bosh-tls`."""
    every = [(transport, row) for row in ROWS for transport in row.transports]
    if not names:
        return every
    wanted = set(names.split(","))
    known = {row.name for row in ROWS} | {f"{row.name}-{by}" for by, row in every}
    if unknown := wanted - known:
        raise SystemExit(f"no such rows: {', '.join(sorted(unknown))}; there are "
                         f"{', '.join(sorted(known))}")
    return [(by, row) for by, row in every if {row.name, f"{row.name}-{by}"} & wanted]
