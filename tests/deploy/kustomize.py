"""The kustomize overlays, by kubectl."""

import sys

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
