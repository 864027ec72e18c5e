#!/usr/bin/env python3
"""A disk damages the bodies of chunks of a node that is down: it starts, goes on with the others,
and has those chunks no more; the log names file and offset, once each."""
import glob
import os

from net import Testnet, check, main, opaque_tx, until

PAGE = 4096


def submit(node):
    tx = opaque_tx(data_bytes=2000)
    code, answer = node.http("/v1/tx?mode=executed", {"tx": tx.hex()})
    check(code == 200 and answer["state"] == "executed", "it is not executed: %s" % answer)
    return answer["chunk"] or node.http("/v1/block/%d" % answer["height"])[1]["certs"][0]["chunk"]


def flip_bits(home):
    """One bit of each body; how many bodies."""
    count = 0
    for path in glob.glob(os.path.join(home, "data/chunks/*.seg")):
        with open(path, "r+b") as file:
            for at in range(0, os.path.getsize(path), PAGE):
                file.seek(at + 50)
                byte = file.read(1)
                file.seek(at + 50)
                file.write(bytes([byte[0] ^ 1]))
                count += 1
    return count


def bits_are_flipped_while_a_node_is_down():
    with Testnet(4) as net:
        for node in net.nodes:
            node.start()
        victim, other = net.nodes[3], net.nodes[0]
        until("they are well", lambda: all(n.http("/health")[0] == 200 for n in net.nodes))
        chunks = [submit(other) for _ in range(5)]
        for chunk in chunks:
            until("it holds the chunk", lambda: victim.http("/v1/chunk/" + chunk)[0] == 200)
        until("it has executed all", lambda: victim.executed() >= other.executed())
        check(victim.metric("chunks_damaged_total") == 0, "damage before there is any")
        check(victim.stop() == 0, "it does not stop well")
        check(flip_bits(victim.home) >= len(chunks), "no bodies on disk")
        victim.start()
        for _ in range(2):
            for chunk in chunks:
                code, answer = victim.http("/v1/chunk/" + chunk)
                check(code == 404 and answer["error"]["code"] == "unknown", "%d %s" % (code, answer))
                check(other.http("/v1/chunk/" + chunk)[0] == 200, "the others have it")
        check(victim.metric("chunks_damaged_total") == 2 * len(chunks), "how often it is counted")
        with open(os.path.join(victim.home, "node.log")) as log:
            lines = [line for line in log if "is damaged" in line]
        check(len(lines) == len(set(chunks)), "one line for each: %s" % lines)
        for chunk in chunks:
            check(any(chunk in line and ".seg at " in line for line in lines), "no line of %s" % chunk)
        submit(victim)  # it takes part as ever
        until("it goes on", lambda: victim.executed() >= other.executed() > 0)
        check(victim.stop() == 0, "it does not stop well")


if __name__ == "__main__":
    main(bits_are_flipped_while_a_node_is_down)
