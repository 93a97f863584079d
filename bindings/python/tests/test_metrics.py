"""``bipvl.evaluate`` and ``bipvl.evaluate_folder``."""

import json
import math
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest

import bipvl

#: Sums of a thousand float64 terms in another order.
SUMMATION = 1e-12
#: MONAI holds distances in float32.
FLOAT32 = 1e-6

SPACING = (0.8, 0.8, 3.0)


def ellipsoid(center, radii):
    axes = np.meshgrid(*(np.arange(length) for length in (40, 36, 24)), indexing="ij")
    return sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, center, radii)) <= 1


@pytest.fixture(scope="module")
def golden():
    """The two shapes that the crate of the metrics is tested with against four implementations."""
    pred = ellipsoid((22, 17, 12), (8, 8, 4))
    pred[3:5, 3:5, 3:5] = True
    return pred, ellipsoid((20, 18, 12), (9, 7, 5))


@pytest.mark.parametrize(
    ("convention", "hd95_mm", "nsd", "assd_mm"),
    [
        ("monai", 3.2, 0.7322222222222222, 1.452065511723932),
        ("metrics-reloaded", 3.2, 0.7322222222222222, 1.452065511723932),
        ("medpy", 3.104834939252005, 0.7322222222222222, 1.452065511723932),
        ("deepmind", 3.0, 0.8586226992531343, (1.0193862182220221 + 1.324702849754067) / 2),
    ],
)
def test_golden_values(golden, convention, hd95_mm, nsd, assd_mm):
    scores = bipvl.evaluate(pred=golden[0], ref=golden[1], spacing=SPACING, names=["liver"], convention=convention)
    liver = scores["liver"]
    assert abs(liver.dice - 0.7491554054054054) <= SUMMATION
    assert abs(liver.hd95_mm - hd95_mm) <= FLOAT32
    assert abs(liver.nsd - nsd) <= SUMMATION
    assert abs(liver.assd_mm - assd_mm) <= SUMMATION
    assert liver.state == "both" and scores.convention == convention


@pytest.mark.parametrize("dtype", [bool, "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", ">i2", ">f4"])
@pytest.mark.parametrize("order", ["C", "F", "strided", "permuted"])
def test_types_and_orders(golden, dtype, order):
    expected = bipvl.evaluate(*golden, spacing=SPACING)["1"]
    spacing = SPACING
    arrays = [mask.astype(dtype) for mask in golden]
    if order == "F":
        arrays = [np.asfortranarray(array) for array in arrays]
    elif order == "strided":
        arrays = [np.repeat(array, 2, axis=2)[:, :, ::2] for array in arrays]
    elif order == "permuted":
        arrays, spacing = [array.transpose(2, 0, 1) for array in arrays], (3.0, 0.8, 0.8)
    found = bipvl.evaluate(*arrays, spacing=spacing)["1"]
    assert all(
        abs(getattr(found, metric) - getattr(expected, metric)) <= SUMMATION
        for metric in ("dice", "hd95_mm", "nsd", "assd_mm")
    )


def test_no_spacing_is_an_error(golden):
    with pytest.raises(ValueError, match="no spacing: give spacing= in mm"):
        bipvl.evaluate(*golden)
    with pytest.raises(ValueError, match="expected 3 lengths above 0"):
        bipvl.evaluate(*golden, spacing=(1, 1))
    with pytest.raises(ValueError, match="expected 3 lengths above 0"):
        bipvl.evaluate(*golden, spacing=(1, 1, -1))


def test_what_is_no_label_map_is_refused(golden):
    pred, ref = golden
    for wrong, message in [
        (pred * 0.5, "0.5 is no label"),
        (pred.astype(np.int32) - 1, "-1 is no label"),
        (pred.astype(np.int64) * 70000, "70000 is no label"),
        (np.where(pred, np.nan, 0.0), "NaN is no label"),
    ]:
        with pytest.raises(ValueError, match=message):
            bipvl.evaluate(wrong, ref, spacing=SPACING)
    with pytest.raises(TypeError, match="complex"):
        bipvl.evaluate(pred.astype(complex), ref, spacing=SPACING)
    with pytest.raises(TypeError, match="expected a path, an array or an image, not object"):
        bipvl.evaluate(object(), ref, spacing=SPACING)
    with pytest.raises(ValueError, match=r"pred has shape \(39, 36, 24\), but ref \(40, 36, 24\)"):
        bipvl.evaluate(pred[1:], ref, spacing=SPACING)
    with pytest.raises(ValueError, match="unknown convention"):
        bipvl.evaluate(pred, ref, spacing=SPACING, convention="mine")
    with pytest.raises(FileNotFoundError, match="nowhere.nii"):
        bipvl.evaluate("nowhere.nii", ref)


def test_classes_names_and_states():
    pred, ref = np.zeros((2, 6, 6, 6), np.uint8)
    pred[1:3], ref[1:3] = 1, 1
    pred[4], ref[5] = 2, 3
    scores = bipvl.evaluate(pred, ref, (1, 1, 1), names={1: "liver", 2: "spleen", 3: "kidney", 4: "aorta"})
    assert {name: found.state for name, found in scores.items()} == {
        "liver": "both",
        "spleen": "false_alarm",
        "kidney": "missed",
        "aorta": "neither",
    }
    assert scores.missed == ["kidney"]
    assert math.isnan(scores["kidney"].hd95_mm) and math.isnan(scores["aorta"].dice)
    assert scores.to_dict()["kidney"]["hd95_mm"] is None
    # A missed class has Dice 0; MONAI has none for a false alarm.
    assert scores.mean.dice == 0.5
    union = bipvl.evaluate(pred, ref, (1, 1, 1), labels={"organ": [1, 2, 3]})
    assert list(union) == ["organ"] and union["organ"].dice == 2 * 72 / (108 + 108)
    assert "liver" in str(scores) and "Dice" in str(scores) and scores._repr_html_().startswith("<pre>")
    ignored = bipvl.evaluate(pred, ref, (1, 1, 1), ignore_label=3)
    assert list(ignored) == ["1", "2"]


def test_masks_may_overlap():
    masks = np.zeros((2, 5, 5, 5), bool)
    masks[0, 1:4], masks[1, 2:5] = True, True
    scores = bipvl.evaluate(masks, masks, (1, 1, 1), names=["whole", "core"])
    assert scores["whole"].dice == scores["core"].dice == scores.mean.dice == 1.0
    assert "core" in str(scores)


def test_images_bring_their_spacing_and_axes(golden, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    sitk = pytest.importorskip("SimpleITK")
    pred, ref = (mask.astype(np.uint8) for mask in golden)
    expected = bipvl.evaluate(pred, ref, SPACING)["1"]
    images = [nibabel.Nifti1Image(array, np.diag([*SPACING, 1])) for array in (pred, ref)]
    assert bipvl.evaluate(*images)["1"] == expected
    paths = [str(tmp_path / name) for name in ("pred.nii.gz", "ref.nii.gz")]
    for image, path in zip(images, paths):
        nibabel.save(image, path)
    assert same(bipvl.evaluate(*paths)["1"], expected)
    assert same(bipvl.evaluate(*map(Path, paths))["1"], expected)
    # SimpleITK: the axes of the array are reversed, the spacing is not.
    assert same(bipvl.evaluate(*map(sitk.ReadImage, paths))["1"], expected)
    # A fourth axis of one is none; of several it is no label image, and no set of masks either.
    assert bipvl.evaluate(nibabel.Nifti1Image(pred[..., np.newaxis], np.diag([*SPACING, 1])), images[1])["1"] == expected
    with pytest.raises(ValueError, match="a label image has 3 axes"):
        bipvl.evaluate(nibabel.Nifti1Image(np.stack([pred, pred], axis=-1), np.diag([*SPACING, 1])), images[1])
    moved = nibabel.Nifti1Image(ref, np.diag([1.6, 0.8, 3.0, 1]))
    with pytest.raises(ValueError, match="is not on the grid of"):
        bipvl.evaluate(images[0], moved)
    with pytest.raises(ValueError, match="but the image has"):
        bipvl.evaluate(*images, spacing=(1, 1, 1))


def same(found, expected):
    """Equal but for the float32 affine of a file."""
    metrics = ("dice", "hd95_mm", "nsd", "assd_mm")
    return all(abs(getattr(found, metric) - getattr(expected, metric)) <= FLOAT32 for metric in metrics)


def test_pandas(golden):
    pytest.importorskip("pandas")
    table = bipvl.evaluate(*golden, spacing=SPACING, names=["liver"]).to_pandas()
    assert table.loc["liver", "state"] == "both"


def test_folders(channels, capfd):
    calls = []
    scores = bipvl.evaluate_folder(
        channels / "predictions",
        channels / "data" / "labelsTs",
        dataset=channels / "data" / "dataset.json",
        progress=lambda done, total, case: calls.append((done, total, case)),
    )
    program = json.loads((channels / "scores.json").read_text())
    assert scores.to_dict()["mean"] == program["mean"]
    assert [done for done, _, _ in calls] == list(range(len(scores.cases)))
    assert not scores.failures and "mean Dice" in str(scores)
    assert len(next(iter(scores.values())).dice.ci95) == 2
    with pytest.raises(FileNotFoundError, match="nowhere"):
        bipvl.evaluate_folder("nowhere", channels / "predictions")
    with pytest.raises(RuntimeError, match="enough"):
        bipvl.evaluate_folder(channels / "predictions", channels / "predictions", progress=stop)
    assert capfd.readouterr().out == ""


def stop(*_):
    raise RuntimeError("enough")


def test_a_damaged_case_is_a_warning(channels, tmp_path):
    (tmp_path / "labels").mkdir()
    for path in (channels / "predictions").glob("*.nii.gz"):
        (tmp_path / "labels" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "labels" / path.name).write_bytes(b"no image")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores = bipvl.evaluate_folder(tmp_path / "labels", channels / "predictions")
    assert len(scores.failures) == 1 and path.name in scores.failures[0]
    assert any(path.name in str(warning.message) for warning in caught)


def test_two_threads_at_once(golden):
    expected = bipvl.evaluate(*golden, spacing=SPACING)["1"]
    found = []
    work = lambda: found.append(bipvl.evaluate(*golden, spacing=SPACING, threads=1)["1"])
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def fork_work(queue, golden):
    queue.put(bipvl.evaluate(*golden, spacing=SPACING)["1"].dice)


def test_a_forked_process_has_threads_of_its_own(golden):
    import multiprocessing

    expected = bipvl.evaluate(*golden, spacing=SPACING)["1"].dice
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=fork_work, args=(queue, golden))
    child.start()
    try:
        assert queue.get(timeout=60) == expected
    finally:
        child.kill()
        child.join()


MEMORY = """
import resource
import nibabel
import numpy as np
import bipvl

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

shape = (320, 320, 256)
array = np.zeros(shape, np.uint8)
for label in range(15):
    x, y = label // 5 * 106, label % 5 * 64
    array[x + 10 : x + 95, y + 8 : y + 55, 20:230] = label + 1
shifted = np.roll(array, 2, 2)
before = peak()
bipvl.evaluate(array, shifted, (1, 1, 1.5), convention="{convention}")
print((peak() - before) / (array.nbytes + shifted.nbytes))
"""


@pytest.mark.parametrize("convention", ["monai", "deepmind"])
def test_scores_need_less_memory_than_the_arrays(convention):
    code = MEMORY.format(convention=convention)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 1


INTERRUPTED = """
import os, signal, sys, threading, time
import bipvl

threading.Timer({seconds}, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
calls = []
try:
    {call}
except KeyboardInterrupt:
    print(len(calls))
"""


def test_an_interrupt_stops_a_folder(tmp_path):
    voxels = np.zeros((160, 160, 120), np.uint8)
    voxels[20:140:2, 20:140, 20:100] = 1
    for folder in ("pred", "ref"):
        (tmp_path / folder).mkdir()
        for case in range(40):
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / folder / f"{case}.nii")
    arguments = f"{str(tmp_path / 'pred')!r}, {str(tmp_path / 'ref')!r}"
    call = f"bipvl.evaluate_folder({arguments}, progress=lambda *state: calls.append(state))"
    code = INTERRUPTED.format(seconds=1.0, call=call)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Each case is read for its labels, and then scored.
    assert 0 < int(done.stdout) < 2 * 40


def test_fields_of_packed_records_are_copied():
    rng = np.random.default_rng(0)
    for kind in ("u2", "i4", "f4", "f8"):
        records = np.zeros((5, 6, 7), [("id", "u1"), ("label", kind)])
        records["label"] = rng.integers(0, 3, records.shape)
        scores = bipvl.evaluate(records["label"], records["label"].copy(), (1, 1, 1))
        assert list(scores) == ["1", "2"] and scores.mean.dice == 1


def test_extreme_spacing_is_scored():
    pred, ref = np.zeros((6, 7, 8), np.uint8), np.zeros((6, 7, 8), np.uint8)
    pred[1:4, 2:5, 2:6], ref[2:5, 2:5, 3:6] = 1, 1
    for spacing in [(1, 1, 1e9), (1, 1e-10, 1), (1e155,) * 3]:
        assert bipvl.evaluate(pred, ref, spacing)["1"].dice == bipvl.evaluate(pred, ref, (1, 1, 1))["1"].dice


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spacing": 1.0}, "spacing=1.0: expected 3 lengths"),
        ({"spacing": "1,1,1"}, "expected 3 lengths"),
        ({"threads": -1}, "threads=-1: expected 1 to"),
        ({"threads": 100_000}, "expected 1 to 1024"),
        ({"names": {"liver": 1}}, "maps labels to names"),
        ({"labels": {"x": 70_000}}, "expected whole numbers from 1 to 65535"),
        ({"labels": [1.5]}, "expected whole numbers"),
        ({"ignore_label": -1}, "expected whole numbers"),
    ],
)
def test_arguments_are_checked(golden, arguments, message):
    with pytest.raises(ValueError, match=message):
        bipvl.evaluate(*golden, **{"spacing": SPACING, **arguments})


def test_masks_need_names_of_their_own(golden):
    with pytest.raises(ValueError, match="several masks are named x"):
        bipvl.evaluate(np.stack(golden), np.stack(golden), SPACING, names=["x", "x"])


def test_small_voxels_are_compared_exactly():
    nifti = lambda length: nibabel.Nifti1Image(np.ones((3, 3, 3), np.uint8), np.diag([length, length, length, 1]))
    with pytest.raises(ValueError, match="not on the grid"):
        bipvl.evaluate(nifti(0.0005), nifti(0.001))


def test_nothing_to_score_is_an_empty_table():
    pytest.importorskip("pandas")
    empty = np.zeros((3, 3, 3), np.uint8)
    assert bipvl.evaluate(empty, empty, (1, 1, 1)).to_pandas().empty


def test_a_background_entry_is_no_class(golden):
    assert list(bipvl.evaluate(*golden, SPACING, labels={"background": 0, "organ": 1})) == ["organ"]
