#!/usr/bin/env python3
"""kill -9 at random moments, again and again, under load; then nothing that was promised is lost.

    make kills KILLS=100 SEED=7          # who is killed follows from the seed; where that strikes is chance
    python3 test/e2e/kills.py --help

One blow kills one node, several or all, some while they start. promises.py says what is demanded.
"""
import argparse
import random
import subprocess
import sys
import time

from net import DSMRD, Failed, Testnet, until
from promises import PARAMS, Promises


class Blows:
    """What is killed and what comes back, as the seed has it."""

    def __init__(self, promises, seed):
        self.promises, self.net, self.rng = promises, promises.net, random.Random(seed)
        self.of_one = self.of_several = self.of_all = self.while_starting = 0

    def pause(self, most_s):
        time.sleep(self.rng.uniform(0, most_s))  # the moment is the point of it

    def victims(self):
        up = [n for n in self.net.nodes if n.is_up()]
        count = self.rng.choice([1, 1, 1, self.rng.randint(1, len(up)), len(up)])
        return self.rng.sample(up, count)

    def strike(self):
        victims = self.victims()
        if len(victims) == len(self.net.nodes):
            self.of_all += 1
        elif len(victims) > 1:
            self.of_several += 1
        else:
            self.of_one += 1
        for node in victims:  # as nearly at once as a process can
            node.process.kill()
        for node in victims:
            node.process.wait()

    def raise_the_dead(self):
        dead = [n for n in self.net.nodes if not n.is_up()]
        self.rng.shuffle(dead)
        for node in dead:
            self.pause(0.3)
            if self.rng.random() < 0.15:
                self.begin_and_kill(node)
            node.start()

    def begin_and_kill(self, node):
        process = subprocess.Popen([DSMRD, "start", "--home", node.home], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.pause(0.2)
        process.kill()
        process.wait()
        self.while_starting += 1

    def go_on(self):
        """The chain moves again, on every node."""
        height = max(n.executed() for n in self.net.nodes)
        until("a block after the blow",
              lambda: all(n.executed() > height for n in self.net.nodes))

    def run(self, kills, told):
        for blow in range(1, kills + 1):
            self.strike()
            self.pause(0.4)
            self.raise_the_dead()
            if self.rng.random() < 0.5 or blow == kills:
                self.go_on()
                self.promises.look()
            else:
                self.pause(0.6)
            told(blow)


def kills(count, seed, app="transfers", validators=4, told=lambda blow: None):
    """Returns a sentence on what happened; raises Failed."""
    begin = time.monotonic()
    with Testnet(validators, app=app, params=PARAMS) as net:
        net.start_all()
        with Promises(net, seed) as promises:
            blows = Blows(promises, seed)
            blows.run(count, told)
        facts = promises.judge()
    return ("%s, %d validators, seed %d: %d blows, %d of one node, %d of several, %d of all, %d "
            "more while starting; %s; %.0f s" %
            (app, validators, seed, count, blows.of_one, blows.of_several, blows.of_all,
             blows.while_starting, facts, time.monotonic() - begin))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--app", choices=["transfers", "opaque"], default="transfers")
    parser.add_argument("--validators", type=int, default=4)
    options = parser.parse_args()
    if options.kills < 1 or options.validators < 4:
        parser.error("at least one kill, and four validators")

    def told(blow):
        if sys.stderr.isatty():
            sys.stderr.write("%d of %d\r" % (blow, options.kills))
    try:
        print(kills(options.kills, options.seed, options.app, options.validators, told))
    except Failed as failure:
        raise SystemExit("FAILED with seed %d: %s" % (options.seed, failure)) from failure


if __name__ == "__main__":
    main()
