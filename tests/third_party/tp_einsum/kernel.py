"""Made of torch's own differentiable functions, so autograd does the rest; a kernel of another kind brings a `vjp`."""

import torch

from tpregistry.problem import Path, Problem
from tpregistry.so3 import rounded_wigner_3j


class EinsumKernel:
    """Called with x (batch, dim_in1), y (batch, dim_in2) and w, (batch, weight_numel) or (weight_numel,) where shared."""

    engine = "torch.einsum"

    def __init__(self, problem: Problem, device: str) -> None:
        self.problem = problem
        self.numbers = [number for number, shape in enumerate(problem.path_shapes) if 0 not in shape]
        self.coefficients = {n: self._coefficients(problem.paths[n]).to(device) for n in self.numbers}

    def __call__(self, x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        out = x.new_zeros(len(x), self.problem.irreps_out.dim)
        for number in self.numbers:
            place = self.problem.irreps_out.slices()[self.problem.paths[number].i_out]
            out[:, place] += self._path(number, x, y, w).flatten(1)
        return out

    def _path(self, number: int, x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        path, problem = self.problem.paths[number], self.problem
        u, v, weight, copies = path.mode.letters
        left = x[:, problem.irreps_in1.slices()[path.i_in1]].unflatten(1, (problem.irreps_in1[path.i_in1].mul, -1))
        right = y[:, problem.irreps_in2.slices()[path.i_in2]].unflatten(1, (problem.irreps_in2[path.i_in2].mul, -1))
        place = problem.weight_slices[number]
        if place is None:
            copies = copies if set(copies) <= set(u + v) else ""
            return torch.einsum(f"ijk,z{u}i,z{v}j->z{copies}k", self.coefficients[number], left, right)
        weights = w[..., place].unflatten(-1, problem.path_shapes[number])
        z = "z" if w.dim() > 1 else ""
        return torch.einsum(f"ijk,z{u}i,z{v}j,{z}{weight}->z{copies}k", self.coefficients[number], left, right, weights)

    def _coefficients(self, path: Path) -> torch.Tensor:
        """The path's coefficient and its 3j tensor, rounded as the model's own were."""
        tensor = torch.from_numpy(path.coefficient * rounded_wigner_3j(*self.problem.degrees(path), path.rounding))
        return tensor.to(getattr(torch, self.problem.dtype))
