"""The compose file that puts the gateway before a docker-jitsi-meet that is already there."""

import pathlib
import re
import shutil
import tempfile

import standins
from suite import GATEWAY, ROOT, complaints_of, run

SOURCE = ROOT / "deploy" / "compose" / "existing"

# The shape of docker-jitsi-meet's own file: published ports from .env, variables passed on by their names.
BASE = """
services:
    web:
        image: web
        ports: ['${HTTP_PORT}:8000', '${HTTPS_PORT}:8443']
        environment: [DISABLE_HTTPS, ENABLE_AUTH, ENABLE_LETSENCRYPT, PUBLIC_URL]
        networks: {meet.jitsi: }
    prosody:
        image: prosody
        environment: [AUTH_TYPE, ENABLE_GUESTS, JWT_APP_SECRET, JWT_ALLOW_EMPTY, XMPP_MUC_MODULES]
        networks: {meet.jitsi: {aliases: ['${XMPP_SERVER:-xmpp.meet.jitsi}']}}
    jicofo:
        image: jicofo
        environment: [AUTH_TYPE, ENABLE_AUTO_OWNER]
        networks: {meet.jitsi: }
    jvb:
        image: jvb
        ports: ['10000:10000/udp']
        networks: {meet.jitsi: }
networks:
    meet.jitsi:
"""

# An installation without sign-in, and the lines that docs/compose.md adds; of two lines the last counts.
ENV = """
HTTP_PORT=8000
HTTPS_PORT=8443
ENABLE_LETSENCRYPT=1
ENABLE_AUTH=0
ENABLE_GUESTS=1
JWT_ALLOW_EMPTY=1
"""


def check(suite):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for name in ("compose.gateway.yaml", "gateway.toml"):
            shutil.copy(SOURCE / name, copy)
        (copy / "docker-compose.yml").write_text(BASE)
        (copy / ".env").write_text(ENV + lines_of_docs())
        suite.check("existing Jitsi: `docker-compose config` takes both files", lambda: merged(copy))
        suite.check("existing Jitsi: a missing value is named", lambda: named(copy))
        suite.check("existing Jitsi: `check` takes gateway.toml", lambda: configuration(copy))
    suite.check("existing Jitsi: the same settings as compose.yaml", same_settings)


def lines_of_docs():
    text = (ROOT / "docs" / "compose.md").read_text()
    return re.sub(r"^ +", "", re.search(r"```env\n( *HTTP_PORT=.*?)```", text, re.S).group(1), flags=re.M)


def composed(copy):
    files = ("-f", "docker-compose.yml", "-f", "compose.gateway.yaml")
    return run("docker-compose", *files, "config", cwd=copy)


def merged(copy):
    code, text = composed(copy)
    if code:
        return [text]
    complaints = []
    # Jitsi's web server is on loopback only; the gateway and the bridge are not.
    published = sorted(re.findall(r"published: (\S+)", text))
    if published != ["10000", "443", "80"]:
        complaints.append(f"published: {published}\n{text}")
    for line in (
        "- 127.0.0.1:8000:8000/tcp", "- 127.0.0.1:8443:8443/tcp", "ENABLE_AUTH: '1'", "ENABLE_GUESTS: '0'", "JWT_ALLOW_EMPTY: '0'", "ENABLE_LETSENCRYPT: '0'",
        "JVB_PREFER_SCTP: '1'", "ENABLE_AUTO_OWNER: '0'", "GATEWAY__UPSTREAM__WEB: http://web:8000",
        "GATEWAY__UPSTREAM__XMPP: http://xmpp.meet.jitsi:5280",
    ):
        if line not in text:
            complaints.append(f"no {line} in\n{text}")
    return complaints


def named(copy):
    env = copy / ".env"
    kept, complaints = env.read_text(), []
    for name in ("GATEWAY_USER", "PUBLIC_URL", "JWT_APP_SECRET"):
        env.write_text(re.sub(rf"^{name}=.*\n", "", kept, flags=re.M))
        code, text = composed(copy)
        if code == 0 or name not in text:
            complaints.append(f"without {name}: exit {code}: {text}")
    env.write_text(kept)
    return complaints


def configuration(copy):
    """With the environment and the files that compose.gateway.yaml gives it."""
    config = (copy / "gateway.toml").read_text().replace('"/etc/gateway', f'"{copy}')
    for folder, names in {
        "certs": {"tls.crt": "tls.crt", "tls.key": "tls.key"},
        "secrets": {"oidc.secret": "client-secret", "session.key": "session-key", "prosody.secret": "app-secret"},
    }.items():
        (copy / folder).mkdir()
        for name, source in names.items():
            (copy / folder / name).write_bytes(standins.files()[source])
            (copy / folder / name).chmod(0o600)
    (copy / "checked.toml").write_text(config)
    environment = {
        "GATEWAY__PUBLIC_URL": "https://meet.example.org",
        "GATEWAY__UPSTREAM__WEB": "http://web:8000",
        "GATEWAY__UPSTREAM__XMPP": "http://xmpp.meet.jitsi:5280",
        "GATEWAY__UPSTREAM__XMPP_DOMAIN": "meet.jitsi",
    }
    return complaints_of(GATEWAY, "check", "--config", copy / "checked.toml", env=environment)


def same_settings():
    """What Jitsi needs of its variables does not depend on who wrote its compose file."""
    there = dict(re.findall(r"^([A-Z_]+)=(.*)$", (SOURCE.parent / ".env.example").read_text(), re.M))
    here = re.findall(r'^ {6}([A-Z_]+): "?([^"\n$]*)"?$', (SOURCE / "compose.gateway.yaml").read_text(), re.M)
    own = {"PROSODY_TRUSTED_PROXIES", "JVB_PREFER_SCTP"}
    return [f"{name}: {value}, {there.get(name)}" for name, value in here if name not in own and there.get(name) != value]
