#!/usr/bin/env python3
"""Each dialect gives back what came in it, and all of them mean the same events.

Random documents go through every dialect as text and value by value; states shaped like balatrobot's
are made from its .toml file. An event written in one dialect and read in another has the same typed
fields. What the protobuf dialect writes and reads is held to google.protobuf.json_format. Files named by
JIMBOT_CORPUS are read too. Usage: dialects.py LIBJIMBOT.so PROTO_DIR [SEED]
"""

import ctypes
import json
import os
import random
import sys
import tomllib

import protobuf_oracle
import roundtrip
from google.protobuf import json_format

BALATROMCP, BALATROBOT, PROTOBUF = range(3)
ROUNDS = 600
BIG = [{"array": [5, 3], "sign": 1}, {"array": [1.5], "sign": -1}, {"sign": 1, "array": [2, 1, 4]}, {"array": []}]


class Options(ctypes.Structure):
    """jb_encoder_opts."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("size", "flags", "event_bytes", "batch_bytes", "depth", "quirks")]
    _fields_ += [("alloc", ctypes.c_void_p), ("dialect", ctypes.c_uint32), ("_reserved", ctypes.c_uint32)]


class Library(roundtrip.Library):
    """The calls for one dialect."""

    def __init__(self, path, dialect):
        self.lib, self.dialect = ctypes.CDLL(path), dialect
        self.lib.jb_event_to_json_as.restype = ctypes.c_int64
        self.lib.jb_event_canonical.restype = ctypes.c_int64
        self.encoder, self.made, options = ctypes.c_void_p(), roundtrip.Encoded(), Options()
        self.lib.jb_encoder_opts_init(ctypes.byref(options), ctypes.c_uint32(ctypes.sizeof(options)))
        options.dialect = dialect
        assert self.lib.jb_encoder_create(ctypes.byref(options), ctypes.byref(self.encoder), None) == 0

    def encode(self, value):
        """A JSON value as bytes."""
        return self.json(json.dumps(value).encode())

    def text(self, data):
        """Bytes as JSON text."""
        size = ctypes.c_size_t(len(data))
        n = self.lib.jb_event_to_json_as(self.dialect, data, size, None, ctypes.c_size_t(0), None)
        assert n > 0, (n, data)
        buf = ctypes.create_string_buffer(n)
        assert self.lib.jb_event_to_json_as(self.dialect, data, size, buf, ctypes.c_size_t(n), None) == n
        return buf.raw[:n]

    def back(self, data):
        """Bytes as a JSON value."""
        return json.loads(self.text(data).decode("utf-8"))

    def canonical(self, data):
        """The one form of an event."""
        buf = ctypes.create_string_buffer(2 * len(data) + 64)
        n = self.lib.jb_event_canonical(data, ctypes.c_size_t(len(data)), buf, ctypes.c_size_t(len(buf)), None)
        assert 0 < n <= len(buf), n
        return buf.raw[:n]

    def state_values(self, state):
        """A state value by value; `payload` is understood in every dialect."""
        self.lib.jb_encoder_begin(self.encoder, b"GAME_STATE", ctypes.c_size_t(10), None, ctypes.c_size_t(0))
        self.members({"payload": state})
        rc = self.lib.jb_encoder_end(self.encoder, ctypes.byref(self.made), None)
        assert rc == 0, (rc, state)
        return ctypes.string_at(self.made.data, self.made.len_bytes)


class StateMaker(roundtrip.Maker):
    """Random states in the shape that a dialect's file gives them."""

    def __init__(self, proto_dir, seed, dialect):
        super().__init__(proto_dir, seed)
        self.keys, self.groups = dialect["keys"], dialect["groups"]
        self.words = roundtrip.WORDS + ["H", "S", "T", "A", "HOLO", "FOIL", "SMALL", "SELECTING_HAND", "DEFAULT",
                                        "JOKER"]

    def typed(self, kind, depth):
        """A value of a field, now and then one of Talisman."""
        if kind == "double" and self.random.random() < .1:
            return self.random.choice(BIG)
        if kind not in self.messages and self.random.random() < .3:
            return self.random.choice(self.words)
        return super().typed(kind, depth)

    def field(self, label, kind, depth):
        """Any value for a field."""
        n = self.random.choice([0, 1, 2, 4])
        if self.random.random() < .1:
            return self.any(2)
        if label.startswith("repeated"):
            return [self.typed(kind, depth - 1) for _ in range(n)]
        if label.startswith("map"):
            return {self.random.choice(self.words): self.typed(kind, depth - 1) for _ in range(n)}
        return self.typed(kind, depth - 1)

    def message(self, name, depth):
        """An object, its groups and unknown members."""
        r, made, groups = self.random, {}, self.groups.get(name, {})
        fields = {field: (label, kind) for label, kind, field in self.messages[name]}
        grouped = {field for members in groups.values() for field in members.values()}
        for field, shape in fields.items() if depth > 0 else ():
            if field not in grouped and field != "extras" and r.random() < .2:
                made[self.keys.get(f"{name}.{field}", field)] = self.field(*shape, depth)
        for group, members in groups.items() if depth > 0 else ():
            if r.random() < .6:
                made[group] = self.group(members, fields, depth)
        if r.random() < .3:
            made[r.choice(self.fields + self.words)] = self.any(3)
        return self.shuffled(made)

    def group(self, members, fields, depth):
        """The value of a group."""
        r = self.random
        if r.random() < .2:
            return r.choice([[], {}, None, 5, "x", [1], {"zzz": 1}])
        made = {key: self.field(*fields[field], depth) for key, field in members.items() if r.random() < .6}
        if r.random() < .3:
            made[r.choice(["count", "cards", "zzz", "", "suit", *self.words])] = self.any(2)
        return self.shuffled(made)

    def shuffled(self, made):
        """The same members in another order."""
        items = list(made.items())
        self.random.shuffle(items)
        return dict(items)


def typed_only(pb, data):
    """The event as protobuf has it, without what only its dialect understands."""
    event = pb.Event.FromString(data)
    event.ClearField("dialect")

    def clear(message):
        message.ClearField("extras")
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            if field.message_type.GetOptions().map_entry:
                if field.message_type.fields_by_name["value"].message_type:
                    for inner in value.values():
                        clear(inner)
            else:
                for inner in value if field.label == field.LABEL_REPEATED else [value]:
                    clear(inner)

    clear(event)
    return event


def check_balatrobot(libs, maker, pb):
    """Any object is a state, and comes back."""
    lib, r = libs[BALATROBOT], maker.random
    for _ in range(ROUNDS):
        state = maker.message("GameState", 5) if r.random() < .8 else {r.choice(maker.words): maker.any(4)}
        assert roundtrip.same(state, lib.back(lib.encode(state))), state
        back = lib.back(lib.state_values(state))
        assert roundtrip.same(state, back), f"values\n{state}\n{back}"
        response = maker.shuffled({"jsonrpc": "2.0", "id": r.choice([1, "a", None]), "result": state})
        data = lib.encode(response)
        assert roundtrip.same(response, lib.back(data)), response
        assert lib.back(lib.canonical(data)) == lib.back(data), state
        # Whoever reads it in another dialect sees the same fields.
        mcp = libs[BALATROMCP]
        assert_equal(typed_only(pb, data), typed_only(pb, mcp.json(mcp.text(data))))


def check_balatromcp(libs, maker, pb):
    """A state of BalatroMCP says the same in balatrobot's words."""
    lib, n = libs[BALATROMCP], 0
    events = [{"type": "GAME_STATE", "payload": maker.message("GameState", 5)} for _ in range(ROUNDS)]
    for event in events + list(roundtrip.corpus()):
        data = lib.encode(event)
        if event["type"] != "GAME_STATE":
            assert lib.lib.jb_event_to_json_as(BALATROBOT, data, ctypes.c_size_t(len(data)), None, ctypes.c_size_t(0),
                                               None) == protobuf_oracle.EEVENT
            continue
        again = libs[BALATROBOT].json(libs[BALATROBOT].text(data))
        assert_equal(typed_only(pb, data).game_state, typed_only(pb, again).game_state)
        n += 1
    return n


def check_protobuf(lib, event, pb):
    """As Google's own mapping has it, in both directions."""
    data, want = event.SerializeToString(), json_format.MessageToDict(event)
    got = lib.back(data)
    assert protobuf_oracle.same(want, got), f"\nwant {want}\ngot  {got}"
    for text in (json_format.MessageToJson(event, indent=None),
                 json_format.MessageToJson(event, preserving_proto_field_name=True, use_integers_for_enums=True)):
        assert_equal(event, pb.Event.FromString(lib.json(text.encode())))
    nulls = {"eventId": None, "changes": None, "gameStart": None, **got}
    assert_equal(event, pb.Event.FromString(lib.json(lib.text(lib.encode(nulls)))))


def assert_equal(want, got):
    """NaN included."""
    assert want.SerializeToString(deterministic=True) == got.SerializeToString(deterministic=True), f"{want}\n{got}"


def check_documents(lib, maker):
    """Nothing of a random document is lost in the protobuf dialect: what it does not know are extras then."""
    for _ in range(ROUNDS):
        document = {"type": "EVENT_TYPE_GAME_STATE", maker.random.choice(["gameState", "game_state"]):
                    {**maker.message("GameState", 4), maker.random.choice(maker.fields): maker.any(3)}}
        document["gameState" if "gameState" in document else "game_state"].pop("extras", None)
        once = lib.back(lib.encode(document))
        assert roundtrip.same(once, lib.back(lib.encode(once))), document


def main(argv):
    """Entry point."""
    path, proto_dir, seed = argv[1], argv[2], int(argv[3]) if len(argv) > 3 else 7
    pb, libs = protobuf_oracle.load_protos(proto_dir), [Library(path, d) for d in range(3)]
    with open(os.path.join(proto_dir, "dialects", "balatrobot.toml"), "rb") as f:
        check_balatrobot(libs, StateMaker(proto_dir, seed, tomllib.load(f)), pb)
    plain = roundtrip.Maker(proto_dir, seed)
    n = check_balatromcp(libs, plain, pb)
    maker = protobuf_oracle.Maker(random.Random(seed))
    for i in range(ROUNDS):
        event = pb.Event()
        maker.fill(event, 4)
        event.type = i % 32 + 1
        check_protobuf(libs[PROTOBUF], event, pb)
    for event in roundtrip.corpus():
        check_protobuf(libs[PROTOBUF], pb.Event.FromString(libs[BALATROMCP].encode(event)), pb)
    check_documents(libs[PROTOBUF], plain)
    print(f"{ROUNDS} states of balatrobot, {n} of BalatroMCP, {ROUNDS} events as protobuf has them")


if __name__ == "__main__":
    main(sys.argv)
