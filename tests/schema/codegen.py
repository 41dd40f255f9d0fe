#!/usr/bin/env python3
"""Packages for other languages read what the library writes.

codegen.py LIBJIMBOT.so PACKAGES VERSION LANGUAGE: the package for Python is made here; those for
TypeScript and Rust are the ones that `./dev proto` made in PACKAGES, and "skipped" without.
"""

import ast
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import descriptors

HERE = os.path.dirname(os.path.abspath(__file__))
MAKE = os.path.join(descriptors.ROOT, "tools", "proto", "make.py")
EVENT = b'''{"type":"GAME_STATE","source":"mod","timestamp":12.5,"payload":{"ante":0,"chips":"Infinity","money":-3,
"hand":[{"rank":"10","suit":"Hearts"}],"score_history":{"a":1.5},"game_state":"SHOP","round":9007199254740993,
"zz":[1,"two"]}}'''
READ = """type 3 EVENT_TYPE_GAME_STATE
payload True
ante 0
hand_number absent
chips True True
money -3
round 9007199254740993
card 10 1
score 1.5
phase 5
extra zz [1,"two"]
"""


class Encoded(ctypes.Structure):
    """The head of jb_encoded."""

    _fields_ = [("data", ctypes.c_void_p), ("event_id", ctypes.c_void_p), ("len_bytes", ctypes.c_uint32),
                ("rest", ctypes.c_char * 256)]


def encoded():
    """What the library makes of the event."""
    lib, encoder, made = ctypes.CDLL(LIBRARY), ctypes.c_void_p(), Encoded()
    assert lib.jb_encoder_create(None, ctypes.byref(encoder), None) == 0
    assert lib.jb_encoder_json(encoder, EVENT, ctypes.c_size_t(len(EVENT)), ctypes.byref(made), None) == 0
    data = ctypes.string_at(made.data, made.len_bytes)
    lib.jb_encoder_destroy(encoder)
    return data


class Case(unittest.TestCase):
    """An event in a file, and a folder to work in."""

    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="jimbot-codegen-")
        self.addCleanup(place.cleanup)
        self.folder = place.name
        self.event = os.path.join(self.folder, "event.pb")
        with open(self.event, "wb") as f:
            f.write(encoded())

    def package(self, language, tool):
        """A package that ./dev proto made."""
        folder = os.path.join(PACKAGES, language)
        if not os.path.isdir(os.path.join(folder, "src")):
            self.skipTest(f"no package for {language}: ./dev proto {language} makes it")
        if shutil.which(tool) is None:
            self.skipTest(f"no {tool}")
        return folder

    def reads(self, *command, **env):
        """The program prints what is in the event."""
        made = subprocess.run([*command, self.event], env={**os.environ, **env}, cwd=self.folder, text=True,
                              stdout=subprocess.PIPE, check=True)
        self.assertEqual(READ, made.stdout)


class Python(Case):
    """jimbot/v1/*_pb2.py."""

    def test_reads_an_event(self):
        subprocess.run([sys.executable, MAKE, self.folder, VERSION, "python"], check=True, stdout=subprocess.DEVNULL)
        package = os.path.join(self.folder, "python")
        types = os.path.join(package, "jimbot", "v1", "game_pb2.pyi")
        with open(types, encoding="utf-8") as f:
            classes = {n.name for n in ast.parse(f.read()).body if isinstance(n, ast.ClassDef)}
        self.assertLessEqual({"GameState", "Phase"}, classes)
        self.reads(sys.executable, os.path.join(HERE, "codegen", "check.py"), PYTHONPATH=package)


class Typescript(Case):
    """src/jimbot/v1/*_pb.ts, checked by tsc, run by Node.js."""

    def test_compiles_and_reads_an_event(self):
        package = self.package("typescript", "node")
        shutil.copy(os.path.join(HERE, "codegen", "check.ts"), os.path.join(self.folder, "check.mts"))
        modules = os.path.join(self.folder, "node_modules")
        os.mkdir(modules)
        os.symlink(package, os.path.join(modules, "jimbot-proto"))
        for name in ("@bufbuild", "@types"):
            if os.path.isdir(os.path.join(package, "node_modules", name)):
                os.symlink(os.path.join(package, "node_modules", name), os.path.join(modules, name))
        subprocess.run([os.path.join(package, "node_modules", ".bin", "tsc"), "--strict", "--target", "es2020",
                        "--module", "nodenext", "--skipLibCheck", "check.mts"], cwd=self.folder, check=True)
        self.reads("node", os.path.join(self.folder, "check.mjs"))


class Rust(Case):
    """The crate, and a program on it."""

    def test_compiles_and_reads_an_event(self):
        package = self.package("rust", "cargo")
        sys.path.insert(0, os.path.dirname(MAKE))
        import make
        shutil.copy(os.path.join(HERE, "codegen", "check.rs"), self.folder)
        with open(os.path.join(HERE, "codegen", "Cargo.toml"), encoding="utf-8") as f:
            text = f.read().replace("@PACKAGE@", package)
        with open(os.path.join(self.folder, "Cargo.toml"), "w", encoding="utf-8") as f:
            f.write(text)
        self.reads("cargo", *make.cargo_options(), "run", "--quiet", "--offline", "--",
                   CARGO_TARGET_DIR=os.path.join(PACKAGES, "cargo"))


if __name__ == "__main__":
    LIBRARY, PACKAGES, VERSION = sys.argv[1:4]
    unittest.main(argv=[sys.argv[0], sys.argv[4].capitalize()], verbosity=2)
