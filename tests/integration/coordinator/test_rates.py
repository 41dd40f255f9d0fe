"""The coordinator over REST: rates of a service outside, and what happens as events on a bus."""

import concurrent.futures
import json
import os
import subprocess
import time
import unittest

from daemon_case import JIMBOTCTL, Coordinator, CoordinatorCase

SECOND = 1_000_000_000
TAIL = [JIMBOTCTL, "--bus", "news", "tail", "--json", "--from", "oldest"]
RATES = """name = rates
[resource calls]
kind = calls
capacity = 9
[resource tokens]
kind = tokens
capacity = 9
[component advisor]
weight = 1
[component other]
weight = 1
[limit hour]
resource = calls
kind = window
amount = 5
period = 3600
[limit own]
resource = calls
component = other
kind = window
amount = 2
period = 3600
[limit second]
resource = tokens
kind = rate
amount = 1000
period = 1
burst = 100
"""


class Events(CoordinatorCase):
    COORDINATOR = "bus = news"

    def test_what_happens_is_on_the_bus(self):
        tail = subprocess.Popen([*TAIL, "-n", "3", "resource.>"], text=True, stdout=subprocess.PIPE,
                                env={**os.environ, "JIMBOT_SHM_DIR": self.folder}, stdin=subprocess.DEVNULL)
        lease = self.lease(ram=700)
        self.request(component="game", ram=700)
        self.release(lease)
        events = [json.loads(line) for line in tail.communicate(timeout=20)[0].splitlines()]
        told = [(e["type"], e["payload"]["kind"], e["payload"].get("reason")) for e in events]
        self.assertEqual(told, [("resource.granted", "granted", None), ("resource.denied", "denied", "BUSY"),
                                ("resource.ended", "ended", "RELEASED")])

    def test_types_name_the_topic(self):
        self.lease(ram=5)
        done = subprocess.run([*TAIL, "-n", "1", "resource.granted"], text=True, stdout=subprocess.PIPE, timeout=20,
                              env={**os.environ, "JIMBOT_SHM_DIR": self.folder}, check=True)
        event = json.loads(done.stdout)
        self.assertEqual((event["type"], event["payload"]["resource"], event["payload"]["amount"]),
                         ("resource.granted", "ram", "5"))


class Rates(CoordinatorCase):
    COORDINATOR = RATES

    def reserve(self, component="advisor", wait_ns=0, lease_class=None, **amounts):
        wish = {"component": component, "amounts": [{"resource": r, "amount": a} for r, a in amounts.items()]}
        if lease_class:
            wish["lease_class"] = lease_class
        status, answer = self.daemon.post("/api/v1/usage/reserve", {**wish, "wait_ns": wait_ns})
        self.assertEqual(status, 200, answer)
        return answer

    def commit(self, reservation, **used):
        wish = {"reservation_id": reservation["reservation_id"],
                "used": [{"resource": r, "amount": a} for r, a in used.items()]}
        return self.daemon.post("/api/v1/usage/commit", wish)

    def remaining(self, resource):
        return int(self.resource(resource)["limits"][0]["remaining"])

    def test_the_sixth_call_of_an_hour_is_denied_with_the_time_to_come_again(self):
        for i in range(5):
            self.assertEqual(self.commit(self.reserve(calls=1), calls=1)[0], 200)
        answer = self.reserve(calls=1)
        self.assertNotIn("reservation_id", answer)
        self.assertTrue(3500 * SECOND < int(answer["retry_after_ns"]) <= 3600 * SECOND)
        self.assertEqual([s["remaining"] for s in answer["states"]], ["0"])
        self.assertEqual(self.daemon.metrics()["jimbot_limit_taken_total"]
                         ['limit="0",period_seconds="3600",resource="calls",component=""'], 5)

    def test_a_component_is_held_to_its_own_limit_within_the_total(self):
        self.assertIn("reservation_id", self.reserve("other", calls=2))
        self.assertNotIn("reservation_id", self.reserve("other", calls=1))
        self.assertIn("reservation_id", self.reserve("advisor", calls=3))
        self.assertNotIn("retry_after_ns", self.reserve("advisor", calls=6))

    def test_all_or_none_and_what_was_not_used_comes_back(self):
        self.assertNotIn("reservation_id", self.reserve(calls=1, tokens=101))
        self.assertEqual(self.remaining("calls"), 5)
        r = self.reserve(calls=3, tokens=50)
        self.assertEqual(self.remaining("calls"), 2)
        self.assertEqual(self.commit(r, calls=1, tokens=10)[0], 200)
        self.assertEqual(self.remaining("calls"), 4)
        self.assertEqual(self.commit(r, calls=1)[0], 404)
        r = self.reserve(calls=4)
        self.assertEqual(self.commit(r, tokens=1)[0], 400)
        self.assertEqual(self.commit(r, disk=1)[0], 404)
        self.assertEqual(self.commit(r)[0], 200)
        self.assertEqual(self.remaining("calls"), 4)

    def test_who_waits_gets_it_when_it_is_there(self):
        self.commit(self.reserve(tokens=100), tokens=100)
        begun = time.monotonic()
        self.assertIn("reservation_id", self.reserve(tokens=100, wait_ns=20 * SECOND))
        self.assertGreater(time.monotonic() - begun, 0.08)
        self.reserve(calls=5)
        self.assertNotIn("reservation_id", self.reserve(calls=1, wait_ns=50_000_000))

    def test_what_is_given_back_goes_to_who_waits(self):
        r = self.reserve(calls=5)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.reserve, calls=2, wait_ns=20 * SECOND)
            time.sleep(0.1)
            self.commit(r, calls=1)
            self.assertIn("reservation_id", waiting.result())

    def test_the_higher_class_goes_first_and_who_comes_later_does_not_go_past(self):
        r = self.reserve(calls=5)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            low = pool.submit(self.reserve, calls=2, wait_ns=20 * SECOND, lease_class="low")
            self.wait_waiting(1, "calls")
            high = pool.submit(self.reserve, calls=4, wait_ns=20 * SECOND, lease_class="LEASE_CLASS_HIGH")
            self.wait_waiting(2, "calls")
            self.commit(r, calls=1)
            first = high.result(20)
            self.assertIn("reservation_id", first)
            self.assertFalse(low.done())
            self.assertNotIn("reservation_id", self.reserve(calls=1))
            self.commit(first)
            self.assertIn("reservation_id", low.result(20))
        self.assertEqual(self.daemon.post("/api/v1/usage/reserve", {
            "component": "advisor", "amounts": [{"resource": "calls", "amount": 1}], "lease_class": "best"})[0], 400)

    def test_who_goes_lets_the_next_one_go(self):
        r = self.reserve(calls=4)
        wish = {"component": "advisor", "wait_ns": 60 * SECOND, "amounts": [{"resource": "calls", "amount": 5}]}
        curl = subprocess.Popen(["curl", "-s", "-d", json.dumps(wish), f"http://{self.daemon.host}:{self.daemon.port}"
                                 "/api/v1/usage/reserve"], stdout=subprocess.DEVNULL)
        self.wait_waiting(1, "calls")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            behind = pool.submit(self.reserve, calls=1, wait_ns=20 * SECOND)
            self.wait_waiting(2, "calls")
            self.assertFalse(behind.done())
            curl.kill()
            curl.wait()
            self.assertIn("reservation_id", behind.result(20))
        self.commit(r)

    def test_the_service_outside_corrects(self):
        correct = lambda **state: self.daemon.post("/api/v1/usage/correct", {"states": [state]})
        self.assertEqual(correct(resource="calls", limit=4, remaining=1)[0], 200)
        self.assertEqual(self.remaining("calls"), 1)
        self.assertEqual(correct(resource="tokens", remaining=0, reset_after_ns=30 * SECOND)[0], 200)
        self.assertGreater(int(self.reserve(tokens=1)["retry_after_ns"]), 20 * SECOND)
        self.assertEqual(correct(resource="ram", remaining=1)[0], 404)
        self.assertEqual(self.daemon.post("/api/v1/usage/correct", {})[0], 400)

    def test_what_was_taken_is_known_after_a_restart(self):
        self.commit(self.reserve(calls=4), calls=4)
        self.daemon.kill()
        self.daemon = Coordinator(self.folder, self.COORDINATOR, self.HOST)
        self.assertEqual(self.remaining("calls"), 1)
        self.assertNotIn("reservation_id", self.reserve(calls=2))


if __name__ == "__main__":
    unittest.main()
