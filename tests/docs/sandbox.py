"""The sandbox of the commands: the files that a reader has at that point, isolated from the machine."""

import base64
import pathlib
import secrets
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target" / "deploy-tools"

# The parts of the repository that the commands of the other pages use.
COPIED = ["certs", "config", "deploy", "Cargo.toml", "Cargo.lock", "deny.toml"]

CLAIMS = '{ "sub": "42", "name": "Ann Example", "email": "ann@example.org", "email_verified": true }\n'

PROSODY_LOG = """\
meet.example.org:auth_token error 'app_id' must not be empty
c2s55 info No available SASL mechanisms, verify that the configured authentication module is working
"""

ODOO = """
[[integration]]
preset = "odoo-o-meet"
id = "odoo"
secret_file = "config/odoo.secret"
rooms = ["meet-*", "odoo-*"]

[[integration.api_key]]
id = "2027"
key_file = "config/odoo.api-key"
"""

# Replacements for programs, which use the existing build.
SHIMS = {
    "cargo": """#!/bin/sh
# cargo run … -- ARGUMENTS: runs the debug build.
[ "$1" = run ] || { echo "only cargo run is here" >&2; exit 1; }
while [ "$1" != -- ]; do shift; done
shift
exec jitsi-auth-gateway "$@"
""",
    "docker": """#!/bin/sh
# docker compose ARGUMENTS, without an engine.
[ "$1" = compose ] || { echo "only docker compose is here" >&2; exit 1; }
shift
exec docker-compose "$@"
""",
    "helm": '#!/bin/sh\nexec helm4 "$@"\n',
}


def clone(folder):
    """Copies the files that git tracks, and no other: what a reader of README has after `git clone`."""
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def copy_with_secrets(folder):
    """Copies a few folders, and creates the files that a reader of a later page has made before."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            skip = shutil.ignore_patterns(".env", "secrets", "tls.*", "*.secret", "*.key")
            shutil.copytree(source, folder / name, ignore=skip)
        else:
            shutil.copy(source, folder / name)
    private = {
        "config/oidc.secret": secrets.token_hex(16),
        "config/prosody.secret": secrets.token_hex(32),
        "config/odoo.secret": secrets.token_hex(32),
        "config/odoo.api-key": secrets.token_hex(32),
        "config/session.key": base64.b64encode(secrets.token_bytes(32)).decode() + "\n",
        "claims.json": CLAIMS,
        "prosody.log": PROSODY_LOG,
    }
    for name, text in private.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    # Commands write generated pages there.
    (folder / "docs").mkdir()


def prepare(folder, page):
    """Creates the sandbox of a page; returns its folder and the environment of commands."""
    folder.mkdir()
    if page == ROOT / "README.md":
        clone(folder)
    else:
        copy_with_secrets(folder)
    shims = folder / ".shims"
    shims.mkdir()
    for name, text in SHIMS.items():
        (shims / name).write_text(text)
        (shims / name).chmod(0o755)
    home = folder / ".home"
    home.mkdir()
    path = [shims, ROOT / "target" / "debug", TOOLS / "bin", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"]
    environment = {
        "PATH": ":".join(map(str, path)),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "DOCS_PLACE": str(home / "place"),
        # Addresses without a listener, so that no request leaves the machine.
        "GATEWAY__OIDC__INTERNAL_URL": "https://127.0.0.1:1",
        "GATEWAY__UPSTREAM__WEB": "http://127.0.0.1:1",
        "GATEWAY__UPSTREAM__XMPP": "http://127.0.0.1:1",
    }
    return folder, environment


def certificate(folder):
    subprocess.run(
        [folder / "certs" / "make-development-certificate", "meet.example.org"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
