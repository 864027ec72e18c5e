#!/usr/bin/env python3
"""The same network pinned to one core and to two: what it executes, and which threads do the work.

    bench/cores.py [--rate N] [--seconds N] [--load opaque|transfers] [--cores 1,2]

Prints executed transactions a second and, of the CPU time of all nodes, the share of each kind of thread; the logic thread of a node
is called dsmrd. The more is done outside of it, the more cores can help. Exit code 1 if it has more than a fifth.
"""
import argparse
import json
import os
import subprocess
import sys
import time

SHARE_MAX = 0.2
LOGIC = "dsmrd"


def threads(pids):
    """Seconds of CPU by name of the thread; threads that have ended are missing."""
    total = {}
    for pid in pids:
        for task in os.listdir("/proc/%d/task" % pid):
            try:
                with open("/proc/%d/task/%s/stat" % (pid, task)) as file:
                    stat = file.read()
            except OSError:
                continue
            name = stat[stat.index("(") + 1:stat.rindex(")")]
            fields = stat.rsplit(")", 1)[1].split()
            ticks = int(fields[11]) + int(fields[12])
            total[name] = total.get(name, 0) + ticks / os.sysconf("SC_CLK_TCK")
    return total


def run(options, cores):
    words = ["taskset", "-c", ",".join(str(core) for core in range(cores)),
             os.path.join(options.bin, "dsmr"), "localnet", "--json", "--load", options.load,
             "--rate", str(options.rate), "--duration", "%ds" % options.seconds]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as net:
        pids = [node["pid"] for node in json.loads(net.stdout.readline())["nodes"]]
        time.sleep(2.5)
        before = threads(pids)
        time.sleep(max(1, options.seconds - 4))
        after = threads(pids)
        lines = net.stdout.read().splitlines()
    used = {name: after[name] - before.get(name, 0) for name in after}
    return used, json.loads(lines[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--rate", type=int, default=150000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--load", choices=["opaque", "transfers"], default="opaque")
    parser.add_argument("--cores", default="1,2")
    options = parser.parse_args()
    print("| cores | executed/s | CPU us/tx | logic thread | others |\n|---|---|---|---|---|")
    worst = 0.0
    for cores in [int(each) for each in options.cores.split(",")]:
        used, summary = run(options, cores)
        total = sum(used.values()) or 1
        share = used.get(LOGIC, 0) / total
        worst = max(worst, share)
        others = ", ".join("%s %.0f%%" % (name, 100 * seconds / total) for name, seconds in
                           sorted(used.items(), key=lambda item: -item[1])
                           if name != LOGIC and seconds / total >= 0.01)
        print("| %d | %.0f | %.1f | %.0f%% | %s |" % (
            cores, summary["executed_tx_per_s"] or 0, summary["cpu_us_per_tx"] or 0, 100 * share,
            others), flush=True)
    print("load average at the end: %.1f" % os.getloadavg()[0])
    return 1 if worst > SHARE_MAX else 0


if __name__ == "__main__":
    sys.exit(main())
