"""PyTorch checkpoints of a few tensors made by formula.py, and one whose pickle asks to run a command.

Written with torch 2.15.0, numpy 2.3.5; run by hand:
    python checkpoint.py
writes checkpoint.pt (tensors under `state_dict`, as MONAI's bundles), checkpoint.bin (tensors alone, float16 and
a view, as Hugging Face's) and hostile.pt, which creates the file `hostile-ran` where it is unpickled by Python.
"""

import os
from pathlib import Path

import torch

import formula

HERE = Path(__file__).parent


class Hostile:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch hostile-ran",)


def main() -> None:
    matrix = torch.from_numpy(formula.uniform("matrix", (3, 4), 1.0))
    vector = torch.from_numpy(formula.uniform("vector", (5,), 1.0))
    index = torch.arange(6).reshape(2, 3)
    state = {"state_dict": {"layer.weight": matrix, "layer.bias": vector, "layer.index": index}, "epoch": 7}
    torch.save(state, HERE / "checkpoint.pt")
    torch.save({"half": matrix.half(), "view": matrix.t(), "plain": vector}, HERE / "checkpoint.bin")
    torch.save({"state_dict": {"layer.weight": matrix}, "extra": Hostile()}, HERE / "hostile.pt")


if __name__ == "__main__":
    main()
