"""Reads with the reference programs what this crate writes: voxels, type, spacing, origin and directions must be those
of the source, for upright, permuted, mirrored and oblique axes and every scalar type. Nothing is stored.

Checked with numpy 2.4.6, nibabel 5.4.2, SimpleITK 2.5.7 and pynrrd 1.1.3:
cargo build -p bipvl-imaging --example convert && python written.py target/debug/examples/convert
"""
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import SimpleITK as sitk

SHAPE = (4, 3, 2)
SPACING = np.array([1.5, 0.7, 3.25])
ORIGIN = np.array([-10.5, 200.25, -1030.1])
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])  # LPS to RAS
ENDINGS = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
TOLERANCE = 1e-6  # of a float32 affine of NIfTI


def affine(directions):
    a = np.eye(4)
    a[:3, :3], a[:3, 3] = directions * SPACING, ORIGIN
    return a


def directions():
    """By name: all 48 orientations, and oblique axes, right- and left-handed."""
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            yield f"{order}{signs}", np.eye(3)[:, order] * signs
    angle = np.deg2rad([20.0, -35.0, 170.0])
    x, y, z = ((np.cos(a), np.sin(a)) for a in angle)
    turn = (np.array([[1, 0, 0], [0, x[0], -x[1]], [0, x[1], x[0]]])
            @ np.array([[y[0], 0, y[1]], [0, 1, 0], [-y[1], 0, y[0]]])
            @ np.array([[z[0], -z[1], 0], [z[1], z[0], 0], [0, 0, 1]]))
    yield "oblique", turn
    yield "oblique, left-handed", turn * [1.0, 1.0, -1.0]
    yield "half turn", np.diag([1.0, -1.0, -1.0])


def from_itk(path):
    image = sitk.ReadImage(str(path))
    grid = np.eye(4)
    grid[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    grid[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0), FLIP @ grid


def from_nibabel(path):
    image = nib.load(path)
    return np.asanyarray(image.dataobj), image.affine


def from_pynrrd(path):
    array, header = nrrd.read(str(path))
    grid = np.eye(4)
    grid[:3, :3], grid[:3, 3] = header["space directions"].T, header["space origin"]
    assert header["space"] == "left-posterior-superior"
    return array, FLIP @ grid


def readers(ending):
    yield "SimpleITK", from_itk
    if ending.startswith(".nii"):
        yield "nibabel", from_nibabel
    if ending == ".nrrd":
        yield "pynrrd", from_pynrrd


def check(convert, folder, name, array, grid, written, codes, arguments=()):
    source = nib.Nifti1Image(array, grid, dtype=array.dtype)
    source.header.set_xyzt_units("mm")
    for form, code in zip((source.set_qform, source.set_sform), codes):
        form(grid, code=code)
    nib.save(source, folder / "source.nii.gz")
    for ending in ENDINGS:
        path = folder / f"written{ending}"
        subprocess.run([convert, folder / "source.nii.gz", path, *arguments], check=True)
        for program, read in readers(ending):
            found, found_grid = read(path)
            what = f"{name}, {array.dtype}, {ending}, {program}"
            assert found.dtype == written, f"{what}: {found.dtype}"
            assert np.array_equal(found, array.astype(written)), f"{what}: voxels"
            difference = np.abs(found_grid - grid).max() / np.abs(grid).max()
            assert difference < TOLERANCE, f"{what}: {found_grid} for {grid}"
            yield what


def main():
    convert = sys.argv[1]
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, matrix in directions():
            # Both forms, as scanners' converters write them, and the sform alone.
            for codes in ((1, 1), (0, 2), (1, 0)):
                labels = values.astype(np.uint8)
                count += sum(1 for _ in check(convert, folder, name, labels, affine(matrix), np.uint8, codes, ["labels"]))
        oblique = dict(directions())["oblique, left-handed"]
        labels = (values * 2800).astype(np.uint16)
        count += sum(1 for _ in check(convert, folder, "labels", labels, affine(oblique), np.uint16, (1, 1), ["labels"]))
        for dtype in TYPES:
            low = 0 if dtype.startswith("u") else -11
            array = ((values + low) * (0.375 if dtype.startswith("f") else 5)).astype(dtype)
            count += sum(1 for _ in check(convert, folder, "image", array, affine(oblique), np.float32, (1, 1)))
    print(f"{count} files read as written")


main()
