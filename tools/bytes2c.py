#!/usr/bin/env python3
"""Turn a file into a C array: bytes2c.py INPUT OUTPUT NAME.

The array is `const unsigned char NAME[]`, its length `const unsigned NAME_bytes`.
"""

import sys


def main():
    source, target, name = sys.argv[1:]
    with open(source, "rb") as f:
        data = f.read()
    lines = [", ".join(map(str, data[at : at + 24])) for at in range(0, len(data), 24)]
    with open(target, "w") as f:
        f.write("extern const unsigned char %s[];\nextern const unsigned %s_bytes;\n" % (name, name))
        f.write("const unsigned char %s[] = {\n%s};\n" % (name, ",\n".join(lines)))
        f.write("const unsigned %s_bytes = sizeof(%s);\n" % (name, name))


main()
