"""Writes monai.json: the metric functions of MONAI 1.6.1 on the pairs of pairs.py.

python3 -m venv v && v/bin/pip install monai==1.6.1 && v/bin/python bindings/python/tests/reference/make_monai.py
"""

import json
import math
import sys
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.meandice import compute_dice
from monai.metrics.surface_dice import compute_surface_dice
from monai.metrics.surface_distance import compute_average_surface_distance
from pairs import COUNT, pair

warnings.simplefilter("ignore")


def values(seed):
    found = pair(seed)
    # Background and one class; with the background, every function is asked about two channels.
    pred, ref = (
        torch.from_numpy(mask.astype("float32")) for mask in (found.pred, found.ref)
    )
    one_hot = [torch.stack([1 - mask, mask])[None] for mask in (pred, ref)]
    options = {"include_background": True, "spacing": list(found.spacing)}
    results = {
        "dice": compute_dice(*one_hot),
        "dice_not_empty": compute_dice(*one_hot, ignore_empty=False),
        "hd": compute_hausdorff_distance(*one_hot, **options),
        "hd95": compute_hausdorff_distance(*one_hot, percentile=95, **options),
        "hd95_directed": compute_hausdorff_distance(*one_hot, percentile=95, directed=True, **options),
        "asd": compute_average_surface_distance(*one_hot, **options),
        "assd": compute_average_surface_distance(*one_hot, symmetric=True, **options),
        "nsd": compute_surface_dice(*one_hot, [1.5, 2.0], **options),
        "nsd_subvoxels": compute_surface_dice(*one_hot, [1.5, 2.0], use_subvoxels=True, **options),
    }
    # JSON has neither NaN nor infinity.
    plain = lambda value: str(value) if not math.isfinite(value) else value
    return {name: [plain(value) for value in result[0].tolist()] for name, result in results.items()}


path = Path(__file__).with_name("monai.json")
path.write_text(json.dumps([values(seed) for seed in range(COUNT)], indent=1) + "\n")
