"""A pytest plugin for hosts' suites that draw their parameters while they are collected: the same draw in every run."""

import random

import numpy as np
import torch

random.seed(0)
np.random.seed(0)
torch.manual_seed(0)
