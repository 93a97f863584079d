"""MONAI's orientation and spacing and SimpleITK's resampling of real files, for
tests/it/preprocessing_reference.rs.

Usage: BIPVL_DATA=<data folder> python preprocessing.py  (writes preprocessing.json beside itself)
Python 3.11, numpy 2.3.5, torch 2.15.0, monai 1.6.1, SimpleITK 2.5.7, nibabel 5.4.2; seed 7 for the places
of the samples.

A volume is stored as its shape, its affine, its sums and some voxels. Labels are left out where a place
lies halfway between two voxels: there each implementation rounds as it likes.
"""

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation, Spacing

FILES = [
    ("msd-hippocampus/imagesTr/hippocampus_003.nii.gz", "msd-hippocampus/labelsTr/hippocampus_003.nii.gz"),
    ("msd-hippocampus/imagesTr/hippocampus_004.nii.gz", "msd-hippocampus/labelsTr/hippocampus_004.nii.gz"),
    *[
        (f"totalsegmentator-examples/{case}/image.nii.gz", f"totalsegmentator-examples/{case}/labels.nii.gz")
        for case in ("ct_abdomen_top30", "mr_abdomen")
    ],
    ("tptbox-spine/ct/image.nii.gz", "tptbox-spine/ct/vertebrae.nii.gz"),
]
SPACINGS_MM = [[1.5, 1.5, 2.0], [0.9, 2.2, 1.1]]
OBLIQUE_FILES = FILES[2]
OBLIQUE_SHAPE = [70, 60, 50]
OBLIQUE_SPACING_MM = [2.3, 3.1, 1.7]
OBLIQUE_TURN = [0.3, -0.2, 0.5]
OUTSIDE = {"image": -1000.0, "labels": 99.0}
SAMPLES = 36
# A place this near to the middle between two voxels, in voxels, counts as halfway.
HALFWAY = 1e-3
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read(path):
    file = nibabel.load(Path(os.environ["BIPVL_DATA"]) / path)
    return MetaTensor(torch.from_numpy(file.get_fdata(dtype=np.float32))[None], affine=torch.from_numpy(file.affine))


def halfway(shape, affine, source_affine):
    """Where any coordinate in the source lies in the middle between two voxels."""
    to_source = np.linalg.inv(source_affine) @ affine
    places = np.stack(np.indices(shape), axis=-1) @ to_source[:3, :3].T + to_source[:3, 3]
    return (np.abs(places - np.floor(places) - 0.5) < HALFWAY).any(axis=-1)


def digest(voxels, affine, random, left_out=None):
    """Sums are those of the voxels and of the voxels times each index, lest a flip or a turn stay unseen."""
    voxels = np.asarray(voxels, dtype=np.float64)
    counts = np.ones(voxels.shape, dtype=bool) if left_out is None else ~left_out
    kept = np.where(counts, voxels, 0.0)
    sums = [kept.sum(), *[(kept * index).sum() for index in np.indices(voxels.shape)]]
    places = random.permutation(np.argwhere(counts))[:SAMPLES]
    return {
        "shape": list(voxels.shape),
        "affine": np.asarray(affine, dtype=np.float64).tolist(),
        "sums": [float(value) for value in sums],
        "samples": [[place.tolist(), float(voxels[tuple(place)])] for place in places],
    }


def with_monai(image_path, labels_path, random):
    orient = Orientation(axcodes="RAS")
    image, labels = orient(read(image_path)), orient(read(labels_path))
    spaced = []
    for spacing in SPACINGS_MM:
        space = Spacing(pixdim=spacing, padding_mode="border", align_corners=False)
        new_image, new_labels = space(image, mode="bilinear"), space(labels, mode="nearest")
        left_out = halfway(new_labels.shape[1:], new_labels.affine.numpy(), labels.affine.numpy())
        spaced.append(
            {
                "spacing": spacing,
                "image": digest(new_image[0], new_image.affine, random),
                "labels": digest(new_labels[0], new_labels.affine, random, left_out),
            }
        )
    return {
        "image": image_path,
        "labels": labels_path,
        "oriented_image": digest(image[0], image.affine, random),
        "oriented_labels": digest(labels[0], labels.affine, random),
        "spaced": spaced,
    }


def oblique_affine(source):
    """Turned about all three axes, around the middle of the source."""
    turn = np.eye(3)
    for axis, angle in enumerate(OBLIQUE_TURN):
        plane = np.eye(3)
        i, j = [other for other in range(3) if other != axis]
        plane[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        turn = plane @ turn
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(OBLIQUE_SPACING_MM)
    middle = source.affine.numpy() @ [*[(length - 1) / 2 for length in source.shape[1:]], 1.0]
    affine[:3, 3] = middle[:3] - affine[:3, :3] @ [(length - 1) / 2 for length in OBLIQUE_SHAPE]
    return affine


def place(image, affine):
    """Writes an affine into an image of SimpleITK, whose world is LPS."""
    affine = RAS_TO_LPS @ affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())


def with_simple_itk(path, kind, interpolator, random):
    source = read(path)
    affine = oblique_affine(source)
    image = SimpleITK.GetImageFromArray(source[0].numpy().T)
    place(image, source.affine.numpy())
    grid = SimpleITK.Image(OBLIQUE_SHAPE, SimpleITK.sitkFloat32)
    place(grid, affine)
    resampled = SimpleITK.Resample(image, grid, SimpleITK.Transform(), interpolator, OUTSIDE[kind])
    left_out = halfway(OBLIQUE_SHAPE, affine, source.affine.numpy()) if kind == "labels" else None
    return digest(SimpleITK.GetArrayFromImage(resampled).T, affine, random, left_out)


def main():
    torch.set_num_threads(1)
    random = np.random.default_rng(7)
    image, labels = OBLIQUE_FILES
    reference = {
        "monai": [with_monai(*files, random) for files in FILES],
        "simple_itk": {
            "image": image,
            "labels": labels,
            "oblique_image": with_simple_itk(image, "image", SimpleITK.sitkLinear, random),
            "oblique_labels": with_simple_itk(labels, "labels", SimpleITK.sitkNearestNeighbor, random),
        },
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(reference) + "\n")


if __name__ == "__main__":
    main()
