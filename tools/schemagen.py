#!/usr/bin/env python3
"""Compile the .proto files and a dialect into schema_tables.c (see libjimbot/schema/schema_tables.h).

Usage: schemagen.py OUTPUT.c DIALECT.toml FILE.proto...

Reads the subset of proto3 that the schema uses: top-level messages and enums, scalar types, repeated,
optional, map<string, T>, oneof; `reserved` and options of fields are stepped over. Anything else is an
error that names file and line.
"""

import itertools
import re
import sys
import tomllib

SCALARS = {"bool": "BOOL", "int64": "INT", "uint32": "INT", "double": "DOUBLE", "string": "STRING"}
WIRE = {"BOOL": 0, "INT": 0, "ENUM": 0, "DOUBLE": 1, "STRING": 2, "JSON": 2, "MESSAGE": 2}
EXTRAS, NON_FINITE = 15, 100
INTERNAL = {"Event.type_name"}
QUOTED_BYTES, IDS_MAX = 32, 1024  # see schema_tables.h
TOKEN = re.compile(r'\s+|//[^\n]*|("(?:[^"\\]|\\.)*")|([A-Za-z_][\w.]*)|(\d+)|([][{}<>=;,])')


class SchemaError(Exception):
    """The input is not the subset we read."""


class Tokens:
    """A file as tokens, with line numbers for errors."""

    def __init__(self, path):
        self.path, self.items, self.pos = path, [], 0
        with open(path, encoding="utf-8") as f:
            text = f.read()
        at, line = 0, 1
        while at < len(text):
            m = TOKEN.match(text, at)
            if not m:
                raise SchemaError(f"{path}:{line}: cannot read {text[at:at + 20]!r}")
            if m.lastindex:
                self.items.append((m.group(), line))
            line += m.group().count("\n")
            at = m.end()

    def next(self, want=None):
        """The next token; an error unless it is `want`."""
        if self.pos == len(self.items):
            raise SchemaError(f"{self.path}: ends too early")
        token, line = self.items[self.pos]
        self.pos += 1
        if want is not None and token != want:
            raise SchemaError(f"{self.path}:{line}: expected {want!r}, found {token!r}")
        return token

    def peek(self):
        """The next token without taking it, None at the end."""
        return self.items[self.pos][0] if self.pos < len(self.items) else None


def skip_statement(t):
    """Step over the rest of a statement."""
    while t.next() != ";":
        pass


def skip_options(t):
    """Step over `[deprecated = true]`, if there, and the end of the statement."""
    if t.peek() == "[":
        while t.next() != "]":
            pass
    t.next(";")


def parse_field(t, oneof):
    """One field, as a dict of label, type, name and number."""
    label, kind = "SINGLE", t.next()
    if kind in ("optional", "repeated"):
        label = "REPEATED" if kind == "repeated" else "SINGLE"
        kind = t.next()
    elif kind == "map":
        t.next("<"), t.next("string"), t.next(",")
        label, kind = "MAP", t.next()
        t.next(">")
    name = t.next()
    t.next("=")
    number = int(t.next())
    skip_options(t)
    return {"label": label, "type": kind, "name": name, "number": number, "oneof": oneof}


def parse_message(t):
    """The fields of one message."""
    fields = []
    t.next("{")
    while t.peek() != "}":
        if t.peek() == "oneof":
            t.next(), t.next(), t.next("{")
            while t.peek() != "}":
                fields.append(parse_field(t, True))
            t.next("}")
        elif t.peek() == "reserved":
            skip_statement(t)
        else:
            fields.append(parse_field(t, False))
    t.next("}")
    return sorted(fields, key=lambda f: f["number"])


def parse_enum(t):
    """The values of one enum: [(name, number)]."""
    values = []
    t.next("{")
    while t.peek() != "}":
        name = t.next()
        if name == "reserved":
            skip_statement(t)
            continue
        t.next("=")
        values.append((name, int(t.next())))
        skip_options(t)
    t.next("}")
    return sorted(values, key=lambda v: v[1])


def parse(paths):
    """All messages and enums of the files."""
    messages, enums = {}, {}
    for path in paths:
        t = Tokens(path)
        while t.peek() is not None:
            word = t.next()
            if word == "message":
                name = t.next()
                messages[name] = parse_message(t)
            elif word == "enum":
                name = t.next()
                enums[name] = parse_enum(t)
            elif word in ("syntax", "package", "import", "option"):
                skip_statement(t)
            else:
                raise SchemaError(f"{path}: unexpected {word!r} at top level")
    return messages, enums


def c_string(text):
    """A C literal, or NULL."""
    return "NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def hash_table(keys):
    """Multipliers and slots of a perfect hash over `keys`: see jbi_key_hash()."""
    raw = [k.encode() for k in keys]
    size = 4
    while size < 2 * len(raw):
        size *= 2
    while True:
        for mul in itertools.product(range(1, 32, 2), range(0, 64, 3), range(0, 64, 5), (1, 7)):
            slots = [0] * size
            for i, k in enumerate(raw):
                h = (len(k) + mul[0] * k[0] + mul[1] * k[-1] + mul[2] * k[len(k) // 2]
                     + mul[3] * k[len(k) * 3 // 4])
                if slots[h & (size - 1)]:
                    break
                slots[h & (size - 1)] = i + 1
            else:
                return mul, slots
        size *= 2
        if size > 4096:
            raise SchemaError(f"no perfect hash for {keys}")


def varint(n):
    """Protobuf varint."""
    out = []
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return out + [n]


def array(out, ctype, name, items):
    """Emit one static array, wrapped."""
    out.append(f"static const {ctype} {name}[] = {{")
    for i in range(0, len(items), 16):
        out.append("    " + " ".join(f"{x}," for x in items[i:i + 16]))
    out.append("};")


def snake(name):
    """CardType -> CARD_TYPE."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def emit_enum(out, name, values, dialect):
    """Tables of one enum."""
    conf = dialect.get("enum", {}).get(name, {})
    spell = dict(conf.get("spell", {}))
    rows, canonical = [], []
    for full, number in values:
        short = full.removeprefix(snake(name) + "_")
        words = spell.pop(short, [short])
        if number == 0:
            continue
        canonical.append((words[0], True, number))
        rows += [(w, i == 0, number) for i, w in enumerate(words)]
    if spell:
        raise SchemaError(f"enum {name} has no value {', '.join(spell)}")
    mul, slots = hash_table([r[0] for r in rows])
    for suffix, items in (("spellings", rows), ("values", canonical)):
        out.append(f"static const struct jbi_enum_spelling {name}_{suffix}[] = {{")
        for text, is_canonical, number in items:
            flag = "true" if is_canonical else "false"
            out.append(f"    {{{c_string(text)}, {len(text.encode())}, {flag}, {number}}},")
        out.append("};")
    array(out, "uint8_t", f"{name}_slots", slots)
    prefix = conf.get("number_prefix")
    number = "true" if conf.get("number") else "false"
    out.append(f"static const struct jbi_enum enum_{name} = {{{c_string(name)}, {name}_spellings, "
               f"{name}_values, {name}_slots, {c_string(prefix)}, {len(slots) - 1}, {len(canonical)}, "
               f"{{{', '.join(map(str, mul))}}}, {len(prefix or '')}, {number}}};\n")


def quoted(key):
    """`"key":` and its length, or an empty text when it is too long to be compared at once."""
    text = f'"{key}":'
    return (text, len(text)) if len(text) <= QUOTED_BYTES - 1 else ("", 0)


def field_row(message, f, idx, ids_of_all, enums, messages, dialect):
    """One initialiser of struct jbi_field_info."""
    full = f"{message}.{f['name']}"
    ids, json = dialect["fields"]["ids"], dialect["fields"]["json"]
    key = dialect.get("keys", {}).get(full, f["name"])
    if f["type"] in SCALARS:
        kind = "JSON" if full in json or full == "Custom.json" else SCALARS[f["type"]]
    elif f["type"] in enums:
        kind = "ENUM"
    elif f["type"] in messages:
        kind = "MESSAGE"
    else:
        raise SchemaError(f"{full}: unknown type {f['type']}")
    flags = []
    if full in ids:
        flags.append("JBI_FIELD_ID")
    if f["oneof"]:
        flags.append("JBI_FIELD_PAYLOAD")
    if is_internal(message, f):
        flags.append("JBI_FIELD_INTERNAL")
    wire = 2 if f["label"] != "SINGLE" else WIRE[kind]
    tag = varint(f["number"] << 3 | wire)
    sub = f"&jbi_message_{f['type']}" if kind == "MESSAGE" else "NULL"
    enum = f"&enum_{f['type']}" if kind == "ENUM" else "NULL"
    padded = ", ".join(str(b) for b in tag + [0] * (3 - len(tag)))
    text, text_bytes = quoted(key)
    return (f"    {{{c_string(key)}, {c_string(f['name'])}, {sub}, {enum}, {len(key)}, {len(f['name'])}, "
            f"JBI_KIND_{kind}, JBI_LABEL_{f['label']}, {' | '.join(flags) or 0}, {idx}, {len(tag)}, "
            f"{{{padded}}}, {f['number']}, {next(ids_of_all)}, {text_bytes}, {c_string(text)}}},"), key


def is_internal(message, f):
    """Fields that no JSON key reaches."""
    return f["number"] in (EXTRAS, NON_FINITE) or f["oneof"] or f"{message}.{f['name']}" in INTERNAL


def emit_message(out, name, fields, ids_of_all, enums, messages, dialect):
    """Tables of one message."""
    if len(fields) > 128:
        raise SchemaError(f"{name} has more than 128 fields")
    keys, places = [], []
    out.append(f"static const struct jbi_field_info {name}_fields[] = {{")
    for idx, f in enumerate(fields):
        row, key = field_row(name, f, idx, ids_of_all, enums, messages, dialect)
        out.append(row)
        if not is_internal(name, f):
            keys.append(key)
            places.append(idx + 1)
    out.append("};")
    mul, slots = hash_table(keys)
    array(out, "uint8_t", f"{name}_slots", [places[s - 1] if s else 0 for s in slots])
    top = fields[-1]["number"]
    numbers = [0] * (top + 1)
    for idx, f in enumerate(fields):
        numbers[f["number"]] = idx + 1
    array(out, "uint8_t", f"{name}_numbers", numbers)
    out.append(f"const struct jbi_message jbi_message_{name} = {{{c_string(name)}, {name}_fields, {name}_slots, "
               f"{name}_numbers, {len(slots) - 1}, {len(fields)}, {top}, {next(ids_of_all)}, {{{', '.join(map(str, mul))}}}, "
               f"{'true' if name == 'Event' else 'false'}}};\n")


def topic_parts(topic):
    """"game.scoring.{subtype}" -> "game.scoring." and the name of what follows."""
    start, brace, tail = topic.partition("{")
    if brace and tail not in ("subtype}", "name}", "type}"):
        raise SchemaError(f"topic {topic!r}: a topic ends with {{subtype}}, {{name}} or {{type}}")
    return start, tail.rstrip("}").upper() or "WHOLE"


def emit_events(out, messages, enums, dialect):
    """The table of event types, indexed by number."""
    by_name = {e["type"]: e for e in dialect["event"]}
    places = {f["name"]: i for i, f in enumerate(messages["Event"])}
    prefix = "EVENT_TYPE_"
    out.append("const struct jbi_event_type jbi_event_types[] = {")
    for i, (full, number) in enumerate(enums["EventType"]):
        if i != number:
            raise SchemaError("EventType has a gap")
        if number == 0:
            out.append("    {NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0},")
            continue
        e = by_name.pop(full.removeprefix(prefix))
        json, sub, key = e.get("json"), e.get("subtype"), e["payload_key"]
        name = json if json and not sub else e["type"]
        topic, tail = topic_parts(e["topic"])
        out.append(f"    {{{c_string(name)}, {c_string(json)}, {c_string(sub)}, {c_string(key)}, "
                   f"{c_string(topic)}, &Event_fields[{places[e['payload']]}], {len(name)}, {len(json or '')}, "
                   f"{len(sub or '')}, {len(key)}, {len(topic)}, JBI_TOPIC_{tail}}},")
    if by_name:
        raise SchemaError(f"no EventType for {', '.join(by_name)}")
    out.append("};")
    out.append(f"const uint32_t jbi_n_event_types = {len(enums['EventType'])};")


def check(messages, dialect):
    """Rules of the schema that protoc does not know."""
    known = {f"{m}.{f['name']}" for m, fields in messages.items() for f in fields}
    for full in dialect["fields"]["ids"] + dialect["fields"]["json"] + list(dialect.get("keys", {})):
        if full not in known:
            raise SchemaError(f"the dialect names {full}, which is no field")
    for m, fields in messages.items():
        if m != "Extra" and not any(f["number"] == EXTRAS and f["type"] == "Extra" for f in fields):
            raise SchemaError(f"{m} has no extras = {EXTRAS}")
        if any((f["number"] == NON_FINITE) != (f["name"] == "non_finite") for f in fields):
            raise SchemaError(f"{m}: non_finite, and nothing else, has the number {NON_FINITE}")


def main(argv):
    """Entry point; returns the exit status."""
    output, dialect_path, protos = argv[1], argv[2], argv[3:]
    try:
        with open(dialect_path, "rb") as f:
            dialect = tomllib.load(f)
        messages, enums = parse(protos)
        check(messages, dialect)
        out = ["/* Made by tools/schemagen.py; see schema_tables.h. */", '#include "schema/schema_tables.h"', ""]
        out += [f"extern const struct jbi_message jbi_message_{m};" for m in messages]
        out.append("")
        for name, values in enums.items():
            if name != "EventType":
                emit_enum(out, name, values, dialect)
        out.append("static const struct jbi_enum enum_EventType = {\"EventType\", NULL, NULL, NULL, NULL, 0, 0, "
                   "{0, 0, 0, 0}, 0, false};\n")
        ids_of_all = itertools.count()
        for name, fields in messages.items():
            emit_message(out, name, fields, ids_of_all, enums, messages, dialect)
        if next(ids_of_all) > IDS_MAX:
            raise SchemaError(f"more than {IDS_MAX} messages and fields")
        emit_events(out, messages, enums, dialect)
    except (SchemaError, tomllib.TOMLDecodeError, KeyError) as e:
        print(f"schemagen: {e}", file=sys.stderr)
        return 1
    with open(output, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
