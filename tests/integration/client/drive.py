"""What the tests of the client stand on: the messages of the schema, a server that misbehaves as told, and the
program CLIENTDRIVE, which is a client.

The schema's Python is made by protoc when this is imported.
"""

import asyncio
import atexit
import glob
import importlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import websockets

DRIVE = os.environ.get("CLIENTDRIVE", "clientdrive")
PROTO = os.environ.get("JIMBOT_PROTO", "proto")

made = tempfile.mkdtemp(prefix="jimbot-client-")
atexit.register(shutil.rmtree, made, ignore_errors=True)
subprocess.run(
    ["protoc", "-I" + PROTO, "--python_out=" + made, *sorted(glob.glob(PROTO + "/jimbot/v1/*.proto"))],
    check=True,
)
try:  # where the package jimbot is, it hides what was made: it has no `v1` of its own
    importlib.import_module("jimbot").__path__.append(os.path.join(made, "jimbot"))
except ImportError:
    sys.path.insert(0, made)
pb = importlib.import_module("jimbot.v1.event_bus_pb2")
event_pb = importlib.import_module("jimbot.v1.event_pb2")


class Drive:
    """The program clientdrive: one method for each of its lines."""

    def __init__(self):
        env = dict(os.environ, TSAN_OPTIONS="halt_on_error=1", SSL_CERT_DIR="/nowhere")
        self.process = subprocess.Popen(
            [DRIVE], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        )

    def say(self, *words, seconds=30):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            self.process.kill()
            raise AssertionError(f"no answer to {words}")
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"it ended at {words}: {self.process.stderr.read()}")
        return json.loads(line)

    def open(self, url, **options):
        options = {"backoff_min_ns": 20_000_000, "backoff_max_ns": 100_000_000, **options}
        return self.say("open", url, *[f"{key}={value}" for key, value in options.items()])

    def take(self, n, seconds=10):
        return self.say("take", n, seconds)["events"]

    def stats(self):
        return self.say("stats")

    def wait(self, check, seconds=10):
        """Ask for the counters until they are so; returns them."""
        end = time.monotonic() + seconds
        while True:
            stats = self.stats()
            if check(stats):
                return stats
            if time.monotonic() > end:
                raise AssertionError(f"it did not come to it: {stats}, {self.say('status')}")
            time.sleep(0.005)

    def end(self):
        self.process.stdin.close()
        errors = self.process.stderr.read()
        code = self.process.wait(timeout=20)
        self.process.stdout.close()
        self.process.stderr.close()
        return code, errors


class Bus:
    """What a server keeps beyond one connection: events, ids, and how it is to misbehave."""

    def __init__(self, first=1, capacity=1_000_000):
        self.first = first  # sequence of the first event ever
        self.capacity = capacity
        self.events = []  # (topic, bytes)
        self.ids = set()
        self.commands = []
        self.connections = 0
        self.full = 0  # this many results are FULL
        self.cut_before = 0  # this many requests to publish are taken, and the connection cut instead of an answer
        self.deaf = False  # read nothing
        self.delay = 0.0
        self.subscribes = []
        self.acks = []
        self.fault = 0  # answer this code to everything
        self.changed = None

    def put(self, event_bytes, topic=None, event_id=None):
        if event_id and event_id in self.ids:
            return 2, 0
        if self.full:
            self.full -= 1
            return 3, 0
        if event_id:
            self.ids.add(event_id)
        self.events.append((topic or "game.money.changed", event_bytes))
        if self.changed:
            self.changed.set()
        return 1, self.first + len(self.events) - 1

    def ids_in_order(self):
        return [event_pb.Event.FromString(data).event_id for _, data in self.events]


class Session:
    """One connection of a client, served as jimbotd would."""

    def __init__(self, bus, socket):
        self.bus, self.socket, self.subs = bus, socket, {}

    async def publish(self, request):
        bus, response = self.bus, pb.SessionResponse(request_id=request.request_id)
        for outgoing in request.publish.events:
            event = outgoing.event
            data = event.SerializeToString()
            outcome, sequence = bus.put(data, outgoing.topic or None, event.event_id or None)
            response.published.results.add(outcome=outcome, sequence=sequence)
        response.published.SetInParent()
        if bus.cut_before:
            bus.cut_before -= 1
            self.socket.transport.abort()
            return
        await asyncio.sleep(bus.delay)
        await self.send(response)

    async def send(self, response):
        await self.socket.send(response.SerializeToString())

    async def subscribe(self, request):
        ask, bus = request.subscribe, self.bus
        bus.subscribes.append(ask)
        end = bus.first + len(bus.events)
        start = {0: end, 1: end, 2: bus.first, 3: ask.request.start_sequence}[ask.request.start]
        if start > end:
            start = bus.first
        oldest = max(bus.first, end - bus.capacity)
        most = ask.max_unacked or 1 << 30
        state = {"next": max(start, oldest), "missed": max(0, oldest - start), "room": most, "max": most}
        self.subs[ask.subscription_id] = state
        response = pb.SessionResponse(request_id=request.request_id)
        response.subscribed.subscription_id = ask.subscription_id
        response.subscribed.next_sequence = state["next"]
        await self.send(response)

    async def deliver(self):
        bus = self.bus
        while True:
            for number, state in list(self.subs.items()):
                while state["room"] > 0 and state["next"] < bus.first + len(bus.events):
                    response = pb.SessionResponse()
                    response.delivery.subscription_id = number
                    while len(response.delivery.events) < min(16, state["room"]):
                        at = state["next"] - bus.first
                        if at >= len(bus.events):
                            break
                        topic, data = bus.events[at]
                        item = response.delivery.events.add(sequence=state["next"], topic=topic, time_utc_ns=123)
                        item.event.ParseFromString(data)
                        if state["missed"]:
                            item.n_missed, state["missed"] = state["missed"], 0
                        state["next"] += 1
                    state["room"] -= len(response.delivery.events)
                    await self.send(response)
            bus.changed.clear()
            try:
                await asyncio.wait_for(bus.changed.wait(), 0.02)
            except asyncio.TimeoutError:
                pass

    async def take(self, request):
        step = request.WhichOneof("step")
        bus = self.bus
        if bus.fault and step in ("publish", "subscribe"):
            response = pb.SessionResponse(request_id=request.request_id)
            response.fault.code, response.fault.message = bus.fault, "as told"
            await self.send(response)
        elif step == "publish":
            await self.publish(request)
        elif step == "subscribe":
            await self.subscribe(request)
        elif step == "unsubscribe":
            self.subs.pop(request.unsubscribe.subscription_id, None)
        elif step == "ack":
            bus.acks.append(request.ack.sequence)
            state = self.subs.get(request.ack.subscription_id)
            if state:
                state["room"] = state["max"] - (state["next"] - 1 - request.ack.sequence)
        elif step == "command":
            outcome = 2 if request.command.id in bus.ids else 1
            if outcome == 1:
                bus.ids.add(request.command.id)
                bus.commands.append((request.command.name, list(request.command.params)))
            response = pb.SessionResponse(request_id=request.request_id)
            response.published.results.add(outcome=outcome)
            if bus.cut_before:
                bus.cut_before -= 1
                self.socket.transport.abort()
                return
            await self.send(response)

    async def run(self):
        feeder = asyncio.ensure_future(self.deliver())
        try:
            async for message in self.socket:
                await self.take(pb.SessionRequest.FromString(message))
        except websockets.ConnectionClosed:
            pass
        finally:
            feeder.cancel()


class Server:
    """A WebSocket server in a thread, which can be stopped and started again on its port."""

    def __init__(self, bus, port=0, ssl=None, path=None, check=None):
        self.bus, self.port, self.ssl, self.path, self.check = bus, port, ssl, path, check
        self.headers = []
        self.start()

    def start(self):
        ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve(ready)), daemon=True)
        self.thread.start()
        assert ready.wait(10), "the server did not start"

    async def look(self, path, headers):
        self.headers.append(headers)
        return self.check(path, headers) if self.check else None

    async def serve(self, ready):
        self.loop, self.stopped = asyncio.get_running_loop(), asyncio.Event()
        self.bus.changed = asyncio.Event()
        options = dict(subprotocols=["jimbot.v1.proto"], ssl=self.ssl, process_request=self.look, max_size=None,
                       ping_interval=None, close_timeout=1)
        if self.path:
            server = await websockets.unix_serve(self.handle, self.path, **options)
        else:
            server = await websockets.serve(self.handle, "127.0.0.1", self.port, **options)
            self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self.stopped.wait()
        for connection in list(server.websockets):
            connection.transport.abort()
        server.close()
        await server.wait_closed()

    async def handle(self, socket, _path=None):
        self.bus.connections += 1
        if self.bus.deaf:
            socket.transport.pause_reading()
        await Session(self.bus, socket).run()

    def call(self, function):
        """Run something in the server's thread and wait for it."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (function(), done.set()))
        assert done.wait(10)

    def put(self, *events, topic="game.money.changed"):
        """Publish from elsewhere; each is an id."""
        def work():
            for name in events:
                event = event_pb.Event(type=4, event_id=name)
                self.bus.put(event.SerializeToString(), topic, name)
        self.call(work)

    def kill(self):
        self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join(10)

    @property
    def url(self):
        return f"ws{'s' if self.ssl else ''}://127.0.0.1:{self.port}"


class ClientCase(unittest.TestCase):
    """A test with clients that must end without a sanitizer's word."""

    def drive(self):
        drive = Drive()
        self.addCleanup(self.end, drive)
        return drive

    def end(self, drive):
        code, errors = drive.end()
        self.assertEqual(code, 0, errors)
        self.assertNotIn("Sanitizer", errors)
        self.assertNotIn("runtime error", errors)

    def serve(self, bus, **options):
        server = Server(bus, **options)
        self.addCleanup(lambda: server.thread.is_alive() and server.kill())
        return server

    def books(self, stats):
        """Nothing is lost silently."""
        known = sum(stats[name] for name in ("accepted", "duplicates", "refused", "dropped", "waiting"))
        self.assertEqual(stats["published"], known, stats)
