#!/usr/bin/env python3
"""Write code that looks at every value of every message, for the peers' generated classes.

Usage: touchgen.py nanopb.h|nanopb.options|protobuf.h FILE.proto...

A peer is as fast as a user's program only when somebody reads what it decoded, so each message gets a
function that adds its values up by the accessors a user has. What a value adds (number(), text() …) is
said by the file that includes this.
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "tools"))
import schemagen  # noqa: E402


def entry_name(message, f):
    """What protoc calls the message of a map's entries."""
    return f"{message}_{''.join(w.capitalize() for w in f['name'].split('_'))}Entry"


def with_entries(messages):
    """Messages, and entries of maps as messages; a message comes after those it contains."""
    found = {}
    for name, fields in messages.items():
        found[name] = fields = [dict(f) for f in fields]
        for f in fields:
            if f["label"] == "MAP":
                key = {"label": "ENTRY", "type": "string", "name": "key", "number": 1, "oneof": False}
                value = key | {"type": f["type"], "name": "value", "number": 2}
                f |= {"label": "REPEATED", "type": entry_name(name, f)}
                found[f["type"]] = [key, value]
    return found


def nano_scalar(f, messages, owner):
    """One value that lies in the struct."""
    if f["oneof"]:
        return (f"    if (m->which_payload == jimbot_v1_{owner}_{f['name']}_tag)\n"
                f"        touch_{f['type']}(&m->payload.{f['name']});")
    has = "" if f["label"] == "ENTRY" and f["type"] not in messages else f"    if (m->has_{f['name']})\n    "
    if f["type"] in messages:
        return f"{has}    touch_{f['type']}(&m->{f['name']});"
    return f"{has}    {'real' if f['type'] == 'double' else 'integer'}(m->{f['name']});"


def nano_case(f, messages):
    """One field that is handed over while it is decoded."""
    kind = f["type"]
    if kind in messages:
        what = f"message_{kind}(in)"
    else:
        what = {"string": "text(in)", "double": "reals(in)"}.get(kind, "integers(in)")
    return f"    case {f['number']}:\n        return {what};"


def nano(messages):
    """C for nanopb: scalars and single messages lie in structs, all else goes through callbacks."""
    out = []
    for name in messages:
        out.append(f"static void touch_{name}(const jimbot_v1_{name} *m);\n"
                   f"static bool message_{name}(pb_istream_t *in);")
    for name, fields in messages.items():
        called = [f for f in fields if f["label"] == "REPEATED" or f["type"] == "string"]
        lines = [nano_scalar(f, messages, name) for f in fields if f not in called]
        out.append("\n".join([f"static void touch_{name}(const jimbot_v1_{name} *m)\n{{\n    (void)m;", *lines, "}"]))
        out.append("\n".join([
            f"bool touch_{name}_field(pb_istream_t *in, pb_ostream_t *out, const pb_field_t *field)\n{{",
            "    (void)out;\n    switch (field->tag) {", *(nano_case(f, messages) for f in called),
            "    default:\n        return pb_read(in, NULL, in->bytes_left);\n    }\n}"]))
        out.append(f"static bool message_{name}(pb_istream_t *in)\n{{\n    jimbot_v1_{name} m;\n\n"
                   f"    if (!pb_decode(in, jimbot_v1_{name}_fields, &m))\n        return false;\n"
                   f"    touch_{name}(&m);\n    return true;\n}}")
    return "\n\n".join(out)


def nano_options(messages):
    """For nanopb's generator: which function takes a message's callbacks."""
    return "\n".join(f"jimbot.v1.{re.sub('_', '.', name)} callback_function:\"touch_{name}_field\""
                     for name in messages)


def cpp_value(kind, value, messages):
    """One value of a C++ message."""
    if kind in messages:
        return f"touch({value})"
    return f"{'real' if kind == 'double' else 'text' if kind == 'string' else 'integer'}({value})"


def cpp_field(f, messages):
    """One field of a C++ message."""
    get, kind = f"m.{f['name']}()", f["type"]
    if f["label"] == "MAP":
        return (f"    for (const auto &entry : {get}) {{\n        text(entry.first);\n"
                f"        {cpp_value(kind, 'entry.second', messages)};\n    }}")
    if f["label"] == "REPEATED":
        return f"    for (const auto &value : {get})\n        {cpp_value(kind, 'value', messages)};"
    return f"    if (m.has_{f['name']}())\n        {cpp_value(kind, get, messages)};"


def cpp(messages):
    """C++ for protoc's classes."""
    out = [f"static void touch(const jimbot::v1::{name} &m);" for name in messages]
    for name, fields in messages.items():
        out.append("\n".join([f"static void touch(const jimbot::v1::{name} &m)\n{{",
                              *(cpp_field(f, messages) for f in fields), "}"]))
    return "\n".join(out)


def main(what, *paths):
    messages, _enums = schemagen.parse(paths)
    if what != "protobuf.h":
        messages = with_entries(messages)
    print({"nanopb.h": nano, "nanopb.options": nano_options, "protobuf.h": cpp}[what](messages))


if __name__ == "__main__":
    main(*sys.argv[1:])
