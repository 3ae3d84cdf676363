"""What all JAX backends share: the primitive around compiled plans, the seam for gate and tuner, and calling what was decided."""
