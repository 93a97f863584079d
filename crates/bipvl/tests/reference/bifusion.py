"""Writes bifusion.safetensors: both forms of the fusion block in PyTorch, values and gradients.

Usage: python bifusion.py
Versions: torch 2.15.0, numpy 2.3.5, safetensors 0.8.0. Seed: none, all inputs are made by formula.py.

Written from paper.md 5.1 and 5.2. Everything is computed in float64. Names and shapes are those of the Rust
module: linear weights are [inputs, outputs], scale and shift of a norm are gamma and beta.
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from tensors import made, write

BATCH, TEXT, VISION = 2, 6, 10
CHANNELS, HEADS, MLP = 8, 4, 16
# The last two text tokens are padding.
MASK = torch.tensor([0.0, 0.0, 0.0, 0.0, -1e9, -1e9], dtype=torch.float64)


class Attention(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(CHANNELS, inner) for _ in range(3))
        self.output = nn.Linear(inner, CHANNELS)

    def forward(self, query, key, value, mask=None):
        def split(tokens):
            return tokens.unflatten(2, (HEADS, -1)).transpose(1, 2)

        query, key, value = split(self.query(query)), split(self.key(key)), split(self.value(value))
        scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        if mask is not None:
            scores = scores + mask
        return self.output((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(CHANNELS, MLP), nn.Linear(MLP, CHANNELS)

    def forward(self, tokens):
        return self.down(F.relu(self.up(tokens)))


class TwoWayLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attention = Attention(CHANNELS)
        self.text_to_vision, self.vision_to_text = Attention(CHANNELS // 2), Attention(CHANNELS // 2)
        self.text_mlp, self.vision_mlp = Mlp(), Mlp()
        self.norms = nn.ModuleList(nn.LayerNorm(CHANNELS) for _ in range(5))

    def forward(self, q, k, p, first):
        if first:
            q = self.self_attention(q, q, q, MASK)
        else:
            q = q + self.self_attention(q + p, q + p, q, MASK)
        q = self.norms[0](q)
        q = self.norms[1](q + self.text_to_vision(q + p, k, k))
        q = self.norms[2](q + self.text_mlp(q))
        k = self.norms[3](k + self.vision_to_text(k, q + p, q, MASK))
        k = self.norms[4](k + self.vision_mlp(k))
        return q, k


class TextOutput(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.attention, self.norm = Attention(CHANNELS // 2), nn.LayerNorm(CHANNELS)
        self.project = projection(CHANNELS, hidden)


class TwoWay(nn.Module):
    """paper.md 5.2."""

    def __init__(self, hidden, read):
        super().__init__()
        self.project = projection(hidden, CHANNELS)
        self.layers = nn.ModuleList([TwoWayLayer(), TwoWayLayer()])
        self.text_output = TextOutput(hidden) if read else None

    def forward(self, text, vision):
        p = self.project(F.normalize(text, dim=-1))
        q, k = p, vision
        for index, layer in enumerate(self.layers):
            q, k = layer(q, k, p, index == 0)
        if self.text_output is None:
            return None, k
        out = self.text_output
        return out.project(out.norm(q + out.attention(q + p, k, k))), k


class Side(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(CHANNELS)
        self.self_attention, self.cross_attention = Attention(CHANNELS), Attention(CHANNELS // 2)
        self.mlp = Mlp()


class PreNorm(nn.Module):
    """paper.md 5.1."""

    def __init__(self, hidden, read):
        super().__init__()
        self.project = projection(hidden, CHANNELS)
        self.text, self.vision = Side(), Side()
        self.project_back = projection(CHANNELS, hidden) if read else None

    def forward(self, text, vision):
        t = self.text.norm(self.project(text))
        t = self.text.self_attention(t, t, t, MASK)
        v = self.vision.norm(vision)
        v = self.vision.self_attention(v, v, v)
        t = t + self.text.mlp(self.text.cross_attention(t, v, v))
        v = v + self.vision.mlp(self.vision.cross_attention(v, t, t, MASK))
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
    block = form(hidden, read)
    fill(block)
    text = made("text", BATCH, TEXT, hidden).requires_grad_()
    vision = made("vision", BATCH, VISION, CHANNELS).requires_grad_()
    text_output, vision_output = block(text, vision)
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
