"""SevenNet's `IrrepsConvolution`, which every model is made of unless a vendor's switch has put another class in its place."""

from __future__ import annotations

from typing import Any

from tpregistry.torch.sites import Site

MODULE = "sevenn.nn.convolution"


class Convolution(Site):
    """Radial network, gather, product, sum, denominator."""

    target = f"{MODULE}:IrrepsConvolution.forward"
    functions = (f"{MODULE}:message_gather", f"{MODULE}:broadcast")
    digests = frozenset(["8ab452dcacfaa48a"])

    def product(self, module: Any) -> Any:
        """The block's tensor product."""
        return module.convolution

    def left(self, module: Any) -> str | None:
        """With ghosts the rows that send are not those that receive."""
        return "a parallel block" if module.is_parallel else None

    def forward(self, module: Any, data: Any) -> Any:
        """See `sevenn.nn.convolution.IrrepsConvolution.forward`."""
        from sevenn.nn.convolution import message_gather

        assert module.weight_nn is not None, "Weight_nn is not instantiated"
        weight, x, attributes = module.weight_nn(data[module.key_weight_input]), data[module.key_x], data[module.key_filter]
        sources, targets = data[module.key_edge_idx][1], data[module.key_edge_idx][0]

        def own() -> Any:
            return message_gather(x, targets, module.convolution(x[sources], attributes, weight))

        summed = self.convolve(module.convolution, own, x, attributes, weight, sources, targets, len(x))
        data[module.key_x] = summed.div(module.denominator)
        return data
