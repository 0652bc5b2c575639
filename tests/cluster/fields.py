"""Fields of the objects, by the definitions that the API server has: Kubernetes' own, and those of other projects."""

import pathlib
import tempfile

import examples
import renderings
from applied import difference, kustomized, unchanged

# Keys in Kubernetes' own kinds below which users choose the names.
FREE = {"annotations", "data", "limits", "nodeSelector", "requests", "selector"}


def check(suite, cluster):
    for label, things in examples.objects():
        for thing in things:
            renderings.prepare(cluster, thing["metadata"]["namespace"])
        suite.check(f"fields, example {label}: applied", lambda t=things: cluster.apply(t))
        # The first update stores the status that some definitions have as a default.
        suite.check(f"fields, example {label}: updated", lambda t=things: cluster.apply(t))
        suite.check(f"fields, example {label}: the next time changes no version", lambda t=things: unchanged(cluster, "", lambda: t))
        suite.check(f"fields, example {label}: no difference", lambda t=things: difference(cluster, t))
        for thing in things:
            suite.check(f"control, fields, example {label}: every misspelt field of {thing['kind']} is refused", lambda t=thing: taken(cluster, t))
    for thing in rendered_kinds(cluster):
        renderings.prepare(cluster, thing["metadata"]["namespace"])
        # A pod needs its ServiceAccount; admission.py creates both.
        if thing["kind"] != "Pod":
            suite.check(f"fields, {thing['kind']}: accepted", lambda t=thing: tried(cluster, t))
        suite.check(f"control, fields, {thing['kind']}: every misspelt field is refused", lambda t=thing: taken(cluster, t))


def rendered_kinds(cluster):
    """One object of each kind that chart and overlays have, that with the most fields."""
    found = {}
    namespace = "fields"
    renderings.prepare(cluster, namespace)
    things = [thing for folder in renderings.overlays() for thing in kustomized(cluster, folder)]
    for values in renderings.charts().values():
        with tempfile.TemporaryDirectory() as directory:
            options = renderings.arguments(pathlib.Path(directory), values)
            things += renderings.rendered(cluster, namespace, options)
    for thing in things:
        if thing["kind"] not in found or len(str(thing)) > len(str(found[thing["kind"]])):
            found[thing["kind"]] = thing
    return found.values()


def tried(cluster, thing):
    """Complaints about creating the object once more under another name, which is not kept."""
    thing = {**thing, "metadata": {**thing["metadata"], "name": "tried"}}
    return cluster.try_out(thing, thing["metadata"]["namespace"])[0]


def taken(cluster, thing):
    """The paths of misspelt fields that the API server does not refuse by name."""
    paths, seen = [], 0
    for path, changed in examples.misspelt(thing):
        if not FREE.intersection(path[:-1]):
            seen += 1
            complaints = tried(cluster, changed)
            if not any("unknown field" in text and f'{path[-1]}x"' in text for text in complaints):
                paths.append(f"{path}: {complaints}")
    return paths or ([] if seen else ["it has no fields"])
