"""Writes what training's own preparation and network make of some films, for the tests of the program: name, SHA-256 of the tensor, logit."""
import argparse
import hashlib
from pathlib import Path

import cv2

from preparation import prepare, read_grey
from settle import load, see


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--shared", type=Path, required=True, help="folder of chest-xray-224 and chest-xray-full")
    arguments.add_argument("--network", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    cv2.setNumThreads(1)
    network = load(given.network)
    paths = sorted(given.shared.glob("chest-xray-full/*/*.jpeg"))[::3]
    for label in ("NORMAL", "PNEUMONIA"):
        every = sorted((given.shared / "chest-xray-224/train" / label).iterdir())
        paths += every[::len(every) // 71]
    lines = []
    for path in paths:
        tensor = prepare(read_grey(path))
        logit = see(network, tensor[None])[0][0]
        lines.append(f"{path.relative_to(given.shared)},{hashlib.sha256(tensor.tobytes()).hexdigest()},{logit:.6f}\n")
    given.out.write_text("".join(lines))
    print(len(lines), "films")


if __name__ == "__main__":
    main()
