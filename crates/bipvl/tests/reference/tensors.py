"""Tensors to compute with in float64, made by formula.py, and the files that results are written to.

Imported by the scripts of this folder. The Rust twin is tests/it/reference.rs.
"""

import torch
from safetensors.torch import save_file

import formula


def made(name: str, *shape: int) -> torch.Tensor:
    """Values in [-1, 1); each is the same number in float32 and float64."""
    return torch.from_numpy(formula.uniform(name, shape, 1)).double()


def write(path, tensors: dict[str, torch.Tensor], about: str) -> None:
    """Writes float32 values with a sentence about their origin in the header."""
    tensors = {name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}
    save_file(tensors, path, metadata={"about": about})
