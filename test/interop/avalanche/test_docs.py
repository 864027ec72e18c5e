#!/usr/bin/env python3
"""The commands of docs/avalanche.md, one after the other, as they stand there."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
sys.path.insert(0, os.path.join(ROOT, "test/e2e"))
from net import BIN, cannot, check, main, run, until  # noqa: E402

NODES = 5
with open(os.path.join(ROOT, "docs/avalanche.md")) as page:
    PAGE = page.read()
SECTION = PAGE.split("## A chain on this machine\n")[1].split("\n## ")[0]
LINES = re.findall(r"(?m)^    (.*)$", SECTION)


def shell(line):
    return line.replace("build/release/bin/", os.path.abspath(BIN) + "/")


def commands():
    """What this test runs is what stands there; `make all` has built what runs here."""
    check([line.split()[0] for line in LINES] ==
          ["make", "tools/avalanche.sh", "curl", "export"] + ["build/release/bin/dsmr"] * 4 +
          ["curl", "make"], str(LINES))
    check(LINES[0] == "make all", LINES[0])


def has_node():
    """Builds what the others build too; without Go that is new enough it skips, or fails, aloud."""
    done = subprocess.run(["tools/avalanche.sh", "build"], cwd=ROOT)
    if done.returncode == 77:
        cannot("there is no Go, or none of its modules", is_ours=True)
    check(done.returncode == 0, "tools/avalanche.sh build: exit code %d" % done.returncode)


def chain():
    has_node()
    with tempfile.TemporaryFile("w+") as out:
        network = subprocess.Popen("exec " + LINES[1], shell=True, cwd=ROOT, stdout=out)
        try:
            def printed():
                out.seek(0)
                text = out.read()
                check(network.poll() is None, "it has ended: " + text)
                nodes = re.findall(r"(?m)^  node\d  (http\S+)  http://127.0.0.1:(\d+)  .*$", text)
                return (text, nodes) if len(nodes) == NODES else None

            text, nodes = until("it prints where its nodes are", printed)
            words = {"ACCOUNTS": re.search("accounts in (.*)", text)[1],
                     "CHAIN_URL": nodes[2][0], "PORT": nodes[2][1]}
            said = []
            for line in [LINES[2]] + LINES[4:9]:
                tx = re.search("(?m)^tx +([0-9a-f]{64})$", "\n".join(said))
                words["ID"] = tx[1] if tx else "ID"
                script = "%s\n%s" % (LINES[3], line)
                for word, value in words.items():
                    script = re.sub(r"\b%s\b" % word, value, script)
                code, answer, err = run("sh", "-c", shell(script))
                check(code == 0 and err == "", "%s: %d %s" % (line, code, err))
                said.append(answer)
            network.send_signal(signal.SIGINT)
            check(network.wait() == 0, "it does not end well at Ctrl-C")
        finally:
            network.terminate()
            network.wait()
    status = json.loads(said[0])
    check(status["engine"] == "avalanchego" and status["validators"] == NODES, said[0])
    before, after = (int(re.search(r"(?m)^balance +(\d+)$", said[i])[1]) for i in (1, 3))
    check(after == before + 1000, "balances %d and %d" % (before, after))
    for answer in (said[2], said[4]):
        check(re.search("(?m)^state +executed", answer), answer)
    check(json.loads(said[5])["state"] == "executed", said[5])


def load():
    """Its last line is the summary of `dsmr localnet --json`, with engine and epochs."""
    has_node()
    code, out, err = run("sh", "-c", "unset MAKEFLAGS MAKELEVEL; cd '%s' && %s" % (ROOT, LINES[9]))
    check(code == 0, "exit code %d: %s" % (code, err[-2000:]))
    summary = json.loads(out.strip().splitlines()[-1])
    check(summary["event"] == "summary" and summary["engine"] == "avalanchego", str(summary))
    check(summary["epochs_seen"] >= 1 and summary["executed_txs"] > 0, str(summary))
    check(summary["state_roots_equal"] and summary["nodes_reachable"] == NODES, str(summary))


def names():
    """The file name under which AvalancheGo looks for the VM of the name dsmr."""
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, word = 0, re.search(r"PLUGIN_DIR/(\w+)", PAGE)[1]
    for letter in word:
        number = number * 58 + alphabet.index(letter)
    check(number.to_bytes(36, "big")[:32] == b"dsmr".ljust(32, b"\0"), word)
    code, out, _ = run(os.path.join(BIN, "dsmr-avalanche"), "--version")
    check(code == 0 and "protocol 45" in out and "RPCChainVM protocol 45" in PAGE, out)


if __name__ == "__main__":
    main(commands, names, chain, load)
