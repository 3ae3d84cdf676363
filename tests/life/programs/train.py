"""Trains on forces, and prints the losses."""

import json

from potential import losses, potential

if __name__ == "__main__":
    print(json.dumps(losses(potential())))
