#!/usr/bin/env python3
"""Bytes that are wrong, on each of a node's three ports: refused, counted, and nothing else."""
import json
import os
import shutil
import socket
import ssl
import struct

from net import DSMRD, Net, Node, Testnet, check, main, opaque_tx, run, until

GIVE_UP_S = 40


class Counted:
    """with Counted(node, "malformed"): the node must count that error in the block, once."""

    def __init__(self, node, name):
        self.node, self.name = node, name

    def __enter__(self):
        self.before = self.node.errors(self.name)

    def __exit__(self, kind, value, trace):
        if kind is None:
            until("%s counts %s" % (self.node.home, self.name),
                  lambda: self.node.errors(self.name) > self.before, GIVE_UP_S)
            times = self.node.errors(self.name) - self.before
            check(times == 1, "%s counts %s %d times" % (self.node.home, self.name, times))


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=GIVE_UP_S)


def read_to_end(connection):
    """All bytes until the other side closes; a reset is an end, too."""
    data = b""
    try:
        while True:
            part = connection.recv(65536)
            if not part:
                return data
            data += part
    except (ConnectionResetError, ssl.SSLError):
        return data


def say(port, data):
    """Sends the bytes and returns all that comes until the node closes."""
    with connect(port) as connection:
        try:
            connection.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            pass
        return read_to_end(connection)


def works(node):
    """The node is healthy and a transaction sent to it runs."""
    until("healthy", lambda: node.http("/health")[0] == 200, GIVE_UP_S)
    code, answer = node.http("/v1/tx?mode=executed", {"tx": opaque_tx().hex()})
    check(code == 200 and answer["state"] == "executed", "%s: %d %s" % (node.home, code, answer))


# ---- HTTP ----

def http(node, head, body=b""):
    """(status, headers, body) of one raw request."""
    with connect(node.http_port) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = connection.recv(65536)
            check(part, "closed without an answer to %r" % head[:60])
            answer += part
    top, _, rest = answer.partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, rest


def bad_http(node):
    host = "Host: 127.0.0.1\n"
    post = "POST /v1/tx HTTP/1.1\n" + host

    def expect(status, counted, head, body=b""):
        with Counted(node, counted):
            found = http(node, head, body)
        check(found[0] == status, "%d instead of %d to %r" % (found[0], status, head[:80]))
        return found

    expect(413, "too_large", post + "Content-Length: 1073741824\n\n")
    expect(413, "too_large", post + "Content-Length: 65537\n\n", b"x" * 65537)
    expect(400, "malformed", post + "Content-Length: -1\n\n")
    expect(400, "malformed", post + "Content-Length: 99999999999999999999\n\n")
    expect(411, "malformed", post + "\n")
    expect(400, "malformed", post + "Transfer-Encoding: chunked\n\n", b"0\r\n\r\n")
    for body in (b"[" * 9 + b"]" * 9, b"{", b"[]", b'{"tx":1}', b'{"tx":"zz' + b"0" * 30 + b'"}',
                 b'{"tx":"' + b"0" * 33 + b'"}', b'{"tx":"' + b"0" * 30 + b'"}',
                 b'{"tx":"","more":1}', b"\xff\xfe\x00",
                 b'{"tx":"' + b"00" * 16 + b'","tx":"' + b"00" * 16 + b'"}'):
        expect(400, "malformed", post + "Content-Length: %d\n\n" % len(body), body)
    body = json.dumps({"tx": "01" * 20}).encode()
    expect(400, "tx_expiry", post + "Content-Length: %d\n\n" % len(body), body)
    expect(404, "unknown", "GET /v1/nothing HTTP/1.1\n" + host + "\n")
    expect(404, "unknown", "GET /v1/../../etc/passwd HTTP/1.1\n" + host + "\n")
    expect(400, "malformed", "GET /v1/tx/xyz HTTP/1.1\n" + host + "\n")
    expect(404, "unknown", "GET /v1/tx/" + "0" * 64 + " HTTP/1.1\n" + host + "\n")
    expect(400, "malformed", "GET /v1/block/-1 HTTP/1.1\n" + host + "\n")
    expect(400, "malformed", "GET /v1/evidence?limit=100000 HTTP/1.1\n" + host + "\n")
    expect(400, "malformed", post.replace("/tx", "/tx?mode=zzz") + "Content-Length: 2\n\n", b"{}")
    expect(403, "unexpected", "GET /v1/status HTTP/1.1\nHost: evil.example\n\n")
    _, headers, _ = expect(405, "unexpected", "DELETE /v1/status HTTP/1.1\n" + host + "\n")
    check("get" in headers["allow"], "Allow: %s" % headers)
    # What the library refuses: counted, and answered as docs/api.md has it.
    get = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    for name, answer, data in (
            ("malformed", b"bad_request", b"\xff" + os.urandom(4095)),
            ("malformed", b"bad_request", b"\0" * 4096),
            ("malformed", b"bad_request", b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n"),
            ("malformed", b"<html>", get.replace("/ ", "/%zz ").encode() + b"\r\n"),
            ("unexpected", b"bad_request", get.encode() + b"Upgrade: websocket\r\n\r\n"),
            ("unexpected", b"<html>", get.encode() + b"Upgrade: tea\r\n\r\n"),
            ("too_large", b"", get.encode() + b"X: " + b"y" * 20000 + b"\r\n\r\n"),
            ("malformed", b"", b"GET /v1/sta"),
            ("malformed", b"", (post + "Content-Length: 100\n\n{").encode())):
        with Counted(node, name):
            with connect(node.http_port) as connection:
                try:
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
                except OSError:  # it has closed already
                    pass
                found = read_to_end(connection)
        check(answer in found and (answer != b"" or found == b""), "%r: %r" % (data[:40], found))
    works(node)


# ---- submit stream ----

def frame(kind, payload):
    return struct.pack(">IB", len(payload) + 1, kind) + payload


def stream_hello(chain, network, magic=0x44534D52, version=1, wants=0):
    return frame(1, struct.pack(">IHI", magic, version, network) + chain + bytes([wants]))


def submit(txs, count=None, seq=1):
    body = b"".join(struct.pack(">I", len(tx)) + tx for tx in txs)
    return frame(2, struct.pack(">QI", seq, len(txs) if count is None else count) + body)


def bad_stream(node, status):
    chain, network = bytes.fromhex(status["chain_id"]), status["network_id"]

    def hello(chain=chain, network=network, **others):
        return stream_hello(chain, network, **others)

    def expect(name, number, data):
        """The last frame is ERROR with that number; the node closes."""
        with Counted(node, name):
            answer = say(node.submit_port, data)
        check(answer[-7:] == frame(8, struct.pack(">H", number)), "%s: %r" % (name, answer))

    tx = opaque_tx()
    expect("too_large", 5, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    expect("too_large", 5, b"\xff" * 65536)
    expect("malformed", 1, b"\0" * 4096)
    expect("malformed", 1, hello(magic=1))
    expect("version", 2, hello(version=2))
    expect("wrong_network", 3, hello(network=network + 1))
    expect("wrong_chain", 4, hello(chain=bytes(32)))
    expect("non_canonical", 7, hello(wants=255))
    expect("malformed", 1, frame(1, b"short"))
    expect("trailing_bytes", 6, frame(1, hello()[5:] + b"more"))
    expect("unexpected", 31, submit([tx]))
    expect("unexpected", 31, hello() + hello())
    expect("unexpected", 31, hello() + frame(99, b""))
    expect("malformed", 1, hello() + submit([], count=0))
    expect("malformed", 1, hello() + submit([tx], count=2))
    expect("malformed", 1, hello() + submit([b"short"]))
    expect("malformed", 1, hello() + submit([tx], seq=2**64 - 1))
    expect("trailing_bytes", 6, hello() + submit([tx, tx], count=1))
    expect("too_large", 5, hello() + submit([b"x" * 65537]))
    expect("too_large", 5, hello() + submit([tx], count=16385))
    for data in (hello()[:20], hello() + submit([tx])[:30]):  # cut short by the client
        with Counted(node, "malformed"):
            with connect(node.submit_port) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                read_to_end(connection)
    # The same again, in one frame and in the next: admitted once, executed once.
    with connect(node.submit_port) as connection:
        connection.sendall(hello(wants=2) + submit([tx, tx]) + submit([tx], seq=3))
        notices, buffer = [], b""
        while len(notices) < 4:
            part = connection.recv(4096)
            check(part, "the stream ended: %s" % notices)
            buffer += part
            while len(buffer) >= 4 and len(buffer) >= 4 + struct.unpack(">I", buffer[:4])[0]:
                length = struct.unpack(">I", buffer[:4])[0]
                kind, runs, buffer = buffer[4], buffer[13:4 + length], buffer[4 + length:]
                for at in range(0, len(runs) if kind in (4, 6) else 0, 16):
                    first, count, code = struct.unpack(">QII", runs[at:at + 16])
                    notices += [(kind, seq, code) for seq in range(first, first + count)]
    check(sorted(notices) == [(4, 1, 0), (4, 2, 64), (4, 3, 64), (6, 1, 0)], "%s" % notices)
    works(node)


# ---- peer port ----

class Peer:
    """A TLS client with the key of a home."""

    def __init__(self, port, home):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if home is not None:
            context.load_cert_chain(os.path.join(home, "keys/tls.crt"),
                                    os.path.join(home, "keys/tls.key"))
        self.socket = context.wrap_socket(connect(port))

    def send(self, message):
        self.socket.sendall(struct.pack(">I", len(message)) + message)

    def end(self):
        """What still comes until the node closes."""
        with self.socket:
            return read_to_end(self.socket)


def peer_hello(status, chain=None):
    return (b"\0DSMR" + struct.pack(">HI", 2, status["network_id"]) +
            (chain or bytes.fromhex(status["chain_id"])))


def bad_peers(net, status):
    nodes, away = net.nodes[:3], net.nodes[3]
    port = nodes[0].p2p_port
    for data in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(65536), b"\xff" * 100, b"\0" * 100):
        with Counted(nodes[0], "handshake"):
            say(port, data)
    with Counted(nodes[0], "handshake"):  # the beginning of a TLS handshake, and no more
        with connect(port) as connection:
            connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20))
            connection.shutdown(socket.SHUT_WR)
            read_to_end(connection)
    with Counted(nodes[0], "handshake"):  # no certificate
        Peer(port, None).end()
    stranger = os.path.join(net.directory, "stranger")
    check(run(DSMRD, "init", "--home", stranger)[0] == 0, "init")
    with Counted(nodes[0], "not_validator"):
        check(Peer(port, stranger).end() == b"", "a stranger was told something")
    # From here on with the key of a validator, which is down.
    away.kill()
    peer = Peer(port, away.home)
    peer.send(peer_hello(status))
    peer.socket.sendall(struct.pack(">I", 100) + b"cut short")
    peer.socket.close()
    with Counted(nodes[0], "wrong_chain"):
        peer = Peer(port, away.home)
        peer.send(peer_hello(status, chain=os.urandom(32)))
        check(peer.end()[4:] == peer_hello(status), "the node does not say which chain it is of")
    with Counted(nodes[1], "too_large"):
        peer = Peer(nodes[1].p2p_port, away.home)
        peer.send(peer_hello(status))
        peer.socket.sendall(b"\x12\xff\xff\xff")  # begins a message of 16 MiB
        peer.end()
    with Counted(nodes[2], "malformed"):
        peer = Peer(nodes[2].p2p_port, away.home)
        peer.send(peer_hello(status))
        peer.send(b"\xee" + os.urandom(200))
        peer.end()
    for node in nodes:
        works(node)


def wrong_chain_peer(net):
    """A whole node whose genesis differs in one number."""
    nodes, away = net.nodes[:3], net.nodes[3]
    home = os.path.join(net.directory, "other")
    shutil.copytree(away.home, home, ignore=shutil.ignore_patterns("data", "lock", "node.log"))
    os.mkdir(os.path.join(home, "data"))
    path = os.path.join(home, "config/genesis.json")
    with open(path) as file:
        genesis = json.load(file)
    genesis["time_ms"] += 1
    with open(path, "w") as file:
        json.dump(genesis, file)
    other = Node({"home": home})
    before = sum(node.errors("wrong_chain") for node in nodes)
    try:
        other.start()
        until("it is refused", lambda: other.errors("wrong_chain") > 0 and
              sum(node.errors("wrong_chain") for node in nodes) > before, GIVE_UP_S)
        check(other.status()["peers_connected"] == 0, "it is connected")
        check("another chain" in open(os.path.join(home, "node.log")).read(), "its log is silent")
    finally:
        if other.process.poll() is None:
            other.stop()
    away.start()
    until("the right one is back", lambda: (away.status() or {}).get("peers_connected") == 3)
    works(away)


def three_ports():
    with Net(4, load="opaque", options=["--rate", "1"]) as net:
        status = until("the chain runs", lambda: (net.nodes[0].status() or {}).get("height") and
                       net.nodes[0].status())
        for node in net.nodes:
            works(node)
        pids = [node.pid for node in net.nodes[:3]]
        bad_http(net.nodes[0])
        bad_stream(net.nodes[1], status)
        bad_peers(net, status)
        wrong_chain_peer(net)
        for node, pid in zip(net.nodes, pids):
            check(node.pid == pid and node.status() is not None, node.home + " is gone")
        net.await_equal_roots()


def each_once():
    """What /metrics says of two refused transactions, one on each door: exact numbers."""
    names = ("submit_txs_total", "txs_admitted_total", "txs_refused_total", "txs_executed_total",
             "txs_duplicate_total", 'errors_total{name="duplicate"}')
    with Testnet(1) as net:
        node = net.nodes[0]
        node.start()
        before = node.metrics()

        def expect(*counts):
            now = node.metrics()
            grown = tuple(now["dsmr_" + name] - before.get("dsmr_" + name, 0) for name in names)
            check(grown == counts, "%s instead of %s of %s" % (grown, counts, names))

        tx = opaque_tx().hex()
        check(node.http("/v1/tx?mode=executed", {"tx": tx})[0] == 200, "it ran")
        expect(1, 1, 0, 1, 0, 0)
        check(node.http("/v1/tx?mode=sync", {"tx": tx})[0] == 409, "the second one is refused")
        expect(2, 1, 1, 1, 0, 1)
        status, twice = node.status(), opaque_tx()
        with connect(node.submit_port) as connection:
            connection.sendall(stream_hello(bytes.fromhex(status["chain_id"]),
                                            status["network_id"]) + submit([twice, twice]))
            until("both are answered", lambda: node.metric("submit_txs_total") -
                  before.get("dsmr_submit_txs_total", 0) == 4 and
                  node.metric("txs_executed_total") == 2, GIVE_UP_S)
        expect(4, 2, 2, 2, 0, 2)


if __name__ == "__main__":
    main(three_ports, each_once)
