"""Admission of pods by the API server: Pod Security `restricted`, no token, no rights in the cluster."""

import copy
import pathlib
import tempfile
import time

import renderings
from applied import kustomized
from client import named

# Seconds in which a binding has to take effect.
NOTICED = 60

# Changes of a pod that Pod Security `restricted` refuses, and the text of each refusal.
BREACHES = {
    "may escalate": (lambda spec: context(spec).update(allowPrivilegeEscalation=True), "allowPrivilegeEscalation != false"),
    "has a capability": (lambda spec: context(spec)["capabilities"].update(add=["NET_ADMIN"]), "unrestricted capabilities"),
    "keeps the default capabilities": (lambda spec: context(spec)["capabilities"].pop("drop"), "unrestricted capabilities"),
    "is privileged": (lambda spec: context(spec).update(privileged=True, allowPrivilegeEscalation=True), "privileged"),
    "runs as root": (lambda spec: spec["securityContext"].update(runAsUser=0), "runAsUser=0"),
    "may run as root": (lambda spec: unset(spec, "runAsNonRoot"), "runAsNonRoot != true"),
    "has no seccomp profile": (lambda spec: unset(spec, "seccompProfile"), "seccompProfile"),
    "uses the host's network": (lambda spec: spec.update(hostNetwork=True), "host namespaces"),
    "mounts a directory of the host": (
        lambda spec: spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}}), "hostPath",
    ),
}


def context(spec):
    return spec["containers"][0]["securityContext"]


def unset(spec, key):
    """Removes a key of the pod's and its containers' security context."""
    spec["securityContext"].pop(key, None)
    for container in spec["containers"] + spec.get("initContainers", []):
        container["securityContext"].pop(key, None)


def check(suite, cluster):
    for label, namespace, things in cases(cluster):
        renderings.prepare(cluster, namespace)
        # Pods need their ServiceAccount.
        accounts = [thing for thing in things if thing["kind"] == "ServiceAccount"]
        suite.check(f"admission {label}: the ServiceAccount is created", lambda: cluster.apply(accounts) if accounts else ["none"])
        for owner, pod in pods(things):
            suite.check(f"admission {label}: pod of {owner} is admitted", lambda p=pod: cluster.try_out(p, namespace)[0])
            suite.check(f"admission {label}: pod of {owner} gets no token", lambda p=pod: tokens(cluster, p, namespace))
            for breach, (change, text) in BREACHES.items():
                suite.check(
                    f"control, admission {label}: pod of {owner} is refused if it {breach}",
                    lambda p=pod, c=change, t=text: refused(cluster, p, namespace, c, t),
                )
        for account in accounts:
            suite.check(f"admission {label}: the ServiceAccount has no rights", lambda a=account: rights(cluster, named(a, namespace)))
        suite.check(f"admission {label}: no object grants rights", [named(thing, namespace) for thing in things if "rbac" in thing["apiVersion"]])
    controls(suite, cluster)


def cases(cluster):
    """Every rendering, the pods of `helm test` included: (label, namespace, objects)."""
    for label, values in renderings.charts().items():
        namespace = f"admission-{label}"
        with tempfile.TemporaryDirectory() as directory:
            options = renderings.arguments(pathlib.Path(directory), values)
            yield label, namespace, renderings.rendered(cluster, namespace, options)
    for folder in renderings.overlays():
        things = kustomized(cluster, folder)
        yield f"overlay {folder.name}", things[0]["metadata"]["namespace"], things


def pods(things):
    """The pods that controllers would create: (kind of the owner, pod)."""
    for thing in things:
        template = thing if thing["kind"] == "Pod" else thing.get("spec", {}).get("template")
        if template and thing["kind"] in ("Pod", "Deployment", "Job"):
            metadata = {"name": "tried", "labels": template["metadata"]["labels"]}
            yield thing["kind"], {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def tokens(cluster, pod, namespace):
    """Volumes and mounts with a token; the admission of ServiceAccounts adds them unless a pod declines."""
    complaints, kept = cluster.try_out(pod, namespace)
    volumes = kept.get("spec", {}).get("volumes", [])
    projected = [volume["name"] for volume in volumes if "serviceAccountToken" in str(volume)]
    return complaints + [f"token in {name}" for name in projected]


def refused(cluster, pod, namespace, change, text):
    pod = copy.deepcopy(pod)
    change(pod["spec"])
    complaints, _ = cluster.try_out(pod, namespace)
    if len(complaints) == 1 and "violates PodSecurity" in complaints[0] and text in complaints[0]:
        return []
    return [f"wants a refusal for {text!r}: {complaints}"]


def rules(cluster, namespace, name):
    """The rights of the account of this name in its namespace."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    status, answer, _ = cluster.request("POST", path, review, user=f"system:serviceaccount:{namespace}:{name}")
    if status != 201:
        raise RuntimeError(answer)
    return answer["status"]["resourceRules"] + answer["status"]["nonResourceRules"]


def rights(cluster, account):
    """Rights beyond those of an account that no object mentions."""
    _, namespace, name = account
    none = rules(cluster, namespace, "unmentioned")
    return [f"may {rule}" for rule in rules(cluster, namespace, name) if rule not in none]


def controls(suite, cluster):
    """Controls: a token and a right are noticed."""
    namespace = "admission-control"
    renderings.prepare(cluster, namespace)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "meet", "namespace": namespace}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "meet", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:aggregate-to-view"},
        "subjects": [{"kind": "ServiceAccount", "name": "meet", "namespace": namespace}],
    }
    suite.check("control, admission: an account", lambda: cluster.apply([account]))
    with tempfile.TemporaryDirectory() as directory:
        things = renderings.rendered(cluster, namespace, renderings.arguments(pathlib.Path(directory), renderings.charts()["minimal"]))
    _, pod = next(pods(things))
    pod["spec"] |= {"serviceAccountName": "meet"}
    pod["spec"].pop("automountServiceAccountToken")
    suite.check("control, admission: a token is noticed", [] if tokens(cluster, pod, namespace) else ["it is not"])
    before = rights(cluster, named(account, namespace))
    suite.check("control, admission: the account is bound to a role", lambda: cluster.apply([binding]))
    # The authorizer of the API server learns of the binding a moment later.
    until = time.monotonic() + NOTICED
    while not (after := rights(cluster, named(account, namespace))) and time.monotonic() < until:
        time.sleep(0.05)
    suite.check("control, admission: a right is noticed", [] if after and not before else [f"before {before}, after {after}"])
