#!/usr/bin/env python3
"""Make packages of the schema for users of other languages. `./dev proto` calls it.

Usage: make.py OUTPUT_DIR VERSION LANGUAGE…   of python, typescript, rust

OUTPUT_DIR/LANGUAGE is a package that can be installed, published or copied as it is. protoc does the
reading; protoc-gen-es (npm) and prost-build (cargo) do the writing for their languages.
"""

import glob
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(os.path.dirname(os.path.dirname(HERE)), "proto")
FILES = sorted(f"jimbot/v1/{f}" for f in os.listdir(os.path.join(PROTO, "jimbot/v1")) if f.endswith(".proto"))
DEBIAN_CRATES = "/usr/share/cargo/registry"
PYPROJECT = """[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "jimbot-proto"
version = "{version}"
description = "The messages of jimbot.v1"
requires-python = ">=3.8"
dependencies = ["protobuf>=4.21"]

[tool.setuptools]
packages = ["jimbot.v1"]

[tool.setuptools.package-data]
"jimbot.v1" = ["*.pyi", "py.typed"]
"""


def run(*command, folder=None, **env):
    """A command that must succeed."""
    subprocess.run(command, cwd=folder, env={**os.environ, **env}, check=True)


def protoc(*options):
    """The compiler, over all files."""
    run("protoc", f"--proto_path={PROTO}", *options, *FILES)


def copy(name, to, version):
    """A file of ours, with the version put in."""
    with open(os.path.join(HERE, name), encoding="utf-8") as f:
        text = f.read()
    os.makedirs(os.path.dirname(to), exist_ok=True)
    with open(to, "w", encoding="utf-8") as f:
        f.write(text.replace("0.0.0", version))


def python(out, version):
    """jimbot/v1/*_pb2.py and their types. `jimbot` itself has no __init__.py: the binding brings one, or none is
    needed."""
    protoc(f"--python_out={out}", f"--pyi_out={out}")
    for name in ("__init__.py", "py.typed"):
        open(os.path.join(out, "jimbot", "v1", name), "w", encoding="utf-8").close()
    with open(os.path.join(out, "pyproject.toml"), "w", encoding="utf-8") as f:
        f.write(PYPROJECT.format(version=version))


def typescript(out, version):
    """src/jimbot/v1/*_pb.ts, and dist/ as Node.js and browsers load it."""
    for name in ("package.json", "tsconfig.json"):
        copy(f"typescript/{name}", os.path.join(out, name), version)
    run("npm", "install", "--no-audit", "--no-fund", "--silent", folder=out)
    source = os.path.join(out, "src")
    os.makedirs(source, exist_ok=True)
    protoc(f"--plugin=protoc-gen-es={out}/node_modules/.bin/protoc-gen-es", f"--es_out={source}",
           "--es_opt=target=ts,import_extension=js")
    run(os.path.join(out, "node_modules", ".bin", "tsc"), folder=out)


def cargo_options():
    """Debian's crates, where they are installed, else whatever cargo is set up for."""
    if not glob.glob(os.path.join(DEBIAN_CRATES, "prost-build-*")):
        return []
    return ["--config", 'source.crates-io.replace-with="debian"', "--config",
            f'source.debian.directory="{DEBIAN_CRATES}"']


def rust(out, version):
    """A crate that needs prost and nothing else: prost-build runs here, not at its users'."""
    generator = os.path.join(os.path.dirname(out), "rust-generator")
    copy("rust/Cargo.toml", os.path.join(out, "Cargo.toml"), version)
    copy("rust/lib.rs", os.path.join(out, "src", "lib.rs"), version)
    copy("rust/generator/Cargo.toml", os.path.join(generator, "Cargo.toml"), version)
    copy("rust/generator/main.rs", os.path.join(generator, "src", "main.rs"), version)
    for folder in (generator, out):  # it may tell of crates from another place than this time's
        if os.path.exists(os.path.join(folder, "Cargo.lock")):
            os.remove(os.path.join(folder, "Cargo.lock"))
    target = os.path.join(os.path.dirname(out), "cargo")
    run("cargo", *cargo_options(), "run", "--quiet", "--", PROTO, os.path.join(out, "src"), *FILES,
        folder=generator, CARGO_TARGET_DIR=target)
    run("cargo", *cargo_options(), "build", "--quiet", folder=out, CARGO_TARGET_DIR=target)


LANGUAGES = {"python": (python, "protoc"), "typescript": (typescript, "npm"), "rust": (rust, "cargo")}


def main(out, version, languages):
    """Make what is asked for."""
    for language in languages:
        make, tool = LANGUAGES[language]
        if shutil.which(tool) is None:
            print(f"no {tool}: cannot make the package for {language}", file=sys.stderr)
            return 1
        folder = os.path.join(os.path.abspath(out), language)
        # What npm and cargo brought stays; what was made of the schema is made anew.
        for made in ("jimbot", "src", "dist"):
            shutil.rmtree(os.path.join(folder, made), ignore_errors=True)
        os.makedirs(folder, exist_ok=True)
        make(folder, version)
        print(f"{language}: {os.path.join(out, language)}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 4 or not set(sys.argv[3:]) <= set(LANGUAGES):
        sys.exit(__doc__)
    try:
        sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{os.path.basename(error.cmd[0])} failed with {error.returncode}")
