"""The examples for Argo CD, Flux and the Gateway API: by schemas of their fields, and by what they refer to."""

import copy
import pathlib
import tempfile

import yaml

import manifests
from chart import CHART, HELMS, render
from suite import OUTPUT, ROOT

EXAMPLES = ROOT / "deploy" / "helm" / "examples"

# Values of the chart in these objects: kind → path in the object.
VALUES = {"Application": ("spec", "source", "helm", "valuesObject"), "HelmRelease": ("spec", "values")}

# Keys below which the definitions of these kinds prescribe no fields.
FREE = {"valuesObject", "values", "labels", "matchLabels"}

# Keys of every kind.
COMMON = {"apiVersion", "kind", "metadata"}


def objects():
    """The objects of each file; the values of another chart are none."""
    for file in sorted(EXAMPLES.glob("*.yaml")):
        things = manifests.load(file.read_text())
        if all("kind" in thing for thing in things):
            yield file.stem, things


def values():
    """The values in the examples: name of the file → values."""
    found = {}
    for label, things in objects():
        for thing in things:
            if thing["kind"] in VALUES:
                found[label] = thing
                for key in VALUES[thing["kind"]]:
                    found[label] = found[label][key]
    return found


def misspelt(thing, path=()):
    """The object with one misspelt field, for each of its fields: (path, object)."""
    part = thing
    for key in path:
        part = part[key]
    keys = part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    for key in keys:
        if isinstance(key, str) and (path or key not in COMMON):
            changed = copy.deepcopy(thing)
            place = changed
            for step in path:
                place = place[step]
            place[f"{key}x"] = place.pop(key)
            yield [*path, key], changed
        if key not in FREE | COMMON:
            yield from misspelt(thing, (*path, key))


def check(suite):
    files = dict(objects())
    suite.check("examples: there are some", [] if {"argocd", "flux", "gateway-api", "gateway-api-passthrough"} <= set(files) else [list(files)])
    version = manifests.KUBERNETES[-1]
    for label, things in files.items():
        suite.check(f"example {label}: fields by schema", lambda t=things: manifests.by_schema(t, version))
        for thing in things:
            taken = [path for path, changed in misspelt(thing) if not manifests.by_schema([changed], version)]
            suite.check(f"control, example {label}: every misspelt field of {thing['kind']} is refused", taken)
    (OUTPUT / "rendered").mkdir(parents=True, exist_ok=True)
    for label, content in values().items():
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory, "values.yaml")
            file.write_text(yaml.safe_dump(content))
            for helm in HELMS:
                code, text = render(suite, helm, file)
                suite.check(f"example {label}: {helm} takes its values", [text] if code else [])
        (OUTPUT / "rendered" / f"example-{label}.yaml").write_text(text)
        manifests.examine(suite, f"example {label}", text, manifests.KUBERNETES[-1:])
        routes = [thing for thing in manifests.load(text) if thing["kind"] == "HTTPRoute"]
        suite.check(f"example {label}: its route belongs to the Gateway of gateway-api", lambda r=routes: attached(r, files["gateway-api"], "HTTPS"))
    suite.check("examples: the chart's version", lambda: versions(files))
    suite.check("example flux: the HelmRelease refers to the OCIRepository", lambda: source(*files["flux"]))
    passed = files["gateway-api-passthrough"]
    suite.check("example gateway-api: the redirect belongs to the Gateway", lambda: attached(files["gateway-api"][1:], files["gateway-api"], "HTTP"))
    suite.check("example gateway-api-passthrough: the route belongs to the Gateway", lambda: attached(passed[1:], passed, "TLS"))
    suite.check("example gateway-api-passthrough: the route leads to the Service of own-tls", lambda: led(suite, passed[1]))


def attached(routes, things, protocol):
    """Complaints unless each route may use the listener that it names."""
    gateway = next(thing for thing in things if thing["kind"] == "Gateway")
    complaints = [] if routes else ["no route"]
    for route in routes:
        where = route["metadata"]["namespace"]
        for parent in route["spec"]["parentRefs"]:
            if (parent["name"], parent.get("namespace", where)) != (gateway["metadata"]["name"], gateway["metadata"]["namespace"]):
                complaints.append(f"another Gateway: {parent}")
            listeners = [one for one in gateway["spec"]["listeners"] if one["name"] == parent.get("sectionName")]
            if [one["protocol"] for one in listeners] != [protocol]:
                complaints.append(f"no listener for {protocol}: {parent}")
                continue
            # Without a rule, a listener takes routes of its own namespace.
            rule = listeners[0].get("allowedRoutes", {}).get("namespaces", {"from": "Same"})
            allowed = rule["selector"]["matchLabels"]["kubernetes.io/metadata.name"] if rule["from"] == "Selector" else gateway["metadata"]["namespace"]
            if where != allowed:
                complaints.append(f"routes of {where} are not allowed, those of {allowed} are")
            if listeners[0]["hostname"] not in route["spec"]["hostnames"]:
                complaints.append(f"another host: {route['spec']['hostnames']}")
    return complaints


def versions(files):
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    application, repository = files["argocd"][0], files["flux"][0]
    found = [application["spec"]["source"]["targetRevision"], repository["spec"]["ref"]["tag"]]
    return [] if found == [version, version] else [f"{found}, the chart is {version}"]


def source(repository, release):
    wanted = {"kind": repository["kind"], "name": repository["metadata"]["name"]}
    same = repository["metadata"]["namespace"] == release["metadata"]["namespace"]
    return [] if release["spec"]["chartRef"] == wanted and same else [release["spec"]["chartRef"]]


def led(suite, route):
    """The backend of the route is a port of a Service of the release `gateway`, with values that terminate TLS."""
    code, text = render(suite, HELMS[1], CHART / "ci" / "own-tls-values.yaml", release="gateway")
    if code:
        return [text]
    services = {thing["metadata"]["name"]: thing for thing in manifests.load(text) if thing["kind"] == "Service"}
    backend = route["spec"]["rules"][0]["backendRefs"][0]
    ports = {port["port"]: port["name"] for port in services[backend["name"]]["spec"]["ports"]}
    return [] if ports.get(backend["port"]) == "https" else [f"{backend}: {ports}"]
