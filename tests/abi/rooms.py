#!/usr/bin/env python3
"""A room includes only the rooms it stands on, and those who live outside use the front door.

usage: rooms.py ROOT
The rooms and what they stand on are read from libjimbot/meson.build, where each `subdir()` says it:
`subdir('ring')  # on base, shm`.  "all above" is every room listed before.
"""
import os
import re
import sys

ROOM = re.compile(r"^subdir\('(\w+)'\)\s*# on ([\w, ]+)$", re.M)
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)
# Libraries that live behind one room's walls.
GUESTS = [(r"pb(_\w+)?\.h$|.*\.pb\.h$", ("schema",)),
          (r"(uv|llhttp|jansson|ini|zlib|zstd|wslay/wslay|nghttp2/nghttp2)\.h$|openssl/", ("host", "client"))]


def read_rooms(root):
    with open(os.path.join(root, "libjimbot", "meson.build"), encoding="utf-8") as file:
        text = file.read()
    rooms = {}
    for name, below in ROOM.findall(text):
        words = {word.strip() for word in below.split(",")}
        rooms[name] = set(rooms) if words == {"all above"} else words & set(rooms)
        unknown = words - set(rooms) - {"libc", "all above"}
        if unknown:
            sys.exit(f"libjimbot/meson.build: {name} stands on {unknown}, which comes later")
    listed = set(re.findall(r"^subdir\('(\w+)'\)", text, re.M))
    if listed != set(rooms):
        sys.exit(f"libjimbot/meson.build: {listed - set(rooms)} does not say what it stands on")
    return rooms


def sources(folder):
    for where, _folders, names in os.walk(folder):
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                yield os.path.join(where, name)


def offences(path, room, allowed, rooms):
    with open(path, encoding="utf-8") as file:
        for quote, target in INCLUDE.findall(file.read()):
            head = target.split("/")[0]
            if "/" in target and head in rooms and head != room and head not in allowed:
                yield f"{path}: includes {target}, but {room or 'it'} does not stand on {head}"
            if ".." in target.split("/"):
                yield f"{path}: includes {target}: name the room instead"
            if quote == '"' and room and "/" not in target and not os.path.exists(
                    os.path.join(os.path.dirname(path), target)):
                if not target.endswith(".pb.h"):
                    yield f"{path}: includes {target}: name its room"
            for pattern, homes in GUESTS:
                if room and room not in homes and re.match(pattern, target):
                    yield f"{path}: includes {target}, which belongs to {' and '.join(homes)}"


def main(root):
    os.chdir(root)
    rooms = read_rooms(".")
    found = []
    for room, below in rooms.items():
        for path in sources(os.path.join("libjimbot", room)):
            found += offences(path, room, below, rooms)
    for outside in ("include", "examples", "bindings"):
        for path in sources(outside):
            found += offences(path, None, set(), rooms)
    print("\n".join(found) or f"{len(rooms)} rooms, each on what it says")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
