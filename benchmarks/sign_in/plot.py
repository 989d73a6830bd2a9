"""The plot of the documentation, drawn by hand: bars in SVG that follow the reader's theme."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from .contenders import CONTENDERS
from .results import FLOOR, Results, middle, milliseconds, names_of, percentile, ratio
from .scenarios import SCENARIOS, SignIns
from .tables import write_ratio

WIDTH, LEFT, RIGHT, ROW, BAR = 780, 300, 90, 30, 18
COLOURS = {"site": "#3b7dd8", "database": "#e0912f", "cache": "#5aa469"}
STYLE = """
    .paper { fill: #ffffff; stroke: #d8dce3; }
    text { fill: #1d2430; font: 14px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
    .head { font-weight: 600; }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #16191f; stroke: #343b47; }
      text { fill: #e4e8ef; }
    }
"""


def draw(results: Results) -> str:
    """Draw CPU per sign-in of known phones, and how long `request/` takes in a crowd."""
    shapes: list[str] = []
    y = 0
    for scenario, words, draw_bars in (
        (SCENARIOS[0].name, "CPU of a sign-in, known phone", _draw_cpu),
        (SCENARIOS[-1].name, f"request/ p50, {SCENARIOS[-1].name}", _draw_times),
    ):
        found = [each for each in results.sign_ins if each.is_known and each.scenario == scenario]
        if found:
            y += 36
            shapes.append(f'<text class="head" x="16" y="{y}">{escape(words)}</text>')
            if draw_bars is _draw_cpu:
                shapes += _draw_legend(y)
            shapes += draw_bars(found, y + 16)
            y += 16 + ROW * len(names_of(found))
    y += 10
    body = "\n  ".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" '
        f'height="{y}" role="img" aria-labelledby="title">\n'
        f'  <title id="title">What a sign-in costs</title>\n'
        f"  <style>{STYLE}  </style>\n"
        f'  <rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{y - 1}" rx="8"/>\n'
        f"  {body}\n</svg>\n"
    )


def _draw_legend(y: int) -> Iterator[str]:
    for place, (part, colour) in enumerate(COLOURS.items()):
        x = LEFT + 110 * place
        yield f'<circle cx="{x + 6}" cy="{y - 5}" r="6" fill="{colour}"/>'
        yield f'<text x="{x + 18}" y="{y}">{part}</text>'


def _draw_cpu(found: Sequence[SignIns], top: int) -> Iterator[str]:
    parts = {
        name: {part: middle(found, name, milliseconds(part)) for part in COLOURS}
        for name in names_of(found)
    }
    scale = (WIDTH - LEFT - RIGHT) / max(sum(each.values()) for each in parts.values())
    for row, contender in enumerate(each for each in CONTENDERS if each.name in parts):
        x, y = float(LEFT), top + row * ROW
        yield _label(contender.title, y)
        for part, value in parts[contender.name].items():
            yield _bar(x, y, value * scale, COLOURS[part])
            x += value * scale
        times = ratio(found, contender.name, FLOOR, milliseconds("total"))
        yield _value(x, y, write_ratio(times))


def _draw_times(found: Sequence[SignIns], top: int) -> Iterator[str]:
    times = {name: middle(found, name, percentile("request")) for name in names_of(found)}
    scale = (WIDTH - LEFT - RIGHT) / max(times.values())
    for row, contender in enumerate(each for each in CONTENDERS if each.name in times):
        y, value = top + row * ROW, times[contender.name]
        yield _label(contender.title, y)
        yield _bar(LEFT, y, value * scale, COLOURS["site"])
        yield _value(LEFT + value * scale, y, f"{value:.0f} ms")


def _label(words: str, y: int) -> str:
    return f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(words)}</text>'


def _bar(x: float, y: int, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>'


def _value(x: float, y: int, words: str) -> str:
    return f'<text x="{x + 6:.1f}" y="{y + 14}">{words}</text>'
