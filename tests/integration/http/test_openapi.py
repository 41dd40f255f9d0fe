"""docs/openapi.yaml and the server's own table name the same paths, methods and statuses."""

import os
import re
import subprocess
import unittest

from daemon import JIMBOTD

OPENAPI = os.environ.get("OPENAPI", os.path.join(os.path.dirname(__file__), "../../../docs/openapi.yaml"))


def documented():
    """{(method, path): statuses}, read by indentation, which the document keeps strictly."""
    found, path, method, in_paths, in_responses = {}, None, None, False, False
    with open(OPENAPI, encoding="utf-8") as f:
        for line in f:
            if re.match(r"\S", line):
                in_paths = line.startswith("paths:")
            if not in_paths:
                continue
            if m := re.match(r"  (/\S*):$", line):
                path = m[1]
            elif m := re.match(r"    (get|post|head|options|put|delete|patch):$", line):
                method, in_responses = m[1].upper(), False
                found[method, path] = set()
            elif re.match(r"      \S", line):
                in_responses = line.startswith("      responses:")
            elif in_responses and (m := re.match(r'        (?:"(\d{3})"|(default)):', line)):
                found[method, path].add(m[1] or m[2])
    return found


def served():
    done = subprocess.run([JIMBOTD, "--routes"], text=True, capture_output=True, check=True)
    table = {}
    for line in done.stdout.splitlines():
        method, path, *statuses = line.split()
        table[method, path] = set(statuses)
    return table


class OpenApi(unittest.TestCase):
    def test_both_name_the_same_operations(self):
        self.assertEqual(set(documented()), set(served()))
        self.assertGreaterEqual(len(served()), 20)

    def test_both_name_the_same_statuses(self):
        for operation, statuses in served().items():
            with self.subTest(operation=operation):
                self.assertEqual(documented()[operation] - {"default"}, statuses)

    def test_every_operation_points_to_what_any_request_may_get(self):
        for operation, statuses in documented().items():
            with self.subTest(operation=operation):
                self.assertIn("default", statuses)


if __name__ == "__main__":
    unittest.main()
