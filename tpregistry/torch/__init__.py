"""What all torch backends share, and layers of operations that hosts do not have."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tpregistry.torch.graph import Graph as Graph
    from tpregistry.torch.layers import TensorProductConv as TensorProductConv
    from tpregistry.torch.many_body import GauntSymmetricContraction as GauntSymmetricContraction
    from tpregistry.torch.many_body import gaunt_many_body as gaunt_many_body
    from tpregistry.torch.product_layers import CompleteGauntTensorProduct as CompleteGauntTensorProduct
    from tpregistry.torch.product_layers import CompleteVectorSignalTensorProduct as CompleteVectorSignalTensorProduct
    from tpregistry.torch.product_layers import CurlTensorProduct as CurlTensorProduct
    from tpregistry.torch.product_layers import GauntTensorProduct as GauntTensorProduct
    from tpregistry.torch.product_layers import MatrixTensorProduct as MatrixTensorProduct
    from tpregistry.torch.product_layers import VectorSignalTensorProduct as VectorSignalTensorProduct
    from tpregistry.torch.products import Product as Product
    from tpregistry.torch.products import curl as curl
    from tpregistry.torch.products import gaunt as gaunt
    from tpregistry.torch.products import matrix_product as matrix_product
    from tpregistry.torch.products import vector_signal as vector_signal

_NAMES = {
    "graph": ("Graph",),
    "layers": ("TensorProductConv",),
    "many_body": ("GauntSymmetricContraction", "gaunt_many_body"),
    "product_layers": (
        "CompleteGauntTensorProduct",
        "CompleteVectorSignalTensorProduct",
        "CurlTensorProduct",
        "GauntTensorProduct",
        "MatrixTensorProduct",
        "VectorSignalTensorProduct",
    ),
    "products": ("Product", "curl", "gaunt", "matrix_product", "vector_signal"),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}
__all__ = [
    "CompleteGauntTensorProduct",
    "CompleteVectorSignalTensorProduct",
    "CurlTensorProduct",
    "GauntSymmetricContraction",
    "GauntTensorProduct",
    "Graph",
    "MatrixTensorProduct",
    "Product",
    "TensorProductConv",
    "VectorSignalTensorProduct",
    "curl",
    "gaunt",
    "gaunt_many_body",
    "matrix_product",
    "vector_signal",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tpregistry.torch' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(f"tpregistry.torch.{_HOMES[name]}"), name)
