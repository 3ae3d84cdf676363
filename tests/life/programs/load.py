"""Prints an energy from a saved model, and from a new one that is given its state."""

import json

import torch
from potential import Potential, configuration

whole = torch.load("model.pt", weights_only=False)
other = Potential()
other.load_state_dict(torch.load("state.pt"), strict=True)
print(json.dumps([float(model(configuration(7))[0].detach()) for model in (whole, other)]))
