#!/usr/bin/env python3
"""Hold the reading half of the schema against Google's protobuf.

Random events are made through protobuf's own reflection. What the library says of their bytes (JSON,
fields, columns' counts, sound or not) must agree with what follows from protobuf's view of them and
the dialect file. Usage: protobuf_oracle.py LIBJIMBOT.so PROTO_DIR [SEED]
"""

import ctypes
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import tomllib

from google.protobuf.descriptor import FieldDescriptor as FD
from google.protobuf.message import DecodeError

EPROTO, EEVENT = -14, -13
ROUNDS = 1000


class Encoded(ctypes.Structure):
    """jb_encoded."""

    _fields_ = [("data", ctypes.c_void_p), ("event_id", ctypes.c_void_p), ("len_bytes", ctypes.c_uint32),
                ("event_id_bytes", ctypes.c_uint32), ("n_repairs", ctypes.c_uint32), ("type", ctypes.c_uint16),
                ("priority", ctypes.c_uint8), ("topic_bytes", ctypes.c_uint8), ("source_time", ctypes.c_double),
                ("topic", ctypes.c_char * 128)]


class Field(ctypes.Structure):
    """jb_field."""

    _fields_ = [("size", ctypes.c_uint32), ("kind", ctypes.c_uint16), ("n_numbers", ctypes.c_uint16),
                ("lo", ctypes.c_uint32), ("hi", ctypes.c_uint32), ("numbers", ctypes.c_uint32 * 12)]


def load_protos(proto_dir):
    """Compile and import the schema."""
    out = tempfile.mkdtemp(prefix="jimbot-oracle-")
    files = [os.path.join("jimbot/v1", f) for f in os.listdir(os.path.join(proto_dir, "jimbot/v1"))]
    subprocess.run(["protoc", f"--proto_path={proto_dir}", f"--python_out={out}", *files], check=True)
    # Whole packages: the Python binding, which may be on the path too, is called jimbot as well.
    for package in ("jimbot", "jimbot/v1"):
        open(os.path.join(out, package, "__init__.py"), "w", encoding="utf-8").close()
    sys.path.insert(0, out)
    from jimbot.v1 import event_pb2
    return event_pb2


class Oracle:
    """Protobuf's view of an event, turned into JSON by the rules of the dialect."""

    def __init__(self, dialect, pb):
        self.ids, self.json = set(dialect["fields"]["ids"]), set(dialect["fields"]["json"])
        self.enums, self.keys = dialect["enum"], dialect.get("keys", {})
        self.events = {pb.EventType.Value("EVENT_TYPE_" + e["type"]): e for e in dialect["event"]}

    def enum(self, desc, number):
        """How an enum's number is spelled."""
        conf = self.enums.get(desc.name, {})
        value = desc.values_by_number.get(number)
        if conf.get("number"):
            return number
        if value is None or number == 0:
            return f"{conf['number_prefix']}{number}" if "number_prefix" in conf else number
        prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", desc.name).upper() + "_"
        short = value.name.removeprefix(prefix)
        return conf.get("spell", {}).get(short, [short])[0]

    def scalar(self, f, v):
        """One value of a field."""
        full = f"{f.containing_type.name}.{f.name}"
        if f.type == FD.TYPE_MESSAGE:
            return self.message(v)
        if f.type == FD.TYPE_ENUM:
            return self.enum(f.enum_type, v)
        if f.type == FD.TYPE_DOUBLE and not math.isfinite(v):
            return "NaN" if v != v else "Infinity" if v > 0 else "-Infinity"
        if full in self.ids and re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", v):
            return json.loads(v)
        return self.raw(v) if full in self.json else v

    @staticmethod
    def raw(text):
        """JSON text as its value, other text (or text nested deeper than 256) as a string."""
        if text.startswith("[" * 257):
            return text
        try:
            return json.loads(text, parse_constant=lambda c: (_ for _ in ()).throw(ValueError(c)))
        except ValueError:
            return text

    def key(self, f):
        """The JSON key of a field."""
        return self.keys.get(f"{f.containing_type.name}.{f.name}", f.name)

    def field(self, f, v, extras):
        """A whole field, elements overridden."""
        over = {}
        for e in extras:
            if e.HasField("index") and e.key == self.key(f):
                over.setdefault(e.index, self.raw(e.json))
        if f.label != FD.LABEL_REPEATED:
            return self.scalar(f, v)
        if f.message_type and f.message_type.GetOptions().map_entry:
            value = f.message_type.fields_by_name["value"]
            return {k: self.scalar(value, x) for k, x in v.items()}
        return [over[i] if i in over else self.scalar(f, x) for i, x in enumerate(v)]

    def message(self, m):
        """A message as an object."""
        event = self.events.get(m.type) if m.DESCRIPTOR.name == "Event" else None
        out = {}
        for f, v in m.ListFields():
            if f.number in (15, 100) or (event and (f.number in (1, 3, 13) or f.containing_oneof
                                             and f.containing_oneof.name == "payload")):
                continue
            out[self.key(f)] = self.field(f, v, m.extras)
        if event:
            out["type"] = m.type_name if m.HasField("type_name") else event.get("json", event["type"])
            if event.get("subtype") and not m.HasField("type_name"):
                out.setdefault("subtype", event["subtype"])
            which = m.WhichOneof("payload")
            if which:
                body = getattr(m, which)
                out[event["payload_key"]] = self.raw(body.json if body.HasField("json") else "null") \
                    if which == "custom" else self.message(body)
        for e in m.extras:
            if not e.HasField("index"):
                out[e.key] = self.raw(e.json)
        return out


class Maker:
    """Random events."""

    TEXTS = ["", "a", "17", "-0.5", "1e5", "0x1", "ü€😀", 'q"\\/\n\x01\x7f', "long " * 40, "017", "Jolly Joker",
             "Infinity", "\u2028", "tab\there"]
    JSONS = ["1", "[]", "{}", '{"a":[1,2,{"b":null}]}', '"x\\u00e9"', " [1 , 2]\n", "not json", "[1,", "1e400x",
             '{"k": "v w"}', "true", "", "nul", '["\\"", " "]', "-", "0123",
             "[" * 250 + "]" * 250, "[" * 257 + "]" * 257]
    DOUBLES = [0.0, -0.0, 1.5, 1e14, 1e21, 123456789012345680000.0, 5e-324, 1.7976931348623157e308, math.inf,
               -math.inf, 0.1, 1000016.6666667, -3.0, 2.0**63]
    INTS = [0, 1, -1, 127, 128, 2**31, 2**53 + 1, 2**63 - 1, -2**63]

    def __init__(self, rng):
        self.rng = rng

    def value(self, f):
        """A scalar for a field."""
        r = self.rng
        if f.type == FD.TYPE_DOUBLE:
            return r.choice(self.DOUBLES) if r.random() < 0.6 else r.uniform(-1e6, 1e6)
        if f.type == FD.TYPE_ENUM:
            return r.choice([v.number for v in f.enum_type.values] + [77777, -5])
        if f.type == FD.TYPE_BOOL:
            return r.random() < 0.5
        if f.type == FD.TYPE_UINT32:
            return r.randrange(2**32)
        if f.type == FD.TYPE_STRING:
            return r.choice(self.TEXTS + self.JSONS)
        return r.choice(self.INTS)

    def fill(self, m, depth):
        """Give a message random content."""
        r = self.rng
        for f in m.DESCRIPTOR.fields:
            is_payload = f.containing_oneof and f.containing_oneof.name == "payload"
            if f.number == 15 or f.name == "dialect" or r.random() > 0.4 or is_payload:
                continue
            if f.message_type and f.message_type.GetOptions().map_entry:
                value = f.message_type.fields_by_name["value"]
                for key in r.sample(["a", "joker_1", "", 'quo"te', "Full House"], r.randrange(4)):
                    if value.message_type:
                        self.fill(getattr(m, f.name)[key], depth - 1)
                    else:
                        getattr(m, f.name)[key] = self.value(value)
            elif f.message_type:
                if depth <= 0:
                    continue
                for _ in range(r.randrange(1, 3)):
                    self.fill(getattr(m, f.name).add() if f.label == FD.LABEL_REPEATED else getattr(m, f.name),
                              depth - 1)
                if f.label != FD.LABEL_REPEATED:
                    getattr(m, f.name).SetInParent()
            elif f.label == FD.LABEL_REPEATED:
                getattr(m, f.name).extend(self.value(f) for _ in range(r.randrange(4)))
            else:
                setattr(m, f.name, self.value(f))
        if m.DESCRIPTOR.name == "Event":
            m.type = r.randrange(1, 33)
            self.payload(m, depth)
        self.extras(m)

    def payload(self, m, depth):
        """The member of the oneof that fits the type, or now and then another, or none."""
        fields = [f for f in m.DESCRIPTOR.oneofs_by_name["payload"].fields]
        if self.rng.random() < 0.9:
            f = fields[m.type - 1] if self.rng.random() < 0.9 else self.rng.choice(fields)
            getattr(m, f.name).SetInParent()
            self.fill(getattr(m, f.name), depth - 1)

    def extras(self, m):
        """Unknown keys, overrides, overrides of elements: the latter ascending, also if a message is filled twice."""
        r = self.rng
        del m.extras[:]
        if r.random() < 0.6:
            return
        names = [f.name for f in m.DESCRIPTOR.fields
                 if f.number != 15 and f.name not in ("type_name", "type", "dialect") and not (
                     f.containing_oneof and f.containing_oneof.name == "payload")]
        payload = ["payload"] if m.DESCRIPTOR.name == "Event" and m.type != 1 else []
        for key in r.sample(names + payload + ["mod_key", "x y", 'q"', ""], 2):
            m.extras.add(key=key, json=r.choice(self.JSONS))
        lists = [f for f in m.DESCRIPTOR.fields if f.label == FD.LABEL_REPEATED and f.number != 15 and not (
            f.message_type and f.message_type.GetOptions().map_entry)]
        for f in lists:
            for i in range(len(getattr(m, f.name))):
                if r.random() < 0.3:
                    m.extras.add(key=f.name, index=i, json=r.choice(self.JSONS))


class Library:
    """The calls under test."""

    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.jb_event_to_json.restype = ctypes.c_int64
        self.lib.jb_event_to_json.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
                                              ctypes.c_void_p]
        self.lib.jb_event_inspect.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
        self.lib.jb_field_parse.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
        for name in ("int", "double"):
            getattr(self.lib, f"jb_field_get_{name}").argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t,
                                                                  ctypes.c_void_p]
        self.lib.jb_field_get_string.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p,
                                                 ctypes.c_void_p]

    def inspect(self, data):
        """(code, jb_encoded)."""
        encoded = Encoded()
        return self.lib.jb_event_inspect(data, len(data), ctypes.byref(encoded), None), encoded

    def to_json(self, data):
        """The text, or a negative code. Measured first, then written into exactly that room."""
        n = self.lib.jb_event_to_json(data, len(data), None, 0, None)
        if n < 0:
            return n
        buf = ctypes.create_string_buffer(b"\xaa" * (n + 1), n + 1)
        assert self.lib.jb_event_to_json(data, len(data), buf, n, None) == n
        assert buf.raw[n:] == b"\xaa", "wrote past the room it was given"
        return buf.raw[:n].decode()

    def get(self, path, data):
        """What a path gives; None when absent."""
        field = Field()
        code = self.lib.jb_field_parse(path.encode(), len(path), ctypes.byref(field), None)
        assert code == 0, (path, code)
        if field.kind == 4:
            ptr, n = ctypes.c_void_p(), ctypes.c_size_t()
            rc = self.lib.jb_field_get_string(ctypes.byref(field), data, len(data), ctypes.byref(ptr),
                                              ctypes.byref(n))
            return ctypes.string_at(ptr, n.value).decode() if rc == 1 else None
        value = ctypes.c_double() if field.kind == 3 else ctypes.c_int64()
        call = self.lib.jb_field_get_double if field.kind == 3 else self.lib.jb_field_get_int
        rc = call(ctypes.byref(field), data, len(data), ctypes.byref(value))
        assert rc >= 0, (path, rc)
        return value.value if rc else None


def same(a, b):
    """Equality of JSON values that tells -0 from 0 and bool from int."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if a == 0 == b and not isinstance(a, str):
        # An integral double is written as an integer, so its sign is all that is left of its type.
        return True
    return a == b


def check_fields(lib, data, message, prefix):
    """Every scalar and every length of a message, present or absent."""
    for f in message.DESCRIPTOR.fields:
        path = prefix + f.name
        value = getattr(message, f.name)
        if f.label == FD.LABEL_REPEATED:
            assert lib.get(path + ".length", data) == len(value), path
        elif f.message_type:
            if message.HasField(f.name) and path.count(".") < 3:
                check_fields(lib, data, value, path + ".")
        else:
            want = value if message.HasField(f.name) else None
            got = lib.get(path, data)
            assert got == want or got != got, (path, got, want)


def check_event(lib, oracle, event):
    """Everything about one sound event."""
    data = event.SerializeToString()
    code, encoded = lib.inspect(data)
    assert code == 0 and encoded.type == event.type and encoded.len_bytes == len(data), code
    got_id = ctypes.string_at(encoded.event_id, encoded.event_id_bytes).decode() if encoded.event_id else None
    assert got_id == (event.event_id if event.HasField("event_id") else None)
    assert encoded.priority == (event.priority if event.priority in (1, 2) else 0)
    assert re.fullmatch(rb"[a-z0-9_-]+(\.[a-z0-9_-]+)+", encoded.topic) and len(encoded.topic) == encoded.topic_bytes
    assert encoded.source_time == event.timestamp if event.HasField("timestamp") \
        else math.isnan(encoded.source_time)
    text = lib.to_json(data)
    assert isinstance(text, str), text
    got, want = json.loads(text), oracle.message(event)
    assert same(got, want), f"\n got {json.dumps(got, sort_keys=True)}\nwant {json.dumps(want, sort_keys=True)}"
    check_fields(lib, data, event, "")
    return data


def check_hostile(lib, pb, data, rng):
    """Bytes that protobuf refuses, the library refuses; and what it accepts it can write."""
    accepted = 0
    cuts = [data[:n] for n in range(0, len(data), max(1, len(data) // 40))]
    flips = []
    for _ in range(40):
        b = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            b[rng.randrange(len(b))] = rng.choice([0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)])
        flips.append(bytes(b))
    for bad in cuts + flips:
        code, _ = lib.inspect(bad)
        assert code in (0, EPROTO, EEVENT), code
        text = lib.to_json(bad)
        if isinstance(text, str):
            json.loads(text)
        if code != 0:
            continue
        accepted += 1
        assert isinstance(text, str), (bad, text)
        try:
            pb.Event.FromString(bad)
        except DecodeError:
            raise AssertionError(f"protobuf refuses what inspect accepts: {bad!r}") from None
    return accepted


def main(argv):
    """Entry point."""
    lib, proto_dir = Library(argv[1]), argv[2]
    seed = int(argv[3]) if len(argv) > 3 else 20240229
    pb = load_protos(proto_dir)
    with open(os.path.join(proto_dir, "dialects", "balatromcp.toml"), "rb") as f:
        oracle = Oracle(tomllib.load(f), pb)
    rng = random.Random(seed)
    maker, accepted = Maker(rng), 0
    for i in range(ROUNDS):
        event = pb.Event()
        maker.fill(event, 4)
        event.type = i % 32 + 1
        data = check_event(lib, oracle, event)
        accepted += check_hostile(lib, pb, data, rng)
    print(f"{ROUNDS} events agree; {accepted} damaged ones still sound, to protobuf as well")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
