"""Speed and memory of the metrics beside MONAI and surface-distance, each in a process of its own, alternating.

speed.py measure NAME                one run of NAME: prints seconds, and the peak of memory over the arrays, as JSON
speed.py compare PYTHON_OLD PYTHON   tables; PYTHON_OLD has surface-distance 0.1 and numpy 1, PYTHON has MONAI and bipvl
"""

import json
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

CLASSES = 15
SPACING = (1.0, 1.0, 1.5)
REPEATS = 3


def labels(shape, seed):
    """Organs as ellipsoids in a grid of 3 by 5 cells; the seed moves them by some voxels."""
    rng = np.random.default_rng(seed)
    array = np.zeros(shape, np.uint8)
    cells = [(x, y) for x in range(3) for y in range(5)]
    for label, (x, y) in enumerate(cells, 1):
        center = [(x + 0.5) * shape[0] / 3, (y + 0.5) * shape[1] / 5, shape[2] / 2] + rng.normal(0, 2, 3)
        radii = np.array([shape[0] / 7, shape[1] / 12, shape[2] / 3])
        low = np.maximum(np.floor(center - radii).astype(int), 0)
        high = np.minimum(np.ceil(center + radii).astype(int) + 1, shape)
        box = tuple(slice(a, b) for a, b in zip(low, high))
        axes = np.ogrid[box]
        inside = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, center, radii)) <= 1
        array[box][inside] = label
    return array


def bipvl_scores(pred, ref):
    import bipvl

    return lambda: bipvl.evaluate(pred, ref, SPACING).mean


def bipvl_drop_in(pred, ref):
    import bipvl.surface_distance as sd

    return lambda: surface_distance_loop(sd, pred, ref)


def deepmind(pred, ref):
    import surface_distance as sd

    return lambda: surface_distance_loop(sd, pred, ref)


def surface_distance_loop(sd, pred, ref):
    for label in range(1, CLASSES + 1):
        distances = sd.compute_surface_distances(ref == label, pred == label, SPACING)
        sd.compute_robust_hausdorff(distances, 95)
        sd.compute_surface_dice_at_tolerance(distances, 2.0)
        sd.compute_average_surface_distance(distances)
        sd.compute_dice_coefficient(ref == label, pred == label)


def monai(pred, ref):
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance
    from monai.metrics import compute_surface_dice

    torch.set_num_threads(2)
    one_hot = [torch.from_numpy(np.stack([array == label for label in range(CLASSES + 1)])[None]) for array in (pred, ref)]

    def run():
        options = {"spacing": SPACING}
        compute_dice(*one_hot, include_background=False)
        compute_hausdorff_distance(*one_hot, percentile=95, **options)
        compute_surface_dice(*one_hot, [2.0] * CLASSES, **options)
        compute_average_surface_distance(*one_hot, symmetric=True, **options)

    return run


def bipvl_monai(pred, ref):
    import bipvl.monai as functions

    one_hot = [np.stack([array == label for label in range(CLASSES + 1)])[None] for array in (pred, ref)]

    def run():
        options = {"spacing": SPACING}
        functions.compute_dice(*one_hot, include_background=False)
        functions.compute_hausdorff_distance(*one_hot, percentile=95, **options)
        functions.compute_surface_dice(*one_hot, [2.0] * CLASSES, **options)
        functions.compute_average_surface_distance(*one_hot, symmetric=True, **options)

    return run


MIDDLE, LARGE = (256, 256, 160), (512, 512, 512)
TASKS = {
    "bipvl.evaluate": (bipvl_scores, MIDDLE),
    "bipvl.surface_distance": (bipvl_drop_in, MIDDLE),
    "surface_distance": (deepmind, MIDDLE),
    "bipvl.monai": (bipvl_monai, MIDDLE),
    "MONAI": (monai, MIDDLE),
    "bipvl.evaluate, 512³": (bipvl_scores, LARGE),
}
OLD = {"surface_distance"}


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def measure(name):
    make, shape = TASKS[name]
    run = make(labels(shape, 1), labels(shape, 2))
    before = peak_mb()
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "over_mb": peak_mb() - before, "arrays_mb": 2 * np.prod(shape) / 1e6}))


def compare(old, new):
    found = {name: [] for name in TASKS}
    for _ in range(REPEATS):
        for name in TASKS:
            command = [old if name in OLD else new, __file__, "measure", name]
            found[name].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[-1]))
    for name, runs in found.items():
        seconds = statistics.median(run["seconds"] for run in runs)
        memory = max(run["over_mb"] for run in runs)
        print(f"{name:24} {seconds:8.2f} s  {memory:8.0f} MB over the arrays of {runs[0]['arrays_mb']:.0f} MB")


if __name__ == "__main__":
    measure(sys.argv[2]) if sys.argv[1] == "measure" else compare(*sys.argv[2:])
