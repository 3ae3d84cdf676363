"""One of two twins: a small model with a tensor product, what was done around it, and how to undo that."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Optional

import torch
from e3nn import o3

Tensor = torch.Tensor
Choose = random.Random

UVU = [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3), (2, 2, 4), (1, 2, 2), (1, 1, 0)]
MIXED = [(0, 0, 0, "uvw", True), (1, 1, 1, "uuu", False), (1, 1, 0, "uvv", True), (0, 1, 2, "uvw", True), (1, 1, 3, "uvu", True)]


def _uvu(**kwargs: bool) -> o3.TensorProduct:
    paths = [(*indices, "uvu", True) for indices in UVU]
    return o3.TensorProduct("3x0e+3x1o+2x2e", "0e+1o+2e", "3x0e+3x1o+3x1o+3x1e+2x1e", paths, **kwargs)


PRODUCTS: dict[str, Callable[[], o3.TensorProduct]] = {
    "uvu": lambda: _uvu(shared_weights=False, internal_weights=False),
    "uvu, shared": lambda: _uvu(shared_weights=True, internal_weights=False),
    "uvu, own weights": lambda: _uvu(shared_weights=True, internal_weights=True),
    "fully connected": lambda: o3.FullyConnectedTensorProduct("3x0e+2x1o", "2x0e+2x1o", "3x0e+2x1o+2x1e"),
    "full": lambda: o3.FullTensorProduct("2x0e+2x1o", "2x0e+1x2e"),
    "mixed": lambda: o3.TensorProduct(
        "3x0e+3x1o", "2x0e+3x1o", "3x0e+3x1e+2x1o+3x2e", MIXED, shared_weights=False, internal_weights=False
    ),
    "square": lambda: o3.TensorSquare("3x0e+2x1o", "2x0e+1x1e+2x2e"),
}


class Model(torch.nn.Module):
    """A program's module, with the product as a child."""

    def __init__(self, tp: o3.TensorProduct) -> None:
        super().__init__()
        self.tp = tp

    def forward(self, x: Tensor, y: Tensor, w: Optional[Tensor] = None) -> Tensor:  # noqa: UP045  read by TorchScript
        return self.tp(x, y, w)


class Square(Model):
    """The product of an operand with itself."""

    def forward(self, x: Tensor, y: Tensor, w: Optional[Tensor] = None) -> Tensor:  # noqa: UP045
        return self.tp(x, w)


class World:
    """A model, the program around it and what was seen there (``marks``: hooks that fired).

    ``ours`` says which twin it is, and steps look at it only to call tpregistry. In a ``wide`` world float32 is float64: it says
    how far stock's float32 is from the truth.
    """

    def __init__(self, product: str, dtype: str, ours: bool, wide: bool = False) -> None:
        self.product, self.ours, self.wide = product, ours, wide
        self.marks: list[str] = []
        self._undo: list[tuple[str, Callable[[], Any]]] = []
        torch.manual_seed(0)
        with torch.random.fork_rng():
            made = PRODUCTS[product]()
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        self.model = (Square if product == "square" else Model)(made).to(self.dtype(dtype))

    def dtype(self, name: str) -> torch.dtype:
        """A dtype by its name."""
        return torch.float64 if self.wide and name == "float32" else getattr(torch, name)

    @property
    def tp(self) -> Any:
        """The product."""
        return self.model.tp

    @property
    def code(self) -> Any:
        """What e3nn has generated for it."""
        return self.tp._compiled_main_left_right

    def owns(self, module: Any) -> bool:
        """Whether it is a module of the program's, and not a copy that somebody made to look at."""
        return any(module is own for own in self.model.modules())

    def mark(self, name: str) -> None:
        """Something fired that both twins should see as often."""
        self.marks.append(name)

    def later(self, name: str, undo: Callable[[], Any]) -> None:
        """What takes back something that has just been done."""
        self._undo.append((name, undo))

    def enter(self, name: str, context: AbstractContextManager[Any]) -> Any:
        """Be inside a context from now on."""
        value = context.__enter__()
        self.later(name, lambda: context.__exit__(None, None, None))
        return value

    def patch(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute as programs patch libraries; the former state is had back exactly."""
        before = vars(owner).get(name)
        setattr(owner, name, value)
        self.later(f"patch of {name}", lambda: delattr(owner, name) if before is None else setattr(owner, name, before))

    def undo(self) -> str:
        """Take the last thing back."""
        if not self._undo:
            return "nothing"
        name, undo = self._undo.pop()
        undo()
        return name

    def close(self) -> None:
        """Take everything back."""
        while self._undo:
            self.undo()

    def tensor(self, choose: Choose, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Normal numbers, the same in every world."""
        generator = torch.Generator().manual_seed(choose.getrandbits(31))
        numbers = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
        return numbers.to(self.tp.output_mask.dtype if dtype is None else dtype)

    def operands(self, choose: Choose, *lead: int, dtype: torch.dtype | None = None, grad: str = "") -> list[Tensor | None]:
        """x, y and weights; None for weights that are the module's own."""
        lead = lead or (choose.choice((1, 4, 5, 7)),)
        dims = {"x": (*lead, self.tp._in1_dim), "y": (*lead, self.tp._in2_dim), "w": self._weights(lead)}
        made = {name: self.tensor(choose, *shape, dtype=dtype) for name, shape in dims.items() if shape is not None}
        return [made[name].requires_grad_(name in grad) if name in made else None for name in dims]

    def _weights(self, lead: tuple[int, ...]) -> tuple[int, ...] | None:
        if self.tp.internal_weights or self.tp.weight_numel == 0:
            return None
        return (self.tp.weight_numel,) if self.tp.shared_weights else (*lead, self.tp.weight_numel)

    def leaves(self, choose: Choose, *lead: int) -> list[Tensor | None]:
        """Operands that all want gradients."""
        return self.operands(choose, *lead, grad="xyw")

    def sources(self, *operands: Tensor | None) -> list[Tensor]:
        """All that gradients can be asked for."""
        found = [operand for operand in operands if operand is not None and operand.requires_grad]
        return found + [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def gradients(self, out: Tensor, *operands: Tensor | None, **kwargs: Any) -> tuple[Tensor | None, ...]:
        """Of a smooth scalar of ``out``, by everything that wants one."""
        return torch.autograd.grad(out.sin().sum(), self.sources(*operands), allow_unused=True, **kwargs)
