"""A MACE of published size with random weights: 128x0e+128x1o, correlation 3, two layers."""

from __future__ import annotations

import numpy as np
import torch
from ase import Atoms
from e3nn import o3
from mace import data, modules
from mace.tools import AtomicNumberTable, torch_geometric

CUTOFF = 5.0
SPECIES = [11, 17]


def mace() -> torch.nn.Module:
    """For Na and Cl, in float32."""
    torch.manual_seed(0)
    return modules.ScaleShiftMACE(
        r_max=CUTOFF,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        num_interactions=2,
        num_elements=len(SPECIES),
        hidden_irreps=o3.Irreps("128x0e+128x1o"),
        MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.zeros(len(SPECIES)),
        avg_num_neighbors=30.0,
        atomic_numbers=SPECIES,
        correlation=3,
        gate=torch.nn.functional.silu,
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )


def batch(atoms: Atoms) -> dict[str, torch.Tensor]:
    """A configuration as MACE's model takes it."""
    config = data.config_from_atoms(atoms)
    graph = data.AtomicData.from_config(config, z_table=AtomicNumberTable(SPECIES), cutoff=CUTOFF)
    return next(iter(torch_geometric.dataloader.DataLoader([graph], batch_size=1))).to_dict()
