#!/usr/bin/env python3
"""Random events survive JSON -> protobuf -> JSON and values -> protobuf -> JSON without a change.

Documents are made from the schema's own field names, with values of the right and of any wrong kind,
members in any order; in another order and with other white space they have the same canonical form.
Corpus files named by JIMBOT_CORPUS are read too. Usage:
roundtrip.py LIBJIMBOT.so PROTO_DIR [SEED]
"""

import ctypes
import glob
import json
import os
import pathlib
import random
import re
import sys

ROUNDS = 1500
WORDS = ["Hearts", "hearts", "10", "Jack", "none", "Gold", "SHOP", "UNKNOWN_STATE_5", "UNKNOWN_STATE_77",
         "UNKNOWN_STATE_007", "UNKNOWN_STATE_0", "1", "Common", "true", "inf", "Infinity", "-Infinity", "NaN", "nan",
         "", "a\0b", '"q"\\', "é\u2028\U0001f600", "1e3", "-0", "007", "REQUEST", "RESPONSE", "high", "x" * 200]
NUMBERS = [0, 1, 2, 3, 4, 5, 7, 10, 11, -1, 777, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -2**63, -5, 0.5, -0.0, 1e308,
           5e-324, 1.7976931348623157e308, 3.0, 1e22, 0.1, 1000016.6666667]
HUGE = [2**63, 10**25, -10**30]
PAYLOADS = {"STATE_SNAPSHOT": "GameState", "LEARNING_DECISION": "LearningDecisionRequest"}


class Encoded(ctypes.Structure):
    """jb_encoded."""

    _fields_ = [("data", ctypes.c_void_p), ("event_id", ctypes.c_void_p), ("len_bytes", ctypes.c_uint32),
                ("event_id_bytes", ctypes.c_uint32), ("n_repairs", ctypes.c_uint32), ("type", ctypes.c_uint16),
                ("priority", ctypes.c_uint8), ("topic_bytes", ctypes.c_uint8), ("source_time", ctypes.c_double),
                ("topic", ctypes.c_char * 128)]


class Maker:
    """Random events after the .proto files."""

    def __init__(self, proto_dir, seed):
        files = sorted(pathlib.Path(proto_dir, "jimbot/v1").glob("*.proto"))
        text = "".join(f.read_text(encoding="utf-8") for f in files)
        self.random = random.Random(seed)
        self.fields = sorted(set(re.findall(r"(\w+) = \d+;", text)))
        self.types = re.findall(r"EVENT_TYPE_(\w+) = [1-9]", text)
        self.types += ["connection_test", "LEARNING_DECISION", "foo", "héllo", "a.b c"]
        self.messages = {}
        field = re.compile(r"^\s+((?:optional|repeated|map<string,) ?)([\w.]+)>? (\w+) = \d+;", re.M)
        for m in re.finditer(r"message (\w+) \{(.*?)\n\}", text, re.S):
            self.messages[m[1]] = field.findall(m[2])

    def scalar(self):
        """Any scalar."""
        r = self.random
        pick = r.random()
        if pick < .15:
            return r.choice([None, True, False])
        if pick < .5:
            return r.choice(WORDS)
        return r.choice(NUMBERS) if pick < .9 else r.random() * 10 ** r.randint(-20, 300)

    def any(self, depth):
        """Any value."""
        r = self.random
        pick = r.random()
        if depth <= 0 or pick < .6:
            return self.scalar()
        if pick < .8:
            return [self.any(depth - 1) for _ in range(r.choice([0, 0, 1, 2, 5]))]
        return {r.choice(self.fields + WORDS): self.any(depth - 1) for _ in range(r.choice([0, 0, 1, 3, 6]))}

    def typed(self, kind, depth):
        """A value for a field of that type, mostly of the right kind."""
        r = self.random
        if r.random() < .15:
            return self.any(depth)
        if kind in self.messages:
            return self.event(depth - 1) if kind == "Event" and depth > 0 else self.message(kind, depth)
        if kind == "string":
            return r.choice(WORDS)
        return r.random() < .5 if kind == "bool" else self.scalar()

    def message(self, name, depth):
        """An object with some of the fields of a message."""
        r, made = self.random, {}
        for label, kind, field in self.messages[name] if depth > 0 else []:
            if field == "extras" or r.random() < .6:
                continue
            n = r.choice([0, 1, 2, 4])
            if r.random() < .1:
                made[field] = self.any(2)
            elif label.startswith("repeated"):
                made[field] = [self.typed(kind, depth - 1) for _ in range(n)]
            elif label.startswith("map"):
                made[field] = {r.choice(WORDS + self.fields): self.typed(kind, depth - 1) for _ in range(n)}
            else:
                made[field] = self.typed(kind, depth - 1)
        if r.random() < .2:
            made[r.choice(self.fields + WORDS)] = self.any(3)
        return made

    def event(self, depth, outermost=False):
        """An event object, its members in any order."""
        r = self.random
        name = r.choice(self.types)
        message = PAYLOADS.get(name) or "".join(w.capitalize() for w in name.split("_"))
        made = [("type", name)] if outermost or r.random() < .95 else []
        if r.random() < .5:
            made.append(("subtype", r.choice(["REQUEST", "RESPONSE", "HAND_EVAL_START", "é.x", None, 5])))
        if r.random() < .9:
            payload = self.typed(message, depth) if message in self.messages else self.any(depth)
            made.append((r.choice(["payload", "payload", "data"]), payload))
        for field, kind in (("event_id", "string"), ("source", "string"), ("timestamp", "double"), ("version", "int64"),
                            ("priority", "string"), ("headers", "?"), ("debug", "bool"), ("initial", "bool")):
            if r.random() < .4:
                made.append((field, self.any(3) if kind == "?" else self.typed(kind, 2)))
        if r.random() < .3 and depth > 1:
            made.append(("changes", [self.typed("Event", depth - 2) for _ in range(r.choice([0, 1, 3]))]))
        if r.random() < .3:
            made.append((r.choice([f for f in self.fields if f not in ("type", "subtype")] + WORDS), self.any(3)))
        r.shuffle(made)
        return dict(made)


def shuffled(rng, value):
    """The same value, the members of its objects in any order."""
    if isinstance(value, list):
        return [shuffled(rng, v) for v in value]
    if not isinstance(value, dict):
        return value
    keys = list(value)
    rng.shuffle(keys)
    return {k: shuffled(rng, value[k]) for k in keys}


def same(a, b):
    """Equal as JSON values: true is not 1, and a text is not a number."""
    if isinstance(a, bool) or isinstance(b, bool) or isinstance(a, str) or isinstance(b, str):
        return type(a) is type(b) and a == b
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return a == b


class Library:
    """The few calls that are needed."""

    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.jb_event_to_json.restype = self.lib.jb_event_canonical.restype = ctypes.c_int64
        self.encoder = ctypes.c_void_p()
        assert self.lib.jb_encoder_create(None, ctypes.byref(self.encoder), None) == 0
        self.made = Encoded()

    def json(self, text):
        """JSON text to bytes."""
        rc = self.lib.jb_encoder_json(self.encoder, text, ctypes.c_size_t(len(text)), ctypes.byref(self.made), None)
        assert rc == 0, (rc, text)
        return ctypes.string_at(self.made.data, self.made.len_bytes)

    def put(self, value):
        """One value through the value calls."""
        lib, e = self.lib, self.encoder
        if isinstance(value, dict):
            lib.jb_encoder_object_open(e)
            self.members(value)
            lib.jb_encoder_close(e)
        elif isinstance(value, list):
            lib.jb_encoder_list_open(e)
            for v in value:
                self.put(v)
            lib.jb_encoder_close(e)
        elif value is None:
            lib.jb_encoder_null(e)
        elif isinstance(value, bool):
            lib.jb_encoder_bool(e, ctypes.c_bool(value))
        elif isinstance(value, int):
            lib.jb_encoder_int(e, ctypes.c_int64(value))
        elif isinstance(value, float):
            lib.jb_encoder_double(e, ctypes.c_double(value))
        else:
            raw = value.encode()
            lib.jb_encoder_string(e, raw, ctypes.c_size_t(len(raw)))

    def members(self, value):
        """The members of an object."""
        for k, v in value.items():
            raw = k.encode()
            self.lib.jb_encoder_key(self.encoder, raw, ctypes.c_size_t(len(raw)))
            self.put(v)

    def values(self, event):
        """An event to bytes, value by value."""
        raw = event["type"].encode()
        sub = event.get("subtype")
        sub = sub.encode() if isinstance(sub, str) else None
        rest = {k: v for k, v in event.items() if k != "type" and (k != "subtype" or sub is None)}
        self.lib.jb_encoder_begin(self.encoder, raw, ctypes.c_size_t(len(raw)), sub, ctypes.c_size_t(len(sub or b"")))
        self.members(rest)
        rc = self.lib.jb_encoder_end(self.encoder, ctypes.byref(self.made), None)
        assert rc == 0, (rc, event)
        return ctypes.string_at(self.made.data, self.made.len_bytes)

    def form(self, text):
        """JSON text to the canonical form of its event."""
        data = self.json(text)
        buf = ctypes.create_string_buffer(len(data))
        n = self.lib.jb_event_canonical(data, ctypes.c_size_t(len(data)), buf, ctypes.c_size_t(len(data)), None)
        assert 0 < n <= len(data), n
        return buf.raw[:n]

    def back(self, data):
        """Bytes to the JSON value they mean."""
        n = self.lib.jb_event_to_json(data, ctypes.c_size_t(len(data)), None, ctypes.c_size_t(0), None)
        buf = ctypes.create_string_buffer(max(n, 1))
        assert self.lib.jb_event_to_json(data, ctypes.c_size_t(len(data)), buf, ctypes.c_size_t(n), None) == n > 0
        found = Encoded()
        assert self.lib.jb_event_inspect(data, ctypes.c_size_t(len(data)), ctypes.byref(found), None) == 0
        assert found.topic == self.made.topic and found.type == self.made.type
        return json.loads(buf.raw[:n].decode("utf-8"))


def corpus():
    """Events of the bodies in JIMBOT_CORPUS."""
    for path in sorted(glob.glob(os.path.join(os.environ.get("JIMBOT_CORPUS", "/nonexistent"), "*.json"))):
        with open(path, "rb") as f:
            body = json.load(f)
        yield from body.get("events", [body])


def main(argv):
    """Entry point."""
    seed = int(argv[3]) if len(argv) > 3 else 1
    lib, maker, n = Library(argv[1]), Maker(argv[2], seed), 0
    assert len(maker.types) > 30 and len(maker.messages["GameState"]) > 40, "the .proto files were not understood"
    for event in [maker.event(5, True) for _ in range(ROUNDS)] + list(corpus()):
        text = json.dumps(event, ensure_ascii=maker.random.random() < .5).encode()
        back = lib.back(lib.json(text))
        assert same(event, back), f"text, seed {seed}:\n{event}\n{back}"
        other = json.dumps(shuffled(maker.random, event), indent=maker.random.choice([None, 1, "\t"])).encode()
        assert lib.form(text) == lib.form(other), f"canonical, seed {seed}:\n{text}\n{other}"
        back = lib.back(lib.values(event))
        assert same(event, back), f"values, seed {seed}:\n{event}\n{back}"
        n += 1
    for number in HUGE:
        event = {"type": "MONEY_CHANGED", "payload": {"old_value": number, "zzz": number}, "version": number}
        assert lib.back(lib.json(json.dumps(event).encode())) == event
    print(f"{n} events came back as they went")


if __name__ == "__main__":
    main(sys.argv)
