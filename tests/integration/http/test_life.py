"""Start, settings, stop: exit codes, who overrides whom, and what a signal leaves behind."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from daemon import JIMBOTD, Daemon, DaemonCase, event, read_answers, read_line


def run(*flags, env=None):
    base = {k: v for k, v in os.environ.items() if not k.startswith("JIMBOTD_")}
    with tempfile.TemporaryDirectory() as shm:
        base.update(env or {}, JIMBOT_SHM_DIR=shm)
        return subprocess.run([JIMBOTD, *flags], env=base, text=True, capture_output=True, timeout=20, check=False)


class Start(unittest.TestCase):
    def test_help_and_version(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        for word in ("--http", "--bus", "--config", "--log-level", "--max-body-bytes", "Exit codes"):
            self.assertIn(word, done.stdout)
        done = run("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^jimbotd \d+\.\d+\.\d+\n$")

    def test_a_wrong_setting_is_exit_2_and_named(self):
        for flags, env, word in (
            (["--no-such"], {}, "no-such"),
            (["extra"], {}, "extra"),
            (["--max-body-bytes", "many"], {}, "max_body_bytes"),
            (["--http", "nonsense"], {}, "nonsense"),
            (["--http", "127.0.0.1:65536"], {}, "65536"),
            ([], {"JIMBOTD_IDLE_TIMEOUT": "never"}, "JIMBOTD_IDLE_TIMEOUT"),
            (["--config", "/nonexistent.ini"], {}, "/nonexistent.ini"),
        ):
            with self.subTest(flags=flags, env=env):
                done = run(*flags, env=env)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(word, done.stderr)

    def test_a_busy_port_is_exit_3_and_says_so(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            address = f"127.0.0.1:{s.getsockname()[1]}"
            done = run("--http", address)
        self.assertEqual(done.returncode, 3)
        self.assertIn(address, done.stderr)
        self.assertIn("in use", done.stderr)

    def test_an_address_for_grpc_that_somebody_else_has_ends_it_only_if_asked_for(self):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", 50051))
                s.listen()
            except OSError:
                pass  # somebody has it, which is as good
            done = run("--http", "127.0.0.1:0", "--grpc", "127.0.0.1:50051")
            self.assertEqual(done.returncode, 3)
            self.assertIn("127.0.0.1:50051", done.stderr)
            with tempfile.TemporaryDirectory() as shm:
                process = subprocess.Popen(
                    [JIMBOTD, "--http", "127.0.0.1:0", "--bus", "two"],
                    env={**os.environ, "JIMBOT_SHM_DIR": shm}, text=True,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                )
                self.assertIn("listens on", read_line(process))
                process.terminate()
                _, log = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)
        self.assertIn("127.0.0.1:50051", log)

    def test_a_bus_that_cannot_be_opened_is_exit_4(self):
        with tempfile.NamedTemporaryFile() as f:
            f.write(b"not a bus" * 1000)
            f.flush()
            done = run("--http", "127.0.0.1:0", "--bus", f.name)
        self.assertEqual(done.returncode, 4)
        self.assertIn(f.name, done.stderr)

    def test_flags_go_over_environment_over_file(self):
        big = json.dumps(event(text="x" * 3000)).encode()
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as f:
            f.write("max_body_bytes = 2K\n")
            f.flush()
            for flags, env, status in (
                ([], {}, 200),
                (["--config", f.name], {}, 413),
                ([], {"JIMBOTD_CONFIG": f.name}, 413),
                (["--config", f.name], {"JIMBOTD_MAX_BODY_BYTES": "8K"}, 200),
                (["--config", f.name, "--max-body-bytes", "2K"], {"JIMBOTD_MAX_BODY_BYTES": "8K"}, 413),
            ):
                with self.subTest(flags=flags, env=env):
                    d = Daemon(*flags, env=env)
                    self.assertEqual(d.request("POST", "/api/v1/events", big)[0], status)
                    self.assertEqual(d.stop(), 0)

    def test_it_binds_loopback_by_default(self):
        d = Daemon()
        self.assertEqual(d.host, "127.0.0.1")
        d.stop()


class Stop(unittest.TestCase):
    def test_both_signals_end_it_with_0_and_remove_the_bus(self):
        for signo in (signal.SIGINT, signal.SIGTERM):
            with tempfile.TemporaryDirectory() as shm:
                d = Daemon(shm=shm)
                self.assertNotEqual(os.listdir(shm), [])
                d.process.send_signal(signo)
                self.assertEqual(d.stop(), 0)
                self.assertEqual(os.listdir(shm), [])

    def test_a_request_in_flight_is_finished(self):
        d = Daemon()
        body = json.dumps(event(event_id="late")).encode()
        with d.connect() as s:
            s.sendall(b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
            s.sendall(body[:20])
            self.assertTrue(d.wait_for_connections(1))
            d.process.terminate()
            time.sleep(0.3)
            s.sendall(body[20:])
            (status, headers, answer), = read_answers(s, 1)
        self.assertEqual((status, headers["connection"], json.loads(answer)["accepted"]), (200, "close", 1))
        self.assertEqual(d.stop(), 0)

    def test_a_stopping_daemon_takes_no_new_connection(self):
        d = Daemon()
        with d.connect() as s:
            s.sendall(b"GET /rea")
            self.assertTrue(d.wait_for_connections(1))
            d.process.terminate()
            time.sleep(0.3)
            with self.assertRaises(OSError):
                d.connect()
            s.sendall(b"dy HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(read_answers(s, 1)[0][0], 503)
        self.assertEqual(d.stop(), 0)

    def test_a_signal_that_comes_again_does_not_change_the_exit_code(self):
        for _ in range(5):
            d = Daemon()
            while d.process.poll() is None:
                d.process.terminate()
            self.assertEqual(d.stop(), 0)

    def test_a_client_that_never_ends_its_request_does_not_hold_it_up(self):
        d = Daemon("--drain-timeout", "0.3")
        with d.connect() as s:
            s.sendall(b"GET /hea")
            self.assertTrue(d.wait_for_connections(1))
            start = time.monotonic()
            self.assertEqual(d.stop(), 0)
            self.assertLess(time.monotonic() - start, 3)

    def test_under_load_every_answered_event_was_published_and_none_twice(self):
        d = Daemon()
        tap = d.tap("collect", ">", 1000000, 4)
        answered = []

        def client(number):
            with d.connect() as s:
                for i in range(100000):
                    name = f"{number}-{i}"
                    body = json.dumps(event(event_id=name)).encode()
                    try:
                        s.sendall(b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
                                  % (len(body), body))
                        got = read_answers(s, 1)
                    except OSError:
                        return
                    if not got:
                        return
                    if got[0][0] == 200:
                        answered.append(name)

        threads = [threading.Thread(target=client, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        time.sleep(0.5)
        self.assertEqual(d.stop(), 0)
        for t in threads:
            t.join(20)
        got = [json.loads(line)["event"]["event_id"] for line in tap.communicate(timeout=20)[0].splitlines()]
        self.assertEqual(len(got), len(set(got)))
        self.assertGreater(len(answered), 50)
        self.assertEqual(set(answered) - set(got), set())


class Banner(DaemonCase):
    def test_the_first_line_names_address_and_bus(self):
        self.assertRegex(self.daemon.banner, r"^jimbotd [\d.]+ listens on http://127\.0\.0\.1:\d+, bus test\n$")


class Idle(DaemonCase):
    def wake_ups(self):
        """Times any thread of the daemon has been woken."""
        total = 0
        folder = f"/proc/{self.daemon.process.pid}/task"
        for task in os.listdir(folder):
            with open(f"{folder}/{task}/status", encoding="ascii") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
        return total

    # ThreadSanitizer has a thread of its own that wakes up ten times a second.
    @unittest.skipIf("thread" in os.environ.get("SANITIZE", ""), "built with ThreadSanitizer")
    def test_a_daemon_with_nothing_to_do_sleeps(self):
        with self.daemon.connect():
            self.daemon.wait_for_connections(1)
            time.sleep(2)
            before = self.wake_ups()
            time.sleep(4)
            self.assertLessEqual(self.wake_ups() - before, 5)


if __name__ == "__main__":
    unittest.main()
