"""The compose file, its environment and its configuration."""

import json
import pathlib
import re
import shutil
import tempfile

import standins
from suite import GATEWAY, ROOT, complaints_of, run

SOURCE = ROOT / "deploy" / "compose"
VARIABLE = re.compile(r"\$\{(\w+)\}")


def check(suite):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder, "compose")
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns(".env", "secrets", "certs"))
        suite.check("compose: make-secrets makes secrets", lambda: complaints_of(copy / "make-secrets"))
        suite.check("compose: make-secrets refuses to do it again", lambda: kept(copy))
        suite.check("compose: nothing is left to fill in", lambda: filled_in(copy / ".env"))
        suite.check(
            "compose: `docker-compose config` takes it",
            lambda: complaints_of("docker-compose", "config", "--quiet", cwd=copy),
        )
        suite.check(
            "compose: the Compose Specification's schema takes it",
            lambda: complaints_of(
                suite.tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", copy / "compose.yaml"
            ),
        )
        suite.check("compose: `check` takes gateway.toml with these secrets", lambda: configuration(copy))
    suite.check("compose: every variable is in .env.example, and every one there is used", variables)
    suite.check("compose: Keycloak's realm has the gateway's addresses", realm)


def kept(copy):
    before = (copy / ".env").read_bytes()
    code, text = run(copy / "make-secrets")
    if code == 0 or "nothing was changed" not in text or (copy / ".env").read_bytes() != before:
        return [f"exit {code}: {text}"]
    return [] if ((copy / ".env").stat().st_mode & 0o077) == 0 else ["others can read .env"]


def filled_in(env):
    return [line for line in env.read_text().splitlines() if line.endswith("=<generated>")]


def environment(copy):
    lines = (copy / ".env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {
        "GATEWAY__PUBLIC_URL": values["PUBLIC_URL"],
        "GATEWAY__OIDC__ISSUER": f"https://{values['SSO_HOST']}:8444/realms/meet",
    }


def configuration(copy):
    """The files are where compose.yaml mounts them."""
    config = (copy / "gateway.toml").read_text()
    mounts = re.findall(r"- \./(\S+):(/etc/gateway/\S+):ro", (copy / "compose.yaml").read_text())
    for here, there in mounts:
        config = config.replace(f'"{there}', f'"{copy}/{here}')
    (copy / "certs").mkdir()
    for name in ("tls.crt", "tls.key"):
        (copy / "certs" / name).write_bytes(standins.files()[name])
        (copy / "certs" / name).chmod(0o600)
    (copy / "checked.toml").write_text(config)
    return complaints_of(GATEWAY, "check", "--config", copy / "checked.toml", env=environment(copy))


def variables():
    text = (SOURCE / "compose.yaml").read_text()
    # `NAME:` without a value takes it from .env, too.
    used = set(VARIABLE.findall(text)) | set(re.findall(r"^ +([A-Z][A-Z_]+):$", text, re.M))
    there = set(re.findall(r"^([A-Z_]+)=", (SOURCE / ".env.example").read_text(), re.M))
    return [f"only in one of both: {name}" for name in sorted(used ^ there)]


def realm():
    text = (SOURCE / "keycloak" / "meet-realm.json").read_text()
    complaints = [
        f"{address} is not there"
        for address in ("callback", "signed-out", "backchannel-logout")
        if f"${{MEET_PUBLIC_URL}}/_gateway/{address}" not in text
    ]
    compose = (SOURCE / "compose.yaml").read_text()
    complaints += [f"{name} is not set" for name in set(VARIABLE.findall(text)) if f"{name}:" not in compose]
    client = json.loads(text)["clients"][0]
    config = (SOURCE / "gateway.toml").read_text()
    if f'client_id = "{client["clientId"]}"' not in config:
        complaints.append("another client than gateway.toml's")
    return complaints
