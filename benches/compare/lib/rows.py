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


# Compared by identity, so that it can be a key.
@dataclass(frozen=True, eq=False)
class Row:
    name: str
    title: str
    path: str
    headers: dict
    method: str = "GET"
    body: Optional[Callable[[str], str]] = None

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


ROWS = [
    Row("file", "1 KiB file", "/images/watermark.svg", {"Accept": "image/*"}),
    Row("script", "100 KiB script", "/libs/app.bundle.min.js?v=1", {"Accept": "*/*"}),
    Row(
        "bosh",
        "BOSH request",
        f"/http-bind?room={backend.ROOM}",
        {"Accept": "*/*", "Content-Type": "text/xml; charset=utf-8"},
        method="POST",
        body=backend.later,
    ),
    Row(
        "page",
        "room page, 32 KiB",
        f"/{backend.ROOM}",
        {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"},
    ),
]

TRANSPORTS = {"tcp": "plain TCP", "tls": "TLS 1.3"}


def choose(names):
    """Pairs of transport and row, from names such as `bosh` or `bosh-tls`."""
    every = [(transport, row) for transport in TRANSPORTS for row in ROWS]
    if not names:
        return every
    wanted = set(names.split(","))
    known = {row.name for row in ROWS} | {f"{row.name}-{by}" for by, row in every}
    if unknown := wanted - known:
        raise SystemExit(f"no such rows: {', '.join(sorted(unknown))}; there are "
                         f"{', '.join(sorted(known))}")
    return [(by, row) for by, row in every if {row.name, f"{row.name}-{by}"} & wanted]
