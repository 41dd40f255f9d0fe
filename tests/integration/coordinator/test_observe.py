"""What is really used reaches who asks: a driver by script, and the kernel's word on memory."""

import json
import os
import shutil
import subprocess
import time
import unittest

from daemon_case import JIMBOTCTL, Coordinator, CoordinatorCase, wait_until

GPU = """
[resource vram0]
kind = gpu_memory
capacity = 1000
[component trainer]
weight = 1
"""
RAM = """
[resource ram]
kind = memory
capacity = 4G
[component game]
weight = 1
[component trainer]
weight = 1
"""


class Observed(CoordinatorCase):
    def setUp(self):
        super().setUp()
        self.daemon.stop()

    def start(self, script, coordinator=""):
        shutil.copy(os.path.join(os.environ["FAKE_NVML_DIR"], "libfake-nvml-3.so"),
                    os.path.join(self.folder, "libnvidia-ml.so.1"))
        before = dict(os.environ)
        os.environ |= {"FAKE_NVML": script, "LD_LIBRARY_PATH": self.folder + ":" + before.get("LD_LIBRARY_PATH", "")}
        try:
            self.daemon = Coordinator(self.folder, coordinator, resources=GPU)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def foreign(self):
        return self.daemon.metrics()["jimbot_resource_foreign"]['resource="vram0"']

    def test_what_a_foreign_process_uses_is_not_given_out(self):
        self.start("used=600 c=1:600")
        self.assertTrue(wait_until(lambda: self.foreign() == 600))
        self.assertEqual(self.request(vram0=401)[0], 429)
        self.assertEqual(self.request(vram0=400)[0], 200)

    def test_a_gpu_that_is_lost_gives_nothing(self):
        self.start("used=600 memory=15 memory2=15")
        self.assertTrue(wait_until(lambda: self.foreign() == 1000))
        self.assertEqual(self.request(vram0=1)[0], 429)

    def test_a_driver_that_hangs_holds_up_neither_server_nor_end(self):
        audit = os.path.join(self.folder, "audit.jsonl")
        for call in ("init", "count", "memory2", "compute"):
            self.start(f"used=600 c=1:600 hang={call}", "audit = " + audit)
            self.assertEqual(self.request(vram0=1000)[0], 200)
            time.sleep(0.3)
            begun = time.monotonic()
            self.assertEqual(self.daemon.stop(), 0, call)
            self.assertLess(time.monotonic() - begun, 10)
            self.assertIn("the GPU driver does not answer", self.daemon.log)
            with open(audit, encoding="utf-8") as f:
                self.assertEqual(f.read().splitlines()[-1].count('"kind":"books"'), 1)
            os.unlink(audit)

    def test_a_driver_that_answers_is_let_go(self):
        self.start("used=600 c=1:600")
        self.assertTrue(wait_until(lambda: self.foreign() == 600))
        self.assertEqual(self.daemon.stop(), 0)
        self.assertNotIn("does not answer", self.daemon.log)

    def test_what_a_driver_says_is_in_status_and_metrics(self):
        self.start("used=600 c=1:600")
        self.assertTrue(wait_until(lambda: "observed" in self.resource("vram0")))
        self.assertEqual((self.resource("vram0")["observed"], self.resource("vram0")["overuse"]), ("600", "0"))
        self.assertEqual(self.daemon.metrics()["jimbot_resource_observed"]['resource="vram0"'], 600)

    def test_without_a_driver_the_promises_count(self):
        self.start("init=9")
        self.assertEqual(self.request(vram0=1000)[0], 200)


class Memory(CoordinatorCase):
    """A holder of this machine that uses more and more of what it was granted."""

    COORDINATOR = "name = watched\nbus = {folder}/bus\naudit = {folder}/audit.jsonl"
    RESOURCES = RAM

    def setUp(self):
        super().setUp()
        self.env = {**os.environ, "JIMBOT_SHM_DIR": self.folder}
        self.holder = subprocess.Popen([os.environ["HOLDER"], "watched", "ram", "trainer", "200"], env=self.env,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_holder)
        self.granted = int(self.holder.stdout.readline().split()[1])

    def end_holder(self):
        self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()

    def use(self, mib):
        print(mib, file=self.holder.stdin, flush=True)
        return int(self.holder.stdout.readline().split()[1])

    def memory(self):
        trainer = next(c for c in self.get("/api/v1/resources")[1]["components"] if c["name"] == "trainer")
        return trainer.get("memory", {})

    def wait_state(self, state):
        self.assertTrue(wait_until(lambda: self.memory().get("state") == "MEMORY_STATE_" + state), self.memory())

    def events(self):
        tail = [JIMBOTCTL, "--bus", os.path.join(self.folder, "bus"), "tail", "--from", "oldest", "--json", "-n", "4",
                "resource.memory.*"]
        done = subprocess.run(tail, env=self.env, text=True, capture_output=True, check=True, timeout=30)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def told(self):
        with open(os.path.join(self.folder, "audit.jsonl"), encoding="utf-8") as f:
            return [record["state"] for record in map(json.loads, f.read().splitlines()) if record["kind"] == "memory"]

    def test_a_state_is_in_the_log_while_nothing_else_happens(self):
        self.use(260)
        self.wait_state("OVER")
        self.assertTrue(wait_until(lambda: self.told()[-1:] == ["OVER"]), self.told())

    def test_it_is_warned_asked_to_shrink_and_never_ended(self):
        self.wait_state("FINE")
        self.use(175)
        self.wait_state("WARN")
        self.assertEqual(self.memory()["shrink_bytes"], "0")
        used = self.use(260)
        self.wait_state("OVER")
        memory = {k: int(v) for k, v in self.memory().items() if k != "state"}
        self.assertEqual((memory["granted_bytes"], memory["n_processes"]), (self.granted, 1))
        self.assertAlmostEqual(memory["used_bytes"], used, delta=32 << 20)
        kept = self.granted // 5 * 4 + self.granted % 5 * 4 // 5
        self.assertEqual(memory["shrink_bytes"], memory["used_bytes"] - kept)
        url = f"http://{self.daemon.host}:{self.daemon.port}"
        command = [JIMBOTCTL, "resources", "--url", url, "-n", "1"]
        seen = subprocess.run(command, text=True, capture_output=True, check=True)
        self.assertIn("beyond it: shrink by", seen.stdout)
        figures = self.daemon.metrics()
        self.assertEqual(figures["jimbot_component_memory_state"]['component="trainer"'], 2)
        self.assertGreater(figures["jimbot_component_memory_shrink_bytes"]['component="trainer"'], 0)
        self.use(170)  # below nine tenths of it, above three quarters
        self.wait_state("WARN")
        self.use(0)
        self.wait_state("FINE")
        events = self.events()
        self.assertEqual([e["type"] for e in events],
                         ["resource.memory." + word for word in ("warn", "shrink", "warn", "fine")])
        self.assertEqual((events[1]["payload"]["component"], int(events[1]["payload"]["granted_bytes"])),
                         ("trainer", self.granted))
        self.assertGreater(int(events[1]["payload"]["shrink_bytes"]), 50 << 20)
        self.assertIsNone(self.holder.poll())
        self.assertEqual(self.allocated(), self.granted)
        self.assertEqual(self.daemon.stop(), 0)
        with open(os.path.join(self.folder, "audit.jsonl"), encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        told = [line for line in lines if line["kind"] == "memory"]
        self.assertEqual([t["state"] for t in told], ["WARN", "OVER", "WARN", "FINE"])
        self.assertEqual({(t["component"], t["resource"], t["granted_bytes"]) for t in told},
                         {("trainer", "ram", str(self.granted))})
        self.assertEqual([int(t["shrink_bytes"]) > 0 for t in told], [False, True, False, False])
        done = subprocess.run([JIMBOTCTL, "resources", "audit", os.path.join(self.folder, "audit.jsonl")], text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
