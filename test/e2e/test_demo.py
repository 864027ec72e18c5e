#!/usr/bin/env python3
"""What `make demo` runs, that it fails when a node does, the first transaction of the README, and
`dsmr bench --calibrate`."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

from net import DSMR, DSMRD, Node, check, main, processes_of, run, until

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


class Folder:
    """A temporary folder. At its end no process that knows of it is left."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="dsmr-e2e-")
        return self.path

    def __exit__(self, kind, value, trace):
        left = processes_of(self.path)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.path, ignore_errors=True)
        check(not left, "processes are left over: %s" % left)


def demo_says_what_it_did():
    """For a person: DEMO_SECONDS reaches the program, the pipeline is shown, then the summary."""
    code, out, err = run("make", "-C", ROOT, "-n", "--no-print-directory", "demo", "DEMO_SECONDS=3")
    check(code == 0 and out.splitlines()[-1] == "build/release/bin/dsmr demo --duration 3",
          "make demo: %s%s" % (out[-200:], err))
    with Folder() as folder:
        code, out, err = run(DSMR, "demo", "--duration", "3", "--rate", "300",
                             "--home", os.path.join(folder, "net"))
    check(code == 0, "exit code %d: %s%s" % (code, out, err))
    found = re.search(r"(\d+) sent, (\d+) admitted, (\d+) executed \((\d+) failed\)", out)
    check(found, "no transactions in the summary: " + out)
    sent, admitted, executed, failed = (int(number) for number in found.groups())
    check(sent >= 800 and executed > 0 and executed >= 0.99 * admitted and failed == 0, found[0])
    for text in ("4 of 4 nodes", "latency to executed", "0 missing, 0 executed twice"):
        check(text in out, "%r is not in: %s" % (text, out))
    check(re.search(r"state roots +equal at height \d+ on 4 nodes: [0-9a-f]{64}", out), out)


def first_transaction():
    """The lines of the README, one after the other, as they stand there."""
    with open(os.path.join(ROOT, "README.md")) as file:
        section = file.read().split("## A first transaction\n")[1].split("\n## ")[0]
    lines = re.findall(r"(?m)^    (.*)$", section)
    with Folder() as folder:
        def shell(line):
            for word, place in (("build/release/bin/", os.path.dirname(DSMR) + "/"),
                                ("/tmp/net", os.path.join(folder, "net"))):
                line = line.replace(word, place)
            return line

        out = os.path.join(folder, "out")
        with open(out, "w") as file:
            localnet = subprocess.Popen("exec " + shell(lines[0]), shell=True, stdout=file)
        try:
            until("it prints its ports", lambda: open(out).read().count("http://") == 4)
            port = re.search(r"http://127.0.0.1:(\d+)", open(out).read())[1]
            said = []
            for line in lines[2:]:
                tx = re.search("(?m)^tx +([0-9a-f]{64})$", "\n".join(said))
                code, text, err = run("sh", "-c", "%s\n%s" % (
                    shell(lines[1]).replace("PORT", port),
                    shell(line).replace("ID", tx[1] if tx else "ID")))
                check(code == 0 and err == "", "%s: %d %s" % (line, code, err))
                said.append(text)
            localnet.send_signal(signal.SIGINT)
            check(localnet.wait() == 0, "it does not end well at Ctrl-C")
        finally:
            localnet.kill()
            localnet.wait()
    check([line.split()[1] for line in lines[2:]] == ["balance", "send", "balance", "tx"],
          "the lines of the README: %s" % lines)
    before, after = (int(re.search(r"(?m)^balance +(\d+)$", said[i])[1]) for i in (0, 2))
    check(after == before + 1000, "balances %d and %d" % (before, after))
    for text in (said[1], said[3]):
        check(re.search("(?m)^state +executed", text), text)


def demo_that_loses_a_node_fails():
    with Folder() as folder:
        demo = subprocess.Popen([DSMR, "demo", "--duration", "8", "--rate", "300", "--json",
                                 "--home", os.path.join(folder, "net")],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            started = json.loads(demo.stdout.readline())
            check(started["event"] == "started" and len(started["nodes"]) == 4, str(started))
            victim = Node(started["nodes"][2])
            until("it executes", lambda: victim.metric("txs_executed_total") > 0)
            os.kill(victim.pid, signal.SIGKILL)
            out, err = demo.communicate(timeout=120)
        finally:
            demo.kill()
        summary = json.loads(out.splitlines()[-1])
        check(summary["event"] == "summary" and summary["executed_txs"] > 0, out)
        check(demo.returncode != 0, "a demo that lost a node passed: %s" % out)
        check(err.startswith("dsmr: "), "it does not say why: " + err)


def demo_whose_node_fails_at_its_stop_fails():
    """All is well until the end; then one node ends with an error. dsmr runs the dsmrd beside it:
    here one that ends so for one home."""
    with Folder() as folder:
        program = os.path.join(folder, "dsmr")
        shutil.copy(DSMR, program)
        with open(os.path.join(folder, "dsmrd"), "w") as script:
            script.write('#!/bin/sh\n"%s" "$@" &\nnode=$!\ntrap "kill $node" TERM\n'
                         'wait $node\nwait $node\ncode=$?\n'
                         'case $3 in *node1) exit 3;; esac\nexit $code\n' % DSMRD)
        os.chmod(os.path.join(folder, "dsmrd"), 0o755)
        code, out, err = run(program, "demo", "--duration", "2", "--rate", "100", "--json",
                             "--home", os.path.join(folder, "net"))
        summary = json.loads(out.splitlines()[-1])
        check(summary["event"] == "summary" and summary["state_roots_equal"] is True, out)
        check(code != 0 and "1 of 4 nodes" in err, "exit code %d: %s" % (code, err))


def calibration_measures_this_machine():
    with Folder() as folder:
        code, out, err = run(DSMR, "bench", "--calibrate", "--json", "--dir", folder)
        check(code == 0, "exit code %d: %s" % (code, err))
        check(os.listdir(folder) == [], "it leaves %s" % os.listdir(folder))
        found = json.loads(out)
        parts = found.pop("limit_opaque_parts_us")
        check(found.pop("event") == "calibration" and len(found) == 20, out)
        check(all(value > 0 for value in [*found.values(), *parts.values()]), out)
        for size in ("1mib", "256"):
            low, middle, high = (found["append_sync_%s%s_us" % (size, which)]
                                 for which in ("_min", "", "_max"))
            check(low <= middle <= high, out)
        quickest = min(found["sha256_512_us"], found["sha256_512_many_us"])
        check(abs(parts["hash"] - 4 * quickest) < 0.02, out)
        check(abs(sum(parts.values()) - found["limit_opaque_us_per_tx"]) < 0.05, out)
        for kind in ("opaque", "transfers"):
            implied = found["cores"] * 1e6 / found["limit_%s_us_per_tx" % kind]
            check(abs(found["limit_%s_tx_per_s" % kind] / implied - 1) < 0.01, out)
        code, out, err = run(DSMR, "bench", "--calibrate", "--dir", folder)
        check(code == 0 and "implied limit for 4 validators" in out, out + err)
        nowhere = os.path.join(folder, "nowhere")
        code, out, err = run(DSMR, "bench", "--calibrate", "--dir", nowhere)
        check(code == 74 and nowhere in err, "exit code %d: %s" % (code, err))


if __name__ == "__main__":
    main(demo_says_what_it_did, first_transaction, demo_that_loses_a_node_fails,
         demo_whose_node_fails_at_its_stop_fails, calibration_measures_this_machine)
