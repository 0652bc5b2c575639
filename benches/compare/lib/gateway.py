"""The gateway, with a session from a real provider."""

import base64
import html.parser
import http.cookiejar
import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import backend
import load
import processes as programs
from rows import ROWS, Row

HERE = Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent.parent
SESSION_COOKIE = "__Host-gateway-session"

# As long as a session's cookie: plain proxies without a gateway get requests of the same size.
STAND_IN = f"{SESSION_COOKIE}={'x' * 400}"

SESSION_KEY = base64.b64encode(secrets.token_bytes(32)).decode()

# On the way to the provider, its two forms, on the way back; and some more.
MOST_PAGES = 8


def binary():
    target = os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")
    return Path(os.environ.get("GATEWAY_BIN", Path(target, "release", "jitsi-auth-gateway")))


def check():
    """Fails early, and says what to do."""
    if not binary().exists():
        raise SystemExit(f"no gateway at {binary()}: cargo build --release, or name it in "
                         "GATEWAY_BIN, or --skip-gateway")
    if not shutil.which("node"):
        raise SystemExit("node (20 or newer) is needed for the OpenID provider, or --skip-gateway")
    if not (REPOSITORY / "tests/real/node_modules").exists():
        raise SystemExit("the OpenID provider is missing: (cd tests/real && npm ci), or "
                         "--skip-gateway")


def start_provider(processes, origin):
    program = processes.start(
        "provider",
        ["node", HERE / "provider.mjs", origin],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    # The library's warnings come first.
    for line in program.stdout:
        if line.startswith("{"):
            return json.loads(line)
    program.wait()
    programs.must_run(program)
    raise SystemExit("the provider said nothing")


def start(processes, provider, origin, upstream, ports, certificate, core, wrapper=(), rules=(),
          cached=True, name="gateway"):
    """Starts it, below the command `wrapper` and with more rules before its own."""
    directory = processes.directory / name
    directory.mkdir()
    admin = programs.free_ports(1)[0]
    config = directory / "gateway.toml"

    def keep(name, secret):
        file = directory / name
        file.write_text(secret)
        file.chmod(0o600)
        return str(file)

    tables = {
        "": {"public_url": origin},
        "[listen]": {
            "http": f"127.0.0.1:{ports.tcp}",
            "https": f"127.0.0.1:{ports.tls}",
            "admin": f"127.0.0.1:{admin}",
            "trusted_proxies": ["127.0.0.1/32"],
            "workers": 1,
        },
        # One session drives all connections, from one address, of which each may take one to an upstream.
        "[limits]": {
            "streams_per_session": 100000, "connections_per_address": 100000,
            "connections": programs.descriptors(), "upstream_connections": programs.descriptors(),
        },
        "[tls]": {"certificate": str(certificate.chain), "key": str(certificate.key)},
        "[upstream]": {
            "web": f"http://127.0.0.1:{upstream.web}",
            "xmpp": f"http://127.0.0.1:{upstream.xmpp}",
            "xmpp_domain": backend.XMPP_DOMAIN,
        },
        "[oidc]": {
            "issuer": provider["issuer"],
            "client_id": provider["client"]["id"],
            "client_secret_file": keep("client.secret", provider["client"]["secret"]),
            "scopes": ["openid", "profile", "email"],
            "insecure_http_issuer": True,
        },
        "[session]": {
            # The same of all gateways of a run: a session is valid at each.
            "key_file": keep("session.secret", SESSION_KEY),
        },
        "[token]": {
            "app_id": "gateway",
            "secret_file": keep("token.secret", secrets.token_urlsafe(32)),
            "audience": "jitsi",
        },
        "[cache]": {"enabled": cached},
        "[log]": {"access": False},
    }
    rule = {"match": "*", "enter": "member", "moderators": ["group:staff"]}
    # Texts, numbers, booleans and lists of texts are written alike in JSON and TOML.
    config.write_text("\n".join(
        "\n".join([name, *(f"{key} = {json.dumps(value)}" for key, value in table.items())])
        for name, table in [*tables.items(), *(("[[room]]", table) for table in [*rules, rule])]
    ))
    environment = {key: value for key, value in os.environ.items() if key != "RUST_LOG"}
    program = processes.start(
        name, [*wrapper, binary(), "run", "--config", config], core, env=environment
    )
    programs.until_accepts(program, ports.tcp, ports.tls, admin)
    programs.until(lambda: ready(admin), program, "readyz of the gateway")
    return program


def ready(admin):
    """Whether people can sign in: the gateway is ready for meetings before it knows the provider."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=5) as answer:
            return json.load(answer)["provider"] == "ready"
    except OSError:
        return False


class Page(html.parser.HTMLParser):
    """What leads on from a page: a refresh, or the first form with what it holds."""

    def __init__(self, text):
        super().__init__()
        self.refresh, self.action, self.fields = None, None, {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "meta" and (attributes.get("http-equiv") or "").lower() == "refresh":
            self.refresh = attributes["content"].partition("url=")[2]
        elif tag == "form" and self.action is None:
            self.action = attributes.get("action", "")
        elif tag == "input" and "name" in attributes:
            self.fields[attributes["name"]] = attributes.get("value") or ""


def sign_in(program, origin, provider, certificate):
    """Signs in as a browser without scripts would, and answers the session's cookie."""
    jar = http.cookiejar.CookieJar()
    trust = ssl.create_default_context(cafile=certificate.chain)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPCookieProcessor(jar),
        urllib.request.HTTPSHandler(context=trust),
    )
    opener.addheaders = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")]

    def browse(url, fields=None):
        data = urllib.parse.urlencode(fields).encode() if fields is not None else None
        try:
            with opener.open(url, data, timeout=20) as answer:
                return answer.url, answer.read().decode()
        except urllib.error.HTTPError as error:
            log = program.log.read_text(errors="replace")[-2000:]
            where = error.url.partition("?")[0]
            raise SystemExit(f"signing in failed: {error.code} from {where}\n{log}") from error

    filled = {"login": provider["login"], "password": "any"}
    url, text = browse(f"{origin}/_gateway/login?return_to=%2Fstatic%2Fclose.html")
    for _ in range(MOST_PAGES):
        page = Page(text)
        if page.refresh:
            url, text = browse(urllib.parse.urljoin(url, page.refresh))
        elif page.action is not None:
            fields = {**page.fields, **{key: filled[key] for key in filled if key in page.fields}}
            url, text = browse(urllib.parse.urljoin(url, page.action), fields)
        else:
            break
    for cookie in jar:
        if cookie.name == SESSION_COOKIE:
            return f"{cookie.name}={cookie.value}"
    raise SystemExit(f"signing in ended at {url.partition('?')[0]} without a session")


def bosh_sid(target, visitor):
    """Creates a BOSH session through the gateway, which binds its id to who asked."""
    later = next(row for row in ROWS if row.name == "bosh")
    create = Row("create", "", later.path, later.headers, "POST", lambda _: backend.CREATE)
    answer = load.probe(target, "tls", create, visitor)
    found = re.search(rb"""\ssid=['"]([^'"]+)""", answer.body)
    if answer.status != 200 or not found:
        raise SystemExit(f"no BOSH session: {answer.status} {answer.body[:500]!r}")
    return found[1].decode()
