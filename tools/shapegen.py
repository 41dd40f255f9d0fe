#!/usr/bin/env python3
"""Make the tables of libjimbot/host/coord/shape.h from the messages and enums of a .proto file.

Usage: shapegen.py FILE.proto OUTPUT.c
Reads messages of scalar, enum and message fields, each `optional` or `repeated`; other fields are an error.
"""

import re
import sys

BLOCK = re.compile(r"\b(message|enum)\s+(\w+)\s*\{([^}]*)\}")
FIELD = re.compile(r"(optional|repeated)\s+(\w+)\s+(\w+)\s*=\s*(\d+)\s*;")
VALUE = re.compile(r"([A-Z]\w*)\s*=\s*(\d+)\s*;")
SCALARS = {"uint32": "NUMBER", "uint64": "LONG", "bool": "BOOL", "string": "TEXT"}


def snake(name):
    """LeaseClass as lease_class."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def enum_table(name, body):
    """The words of an enum, whose numbers count from 0."""
    prefix = snake(name).upper() + "_"
    values = VALUE.findall(body)
    if [int(n) for _, n in values] != list(range(len(values))):
        raise SystemExit(f"shapegen: the values of {name} do not count from 0")
    words = ", ".join(f'"{v.removeprefix(prefix)}"' for v, _ in values)
    return (f"static const char *const {snake(name)}_names[] = {{{words}}};\n"
            f'const jbi_shape_words jbi_words_{snake(name)} = {{"{prefix}", {snake(name)}_names, {len(values)}}};\n')


def field_row(message, field, kinds):
    """One row of a message's table."""
    label, kind, name, number = field
    row = f'{{.name = "{name}", .number = {number}, .is_list = {"true" if label == "repeated" else "false"}'
    if kind in SCALARS:
        return row + f", .type = JBI_SHAPE_{SCALARS[kind]}}}"
    if kind not in kinds:
        raise SystemExit(f"shapegen: {message}.{name}: what is {kind}?")
    if kinds[kind] == "enum":
        return row + f", .type = JBI_SHAPE_ENUM, .words = &jbi_words_{snake(kind)}}}"
    return row + f", .type = JBI_SHAPE_MESSAGE, .message = &jbi_shape_{snake(kind)}}}"


def message_table(name, body, kinds):
    """The fields of a message."""
    fields = FIELD.findall(body)
    rest = FIELD.sub("", re.sub(r"reserved[^;]*;", "", body)).strip()
    if rest:
        raise SystemExit(f"shapegen: {name}: cannot read {rest[:40]!r}")
    rows = "".join(f"    {field_row(name, f, kinds)},\n" for f in fields)
    if not fields:
        return f"const jbi_shape jbi_shape_{snake(name)} = {{NULL, 0}};\n"
    return (f"static const jbi_shape_field {snake(name)}_fields[] = {{\n{rows}}};\n"
            f"const jbi_shape jbi_shape_{snake(name)} = {{{snake(name)}_fields, {len(fields)}}};\n")


def main(source, output):
    """Write the tables; all are declared first, so that their order is that of the file."""
    with open(source, encoding="utf-8") as f:
        text = re.sub(r"//[^\n]*", "", f.read())
    blocks = BLOCK.findall(text)
    kinds = {name: kind for kind, name, _ in blocks}
    declared = "".join(f"extern const jbi_shape{'_words' if kind == 'enum' else ''} "
                       f"jbi_{'words' if kind == 'enum' else 'shape'}_{snake(name)};\n" for kind, name, _ in blocks)
    tables = [enum_table(n, b) if k == "enum" else message_table(n, b, kinds) for k, n, b in blocks]
    with open(output, "w", encoding="utf-8") as f:
        f.write('#include "host/coord/shape.h"\n\n' + declared + "\n" + "\n".join(tables))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
