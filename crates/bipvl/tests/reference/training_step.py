"""Writes training_step.safetensors: five updates of the whole network in PyTorch, losses and weights.

Usage: python training_step.py
Versions: torch 2.15.0, monai 1.6.1, transformers 5.24.0, numpy 2.3.5, safetensors 0.8.0. Seed: none, all inputs
are made by formula.py.

Wired by method.md section 2 and rows 4 and 5 of section 11: MONAI's Swin UNETR of version 2, Hugging Face's BERT,
the fusion blocks of bifusion.py and the losses of losses.py. Everything is computed in float64. Tensors have the
names that MONAI and Hugging Face give them; the others have ours.
"""

import math
from pathlib import Path
from typing import NamedTuple

import torch
from monai.networks.nets import SwinUNETR
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel

import formula
import losses
from bifusion import Sizes, TwoWay
from tensors import made, write

class Size(NamedTuple):
    """Of a whole network, its text and its batch; `vision` and `text` are what MONAI and Hugging Face call so."""

    batch: int
    patch: tuple[int, int, int]
    vision: dict
    text: dict
    stage_layers: list[int]
    fusion_mlp: int
    fusion_heads: int
    classes: int
    concepts: int
    shared: int


STAGE_LAYERS = [2, 1, 1, 1]
SIZE = Size(
    batch=2,
    patch=(64, 64, 32),
    vision={"feature_size": 12},
    text={
        "vocab_size": 50,
        # As wide as the image after the first stage, where a fusion block has no projection.
        "hidden_size": 24,
        "num_hidden_layers": sum(STAGE_LAYERS),
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 16,
    },
    stage_layers=STAGE_LAYERS,
    fusion_mlp=32,
    fusion_heads=4,
    classes=5,
    concepts=2,
    shared=16,
)
# Real tokens of the texts, which are padded to the longest.
FULL_LENGTHS = [7, 5, 6, 7, 4]
CONCEPT_LENGTHS = [3, 4, 4, 2, 3, 4, 2, 3, 4, 4]
STEPS, LEARNING_RATE, WEIGHT_DECAY = 5, 1e-3, 1e-5
# Large enough that a gradient which is nothing but rounding moves nothing.
EPSILON = 1e-4
SAMPLES = 8


def image_and_labels(size):
    """Blocks of 8 voxels in each direction have one label, and the image is brighter where it is higher."""
    sample, x, y, z = torch.meshgrid(*(torch.arange(side) for side in (size.batch, *size.patch)), indexing="ij")
    labels = (x // 8 + 2 * (y // 8) + 3 * (z // 8) + sample) % (size.classes + 1)
    return made("image", size.batch, 1, *size.patch) + labels.unsqueeze(1) / size.classes, labels


def tokens(size, name, lengths):
    """Ids, and which of them are real."""
    ids = ((made(name, len(lengths), max(lengths)) + 1) / 2 * size.text["vocab_size"]).floor().long()
    real = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    return ids * real, real


def scores(real, dtype):
    """What is added to the score of a key."""
    return torch.where(real, 0.0, -1e9).to(dtype)


class Ours(nn.Module):
    """All that neither MONAI nor Hugging Face has, under our names."""

    def __init__(self, size):
        super().__init__()
        hidden, outputs = size.text["hidden_size"], size.classes + 1
        widths = [size.vision["feature_size"] << stage for stage in (1, 2, 3, 4)]
        sizes = [Sizes(hidden, width, size.fusion_mlp, size.fusion_heads) for width in widths]
        self.fusions = nn.ModuleList(TwoWay(one, read=one is not sizes[-1]) for one in sizes)
        deepest, voxels = widths[-1], math.prod(size.patch) // 32**3
        self.class_embedding = nn.ModuleDict(
            {"hidden": nn.Linear(deepest, deepest), "output": nn.Linear(deepest, outputs)}
        )
        self.alignment = nn.ModuleDict(
            {"vision": nn.Linear(voxels, size.shared), "text": nn.Linear(hidden, size.shared)}
        )
        self.loss_weights = nn.ParameterDict({"log_sigma": torch.zeros(3)})


class Network:
    """The whole network, in training without dropout."""

    def __init__(self, size):
        self.size = size
        self.swin = SwinUNETR(in_channels=1, out_channels=size.classes + 1, use_v2=True, **size.vision)
        dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        self.bert = BertModel(BertConfig(**size.text, **dropout), add_pooling_layer=False)
        self.ours = Ours(size)
        self.modules = (self.swin, self.bert, self.ours)

    def named_weights(self):
        return {name: weights for module in self.modules for name, weights in module.named_parameters()}

    def forward(self, image, full, concepts):
        """Everything that the losses read; both texts are ids and which of them are real."""
        logits, bottleneck = self.see(image, self.encode(*full), full[1])
        hidden, output = self.ours.class_embedding["hidden"], self.ours.class_embedding["output"]
        class_embedding = output(F.relu(hidden(bottleneck.movedim(1, -1)))).movedim(-1, 1)
        vision = self.ours.alignment["vision"](class_embedding.flatten(2)[:, 1:])
        ids, real = concepts
        cls_embeddings = self.bert(ids, attention_mask=real).last_hidden_state[:, 0]
        of_class = (self.size.classes, self.size.concepts)
        concepts = self.ours.alignment["text"](cls_embeddings).unflatten(0, of_class)
        return logits, class_embedding, vision, concepts

    def encode(self, ids, real):
        """The text before the first exchange, a copy of it for each sample: [batch · classes, tokens, hidden]."""
        text = self.bert.embeddings(ids).repeat(self.size.batch, 1, 1)
        return self.text_stage(0, text, real)

    def text_stage(self, stage, text, real):
        before = sum(self.size.stage_layers[:stage])
        mask = scores(real, text.dtype).repeat(self.size.batch, 1)[:, None, None]
        for layer in self.bert.encoder.layer[before : before + self.size.stage_layers[stage]]:
            text = layer(text, mask)
        return text

    def see(self, image, text, real):
        """Logits, and the bottleneck after its residual block, of an image and an encoded text."""
        swin, vit = self.swin, self.swin.swinViT
        vision = vit.patch_embed(image)
        skips = [vit.proj_out(vision, True)]
        for stage, fusion in enumerate(self.ours.fusions):
            vision = getattr(vit, f"layers{stage + 1}c")[0](vision)
            vision = getattr(vit, f"layers{stage + 1}")[0](vision)
            skips.append(vit.proj_out(vision, True))
            if stage > 0:
                text = self.text_stage(stage, text, real)
            joined = text.reshape(len(image), -1, text.shape[-1])
            mask = scores(real, text.dtype).flatten()
            joined, seen = fusion(joined, vision.flatten(2).transpose(1, 2), mask)
            text = None if joined is None else joined.reshape(text.shape)
            vision = seen.transpose(1, 2).reshape(vision.shape)
        bottleneck = swin.encoder10(vit.proj_out(vision, True))
        up = swin.decoder5(bottleneck, skips[3])
        up = swin.decoder4(up, swin.encoder4(skips[2]))
        up = swin.decoder3(up, swin.encoder3(skips[1]))
        up = swin.decoder2(up, swin.encoder2(skips[0]))
        return swin.out(swin.decoder1(up, swin.encoder1(image))), bottleneck


def loss_values(network, inputs, labels):
    """Segmentation, class embedding, alignment, and their weighted sum."""
    logits, class_embedding, vision, concepts = network.forward(*inputs)
    three = torch.stack(
        [
            losses.segmentation(logits, labels),
            losses.class_embedding(class_embedding, logits),
            losses.alignment(vision, concepts, "over_concepts", "most_similar"),
        ]
    )
    total = losses.total(three, network.ours.loss_weights["log_sigma"], "released")
    return torch.cat([three, total.reshape(1)])


def summary(tensor):
    """The sum of squares, and a few values; the factor is a prime, which spreads them over all axes."""
    flat = tensor.detach().flatten()
    picked = torch.arange(SAMPLES) * 7919 % len(flat)
    return torch.cat([(flat**2).sum().reshape(1), flat[picked]])


def main():
    torch.set_num_threads(1)
    network = Network(SIZE)
    for module in network.modules:
        formula.fill(module)
        module.double()
    image, labels = image_and_labels(SIZE)
    inputs = image, tokens(SIZE, "full", FULL_LENGTHS), tokens(SIZE, "concepts", CONCEPT_LENGTHS)
    weights = network.named_weights()
    optimizer = torch.optim.AdamW(weights.values(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, eps=EPSILON)
    results = {}
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        values = loss_values(network, inputs, labels)
        values[-1].backward()
        optimizer.step()
        results[f"losses.{step}"] = values
        print(values.tolist(), flush=True)
    for name, tensor in weights.items():
        results[f"weights.{name}"] = summary(tensor)
    about = f"training_step.py, torch {torch.__version__}"
    write(Path(__file__).with_suffix(".safetensors"), results, about)


if __name__ == "__main__":
    main()
