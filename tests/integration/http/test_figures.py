"""/metrics, /api/v1/stats and health say what is."""

import json
import shutil
import socket
import subprocess
import tempfile
import unittest
import urllib.parse
import urllib.request

from daemon import DaemonCase, event, wait_until


class Figures(DaemonCase):
    def test_health_by_both_ways(self):
        for method, path, body in (("GET", "/health", None), ("POST", "/api/v1/events/health", b"{}")):
            status, headers, answer = self.daemon.request(method, path, body)
            self.assertEqual((status, json.loads(answer)["status"]), (200, "ok"))
            self.assertEqual(headers["Content-Type"], "application/json")

    def test_published_is_counted_by_topic(self):
        self.daemon.post("/api/v1/events/batch", [event(), event(), event("HEARTBEAT")])
        m = self.daemon.metrics()["jimbot_events_published_total"]
        self.assertEqual(m['topic="game.money.changed"'], 2)
        self.assertEqual(m['topic="system.heartbeat"'], 1)
        self.assertEqual(sum(m.values()), 3)

    def test_topics_invented_by_clients_do_not_grow_the_page_without_bound(self):
        for start in range(0, 1200, 300):
            self.daemon.post("/api/v1/events/batch", [{"type": f"T{start + i}"} for i in range(300)])
        m = self.daemon.metrics()["jimbot_events_published_total"]
        self.assertLessEqual(len(m), 513)
        self.assertGreater(m['topic="other"'], 0)
        self.assertEqual(sum(m.values()), 1200)

    def test_refusals_are_counted_by_reason(self):
        self.daemon.post("/api/v1/events", b"{")
        self.daemon.post("/api/v1/events", b"{}")
        self.daemon.post("/api/v1/events/batch", [{}, {}])
        m = self.daemon.metrics()["jimbot_events_rejected_total"]
        self.assertEqual((m['reason="parse"'], m['reason="event"']), (1, 3))

    def test_repairs_are_counted(self):
        body = b'{"type":"SCORE_CHANGED","payload":{"new_chips":inf,"x":"\x01"}}'
        status, _ = self.daemon.post("/api/v1/events", body)
        self.assertEqual(status, 200)
        self.assertGreaterEqual(self.daemon.metrics()["jimbot_events_repairs_total"][""], 1)

    def test_requests_are_counted_by_status(self):
        for path in ("/health", "/health", "/nothing"):
            self.daemon.request("GET", path)
        m = self.daemon.metrics()["jimbot_http_requests_total"]
        self.assertEqual((m['code="200"'], m['code="404"']), (2, 1))

    def test_subscribers_are_shown_with_lag(self):
        tap = self.daemon.tap("hold", "game.>", stdin=subprocess.PIPE)
        self.daemon.post("/api/v1/events/batch", [event()] * 10)
        m = self.daemon.metrics()
        held = {k: v for k, v in m["jimbot_subscriber_lag_bytes"].items() if 'pattern="game.>"' in k}
        self.assertEqual(len(held), 1)
        self.assertGreater(list(held.values())[0], 100)
        self.assertIn('policy="lossless"', list(held)[0])
        tap.communicate()

    def test_stats_say_the_same_as_metrics(self):
        self.daemon.post("/api/v1/events/batch", [event(event_id="a"), event(event_id="a")])
        self.daemon.post("/api/v1/commands", {"type": "play_hand"})
        status, _, body = self.daemon.request("GET", "/api/v1/stats")
        stats, m = json.loads(body), self.daemon.metrics()
        self.assertEqual(status, 200)
        self.assertEqual((stats["events"]["published"], stats["events"]["duplicates"]), (1, 1))
        self.assertEqual(stats["commands"]["queued"], m["jimbot_commands_queued"][""])
        self.assertEqual(stats["bus"]["published"], m["jimbot_bus_events_published_total"][""])
        self.assertEqual(stats["bus"]["published"], 2)
        self.assertEqual(stats["subscriptions"][0]["pattern"], "command.>")

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_promtool_finds_no_fault(self):
        self.daemon.post("/api/v1/events/batch", [event(), {}, event("HEARTBEAT")])
        self.daemon.request("GET", "/nothing")
        _, headers, page = self.daemon.request("GET", "/metrics")
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def test_handlers_and_turns_are_timed(self):
        for _ in range(5):
            self.daemon.request("GET", "/health")
        m = self.daemon.metrics()
        labels = 'method="GET",path="/health"'
        self.assertEqual(m["jimbot_http_handler_seconds_count"][labels], 5)
        counts = [v for k, v in m["jimbot_http_handler_seconds_bucket"].items() if k.startswith(labels)]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(counts[-1], 5)
        self.assertGreater(m["jimbot_http_handler_seconds_sum"][labels], 0)
        self.assertGreaterEqual(m["jimbot_loop_turn_seconds_count"][""], 5)
        self.assertLess(m["jimbot_loop_turn_seconds_sum"][""], 20)

    @unittest.skipUnless(shutil.which("prometheus"), "prometheus is not installed")
    def test_a_real_prometheus_scrapes_it(self):
        self.daemon.post("/api/v1/events/batch", [event(), event("HEARTBEAT")])
        with tempfile.TemporaryDirectory() as folder:
            with socket.create_server(("127.0.0.1", 0)) as s:
                port = s.getsockname()[1]
            with open(f"{folder}/p.yml", "w", encoding="ascii") as f:
                f.write("global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n- job_name: j\n"
                        f"  static_configs: [{{targets: ['127.0.0.1:{self.daemon.port}']}}]\n")
            words = ["prometheus", f"--config.file={folder}/p.yml", f"--storage.tsdb.path={folder}/data",
                     f"--web.listen-address=127.0.0.1:{port}"]
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                found = wait_until(lambda: self.ask(port, "sum(jimbot_events_published_total)") == "2", 30)
                self.assertTrue(found)
                self.assertEqual(self.ask(port, "up"), "1")
                self.assertEqual(self.ask(port, "sum(scrape_samples_scraped) > bool 50"), "1")
            finally:
                process.terminate()
                process.wait(20)

    @staticmethod
    def ask(port, query):
        """The value of one sample, None while there is none."""
        try:
            url = f"http://127.0.0.1:{port}/api/v1/query?query=" + urllib.parse.quote(query)
            with urllib.request.urlopen(url, timeout=5) as r:
                found = json.load(r)["data"]["result"]
        except OSError:
            return None
        return found[0]["value"][1] if found else None


if __name__ == "__main__":
    unittest.main()
