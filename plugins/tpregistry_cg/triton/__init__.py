"""Backend `cg-triton`: schedules written down as Triton, for NVIDIA and AMD GPUs."""
