"""Releases: the objects that Helm creates, changes, restores and removes."""

import pathlib
import tempfile

import yaml

import renderings
from applied import deployment
from chart import CHART, HELMS
from client import SCALED, intended, named


def check(suite, cluster):
    for label, values in renderings.charts().items():
        for helm in HELMS:
            namespace = f"{helm}-{label}"
            renderings.prepare(cluster, namespace)
            with tempfile.TemporaryDirectory() as directory:
                Release(suite, cluster, helm, namespace, pathlib.Path(directory), values).check(f"release {label}, {helm}")
    for helm in HELMS:
        doctor(suite, cluster, helm)
        autoscaler(suite, cluster, helm)
    warnings(suite, cluster)


class Release:
    """One release in its namespace."""

    def __init__(self, suite, cluster, helm, namespace, directory, values):
        self.suite, self.cluster, self.helm, self.namespace = suite, cluster, helm, namespace
        self.first = renderings.arguments(directory, values)
        self.second = renderings.arguments(directory, values, renderings.CHANGE)

    def check(self, label):
        before = self.cluster.everything()
        self.suite.check(f"{label}: install", self.command("install", renderings.RELEASE, CHART, *self.first))
        installed = self.added(before)
        self.suite.check(f"{label}: it creates the rendered objects, and no others", lambda: self.as_rendered(installed))
        self.suite.check(f"{label}: the manifest equals the objects", self.drift)
        self.suite.check(f"{label}: upgrade", self.command("upgrade", renderings.RELEASE, CHART, *self.second))
        upgraded = self.added(before)
        self.suite.check(f"{label}: the upgrade changes all of the chart's objects, and replaces none", lambda: changed(installed, upgraded))
        self.suite.check(f"{label}: the manifest equals the objects, after the upgrade", self.drift)
        self.suite.check(f"{label}: rollback", self.command("rollback", renderings.RELEASE, "1"))
        self.suite.check(f"{label}: the rollback restores every object", lambda: restored(installed, self.added(before)))
        for kind, namespace, name in installed:
            if kind == "HorizontalPodAutoscaler":
                self.suite.check(f"{label}: an upgrade leaves the number of replicas to the autoscaler", lambda n=name: self.scaled(n))
        self.suite.check(f"{label}: uninstall", self.command("uninstall", renderings.RELEASE))
        self.suite.check(f"{label}: it leaves nothing", lambda: [f"left: {key}" for key in self.left(before)])
        missing = set(before) - set(self.cluster.everything())
        self.suite.check(f"{label}: it removes nothing else", [f"gone: {key}" for key in missing])

    def command(self, *words):
        return self.cluster.complaints(self.helm, *words, "--namespace", self.namespace)

    def left(self, before):
        """The objects that were not there before."""
        return {key: thing for key, thing in self.cluster.everything().items() if key not in before}

    def added(self, before):
        """The objects that were not there before, without Helm's records of the release."""
        return {key: thing for key, thing in self.left(before).items() if thing.get("type") != "helm.sh/release.v1"}

    def as_rendered(self, installed):
        things = renderings.rendered(self.cluster, self.namespace, self.first, self.helm)
        wanted = {named(thing, self.namespace) for thing in renderings.by_helm(things)}
        return [f"missing: {key}" for key in wanted - set(installed)] + [f"beside: {key}" for key in set(installed) - wanted]

    def scaled(self, name):
        complaints = self.cluster.scale(self.namespace, name)
        complaints += self.command("upgrade", renderings.RELEASE, CHART, *self.second)
        replicas = self.cluster.replicas(self.namespace, name)
        return complaints + ([f"{replicas} replicas"] if replicas != SCALED else [])

    def drift(self):
        """Differences as the helm-controller of Flux finds them: by a dry run of applying the release's manifest."""
        code, manifest = self.cluster.run(self.helm, "get", "manifest", renderings.RELEASE, "--namespace", self.namespace)
        if code:
            return [manifest]
        diff = ("diff", "--server-side", "--force-conflicts", "--field-manager=helm-controller", "--filename=-")
        return self.cluster.complaints("kubectl", *diff, input=manifest)


def changed(before, after):
    complaints = [f"another set of objects: {sorted(set(before) ^ set(after))}"] if set(before) != set(after) else []
    for key in set(before) & set(after):
        old, new = before[key]["metadata"], after[key]["metadata"]
        if old["uid"] != new["uid"]:
            complaints.append(f"replaced: {key}")
        # The chart's own objects have the labels in the values; those of `extraObjects` have not.
        if "helm.sh/chart" in old.get("labels", {}) and "example.org/changed" not in new["labels"]:
            complaints.append(f"unchanged: {key}")
        if key[0] == "Deployment" and new["generation"] != old["generation"] + 1:
            complaints.append(f"generation {old['generation']} became {new['generation']}: {key}")
    return complaints


def restored(before, after):
    complaints = [f"another set of objects: {sorted(set(before) ^ set(after))}"] if set(before) != set(after) else []
    for key in set(before) & set(after):
        old, new = intended(before[key]), intended(after[key])
        if old != new:
            complaints.append(f"{key}:\n{yaml.safe_dump(old)}\nbecame\n{yaml.safe_dump(new)}")
    return complaints


def doctor(suite, cluster, helm):
    """`helm test` runs the doctor, which never starts here; its pod stays, with its log, until the next test."""
    namespace = f"{helm}-doctor"
    renderings.prepare(cluster, namespace)
    before = cluster.everything()
    common = ("--namespace", namespace)
    with tempfile.TemporaryDirectory() as directory:
        options = renderings.arguments(pathlib.Path(directory), renderings.charts()["minimal"])
        suite.check(f"doctor, {helm}: install", cluster.complaints(helm, "install", renderings.RELEASE, CHART, *common, *options))
    pods = []
    for number in ("first", "second"):
        code, text = cluster.run(helm, "test", renderings.RELEASE, "--timeout", "1s", *common)
        found = [thing for (kind, place, _), thing in cluster.everything().items() if (kind, place) == ("Pod", namespace)]
        pods.append(found)
        suite.check(f"doctor, {helm}: the {number} helm test creates one pod, and fails because it does not end", [] if code and len(found) == 1 else [text])
    suite.check(f"doctor, {helm}: the second pod replaces the first", [] if pods[0][0]["metadata"]["uid"] != pods[1][0]["metadata"]["uid"] else pods)
    suite.check(f"doctor, {helm}: uninstall", cluster.complaints(helm, "uninstall", renderings.RELEASE, *common))
    left = sorted(set(cluster.everything()) - set(before))
    suite.check(f"doctor, {helm}: the pod of the failed test is all that is left", [] if left == [named(pods[1][0] | {"kind": "Pod"}, namespace)] else left)


def autoscaler(suite, cluster, helm):
    """An autoscaler is added to a running release."""
    namespace = f"{helm}-autoscaler"
    renderings.prepare(cluster, namespace)
    values = {**renderings.charts()["redis"], "autoscaling": {"enabled": False}, "replicaCount": 3}
    with tempfile.TemporaryDirectory() as directory:
        release = Release(suite, cluster, helm, namespace, pathlib.Path(directory), values)
        release.second = renderings.arguments(pathlib.Path(directory), values, {"autoscaling": {"enabled": True}})
        suite.check(f"autoscaler, {helm}: install", release.command("install", renderings.RELEASE, CHART, *release.first))
        name = deployment(renderings.rendered(cluster, namespace, release.first))["metadata"]["name"]
        complaints = release.scaled(name)
    # Helm 3 removes `replicas`, which then has its default. Server-side apply leaves a number that another has set.
    wanted = ["1 replicas"] if helm == "helm3" else []
    suite.check(f"autoscaler, {helm}: an upgrade adds it, with the effect on pods that is documented", [] if complaints == wanted else complaints)


def warnings(suite, cluster):
    """Controls: a warning of the API server is a complaint, whichever program prints it."""
    renderings.prepare(cluster, "warnings")
    values = {**renderings.charts()["minimal"], "securityContext": {"allowPrivilegeEscalation": True}}
    with tempfile.TemporaryDirectory() as directory:
        options = renderings.arguments(pathlib.Path(directory), values)
        for helm in HELMS:
            found = cluster.complaints(helm, "install", renderings.RELEASE, CHART, "--namespace", "warnings", *options)
            suite.check(f"control: a warning that {helm} prints is noticed", expect(found, "would violate PodSecurity"))
            code, text = cluster.run(helm, "uninstall", renderings.RELEASE, "--namespace", "warnings")
            suite.check(f"control: {helm} uninstalls that release", [text] if code else [])
        things = renderings.rendered(cluster, "warnings", options)
        found = cluster.apply([thing for thing in things if thing["kind"] == "Deployment"])
    suite.check("control: a warning that kubectl prints is noticed", expect(found, "would violate PodSecurity"))


def expect(found, text):
    """Complaints unless there is exactly one, with this text."""
    return [] if len(found) == 1 and text in found[0] else [f"wants {text!r}, found {found}"]
