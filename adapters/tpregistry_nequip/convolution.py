"""NequIP's `TensorProductScatter`, which its kernels for GPUs replace by classes of their own."""

from __future__ import annotations

from typing import Any

from tpregistry.torch.sites import Site

MODULE = "nequip.nn._tp_scatter_base"


class Convolution(Site):
    """Gather, product, sum."""

    target = f"{MODULE}:TensorProductScatter.forward"
    functions = (f"{MODULE}:scatter", "nequip.nn.utils:_broadcast")
    digests = frozenset(["b4d64e288a898ff8"])

    def product(self, module: Any) -> Any:
        """The module's tensor product."""
        return module.tp

    def forward(self, module: Any, x: Any, edge_attr: Any, edge_weight: Any, edge_dst: Any, edge_src: Any) -> Any:
        """See `nequip.nn._tp_scatter_base.TensorProductScatter.forward`."""
        from nequip.nn._tp_scatter_base import scatter

        def own() -> Any:
            return scatter(module.tp(x[edge_src], edge_attr, edge_weight), edge_dst, dim=0, dim_size=x.size(0))

        return self.convolve(module.tp, own, x, edge_attr, edge_weight, edge_src, edge_dst, x.size(0))
