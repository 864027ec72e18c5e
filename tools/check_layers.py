#!/usr/bin/env python3
"""Who may include whom: reads every #include of src, include, sim, test, bench and examples.

The table is that of ARCHITECTURE.md. An exception is a line `FILE INCLUDE  reason` in
tools/layers_allow.txt; one that is no longer needed is an error, so that the list only shrinks.
"""
import glob
import os
import re
import sys

LIBC = {
    "float.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h",
    "stddef.h", "stdint.h", "stdlib.h", "stdnoreturn.h", "string.h",
}
# dsmr/ headers that count as base; the others count as core.
DSMR_BASE = {"dsmr/types.h", "dsmr/err.h", "dsmr/limits.h", "dsmr/buf.h"}
# Third-party headers and who may know them; what is not named here is the operating system.
LIBRARIES = {
    "blst.h": {"crypto"}, "blst_aux.h": {"crypto"},
    "lmdb.h": {"store"}, "uv.h": {"net"}, "openssl/": {"net"},
    "libwebsockets.h": {"api"}, "jansson.h": {"api", "client", "app", "plugin"},
    "yaml.h": {"app"}, "grpc/": {"avalanche"},
    # Made from src/avalanche/proto by protoc-c.
    "vm.pb-c.h": {"avalanche"}, "node.pb-c.h": {"avalanche"}, "metrics.pb-c.h": {"avalanche"},
    "cmocka.h": {"test"},
    "immintrin.h": {"crypto"},  # the compiler's: instructions of x86-64
}
# Folder -> folders (or single headers) that it may include besides itself.
MAY = {
    "base": set(),
    "crypto": {"base"},
    "wire": {"base", "crypto/hash.h"},
    "core": {"base", "crypto/hash.h", "wire"},
    "bft": {"base", "crypto/hash.h", "wire"},
    "vm": {"base", "crypto", "wire", "ports/app.h", "ports/kv.h"},
    "ports": {"base", "wire"},
    "driver": {"base", "crypto", "wire", "core", "bft", "ports"},
    "store": {"base", "wire", "ports"},
    "host": {"base", "wire", "ports", "crypto"},
    "net": {"base", "wire", "ports", "crypto"},
    "avalanche": {"base", "wire", "ports", "crypto"},
    "api": {"base", "wire", "ports"},
    "client": {"base", "wire", "ports", "crypto"},
    "sim": {"base", "crypto", "wire", "core", "bft", "vm", "driver", "ports", "store/kv_mem.h"},
}
ANY = {"app", "plugin", "test", "bench", "examples"}
# dsmr-sim itself forks, reads options and measures real time; the rest of sim is deterministic.
PURE = {"base", "crypto", "wire", "core", "bft", "vm", "ports", "driver"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def folder_of(path):
    """Layer of a file: src/X/... is X, include/dsmr is base or core, anything else its top."""
    parts = path.split("/")
    if parts[0] == "src":
        return parts[1]
    if parts[0] == "include":
        return "base" if "/".join(parts[1:]) in DSMR_BASE else "core"
    return parts[0]


def target_of(path, include):
    """Layer that a quoted include belongs to, or None if the file does not exist."""
    if include.startswith("dsmr/"):
        if not os.path.exists("include/" + include):
            return None
        return "base" if include in DSMR_BASE else "core"
    if include.startswith("sim/") and os.path.exists(include):
        return "sim"
    if os.path.exists("src/" + include):
        return include.split("/")[0]
    for top in ("test/", "bench/", "sim/"):
        beside = os.path.join(os.path.dirname(path), include)
        if path.startswith(top) and (os.path.exists(top + include) or os.path.exists(beside)):
            return top[:-1]
    return None


def quoted(path, folder, include):
    if ".." in include.split("/"):
        return "includes are written from the root of src or include"
    target = target_of(path, include)
    if target is None:
        return "there is no such header below src or include"
    if folder in ANY or target == folder:
        if include == "dsmr/dsmr.h" and folder not in ("examples", "test"):
            return "the umbrella header is for embedders"
        return None
    may = MAY.get(folder)
    if may is None:
        return f"folder {folder} is not in the table"
    if target in may or include in may:
        return None
    return f"{folder} may not include {target}"


def angled(path, folder, include):
    for name, owners in LIBRARIES.items():
        if include == name or (name.endswith("/") and include.startswith(name)):
            short = path[4:] if path.startswith("src/") else path
            if folder in owners or short in owners or folder in ("test", "bench"):
                return None
            return f"only {', '.join(sorted(owners))} may know <{name}>"
    if folder in PURE and include not in LIBC:
        return f"{folder} is pure: <{include}> is not in the libc subset"
    return None


def allowed():
    lines = {}
    with open("tools/layers_allow.txt", encoding="utf-8") as file:
        for line in file:
            words = line.split("#")[0].split()
            if len(words) >= 3:
                lines[(words[0], words[1])] = False
            elif words:
                sys.exit(f"tools/layers_allow.txt: needs FILE INCLUDE reason: {line.strip()}")
    return lines


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    exceptions = allowed()
    failed = False
    files = []
    for top in ("src", "include", "sim", "test", "bench", "examples"):
        for ending in ("c", "h"):
            files += glob.glob(f"{top}/**/*.{ending}", recursive=True)
    for path in sorted(files):
        folder = folder_of(path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for kind, include in INCLUDE.findall(text):
            is_ours = kind == '"' and include not in LIBRARIES
            fault = (quoted if is_ours else angled)(path, folder, include)
            if fault and (path, include) in exceptions:
                exceptions[(path, include)] = True
            elif fault:
                line = text[:text.index(include)].count("\n") + 1
                print(f"{path}:{line}: {fault}")
                failed = True
    for (path, include), used in exceptions.items():
        if not used:
            print(f"tools/layers_allow.txt: {path} {include} is no longer needed")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
