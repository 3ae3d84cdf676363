"""What all torch backends share, and layers of operations that hosts do not have."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tpregistry.torch.layers import TensorProductConv as TensorProductConv

__all__ = ["TensorProductConv"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'tpregistry.torch' has no attribute {name!r}; it has {', '.join(__all__)}")
    from tpregistry.torch import layers

    return getattr(layers, name)
