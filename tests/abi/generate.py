#!/usr/bin/env python3
"""Makes the C programs of the ABI tests out of the map and the headers, so that nothing is forgotten.

usage: generate.py touch MAP OUT             a program that takes the address of every symbol
       generate.py layout OUT HEADER…        a program that prints size and offsets of every struct
"""
import re
import sys

from symbols import symbols_of_map

STRUCT = re.compile(r"^typedef struct (\w+) \{(.*?)^\} \1;", re.M | re.S)
FIELD = re.compile(r"(\w+)(?:\[[^;]*\])?$")
FUNCTION_FIELD = re.compile(r"\(\*(\w+)\)\(")

TOUCH = """/* Generated: links against every symbol of the map. */
#include "jimbot/jimbot.h"
#include <stdio.h>

typedef void (*any_fn)(void);

static const struct {{
    const char *name;
    any_fn fn;
}} symbols[] = {{
{rows}
}};

int main(void)
{{
    size_t n = sizeof symbols / sizeof symbols[0];
    for (size_t i = 0; i < n; i++)
        if (!symbols[i].fn)
            return printf("%s is missing\\n", symbols[i].name), 1;
    printf("%zu symbols of libjimbot %s\\n", n, jb_version_string());
    return jb_version() >> 16 == JB_VERSION_MAJOR ? 0 : 1;
}}
"""

LAYOUT = """/* Generated: the layout of every public struct, one line a struct and one a field. */
#include "jimbot/jimbot.h"
#include <stdio.h>

#define STRUCT(s) printf(#s " size %zu align %zu\\n", sizeof(s), _Alignof(s))
#define FIELD(s, f) printf("  " #f " at %zu size %zu\\n", offsetof(s, f), sizeof(((s *)0)->f))

int main(void)
{{
{rows}
    return 0;
}}
"""


def touch(map_path, out):
    with open(map_path, encoding="utf-8") as file:
        names = sorted(symbols_of_map(file.read()))
    rows = "\n".join(f'    {{"{name}", (any_fn){name}}},' for name in names)
    with open(out, "w", encoding="utf-8") as file:
        file.write(TOUCH.format(rows=rows))


def fields_of(body):
    for declaration in re.sub(r"/\*.*?\*/", "", body, flags=re.S).split(";"):
        declaration = " ".join(declaration.split())
        found = FUNCTION_FIELD.search(declaration) or FIELD.search(declaration)
        if found:
            yield found.group(1)


def layout(out, *headers):
    rows = []
    for header in headers:
        with open(header, encoding="utf-8") as file:
            for name, body in STRUCT.findall(file.read()):
                rows.append(f"    STRUCT({name});")
                rows += [f"    FIELD({name}, {field});" for field in fields_of(body)]
    with open(out, "w", encoding="utf-8") as file:
        file.write(LAYOUT.format(rows="\n".join(rows)))


if __name__ == "__main__":
    {"touch": touch, "layout": layout}[sys.argv[1]](*sys.argv[2:])
