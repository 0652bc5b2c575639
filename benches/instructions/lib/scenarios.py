"""The scenarios: each is one client, and what each of its answers has to contain."""

from dataclasses import dataclass
from typing import Callable, Optional

import backend
import rows
from clients import Http1, Http2, WebSocket

ROW = {row.name: row for row in rows.ROWS}

# A script asks for a room's page without a session.
REFUSED = rows.Row("refused", "", f"/{backend.ROOM}", {"Accept": "*/*", "Sec-Fetch-Mode": "cors"})
STRANGER = "theme=dark"

# Of other pages of the host: the gateway looks for its own among them.
MORE_COOKIES = "".join(f"; preference-{number:02}=value-{number:02}" for number in range(4))


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    # (target, visitor) → a client
    client: Callable
    expected: bytes
    # Whether it needs the gateway with many rules.
    many_rules: bool = False
    # The scenario that this one is, with more work in each request: compared with its figures it has to fail.
    slows: Optional[str] = None


def http1(row, transport):
    return lambda target, visitor: Http1(target, transport, ROW[row], visitor)


def slowed(row, transport):
    """The same request with more cookies."""
    return lambda target, visitor: Http1(
        target, transport, ROW[row], rows.Visitor(visitor.origin, visitor.cookie + MORE_COOKIES)
    )


def refused(target, visitor):
    stranger = rows.Visitor(visitor.origin, STRANGER)
    return Http1(target, "tls", REFUSED, stranger, status=401)


def bosh(transport):
    def client(target, visitor):
        def body(number):
            return backend.later(target.sid, target.rid + number)

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
    Scenario("cached-file-tls", "1 KiB file from the cache, TLS", http1("cached-file", "tls"), b"</svg>"),
    Scenario("cached-script-tls", "100 KiB script from the cache, TLS", http1("cached-script", "tls"), b""),
    Scenario("page-tls", "room page, 32 KiB, TLS", http1("page", "tls"), b"eyJ"),
    Scenario("bosh-tcp", "BOSH request, plain TCP", bosh("tcp"), b"</message></body>"),
    Scenario("bosh-tls", "BOSH request, TLS", bosh("tls"), b"</message></body>"),
    Scenario(
        "bosh-rules", "BOSH request, TLS, 500 rules before", bosh("tls"), b"</message></body>",
        many_rules=True,
    ),
    Scenario(
        "websocket-tls", "WebSocket round trip, TLS",
        WebSocket, b"</message>",
    ),
    Scenario("refused-tls", "refused request, TLS", refused, b""),
    Scenario(
        "slowed-tcp", "1 KiB file with 4 more cookies, plain TCP", slowed("file", "tcp"), b"</svg>",
        slows="file-tcp",
    ),
]

# Those of the gate, which counts a debug build: the ways of an answer, but for large bodies, whose copying is the
# work of libraries.
GATE = [
    "file-tcp", "file-tls", "file-h2", "cached-file-tls", "page-tls", "bosh-tcp", "bosh-tls", "bosh-rules",
    "websocket-tls", "refused-tls", "slowed-tcp",
]


def choose(names, default):
    """Scenarios by name, and those that the chosen ones slow."""
    wanted = set(names.split(",")) if names else set(default)
    if unknown := wanted - {one.name for one in SCENARIOS}:
        known = ", ".join(one.name for one in SCENARIOS)
        raise SystemExit(f"no such scenarios: {', '.join(sorted(unknown))}; there are {known}")
    return [one for one in SCENARIOS if one.name in wanted]
