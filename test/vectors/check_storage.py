#!/usr/bin/env python3
"""Re-derives every vector of storage.json from docs/storage.md and docs/wire.md, without the C code.

test_storage_vectors proves that the store still leaves and still reads these records; this proves
that the document describes them. Values are those of the fixture (test/unit/store/store_fixture.h):
chunk n, a block of height 7 with chunk 1's certificate.
"""
import sys

from derive import SLOT, be, disagreements, fill

BODY_BYTES = 300
NEVER = 2**64 - 1


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def record(key, fields):
    value = b"\1" + fields
    return {key.hex(): value + be("I", crc32c(key + value))}


# ---- the fixture's values ----

def id_of(n):
    spread = n * 0x9e3779b97f4a7c15 % 2**64
    return spread.to_bytes(8, "little") + n.to_bytes(8, "little") + b"\x5a" * 16


def body(length, n):
    x, out = n + 1, bytearray()
    for _ in range(length):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(x >> 56)
    return bytes(out)


def reference(n, length):
    return id_of(n) + be("Q", 3) + bytes([n % 4]) * 20 + be("QQII", n, n * 100 + 30000, 1, length)


def certificate(n):
    return reference(n, 100) + be("H", 1) + b"\7" + bytes([n + 1]) * 96


# ---- docs/storage.md, consensus ----

def chunk_record(n, flags, included=(NEVER, 0, 0)):
    """The n-th body that was written; each begins at a multiple of 4096."""
    return record(b"c" + id_of(n), reference(n, BODY_BYTES) + bytes([n]) * 96 +
                  be("QQQ", *included) + bytes([flags]) +
                  be("QQII", 1, (n - 1) * 4096, BODY_BYTES, crc32c(body(BODY_BYTES, n))))


def journal_record(n):
    return record(b"j" + be("Q", n * 100 + 30000) + bytes([n % 4]) * 20 + be("Q", n),
                  id_of(n) + be("Q", 3))


def waiting_record(n):
    """No accepted block has chunk n."""
    return record(b"w" + be("Q", n * 100 + 30000) + id_of(n), b"")


def block_records():
    block_id, encoded = id_of(1000000 + 7 * 1000), body(200 + 100, 7 * 1000)
    finalization = (b"\3" + be("QQQ", 0, 14, 7) + id_of(7) + be("H", 1) + b"\7" + b"\x09" * 96)
    return {
        **record(b"A", be("Q", 7) + block_id),
        **record(b"b" + be("Q", 7), block_id + be("QQ", 7000, 5007) + be("I", 1) + id_of(1) +
                 be("I", len(encoded)) + encoded),
        **record(b"i" + block_id, be("Q", 7)),
        **record(b"q" + be("Q", 7), finalization),
    }


def evidence_records():
    def side(number):
        return (fill(32, number) + be("Q", 7) + fill(20, 0x30) +
                be("QQII", SLOT, SLOT * 100 + 30000, 300, 70000) + fill(96, 0x80 + number))
    return {**record(b"e" + be("Q", 1), b"\1" + side(0) + side(1)),
            **record(b"p" + fill(20, 0x30) + be("Q", 7), be("Q", 1))}


def consensus_vectors():
    """Chunk 2 and the journal entries of 1 and 2 were collected; 2's body is to be given back."""
    return {
        **record(b"F", be("Q", 2)),
        **record(b"G", be("Q", 30250)),
        **block_records(),
        **chunk_record(1, 1 + 2, included=(7, 7000, 5007)),
        **chunk_record(3, 2),
        **chunk_record(4, 0),
        **waiting_record(3),
        **waiting_record(4),
        **record(b"t" + id_of(1), certificate(1)),
        **journal_record(3),
        **evidence_records(),
        **record(b"v" + b"vote", b"bytes of the engine"),
        **record(b"s" + be("Q", 1), be("QQ", 3, 3 * 4096 + BODY_BYTES)),
        **record(b"S", be("Q", 1)),
        **record(b"R" + be("Q", 1), be("IQQI", 1, 1, 4096, BODY_BYTES)),
    }


if __name__ == "__main__":
    assert crc32c(b"123456789") == 0xe3069283
    sys.exit(disagreements("storage.json", consensus_vectors()) > 0)
