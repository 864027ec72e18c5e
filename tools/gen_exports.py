#!/usr/bin/env python3
"""Writes the version script of libdsmr.so: exactly the functions that its headers declare.

usage: gen_exports.py OUT HEADER...
"""
import re
import sys


def declared(text):
    """Names of the functions that a header declares and does not define."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r"^[ \t]*#.*?(?<!\\)$", " ", text, flags=re.M | re.S)
    text = re.sub(r"static inline.*?^\}", " ", text, flags=re.M | re.S)
    return re.findall(r"\b(dsmr_[a-z0-9_]+)\s*\((?!\s*\*)", text)


def main():
    out, headers = sys.argv[1], sys.argv[2:]
    names = set()
    for path in headers:
        with open(path, encoding="utf-8") as file:
            names.update(declared(file.read()))
    with open(out, "w", encoding="utf-8") as file:
        file.write("DSMR_0 {\nglobal:\n")
        file.writelines(f"    {name};\n" for name in sorted(names))
        file.write("local:\n    *;\n};\n")


if __name__ == "__main__":
    main()
