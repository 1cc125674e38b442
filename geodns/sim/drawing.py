"""What a run showed, as an SVG picture: what happened, who was led where, what failed, what was borne."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from math import isfinite

from geodns.core import duration
from geodns.sim.seen import Load, Seen, spans
from geodns.sim.simulation import Outcome, Scene

COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#bbbbbb")  # Paul Tol's bright
FAILED, INK, FAINT = "#bb0000", "#222222", "#777777"
WIDTH, LEFT, RIGHT = 960, 56, 30  # pixels
LANE, STACK, STRIP, LOAD, TITLE, SPACE = 18, 70, 16, 60, 22, 14
COLUMNS = 400
TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)  # seconds


def svg(scene: Scene, outcome: Outcome, length: float) -> str:
    """A lane for each event, then a panel for each name and manner, and one for each manner's loads."""
    picture = _Picture(length, _colours(outcome))
    picture.legend()
    happened = [(f.text, f.at, f.until) for f in scene.faults]
    happened += [(a.text, a.at, a.at + a.lasts) for a in scene.actions]
    for text, begins, ends in sorted(happened, key=lambda event: event[1]):
        picture.lane(text, begins, ends)
    for seen in outcome.seen:
        picture.shares(seen)
    for manner, pool in dict.fromkeys((load.manner, load.pool) for load in outcome.loads):
        mine = [load for load in outcome.loads if (load.manner, load.pool) == (manner, pool)]
        picture.loads(f"{pool} through {manner} resolvers: load against capacity", mine)
    return picture.whole()


def _colours(outcome: Outcome) -> dict[str, str]:
    led = {region for seen in outcome.seen for region in seen.regions()}
    names = sorted(led | {load.region for load in outcome.loads})
    return {region: COLOURS[i % len(COLOURS)] for i, region in enumerate(names)}


class _Picture:
    """Parts put below one another; `y` is where the next one begins."""

    def __init__(self, length: float, colours: dict[str, str]) -> None:
        self.length = length
        self.colours = colours
        self.spans = spans(length, COLUMNS)
        self.y = 12.0
        self.moments: list[float] = []
        self.parts: list[str] = []
        self.panels: list[tuple[float, float]] = []

    def x(self, second: float) -> float:
        inside = min(max(second, 0.0), self.length) / self.length
        return LEFT + (WIDTH - LEFT - RIGHT) * inside

    def whole(self) -> str:
        bottom = self.y
        marks = [
            _line(self.x(at), top, self.x(at), to, "#555", "2 3")
            for at in self.moments
            for top, to in self.panels
        ]
        height = bottom + 26
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
            f'height="{height:.0f}" font-family="sans-serif" font-size="12" fill="{INK}">'
        )
        ground = '<rect width="100%" height="100%" fill="white"/>'
        return "\n".join([head, ground, *self.parts, *marks, *self._ticks(bottom), "</svg>\n"])

    def _ticks(self, bottom: float) -> Iterator[str]:
        step = next((step for step in TICKS if self.length / step <= 8), self.length / 8)
        for i in range(int(self.length / step) + 1):
            x = self.x(step * i)
            yield _line(x, bottom, x, bottom + 5, INK)
            yield _text(x, bottom + 18, duration.text(step * i), anchor="middle")

    def legend(self) -> None:
        x = float(LEFT)
        for name, fill in [*self.colours.items(), ("failed", FAILED)]:
            self.parts += [_box(x, self.y, 12, 12, fill), _text(x + 17, self.y + 10, name or "backup")]
            x += 36 + 7 * len(name or "backup")
        self.y += 12 + SPACE

    def lane(self, text: str, begins: float, ends: float) -> None:
        """What happened: a bar as long as it lasted, or a mark, with its words where there is room."""
        left, right = self.x(begins), max(self.x(ends), self.x(begins) + 3)
        fits = left + 7 * len(text) < WIDTH - RIGHT
        self.parts.append(_box(left, self.y + 2, right - left, LANE - 5, "#dddddd"))
        self.parts.append(
            _text(left + 4 if fits else right - 4, self.y + 12, text, anchor="start" if fits else "end")
        )
        self.moments += [at for at in (begins, ends) if 0 < at < self.length]
        self.y += LANE

    def shares(self, seen: Seen) -> None:
        """Regions stacked by share, and below in a strip of its own what failed."""
        title = f"{seen.name} through {seen.manner} resolvers: {seen.availability:.3%} available"
        top = self._title(title)
        self._scale(top, STACK, ("100%", "0%"))
        base = [0.0] * len(self.spans)
        for region, fill in self.colours.items():
            tall = [seen.share(region, span) for span in self.spans]
            if any(tall):
                upper = [low + more for low, more in zip(base, tall, strict=True)]
                self._area(top, STACK, base, upper, fill)
                base = upper
        below = top + STACK + 3
        self.parts.append(_box(LEFT, below, WIDTH - LEFT - RIGHT, STRIP, "#f2f2f2"))
        lost = [seen.loss(span) for span in self.spans]
        if any(lost):
            self._area(below, STRIP, [0.0] * len(lost), lost, FAILED)
        self.parts.append(_text(LEFT - 6, below + 11, "failed", anchor="end", fill=FAINT))
        self._panel(top, below + STRIP)

    def loads(self, title: str, loads: Sequence[Load]) -> None:
        """A line for each region, and a dashed one at its capacity."""
        over = ", ".join(f"{load.region} over for {load.over:.1f} min" for load in loads if load.over)
        top = self._title(f"{title}{'; ' if over else ''}{over}")
        highest = max(1.25, *(1.05 * load.peak for load in loads if isfinite(load.peak)))
        self.parts.append(_box(LEFT, top, WIDTH - LEFT - RIGHT, LOAD, "#f7f7f7"))
        full = top + LOAD * (1 - 1 / highest)
        self.parts.append(_line(LEFT, full, WIDTH - RIGHT, full, FAILED, "5 3"))
        self.parts.append(_text(LEFT - 6, full + 4, "100%", anchor="end", fill=FAINT))
        self.parts.append(_text(LEFT - 6, top + LOAD, "0%", anchor="end", fill=FAINT))
        for load in loads:
            heights = [top + LOAD * (1 - load.mean(span) / highest) for span in self.spans]
            path = "".join(self._corners(heights))
            stroke = self.colours[load.region]
            self.parts.append(f'<path d="M{path[1:]}" fill="none" stroke="{stroke}" stroke-width="1.8"/>')
        self._panel(top, top + LOAD)

    def _panel(self, top: float, bottom: float) -> None:
        self.panels.append((top, bottom))
        self.y = bottom + SPACE

    def _title(self, text: str) -> float:
        self.parts.append(_text(LEFT, self.y + 14, text, weight="bold"))
        return self.y + TITLE

    def _scale(self, top: float, deep: float, words: tuple[str, str]) -> None:
        for word, y in zip(words, (top + 9, top + deep), strict=True):
            self.parts.append(_text(LEFT - 6, y, word, anchor="end", fill=FAINT))

    def _area(self, top: float, deep: float, lower: list[float], upper: list[float], fill: str) -> None:
        """What lies between two lines of shares, 0 at the bottom."""
        above = [top + deep * (1 - share) for share in upper]
        below = [top + deep * (1 - share) for share in lower]
        back = "".join(reversed(list(self._corners(below))))
        self.parts.append(f'<path d="M{"".join(self._corners(above))[1:]}{back}Z" fill="{fill}"/>')

    def _corners(self, heights: list[float]) -> Iterator[str]:
        """The corners of a line of steps, a step for each span; level ones are one."""
        edges = [float(span.start) for span in self.spans] + [self.length]
        yield f"L{self.x(edges[0]):.1f},{heights[0]:.1f}"
        for at, (before, after) in zip(edges[1:], pairwise(heights), strict=False):
            if before != after:
                yield f"L{self.x(at):.1f},{before:.1f}"
                yield f"L{self.x(at):.1f},{after:.1f}"
        yield f"L{self.x(edges[-1]):.1f},{heights[-1]:.1f}"


def _box(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>'


def _line(x: float, y: float, to_x: float, to_y: float, stroke: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{stroke}"{dashed}/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", fill: str = INK, weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}">'
        f"{escape(text)}</text>"
    )
