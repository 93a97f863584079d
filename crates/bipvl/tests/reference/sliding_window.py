"""MONAI's sliding window over a made volume with a made predictor, for tests/it/sliding_window_reference.rs.

Usage: python sliding_window.py  (writes sliding_window.json beside itself)
Python 3.11, numpy 2.3.5, torch 2.15.0, monai 1.6.1; seed 7 for the places of the samples.

The predictor knows where in the patch a voxel stands, so that every patch disagrees with its neighbors
about the voxels they share: a patch in the wrong place or with a wrong weight shows.
"""

import json
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference

SHAPE = (40, 37, 33)
CASES = [
    *[((16, 16, 16), overlap, mode) for overlap in (0.25, 0.5, 0.75) for mode in ("constant", "gaussian")],
    ((40, 12, 20), 0.6, "gaussian"),
]
SAMPLES = 48


def draw_volume():
    """Values that float32 holds exactly."""
    x, y, z = np.indices(SHAPE)
    return ((7 * x + 13 * y + 29 * z + 3 * x * y) % 32 / 32).astype(np.float32)


def predict(patches):
    """Two logits: the voxel times a ramp through the patch, and that ramp less the voxel."""
    x, y, z = torch.meshgrid(*[torch.arange(length) for length in patches.shape[2:]], indexing="ij")
    ramp = (1 + x + 2 * y + 3 * z) / 64
    return torch.cat([patches * ramp, ramp - patches], dim=1)


def cover(patch, overlap, mode, places):
    volume = torch.from_numpy(draw_volume())[None, None]
    logits = sliding_window_inference(volume, patch, 4, predict, overlap=overlap, mode=mode)[0].double()
    return {
        "patch": patch,
        "overlap": overlap,
        "blend_mode": mode,
        "sums": [float(channel.sum()) for channel in logits],
        "samples": [[place, [float(channel[tuple(place)]) for channel in logits]] for place in places],
    }


def main():
    torch.set_num_threads(1)
    random = np.random.default_rng(7)
    corners = [[x, y, z] for x in (0, SHAPE[0] - 1) for y in (0, SHAPE[1] - 1) for z in (0, SHAPE[2] - 1)]
    places = corners + [[int(random.integers(length)) for length in SHAPE] for _ in range(SAMPLES)]
    lines = [json.dumps(cover(*case, places)) for case in CASES]
    Path(__file__).with_suffix(".json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
