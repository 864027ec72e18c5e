#!/usr/bin/env python3
"""Names and purity, read from the object files of a finished build.

usage: check_symbols.py BUILD
1. File names below src are unique.
2. Every global symbol of src/FOLDER/FILE.c is dsmr_FILE or begins with dsmr_FILE_. A file that
   belongs to a family may use the family's word: chunk_codec.c may define dsmr_chunk_*. The folder
   is a family too: driver/query.c may define dsmr_driver_*.
   tools/symbols_allow.txt has the exceptions, each with a reason.
3. libdsmr (base, crypto, wire, core, bft) needs nothing from outside but memory, strings and blst.
4. libdsmr.so, where BUILD has one, exports only dsmr_*, and only what an installed header declares.
5. Programs neither show nor need from outside what the TLS library has that they are linked with: libwebsockets and
   gRPC bring another one, whose functions have the same names.
6. What checkers of the simulator (sim/check_*.c) are linked with: the simulator, decoders, buffers, hashes, numbers
   that a node tells of itself. Nothing else of the program: they derive its rules again.
"""
import glob
import os
import re
import subprocess
import sys

PURE = ["base", "crypto", "wire", "core", "bft"]
# What pure code may need from outside: compiler helpers and sanitizers' hooks included.
OUTSIDE = re.compile(
    r"^(mem(cpy|move|set|cmp|chr)|strlen|strcmp|strncmp|abort|malloc|calloc|realloc|free"
    r"|aligned_alloc|qsort|bsearch|explicit_bzero"
    r"|blst_\w+|BLS12_381_NEG_G1|dsmr_deps_\w+"
    r"|__stack_chk_fail|__(mem|str)\w+_chk|_GLOBAL_OFFSET_TABLE_|__(u|)(div|mod)ti3|__(asan|ubsan|tsan)_\w+"
    r"|__popcountdi2|__cpu_model|__sanitizer\w*)$")

TLS_NAMES = re.compile(
    r"^(aws_lc_|(SSL|DTLS|TLS|EVP|X509|BIO|ERR|CRYPTO|OPENSSL|PEM|ASN1|EC|RSA|BN|RAND)_|[di]2[di]_)")
CHECKED = re.compile(
    r"^dsmr_(sim_\w+|assert_fail|hash|buf_\w+|rd_\w+|\w+_decode|block_(un)?ref"
    r"|metrics_get|driver_outstanding)$")


def nm(archive, *flags):
    """Lines of nm as (member, type, symbol)."""
    out = subprocess.run(["nm", "-A", *flags, archive], check=True, capture_output=True, text=True)
    for line in out.stdout.splitlines():
        place, _, rest = line.partition(" ")
        member = place.rstrip(":").split(":")[1] if ":" in place.rstrip(":") else place
        words = rest.split()
        if len(words) >= 2:
            yield member, words[-2], words[-1]


def allowed(path):
    names = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split("#")[0].split()
            if len(words) >= 3:
                names[(words[0], words[1])] = False
            elif words:
                sys.exit(f"{path}: needs FILE SYMBOL reason: {line.strip()}")
    return names


def is_named_after(symbol, stem):
    """dsmr_a_b_c fits a_b.c; so does dsmr_a_x for a_b.c (a family), never dsmr_b_x."""
    words = stem.split("_")
    return any(symbol == "dsmr_" + "_".join(words[:n]) or
               symbol.startswith("dsmr_" + "_".join(words[:n]) + "_")
               for n in range(len(words), 0, -1))


def check_file_names():
    faults = []
    seen = {}
    for path in sorted(glob.glob("src/*/*.[ch]")):
        name = os.path.basename(path)
        if name in seen:
            faults.append(f"{path}: {seen[name]} has the same name")
        seen.setdefault(name, path)
    return faults


def check_names(build, exceptions):
    faults = []
    for archive in sorted(glob.glob(f"{build}/libdsmr_*.a")):
        folder = os.path.basename(archive)[len("libdsmr_"):-len(".a")]
        if not os.path.isdir(f"src/{folder}"):
            continue
        for member, _, symbol in nm(archive, "-g", "--defined-only"):
            if symbol.startswith("__"):
                continue  # the sanitizers' and the compiler's own
            path = f"src/{folder}/{member[:-len('.o')]}"
            stem = os.path.splitext(os.path.basename(path))[0]
            if is_named_after(symbol, stem) or symbol.startswith(f"dsmr_{folder}_"):
                continue
            if (path, symbol) in exceptions:
                exceptions[(path, symbol)] = True
            else:
                faults.append(f"{path}: {symbol} is not named dsmr_{stem}_...")
    faults += [f"tools/symbols_allow.txt: {path} {symbol} is no longer needed"
               for (path, symbol), used in exceptions.items()
               if not used and os.path.exists(f"{build}/libdsmr_{path.split('/')[1]}.a")]
    return faults


def check_purity(build):
    defined, needed = set(), {}
    for layer in PURE:
        archive = f"{build}/libdsmr_{layer}.a"
        if not os.path.exists(archive):
            return [f"{archive}: is not built"]
        for member, kind, symbol in nm(archive, "-g"):
            if kind == "U" or kind == "w":
                needed.setdefault(symbol, f"src/{layer}/{member[:-len('.o')]}")
            else:
                defined.add(symbol)
    return [f"{path}: needs {symbol}, which is not pure"
            for symbol, path in sorted(needed.items())
            if symbol not in defined and not OUTSIDE.match(symbol)]


def check_checkers(build):
    archive = f"{build}/libdsmr_sim.a"
    if not os.path.exists(archive):
        return [f"{archive}: is not built"]
    return [f"sim/{member[:-len('.o')]}: is linked with {symbol}, which is what it checks"
            for member, kind, symbol in sorted(nm(archive, "-g"))
            if member.startswith("check_") and kind in "Uw" and symbol.startswith("dsmr_")
            and not CHECKED.match(symbol)]


def check_exports(build):
    library = f"{build}/libdsmr.so"
    if not os.path.exists(library):
        return []
    with open(f"{build}/libdsmr.map", encoding="utf-8") as file:
        declared = set(re.findall(r"(dsmr_\w+);", file.read()))
    exported = {symbol.split("@")[0] for _, kind, symbol in nm(library, "-D", "--defined-only")
                if kind in "TDBRVW"}
    return [f"{library}: exports {symbol}" for symbol in sorted(exported)
            if symbol not in declared or not symbol.startswith("dsmr_")]


def check_programs(build):
    programs = sorted(glob.glob(f"{build}/bin/dsmr*"))
    faults = [] if programs else [f"{build}/bin: no programs"]
    for program in programs:  # weak ones that nobody defines are AWS-LC's hooks
        faults += [f"{program}: {'needs' if kind == 'U' else 'shows'} {symbol}, which is of libssl.so or libcrypto.so, too"
                   for _, kind, symbol in nm(program, "-D")
                   if kind not in "wv" and TLS_NAMES.match(symbol)]
    return faults


def main():
    build = os.path.abspath(sys.argv[1])
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    exceptions = allowed("tools/symbols_allow.txt")
    faults = check_file_names() + check_names(build, exceptions) + check_purity(build)
    faults += check_checkers(build) + check_exports(build) + check_programs(build)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
