"""Judges a trained network, settles what goes with it, and exports both for the program.

From the network of fold 0, on the films that it never saw, perturbed: how a logit becomes a probability (Platt, for PREVALENCE) and the
threshold. From the final network: the gate, the ONNX file and its card. The films of held-out patients judge the whole, once.
"""
import argparse
import hashlib
import json
from pathlib import Path

import cv2
import numpy
import torch

from augment import PERTURBED, STRESS, transform, variant
from films import Films
from folds import CLASSES
from measures import auc, auc_interval, coarse, gate_statistics, levelled_auc, proportion
from network import Network
from preparation import SIDE, stretch, window
from train import to_tensor

PREVALENCE = 0.5
SENSITIVITY = 0.97  # of perturbed films. Higher would put the cut lower still, and other hospitals' films are known to be over-called
FALSE_REFUSALS = 0.0005  # that each limit of the gate may give on the films that set it


def load(path: Path) -> Network:
    network = Network().to(memory_format=torch.channels_last)
    network.load_state_dict(torch.load(path))
    return network.eval()


def see(network: Network, prepared: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Logits and mean features."""
    logits, features = [], []
    with torch.no_grad():
        for start in range(0, len(prepared), 64):
            logit, feature = network(to_tensor(prepared[start:start + 64]))
            logits.append(logit.numpy())
            features.append(feature.mean((2, 3)).numpy())
    return numpy.concatenate(logits), numpy.concatenate(features)


def prepared_as(change, pixels: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    changed = numpy.stack([change(numpy.ascontiguousarray(film)) for film in pixels])
    return changed, numpy.stack([window(stretch(film, SIDE)) for film in changed])


def platt(logits: numpy.ndarray, labels: numpy.ndarray) -> tuple[float, float]:
    """Slope and intercept, both classes weighted to PREVALENCE. Spec: Platt 1999, with his targets."""
    ill, healthy = (labels == 1).sum(), (labels == 0).sum()
    x, wanted = torch.tensor(logits, dtype=torch.float64), torch.tensor(numpy.where(labels == 1, (ill + 1) / (ill + 2), 1 / (healthy + 2)))
    weights = torch.tensor(numpy.where(labels == 1, PREVALENCE / ill, (1 - PREVALENCE) / healthy))
    line = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([line], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(line[0] * x + line[1], wanted, weights, reduction="sum")
        value.backward()
        return value

    optimizer.step(loss)
    return float(line[0].detach()), float(line[1].detach())


def foreign(pixels: numpy.ndarray, random: numpy.random.Generator) -> numpy.ndarray:
    """Films that are none any more: turned, quartered, inverted; and what never was one."""
    made = []
    for film in pixels:
        film = numpy.ascontiguousarray(film)
        half = film.shape[0] // 2
        y, x = random.integers(0, 2, 2) * half
        quarter = cv2.resize(film[y:y + half, x:x + half], film.shape, interpolation=cv2.INTER_LINEAR)
        made += [numpy.rot90(film, random.integers(1, 4)), 255 - film, quarter, numpy.rot90(film, 2)]
    for _ in range(len(pixels) // 2):
        side = pixels.shape[1]
        scale = int(random.choice([1, 2, 4, 8, 16, 32]))
        noise = random.normal(random.uniform(40, 210), random.uniform(2, 80), (side // scale + 1,) * 2)
        noise = numpy.clip(noise, 0, 255).astype(numpy.uint8)
        ramp = numpy.add.outer(numpy.linspace(0, random.uniform(-120, 120), side), numpy.linspace(0, random.uniform(-120, 120), side))
        disc = cv2.circle(numpy.zeros((side, side), numpy.uint8), tuple(int(v) for v in random.integers(60, 164, 2)), int(random.integers(20, 110)), int(random.integers(90, 256)), -1)
        made += [cv2.resize(noise, (side, side)), numpy.clip(128 + ramp + random.normal(0, 3, (side, side)), 0, 255).astype(numpy.uint8),
                 numpy.clip(disc + random.normal(0, 6, (side, side)), 0, 255).astype(numpy.uint8)]
    return numpy.stack(made)


def fit_chest(features: numpy.ndarray, is_chest: numpy.ndarray) -> tuple[numpy.ndarray, float]:
    """A logistic regression on scaled features, both classes weighted alike."""
    x = torch.tensor(features, dtype=torch.float64)
    wanted = torch.tensor(is_chest.astype(numpy.float64))
    weights = torch.tensor(numpy.where(is_chest, 0.5 / is_chest.sum(), 0.5 / (~is_chest).sum()))
    plane = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([plane], max_iter=300, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(x @ plane[1:] + plane[0], wanted, weights, reduction="sum")
        value = value + 1e-3 * (plane[1:] ** 2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    plane = plane.detach().numpy()
    return plane[1:], float(plane[0])


class Gate:
    def __init__(self, network: Network, films: Films, rows: numpy.ndarray, others: numpy.ndarray):
        """From the films of these rows, as they are and varied; and from what is foreign to the model."""
        random = numpy.random.default_rng(7)
        pixels = films.pixels[rows]
        self.stretched = numpy.asarray(pixels)
        self.prepared = numpy.stack([window(stretch(film, SIDE)) for film in pixels])
        self.mean_film = coarse(self.prepared.astype(numpy.float64)).mean(0)
        some = random.choice(len(rows), min(600, len(rows)) // 2, replace=False)
        varied = numpy.stack([variant(random, pixels[row]) for row in some])
        _, clean = see(network, self.prepared)
        _, changed = see(network, varied)
        chest = numpy.concatenate([clean, changed])
        self.mean, self.scale = chest.mean(0), 1 / numpy.maximum(chest.std(0), 1e-3)
        made = foreign(pixels[random.choice(len(rows), 120, replace=False)], random)
        made = numpy.stack([window(stretch(film, SIDE)) for film in (*made, *others)])
        _, alien = see(network, made)
        self.weights, self.bias = fit_chest(numpy.clip((numpy.concatenate([chest, alien]) - self.mean) * self.scale, -1e3, 1e3),
                                            numpy.arange(len(chest) + len(alien)) < len(chest))
        measured = self.measure(network, self.stretched, self.prepared, clean)
        beyond = self.measure(network, varied, varied, changed)

        def low(name):  # films as they are, and those that were varied as much as one can be and still be one
            return float(min(numpy.quantile(measured[name], FALSE_REFUSALS), numpy.quantile(beyond[name], 20 * FALSE_REFUSALS)))

        def high(name):
            return float(numpy.quantile(measured[name], 1 - FALSE_REFUSALS))

        made_measured = self.measure(network, made, made, alien)
        print("films", {name: numpy.quantile(measured[name], [0, 0.01]) for name in ("symmetry", "likeness", "chest")},
              "varied", {name: numpy.quantile(beyond[name], [0, 0.01, 0.05]) for name in ("symmetry", "likeness", "chest")},
              "foreign", numpy.quantile(made_measured["chest"], [0.5, 0.9, 0.99, 1]), flush=True)
        # Limits wider than what was seen: other films differ. The network's own lies in the middle between films and all else.
        self.limits = {"leastSpread": low("spread") * 0.7, "mostSaturated": min(0.9, high("saturated") + 0.1), "leastSymmetry": low("symmetry") - 0.1,
                       "leastLikeness": float(measured["likeness"].min()) - 0.2, "mostDistance": high("distance") * 1.25,
                       "leastChest": (low("chest") + float(made_measured["chest"].max())) / 2}

    def measure(self, network, stretched, prepared, features=None):
        measured = gate_statistics(stretched, prepared, self.mean_film)
        scaled = ((see(network, prepared)[1] if features is None else features) - self.mean) * self.scale
        return {**measured, "distance": (scaled ** 2).mean(1), "chest": scaled @ self.weights + self.bias}

    def refusals(self, measured) -> dict[str, numpy.ndarray]:
        limits = self.limits
        return {"spread": measured["spread"] < limits["leastSpread"], "saturation": measured["saturated"] > limits["mostSaturated"],
                "symmetry": measured["symmetry"] < limits["leastSymmetry"], "likeness": measured["likeness"] < limits["leastLikeness"],
                "distance": measured["distance"] > limits["mostDistance"], "chest": measured["chest"] < limits["leastChest"]}

    def share_refused(self, network, pixels, features=None) -> dict[str, float]:
        prepared = numpy.stack([window(stretch(film, SIDE)) for film in pixels])
        refused = self.refusals(self.measure(network, numpy.asarray(pixels), prepared, features))
        return {"any": float(numpy.any(list(refused.values()), axis=0).mean()), **{name: float(value.mean()) for name, value in refused.items()}}


def cues(films: Films, rows: numpy.ndarray) -> dict[str, numpy.ndarray]:
    pixels = films.pixels[rows].astype(numpy.float32)
    return {"bytes of the JPEG file": numpy.array([films.films[row].path.stat().st_size for row in rows], float),
            "mean exposure": pixels.mean((1, 2)), "contrast": pixels.std((1, 2)),
            "vertical gradient": numpy.abs(numpy.diff(pixels, axis=1)).mean((1, 2)),
            "sharpness": numpy.array([cv2.Laplacian(film, cv2.CV_32F).var() for film in pixels]),
            "darkness of the border": numpy.concatenate([pixels[:, :8].reshape(len(rows), -1), pixels[:, -8:].reshape(len(rows), -1)], 1).mean(1)}


def row_of(labels, logits, cut, groups):
    found = logits >= cut
    return {"auc": auc_interval(labels, logits, groups), "sensitivity": proportion(int(found[labels == 1].sum()), int((labels == 1).sum())),
            "specificity": proportion(int((~found[labels == 0]).sum()), int((labels == 0).sum()))}


def stress_logits(given, network: Network, films: Films, rows: numpy.ndarray) -> dict[str, numpy.ndarray]:
    """Kept in a file, since this takes longest."""
    identity = hashlib.sha256(given.fold_network.read_bytes()).hexdigest()[:16]
    kept = given.work / f"stress-{identity}-{given.every}.npz"
    if not kept.exists():
        logits = {}
        for name, change in STRESS.items():
            logits[name] = see(network, prepared_as(change, films.pixels[rows])[1])[0]
            print(name, auc(films.labels[rows], logits[name]), flush=True)
        numpy.savez(kept, **{f"member{number}": logits[name] for number, name in enumerate(STRESS)})
    loaded = numpy.load(kept)
    return {name: loaded[f"member{number}"] for number, name in enumerate(STRESS)}


def export(network: Network, path: Path) -> None:
    network = network.to(memory_format=torch.contiguous_format)
    torch.onnx.export(network, torch.zeros(1, 1, SIDE, SIDE), str(path), opset_version=10, input_names=["film"], output_names=["logit", "features"])


def write_card(given, network: Network, gate: Gate, slope: float, intercept: float, threshold: float, name: str, facts: dict) -> None:
    given.out.mkdir(parents=True, exist_ok=True)
    export(network, given.out / "pneumonia.onnx")
    number = lambda values: [float(f"{value:.7g}") for value in numpy.asarray(values).ravel()]
    card = {"name": name, "sha256": hashlib.sha256((given.out / "pneumonia.onnx").read_bytes()).hexdigest(), "side": SIDE, "prevalence": PREVALENCE,
            "slope": slope, "intercept": intercept, "threshold": threshold, "bias": float(network.verdict.bias.detach()),
            "weights": number(network.verdict.weight.detach()),
            "gate": {**gate.limits, "meanFilm": number(gate.mean_film), "featureMean": number(gate.mean), "featureScale": number(gate.scale),
                     "chestWeights": number(gate.weights), "chestBias": gate.bias}, "facts": facts}
    text = json.dumps(card, separators=(",", ":"))
    (given.out / "pneumonia.json").write_text(text)
    digest = hashlib.sha256(text.encode()).digest()
    lines = [", ".join(f"0x{byte:02x}" for byte in digest[start:start + 16]) for start in (0, 16)]
    (given.out / "card_sha256.hpp").write_text(
        "#pragma once\n// Written by ml/settle.py.\n#include \"base/bytes.hpp\"\n\nnamespace fiducial::vision {\n\n"
        "// clang-format off\ninline constexpr Hash kCardSha256{\n    " + ",\n    ".join(lines) + "};\n// clang-format on\n\n}  // namespace fiducial::vision\n")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--held-out", type=Path, required=True)
    arguments.add_argument("--work", type=Path, required=True)
    arguments.add_argument("--fold-network", type=Path, required=True, help="trained with --fold 0")
    arguments.add_argument("--network", type=Path, required=True, help="trained with --fold all; may be the same while that is not there yet")
    arguments.add_argument("--others", type=Path, required=True, help="folder of foreign.npy and foreign-test.npy (fiducial model prepare)")
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--name", required=True)
    arguments.add_argument("--every", type=int, default=1, help="judge by every so many films only, where time is short")
    given = arguments.parse_args()
    cv2.setNumThreads(1)
    films = Films(given.data, given.held_out, given.work)
    fold, final = load(given.fold_network), load(given.network)
    rows = numpy.flatnonzero(films.folds == 0)[::given.every]
    labels, groups = films.labels[rows], numpy.array([films.films[row].group for row in rows])
    kinds = numpy.array([films.films[row].kind for row in rows])

    logits = stress_logits(given, fold, films, rows)
    pooled, pooled_labels = numpy.concatenate([logits[name] for name in PERTURBED]), numpy.tile(labels, len(PERTURBED))
    slope, intercept = platt(pooled, pooled_labels)
    cut = float(numpy.quantile(pooled[pooled_labels == 1], 1 - SENSITIVITY))
    threshold = float(1 / (1 + numpy.exp(-(slope * cut + intercept))))
    table = {name: row_of(labels, logits[name], cut, groups) for name in STRESS}
    clean = logits["clean"]
    subgroups = {kind: proportion(int(((clean >= cut) == (kind in ("bacteria", "virus")))[kinds == kind].sum()), int((kinds == kind).sum())) for kind in sorted(set(kinds))}
    cue_table = {name: [auc(labels, cue), levelled_auc(labels, clean, cue)] for name, cue in cues(films, rows).items()}

    print("slope", slope, "intercept", intercept, "cut", cut, "threshold", threshold, flush=True)
    others, others_test = numpy.load(given.others / "foreign.npy"), numpy.load(given.others / "foreign-test.npy")
    inside = numpy.flatnonzero(films.folds > 0)[::2 * given.every]
    fold_gate = Gate(fold, films, inside, others)
    gate = fold_gate if given.network == given.fold_network else Gate(final, films, numpy.flatnonzero(films.folds >= 0)[::2 * given.every], others)
    outside = numpy.flatnonzero(films.folds < 0)
    outside_groups = numpy.array([films.films[row].group for row in outside])
    outside_logits, outside_features = see(final, prepared_as(STRESS["clean"], films.pixels[outside])[1])
    random = numpy.random.default_rng(11)
    foreign_films = foreign(films.pixels[outside[random.choice(len(outside), 60, replace=False)]], random)
    facts = {"fold0": {"films": [int((labels == 0).sum()), int((labels == 1).sum())], "threshold": threshold, "stress": table, "subgroups": subgroups, "cues": cue_table,
                       "falseRefusals": fold_gate.share_refused(fold, films.pixels[rows])},
             "heldOut": {"films": [int((films.labels[outside] == 0).sum()), int((films.labels[outside] == 1).sum())],
                         **row_of(films.labels[outside], outside_logits, cut, outside_groups), "falseRefusals": gate.share_refused(final, films.pixels[outside], outside_features)},
             "foreign": {"turned, inverted, quartered, noise": gate.share_refused(final, foreign_films), "other series": gate.share_refused(final, others_test)}}
    print(json.dumps(facts, indent=1))
    print("limits", gate.limits)
    (given.work / "facts.json").write_text(json.dumps(facts, indent=1))
    write_card(given, final, gate, slope, intercept, threshold, given.name, facts)


if __name__ == "__main__":
    main()
