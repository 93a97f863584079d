"""Writes adamw.safetensors: the weights of a small module after each of five steps of torch.optim.AdamW.

Usage: python adamw.py
Versions: torch 2.15.0, numpy 2.3.5, safetensors 0.8.0. Seed: none, all inputs are made by formula.py.

Computed in float32, as training is.
"""

from pathlib import Path

import torch

from tensors import made, write

RATES = [0.05, 0.04, 0.03, 0.02, 0.01]
WEIGHT_DECAY = 0.1
# Below the length of every gradient.
CLIP_NORM = 0.5


def steps(max_grad_norm):
    weight = made("weight", 4, 3).float().requires_grad_()
    bias = made("bias", 3).float().requires_grad_()
    optimizer = torch.optim.AdamW([weight, bias], weight_decay=WEIGHT_DECAY)
    inputs, target = made("inputs", 6, 4).float(), made("target", 6, 3).float()
    for index, rate in enumerate(RATES):
        optimizer.zero_grad()
        ((inputs @ weight + bias - target) ** 2).sum().backward()
        if max_grad_norm is not None:
            length = torch.nn.utils.clip_grad_norm_([weight, bias], max_grad_norm)
            assert length > max_grad_norm, "every step is clipped"
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        yield index + 1, {"weight": weight.detach().clone(), "bias": bias.detach().clone()}


def main():
    torch.set_num_threads(1)
    tensors = {
        f"{case}.{step}.{name}": tensor
        for case, max_grad_norm in {"free": None, "clipped": CLIP_NORM}.items()
        for step, weights in steps(max_grad_norm)
        for name, tensor in weights.items()
    }
    write(Path(__file__).with_suffix(".safetensors"), tensors, f"adamw.py, torch {torch.__version__}")


if __name__ == "__main__":
    main()
