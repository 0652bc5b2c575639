"""The clients of the API server: kubectl, Helm, and requests whose warnings are read."""

import json
import os
import pathlib
import re
import time

import yaml

import manifests
from suite import run

# How kubectl ("Warning: …"), Helm 3 ("W1129 … warnings.go:70] …") and Helm 4 ("level=WARN …") print a warning of the API server.
WARNING = re.compile(r"^Warning:|warnings\.go|level=WARN", re.M)

# Namespaces enforce this level of Pod Security, and warn of workloads whose pods they would refuse.
POD_SECURITY = "restricted"

# The field manager of server-side apply; Argo CD has this name.
MANAGER = "argocd-controller"

DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"

# The number of replicas that the autoscaler of these tests wants; no example has it.
SCALED = 5

# Seconds in which objects of new definitions have to be served.
SERVED = 60

# Resources that the API server writes by itself: events, its lease, and the address of each Service.
VOLATILE = {"events", "leases", "ipaddresses"}


class Cluster:
    """A running API server and its clients."""

    def __init__(self, control_plane, kubectl, suite):
        self.control_plane = control_plane
        self.programs = {"kubectl": kubectl, "helm3": suite.tool("helm3"), "helm4": suite.tool("helm4")}
        directory = control_plane.directory
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "clusters": [{"name": "test", "cluster": {
                "server": f"https://127.0.0.1:{control_plane.port}",
                "certificate-authority": str(directory / "ca.crt"),
            }}],
            "users": [{"name": "admin", "user": {
                "client-certificate": str(directory / "admin.crt"),
                "client-key": str(directory / "admin.key"),
            }}],
        }
        (directory / "kubeconfig").write_text(yaml.safe_dump(config))
        # Neither the caches nor the settings of the person who runs the tests.
        self.environment = {**os.environ, "HOME": str(directory), "KUBECONFIG": str(directory / "kubeconfig")}
        for name in [name for name in self.environment if name.startswith(("HELM_", "XDG_"))]:
            del self.environment[name]
        self.connection = control_plane.connection()

    # Programs.

    def run(self, program, *words, **options):
        """Runs kubectl or Helm; returns exit code and output."""
        return run(self.programs[program], *words, env=self.environment, **options)

    def complaints(self, program, *words, **options):
        """The output if the program failed or the API server warned."""
        code, text = self.run(program, *words, **options)
        return [f"{program} {' '.join(map(str, words))}: exit {code}\n{text}"] if code or WARNING.search(text) else []

    def apply(self, things, *words):
        """Server-side apply as Argo CD does it; returns complaints."""
        return self.complaints(
            "kubectl", "apply", "--server-side", f"--field-manager={MANAGER}", "--validate=strict", "--warnings-as-errors",
            "--filename=-", *words, input=manifests.dump(things),
        )

    def define(self, directory):
        """Creates the CustomResourceDefinitions, and waits until the API server serves their objects."""
        files = [f"--filename={file}" for file in sorted(pathlib.Path(directory).iterdir())]
        names = [yaml.safe_load(file.read_text())["metadata"]["name"] for file in sorted(pathlib.Path(directory).iterdir())]
        complaints = self.complaints("kubectl", "create", *files)
        complaints += self.complaints("kubectl", "wait", "--for=condition=Established", f"--timeout={SERVED}s", "customresourcedefinition", *names)
        return complaints or self._await_storage()

    def _await_storage(self):
        """Waits until every resource can be listed: the API server answers 429 until it has read a new one from etcd."""
        until = time.monotonic() + SERVED
        while time.monotonic() < until:
            waiting = [name for version, _, _, name in self.resources() if self.request("GET", f"{version}/{name}?limit=1")[0] == 429]
            if not waiting:
                return []
            time.sleep(0.1)
        return [f"not served after {SERVED} s: {waiting}"]

    def create_namespace(self, name):
        """Creates a namespace that enforces Pod Security, if it is not there."""
        labels = {f"pod-security.kubernetes.io/{mode}": POD_SECURITY for mode in ("enforce", "warn", "audit")}
        thing = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        status, answer, _ = self.request("POST", "/api/v1/namespaces", thing)
        if status not in (201, 409):
            raise RuntimeError(answer)

    # Requests.

    def request(self, method, path, thing=None, content="application/json", user=None):
        """Sends a request; returns status, answer and warnings."""
        headers = {"Content-Type": content, "Accept": "application/json"}
        if user:
            headers["Impersonate-User"] = user
        self.connection.request(method, path, json.dumps(thing) if thing is not None else None, headers)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read()), response.headers.get_all("Warning", [])

    def try_out(self, thing, namespace):
        """Creates an object without keeping it, with strict validation; returns complaints and the object as it would be kept."""
        path = f"{self.path_of(thing['apiVersion'], thing['kind'], namespace)}?dryRun=All&fieldValidation=Strict"
        status, answer, warnings = self.request("POST", path, thing)
        return warnings + ([answer["message"]] if status != 201 else []), answer

    def scale(self, namespace, name):
        """Scales a Deployment as an autoscaler does; returns complaints."""
        path = f"{DEPLOYMENTS.format(namespace)}/{name}/scale?fieldManager=kube-controller-manager"
        status, answer, warnings = self.request("PATCH", path, {"spec": {"replicas": SCALED}}, "application/merge-patch+json")
        return warnings + ([answer["message"]] if status != 200 else [])

    def replicas(self, namespace, name):
        return self.request("GET", f"{DEPLOYMENTS.format(namespace)}/{name}")[1]["spec"]["replicas"]

    def resources(self):
        """Every resource that can be listed: (path, is it in namespaces, kind, name)."""
        groups = self.request("GET", "/apis")[1]["groups"]
        versions = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
        for version in versions:
            for found in self.request("GET", version)[1]["resources"]:
                if "list" in found["verbs"] and "/" not in found["name"]:
                    yield version, found["namespaced"], found["kind"], found["name"]

    def path_of(self, api_version, kind, namespace):
        """The path at which objects of a kind are created."""
        version = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        found = next(found for found in self.request("GET", version)[1]["resources"] if found["kind"] == kind and "/" not in found["name"])
        return f"{version}/namespaces/{namespace}/{found['name']}" if found["namespaced"] else f"{version}/{found['name']}"

    def everything(self):
        """All objects of the cluster: (kind, namespace, name) → object."""
        objects = {}
        for version, _, kind, name in self.resources():
            if name not in VOLATILE:
                status, answer, _ = self.request("GET", f"{version}/{name}")
                if status != 200:
                    raise RuntimeError(answer)
                for item in answer["items"]:
                    objects[kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]] = item
        return objects


def named(thing, namespace):
    """The key of an object in `Cluster.everything`."""
    return thing["kind"], thing["metadata"].get("namespace", namespace), thing["metadata"]["name"]


def intended(thing):
    """An object without the metadata that the API server sets, and without a status."""
    server = {"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"}
    metadata = {key: value for key, value in thing["metadata"].items() if key not in server}
    return {**thing, "metadata": metadata, "status": None}
