"""The backend of every proxy: responses in the shape of Jitsi's files and Prosody's BOSH."""

import json
import random
import sys
from pathlib import Path

import nginx
import processes as programs

HERE = Path(__file__).resolve().parent

ROOM = "benchmark"
XMPP_DOMAIN = "meet.jitsi"
SID = "0d7f2b1e-6c53-4a9b-8f1d-2b7c9e4a6d10"

KIB = 1024

# Large enough to be what Jitsi's page is once its configuration is inlined.
PAGE_BYTES = 32 * KIB

BOSH = "http://jabber.org/protocol/httpbind"



def created(sid):
    """The answer to the request that creates a session."""
    return (
        f"<body xmlns='{BOSH}' xmlns:stream='http://etherx.jabber.org/streams' "
        f"xmlns:xmpp='urn:xmpp:xbosh' sid='{sid}' authid='{sid}' from='{XMPP_DOMAIN}' wait='60' "
        "hold='1' ver='1.11' inactivity='60' requests='2' xmpp:version='1.0' secure='true'>"
        "<stream:features xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
        "</stream:features></body>"
    )


CREATED = created(SID)

# The answer to each later request.
POLLED = (
    f"<body xmlns='{BOSH}' xmlns:stream='http://etherx.jabber.org/streams'>"
    f"<message xmlns='jabber:client' type='groupchat' from='{ROOM}@muc.{XMPP_DOMAIN}/0a1b2c3d'"
    " to='0a1b2c3d@meet.jitsi/r'><body>A message as people in a meeting send it.</body></message>"
    "</body>"
)

CREATE = (
    f"<body xmlns='{BOSH}' xmlns:xmpp='urn:xmpp:xbosh' content='text/xml; charset=utf-8' hold='1' "
    f"rid='1000' to='{XMPP_DOMAIN}' ver='1.6' wait='60' xml:lang='en' xmpp:version='1.0'/>"
)


# A request that creates a session is shorter, a later one longer.
LONGEST_CREATION = 300


def later(sid, rid=1001):
    """A request of a BOSH session: a presence, which is what a quiet meeting mostly sends."""
    return (
        f"<body xmlns='{BOSH}' rid='{rid}' sid='{sid}'>"
        f"<presence xmlns='jabber:client' to='{ROOM}@muc.{XMPP_DOMAIN}/0a1b2c3d'>"
        "<x xmlns='http://jabber.org/protocol/muc'/><stats-id>Amara-f3k</stats-id>"
        "<audiomuted xmlns='http://jitsi.org/jitmeet/audio'>true</audiomuted>"
        "<videomuted xmlns='http://jitsi.org/jitmeet/video'>true</videomuted>"
        "</presence></body>"
    )


def page():
    """A page of Jitsi's shape: scripts in the head, the configuration inlined among them."""
    config = {
        "hosts": {"domain": XMPP_DOMAIN, "muc": f"muc.{XMPP_DOMAIN}"},
        "bosh": "/http-bind",
        "websocket": "/xmpp-websocket",
    }
    head = (
        '<!DOCTYPE html>\n<html>\n  <head>\n    <base href="/">\n    <meta charset="utf-8">\n'
        "    <title>Jitsi Meet</title>\n"
        '    <link rel="stylesheet" href="css/all.css?v=1">\n    <script>\n'
        f"var config = {json.dumps(config, indent=2)};\n"
    )
    tail = (
        "    </script>\n"
        '    <script src="libs/lib-jitsi-meet.min.js?v=1"></script>\n'
        '    <script src="libs/app.bundle.min.js?v=1"></script>\n'
        '  </head>\n  <body>\n    <div id="react"></div>\n  </body>\n</html>\n'
    )
    lines, size, number = [], len(head) + len(tail), 0
    while size < PAGE_BYTES:
        line = f"config.option{number} = {{ enabled: {number % 2}, limit: {number * 37} }};\n"
        lines.append(line)
        size += len(line)
        number += 1
    return head + "".join(lines) + tail


def script(size):
    """As little compressible as minified code is, and the same on every run."""
    source = random.Random(1)
    return "".join(source.choices("abcdefghijklmnopqrstuvwxyz(){};=,.!0123456789", k=size))


def write_files(root):
    root = Path(root)
    file = "<svg>".ljust(KIB - 6) + "</svg>"
    for path, content in {
        "images/watermark.svg": file,
        "images/cached.png": file,
        "libs/app.bundle.min.js": script(100 * KIB),
        "libs/cached.wasm": script(100 * KIB),
        "static/close.html": "<p>Thank you</p>\n",
        "index.html": page(),
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)


def start(processes, ports):
    """An nginx, which never closes a connection by itself during a run, and a server of WebSockets."""
    assert len(CREATE) < LONGEST_CREATION < len(later(SID))
    root = processes.directory / "site"
    write_files(root)
    servers = f"""
    sendfile on;
    tcp_nopush on;
    open_file_cache max=100;
    open_file_cache_valid 1h;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    map $content_length $bosh {{
        default "{POLLED}";
        "~^([12]?[0-9]?[0-9])$" "{created("0000$request_id")}";
    }}
    server {{
        listen 127.0.0.1:{ports.web} backlog=4096;
        root {root};
        location / {{ try_files $uri /index.html; }}
        location ~ /cached {{ add_header Cache-Control "public, max-age=86400"; }}
    }}
    server {{
        listen 127.0.0.1:{ports.xmpp} backlog=4096;
        location = /http-bind {{
            default_type "text/xml; charset=utf-8";
            return 200 $bosh;
        }}
    }}"""
    start_sockets(processes, ports.websocket)
    return nginx.start(processes, "backend", servers, [ports.web, ports.xmpp])


def start_sockets(processes, port):
    """Prosody's WebSocket."""
    server = processes.start(
        "websocket", [sys.executable, "-B", HERE / "xmpp_socket_server.py", port]
    )
    programs.until_accepts(server, port)
