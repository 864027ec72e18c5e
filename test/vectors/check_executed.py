#!/usr/bin/env python3
"""Re-derives every vector of executed.json from docs/storage.md, without the C code.

test_executed_vectors proves that execution still leaves and still reads these records of a block;
this proves that the document describes them.
"""
import sys

from derive import be, disagreements, fill


def executed_vectors():
    ids = [fill(32, first) for first in (0x90, 0x10, 0x50)]
    block_id, root, time = fill(32, 0xa0), fill(32, 0xc0), 1700000000123
    prefixes = sorted(tx_id[:8] + be("I", i) for i, tx_id in enumerate(ids))
    return {
        "head": b"\1" + be("Q", 7) + root + block_id + be("Q", time),
        "record": b"\1" + be("Q", time) + block_id + root + be("I", 3) + b"".join(ids) +
        be("QQQ", *(1700000000000 + 1000 * i for i in (1, 2, 3))) +
        b"".join(be("IQ", i, 500 + i) for i in range(3)),
        "ids": b"".join(prefixes),
    }


if __name__ == "__main__":
    sys.exit(disagreements("executed.json", executed_vectors()) > 0)
