"""What all JAX backends share, and operations that hosts do not have, as functions."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tpregistry.jax.layers import tensor_product_conv as tensor_product_conv
    from tpregistry.jax.many_body import gaunt_many_body as gaunt_many_body
    from tpregistry.jax.products import curl as curl
    from tpregistry.jax.products import gaunt as gaunt
    from tpregistry.jax.products import matrix_product as matrix_product
    from tpregistry.jax.products import product as product
    from tpregistry.jax.products import vector_signal as vector_signal

_HOMES = {"tensor_product_conv": "layers", "gaunt_many_body": "many_body"}
_HOMES |= dict.fromkeys(("curl", "gaunt", "matrix_product", "product", "vector_signal"), "products")
__all__ = ["curl", "gaunt", "gaunt_many_body", "matrix_product", "product", "tensor_product_conv", "vector_signal"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tpregistry.jax' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(f"tpregistry.jax.{_HOMES[name]}"), name)
