"""SevenNet as a host: its convolutions are fused."""
