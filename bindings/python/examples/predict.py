"""Segments a scan by words: predict.py RUN SCAN OUT PROMPT…"""

import sys

import bipvl


def main(run: str, scan: str, out: str, *prompts: str) -> None:
    predictor = bipvl.Predictor(run)
    found = predictor.segment(scan, prompts=prompts or None)
    for finding in found.findings:
        print(f"{finding.prompt}: {finding.volume_ml:.1f} ml" if finding.found else f"{finding.prompt}: nothing found")
    found.save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
