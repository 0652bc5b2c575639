"""The artefacts of `deploy/release`, packed once from the debug build."""

import functools
import json

from suite import GATEWAY, OUTPUT, ROOT, run

FOLDER = OUTPUT / "artefacts"
SOURCE = "https://git.example.org/jitsi-auth-gateway"
# The text of --version is that of the source.
VERSION = "0.1.0"


@functools.cache
def static():
    """The debug build, linked statically: the libraries are those of target/debug, only the link is another."""
    code, text = run("cargo", "build", "--locked", "--quiet", "--bins", "--examples", "--message-format=json")
    if code:
        raise RuntimeError(text)
    messages = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    libraries = {
        message["target"]["name"]: name
        for message in messages
        if message["reason"] == "compiler-artifact" and "lib" in message["target"]["kind"]
        for name in message["filenames"]
        if name.endswith(".rlib")
    }
    program = OUTPUT / "static"
    named = ("jitsi_auth_gateway", "config", "tikv_jemallocator")
    externs = [word for name in named for word in ("--extern", f"{name}={libraries[name]}")]
    code, text = run(
        *("rustc", "--edition", "2024", "--crate-name", "static", "--crate-type", "bin", "--cfg", 'feature="demo"'),
        *("-C", "target-feature=+crt-static", "-C", "strip=symbols", "-L", f"dependency={ROOT}/target/debug/deps"),
        *(*externs, "-o", program, ROOT / "src" / "main.rs"),
    )
    if code:
        raise RuntimeError(text)
    return program


@functools.cache
def stripped():
    """The debug build without symbols, so that it is packed in less time."""
    program = OUTPUT / "dynamic"
    code, text = run("strip", "-o", program, GATEWAY)
    if code:
        raise RuntimeError(text)
    return program


@functools.cache
def small():
    """A program that is packed in no time, for checks of the packing alone."""
    program = OUTPUT / "small"
    source = program.with_suffix(".rs")
    source.write_text("fn main() {}\n")
    code, text = run("rustc", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o", program, source)
    if code:
        raise RuntimeError(text)
    return program


def pack(folder, program, linked_statically, **options):
    """Runs `deploy/release` with programs that are built already; raises if it fails."""
    programs = ("--program", program, "--static", linked_statically)
    # The project has no mail domain, so a publisher names the maintainer.
    maintainer = ("--maintainer", "jitsi-auth-gateway developers <jitsi-auth-gateway@lists.debian.org>")
    command = (ROOT / "deploy/release", *programs, "--output", folder, "--source", SOURCE, *maintainer, "--fast")
    code, text = run(*command, **options)
    if code:
        raise RuntimeError(text)
    return folder


@functools.cache
def packed():
    """The folder with all artefacts."""
    return pack(FOLDER, stripped(), static())


def package():
    """The Debian package."""
    return next(packed().glob("*.deb"))
