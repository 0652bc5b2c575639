"""What `deploy/release` makes: the same bytes each time, the archive, the image, the chart, the commit."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import activation
import artefacts
import standins
from artefacts import SOURCE, VERSION
from suite import OUTPUT, ROOT, complaints_of, permits_mounts, run

NAME = "jitsi-auth-gateway"
USER = 65532
# All that the image's program finds in its environment.
PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def check(suite):
    folder = artefacts.packed()
    arch = run("dpkg", "--print-architecture")[1].strip()
    wanted = {
        f"{NAME}-{VERSION}-image-{arch}.tar",
        f"{NAME}-{VERSION}-linux-{arch}.tar.gz",
        f"{NAME}-{VERSION}.cdx.json",
        f"{NAME}-{VERSION}.tgz",
        f"{NAME}_{VERSION}-1_{arch}.deb",
        "SHA256SUMS",
    }
    found = {file.name for file in folder.iterdir()}
    suite.check("release: all artefacts are there", [] if found == wanted else [sorted(found ^ wanted)])
    suite.check("release: SHA256SUMS has each of them", lambda: sums(folder, wanted))
    suite.check("release: another run gives the same bytes", repeated)
    suite.check("release: the archive has a program that runs, its manual and completions", lambda: archive(folder, arch))
    image(suite, folder / f"{NAME}-{VERSION}-image-{arch}.tar")
    chart(suite, folder / f"{NAME}-{VERSION}.tgz")
    suite.check("release: a program that needs shared libraries is refused as an image", dynamic)
    suite.check("release: a folder outside of the build is not emptied", precious)
    suite.check("release: the build is without `demo`, with the commit and the features asked for", build)
    suite.check("release: src/build.rs finds the commit, but not that of another repository", commits)


def sums(folder, names):
    complaints = complaints_of("sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS", cwd=folder)
    listed = {line.split()[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    return complaints + sorted(listed ^ (names - {"SHA256SUMS"}))


def repeated():
    """Packs again: later, elsewhere, with another umask, from files with other dates and modes."""
    program = artefacts.small()
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        copy = shutil.copy(program, place)
        os.utime(copy, (0, 0))
        one = artefacts.pack(place / "one", program, program)
        two = artefacts.pack(place / "deeper" / "two", copy, copy, cwd="/", umask=0o077)
        one, two = [(folder / "SHA256SUMS").read_text().splitlines() for folder in (one, two)]
    differences = [f"{a} | {b}" for a, b in zip(one, two, strict=True) if a != b]
    return differences if one else ["no artefacts"]


def archive(folder, arch):
    top = f"{NAME}-{VERSION}-linux-{arch}"
    with tempfile.TemporaryDirectory() as place:
        code, text = run("tar", "--extract", "--file", folder / f"{top}.tar.gz", "--directory", place)
        if code:
            return [text]
        place = pathlib.Path(place, top)
        names = [f"{NAME}.1", "LICENSE", f"completions/{NAME}.bash", f"systemd/{NAME}.service", "policies/public.toml"]
        complaints = [f"missing: {name}" for name in names if not (place / name).exists()]
        complaints += versions(run(place / NAME, "--version", cwd=place))
        script = f'. "{place}/completions/{NAME}.bash"; complete -p {NAME}'
        return complaints + complaints_of("bash", "--norc", "-c", script)


def versions(answer):
    """Complaints about exit code and output of `--version`."""
    code, text = answer
    pattern = rf"{NAME} {VERSION}\ncommit: \S+\nfeatures: .+\ntarget: \S+\n$"
    return [] if code == 0 and re.match(pattern, text) else [f"--version: exit {code}: {text}"]


def image(suite, file):
    """The image, read by umoci and run without an engine."""
    layout, bundle = OUTPUT / "layout", OUTPUT / "bundle"
    layout.mkdir()
    suite.check("image: the archive is one of an OCI layout", lambda: complaints_of("tar", "--extract", "--file", file, "--directory", layout))
    suite.check("image: umoci unpacks it", lambda: complaints_of("umoci", "unpack", "--image", f"{layout}:{VERSION}", bundle))
    runtime = json.loads((bundle / "config.json").read_text())
    process = runtime["process"]
    suite.check("image: its user has no privileges", [] if process["user"] == {"uid": USER, "gid": USER} else [process["user"]])
    wanted = [f"/{NAME}", "run"]
    suite.check("image: its command runs the gateway", [] if process["args"] == wanted else [process["args"]])
    suite.check("image: labels name source, licence, version and commit", lambda: labels(layout))
    root = bundle / "rootfs"
    listed = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    document = f"usr/share/doc/{NAME}"
    expected = ["etc/ssl/certs/ca-certificates.crt", NAME, f"{document}/LICENSE", f"{document}/sbom.cdx.json"]
    suite.check("image: it has the program and its documents, no shell", [] if listed == sorted(expected) else [listed])
    suite.check("image: every file is root's, and others only read", lambda: owned(root))
    name = "image: it runs as its user in a read-only root, and its health check says so"
    if permits_mounts():
        suite.check(name, lambda: runs(layout, root))
    else:
        suite.leave_out(name, "this machine permits no mounts")


def blob(layout, descriptor):
    return json.loads((layout / "blobs" / descriptor["digest"].replace(":", "/")).read_text())


def configuration(layout):
    index = json.loads((layout / "index.json").read_text())
    manifest = blob(layout, index["manifests"][0])
    return manifest, blob(layout, manifest["config"])["config"]


def labels(layout):
    manifest, config = configuration(layout)
    wanted = {"version": VERSION, "licenses": "Apache-2.0", "source": SOURCE, "revision": commit(), "title": NAME}
    complaints = []
    for place in (config["Labels"], manifest["annotations"]):
        found = {name: place.get(f"org.opencontainers.image.{name}") for name in wanted}
        complaints += [] if found == wanted else [found]
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", place["org.opencontainers.image.created"]):
            complaints.append(place)
    return complaints


def commit():
    """The commit of this source, as `deploy/release` names it."""
    code, head = run("git", "rev-parse", "--short=12", "HEAD")
    if code:
        return "unknown"
    head = head.strip()
    changed = run("git", "status", "--porcelain", "--untracked-files=no")[1].strip()
    return f"{head}-modified" if changed else head


def owned(root):
    return [
        f"{path.relative_to(root)}: {path.stat()}"
        for path in root.rglob("*")
        if path.stat().st_uid or path.stat().st_gid or path.stat().st_mode & 0o022
    ]


def runs(layout, root):
    """Starts the image's command as an engine does, and its health check before, while and after it runs."""
    place = root / "config"
    place.mkdir()
    port = activation.free_port()
    for name, content in standins.files().items():
        (place / name).write_bytes(content)
    text = activation.CONFIG.format(folder="/config").replace("192.0.2.1:9090", f"127.0.0.1:{port}")
    (place / "gateway.toml").write_text(re.sub(r"192\.0\.2\.1:\d+", "127.0.0.1:0", text))
    for file in place.iterdir():
        os.chown(file, 0, USER)
        file.chmod(0o440)
    _, config = configuration(layout)
    identity = ("chroot", f"--userspec={USER}:{USER}", "--groups=", root)
    probe = (*identity, *config["Healthcheck"]["Test"][1:])
    started = (*identity, *config["Entrypoint"], *config["Cmd"])
    complaints = versions(run(*identity, *config["Entrypoint"], "--version", env=PATH))
    # A mount namespace of its own; a root that can be written is an error.
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && ! touch "$0/written" 2>/dev/null && exec "$@"'
    command = ("unshare", "--mount", "sh", "-c", script, root, *started)
    code, said = run(*probe, env=PATH)
    complaints += [] if code == 1 and "unhealthy" in said else [f"before the start: exit {code}: {said}"]
    with activation.running(command, env=PATH) as program:
        deadline = time.monotonic() + 20
        while (code := run(*probe, env=PATH)[0]) != 0 and program.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        complaints += [] if code == 0 else ["never healthy"]
        if program.poll() is None:
            identities = pathlib.Path(f"/proc/{program.pid}/status").read_text()
            complaints += [] if f"Uid:\t{USER}\t" in identities else [identities]
            program.terminate()
        code = program.wait(30)
        complaints += [] if code == 0 else [f"stopped with {code}: {program.stderr.read()}"]
    code, said = run(*probe, env=PATH)
    return complaints + ([] if code == 1 else [f"after the stop: exit {code}"])


def chart(suite, file):
    values = ROOT / "deploy" / "helm" / NAME / "ci" / "minimal-values.yaml"
    with tempfile.TemporaryDirectory() as place:
        run("tar", "--extract", "--file", file, "--directory", place)
        top = pathlib.Path(place, NAME)
        metadata = (top / "Chart.yaml").read_text()
        suite.check("release: the packed chart names its source", [] if f"sources:\n- {SOURCE}\n" in metadata else [metadata])
        wrong = [name for name, there in [("README.md", True), ("values.schema.json", True), ("ci", False)] if (top / name).exists() != there]
        suite.check("release: the packed chart has its README, not its test values", wrong)
        for helm in ("helm3", "helm4"):
            suite.check(f"release: {helm} lint --strict takes the packed chart", lambda h=helm: complaints_of(suite.tool(h), "lint", "--strict", file, "-f", values))
            suite.check(f"release: {helm} renders the packed chart", lambda h=helm: complaints_of(suite.tool(h), "template", "meet", file, "-f", values))


def dynamic():
    with tempfile.TemporaryDirectory() as place:
        command = (ROOT / "deploy/release", "--static", artefacts.stripped(), "--only", "image", "--output", f"{place}/x")
        code, text = run(*command)
    return [] if code and "is not linked statically" in text else [f"exit {code}: {text}"]


def precious():
    with tempfile.TemporaryDirectory() as place:
        kept = pathlib.Path(place, "kept")
        kept.write_text("")
        command = (ROOT / "deploy/release", "--only", "chart", "--output", place)
        code, text = run(*command)
        return [] if code == 2 and kept.exists() else [f"exit {code}: {text}"]


# Replaces `cargo build`, whose release takes minutes; all else is Cargo's.
CARGO = """#!/bin/sh
[ "$1" = build ] || exec "$CARGO" "$@"
printf '%s|%s|%s\\n' "$GATEWAY_COMMIT" "$RUSTFLAGS" "$*" >>"$RECORD"
while [ "$1" != --target-dir ]; do
    [ "$1" = --target ] && host=$2
    shift
done
mkdir -p "$2/$host/release"
cp "$PROGRAM" "$2/$host/release/jitsi-auth-gateway"
"""


def build():
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        (place / "cargo").write_text(CARGO)
        (place / "cargo").chmod(0o755)
        more = {"CARGO": shutil.which("cargo"), "RECORD": place / "record", "PROGRAM": artefacts.small(), "RELEASE_TARGET": place / "target"}
        env = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}", **{name: str(value) for name, value in more.items()}}
        features = ("--features", "otel")
        code, text = run(ROOT / "deploy/release", *features, "--fast", "--output", place / "out", env=env)
        if code:
            return [text]
        lines = [line.split("|") for line in (place / "record").read_text().splitlines()]
        sbom = (place / "out" / f"{NAME}-{VERSION}.cdx.json").read_text()
    complaints = [] if len(lines) == 2 else [f"{len(lines)} builds"]
    for number, (named, flags, words) in enumerate(lines):
        if named != commit():
            complaints.append(f"commit {named}")
        if ("+crt-static" in flags) != (number == 1) or f"--remap-path-prefix={ROOT}=." not in flags:
            complaints.append(f"flags {flags}")
        if not all(word in words for word in ("--locked", "--release", "--no-default-features", "--features otel")):
            complaints.append(f"arguments {words}")
    return complaints + ([] if '"opentelemetry"' in sbom else ["the bill of materials is without the feature"])


def commits():
    """Runs src/build.rs in each situation."""
    head = commit().removesuffix("-modified")
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        script = place / "build-script"
        code, text = run("rustc", "--edition", "2024", "-o", script, ROOT / "src/build.rs")
        if code:
            return [text]
        (place / "archive").mkdir()
        outer = place / "outer"
        (outer / "archive").mkdir(parents=True)
        (outer / "file").write_text("")
        for words in (["init", "-q"], ["add", "file"], ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "x"]):
            subprocess.run(["git", "-C", outer, *words], check=True)
        complaints = []
        for directory, profile, named, wanted in [
            (ROOT, "release", "", head),
            (ROOT, "debug", "", "unknown"),
            (ROOT, "release", "0123abcd", "0123abcd"),
            (place / "archive", "release", "", "unknown"),
            (outer / "archive", "release", "", "unknown"),
        ]:
            env = {"PATH": os.environ["PATH"], "PROFILE": profile, "CARGO_MANIFEST_DIR": str(directory), "GATEWAY_COMMIT": named}
            code, text = run(script, env=env, cwd=directory)
            if code or f"BUILD_COMMIT={wanted}\n" not in text:
                complaints.append(f"{directory}, {profile}, {named!r}: exit {code}: {text}")
    return complaints
