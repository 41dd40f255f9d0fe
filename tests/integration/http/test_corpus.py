"""Bodies that the real mod sends, in the order it sends them.

JIMBOT_CORPUS names a folder of NNNNN.single.json and NNNNN.batch.json; without it a small one of the same
shape is made here.
"""

import json
import os
import unittest

from daemon import DaemonCase, event

SHAPES = [
    ("single", b'{"type":"connection_test","timestamp":1795244494000,"source":"BalatroMCP","data":{"message":"hi"}}'),
    ("batch", b'{"batch_id":"b1","source":"BalatroMCP","timestamp":1,"events":[{"type":"GAME_STATE","payload":'
              b'{"jokers":{},"hand":{},"chips":inf,"mult":1e+14,"game_state":"UNKNOWN_STATE_11"},"event_id":"e1"}]}'),
    ("batch", b'{"events":{}}'),
]


def own_corpus():
    yield from SHAPES
    for i in range(30):
        events = [event("SCORE_CHANGED", f"s{i}-{k}", old_chips=k, new_chips=1e308) for k in range(i % 7 + 1)]
        yield "batch", json.dumps({"batch_id": str(i), "events": events, "source": "BalatroMCP"}).encode()


def corpus():
    folder = os.environ.get("JIMBOT_CORPUS")
    if not folder:
        yield from own_corpus()
        return
    for name in sorted(os.listdir(folder)):
        kind = name.split(".")[-2]
        if kind in ("single", "batch"):
            with open(os.path.join(folder, name), "rb") as f:
                yield kind, f.read()


def lenient(text):
    """The body as Python reads it: bare inf and nan, raw control bytes and bad UTF-8 included."""
    text = text.decode("utf-8", "replace")
    for bare in ("-inf", "inf", "-nan", "nan"):
        for before in (":", ","):
            text = text.replace(before + bare + ",", before + '"%s",' % bare).replace(
                before + bare + "}", before + '"%s"}' % bare)
    return json.loads(text, strict=False)


def distinct(bodies):
    """Ids in order, None for an event without one; a repeated id counts once."""
    seen, found = set(), []
    for kind, body in bodies:
        value = lenient(body)
        for one in [value] if kind == "single" else value["events"] or []:
            name = one.get("event_id")
            if name is None or name not in seen:
                found.append(name)
            seen.add(name)
    return found


class Corpus(DaemonCase):
    def test_every_body_is_answered_200_and_every_event_counted_and_received_in_order(self):
        bodies = list(corpus())
        ids = distinct(bodies)
        tap = self.daemon.tap("collect", ">", len(ids), 60)
        accepted = 0
        for kind, body in bodies:
            path = "/api/v1/events" + ("" if kind == "single" else "/batch")
            status, answer = self.daemon.post(path, body)
            self.assertEqual((status, answer["status"]), (200, "ok"), (answer, body[:200]))
            accepted += answer["accepted"] - answer["duplicates"]
        self.assertEqual(accepted, len(ids))
        self.assertEqual(self.daemon.published(), len(ids))
        got = [json.loads(line) for line in tap.communicate(timeout=90)[0].splitlines()]
        self.assertEqual([g["event"].get("event_id") for g in got], ids)
        sequence = [g["sequence"] for g in got]
        self.assertEqual(sequence, sorted(sequence))

    def test_posting_it_all_again_publishes_only_what_has_no_id(self):
        bodies = list(corpus())
        ids = distinct(bodies)
        for _ in range(2):
            for kind, body in bodies:
                self.daemon.post("/api/v1/events" + ("" if kind == "single" else "/batch"), body)
        self.assertEqual(self.daemon.published(), len(ids) + ids.count(None))


if __name__ == "__main__":
    unittest.main()
