#!/usr/bin/env python3
"""Compile the .proto files and the dialects into schema_tables.c (see libjimbot/schema/schema_tables.h).

Usage: schemagen.py OUTPUT.c DIALECT.toml... FILE.proto...
The first dialect says the topic of every event type and which member of the oneof is its payload.

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
INTERNAL = {"Event.type_name", "Event.dialect"}
FORMS = {"event", "payload", "message"}
PAYLOAD_KEYS = ("payload", "data")  # that the reader leaps over until the type is known
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
    if len(set(keys)) < len(keys):
        raise SchemaError(f"a key twice in {sorted(keys)}")
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


class Dialect:
    """One .toml file: how things are spelled."""

    def __init__(self, path, messages, enums):
        with open(path, "rb") as f:
            self.conf = tomllib.load(f)
        about = self.conf["dialect"]
        self.name, self.form = about["name"], about.get("form", "event")
        self.camel, self.full = about.get("names") == "camel", about.get("enums") == "full"
        self.root, self.envelope = about.get("root_type"), about.get("envelope_key")
        self.is_first, self.messages, self.enums = False, messages, enums
        self.ids_of_all = itertools.count()
        fields = self.conf.get("fields", {})
        self.ids, self.json = set(fields.get("ids", [])), set(fields.get("json", []))
        self.keyless = set(fields.get("keyless", []))
        self.keys, self.groups = self.conf.get("keys", {}), self.conf.get("groups", {})
        self.check(path)

    def check(self, path):
        """Every name in the file is one of the schema."""
        known = {f"{m}.{f['name']}" for m, fields in self.messages.items() for f in fields}
        named = [*self.ids, *self.json, *self.keyless, *self.keys]
        named += [f"{m}.{f}" for m, groups in self.groups.items() for g in groups.values() for f in g.values()]
        for full in named:
            if full not in known:
                raise SchemaError(f"{path} names {full}, which is no field")
        if self.form not in FORMS:
            raise SchemaError(f"{path}: form is one of {', '.join(sorted(FORMS))}")
        if (self.form == "payload") != (self.root is not None):
            raise SchemaError(f"{path}: root_type goes with the form payload")

    def symbol(self, name):
        """The C name of a table."""
        return f"jbi_{name}" if self.is_first and name in ("message_Event", "event_types") else f"{self.name}_{name}"

    def group_of(self, message, field):
        """(key of the group or None, key of the field)."""
        for group, members in self.groups.get(message, {}).items():
            for key, name in members.items():
                if name == field:
                    return group, key
        name = re.sub(r"_(\w)", lambda m: m[1].upper(), field) if self.camel else field
        return None, self.keys.get(f"{message}.{field}", name)

    def is_internal(self, message, f):
        """Fields that no JSON key reaches."""
        full = f"{message}.{f['name']}"
        if self.form == "message":
            return False
        return f["number"] in (EXTRAS, NON_FINITE) or f["oneof"] or full in INTERNAL | self.keyless

    def is_plain(self, name):
        """Messages whose fields are all ordinary: an Extra is one."""
        return self.form == "message" or name == "Extra"


def emit_enum(out, name, values, d):
    """Tables of one enum."""
    conf = d.conf.get("enum", {}).get(name, {})
    spell = dict(conf.get("spell", {}))
    rows, canonical = [], []
    for full, number in values:
        short = full.removeprefix(snake(name) + "_")
        words = [full, *spell.pop(short, [])] if d.full else spell.pop(short, [short])
        if number == 0 and not d.full:
            continue
        canonical.append((words[0], True, number))
        rows += [(w, i == 0, number) for i, w in enumerate(words)]
    if spell:
        raise SchemaError(f"enum {name} has no value {', '.join(spell)}")
    common = len(snake(name)) + 1 if d.full else 0
    mul, slots = hash_table([r[0][common:] for r in rows])
    symbol = f"{d.name}_{name}"
    for suffix, items in (("spellings", rows), ("values", canonical)):
        out.append(f"static const struct jbi_enum_spelling {symbol}_{suffix}[] = {{")
        for text, is_canonical, number in items:
            flag = "true" if is_canonical else "false"
            out.append(f"    {{{c_string(text)}, {len(text.encode())}, {flag}, {number}}},")
        out.append("};")
    array(out, "uint8_t", f"{symbol}_slots", slots)
    prefix = conf.get("number_prefix")
    number, is_open = ("true" if b else "false" for b in (conf.get("number"), d.full))
    out.append(f"static const struct jbi_enum {d.name}_enum_{name} = {{{c_string(name)}, {symbol}_spellings, "
               f"{symbol}_values, {symbol}_slots, {c_string(prefix)}, {len(slots) - 1}, {len(canonical)}, "
               f"{{{', '.join(map(str, mul))}}}, {len(prefix or '')}, {common}, {number}, {is_open}}};\n")


def field_flags(message, f, d):
    """The enum jbi_field_flags of a field."""
    flags = {
        "ID": f"{message}.{f['name']}" in d.ids,
        "PAYLOAD": f["oneof"],
        "INTERNAL": d.is_internal(message, f),
        "EXTRAS": f["number"] == EXTRAS and not d.is_plain(message),
        "QUOTED": f["type"] == "int64" and d.form == "message",
        "UINT32": f["type"] == "uint32",
    }
    return " | ".join(f"JBI_FIELD_{name}" for name, holds in flags.items() if holds) or "0"


def field_kind(full, f, d):
    """The enum jbi_kind of a field, without its prefix."""
    if f["type"] in SCALARS:
        return "JSON" if full in d.json else SCALARS[f["type"]]
    if f["type"] in d.enums:
        return "ENUM"
    if f["type"] in d.messages:
        return "MESSAGE"
    raise SchemaError(f"{full}: unknown type {f['type']}")


def quoted(key):
    """`"key":` and its length, or an empty text when it is too long to be compared at once."""
    text = f'"{key}":'
    return (text, len(text)) if len(text) <= QUOTED_BYTES - 1 else ("", 0)


def field_row(message, f, idx, key, group, d):
    """One initialiser of struct jbi_field_info."""
    kind = field_kind(f"{message}.{f['name']}", f, d)
    wire = 2 if f["label"] != "SINGLE" else WIRE[kind]
    tag = varint(f["number"] << 3 | wire)
    sub = f"&{d.symbol('message_' + f['type'])}" if kind == "MESSAGE" else "NULL"
    enum = f"&{d.name}_enum_{f['type']}" if kind == "ENUM" else "NULL"
    padded = ", ".join(str(b) for b in tag + [0] * (3 - len(tag)))
    text, text_bytes = quoted(key)
    return (f"    {{{c_string(key)}, {c_string(f['name'])}, {sub}, {enum}, {len(key)}, {len(f['name'])}, "
            f"JBI_KIND_{kind}, JBI_LABEL_{f['label']}, {field_flags(message, f, d)}, {idx}, {len(tag)}, "
            f"{{{padded}}}, {f['number']}, {next(d.ids_of_all)}, {group}, {text_bytes}, {c_string(text)}}},")


def group_row(symbol, idx, key, d):
    """The field that opens a group."""
    text, text_bytes = quoted(key)
    return (f'    {{{c_string(key)}, "", &{symbol}, NULL, {len(key)}, 0, JBI_KIND_GROUP, JBI_LABEL_SINGLE, 0, {idx}, '
            f"0, {{0, 0, 0}}, 0, {next(d.ids_of_all)}, 0, {text_bytes}, {c_string(text)}}},")


def emit_lookup(out, d, table, message, keys, group, place):
    """A jbi_message over the fields of `message`: the message itself, or a group. keys: {key: idx}."""
    fields, symbol = d.messages[message], f"{d.name}_{message}"
    name = f"{symbol}_{table}_slots"
    mul, slots = hash_table(list(keys))
    places = [idx + 1 for idx in keys.values()]
    array(out, "uint8_t", name, [places[s - 1] if s else 0 for s in slots])
    is_event = message == "Event" and d.form != "message" and not group
    shown, linkage = (table, "static ") if group else (message, "")
    target = f"{symbol}_group_{table}" if group else d.symbol("message_" + message)
    if not target.startswith("jbi_"):
        linkage = "static "
    out.append(f"{linkage}const struct jbi_message {target} = {{{c_string(shown)}, {symbol}_fields, {name}, "
               f"{symbol}_numbers, {len(slots) - 1}, {len(fields)}, {fields[-1]['number']}, "
               f"{next(d.ids_of_all)}, {{{', '.join(map(str, mul))}}}, {'true' if is_event else 'false'}, "
               f"{'true' if d.camel else 'false'}, {group}, {place}}};\n")


def emit_message(out, name, place, d):
    """Tables of one message and its groups."""
    fields, groups = d.messages[name], list(d.groups.get(name, {}))
    if len(fields) + len(groups) > 128:
        raise SchemaError(f"{name} has more than 128 fields and groups")
    idx_of = {g: len(fields) + i for i, g in enumerate(groups)}
    tables = {g: {} for g in [None, *groups]}
    for g in groups:
        out.append(f"static const struct jbi_message {d.name}_{name}_group_{g};")
    out.append(f"static const struct jbi_field_info {d.name}_{name}_fields[] = {{")
    for idx, f in enumerate(fields):
        group, key = d.group_of(name, f["name"])
        out.append(field_row(name, f, idx, key, idx_of.get(group, 0), d))
        if d.is_internal(name, f):
            continue
        if key in tables[group]:
            raise SchemaError(f"{d.name}: {name} has the key {key} twice")
        tables[group][key] = idx
    for g in groups:
        out.append(group_row(f"{d.name}_{name}_group_{g}", idx_of[g], g, d))
        if g in tables[None]:
            raise SchemaError(f"{d.name}: {name} has the key {g} twice")
        tables[None][g] = idx_of[g]
    out.append("};")
    numbers = [0] * (fields[-1]["number"] + 1)
    for idx, f in enumerate(fields):
        numbers[f["number"]] = idx + 1
    array(out, "uint8_t", f"{d.name}_{name}_numbers", numbers)
    for g, keys in tables.items():
        emit_lookup(out, d, g or "message", name, keys, idx_of.get(g, 0), place)


def topic_parts(topic):
    """"game.scoring.{subtype}" -> "game.scoring." and the name of what follows."""
    start, brace, tail = topic.partition("{")
    if brace and tail not in ("subtype}", "name}", "type}"):
        raise SchemaError(f"topic {topic!r}: a topic ends with {{subtype}}, {{name}} or {{type}}")
    return start, tail.rstrip("}").upper() or "WHOLE"


def emit_types(out, d, first):
    """The table of event types, indexed by number. What a dialect does not say is as in the first."""
    by_name = {e["type"]: e for e in d.conf.get("event", [])}
    places = {f["name"]: i for i, f in enumerate(d.messages["Event"])}
    if not d.is_first:
        out.append(f"static const struct jbi_event_type {d.symbol('event_types')}[] = {{")
    else:
        out.append(f"const struct jbi_event_type {d.symbol('event_types')}[] = {{")
    for i, (full, number) in enumerate(d.enums["EventType"]):
        if i != number:
            raise SchemaError("EventType has a gap")
        if number == 0:
            out.append("    {NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0},")
            continue
        short = full.removeprefix("EVENT_TYPE_")
        if short not in by_name and d.form == "event":
            raise SchemaError(f"{d.name} does not spell {short}")
        e = first[short] | by_name.pop(short, {})
        if d.form == "event" and e["payload_key"] not in PAYLOAD_KEYS:
            raise SchemaError(f"{d.name}: the payload of {short} has another key than {', '.join(PAYLOAD_KEYS)}")
        json, sub, key = e.get("json"), e.get("subtype"), e["payload_key"]
        name = json if json and not sub else e["type"]
        topic, tail = topic_parts(e["topic"])
        out.append(f"    {{{c_string(name)}, {c_string(json)}, {c_string(sub)}, {c_string(key)}, "
                   f"{c_string(topic)}, &{d.name}_Event_fields[{places[e['payload']]}], {len(name)}, "
                   f"{len(json or '')}, {len(sub or '')}, {len(key)}, {len(topic)}, JBI_TOPIC_{tail}}},")
    if by_name:
        raise SchemaError(f"{d.name}: no EventType for {', '.join(by_name)}")
    out.append("};")


def emit_dialect(out, d, first):
    """All tables of one dialect."""
    for m in d.messages:
        symbol = d.symbol("message_" + m)
        out.append(f"{'extern' if symbol.startswith('jbi_') else 'static'} const struct jbi_message {symbol};")
    out.append("")
    for name, values in d.enums.items():
        if name != "EventType" or d.full:
            emit_enum(out, name, values, d)
    if not d.full:
        out.append(f"static const struct jbi_enum {d.name}_enum_EventType = {{\"EventType\", NULL, NULL, NULL, NULL, "
                   "0, 0, {0, 0, 0, 0}, 0, 0, false, false};\n")
    for place, name in enumerate(d.messages):
        emit_message(out, name, place, d)
    if next(d.ids_of_all) > IDS_MAX:
        raise SchemaError(f"more than {IDS_MAX} messages, groups and fields")
    emit_types(out, d, first)
    out.append(f"static const struct jbi_message *const {d.name}_messages[] = {{")
    out += [f"    &{d.symbol('message_' + m)}," for m in d.messages]
    out.append("};\n")


def dialect_row(d):
    """One initialiser of struct jbi_dialect."""
    root = [n for full, n in d.enums["EventType"] if full == f"EVENT_TYPE_{d.root}"] if d.root else [0]
    if not root:
        raise SchemaError(f"{d.name}: no EventType {d.root}")
    is_message = d.form == "message"
    normal, marked = ("true" if b else "false" for b in (is_message, not d.is_first and not is_message))
    return (f"    {{{c_string(d.name)}, &{d.symbol('message_Event')}, {d.symbol('event_types')}, {d.name}_messages, "
            f"{root[0]}, {c_string(d.envelope)}, {normal}, {marked}}},")


def check(messages):
    """Rules of the schema that protoc does not know."""
    for m, fields in messages.items():
        if m != "Extra" and not any(f["number"] == EXTRAS and f["type"] == "Extra" for f in fields):
            raise SchemaError(f"{m} has no extras = {EXTRAS}")
        if any((f["number"] == NON_FINITE) != (f["name"] == "non_finite") for f in fields):
            raise SchemaError(f"{m}: non_finite, and nothing else, has the number {NON_FINITE}")


def generate(dialect_paths, protos):
    """The lines of the C file."""
    messages, enums = parse(protos)
    check(messages)
    dialects = [Dialect(path, messages, enums) for path in dialect_paths]
    dialects[0].is_first = True
    first = {e["type"]: e for e in dialects[0].conf["event"]}
    out = ["/* Made by tools/schemagen.py; see schema_tables.h. */", '#include "schema/schema_dialect.h"', ""]
    for d in dialects:
        emit_dialect(out, d, first)
    out.append("const struct jbi_dialect jbi_dialects[] = {")
    out += [dialect_row(d) for d in dialects]
    out.append("};")
    out.append(f"const uint32_t jbi_n_dialects = {len(dialects)};")
    out.append(f"const uint32_t jbi_n_event_types = {len(enums['EventType'])};")
    return out


def main(argv):
    """Entry point; returns the exit status."""
    dialects = [a for a in argv[2:] if a.endswith(".toml")]
    try:
        out = generate(dialects, [a for a in argv[2:] if a not in dialects])
    except (SchemaError, tomllib.TOMLDecodeError, KeyError) as e:
        print(f"schemagen: {e}", file=sys.stderr)
        return 1
    with open(argv[1], "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
