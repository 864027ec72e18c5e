#!/usr/bin/env python3
"""Every verb of dsmr and dsmrd does what its help says, and --json is JSON."""
import hashlib
import http.server
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time

from net import DSMR, DSMRD, Net, Testnet, await_chain, check, main, run, until

AMOUNT = 12345


def parsed(*command, code=0):
    """The command ends with code; the JSON that it prints (the last line)."""
    found, out, err = run(*command)
    check(found == code, "%d instead of %d from %s: %s" % (found, code, command[1:], err))
    check(code != 0 or err == "", "%s also says %r" % (command[1:], err))
    return json.loads(out.splitlines()[-1])


def text(*command):
    found, out, err = run(*command)
    check(found == 0 and out and not out.startswith("{"), "%s: %d %r" % (command[1:], found, out))
    return out


def balance(node, keys, name):
    return int(parsed(DSMR, "balance", name, "--keys", keys, "--node", node, "--json")["balance"])


def keys(net, node):
    folder = ["--keys", os.path.join(net.directory, "keys")]
    made = parsed(DSMR, "keys", "new", "alice", *folder, "--json")
    secret = parsed(DSMR, "keys", "export", "alice", *folder, "--json")["secret_key"]
    check(text(DSMR, "keys", "export", "alice", *folder).strip() == secret, "two secrets")
    file = os.path.join(net.directory, "secret")
    with open(file, "w") as out:
        out.write(secret + "\n")
    again = parsed(DSMR, "keys", "import", "bob", file, *folder, "--json")
    check(again["address"] == made["address"], "export and import give another key")
    listed = [json.loads(line) for line in
              run(DSMR, "keys", "list", *folder, "--json")[1].splitlines()]
    check([k["name"] for k in listed] == ["alice", "bob"], "list: %s" % listed)
    check("alice" in text(DSMR, "keys", "list", *folder), "list")
    check(os.stat(os.path.join(folder[1], "alice.json")).st_mode & 0o77 == 0, "others may read it")
    check(run(DSMR, "keys", "new", "alice", *folder)[0] == 1, "a key was overwritten")
    check(run(DSMR, "keys", "export", "carol", *folder)[0] == 64, "no such key")
    check(run(DSMR, "keys", "export", "./carol.json", *folder)[0] == 74, "no such file")
    with open(file, "w") as out:
        out.write("no key\n")
    check(run(DSMR, "keys", "import", "dave", file, *folder)[0] == 65, "a bad secret is taken")
    code, _, err = run(DSMR, "keys", "list", "--keys", os.path.join(net.directory, "nowhere"))
    check(code == 74 and "nowhere" in err, "list of no folder: %d %s" % (code, err))
    damaged = os.path.join(folder[1], "eve.json")
    with open(damaged, "w") as out:
        out.write("{")
    code, out, err = run(DSMR, "keys", "list", *folder)
    check(code == 65 and "alice" in out and "eve.json" in err, "%d %s %s" % (code, out, err))
    os.remove(damaged)
    return made["address"]


def both_at_once(address, ask, accounts, node, payers=iter(range(3, 60))):
    """Two transfers that each could be paid, and together not: the second fails when it runs and
    costs the fee, unless it came so late that it did not come in."""
    name = "account-%d" % next(payers)
    before = balance(node, accounts, name)
    amount = before // 2 + 1
    both = [subprocess.Popen([DSMR, "send", address, str(amount), "--from", name, *ask, "--memo",
                              str(i), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True) for i in range(2)]
    answers = sorted((process.communicate()[0] for process in both), key=len)
    if answers[0] == "":
        return False
    first, second = sorted(map(json.loads, answers), key=lambda answer: answer["code"])
    check((first["state"], second["state"]) == ("executed", "failed"), "%s %s" % (first, second))
    check(second["code"] == 5 and "amount" in second["reason"], "reason: %s" % second)
    check(balance(node, accounts, name) == before - amount - int(first["fee"]) - int(second["fee"]),
          "the fees")
    shown = text(DSMR, "tx", second["tx"], "--node", node)
    check("failed: it ran and failed" in shown and second["reason"] in shown, shown)
    return True


def money(net, node, address):
    accounts = net.accounts()
    ask = ["--keys", accounts, "--node", node]
    before = balance(node, accounts, "account-0")
    check(balance(node, accounts, address) == 0, "a new account has money")
    sent = parsed(DSMR, "send", address, str(AMOUNT), "--from", "account-0", "--memo", "for you",
                  *ask, "--json")
    check(sent["state"] == "executed" and sent["code"] == 0, "send: %s" % sent)
    fee = int(sent["fee"])
    check(fee > 0, "no fee")
    check(balance(node, accounts, "account-0") == before - AMOUNT - fee, "amount and fee")
    check(balance(node, accounts, address) == AMOUNT, "the receiver has something else")
    found = parsed(DSMR, "tx", sent["tx"], "--node", node, "--json")
    for member in ("tx", "state", "height", "fee", "code"):
        check(found[member] == sent[member], "tx: %s, but send: %s" % (found, sent))
    check("executed" in text(DSMR, "tx", sent["tx"], "--node", node), "tx")
    # What cannot be paid does not come in, and costs nothing.
    for words, reason in (((str(10**17),), "insufficient"), (("1", "--fee-limit", "1"), "fee_limit")):
        code, out, err = run(DSMR, "send", address, *words, "--from", "account-1", *ask, "--json")
        check(code == 1 and out == "" and reason in err, "%s: %d %s" % (words, code, err))
    check(balance(node, accounts, "account-1") == before, "account-1 has paid")
    until("one of two fails", lambda: both_at_once(address, ask, accounts, node))
    for mode, state in (("async", None), ("sync", "pending"), ("certified", "certified")):
        answer = parsed(DSMR, "send", address, "1", "--from", "account-2", "--mode", mode, *ask,
                        "--json")
        check(len(answer["tx"]) == 64 and (state is None or answer["state"] == state),
              "%s: %s" % (mode, answer))
        until(mode + " is executed", lambda: run(DSMR, "tx", answer["tx"], "--node", node)[0] == 0)
    return sent


def for_people(*command):
    """No JSON is left in it."""
    shown = text(*command)
    check(not set(shown) & set('{}[]"'), shown)
    return shown


def chain(net, node, sent):
    ask = ["--node", node]
    block = parsed(DSMR, "block", str(sent["height"]), *ask, "--json")
    check(parsed(DSMR, "block", block["id"], *ask, "--json") == block, "by id and by height")
    check(parsed(DSMR, "block", *ask, "--json")["height"] >= block["height"], "the last block")
    shown = for_people(DSMR, "block", str(sent["height"]), *ask)
    for cert in block["certs"]:
        row = "%d .* %s  +%s" % (cert["slot"], ",".join(map(str, cert["signers"])), cert["chunk"])
        check(re.search("(?m)^ +%s$" % row, shown), "no row %r in %s" % (row, shown))
    check("id " in for_people(DSMR, "block", *ask), "block")
    txs = parsed(DSMR, "block", str(sent["height"]), "--txs", *ask, "--json")
    check(sent["tx"] in [tx["tx"] for tx in txs["txs"]], "the transaction is not in its block")
    shown = for_people(DSMR, "block", str(sent["height"]), "--txs", *ask)
    check(re.search(r"(?m)^ +%s +0 +%s$" % (sent["tx"], sent["fee"]), shown), shown)
    check("tx_count" in parsed(DSMR, "block", "--txs", *ask, "--json"), "--txs of the last block")
    pages = [parsed(DSMR, "chunk", block["certs"][0]["chunk"], "--limit", "1", "--cursor", cursor,
                    *ask, "--json") for cursor in ("0", "1")]
    check([len(page["txs"]) for page in pages] == [1, pages[0]["tx_count"] > 1], "pages of a chunk")
    check(pages[0]["next_cursor"] == ("1" if pages[0]["tx_count"] > 1 else None), "cursor")
    check(txs["state_root"] == block["executed"]["state_root"], "two roots")
    inside = []
    for cert in block["certs"]:
        chunk = parsed(DSMR, "chunk", cert["chunk"], *ask, "--json")
        check(chunk["chunk"] == cert["chunk"] and len(chunk["cert"]["signers"]) >= 3, str(chunk))
        inside += [tx["tx"] for tx in chunk["txs"]]
    check(sent["tx"] in inside, "the transaction is in no chunk of its block")
    check(block["certs"][0]["chunk"] in
          for_people(DSMR, "chunk", block["certs"][0]["chunk"], *ask), "chunk")
    validators = parsed(DSMR, "validators", *ask, "--json")
    check({v["node_ids"][0] for v in validators["validators"]} == {n.node_id for n in net.nodes},
          "validators: %s" % validators)
    check(validators["quorum_weight"] == "3", "quorum: %s" % validators)
    shown = for_people(DSMR, "validators", *ask)
    for v in validators["validators"]:
        row = "%d +1  %s  %s..." % (v["index"], v["node_ids"][0], v["public_key"][:16])
        check(re.search("(?m)^ +%s$" % row, shown), "no row %r in %s" % (row, shown))
    check(parsed(DSMR, "evidence", *ask, "--json")["evidence"] == [], "evidence")
    for_people(DSMR, "evidence", *ask)
    status = parsed(DSMR, "status", *ask, "--json")
    check(status["height"] >= sent["height"] and status["peers_connected"] == 3, "%s" % status)
    for_people(DSMR, "status", *ask)
    check(parsed(DSMR, "status", "--node", "http://%s/" % node, "--json")["node_id"] ==
          status["node_id"], "--node http://HOST:PORT/")
    for words in (("block", "999999"), ("block", "0" * 64), ("tx", "0" * 64),
                  ("tx", "0x" + "0" * 64), ("block", "0X" + "a" * 64), ("chunk", "0" * 64)):
        code, out, err = run(DSMR, *words, *ask, "--json")
        check(code == 1 and out == "" and len(err.splitlines()) == 1, "%s: %d %r" % (words, code, err))


def load(net):
    node = net.nodes[0]
    bench = [DSMR, "bench", "--nodes", "127.0.0.1:%d:%d" % (node.http_port, node.submit_port),
             "--keys", net.accounts()]
    code, out, err = run(*bench, "--load", "transfers", "--rate", "100", "--duration", "2",
                         "--verify", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    events, summary = [line["event"] for line in lines], lines[-1]
    check(code == 0 and err == "", "%d %s" % (code, err))
    check(events[0] == "draining" and events[-2:] == ["checking", "summary"] and
          set(events[:-2]) == {"draining"}, "%s" % events)
    check(lines[0]["waiting_txs"] <= lines[0]["admitted_txs"], "%s" % lines[0])
    check(summary["executed_txs"] == summary["admitted_txs"] == 200, "bench: %s" % summary)
    check((summary["engine"], summary["validators"], summary["nodes"]) == ("bft", 4, 1),
          "bench: %s" % summary)
    for member in ("cpu_us_per_tx", "rss_max_mb"):  # of processes that it does not know
        check(summary[member] is None, "%s: %s" % (member, summary[member]))
    check(summary["disk_bytes_per_tx"] > 0 and summary["missing_txs"] == 0, "bench: %s" % summary)
    out = run(*bench, "--load", "transfers", "--rate", "100", "--duration", "1", "--plain")
    check(out[0] == 0 and "executed" in out[1], "bench: %s" % (out,))
    check("CPU unknown us" in out[1] and "engine bft" in out[1], "bench: %s" % out[1])
    check("waiting for the last" in out[2] or "comparing" in out[2], "bench: %s" % out[2])
    bench[3] += ":%d" % node.pid
    code, out, err = run(*bench, "--load", "transfers", "--rate", "100", "--duration", "1",
                         "--json", "--view")
    summary = json.loads(out.splitlines()[-1])
    check(code == 0 and summary["cpu_us_per_tx"] > 0 and summary["rss_max_mb"] > 0, "%s" % summary)
    check("waiting for the last" in err or "comparing" in err, "--view: %s" % err)
    does_not_fit(net.nodes, "transfers", *bench, "--load", "opaque")


def does_not_fit(nodes, app, *bench):
    """A load that the chain's application would refuse is not begun."""
    before = [node.metric("submit_txs_total") for node in nodes]
    for words in ([], ["--json"]):
        code, out, err = run(*bench, *words)
        check(code == 1 and out == "", "%d %s" % (code, out))
        check(len(err.splitlines()) == 1 and "application of this chain is `%s`" % app in err, err)
    check([node.metric("submit_txs_total") for node in nodes] == before, "something was sent")


def stopped(net):
    node = net.nodes[3]
    height, root = net.await_equal_roots()
    node.kill(signal.SIGTERM)
    found = parsed(DSMRD, "inspect", "--home", node.home, "--json")
    check((found["executed_height"], found["state_root"]) == (height, root), "inspect: %s" % found)
    check(found["accepted_height"] == height and found["chunks"] > 0, "inspect: %s" % found)
    check(root in text(DSMRD, "inspect", "--home", node.home), "inspect")
    node.start()
    until("it is back", lambda: (node.status() or {}).get("peers_connected") == 3)
    net.await_equal_roots()


def client_verbs():
    with Net(4) as net:
        node = "127.0.0.1:%d" % net.nodes[0].http_port
        await_chain(net.nodes)
        address = keys(net, node)
        sent = money(net, node, address)
        chain(net, node, sent)
        for port in (net.nodes[0].p2p_port, net.nodes[0].submit_port):
            code, out, err = run(DSMR, "status", "--node", "127.0.0.1:%d" % port)
            check(code == 69 and out == "" and len(err.splitlines()) == 1 and
                  "is it a node's HTTP port?" in err, "port %d: %d %s" % (port, code, err))
        load(net)
        stopped(net)


class Impostor(http.server.BaseHTTPRequestHandler):
    """A node that answers a transaction as server.answer says: (status, members) or None."""

    def say(self, status, members):
        body = json.dumps(members).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.say(200, {"app": "transfers", "network_id": 1, "chain_id": "11" * 32})

    def do_POST(self):
        tx = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["tx"]
        self.server.tx = hashlib.sha256(bytes.fromhex(tx)).hexdigest()
        self.server.path = self.path
        if self.server.is_late:
            until("it has expired", lambda: time.time() * 1000 > int(tx[2:18], 16))
        answer = self.server.answer
        self.server.stall()
        if answer is not None:
            status, members = answer
            self.say(status, dict(members, tx=self.server.tx))

    def log_message(self, *words):
        pass


def undecided(send, server, state, node):
    """What dsmr says of a transfer that it has no answer about: its id, and how to ask."""
    for words in (["--json"], []):
        code, out, err = run(*send, *words)
        check(code == 69, "%d %s %s" % (code, out, err))
        told = json.loads(out) if words else dict(line.split() for line in out.splitlines())
        check(code == 69 and (told["tx"], told["state"]) == (server.tx, state), "%d %s" % (code, out))
        check(words or list(told) == ["tx", "state"], out)
        check(len(err.splitlines()) == 1 and
              "dsmr tx %s --node %s" % (server.tx, node) in err, err)
    return err


def no_answer():
    """A node that hangs up, times out, stops or refuses, after it took the transaction."""
    with tempfile.TemporaryDirectory(prefix="dsmr-e2e-") as keys, \
            http.server.ThreadingHTTPServer(("127.0.0.1", 0), Impostor) as server:
        parsed(DSMR, "keys", "new", "me", "--keys", keys, "--json")
        server.is_late, server.stall = False, lambda: None
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        node = "127.0.0.1:%d" % server.server_port
        send = [DSMR, "send", "me", "1", "--from", "me", "--keys", keys, "--node", node]
        error = {"error": {"code": "timeout", "message": "timed out"}}
        try:
            for answer, state in ((None, "unknown"), ((504, dict(error, state="in_chunk")), "in_chunk"),
                                  ((504, dict(error, state="unknown")), "unknown"),
                                  ((503, dict(error, state="pending")), "pending")):
                server.answer = answer
                undecided(send, server, state, node)
            silent = threading.Event()  # a node that hangs is waited for a little longer than asked
            server.answer, server.stall = None, silent.wait
            undecided([*send, "--timeout", "1ms"], server, "unknown", node)
            silent.set()
            server.stall = lambda: None
            check("timeout_ms=1" in server.path, server.path)
            server.answer = (202, {"state": "unknown", "mode": "async"})
            shown = text(*send, "--mode", "async")
            check("promised nothing" in shown and server.tx in shown, shown)
            check(parsed(*send, "--mode", "async", "--json")["state"] == "unknown", "as it came")
            server.is_late = True
            for state, words in (("in_chunk", "has expired"), ("in_block", "may still run")):
                server.answer = (504, dict(error, state=state))
                err = undecided([*send, "--expiry", "1s"], server, state, node)
                check(words in err, err)
            server.is_late = False
            server.answer = (410, dict(error, state="expired"))
            code, out, err = run(*send, "--timeout", "7s")
            check(code == 1 and out == "", "%d %s %s" % (code, out, err))
            check("timeout_ms=7000" in server.path, server.path)
        finally:
            server.shutdown()
            thread.join()


def without_a_quorum():
    """A network that cannot go on: the wait ends, the id is told, and the node knows it."""
    with Net(4) as net:
        node = "127.0.0.1:%d" % net.nodes[0].http_port
        await_chain(net.nodes)
        for other in net.nodes[1:]:
            other.kill()
        for mode in ("certified", "executed"):
            code, out, err = run(DSMR, "send", "account-1", "1", "--from", "account-0", "--keys",
                                 net.accounts(), "--node", node, "--mode", mode, "--timeout",
                                 "500ms", "--json")
            check(code == 69 and "dsmr tx" in err, "%s: %d %s" % (mode, code, err))
            told = json.loads(out)
            check(told["state"] in ("pending", "in_chunk"), out)
            found = parsed(DSMR, "tx", told["tx"], "--node", node, "--json")
            check(found["state"] in ("pending", "in_chunk"), "%s" % found)


def addresses():
    """testnet says where each node will be: on one machine in steps of ten ports, elsewhere on the
    same ports of hosts of their own."""
    with tempfile.TemporaryDirectory(prefix="dsmr-e2e-") as folder:
        for words, host, step in ((), "127.0.0.1", 10), (("--hostname-prefix", "val"), "val%d", 0), \
                (("--starting-ip-address", "10.0.0.7"), "10.0.0.%d", 0):
            place = os.path.join(folder, "net%d" % len(os.listdir(folder)))
            make = [DSMRD, "testnet", "-v", "3", "--port", "30000", *words, "-o"]
            hosts = [host % (i + (7 if "10." in host else 0)) if "%" in host else host
                     for i in range(3)]
            found = parsed(*make, place, "--json")["nodes"]
            check(found == [{"home": "%s/node%d" % (place, i), "p2p_host": hosts[i],
                             "p2p_port": 30000 + i * step, "http_port": 30001 + i * step,
                             "submit_port": 30002 + i * step} for i in range(3)], "%s" % found)
            lines = text(*make, place + "t").splitlines()
            check(len(lines) == 4 and "dsmrd start --home %st/nodeN" % place in lines[0], lines)
            for i, line in enumerate(lines[1:]):
                check(line.split() == ["%st/node%d" % (place, i), "p2p",
                                       "%s:%d" % (hosts[i], 30000 + i * step),
                                       "http://127.0.0.1:%d" % (30001 + i * step), "submit",
                                       "stream", "127.0.0.1:%d" % (30002 + i * step)], line)


def node_verbs():
    with Testnet(4, app="transfers") as net:
        ids = set()
        for node in net.nodes:
            found = parsed(DSMRD, "config", "check", "--home", node.home, "--json")
            check(found["ok"] and found["app"] == "transfers", "config check: %s" % found)
            ids.add(parsed(DSMRD, "keys", "--home", node.home, "--json")["node_id"])
            check("node id" in text(DSMRD, "keys", "--home", node.home), "keys")
        check("good" in text(DSMRD, "config", "check", "--home", net.nodes[0].home), "config check")
        check(run(DSMRD, "testnet", "-o", net.home)[0] == 78, "testnet wrote over a network")
        home = os.path.join(net.directory, "new")
        made = parsed(DSMRD, "init", "--home", home, "--json")
        check(parsed(DSMRD, "init", "--home", home, "--json") == made, "init changed the keys")
        check("proof of possession" in text(DSMRD, "init", "--home", home), "init")
        for node in net.nodes:
            told = (node.p2p_port, node.http_port, node.submit_port)
            node.start()
            check((node.p2p_port, node.http_port, node.submit_port) == told, "other ports")
        check({node.node_id for node in net.nodes} == ids, "the ids of keys and start differ")
        await_chain(net.nodes)
        answer = parsed(DSMR, "send", "account-1", "7", "--from", "account-0", "--keys",
                        os.path.join(net.home, "accounts"), "--node",
                        "127.0.0.1:%d" % net.nodes[2].http_port, "--json")
        check(answer["state"] == "executed", "send: %s" % answer)
        for node in net.nodes:
            until("executed everywhere", lambda: node.executed() >= answer["height"])
        check(len({node.root_at(answer["height"]) for node in net.nodes}) == 1, "roots differ")
        for node in net.nodes:
            check(node.stop() == 0, "a node does not stop well")
    with Testnet(1, app="opaque") as net:
        node = net.nodes[0]
        node.start()
        does_not_fit([node], "opaque", DSMR, "bench", "--nodes", "127.0.0.1:%d:%d" %
                     (node.http_port, node.submit_port), "--load", "transfers", "--keys", net.home)


TAKES = {DSMR: {"--node": ["send", "balance", "tx", "block", "chunk", "validators", "status",
                           "evidence"],
                "--keys": ["send", "balance", "keys new", "keys list", "keys import",
                           "keys export", "bench"]},
         DSMRD: {"--home": ["init", "start", "keys", "inspect", "config check"]}}


def common_options(program, verb, about):
    """What means nothing to a verb is refused, and not in its help. localnet and demo have a --home
    of their own."""
    for option, verbs in TAKES[program].items():
        is_listed = re.search(r"(?m)^  %s " % option, about) is not None
        check(is_listed == (verb in verbs), "%s --help: %s" % (verb, option))
        if not is_listed:
            code, out, err = run(program, *verb.split(), option, "x")
            check(code == 64 and out == "" and len(err.splitlines()) == 1 and
                  "%s has no option %s" % (verb, option) in err, "%s %s: %s" % (verb, option, err))


def words_about_themselves():
    for program, name in ((DSMR, "dsmr"), (DSMRD, "dsmrd")):
        usage = text(program, "--help")
        verbs = re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)?) {2,}", usage)
        check(len(verbs) >= 7, "verbs: %s" % verbs)
        manual = text(program, "--man")
        for verb in verbs:
            about = text(program, *verb.split(), "--help")
            check("Options:" in about and "--json" in about, "%s --help" % verb)
            common_options(program, verb, about)
            check(verb in manual.replace("\\-", "-"), "%s is not in the manual" % verb)
        for shell in ("bash", "zsh", "fish"):
            completion = text(program, "completion", shell)
            check(all(verb.split()[0] in completion for verb in verbs), "completion " + shell)
        check(run(program, "completion", "tcsh")[0] == 64, "a shell that nobody knows")
        check(parsed(program, "version", "--json")["version"] in text(program, "--version"), name)
        check(text(program, "version").startswith(name + " "), "version")


if __name__ == "__main__":
    main(words_about_themselves, addresses, no_answer, without_a_quorum, client_verbs, node_verbs)
