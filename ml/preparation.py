"""From a grey film to what the network sees: bit for bit what src/vision/preparation.cpp does.

Grey samples of 8 bits, stretched to 224 x 224 (OpenCV's INTER_AREA), then to the network's side, then windowed between percentiles.
src/vision/preparation_test.cpp compares both on films; tensors.json holds the hashes that this file gave.
"""
from pathlib import Path

import cv2
import numpy

STRETCHED = 224  # the side at which films are kept for training
SIDE = 160       # the side that the network takes
CUT_PERCENT = 1  # of the samples, at either end of the window


def read_grey(path: Path) -> numpy.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError(f"{path}: not an image")
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if image.dtype != numpy.uint8:
        raise ValueError(f"{path}: not 8 bits a sample")
    return image


def stretch(image: numpy.ndarray, side: int) -> numpy.ndarray:
    return image if image.shape == (side, side) else cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def window(image: numpy.ndarray) -> numpy.ndarray:
    """Spreads what lies between the percentiles over all greys, in integers."""
    counts = numpy.cumsum(numpy.bincount(image.ravel(), minlength=256))
    cut = image.size * CUT_PERCENT // 100
    low = int(numpy.searchsorted(counts, cut, side="right"))
    high = int(numpy.searchsorted(counts, image.size - cut, side="left"))
    if high <= low:
        return numpy.zeros_like(image)
    values = numpy.clip(numpy.arange(256), low, high) - low
    table = (2 * 255 * values + (high - low)) // (2 * (high - low))
    return table.astype(numpy.uint8)[image]


def prepare(image: numpy.ndarray) -> numpy.ndarray:
    return window(stretch(stretch(image, STRETCHED), SIDE))
