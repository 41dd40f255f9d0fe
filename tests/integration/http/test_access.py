"""Who gets in: tokens and their scopes, certificates, Unix peers, hosts and pages."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from certs import Certs
from daemon import JIMBOTD, Daemon, event, read_answers, wait_until
from test_life import run
from test_wire import get, post
from wsclient import WebSocket

SCOPES = ("publish", "subscribe", "command", "admin")
REFUSED = "jimbot_access_refused_total"


def make_token(name, scopes):
    """A new token: (token, line for the file)."""
    done = subprocess.run([JIMBOTD, "--make-token", name, scopes], text=True, capture_output=True, check=True)
    token, line = done.stdout.splitlines()
    return token, line


def bearer(token):
    return {"Authorization": "Bearer " + token}


class AccessCase(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="jimbot-access-")
        self.addCleanup(shutil.rmtree, self.dir, True)

    def write(self, *lines, mode=0o600):
        """Write the file of tokens; returns its path."""
        path = os.path.join(self.dir, "tokens")
        with open(path + ".new", "w", encoding="ascii") as f:
            f.write("".join(line + "\n" for line in lines))
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)
        return path

    def start(self, *flags, tls=None):
        self.daemon = Daemon(*flags, tls=tls)
        self.addCleanup(self.end, self.daemon)
        return self.daemon

    def end(self, daemon):
        self.assertEqual(daemon.stop(), 0, daemon.log)
        self.assertNotIn("Sanitizer", daemon.log)
        self.assertNotIn("runtime error", daemon.log)

    def status(self, method, path, headers=None, body=None):
        return self.daemon.request(method, path, body, headers)[0]


class Tokens(AccessCase):
    def setUp(self):
        super().setUp()
        made = {scope: make_token("only-" + scope, scope) for scope in SCOPES}
        self.tokens = {scope: token for scope, (token, _) in made.items()}
        self.lines = [line for _, line in made.values()]
        self.start("--tokens", self.write(*self.lines))

    def test_each_path_wants_its_scope_and_no_other(self):
        body = json.dumps(event()).encode()
        for method, path, scope, sent in (
            ("POST", "/api/v1/events", "publish", body),
            ("POST", "/api/v1/events/batch", "publish", body),
            ("POST", "/api/v1/commands", "command", b'{"type":"skip_shop"}'),
            ("GET", "/api/v1/commands/poll", "command", None),
            ("GET", "/api/v1/stats", "admin", None),
            ("GET", "/metrics", "admin", None),
            ("GET", "/api/v1/subscriptions", "admin", None),
            ("GET", "/api/v1/topics", "subscribe", None),
        ):
            self.assertEqual(self.status(method, path, None, sent), 401, path)
            for name, token in self.tokens.items():
                with self.subTest(path=path, token=name):
                    want = 200 if name == scope else 403
                    self.assertEqual(self.status(method, path, bearer(token), sent), want)

    def test_an_event_is_no_way_around_the_scope_for_commands(self):
        command = {"type": "COMMAND", "payload": {"name": "play_hand"}}
        moved = {"event": event(), "topic": "command.play_hand"}
        publish = bearer(self.tokens["publish"])
        status = self.status("POST", "/api/v1/events", publish, json.dumps(command).encode())
        self.assertEqual(status, 400)
        status = self.status("POST", "/api/v1/events", publish, json.dumps([command, event()]).encode())
        self.assertEqual(status, 422)
        ws = WebSocket(self.daemon, fields=publish)
        self.addCleanup(ws.close)
        for more in ({}, {"all_or_none": True}):
            answer = ws.ask(publish={"events": [moved, {"event": command}, {"event": event()}], **more})
            self.assertEqual([r["outcome"][16:] for r in answer["published"]["results"]],
                             ["INVALID", "INVALID", "ACCEPTED"])
        poll = self.daemon.request("GET", "/api/v1/commands/poll", None, bearer(self.tokens["command"]))
        self.assertEqual(poll[2], b"")

    def test_what_was_refused_before_the_bus_was_full_is_refused_again(self):
        self.start("--tokens", self.write(*self.lines), "--bus-bytes", "64K")
        holder = WebSocket(self.daemon, fields=bearer(self.tokens["subscribe"]))
        self.addCleanup(holder.close)
        holder.subscribe(">", policy="lossless", max_unacked=1)
        command = {"type": "COMMAND", "payload": {"name": "play_hand"}}
        body = json.dumps([command] + [event(n=i, text="x" * 400) for i in range(200)]).encode()
        sent = ("POST", "/api/v1/events/batch", body, bearer(self.tokens["publish"]))
        status, _, answer = self.daemon.request(*sent)
        self.assertEqual(status, 503)
        self.assertGreater(json.loads(answer)["accepted"], 10)
        holder.close()
        for _ in range(50):
            status, _, answer = self.daemon.request(*sent)
            if status != 503:
                break
        answer = json.loads(answer)
        self.assertEqual((status, answer["accepted"], answer["n_rejected"]), (422, 200, 1))
        self.assertEqual([r["index"] for r in answer["rejected"]], [0])

    def test_health_wants_none(self):
        self.assertEqual(self.status("GET", "/health"), 200)
        self.assertEqual(self.status("POST", "/api/v1/events/health", None, b"{}"), 200)

    def test_a_refusal_says_how_to_come_in(self):
        _, headers, body = self.daemon.request("GET", "/metrics")
        self.assertEqual(headers["WWW-Authenticate"], 'Bearer realm="jimbot"')
        self.assertEqual(json.loads(body)["status"], "error")
        _, headers, _ = self.daemon.request("GET", "/metrics", None, bearer(self.tokens["publish"]))
        self.assertIn("insufficient_scope", headers["WWW-Authenticate"])

    def test_nothing_but_the_token_is_one(self):
        good = self.tokens["admin"]
        for value in ("Bearer " + good[:-1], "Bearer " + good + "x", "Basic " + good, good, "Bearer", "Bearer ",
                      "Bearer " + hashlib.sha256(good.encode()).hexdigest()):  # fmt: skip
            with self.subTest(value=value):
                self.assertEqual(self.status("GET", "/metrics", {"Authorization": value}), 401)
        self.assertEqual(self.status("GET", "/metrics", {"authorization": "bearer " + good}), 200)

    def test_two_authorizations_are_none(self):
        fields = f"Authorization: Bearer {self.tokens['admin']}\r\n".encode() * 2
        with self.daemon.connect() as s:
            s.sendall(get(b"/metrics", extra=fields))
            self.assertEqual(read_answers(s, 1)[0][0], 401)

    def test_a_refused_event_is_not_published_and_the_connection_goes_on(self):
        body = json.dumps(event()).encode()
        field = f"Authorization: Bearer {self.tokens['publish']}\r\n".encode()
        with self.daemon.connect() as s:
            s.sendall(post(body) + post(body, extra=field))
            self.assertEqual([a[0] for a in read_answers(s, 2)], [401, 200])
        _, _, page = self.daemon.request("GET", "/metrics", None, bearer(self.tokens["admin"]))
        self.assertIn(b'jimbot_events_published_total{topic="game.money.changed"} 1\n', page)
        self.assertIn(REFUSED.encode() + b'{reason="token"} 1\n', page)

    def test_a_body_is_not_awaited_from_somebody_unknown(self):
        head = b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
        wrong = f"Authorization: Bearer {self.tokens['admin']}\r\n".encode()
        for extra, want in ((b"", 401), (b"Expect: 100-continue\r\n", 401), (wrong, 403)):
            with self.subTest(extra), self.daemon.connect() as s:
                s.sendall(head + extra + b"\r\n" + b"x" * 100)
                (status, headers, _), = read_answers(s, 1)
                self.assertEqual((status, headers["connection"]), (want, "close"))
        with self.daemon.connect() as s:
            s.sendall(head.replace(b"/events", b"/nothing") + b"\r\n")
            self.assertEqual(read_answers(s, 1)[0][0], 404)
        good = f"Authorization: Bearer {self.tokens['publish']}\r\n".encode()
        with self.daemon.connect() as s:
            s.sendall(head + good + b"Expect: 100-continue\r\n\r\n")
            self.assertEqual(read_answers(s, 1)[0][0], 100)

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_nor_by_http_2(self):
        if not self.daemon.speaks_http2():
            self.skipTest("this jimbotd is built without HTTP/2")
        with tempfile.NamedTemporaryFile() as f:
            f.write(b"x" * 3000000)
            f.flush()
            words = ["curl", "-sS", "--http2-prior-knowledge", "-w", "%{http_code} %{size_upload}", "-o", "/dev/null"]
            url = f"http://127.0.0.1:{self.daemon.port}/api/v1/events"
            done = subprocess.run([*words, "--data-binary", "@" + f.name, url],
                                  capture_output=True, text=True, timeout=20, check=False)  # fmt: skip
        status, sent = done.stdout.split()
        self.assertEqual(status, "401", done.stderr)
        self.assertLess(int(sent), 3000000)

    def test_rotation_without_a_restart(self):
        token, line = make_token("fresh", "admin")
        old = self.tokens["admin"]
        self.assertEqual(self.status("GET", "/metrics", bearer(token)), 401)
        self.write(line)
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(wait_until(lambda: self.status("GET", "/metrics", bearer(token)) == 200))
        self.assertEqual(self.status("GET", "/metrics", bearer(old)), 401)

    def test_a_wrong_file_keeps_the_old_tokens_and_is_logged(self):
        for lines, mode, word in ((["nonsense"], 0o600, "tokens:1: "), (self.lines, 0o644, "chmod 600")):
            self.write(*lines, mode=mode)
            self.daemon.process.send_signal(signal.SIGHUP)
            line = self.daemon.process.stderr.readline()
            self.assertIn("the tokens stay as they were", line)
            self.assertIn(word, line)
            self.assertEqual(self.status("GET", "/metrics", bearer(self.tokens["admin"])), 200)

    def test_no_secret_is_in_log_or_metrics(self):
        secret = "jb_a-secret-that-nobody-knows"
        protocol = {"Sec-WebSocket-Protocol": "jimbot.bearer." + secret}
        for headers in (bearer(self.tokens["admin"]), bearer(secret), protocol):
            for path in ("/metrics", "/api/v1/stats", "/nothing?token=" + secret):
                self.daemon.request("GET", path, None, headers)
        pages = b"".join(self.daemon.request("GET", p, None, bearer(self.tokens["admin"]))[2]
                         for p in ("/metrics", "/api/v1/stats"))  # fmt: skip
        self.write("nonsense " + secret)
        self.daemon.process.send_signal(signal.SIGHUP)
        line = self.daemon.process.stderr.readline()
        self.daemon.stop()
        text = pages.decode() + line + self.daemon.log
        for word in (secret, *self.tokens.values(), *(line.split()[0] for line in self.lines)):
            self.assertNotIn(word, text)


class Start(AccessCase):
    def test_make_token_refuses_what_no_line_could_hold(self):
        for words in (["a b", "publish"], ["a", "everything"], ["a"]):
            done = subprocess.run([JIMBOTD, "--make-token", *words], text=True, capture_output=True, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertEqual(done.stdout, "")

    def test_a_file_that_is_wrong_is_exit_2_and_named(self):
        line = make_token("a", "admin")[1]
        for lines, mode, word in (([line], 0o640, "chmod 600"), (["x"], 0o600, "tokens:1: ")):
            done = run("--tokens", self.write(*lines, mode=mode))
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(word, done.stderr)

    def test_an_address_others_can_reach_must_be_meant_and_guarded(self):
        tokens = self.write(make_token("a", "admin")[1])
        for flags, word in (
            ((), "listen_public"),
            (("--tokens", tokens), "listen_public"),
            (("--listen-public",), "needs tokens"),
        ):
            for address in ("0.0.0.0:0", "[::]:0"):
                with self.subTest(flags=flags, address=address):
                    done = run("--http", address, *flags)
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertIn(word, done.stderr)
                    self.assertIn(address, done.stderr)

    def test_a_guarded_public_address_is_listened_on(self):
        token, line = make_token("a", "admin")
        self.start("--http", "0.0.0.0:0", "--listen-public", "--tokens", self.write(line))
        self.assertIn("no TLS: tokens travel in the clear", self.daemon.process.stderr.readline())
        self.daemon.host = "127.0.0.1"
        self.assertEqual(self.status("GET", "/metrics", bearer(token)), 200)
        self.assertEqual(self.status("GET", "/metrics"), 401)


class Peers(AccessCase):
    def test_a_unix_peer_of_our_user_may_everything(self):
        path = os.path.join(self.dir, "sock")
        self.start("--unix", path, "--tokens", self.write())
        self.assertEqual(self.status("GET", "/metrics"), 401)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(get(b"/metrics") + b"GET /metrics HTTP/1.1\r\nHost: any.example\r\n\r\n")
            self.assertEqual([a[0] for a in read_answers(s, 2)], [200, 200])

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_a_unix_peer_of_another_user_is_nobody(self):
        path = os.path.join(self.dir, "sock")
        self.start("--unix", path, "--tokens", self.write())
        os.chmod(self.dir, 0o755)
        os.chmod(path, 0o777)
        script = (
            "import socket; s = socket.socket(socket.AF_UNIX); s.connect(%r);"
            "s.sendall(b'GET /metrics HTTP/1.0\\r\\n\\r\\n'); print(s.recv(100).split()[1].decode())" % path
        )
        words = ["/usr/bin/python3", "-c", script]
        done = subprocess.run(words, user=65534, text=True, capture_output=True, check=False)
        self.assertEqual(done.stdout, "401\n", done.stderr)

    def test_a_certificate_is_who_it_names(self):
        certs = Certs()
        self.addCleanup(certs.close)
        for name in ("trainer", "guest"):
            certs.signed(name)
        token, line = make_token("a", "admin")
        flags = (*certs.flags(), "--tls-client-ca", certs.ca, "--tokens")

        def ask(name, headers=None):
            self.daemon.tls = certs.client(name)
            return self.status("GET", "/metrics", headers)

        self.start(*flags, self.write(line), tls=certs.client())
        self.assertEqual([ask("trainer"), ask(None), ask(None, bearer(token))], [200, 401, 200])
        self.assertEqual(ask("trainer", bearer("wrong")), 401)
        self.write(line, "cn:trainer publish,admin")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(wait_until(lambda: ask("guest") == 403))
        self.assertEqual([ask("trainer"), ask(None, bearer(token))], [200, 200])

    def test_a_certificate_without_a_common_name_is_of_the_authority_all_the_same(self):
        certs = Certs()
        self.addCleanup(certs.close)
        certs.signed("nameless", subject="/O=nobody")
        flags = (*certs.flags(), "--tls-client-ca", certs.ca)
        self.start(*flags, tls=certs.client("nameless"))
        self.assertEqual(self.status("GET", "/metrics"), 200)
        self.start(*flags, "--tokens", self.write("cn:trainer admin"), tls=certs.client("nameless"))
        self.assertEqual(self.status("GET", "/metrics"), 403)


class Pages(AccessCase):
    def test_a_name_that_is_not_ours_is_refused(self):
        self.start("--allowed-hosts", "jimbot.example, other.example")
        for host, want in (
            ("localhost", 200), ("127.0.0.1:1", 200), ("[::1]", 200), ("jimbot.example:8080", 200),
            ("OTHER.example", 200), ("evil.example", 403), ("localhost.evil.example", 403), ("", 403),
        ):  # fmt: skip
            with self.subTest(host=host):
                self.assertEqual(self.status("GET", "/health", {"Host": host}), want)
        self.assertEqual(self.daemon.metrics()[REFUSED]['reason="host"'], 3)

    def test_a_name_of_the_certificate_is_ours(self):
        certs = Certs()
        self.addCleanup(certs.close)
        self.start(*certs.flags(), tls=certs.client())
        self.assertEqual(self.status("GET", "/health", {"Host": "jimbot.test:443"}), 200)
        self.assertEqual(self.status("GET", "/health", {"Host": "evil.test"}), 403)

    def test_a_page_of_another_site_can_do_nothing(self):
        self.start()
        body = json.dumps(event()).encode()
        own = f"http://127.0.0.1:{self.daemon.port}"
        for headers, want in (
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "http://127.0.0.1:1"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Origin": own}, 200),
            ({"Origin": own, "Sec-Fetch-Site": "same-origin"}, 200),
            ({}, 200),
        ):
            with self.subTest(headers=headers):
                self.assertEqual(self.status("POST", "/api/v1/events", headers, body), want)
        self.assertEqual(self.status("GET", "/api/v1/commands/poll", {"Sec-Fetch-Site": "cross-site"}), 403)
        self.assertEqual(self.daemon.published(), 3)
        self.assertEqual(self.daemon.metrics()[REFUSED]['reason="origin"'], 6)

    def test_an_allowed_page_is_told_so(self):
        page = "https://a.example"
        self.start("--allowed-origins", page)
        from_page = {"Origin": page, "Sec-Fetch-Site": "cross-site"}
        status, headers, _ = self.daemon.request("GET", "/health", None, from_page)
        self.assertEqual((status, headers["Access-Control-Allow-Origin"], headers["Vary"]), (200, page, "Origin"))
        asks = dict(from_page, **{"Access-Control-Request-Method": "POST"})
        status, headers, _ = self.daemon.request("OPTIONS", "/api/v1/events", None, asks)
        self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (204, page))
        self.assertIn("POST", headers["Access-Control-Allow-Methods"])
        self.assertIn("Authorization", headers["Access-Control-Allow-Headers"])
        asks["Origin"] = "https://b.example"
        status, headers, _ = self.daemon.request("OPTIONS", "/api/v1/events", None, asks)
        self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (403, None))

    def test_a_program_gets_no_answer_for_pages(self):
        self.start("--allowed-origins", "*")
        self.assertIsNone(self.daemon.request("GET", "/health")[1]["Access-Control-Allow-Origin"])


if __name__ == "__main__":
    unittest.main()
