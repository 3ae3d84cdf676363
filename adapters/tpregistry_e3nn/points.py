"""e3nn's `points_convolution.Convolution` of v2106, of which its `gate_points_networks` are made."""

from __future__ import annotations

from typing import Any

from tpregistry.torch.sites import Site

MODULE = "e3nn.nn.models.v2106.points_convolution"


class Convolution(Site):
    """Radial network, two linear maps, gather, product, sum, two more."""

    target = f"{MODULE}:Convolution.forward"
    functions = (f"{MODULE}:scatter",)
    digests = frozenset(["c51842de0fb3fa24"])  # 0.4.4 and 0.6 alike

    def product(self, module: Any) -> Any:
        """The product between nodes and edges."""
        return module.tp

    def forward(
        self, module: Any, node_input: Any, node_attr: Any, edge_src: Any, edge_dst: Any, edge_attr: Any, edge_scalars: Any
    ) -> Any:
        """See `e3nn.nn.models.v2106.points_convolution.Convolution.forward`."""
        from e3nn.nn.models.v2106.points_convolution import scatter

        weight = module.fc(edge_scalars)
        node_self_connection = module.sc(node_input, node_attr)
        x, nodes = module.lin1(node_input, node_attr), node_input.shape[0]

        def own() -> Any:
            return scatter(module.tp(x[edge_src], edge_attr, weight), edge_dst, dim_size=nodes)

        summed = self.convolve(module.tp, own, x, edge_attr, weight, edge_src, edge_dst, nodes)
        node_features = summed.div(module.num_neighbors**0.5)
        node_conv_out = module.lin2(node_features, node_attr)
        alpha = module.alpha(node_features, node_attr)
        m = module.sc.output_mask
        alpha = (1 - m) + alpha * m
        return node_self_connection + alpha * node_conv_out
