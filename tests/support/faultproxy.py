#!/usr/bin/env python3
"""A bad line: a TCP proxy that cuts, delays and chops what passes through it.

    faultproxy.py --to 127.0.0.1:8080 [--listen PORT] [--sizes 1] [--sizes 1-1500] [--delay 0.01]
                  [--cut-in BYTES] [--cut-out BYTES] [--seed N]

In a test: `with FaultProxy(host, port, Line(sizes=(1, 1))) as proxy: connect(proxy.host, proxy.port)`. What passes is
never changed, so whatever comes to its end must be right. An end of one side is passed on as an end of that side
alone (half-close), a cut ends both with a reset.
"""

import argparse
import dataclasses
import random
import socket
import struct
import threading
import time


@dataclasses.dataclass
class Line:
    """What a line does to each connection."""

    sizes: tuple = (65536, 65536)  # smallest and largest write
    delay: float = 0.0  # longest wait before a write, seconds
    cut_in: int = -1  # cut after this many bytes from the client; -1 never
    cut_out: int = -1  # … to the client
    seed: int = 0


def reset(sock):
    """Close without a goodbye."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    sock.close()


class FaultProxy:
    """Listens on a port of loopback until closed. `line` may be changed between connections."""

    def __init__(self, to_host, to_port, line=None, listen=0):
        self.to = (to_host, to_port)
        self.line = line or Line()
        self.n_cuts = 0
        self.n_writes = 0
        self.open = []
        self.server = socket.create_server(("127.0.0.1", listen))
        self.host, self.port = self.server.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Stop listening and cut what is open."""
        try:
            self.server.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.server.close()
        for sock in self.open:
            reset(sock)

    def _accept(self):
        n = 0
        while True:
            try:
                client, _ = self.server.accept()
                server = socket.create_connection(self.to)
            except OSError:
                return
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open += [client, server]
            n += 1
            line, seed = self.line, f"{self.line.seed}-{n}"
            for ways in ((client, server, line.cut_in, seed + "i"), (server, client, line.cut_out, seed + "o")):
                threading.Thread(target=self._pump, args=(line, *ways), daemon=True).start()

    def _pump(self, line, source, sink, cut, seed):
        rng = random.Random(seed)
        passed = 0
        try:
            while data := source.recv(65536):
                at = 0
                while at < len(data):
                    n = min(rng.randint(*line.sizes), len(data) - at)
                    if 0 <= cut < passed + n:
                        sink.sendall(data[at : at + cut - passed])
                        self.n_cuts += 1
                        reset(source)
                        reset(sink)
                        return
                    if line.delay:
                        time.sleep(rng.uniform(0, line.delay))
                    sink.sendall(data[at : at + n])
                    self.n_writes += 1
                    passed += n
                    at += n
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            reset(source)
            reset(sink)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--listen", type=int, default=0, metavar="PORT")
    parser.add_argument("--sizes", default="65536", metavar="N[-N]", help="bytes of a write")
    parser.add_argument("--delay", type=float, default=0, metavar="SECONDS", help="longest wait before a write")
    parser.add_argument("--cut-in", type=int, default=-1, metavar="BYTES", help="cut after so many from the client")
    parser.add_argument("--cut-out", type=int, default=-1, metavar="BYTES", help="cut after so many to the client")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    host, port = args.to.rsplit(":", 1)
    sizes = [int(n) for n in args.sizes.split("-")]
    line = Line((sizes[0], sizes[-1]), args.delay, args.cut_in, args.cut_out, args.seed)
    proxy = FaultProxy(host, int(port), line, args.listen)
    print(f"{proxy.host}:{proxy.port}", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        proxy.close()


if __name__ == "__main__":
    main()
