#!/usr/bin/env python3
"""Delay, lost connections, little bandwidth and half-open links between validators, by toxiproxy.

Node i reaches node j only through the proxy i-j. A toxic on it spoils one direction: "upstream" is what
the dialing node sends, "downstream" what it hears.
"""
import json
import os
import random
import subprocess
import time
import urllib.error
import urllib.request

from net import Testnet, cannot, check, free_base_port, main, until
from promises import PARAMS, Promises

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def toxiproxy():
    done = subprocess.run([os.path.join(ROOT, "tools/toxiproxy.sh")], capture_output=True, text=True)
    if done.returncode != 0:
        cannot("toxiproxy cannot be installed: %s" % done.stderr.strip(), is_ours=True)
    return done.stdout.strip()


class Proxied(Testnet):
    def __enter__(self):
        program = toxiproxy()
        super().__enter__()
        port = free_base_port(1)
        self.api = "http://127.0.0.1:%d" % port
        self.processes.append(subprocess.Popen([program, "-host", "127.0.0.1", "-port", str(port)],
                                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until("the proxies' server answers", self.is_up)
        pairs = [(i, j) for i in range(self.validators) for j in range(self.validators) if i != j]
        places = [self.place_of(node) for node in self.nodes]
        for i, j in pairs:
            proxy = self.ask("/proxies", {"name": "%d-%d" % (i, j), "listen": "127.0.0.1:0",
                                          "upstream": places[j]})
            self.rewrite(self.nodes[i], "@" + places[j], "@" + proxy["listen"])
        self.pairs = pairs
        return self

    def is_up(self):
        try:
            return self.ask("/version") is not None
        except OSError:
            return False

    def ask(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.api + path, data=data, method=method,
                                         headers={"Content-Type": "application/json",
                                                  "User-Agent": "test"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
        return json.loads(text) if text.startswith("{") else text

    @staticmethod
    def place_of(node):
        with open(os.path.join(node.home, "config/config.yaml")) as config:
            line = next(line for line in config if line.startswith("p2p-address:"))
        return line.split(":", 1)[1].strip(' "\n')

    @staticmethod
    def rewrite(node, old, new):
        path = os.path.join(node.home, "config/config.yaml")
        with open(path) as config:
            text = config.read()
        check(text.count(old) == 1, "%s stands %d times in %s" % (old, text.count(old), path))
        with open(path, "w") as config:
            config.write(text.replace(old, new))

    def of(self, node):
        return [pair for pair in self.pairs if node in pair]

    def spoil(self, pairs, kind, attributes, streams=("upstream", "downstream")):
        for i, j in pairs:
            for stream in streams:
                self.ask("/proxies/%d-%d/toxics" % (i, j),
                         {"name": stream, "type": kind, "stream": stream, "toxicity": 1.0,
                          "attributes": attributes})

    def cure(self, pairs, streams=("upstream", "downstream")):
        for i, j in pairs:
            for stream in streams:
                self.ask("/proxies/%d-%d/toxics/%s" % (i, j, stream), method="DELETE")

    def break_connections(self, pairs):
        """They end, and cannot be made again for a moment."""
        for is_on in (False, True):
            for i, j in pairs:
                self.ask("/proxies/%d-%d" % (i, j), {"enabled": is_on})


def delay_and_lost_connections():
    rng = random.Random(1)
    with Proxied(4, app="opaque", params=PARAMS) as net:
        net.start_all()
        with Promises(net, 1) as promises:
            net.spoil(net.pairs, "latency", {"latency": 60, "jitter": 50})
            promises.until_promised(40)
            for _ in range(15):
                net.break_connections(rng.sample(net.pairs, rng.choice([1, 2, 6, 12])))
                time.sleep(rng.uniform(0, 0.5))  # when they break is the point of it
                promises.look()
            net.cure(net.pairs)
            promises.until_promised()
        print(promises.judge())


def one_is_slow_then_half_open():
    with Proxied(4, app="opaque", params=PARAMS) as net:
        net.start_all()
        with Promises(net, 2) as promises:
            lame, others = net.all_nodes[3], net.all_nodes[:3]
            until("all are connected", lambda: all(n.metric("peers") == 3 for n in net.nodes))
            net.nodes = others  # clients do not ask it
            net.spoil(net.of(3), "bandwidth", {"rate": 5})  # KB/s; the load needs more
            before = others[0].height()
            until("the others go on", lambda: all(n.executed() > before + 20 for n in others))
            until("it falls behind", lambda: others[0].height() > lame.executed() + 10)
            net.cure(net.of(3))
            until("back within two blocks", lambda: lame.executed() + 2 >= others[0].height() > 0)
            # Whoever has dialed speaks to nobody and hears all; nothing tells either of it.
            net.spoil(net.of(3), "timeout", {"timeout": 0}, ["upstream"])
            before = others[0].height()
            until("the others go on", lambda: all(n.executed() > before + 10 for n in others))
            until("they have hung up", lambda: all(n.metric("peers") == 2 for n in others))
            promises.until_promised()
            net.cure(net.of(3), ["upstream"])
            until("back within two blocks", lambda: lame.executed() + 2 >= others[0].height() > before)
            net.nodes = list(net.all_nodes)
            promises.until_promised()
        print(promises.judge())


if __name__ == "__main__":
    main(delay_and_lost_connections, one_is_slow_then_half_open)
