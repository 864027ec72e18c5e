#!/usr/bin/env python3
"""What scripts rely on in dsmr localnet: how it ends, what it says then, and what it leaves."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

from net import DSMR, DSMRD, Node, check, is_running, main, opaque_tx, processes_of, run, until


class Localnet:
    """with Localnet("--load", "none") as net: ...; end(signal) gives exit code, summary, stderr."""

    def __init__(self, *options, env=None):
        self.options, self.env = list(options), env or {}

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="dsmr-e2e-")
        self.home = os.path.join(self.directory, "net")
        self.process = subprocess.Popen([DSMR, "localnet", "--home", self.home, "--json"] +
                                        self.options, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **self.env))
        started = json.loads(self.process.stdout.readline())
        check(started["event"] == "started", "%s" % started)
        self.nodes = [Node(facts) for facts in started["nodes"]]
        return self

    def end(self, number=None):
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate()
        lines = [json.loads(line) for line in out.splitlines()]
        return self.process.returncode, lines[-1] if lines else None, err

    def __exit__(self, kind, value, trace):
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.process.kill()
                node.process.wait()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        try:
            until("all processes are gone", lambda: not processes_of(self.directory), 30)
        finally:
            for pid in processes_of(self.directory):
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.directory, ignore_errors=True)


def duplicates_run_once():
    with Localnet("--load", "duplicates", "--rate", "500", "--duration", "2s") as net:
        code, summary, err = net.end()
    check(code == 0 and err == "", "%d %s" % (code, err))
    check(summary["sent_txs"] == 4 * 1000 and summary["drained"], "%s" % summary)
    # A node that has heard of it from another one first refuses its copy.
    check(summary["admitted_txs"] >= 1000 and summary["expired_txs"] == 0, "%s" % summary)
    check(summary["executed_txs"] == summary["admitted_txs"], "%s" % summary)
    check(summary["verified"] and summary["missing_txs"] == 0 and
          summary["executed_twice_txs"] == 0, "%s" % summary)
    check(499 < summary["offered_tx_per_s"] < 501, "%s" % summary)


def bursts_are_measured():
    with Localnet("--load", "idle-then-burst", "--rate", "1000", "--idle", "1100ms", "--burst",
                  "400ms", "--warmup", "0", "--duration", "3s") as net:
        code, summary, err = net.end()
    check(code == 0 and err == "", "%d %s" % (code, err))
    check(summary["sent_txs"] == 2 * (2 + 400) == summary["executed_txs"], "%s" % summary)
    check(summary["verified"] and summary["missing_txs"] == 0, "%s" % summary)
    check(267 < summary["offered_tx_per_s"] < 269, "%s" % summary)
    check(sorted(summary["bursts_ms"]) == ["burst", "burst_first", "idle"], "%s" % summary)
    for part in summary["bursts_ms"].values():
        for times in part.values():
            check(0 < times["p50"] <= times["p95"] <= times["p99"] <= times["max"], "%s" % summary)


def hotspots_run():
    with Localnet("--load", "hotspot", "--rate", "500", "--duration", "2s") as net:
        code, summary, err = net.end()
        check(code == 0 and err == "", "%d %s" % (code, err))
    check(summary["executed_txs"] == 1000 and summary["failed_txs"] == 0, "%s" % summary)
    check(len(summary["node_cpu_us_per_tx"]) == 4, "%s" % summary)
    check(abs(sum(summary["node_cpu_us_per_tx"]) - summary["cpu_us_per_tx"]) < 0.1, "%s" % summary)


def load_begins_with_the_chain():
    code, out, err = run(DSMR, "localnet", "--validators", "2", "--load", "opaque", "--rate", "100",
                         "--duration", "1s", "--plain")
    check(code == 0 and err == "", "%d %s" % (code, err))
    heights = re.findall(r" s  2 of 2 nodes  height ([0-9]+) ", out)
    check(len(heights) > 0 and int(heights[0]) >= 1, out)


def runs_until_interrupted():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Localnet("--duration", "0", "--validators", "2") as net:
            check(all(is_running(node.pid) for node in net.nodes), "a node is not there")
            code, summary, err = net.end(number)
            check(code == 0 and err == "", "%d %s" % (code, err))
            check(summary["event"] == "summary" and summary["state_roots_equal"], "%s" % summary)
            check((summary["engine"], summary["validators"]) == ("bft", 2), "%s" % summary)
            check(summary["executed_tx_per_s"] is None and summary["cpu_us_per_tx"] is None,
                  "what nothing was measured of is known: %s" % summary)
            check(not any(is_running(node.pid) for node in net.nodes), "a node outlives it")
            check(os.path.exists(os.path.join(net.nodes[0].home, "node.log")), "the homes are gone")
            code, _, err = run(DSMR, "localnet", "--home", net.home)
            check(code == 78 and "exists already" in err, "another one in its place: %d" % code)


def goes_on(node):
    """The network takes transactions and runs them, ten one after the other."""
    for _ in range(10):
        code, answer = node.http("/v1/tx?mode=executed", {"tx": opaque_tx().hex()})
        check(code == 200, "%d %s" % (code, answer))


def a_temporary_home_goes():
    """However the end is asked for; and whoever lets it run on without a terminal is not asked."""
    with tempfile.TemporaryDirectory(prefix="dsmr-e2e-") as folder:
        for number in (signal.SIGHUP, signal.SIGTERM):
            process = subprocess.Popen(
                ["nohup", DSMR, "localnet", "--validators", "1", "--load", "opaque", "--rate",
                 "20", "--duration", "0", "--json"]
                [0 if number == signal.SIGTERM else 1:],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env=dict(os.environ, TMPDIR=folder))
            try:
                started = json.loads(process.stdout.readline())
                check(os.listdir(folder) == [os.path.basename(started["directory"])],
                      "%s" % started)
                process.send_signal(signal.SIGHUP)
                if number == signal.SIGTERM:
                    goes_on(Node(started["nodes"][0]))
                    process.send_signal(number)
                out, err = process.communicate()
            finally:
                process.kill()
                process.wait()
            check(process.returncode == 0, "%d %s" % (process.returncode, err))
            check("summary" in out and os.listdir(folder) == [], "%s %s" % (out, err))


def dies_with_its_nodes():
    with Localnet("--load", "transfers", "--rate", "20", "--duration", "0") as net:
        until("it works", lambda: net.nodes[0].metric("txs_executed_total") > 0)
        net.process.kill()
        net.process.wait()
        until("its nodes are gone", lambda: not any(is_running(n.pid) for n in net.nodes))


def a_killed_node_is_missed():
    with Localnet("--duration", "0") as net:
        net.nodes[3].kill()
        code, summary, err = net.end(signal.SIGINT)
        check(code == 69 and "3 of 4 nodes" in err, "%d %s" % (code, err))
        check(summary["nodes_reachable"] == 3 and not summary["state_roots_equal"], "%s" % summary)


def a_killed_node_that_came_back_is_not():
    with Localnet("--load", "opaque", "--rate", "30", "--duration", "0") as net:
        victim = net.nodes[3]
        ports = (victim.p2p_port, victim.http_port, victim.submit_port)
        until("it works", lambda: net.nodes[0].metric("txs_executed_total") > 0)
        victim.kill()
        victim.start()
        check((victim.p2p_port, victim.http_port, victim.submit_port) == ports, "other ports")
        until("it catches up", lambda: victim.executed() > 0 and
              victim.executed() + 5 >= net.nodes[0].height())
        code, summary, err = net.end(signal.SIGINT)
        # What only the killed node had admitted is lost: that may be more than one in a hundred.
        check(code == 0 or (code == 1 and "admitted transactions were executed" in err),
              "%d %s" % (code, err))
        # Of that it is known at its expiry, which an end by hand does not wait for.
        waiting = summary["sent_txs"] - sum(summary[word + "_txs"] for word in
                                            ("refused", "executed", "expired", "lost"))
        check(summary["drained"] == (waiting == 0), "%d wait: %s" % (waiting, summary))
        check(summary["nodes_reachable"] == 4 and summary["state_roots_equal"], "%s" % summary)
        check(victim.stop() == 0, "it does not stop well")


def nodes_need_dsmrd():
    """Its place is beside dsmr: without it, one sentence."""
    with tempfile.TemporaryDirectory(prefix="dsmr-e2e-") as folder:
        shutil.copy(DSMR, folder)
        code, out, err = run(os.path.join(folder, "dsmr"), "localnet", "--home", folder + "/net")
        check(code == 69 and out == "" and "dsmrd" in err, "%d %s" % (code, err))
    check(os.access(DSMRD, os.X_OK), "dsmrd")


def a_low_disk_is_said():
    """Nothing is built and nothing is taken: the last line says why, whatever else is missing."""
    low = {"DSMR_DISK_LOW_BYTES": str(1 << 50)}
    for options in (("--load", "opaque", "--duration", "3s", "--rate", "100"),
                    ("--load", "none", "--duration", "2s")):
        with Localnet("--validators", "2", *options, env=low) as net:
            code, summary, err = net.end()
            check(code == 4 and err.count("\n") == 1, "%d %s" % (code, err))
            check("the disk of node 0 is nearly full (2 of 2 nodes)" in err, err)
            check(summary["event"] == "summary" and summary["executed_txs"] == 0, "%s" % summary)


def a_full_disk_is_said():
    """A node whose disk was full ends with 4: here one says so that was asked to stop."""
    with tempfile.TemporaryDirectory(prefix="dsmr-e2e-") as folder:
        shutil.copy(DSMR, folder)
        path = os.path.join(folder, "dsmrd")
        with open(path, "w") as file:
            file.write("#!/bin/sh\ncase \"$*\" in *node1*) code=4;; *) code=0;; esac\n"
                       "trap 'kill $pid; wait $pid; exit $code' TERM\n"
                       "%s \"$@\" &\npid=$!\nwait $pid\n" % os.path.abspath(DSMRD))
        os.chmod(path, 0o755)
        code, out, err = run(os.path.join(folder, "dsmr"), "localnet", "--home", folder + "/net",
                             "--validators", "2", "--load", "none", "--duration", "1s", "--json")
        check(code == 4 and err.count("\n") == 1, "%d %s" % (code, err))
        check("the disk of node 1 is full and it has ended (1 of 2 nodes)" in err, err)
        check(os.path.join(folder, "net/node1") in err and "summary" in out, err)


if __name__ == "__main__":
    main(duplicates_run_once, bursts_are_measured, hotspots_run,
         load_begins_with_the_chain, runs_until_interrupted, a_temporary_home_goes,
         dies_with_its_nodes, a_killed_node_is_missed, a_killed_node_that_came_back_is_not,
         nodes_need_dsmrd, a_low_disk_is_said, a_full_disk_is_said)
