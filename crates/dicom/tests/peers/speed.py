"""Time to read 500 slices of 512 x 512: this project and SimpleITK in turn. `speed.py DICOM_EXAMPLE`"""

import statistics
import subprocess
import sys
import tempfile
import time

import SimpleITK as sitk

RUNS = 5
program = sys.argv[1]
with tempfile.TemporaryDirectory() as folder:
    subprocess.run([program, "phantom", "512", "500", f"{folder}/series"], check=True)
    theirs, ours = [], []
    for _ in range(3):
        printed = subprocess.run([program, "time", f"{folder}/series", str(RUNS)], capture_output=True, text=True, check=True)
        ours.append(float(printed.stdout.split()[0]))
        for _ in range(RUNS):
            began = time.perf_counter()
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(f"{folder}/series"))
            reader.Execute()
            theirs.append(time.perf_counter() - began)
    print(f"this project {statistics.median(ours):.2f} s, SimpleITK {statistics.median(theirs):.2f} s, medians of {3 * RUNS}")
