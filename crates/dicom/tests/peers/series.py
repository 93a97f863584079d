"""Small DICOM series of many kinds, made with pydicom."""

import copy
from pathlib import Path

import highdicom
import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RLELossless,
    generate_uid,
)

COLUMNS, ROWS, SLICES = 11, 7, 6
SPACING = (0.8, 0.9)  # between rows, between columns
STEP = 2.5
IDENTITY = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])


def uid(*parts):
    return generate_uid(entropy_srcs=[str(part) for part in parts])


def data_sets(
    name="plain",
    directions=IDENTITY,
    modality="CT",
    bits=(16, 16, True),
    rescale=lambda slice: (1.0, -1024.0),
    photometric="MONOCHROME2",
    shift=lambda slice: np.zeros(3),
    slices=SLICES,
    overlay=0,
):
    """One data set per slice; `bits` are allocated, stored, signed."""
    row, column = (np.array(direction) for direction in directions)
    normal = np.cross(row, column)
    allocated, stored, signed = bits
    random = np.random.default_rng(len(name))
    low, high = (-(1 << (stored - 1)), 1 << (stored - 1)) if signed else (0, 1 << stored)
    low, high = max(low, -2000), min(high, 60000)
    class_uid = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}[modality]
    made = []
    for slice in range(slices):
        data = Dataset()
        data.SOPClassUID, data.SOPInstanceUID = class_uid, uid(name, "instance", slice)
        data.StudyInstanceUID, data.SeriesInstanceUID = uid(name, "study"), uid(name, "series")
        data.FrameOfReferenceUID = uid(name, "frame")
        data.PatientName, data.PatientID = "Doe^Jane", "ID-4711"
        data.PatientBirthDate, data.PatientSex = "19500102", "F"
        data.StudyDate, data.StudyTime, data.StudyID = "20260102", "030405", "7"
        data.ReferringPhysicianName, data.AccessionNumber = "", ""
        data.Modality, data.SeriesNumber, data.InstanceNumber = modality, 3, slice + 1
        data.SeriesDescription, data.Manufacturer = name, "pydicom"
        data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.Rows, data.Columns, data.SamplesPerPixel = ROWS, COLUMNS, 1
        data.PhotometricInterpretation = photometric
        data.BitsAllocated, data.BitsStored, data.HighBit = allocated, stored, stored - 1
        data.PixelRepresentation = int(signed)
        position = np.array([-31.5, 12.25, 100.125]) + normal * STEP * slice + shift(slice)
        data.ImagePositionPatient = [float(round(value, 6)) for value in position]
        data.ImageOrientationPatient = [float(value) for value in [*row, *column]]
        data.PixelSpacing, data.SliceThickness = list(SPACING), STEP
        slope, intercept = rescale(slice)
        data.RescaleSlope, data.RescaleIntercept = slope, intercept
        values = random.integers(low, high, (ROWS, COLUMNS))
        kind = {8: np.uint8, 16: np.uint16, 32: np.uint32}[allocated]
        stored_values = (values & ((1 << stored) - 1)).astype(kind) | kind(overlay)
        data.PixelData = stored_values.tobytes()
        made.append(data)
    return made


def write(folder, made, syntax=ImplicitVRLittleEndian, order=None):
    """Writes data sets as files whose names have nothing to do with their order."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    order = order or [(index * 5 + 2) % len(made) for index in range(len(made))]
    for name, data in zip(order, made):
        data = copy.deepcopy(data)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
        data.file_meta = meta
        if syntax == ExplicitVRBigEndian and data.BitsAllocated == 16:
            data.PixelData = np.frombuffer(data.PixelData, "<u2").astype(">u2").tobytes()
        data["PixelData"].VR = "OW" if data.BitsAllocated > 8 else "OB"
        if syntax == RLELossless:
            data.compress(RLELossless)
        pydicom.dcmwrite(folder / f"IM{name:04}", data, enforce_file_format=True)
    return folder


def bare(folder, made, is_implicit):
    """The slices without preamble and file meta information."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    for index, data in enumerate(made):
        data = copy.deepcopy(data)
        data["PixelData"].VR = "OW"
        path = folder / f"IM{index:04}"
        pydicom.dcmwrite(path, data, implicit_vr=is_implicit, little_endian=True, enforce_file_format=False)
    return folder


def with_unknown_sequence(made):
    """A private sequence as archives store it that do not know it: of no known type, its items implicit (PS3.5, 6.2.2)."""
    text = b"\x08\x00\x50\x11" + (8).to_bytes(4, "little") + b"1.2.840\0"
    item = b"\xfe\xff\x00\xe0" + (len(text)).to_bytes(4, "little") + text
    for data in made:
        element = pydicom.DataElement(0x4453100C, "UN", item)
        element.is_undefined_length = True
        data[0x4453100C] = element
    return made


def compressed(folder, made, syntax, encode):
    """The slices with pixel data from an encoder of images."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    for index, data in enumerate(made):
        kind = {8: np.uint8, 16: np.uint16}[data.BitsAllocated]
        stored = np.frombuffer(data.PixelData, kind).reshape(data.Rows, data.Columns)
        data = copy.deepcopy(data)
        data.file_meta = FileMetaDataset()
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.file_meta.TransferSyntaxUID = syntax
        data.PixelData = encapsulate([encode(stored)])
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        pydicom.dcmwrite(folder / f"IM{index:04}", data, enforce_file_format=True)
    return folder


def compressed_series(root):
    """Folders of compressed series: the name, the folder, the slices before compression, whether it is lossless.

    The encoders are libjpeg-turbo, OpenJPEG, OpenJPH and CharLS, as imagecodecs wraps them."""
    root = Path(root)
    jpeg = lambda **more: lambda image: imagecodecs.jpeg8_encode(image, **more)
    kinds = [
        ("JPEG baseline", JPEGBaseline8Bit, (8, 8, False), jpeg(level=95)),
        ("JPEG lossless", JPEGLossless, (16, 12, False), jpeg(lossless=True, predictor=4, bitspersample=16)),
        ("JPEG lossless SV1", JPEGLosslessSV1, (16, 16, False), jpeg(lossless=True, predictor=1, bitspersample=16)),
        ("JPEG lossless, signed", JPEGLosslessSV1, (16, 16, True), jpeg(lossless=True, predictor=1, bitspersample=16)),
        ("JPEG 2000 lossless", JPEG2000Lossless, (16, 12, False), lambda image: imagecodecs.jpeg2k_encode(image, codecformat="j2k", reversible=True)),
        ("HTJ2K lossless", HTJ2KLossless, (16, 16, False), lambda image: imagecodecs.htj2k_encode(image, reversible=True)),
        ("JPEG-LS", JPEGLSLossless, (16, 12, False), imagecodecs.jpegls_encode),
    ]
    for name, syntax, bits, encode in kinds:
        made = data_sets(name, modality="MR", bits=bits, rescale=lambda _: (1, -5))
        yield name, compressed(root / name, made, syntax, encode), made, syntax != JPEGBaseline8Bit


def enhanced(folder, made, modality="CT"):
    """The slices as one enhanced multi-frame object."""
    legacy = {"CT": highdicom.legacy.LegacyConvertedEnhancedCTImage, "MR": highdicom.legacy.LegacyConvertedEnhancedMRImage}
    sources = []
    for data in made:
        data = copy.deepcopy(data)
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        sources.append(data)
    name = sources[0].SeriesDescription
    image = legacy[modality](sources, uid(name, "enhanced"), 5, uid(name, "enhanced instance"), 1)
    folder = Path(folder)
    folder.mkdir(parents=True)
    image.save_as(folder / "enhanced")
    return folder


def rotations():
    """The 24 right-handed orientations of slices along the axes."""
    axes = [sign * np.eye(3)[axis] for axis in range(3) for sign in (1, -1)]
    return [(row, column) for row in axes for column in axes if abs(row @ column) < 0.5]


def oblique():
    angle, tilt = np.radians(23), np.radians(-11)
    row = np.array([np.cos(angle), np.sin(angle), 0])
    column = np.array([-np.sin(angle) * np.cos(tilt), np.cos(angle) * np.cos(tilt), np.sin(tilt)])
    return [float(round(v, 9)) for v in row], [float(round(v, 9)) for v in column]


def good_series(root):
    """Folders of series that SimpleITK and this project must read alike."""
    root = Path(root)
    made = {
        "plain": write(root / "plain", data_sets()),
        "explicit": write(root / "explicit", data_sets("explicit"), ExplicitVRLittleEndian),
        "big-endian": write(root / "big-endian", data_sets("big endian"), ExplicitVRBigEndian),
        "deflated": write(root / "deflated", data_sets("deflated"), DeflatedExplicitVRLittleEndian),
        "rle": write(root / "rle", data_sets("run lengths"), RLELossless),
        "unsigned": write(root / "unsigned", data_sets("unsigned", bits=(16, 16, False))),
        "twelve-bits": write(root / "twelve", data_sets("twelve bits", bits=(16, 12, False))),
        "twelve-signed": write(root / "twelve-signed", data_sets("signed twelve", bits=(16, 12, True))),
        "eight-bits": write(root / "eight", data_sets("eight", modality="MR", bits=(8, 8, False), rescale=lambda _: (1, 0))),
        "monochrome1": write(root / "monochrome1", data_sets("inverse", photometric="MONOCHROME1")),
        "fraction": write(root / "fraction", data_sets("fraction", rescale=lambda _: (0.125, -3.5))),
        "pet": write(root / "pet", data_sets("pet", modality="PT", bits=(16, 16, True), rescale=lambda s: (0.5 + 0.25 * s, 0))),
        "bare-implicit": bare(root / "bare-implicit", data_sets("no header"), True),
        "bare-explicit": bare(root / "bare-explicit", data_sets("no header, explicit"), False),
        "unknown-sequence": write(root / "unknown", with_unknown_sequence(data_sets("unknown")), ExplicitVRLittleEndian),
        "oblique": write(root / "oblique", data_sets("oblique", directions=oblique())),
        "reversed": write(root / "reversed", data_sets("reversed")[::-1], order=list(range(SLICES))),
    }
    for index, directions in enumerate(rotations()):
        made[f"rotation {index}"] = write(root / f"rotation{index}", data_sets(f"rotation {index}", directions=directions))
    return made


if __name__ == "__main__":
    import sys

    for name, folder in good_series(sys.argv[1]).items():
        print(name, folder)
