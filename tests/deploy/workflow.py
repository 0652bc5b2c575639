"""The workflow that publishes a release: its schema, its scripts, its permissions."""

import re

import yaml

from suite import ROOT, complaints_of

FILE = ROOT / ".github" / "workflows" / "release.yml"


def check(suite):
    schema = (suite.tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", FILE)
    suite.check("workflow: it is one by the schema", lambda: complaints_of(*schema))
    # YAML 1.1 reads the key `on` as a boolean.
    content = yaml.safe_load(FILE.read_text())
    jobs = content["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    scripts = [step["run"] for step in steps if "run" in step]
    for number, script in enumerate(scripts, 1):
        suite.check(f"workflow: script {number} is one of bash", lambda s=script: complaints_of("bash", "-n", "-c", s))
    actions = re.findall(r"uses: (.*)", FILE.read_text())
    # A tag of an action can be moved to other code.
    suite.check(
        "workflow: actions are named by their commits, with the version as a comment",
        [name for name in actions if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", name)] or ([] if actions else ["none"]),
    )
    # Text of a tag or a variable that is put into a script would be executed.
    suite.check("workflow: scripts take values by their environment", [s for s in scripts if "${{" in s])
    named = {path for s in scripts for path in re.findall(r"\b(?:deploy|tests)/[\w/-]+\w(?=\s|$)", s)}
    suite.check("workflow: it calls programs that exist", [path for path in named if not (ROOT / path).exists()] or ([] if named else ["none"]))
    suite.check("workflow: the job that builds can only read", [] if jobs["build"]["permissions"] == {"contents": "read"} and content["permissions"] == {} else [jobs["build"]])
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    image = re.search(r"^ARG RUST_IMAGE=(.*)$", dockerfile, re.M).group(1)
    suite.check("workflow: the compiler is that of the Dockerfile", [] if jobs["build"]["container"] == image else [image])
