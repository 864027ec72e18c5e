"""net.py - a localnet of real processes for the end-to-end tests.

Waits are on conditions that the nodes report, never on time alone; the one limit is there so that a
test that cannot succeed ends. Everything is on 127.0.0.1 and in a temporary folder, and is gone
when the test ends, however it ends.
"""
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

BIN = os.environ.get("DSMR_BIN", os.path.join(os.path.dirname(__file__), "../../build/release/bin"))
BUILD = os.environ.get("DSMR_BUILD", os.path.join(BIN, ".."))
DSMR = os.path.join(BIN, "dsmr")
DSMRD = os.path.join(BIN, "dsmrd")
GIVE_UP_S = 240


class Failed(AssertionError):
    pass


class Skipped(Exception):
    """This machine cannot run the test; DSMR_NO_SKIPS makes that a failure where it is our own
    fault, as of a program that can be installed."""


def cannot(reason, is_ours=False):
    if is_ours and os.environ.get("DSMR_NO_SKIPS"):
        raise Failed(reason)
    raise Skipped(reason)


def until(what, condition, give_up_s=GIVE_UP_S, every_s=0.05):
    """Polls condition until it gives something true, and returns that."""
    end = time.monotonic() + give_up_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed("gave up waiting: " + what)
        time.sleep(every_s)


def check(fact, text):
    if not fact:
        raise Failed(text)


class Node:
    def __init__(self, facts):
        self.home = facts["home"]
        self.host = "127.0.0.1"
        self.process = None
        self.learn(facts)

    def learn(self, facts):
        self.pid = facts.get("pid")
        self.node_id = facts.get("node_id")
        self.p2p_port = facts.get("p2p_port")
        self.http_port = facts.get("http_port")
        self.submit_port = facts.get("submit_port")

    @property
    def url(self):
        return "http://%s:%d" % (self.host, self.http_port)

    def http(self, path, body=None, timeout=60):
        """(status, decoded JSON or text)"""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def status(self):
        """The node's status, or None while it does not answer."""
        try:
            code, status = self.http("/v1/status", timeout=10)
            return status if code == 200 else None
        except OSError:
            return None

    def metrics(self):
        try:
            _, text = self.http("/metrics", timeout=10)
        except OSError:
            return {}
        values = {}
        for line in str(text).splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values

    def metric(self, name):
        return self.metrics().get("dsmr_" + name, 0)

    def height(self):
        status = self.status()
        return int(status["height"]) if status else 0

    def executed(self):
        status = self.status()
        return int(status["executed_height"]) if status else 0

    def root_at(self, height):
        code, block = self.http("/v1/block/%d" % height)
        executed = block.get("executed") if code == 200 else None
        return executed["state_root"] if executed else None

    def errors(self, name):
        """How often the node has counted the error of include/dsmr/err.h."""
        return self.metric('errors_total{name="%s"}' % name)

    def executed_ids(self, height):
        """Ids of the transactions that a block has executed, in order."""
        ids, cursor = [], "0"
        while cursor is not None:
            code, page = self.http("/v1/block/%d/txs?limit=1000&cursor=%s" % (height, cursor))
            check(code == 200, "transactions of block %d: %s" % (height, page))
            ids += [tx["tx"] for tx in page["txs"]]
            cursor = page["next_cursor"]
        return ids

    def kill(self, number=signal.SIGKILL):
        os.kill(self.pid, number)
        if self.process is not None:
            self.process.wait()
        else:
            until("process %d is gone" % self.pid, lambda: not is_running(self.pid))

    def start(self, env=None, within=(), program=DSMRD):
        """Starts a node that was killed, on its ports, or that has never run. within: words of a
        program that becomes the node's."""
        log = open(os.path.join(self.home, "node.log"), "a")
        self.process = subprocess.Popen([*within, program, "start", "--home", self.home, "--json"],
                                        stdout=subprocess.PIPE, stderr=log, text=True,
                                        env=dict(os.environ, **(env or {})))
        log.close()
        line = self.process.stdout.readline()
        if '"started"' not in line:
            raise Failed("%s did not start: %s" % (self.home, line or self.log_tail()))
        self.learn(json.loads(line))

    def is_up(self):
        """Whether a process that start() began still runs."""
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Ends a node that start() began; the exit code."""
        self.process.terminate()
        return self.process.wait(60)

    def log_tail(self):
        with open(os.path.join(self.home, "node.log")) as log:
            return "".join(log.readlines()[-5:])

    def memory_mb(self):
        with open("/proc/%d/status" % self.pid) as status:
            for line in status:
                if line.startswith("RssAnon"):
                    return int(line.split()[1]) / 1024
        return 0

    def disk_mb(self, below="data"):
        """What the files below take on the disk: a hole in a file takes nothing."""
        total = 0
        for folder, _, names in os.walk(os.path.join(self.home, below)):
            for name in names:
                try:
                    total += os.stat(os.path.join(folder, name)).st_blocks * 512
                except FileNotFoundError:
                    pass
        return total / 1e6


def processes_of(directory):
    """Ids of the running programs that were told of a path below directory."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and is_running(int(name)):
            try:
                with open("/proc/%s/cmdline" % name, "rb") as line:
                    if directory.encode() in line.read():
                        found.append(int(name))
            except OSError:
                pass
    return found


def is_running(pid):
    """False once all its threads have ended and with them its locks and ports, reaped or not."""
    try:
        with open("/proc/%d/stat" % pid) as stat:
            state = stat.read().rsplit(")", 1)[1].split()[0]
        return state != "Z" or len(os.listdir("/proc/%d/task" % pid)) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def await_end(process, give_up_s):
    """Whoever was asked to end and does not is killed."""
    try:
        process.wait(give_up_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def remove_home(directory):
    """Fails, and kills them, if programs still run that were told of it."""
    left = processes_of(directory)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)
    check(not left, "processes are left over: %s" % left)


class Net:
    """with Net(validators=4) as net: ..."""

    def __init__(self, validators=4, load="none", options=(), env=None):
        self.validators = validators
        self.env = dict(os.environ, **(env or {}))
        self.options = list(options)
        self.load = load
        self.processes = []
        self.nodes = []

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="dsmr-e2e-")
        self.home = os.path.join(self.directory, "net")
        self.localnet = subprocess.Popen(
            [DSMR, "localnet", "--validators", str(self.validators), "--home", self.home,
             "--duration", "0", "--load", self.load, "--json"] + self.options,
            stdout=subprocess.PIPE, text=True, env=self.env)
        try:
            line = self.localnet.stdout.readline()
            check('"started"' in line, "localnet did not start: " + line)
            self.nodes = [Node(facts) for facts in json.loads(line)["nodes"]]
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for node in self.nodes:
                sys.stderr.write("--- %s\n%s\n" % (node.home, node.log_tail()))
        self.close()

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        # First, while all nodes answer: it asks each of them for its state at the end.
        if self.localnet.poll() is None:
            self.localnet.terminate()
            await_end(self.localnet, 60)
        self.localnet.stdout.close()
        for node in self.nodes:
            if node.is_up():
                node.process.terminate()
                await_end(node.process, 30)
        remove_home(self.directory)

    def bench(self, *options, nodes=None):
        """Starts a load against the nodes; finish() gives its summary."""
        return bench(self.processes, nodes or self.nodes, "--keys", self.accounts(), *options)

    def accounts(self):
        return os.path.join(self.home, "accounts")

    def await_equal_roots(self, nodes=None):
        return await_equal_roots(nodes or self.nodes)


def opaque_tx(expires_in_ms=20000, data_bytes=32):
    """A transaction of the application opaque: no two are the same."""
    expiry_ms = int(time.time() * 1000) + expires_in_ms
    return struct.pack(">BQ", 1, expiry_ms) + os.urandom(data_bytes)


def await_chain(nodes):
    """Every node has a block: a load that begins before comes down on the chain at once."""
    until("the chain runs", lambda: all(node.height() >= 1 for node in nodes))


def await_equal_roots(nodes):
    """All nodes have executed the same height with the same root; returns (height, root)."""
    def equal():
        states = [node.status() for node in nodes]
        if any(s is None for s in states):
            return None
        facts = {(int(s["executed_height"]), s["state_root"]) for s in states}
        heights = {int(s["height"]) for s in states}
        return facts.pop() if len(facts) == 1 and len(heights) == 1 else None
    return until("equal state roots", equal)


def bench(processes, nodes, *options):
    """Starts a load against the nodes and adds it to processes; finish() gives its summary."""
    urls = ",".join("%s:%d:%d" % (n.host, n.http_port, n.submit_port) for n in nodes)
    process = subprocess.Popen([DSMR, "bench", "--nodes", urls, "--json"] + list(options),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    processes.append(process)
    return process


def free_base_port(nodes):
    """A first port for dsmrd testnet whose ports are all free at this moment."""
    while True:
        base = random.randrange(20000, 32000)
        sockets = []
        try:
            for port in [base + 10 * i + k for i in range(nodes) for k in range(3)]:
                sockets.append(socket.create_server(("127.0.0.1", port)))
            return base
        except OSError:
            pass
        finally:
            for one in sockets:
                one.close()


class Testnet:
    """Homes that dsmrd testnet writes; nothing runs until a node's start() is called. params
    change the chain's; env is what start_all() gives the nodes; options are for dsmrd testnet."""

    def __init__(self, validators=1, app="opaque", params=None, env=None, options=()):
        self.validators = validators
        self.app = app
        self.params = params
        self.env = env
        self.options = list(options)
        self.processes = []

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="dsmr-e2e-")
        self.home = os.path.join(self.directory, "net")
        code, out, err = run(DSMRD, "testnet", "-v", str(self.validators), "-o", self.home,
                             "--port", str(free_base_port(self.validators)), "--app", self.app,
                             "--json", *self.options)
        check(code == 0, "testnet: %s" % err)
        made = json.loads(out)
        check(made["validators"] == len(made["nodes"]) == self.validators, out)
        self.nodes = [Node(facts) for facts in made["nodes"]]
        self.all_nodes = list(self.nodes)  # a test may leave some out of nodes for a while
        if self.params is not None:
            self.write_genesis()
        return self

    def write_genesis(self):
        """All nodes get the same bytes, for the chain's id is their hash. The chain begins in some
        seconds: a node that starts after its first block takes itself for one that was wiped."""
        path = os.path.join(self.home, "genesis.json")
        with open(path) as file:
            genesis = json.load(file)
        genesis["params"].update(self.params)
        genesis["time_ms"] = int(time.time() * 1000) + 2000 + 500 * self.validators
        for path in [path] + [os.path.join(node.home, "config/genesis.json")
                              for node in self.nodes]:
            with open(path, "w") as file:
                json.dump(genesis, file)

    def start_all(self):
        for node in self.nodes:
            node.start(self.env)

    def bench(self, *options, nodes=None):
        return bench(self.processes, nodes or self.nodes, *options)

    def accounts(self):
        return os.path.join(self.home, "accounts")

    def await_equal_roots(self, nodes=None):
        return await_equal_roots(nodes or self.nodes)

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for node in self.all_nodes:
                if os.path.exists(os.path.join(node.home, "node.log")):
                    sys.stderr.write("--- %s\n%s\n" % (node.home, node.log_tail()))
        for process in self.processes:
            process.kill()
            process.communicate()
        for node in self.all_nodes:
            if node.is_up():
                node.process.send_signal(signal.SIGCONT)
                node.process.terminate()
        for node in self.all_nodes:
            if node.process is not None:
                await_end(node.process, 60)
        remove_home(self.directory)


def finish(process):
    out, err = process.communicate()
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return process.returncode, lines[-1] if lines else None, err


def run(*words, env=None, timeout=GIVE_UP_S):
    """Runs a command; (exit code, stdout, stderr)."""
    done = subprocess.run(list(words), capture_output=True, text=True, timeout=timeout,
                          env=dict(os.environ, **(env or {})))
    return done.returncode, done.stdout, done.stderr


def main(*tests):
    """Runs the tests, prints a line each, exits with 1 if one failed, with 77 if all were skipped."""
    failed = skipped = 0
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # by __exit__
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever started us may ignore it
    for test in tests:
        begin = time.monotonic()
        try:
            test()
            print("ok   %s (%.1f s)" % (test.__name__, time.monotonic() - begin), flush=True)
        except Skipped as reason:
            skipped += 1
            print("SKIPPED %s: %s" % (test.__name__, reason), flush=True)
        except Exception as error:  # noqa: BLE001 - a test must not take the others down
            failed += 1
            print("FAIL %s: %s: %s" % (test.__name__, type(error).__name__, error), flush=True)
    sys.exit(1 if failed else 77 if skipped == len(tests) else 0)
