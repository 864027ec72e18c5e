#!/usr/bin/env python3
"""Copies headers of src into the tree that is installed, below dsmr/: there they include each other
as <dsmr/FOLDER/x.h>, so that no generic folder name (wire, crypto) comes into an embedder's path.

usage: gen_headers.py SOURCE_DIR OUT_DIR FOLDER/x.h...
"""
import pathlib
import re
import sys


def main():
    source, out, headers = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    for header in headers:
        text = (source / header).read_text(encoding="utf-8")
        for name in re.findall(r'#include "((?!dsmr/)[^"]+)"', text):
            if name not in headers:
                sys.exit(f"{header} includes {name}, which is not installed")
        text = re.sub(r'#include "(?!dsmr/)([^"]+)"', r'#include "dsmr/\1"', text)
        target = out / header
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
