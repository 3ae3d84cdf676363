"""cg-llvm: schedules written down as LLVM IR with explicit vectors, compiled in the process, kept on disk."""
