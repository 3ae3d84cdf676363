"""A small NequIP of both parities with random weights, from NequIP's own builder, and configurations as its trainer makes them."""

from __future__ import annotations

import torch
from ase import Atoms
from nequip.data import AtomicDataDict, from_ase
from nequip.integrations.ase import NequIPCalculator
from nequip.integrations.utils import basic_transforms
from nequip.model import NequIPGNNModel

CUTOFF = 4.5
SPECIES = ["Na", "Cl"]


def nequip(compile_mode: str = "eager", model_dtype: str = "float32") -> torch.nn.Module:
    """Three layers to degree 2: NequIP keeps its data, and the default dtype, in float64."""
    return NequIPGNNModel(
        seed=0,
        model_dtype=model_dtype,
        compile_mode=compile_mode,
        type_names=SPECIES,
        r_max=CUTOFF,
        num_layers=3,
        l_max=2,
        parity=True,
        num_features=[16, 8, 8],
        radial_mlp_width=32,
        avg_num_neighbors=18.0,
        per_type_energy_scales=1.0,
        per_type_energy_shifts=0.0,
    )


def calculator(model: torch.nn.Module) -> NequIPCalculator:
    """The model behind NequIP's own calculator of ASE."""
    return NequIPCalculator(model.eval(), device="cpu", transforms=_transforms(model))


def batch(model: torch.nn.Module, frames: list[Atoms]) -> AtomicDataDict.Type:
    """Configurations with their neighbours, as NequIP's data loader hands them to the model."""
    data = [from_ase(atoms) for atoms in frames]
    for transform in _transforms(model):
        data = [transform(frame) for frame in data]
    return AtomicDataDict.batched_from_list(data)


def _transforms(model: torch.nn.Module) -> list[torch.nn.Module]:
    return basic_transforms(model.metadata, CUTOFF, SPECIES, {name: name for name in SPECIES})
