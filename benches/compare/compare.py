"""Measures bipvl and MONAI on PyTorch by turns on the same cores, and compares what they compute.

Usage: see README.md beside it, or --help.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEER = Path(__file__).with_name("peer.py")
MEASURES = [
    *(f"vision-{size}" for size in ("48-96", "48-64", "24-96", "24-64", "12-96", "12-64")),
    *(f"train-{size}" for size in ("48-96", "24-64", "12-64")),
    *("text-window", "text-window-cached", "text-train", "text-train-paper", "file", "score"),
]
# glibc keeps what was freed for the next tensors, as bipvl asks of it.
KEEP = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(64 << 20),
}
# Flags of peer.py, and variables of its environment.
VARIANTS = {
    "eager": ([], {}),
    "tuned": ([], KEEP),
    "best": (["--best"], KEEP),
    "bf16": (["--best", "--bf16"], KEEP),
}
# No network, nothing to choose.
ALLOCATOR_ONLY = {"score": ["eager", "tuned"]}
# A new process for every repetition, whose start counts.
WHOLE_PROCESS = "file"
# Losses of later steps differ for every reason that rounding gives.
LOSSES_COMPARED = 2


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"of {', '.join(MEASURES)}; all when none")
    parser.add_argument("--bipvl", type=Path, required=True, help="the program, built for release")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--rounds", type=int, default=3, help="processes of each program, by turns")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions in each process")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--cores", help="such as 0,1; the first ones of this process when not given")
    parser.add_argument("--smoke-test", action="store_true", help="small sizes, to see that all works")
    parser.add_argument("--json", type=Path, help="file for everything that was measured")
    options = parser.parse_args()
    if unknown := set(options.measures) - set(MEASURES):
        parser.error(f"expected measures of {', '.join(MEASURES)}, found {', '.join(sorted(unknown))}")
    cores = sorted(os.sched_getaffinity(0))[: options.threads]
    options.cores = options.cores or ",".join(map(str, cores))
    return options


def run(command, options, environment=None):
    """A process on the chosen cores: its JSON with the seconds from start to end, or None when it failed."""
    threads = dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS"], str(options.threads))
    began = time.perf_counter()
    process = subprocess.run(
        ["taskset", "-c", options.cores, *map(str, command)],
        env=os.environ | threads | (environment or {}),
        stdout=subprocess.PIPE,
    )
    seconds = time.perf_counter() - began
    if process.returncode != 0:
        print(f"failed with {process.returncode}: {' '.join(map(str, command))}", file=sys.stderr)
        return None
    return json.loads(process.stdout or "{}") | {"process_seconds": seconds}


class Comparison:
    """One measure of both programs."""

    def __init__(self, measure, folder, options):
        self.measure, self.folder, self.options = measure, folder, options
        names = [name for name in options.variants if name in ALLOCATOR_ONLY.get(measure, VARIANTS)]
        self.results = {name: [] for name in ["bipvl", *names]}
        self.differences = {}
        repeat = 1 if measure == WHOLE_PROCESS else options.repeat
        self.flags = ["--repeat", repeat, "--threads", options.threads, *(["--smoke-test"] if options.smoke_test else [])]

    def make(self):
        command = [sys.executable, PEER, "make", self.measure, self.folder]
        return run([*command, *(["--smoke-test"] if self.options.smoke_test else [])], self.options) is not None

    def round(self):
        for name, results in self.results.items():
            result = self.ours() if name == "bipvl" else self.theirs(name)
            if result is not None:
                results.append(result)
                print(f"{self.measure} {name}: {result['seconds']}, {result['peak_mib']} MiB", file=sys.stderr)

    def ours(self):
        command = [self.options.bipvl, "bench", "--in-process", self.measure, *self.flags]
        weights, made = self.folder / "weights.safetensors", self.folder / "input.safetensors"
        if weights.exists():
            command += ["--weights", weights]
        command += ["--input", made if made.exists() else self.folder / "input.nii.gz"]
        return run([*command, "--output", self.output("bipvl")], self.options)

    def theirs(self, name):
        flags, environment = VARIANTS[name]
        command = [sys.executable, PEER, "measure", self.measure, self.folder, *self.flags, *flags]
        result = run([*command, "--output", self.output(name)], self.options, environment)
        if result is not None and name not in self.differences and self.output("bipvl").exists():
            self.differences[name] = difference(self.output("bipvl"), self.output(name))
        return result

    def output(self, name):
        return self.folder / (f"{name}.nii.gz" if self.measure == WHOLE_PROCESS else f"{name}.safetensors")

    def rows(self):
        """One per variant, and one more without start-up where the start counts."""
        for name in list(self.results)[1:]:
            if self.measure == WHOLE_PROCESS:
                yield self.row(self.measure, name, lambda result: [result["process_seconds"]])
                yield self.row(f"{self.measure} without start", name, lambda result: result["seconds"])
            else:
                yield self.row(self.measure, name, lambda result: result["seconds"])

    def row(self, title, name, seconds_of):
        row = {"measure": title, "variant": name, "difference": self.differences.get(name)}
        for side, results in (("bipvl", self.results["bipvl"]), ("pytorch", self.results[name])):
            seconds = [second for result in results for second in seconds_of(result)]
            row[side] = summary(seconds, results) if seconds else None
        return row


def summary(seconds, results):
    spread = {"median": statistics.median(seconds), "least": min(seconds), "largest": max(seconds)}
    return spread | {"seconds": seconds, "peak_mib": max(result["peak_mib"] for result in results)}


def difference(ours, theirs):
    """In words: relative to the largest value, or how many labels differ."""
    if ours.name.endswith(".nii.gz"):
        import nibabel

        one, other = (nibabel.load(path).get_fdata() for path in (ours, theirs))
        return f"{(one != other).mean():.2%} of labels" if one.shape == other.shape else "other shapes"
    import numpy
    from safetensors.numpy import load_file

    one, other = load_file(ours), load_file(theirs)
    worst = 0.0
    for name in one | other:
        pair = [tensors[name].astype("float64") for tensors in (one, other)]
        if name == "losses":
            pair = [losses[:LOSSES_COMPARED] for losses in pair]
        worst = max(worst, numpy.nanmax(abs(pair[0] - pair[1])) / numpy.nanmax(abs(pair[1])))
    return f"{worst:.1e}"


def table(rows):
    lines = [
        "| measure | PyTorch | bipvl s | PyTorch s | times faster | bipvl MiB | PyTorch MiB | share | difference |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        ours, theirs = row["bipvl"], row["pytorch"]
        cells = [row["measure"], row["variant"], spread(ours), spread(theirs)]
        if ours and theirs:
            cells.append(f"{theirs['median'] / ours['median']:.2f}")
            cells += [ours["peak_mib"], theirs["peak_mib"], f"{ours['peak_mib'] / theirs['peak_mib']:.2f}"]
        else:
            cells += ["–"] * 4
        lines.append(f"| {' | '.join(map(str, [*cells, row['difference'] or '–']))} |")
    return "\n".join(lines)


def spread(side):
    return f"{side['median']:.3g} ({side['least']:.3g}–{side['largest']:.3g})" if side else "failed"


def machine(options):
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": options.cores,
        "threads": options.threads,
        "versions": run([sys.executable, PEER, "versions"], options),
        "bipvl": subprocess.run([options.bipvl, "--version"], capture_output=True, text=True).stdout.strip(),
        "smoke_test": options.smoke_test,
    }


def main():
    options = arguments()
    about, rows = machine(options), []
    for measure in options.measures or MEASURES:
        folder = Path(tempfile.mkdtemp(prefix="bipvl-compare-"))
        try:
            comparison = Comparison(measure, folder, options)
            if comparison.make():
                for _ in range(options.rounds):
                    comparison.round()
            rows += comparison.rows()
        finally:
            shutil.rmtree(folder)
        if options.json:
            # After every measure: a comparison takes hours, and what is done should not be lost.
            options.json.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
