"""The kustomize overlays, by kubectl."""

import json
import os
import pathlib
import sys
import tempfile

import manifests
from suite import OUTPUT, ROOT, complaints_of, run

KUSTOMIZE = ROOT / "deploy" / "kustomize"


def check(suite):
    suite.check(
        "kustomize: base and doctor are what the chart renders",
        lambda: complaints_of(sys.executable, KUSTOMIZE / "render", "--check", "--helm", suite.tool("helm4")),
    )
    rendered = OUTPUT / "rendered"
    rendered.mkdir(parents=True, exist_ok=True)
    for folder in [KUSTOMIZE / "base", *sorted((KUSTOMIZE / "overlays").iterdir())]:
        code, text = run(suite.tool("kubectl"), "kustomize", folder)
        suite.check(f"kustomize {folder.name}: kubectl kustomize", [text] if code else [])
        suite.check(
            f"kustomize {folder.name}: rendered twice the same",
            [] if run(suite.tool("kubectl"), "kustomize", folder)[1] == text else ["it differs"],
        )
        (rendered / f"kustomize-{folder.name}.yaml").write_text(text)
        manifests.examine(suite, f"kustomize {folder.name}", text)
    suite.check("kustomize openshift: no ids", lambda: openshift(suite))


def openshift(suite):
    """The component leaves the ids of each overlay's pods to OpenShift."""
    complaints = []
    for name in ("trial", "redis"):
        with tempfile.TemporaryDirectory(dir=OUTPUT) as folder:
            above = pathlib.Path(os.path.relpath(KUSTOMIZE, folder))
            kustomization = {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": [str(above / "overlays" / name)],
                "components": [str(above / "components" / "openshift")],
            }
            (pathlib.Path(folder) / "kustomization.yaml").write_text(json.dumps(kustomization))
            code, text = run(suite.tool("kubectl"), "kustomize", folder)
        contexts = [spec["securityContext"] for _, _, spec in manifests.pods(manifests.load(text))] if not code else []
        if not contexts or any({"runAsUser", "runAsGroup", "fsGroup"} & set(context) for context in contexts):
            complaints.append(f"{name}: {text}")
    return complaints
