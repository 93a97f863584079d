"""MONAI's transforms in the order of the recipe, on real files, for tests/it/preprocessing_reference.rs.

Usage: BIPVL_DATA=<data folder> python preprocessing.py  (writes preprocessing.json beside itself)
Python 3.11, numpy 2.3.5, torch 2.15.0, monai 1.6.1, nibabel 5.4.2; seed 7 for the places of the samples.
"""

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    CropForeground,
    NormalizeIntensity,
    Orientation,
    ScaleIntensityRange,
    Spacing,
    SpatialPad,
)

CT_WINDOW_HU = [-175.0, 250.0]
# File, spacing in mm, intensity window (without one: z-scores), patch.
CASES = [
    ("totalsegmentator-examples/ct_abdomen_top30/image.nii.gz", [1.5, 1.5, 2.0], CT_WINDOW_HU, [96, 96, 96]),
    ("tptbox-spine/ct/image.nii.gz", [1.5, 1.5, 2.0], CT_WINDOW_HU, [64, 64, 64]),
    ("totalsegmentator-examples/mr_abdomen/image.nii.gz", None, None, [96, 96, 96]),
    ("msd-hippocampus/imagesTr/hippocampus_003.nii.gz", None, None, [64, 64, 64]),
    ("msd-hippocampus/imagesTr/hippocampus_004.nii.gz", [0.9, 2.2, 1.1], None, [32, 32, 32]),
]
SAMPLES = 36


def read(path):
    file = nibabel.load(Path(os.environ["BIPVL_DATA"]) / path)
    return MetaTensor(torch.from_numpy(file.get_fdata(dtype=np.float32))[None], affine=torch.from_numpy(file.affine))


def is_foreground(voxels):
    """MONAI's own rule, above zero, would cut voxels below the mean off z-scores."""
    return voxels != 0


def recipe(spacing, window, patch):
    steps = [Orientation(axcodes="RAS")]
    if spacing is not None:
        steps.append(Spacing(pixdim=spacing, mode="bilinear", padding_mode="border", align_corners=False))
    if window is not None:
        steps.append(ScaleIntensityRange(*window, 0.0, 1.0, clip=True))
    else:
        steps.append(NormalizeIntensity(nonzero=True))
    return Compose([*steps, CropForeground(select_fn=is_foreground), SpatialPad(patch)])


def digest(volume, random):
    """Sums are those of the voxels and of the voxels times each index, lest a flip or a turn stay unseen."""
    voxels = volume[0].numpy().astype(np.float64)
    sums = [voxels.sum(), *[(voxels * index).sum() for index in np.indices(voxels.shape)]]
    places = random.permutation(np.argwhere(voxels != 0))[:SAMPLES]
    return {
        "shape": list(voxels.shape),
        "affine": volume.affine.numpy().tolist(),
        "sums": [float(value) for value in sums],
        "samples": [[place.tolist(), float(voxels[tuple(place)])] for place in places],
    }


def main():
    torch.set_num_threads(1)
    random = np.random.default_rng(7)
    lines = []
    for image, spacing, window, patch in CASES:
        prepared = digest(recipe(spacing, window, patch)(read(image)), random)
        case = {"image": image, "spacing": spacing, "window": window, "patch": patch, "prepared": prepared}
        lines.append(json.dumps(case))
    Path(__file__).with_suffix(".json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
