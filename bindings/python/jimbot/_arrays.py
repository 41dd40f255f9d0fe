"""Columns become numpy arrays where numpy is installed, memoryviews where it is not.

The extension never imports numpy: it hands over a Column, which exports its memory. The array and
the Column share that memory.
"""

from __future__ import annotations

from typing import Any

from ._core import Column

_numpy: Any = None
_is_looked_for = False


def as_array(column: Column) -> Any:
    """An array over the memory of the column."""
    global _numpy, _is_looked_for
    if not _is_looked_for:
        try:
            import numpy
        except ImportError:
            numpy = None  # type: ignore[assignment]
        _numpy = numpy
        _is_looked_for = True
    if _numpy is None:
        return memoryview(column)
    return _numpy.asarray(column)
