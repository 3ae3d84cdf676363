"""Calls with operands of many kinds: shapes, strides, dtypes, tensors without numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch.testing._internal.two_tensor import TwoTensor

from tests.usage.steps.table import step
from tests.usage.world import Choose, Tensor, World


def each(change: Any, operands: list[Tensor | None], choose: Choose) -> list[Tensor | None]:
    """One of the operands changed, or all."""
    present = [n for n, operand in enumerate(operands) if operand is not None]
    chosen = choose.choice([present, *([n] for n in present)])
    return [change(operand) if n in chosen else operand for n, operand in enumerate(operands)]


@step(2)
def call(world: World, choose: Choose) -> Any:
    return world.model(*world.operands(choose))


@step()
def call_with_grad(world: World, choose: Choose) -> Any:
    return world.model(*world.operands(choose, grad=choose.choice(("x", "y", "w", "xy", "xyw"))))


@step()
def call_leading_dimensions(world: World, choose: Choose) -> Any:
    return world.model(*world.operands(choose, *choose.choice(((2, 3), (1, 1, 2), (2, 1)))))


@step()
def call_one_sample(world: World, choose: Choose) -> Any:
    return world.model(*(operand if operand is None else operand[0] for operand in world.operands(choose, 3)))


@step()
def call_broadcast(world: World, choose: Choose) -> Any:
    x, _, w = world.operands(choose, 5, 1)
    other = world.operands(choose, 1, 4)[1]
    w = None if w is None else w if w.dim() == 1 else w[0]
    return world.gradients(world.model(x.requires_grad_(), other.requires_grad_(), w), x, other)


@step()
def call_broadcast_row(world: World, choose: Choose) -> Any:
    """One operand has one row, or none."""
    x, y, w = world.leaves(choose, 5)
    n, cut = choose.randrange(2), choose.choice((slice(0, 1), 0))
    pair = [x, y]
    pair[n] = pair[n].detach()[cut].requires_grad_()
    return world.gradients(world.model(*pair, w), *pair, w)


@step()
def call_empty(world: World, choose: Choose) -> Any:
    operands = world.leaves(choose, *choose.choice(((0,), (0, 3), (3, 0))))
    return world.gradients(world.model(*operands), *operands)


@step()
def call_expanded(world: World, choose: Choose) -> Any:
    def expanded(operand: Tensor) -> Tensor:
        return operand[:1].expand_as(operand) if operand.dim() == 2 else operand

    return world.model(*each(expanded, world.operands(choose, 6), choose))


@step()
def call_sliced_rows(world: World, choose: Choose) -> Any:
    def sliced(operand: Tensor) -> Tensor:
        return torch.cat([operand, operand * float("nan")], -1).unflatten(-1, (2, -1))[..., 0, :]

    return world.model(*each(sliced, world.operands(choose, 6), choose))


@step()
def call_strided(world: World, choose: Choose) -> Any:
    def strided(operand: Tensor) -> Tensor:
        return torch.stack([operand, operand * float("nan")], -1)[..., 0]

    return world.model(*each(strided, world.operands(choose, 6), choose))


@step()
def call_offset(world: World, choose: Choose) -> Any:
    def offset(operand: Tensor) -> Tensor:
        return torch.cat([operand.new_full((3,), float("nan")), operand.flatten()])[3:].view_as(operand)

    return world.model(*each(offset, world.operands(choose, 6), choose))


@step()
def call_transposed(world: World, choose: Choose) -> Any:
    def transposed(operand: Tensor) -> Tensor:
        return operand.t().contiguous().t() if operand.dim() == 2 else operand

    return world.model(*each(transposed, world.operands(choose, 6), choose))


@step()
def call_flipped_sign(world: World, choose: Choose) -> Any:
    """The imaginary part of a conjugate: its sign is not that of what lies in memory."""

    def imaginary(operand: Tensor) -> Tensor:
        return torch.imag(torch.complex(operand, operand).conj())

    return world.model(*each(imaginary, world.operands(choose, 6), choose))


@step()
def call_wrong_width(world: World, choose: Choose) -> Any:
    return world.model(*each(lambda operand: operand[..., choose.choice((1, 2)) :], world.operands(choose, 4), choose))


@step()
def call_wrong_batch(world: World, choose: Choose) -> Any:
    return world.model(*each(lambda operand: operand[:-1], world.operands(choose, 4), choose))


@step()
def call_other_dtype(world: World, choose: Choose) -> Any:
    dtype = world.dtype(choose.choice(("float64", "float32", "bfloat16", "float16", "int64", "bool")))
    return world.model(*each(lambda operand: operand.to(dtype), world.operands(choose, 4), choose))


@step()
def call_complex(world: World, choose: Choose) -> Any:
    return world.model(*each(lambda operand: torch.complex(operand, operand), world.operands(choose, 4), choose))


@step()
def call_all_in_another_dtype(world: World, choose: Choose) -> Any:
    """As a program does that forgot to convert its model."""
    dtype = world.dtype(choose.choice(("float64", "float32")))
    operands = world.operands(choose, 4, dtype=dtype, grad="x")
    return world.gradients(world.model(*operands), *operands)


@step()
def call_meta(world: World, choose: Choose) -> Any:
    return world.model(*each(lambda operand: operand.to("meta"), world.operands(choose, 4), choose))


@step()
def call_sparse(world: World, choose: Choose) -> Any:
    return world.model(*each(lambda operand: operand.to_sparse(), world.operands(choose, 4), choose))


@step()
def call_zero_tensors(world: World, choose: Choose) -> Any:
    """Tensors of torch's that have no memory."""

    def zero(operand: Tensor) -> Tensor:
        return torch._efficientzerotensor(operand.shape, dtype=operand.dtype)

    return world.model(*each(zero, world.operands(choose, 4), choose))


@step()
def call_two_tensors(world: World, choose: Choose) -> Any:
    out = world.model(*each(lambda operand: TwoTensor(operand, operand.clone()), world.operands(choose, 4), choose))
    return (out.a, out.b) if isinstance(out, TwoTensor) else out


@step()
def call_nan_in_one_row(world: World, choose: Choose) -> Any:
    """The row has NaN somewhere; the others do not see it."""
    value = choose.choice((float("nan"), float("inf")))
    operands = world.operands(choose, 5)
    row = operands[choose.randrange(2)][2]
    row[choose.randrange(len(row))] = value
    out = world.model(*operands)
    return out[[0, 1, 3, 4]]


@step()
def call_large_and_small(world: World, choose: Choose) -> Any:
    factor = choose.choice((1e12, 1e-12))
    return world.model(*each(lambda operand: operand * factor, world.operands(choose, 5), choose))


@step()
def call_parameters(world: World, choose: Choose) -> Any:
    operands = each(torch.nn.Parameter, world.operands(choose, 5), choose)
    return world.gradients(world.model(*operands), *operands)


@step()
def call_no_tensors(world: World, choose: Choose) -> Any:
    return world.model(*each(lambda operand: choose.choice((None, operand.numpy())), world.operands(choose, 3), choose))


@step()
def call_weights_as_list(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 5)
    given = world.tensor(choose, world.tp.weight_numel) if w is None else w
    sizes = [torch.Size(ins.path_shape).numel() for ins in world.tp.instructions if ins.has_weight]
    shapes = [ins.path_shape for ins in world.tp.instructions if ins.has_weight]
    views = [piece.reshape(*piece.shape[:-1], *shape) for piece, shape in zip(given.split(sizes, -1), shapes, strict=True)]
    return world.model(x, y, views)


@step()
def call_other_weights(world: World, choose: Choose) -> Any:
    """Weights of the caller's where the module has its own; none where it has none."""
    x, y, w = world.operands(choose, 5)
    return world.model(x, y, world.tensor(choose, world.tp.weight_numel) if w is None else None)


@step()
def call_keywords(world: World, choose: Choose) -> Any:
    x, y, w = world.operands(choose, 5)
    return world.model(x=x, y=y, w=w)


@step(0.5)
def call_right(world: World, choose: Choose) -> Any:
    _, y, w = world.operands(choose, 5)
    return world.tp.right(y, w)


@step()
def call_same_memory(world: World, choose: Choose) -> Any:
    """Operands that are windows on one tensor."""
    x, y, w = world.operands(choose, 5)
    whole = world.tensor(choose, 5, x.shape[-1] + y.shape[-1]).requires_grad_()
    return world.gradients(world.model(whole[:, : x.shape[-1]], whole[:, -y.shape[-1] :], w), whole)


@step()
def call_out_of_a_thread(world: World, choose: Choose) -> Any:
    from threading import Thread

    operands, found = world.leaves(choose, 5), []

    def work() -> None:
        try:
            found.append(world.gradients(world.model(*operands), *operands))
        except Exception as error:
            found.append(error)

    threads = [Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for outcome in found:
        if isinstance(outcome, Exception):
            raise outcome
    return found
