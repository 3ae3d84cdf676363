"""MACE's own code for a symmetric contraction as a kernel: the graphs of a live module, called with explicit weights."""

from __future__ import annotations

import copy
from typing import Any

import torch

from tpregistry.frame import Host
from tpregistry_mace import NAME
from tpregistry_mace.describe import tensors

Tensor = torch.Tensor


class ContractionCode:
    """What `Contraction.forward` runs, for all irreps of the output; untouched by any patch."""

    engine = "torch.fx"

    def __init__(self, module: Any) -> None:
        self._irreps = [Irrep(contraction) for contraction in module.contractions]
        self._channels = int(module.contractions[0].num_features)

    def __call__(self, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """x (nodes, channels * components), y (nodes, elements), w (weight_numel,) -> out (nodes, dim_out)."""
        counts = [count for irrep in self._irreps for count in irrep.counts]
        weights = list(w.view(y.shape[1], sum(counts), self._channels).split(counts, dim=1))
        features, outs = x.reshape(len(x), self._channels, -1), []
        for irrep in self._irreps:
            outs.append(irrep(features, y, [weights.pop(0) for _ in irrep.counts]))
        return torch.cat(outs, dim=-1)

    def double(self) -> ContractionCode:
        """The same in float64, rounded coefficients and all."""
        other = copy.copy(self)
        other._irreps = [irrep.double() for irrep in self._irreps]
        return other


class Irrep:
    """The graphs of one `Contraction`."""

    def __init__(self, contraction: Any) -> None:
        self._tensors = tensors(contraction)
        self._main = contraction.graph_opt_main
        self._rest = list(zip(contraction.contractions_weighting, contraction.contractions_features, strict=True))
        self.counts = [tensor.shape[-1] for tensor in self._tensors]

    def double(self) -> Irrep:
        """With tensors in float64, and graphs of its own."""
        other = copy.copy(self)
        other._tensors = [tensor.detach().double() for tensor in self._tensors]
        other._main = copy.deepcopy(self._main).double()
        other._rest = [(copy.deepcopy(one).double(), copy.deepcopy(two).double()) for one, two in self._rest]
        return other

    def __call__(self, x: Tensor, y: Tensor, weights: list[Tensor]) -> Tensor:
        """See `mace.modules.symmetric_contraction.Contraction.forward`; weights of the first power first."""
        out = self._main(self._tensors[-1], weights[-1], x, y)
        for (weigh, contract), tensor, weight in zip(self._rest, self._tensors[-2::-1], weights[-2::-1], strict=True):
            out = contract(weigh(tensor, weight, y) + out, x)
        return out.view(out.shape[0], -1)


def host_of(module: Any) -> Host:
    """The live module as the host."""
    code = ContractionCode(module)
    return Host(NAME, code, code.double)
