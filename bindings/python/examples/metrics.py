"""Scores a predicted label map against its reference, both made here."""

import numpy as np

import bipvl

ref = np.zeros((40, 40, 20), np.uint8)
ref[10:30, 10:30, 5:15] = 1
pred = np.roll(ref, 1, axis=0)

scores = bipvl.evaluate(pred=pred, ref=ref, spacing=(0.8, 0.8, 3.0), names={1: "liver"})
print(scores)
liver = scores["liver"]
print(f"Dice {liver.dice:.3f}, HD95 {liver.hd95_mm:.2f} mm, {liver.state}")
