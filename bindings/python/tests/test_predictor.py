"""``bipvl.Predictor`` against the program, with arrays, nibabel and SimpleITK."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import bipvl

nibabel = pytest.importorskip("nibabel")
sitk = pytest.importorskip("SimpleITK")


@pytest.fixture(scope="module")
def case(channels):
    """A scan, and what the program makes of it."""
    label = sorted((channels / "predictions").glob("*.nii.gz"))[0]
    scans = (channels / "data" / "imagesTs").glob(label.name.removesuffix(".nii.gz") + "*")
    return next(scans), np.asarray(nibabel.load(label).dataobj)


@pytest.fixture(scope="module")
def predictor(channels):
    return bipvl.Predictor(channels / "run")


def test_types_in_are_types_out(predictor, case):
    path, expected = case
    image = nibabel.load(path)
    found = predictor.predict(image)
    assert isinstance(found, nibabel.Nifti1Image) and np.array_equal(found.affine, image.affine)
    assert np.array_equal(found.dataobj, expected)
    found = predictor.predict(sitk.ReadImage(str(path)))
    assert isinstance(found, sitk.Image) and found.GetSpacing() == sitk.ReadImage(str(path)).GetSpacing()
    assert np.array_equal(sitk.GetArrayFromImage(found).T, expected)
    found = predictor.predict(np.asarray(image.dataobj), affine=image.affine)
    assert isinstance(found, np.ndarray) and np.array_equal(found, expected)
    assert np.array_equal(predictor.predict(str(path)), expected)
    with pytest.raises(ValueError, match="an array has no spacing"):
        predictor.predict(np.asarray(image.dataobj))


def test_what_a_segmentation_tells(predictor, case, tmp_path):
    path, expected = case
    found = predictor.segment(path, probabilities=True)
    assert list(found.names.values()) == predictor.classes
    sums = found.probabilities.sum(axis=0)
    assert found.probabilities.shape == (len(found.names), *expected.shape) and sums.max() <= 1 + 1e-5
    masks = predictor.predict(path, each=True)
    assert masks.dtype == bool and np.array_equal(masks.any(axis=0), expected > 0)
    found.save(tmp_path / "labels.nii.gz")
    saved = nibabel.load(tmp_path / "labels.nii.gz")
    assert np.array_equal(saved.dataobj, expected) and np.array_equal(saved.affine, nibabel.load(path).affine)


def test_chosen_classes(predictor, case):
    path, expected = case
    chosen = predictor.classes[0]
    value = next(value for value, name in predictor.segment(path).names.items() if name == chosen)
    found = predictor.predict(path, classes=chosen)
    assert np.array_equal(found, np.where(expected == value, value, 0))
    with pytest.raises(ValueError, match="unknown class `moon`; the model has"):
        predictor.predict(path, classes=["moon"])
    with pytest.raises(ValueError, match="the run has fixed classes"):
        predictor.predict(path, prompts="moon")


def test_threads_change_nothing_and_run_together(channels, case):
    path, expected = case
    found = []
    predictor = bipvl.Predictor(channels / "run", threads=1)
    threads = [threading.Thread(target=lambda: found.append(predictor.predict(path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(labels, expected) for labels in found) and len(found) == 2


def test_progress_can_stop_it(predictor, case):
    calls = []

    def stop(done, total):
        calls.append((done, total))
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        predictor.predict(case[0], progress=stop)
    assert calls[0][0] == 1


def test_ctrl_c_is_heard(channels):
    # Of over a thousand windows, those of a few tenths of a second are done after the signal.
    code = f"""
import bipvl, signal, numpy
predictor = bipvl.Predictor({str(channels / "run")!r}, overlap=0.9)
calls = []

def progress(done, total):
    calls.append((done, total))
    if done == 1:
        signal.raise_signal(signal.SIGINT)

try:
    predictor.predict(numpy.zeros((64, 64, 64)), spacing=predictor.config["preprocess"]["spacing"], progress=progress)
except KeyboardInterrupt:
    done, total = calls[-1]
    raise SystemExit(42 if done < total / 2 else f"{{done}} of {{total}} windows")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 42, done.stderr


def test_scans_that_cannot_be_segmented(predictor, case):
    scan = nibabel.load(case[0])
    image, affine = np.asarray(scan.dataobj, np.float32), scan.affine
    broken = image.copy()
    broken[3, 3, 3] = np.nan
    with pytest.raises(bipvl.Error, match="1 of [0-9]+ intensities are not finite"):
        predictor.predict(broken, affine=affine)
    with pytest.raises(ValueError, match="not the shape"):
        predictor.predict(np.zeros((0, 5, 5)), spacing=(1, 1, 1))
    with pytest.raises(ValueError, match="but the image has"):
        predictor.predict(scan, spacing=(9, 9, 9))
    with pytest.raises(ValueError, match="2 channels, but the model was trained on 1"):
        predictor.predict(np.stack([image, image], -1), affine=affine)
    with pytest.raises(ValueError, match="the run has fixed classes"):
        predictor.predict(scan, like="other")
    with pytest.raises(ValueError, match="classes: expected at least one"):
        predictor.predict(scan, classes=[])
    records = np.zeros(image.shape, [("id", "u1"), ("hu", "f4")])
    records["hu"] = image
    assert np.array_equal(predictor.predict(records["hu"], affine=affine), case[1])
    read = bipvl.read_image(case[0])
    assert np.array_equal(predictor.predict(read), case[1]) and len(repr(read)) < 100
    assert bipvl.evaluate(predictor.segment(read), scan.__class__(case[1], affine)).mean.dice == 1


def test_prompts(prompted, tmp_path, capfd):
    predictor = bipvl.Predictor(prompted / "run")
    assert predictor.prompted and predictor.config["model"]["head"] == "prompts"
    path = sorted((prompted / "data" / "imagesTr").glob("*.nii.gz"))[0]
    prompts = ["dark rings", "left bright ball"]
    found = predictor.segment(path, prompts=prompts)
    assert [finding.prompt for finding in found.findings] == prompts == list(found.names.values())
    counts = [finding.voxels for finding in found.findings]
    assert counts == found.masks.reshape(2, -1).sum(axis=1).tolist()
    written = predictor.predict_files(path, tmp_path, prompts=prompts)
    labels = next(file for file in written if file.name.endswith(".nii.gz"))
    assert np.array_equal(nibabel.load(labels).dataobj, found.labels)
    with pytest.raises(ValueError, match="prompt 2 has no word"):
        predictor.predict(path, prompts=["liver", "?"])
    with pytest.raises(ValueError, match="asked with prompts, not with classes"):
        predictor.predict(path, classes="liver")
    assert capfd.readouterr().out == ""


def test_files(predictor, case, tmp_path):
    path, expected = case
    written = predictor.predict_files([path], tmp_path, statistics=True, formats="nrrd")
    endings = sorted("".join(file.suffixes[-1:]) for file in written)
    assert endings == [".csv", ".json", ".nrrd"]
    label = next(file for file in written if file.suffix == ".nrrd")
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(label))).T, expected)
    with pytest.raises(bipvl.Error, match="exists already"):
        predictor.predict_files([path], tmp_path, formats="nrrd")


def test_runs_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        bipvl.Predictor("nowhere")
    with pytest.raises(bipvl.Error, match="is not a run directory"):
        bipvl.Predictor(tmp_path)
    with pytest.raises(ValueError, match="expected cpu, vulkan or cuda"):
        bipvl.Predictor(tmp_path, device="abacus")
