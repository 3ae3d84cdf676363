"""Stands in for NVIDIA's library for GPUs: the same calls, in differentiable torch, so that what it is given can be checked."""

from math import prod

import torch


class _Fused:
    """A segmented tensor product, path by path; the last operand is the output."""

    def __init__(
        self,
        operand_segment_modes,
        operand_segment_offsets,
        operand_segment_shapes,
        path_indices,
        path_coefficients,
        math_dtype,
    ):
        self.modes, self.offsets, self.shapes = operand_segment_modes, operand_segment_offsets, operand_segment_shapes
        self.paths = list(zip(path_indices.tolist(), path_coefficients.tolist(), strict=True))
        self.formula = ",".join("Z" + mode for mode in self.modes[:-1]) + "->Z" + self.modes[-1]

    def __call__(self, *inputs):
        batch = max(len(operand) for operand in inputs)
        out = [0.0] * len(self.shapes[-1])
        for indices, coefficient in self.paths:
            factors = [self._segment(n, index, inputs[n], batch) for n, index in enumerate(indices[:-1])]
            out[indices[-1]] = out[indices[-1]] + coefficient * torch.einsum(self.formula, *factors).flatten(1)
        return torch.cat(out, dim=1)

    def _segment(self, number, index, operand, batch):
        start, shape = self.offsets[number][index], self.shapes[number][index]
        return operand[:, start : start + prod(shape)].expand(batch, -1).reshape(batch, *shape)


class FusedTensorProductOp3(_Fused):
    pass


class FusedTensorProductOp4(_Fused):
    pass
