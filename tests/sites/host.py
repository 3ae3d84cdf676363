"""A model host in small: a class that gathers, multiplies and sums by itself, written as those of real ones are."""

import torch
from e3nn import o3
from e3nn.util.jit import compile_mode


def collect(messages: torch.Tensor, index: torch.Tensor, nodes: int) -> torch.Tensor:
    """Sum messages at the nodes of an index."""
    out = messages.new_zeros([nodes, messages.shape[1]])
    return out.scatter_add_(0, index.unsqueeze(1).expand_as(messages), messages)


@compile_mode("script")
class Block(torch.nn.Module):
    """Radial weights, gather, product, sum, scale."""

    def __init__(self) -> None:
        super().__init__()
        paths = [(0, 0, 0, "uvu", True), (0, 1, 1, "uvu", True), (1, 0, 2, "uvu", True), (1, 1, 3, "uvu", True)]
        irreps = "8x0e+8x1o", "0e+1o+2e", "8x0e+8x1o+8x1o+8x0e"
        self.tp = o3.TensorProduct(*irreps, paths, shared_weights=False, internal_weights=False)
        self.radial = torch.nn.Linear(4, self.tp.weight_numel, bias=False)
        self.fused = False

    def forward(self, x: torch.Tensor, y: torch.Tensor, length: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """x (nodes, 32), y (edges, 9), length (edges, 4), edges (2, edges) -> (nodes, 64)."""
        weight = self.radial(length)
        return collect(self.tp(x[edges[0]], y, weight), edges[1], x.shape[0]) / 3.0
