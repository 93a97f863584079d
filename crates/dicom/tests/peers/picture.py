"""Draws a slice of a CT series and the segments of a DICOM SEG over it, as highdicom and pydicom read them.

    picture.py SERIES SEG.dcm OUT.png
"""

import sys
from pathlib import Path

import highdicom
import numpy as np
import pydicom
from PIL import Image

SCALE = 14
series, seg, out = sys.argv[1:]
slices = {data.SOPInstanceUID: data for data in map(pydicom.dcmread, Path(series).iterdir())}
read = highdicom.seg.segread(seg)


def segment_masks(uid):
    return [read.get_pixels_by_source_instance([uid], segment_numbers=[number], ignore_spatial_locations=True,
                                                assert_missing_frames_are_empty=True, combine_segments=True)[0]
            for number in read.segment_numbers]


def shown(uid):
    masks = segment_masks(uid)
    return sum(bool(mask.any()) for mask in masks), sum(int(mask.sum()) for mask in masks)


best = max(slices, key=shown)
data = slices[best]
hu = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
gray = np.clip((hu + 250) / 500 * 255, 0, 255)
pixels = np.repeat(gray[..., None], 3, axis=2)
tints = [(230, 90, 90), (70, 160, 240), (240, 200, 60)]
for mask, tint in zip(segment_masks(best), tints):
    pixels[mask > 0] = 0.45 * pixels[mask > 0] + 0.55 * np.array(tint)
plain = np.repeat(gray[..., None], 3, axis=2)
both = np.concatenate([plain, np.full((plain.shape[0], 1, 3), 255.0), pixels], axis=1).astype(np.uint8)
Image.fromarray(both).resize((both.shape[1] * SCALE, both.shape[0] * SCALE), Image.NEAREST).save(out, optimize=True)
