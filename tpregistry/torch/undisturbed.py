"""Functions that Dynamo neither traces nor compiles: it would trace how kernels are built, and ask an engine that does not run."""

from __future__ import annotations

from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Any)

_dynamo: Any = torch._C._dynamo.eval_frame  # pyright: ignore[reportAttributeAccessIssue]  # Dynamo itself takes seconds to import


def undisturbed(function: F) -> F:
    """Have it, and all that it calls, run as it is: called from what is traced it ends a graph, called by torch it is passed over.

    It stays the same function, so a call costs nothing more. What `torch._dynamo.disable` does, without importing Dynamo.
    """
    function._torchdynamo_disable = True
    if hasattr(_dynamo, "set_code_exec_strategy"):
        skip = _dynamo._FrameAction.SKIP
        _dynamo.set_code_exec_strategy(function.__code__, _dynamo._FrameExecStrategy(skip, skip))
    else:  # torch < 2.7: not what it calls
        _dynamo.skip_code(function.__code__)
    return function
