"""jimbot.connect(): a bus elsewhere is used as the one here."""

import asyncio
import contextlib
import os
import sys
import threading
import unittest

import jimbot
from drive import Bus as FakeBus
from drive import Server

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../http"))
from daemon import Daemon, wait_until  # noqa: E402


class Remote(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.stop)
        self.url = f"ws://{self.daemon.host}:{self.daemon.port}"

    def connect(self, url=None, **options):
        bus = jimbot.connect(url or self.url, backoff_min=0.02, backoff_max=0.1, **options)
        self.addCleanup(bus.close)
        return bus

    def live(self, bus, pattern, *args, **options):
        sub = bus.subscribe(pattern, *args, **options)
        self.assertTrue(wait_until(sub.is_live))
        return sub

    def test_events_come_back_as_batches(self):
        bus = self.connect()
        sub = self.live(bus, "game.>")
        for value in range(100):
            bus.publish("MONEY_CHANGED", {"old_value": value, "new_value": value + 1}, key=value)
        self.assertTrue(bus.flush(5))
        seen = []
        while len(seen) < 100:
            batch = sub.poll(64, timeout=5)
            self.assertIsInstance(batch, jimbot.Batch)
            self.assertEqual(list(batch.key), list(range(len(seen), len(seen) + len(batch))))
            seen += [event.to_dict()["payload"]["new_value"] for event in batch]
        self.assertEqual(seen, list(range(1, 101)))
        self.assertEqual(sub.stats(), {"n_delivered": 100, "n_missed": 0})
        self.assertEqual(bus.stats()["n_accepted"], 100)
        self.assertEqual((bus.status()["state"], bus.status()["way"]), ("up", "websocket"))

    def test_times_are_those_of_this_machine(self):
        bus = self.connect()
        sub = self.live(bus, "game.>")
        before = jimbot.now_ns()
        bus.publish("HAND_PLAYED", {"hands_remaining": 1})
        event = next(sub)
        self.assertTrue(before - 50_000_000 < event.time_ns < jimbot.now_ns() + 50_000_000)
        self.assertEqual((event.topic, event.type, event.sequence), ("game.hand.played", "HAND_PLAYED", 1))

    def test_topics_of_ones_own_and_several_patterns(self):
        bus = self.connect()
        sub = self.live(bus, ["mine.a", "mine.b"], "latest")
        bus.publish("mine.b", {"type": "X", "payload": {"v": 1}})
        bus.publish("mine.c", {"type": "X", "payload": {}})
        bus.publish("mine.a", {"type": "X", "payload": {"v": 2}})
        self.assertEqual([next(sub).topic, next(sub).topic], ["mine.b", "mine.a"])

    def test_commands(self):
        bus = self.connect()
        sub = self.live(bus, "command.>")
        bus.send_command("select_card", 3, "left", id="7")
        command = next(sub).to_command()
        self.assertEqual(tuple(command), ("select_card", ("3", "left"), "7"))
        with self.assertRaises(TypeError):
            bus.send_command("x", True)
        with self.assertRaises(jimbot.Invalid):
            bus.send_command("no such name!")

    def test_async_for(self):
        bus = self.connect()
        sub = self.live(bus, "game.>")

        async def read():
            seen = []
            async for event in sub:
                seen.append(event.sequence)
                if len(seen) == 3:
                    return seen

        def later():
            for _ in range(3):
                bus.publish("HEARTBEAT", {"uptime": 1})
                bus.publish("HAND_PLAYED", {"hands_remaining": 1})

        timer = threading.Timer(0.05, later)
        timer.start()
        self.assertEqual(asyncio.run(asyncio.wait_for(read(), 10)), [2, 4, 6])

    def test_a_child_leaves_the_connection_alone(self):
        bus = self.connect()
        sub = self.live(bus, "game.>")
        bus.publish("MONEY_CHANGED", {"new_value": 1})
        self.assertTrue(bus.flush(5))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with contextlib.suppress(jimbot.State):
                    bus.publish("MONEY_CHANGED", {"new_value": 2})
                    os._exit(2)
                with contextlib.suppress(jimbot.State):
                    sub.poll()
                    os._exit(3)
                sub.close()
                code = 0 if bus.close() == 0 and bus.closed else 4
            finally:
                os._exit(code)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        bus.publish("MONEY_CHANGED", {"new_value": 3})
        self.assertTrue(bus.flush(5))
        self.assertEqual(len([next(sub) for _ in range(2)]), 2)
        self.assertEqual(bus.stats()["n_connects"], 1)
        self.assertEqual(bus.status()["state"], "up")

    def test_no_secret_is_shown(self):
        bus = self.connect(self.url + "/api/v1/ws?token=hidden")
        self.assertNotIn("hidden", repr(bus))
        self.assertIn("127.0.0.1", repr(bus))

    def test_closing_wakes_who_waits(self):
        bus = self.connect()
        sub = self.live(bus, "game.>")
        threading.Timer(0.1, sub.close).start()
        with self.assertRaises(jimbot.Closed):
            next(sub)
        with self.assertRaises(jimbot.Closed):
            sub.poll()
        self.assertEqual(sub.fileno(), -1)

    def test_what_it_cannot_do_it_says(self):
        bus = self.connect()
        for name in ("request", "requester", "reply", "join", "publish_columns", "topic_id", "peers", "groups"):
            with self.assertRaisesRegex(NotImplementedError, name):
                getattr(bus, name)()

    def test_every_method_of_a_bus_is_there(self):
        def methods(kind):
            return {name for name in dir(kind) if not name.startswith("_")}

        self.assertEqual(methods(jimbot.Bus) - methods(jimbot.RemoteBus), {"open", "create", "attach", "name"})
        self.assertEqual(methods(jimbot.Subscription) - methods(jimbot.RemoteSubscription), {"patterns", "bus"})

    def test_shm_is_a_bus(self):
        os.environ["JIMBOT_SHM_DIR"] = self.daemon.shm
        self.addCleanup(os.environ.pop, "JIMBOT_SHM_DIR")
        with jimbot.connect("shm://test") as here, here.subscribe("game.>") as sub:
            self.assertIsInstance(here, jimbot.Bus)
            there = self.connect()
            there.publish("HAND_PLAYED", {"hands_remaining": 1})
            self.assertTrue(there.flush(5))
            self.assertEqual(len(sub.poll(timeout=5)), 1)

    def test_http(self):
        bus = self.connect(self.url.replace("ws", "http"), poll=0.01)
        with self.assertRaises(jimbot.Invalid):
            bus.subscribe("game.>")
        sub = self.live(bus, "command.>")
        bus.publish_many("MONEY_CHANGED", ({"new_value": i} for i in range(120)))
        bus.send_command("play_hand", 1)
        self.assertTrue(bus.flush(5))
        self.assertEqual(bus.stats()["n_accepted"], 121)
        self.assertEqual(tuple(next(sub).to_command())[:2], ("play_hand", ("1",)))
        self.assertEqual(bus.status()["way"], "http")

    def test_resume_from_a_sequence(self):
        bus = self.connect()
        bus.publish_many("MONEY_CHANGED", ({"new_value": i} for i in range(10)))
        self.assertTrue(bus.flush(5))
        sub = self.live(bus, "game.>", start=7)
        self.assertEqual(next(sub).sequence, 7)

    def test_refusals(self):
        for url in ("nonsense", "ws://", "ws://h:0"):
            with self.assertRaises(jimbot.Invalid):
                jimbot.connect(url)
        bus = self.connect()
        with self.assertRaises(jimbot.Invalid):
            bus.subscribe("a..b")
        with self.assertRaises(ValueError):
            bus.subscribe("a", "none")
        with self.assertRaises(TypeError):
            bus.publish(7, {})


class Absent(unittest.TestCase):
    def test_full_raises_and_close_says_what_is_left(self):
        bus = jimbot.connect("ws://127.0.0.1:9", buffer_bytes=65536)
        n = 0
        with self.assertRaises(jimbot.Full):
            while True:
                bus.publish("MONEY_CHANGED", {"new_value": n})
                n += 1
        with self.assertRaises(jimbot.Full):
            bus.publish("MONEY_CHANGED", {"new_value": n}, timeout=0.05)
        self.assertFalse(bus.flush(0.05))
        self.assertEqual(bus.close(0), n)
        self.assertEqual(bus.close(), 0)
        with self.assertRaises(jimbot.Closed):
            bus.publish("MONEY_CHANGED", {})

    def test_a_server_that_comes_later_gets_everything(self):
        fake = FakeBus()
        server = Server(fake)
        server.kill()
        bus = jimbot.connect(server.url, backoff_min=0.02, backoff_max=0.1)
        for value in range(100):
            bus.publish("MONEY_CHANGED", {"new_value": value})
        server.start()
        self.assertTrue(bus.flush(10))
        self.assertEqual(len(fake.events), 100)
        self.assertEqual(bus.close(), 0)
        server.kill()


if __name__ == "__main__":
    unittest.main()
