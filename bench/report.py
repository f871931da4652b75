"""The table and the picture that go beside ``docs/performance.md``."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.rows import Goal, Row

_COLOURS = {"pierhead": "#1f6feb", "docker-registry": "#8b949e", "nginx": "#2da44e"}


def table(rows: Sequence[Row], goals: Sequence[Goal], notes: Sequence[str]) -> str:
    """Markdown."""
    lines = ["| | server | processor time for each | per second |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.who} | {_time(row.each)} | {row.rate:,.0f} |" for row in rows]
    lines += ["", "| goal | measured | wanted | |", "|---|---|---|---|"]
    for goal in goals:
        sign = "at least" if goal.least else "at most"
        lines.append(
            f"| {goal.what} | {goal.ratio:.3g} | {sign} {goal.bound:g} | {'ok' if goal.met else '**missed**'} |"
        )
    return "\n".join([*lines, "", *notes, ""])


def picture(rows: Sequence[Row]) -> str:
    """SVG bars of processor time, each row on its own scale: the longest bar is the slowest server."""
    parts: list[str] = []
    y = 10
    for what in dict.fromkeys(row.what for row in rows):
        group = [row for row in rows if row.what == what]
        if len(group) < 2:
            continue
        longest = max(row.each for row in group)
        parts.append(f'<text x="10" y="{y + 12}" class="t">{escape(what)}</text>')
        y += 20
        for row in group:
            width = max(2, 420 * row.each / longest)
            colour = _COLOURS.get(row.who, "#888")
            parts.append(f'<rect x="130" y="{y}" width="{width:.0f}" height="12" fill="{colour}"/>')
            parts.append(f'<text x="122" y="{y + 10}" class="e">{escape(row.who)}</text>')
            parts.append(f'<text x="{136 + width:.0f}" y="{y + 10}">{_time(row.each)}</text>')
            y += 16
        y += 8
    style = "text{font:11px sans-serif;fill:#57606a}.t{font-weight:bold}.e{text-anchor:end}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="660" height="{y}" role="img" '
        f'aria-label="Processor time for each request, by server"><style>{style}</style>{"".join(parts)}</svg>\n'
    )


def _time(microseconds: float) -> str:
    return f"{microseconds:,.0f} µs" if microseconds < 10_000 else f"{microseconds / 1000:,.1f} ms"
