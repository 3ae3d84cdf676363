"""Any product as one channel by channel."""

import numpy as np

from tests.problems import problems
from tests.tiers import drawn
from tpregistry.irreps import Irreps
from tpregistry.plan import emit_numpy, plan_tensor_product
from tpregistry.plan.channelwise import Channelwise, channelwise
from tpregistry.plan.schedule import schedule
from tpregistry.problem import Mode, Path, Problem


def composed(split: Channelwise, size: int, x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    original = x, y
    x, y = (array if index is None else array[:, index] for array, index in ((x, split.x), (y, split.y)))
    weights = w if split.weights is None else np.concatenate([w[..., place] for place in split.weights] or [w[..., :0]], -1)
    (inner,) = emit_numpy(plan_tensor_product(split.inner))(x, y, weights)
    if split.pieces is None:
        return inner
    out = np.zeros((len(x), size))
    for ours, theirs in split.pieces:
        out[:, theirs] = inner[:, ours]
    for part in split.scalings:
        vectors, scalars = (original[1], original[0]) if part.of_x else original
        weights = w[part.weights].reshape(part.shape)
        weights = (weights if part.of_x else weights.swapaxes(0, 1)).reshape(-1)
        out[:, part.out] += emit_numpy(part.plan())(vectors[:, part.vectors], scalars[:, part.scalars], weights)[0]
    for mix in split.mixes:
        product = inner[:, mix.product].reshape(len(x), mix.inputs, -1)
        if mix.weights is None:
            out[:, mix.out] += product.sum(1)
            continue
        matrix = w[..., mix.weights].reshape(*w.shape[:-1], mix.inputs, mix.outputs)
        out[:, mix.out] += np.einsum("zck,...cw->zwk" if w.ndim == 1 else "zck,zcw->zwk", product, matrix).reshape(len(x), -1)
    return out


@drawn(150, problem=problems())
def test_the_parts_make_the_whole(problem: Problem) -> None:
    split, plan = channelwise(problem), plan_tensor_product(problem)
    generator = np.random.default_rng(0)
    x, y, w = (generator.standard_normal((3, o.size) if o.batched else o.size) for o in plan.inputs)
    np.testing.assert_allclose(composed(split, problem.irreps_out.dim, x, y, w), emit_numpy(plan)(x, y, w)[0], atol=1e-12)
    schedule(plan_tensor_product(split.inner))  # raises where it is not channel by channel


def test_paths_in_another_order_than_their_pieces_leave_the_whole_as_it_is() -> None:
    """As NequIP's are; fused convolutions are of wholes alone."""
    irreps = Irreps.parse("2x0e"), Irreps.parse("1x0e"), Irreps.parse("2x0e+2x0e")
    paths = (Path(0, 0, 1, Mode.UVU, True, 1.0), Path(0, 0, 0, Mode.UVU, True, 3.0))
    problem = Problem(*irreps, paths, True)
    assert channelwise(problem) == Channelwise(problem, None, None, None, None)
    (out,) = emit_numpy(plan_tensor_product(problem))(np.ones((1, 2)), np.ones((1, 1)), np.array([1.0, 2.0, 3.0, 4.0]))
    assert out.tolist() == [[9.0, 12.0, 1.0, 2.0]]


def test_a_product_channel_by_channel_stays_as_it_is() -> None:
    irreps = Irreps.parse("2x0e+2x1o"), Irreps.parse("1x0e"), Irreps.parse("2x0e+2x1o")
    problem = Problem(*irreps, (Path(0, 0, 0, Mode.UVU, True, 1.0), Path(1, 0, 1, Mode.UVU, False, 1.0)), True)
    assert channelwise(problem) == Channelwise(problem, None, None, None, None)
