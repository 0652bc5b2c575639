"""A policy scan of all rendered objects."""

import json
import pathlib

import yaml

from suite import OUTPUT, run

ALLOWED = pathlib.Path(__file__).with_name("allowed.yaml")


def check(suite):
    code, text = run(
        *(suite.tool("checkov"), "--framework", "kubernetes", "-d", OUTPUT / "rendered"),
        *("--output", "json", "--quiet", "--compact", "--skip-download"),
        env={"PATH": "/usr/bin:/bin", "HOME": str(OUTPUT), "LOG_LEVEL": "ERROR"},
    )
    report = json.loads(text) if text.lstrip().startswith("{") else None
    suite.check("policy: checkov ran", [] if report and code in (0, 1) else [text[:2000]])
    if not report:
        return
    allowed = yaml.safe_load(ALLOWED.read_text())
    used = set()
    failed = []
    for found in report["results"]["failed_checks"]:
        rendering = pathlib.Path(found["file_path"]).stem
        for number, entry in enumerate(allowed):
            fits = entry.get("only", rendering) == rendering and found["resource"].endswith(entry.get("object", ""))
            if entry["id"] == found["check_id"] and fits:
                used.add(number)
                break
        else:
            failed.append(f"{found['check_id']} {found['check_name']}: {found['resource']} in {rendering}")
    unused = [entry["id"] for number, entry in enumerate(allowed) if number not in used]
    seen = report["summary"]["passed"]
    suite.check(f"policy: {seen} answers are right, and no wrong one but those allowed", failed)
    # Skipped if only some parts were rendered.
    if len(list((OUTPUT / "rendered").iterdir())) > 10:
        suite.check("policy: every exception is still needed", unused)
        suite.check("policy: enough was looked at", [] if seen > 2000 else [report["summary"]])
