"""The films of a training folder, stretched once and kept in a file."""
import hashlib
import json
from pathlib import Path

import numpy

from folds import Film, assign_folds, groups_of, read_folder
from preparation import STRETCHED, read_grey, stretch


class Films:
    """pixels (n, 224, 224) uint8, labels (n), folds (n: 0 to 4, or -1 for what stays out of training altogether)."""

    def __init__(self, data: Path, held_out: Path | None, work: Path):
        self.films: list[Film] = read_folder(data)
        self.labels = numpy.array([film.label for film in self.films])
        self.folds = numpy.array(assign_folds(self.films))
        if held_out:
            outside = groups_of(self.films, held_out)
            self.folds[[film.group in outside for film in self.films]] = -1
        identity = hashlib.sha256(json.dumps([STRETCHED, [film.sha256 for film in self.films]]).encode()).hexdigest()[:16]
        cache = work / f"films-{identity}.npy"
        if not cache.exists():
            pixels = numpy.stack([stretch(read_grey(film.path), STRETCHED) for film in self.films])
            with open(cache.with_suffix(".part"), "wb") as file:
                numpy.save(file, pixels)
            cache.with_suffix(".part").rename(cache)
        self.pixels = numpy.load(cache, mmap_mode="r")
