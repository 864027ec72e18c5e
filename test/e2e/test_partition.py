#!/usr/bin/env python3
"""Validators in network namespaces of their own, whose links go down: one, one after the other in
quick succession, and two halves that do not hear each other.

    the test's namespace:  bridge "here" 10.77.0.254        bridge "there"
                            |       |       |       |
    of each node:           eth0 10.77.0.1  ...

A node is moved from one bridge to the other with its link's end. Needs root, or user namespaces; where
neither is permitted it says so. Everything is gone with the processes that live in the namespaces.
"""
import os
import random
import subprocess
import sys
import time

from net import Testnet, cannot, check, main, until
from promises import PARAMS, Promises

MARK = "DSMR_IN_NAMESPACE"
PORT = 26656


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    check(done.returncode == 0, "ip %s: %s" % (" ".join(words), done.stderr))


def bridge(name, address=None):
    ip("link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0")
    if address is not None:
        ip("address", "add", address, "dev", name)
    ip("link", "set", name, "up")


class Islands(Testnet):
    """A Testnet whose node i is 10.77.0.(i + 1) in a namespace of its own."""

    def __init__(self, validators):
        super().__init__(validators, app="opaque", params=PARAMS,
                         options=["--starting-ip-address", "10.77.0.1"])
        self.holders = []

    def __enter__(self):
        super().__enter__()
        bridge("here", "10.77.0.254/24")
        bridge("there")
        for i, node in enumerate(self.nodes):
            node.host = "10.77.0.%d" % (i + 1)
            self.add_island(i, node)
        return self

    def add_island(self, i, node):
        # cat ends when its input does: with this process, however that ends
        holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
        self.holders.append(holder)
        own = os.readlink("/proc/self/ns/net")
        until("a namespace", lambda: os.readlink("/proc/%d/ns/net" % holder.pid) != own)
        node.within = ["nsenter", "-t", str(holder.pid), "--net"]
        ip("link", "add", self.link(i), "type", "veth", "peer", "name", "eth0", "netns",
           str(holder.pid))
        ip("link", "set", self.link(i), "master", "here", "up")
        for words in (["address", "add", node.host + "/24", "dev", "eth0"],
                      ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
            done = subprocess.run(node.within + ["ip"] + words)
            check(done.returncode == 0, "ip %s" % words)

    def link(self, i):
        return "to-node%d" % i

    def start_all(self):
        for i, node in enumerate(self.nodes):
            port = self.port_of(node)
            node.start({"DSMR_HTTP_ADDRESS": "%s:%d" % (node.host, port + 1),
                        "DSMR_SUBMIT_ADDRESS": "%s:%d" % (node.host, port + 2),
                        "DSMR_ALLOW_REMOTE": "true"}, node.within)

    @staticmethod
    def port_of(node):
        with open(os.path.join(node.home, "config/config.yaml")) as config:
            line = next(line for line in config if line.startswith("p2p-address:"))
        return int(line.rsplit(":", 1)[1].strip(' "\n'))

    def cut(self, i):
        ip("link", "set", self.link(i), "down")

    def join(self, i):
        ip("link", "set", self.link(i), "up")

    def move(self, i, island):
        ip("link", "set", self.link(i), "master", island)

    def __exit__(self, kind, value, trace):
        super().__exit__(kind, value, trace)
        for holder in self.holders:
            holder.stdin.close()
            holder.wait()
        for i in range(len(self.holders)):
            subprocess.run(["ip", "link", "delete", self.link(i)], stderr=subprocess.DEVNULL)
        for name in ("here", "there"):
            subprocess.run(["ip", "link", "delete", name], stderr=subprocess.DEVNULL)


def one_link_goes_down():
    with Islands(4) as net:
        net.start_all()
        with Promises(net, 1) as promises:
            lonely, others = net.all_nodes[3], net.all_nodes[:3]
            net.nodes = others
            net.cut(3)
            before = others[0].height()
            until("the others go on", lambda: all(n.executed() > before + 10 for n in others))
            promises.until_promised()
            net.join(3)
            net.nodes = list(net.all_nodes)
            until("back within two blocks of the others",
                  lambda: lonely.executed() + 2 >= others[0].height() > before)
        print(promises.judge())


def two_halves():
    with Islands(4) as net:
        net.start_all()
        with Promises(net, 2) as promises:
            near = net.all_nodes[:2]
            net.nodes = near  # clients are on this side
            for i in (2, 3):
                net.move(i, "there")
            time.sleep(2)  # what was on its way is decided
            stands = [n.height() for n in near]
            time.sleep(3)  # three views in which somebody could decide alone
            check([n.height() for n in near] == stands, "two of four decided")
            for i in (2, 3):
                net.move(i, "here")
            net.nodes = list(net.all_nodes)
            until("the chain goes on", lambda: all(n.executed() > max(stands)
                                                   for n in net.nodes))
            promises.until_promised()
        print(promises.judge())


def links_flap():
    rng = random.Random(3)
    with Islands(4) as net:
        net.start_all()
        with Promises(net, 3) as promises:
            for _ in range(12):
                down = rng.sample(range(4), rng.choice([1, 1, 2, 4]))
                for i in down:
                    net.cut(i)
                time.sleep(rng.uniform(0, 0.7))  # how long they are down is the point
                for i in down:
                    net.join(i)
                time.sleep(rng.uniform(0, 0.7))
                promises.look()
            promises.until_promised()
        print(promises.judge())


def enter_namespace():
    """Becomes this program in a network namespace of its own; returns if that is not permitted."""
    for words in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        test = ["ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1"]
        if subprocess.run(words + test, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0:
            os.environ[MARK] = "yes"
            os.execvp(words[0], words + [sys.executable, "-B", os.path.abspath(__file__)])


def not_permitted():
    cannot("no network namespaces: neither root nor user namespaces are permitted here")


if __name__ == "__main__":
    if MARK not in os.environ:
        enter_namespace()
        main(not_permitted)
    ip("link", "set", "lo", "up")
    main(one_link_goes_down, two_halves, links_flap)
