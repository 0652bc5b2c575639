"""The comparison of counts with a baseline: pure functions, and the file that keeps the baseline."""

import json
from collections import namedtuple

# Instructions repeat within 1 %. Whether a read finds the whole answer, or the end of it, is chance.
TOLERANCES = {"instructions": 0.03, "allocations": 0.03, "syscalls": 0.1}

# `before` is None for a figure that the baseline has not.
Difference = namedtuple("Difference", "scenario key before now")


def differences(counted, known):
    """What differs from the baseline by more than its tolerance. Fewer count as well: otherwise the next change may
    add as many."""
    return [
        Difference(name, key, known.get(name, {}).get(key), now)
        for name, figures in counted.items()
        for key, now in figures.items()
        if key in TOLERANCES and not holds(known.get(name, {}).get(key), now, TOLERANCES[key])
    ]


def holds(before, now, tolerance):
    return before is not None and abs(change(before, now)) <= tolerance


def change(before, now):
    """The relative change. Of less than one call per request, the absolute one."""
    return (now - before) / max(before, 1)


def notices(slowed, known):
    """Whether the comparison fails for the figures of a request that does more work, because of its instructions."""
    return any(
        one.key == "instructions" and one.before is not None and one.now > one.before
        for one in differences(slowed, known)
    )


def describe(difference):
    name, key, before, now = difference
    if before is None:
        return f"{name}: {key} {now:.1f}, and none in the baseline"
    return f"{name}: {key} {before:.1f} → {now:.1f} ({change(before, now):+.1%})"


def advice(recorded, conditions, update):
    """What to do about differences. A compiler makes other code of the same source."""
    others = [
        f"{key}: {conditions[key]} here, {recorded.get(key, 'unknown')} in the baseline"
        for key in conditions
        if conditions[key] != recorded.get(key)
    ]
    lines = []
    if others:
        lines += ["The baseline was counted under other conditions:", *others]
        lines.append("If the counts before your change differ as well, these are the cause.")
    lines.append(f"If the difference is intended: {update}, and commit the baseline with its reason.")
    return lines


def read(path):
    """The conditions of a baseline, and its figures by scenario."""
    if not path.exists():
        return {}, {}
    kept = json.loads(path.read_text())
    return kept["conditions"], kept["scenarios"]


def write(path, conditions, known, counted):
    """Figures that were not counted stay."""
    merged = dict(known)
    for name, figures in counted.items():
        rounded = {key: round(value, 2) for key, value in figures.items() if key in TOLERANCES}
        merged[name] = {**merged.get(name, {}), **rounded}
    path.write_text(json.dumps({"conditions": conditions, "scenarios": merged}, indent=2) + "\n")
