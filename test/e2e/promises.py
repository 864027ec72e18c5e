"""promises.py - clients that keep what nodes promised them, and the judgement in the end.

    with Testnet(4, app="opaque", params=PARAMS) as net:
        net.start_all()
        with Promises(net, seed=1) as promises:
            ...                              # what goes wrong, under load
        print(promises.judge())              # all nodes run again

All the time clients submit through random nodes and keep the ids of what a node called certified or
executed. judge() waits until all nodes have the same root at the same height and then demands: the same
history everywhere, each transaction that was promised in it, none twice, the same roots at all heights
that were seen on the way.
"""
import http.client
import json
import random
import struct
import threading
import time

from net import DSMR, Failed, await_equal_roots, check, run, until

CLIENTS = {"transfers": 6, "opaque": 12}
EXPIRY_S = 50  # of a transaction: much longer than the chain stands still
PARAMS = {"slot_ms": 50}


class Client(threading.Thread):
    """Submits one transaction after the other; keeps what was promised."""

    def __init__(self, net, number, seed):
        super().__init__(daemon=True)
        self.net, self.number = net, number
        self.rng = random.Random("%d/%d" % (seed, number))
        self.promised = {"certified": set(), "executed": set()}
        self.must_end = False
        self.error = None
        self.start()

    def run(self):
        try:
            while not self.must_end:
                self.submit(self.rng.choice(["certified", "executed"]))
        except Exception as error:  # noqa: BLE001 - judged in the end
            self.error = error

    def note(self, answer):
        """False: nothing was promised."""
        state = answer.get("state")
        if state in ("certified", "in_block", "executed"):
            self.promised["executed" if state == "executed" else "certified"].add(answer["tx"])
            return True
        return False


class Payer(Client):
    """Signed transfers, with the program that people use."""

    def submit(self, mode):
        node = self.rng.choice(self.net.nodes)
        code, out, _ = run(DSMR, "send", "account-%d" % self.rng.randrange(8), "1", "--from",
                           "account-%d" % (8 + self.number), "--keys", self.net.accounts(),
                           "--mode", mode, "--expiry", "%ds" % EXPIRY_S, "--json",
                           "--node", "%s:%d" % (node.host, node.http_port))
        self.note(json.loads(out) if code == 0 else {})


class Repeater(Client):
    """Opaque transactions that go to several nodes, and again to another where one does not answer."""

    def post(self, node, tx, mode):
        try:
            code, answer = node.http("/v1/tx?mode=" + mode, {"tx": tx.hex()}, timeout=10)
            return answer if code == 200 else {}
        except (OSError, http.client.HTTPException):
            return {}

    def submit(self, mode):
        expiry_ms = int(time.time() * 1000) + EXPIRY_S * 1000
        tx = struct.pack(">BQ", 1, expiry_ms) + self.rng.randbytes(32)
        nodes = list(self.net.nodes)
        for node in self.rng.sample(nodes, min(3, len(nodes))):
            if self.rng.random() < 0.5:
                self.post(node, tx, "async")
            if self.must_end or self.note(self.post(node, tx, mode)):
                break


class Promises:
    """Clients and a steady load on a network, from entering to leaving."""

    def __init__(self, net, seed, rate=300):
        self.net, self.seed, self.rate = net, seed, rate
        self.clients = []
        self.roots = {}  # height -> root, as some node had it on the way

    def __enter__(self):
        self.load = self.net.bench("--load", self.net.app, "--rate", str(self.rate), "--duration",
                                   "86400", "--keys", self.net.accounts())
        kind = Payer if self.net.app == "transfers" else Repeater
        self.clients = [kind(self.net, i, self.seed) for i in range(CLIENTS[self.net.app])]
        try:
            self.until_promised()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        for client in self.clients:
            client.must_end = True
        for client in self.clients:
            client.join()
        self.load_ended = self.load.poll()
        self.load.kill()

    def count(self):
        return sum(len(c.promised[k]) for c in self.clients for k in ("certified", "executed"))

    def until_promised(self, more=20):
        """Until so many more promises were given, of both kinds."""
        before = self.count()
        until("%d more promises" % more, lambda: self.count() >= before + more and all(
            any(c.promised[k] for c in self.clients) for k in ("certified", "executed")))

    def look(self):
        """Remembers where the nodes stand."""
        for node in self.net.nodes:
            status = node.status()
            if status is not None and int(status["executed_height"]) > 0:
                height, root = int(status["executed_height"]), status["state_root"]
                check(self.roots.setdefault(height, root) == root, "two roots at height %d" % height)

    def promised(self, kind):
        return {tx for c in self.clients for tx in c.promised[kind]}

    def await_certified(self):
        """What is certified runs when a block takes it up: soon, and before it expires."""
        certified = self.promised("certified")
        ran, height = set(), 0

        def all_ran():
            nonlocal height
            reached = self.net.nodes[0].executed()
            for h in range(height + 1, reached + 1):
                ran.update(self.net.nodes[0].executed_ids(h))
            height = max(height, reached)
            return certified <= ran
        try:
            until("what is certified has run", all_ran, EXPIRY_S + 10)
        except Failed as failure:
            lost = certified - ran
            raise Failed("%d were called certified and never ran: %s" %
                         (len(lost), sorted(lost)[:3])) from failure

    def judge(self):
        """All nodes run and nothing is submitted any more. A sentence on what was promised."""
        check(self.load_ended is None, "the load ended by itself: %s" % self.load_ended)
        for client in self.clients:
            check(client.error is None, "a client: %r" % client.error)
        self.await_certified()
        height, root = await_equal_roots(self.net.nodes)
        certified, executed = self.promised("certified"), self.promised("executed")
        check(certified and executed, "nothing was promised")
        ran = history(self.net.nodes[0], height)
        check(len(ran) == len(set(ran)), "%d ran twice" % (len(ran) - len(set(ran))))
        for node in self.net.nodes[1:]:
            check(history(node, height) == ran, "%s has another history" % node.home)
        lost = executed - set(ran)
        check(not lost, "%d were called executed and are lost: %s" % (len(lost), sorted(lost)[:3]))
        for seen, was in self.roots.items():
            for node in self.net.nodes:
                check(node.root_at(seen) == was, "another root at height %d" % seen)
        return ("%d blocks, %d transactions ran, none twice; all of the %d that were called "
                "certified and the %d called executed ran; roots equal (%s at height %d)" %
                (height, len(ran), len(certified), len(executed), root[:16], height))


def history(node, height):
    return [tx for h in range(1, height + 1) for tx in node.executed_ids(h)]
