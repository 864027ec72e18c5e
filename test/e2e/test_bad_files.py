#!/usr/bin/env python3
"""Wrong commands, files and circumstances: one sentence that says what and where, and an exit code
that a service manager can act on (src/app/exit_codes.h)."""
import json
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time

from net import DSMR, DSMRD, Node, Testnet, check, main, opaque_tx, run, until

DISK_BYTES = 64 << 20


def expect(code, *texts, command, env=None):
    """The command fails with code; the last line it says is a sentence that has the texts."""
    found, out, err = run(*command, env=env, timeout=60)
    name = os.path.basename(command[0]) + ": "
    said = [line for line in err.splitlines() if line.startswith(name)]
    check(found == code, "%d instead of %d from %s: %s" % (found, code, command[1:], err))
    check(len(said) == 1 and err.splitlines()[-1] == said[0], "not one sentence: %r" % err)
    check(out == "", "it also printed %r" % out)
    for text in texts:
        check(text in said[0], "%r is not in %r" % (text, said[0]))


def start(node, *options):
    return [DSMRD, "start", "--home", node.home, *options]


def check_of(node, *options):
    return [DSMRD, "config", "check", "--home", node.home, *options]


def command_lines():
    for program in (DSMR, DSMRD):
        expect(64, "frob", command=[program, "frob"])
        check(run(program)[0] == 64, "no verb at all")
    for words, texts in {
            ("status", "--nope"): ["--nope"],
            ("status", "--node"): ["--node", "HOST:PORT"],
            ("status", "--node", "x"): ["--node", "x"],
            ("status", "more"): ["more"],
            ("status", "--node", "http://127.0.0.1:1:2:3"): ["--node"],
            ("status", "--node", "https://127.0.0.1:1"): ["--node"],
            ("--json", "status"): ["verb comes first"],
            ("tx",): ["ID"],
            ("tx", ""): ["ID"],
            ("tx", "../status"): ["../status"],
            ("tx", "zz"): ["zz", "64 hex digits"],
            ("tx", "0" * 63): ["64 hex digits"],
            ("chunk", "a" * 129): ["64 hex digits"],
            ("chunk", "7"): ['"7"'],
            ("block", "xyz"): ["xyz", "64 hex digits", "a height is a number"],
            ("block", "-1"): ["-1"],
            ("evidence", "--limit", "1001"): ["--limit", "1000"],
            ("keys", "frob"): ["keys"],
            ("keys", "new", "../x"): ["../x"],
            ("send", "nobody", "1", "--from", "x"): ["nobody"],
            ("send", "0" * 64, "one", "--from", "x"): ["amount", "one"],
            ("localnet", "--validators", "0"): ["--validators", "0"],
            ("localnet", "--duration", "soon"): ["--duration", "soon"],
            ("localnet", "--load", "heavy"): ["--load", "heavy"],
            ("localnet", "--node", "127.0.0.1:1"): ["localnet has no option --node"],
            ("demo", "--keys", "here"): ["demo has no option --keys"],
            ("tx", "0" * 64, "--keys", "here"): ["tx has no option --keys"],
            ("bench", "--node", "127.0.0.1:1"): ["bench has no option --node"],
            ("bench", "--nodes", "x"): ["--nodes", "x"],
            ("bench", "--nodes", "a:1:2,b:1:2,a:1:2"): ["--nodes", "twice", "a:1:2"],
            ("bench", "--nodes", "a:1:2,a:3:2"): ["--nodes", "twice", "a:3:2"],
            ("bench", "--nodes", "a:1:2", "--warmup", "5s", "--duration", "5s"): ["--warmup"],
            ("demo", "--warmup", "5s", "--duration", "4s"): ["--warmup", "5000 ms of 4000 ms"],
            ("localnet", "--warmup", "5s", "--duration", "4s"): ["--warmup", "--duration"],
            ("balance", "nobody"): ["nobody"],
            ("keys", "export", "nobody", "--keys", "/"): ["no key", "nobody"],
            ("send", "0" * 64, "1", "--from", "nobody", "--keys", "/"): ["no key", "nobody"],
            ("bench", "--rate", "-1"): ["--rate", "-1"]}.items():
        expect(64, *texts, command=[DSMR, *words])
    expect(64, "DSMR_RATE", "many", command=[DSMR, "bench"], env={"DSMR_RATE": "many"})
    full = subprocess.run([DSMR, "version"], stdout=open("/dev/full", "w"), stderr=subprocess.PIPE)
    check(full.returncode == 74 and b"standard output" in full.stderr, "a full disk is not noticed")
    expect(69, "127.0.0.1", "port 1", "no connection", command=[DSMR, "status", "--node", "127.0.0.1:1"])
    for words, texts in {
            ("start", "--workers", "0"): ["--workers", "0"],
            ("start", "--frob"): ["--frob"],
            ("testnet", "-v", "65"): ["65"],
            ("testnet", "-n", "1"): ["--n", "could not follow"],
            ("testnet", "--home", "here"): ["testnet has no option --home"],
            ("testnet", "--slot", "1h"): ["--slot", "1h"],
            ("config",): ["config"]}.items():
        expect(64, *texts, command=[DSMRD, *words])


def genesis_files():
    with Testnet(2) as net:
        node = net.nodes[0]
        path = os.path.join(node.home, "config/genesis.json")
        with open(path) as file:
            text = file.read()

        def broken(change, *texts):
            if isinstance(change, str):
                wrong = change
            else:
                genesis = json.loads(text)
                change(genesis)
                wrong = json.dumps(genesis, indent=2)
            with open(path, "w") as file:
                file.write(wrong)
            expect(65, path, *texts, command=start(node))
            expect(65, path, *texts, command=[DSMRD, "config", "check", "--home", node.home])

        members = lambda genesis: genesis["validators"][0]["set"]  # noqa: E731

        def swap_proofs(genesis):
            a, b = members(genesis)
            a["proof_of_possession"], b["proof_of_possession"] = (b["proof_of_possession"],
                                                                  a["proof_of_possession"])

        broken(text[:len(text) // 2], "line ")
        broken("", "line ")
        broken("[]", "object")
        broken(swap_proofs, "validators[0].set[0].proof_of_possession")
        broken(lambda g: members(g)[1].update(bls_public_key="00" * 48),
               "validators[0].set[1].bls_public_key")
        broken(lambda g: members(g)[1].update(weight=0), "validators[0].set[1].weight")
        broken(lambda g: g["validators"][0].update(set=[dict(m, weight=2**63 - 1, node_id=n * 40)
                                                        for n, m in zip("abc", 2 * members(g))]),
               "validators[0].set[2].weight", "18446744073709551615")
        broken(lambda g: members(g)[1].update(node_id=members(g)[0]["node_id"]),
               "validators[0].set[1].node_id")
        broken(lambda g: g["validators"][0].update(set=[]), "validators[0].set")
        broken(lambda g: g["params"].update(chunk_lifetime_ms=1), "chunk_lifetime_ms", "slot_ms")
        broken(lambda g: g["params"].update(block_txs_max=2000000), "block_txs_max", "limit")
        broken(lambda g: g["params"].update(slot_ms=1, chunk_lifetime_ms=3600000),
               "slot_ms", "chunk_lifetime_ms")
        broken(lambda g: g["params"].update(slot_ms="fast"), "params.slot_ms")
        broken(lambda g: g["params"].update(frob=1), "params.frob")
        broken(lambda g: g.update(frob=1), "frob")
        broken(lambda g: g.update(format=2), "format 2")
        broken(lambda g: g["app"].update(name="frob"), "app.name", "frob")
        broken(lambda g: g["app"].update(frob=1), "app")
        os.remove(path)
        expect(65, path, command=start(node))
        # Another chain than the one whose data is here.
        with open(path, "w") as file:
            file.write(text)
        net.nodes[0].start()
        net.nodes[1].start()
        until("blocks", lambda: node.height() >= 1)
        check(net.nodes[1].stop() == 0 and node.stop() == 0, "they do not stop well")
        broken_time = json.loads(text)
        broken_time["time_ms"] += 1
        with open(path, "w") as file:
            json.dump(broken_time, file)
        expect(65, node.home, command=start(node))
        expect(65, node.home, "another chain", command=check_of(node))


def config_files():
    with Testnet(1, params={"block_txs_max": 400000}) as net:
        node = net.nodes[0]
        path = os.path.join(node.home, "config/config.yaml")
        with open(path) as file:
            text = file.read()
        line = text.count("\n") + 1
        check_too = [DSMRD, "config", "check", "--home", node.home]
        for wrong, texts in {
                "frob: 1": ["%s:%d" % (path, line), "frob"],
                "workers: many": ["%s:%d" % (path, line), "workers", "many"],
                "view-timeout: 1ms": ["%s:%d" % (path, line), "view-timeout"],
                "log-format: [a, b]": ["%s:%d" % (path, line)],
                "p2p-address: here": ["p2p-address"],
                "retry: 1s\nretry: 2s": ["%s:%d" % (path, line + 1), "retry"],
                "store-map-bytes: 16777216": ["%s:%d" % (path, line), "store-map-bytes"],
                "store-map-bytes: 268435456": ["store-map-bytes", "block_txs_max"],
                "\"": [path]}.items():
            with open(path, "w") as file:
                file.write(text + wrong + "\n")
            if wrong.startswith("p2p-address"):
                with open(path, "w") as file:
                    file.write(re.sub("(?m)^p2p-address:.*$", wrong, text))
            expect(78, *texts, command=start(node))
            expect(78, *texts, command=check_too)
        with open(path, "w") as file:
            file.write(text)
        expect(64, "--log-level", command=start(node, "--log-level", "zzz"))
        expect(64, "--p2p-address", command=start(node, "--p2p-address", "here"))
        expect(64, "--peers", command=start(node, "--peers", "zz@127.0.0.1:1"))
        expect(64, "--fee-recipient", command=start(node, "--fee-recipient", "00"))
        names = ",".join("host%d" % i for i in range(17))
        expect(64, "--http-hosts", "16", command=start(node, "--http-hosts", names))
        expect(64, "--http-hosts", "511", command=start(node, "--http-hosts", "h" * 512))
        expect(64, "--http-hosts", "16", command=[*check_too, "--http-hosts", names])
        for key in ("bls.key", "tls.key"):
            file = os.path.join(node.home, "keys", key)
            os.chmod(file, 0o644)
            expect(78, file, "chmod 600", command=start(node))
            os.chmod(file, 0o600)
            with open(file) as good:
                kept = good.read()
            with open(file, "w") as bad:
                bad.write("no key\n")
            expect(78, file, command=start(node))
            with open(file, "w") as good:
                good.write(kept)
        other, own = net.home + "/other", os.path.join(node.home, "keys", "bls.key")
        check(run(DSMRD, "init", "--home", other)[0] == 0, "init")
        shutil.copy(own, own + ".kept")
        shutil.copy(other + "/keys/bls.key", own)
        expect(78, node.home, "not of one node", command=start(node))
        os.rename(own + ".kept", own)
        expect(78, "nowhere", "init", command=[DSMRD, "start", "--home", net.home + "/nowhere"])
        expect(78, "nowhere is no home", command=[DSMRD, "inspect", "--home", net.home + "/nowhere"])
        expect(78, "is no home", "no data", command=[DSMRD, "inspect", "--home", net.home])
        check(not os.path.exists(net.home + "/lock"), "it has left a lock in a folder of others")
        check(json.loads(run(*check_of(node, "--json"))[1])["data"] == "empty", "data before a start")
        node.start()
        expect(78, node.home, "process %d" % node.pid, command=start(node))
        expect(78, node.home, "process %d" % node.pid,
               command=[DSMRD, "inspect", "--home", node.home])
        found = json.loads(run(*check_of(node, "--json"))[1])
        check(found["data"] == "not_looked_at" and "%d" % node.pid in found["data_reason"],
              "config check beside a running node: %s" % found)
        check(node.stop() == 0, "it does not stop well")
        check("data/ is of this chain" in run(*check_of(node))[1], "config check after a run")


def networks():
    """testnet and localnet write into a folder of their own, with settings that hold."""
    with Testnet(2, app="transfers") as net:
        path = os.path.join(net.nodes[0].home, "config/genesis.json")
        with open(path) as file:
            genesis = json.load(file)
        genesis["app"]["accounts"][3]["balance"] = 0
        with open(path, "w") as file:
            json.dump(genesis, file)
        wanted = [path, "app.accounts[3].balance", "above zero"]
        expect(65, *wanted, command=start(net.nodes[0]))
        expect(65, *wanted, command=[DSMRD, "config", "check", "--home", net.nodes[0].home])
        folder = os.path.join(net.directory, "again")
        make = [DSMRD, "testnet", "-v", "2", "-o"]
        expect(78, "genesis.json", "exists already", command=[*make, net.home])
        expect(78, net.nodes[0].home, "own home", command=[*make, net.nodes[0].home])
        expect(78, net.nodes[0].home, "own home", command=[DSMR, "localnet"],
               env={"DSMR_HOME": net.nodes[0].home})
        expect(64, "--starting-ip-address", "300.1.1.1",
               command=[*make, folder, "--starting-ip-address", "300.1.1.1"])
        settings = os.path.join(net.directory, "settings.yaml")
        for text, words in {"workers: 3\nfrob: 1": ["%s:2" % settings, "frob"],
                            "workers: 300": ["%s:1" % settings, "workers", "300"]}.items():
            with open(settings, "w") as file:
                file.write(text + "\n")
            expect(78, *words, command=[*make, folder, "--config", settings])
        expect(78, "nowhere.yaml", command=[*make, folder, "--config", "nowhere.yaml"])
        check(not os.path.exists(folder), "something was made")
        with open(settings, "w") as file:
            file.write("workers: 3\np2p-address: 1.2.3.4:5\n")
        quoted = os.path.join(net.directory, 'a "quoted" \\ name')
        code, out, err = run(*make, quoted, "--config", settings, "--json")
        check(code == 0 and json.loads(out)["directory"] == quoted, "%d %s %s" % (code, out, err))
        with open(os.path.join(quoted, "node1/config/config.yaml")) as file:
            text = file.read()
        check('workers: "3"' in text and "1.2.3.4" not in text, "settings: %s" % text)
        node = Node({"home": os.path.join(quoted, "node0")})
        node.start()
        node.stop()


def parts_that_do_not_belong_together():
    """Peers that are nobody, doors at one address, keys of two nodes: said by start and by config check."""
    with Testnet(2) as net:
        home, other = net.nodes[0].home, net.nodes[1].home
        path = os.path.join(home, "config/config.yaml")
        with open(path) as file:
            text = file.read()

        def refused(changed, *words):
            with open(path, "w") as file:
                file.write(changed)
            expect(78, *words, command=start(net.nodes[0]))
            expect(78, *words, command=[DSMRD, "config", "check", "--home", home])
            with open(path, "w") as file:
                file.write(text)

        p2p = re.search(r'^p2p-address: "?([0-9.:]+)', text, re.M)[1]
        refused(re.sub(r'^http-address: .*', "http-address: " + p2p, text, flags=re.M),
                "p2p-address and http-address", p2p)
        refused(re.sub(r'^(peers: "?)[0-9a-f]{4}', r"\1ffff", text, flags=re.M), "peers: ffff",
                "no validator")
        expect(78, "is no home", command=[DSMRD, "config", "check", "--home", home + "x"])
        shutil.copy(os.path.join(home, "keys/bls.key"), os.path.join(net.directory, "bls.key"))
        shutil.copy(os.path.join(other, "keys/bls.key"), os.path.join(home, "keys/bls.key"))
        refused(text, "not of one node")
        shutil.copy(os.path.join(net.directory, "bls.key"), os.path.join(home, "keys/bls.key"))
        check(run(DSMRD, "config", "check", "--home", home)[0] == 0, "a good home is refused")


def another_genesis_before_block_1():
    """A genesis that was changed while a home had no block yet: the state is the old one's."""
    with Testnet(4, app="transfers") as net:
        node = net.nodes[0]
        node.start()
        node.stop()
        path = os.path.join(node.home, "config/genesis.json")
        with open(path) as file:
            text = file.read()
        genesis = json.loads(text)
        changes = [
            lambda g: g["app"]["accounts"][0].__setitem__("balance", "7000000"),
            lambda g: g.__setitem__("network_id", g["network_id"] + 1),
            lambda g: g.__setitem__("app", {"name": "opaque"}),
            lambda g: g.__setitem__("time_ms", g["time_ms"] + 1),
        ]
        for change in changes:
            other = json.loads(text)
            change(other)
            with open(path, "w") as file:
                json.dump(other, file)
            expect(65, node.home, "another chain", command=start(node))
            expect(65, node.home, "another chain", command=check_of(node))
        with open(path, "w") as file:
            file.write(text)
        node.start()
        node.stop()
        check(genesis == json.loads(text), "the test has changed its own genesis")


def folders_of_others():
    """init, testnet and localnet write nothing into a folder that has something else in it."""
    with tempfile.TemporaryDirectory(prefix="dsmr-e2e-") as folder:
        other = os.path.join(folder, "other")
        os.makedirs(os.path.join(other, "photos"))
        for command in ([DSMRD, "init", "--home"], [DSMRD, "testnet", "-o"],
                        [DSMR, "localnet", "--duration", "1", "--home"],
                        [DSMR, "demo", "--duration", "1", "--home"]):
            expect(78, other, "not empty", "photos", command=[*command, other])
            check(os.listdir(other) == ["photos"], "%s wrote into it" % command[1])
        # A network's folder is no node's home, a file is no folder.
        network, path = os.path.join(folder, "net"), os.path.join(folder, "file")
        os.mkdir(network)
        check(run(DSMRD, "testnet", "-v", "1", "-o", network)[0] == 0, "an empty folder is refused")
        expect(78, network, "not empty", command=[DSMRD, "init", "--home", network])
        open(path, "w").close()
        expect(74, path, "Not a directory", command=[DSMRD, "testnet", "-o", path])
        # What belongs into a home may be there before its keys, and beside them anything.
        home = os.path.join(folder, "home")
        for name in ("config", "accounts", "data"):
            os.makedirs(os.path.join(home, name))
        open(os.path.join(home, "config/genesis.json"), "w").close()
        check(run(DSMRD, "init", "--home", home)[0] == 0, "a prepared home is refused")
        open(os.path.join(home, "notes"), "w").close()
        check(run(DSMRD, "init", "--home", home)[0] == 0, "notes beside the keys")


def ports_in_use():
    with Testnet(1) as net:
        node = net.nodes[0]
        node.start()
        ports = [node.p2p_port, node.http_port, node.submit_port]
        node.stop()
        for port in ports:
            with socket.create_server(("127.0.0.1", port)):
                expect(69, "%d" % port, "in use", command=start(node))
        node.start()
        until("it runs", lambda: node.http("/health/live")[0] == 200)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def newer_home():
    def record(number):
        value = struct.pack(">BQ", 1, number)
        return b"F" + value + struct.pack(">I", crc32c(b"F" + value))

    with Testnet(1) as net:
        node = net.nodes[0]
        node.start()
        until("blocks", lambda: node.height() >= 1)
        node.stop()
        path = os.path.join(node.home, "data/consensus/data.mdb")
        with open(path, "rb") as file:
            good = file.read()
        check(record(2) in good, "the format's record is not where it was")
        with open(path, "wb") as file:
            file.write(good.replace(record(2), record(3)))
        expect(65, node.home, "newer", command=start(node))
        expect(65, node.home, command=[DSMRD, "inspect", "--home", node.home])
        with open(path, "wb") as file:
            file.write(good)
        node.start()


def damaged_databases():
    """Whatever happened to a database: the sentence names its file, and the program does not crash."""
    dice = random.Random(3)
    page = 4096

    def whole(make):
        return lambda path, size: open(path, "r+b").write(make(size))

    def behind_the_metas(make):
        def damage(path, size):
            with open(path, "r+b") as file:
                file.seek(2 * page)
                file.write(make(size - 2 * page))
        return damage

    kinds = {
        "zeros": whole(bytes),
        "noise": whole(dice.randbytes),
        "text": lambda path, size: open(path, "w").write("state\n" * 3000),
        "zeros behind the meta pages": behind_the_metas(bytes),
        "cut to the meta pages": lambda path, size: os.truncate(path, 2 * page),
        "a folder": lambda path, size: (os.remove(path), os.mkdir(path)),
    }
    with Testnet(1) as net:
        node = net.nodes[0]
        node.start()
        for _ in range(20):
            until("it works", lambda: send_opaque(node) == "executed", 30)
        check(node.stop() == 0, "it does not stop well")
        good = node.home + ".good"
        shutil.copytree(node.home, good)
        for name in ("state", "consensus"):
            path = os.path.join(node.home, "data", name, "data.mdb")
            for kind, damage in kinds.items():
                shutil.rmtree(node.home)
                shutil.copytree(good, node.home)
                damage(path, os.path.getsize(path))
                code = 74 if kind == "a folder" else 65
                try:
                    expect(code, path, command=start(node))
                    expect(65, path, command=[DSMRD, "inspect", "--home", node.home])
                except AssertionError as error:
                    raise AssertionError("%s, %s: %s" % (name, kind, error)) from error
        shutil.rmtree(node.home)
        shutil.move(good, node.home)
        node.start()
        until("it works again", lambda: send_opaque(node) == "executed", 30)


def send_opaque(node, seconds=10):
    """The state that is answered, or the error's code; None if there is no answer."""
    tx = opaque_tx(seconds * 1000, 4000)
    try:
        code, answer = node.http("/v1/tx?mode=executed&timeout_ms=2000", {"tx": tx.hex()})
    except OSError:
        return None
    return answer.get("state") if code == 200 else answer["error"]["code"]


def fill(path, leave):
    """Takes all room of the disk but so many bytes."""
    room = os.statvfs(os.path.dirname(path))
    with open(path, "wb") as file:
        left = room.f_bavail * room.f_frsize - leave
        try:
            while left > 0:
                n = min(left, 65536)
                file.write(bytes(n))
                left -= n
            file.flush()
        except OSError:
            pass


def last_line(node):
    return node.log_tail().splitlines()[-1]


def deleted_data():
    """The folder goes while the node runs: it says so and ends before it promises anything."""
    for name in ("consensus", "state", ""):
        with Testnet(1) as net:
            node = net.nodes[0]
            node.start()
            until("it works", lambda: send_opaque(node) == "executed", 30)
            shutil.rmtree(os.path.join(node.home, "data", name))
            check(send_opaque(node, 5) != "executed", "it says that it has executed")
            until("it ends", lambda: node.process.poll() is not None, 30)
            check(node.process.returncode == 74, "exit code %d" % node.process.returncode)
            last = last_line(node)
            check(os.path.join(node.home, "data/") in last and "was deleted" in last,
                  "the last line does not say what happened: %s" % last)


def disk_full():
    with Testnet(1) as net:
        node = net.nodes[0]
        disk = os.path.join(net.directory, "disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % DISK_BYTES, "none", disk],
                          capture_output=True).returncode != 0:
            print("SKIPPED disk_full: mounting a small disk needs root", flush=True)
            return
        try:
            shutil.move(node.home, os.path.join(disk, "node"))
            node.home = os.path.join(disk, "node")
            filler = os.path.join(disk, "filler")
            # Low: the node says so, and neither signs nor builds, until there is room again.
            node.start(env={"DSMR_DISK_LOW_BYTES": str(16 << 20)})
            until("it works", lambda: send_opaque(node) == "executed", 30)
            fill(filler, 8 << 20)
            until("its health says disk_low", lambda: "disk_low" in
                  [r["code"] for r in node.http("/health")[1]["reasons"]] or
                  send_opaque(node, 2) == "disk_low", 30)
            until("its health says so", lambda: node.http("/health")[0] == 503, 30)
            check(node.metrics()["dsmr_disk_low"] == 1, "its metrics do not say so")
            height = node.height()
            check(send_opaque(node, 3) == "disk_low", "it takes what it cannot build a chunk of")
            os.remove(filler)
            until("it is well again", lambda: node.http("/health")[0] == 200, 30)
            until("it works again", lambda: send_opaque(node) == "executed", 30)
            check(node.height() > height, "no new block")
            check(node.stop() == 0, "it does not stop well")
            # Full to the last byte, with the warning turned off.
            node.start(env={"DSMR_DISK_LOW_BYTES": "0"})
            until("it works", lambda: send_opaque(node) == "executed", 30)
            fill(filler, 0)
            end = time.monotonic() + 60
            state = "executed"
            while state == "executed" and node.process.poll() is None:
                check(time.monotonic() < end, "a full disk is not noticed")
                state = send_opaque(node, 3)
            if node.process.poll() is None:  # it lives on, and does not say OK to what it cannot do
                code, _ = node.http("/health/live")
                check(code in (200, 503), "health/live answers %d" % code)
                os.remove(filler)
                until("it works again", lambda: send_opaque(node) == "executed" or
                      node.process.poll() is not None, 60)
            if node.process.poll() is not None:
                check(node.process.returncode == 4, "exit code %d" % node.process.returncode)
                last = last_line(node)
                check(os.path.join(node.home, "data/") in last and "No space left" in last,
                      "the last line names neither the disk nor why: %s" % last)
                if os.path.exists(filler):
                    os.remove(filler)
                node.start()
                until("it works after a start", lambda: send_opaque(node) == "executed", 30)
            check(node.stop() == 0, "it does not stop well")
        finally:
            if node.process is not None and node.process.poll() is None:
                node.process.kill()
                node.process.wait()
            subprocess.run(["umount", disk], check=True)


if __name__ == "__main__":
    main(command_lines, genesis_files, config_files, networks,
         parts_that_do_not_belong_together, another_genesis_before_block_1, folders_of_others, ports_in_use,
         newer_home, damaged_databases, disk_full, deleted_data)
