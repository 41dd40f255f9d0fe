"""The schema as protoc sees it, and as lines that a person can review.

Needs protoc and Google's protobuf for Python, which the generator of nanopb needs as well. A program
that imports this without them ends as "skipped" (exit status 77).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

try:
    from google.protobuf import descriptor_pb2
except ImportError:
    print("no protobuf for this Python: skipped", file=sys.stderr)
    sys.exit(77)
if shutil.which("protoc") is None:
    print("no protoc: skipped", file=sys.stderr)
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROTO = os.path.join(ROOT, "proto")
PACKAGE = "jimbot.v1"
FOLDER = PACKAGE.replace(".", "/")
FD = descriptor_pb2.FieldDescriptorProto
TYPES = {v: k.removeprefix("TYPE_").lower() for k, v in FD.Type.items()}


def files_of(proto=PROTO):
    """Names of all files of the package, as protoc wants them."""
    return sorted(f"{FOLDER}/{name}" for name in os.listdir(os.path.join(proto, FOLDER)) if name.endswith(".proto"))


def compiled(proto=PROTO):
    """All files as a FileDescriptorSet, with their comments."""
    with tempfile.TemporaryDirectory(prefix="jimbot-schema-") as folder:
        out = os.path.join(folder, "set")
        subprocess.run(["protoc", f"--proto_path={proto}", "--include_source_info", f"--descriptor_set_out={out}",
                        *files_of(proto)], check=True)
        with open(out, "rb") as f:
            return descriptor_pb2.FileDescriptorSet.FromString(f.read())


def short(name):
    """The name of a type without its package."""
    return name.removeprefix(f".{PACKAGE}.")


def entry_of(message, field):
    """The type of a map's entries, or None when the field is no map."""
    if field.type != FD.TYPE_MESSAGE:
        return None
    name = field.type_name.rsplit(".", 1)[1]
    return next((n for n in message.nested_type if n.name == name and n.options.map_entry), None)


def type_of(field):
    """The type of a field's values: "double", "GameState"."""
    return short(field.type_name) if field.type_name else TYPES[field.type]


def field_words(message, field):
    """What a reader or writer of a field depends on, besides its number."""
    entry = entry_of(message, field)
    if entry:
        words = [f"map<{type_of(entry.field[0])}, {type_of(entry.field[1])}>"]
    elif field.label == FD.LABEL_REPEATED:
        words = ["repeated", type_of(field)]
    elif field.proto3_optional:
        words = ["optional", type_of(field)]
    elif field.HasField("oneof_index"):
        words = [f"oneof {message.oneof_decl[field.oneof_index].name}", type_of(field)]
    else:
        words = ["implicit", type_of(field)]
    if field.options.HasField("packed"):
        words.append(f"packed={field.options.packed}")
    camel = re.sub(r"_(.)", lambda m: m[1].upper(), field.name)
    if field.json_name not in ("", camel):
        words.append(f"json={field.json_name}")
    return " ".join(words)


def ranges_of(thing):
    """The reserved ranges of a message or enum, both ends included."""
    is_enum = isinstance(thing, descriptor_pb2.EnumDescriptorProto)
    return [(r.start, r.end if is_enum else r.end - 1) for r in thing.reserved_range]


def contract(descriptors):
    """{"message GameState": {"in game.proto": "", "3": "ante optional int64", …}, …}"""
    found = {}
    for file in descriptors.file:
        where = os.path.basename(file.name)
        for message in file.message_type:
            rows = found[f"message {message.name}"] = {"in": where}
            for field in sorted(message.field, key=lambda f: f.number):
                rows[str(field.number)] = f"{field.name} {field_words(message, field)}"
        for enum in file.enum_type:
            rows = found[f"enum {enum.name}"] = {"in": where}
            for value in sorted(enum.value, key=lambda v: v.number):
                rows[str(value.number)] = value.name
        for thing in [*file.message_type, *file.enum_type]:
            kind = "message" if thing in file.message_type else "enum"
            for first, last in sorted(ranges_of(thing)):
                found[f"{kind} {thing.name}"][f"reserved {first} to {last}"] = ""
            for name in sorted(thing.reserved_name):
                found[f"{kind} {thing.name}"][f"reserved {name}"] = ""
        for service in file.service:
            rows = found[f"service {service.name}"] = {"in": where}
            for rpc in service.method:
                ways = ["stream " * s + short(t) for s, t in ((rpc.client_streaming, rpc.input_type),
                                                              (rpc.server_streaming, rpc.output_type))]
                rows[rpc.name] = " -> ".join(ways)
    return found


def to_text(found):
    """A contract as text, one line a promise."""
    lines = []
    for name in sorted(found):
        rows = dict(found[name])
        lines.append(f"{name} in {rows.pop('in')}")
        lines += [f"  {key} {words}".rstrip() for key, words in rows.items()]
    return "\n".join(lines) + "\n"


def from_text(text):
    """The contract that a text tells of; what to_text() wrote comes back."""
    found, rows = {}, {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if not line.startswith(" "):
            name, where = line.split(" in ")
            rows = found[name] = {"in": where}
        elif line.startswith("  reserved "):
            rows[line.strip()] = ""
        else:
            key, words = line.strip().split(" ", 1)
            rows[key] = words
    return found
