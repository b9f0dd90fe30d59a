"""Figures with 95 % intervals, and the statistics of the gate: the same as src/vision/evaluation.cpp and src/vision/gate.cpp."""
import numpy

COARSE = 20


def auc(labels, scores, weights=None) -> float:
    """Ties count half. Weights make films count more or less."""
    weights = numpy.ones(len(labels)) if weights is None else weights
    order = numpy.argsort(scores, kind="stable")
    labels, scores, weights = labels[order], numpy.asarray(scores)[order], weights[order]
    _, step = numpy.unique(scores, return_inverse=True)
    ill = numpy.bincount(step, weights * (labels == 1))
    healthy = numpy.bincount(step, weights * (labels == 0))
    return float((ill * (numpy.cumsum(healthy) - healthy / 2)).sum() / (ill.sum() * healthy.sum()))


def auc_interval(labels, scores, groups, resamples=500) -> tuple[float, float, float]:
    """Bootstrap over groups: a patient's films are not independent of each other."""
    random = numpy.random.default_rng(1)
    names, index = numpy.unique(groups, return_inverse=True)
    values = []
    for _ in range(resamples):
        weights = numpy.bincount(random.integers(0, len(names), len(names)), minlength=len(names))[index].astype(float)
        if weights[labels == 1].sum() and weights[labels == 0].sum():
            values.append(auc(labels, scores, weights))
    low, high = numpy.quantile(values, [0.025, 0.975])
    return auc(labels, scores), float(low), float(high)


def proportion(hits: int, of: int) -> tuple[float, float, float]:
    """Wilson's interval."""
    z, p = 1.959964, hits / of
    centre = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * numpy.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return p, float(centre - half), float(centre + half)


def levelled_auc(labels, scores, cue, bins=10) -> float:
    """With films weighted so that both classes have the same cue: what is left once it carries nothing."""
    edges = numpy.quantile(cue, numpy.linspace(0, 1, bins + 1)[1:-1])
    bin_of = numpy.digitize(cue, edges)
    weights = numpy.zeros(len(labels))
    for one in range(bins):
        ill, healthy = (bin_of == one) & (labels == 1), (bin_of == one) & (labels == 0)
        if ill.any() and healthy.any():
            both = min(ill.sum(), healthy.sum())
            weights[ill], weights[healthy] = both / ill.sum(), both / healthy.sum()
    return auc(labels, scores, weights)


def coarse(prepared):
    cell = prepared.shape[-1] // COARSE
    return prepared.reshape(*prepared.shape[:-2], COARSE, cell, COARSE, cell).mean((-3, -1))


def correlation(a, b):
    """Of each row of `a` with that of `b`."""
    a, b = (x - x.mean(-1, keepdims=True) for x in (a, b))
    below = numpy.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return numpy.where(below > 1e-6, (a * b).sum(-1) / numpy.maximum(below, 1e-6), 0)


def gate_statistics(stretched, prepared, mean_film) -> dict[str, numpy.ndarray]:
    flat = numpy.sort(stretched.reshape(len(stretched), -1), axis=1)
    cut = flat.shape[1] // 100
    cells = coarse(prepared.astype(numpy.float64))
    rows = cells.reshape(len(cells), -1)
    return {"spread": flat[:, -1 - cut].astype(int) - flat[:, cut], "saturated": ((flat == 0) | (flat == 255)).mean(1),
            "symmetry": correlation(rows, cells[:, :, ::-1].reshape(len(cells), -1)), "likeness": correlation(rows, mean_film.ravel()[None])}
