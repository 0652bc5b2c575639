"""Medians and quartiles, and the table that shows them."""

from pathlib import Path
from statistics import median, quantiles

from rows import TRANSPORTS

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- results -->", "<!-- end of the results -->"

# Below this share the proxy's core was not saturated, so that load generator or backend limited the requests.
SATURATED = 0.90
# Above this share of the proxy's core, other load disturbed the measurement.
DISTURBED = 0.05


def machine_facts(facts):
    return "\n".join(["| machine | |", "|---|---|", *(f"| {k} | {v} |" for k, v in facts.items())])


def table(results, names, base):
    """`results[transport, row][proxy]` is the list of samples, one a slice."""
    others = [name for name in names if name != base]
    lines = [
        f"| request | | {base} | {' | '.join(others)} "
        f"| {' | '.join(f'{name} to {base} | quartiles' for name in others)} |",
        f"|---|---|{'---:|' * len(names)}{'---:|---:|' * len(others)}",
    ]
    for (by, row), samples in results.items():
        costs = [cost(samples[name]) for name in [base, *others]]
        ratios = [ratio(samples, name, base) for name in others]
        lines.append(f"| {row.title} | {TRANSPORTS[by]} | {' | '.join(costs + ratios)} |")
    return "\n".join(lines + notes(results))


def cost(samples):
    if problems := problems_of(samples):
        return f"invalid: {problems[0]}"
    used = median(sample.used for sample in samples)
    mark = "" if used >= SATURATED else "\\*"
    return f"{median(sample.micros for sample in samples):.1f} µs{mark}"


def ratio(samples, name, base):
    """Slice by slice, because other load affects neighbours alike."""
    if problems_of(samples[base]) or problems_of(samples[name]):
        return "– | –"
    found = [one.micros / other.micros for one, other in zip(samples[name], samples[base])]
    if len(found) == 1:
        return f"{found[0]:.2f} | –"
    low, middle, high = quantiles(found, n=4, method="inclusive")
    return f"{middle:.2f} | {low:.2f}–{high:.2f}"


def problems_of(samples):
    return [sample.problem for sample in samples if sample.problem]


def notes(results):
    every = [s for samples in results.values() for of in samples.values() for s in of]
    slices = max(len(of) for samples in results.values() for of in samples.values())
    found = [f"CPU time per request, medians and quartiles of {slices} slices of one second."]
    if any(sample.used < SATURATED for sample in every):
        found.append("\\* The proxy's core was not always busy: load generator or backend limited the requests.")
    disturbed = sum(sample.others > DISTURBED for sample in every)
    if disturbed:
        found.append(f"In {disturbed} of {len(every)} slices something else took more than "
                     f"{DISTURBED:.0%} of the proxy's core.")
    return ["", "\n".join(found)]


def write_readme(text):
    """Replaces the results in the README, which this run then is the record of."""
    before, begin, rest = README.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{README} has no place for results")
    README.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")
