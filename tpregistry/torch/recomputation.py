"""A recomputation runs what its forward ran: kernels and the host's code save other tensors, which a checkpoint counts.

What is bound for a call may change between the two: the order of derivatives rises when it is seen, the context of settings has
been left, a kernel is lost. So a region of `torch.utils.checkpoint` without reentry remembers what ran in it. It is known by the
hooks on saved tensors that torch has in force there, in the forward and in each recomputation.
"""

from __future__ import annotations

import inspect
import weakref
from typing import Any

import torch

_autograd: Any = torch._C._autograd  # pyright: ignore[reportAttributeAccessIssue]
hooks_in_force: Any = getattr(_autograd, "_top_saved_tensors_default_hooks", lambda ignore_is_tracing: None)
"""Called in the path of each call."""

MODULE, FRAME, SLOT = "torch.utils.checkpoint", "_CheckpointFrame", "_tpregistry"


def remembered(hooks: Any) -> dict[Any, Any] | None:
    """What ran in the region that these hooks are of, by what it rests on; None where they are another's.

    It lives as long as torch's own frame of the region, which the hook of the forward holds, and that of a recomputation refers to.
    """
    pack = hooks[0]
    if getattr(pack, "__module__", "") != MODULE:
        return None
    for cell in inspect.unwrap(pack).__closure__ or ():  # some are wrapped to keep Dynamo out
        held = cell.cell_contents
        frame = held() if isinstance(held, weakref.ref) else held
        if type(frame).__name__ == FRAME:
            return vars(frame).setdefault(SLOT, {})
    return None
