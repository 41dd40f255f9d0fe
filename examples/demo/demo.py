"""The demo: a daemon, a game and an agent on one bus, three readers in three languages, and the books at the end.

Starts jimbotd; a card table in LuaJIT that sends half of its events over HTTP and half in-process; an agent in Python
that answers its decisions; and readers in C and Lua. Exits 0 only if every event that was sent was read by each of
them, once and in order.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import jimbot
from view import View

HERE = Path(__file__).resolve().parent
OVER = "custom.demo_over"


class Failure(Exception):
    """The demo could not go on; the message says why."""


class Program:
    """A child process with its standard error in a file and its standard output read by line."""

    def __init__(self, name: str, command: list[str], logs: Path) -> None:
        self.name = name
        self.log = logs / f"{name.replace(' ', '-')}.log"
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log.open("wb"),
            text=True,
            start_new_session=True,
        )

    def line(self) -> str:
        assert self.child.stdout
        text = self.child.stdout.readline().strip()
        if not text:
            self.child.wait(10)
            raise Failure(f"{self.name} ended early: {self.log.read_text(errors='replace')[-800:]}")
        return text

    def expect(self, text: str) -> Program:
        if self.line() != text:
            raise Failure(f"{self.name} did not say '{text}'")
        return self

    def books(self) -> dict:
        books = json.loads(self.line())
        if self.child.wait(10):
            raise Failure(f"{self.name} failed: {self.log.read_text(errors='replace')[-800:]}")
        return books

    def stop(self) -> int:
        if self.child.poll() is None:
            self.child.terminate()
        try:
            return self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()


def find(variable: str, default: str) -> str:
    path = os.environ.get(variable) or shutil.which(default)
    if not path:
        raise Failure(f"{default} is not there: run this through ./dev run, or set {variable}")
    return path


def post(url: str, body: dict) -> dict:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def published_by_daemon(url: str) -> int:
    with urllib.request.urlopen(url + "/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(float(x.split()[-1])) for x in lines if x.startswith("jimbot_events_published_total"))


class Demo:
    def __init__(self, options: argparse.Namespace, logs: Path) -> None:
        self.options = options
        self.logs = logs
        self.name = "jimbot" if options.keep else f"demo-{os.getpid()}"
        self.programs: list[Program] = []
        self.url = ""
        self.n_commands = 0

    def start(self, name: str, *command: str) -> Program:
        program = Program(name, list(command), self.logs)
        self.programs.append(program)
        return program

    def start_daemon(self) -> Program:
        http = "127.0.0.1:8080" if self.options.keep else "127.0.0.1:0"
        daemon = self.start("jimbotd", find("JIMBOTD", "jimbotd"), "--http", http, "--bus", self.name)
        said = daemon.line()
        address = re.search(r"http://[^\s,]+", said)
        if not address:
            raise Failure(f"jimbotd printed no address but '{said}'")
        self.url = address[0]
        return daemon

    def start_readers(self) -> dict[str, Program]:
        luajit = find("LUAJIT", "luajit")
        reader = find("JIMBOT_DEMO_READER", "demo-reader")
        readers = {
            "C": self.start("C reader", reader, self.name),
            "Lua": self.start("Lua reader", luajit, str(HERE / "reader.lua"), self.name),
            "Python": self.start("agent", sys.executable, str(HERE / "agent.py"), self.name),
        }
        for program in readers.values():
            program.expect("ready")
        return readers

    def start_table(self) -> Program:
        options = [str(self.options.rounds), str(self.options.fps)]
        luajit = find("LUAJIT", "luajit")
        return self.start("table", luajit, str(HERE / "table.lua"), self.name, self.url, *options)

    def watch(self, bus: jimbot.Bus, sub: jimbot.Subscription, table: Program, view: View) -> None:
        """Show what passes until the last event, and send a command by REST now and then."""
        limit = time.monotonic() + self.options.limit
        next_command = time.monotonic() + 1
        while OVER not in view.topics:
            is_running = table.child.poll() is None
            batch = sub.poll(4096, timeout=0.1)
            view.add(bus, batch)
            view.show(bus.stats())
            if time.monotonic() > limit:
                raise Failure(f"the table did not end within {self.options.limit} seconds")
            if not is_running and not len(batch):
                table.books()
                raise Failure("the table ended without its last event")
            if time.monotonic() > next_command and is_running:
                post(self.url + "/api/v1/commands", {"type": "sort_hand", "payload": {}})
                self.n_commands += 1
                next_command += 3

    def run(self) -> int:
        daemon = self.start_daemon()
        with jimbot.Bus.open(self.name, peer_name="demo") as bus:
            before = bus.stats()["n_published"]
            with bus.subscribe(">", name="view") as sub:
                readers = self.start_readers()
                table = self.start_table()
                view = View(sys.stdout, title=f"bus '{self.name}', REST at {self.url}")
                self.watch(bus, sub, table, view)
                view.close()
            sent = table.books()
            seen = {name: program.books() for name, program in readers.items()}
            n_bus = bus.stats()["n_published"] - before
            n_http = published_by_daemon(self.url)
        if self.options.keep:
            print(f"jimbotd goes on at {self.url}; stop it with: kill {daemon.child.pid}")
            self.programs.remove(daemon)
        elif daemon.stop():
            raise Failure(f"jimbotd ended with {daemon.child.returncode}")
        return self.balance(sent, seen, n_bus, n_http, view)

    def clean_up(self) -> None:
        """Stop what still runs. Who is stopped by a signal cannot close its bus, so the name is removed here."""
        for program in self.programs:
            program.stop()
        if not self.options.keep:
            with contextlib.suppress(jimbot.NotFound):
                jimbot.unlink(self.name)

    def balance(self, sent: dict, seen: dict, n_bus: int, n_http: int, view: View) -> int:
        agent = seen["Python"]
        topics = view.topics
        game = sum(n for topic, n in topics.items() if topic.startswith("game."))
        asked = ["learning.decision.request", "strategy.request", "knowledge.query", OVER]
        for_agent = game + sum(topics.get(topic, 0) for topic in asked)
        n_sent = sent["in_process"] + sent["http_accepted"] + agent["published"] + self.n_commands
        checks = [
            ("sent = on the bus", n_sent, n_bus),
            ("table: in-process + HTTP = sent", sent["in_process"] + sent["http_accepted"], sent["sent"]),
            ("daemon's metric = HTTP accepted", n_http, sent["http_accepted"]),
            ("C reader: read = on the bus", seen["C"]["events"], n_bus),
            ("Lua reader: read = on the bus", seen["Lua"]["events"], n_bus),
            ("Python agent: read = its topics", agent["events"], for_agent),
            ("live view: read = on the bus", view.n_events, n_bus),
            ("commands in-process = over HTTP poll", sent["commands"], sent["http_commands"]),
            ("decisions asked = obeyed", sent["decisions"], len(sent["round_trip_ms"])),
            ("lost", sum(x["missed"] for x in seen.values()), 0),
            ("out of order", seen["C"]["gaps"] + seen["Lua"]["gaps"], 0),
            ("rejected", sent["http_rejected"] + sent["failed"] + sent["refused"], 0),
        ]
        trips = sorted(sent["round_trip_ms"]) or [0.0]
        print(f"\n{sent['rounds']} rounds, {len(sent['by_type'])} types of events, {len(topics)} topics")
        print(
            f"sent {n_sent}: table {sent['in_process']} in-process + {sent['http_accepted']} over HTTP, "
            f"agent {agent['published']}, REST commands {self.n_commands}"
        )
        for what, have, want in checks:
            print(f"  {'ok ' if have == want else 'BAD'} {what}: {have}" + ("" if have == want else f", not {want}"))
        print(
            f"the agent read {agent['states']} game states as numpy columns: money {agent['mean_money']:.1f} on "
            f"average, at most {agent['best_chips']:.0f} chips"
        )
        print(
            f"publish to read: C p50 {seen['C']['p50_us']} µs, p99 {seen['C']['p99_us']} µs; "
            f"Python p50 {agent['p50_us']} µs, p99 {agent['p99_us']} µs"
        )
        print(
            f"decision asked to obeyed, in frames of {1000 / self.options.fps:.1f} ms: "
            f"p50 {trips[len(trips) // 2]:.1f} ms, p99 {trips[-1 - len(trips) // 100]:.1f} ms; {len(trips)} decisions"
        )
        return 0 if all(have == want for _, have, want in checks) else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev run", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the daemon up, on bus 'jimbot' and port 8080")
    parser.add_argument("--rounds", type=int, default=20, help="rounds to play (default 20)")
    parser.add_argument("--fps", type=int, default=60, help="frames per second of the game (default 60)")
    parser.add_argument("--limit", type=float, default=55, help="give up after so many seconds (default 55)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jimbot-demo-") as logs:
        demo = Demo(options, Path(logs))
        try:
            return demo.run()
        except (Failure, OSError, jimbot.Error) as failure:
            print(f"demo: {failure}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            demo.clean_up()


if __name__ == "__main__":
    sys.exit(main())
