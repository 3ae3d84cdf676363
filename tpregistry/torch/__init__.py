"""What all torch backends share: the differentiable wrapping of kernels, the frame, and binding to modules."""
