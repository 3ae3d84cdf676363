"""NequIP as a host: its convolutions are fused."""
