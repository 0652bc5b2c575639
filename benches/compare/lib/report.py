"""Medians, and the tables that show them."""

from statistics import median

import load
from rows import TRANSPORTS

# Below this share the proxy's core was not saturated, so the load generator limited requests/s.
SATURATED = 0.90
# Above this share of the proxy's core, other load disturbed the measurement.
DISTURBED = 0.05


def machine_facts(facts):
    return "\n".join(["| machine | |", "|---|---|", *(f"| {k} | {v} |" for k, v in facts.items())])


def tables(results, targets, base):
    """`results[transport, row][target]` is the list of samples, one a round."""
    out = []
    for transport, title in TRANSPORTS.items():
        lines = [
            line
            for (by, row), samples in results.items()
            if by == transport
            for line in row_lines(row, samples, targets, base)
        ]
        if lines:
            out += [
                "",
                f"### {title}, {load.CONNECTIONS} keep-alive connections",
                "",
                "| request | proxy | CPU µs/request | to nginx | lowest–highest | requests/s "
                "| to nginx | core used |",
                "|---|---|---:|---:|---:|---:|---:|---:|",
                *lines,
            ]
    return "\n".join(out + notes(results))


def row_lines(row, samples, targets, base):
    for target in targets:
        problems = problems_of(samples[target.name])
        if problems:
            yield f"| {row.title} | {target.name} | invalid: {problems[0]} | | | | | |"
            continue
        micros, rate, used = (
            median(getattr(sample, key) for sample in samples[target.name])
            for key in ("micros", "rate", "used")
        )
        cost = ratios(samples, target.name, base, "micros")
        speed = ratios(samples, target.name, base, "rate")
        mark = "" if used >= SATURATED else "\\*"
        yield (
            f"| {row.title} | {target.name} | {micros:.1f} | {middle(cost)} | {span(cost)} "
            f"| {rate:.0f}{mark} | {middle(speed)} | {used:.0%} |"
        )


def ratios(samples, name, base, key):
    """The ratio per round, because background load affects both."""
    if problems_of(samples[base]):
        return []
    return [
        getattr(one, key) / getattr(other, key)
        for one, other in zip(samples[name], samples[base])
    ]


def middle(values):
    return f"{median(values):.2f}" if values else "–"


def span(values):
    return f"{min(values):.2f}–{max(values):.2f}" if values else "–"


def problems_of(samples):
    return [sample.problem for sample in samples if sample.problem]


def notes(results):
    every = [s for samples in results.values() for of in samples.values() for s in of]
    found = []
    if any(sample.used < SATURATED for sample in every):
        found.append("\\* The proxy's core was not always busy: load generator or backend set this "
                     "figure, not the proxy. Go by the CPU time per request.")
    disturbed = sum(sample.others > DISTURBED for sample in every)
    if disturbed:
        found.append(f"In {disturbed} of {len(every)} runs something else took more than "
                     f"{DISTURBED:.0%} of the proxy's core: compare on a quiet machine.")
    return [line for note in found for line in ("", note)]
