"""The systemd unit, nginx's part of the Debian package, and the Dockerfile."""

import os
import pathlib
import re
import shutil
import tempfile

import standins
from suite import GATEWAY, ROOT, complaints_of, run

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "jitsi-auth-gateway.service"

# The highest accepted score of `systemd-analyze security`, in tenths: 15 is a service with the network and no privileges.
EXPOSURE = 16


def check(suite):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        systemd(suite, folder)
        nginx(suite, folder)
    suite.check("debian: `check` takes its gateway.toml", configuration)
    suite.check("image: hadolint", lambda: complaints_of(suite.tool("hadolint"), DEPLOY / "Dockerfile"))
    suite.check("image: any user in group 0 may run it, and nobody reads its secrets", arbitrary_user)
    suite.check("image: .dockerignore lets in what the build reads", build_context)


def systemd(suite, folder):
    # `verify` needs the program and the sockets.
    unit = folder / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/bin/jitsi-auth-gateway", str(GATEWAY)))
    sockets = sorted(UNIT.parent.glob("*.socket"))
    for thing in sockets:
        shutil.copy(thing, folder)
    units = [unit, *(folder / thing.name for thing in sockets)]
    verify = ("systemd-analyze", "verify", *units)

    def silent():
        code, text = run(*verify)
        # Ignores messages about other units of the machine.
        ours = [line for line in text.splitlines() if UNIT.stem in line]
        return [text] if code or ours else []

    suite.check("systemd: systemd-analyze verify has nothing to say", silent)
    names = {thing.stem.rpartition("-")[2]: thing.read_text() for thing in sockets}
    suite.check(
        "systemd: sockets are named as the gateway knows them, and the service takes each",
        [
            f"{name}: {text}"
            for name, text in names.items()
            if f"FileDescriptorName={name}\n" not in text or UNIT.read_text().count(f"{UNIT.stem}-{name}.socket") != 2
        ]
        + ([] if set(names) == {"http", "https", "admin"} else [sorted(names)]),
    )
    security = ("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", unit)
    suite.check(f"systemd: exposure is at most {EXPOSURE / 10}", lambda: complaints_of(*security))
    users = DEPLOY / "systemd" / "jitsi-auth-gateway.sysusers"
    suite.check("systemd: sysusers", lambda: complaints_of("systemd-sysusers", "--dry-run", users))


def nginx(suite, folder):
    """Debian's nginx accepts the file that replaces Jitsi's site."""
    config = folder / "nginx.conf"
    site = DEPLOY / "debian" / "nginx-jitsi-web.conf"
    config.write_text(
        f"pid {folder}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ access_log off; include {site}; }}\n"
    )
    suite.check("debian: nginx -t", lambda: complaints_of("/usr/sbin/nginx", "-q", "-t", "-c", config))


def configuration():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = standins.files()
        content = {
            "gateway.toml": (DEPLOY / "debian" / "gateway.toml").read_bytes(),
            "tls.crt": files["tls.crt"],
            "tls.key": files["tls.key"],
            "oidc.secret": files["client-secret"],
            "session.key": files["session-key"],
            "prosody.secret": files["app-secret"],
        }
        for name, text in content.items():
            (folder / name).write_bytes(text)
            (folder / name).chmod(0o640)
        # The unit's working directory is the file's directory.
        return complaints_of(GATEWAY, "check", "--config", "gateway.toml", cwd=folder)


def arbitrary_user():
    """`check` as OpenShift runs it: a user without a name in group 0, an empty home, Secrets of mode 0440."""
    complaints = []
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    complaints += [f"Dockerfile: {line}" for line in dockerfile.splitlines() if re.match(r"(COPY|ADD) .*--ch(own|mod)", line)]
    files = standins.files()
    text = (DEPLOY / "debian" / "gateway.toml").read_text()
    content = {"gateway.toml": text.encode(), "tls.crt": files["tls.crt"], "tls.key": files["tls.key"]}
    content |= {"oidc.secret": files["client-secret"], "session.key": files["session-key"], "prosody.secret": files["app-secret"]}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        program = folder / "jitsi-auth-gateway"
        shutil.copy(GATEWAY, program)
        # As in the image: root owns it, and everybody may execute it.
        program.chmod(0o755)
        for name, data in content.items():
            (folder / name).write_bytes(data)
        for user, group, mode, accepted in [
            (65532, 65532, 0o440, True),
            (1000700000, 0, 0o440, True),
            (1000700000, 0, 0o640, True),
            (4294967000, 0, 0o440, True),
            (1000700000, 0, 0o444, False),
            (1000700000, 1000700000, 0o400, False),
        ]:
            for name in content:
                os.chown(folder / name, 0, 0 if mode == 0o400 else group)
                (folder / name).chmod(mode)
            identity = ("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs")
            code, said = run(*identity, "env", "-i", program, "check", "--config", "gateway.toml", cwd=folder)
            if (code == 0) != accepted:
                complaints.append(f"user {user}, group {group}, mode {mode:o}: exit {code}\n{said}")
    return complaints


def build_context():
    """Every file that Cargo.toml or the source includes by path is in the build context."""
    lines = [line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines()]
    let_in = [line[1:] for line in lines if line.startswith("!")]
    wanted = set(re.findall(r'^path = "([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.M)) | {"Cargo.lock"}
    for source in (ROOT / "src").rglob("*.rs"):
        for name in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', source.read_text()):
            wanted.add(str((source.parent / name).resolve().relative_to(ROOT)))
    complaints = [f"missing: {p}" for p in wanted if not any(p == l or p.startswith(l + "/") for l in let_in)]
    return complaints + [f"not there: {path}" for path in let_in if not (ROOT / path).exists()]
