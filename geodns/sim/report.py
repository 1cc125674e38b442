"""What a run showed, as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite

from geodns.core import duration
from geodns.sim.seen import Load, Seen, Switch, spans
from geodns.sim.simulation import Outcome, Scene

BARS = " ▁▂▃▄▅▆▇█"
COLUMNS = 60
UNSEEN = "no probe sees it, so answers do not change"


def text(scene: Scene, outcome: Outcome, length: float, bounds: Mapping[str, float]) -> str:
    """`bounds`: for each name, the seconds that a failure may be told by honest resolvers."""
    lines = [f"fault: {f.text}" + (f" ({UNSEEN})" if f.partial else "") for f in scene.faults]
    lines += [f"action: {action.text}" for action in scene.actions]
    lines += [f"refused: {action.text}: {why}" for action, why in outcome.refused.items()]
    lines += [_suspicion(*span) for span in outcome.suspicions]
    lines += [f"{duration.text(length)} of virtual time, {len(outcome.flips)} changes of verdicts"]
    columns = spans(length, COLUMNS)
    for seen in outcome.seen:
        lines += ["", f"{seen.name} through {seen.manner} resolvers", *_figures(seen, bounds[seen.name])]
        for region in seen.regions():
            lines.append(f"  {_cut(region or 'backup')} {_bars([seen.share(region, s) for s in columns])}")
        lines.append(f"  {_cut('failed')} {_bars([seen.loss(s) for s in columns])}")
    for load in outcome.loads:
        lines += ["", *_load(load, columns)]
    return "\n".join(lines)


def _suspicion(begins: float, ends: float) -> str:
    until = f"{ends:.1f} s" if isfinite(ends) else "the end"
    return f"the prober suspected itself from {begins:.1f} s to {until}: verdicts stayed as they were"


def _figures(seen: Seen, bound: float) -> Iterator[str]:
    limit = f"the bound for honest resolvers is {bound:.0f} s" if isfinite(bound) else "no bound: unchecked"
    yield (
        f"  {_cut('availability')} {seen.availability:.3%}, {seen.failed.total()} of "
        f"{seen.connections.total()} connections failed, {seen.empty} empty answers"
    )
    if len(seen.tried) > 1:
        each = (f"{name} {1 - seen.missed[name] / tried:.3%}" for name, tried in sorted(seen.tried.items()))
        yield f"  {_cut('by client')} {', '.join(each)}"
    yield f"  {_cut('told wrongly')} {seen.wrong:.1f} s at most ({limit})"
    for switch in seen.switches:
        yield f"  {_cut('switched')} {_switch(switch)}"


def _switch(switch: Switch) -> str:
    left = f"left after {switch.left:.1f} s" if isfinite(switch.left) else "not left by all"
    back = f"back after {switch.first:.1f} to {switch.last:.1f} s" if isfinite(switch.first) else ""
    away = f"{switch.away} of {switch.of} resolvers not back" if switch.away else ""
    return f"{switch.text}: {', '.join(filter(None, (left, back, away)))}"


def _load(load: Load, columns: Sequence[range]) -> Iterator[str]:
    yield f"load of {load.region} in {load.pool} behind {load.manner} resolvers"
    yield (
        f"  {_cut('over capacity')} {load.over:.1f} min, {load.peak:.0%} of {load.capacity:.0f}/s at most, "
        "drawn up to 100%"
    )
    yield f"  {_cut(load.region)} {_bars([min(1.0, load.mean(span)) for span in columns])}"


def _cut(word: str) -> str:
    return f"{word:14.14}"


def _bars(shares: Sequence[float]) -> str:
    """A column for each share; whatever is not nothing is seen."""
    return "".join(BARS[0 if not share else max(1, round(share * 8))] for share in shares)
