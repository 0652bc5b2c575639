"""The scenarios: each is one client, and what each of its answers has to contain."""

from dataclasses import dataclass
from typing import Callable

import backend
import rows
from clients import Http1, Http2, WebSocket

ROW = {row.name: row for row in rows.ROWS}

# Files to which the web server gives a lifetime.
FILE = rows.Row("cached-file", "1 KiB file", "/images/cached.png?v=1", {"Accept": "image/*"})
SCRIPT = rows.Row("cached-script", "100 KiB script", "/libs/cached.wasm?v=1", {"Accept": "*/*"})

# Half of the rules name one room, half of them a beginning; none is of the room that is entered.
MANY_RULES = [
    {
        "match": f"team-{number}" if number % 2 else f"course-{number}-*",
        "enter": "member",
        "moderators": ["group:staff"],
    }
    for number in range(500)
]


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    # (target, visitor) → a client
    client: Callable
    expected: bytes
    # Whether it needs the gateway with many rules.
    many_rules: bool = False


def http1(row, transport):
    return lambda target, visitor: Http1(target, transport, ROW[row], visitor)


def cached(row):
    return lambda target, visitor: Http1(target, "tls", row, visitor)


def bosh(transport):
    def client(target, visitor):
        later = backend.later(target.sid)

        def body(number):
            return later.replace("rid='1001'", f"rid='{target.rid + number}'")

        return Http1(target, transport, ROW["bosh"], visitor, body)

    return client


SCENARIOS = [
    Scenario("file-tcp", "1 KiB file, plain TCP", http1("file", "tcp"), b"</svg>"),
    Scenario("file-tls", "1 KiB file, TLS", http1("file", "tls"), b"</svg>"),
    Scenario(
        "file-h2", "1 KiB file, HTTP/2",
        lambda target, visitor: Http2(target, ROW["file"], visitor), b"</svg>",
    ),
    Scenario("script-tls", "100 KiB script, TLS", http1("script", "tls"), b""),
    Scenario("cached-file-tls", "1 KiB file from the cache, TLS", cached(FILE), b"</svg>"),
    Scenario("cached-script-tls", "100 KiB script from the cache, TLS", cached(SCRIPT), b""),
    Scenario("page-tls", "room page, 32 KiB, TLS", http1("page", "tls"), b"eyJ"),
    Scenario("bosh-tcp", "BOSH request, plain TCP", bosh("tcp"), b"</message></body>"),
    Scenario("bosh-tls", "BOSH request, TLS", bosh("tls"), b"</message></body>"),
    Scenario(
        "bosh-rules", "BOSH request, TLS, 500 rules before", bosh("tls"), b"</message></body>",
        many_rules=True,
    ),
    Scenario(
        "websocket-tls", "WebSocket round trip, TLS",
        lambda target, visitor: WebSocket(target, visitor, rows.COMMON), b"</message>",
    ),
]


def choose(names):
    if not names:
        return SCENARIOS
    wanted = set(names.split(","))
    if unknown := wanted - {one.name for one in SCENARIOS}:
        known = ", ".join(one.name for one in SCENARIOS)
        raise SystemExit(f"no such scenarios: {', '.join(sorted(unknown))}; there are {known}")
    return [one for one in SCENARIOS if one.name in wanted]
