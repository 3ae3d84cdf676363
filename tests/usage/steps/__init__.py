"""All steps: a file for each kind of thing that programs do. Adding one is writing one function."""

from tests.usage.steps import (  # noqa: F401  each fills the table
    calls,
    compilers,
    contexts,
    gradients,
    hooks,
    inplace,
    life,
    loading,
    patches,
    transforms,
)
from tests.usage.steps.table import STEPS, Step

__all__ = ["STEPS", "Step"]
