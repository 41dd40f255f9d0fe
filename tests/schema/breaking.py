#!/usr/bin/env python3
"""What a release promised stays true: no field of the schema goes, moves or becomes another.

golden/X.Y.txt is what version X.Y promises, one line a promise. A schema may have more than any of
them, never less. The one of the version in the making is written anew with every addition, so that
additions are seen in a review:
    breaking.py --write X.Y [--force]   force: also when it takes back what the file promised
Without --write, as a test: breaking.py X.Y.Z, the version in the making.
"""

import copy
import os
import sys
import unittest

import descriptors
from descriptors import FD, contract, from_text, to_text

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
HEAD = "# What version {} of the schema promises. Written by tests/schema/breaking.py --write {}; released ones stay.\n"
VERSION = "0.0"


def broken(promised, present):
    """Promises that the schema does not keep, in words."""
    found = []
    for name, rows in promised.items():
        if name not in present:
            found.append(f"{name} is gone")
            continue
        for key, words in rows.items():
            now = present[name].get(key)
            if key.startswith("reserved "):
                if not is_reserved(key, present[name]):
                    found.append(f"{name}: {key} is taken back")
            elif now is None:
                found.append(f"{name}: {key} ({words}) is gone")
            elif now != words:
                found.append(f"{name}: {key} was '{words}', is '{now}'")
    return found


def is_reserved(key, rows):
    """Whether a reserved name or range is still within one."""
    if key in rows or " to " not in key:
        return key in rows
    first, last = map(int, key.removeprefix("reserved ").split(" to "))
    ranges = [r.removeprefix("reserved ").split(" to ") for r in rows if r.startswith("reserved ") and " to " in r]
    return any(int(a) <= first and last <= int(b) for a, b in ranges)


def golden(version):
    """The promises of a version."""
    with open(os.path.join(GOLDEN, f"{version}.txt"), encoding="utf-8") as f:
        return from_text(f.read())


def write(version, force):
    """Write down what the schema promises now."""
    path = os.path.join(GOLDEN, f"{version}.txt")
    present = contract(descriptors.compiled())
    if os.path.exists(path) and not force:
        lost = broken(golden(version), present)
        if lost:
            return "\n".join([*lost, f"{version} promised more; --force only if it was never released"])
    with open(path, "w", encoding="utf-8") as f:
        f.write(HEAD.format(version, version) + to_text(present))
    return 0


class Released(unittest.TestCase):
    """The schema against every version there was."""

    def test_every_version_is_kept(self):
        present = contract(descriptors.compiled())
        versions = sorted(f.removesuffix(".txt") for f in os.listdir(GOLDEN))
        self.assertIn(VERSION, versions, f"no promises of this version: breaking.py --write {VERSION}")
        for version in versions:
            with self.subTest(version=version):
                self.assertEqual([], broken(golden(version), present))

    def test_this_version_promises_all_there_is(self):
        present = contract(descriptors.compiled())
        self.assertEqual([], broken(present, golden(VERSION)), f"not written down: breaking.py --write {VERSION}")

    def test_text_tells_all(self):
        present = contract(descriptors.compiled())
        self.assertEqual(present, from_text(to_text(present)))


class Mutated(unittest.TestCase):
    """The comparison sees every kind of breach, and nothing else."""

    @classmethod
    def setUpClass(cls):
        cls.whole = descriptors.compiled()
        cls.promised = contract(cls.whole)

    def setUp(self):
        self.mutant = copy.deepcopy(self.whole)

    def find(self, kind, name):
        """A message, enum or service of the mutant."""
        return next(x for f in self.mutant.file for x in getattr(f, kind) if x.name == name)

    def field(self, message, name):
        """A field of the mutant."""
        return next(f for f in self.find("message_type", message).field if f.name == name)

    def breach(self, word):
        """The mutant breaks one promise, and the report has the word."""
        found = broken(self.promised, contract(self.mutant))
        self.assertEqual(1, len(found), found)
        self.assertIn(word, found[0])

    def test_removed_field(self):
        message = self.find("message_type", "GameState")
        message.field.remove(self.field("GameState", "ante"))
        self.breach("message GameState: 3 (ante optional int64) is gone")

    def test_removed_field_whose_number_is_reserved(self):
        message = self.find("message_type", "GameState")
        message.field.remove(self.field("GameState", "ante"))
        message.reserved_range.add(start=3, end=4)
        self.breach("is gone")

    def test_renumbered_field(self):
        self.field("GameState", "ante").number = 90
        self.breach("3 (ante optional int64) is gone")

    def test_renamed_field(self):
        self.field("GameState", "ante").name = "level"
        self.breach("was 'ante optional int64', is 'level optional int64")

    def test_changed_type(self):
        self.field("GameState", "money").type = FD.TYPE_INT64
        self.breach("was 'money optional double', is 'money optional int64'")

    def test_changed_message_type(self):
        self.field("GameState", "blind").type_name = ".jimbot.v1.Boss"
        self.breach("was 'blind optional Blind', is 'blind optional Boss'")

    def test_field_that_becomes_a_list(self):
        field = self.field("GameState", "ante")
        field.label, field.proto3_optional = FD.LABEL_REPEATED, False
        self.breach("is 'ante repeated int64'")

    def test_list_that_becomes_a_field(self):
        field = self.field("GameState", "vouchers")
        field.label, field.proto3_optional = FD.LABEL_OPTIONAL, True
        self.breach("is 'vouchers optional string'")

    def test_lost_presence(self):
        field = self.field("GameState", "ante")
        field.proto3_optional = False
        field.ClearField("oneof_index")
        self.breach("is 'ante implicit int64'")

    def test_field_that_moves_into_a_oneof(self):
        field = self.field("Event", "debug")
        field.proto3_optional, field.oneof_index = False, 0
        self.breach("is 'debug oneof payload bool'")

    def test_changed_map_value(self):
        entry = next(n for n in self.find("message_type", "GameState").nested_type if n.name == "ScoreHistoryEntry")
        entry.field[1].type = FD.TYPE_STRING
        self.breach("is 'score_history map<string, string>'")

    def test_unpacked_list(self):
        self.field("LearningDecisionResponse", "action_values").options.packed = False
        self.breach("packed=False")

    def test_changed_json_name(self):
        self.field("GameState", "ante").json_name = "level"
        self.breach("json=level")

    def test_removed_enum_value(self):
        enum = self.find("enum_type", "Suit")
        del enum.value[2]
        self.breach("enum Suit: 2 (SUIT_DIAMONDS) is gone")

    def test_renamed_enum_value(self):
        self.find("enum_type", "Suit").value[2].name = "SUIT_GEMS"
        self.breach("was 'SUIT_DIAMONDS', is 'SUIT_GEMS'")

    def test_renumbered_enum_value(self):
        self.find("enum_type", "Suit").value[2].number = 9
        self.breach("2 (SUIT_DIAMONDS) is gone")

    def test_range_that_is_reserved_no_more(self):
        del self.find("message_type", "Card").reserved_range[:]
        self.breach("message Card: reserved 50000 to 50999 is taken back")

    def test_removed_message(self):
        file = next(f for f in self.mutant.file if f.name.endswith("/admin.proto"))
        file.message_type.remove(self.find("message_type", "Peer"))
        self.breach("message Peer is gone")

    def test_moved_message(self):
        message = copy.deepcopy(self.find("message_type", "Tag"))
        for file in self.mutant.file:
            if file.name.endswith("/game.proto"):
                file.message_type.remove(message)
            if file.name.endswith("/card.proto"):
                file.message_type.append(message)
        self.breach("message Tag: in was 'game.proto', is 'card.proto'")

    def test_removed_rpc(self):
        service = self.find("service", "EventBus")
        del service.method[0]
        self.breach("service EventBus: Publish (PublishRequest -> PublishResponse) is gone")

    def test_rpc_that_streams(self):
        self.find("service", "EventBus").method[0].server_streaming = True
        self.breach("is 'PublishRequest -> stream PublishResponse'")

    def test_rpc_of_another_type(self):
        self.find("service", "EventBus").method[0].input_type = ".jimbot.v1.CallRequest"
        self.breach("is 'CallRequest -> PublishResponse'")

    def test_additions_break_nothing(self):
        message = self.find("message_type", "GameState")
        message.field.add(name="next", number=99, type=FD.TYPE_STRING, label=FD.LABEL_OPTIONAL, proto3_optional=True)
        message.reserved_range.add(start=200, end=300)
        self.find("enum_type", "Suit").value.add(name="SUIT_STARS", number=5)
        self.mutant.file[0].message_type.add(name="New")
        self.find("service", "EventBus").method.add(name="New", input_type="New", output_type="New")
        self.assertEqual([], broken(self.promised, contract(self.mutant)))

    def test_wider_range_breaks_nothing(self):
        self.find("message_type", "Card").reserved_range[0].end += 1000
        self.assertEqual([], broken(self.promised, contract(self.mutant)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        sys.exit(write(sys.argv[2], "--force" in sys.argv))
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    VERSION = sys.argv.pop().rsplit(".", 1)[0]
    unittest.main(argv=sys.argv)
