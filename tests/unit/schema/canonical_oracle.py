#!/usr/bin/env python3
"""Hold the canonical form against Google's protobuf.

Random events are serialised by protobuf, their fields then thrown about, repeated and cut into pieces.
Whatever was done to the bytes, jb_event_canonical() gives the same form for the same event, protobuf
reads in it what it reads in the bytes, and the form is its own. Usage:
canonical_oracle.py LIBJIMBOT.so PROTO_DIR [SEED]
"""

import ctypes
import os
import random
import sys
import tomllib

from protobuf_oracle import FD, Library, Maker, Oracle, load_protos

ROUNDS = 600


class Form:
    """What protobuf sees in an event; what the canonical form may change is left out."""

    def __init__(self, oracle):
        self.oracle = oracle

    def value(self, f, v):
        """One value of a field."""
        if f.message_type:
            return self.message(v)
        full = f"{f.containing_type.name}.{f.name}"
        return self.text(v) if full in self.oracle.json or full == "Custom.json" else repr(v)

    def text(self, text):
        """JSON text by its value."""
        return repr(self.oracle.raw(text)) if isinstance(self.oracle.raw(text), str) else self.oracle.raw(text)

    def message(self, m):
        """A message: its fields, and of extras of one key and index the last."""
        out = {}
        for f, v in m.ListFields():
            if f.name == "extras":
                out[f.name] = {(e.key, e.index if e.HasField("index") else None): self.text(e.json) for e in v}
            elif f.label != FD.LABEL_REPEATED:
                out[f.name] = self.value(f, v)
            elif f.message_type and f.message_type.GetOptions().map_entry:
                kind = f.message_type.fields_by_name["value"]
                out[f.name] = {k: self.value(kind, v[k]) for k in v}
            else:
                out[f.name] = [self.value(f, x) for x in v]
        return out


def varint(data, at):
    """(value, place after it)."""
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def put_varint(value, extra=0):
    """A varint, `extra` bytes longer than it need be."""
    out = bytearray()
    while value >= 128 or extra > 0:
        extra -= value < 128
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def parts(data):
    """The fields of a message: (number, wire type, tag, bytes of the value)."""
    at, found = 0, []
    while at < len(data):
        tag, begin = varint(data, at)
        if tag & 7 == 2:
            n, inside = varint(data, begin)
            at = inside + n
            found.append((tag >> 3, 2, tag, data[inside:at]))
        else:
            at = varint(data, begin)[1] if tag & 7 == 0 else begin + (8 if tag & 7 == 1 else 4)
            found.append((tag >> 3, tag & 7, tag, data[begin:at]))
    return found


def scrambled(rng, message, data):
    """The same event: fields in another order, lengths and tags longer than need be, messages within
    likewise, now and then in two pieces."""
    queues, out = {}, bytearray()
    for number, wire, tag, value in parts(data):
        f = message.fields_by_number.get(number)
        split = [value]
        inner = f is not None and f.message_type is not None and not f.message_type.GetOptions().map_entry
        if inner:
            value = scrambled(rng, f.message_type, value)
            split = [value]
            fields = parts(value)
            if f.label != FD.LABEL_REPEATED and len(fields) > 1 and rng.random() < .3:
                cut = sum(len(put_varint(t, 1)) + len(v) + (len(put_varint(len(v), 1)) if w == 2 else 0)
                          for _, w, t, v in fields[:1])
                split = [value[:cut], value[cut:]] if parts_ok(value[:cut]) else [value]
        for piece in split:
            spelled = put_varint(tag, 1) + (put_varint(len(piece), 1) if wire == 2 else b"") + piece
            queues.setdefault(number, []).append(spelled)
    order = [n for n, pieces in queues.items() for _ in pieces]
    rng.shuffle(order)
    for number in order:
        out += queues[number].pop(0)
    return bytes(out)


def parts_ok(data):
    """Whether bytes end where a field does."""
    try:
        return sum(1 for _ in parts(data)) > 0
    except IndexError:
        return False


def difference(a, b, path="event"):
    """Where two views differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for k in a.keys() | b.keys():
            if a.get(k) != b.get(k):
                return difference(a.get(k), b.get(k), f"{path}.{k}")
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            if x != y:
                return difference(x, y, f"{path}[{i}]")
    return f"{path}: {a!r:.200} is not {b!r:.200}"


def canonical(lib, data):
    """The form of some bytes."""
    call = lib.lib.jb_event_canonical
    call.restype = ctypes.c_int64
    call.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]
    n = call(data, len(data), None, 0, None)
    assert n > 0, n
    buf = ctypes.create_string_buffer(n)
    assert call(data, len(data), buf, n, None) == n
    return buf.raw


def main(argv):
    """Entry point."""
    lib, pb = Library(argv[1]), load_protos(argv[2])
    rng = random.Random(int(argv[3]) if len(argv) > 3 else 7)
    with open(os.path.join(argv[2], "dialects", "balatromcp.toml"), "rb") as f:
        view = Form(Oracle(tomllib.load(f), pb))
    maker = Maker(rng)
    for i in range(ROUNDS):
        event = pb.Event()
        maker.fill(event, 4)
        event.type = i % 32 + 1
        data = event.SerializeToString()
        form = canonical(lib, data)
        want, got = view.message(event), view.message(pb.Event.FromString(form))
        assert got == want, difference(got, want)
        assert canonical(lib, form) == form, "the form has another form"
        other = scrambled(rng, pb.Event.DESCRIPTOR, data)
        assert view.message(pb.Event.FromString(other)) == want, "the test does not keep the event"
        assert canonical(lib, other) == form, f"{event}\n{form.hex()}\n{canonical(lib, other).hex()}"
        twice = pb.Event.FromString(data + other)
        assert view.message(pb.Event.FromString(canonical(lib, data + other))) == view.message(twice)
    print(f"{ROUNDS} events have one form each")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
