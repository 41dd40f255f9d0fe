"""Makes lines for people out of the JSON lines of benchmarks: standard input to standard output."""

import json
import sys


def text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def main() -> None:
    for line in sys.stdin:
        figures = json.loads(line)
        name = str(figures.pop("name", ""))
        rest = "  ".join(f"{key} {text(value)}" for key, value in figures.items())
        print(f"{name:<44} {rest}", flush=True)


if __name__ == "__main__":
    main()
