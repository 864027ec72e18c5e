"""Plots for docs/scale.md as SVG, by hand: lines on axes that are readable on light and dark ground.

A plot is a list of lines, each (label, [(x, y), ...]); axes are linear or logarithmic. Used by
scale.py; standard library only.
"""
import math

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 78, 130, 46, 58

STYLE = """
  svg { background: #ffffff; font-family: system-ui, sans-serif; font-size: 12px; }
  text { fill: #333333; } .title { font-size: 15px; font-weight: 600; }
  .grid { stroke: #e3e3e3; stroke-width: 1; } .axis { stroke: #888888; stroke-width: 1; }
  .guide { stroke: #888888; stroke-width: 1.5; stroke-dasharray: 2 4; fill: none; }
  .line { fill: none; stroke-width: 2.2; } .c0 { stroke: #1f6fc4; } .c1 { stroke: #c2570c; }
  .c2 { stroke: #1c8a55; } .c3 { stroke: #8a3fc0; } .c4 { stroke: #6b6b00; } .c5 { stroke: #b5305f; }
  .f0 { fill: #1f6fc4; } .f1 { fill: #c2570c; } .f2 { fill: #1c8a55; } .f3 { fill: #8a3fc0; }
  .f4 { fill: #6b6b00; } .f5 { fill: #b5305f; }
  @media (prefers-color-scheme: dark) {
    svg { background: #16181d; } text { fill: #d8d8d8; } .grid { stroke: #30343c; }
    .axis, .guide { stroke: #8d939e; } .c0 { stroke: #6aaef5; } .c1 { stroke: #f0974f; }
    .c2 { stroke: #56c98f; } .c3 { stroke: #c592ee; } .c4 { stroke: #cfc95a; } .c5 { stroke: #ef7fa6; }
    .f0 { fill: #6aaef5; } .f1 { fill: #f0974f; } .f2 { fill: #56c98f; } .f3 { fill: #c592ee; }
    .f4 { fill: #cfc95a; } .f5 { fill: #ef7fa6; }
  }
"""
DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 2", "12 4"]


def text(value):
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    if value >= 1000:
        return f"{value / 1000:g}k"
    return f"{value:g}"


class Axis:
    """Values to places, and where the ticks are."""

    def __init__(self, values, is_log, begin, end):
        self.is_log, self.begin, self.end = is_log, begin, end
        high = max(values)
        if is_log:
            low = min(values)
            ticks = [10.0 ** e * m for e in range(math.floor(math.log10(low)) - 1,
                                                  math.ceil(math.log10(high)) + 2)
                     for m in (1, 2, 5)]
            self.low = max(t for t in ticks if t <= low)
            self.high = min(t for t in ticks if t > high)
            self.ticks = [t for t in ticks if self.low <= t <= self.high]
        else:
            step = 10 ** math.floor(math.log10(high)) if high > 0 else 1
            step = next(step * m for m in (0.1, 0.2, 0.25, 0.5, 1, 2) if high / (step * m) <= 7)
            self.low, self.high = 0, step * math.ceil(high / step)
            self.ticks = [i * step for i in range(round(self.high / step) + 1)]

    def at(self, value):
        if self.is_log:
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.begin + (self.end - self.begin) * part


def head(title, x_label, y_label):
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    return [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{title}">',
            f"<style>{STYLE}</style>",
            f'<text class="title" x="{LEFT}" y="24">{title}</text>',
            f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">'
            f"{x_label}</text>",
            f'<text x="20" y="{middle}" text-anchor="middle" transform="rotate(-90 20 {middle})">'
            f"{y_label}</text>"]


def frame(out, x, y):
    for tick in x.ticks:
        at = x.at(tick)
        out.append(f'<line class="grid" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" '
                   f'y2="{HEIGHT - BOTTOM}"/>')
        out.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
                   f"{text(tick)}</text>")
    for tick in y.ticks:
        at = y.at(tick)
        out.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" '
                   f'y2="{at:.1f}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{text(tick)}</text>')
    out.append(f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')


def spread_labels(places):
    """Moves labels apart that would lie on each other; places: [(y, index)]."""
    moved, last = {}, -100.0
    for place, index in sorted(places):
        last = max(place, last + 15)
        moved[index] = last
    return moved


def lines(title, x_label, y_label, data, logs=(True, False), guide=False):
    """data: [(label, [(x, y)])]. guide: the diagonal on which all that is offered is done."""
    data = [(label, sorted(points)) for label, points in data if points]
    if not data:
        return None
    xs = [x for _, points in data for x, _ in points]
    ys = [y for _, points in data for _, y in points if y > 0] or [1]
    x = Axis(xs, logs[0], LEFT, WIDTH - RIGHT)
    y = Axis(ys, logs[1], HEIGHT - BOTTOM, TOP)
    out = head(title, x_label, y_label)
    frame(out, x, y)
    if guide:
        low, high = max(x.low, y.low), min(x.high, y.high)
        out.append(f'<path class="guide" d="M{x.at(low):.1f} {y.at(low):.1f}'
                   f'L{x.at(high):.1f} {y.at(high):.1f}"/>')
    labels = spread_labels([(y.at(points[-1][1]), i) for i, (_, points) in enumerate(data)])
    for i, (label, points) in enumerate(data):
        path = "L".join(f"{x.at(px):.1f} {y.at(py):.1f}" for px, py in points)
        out.append(f'<path class="line c{i % 6}" stroke-dasharray="{DASHES[i % 6]}" d="M{path}"/>')
        out.extend(f'<circle class="f{i % 6}" cx="{x.at(px):.1f}" cy="{y.at(py):.1f}" r="3.5"/>'
                   for px, py in points)
        out.append(f'<text class="f{i % 6}" x="{x.at(points[-1][0]) + 9:.1f}" '
                   f'y="{labels[i] + 4:.1f}">{label}</text>')
    return "\n".join(out + ["</svg>", ""])


def bars(title, y_label, groups, names):
    """groups: [(label, [share of each name])]."""
    if not groups:
        return None
    y = Axis([1.0], False, HEIGHT - BOTTOM, TOP)
    out = head(title, "", y_label)
    for tick in y.ticks:
        at = y.at(tick)
        out.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" '
                   f'y2="{at:.1f}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tick:.0%}</text>')
    wide = (WIDTH - RIGHT - LEFT) / len(groups)
    bar = wide * 0.8 / len(names)
    for g, (label, values) in enumerate(groups):
        begin = LEFT + g * wide + wide * 0.1
        for i, value in enumerate(values):
            top = y.at(min(value, 1.0))
            out.append(f'<rect class="f{i % 6}" x="{begin + i * bar:.1f}" y="{top:.1f}" '
                       f'width="{bar - 1.5:.1f}" height="{HEIGHT - BOTTOM - top:.1f}">'
                       f"<title>{names[i]}: {value:.1%}</title></rect>")
        out.append(f'<text x="{begin + wide * 0.4:.1f}" y="{HEIGHT - BOTTOM + 18}" '
                   f'text-anchor="middle">{label}</text>')
    for i, name in enumerate(names):
        out.append(f'<rect class="f{i % 6}" x="{WIDTH - RIGHT + 12}" y="{TOP + i * 20}" width="12" '
                   f'height="12"/>')
        out.append(f'<text x="{WIDTH - RIGHT + 30}" y="{TOP + i * 20 + 11}">{name}</text>')
    out.append(f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    return "\n".join(out + ["</svg>", ""])


# ---- the plots of docs/scale.md ----

SIZES = (4, 20, 100, 300)


def of(reports, mbit):
    return [r for r in reports if r["mbit_per_s"] == mbit and not r["crashed"] and r["workers"] == 4]


def by_size(reports, value):
    return [(f"{n} validators", [(r["offered_per_s"], value(r)) for r in reports
                                 if r["validators"] == n and value(r) is not None]) for n in SIZES]


def p50(name):
    return lambda r: r[name]["p50"] / 1000 if r[name]["count"] else None


def busy(reports, mbit, rate):
    names = ["uplink", "logic", "network", "workers", "execution", "disk"]
    keys = ["uplink", "logic", "net", "workers_busy", "execution", "disk"]
    groups = [(f"{r['validators']} validators", [r[k]["mean"] for k in keys])
              for r in sorted(of(reports, mbit), key=lambda r: r["validators"])
              if r["offered_per_s"] == rate]
    return bars(f"How busy the parts of a node are: {rate} tx/s, {mbit} Mbit/s",
                "share of its time", groups, names)


def all_plots(reports):
    plots = {}
    for mbit in (1000, 100):
        some = of(reports, mbit)
        plots[f"throughput-{mbit}"] = lines(
            f"Executed against offered, links of {mbit} Mbit/s", "offered, tx/s",
            "executed on the slowest node, tx/s",
            by_size(some, lambda r: r["executed_min_per_s"] or None), (True, True), True)
        plots[f"latency-{mbit}"] = lines(
            f"Latency to executed (median), links of {mbit} Mbit/s", "offered, tx/s", "seconds",
            by_size(some, p50("executed_ms")))
        plots[f"certified-{mbit}"] = lines(
            f"Latency to certified (median), links of {mbit} Mbit/s", "offered, tx/s", "seconds",
            by_size(some, p50("certified_ms")))
    plots["busy-1000"] = busy(reports, 1000, 10000)
    plots["busy-100"] = busy(reports, 100, 5000)
    plots["bytes"] = lines(
        "What each node sends for a transaction, links of 1000 Mbit/s", "offered, tx/s",
        "bytes on the wire a transaction",
        by_size(of(reports, 1000),
                lambda r: r["up_bytes_per_s"] / r["executed_min_per_s"]
                if r["executed_min_per_s"] else None), (True, True))
    return {name: svg for name, svg in plots.items() if svg}
