#!/usr/bin/env python3
"""Runs the sweep of docs/scale.md with dsmr-sim --report, and writes what it printed.

usage: tools/scale.py [--sim PROGRAM] [--jobs N] [--only NAME[,NAME]] [--fresh] [--render]

Each run is a line of JSON in docs/scale/NAME.json with the command and the commit that made it. A run
that is there already is not made again unless --fresh says so. Then (with --render: only then) the
plots in docs/scale/*.svg and the tables of docs/scale.md between their markers are written anew.
Standard library only.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys

import scale_plot

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RUNS = os.path.join(ROOT, "docs", "scale")
PAGE = os.path.join(ROOT, "docs", "scale.md")


# ---- the sweep ----

def sweep():
    """Names and options, the dear ones last."""
    loads = {
        1000: {4: [1000, 10000, 50000, 100000, 150000, 200000],
               20: [1000, 10000, 50000, 100000, 150000, 200000, 250000],
               100: [10000, 50000, 100000, 150000],
               300: [1000, 10000, 50000, 100000]},
        100: {4: [1000, 5000, 10000, 15000, 20000, 30000],
              20: [1000, 5000, 10000, 15000, 20000, 30000],
              100: [5000, 10000, 15000],
              300: [5000, 10000]},
    }
    runs = {}
    for validators in (4, 20, 100, 300):
        for mbit, of in loads.items():
            for rate in of[validators]:
                runs[f"n{validators}-{mbit}mbit-{rate}"] = options(validators, mbit, rate)
        runs[f"n{validators}-1000mbit-10000-crashed"] = options(validators, 1000, 10000) | {
            "crashed": (validators - 1) // 3} | ({"warm": 8, "seconds": 12} if validators <= 20
                                                 else {"warm": 4, "seconds": 6})
    runs["n100-1000mbit-10000-2workers"] = options(100, 1000, 10000) | {"workers": 2}
    return runs


# Virtual seconds: hundreds of validators cost a minute each.
WARM = {4: 5, 20: 5, 100: 4, 300: 2.5}
MEASURED = {4: 8, 20: 8, 100: 5, 300: 2.5}


def options(validators, mbit, rate):
    return {"validators": validators, "mbit": mbit, "rate": rate, "workers": 4,
            "warm": WARM[validators], "seconds": MEASURED[validators]}


def command(opts):
    return ["--report"] + [part for name, value in opts.items() for part in (f"--{name}", str(value))]


def commit():
    git = ["git", "-C", ROOT]
    code = ["--", "sim", "src", "include"]  # what the numbers depend on
    head = subprocess.check_output(git + ["log", "-1", "--format=%h (%s)"] + code, text=True).strip()
    dirty = subprocess.check_output(git + ["status", "--porcelain"] + code, text=True).strip()
    return head + (", changed" if dirty else "")


def run(sim, name, opts, made_by):
    done = subprocess.run([sim] + command(opts), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return name, None, f"exit {done.returncode}: {done.stderr.strip() or done.stdout[-300:]}"
    entry = {"name": name, "command": shlex.join(["dsmr-sim"] + command(opts)), "commit": made_by,
             "report": json.loads(done.stdout)}
    with open(os.path.join(RUNS, name + ".json"), "w", encoding="utf-8") as out:
        json.dump(entry, out, indent=1)
        out.write("\n")
    return name, entry, None


def run_all(args):
    os.makedirs(RUNS, exist_ok=True)
    made_by, failed = commit(), 0
    wanted = {name: opts for name, opts in sweep().items()
              if (not args.only or any(re.fullmatch(p, name) for p in args.only.split(",")))
              and (args.fresh or not os.path.exists(os.path.join(RUNS, name + ".json")))}
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        jobs = [pool.submit(run, args.sim, name, opts, made_by) for name, opts in wanted.items()]
        for job in concurrent.futures.as_completed(jobs):
            name, entry, error = job.result()
            failed += entry is None
            print(f"{name}: {error or line(entry['report'])}", flush=True)
    return failed


def line(r):
    return (f"{r['executed_min_per_s']} tx/s executed, p50 {r['executed_ms']['p50']:.0f} ms, "
            f"limit {r['limit']}")


# ---- the page ----

def load():
    entries = {}
    for file in sorted(os.listdir(RUNS)):
        if file.endswith(".json"):
            with open(os.path.join(RUNS, file), encoding="utf-8") as text:
                entry = json.load(text)
            entries[entry["name"]] = entry
    order = list(sweep())
    return {name: entries[name] for name in order if name in entries}


def number(value):
    return f"{value:,.0f}".replace(",", " ")


def share(value):
    return f"{100 * value:.0f}%" if value >= 0.1 else f"{100 * value:.1f}%"


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] +
                     ["| " + " | ".join(row) + " |" for row in rows])


def main_table(entries, mbit):
    head = ["validators", "offered tx/s", "executed tx/s", "certified p50 / p99 ms",
            "executed p50 / p95 / p99 ms", "blocks/s", "chunks/s of all, KB each",
            "uplink, busiest part of others", "first limit"]
    rows = []
    for entry in entries.values():
        r = entry["report"]
        if r["mbit_per_s"] != mbit or r["crashed"] or r["workers"] != 4:
            continue
        rows.append([str(r["validators"]), number(r["offered_per_s"]),
                     number(r["executed_min_per_s"]), spread(r["certified_ms"], ("p50", "p99")),
                     spread(r["executed_ms"], ("p50", "p95", "p99")), f"{r['blocks_per_s']:.1f}",
                     f"{r['chunks_per_s']:.0f}, {r['chunk_bytes'] / 1000:.0f}",
                     f"{share(r['uplink']['mean'])}; {busiest(r)}", verdict(r)])
    return table(head, rows)


def spread(s, names):
    return " / ".join(number(s[n]) for n in names) if s["count"] else "none"


PARTS = {"logic": "logic thread", "net": "network thread", "workers_busy": "workers",
         "execution": "execution", "disk": "disk"}


def busiest(r):
    key = max(PARTS, key=lambda k: r[k]["mean"])
    return f"{PARTS[key]} {share(r[key]['mean'])}"


CHUNK_BYTES_MAX = 1 << 20  # docs/protocol.md, section 2


def verdict(r):
    """What keeps it from doing more, in words."""
    slots_used = r["chunks_per_s"] / r["up"] * r["slot_ms"] / 1000
    if r["limit"] != "latency":
        return r["limit"]
    if slots_used > 0.9 and r["chunk_bytes"] > 0.9 * CHUNK_BYTES_MAX:
        return "slots: a largest chunk in each"
    if r["executed_min_per_s"] < 0.85 * offered(r):
        return "consensus"
    return "none: round trips"


def offered(r):
    """To nodes that are up: a client is beside its node."""
    return r["offered_per_s"] * r["up"] / r["validators"]


def cost_table(entries):
    head = ["validators", "Mbit/s", "offered tx/s", "sent, received by a node, MB/s",
            "sent B/tx", "of it votes, certificates, chunks", "messages/s sent by a node",
            "CPU of a node: logic, network, workers, execution (cores)", "CPU us/tx, all nodes",
            "written by a node, MB/s"]
    rows = []
    for entry in entries.values():
        r = entry["report"]
        if r["crashed"] or r["executed_min_per_s"] == 0:
            continue
        up = r["up_bytes_per_s"]
        cores = ", ".join(f"{r[k]['mean'] * (r['workers'] if k == 'workers_busy' else 1):.2f}"
                          for k in ("logic", "net", "workers_busy", "execution"))
        parts = ", ".join(share(r[f"up_{c}_bytes_per_s"] / up) for c in ("vote", "cert", "chunk"))
        label = "" if r["workers"] == 4 else f" with {r['workers']} workers"
        rows.append([str(r["validators"]) + label, str(r["mbit_per_s"]), number(r["offered_per_s"]),
                     f"{up / 1e6:.1f}, {r['down_bytes_per_s'] / 1e6:.1f}",
                     number(up / r["executed_min_per_s"]), parts, number(r["messages_per_s"]),
                     cores, f"{r['cpu_us_per_tx']:.1f}", f"{r['stored_bytes_per_s'] / 1e6:.1f}"])
    return table(head, rows)


def wait_table(entries):
    head = ["validators", "Mbit/s", "offered tx/s", "into a chunk", "chunk to certified",
            "to accepted", "to executed", "views/s, blocks/s", "vote, chunk until it has left, ms",
            "proposal: KB, ms until it has left"]
    rows = []
    for entry in entries.values():
        r = entry["report"]
        if r["crashed"] or r["workers"] != 4 or not r["executed_ms"]["count"]:
            continue
        rows.append([str(r["validators"]), str(r["mbit_per_s"]), number(r["offered_per_s"])] +
                    [number(r[k]["p50"]) for k in ("built_ms", "chunk_to_certified_ms",
                                                   "certified_to_accepted_ms")] +
                    [f"{r['accepted_to_executed_ms']['p50']:.1f}",
                     f"{r['views_per_s']:.1f}, {r['blocks_per_s']:.1f}",
                     f"{r['up_vote_wait_ms']:.1f}, {r['up_chunk_wait_ms']:.0f}",
                     f"{r['proposal_bytes'] / 1000:.1f}, {r['proposal_ms']:.0f}"])
    return table(head, rows)


def crash_table(entries):
    head = ["validators", "crashed", "offered tx/s", "executed tx/s", "executed p50 / p99 ms",
            "views/s", "blocks/s"]
    rows = []
    for entry in entries.values():
        r = entry["report"]
        twin = entries.get(entry["name"].replace("-crashed", ""))
        if r["crashed"]:
            for of in filter(None, (twin and twin["report"], r)):
                rows.append([str(of["validators"]), str(of["crashed"]),
                             number(offered(of)), number(of["executed_min_per_s"]),
                             spread(of["executed_ms"], ("p50", "p99")), f"{of['views_per_s']:.1f}",
                             f"{of['blocks_per_s']:.1f}"])
    return table(head, rows)


def command_list(entries):
    by_commit = {}
    for entry in entries.values():
        by_commit.setdefault(entry["commit"], []).append(entry["command"])
    parts = []
    for made_by, commands in by_commit.items():
        parts.append(f"Commit {made_by}:\n\n" + "\n".join("    " + c for c in commands))
    return "\n\n".join(parts)


def render():
    entries = load()
    reports = [entry["report"] for entry in entries.values()]
    for name, svg in scale_plot.all_plots(reports).items():
        with open(os.path.join(RUNS, name + ".svg"), "w", encoding="utf-8") as out:
            out.write(svg)
    with open(PAGE, encoding="utf-8") as text:
        page = text.read()
    parts = {"gigabit": main_table(entries, 1000), "fast": main_table(entries, 100),
             "costs": cost_table(entries), "waits": wait_table(entries),
             "crashed": crash_table(entries), "commands": command_list(entries)}
    for name, body in parts.items():
        pattern = re.compile(rf"(<!-- scale:{name} -->\n).*?(<!-- end -->)", re.S)
        if not pattern.search(page):
            sys.exit(f"scale.py: {PAGE} has no marker <!-- scale:{name} -->")
        page = pattern.sub(lambda m, body=body: m.group(1) + body + "\n" + m.group(2), page)
    with open(PAGE, "w", encoding="utf-8") as out:
        out.write(page)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sim", default=os.path.join(ROOT, "build/release/bin/dsmr-sim"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (300 validators: 6 GB each)")
    parser.add_argument("--only", help="names of runs, as regular expressions, by commas")
    parser.add_argument("--fresh", action="store_true", help="make runs again that are there")
    parser.add_argument("--render", action="store_true", help="no runs, only plots and tables")
    args = parser.parse_args()
    failed = 0 if args.render else run_all(args)
    render()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
