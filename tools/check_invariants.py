#!/usr/bin/env python3
"""Every invariant INV-nn that a header or ARCHITECTURE.md states is asserted in two places at least.

An assertion counts when a comment `INV-nn` stands on it, up to three lines before it or at the end of
it, in a .c file of src or sim. An INV-nn in code that no document states is an error too: it is a wrong number.
"""
import glob
import re
import sys

NUMBER = re.compile(r"INV-(?:BFT-)?\d+\b")
ASSERTION = re.compile(r"\bDSMR_(ASSERT|DCHECK)\s*\(")
BEFORE, AFTER = 2, 3  # lines from the comment to the line where the assertion begins


def stated():
    found = {}
    for path in ["ARCHITECTURE.md", *glob.glob("include/dsmr/*.h"), *glob.glob("src/*/*.h")]:
        try:
            with open(path, encoding="utf-8") as file:
                for name in NUMBER.findall(file.read()):
                    found.setdefault(name, path)
        except FileNotFoundError:
            continue
    return found


def asserted():
    places = {}
    unknown = {}
    for path in glob.glob("src/*/*.c") + glob.glob("sim/*.c"):
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        for number, line in enumerate(lines):
            for name in NUMBER.findall(line):
                unknown.setdefault(name, path)
                window = lines[max(0, number - BEFORE):number + AFTER + 1]
                if any(ASSERTION.search(text) for text in window):
                    places.setdefault(name, set()).add((path, number + 1))
    return places, unknown


def main():
    headers = stated()
    places, mentioned = asserted()
    failed = False
    for name, path in sorted(headers.items()):
        count = len(places.get(name, ()))
        if count < 2:
            print(f"{path}: {name} is asserted in {count} places, needs 2")
            failed = True
    for name, path in sorted(mentioned.items()):
        if name not in headers:
            print(f"{path}: {name} is not stated in a header or ARCHITECTURE.md")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
