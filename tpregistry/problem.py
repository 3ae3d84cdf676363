"""A problem: one operation with everything that decides whether a backend may compute it, and how fast.

Framework-neutral, frozen, hashable. Its digest covers every field, so no two different problems share a record.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from math import prod
from typing import Any

from tpregistry.irreps import Irreps, natural
from tpregistry.lazy import lazy


class Mode(StrEnum):
    """Connection modes of e3nn's TensorProduct: how copies u of x and v of y are combined into copies of the output."""

    UVW = "uvw"
    UVU = "uvu"
    UVV = "uvv"
    UUW = "uuw"
    UUU = "uuu"
    UVUV = "uvuv"
    UVU_PAIRS = "uvu<v"
    UVW_PAIRS = "u<vw"

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Channel letters of x, y, weight and output; q counts the pairs u < v."""
        return _LETTERS[self]

    def copies_out(self, u: int, v: int) -> int | None:
        """Copies of the output for u copies of x and v of y; None where they are free."""
        pairs = u * (u - 1) // 2
        return {"u": u, "v": v, "uv": u * v, "q": pairs}.get(self.letters[3])

    @property
    def paired(self) -> bool:
        """Whether x and y are read at the pairs u < v of their copies."""
        return self in (Mode.UVU_PAIRS, Mode.UVW_PAIRS)


_LETTERS = {
    Mode.UVW: ("u", "v", "uvw", "w"),
    Mode.UVU: ("u", "v", "uv", "u"),
    Mode.UVV: ("u", "v", "uv", "v"),
    Mode.UUW: ("u", "u", "uw", "w"),
    Mode.UUU: ("u", "u", "u", "u"),
    Mode.UVUV: ("u", "v", "uv", "uv"),
    Mode.UVU_PAIRS: ("q", "q", "q", "q"),
    Mode.UVW_PAIRS: ("q", "q", "qw", "w"),
}

ORDERS = (0, 1, 2)
"""Of derivatives: evaluation; forces, or training on energies; training on forces."""

OWN_OPERATIONS = ("gaunt", "curl", "vector_signal", "matrix_product", "gaunt_many_body")
"""Products that no host has, with coefficients that nobody chooses: see `tpregistry.products` and `tpregistry.many_body`."""

OPERATIONS = ("tensor_product", "tensor_product_conv", "symmetric_contraction", *OWN_OPERATIONS)

DTYPES = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Path:
    """One coupling (i_in1, i_in2) -> i_out. ``coefficient`` is final: normalisation and sign included.

    ``rounding`` is the precision that the model's own 3j tensor went through (exact, float32, bfloat16).
    """

    i_in1: int
    i_in2: int
    i_out: int
    mode: Mode
    has_weight: bool
    coefficient: float
    rounding: str = "exact"


@dataclass(frozen=True)
class Powers:
    """What a `symmetric_contraction` has in place of paths of two irreps: how many paths lead from each power of x, the first
    power's first, to each irrep of the output; and the digest of their coefficients, see `tpregistry.contraction`."""

    paths: tuple[tuple[int, ...], ...]
    digest: str

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Powers:
        """Inverse of `dataclasses.asdict`, also where tuples have become lists."""
        return cls(tuple(tuple(irrep) for irrep in data["paths"]), data["digest"])


@dataclass(frozen=True)
class Problem:
    """What is asked of a backend. Raises ValueError where the paths do not fit the irreps.

    ``batch`` are samples; for a `tensor_product_conv` (gather, product, sum into receivers) they are edges, and ``nodes`` says
    how many receive; 0 elsewhere. A `gaunt_many_body` has neither paths nor a y; its output is as many times the same irreps
    as there are powers.
    """

    irreps_in1: Irreps
    irreps_in2: Irreps
    irreps_out: Irreps
    paths: tuple[Path, ...]
    shared_weights: bool
    dtype: str = "float32"
    derivatives: int = 2
    batch: int = 1024
    operation: str = "tensor_product"
    nodes: int = 0
    execution: str = "eager"
    deterministic: bool = False
    precision: str = "highest"
    powers: Powers | None = None

    def __post_init__(self) -> None:
        _require(self.dtype in DTYPES, f"dtype {self.dtype!r}: use one of {', '.join(DTYPES)}")
        _require(self.operation in OPERATIONS, f"operation {self.operation!r}: use one of {', '.join(OPERATIONS)}")
        _require(self.derivatives in ORDERS, f"derivatives must be 0, 1 or 2, not {self.derivatives}")
        if self.operation == "gaunt_many_body":
            _check_powers(self)
        if self.operation == "symmetric_contraction" or self.powers is not None:
            _check_contraction(self)
        for number, path in enumerate(self.paths):
            _check_path(self, number, path)

    @lazy
    def path_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Weight shape of each path, also where the path has no weight; a 0 in it means an empty path."""
        return tuple(self._path_shape(path) for path in self.paths)

    @lazy
    def weight_slices(self) -> tuple[slice | None, ...]:
        """The place of each path in the flat weight vector (None: unweighted), in the order of the paths."""
        places: list[slice | None] = []
        start = 0
        for path, shape in zip(self.paths, self.path_shapes, strict=True):
            stop = start + (prod(shape) if path.has_weight else 0)
            places.append(slice(start, stop) if path.has_weight else None)
            start = stop
        return tuple(places)

    @lazy
    def weight_numel(self) -> int:
        """Length of the flat weight vector of one sample."""
        if self.powers is not None:
            return self.irreps_in2.dim * sum(map(sum, self.powers.paths)) * self.channels
        return sum(place.stop - place.start for place in self.weight_slices if place is not None)

    def degrees(self, path: Path) -> tuple[int, int, int]:
        """l of the pieces of x, y and out that a path joins."""
        return self.irreps_in1[path.i_in1].l, self.irreps_in2[path.i_in2].l, self.irreps_out[path.i_out].l

    def _path_shape(self, path: Path) -> tuple[int, ...]:
        u, v, w = self.irreps_in1[path.i_in1].mul, self.irreps_in2[path.i_in2].mul, self.irreps_out[path.i_out].mul
        sizes = {"u": u, "v": v, "w": w, "q": u * (v - 1) // 2 if u else 0}
        return tuple(sizes[letter] for letter in path.mode.letters[2])

    @property
    def convolves(self) -> bool:
        """Whether samples are edges of a graph: x is gathered from their senders, out summed into their receivers."""
        return self.operation == "tensor_product_conv"

    @lazy
    def product(self) -> Problem:
        """The same paths as a Clebsch-Gordan product: what a convolution computes for each edge, and what a product that has
        an operation of its own computes as well, by another way; a `tensor_product` itself."""
        return self if self.operation == "tensor_product" else self.at(operation="tensor_product", nodes=0)

    def convolution(self, nodes: int) -> Problem:
        """The inverse of `product`: with so many receivers, x at senders and out at receivers."""
        return self.at(operation="tensor_product_conv", nodes=nodes)

    @lazy
    def correlation(self) -> int:
        """The largest power of x in a `gaunt_many_body`; 0 elsewhere."""
        return self.irreps_out.items.count(self.irreps_out[0]) if self.operation == "gaunt_many_body" else 0

    @property
    def contracts(self) -> bool:
        """Whether it is a symmetric contraction: then x lies channel after channel, each with all its irreps."""
        return self.powers is not None

    @property
    def channels(self) -> int:
        """Copies of every irrep in a symmetric contraction."""
        return self.irreps_in1[0].mul

    @lazy
    def is_scaling(self) -> bool:
        """Whether every path only multiplies by a scalar, copy by copy (gates, norms): no accelerator can win there."""
        multiplies = self.convolves or self.contracts or self.correlation > 1
        return not multiplies and all(path.mode is Mode.UUU and 0 in self.degrees(path)[:2] for path in self.paths)

    def at(self, **changes: Any) -> Problem:
        """The same problem with other fields."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """A JSON object from which `from_json` makes an equal problem."""
        data = {field.name: getattr(self, field.name) for field in fields(self)}
        data |= {name: str(data[name]) for name in ("irreps_in1", "irreps_in2", "irreps_out")}
        data["paths"] = [asdict(path) for path in self.paths]
        powers = data.pop("powers")
        return data if powers is None else data | {"powers": asdict(powers)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Problem:
        """Inverse of `to_json`. Raises ValueError naming fields that are missing or unknown."""
        known = {field.name for field in fields(cls)}
        required = {"irreps_in1", "irreps_in2", "irreps_out", "paths", "shared_weights"}
        _require(set(data) <= known, f"unknown fields of a problem: {sorted(set(data) - known)}")
        _require(required <= set(data), f"a problem lacks the fields {sorted(required - set(data))}")
        given: dict[str, Any] = dict(data)
        for name in ("irreps_in1", "irreps_in2", "irreps_out"):
            given[name] = Irreps.parse(data[name])
        if data.get("powers") is not None:
            given["powers"] = Powers.from_json(data["powers"])
        given["paths"] = tuple(Path(**(path | {"mode": Mode(path["mode"])})) for path in data["paths"])
        return cls(**given)

    @lazy
    def digest(self) -> str:
        """24 hex digits of the canonical JSON of every field."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def __str__(self) -> str:
        modes = "+".join(sorted({path.mode.value for path in self.paths})) or "no path"
        operands = [_short(rep) for rep in (self.irreps_in1, self.irreps_in2) if len(rep) or not self.correlation]
        irreps = f"{' x '.join(operands)} -> {_short(self.irreps_out)}"
        paths = f"correlation {self.correlation}" if self.correlation else f"{len(self.paths)} paths {modes}"
        if self.powers is not None:
            paths = f"correlation {max(map(len, self.powers.paths))}, {sum(map(sum, self.powers.paths))} paths"
        size = f"E~{self.batch} N~{self.nodes}" if self.convolves else f"B~{self.batch}"
        kind = {"tensor_product": "", "tensor_product_conv": "conv of "}.get(self.operation, f"{self.operation} of ")
        return f"{kind}{irreps} [{paths}] {self.dtype} d{self.derivatives} {size}"


def bucket(batch: int) -> int:
    """The power of four nearest to a number of samples on a logarithmic scale; one kernel is bound per bucket."""
    return 4 ** (batch.bit_length() >> 1) if batch else 0


def _short(irreps: Irreps) -> str:
    text = str(irreps)
    return text if len(text) <= 40 else f"{text[:24]}...({len(irreps)} irreps)"


def _check_powers(problem: Problem) -> None:
    """A `gaunt_many_body` takes one natural signal to its powers, which all have the same irreps."""
    one = natural(Irreps(tuple(dict.fromkeys(problem.irreps_out))))
    fits = not problem.paths and not problem.irreps_in2.items and one.items * problem.correlation == problem.irreps_out.items
    _require(fits, f"gaunt_many_body has neither paths nor a y, and the same irreps for each power: {problem.irreps_out}")
    _require(natural(problem.irreps_in1)[0].mul == one[0].mul, f"as many copies out as in: {problem.irreps_in1} -> {one}")


def _check_contraction(problem: Problem) -> None:
    """All irreps in as many copies, one list of powers for each irrep out, elements for a y, and nothing else."""
    items = (*problem.irreps_in1, *problem.irreps_out)
    kind = problem.operation == "symmetric_contraction" and problem.powers is not None and not problem.paths
    _require(kind, "a symmetric_contraction has powers and no paths, other operations have paths")
    _require(bool(items) and len({item.mul for item in items}) == 1, f"as many copies of every irrep: {problem}")
    powers = problem.powers.paths if problem.powers else ()
    _require(len(powers) == len(problem.irreps_out) and all(powers), f"powers for each of {problem.irreps_out}: {powers}")
    elements = problem.irreps_in2
    _require(len(elements) == 1 and elements[0].l == 0 and elements[0].mul > 0, f"elements such as 10x0e: {elements}")


def _check_path(problem: Problem, number: int, path: Path) -> None:
    irreps = (problem.irreps_in1, problem.irreps_in2, problem.irreps_out)
    for name, index, rep in zip(("i_in1", "i_in2", "i_out"), (path.i_in1, path.i_in2, path.i_out), irreps, strict=True):
        _require(0 <= index < len(rep), f"path {number}: {name}={index}, but there are {len(rep)} irreps in {rep}")
    x, y, out = (rep[i] for rep, i in zip(irreps, (path.i_in1, path.i_in2, path.i_out), strict=True))
    _require(abs(x.l - y.l) <= out.l <= x.l + y.l, f"path {number}: {x} x {y} -> {out} breaks the triangle rule")
    _require(x.p * y.p == out.p, f"path {number}: {x} x {y} -> {out} breaks parity")
    _require(path.rounding in ("exact", "float32", "bfloat16"), f"path {number}: unknown rounding {path.rounding!r}")
    _check_copies(number, path.mode, x.mul, y.mul, out.mul, path.has_weight)


def _check_copies(number: int, mode: Mode, u: int, v: int, w: int, has_weight: bool) -> None:
    same = u == v or mode.letters[0] != mode.letters[1]
    free = has_weight or (mode is Mode.UUW and w == 1)
    copies = mode.copies_out(u, v)
    fits = same and (free if copies is None else w == copies)
    _require(fits, f"path {number}: mode {mode.value} does not fit {u} and {v} copies -> {w} (weighted: {has_weight})")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
