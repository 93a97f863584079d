"""Writes surface_distance.json: DeepMind's surface_distance 0.1 on the pairs of pairs.py.

python3 -m venv v && v/bin/pip install surface-distance==0.1 "numpy<2" "scipy<1.15" &&
v/bin/python bindings/python/tests/reference/make_surface_distance.py
"""

import json
import math
import sys
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

import numpy as np
import surface_distance as sd
from pairs import COUNT, pair

warnings.simplefilter("ignore")


def values(seed):
    found = pair(seed)
    distances = sd.compute_surface_distances(found.ref, found.pred, found.spacing)
    with np.errstate(all="ignore"):
        results = {
            "average": list(sd.compute_average_surface_distance(distances)),
            "hausdorff95": [sd.compute_robust_hausdorff(distances, 95)],
            "hausdorff": [sd.compute_robust_hausdorff(distances, 100)],
            "overlap": list(sd.compute_surface_overlap_at_tolerance(distances, 2.0)),
            "surface_dice": [sd.compute_surface_dice_at_tolerance(distances, 2.0)],
            "dice": [sd.compute_dice_coefficient(found.ref, found.pred)],
            "areas": [np.sum(distances[name]) for name in ("surfel_areas_gt", "surfel_areas_pred")],
            "counts": [len(distances[name]) for name in ("distances_gt_to_pred", "distances_pred_to_gt")],
        }
    # JSON has neither NaN nor infinity.
    plain = lambda value: float(value) if math.isfinite(value) else str(float(value))
    return {name: [plain(value) for value in numbers] for name, numbers in results.items()}


path = Path(__file__).with_name("surface_distance.json")
path.write_text(json.dumps([values(seed) for seed in range(COUNT)], indent=1) + "\n")
