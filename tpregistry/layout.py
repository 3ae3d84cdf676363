"""How operands lie in memory."""

from __future__ import annotations

from enum import StrEnum


class Layout(StrEnum):
    """What a kernel may be given, besides rows side by side. A framework whose arrays know no strides has one layout."""

    DENSE = "dense"
    """Rows side by side."""
    STRIDED = "strided"
    """The numbers of a row lie apart."""
    SLICED = "sliced"
    """Columns of a wider array: rows lie apart, and do not start where the memory does."""
    OFFSET = "offset"
    """The later rows of a longer array, or the later part of a vector."""
    EXPANDED = "expanded"
    """One row in memory that all samples share: a row stride of 0."""
