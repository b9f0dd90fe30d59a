"""How long a viewer waits for the first byte of a study's metadata, 2,000 instances in it, and for all of it. Run by bench/run.

Options are those of Google Benchmark that bench/run gives; FIDUCIAL_BENCH_DIR chooses the disk.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

import requests
from pydicom.uid import generate_uid

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test/system"))

from dimse_test import make_image  # noqa: E402
from harness import Site  # noqa: E402

INSTANCES, ROUNDS = 2_000, 15


def measure(folder):
    study, series = generate_uid(), [generate_uid() for _ in range(4)]
    images = folder / "images"
    images.mkdir()
    for number in range(INSTANCES):
        make_image(images / f"{number}.dcm", study, series[number % len(series)], number, size=16)
    site = Site(folder / "site")
    site.init()
    site.run("import", images, timeout=600)
    site.run("person", "add", "ada", "--role", "doctor")
    token = site.token("ada")
    first, whole = [], []
    with site.serving(), requests.Session() as session:
        session.headers.update({"Authorization": "Bearer " + token, "Accept": "application/dicom+json"})
        for _ in range(ROUNDS):
            began = time.perf_counter()
            with session.get(f"{site.url}/studies/{study}/metadata", stream=True, timeout=60) as answer:
                answer.raise_for_status()
                body = answer.raw.read(1, decode_content=True)
                first.append(time.perf_counter() - began)
                body += answer.raw.read(decode_content=True)
            whole.append(time.perf_counter() - began)
        if len(json.loads(body)) != INSTANCES:
            raise SystemExit("not all of the study's instances came")
    return [{"name": f"study_metadata_{name}/{INSTANCES}", "real_time": statistics.median(times) * 1e3, "time_unit": "ms", "first_round_ms": times[0] * 1e3}
            for name, times in (("first_byte", first), ("whole", whole))]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--benchmark_out", type=pathlib.Path)
    options.add_argument("--benchmark_out_format", choices=["json"])
    arguments = options.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fiducial-bench-", dir=os.environ.get("FIDUCIAL_BENCH_DIR")))
    try:
        results = measure(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for result in results:
        print(f"{result['name']}: {result['real_time']:.1f} ms (the first time {result['first_round_ms']:.1f} ms)")
    if arguments.benchmark_out:
        arguments.benchmark_out.write_text(json.dumps({"benchmarks": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
