#!/usr/bin/env python3
"""Re-derives every vector of executed.json from docs/storage.md, without the C code.

test_executed_vectors proves that execution still leaves and still reads these records of a block;
this proves that the document describes them.
"""
import sys

from derive import be, disagreements, fill


def column(numbers):
    """The least, the width of the differences to it, the differences."""
    least = min(numbers)
    width = next(w for w in (0, 1, 2, 4, 8) if max(numbers) - least < 256 ** w)
    return be("QB", least, width) + b"".join((n - least).to_bytes(width, "big") for n in numbers)


def executed_vectors():
    ids = [fill(32, first) for first in (0x90, 0x10, 0x50)]
    block_id, root, time = fill(32, 0xa0), fill(32, 0xc0), 1700000000123
    entries = sorted(tx_id[:5] + i.to_bytes(3, "big") for i, tx_id in enumerate(ids))
    return {
        "head": b"\2" + be("Q", 7) + root + block_id + be("Q", time),
        "record": b"\2" + be("Q", time) + block_id + root + be("I", 3) + b"".join(ids) +
        column([1700000000000 + 1000 * i for i in (1, 2, 3)]) +
        column([0, 1, 2]) + column([500, 501, 502]),
        "ids": b"".join(entries),
    }


if __name__ == "__main__":
    sys.exit(disagreements("executed.json", executed_vectors()) > 0)
