#!/usr/bin/env python3
"""Holds test/fuzz/README.md against the tree: every target has seeds and a row in both tables, every
function whose name says that it takes bytes apart has a row in the second, and rows name nothing
that is not there."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUZZ = ROOT / "test" / "fuzz"
WORDS = {"decode", "parse", "peek", "read", "unpack"}  # parts of a decoder's name
COMMENT = re.compile(r"/\*.*?\*/", re.S)
CODE = re.compile(r"`([^`]+)`")


def declared():
    """Every dsmr_ name of a header, and those of them that are functions."""
    names, functions = set(), {}
    for folder in ("src", "include"):
        for path in sorted((ROOT / folder).rglob("*.h")):
            text = COMMENT.sub("", path.read_text())
            names.update(re.findall(r"\bdsmr_\w+", text))
            for name in re.findall(r"\b(dsmr_\w+)\s*\(", text):
                functions.setdefault(name, path.relative_to(ROOT))
    return names, functions


def rows(text):
    return [line.strip("|").split("|") for line in text.splitlines()
            if line.startswith("|") and not line.startswith("|--")][1:]


def tests():
    """Names that a sentence may refer to."""
    names = set()
    for pattern in ("unit/*/test_*.c", "scenario/test_*.c", "e2e/test_*"):
        for path in (ROOT / "test").glob(pattern):
            names.update((path.name, path.stem))
    return names


def check_seeds(targets):
    for name in sorted(targets):
        folder = FUZZ / "corpus" / name
        if not folder.is_dir() or not any(path.is_file() for path in folder.iterdir()):
            yield f"test/fuzz/corpus/{name}: no seeds for fuzz_{name}"
    for folder in sorted((FUZZ / "corpus").iterdir()):
        if folder.name not in targets:
            yield f"test/fuzz/corpus/{folder.name}: seeds without a target"


def check_decoders(table, targets):
    names, functions = declared()
    known = targets | tests()
    listed, used = set(), set()
    for row in table:
        decoders, where = CODE.findall(row[0]), CODE.findall(row[1])
        listed.update(decoders)
        used.update(where)
        for name in decoders:
            if name not in names:
                yield f"{name} is in no header"
        if not where and "none:" not in row[1]:
            yield f"{row[0].strip()}: neither a target nor a reason"
        for name in where:
            if name not in known and name not in names:
                yield f"{name}: neither a target nor a test"
    for name, path in sorted(functions.items()):
        if WORDS & set(name.split("_")) and name not in listed:
            yield f"{path}: {name} has no row"
    # The steps of core and engine take events, not bytes: they are in the first table only.
    for name in sorted(targets - used - {"node_step", "bft_step"}):
        yield f"fuzz_{name} has no decoder in the second table"


def main():
    targets = {path.stem[len("fuzz_"):] for path in FUZZ.glob("fuzz_*.c")}
    first, second = (FUZZ / "README.md").read_text().split("## Every decoder and its target")
    described = {name for row in rows(first) for name in CODE.findall(row[1])}
    problems = list(check_seeds(targets))
    problems += [f"fuzz_{name} has no row in the first table" for name in sorted(targets - described)]
    problems += [f"there is no fuzz_{name}" for name in sorted(described - targets)]
    problems += list(check_decoders(rows(second), targets))
    for problem in problems:
        print(f"check_fuzz: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
