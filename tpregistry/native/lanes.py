"""Channels as lanes: reading and writing pieces whose components lie interleaved (layout ``mul_ir``).

For an odd number d of components, and lanes a power of two, element c * d + i of d adjacent vectors lies in a lane of its
own for each c: d - 1 blends gather the c of one component i, and one permutation puts them in order. An even number is halved
first: every other element, and the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from tpregistry.native.text import Text


def chunks(count: int, widest: int) -> list[tuple[int, int, int]]:
    """``count`` lanes as (first, stop, width): as many of the widest vectors as fit, then narrower ones."""
    found, start, width = [], 0, widest
    while start < count:
        stop = count - (count - start) % width
        if stop > start:
            found.append((start, stop, width))
        start, width = stop, width // 2
    return found


def load_components(text: Text, address: str, d: int, width: int) -> list[str]:
    """One vector per component of ``width`` copies of d adjacent components."""
    vectors = [text.load(text.at(address, str(m * width)), width) for m in range(d)]
    return vectors if width == 1 else _apart(text, vectors, width)


def _apart(text: Text, vectors: Sequence[str], width: int) -> list[str]:
    """The components of adjacent vectors; where their number is even, even and odd ones first."""
    d = len(vectors)
    if d == 1:
        return list(vectors)
    if d % 2 == 0:
        halves = [_apart(text, _every_other(text, vectors, width, first), width) for first in (0, 1)]
        return [component for pair in zip(*halves, strict=True) for component in pair]
    found = []
    for i in range(d):
        blended = vectors[0]
        for m in range(1, d):
            blended = _blend(text, blended, vectors[m], [lane for lane in range(width) if (m * width + lane) % d == i], width)
        found.append(text.shuffle(blended, "poison", [(c * d + i) % width for c in range(width)], width))
    return found


def _every_other(text: Text, vectors: Sequence[str], width: int, first: int) -> list[str]:
    pairs = zip(vectors[::2], vectors[1::2], strict=True)
    return [text.shuffle(left, right, range(first, 2 * width, 2), width) for left, right in pairs]


def store_components(text: Text, address: str, components: Sequence[str], width: int, add: bool) -> None:
    """Inverse of `load_components`; adds to what is there where asked."""
    vectors = list(components) if width == 1 else _together(text, components, width)
    for m, vector in enumerate(vectors):
        place = text.at(address, str(m * width))
        text.store(place, text.add(text.load(place, width), vector, width) if add else vector, width)


def _together(text: Text, components: Sequence[str], width: int) -> list[str]:
    """Inverse of `_apart`."""
    d = len(components)
    if d == 1:
        return list(components)
    if d % 2 == 0:
        halves = zip(_together(text, components[::2], width), _together(text, components[1::2], width), strict=True)
        order = [lane for c in range(width) for lane in (c, width + c)]
        return [text.shuffle(*pair, order[at : at + width], width) for pair in halves for at in (0, width)]
    ordered = []
    for i, component in enumerate(components):
        lanes = [0] * width
        for c in range(width):
            lanes[(c * d + i) % width] = c
        ordered.append(text.shuffle(component, "poison", lanes, width))
    return [_woven(text, ordered, m, width) for m in range(d)]


def _woven(text: Text, ordered: Sequence[str], m: int, width: int) -> str:
    """The m-th adjacent vector of an odd number of components."""
    d, vector = len(ordered), ordered[0]
    for i in range(1, d):
        vector = _blend(text, vector, ordered[i], [lane for lane in range(width) if (m * width + lane) % d == i], width)
    return vector


def _blend(text: Text, left: str, right: str, taken: Sequence[int], width: int) -> str:
    """``left``, with some lanes taken from ``right``."""
    return text.shuffle(left, right, [lane + width * (lane in taken) for lane in range(width)], width)


def load_strided(text: Text, address: str, stride: int, width: int) -> str:
    """A vector of numbers that lie ``stride`` apart; the same number in every lane where the stride is 0."""
    if stride == 1:
        return text.load(address, width)
    if stride == 0:
        return text.splat(text.load(address), width)
    vector = "poison"
    for lane in range(width):
        scalar = text.load(text.at(address, str(lane * stride)))
        vector = text.let(f"insertelement {text.vector(width)} {vector}, {text.real} {scalar}, i32 {lane}")
    return vector


def store_strided(text: Text, address: str, stride: int, vector: str, width: int, add: bool) -> None:
    """Inverse of `load_strided` for strides that are not 0."""
    if stride == 1:
        text.store(address, text.add(text.load(address, width), vector, width) if add else vector, width)
        return
    for lane in range(width):
        place = text.at(address, str(lane * stride))
        scalar = text.let(f"extractelement {text.vector(width)} {vector}, i32 {lane}")
        text.store(place, text.let(f"fadd {text.real} {text.load(place)}, {scalar}") if add else scalar)
