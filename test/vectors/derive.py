"""What the check_*.py share: bytes as the documents write them, samples, Ed25519, the comparison.

Nothing here comes from the C code. Sample values are those of test/unit/wire/wire_samples.h.
"""
import hashlib
import json
import os
import struct

SLOT = 17000000000


def sha256(data):
    return hashlib.sha256(data).digest()


def be(sizes, *values):
    return struct.pack(">" + sizes, *values)


def fill(size, first):
    return bytes((first + i) & 255 for i in range(size))


DOMAIN = be("I", 88888) + fill(32, 0x10)


def disagreements(file, made):
    """Names of the file's vectors and of those made that are not in both, byte for byte."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), file)
    with open(path, encoding="utf-8") as kept_file:
        kept = json.load(kept_file)
    made = {name: data.hex() for name, data in made.items()}
    wrong = sorted(name for name in set(kept) | set(made) if kept.get(name) != made.get(name))
    for name in wrong:
        print(f"{name}: {file} and the documents disagree")
    print(f"{file}: {len(kept) - len(kept.keys() & set(wrong))} of {len(kept)} vectors agree")
    return len(wrong)


# ---- Ed25519 (RFC 8032) ----

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def _add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2
    return ((x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P,
            (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P)


def _multiply(k, point):
    result = (0, 1)
    while k:
        if k & 1:
            result = _add(result, point)
        point = _add(point, point)
        k >>= 1
    return result


def _encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def _base():
    y = 4 * pow(5, -1, P) % P
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if x * x % P != xx:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (x if x % 2 == 0 else P - x, y)


BASE = _base()


def _expand(secret):
    digest = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
    return scalar, digest[32:]


def ed25519_public(secret):
    return _encode(_multiply(_expand(secret)[0], BASE))


def ed25519_sign(secret, message):
    def number(data):
        return int.from_bytes(hashlib.sha512(data).digest(), "little") % L
    scalar, prefix = _expand(secret)
    nonce = number(prefix + message)
    point = _encode(_multiply(nonce, BASE))
    s = (nonce + number(point + _encode(_multiply(scalar, BASE)) + message) * scalar) % L
    return point + s.to_bytes(32, "little")
