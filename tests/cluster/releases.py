"""The life of a release: what Helm creates, changes, restores and removes."""

import pathlib
import tempfile

import yaml

import renderings
from chart import CHART, HELMS
from client import intended, named


def check(suite, cluster):
    for label, values in renderings.charts().items():
        # A Job cannot be changed. Argo CD deletes and creates it at each sync; Helm does not.
        values = {**values, "doctor": {**values.get("doctor", {}), "argocd": False}}
        for helm in HELMS:
            namespace = f"{helm}-{label}"
            renderings.prepare(cluster, namespace)
            with tempfile.TemporaryDirectory() as directory:
                Life(suite, cluster, helm, namespace, pathlib.Path(directory), values).check(f"release {label}, {helm}")
    warnings(suite, cluster)


class Life:
    """One release in its namespace."""

    def __init__(self, suite, cluster, helm, namespace, directory, values):
        self.suite, self.cluster, self.helm, self.namespace = suite, cluster, helm, namespace
        self.first = renderings.arguments(directory, values)
        self.second = renderings.arguments(directory, values, renderings.CHANGE)

    def check(self, label):
        before = self.cluster.everything()
        self.suite.check(f"{label}: install", self.command("install", renderings.RELEASE, CHART, *self.first))
        installed = self.added(before)
        self.suite.check(f"{label}: it creates what it renders, and nothing else", lambda: self.as_rendered(installed))
        self.suite.check(f"{label}: what it rendered is what is there", lambda: self.drift())
        self.suite.check(f"{label}: upgrade", self.command("upgrade", renderings.RELEASE, CHART, *self.second))
        upgraded = self.added(before)
        self.suite.check(f"{label}: the upgrade changes all of the chart's objects, and replaces none", lambda: changed(installed, upgraded))
        self.suite.check(f"{label}: what it rendered is what is there after the upgrade", lambda: self.drift())
        self.suite.check(f"{label}: rollback", self.command("rollback", renderings.RELEASE, "1"))
        self.suite.check(f"{label}: the rollback restores every object", lambda: restored(installed, self.added(before)))
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
        wanted = {named(thing, self.namespace) for thing in renderings.rendered(self.cluster, self.namespace, self.first, self.helm)}
        return [f"missing: {key}" for key in wanted - set(installed)] + [f"beside: {key}" for key in set(installed) - wanted]

    def drift(self):
        """What the helm-controller of Flux compares: the manifest of the release, applied without keeping it."""
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
