#!/usr/bin/env python3
"""Make the schema of a version that does not exist: this one, and something new in every place.

Usage: next_schema.py PROTO_DIR OUTPUT_DIR TABLES.c SCHEMAGEN.py EVENT_FILE.proto…
Writes OUTPUT_DIR/jimbot/v1/*.proto, OUTPUT_DIR/dialects/*.toml, and the tables of all of it.
"""

import os
import re
import shutil
import subprocess
import sys

MESSAGES = """
// Something that is new.
message NextThing {
  optional string name = 1; // its name
  optional double power = 2; // its power
  repeated int64 counts = 3; // its counts
  optional NextThing inner = 4; // one within it
  repeated Extra extras = 15; // what the fields cannot express; see Extra
  optional bool non_finite = 100; // as everywhere
}

// A blind that is new was beaten.
message NextBeaten {
  optional string name = 1; // its name
  optional NextThing thing = 2; // what it left
  repeated Extra extras = 15; // what the fields cannot express; see Extra
}

// How something new feels.
enum NextMood {
  NEXT_MOOD_UNSPECIFIED = 0; // not known
  NEXT_MOOD_CALM = 1; // calm
  NEXT_MOOD_WILD = 2; // wild
}
"""
FIELDS = {
    ("game", "GameState"): """  optional string next_text = 90; // a text
  optional double next_score = 91; // a score
  map<string, double> next_scores = 92; // scores
  repeated Card next_cards = 93; // cards
  optional NextThing next_thing = 94; // a message
  optional NextMood next_mood = 95; // an enum
  repeated double next_numbers = 96; // numbers
  map<string, NextThing> next_things = 97; // messages
  optional string next_old = 98 [deprecated = true]; // a text that nobody should use
""",
    ("card", "Card"): "  optional int64 next_level = 90; // a number\n  repeated string next_marks = 91; // texts\n",
    ("event", "Event"): "  optional string next_trace = 16; // a text in the envelope\n",
}
VALUES = {
    ("card", "Suit"): "  SUIT_STARS = 5; // new\n",
    ("game", "Phase"): "  PHASE_NEXT = 1003; // new\n",
    ("event", "EventType"): "  EVENT_TYPE_NEXT_BEATEN = 33; // new\n",
}
DIALECTS = ["balatromcp.toml", "balatrobot.toml", "protobuf.toml"]
EVENT = """[[event]]
type = "NEXT_BEATEN"
json = "NEXT_BEATEN"
payload = "next_beaten"
payload_key = "payload"
topic = "game.next.beaten"

"""


def edit(path, change):
    """Rewrite a file; the change must find its place."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    made = change(text)
    assert made != text, path
    with open(path, "w", encoding="utf-8") as f:
        f.write(made)


def insert(kind, name, lines):
    """A change that puts lines at the end of a message or enum."""
    return lambda text: re.sub(rf"(\n{kind} {name} {{.*?)(\n}})", lambda m: m[1] + "\n" + lines.rstrip() + m[2], text,
                               count=1, flags=re.S)


def main(proto, out, tables, schemagen, events):
    """Make all of it."""
    shutil.rmtree(out, ignore_errors=True)
    for folder in ("jimbot/v1", "dialects"):
        shutil.copytree(os.path.join(proto, folder), os.path.join(out, folder))
    path = lambda name: os.path.join(out, "jimbot/v1", name + ".proto")
    for (file, name), lines in FIELDS.items():
        edit(path(file), insert("message", name, lines))
    for (file, name), lines in VALUES.items():
        edit(path(file), insert("enum", name, lines))
    edit(path("card"), lambda text: text + MESSAGES)
    edit(path("event"), lambda text: re.sub(r"(\n +Custom custom = 63;)", r"\n  NextBeaten next_beaten = 64;\1", text))
    edit(path("event"), lambda text: text.replace('import "jimbot/v1/change', 'import "jimbot/v1/card.proto";\n'
                                                  'import "jimbot/v1/change'))
    dialects = [os.path.join(out, "dialects", name) for name in DIALECTS]
    edit(dialects[0], lambda text: text.replace("\n[fields]\n", "\n" + EVENT + "[fields]\n"))
    files = [os.path.join(out, "jimbot/v1", os.path.basename(name)) for name in events]
    return subprocess.run([sys.executable, schemagen, tables, *dialects, *files]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5], sys.argv[5:]))
