#!/usr/bin/env python3
"""The examples of README.md run as they stand there.

usage: test_readme.py SOURCE_ROOT BUILD_ROOT CC…
Every fenced block of the sections named below is run in the language it names.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
EXPECTED = [
    ("Ten lines", "c", r"^1 game\.money\.changed, \d+ bytes$"),
    ("Ten lines", "python", r"^\[ *4\.? +7\.? +12\.? *\]$"),
    ("Ten lines", "lua", r"^1 published$"),
    ("Ten lines", "sh", r'"status": *"ok".*^select_card:3$.*^jimbot_events_published_total\b.* 1$'),
    ("Share the machine", "python", r"^99$"),
]


class Examples:
    def __init__(self, source, build, compiler, folder):
        self.source, self.build, self.compiler, self.folder = source, build, compiler, folder
        self.env = dict(os.environ, JIMBOT_SHM_DIR=folder,
                        JIMBOT_LIBRARY=os.path.join(build, "libjimbot", "libjimbot.so"),
                        PYTHONPATH=os.path.join(build, "bindings", "python"),
                        LUA_PATH=f"{build}/bindings/lua/?.lua;{build}/bindings/lua/?/init.lua;;",
                        LD_LIBRARY_PATH=os.path.join(build, "libjimbot"))

    def output_of(self, *command):
        return subprocess.run(command, env=self.env, check=True, text=True, timeout=30,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run_c(self, text):
        program = os.path.join(self.folder, "first")
        subprocess.run([*self.compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", program,
                        self.write("first.c", text), "-I", os.path.join(self.source, "include"),
                        "-L", os.path.join(self.build, "libjimbot"), "-ljimbot"], check=True)
        return self.output_of(program)

    def run_python(self, text):
        python = os.path.join(self.source, ".venv", "bin", "python")
        if not os.access(python, os.X_OK):
            python = sys.executable
        has_numpy = subprocess.run([python, "-c", "import numpy"], check=False,
                                   stderr=subprocess.DEVNULL).returncode == 0
        if not has_numpy or not os.path.isdir(self.env["PYTHONPATH"] + "/jimbot"):
            return None
        return self.output_of(python, self.write("first.py", text))

    def run_lua(self, text):
        if not shutil.which("luajit"):
            return None
        return self.output_of("luajit", self.write("first.lua", text))

    def run_sh(self, text):
        daemon = os.path.join(self.build, "examples", "jimbotd", "jimbotd")
        if not os.access(daemon, os.X_OK) or not shutil.which("curl"):
            return None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = "127.0.0.1:{}".format(probe.getsockname()[1])
        running = subprocess.Popen([daemon, "--http", address, "--bus", "readme"], env=self.env)
        try:
            wait_for(f"http://{address}/health")
            # One answer a line, whether or not the server ends it with a newline.
            text = re.sub(r"^(curl .*?)( \||$)", r"\1 -w '\\n'\2", text, flags=re.M)
            return self.output_of("sh", "-ec", text.replace("127.0.0.1:8080", address))
        finally:
            running.terminate()
            running.wait(10)


def wait_for(url):
    for _ in range(100):
        try:
            urllib.request.urlopen(url, timeout=1).read()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{url} does not answer")


def main(source, build, *compiler):
    with open(os.path.join(source, "README.md"), encoding="utf-8") as file:
        text = file.read()
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for section, language, pattern in EXPECTED:
        blocks = dict(BLOCK.findall(text.split(f"\n## {section}\n")[1].split("\n## ")[0]))
        with tempfile.TemporaryDirectory() as folder:
            examples = Examples(source, build, compiler, folder)
            try:
                output = getattr(examples, "run_" + language)(blocks[language])
            except (subprocess.SubprocessError, OSError) as error:
                output = str(error)
        if output is None:
            result = "skipped"
        else:
            result = "passed" if re.search(pattern, output, re.M | re.S) else "failed"
        count[result] += 1
        print(f"{section}, {language}: {result}", "" if result == "passed" else output)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**count))
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
