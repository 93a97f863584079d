"""Weights and inputs that Python and Rust make alike, so that reference files need not hold them.

A value is drawn by splitmix64 from the FNV-1a hash of the tensor's name and its flat index, uniform in
[-bound, bound). The Rust twin is tests/it/formula.rs.
"""

import numpy as np

MASK = (1 << 64) - 1


def seed_of(name: str) -> int:
    """FNV-1a, 64 bits."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) & MASK
    return state


def uniform(name: str, shape, bound: float) -> np.ndarray:
    """Values in [-bound, bound), float32, the last axis fastest."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(seed_of(name)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    return ((unit * 2 - 1) * np.float32(bound)).reshape(shape)


def fill(module) -> None:
    """Replaces every floating-point tensor of a PyTorch module.

    Vectors that scale (norms) get 1 + a small value; others are uniform with the bound 1/sqrt(fan in).
    """
    import torch

    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        shape = tuple(tensor.shape)
        if len(shape) == 1:
            values = uniform(name, shape, 0.1)
            if "norm" in name.lower() and name.endswith("weight"):
                values = values + np.float32(1)
        else:
            values = uniform(name, shape, 1 / np.sqrt(np.prod(shape[1:])))
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(values))
