"""Checks of rendered Kubernetes objects."""

import json
import pathlib
import re
import tempfile

import jsonschema
import kubernetes_validate
import yaml

import standins
from suite import GATEWAY, run

SCHEMAS = pathlib.Path(__file__).parent / "schemas"

# The oldest supported version, one in the middle, the newest with published schemas.
KUBERNETES = ["1.27", "1.31", kubernetes_validate.latest_version()]


def load(text):
    return [thing for thing in yaml.safe_load_all(text) if thing]


def dump(things):
    return yaml.safe_dump_all(things)


def name(thing):
    return f"{thing['kind']}/{thing['metadata']['name']}"


def by_schema(things, version):
    """Validates against the schema of a Kubernetes version; unknown fields are errors."""
    complaints = []
    for thing in things:
        own = SCHEMAS / f"{thing['kind'].lower()}.json"
        try:
            if own.exists():
                jsonschema.validate(thing, json.loads(own.read_text()))
            else:
                kubernetes_validate.validate(thing, version, strict=True)
        except Exception as error:
            complaints.append(f"{name(thing)} at {version}: {getattr(error, 'message', None) or error}")
    return complaints


def pods(things):
    """Every pod template: (name, labels, spec)."""
    for thing in things:
        if thing["kind"] == "Pod":
            yield name(thing), thing["metadata"]["labels"], thing["spec"]
        elif thing["kind"] in ("Deployment", "Job"):
            template = thing["spec"]["template"]
            yield name(thing), template["metadata"]["labels"], template["spec"]


def restricted(things):
    """Pod Security "restricted", and a few stricter rules."""
    complaints = []
    for who, _, spec in pods(things):
        wanted = {
            "no token of a ServiceAccount": spec.get("automountServiceAccountToken") is False,
            "no variables of Services": spec.get("enableServiceLinks") is False,
            "not root": spec["securityContext"].get("runAsNonRoot") is True,
            "a seccomp profile": spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
        }
        for container in spec["containers"] + spec.get("initContainers", []):
            own = container["securityContext"]
            wanted |= {
                "a root file system that is read only": own.get("readOnlyRootFilesystem") is True,
                "no escalation": own.get("allowPrivilegeEscalation") is False,
                "no capabilities": own["capabilities"]["drop"] == ["ALL"],
                "limited memory": "memory" in container["resources"].get("limits", {}),
                "no file that is mounted by subPath": not any(
                    "subPath" in mount for mount in container.get("volumeMounts", [])
                ),
            }
        for volume in spec.get("volumes", []):
            if "secret" in volume:
                # OpenShift sets user and group together.
                left_to_cluster = not {"runAsUser", "runAsGroup", "fsGroup"} & set(spec["securityContext"])
                wanted[f"secret {volume['name']} closed to others"] = volume["secret"].get("defaultMode") == 0o440 and (
                    "fsGroup" in spec["securityContext"] or left_to_cluster
                )
        complaints += [f"{who}: wants {what}" for what, there in wanted.items() if not there]
    return complaints


def connected(things):
    """Services, budgets and policies select the intended pods only."""
    complaints = []
    deployments = [thing for thing in things if thing["kind"] == "Deployment"]
    serving = deployments[0]["spec"]["template"]
    labels = serving["metadata"]["labels"]
    ports = {port["name"] for port in serving["spec"]["containers"][0].get("ports", [])}

    def fits(selector, of):
        return bool(selector) and selector.items() <= of.items()

    def expect(there, what):
        if not there:
            complaints.append(what)

    expect(fits(deployments[0]["spec"]["selector"]["matchLabels"], labels), "the Deployment misses its pods")
    others = [pod for pod in pods(things) if pod[0] != name(deployments[0])]
    for thing in things:
        who = name(thing)
        if thing["kind"] == "Service":
            selector = thing["spec"]["selector"]
            expect(fits(selector, labels), f"{who} misses the gateway's pods")
            for other, of, _ in others:
                expect(not fits(selector, of), f"{who} sends people to {other}")
            for port in thing["spec"]["ports"]:
                expect(port["targetPort"] in ports, f"{who}: no port {port['targetPort']}")
        elif thing["kind"] == "PodDisruptionBudget":
            expect(fits(thing["spec"]["selector"]["matchLabels"], labels), f"{who} misses the gateway's pods")
        elif thing["kind"] == "HorizontalPodAutoscaler":
            scaled = thing["spec"]["scaleTargetRef"]
            expect(
                (scaled["kind"], scaled["name"]) == ("Deployment", deployments[0]["metadata"]["name"]),
                f"{who} scales something else",
            )
        elif thing["kind"] == "NetworkPolicy" and who.endswith("-prosody"):
            rule = thing["spec"]["ingress"][0]
            peers = [peer["podSelector"]["matchLabels"] for peer in rule["from"] if "podSelector" in peer]
            expect(rule["ports"] == [{"port": 5280, "protocol": "TCP"}], f"{who} is about other ports")
            for other, of in [("the gateway", labels), *(pod[:2] for pod in others)]:
                expect(any(fits(peer, of) for peer in peers), f"{who} shuts out {other}")
            open_ports = [p["port"] for r in thing["spec"]["ingress"][1:] for p in r["ports"]]
            expect(5280 not in open_ports, f"{who} opens 5280 to everybody")
        elif thing["kind"] == "ServiceMonitor":
            selector = thing["spec"]["selector"]["matchLabels"]
            found = [t for t in things if t["kind"] == "Service" and fits(selector, t["metadata"]["labels"])]
            expect(len(found) == 1, f"{who} selects {len(found)} Services")
        elif thing["kind"] == "Secret":
            complaints.append(f"{who}: secrets are made by nobody but the operator")
    return complaints


def configuration(things):
    """The binary accepts each pod's configuration, with stand-ins for the mounted Secrets."""
    complaints = []
    maps = {thing["metadata"]["name"]: thing["data"] for thing in things if thing["kind"] == "ConfigMap"}
    for who, _, spec in pods(things):
        container = spec["containers"][0]
        if "--config" not in container["args"]:
            continue
        file = container["args"][container["args"].index("--config") + 1]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        with tempfile.TemporaryDirectory() as root:
            for mount in container["volumeMounts"]:
                volume = volumes[mount["name"]]
                files = maps.get(volume["configMap"]["name"], {}) if "configMap" in volume else None
                place = pathlib.Path(root + mount["mountPath"])
                place.mkdir(parents=True)
                for entry, content in (standins.files() if files is None else files).items():
                    if isinstance(content, str):
                        content = content.replace("/etc/gateway", root + "/etc/gateway").encode()
                    (place / entry).write_bytes(content)
                    (place / entry).chmod(0o440)
            code, text = run(GATEWAY, "check", "--config", root + file)
            # A store of one pod forgets at a restart, which the documents say.
            lines = [line for line in text.splitlines() if "a restart forgets revoked sessions" not in line]
            if code or any("warning" in line for line in lines):
                complaints.append(f"{who}: {text}")
            config = pathlib.Path(root + file).read_text() if not code else ""
        if config and "terminationGracePeriodSeconds" in spec:
            complaints += [f"{who}: {text}" for text in ending(config, spec["terminationGracePeriodSeconds"])]
    return complaints


def ending(config, killed):
    """Checks that a pod stops before the kubelet kills it."""
    # The chart sets all three; a whole configuration must set them itself.
    times = dict(re.findall(r'^(drain_delay|drain_window|grace) = "(\d+)s"', config, re.M))
    missing = {"drain_delay", "drain_window", "grace"} - set(times)
    if missing:
        return [f"no {key} in its configuration" for key in sorted(missing)]
    delay, window, grace = (int(times[key]) for key in ("drain_delay", "drain_window", "grace"))
    complaints = []
    if delay + grace + FAREWELL >= killed:
        complaints.append(f"killed after {killed} s, wants {delay} + {grace} + {FAREWELL} s")
    # The readiness probe must fail twice, and load balancers must notice.
    if delay < READINESS:
        complaints.append(f"nothing more is accepted after {delay} s, balancers need {READINESS} s")
    if not window <= grace:
        complaints.append(f"sockets are closed over {window} s, but broken off after {grace} s")
    if grace < LONG_POLL:
        complaints.append(f"BOSH requests are held for {LONG_POLL} s, but broken off after {grace} s")
    return complaints


# Seconds: the last close frames; two probes of three seconds each; a BOSH request of Jitsi's client.
FAREWELL = 2
READINESS = 6
LONG_POLL = 60


def examine(suite, label, text, versions=KUBERNETES):
    """Runs all checks on one rendering."""
    things = load(text)
    for version in versions:
        suite.check(f"{label}: fields known to Kubernetes {version}", lambda v=version: by_schema(things, v))
    suite.check(f"{label}: pods are restricted", lambda: restricted(things))
    suite.check(f"{label}: selectors and ports fit", lambda: connected(things))
    suite.check(f"{label}: `check` takes the configuration", lambda: configuration(things))
