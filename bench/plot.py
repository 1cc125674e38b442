"""The plot of the report: CPU per answered query as bars, with the range of the rounds."""

from __future__ import annotations

from bench.results import Results
from bench.workloads import MAIN, MIDDLE

COLOURS = ("#4c78a8", "#f58518", "#e8b04b", "#54a24b")


def draw(results: Results) -> bytes | None:
    """An SVG image; None where `peers` was not measured."""
    import pygal  # noqa: PLC0415  only the report needs it
    from pygal.style import Style  # noqa: PLC0415

    runs = results.peers
    if runs is None or not runs.rows:
        return None
    measured = {row["server"] for row in runs.rows}
    servers = [s for s in results.servers if s in measured]
    servers.sort(key=lambda s: -(runs.median(s, MAIN[0].id, MIDDLE) or 0.0))  # drawn from below
    ranges = {
        kind.id: [(runs.median(s, kind.id, MIDDLE), runs.values(s, kind.id, MIDDLE)) for s in servers]
        for kind in MAIN
    }
    chart = pygal.HorizontalBar(
        title=f"CPU µs per answered query, {MIDDLE:,} names: median and range of {runs.rounds} rounds",
        style=Style(background="white", plot_background="white", colors=COLOURS, value_font_size=12),
        js=(),
        explicit_size=True,
        width=960,
        height=120 + 80 * len(servers),
        range=(0, 1.05 * max(max(values) for row in ranges.values() for _, values in row)),
        legend_at_bottom=True,
        legend_at_bottom_columns=len(MAIN),
        truncate_legend=-1,
        print_values=True,
        formatter=lambda value: f"{value:.1f}",
    )
    chart.x_labels = [results.title(s) for s in servers]
    for kind in MAIN:
        bars = [{"value": m, "ci": {"low": min(v), "high": max(v)}} for m, v in ranges[kind.id]]
        chart.add(kind.title, bars)
    drawn: bytes = chart.render()
    return drawn
