"""The coordinator over REST: leases, lines, denials, status, audit log, restart."""

import concurrent.futures
import json
import os
import subprocess
import tempfile
import time
import unittest

from daemon_case import COORDINATORD, JIMBOTCTL, Coordinator, CoordinatorCase

SECOND = 1_000_000_000


class Leases(CoordinatorCase):
    def test_a_lease_is_got_renewed_shrunk_released_and_then_gone(self):
        lease = self.lease(ram=400, gpu=10, hold_ns=5 * SECOND, lease_class="high")
        self.assertEqual(lease["amounts"], [{"resource": "ram", "amount": "400"}, {"resource": "gpu", "amount": "10"}])
        self.assertEqual((lease["component"], lease["lease_class"]), ("trainer", "LEASE_CLASS_HIGH"))
        self.assertAlmostEqual(int(lease["deadline_utc_ns"]), time.time_ns() + 5 * SECOND, delta=2 * SECOND)
        self.assertEqual((self.allocated(), self.allocated("gpu")), (400, 10))
        key = {k: lease[k] for k in ("lease_id", "token")}
        status, renewed = self.daemon.post("/api/v1/leases/renew", {**key, "hold_ns": 100 * SECOND})
        self.assertEqual(status, 200, renewed)
        self.assertGreater(int(renewed["lease"]["left_ns"]), 90 * SECOND)
        status, _ = self.daemon.post("/api/v1/leases/shrink", {**key, "kept": [{"resource": "ram", "amount": 150}]})
        self.assertEqual((status, self.allocated()), (200, 150))
        status, answer = self.release(lease)
        self.assertEqual((status, self.allocated()), (200, 0), answer)
        self.assertGreater(int(answer["held_ns"]), 0)
        for path in ("release", "renew"):
            self.assertEqual(self.daemon.post("/api/v1/leases/" + path, key)[0], 404, path)

    def test_tokens_grow_and_another_token_ends_nothing(self):
        a, b = self.lease(ram=1), self.lease(ram=1)
        self.assertGreater(int(b["token"]), int(a["token"]))
        self.assertEqual(self.release({"lease_id": b["lease_id"], "token": a["token"]})[0], 404)
        self.assertEqual(self.allocated(), 2)
        self.assertEqual(self.get(f"/api/v1/leases/check?resource=ram&token={b['token']}")[1]["is_valid"], True)
        self.release(b)
        self.assertEqual(self.get(f"/api/v1/leases/check?resource=ram&token={b['token']}")[1], {"is_valid": False})
        self.assertEqual(self.get(f"/api/v1/leases/check?resource=gpu&token={a['token']}")[1], {"is_valid": False})

    def test_a_denial_changes_nothing_and_says_why(self):
        self.lease(component="game", ram=900)
        for amounts, status in (({"ram": 200}, 429), ({"ram": 100, "gpu": 91}, 422), ({"ram": 900}, 422),
                                ({"ram": 0}, 400), ({"disk": 1}, 404), ({}, 400)):
            self.assertEqual(self.request(**amounts)[0], status, amounts)
        self.assertEqual(self.request(component="nobody", ram=1)[0], 404)
        self.assertEqual((self.allocated(), self.allocated("gpu")), (900, 0))

    def test_what_is_no_request_is_refused_with_the_field_named(self):
        for body, word in ((b"{", "JSON"), (b"[]", "object"), ({"amount": 1}, "amount"),
                           ({"component": 5}, "component"), ({"amounts": {}}, "amounts"),
                           ({"amounts": [{"resource": "ram", "amount": -1}]}, "amount"),
                           ({"lease_class": "best"}, "lease_class"), ({"wait_ns": "1s"}, "wait_ns")):
            status, answer = self.daemon.post("/api/v1/leases/request", body)
            self.assertEqual(status, 400, body)
            self.assertIn(word, answer["error"])
        self.assertEqual(self.daemon.post("/api/v1/leases/release", {"lease_id": "x", "token": 1})[0], 400)

    def test_an_id_is_good_as_it_was_given_only(self):
        lease = self.lease(ram=10)
        for spoilt in (" {}", "{} ", "+{}", "0{}", "{}.0", "4294967296{}"):
            spoilt = {**lease, "lease_id": spoilt.format(lease["lease_id"])}
            self.assertEqual((self.release(spoilt)[0], self.allocated()), (400, 10), spoilt)
        for page in ("-1", "%201", "x", "99999999999999"):
            self.assertEqual(self.get("/api/v1/leases?page_token=" + page)[0], 400, page)
        self.assertEqual(self.release(lease)[0], 200)

    def test_what_a_holder_says_it_used_is_not_taken(self):
        lease = self.lease(gpu=90)
        key = {k: lease[k] for k in ("lease_id", "token")}
        status, answer = self.daemon.post("/api/v1/leases/release",
                                          {**key, "used": [{"resource": "gpu", "amount": 1}]})
        self.assertEqual((status, self.allocated("gpu")), (400, 90))
        self.assertIn("used", answer["error"])
        self.assertEqual(self.release(lease)[0], 200)

    def test_a_deadline_ends_a_lease_and_the_next_gets_it(self):
        self.lease(component="game", ram=1000, hold_ns=200_000_000)
        status, answer = self.request(ram=500, wait_ns=10 * SECOND)
        self.assertEqual(status, 200, answer)
        self.assertGreater(int(answer["waited_ns"]), 10_000_000)

    def test_lists_come_in_pages(self):
        tokens = {self.lease(ram=1)["token"] for _ in range(25)}
        self.lease(gpu=1)
        seen, page = [], ""
        while True:
            answer = self.get("/api/v1/leases?resource=ram&page_size=10" + page)[1]
            seen += [lease["token"] for lease in answer.get("leases", [])]
            if "next_page_token" not in answer:
                break
            page = "&page_token=" + answer["next_page_token"]
        self.assertEqual((len(seen), set(seen)), (25, tokens))
        self.assertEqual(self.get("/api/v1/leases?page_size=0")[0], 400)
        self.assertEqual(self.get("/api/v1/leases?resource=disk")[0], 404)

    def test_status_names_resources_and_who_has_them(self):
        self.lease(ram=300)
        answer = self.get("/api/v1/resources")[1]
        self.assertEqual([(r["name"], r["kind"]) for r in answer["resources"]],
                         [("ram", "RESOURCE_KIND_MEMORY"), ("gpu", "RESOURCE_KIND_GPU_TIME")])
        trainer = next(c for c in answer["components"] if c["name"] == "trainer")
        self.assertEqual((trainer["weight"], trainer["allocated"]), (3, [{"resource": "ram", "amount": "300"}]))
        self.assertEqual([r["name"] for r in self.get("/api/v1/resources?kind=gpu_time")[1]["resources"]], ["gpu"])
        self.assertEqual(self.get("/api/v1/coordinator")[1]["n_leases"], 1)

    def test_metrics_tell_of_use_waits_and_denials(self):
        lease = self.lease(ram=500)
        self.request(component="game", ram=1000)
        self.request(component="game", ram=1000, wait_ns=20_000_000)
        self.release(lease)
        m = self.daemon.metrics()
        ram = 'resource="ram"'
        self.assertEqual(m["jimbot_resource_capacity"][ram], 1000)
        self.assertEqual(m["jimbot_resource_utilisation_ratio"][ram], 0)
        self.assertEqual(m["jimbot_resource_denied_total"][ram + ',reason="BUSY"'], 1)
        self.assertEqual(m["jimbot_resource_denied_total"][ram + ',reason="TIMEOUT"'], 1)
        self.assertEqual(m["jimbot_resource_ended_total"][ram + ',reason="RELEASED"'], 1)
        self.assertEqual(m["jimbot_resource_wait_seconds_count"][ram], 1)
        self.assertEqual(m["jimbot_resource_hold_seconds_count"][ram], 1)


class Lines(CoordinatorCase):
    def test_who_waits_is_served_when_another_releases(self):
        lease = self.lease(component="game", ram=1000)
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            waiting = [pool.submit(self.request, ram=100, wait_ns=20 * SECOND) for _ in range(8)]
            self.wait_waiting(8)
            self.release(lease)
            answers = [w.result() for w in waiting]
        self.assertEqual([status for status, _ in answers], [200] * 8)
        self.assertEqual(self.allocated(), 800)

    def test_a_wait_runs_out(self):
        self.lease(component="game", ram=1000)
        begun = time.monotonic()
        status, answer = self.request(ram=1, wait_ns=100_000_000)
        self.assertEqual(status, 504, answer)
        self.assertGreaterEqual(time.monotonic() - begun, 0.1)
        self.wait_waiting(0)

    def test_who_goes_is_out_of_the_line(self):
        lease = self.lease(component="game", ram=1000)
        wish = {"component": "trainer", "amounts": [{"resource": "ram", "amount": 1}], "wait_ns": 60 * SECOND}
        body = json.dumps(wish)
        curls = [subprocess.Popen(["curl", "-s", "-d", body, f"http://{self.daemon.host}:{self.daemon.port}"
                                   "/api/v1/leases/request"], stdout=subprocess.DEVNULL) for _ in range(3)]
        self.wait_waiting(3)
        for curl in curls:
            curl.kill()
            curl.wait()
        self.wait_waiting(0)
        self.release(lease)
        self.assertEqual(self.allocated(), 0)

    def test_a_stop_tells_those_who_wait(self):
        self.lease(component="game", ram=1000)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.request, ram=1, wait_ns=60 * SECOND)
            self.wait_waiting(1)
            self.daemon.process.terminate()
            self.assertEqual(waiting.result()[0], 503)


class Audit(CoordinatorCase):
    COORDINATOR = "audit = {folder}/audit.jsonl"

    def lines(self):
        with open(os.path.join(self.folder, "audit.jsonl"), encoding="utf-8") as f:
            return [json.loads(line) for line in f]

    def test_the_books_can_be_recomputed_from_the_log(self):
        kept = [self.lease(ram=10) for _ in range(20)]
        for lease in kept[:15]:
            self.release(lease)
        self.request(component="game", ram=2000)
        self.request(component="game", ram=1000)
        key = {k: kept[19][k] for k in ("lease_id", "token")}
        self.daemon.post("/api/v1/leases/shrink", {**key, "kept": [{"resource": "ram", "amount": 3}]})
        self.assertEqual(self.daemon.stop(), 0)
        held = {}
        for line in self.lines():
            place = line.get("token"), line.get("resource")
            if line["kind"] in ("granted", "held"):
                self.assertNotIn(place, held)
                held[place] = int(line["amount"])
            elif line["kind"] == "shrunk":
                held[place] -= int(line["amount"])
            elif line["kind"] == "ended":
                self.assertEqual(held.pop(place), int(line["amount"]))
            elif line["kind"] == "books":
                sums = sum(a for (_, r), a in held.items() if r == line["resource"])
                self.assertEqual(sums, int(line["amount"]))
        last = [line for line in self.lines() if line["kind"] == "books" and line["resource"] == "ram"][-1]
        self.assertEqual(int(last["amount"]), 43)
        denied = [line for line in self.lines() if line["kind"] == "denied"]
        self.assertEqual([d["reason"] for d in denied], ["BUSY"])

    def test_the_checker_says_where_a_log_is_no_log(self):
        for _ in range(5):
            self.release(self.lease(ram=10))
        self.assertEqual(self.daemon.stop(), 0)
        with open(os.path.join(self.folder, "audit.jsonl"), "rb") as f:
            whole = f.read()
        half = whole.index(b"\n", len(whole) // 2) + 1
        path = os.path.join(self.folder, "spoilt")
        for said, text in (("empty", b""), ("cut off", whole[:half + 40]),
                           ("too long", whole[:half] + b"x" * (16 << 20)),
                           ("too long", whole[:half] + b"x" * (16 << 20) + b"\n" + whole[half:]),
                           ("no whole object", whole + b"a\0b\n"), ("no beginning", whole[whole.index(b"\n") + 1:])):
            with open(path, "wb") as f:
                f.write(text)
            done = subprocess.run([JIMBOTCTL, "resources", "audit", path], text=True, check=False, capture_output=True)
            self.assertEqual((done.returncode, said in done.stderr), (1, True), done.stderr)

    def check(self, lines=None):
        path = os.path.join(self.folder, "audit.jsonl")
        if lines is not None:
            path += ".spoilt"
            with open(path, "w", encoding="utf-8") as f:
                f.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        done = subprocess.run([JIMBOTCTL, "resources", "audit", path], text=True, check=False, capture_output=True)
        return done.returncode, done.stdout + done.stderr

    def test_the_checker_finds_what_was_changed_in_the_log(self):
        kept = [self.lease(ram=10) for _ in range(20)]
        for lease in kept[:15]:
            self.release(lease)
        self.assertEqual(self.daemon.stop(), 0)
        code, said = self.check()
        self.assertEqual(code, 0, said)
        self.assertIn("20 granted, 15 ended, 5 held at the end", said)
        lines = self.lines()
        at = {kind: [i for i, line in enumerate(lines) if line["kind"] == kind]
              for kind in ("granted", "ended", "books")}
        grant, end, book = at["granted"][3], at["ended"][2], at["books"][-2]
        for change, word in ((lambda x: x.pop(grant), "missing"), (lambda x: x.pop(end), "missing"),
                             (lambda x: x.insert(end, x[end]), "there already"),
                             (lambda x: x.extend(list(x)), "not later"),
                             (lambda x: x.insert(end, x.pop(end + 1)), "out of its order"),
                             (lambda x: x[grant].pop("sequence"), "without a sequence"),
                             (lambda x: x[grant].pop("token"), "no token"),
                             (lambda x: x[grant].update(kind="gifted"), "no kind of line"),
                             (lambda x: x[grant].update(amount=str((1 << 64) - 1)), "more is leased"),
                             (lambda x: x[grant].update(amount="11"), "another amount"),
                             (lambda x: x[grant].update(token="1"), "does not grow"),
                             (lambda x: x[at["granted"][-1]].update(amount="2000"), "more is leased"),
                             (lambda x: x[book].update(amount="51"), "sum is another"),
                             (lambda x: x.pop(0), "no beginning")):
            spoilt = [dict(line) for line in lines]
            change(spoilt)
            code, said = self.check(spoilt)
            self.assertEqual(code, 1, word)
            self.assertIn(word, said)


class Restart(CoordinatorCase):
    COORDINATOR = "name = restart\naudit = {folder}/audit.jsonl\nmax_hold = 3600"

    def again(self):
        self.daemon = Coordinator(self.folder, self.COORDINATOR.format(folder=self.folder), self.HOST)

    def test_leases_outlive_the_daemon_and_tokens_go_on(self):
        kept = self.lease(ram=300, hold_ns=600 * SECOND)
        short = self.lease(ram=100, hold_ns=SECOND // 2)
        self.daemon.kill()
        time.sleep(0.6)
        self.again()
        self.wait_allocated(300)
        key = {k: kept[k] for k in ("lease_id", "token")}
        self.assertEqual(self.daemon.post("/api/v1/leases/renew", {**key, "hold_ns": 60 * SECOND})[0], 200)
        self.assertEqual(self.release(short)[0], 404)
        self.assertGreater(int(self.lease(ram=1)["token"]), int(kept["token"]))
        self.assertEqual(self.release(kept)[0], 200)
        self.assertEqual(self.daemon.stop(), 0)
        self.again()
        self.assertEqual(self.allocated(), 1)
        self.assertEqual(self.daemon.stop(), 0)
        done = subprocess.run([JIMBOTCTL, "resources", "audit", os.path.join(self.folder, "audit.jsonl")], text=True,
                              check=False, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_log_that_was_cut_goes_on_in_a_line_of_its_own(self):
        self.lease(ram=300, hold_ns=600 * SECOND)
        path = os.path.join(self.folder, "audit.jsonl")
        self.daemon.kill()
        with open(path, "ab") as f:
            f.write(b'{"kind":"granted","sequ')
        self.again()
        self.lease(ram=1)
        self.assertEqual(self.daemon.stop(), 0)
        done = subprocess.run([JIMBOTCTL, "resources", "audit", path], text=True, check=False, capture_output=True)
        self.assertIn("1 problems", done.stdout, done.stderr)
        self.assertIn("no whole object", done.stderr)

    def test_jimbotctl_shows_it_beside_the_daemon(self):
        self.lease(ram=300, lease_class="critical")
        env = {**os.environ, "JIMBOT_SHM_DIR": self.folder}
        ctl = lambda *words: subprocess.run([JIMBOTCTL, "resources", *words], env=env, text=True, check=False,
                                            stdin=subprocess.DEVNULL, capture_output=True)
        shown = ctl("restart", "-n", "1").stdout
        for word in ("RESOURCE", "COMPONENT", "trainer", "ram 300", "critical", "1 of 1024 leases"):
            self.assertIn(word, shown)
        found = json.loads(ctl("--json", "restart").stdout)
        self.assertEqual((found["n_leases"], found["resources"][0]["allocated"]), (1, 300))
        self.assertEqual(ctl("nothing").returncode, 2)

    def is_valid(self, daemon, lease, resource="ram"):
        status, _, body = daemon.request("GET", f"/api/v1/leases/check?resource={resource}&token={lease['token']}")
        self.assertEqual(status, 200, body)
        return json.loads(body)["is_valid"]

    def test_tokens_that_another_daemon_gave_are_known(self):
        before = self.lease(ram=1)
        os.mkdir(os.path.join(self.folder, "other"))
        settings = self.COORDINATOR.format(folder=self.folder + "/other")
        first, self.daemon = self.daemon, Coordinator(self.folder, settings)
        self.addCleanup(first.stop)
        self.assertTrue(self.is_valid(first, before))
        for n in range(3):
            leases = [self.lease(ram=1) for _ in range(40)]
            self.assertEqual([self.is_valid(first, lease) for lease in leases], [True] * 40)
            self.assertFalse(self.is_valid(first, leases[0], "gpu"))
            for lease in leases:
                self.release(lease)
            self.assertEqual([self.is_valid(first, lease) for lease in leases], [False] * 40)
        self.assertTrue(self.is_valid(first, before))

    def test_a_deadline_is_kept_in_a_shared_one_too(self):
        self.lease(component="game", ram=1000, hold_ns=SECOND // 4)
        status, answer = self.request(ram=100, wait_ns=20 * SECOND)
        self.assertEqual(status, 200, answer)


class Settings(unittest.TestCase):
    GOOD = "[resource ram]\nkind = memory\ncapacity = 10\n[component a]\nweight = 1\n"

    def check(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as f:
            f.write(text)
            f.flush()
            done = subprocess.run([COORDINATORD, "--config", f.name, "--check-config"], text=True, check=False,
                                  capture_output=True)
        return done.returncode, done.stdout + done.stderr

    def test_the_example_is_right(self):
        done = subprocess.run([COORDINATORD, "--config", os.environ["COORDINATORD_INI"], "--check-config"], text=True,
                              check=False, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("resource vram0: gpu_memory, 24696061952 of 25769803776", done.stdout)

    def test_a_wrong_line_is_named(self):
        good = "[resource ram]\nkind = memory\ncapacity = 10\n[component a]\n"
        for text, word in (("[resource ram]\nkind = rum\n", ":2: \"rum\""), ("[resource]\nkind = cpu\n", "section"),
                           (good + "disk = 1\n", "disk"), (good + "ram = 5..\n", "5.."), ("[host]\nhttq = 1\n", "httq"),
                           ("[coordinator]\nhold = 0\n", "hold"), (good + "ram = 11\n", "guaranteed"),
                           (good + "weight = 1\n[component b]\n; nothing\n[component c]\nweight = 1\n",
                            ":6: a section without"),
                           (good + "weight = 1\n[component b]\n", ":6: a section without"), ("", "resources")):
            code, said = self.check(text)
            self.assertEqual(code, 2, said)
            self.assertIn(word, said)

    def test_a_comment_behind_an_empty_section_is_none_of_it(self):
        for section in ("[coordinator]", "[coordinator] ; of this machine"):
            for text in (section + "\n" + self.GOOD, self.GOOD + section + "\n"):
                self.assertEqual(self.check(text)[0], 0, text)
        self.assertIn(":6: a section without", self.check(self.GOOD + "[component b] ; of [this] machine\n")[1])

    def test_settings_may_come_through_a_pipe(self):
        with tempfile.TemporaryDirectory(prefix="jimbot-coord-") as folder:
            path = os.path.join(folder, "fifo")
            os.mkfifo(path)
            writer = subprocess.Popen(["sh", "-c", 'printf %s "$1" > "$0"', path, self.GOOD])
            try:
                done = subprocess.run([COORDINATORD, "--config", path, "--check-config"], text=True, check=False,
                                      capture_output=True, timeout=20)
            finally:
                writer.kill()
                writer.wait()
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_paths_are_those_of_the_openapi_document(self):
        done = subprocess.run([COORDINATORD, "--routes"], text=True, check=True, capture_output=True)
        with open(os.environ["OPENAPI"], encoding="utf-8") as f:
            path, found = "", set()
            for line in f:
                if line.startswith("  /"):
                    path = line.strip().rstrip(":")
                elif line.startswith("    ") and line.strip() in ("get:", "post:") and path:
                    found.add(f"{line.strip()[:-1].upper()} {path}")
        self.assertEqual(set(done.stdout.split("\n")) - {""}, found)


if __name__ == "__main__":
    unittest.main()
