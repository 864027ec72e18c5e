#!/usr/bin/env python3
"""Re-derives every vector of transfers.json from docs/transfers.md, without the C code.

test_transfers_vectors proves that the code still makes these bytes; this proves that the document
describes them: transactions, addresses, trie, state roots, stored records, proofs, both applications.
"""
import sys

from derive import DOMAIN, SLOT, be, disagreements, ed25519_public, ed25519_sign, fill, sha256

SECRET = fill(32, 0x60)
FEES = (100, 2, 20)
MEMOS = {"plain": 0, "memo": 5, "longest": 128}


def address(i):
    return ed25519_public(SECRET) if i == 0 else fill(32, 7 * i)


# ---- section 1: text of an address, BIP-350 ----

def bech32m(human, data):
    charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

    def polymod(values):
        check = 1
        for value in values:
            top = check >> 25
            check = (check & 0x1ffffff) << 5 ^ value
            for i, generator in enumerate((0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
                                           0x2a1462b3)):
                check ^= generator if top >> i & 1 else 0
        return check
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    values = [int(bits[i:i + 5], 2) for i in range(0, len(bits), 5)]
    head = [ord(c) >> 5 for c in human] + [0] + [ord(c) & 31 for c in human]
    check = polymod(head + values + [0] * 6) ^ 0x2bc830a3
    values += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return (human + "1" + "".join(charset[value] for value in values)).encode()


# ---- section 2: transactions ----

def transaction(memo_len):
    unsigned = (b"\1" + be("Q", SLOT * 100 + 1000) + DOMAIN + address(0) + address(50) +
                be("QQ", 1234, 100000) + bytes([memo_len]) + fill(memo_len, 0x40))
    message = b"DSMR/transfers/1" + unsigned
    return unsigned + ed25519_sign(SECRET, message), message


def transaction_vectors():
    vectors = {"secret_key": SECRET}
    for name, memo_len in MEMOS.items():
        tx, message = transaction(memo_len)
        vectors.update({f"tx.{name}": tx, f"tx.{name}.id": sha256(tx),
                        f"tx.{name}.signed": message})
    for i in range(2):
        vectors[f"address.{i}"] = address(i)
        vectors[f"address.{i}.text"] = bech32m("dsmr", address(i))
    return vectors


# ---- section 5: trie, root, records, proof ----

def nibbles(owner):
    return sha256(owner).hex()


def build(balances, records, above=""):
    """(kind, hash) of the subtree of balances; its nodes go into records."""
    if not balances:
        return 0, bytes(32)
    if len(balances) <= 32:
        kind = len(balances)
        value = b"\x10" + b"".join(owner + be("Q", balances[owner]) for owner in sorted(balances))
    else:
        kind = 255
        children = []
        for digit in "0123456789abcdef":
            part = {owner: balance for owner, balance in balances.items()
                    if nibbles(owner)[len(above)] == digit}
            children.append(build(part, records, above + digit))
        value = (b"\x11" + bytes(kind for kind, _ in children) +
                 b"".join(digest for kind, digest in children if kind))
    key = bytes([len(above)]) + bytes.fromhex(above + "0" * (len(above) % 2))
    records[b"at" + key] = value
    return kind, sha256(value)


class State:
    def __init__(self, balances, height):
        self.balances = {owner: balance for owner, balance in balances.items() if balance > 0}
        self.records = {}
        kind, digest = build(self.balances, self.records)
        self.head = (be("QQQQQ", len(self.balances), sum(balances.values()), *FEES) +
                     bytes([kind]) + digest)
        self.records[b"am"] = b"\1" + be("Q", height) + self.head
        self.root = sha256(b"\x12" + self.head)

    def proof(self, owner):
        nodes = []
        for depth in range(65):
            above = nibbles(owner)[:depth]
            value = self.records.get(b"at" + bytes([depth]) +
                                     bytes.fromhex(above + "0" * (depth % 2)))
            if value is None:
                break
            nodes.append(be("H", len(value)) + value)
        return b"\1" + self.head + bytes([len(nodes)]) + b"".join(nodes)

    def vectors(self, name):
        return {f"{name}.root": self.root,
                **{f"{name}.store.{key.hex()}": value for key, value in self.records.items()}}


def executed(balances):
    """Section 4: the three transactions in order; the fees go to account 1."""
    balances = dict(balances)
    for memo_len in MEMOS.values():
        fee = FEES[0] + FEES[1] * (190 + memo_len) + FEES[2]
        for owner, change in ((address(0), -1234 - fee), (address(50), 1234), (address(1), fee)):
            balances[owner] = balances.get(owner, 0) + change
    return balances


def chain_vectors(accounts):
    genesis = {address(i): 1000000 if i == 0 else 2**i for i in range(accounts)}
    block = State(executed(genesis), 1)
    name = f"transfers.{accounts}"
    return {**State(genesis, 0).vectors(f"{name}.genesis"), **block.vectors(f"{name}.block"),
            f"{name}.block.proof.present": block.proof(address(50)),
            f"{name}.block.proof.absent": block.proof(address(60))}


def opaque_vectors():
    genesis = sha256(b"DSMR/opaque/1")
    ids = b"".join(sha256(transaction(memo_len)[0]) for memo_len in MEMOS.values())
    root = sha256(b"DSMR/opaque/1" + genesis + be("QI", 1, 3) + ids)
    return {"opaque.genesis.root": genesis, "opaque.block.root": root,
            "opaque.block.store." + b"am".hex(): b"\1" + be("QQ", 1, 3) + root}


if __name__ == "__main__":
    sys.exit(disagreements("transfers.json", {
        **transaction_vectors(), **chain_vectors(3), **chain_vectors(40),
        **opaque_vectors()}) > 0)
