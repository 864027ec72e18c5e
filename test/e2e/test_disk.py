#!/usr/bin/env python3
"""One of four validators has a small disk that fills up under load: the others go on, and when there is
room again it is one like any other. test_bad_files has what a single node says about it."""
import http.client
import os
import shutil
import subprocess

from net import Testnet, cannot, check, main, until
from promises import PARAMS, Promises

DISK_BYTES = 96 << 20
LOW_BYTES = 16 << 20


class SmallDisk(Testnet):
    """The last node's home is on a file system of its own."""

    def __enter__(self):
        super().__enter__()
        self.disk = os.path.join(self.directory, "disk")
        os.mkdir(self.disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % DISK_BYTES, "none", self.disk],
                          capture_output=True).returncode != 0:
            super().__exit__(None, None, None)
            cannot("mounting a small disk needs root")
        self.small = self.nodes[-1]
        home = os.path.join(self.disk, "node")
        shutil.move(self.small.home, home)
        self.small.home = home
        self.filler = os.path.join(self.disk, "filler")
        return self

    def free(self):
        stat = os.statvfs(self.disk)
        return stat.f_bavail * stat.f_frsize

    def fill(self, left):
        with open(self.filler, "ab", buffering=0) as file:  # what a full disk refused is not written at the close
            try:
                while (room := self.free() - left) > 0:
                    file.write(b"x" * min(room, 1 << 20))
            except OSError:
                pass  # full, to the last byte

    def __exit__(self, kind, value, trace):
        for node in self.all_nodes:  # else the disk is busy
            if node.is_up():
                node.process.kill()
                node.process.wait()
        subprocess.run(["umount", self.disk])
        super().__exit__(kind, value, trace)


def is_well(node):
    try:
        return node.http("/health")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def goes_on_without_it(net, promises, others):
    before = others[0].height()
    until("the others go on", lambda: all(n.executed() > before + 10 for n in others))
    promises.until_promised()


def back_again(net, promises, small, others):
    until("it is well", lambda: is_well(small))
    until("back within two blocks", lambda: small.executed() + 2 >= others[0].height() > 0)
    promises.until_promised()


def one_fills_up():
    with SmallDisk(4, app="opaque", params=PARAMS, env={"DSMR_DISK_LOW_BYTES": str(LOW_BYTES)}) as net:
        net.start_all()
        with Promises(net, 1) as promises:
            small, others = net.small, net.nodes[:3]
            net.fill(LOW_BYTES - (4 << 20))
            until("it says that the disk is low", lambda: "disk_low" in
                  [r["code"] for r in small.http("/health")[1]["reasons"]])
            goes_on_without_it(net, promises, others)
            os.remove(net.filler)
            back_again(net, promises, small, others)
            net.nodes = others  # clients do not ask it while it may be gone

            def is_out():
                net.fill(0)
                return not is_well(small)
            until("it is full", is_out)
            until("it has ended, or takes nothing", lambda: not small.is_up() or
                  small.executed() < others[0].executed() - 3)
            goes_on_without_it(net, promises, others)
            os.remove(net.filler)
            if not small.is_up():
                check(small.process.returncode == 4, "exit code %d" % small.process.returncode)
                small.start(net.env)
            net.nodes = list(net.all_nodes)
            back_again(net, promises, small, others)
        print(promises.judge())


if __name__ == "__main__":
    main(one_fills_up)
