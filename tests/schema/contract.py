#!/usr/bin/env python3
"""Rules that every file of the schema keeps, and that protoc does not know.

Those of `buf lint` as far as they apply (names, prefixes, zero values, packages, imports, comments,
requests and responses), and our own: presence, reserved numbers, extras, non_finite, scores. One rule
of buf's is not kept: services need not end in Service.
"""

import copy
import re
import unittest

import descriptors
from descriptors import FD, PACKAGE, FOLDER, entry_of, ranges_of, short

PASCAL, SNAKE, UPPER = r"[A-Z][A-Za-z0-9]*", r"[a-z][a-z0-9]*(_[a-z0-9]+)*", r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*"
PRIVATE = (50000, 50999)
EXTRAS, NON_FINITE, FIRST_PAYLOAD = 15, 100, 32
EVENT_TYPES = {FD.TYPE_BOOL, FD.TYPE_INT64, FD.TYPE_UINT32, FD.TYPE_DOUBLE, FD.TYPE_STRING, FD.TYPE_ENUM,
               FD.TYPE_MESSAGE}
TYPES = EVENT_TYPES | {FD.TYPE_UINT64, FD.TYPE_BYTES}
SCORES = re.compile(r"(^|_)(chips|mult|money|score|dollars)$")


class Schema:
    """What the rules ask of a descriptor set; findings are gathered in `found`."""

    def __init__(self, descriptor_set):
        self.files, self.found = descriptor_set.file, []
        self.messages = {m.name: m for f in self.files for m in f.message_type}
        self.enums = {e.name: e for f in self.files for e in f.enum_type}
        self.file_of = {x.name: f.name for f in self.files for x in [*f.message_type, *f.enum_type]}
        self.in_events = self.reachable("Event")

    def reachable(self, name):
        """A message and all that it can contain."""
        seen, todo = set(), [name]
        while todo:
            name = todo.pop()
            if name in seen or name not in self.messages:
                continue
            seen.add(name)
            message = self.messages[name]
            for field in message.field:
                entry = entry_of(message, field)
                todo.append(short((entry.field[1] if entry else field).type_name))
        return seen

    def rule(self, holds, what):
        """Note a finding unless the rule holds."""
        if not holds:
            self.found.append(what)

    def check(self):
        """All findings."""
        for file in self.files:
            self.check_file(file)
            comments = {tuple(place.path): place.leading_comments + place.trailing_comments
                        for place in file.source_code_info.location}
            self.comments = lambda *path, known=comments: known.get(path, "").strip() != ""
            self.rule(self.comments(12), f"{file.name}: no comment says what the file is")
            for i, message in enumerate(file.message_type):
                self.check_message(message, (4, i))
            for i, enum in enumerate(file.enum_type):
                self.check_enum(enum, (5, i))
            for i, service in enumerate(file.service):
                self.check_service(service, (6, i))
        self.check_rpcs()
        return self.found

    def check_file(self, file):
        """Package, folder, imports."""
        name = file.name
        self.rule(file.syntax == "proto3", f"{name}: not proto3")
        self.rule(file.package == PACKAGE, f"{name}: its package is not {PACKAGE}")
        self.rule(re.fullmatch(f"{FOLDER}/{SNAKE}\\.proto", name), f"{name}: not a name in {FOLDER}")
        self.rule(re.fullmatch(r"[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)*\.v[1-9][0-9]*", file.package),
                  f"{name}: the package has no version")
        self.rule(not file.public_dependency and not file.weak_dependency, f"{name}: a public or weak import")
        self.rule(list(file.dependency) == sorted(file.dependency), f"{name}: its imports are not sorted")
        used = {self.file_of.get(short(f.type_name)) for m in file.message_type for x in [m, *m.nested_type]
                for f in x.field} | {self.file_of.get(short(t)) for s in file.service for r in s.method
                                     for t in (r.input_type, r.output_type)}
        for other in file.dependency:
            self.rule(other in used, f"{name}: imports {other} and does not use it")

    def check_message(self, message, path):
        """A message and its fields."""
        name = message.name
        self.rule(re.fullmatch(PASCAL, name), f"{name}: not PascalCase")
        self.rule(self.comments(*path), f"{name}: no comment")
        self.rule(PRIVATE in ranges_of(message), f"{name}: {PRIVATE[0]} to {PRIVATE[1]} is not reserved")
        self.rule(all(n.options.map_entry for n in message.nested_type) and not message.enum_type,
                  f"{name}: has a type within it")
        for i, field in enumerate(message.field):
            self.check_field(message, field, (*path, 2, i))
        for i, oneof in enumerate(message.oneof_decl):
            if any(f.oneof_index == i and f.HasField("oneof_index") and not f.proto3_optional for f in message.field):
                self.rule(re.fullmatch(SNAKE, oneof.name), f"{name}.{oneof.name}: not lower_snake_case")
                self.rule(self.comments(*path, 8, i), f"{name}.{oneof.name}: no comment")
        names = {f.name for f in message.field}
        for f in message.field:
            made = [f"has_{f.name}", f"clear_{f.name}", f"mutable_{f.name}", f"set_{f.name}", f"add_{f.name}"]
            made += [f"{f.name}_size"] if f.label == FD.LABEL_REPEATED else []
            self.rule(not names & set(made), f"{name}.{f.name}: generated C++ uses the name of a field beside it")
        if name in self.in_events:
            self.check_event_message(message)

    def check_field(self, message, field, path):
        """One field."""
        name = f"{message.name}.{field.name}"
        self.rule(re.fullmatch(SNAKE, field.name), f"{name}: not lower_snake_case")
        self.rule(self.comments(*path), f"{name}: no comment")
        in_oneof = field.HasField("oneof_index") and not field.proto3_optional
        self.rule(field.label == FD.LABEL_REPEATED or field.proto3_optional or in_oneof,
                  f"{name}: absent and zero are the same; write optional")
        self.rule(field.type in TYPES, f"{name}: a type that this schema does not use")
        entry = entry_of(message, field)
        value = entry.field[1] if entry else field
        if SCORES.search(field.name) and value.type in (FD.TYPE_INT64, FD.TYPE_UINT32, FD.TYPE_UINT64):
            self.found.append(f"{name}: scores and money are doubles")
        if field.name.endswith("_ns"):
            self.rule(field.type == FD.TYPE_UINT64, f"{name}: nanoseconds are uint64")

    def check_event_message(self, message):
        """What holds within events only."""
        name, fields = message.name, {f.name: f for f in message.field}
        extras = fields.get("extras")
        self.rule(name == "Extra" or extras and extras.number == EXTRAS and short(extras.type_name) == "Extra"
                  and extras.label == FD.LABEL_REPEATED, f"{name}: no repeated Extra extras = {EXTRAS}")
        values = [entry_of(message, f).field[1] if entry_of(message, f) else f for f in message.field]
        has_double = any(v.type == FD.TYPE_DOUBLE for v in values) and name != "Event"
        mark = fields.get("non_finite")
        self.rule(not has_double or mark and mark.number == NON_FINITE and mark.type == FD.TYPE_BOOL,
                  f"{name}: has a double and no optional bool non_finite = {NON_FINITE}")
        self.rule(has_double or not mark, f"{name}: has a non_finite and no double")
        for f, value in zip(message.field, values):
            self.rule(value.type in EVENT_TYPES, f"{name}.{f.name}: the transcoder has no such type")
            if f.HasField("oneof_index") and not f.proto3_optional:
                self.rule(f.number >= FIRST_PAYLOAD, f"{name}.{f.name}: payloads have {FIRST_PAYLOAD} and more")

    def check_enum(self, enum, path):
        """An enum and its values."""
        name = enum.name
        prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper() + "_"
        self.rule(re.fullmatch(PASCAL, name), f"{name}: not PascalCase")
        self.rule(self.comments(*path), f"{name}: no comment")
        self.rule(not enum.options.allow_alias, f"{name}: allows aliases")
        self.rule(PRIVATE in ranges_of(enum), f"{name}: {PRIVATE[0]} to {PRIVATE[1]} is not reserved")
        self.rule(enum.value[0].number == 0 and enum.value[0].name == prefix + "UNSPECIFIED",
                  f"{name}: its first value is not {prefix}UNSPECIFIED = 0")
        for i, value in enumerate(enum.value):
            self.rule(value.name.startswith(prefix), f"{value.name}: does not begin with {prefix}")
            self.rule(re.fullmatch(UPPER, value.name), f"{value.name}: not UPPER_SNAKE_CASE")
            self.rule(self.comments(*path, 2, i), f"{value.name}: no comment")

    def check_service(self, service, path):
        """A service and its calls."""
        self.rule(re.fullmatch(PASCAL, service.name), f"{service.name}: not PascalCase")
        self.rule(self.comments(*path), f"{service.name}: no comment")
        for i, rpc in enumerate(service.method):
            name = f"{service.name}.{rpc.name}"
            self.rule(re.fullmatch(PASCAL, rpc.name), f"{name}: not PascalCase")
            self.rule(self.comments(*path, 2, i), f"{name}: no comment")
            self.rule(short(rpc.input_type) == rpc.name + "Request", f"{name}: its request is not {rpc.name}Request")
            self.rule(short(rpc.output_type) == rpc.name + "Response",
                      f"{name}: its response is not {rpc.name}Response")

    def check_rpcs(self):
        """Each request and response belongs to one call."""
        uses = [short(t) for f in self.files for s in f.service for r in s.method
                for t in (r.input_type, r.output_type)]
        for name in sorted(set(uses)):
            self.rule(uses.count(name) == 1, f"{name}: used by more than one call")
            self.rule(name not in self.in_events, f"{name}: part of an event, and of a call")


class Rules(unittest.TestCase):
    """The schema as it is."""

    def test_schema_keeps_all_rules(self):
        self.assertEqual([], Schema(descriptors.compiled()).check())

    def test_services_are_there(self):
        files = descriptors.compiled().file
        self.assertEqual(["AdminService", "EventBus", "ResourceCoordinator"],
                         sorted(s.name for f in files for s in f.service))


# What is done to the schema, and the one finding that must come of it.
MUTATIONS = {
    "lower message": (lambda s: s.message("Tag", name="tag"), "tag: not PascalCase"),
    "camel field": (lambda s: s.field("Tag", "effect", name="theEffect"), "Tag.theEffect: not lower_snake_case"),
    "no presence": (lambda s: s.field("Tag", "effect", proto3_optional=False, oneof_index=None),
                    "Tag.effect: absent and zero are the same; write optional"),
    "float": (lambda s: s.field("Tag", "effect", type=FD.TYPE_FLOAT), "Tag.effect: a type that this schema"),
    "whole money": (lambda s: s.field("CardSold", "money", type=FD.TYPE_INT64), "CardSold.money: scores and money"),
    "size beside list": (lambda s: s.field("GameState", "hand_limit", name="hand_size"),
                         "GameState.hand: generated C++ uses"),
    "extras moved": (lambda s: s.field("Tag", "extras", number=16), "Tag: no repeated Extra extras = 15"),
    "no mark": (lambda s: s.drop("Joker", "non_finite"), "Joker: has a double and no optional bool non_finite"),
    "low payload": (lambda s: s.field("Event", "custom", number=20), "Event.custom: payloads have 32 and more"),
    "not reserved": (lambda s: s.find("message_type", "Tag").ClearField("reserved_range"), "Tag: 50000 to 50999"),
    "enum not reserved": (lambda s: s.find("enum_type", "Seal").ClearField("reserved_range"), "Seal: 50000 to"),
    "zero value": (lambda s: s.value("Seal", 0, name="SEAL_UNKNOWN"), "Seal: its first value is not SEAL_UNSPECIFIED"),
    "prefix": (lambda s: s.value("CardType", 1, name="CARD_TAROT"), "CARD_TAROT: does not begin with CARD_TYPE_"),
    "lower value": (lambda s: s.value("Seal", 1, name="SEAL_None"), "SEAL_None: not UPPER_SNAKE_CASE"),
    "unused import": (lambda s: s.file("card").dependency.append("jimbot/v1/game.proto"),
                      "jimbot/v1/card.proto: imports jimbot/v1/game.proto and does not use it"),
    "public import": (lambda s: s.file("game").public_dependency.append(0), "game.proto: a public or weak import"),
    "folder": (lambda s: setattr(s.file("admin"), "name", "jimbot/v1/sub/admin.proto"), "not a name in jimbot/v1"),
    "lower rpc": (lambda s: setattr(s.find("service", "EventBus"), "name", "eventBus"), "eventBus: not PascalCase"),
    "no comment": (lambda s: s.uncomment("game", 4, 5, 2, 0), ": no comment"),
    "no enum comment": (lambda s: s.uncomment("card", 5, 0, 2, 1), "SUIT_HEARTS: no comment"),
    "no rpc comment": (lambda s: s.uncomment("event_bus", 6, 0, 2, 0), "EventBus.Publish: no comment"),
    "no oneof comment": (lambda s: s.uncomment("event", 4, 0, 8, 0), "Event.payload: no comment"),
    "no file comment": (lambda s: s.uncomment("card", 12), "card.proto: no comment says what the file is"),
}


class Mutant:
    """A copy of the schema to spoil."""

    def __init__(self, whole):
        self.set = copy.deepcopy(whole)

    def file(self, name):
        """A file by its short name."""
        return next(f for f in self.set.file if f.name == f"{FOLDER}/{name}.proto")

    def find(self, kind, name):
        """A message, enum or service."""
        return next(x for f in self.set.file for x in getattr(f, kind) if x.name == name)

    @staticmethod
    def change(thing, /, **to):
        """Set attributes; None clears."""
        for key, value in to.items():
            if value is None:
                thing.ClearField(key)
            else:
                setattr(thing, key, value)

    def message(self, name, /, **to):
        """Change a message."""
        self.change(self.find("message_type", name), **to)

    def field(self, message, field, /, **to):
        """Change a field."""
        self.change(next(f for f in self.find("message_type", message).field if f.name == field), **to)

    def drop(self, message, field):
        """Remove the last field of a message."""
        fields = self.find("message_type", message).field
        assert fields[-1].name == field
        del fields[-1]

    def value(self, enum, index, /, **to):
        """Change a value of an enum."""
        self.change(self.find("enum_type", enum).value[index], **to)

    def uncomment(self, file, *path):
        """Take a comment away."""
        place = next(p for p in self.file(file).source_code_info.location if tuple(p.path) == path)
        place.ClearField("leading_comments")
        place.ClearField("trailing_comments")


class Mutated(unittest.TestCase):
    """Each rule has something to say when it is broken."""

    def test_each_rule_sees_its_breach(self):
        whole = descriptors.compiled()
        for name, (spoil, finding) in MUTATIONS.items():
            with self.subTest(name):
                mutant = Mutant(whole)
                spoil(mutant)
                found = Schema(mutant.set).check()
                self.assertTrue(any(finding in f for f in found), found)

    def test_call_with_anothers_request(self):
        mutant = Mutant(descriptors.compiled())
        mutant.find("service", "EventBus").method[0].input_type = f".{PACKAGE}.CallRequest"
        found = Schema(mutant.set).check()
        self.assertEqual(["EventBus.Publish: its request is not PublishRequest",
                          "CallRequest: used by more than one call"], found)


if __name__ == "__main__":
    unittest.main()
