"""A small equivariant potential, as users of e3nn write them: like every program in this folder it knows nothing of backends."""

import torch
from e3nn import o3

CHANNELS = 8
HARMONICS = o3.Irreps("0e+1o+2e")
HIDDEN = o3.Irreps(f"{CHANNELS}x0e+{CHANNELS}x1o+{CHANNELS}x2e")
SCALARS = o3.Irreps(f"{CHANNELS}x0e")


def convolution(irreps_in: o3.Irreps, irreps_out: o3.Irreps) -> o3.TensorProduct:
    """Every allowed path, one weight per channel and edge."""
    paths = [
        (i, j, k, "uvu", True)
        for i, (_, a) in enumerate(irreps_in)
        for j, (_, b) in enumerate(HARMONICS)
        for k, (_, c) in enumerate(irreps_out)
        if c in a * b
    ]
    return o3.TensorProduct(irreps_in, HARMONICS, irreps_out, paths, shared_weights=False, internal_weights=False)


def radial(product: o3.TensorProduct) -> torch.nn.Module:
    """Distances to the weights of a convolution."""
    return torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.SiLU(), torch.nn.Linear(16, product.weight_numel))


class Potential(torch.nn.Module):
    """Two convolutions over all pairs of atoms; forces by autograd."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = torch.nn.ModuleList([convolution(SCALARS, HIDDEN), convolution(HIDDEN, SCALARS)])
        self.radials = torch.nn.ModuleList([radial(product) for product in self.convolutions])
        self.readout = torch.nn.Linear(CHANNELS, 1, bias=False)

    def energy(self, positions: torch.Tensor) -> torch.Tensor:
        """Of one configuration of atoms (atoms, 3)."""
        atoms = len(positions)
        here, there = torch.nonzero(~torch.eye(atoms, dtype=torch.bool), as_tuple=True)
        edges = positions[there] - positions[here]
        harmonics = o3.spherical_harmonics(HARMONICS, edges, normalize=True, normalization="component")
        features = positions.new_ones(atoms, CHANNELS)
        for product, weights in zip(self.convolutions, self.radials, strict=True):
            messages = product(features[there], harmonics, weights(edges.norm(dim=1, keepdim=True)))
            features = positions.new_zeros(atoms, messages.shape[1]).index_add(0, here, messages) / atoms
        return self.readout(features).sum()

    def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Energy and forces."""
        positions = positions.detach().requires_grad_()
        energy = self.energy(positions)
        (gradient,) = torch.autograd.grad(energy, positions, create_graph=self.training)
        return energy, -gradient


def potential() -> Potential:
    """The same weights in every process."""
    torch.manual_seed(0)
    return Potential()


def configuration(seed: int) -> torch.Tensor:
    """Six atoms."""
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(seed))


def losses(model: torch.nn.Module, steps: int = 3) -> list[float]:
    """Of some steps of training on forces."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    found = []
    for step in range(steps):
        energy, forces = model(configuration(step))
        loss = (forces - 1).square().mean() + energy.square()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    return found
