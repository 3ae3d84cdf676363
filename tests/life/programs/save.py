"""Trains, prints an energy, and saves the whole model and its state."""

import json

import torch
from potential import configuration, losses, potential

model = potential()
losses(model, 2)
torch.save(model, "model.pt")
torch.save(model.state_dict(), "state.pt")
print(json.dumps([float(model(configuration(7))[0].detach())] * 2))
