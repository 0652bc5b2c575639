"""Dependencies: the policy of deny.toml, and the bill of materials."""

import json
import os
import pathlib
import tempfile
import tomllib

from suite import ROOT, complaints_of, run


def check(suite):
    deny = (suite.tool("cargo-deny"), "--offline", "--locked", "--log-level", "error", "check", "--hide-inclusion-graph")
    # With the packages of other platforms and features, which no build here fetched.
    suite.check("supply: cargo fetch", lambda: complaints_of("cargo", "fetch", "--locked"))
    for part in ("bans", "licenses", "sources"):
        suite.check(f"supply: cargo deny check {part}", lambda p=part: complaints_of(*deny, p))
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder, name) for name in ("one.json", "two.json")]
        env = {**os.environ, "CARGO_CYCLONEDX": suite.tool("cargo-cyclonedx")}
        for file in files:
            suite.check(f"supply: deploy/sbom writes {file.name}", lambda f=file: complaints_of(ROOT / "deploy/sbom", f, env=env))
        texts = [file.read_text() for file in files]
    suite.check("supply: the bill of materials is the same each time", [] if texts[0] == texts[1] else ["it differs"])
    suite.check("supply: the bill of materials is of every locked part of the program", lambda: bill(texts[0]))


def bill(text):
    """Complaints about a bill of materials: missing packages, differences to Cargo.lock."""
    components = json.loads(text)["components"]
    listed = {(part["name"], part["version"]): part for part in components}
    host = run("rustc", "--print", "host-tuple")[1].strip()
    code, tree = run("cargo", "tree", "--locked", "--package", "jitsi-auth-gateway", "--no-default-features", "--edges", "normal", "--prefix", "none", "--target", host)
    if code:
        return [tree]
    linked = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    linked = {(name, version.removeprefix("v")) for name, version in linked}
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    locked = {(part["name"], part["version"]): part.get("checksum") for part in lock}
    own = {(name, version) for (name, version), checksum in locked.items() if checksum is None}
    complaints = [f"missing: {part}" for part in sorted(linked - own - set(listed))]
    for key, part in sorted(listed.items()):
        if key in own:
            continue
        hashes = [entry["content"] for entry in part.get("hashes", []) if entry["alg"] == "SHA-256"]
        if key not in locked or hashes != [locked[key]]:
            complaints.append(f"not what Cargo.lock has: {key}")
        if not part.get("licenses"):
            complaints.append(f"no licence: {key}")
    if len(listed) < 100:
        complaints.append(f"only {len(listed)} parts")
    if str(ROOT) in text or str(pathlib.Path.home()) in text:
        complaints.append("tells where it was made")
    return complaints
