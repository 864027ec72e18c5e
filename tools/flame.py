#!/usr/bin/env python3
"""A flame graph of `perf script`'s output, as SVG (Gregg, "The Flame Graph", CACM 59(6), 2016).

usage: perf script -i perf.data | flame.py TITLE > flame.svg
Width is the share of samples; the lowest row is the thread, above it who calls whom. The order is that of names,
so neighbours say nothing about time.
"""
import re
import sys
from xml.sax.saxutils import escape

WIDTH, ROW, FONT = 1200, 17, 11
LEAST = 0.0015  # of all samples: what is narrower cannot be read
COLOURS = {"dsmr-work": "#e0a458", "dsmrd": "#7fa650", "dsmr-net": "#5b8db8", "store": "#a67fb0",
           "dsmr-exec": "#c46f6f", "dsmr-stream": "#5fa8a0", "dsmr": "#9a9a9a"}
HEAD = re.compile(r"(.+?)\s+\d+(?:/\d+)?\s+(?:\[\d+\]\s+)?[\d.]+:")  # thread, ids, processor, time
OFFSET = re.compile(r"\+0x[0-9a-f]+$")


class Frame:
    def __init__(self):
        self.samples, self.callees = 0, {}

    def add(self, names):
        frame = self
        frame.samples += 1
        for name in names:
            frame = frame.callees.setdefault(name, Frame())
            frame.samples += 1


def read(lines):
    """The thread and its frames, outermost first, of each sample."""
    thread, frames = None, []
    for line in lines:
        if not line.strip():
            if thread is not None:
                yield [thread] + frames[::-1]
            thread, frames = None, []
        elif not line[0].isspace():
            thread = HEAD.match(line).group(1) if HEAD.match(line) else "?"
        else:
            name = line.split(None, 1)[1].rsplit(" (", 1)[0]
            frames.append(OFFSET.sub("", name.strip()))
    if thread is not None:
        yield [thread] + frames[::-1]


def depth(frame, total):
    return 1 + max((depth(callee, total) for callee in frame.callees.values()
                    if callee.samples >= LEAST * total), default=0)


def draw(out, name, frame, x, level, height, total, colour):
    width = WIDTH * frame.samples / total
    y = height - (level + 1) * ROW
    text = "%s, %.1f%%" % (name, 100 * frame.samples / total)
    shown = name[:max(0, int(width / (0.6 * FONT)) - 1)]
    out.append('<g><title>%s</title><rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s" stroke="#fff" '
               'stroke-width="0.5"/><text x="%.1f" y="%d">%s</text></g>' %
               (escape(text), x, y, width, ROW - 1, colour, x + 3, y + ROW - 5,
                escape(shown) if len(shown) > 2 else ""))
    for callee_name in sorted(frame.callees):
        callee = frame.callees[callee_name]
        if callee.samples >= LEAST * total:
            draw(out, callee_name, callee, x, level + 1, height, total,
                 COLOURS.get(callee_name, "#c9b458") if level == 0 else colour)
        x += WIDTH * callee.samples / total


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 64
    root = Frame()
    for names in read(sys.stdin):
        root.add(names)
    if root.samples == 0:
        print("flame: no samples", file=sys.stderr)
        return 65
    height = (depth(root, root.samples) + 2) * ROW
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="monospace" font-size="%d">' %
           (WIDTH, height, FONT), '<text x="3" y="13">%s, %d samples</text>' % (escape(sys.argv[1]), root.samples)]
    draw(out, "all", root, 0.0, 0, height, root.samples, "#dddddd")
    print("\n".join(out + ["</svg>"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
