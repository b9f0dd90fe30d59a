"""Peak memory of the archive while it imports, checks and serves one object of 5 GiB, the node's beside it. Run by bench/run; takes minutes and 16 GiB of disk.

Options are those of Google Benchmark that bench/run gives; FIDUCIAL_BENCH_DIR chooses the disk.
"""
import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile

import requests

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test/system"))

from harness import Site, peak_kib  # noqa: E402
from kill_test import nodes_of  # noqa: E402
from large_object_test import FRAME_BYTES, PIECE, write_slide  # noqa: E402

FRAMES = -(-(5 << 30) // FRAME_BYTES)


def measure(folder):
    slide = folder / "slide.dcm"
    head = write_slide(slide, FRAMES)
    site = Site(folder / "site")
    site.init()
    site.run("person", "add", "ada", "--role", "doctor")
    token = site.token("ada")
    with site.serving():
        [node] = nodes_of(site.server.pid)
        site.run("import", slide, timeout=3600)
        imported = peak_kib(site.server.pid)
        url = f"{site.url}/studies/{head.StudyInstanceUID}/series/{head.SeriesInstanceUID}/instances/{head.SOPInstanceUID}"
        got = 0
        with requests.get(url, headers={"Authorization": "Bearer " + token, "Accept": "application/dicom; transfer-syntax=*"}, stream=True, timeout=600) as answer:
            answer.raise_for_status()
            for piece in answer.iter_content(PIECE):
                got += len(piece)
        if got != slide.stat().st_size:
            raise SystemExit(f"{got} of {slide.stat().st_size} bytes came")
        return {"name": "import_and_serve_5_gib", "object_bytes": got, "importing_bytes": imported * 1024,
                "archive_bytes": peak_kib(site.server.pid) * 1024, "node_bytes": peak_kib(node) * 1024}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--benchmark_out", type=pathlib.Path)
    options.add_argument("--benchmark_out_format", choices=["json"])
    arguments = options.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fiducial-bench-", dir=os.environ.get("FIDUCIAL_BENCH_DIR")))
    try:
        result = measure(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(", ".join(f"{name.removesuffix('_bytes').replace('_', ' ')} {value / (1 << 20):,.0f} MiB" for name, value in result.items() if name.endswith("_bytes")))
    if arguments.benchmark_out:
        arguments.benchmark_out.write_text(json.dumps({"benchmarks": [result]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
