#!/usr/bin/env python3
"""jimbotd and programs that others wrote: grpcurl, ghz and h2spec (Go), @grpc/grpc-js (Node).

`./dev conform` fetches them and runs this; what is missing is skipped. Arguments are unittest's.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration", "http"))

from daemon import DaemonCase

# Cases of h2spec that jimbotd does not pass, and why; docs/design/grpc.md says it at length.
KNOWN = {
    "Sends invalid connection preface": "it is answered as HTTP/1.1, which the address speaks too",
    "Sends stream identifier that is numerically smaller than previous": "nghttp2 passes over it",
}
EVENT = {"event": {"type": "EVENT_TYPE_MONEY_CHANGED", "source": "conform", "moneyChanged": {"newValue": 7}}}


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"there is no {program}")


class Conform(DaemonCase):
    def run_program(self, *words, timeout=120, **how):
        done = subprocess.run(words, text=True, capture_output=True, timeout=timeout, check=False, **how)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-4000:])
        return done.stdout

    @property
    def address(self):
        return f"{self.daemon.host}:{self.daemon.port}"

    @needs("grpcurl")
    def test_grpcurl_finds_the_services_by_reflection_and_publishes(self):
        services = self.run_program("grpcurl", "-plaintext", self.address, "list").split()
        self.assertIn("jimbot.v1.EventBus", services)
        self.assertIn("grpc.health.v1.Health", services)
        described = self.run_program("grpcurl", "-plaintext", self.address, "describe", "jimbot.v1.EventBus")
        self.assertIn("rpc Publish (", " ".join(described.split()))
        answer = self.run_program("grpcurl", "-plaintext", "-d", json.dumps({"events": [EVENT, {}]}), self.address,
                                  "jimbot.v1.EventBus/Publish")
        outcomes = [x["outcome"] for x in json.loads(answer)["results"]]
        self.assertEqual(outcomes, ["PUBLISH_OUTCOME_ACCEPTED", "PUBLISH_OUTCOME_INVALID"])
        health = self.run_program("grpcurl", "-plaintext", self.address, "grpc.health.v1.Health/Check")
        self.assertEqual(json.loads(health), {"status": "SERVING"})

    @needs("grpcurl")
    def test_grpcurl_is_told_what_is_wrong(self):
        done = subprocess.run(["grpcurl", "-plaintext", "-d", '{"patterns": ["not a pattern"]}', self.address,
                               "jimbot.v1.EventBus/Subscribe"], text=True, capture_output=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("InvalidArgument", done.stderr)

    @needs("ghz")
    def test_ghz_loses_none_of_its_calls(self):
        report = json.loads(self.run_program(
            "ghz", "--insecure", "--call", "jimbot.v1.EventBus/Publish", "-n", "20000", "-c", "50",
            "--connections", "4", "-d", json.dumps({"events": [EVENT]}), "-O", "json", self.address))
        self.assertEqual(report["statusCodeDistribution"], {"OK": 20000})
        published = sum(self.daemon.metrics()["jimbot_events_published_total"].values())
        self.assertEqual(published, 20000)

    @needs("h2spec")
    def test_h2spec_finds_nothing_but_what_is_known(self):
        with tempfile.TemporaryDirectory() as folder:
            report = os.path.join(folder, "report.xml")
            done = subprocess.run(["h2spec", "-h", self.daemon.host, "-p", str(self.daemon.port), "-j", report],
                                  text=True, capture_output=True, timeout=300, check=False)
            with open(report, encoding="utf-8") as f:
                text = f.read()
        cases = re.findall(r'<testcase [^>]*classname="([^"]*)"[^>]*?(/>|>.*?</testcase>)', text, re.S)
        failed = {name for name, rest in cases if "<failure" in rest or "<error" in rest}
        self.assertGreater(len(cases), 140, done.stdout[-2000:])
        self.assertLessEqual(failed, set(KNOWN), done.stdout[-4000:])

    @needs("node")
    @unittest.skipUnless(os.path.isdir(os.path.join(os.environ.get("NODE_PATH", "-"), "@grpc", "grpc-js")),
                         "there is no @grpc/grpc-js")
    def test_node_uses_every_shape_of_call(self):
        said = self.run_program("node", os.path.join(HERE, "shapes.js"), self.address, os.path.join(ROOT, "proto"))
        self.assertEqual(json.loads(said), {
            "publish": ["PUBLISH_OUTCOME_ACCEPTED", "PUBLISH_OUTCOME_INVALID"], "many": 1000, "stream": 100,
            "session": 1, "seen": 1102, "wrong": "INVALID_ARGUMENT", "unsubscribed": "CANCELLED"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
