#!/usr/bin/env python3
"""Wall clocks that are wrong: a day ahead, half a minute behind, all of them within the skew that a
chain allows. libfaketime moves them while the nodes run; the monotonic clock is left alone."""
import glob
import os
import random
import time

from net import Testnet, cannot, check, main, until
from promises import PARAMS, Promises


def library():
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        cannot("libfaketime is not installed", is_ours=True)
    return found[0]


class Clocks(Testnet):
    """A Testnet whose nodes read how wrong their clocks are from a file, once in a second."""

    def start_all(self):
        preload = library()
        for node in self.nodes:
            self.set(node, 0)
            node.start({"LD_PRELOAD": preload, "FAKETIME_TIMESTAMP_FILE": self.file(node),
                        "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                        "DONT_FAKE_MONOTONIC": "1"})

    def file(self, node):
        return os.path.join(node.home, "clock")

    def set(self, node, offset_s):
        path = self.file(node)
        with open(path + ".new", "w") as file:
            file.write("%+.3f\n" % offset_s)
        os.rename(path + ".new", path)


def complaints(node):
    code, health = node.http("/health")
    return [] if code == 200 else [reason["code"] for reason in health["reasons"]]


def one_is_wrong(offset_s, seed):
    with Clocks(4, app="opaque", params=PARAMS) as net:
        net.start_all()
        with Promises(net, seed) as promises:
            wrong, others = net.nodes[3], net.nodes[:3]
            until("all are well", lambda: not any(complaints(n) for n in net.nodes))
            net.set(wrong, offset_s)
            until("it says that its clock is wrong", lambda: "clock_skew" in complaints(wrong))
            before = others[0].height()
            until("the others go on", lambda: all(n.executed() > before + 10 for n in others))
            promises.until_promised()
            check(not any("clock_skew" in complaints(n) for n in others), "the others complain")
            net.set(wrong, 0)
            until("it is well again", lambda: not complaints(wrong))
            built = wrong.metric("chunks_built_total")
            until("it produces again", lambda: wrong.metric("chunks_built_total") > built + 2)
            promises.until_promised()
        print(promises.judge())


def a_day_ahead():
    one_is_wrong(86400, 1)


def half_a_minute_behind():
    one_is_wrong(-30, 2)


def all_within_the_skew():
    rng = random.Random(3)
    with Clocks(4, app="transfers", params=PARAMS) as net:
        net.start_all()
        with Promises(net, 3) as promises:
            for _ in range(4):
                for node in net.nodes:
                    net.set(node, rng.uniform(-0.45, 0.45))
                time.sleep(1.1)  # the files are read once in a second
                promises.look()
                promises.until_promised(4)
        print(promises.judge())


if __name__ == "__main__":
    main(a_day_ahead, half_a_minute_behind, all_within_the_skew)
