"""The same for its method for segments that are all alike."""

import torch

BATCH_DIM_AUTO, BATCH_DIM_SHARED, BATCH_DIM_BATCHED, BATCH_DIM_INDEXED = -1, 0, 1, 2

library = torch.library.Library("cuequivariance", "DEF")
library.define(
    "uniform_1d(str name, ScalarType math_dtype, int extent, int num_inputs, int num_outputs, int num_index, int[] buffer_dim, "
    "int[] buffer_num_segments, int[] batch_dim, int[] index_buffer, int[] dtypes, int num_operations, int[] num_operands, "
    "int[] operations, int[] num_paths, int[] path_indices_start, int[] path_coefficients_start, int[] path_indices, "
    "float[] path_coefficients, int batch_size, Tensor[] tensors) -> Tensor[]"
)


def uniform_1d(name, math_dtype, extent, num_inputs, num_outputs, num_index, buffer_dim, num_segments, *rest):
    batch_dim, index_buffer = rest[:2]
    num_operands, buffers, num_paths, _, _, indices, coefficients, _, tensors = rest[4:]
    assert (num_outputs, len(num_paths)) == (1, 1), "one product"
    assert buffers == list(range(num_inputs + 1))
    index = {n: tensors[num_inputs + which] for n, which in enumerate(index_buffer[: num_inputs + 1]) if which >= 0}
    assert {n for n, kind in enumerate(batch_dim) if kind == BATCH_DIM_INDEXED} == set(index)
    tensors = [t[index[n]] if n in index else t for n, t in enumerate(tensors[:num_inputs])]
    sizes = [extent if dim else 1 for dim in buffer_dim]
    parts = [t.reshape(len(t), count, size) for t, count, size in zip(tensors, num_segments, sizes, strict=False)]
    out = [0.0] * num_segments[-1]
    for path in range(num_paths[0]):
        *sources, target = indices[path * num_operands[0] : (path + 1) * num_operands[0]]
        product = coefficients[path]
        for part, source in zip(parts, sources, strict=True):
            product = product * part[:, source]
        out[target] = out[target] + (product if buffer_dim[-1] else product.sum(-1, keepdim=True))
    batch = max(len(t) for t in tensors)
    whole = torch.cat([piece.expand(batch, sizes[-1]) for piece in out], dim=1)
    if num_inputs not in index:
        return [whole]
    rows = index_buffer[num_inputs + 1 + index_buffer[num_inputs]]
    return [whole.new_zeros(rows, whole.shape[1]).index_add(0, index[num_inputs], whole)]


library.impl("uniform_1d", uniform_1d, "CompositeImplicitAutograd")
