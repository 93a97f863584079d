"""Logits of MONAI's Swin UNETR, versions 1 and 2, for weights and images made by formula.py.

Written with torch 2.15.0, safetensors 0.8.0, numpy 2.3.5; run by hand, once with monai 1.4.0 and once with
monai 1.6.1, because the patch merging changed between them (some voxels were repeated before):
    python swin_unetr.py
adds to swin_unetr.safetensors every fourth voxel of the logits of each version and patch.
"""

from pathlib import Path

import monai
import torch
from monai.networks.nets import SwinUNETR
from safetensors.torch import load_file, save_file

import formula

FILE = Path(__file__).with_suffix(".safetensors")
MERGING = {"1.4.0": "merging", "1.6.1": "mergingv2"}[monai.__version__.split("+")[0]]
PATCHES = [(64, 64, 64), (96, 64, 32)]


def logits(version: int, patch) -> torch.Tensor:
    # Version 1.4 asks for the patch although the weights do not depend on it.
    size = {"img_size": patch} if MERGING == "merging" else {}
    model = SwinUNETR(**size, in_channels=1, out_channels=2, feature_size=12, use_v2=version == 2)
    formula.fill(model)
    model.eval()
    image = torch.from_numpy(formula.uniform("image", (1, 1, *patch), 1.0))
    with torch.no_grad():
        return model(image)


def main() -> None:
    torch.set_num_threads(1)
    tensors = load_file(FILE) if FILE.exists() else {}
    for version in (1, 2):
        for patch in PATCHES:
            name = f"v{version}_{MERGING}_" + "x".join(map(str, patch))
            out = logits(version, patch)
            tensors[name] = out[0, :, ::4, ::4, ::4].contiguous()
            tensors[name + "_largest"] = out.abs().max().reshape(1)
            print(name, float(out.abs().max()))
    save_file(tensors, FILE)


if __name__ == "__main__":
    main()
