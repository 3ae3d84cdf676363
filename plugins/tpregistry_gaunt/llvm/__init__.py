"""gtp-llvm: products of fields compiled for a problem; values at points of the sphere never reach memory."""
