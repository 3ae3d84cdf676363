"""What all JAX backends share, and operations that hosts do not have, as functions."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tpregistry.jax.layers import tensor_product_conv as tensor_product_conv

__all__ = ["tensor_product_conv"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'tpregistry.jax' has no attribute {name!r}; it has {', '.join(__all__)}")
    from tpregistry.jax import layers

    return getattr(layers, name)
