"""Writes bifusion.safetensors: both forms of the fusion block in PyTorch, values and gradients.

Usage: python bifusion.py
Versions: torch 2.15.0, numpy 2.3.5, safetensors 0.8.0. Seed: none, all inputs are made by formula.py.

Written from method.md 5.1 and 5.2. Everything is computed in float64. Names and shapes are those of the Rust
module: linear weights are [inputs, outputs], scale and shift of a norm are gamma and beta.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from tensors import made, write

BATCH, TEXT, VISION = 2, 6, 10
CHANNELS = 8
# The last two text tokens are padding.
MASK = torch.tensor([0.0, 0.0, 0.0, 0.0, -1e9, -1e9], dtype=torch.float64)


class Sizes(NamedTuple):
    """Widths of the text, of the image and inside a perceptron, and heads of an attention."""

    hidden: int
    channels: int
    mlp: int = 16
    heads: int = 4


class Attention(nn.Module):
    """At the full width or, for cross-attention, at half of it."""

    def __init__(self, sizes, share=1):
        super().__init__()
        inner = sizes.channels // share
        self.query, self.key, self.value = (nn.Linear(sizes.channels, inner) for _ in range(3))
        self.output = nn.Linear(inner, sizes.channels)
        self.heads = sizes.heads

    def forward(self, query, key, value, mask=None):
        def split(tokens):
            return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)

        query, key, value = split(self.query(query)), split(self.key(key)), split(self.value(value))
        scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        if mask is not None:
            scores = scores + mask
        return self.output((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.up, self.down = nn.Linear(sizes.channels, sizes.mlp), nn.Linear(sizes.mlp, sizes.channels)

    def forward(self, tokens):
        return self.down(F.relu(self.up(tokens)))


class TwoWayLayer(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.self_attention = Attention(sizes)
        self.text_to_vision, self.vision_to_text = Attention(sizes, 2), Attention(sizes, 2)
        self.text_mlp, self.vision_mlp = Mlp(sizes), Mlp(sizes)
        self.norms = nn.ModuleList(nn.LayerNorm(sizes.channels) for _ in range(5))

    def forward(self, q, k, p, mask, first):
        if first:
            q = self.self_attention(q, q, q, mask)
        else:
            q = q + self.self_attention(q + p, q + p, q, mask)
        q = self.norms[0](q)
        q = self.norms[1](q + self.text_to_vision(q + p, k, k))
        q = self.norms[2](q + self.text_mlp(q))
        k = self.norms[3](k + self.vision_to_text(k, q + p, q, mask))
        k = self.norms[4](k + self.vision_mlp(k))
        return q, k


class TextOutput(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.attention, self.norm = Attention(sizes, 2), nn.LayerNorm(sizes.channels)
        self.project = projection(sizes.channels, sizes.hidden)


class TwoWay(nn.Module):
    """method.md 5.2."""

    def __init__(self, sizes, read):
        super().__init__()
        self.project = projection(sizes.hidden, sizes.channels)
        self.layers = nn.ModuleList([TwoWayLayer(sizes), TwoWayLayer(sizes)])
        self.text_output = TextOutput(sizes) if read else None

    def forward(self, text, vision, mask):
        p = self.project(F.normalize(text, dim=-1))
        q, k = p, vision
        for index, layer in enumerate(self.layers):
            q, k = layer(q, k, p, mask, index == 0)
        if self.text_output is None:
            return None, k
        out = self.text_output
        return out.project(out.norm(q + out.attention(q + p, k, k))), k


class Side(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.norm = nn.LayerNorm(sizes.channels)
        self.self_attention, self.cross_attention = Attention(sizes), Attention(sizes, 2)
        self.mlp = Mlp(sizes)


class PreNorm(nn.Module):
    """method.md 5.1."""

    def __init__(self, sizes, read):
        super().__init__()
        self.project = projection(sizes.hidden, sizes.channels)
        self.text, self.vision = Side(sizes), Side(sizes)
        self.project_back = projection(sizes.channels, sizes.hidden) if read else None

    def forward(self, text, vision, mask):
        t = self.text.norm(self.project(text))
        t = self.text.self_attention(t, t, t, mask)
        v = self.vision.norm(vision)
        v = self.vision.self_attention(v, v, v)
        t = t + self.text.mlp(self.text.cross_attention(t, v, v))
        v = v + self.vision.mlp(self.vision.cross_attention(v, t, t, mask))
        return (self.project_back(t) if self.project_back is not None else None), v


def projection(inputs, outputs):
    return nn.Linear(inputs, outputs) if inputs != outputs else nn.Identity()


def named_parameters(block):
    """Rust name, tensor, and whether PyTorch keeps it transposed."""
    for place, module in block.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, nn.LayerNorm):
                name = {"weight": "gamma", "bias": "beta"}[name]
            yield f"{place}.{name}", parameter, parameter.dim() == 2


def fill(block):
    for name, parameter, transposed in named_parameters(block):
        shape = reversed(parameter.shape) if transposed else parameter.shape
        values = made(name, *shape)
        values = 1 + values / 4 if name.endswith("gamma") else values / 2
        parameter.data = (values.T if transposed else values).contiguous()


def case(form, hidden, read):
    block = form(Sizes(hidden, CHANNELS), read)
    fill(block)
    text = made("text", BATCH, TEXT, hidden).requires_grad_()
    vision = made("vision", BATCH, VISION, CHANNELS).requires_grad_()
    text_output, vision_output = block(text, vision, MASK)
    loss = (vision_output * made("vision upstream", *vision_output.shape)).sum()
    results = {"output.vision": vision_output}
    if read:
        loss = loss + (text_output * made("text upstream", *text_output.shape)).sum()
        results["output.text"] = text_output
    loss.backward()
    results |= {"input_gradient.text": text.grad, "input_gradient.vision": vision.grad}
    for name, parameter, transposed in named_parameters(block):
        results[f"gradient.{name}"] = parameter.grad.T if transposed else parameter.grad
    return results


def main():
    torch.set_num_threads(1)
    cases = {
        "two_way.read": case(TwoWay, 12, True),
        "two_way.unread": case(TwoWay, CHANNELS, False),
        "pre_norm.read": case(PreNorm, 12, True),
        "pre_norm.unread": case(PreNorm, CHANNELS, False),
    }
    tensors = {f"{case}.{name}": tensor for case, results in cases.items() for name, tensor in results.items()}
    write(Path(__file__).with_suffix(".safetensors"), tensors, f"bifusion.py, torch {torch.__version__}")


if __name__ == "__main__":
    main()
