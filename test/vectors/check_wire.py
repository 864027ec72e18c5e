#!/usr/bin/env python3
"""Re-derives every vector of wire.json and transport.json from docs/wire.md, docs/submit-stream.md
and docs/transport.md, without the C code.

test_wire_vectors and test_transport_vectors prove that the code still writes these bytes; this
proves that the documents describe them. Field values are those of test/unit/wire/wire_samples.h.
"""
import sys

from derive import DOMAIN, SLOT, be, disagreements, ed25519_public, fill, sha256


def merkle_root(ids):
    level = [sha256(b"\0" + i) for i in ids]
    while len(level) > 1:
        level = [sha256(b"\1" + b"".join(level[i:i + 16])) for i in range(0, len(level), 16)]
    return sha256(b"\2" + be("I", len(ids)) + (level[0] if level else bytes(32)))


def reference(number):
    return (fill(32, number) + be("Q", 7) + fill(20, 0x30) +
            be("QQII", SLOT, SLOT * 100 + 30000, 300, 70000))


def bitset(*bits):
    value = sum(1 << bit for bit in set(bits))
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def signers(*bits):
    return be("H", len(bitset(*bits))) + bitset(*bits)


def certificate(number, last):
    return reference(number) + signers(0, last) + fill(96, 0x80)


def unsigned_message(kind, fields):
    return b"\0\0" + DOMAIN + be("I", 6 + len(fields)) + b"DSMR" + bytes([kind, 1]) + fields


def vote(kind):
    nullify = kind == 2
    return (bytes([kind]) + be("QQQ", 7, 19, 0 if nullify else 43) +
            (bytes(32) if nullify else fill(32, 0xa0)))


def quorum_certificate(kind):
    return vote(kind) + signers(1, 9) + fill(96, 0x81)


def sample_txs():
    return [b"\1" + be("Q", SLOT * 100 + 1000 * i) + fill(7 + 10 * i, i) for i in range(3)]


def prefixed(txs):
    return b"".join(be("I", len(tx)) + tx for tx in txs)


def chunk_vectors():
    ids = [sha256(tx) for tx in sample_txs()]
    body = prefixed(sample_txs())
    header = (b"\1" + DOMAIN + be("Q", 7) + fill(20, 0x30) + be("QQ", SLOT, SLOT * 100 + 30000) +
              fill(32, 0x50) + be("II", len(ids), len(body)) + merkle_root(ids))
    return {"chunk": header + body, "chunk.id": sha256(header), "chunk.tx_root": merkle_root(ids),
            "chunk.tx_ids": b"".join(ids)}


def block_vectors():
    block = (b"\1" + DOMAIN + fill(32, 0x90) + be("QQQ", 42, SLOT * 100 + 500, 8) +
             b"\2" + be("QQQQ", 5, 1000, 7, 2000) +
             be("I", 2) + b"".join(b"\1" + certificate(i, 3 + 60 * i) for i in range(2)))
    genesis = (b"\1" + DOMAIN + bytes(32) + be("QQQ", 0, 1700000000000, 2**64 - 1) + b"\0" +
               be("I", 0))
    return {"block": block, "block.id": sha256(block), "block.genesis": genesis,
            "block.genesis.id": sha256(genesis)}


def message_vectors():
    blocks = be("I", 3) + b"abc" + be("I", 2) + b"de"
    body = be("I", len(blocks)) + blocks
    refused = fill(32, 4) + be("H", 70)
    return {"message." + name: bytes([number]) + fields for name, number, fields in (
        ("STATUS", 1, be("QQQ", 1000, 990, 1700000000123)),
        ("REQUEST_CHUNK_SIGNATURE_SHARE", 2, fill(96, 0x84) + body),
        ("CHUNK_SIGNATURE", 3, reference(3) + fill(96, 0x82)),
        ("CHUNK_REFUSED", 4, refused),
        ("CERTIFICATE", 5, certificate(5, 100)),
        ("CERTIFICATE_ANSWER", 6, refused),
        ("REQUEST_CHUNK", 7, fill(32, 6) + be("Q", 43)),
        ("CERTIFICATE_ANSWER.taken", 6, fill(32, 4) + be("H", 0)),
        ("CHUNK", 8, fill(32, 8) + be("H", 0) + body),
        ("CHUNK.pruned", 8, fill(32, 8) + be("HI", 67, 0)),
        ("BFT_PROPOSAL", 16, be("QQQ", 7, 20, 19) + fill(32, 9) + fill(32, 10) + body),
        ("BFT_PROPOSAL.again", 16, be("QQQ", 7, 20, 19) + fill(32, 9) + fill(32, 10) + be("I", 0)),
        ("BFT_VOTE", 17, vote(3) + fill(96, 0x83)),
        ("BFT_QUORUM_CERT", 18, quorum_certificate(2)),
        ("BFT_REQUEST_BLOCKS", 19, be("Q", 77)),
        ("BFT_BLOCKS", 20, quorum_certificate(3) + be("I", 2) + body),
        ("BFT_REQUEST_VIEW", 21, be("QQQ", 7, 18, 20)),
        ("BFT_REQUEST_BLOCK", 22, fill(32, 7)),
        ("BFT_BLOCK", 23, body),
        ("BFT_POSITION", 24, be("QQQQQQ", 7, 20, 43, 22, 19, 4711)),
    )}


def submit_frame(kind, payload):
    return be("IB", 1 + len(payload), kind) + payload


def submit_vectors():
    def notice(kind, height, code):
        return submit_frame(kind, be("Q", height) + be("QII", 5, 1000, 0) + be("QII", 1005, 24, code))
    return {
        "submit.HELLO": submit_frame(1, be("IH", 0x44534d52, 1) + DOMAIN + b"\3"),
        "submit.SUBMIT": submit_frame(2, be("QI", 5, 3) + prefixed(sample_txs())),
        "submit.WELCOME": submit_frame(3, be("HIII", 1, 1048576, 16384, 65536)),
        "submit.ACK": notice(4, 0, 74),
        "submit.CERTIFIED": notice(5, 0, 0),
        "submit.EXECUTED": notice(6, 42, 5),
        "submit.EXPIRED": notice(7, 0, 0),
        "submit.ERROR": submit_frame(8, be("H", 5)),
    }


def transport_vectors():
    """Frames, hello, and the node id of an Ed25519 key: its SubjectPublicKeyInfo is RFC 8410's."""
    chunk = chunk_vectors()["chunk"]
    status = b"\1" + be("QQQ", 1000, 990, 1700000000123)
    carried = b"\x08" + fill(32, 8) + be("H", 0) + be("I", len(chunk)) + chunk
    secret = fill(32, 0x60)
    public = ed25519_public(secret)
    return {
        "hello": b"\0DSMR" + be("H", 2) + DOMAIN,
        "frame.ping": be("I", 0),
        "frame.STATUS": be("I", len(status)) + status,
        "frame.CHUNK": be("I", len(carried)) + carried,
        "frame.begin": be("BBH", 16 + 2, 70000 >> 16, 70000 & 0xffff),
        "frame.piece.first": be("BBH", 32 + 2, 0, 65536 - 8),
        "frame.piece.last": be("BBH", 32 + 2, 0, 70000 - 65536 + 8),
        "tls.secret_key": secret,
        "tls.public_key": public,
        "tls.node_id": sha256(bytes.fromhex("302a300506032b6570032100") + public)[:20],
    }


def wire_vectors():
    vectors = {
        "reference": reference(1),
        "certificate": certificate(1, 9),
        "certificate.hash": sha256(certificate(1, 9)),
        "certificate.warp_message": unsigned_message(1, reference(1)) + be("I", 0) +
        be("I", 2) + bitset(0, 9) + fill(96, 0x80),
        "evidence": b"\1" + reference(0) + fill(96, 0x80) + reference(1) + fill(96, 0x81),
        "quorum_certificate": quorum_certificate(1),
        "signing.share": unsigned_message(1, reference(1)),
        "signing.vote.notarize": unsigned_message(2, vote(1)),
        "signing.vote.nullify": unsigned_message(2, vote(2)),
        "signing.vote.finalize": unsigned_message(2, vote(3)),
    }
    for count in (0, 1, 2, 16, 17, 256, 257, 4097):
        vectors[f"merkle_root.{count}"] = merkle_root([sha256(be("I", i)) for i in range(count)])
    return {**vectors, **chunk_vectors(), **block_vectors(), **message_vectors(),
            **submit_vectors()}


if __name__ == "__main__":
    sys.exit(disagreements("wire.json", wire_vectors()) +
             disagreements("transport.json", transport_vectors()) > 0)
