"""The Helm chart, by Helm 3 and Helm 4."""

import json
import re
import tempfile
import textwrap
import tomllib

import yaml

import manifests
from suite import GATEWAY, OUTPUT, ROOT, complaints_of, run

CHART = ROOT / "deploy" / "helm" / "jitsi-auth-gateway"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))
HELMS = ["helm3", "helm4"]


def render(suite, helm, values, *more, release="meet"):
    return run(suite.tool(helm), "template", release, CHART, "--namespace", "meet", "-f", values, *more)


def check(suite):
    schema = CHART / "values.schema.json"
    suite.check(
        "chart: values.schema.json is a schema",
        lambda: complaints_of(suite.tool("check-jsonschema"), "--check-metaschema", schema),
    )
    suite.check(
        "chart: the schema of `config` is that of the gateway",
        lambda: complaints_of("python3", ROOT / "deploy/helm/update-schema", "--check"),
    )
    suite.check("chart: every value has a comment and a schema", undocumented)
    suite.check(
        "chart: the table of README.md is that of values.yaml",
        lambda: complaints_of(suite.tool("python"), ROOT / "deploy/helm/update-readme", "--check"),
    )
    suite.check("chart: Helm takes the values of README.md", lambda: readme(suite))
    suite.check("chart: its version is that of the program, and its metadata is whole", metadata)
    rendered = OUTPUT / "rendered"
    rendered.mkdir(parents=True, exist_ok=True)
    for values in CASES:
        label = values.name.removesuffix("-values.yaml")
        texts = {}
        for helm in HELMS:
            suite.check(
                f"chart {label}: {helm} lint --strict",
                lambda h=helm, v=values: complaints_of(suite.tool(h), "lint", "--strict", CHART, "-f", v),
            )
            for version in manifests.KUBERNETES:
                code, text = render(suite, helm, values, "--kube-version", version)
                texts[helm, version] = text
                suite.check(f"chart {label}: {helm} template for {version}", [text] if code else [])
        code, again = render(suite, HELMS[0], values, "--kube-version", manifests.KUBERNETES[0])
        if code:
            continue
        suite.check(
            f"chart {label}: rendered the same again, by the other Helm, and at every version",
            [] if {normal(text) for text in [again, *texts.values()]} == {normal(again)} else ["it differs"],
        )
        (rendered / f"{label}.yaml").write_text(again)
        manifests.examine(suite, f"chart {label}", again)
        # Kubernetes permits no change of a Job, so an upgrade that has one fails.
        jobs = [thing for thing in manifests.load(again) if thing["kind"] == "Job"]
        suite.check(f"chart {label}: every Job is a hook of Helm", [job for job in jobs if "helm.sh/hook" not in job["metadata"]["annotations"]])
    documented(suite)
    first_values(suite)
    openshift(suite)
    mistakes(suite)


def readme(suite):
    blocks = re.findall(r"^```yaml\n(.*?)^```", (CHART / "README.md").read_text(), re.M | re.S)
    if len(blocks) != 1:
        return [f"{len(blocks)} blocks of values"]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(blocks[0])
        file.flush()
        code, text = render(suite, HELMS[1], file.name)
    return [text] if code else []


# The values that Artifact Hub accepts for an application in front of others.
CATEGORY = "security"
KINDS = {"added", "changed", "deprecated", "removed", "fixed", "security"}


def metadata():
    """Complaints about Chart.yaml: the version, and what an index of charts reads."""
    found = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    annotations = {key.removeprefix("artifacthub.io/"): value for key, value in found["annotations"].items()}
    changes = yaml.safe_load(annotations["changes"])
    wrong = {
        "version": found["version"] != version,
        "appVersion": found["appVersion"] != version,
        "maintainers": not all(one.get("name") for one in found["maintainers"]),
        "category": annotations["category"] != CATEGORY,
        "license": annotations["license"] != "Apache-2.0",
        "annotations": not all(isinstance(value, str) for value in annotations.values()),
        "changes": not changes or any(set(one) != {"kind", "description"} or one["kind"] not in KINDS for one in changes),
    }
    return [f"{key} of Chart.yaml" for key, bad in wrong.items() if bad]


def first_values(suite):
    """Renders the values that `init` writes, with every provider."""
    pages = sorted(page.stem for page in (ROOT / "docs" / "providers").glob("*.md"))
    for provider in [page for page in pages if page != "README"] + ["other"]:
        with tempfile.TemporaryDirectory() as directory:
            code, text = run(
                GATEWAY, "init", "--directory", directory, "--public-url", "https://meet.example.org",
                "--platform", "kubernetes", "--provider", provider, "--issuer", "https://127.0.0.1:9",
                "--client-id", "jitsi", "--workspace", "example.org", "--enter", "guest",
                "--moderators", "group:staff",
            )
            suite.check(f"init: values for {provider}", [text] if code else [])
            code, text = render(suite, HELMS[1], f"{directory}/values.yaml")
        suite.check(f"init: helm takes the values for {provider}", [text] if code else [])
        if code == 0:
            manifests.examine(suite, f"init: values for {provider}", text, manifests.KUBERNETES[-1:])


def openshift(suite):
    """No pod fixes the ids that OpenShift chooses, where Helm sees OpenShift or the values say so."""
    constraints = ("--api-versions", "security.openshift.io/v1/SecurityContextConstraints")
    for helm in HELMS:
        for label, fixed, more in [("minimal", True, ()), ("everything", False, constraints), ("openshift", False, ())]:
            code, text = render(suite, helm, CHART / "ci" / f"{label}-values.yaml", *more)
            contexts = [spec["securityContext"] for _, _, spec in manifests.pods(manifests.load(text))] if not code else []
            ids = [context for context in contexts if {"runAsUser", "runAsGroup", "fsGroup"} & set(context)]
            right = contexts and len(ids) == (len(contexts) if fixed else 0)
            suite.check(f"chart {label}, {helm}: ids {'are fixed' if fixed else 'are the choice of OpenShift'}", [] if right else [text])


def documented(suite):
    """Renders the values in the documents."""
    document = (ROOT / "docs" / "kubernetes.md").read_text()
    blocks = re.findall(r"^ *```yaml\n(.*?)^ *```", document, re.M | re.S)
    suite.check("docs: kubernetes.md has values", [] if blocks else ["none"])
    for number, block in enumerate(blocks, 1):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(textwrap.dedent(block))
            file.flush()
            code, text = render(suite, HELMS[1], file.name)
        suite.check(f"docs: helm takes the values {number} of kubernetes.md", [text] if code else [])
        if code == 0:
            manifests.examine(suite, f"docs: values {number} of kubernetes.md", text, manifests.KUBERNETES[-1:])


def normal(text):
    """Sorts the objects, because Helm versions differ in order."""
    return yaml.safe_dump(sorted(manifests.load(text), key=lambda thing: (manifests.name(thing), str(thing))))


def undocumented():
    """Values without a comment directly above them, at the paths in the schema."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    complaints = []

    def walk(node, schema, path):
        for key, value in node.value:
            below = schema["properties"].get(key.value, {})
            where = f"{path}{key.value}"
            if "properties" in below and key.value != "config":
                walk(value, below, f"{where}.")
            elif not lines[key.start_mark.line - 1].lstrip().startswith("#"):
                complaints.append(f"values.yaml:{key.start_mark.line + 1}: {where}")

    schema = json.loads((CHART / "values.schema.json").read_text())
    walk(yaml.compose("\n".join(lines)), schema, "")
    return complaints


# Mistakes: changes to the minimal values, and the text that the refusal must contain.
MISTAKES = [
    ({"replicas": 3}, "replicas"),
    ({"service": {"htpPort": 80}}, "htpPort"),
    ({"service": {"httpPort": "eighty"}}, "httpPort"),
    ({"service": {"type": "Loadbalancer"}}, "type"),
    ({"image": {"digest": "latest"}}, "digest"),
    ({"image": {"repository": ""}}, "image.repository"),
    ({"secret": {"existingSecret": ""}}, "secret.existingSecret"),
    ({"secret": {"sesionKey": "x"}}, "sesionKey"),
    ({"config": {"oidc": {"isuer": "https://x"}}}, "isuer"),
    ({"config": {"oidc": {"client_secret": "hush"}}}, "client_secret"),
    ({"config": {"oidc": [{"id": "school", "isuer": "https://x"}]}}, "isuer"),
    ({"config": {"oidc": [{"id": "school", "client_secret": "hush"}]}}, "client_secret"),
    ({"config": {"token": {"secret": "hush"}}}, "secret"),
    ({"config": {"session": {"idle": "soon"}}}, "idle"),
    ({"config": {"listen": {"http": "0.0.0.0:80"}}}, "http"),
    ({"config": {"room": [{"match": "*"}]}}, "enter"),
    ({"config": {"room": [{"match": "*", "enter": "member", "strat": "host"}]}}, "strat"),
    ({"config": {"log": {"format": "xml"}}}, "format"),
    ({"config": {"room": None}}, "room"),
    ({"config": {"upstream": None}}, "upstream"),
    ({"config": None}, "config"),
    ({"configText": "public_url = 1"}, "configText"),
    ({"replicaCount": 2}, "replicaCount"),
    ({"autoscaling": {"enabled": True}}, "autoscaling.enabled"),
    ({"networkPolicy": {"prosody": {"podLabels": None}}}, "networkPolicy.prosody.podLabels"),
    # An empty selector matches every pod of the namespace.
    (
        {"networkPolicy": {"prosody": {"podLabels": {"app.kubernetes.io/component": None}}}},
        "podLabels",
    ),
    ({"ingress": {"enabled": True}}, "ingress.host"),
    ({"httpRoute": {"enabled": True, "host": "x"}}, "httpRoute.parentRefs"),
    ({"reload": "never"}, "reload"),
    ({"shutdown": {"graceSeconds": 0}}, "graceSeconds"),
    ({"shutdown": {"drainWindowSeconds": 80}}, "shutdown.drainWindowSeconds"),
    ({"shutdown": {"marginSeconds": 0}}, "marginSeconds"),
    ({"config": {"listen": {"drain_window": "1s"}}}, "drain_window"),
]


def mistakes(suite):
    minimal = CHART / "ci" / "minimal-values.yaml"
    for change, wanted in MISTAKES:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(change, file)
            for helm in HELMS:
                code, text = render(suite, helm, minimal, "-f", file.name)
                complaints = []
                if code == 0:
                    complaints.append("it was taken")
                elif wanted not in text:
                    complaints.append(f"does not name {wanted}: {text}")
                suite.check(f"chart: {helm} refuses {change} and names {wanted}", complaints)
