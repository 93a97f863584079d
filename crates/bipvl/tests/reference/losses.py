"""Writes losses.safetensors: each loss and their weighted sum in PyTorch, values and gradients.

Usage: python losses.py
Versions: torch 2.15.0, monai 1.6.1, numpy 2.3.5, safetensors 0.8.0. Seed: none, all inputs are made by formula.py.

Written from method.md section 7 and rows 7 to 9 of section 11; Dice and cross-entropy are MONAI's own.
Everything is computed in float64 and without noise.
"""

from pathlib import Path

import torch
from monai.losses import DiceCELoss
from torch.nn import functional as F

from tensors import made, write

BATCH, CLASSES, CONCEPTS, SHARED = 2, 5, 3, 8
CHANNELS = CLASSES + 1
MAP, SMALL_MAP = (4, 8, 4), (2, 2, 2)
TEMPERATURE, HARD_NEGATIVES = 0.2, 3
# As configured by default, and every switch turned: (concept weights, hard negatives, weighting).
MODES = {
    "paper": ("over_concepts", "most_similar", "released"),
    "turned": ("over_classes", "least_similar", "kendall"),
}


def inputs():
    tensors = {
        "logits": made("logits", BATCH, CHANNELS, *MAP) * 4,
        "class_embedding": made("class_embedding", BATCH, CHANNELS, *SMALL_MAP) * 4,
        "vision": made("vision", BATCH, CLASSES, SHARED),
        "concepts": made("concepts", CLASSES, CONCEPTS, SHARED),
        "log_sigma": made("log_sigma", 3),
    }
    return {name: tensor.requires_grad_() for name, tensor in tensors.items()}


def labels():
    return ((made("labels", BATCH, *MAP) + 1) / 2 * CHANNELS).floor().long()


def segmentation(logits, labels):
    return DiceCELoss(to_onehot_y=True, softmax=True)(logits, labels.unsqueeze(1))


def class_embedding(embedding, logits):
    shrunken = F.interpolate(logits, embedding.shape[2:], mode="trilinear", align_corners=False)
    return F.cross_entropy(embedding, shrunken.detach().argmax(1))


def global_alignment(vision, concepts, weights):
    fit = F.cosine_similarity(vision.unsqueeze(2), concepts.unsqueeze(0), dim=-1)
    # fit is [batch, classes, concepts]
    weights = fit.softmax({"over_concepts": 2, "over_classes": 1}[weights])
    classes = torch.einsum("bkm,kms->bks", weights, concepts)
    similarity = F.normalize(classes, dim=-1) @ F.normalize(vision, dim=-1).transpose(1, 2) / TEMPERATURE
    own = torch.arange(similarity.shape[1]).expand(similarity.shape[:2])
    return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.transpose(1, 2), own)) / 2


def most_similar(similarity):
    positive = similarity.diag() / TEMPERATURE
    classes = len(similarity)
    others = similarity[~torch.eye(classes, dtype=torch.bool)].view(classes, classes - 1)
    negatives = others.topk(HARD_NEGATIVES, dim=1).values / TEMPERATURE
    return -(positive.exp() / (positive.exp() + negatives.exp().sum(1))).log().mean()


def least_similar(similarity):
    negatives = similarity.topk(HARD_NEGATIVES, dim=1, largest=False).values
    positive = (similarity / TEMPERATURE).log_softmax(1).diag()
    return -(positive - negatives.logsumexp(1)).mean()


def local_alignment(vision, concepts, negatives):
    one_way = {"most_similar": most_similar, "least_similar": least_similar}[negatives]
    losses = []
    for sample in F.normalize(vision, dim=-1):
        for concept in F.normalize(concepts, dim=-1).unbind(1):
            similarity = concept @ sample.T
            losses.append((one_way(similarity) + one_way(similarity.T)) / 2)
    return torch.stack(losses).mean()


def alignment(vision, concepts, weights, negatives):
    return global_alignment(vision, concepts, weights) + local_alignment(vision, concepts, negatives)


def total(losses, s, weighting):
    if weighting == "released":
        return (losses / (2 * s.exp()) + s).sum()
    return (0.5 * (-s).exp() * losses + 0.5 * s).sum()


def whole(tensors, weights, negatives, weighting):
    losses = [
        segmentation(tensors["logits"], labels()),
        class_embedding(tensors["class_embedding"], tensors["logits"]),
        alignment(tensors["vision"], tensors["concepts"], weights, negatives),
    ]
    return total(torch.stack(losses), tensors["log_sigma"], weighting)


def value_and_gradients(loss, names):
    tensors = inputs()
    value = loss(tensors)
    value.backward()
    return {"value": value.reshape(1)} | {f"gradient.{name}": tensors[name].grad for name in names}


def main():
    torch.set_num_threads(1)
    cases = {
        "segmentation": value_and_gradients(lambda t: segmentation(t["logits"], labels()), ["logits"]),
        "class_embedding": value_and_gradients(
            lambda t: class_embedding(t["class_embedding"], t["logits"]), ["class_embedding"]
        ),
    }
    for weights in ["over_concepts", "over_classes"]:
        for negatives in ["most_similar", "least_similar"]:
            cases[f"alignment.{weights}.{negatives}"] = value_and_gradients(
                lambda t: alignment(t["vision"], t["concepts"], weights, negatives), ["vision", "concepts"]
            )
    for mode, switches in MODES.items():
        cases[f"total.{mode}"] = value_and_gradients(lambda t: whole(t, *switches), inputs().keys())
    tensors = {f"{case}.{name}": tensor for case, results in cases.items() for name, tensor in results.items()}
    write(Path(__file__).with_suffix(".safetensors"), tensors, f"losses.py, torch {torch.__version__}")


if __name__ == "__main__":
    main()
