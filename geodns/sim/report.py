"""What a run showed, for people: text, and an SVG picture of who was told which region, and what failed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import isfinite

from geodns.core import duration
from geodns.sim.simulation import Outcome, Seen

BARS = " ▁▂▃▄▅▆▇█"
COLUMNS = 60
COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#bbbbbb")  # Paul Tol's bright
WIDTH, ROW, LEFT, TOP = 900, 110, 60, 40  # pixels


def text(outcome: Outcome, length: float, bounds: dict[str, float]) -> str:
    """`bounds`: for each name, the seconds that a failure may be told by honest resolvers."""
    lines = [f"{duration.text(length)} of virtual time, {len(outcome.flips)} changes of verdicts"]
    for seen in outcome.seen:
        lines += ["", f"{seen.name} through {seen.manner} resolvers", *_figures(seen, bounds[seen.name])]
        spans = _spans(length, COLUMNS)
        for region in _regions(seen):
            lines.append(f"  {region or 'backup':14.14} {_bars([_share(seen, region, s) for s in spans])}")
        lines.append(f"  {'failed':14} {_bars([_failed(seen, s) for s in spans])}")
    return "\n".join(lines)


def _figures(seen: Seen, bound: float) -> list[str]:
    limit = f"the bound for honest resolvers is {bound:.0f} s" if isfinite(bound) else "no bound: unchecked"
    return [
        f"  availability   {seen.availability:.3%}, {seen.failed.total()} of {seen.connections.total()} "
        f"connections failed, {seen.empty} empty answers",
        f"  told wrongly   {seen.wrong:.0f} s at most ({limit})",
    ]


def svg(outcome: Outcome, length: float) -> str:
    """A row for each name and manner: regions stacked by share, failures as a dark line from the bottom."""
    names = sorted({region for seen in outcome.seen for region in _regions(seen)})
    colour = {region: COLOURS[i % len(COLOURS)] for i, region in enumerate(names)}
    height = TOP + ROW * len(outcome.seen) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12" shape-rendering="crispEdges">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    x = LEFT
    for region in [*names, "failed"]:
        fill = colour.get(region, "black")
        parts.append(f'<rect x="{x}" y="10" width="12" height="12" fill="{fill}"/>')
        parts.append(f'<text x="{x + 17}" y="20">{escape(region or "backup")}</text>')
        x += 40 + 8 * len(region or "backup")
    for number, seen in enumerate(outcome.seen):
        parts += _row(seen, TOP + ROW * number, length, colour)
    for tick in range(7):
        at = LEFT + (WIDTH - LEFT - 20) * tick / 6
        said = duration.text(length * tick / 6)
        parts.append(f'<text x="{at:.0f}" y="{height - 8}" text-anchor="middle">{said}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _row(seen: Seen, top: int, length: float, colour: dict[str, str]) -> list[str]:
    deep = ROW - 35
    title = f"{seen.name} through {seen.manner} resolvers: {seen.availability:.3%} available"
    parts = [f'<text x="{LEFT}" y="{top + 15}">{escape(title)}</text>']
    for share, y in (("100%", top + 28), ("0%", top + 20 + deep)):
        parts.append(f'<text x="{LEFT - 6}" y="{y}" text-anchor="end" fill="#666">{share}</text>')
    spans = _spans(length, min(int(length), 400))
    width = (WIDTH - LEFT - 20) / len(spans)
    for i, span in enumerate(spans):
        x, base = LEFT + i * width, float(top + 20 + deep)
        for region, fill in colour.items():
            tall = deep * _share(seen, region, span)
            base -= tall
            if tall:
                parts.append(_box(x, base, width, tall, fill))
        lost = deep * _failed(seen, span)
        if lost:
            parts.append(_box(x, top + 20 + deep - lost, width, lost, "black"))
    return parts


def _box(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width + 0.3:.2f}" height="{height:.2f}" fill="{fill}"/>'


def _regions(seen: Seen) -> list[str]:
    return sorted({region for _, region in seen.told})


def _spans(length: float, count: int) -> list[range]:
    """The seconds, in at most `count` spans."""
    total = max(1, int(length))
    count = min(count, total)
    return [range(total * i // count, total * (i + 1) // count) for i in range(count)]


def _share(seen: Seen, region: str, span: range) -> float:
    return _of(sum(seen.told[second, region] for second in span), seen, span)


def _failed(seen: Seen, span: range) -> float:
    return _of(sum(seen.failed[second] for second in span), seen, span)


def _of(count: int, seen: Seen, span: range) -> float:
    return count / (sum(seen.connections[second] for second in span) or 1)


def _bars(shares: Sequence[float]) -> str:
    """A column for each share; whatever is not nothing is seen."""
    return "".join(BARS[0 if not share else max(1, round(share * 8))] for share in shares)
