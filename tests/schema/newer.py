#!/usr/bin/env python3
"""This version reads what a newer one wrote, and nothing of it is lost on the way.

Two libraries: this one, and one of the same code with the tables of next_schema.py, which has new
fields, messages, enum values and an event type. Events of the newer schema go through this library:
as JSON, as protobuf, through the ring. Usage: newer.py LIBJIMBOT.so LIBJIMBOT_NEXT.so PROTO_DIR
NEXT_PROTO_DIR ROUNDTRIP.py
"""

import ctypes
import importlib.util
import json
import math
import sys
import unittest

import breaking
import descriptors
from google.protobuf import descriptor_pool, message_factory

ROUNDS = 300
STATE = {"type": "GAME_STATE", "next_trace": "t-1", "payload": {
    "ante": 2, "chips": 1e300, "next_text": "new", "next_score": "Infinity", "next_scores": {"a": 1.5, "b": 2},
    "next_cards": [{"rank": "Ace", "suit": "Spades"}, {"next_level": 7}],
    "next_thing": {"name": "x", "power": 9.5, "counts": [1, 2, 9007199254740993], "inner": {"name": "y"}},
    "next_mood": "WILD", "next_numbers": [1, 2.5], "next_things": {"k": {"name": "z"}}, "next_old": "o",
    "phase": "NEXT",
    "hand": [{"rank": "2", "suit": "STARS", "next_level": 3, "next_marks": ["a", "b"]}]}}
BEATEN = {"type": "NEXT_BEATEN", "source": "s", "payload": {"name": "The Next", "thing": {"power": 3}, "other": [1]}}


class Event(ctypes.Structure):
    """jb_event."""

    _fields_ = [("sequence", ctypes.c_uint64), ("time_ns", ctypes.c_uint64), ("source_time", ctypes.c_double),
                ("payload", ctypes.c_void_p), ("n_missed", ctypes.c_uint64), ("len_bytes", ctypes.c_uint32),
                ("topic_id", ctypes.c_uint32), ("publisher", ctypes.c_uint32), ("type", ctypes.c_uint16),
                ("priority", ctypes.c_uint8), ("flags", ctypes.c_uint8), ("key", ctypes.c_uint32),
                ("n_deliveries", ctypes.c_uint32)]


def load(path):
    """The module of another test: makes random events after .proto files."""
    spec = importlib.util.spec_from_file_location("roundtrip", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Library:
    """One version of the library."""

    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.jb_event_to_json.restype = ctypes.c_int64
        self.encoder, self.bus, self.sub = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        assert self.lib.jb_encoder_create(None, ctypes.byref(self.encoder), None) == 0

    def encode(self, value):
        """A JSON value as protobuf."""
        text, made = json.dumps(value).encode(), roundtrip.Encoded()
        rc = self.lib.jb_encoder_json(self.encoder, text, ctypes.c_size_t(len(text)), ctypes.byref(made), None)
        assert rc == 0, (rc, value)
        return ctypes.string_at(made.data, made.len_bytes)

    def inspect(self, data):
        """What it knows of bytes that somebody made."""
        found = roundtrip.Encoded()
        rc = self.lib.jb_event_inspect(data, ctypes.c_size_t(len(data)), ctypes.byref(found), None)
        assert rc == 0, (rc, data)
        return found

    def decode(self, data):
        """Protobuf as a JSON value."""
        size = self.lib.jb_event_to_json(data, ctypes.c_size_t(len(data)), None, ctypes.c_size_t(0), None)
        assert size > 0, (size, data)
        buf = ctypes.create_string_buffer(size)
        self.lib.jb_event_to_json(data, ctypes.c_size_t(len(data)), buf, ctypes.c_size_t(size), None)
        return json.loads(buf.raw[:size].decode())

    def through_ring(self, data):
        """What a subscriber of the bus gets for these bytes."""
        if not self.bus:
            assert self.lib.jb_bus_open(None, None, ctypes.byref(self.bus), None) == 0
            assert self.lib.jb_bus_subscribe(self.bus, b">", ctypes.c_size_t(1), None, ctypes.byref(self.sub),
                                             None) == 0
        head, event = self.inspect(data), Event()
        assert self.lib.jb_bus_publish_encoded(self.bus, ctypes.byref(head)) == 0
        assert self.lib.jb_sub_peek(self.sub, ctypes.byref(event), 1) == 1
        got = ctypes.string_at(event.payload, event.len_bytes)
        assert self.lib.jb_sub_advance(self.sub) >= 0
        return got


def event_class(proto):
    """jimbot.v1.Event as Google's protobuf has it, in a pool of its own."""
    pool = descriptor_pool.DescriptorPool()
    files = {f.name: f for f in descriptors.compiled(proto).file}

    def add(name):
        for other in files[name].dependency:
            if other in files:
                add(other)
        pool.Add(files.pop(name))

    while files:
        add(next(iter(files)))
    descriptor = pool.FindMessageTypeByName("jimbot.v1.Event")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


def messages_in(message):
    """A message and all within it, each with the doubles that are its own."""
    doubles = []
    for field, value in message.ListFields():
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        of = field.message_type.fields_by_name["value"] if is_map else field
        values = value.values() if is_map else value if field.label == field.LABEL_REPEATED else [value]
        if of.type == of.TYPE_DOUBLE:
            doubles += values
        elif of.type == of.TYPE_MESSAGE:
            for inner in values:
                yield from messages_in(inner)
    yield message, doubles


class Newer(unittest.TestCase):
    """Every case: the newer schema's events, this version in between."""

    @classmethod
    def setUpClass(cls):
        cls.now, cls.next = Library(NOW), Library(NEXT)
        cls.pb_now, cls.pb_next = event_class(PROTO_NOW), event_class(PROTO_NEXT)
        maker = roundtrip.Maker(PROTO_NEXT, 7)
        assert "NEXT_BEATEN" in maker.types and "NextThing" in maker.messages
        cls.events = [STATE, BEATEN, *(maker.event(5, True) for _ in range(ROUNDS))]

    def same(self, want, got):
        """Equal as JSON values."""
        self.assertTrue(roundtrip.same(want, got), f"\nwant {want}\ngot  {got}")

    def test_the_schemas_differ(self):
        self.assertNotEqual(self.now.encode(STATE), self.next.encode(STATE))
        made = self.pb_next.FromString(self.next.encode(STATE))
        self.assertEqual((made.game_state.next_text, made.game_state.next_things["k"].name, made.next_trace),
                         ("new", "z", "t-1"))
        self.assertEqual(len(made.extras) + len(made.game_state.extras), 0)
        self.assertTrue(made.game_state.non_finite)

    def test_the_newer_breaks_no_promise(self):
        now, newer = (descriptors.contract(descriptors.compiled(p)) for p in (PROTO_NOW, PROTO_NEXT))
        self.assertEqual([], breaking.broken(now, newer))
        self.assertNotEqual([], breaking.broken(newer, now))

    def test_non_finite_tells_the_truth_in_every_message(self):
        said = 0
        for event in self.events:
            for message, doubles in messages_in(self.pb_next.FromString(self.next.encode(event))):
                if "non_finite" in message.DESCRIPTOR.fields_by_name:
                    want = any(not math.isfinite(d) for d in doubles)
                    self.assertEqual(want, message.HasField("non_finite"), message)
                    said += want
        self.assertGreater(said, 10)

    def test_json_to_protobuf_to_json(self):
        for event in self.events:
            self.same(event, self.now.decode(self.now.encode(event)))

    def test_protobuf_of_this_version_is_read_by_the_newer(self):
        for event in self.events:
            self.same(event, self.next.decode(self.now.encode(event)))

    def test_protobuf_of_the_newer_goes_through_the_ring(self):
        for event in self.events:
            data = self.next.encode(event)
            got = self.now.through_ring(data)
            self.assertEqual(data, got)
            self.same(event, self.next.decode(got))

    def test_json_of_the_newer_through_this_version_is_typed_again(self):
        first = self.next.decode(self.next.encode(STATE))
        second = self.now.decode(self.now.encode(first))
        made = self.pb_next.FromString(self.next.encode(second))
        self.assertEqual(self.pb_next.FromString(self.next.encode(STATE)), made)

    def test_protobuf_user_of_this_version_keeps_what_it_does_not_know(self):
        for event in self.events:
            data = self.next.encode(event)
            old = self.pb_now.FromString(data)
            old.source = "changed"
            new = self.pb_next.FromString(old.SerializeToString())
            want = self.pb_next.FromString(data)
            want.source = "changed"
            self.assertEqual(want.SerializeToString(deterministic=True), new.SerializeToString(deterministic=True))

    def test_what_this_version_knows_it_reads(self):
        got = self.now.decode(self.next.encode(STATE))
        self.assertEqual(("GAME_STATE", 2, 1e300), (got["type"], got["payload"]["ante"], got["payload"]["chips"]))
        self.assertEqual("UNKNOWN_STATE_1003", got["payload"]["phase"])
        self.assertEqual({"rank": "2", "suit": 5}, got["payload"]["hand"][0])

    def test_type_this_version_does_not_know(self):
        data = self.next.encode(BEATEN)
        self.assertEqual((32, b"custom.unnamed"), (self.now.inspect(data).type, self.now.inspect(data).topic))
        self.assertEqual((33, b"game.next.beaten"), (self.next.inspect(data).type, self.next.inspect(data).topic))
        self.assertEqual({"type": "EVENT_TYPE_33", "source": "s"}, self.now.decode(data))
        made = self.now.encode(BEATEN)
        self.assertEqual((32, b"custom.next_beaten"), (self.now.inspect(made).type, self.now.inspect(made).topic))

    def test_field_of_a_private_number_passes(self):
        private = self.next.encode(STATE) + bytes([0x82, 0xb5, 0x18, 3]) + b"own"  # 50000, a string
        self.assertEqual(private, self.now.through_ring(private))
        self.assertIn(b"own", self.pb_now.FromString(private).SerializeToString())
        self.same(self.now.decode(self.next.encode(STATE)), self.now.decode(private))


if __name__ == "__main__":
    NOW, NEXT, PROTO_NOW, PROTO_NEXT = sys.argv[1:5]
    roundtrip = load(sys.argv[5])
    unittest.main(argv=sys.argv[:1])
