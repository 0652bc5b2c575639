"""The renderings that are checked: the chart with each of its examples, and each overlay of kustomize."""

import re
import textwrap

import yaml

import examples
import manifests
from chart import CASES, CHART
from kustomize import KUSTOMIZE
from suite import ROOT

# The values that an upgrade changes; they apply to every example.
CHANGE = {
    "commonLabels": {"example.org/changed": "yes"},
    "podAnnotations": {"example.org/changed": "yes"},
    "resources": {"limits": {"memory": "300Mi"}},
    "service": {"annotations": {"example.org/changed": "yes"}},
    "probes": {"startupSeconds": 40},
}

# The name of the release in all checks.
RELEASE = "meet"

# Namespaces and objects that examples name and do not create.
NAMESPACES = ["jitsi", "argocd", "gateways"]
NEEDED = [
    {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "front-door"}, "value": 1000},
]


def charts():
    """The examples of the chart, the values in the documents, and those for Argo CD and Flux: name → values."""
    found = {file.name.removesuffix("-values.yaml"): yaml.safe_load(file.read_text()) for file in CASES}
    document = (ROOT / "docs" / "kubernetes.md").read_text()
    blocks = re.findall(r"<!-- file: values.yaml -->\n *```yaml\n(.*?)^ *```", document, re.M | re.S)
    return found | {"documented": yaml.safe_load(textwrap.dedent(blocks[0]))} | examples.values()


def overlays():
    return sorted(folder for folder in (KUSTOMIZE / "overlays").iterdir())


def prepare(cluster, namespace):
    """Creates the namespaces and objects that have to exist before the gateway."""
    for name in [namespace, *NAMESPACES]:
        cluster.create_namespace(name)
    for thing in NEEDED:
        cluster.request("POST", cluster.path_of(thing["apiVersion"], thing["kind"], ""), thing)


def arguments(directory, *layers):
    """Writes values to files of a directory; returns the options of Helm that name them."""
    options = []
    for number, values in enumerate(layers):
        file = directory / f"values-{number}.yaml"
        file.write_text(yaml.safe_dump(values))
        options.append(f"--values={file}")
    return options


def rendered(cluster, namespace, options, helm="helm4"):
    """All objects of the chart, hooks included."""
    code, text = cluster.run(helm, "template", RELEASE, CHART, "--namespace", namespace, *options)
    if code:
        raise RuntimeError(text)
    return manifests.load(text)


def annotated(thing, name):
    return name in thing["metadata"].get("annotations", {})


def by_helm(things):
    """The objects that `helm install` creates."""
    return [thing for thing in things if not annotated(thing, "helm.sh/hook")]


def by_argocd(things):
    """The objects that Argo CD syncs: its own hooks have precedence over those of Helm, and `test` is no hook for it.

    argoproj/gitops-engine, pkg/sync/hook/hook.go and helm/type.go; argo-cd v3.5.7, docs/user-guide/helm.md.
    """
    return [thing for thing in things if not annotated(thing, "helm.sh/hook") or is_argocd_hook(thing)]


def is_argocd_hook(thing):
    """Argo CD deletes such an object and creates it again, at each sync."""
    return annotated(thing, "argocd.argoproj.io/hook")
