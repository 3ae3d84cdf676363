"""Triton's own functions are made for its interpreter when it is imported, so these tests are a run of their own."""

import os

if os.environ.get("TRITON_INTERPRET") != "1":
    raise RuntimeError("run these tests apart: TRITON_INTERPRET=1 python -m pytest tests/interpreted")
