"""Compares this project's DICOM with other programs: SimpleITK reads the same volumes; highdicom and pydicom read back
exactly our masks; dciodvfy finds no error; plastimatch rasterizes our contours to the mask; Orthanc returns our objects
unchanged; what highdicom and dcmqi write is read to the mask that they state.

    peers.py DICOM_EXAMPLE [DATA]

DICOM_EXAMPLE is the program `dicom` of crates/dicom/examples, DATA a folder with public scans (BIPVL_DATA). Needs
SimpleITK, pydicom, highdicom, imagecodecs from PyPI, and dicom3tools, plastimatch, orthanc from Debian.
"""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk

import series

PROGRAM = Path(sys.argv[1]).resolve()
DATA = Path(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2] else None
# Affines go through float32 in no place; decimal strings have ten digits.
TOLERANCE_MM = 1e-6
# float32 holds products of a 16-bit integer and a slope to this relative error.
RELATIVE = 1e-6
# Decoders of lossy JPEG may round differently.
LOSSY = 1
failures = []
checks = 0


def check(holds, what):
    global checks
    checks += 1
    if not holds:
        failures.append(what)
        print("FAILED:", what)


def run(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        failures.append(f"{' '.join(map(str, arguments))}: {done.stderr}")
        print("FAILED:", failures[-1])
    return done.returncode == 0


def by_simpleitk(folder):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def geometry(image):
    return [np.array(values) for values in (image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())]


def compare_volume(name, folder, work):
    out = work / "volume.mha"
    if not run("volume", folder, out):
        return
    ours, theirs = sitk.ReadImage(str(out)), by_simpleitk(folder)
    for found, expected, what in zip(geometry(ours), geometry(theirs), ("size", "spacing", "origin", "direction")):
        same = found.shape == expected.shape and np.abs(found - expected).max() < TOLERANCE_MM
        check(same, f"{name}: {what} {found} is {expected} in SimpleITK")
    found, expected = (sitk.GetArrayFromImage(image).astype(float) for image in (ours, theirs))
    same = found.shape == expected.shape and np.allclose(found, expected, rtol=RELATIVE, atol=1e-4)
    check(same, f"{name}: values differ from SimpleITK's")


def compressed_volumes(root, work):
    for name, folder, made, is_lossless in series.compressed_series(root / "compressed"):
        out = work / "volume.mha"
        if name == "JPEG-LS":
            done = subprocess.run([PROGRAM, "volume", folder, out], capture_output=True, text=True)
            check(done.returncode and "jpeg-ls" in done.stderr, f"{name}: no word of the build feature in {done.stderr}")
            continue
        if not run("volume", folder, out):
            continue
        ours = sitk.GetArrayFromImage(sitk.ReadImage(str(out))).astype(float)
        if is_lossless:
            kind = {True: np.int16, False: np.uint16}[bool(made[0].PixelRepresentation)]
            stored = [np.frombuffer(data.PixelData, kind).reshape(data.Rows, data.Columns) for data in made]
            check(np.array_equal(ours, np.array(stored) - 5.0), f"{name}: values differ from those before compression")
        else:
            theirs = sitk.GetArrayFromImage(by_simpleitk(folder)).astype(float)
            check(np.abs(ours - theirs).max() <= LOSSY, f"{name}: values differ from SimpleITK's")


def volumes(root, work):
    compressed_volumes(root, work)
    for name, folder in series.good_series(root / "good").items():
        compare_volume(name, folder, work)
    made = series.data_sets("many frames")
    slices = series.write(root / "slices", made)
    for modality in ("CT", "MR"):
        made = series.data_sets(f"frames {modality}", modality=modality)
        slices = series.write(root / f"slices {modality}", made)
        frames = series.enhanced(root / f"frames {modality}", made, modality)
        outs = [work / "slices.mha", work / "frames.mha"]
        if run("volume", slices, outs[0]) and run("volume", frames, outs[1]):
            same = outs[0].read_bytes() == outs[1].read_bytes()
            check(same, f"enhanced {modality} differs from its slices")
    tilted = series.write(root / "tilt", series.data_sets("tilt", shift=lambda s: np.array([0, 0.7 * s, 0])))
    out = work / "tilt.nii.gz"
    if run("volume", tilted, out):
        # LPS to RAS: the second axis of the step, 0.7 mm posterior, changes its sign. SimpleITK reads no shear.
        step = nibabel.load(out).affine[:3, 2]
        check(np.abs(step - [0, -0.7, series.STEP]).max() < TOLERANCE_MM, f"tilt: a step of {step}")
    if DATA:
        for folder in sorted(DATA.glob("sts-dicom-rtstruct/*/*/dicom")):
            compare_volume(f"{folder.parts[-3]} {folder.parts[-2]}", folder, work)
        compare_volume("JPEG 2000", DATA / "totalsegmentator-examples/ct_dicom_j2k", work)
        compare_volume("dcmqi", DATA / "dcmqi-ct-seg/ct", work)


def valid(path, what, is_known=True):
    """No line of dciodvfy is an error."""
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    if not is_known:
        # Version 2022 knows no label maps: the IOD is unknown to it, and number 0, the background, is new.
        errors = [line for line in errors if "Information Object Not found" not in line and "SegmentNumber" not in line]
    check(not errors, f"{what}: dciodvfy: {errors}")


def labels_on(folder, work, seed):
    """A label map of three classes on the grid of a series: noise, an empty slice, a hole."""
    image = by_simpleitk(folder)
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, sitk.GetArrayFromImage(image).shape).astype(np.uint8)
    labels[1] = 0
    labels[2, 1:6, 1:8] = 2
    labels[2, 3, 3:5] = 0
    written = sitk.GetImageFromArray(labels)
    written.CopyInformation(image)
    path = work / "labels.nii.gz"
    sitk.WriteImage(written, str(path))
    return path, labels, image


def placed(volume, image):
    """A highdicom volume on the grid of a SimpleITK image."""
    target = np.zeros(image.GetSize()[::-1], volume.array.dtype)
    to_index = np.linalg.inv(np.array(image.GetDirection()).reshape(3, 3) @ np.diag(image.GetSpacing()))
    for index in np.ndindex(*volume.array.shape):
        position = (volume.affine @ np.array([*index, 1.0]))[:3]
        column, row, slice = np.rint(to_index @ (position - np.array(image.GetOrigin()))).astype(int)
        target[slice, row, column] = volume.array[index]
    return target


def segmentations(root, work):
    names = ["liver", "left kidney", "bright ring"]
    for index, folder in enumerate(sorted((root / "good").iterdir())):
        path, labels, image = labels_on(folder, work, index)
        for kind in ("seg", "label-map"):
            out, back = work / f"{kind}.dcm", work / "back.nii.gz"
            what = f"{kind} on {folder.name}"
            if not run(kind, folder, path, out, *names):
                continue
            valid(out, what, is_known=kind == "seg")
            read = highdicom.seg.segread(out)
            found = placed(read.get_volume(combine_segments=True, relabel=False), image)
            check((found == labels).all(), f"{what}: highdicom reads another mask")
            if run("labels", out, back):
                found = sitk.Resample(sitk.ReadImage(str(back)), image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
                check((sitk.GetArrayFromImage(found) == labels).all(), f"{what}: read back differently")
        contours(folder, path, labels, image, work, is_for_plastimatch=folder.name in ("plain", "explicit", "fraction"))
    overlapping(root / "good/plain", work)
    written_by_highdicom(root / "good/oblique", work)
    if DATA:
        written_by_dcmqi(work)


def contours(folder, path, labels, image, work, is_for_plastimatch):
    out, rasterized = work / "contours.dcm", work / "rasterized"
    names = ["one", "two", "three"]
    if not run("rtstruct", folder, path, out, *names):
        return
    what = f"contours on {folder.name}"
    valid(out, what)
    if is_for_plastimatch:  # it reads axial CT
        shutil.rmtree(rasterized, ignore_errors=True)
        command = ["plastimatch", "convert", "--input", out, "--referenced-ct", folder, "--output-prefix", rasterized,
                   "--prefix-format", "nii.gz"]
        subprocess.run(list(map(str, command)), capture_output=True, check=True)
        for number, name in enumerate(names, 1):
            mask = sitk.GetArrayFromImage(sitk.ReadImage(str(rasterized / f"{name}.nii.gz")))
            differing = int((mask.astype(bool) != (labels == number)).sum())
            check(differing == 0, f"{what}: plastimatch differs in {differing} voxels of {name}")
    both = work / "both"
    shutil.rmtree(both, ignore_errors=True)
    shutil.copytree(folder, both)
    shutil.copy(out, both)
    back = work / "contours.nii.gz"
    if run("labels", both, back):
        found = sitk.GetArrayFromImage(sitk.ReadImage(str(back)))
        check((found == labels).all(), f"{what}: read back differently")


def overlapping(folder, work):
    image = by_simpleitk(folder)
    random = np.random.default_rng(9)
    masks = random.integers(0, 2, (3, *image.GetSize()[::-1])).astype(np.uint8)
    paths = []
    for index, mask in enumerate(masks):
        written = sitk.GetImageFromArray(mask)
        written.CopyInformation(image)
        paths.append(work / f"mask{index}.nii.gz")
        sitk.WriteImage(written, str(paths[-1]))
    out, back = work / "overlapping.dcm", work / "flat.nii.gz"
    if not run("overlapping", folder, out, *paths):
        return
    valid(out, "overlapping")
    read = highdicom.seg.segread(out)
    for index, mask in enumerate(masks):
        volume = read.get_volume(segment_numbers=[index + 1], combine_segments=True, relabel=True)
        check((placed(volume, image) == mask).all(), f"overlapping: highdicom reads another mask {index}")
    if run("labels", out, back):
        later = np.max(masks * np.arange(1, 4, dtype=np.uint8)[:, None, None, None], axis=0)
        found = sitk.GetArrayFromImage(sitk.ReadImage(str(back)))
        check((found == later).all(), "overlapping: read back differently")


def written_by_highdicom(folder, work):
    _, labels, image = labels_on(folder, work, 5)
    sources = sorted(map(pydicom.dcmread, folder.iterdir()), key=lambda data: data.InstanceNumber)
    code = pydicom.sr.coding.Code("10200004", "SCT", "Liver")
    category = pydicom.sr.coding.Code("123037004", "SCT", "Anatomical Structure")
    algorithm = highdicom.AlgorithmIdentificationSequence("a", pydicom.sr.codedict.codes.DCM.ArtificialIntelligence, "1")
    described = [
        highdicom.seg.SegmentDescription(number, f"s{number}", category, code,
                                         highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC, algorithm)
        for number in (1, 2, 3)
    ]
    for kind in ("BINARY", "LABELMAP", "FRACTIONAL"):
        written = highdicom.seg.Segmentation(sources, labels if kind != "FRACTIONAL" else (labels == 2).astype(np.float32),
                                             kind, described if kind != "FRACTIONAL" else described[:1],
                                             series.uid(kind), 4, series.uid(kind, "i"), 1, "m", "n", "1", "d")
        path, back = work / f"hd{kind}.dcm", work / "hd.nii.gz"
        written.save_as(path)
        if run("labels", path, back):
            found = sitk.Resample(sitk.ReadImage(str(back)), image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
            expected = labels if kind != "FRACTIONAL" else (labels == 2)
            check((sitk.GetArrayFromImage(found) == expected).all(), f"highdicom's {kind} is read to another mask")


def written_by_dcmqi(work):
    back = work / "dcmqi.nii.gz"
    if run("labels", DATA / "dcmqi-ct-seg/seg/liver.dcm", back):
        found = sitk.GetArrayFromImage(sitk.ReadImage(str(back)))
        counts = sorted(int(count) for count in (found == 1).sum(axis=(1, 2)))
        check(counts == [35220, 35645, 36233], f"dcmqi's liver has {counts} voxels per slice")
    check(run("labels", DATA / "dcmqi-ct-seg/seg/partial_overlaps.dcm", back), "dcmqi's overlapping segments are read")
    for patient in sorted(DATA.glob("sts-dicom-rtstruct/*/*")):
        both = work / "sts"
        shutil.rmtree(both, ignore_errors=True)
        shutil.copytree(patient / "dicom", both)
        shutil.copy(patient / "rtstruct.dcm", both)
        if run("labels", both, back):
            found = sitk.GetArrayFromImage(sitk.ReadImage(str(back))) > 0
            theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(patient / "mask.nii.gz"))) > 0
            overlap = 2 * (found & theirs).sum() / (found.sum() + theirs.sum())
            # IBSI's mask was rasterized by another program, whose rule for centers on an edge is not known.
            check(overlap > 0.99, f"{patient.parts[-2:]}: Dice {overlap:.4f} with the mask beside it")


def report(root, work):
    out = work / "report.dcm"
    if run("sr", root / "good/plain", out, "liver", "left kidney"):
        valid(out, "report")
        read = highdicom.sr.srread(out)
        groups = read.content.get_volumetric_roi_measurement_groups()
        values = [float(item.value) for group in groups for item in group.get_measurements()]
        check(values == [12.5, -3.25] * 2, f"report: highdicom reads {values}")


def orthanc(root, work):
    """Orthanc takes our objects and returns them byte for byte."""
    port = free_port()
    configuration = {"HttpPort": port, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
                     "DicomServerEnabled": False, "StorageDirectory": str(work / "store"),
                     "IndexDirectory": str(work / "store"), "Plugins": []}
    (work / "orthanc.json").write_text(json.dumps(configuration))
    with open(work / "orthanc.log", "w") as log:
        server = subprocess.Popen(["Orthanc", work / "orthanc.json"], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{address}/system").read()
                break
            except OSError:
                time.sleep(0.2)
        for name in ("seg.dcm", "label-map.dcm", "contours.dcm", "report.dcm", "overlapping.dcm"):
            sent = (work / name).read_bytes()
            request = urllib.request.Request(f"{address}/instances", data=sent, method="POST")
            identifier = json.load(urllib.request.urlopen(request))["ID"]
            returned = urllib.request.urlopen(f"{address}/instances/{identifier}/file").read()
            check(hashlib.sha256(sent).digest() == hashlib.sha256(returned).digest(), f"Orthanc changes {name}")
    finally:
        server.terminate()
        server.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    # Orthanc binds all interfaces: in a network of its own, where that is allowed, it reaches nothing.
    if "PEERS_NETWORK" not in os.environ and os.geteuid() == 0:
        inner = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, *sys.argv]
        if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0 and shutil.which("ip"):
            sys.exit(subprocess.run(inner, env={**os.environ, "PEERS_NETWORK": "own"}).returncode)
    with tempfile.TemporaryDirectory() as folder:
        root, work = Path(folder) / "series", Path(folder) / "work"
        work.mkdir()
        volumes(root, work)
        segmentations(root, work)
        report(root, work)
        orthanc(root, work)
    print(f"{checks} comparisons with SimpleITK, highdicom, dciodvfy, plastimatch, Orthanc: {len(failures)} failed")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
