"""Drift as Argo CD and Flux define it: server-side apply of the same objects a second time changes nothing."""

import pathlib
import tempfile

import manifests
import renderings
from client import MANAGER, SCALED, named



def check(suite, cluster):
    for label, values in renderings.charts().items():
        namespace = f"applied-{label}"
        renderings.prepare(cluster, namespace)
        with tempfile.TemporaryDirectory() as directory:
            first = renderings.arguments(pathlib.Path(directory), values)
            second = renderings.arguments(pathlib.Path(directory), values, renderings.CHANGE)
            steps(
                suite, cluster, f"applied {label}", namespace,
                lambda options=first: renderings.by_argocd(renderings.rendered(cluster, namespace, options)),
                lambda options=second: renderings.by_argocd(renderings.rendered(cluster, namespace, options)),
            )
    for folder in renderings.overlays():
        things = kustomized(cluster, folder)
        namespace = things[0]["metadata"]["namespace"]
        renderings.prepare(cluster, namespace)
        steps(
            suite, cluster, f"applied overlay {folder.name}", namespace,
            lambda f=folder: kustomized(cluster, f),
            lambda f=folder: upgraded(kustomized(cluster, f)),
        )
        client_side(suite, cluster, folder)
    control(suite, cluster)


def kustomized(cluster, folder):
    code, text = cluster.run("kubectl", "kustomize", folder)
    if code:
        raise RuntimeError(text)
    return manifests.load(text)


def upgraded(things):
    """The objects with the tag of another release."""
    for thing in things:
        if thing["kind"] == "Deployment":
            container = thing["spec"]["template"]["spec"]["containers"][0]
            container["image"] = container["image"].rpartition(":")[0] + ":0.2.0"
    return things


def client_side(suite, cluster, folder):
    """`kubectl apply --kustomize` as a person runs it, without server-side apply."""
    label = f"applied overlay {folder.name}"
    words = ("apply", "--kustomize", folder, "--validate=strict", "--warnings-as-errors")
    suite.check(f"{label}: kubectl apply --kustomize", lambda: cluster.complaints("kubectl", *words))
    # By versions: kubectl prints "configured" for a PodDisruptionBudget that its patch does not change.
    things = kustomized(cluster, folder)
    before = versions(cluster, "", things)
    found = cluster.complaints("kubectl", *words)
    after = versions(cluster, "", things)
    suite.check(f"{label}: kubectl apply --kustomize changes no version the second time", found + differences(before, after))
    code, text = cluster.run("kubectl", "delete", "--kustomize", folder)
    suite.check(f"{label}: kubectl delete --kustomize", [text] if code else [])


def steps(suite, cluster, label, namespace, first, second):
    """`first` and `second` render the objects anew at each call, before and after an upgrade."""
    suite.check(f"{label}: applied", lambda: cluster.apply(first()))
    suite.check(f"{label}: the second time changes no version", lambda: unchanged(cluster, namespace, first))
    suite.check(f"{label}: no difference", lambda: difference(cluster, first()))

    def without_hooks():
        return [thing for thing in second() if not renderings.is_argocd_hook(thing)]

    old = generation(cluster, namespace, first())
    suite.check(f"{label}: applied after a change", lambda: cluster.apply(without_hooks()))
    suite.check(
        f"{label}: the change causes one rollout",
        lambda: [] if generation(cluster, namespace, first()) == old + 1 else ["another generation"],
    )
    suite.check(f"{label}: the second time changes no version, after the change", lambda: unchanged(cluster, namespace, without_hooks))
    suite.check(f"{label}: no difference after the change", lambda: difference(cluster, without_hooks()))
    if any(thing["kind"] == "HorizontalPodAutoscaler" for thing in first()):
        suite.check(f"{label}: it leaves the number of replicas to the autoscaler", lambda: scaled(cluster, namespace, without_hooks()))
    code, text = cluster.run("kubectl", "delete", "--filename=-", input=manifests.dump(first()))
    suite.check(f"{label}: deleted", [text] if code else [])


def versions(cluster, namespace, things):
    """resourceVersion and generation of each object."""
    there = cluster.everything()
    found = {key: there[key]["metadata"] for key in (named(thing, namespace) for thing in things)}
    return {key: (metadata["resourceVersion"], metadata.get("generation")) for key, metadata in found.items()}


def unchanged(cluster, namespace, render):
    before = versions(cluster, namespace, render())
    complaints = cluster.apply(render())
    after = versions(cluster, namespace, render())
    return complaints + differences(before, after)


def differences(before, after):
    return [f"{key}: {before[key]} became {after[key]}" for key in before if before[key] != after[key]]


def difference(cluster, things):
    words = ("diff", "--server-side", f"--field-manager={MANAGER}", "--filename=-")
    code, text = cluster.run("kubectl", *words, input=manifests.dump(things))
    return [text] if code or text else []


def deployment(things):
    return next(thing for thing in things if thing["kind"] == "Deployment")


def generation(cluster, namespace, things):
    return versions(cluster, namespace, [deployment(things)])[named(deployment(things), namespace)][1]


def scaled(cluster, namespace, things):
    """The objects are applied again after the autoscaler has scaled the Deployment."""
    name = deployment(things)["metadata"]["name"]
    complaints = cluster.scale(namespace, name) + cluster.apply(things) + difference(cluster, things)
    replicas = cluster.replicas(namespace, name)
    return complaints + ([f"{replicas} replicas"] if replicas != SCALED else [])


def control(suite, cluster):
    """Controls: a difference in the cluster, and an object that differs at each rendering, are noticed."""
    namespace = "applied-control"
    renderings.prepare(cluster, namespace)
    count = iter(range(10))

    def render():
        return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "drift", "namespace": namespace}, "data": {"n": str(next(count))}}]

    suite.check("control: applied", lambda: cluster.apply(render()))
    found = unchanged(cluster, namespace, render)
    suite.check("control: a random value is drift", [] if len(found) == 1 and "became" in found[0] else [found])
    suite.check("control: a difference is shown", [] if difference(cluster, render()) else ["none"])
