"""Writes the files of formats/ with the reference programs, and formats.json with what those programs read from them.

Made with numpy 2.4.6, nibabel 5.4.2, SimpleITK 2.5.7 and pynrrd 1.1.3: python formats.py
"""
import gzip
import json
import shutil
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import SimpleITK as sitk

HERE = Path(__file__).resolve().parent / "formats"
SHAPE = (4, 3, 2)
TURN = np.array([[0.0, -0.6, 0.8], [1.0, 0.0, 0.0], [0.0, 0.8, 0.6]])  # columns: directions of the axes
SPACING = np.array([1.5, 2.0, 3.25])
ORIGIN = np.array([-10.5, 20.25, 30.0])
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])  # LPS to RAS


def affine():
    a = np.eye(4)
    a[:3, :3], a[:3, 3] = TURN * SPACING, ORIGIN
    return a


def voxels(dtype, channels=1):
    """Channel, x, y, z."""
    count = channels * int(np.prod(SHAPE))
    values = np.arange(count) * 5 - (0 if np.issubdtype(dtype, np.unsignedinteger) else 50)
    values = values * 0.5 if np.issubdtype(dtype, np.floating) else values
    return values.astype(dtype).reshape((channels, *SHAPE))


expected = {}


def add(name, array, grid):
    array = np.asarray(array, np.float64)
    expected[name] = {"shape": list(array.shape[1:]), "channels": array.shape[0],
                      "affine": np.asarray(grid).tolist(), "voxels": array.ravel().tolist()}


def read_nibabel(name):
    image = nib.load(HERE / name)
    array = np.asanyarray(image.dataobj, np.float64)
    add(name, np.moveaxis(array, 3, 0) if array.ndim == 4 else array[None], image.affine)


def read_itk(name):
    image = sitk.ReadImage(str(HERE / name))
    array = sitk.GetArrayFromImage(image)
    if image.GetDimension() == 4:  # t, z, y, x
        array = array.transpose(0, 3, 2, 1)
    elif image.GetNumberOfComponentsPerPixel() > 1:  # z, y, x, c
        array = array.transpose(3, 2, 1, 0)
    else:
        array = array.transpose(2, 1, 0)[None]
    n = image.GetDimension()
    grid = np.eye(4)
    grid[:3, :3] = np.array(image.GetDirection()).reshape(n, n)[:3, :3] * np.array(image.GetSpacing())[:3]
    grid[:3, 3] = image.GetOrigin()[:3]
    add(name, array, FLIP @ grid)


def nifti(name, array, cls=nib.Nifti1Image, header=None, change=None):
    array = np.moveaxis(array, 0, 3) if array.shape[0] > 1 else array[0]
    image = cls(array, affine(), header=header, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    if change:
        change(image)
    nib.save(image, HERE / name)


def itk(name, array, compress=True, dimensions=3):
    if dimensions == 4:
        image = sitk.GetImageFromArray(array.transpose(0, 3, 2, 1), isVector=False)
        direction = np.eye(4)
        direction[:3, :3] = TURN
        spacing, origin = [*SPACING, 1.0], [*ORIGIN, 0.0]
    else:
        vector = array.shape[0] > 1
        image = sitk.GetImageFromArray(array.transpose(3, 2, 1, 0) if vector else array[0].transpose(2, 1, 0), isVector=vector)
        direction, spacing, origin = TURN, SPACING, ORIGIN
    image.SetSpacing(list(map(float, spacing)))
    image.SetOrigin(list(map(float, origin)))
    image.SetDirection(direction.ravel().tolist())
    sitk.WriteImage(image, str(HERE / name), compress)


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    i16, u8, f32, f64 = np.int16, np.uint8, np.float32, np.float64

    # NIfTI, by nibabel.
    nifti("one.nii.gz", voxels(i16))
    nifti("big_endian.nii", voxels(f64), header=nib.Nifti1Header(endianness=">"))
    nifti("two.nii.gz", voxels(f32), cls=nib.Nifti2Image)
    nifti("two_big_endian.nii", voxels(np.int64), cls=nib.Nifti2Image, header=nib.Nifti2Header(endianness=">"))
    nifti("four_axes.nii.gz", voxels(u8, 2))
    nifti("pair.hdr", voxels(np.uint16), cls=nib.Nifti1Pair)
    nifti("packed_pair.hdr.gz", voxels(np.int32), cls=nib.Nifti2Pair)

    def qform_only(image):
        image.set_qform(affine() @ np.diag([1, 1, -1, 1]), code=1)
        image.set_sform(None, code=0)

    nifti("qform.nii.gz", voxels(np.int8), change=qform_only)

    def scaled(image):
        image.header.set_slope_inter(0.5, -7)

    nifti("scaled.nii.gz", voxels(f32), header=None, change=scaled)
    for name in ("one.nii.gz", "big_endian.nii", "two.nii.gz", "two_big_endian.nii", "four_axes.nii.gz", "pair.hdr",
                 "packed_pair.hdr.gz", "qform.nii.gz", "scaled.nii.gz"):
        read_nibabel(name)

    # Units, which ITK converts.
    def micrometers(image):
        image.set_qform(np.diag([1e3, 1e3, 1e3, 1]) @ affine(), code=1)
        image.set_sform(np.diag([1e3, 1e3, 1e3, 1]) @ affine(), code=1)
        image.header.set_xyzt_units("micron")

    nifti("micrometers.nii.gz", voxels(i16), change=micrometers)
    read_itk("micrometers.nii.gz")
    itk("itk.nii.gz", voxels(i16))
    read_itk("itk.nii.gz")

    # NRRD, by ITK and pynrrd.
    itk("itk.nrrd", voxels(i16))
    itk("itk_raw.nrrd", voxels(f64), compress=False)
    itk("vector.nrrd", voxels(f32, 3))
    head = {"space directions": (TURN * SPACING).T, "space origin": ORIGIN}
    nrrd.write(str(HERE / "ras.nrrd"), voxels(np.uint32)[0].astype(">u4"), {**head, "space": "RAS", "encoding": "raw"})
    nrrd.write(str(HERE / "las.nrrd"), voxels(np.int64)[0], {**head, "space": "left-anterior-superior"})
    nrrd.write(str(HERE / "detached.nhdr"), voxels(np.int8)[0], {**head, "space": "left-posterior-superior"})
    nrrd.write(str(HERE / "detached_raw.nhdr"), voxels(u8)[0], {**head, "space": "LPS", "encoding": "raw"})
    for name in ("itk.nrrd", "itk_raw.nrrd", "vector.nrrd", "ras.nrrd", "las.nrrd", "detached.nhdr", "detached_raw.nhdr"):
        read_itk(name)
    last = np.vstack([(TURN * SPACING).T, [np.nan] * 3])
    nrrd.write(str(HERE / "last_axis.nrrd"), np.moveaxis(voxels(np.uint16, 2), 0, 3),
               {"space": "left-posterior-superior", "space directions": last, "space origin": ORIGIN,
                "kinds": ["domain", "domain", "domain", "list"]})
    array, _ = nrrd.read(str(HERE / "last_axis.nrrd"))
    add("last_axis.nrrd", np.moveaxis(array, 3, 0), FLIP @ affine())

    # MetaImage, by ITK.
    itk("itk.mha", voxels(i16))
    itk("raw.mhd", voxels(np.uint64), compress=False)
    itk("packed.mhd", voxels(f32))
    itk("vector.mha", voxels(np.int32, 3), compress=False)
    itk("four_axes.mha", voxels(np.int8, 2), dimensions=4)
    # By hand, read by ITK: byte order, synonyms, a skipped header, data in slices.
    text = "ObjectType = Image\nNDims = 3\nBinaryData = True\nElementByteOrderMSB = True\nOrientation = 0 1 0 -1 0 0 0 0 1\n" \
           "Position = 1 2 3\nElementSpacing = 1.5 2 3.25\nDimSize = 4 3 2\nElementType = MET_USHORT\nElementDataFile = {}\n"
    data = voxels(np.uint16)[0].T.astype(">u2").tobytes()
    (HERE / "big_endian.mha").write_bytes(text.format("LOCAL").encode() + data)
    (HERE / "skipped.raw").write_bytes(b"anything" + data)
    (HERE / "skipped.mhd").write_text(text.format("skipped.raw").replace("DimSize", "HeaderSize = -1\nDimSize"))
    for z in range(2):
        (HERE / f"slice{z + 1:02d}.raw").write_bytes(data[24 * z:24 * (z + 1)])
    (HERE / "slices.mhd").write_text(text.format("slice%02d.raw 1 2 1"))
    (HERE / "list.mhd").write_text(text.format("LIST\nslice01.raw\nslice02.raw"))
    for name in ("itk.mha", "raw.mhd", "packed.mhd", "vector.mha", "four_axes.mha", "big_endian.mha", "skipped.mhd",
                 "slices.mhd", "list.mhd"):
        read_itk(name)
    (HERE.parent / "formats.json").write_text(json.dumps(expected, indent=None, separators=(",", ":")) + "\n")


main()
