"""Trains one network: `train.py --fold 0` holds a fold out, `train.py --fold all` holds none out.

Resumable: run the same command again. Progress goes to WORK/<name>.log, the network to WORK/<name>.pt.
"""
import argparse
import copy
import math
import os
import queue
import threading
import time
from pathlib import Path

import cv2
import numpy
import torch

from augment import variant
from films import Films
from network import Network
from preparation import SIDE

BATCH = 32
RATE = 1e-3           # the largest; falls to nothing by a cosine
WARM_UP = 100         # steps
DECAY = 0.01
AVERAGE = 0.99        # of the averaged weights, which are what is kept
SMOOTHING = 0.02
CHECKPOINT_EVERY = 50
FIRST_SIDE = 128      # of the films in the first half of the steps, for speed


def to_tensor(pixels: numpy.ndarray) -> torch.Tensor:
    tensor = (torch.from_numpy(pixels).float() - 127) / 128
    return tensor.unsqueeze(1).contiguous(memory_format=torch.channels_last)


def order_of_epoch(labels: numpy.ndarray, seed: int, epoch: int) -> numpy.ndarray:
    """As many of either class: all normal films twice, and as many of the others, which take turns from epoch to epoch."""
    random = numpy.random.default_rng([seed, epoch])
    normal, ill = numpy.flatnonzero(labels == 0), numpy.flatnonzero(labels == 1)
    take = min(2 * len(normal), len(ill))
    turns = numpy.random.default_rng(seed).permutation(ill)
    chosen = [numpy.resize(random.permutation(normal), take), numpy.take(turns, range(epoch * take, (epoch + 1) * take), mode="wrap")]
    return random.permutation(numpy.concatenate(chosen))


def batches(films: Films, rows: numpy.ndarray, seed: int, epochs: int, first_step: int):
    """The batches from a step on, made ahead in a thread: the same for the same seed, wherever training resumes."""
    made: queue.Queue = queue.Queue(maxsize=8)

    steps = steps_of(films, rows, seed, epochs)

    def make():
        step = 0
        for epoch in range(epochs):
            order = rows[order_of_epoch(films.labels[rows], seed, epoch)]
            for start in range(0, len(order) - BATCH + 1, BATCH):
                if step >= first_step:
                    chosen = order[start:start + BATCH]
                    side = FIRST_SIDE if step < steps // 2 else SIDE
                    pixels = [variant(numpy.random.default_rng([seed, step, row]), films.pixels[row], side) for row in chosen]
                    made.put((step, numpy.stack(pixels), films.labels[chosen]))
                step += 1
        made.put(None)

    threading.Thread(target=make, daemon=True).start()
    return iter(made.get, None)


def steps_of(films: Films, rows: numpy.ndarray, seed: int, epochs: int) -> int:
    return epochs * (len(order_of_epoch(films.labels[rows], seed, 0)) // BATCH)


def average_into(average: torch.nn.Module, network: torch.nn.Module, step: int) -> None:
    keep = min(AVERAGE, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, value in zip(average.state_dict().values(), network.state_dict().values()):
            mean.lerp_(value, 1 - keep) if mean.is_floating_point() else mean.copy_(value)


def save(path: Path, state: dict) -> None:
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="folder laid out NORMAL/ PNEUMONIA/")
    arguments.add_argument("--held-out", type=Path, help="folder of originals that stay out, with their patients")
    arguments.add_argument("--work", type=Path, required=True)
    arguments.add_argument("--imagenet", type=Path, help="weights to begin with")
    arguments.add_argument("--fold", required=True, help="0 to 4: held out; all: none; IM or NORMAL2-IM: that source of normal films held out")
    arguments.add_argument("--epochs", type=int, default=5)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--threads", type=int, default=2)
    given = arguments.parse_args()

    torch.set_num_threads(given.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(given.seed)
    given.work.mkdir(parents=True, exist_ok=True)
    name = f"fold-{given.fold}-seed-{given.seed}"
    films = Films(given.data, given.held_out, given.work)
    rows = films.folds >= 0
    if given.fold.isdigit():
        rows &= films.folds != int(given.fold)
    elif given.fold != "all":
        rows &= numpy.array([film.kind != given.fold for film in films.films])
    rows = numpy.flatnonzero(rows)

    network = Network().to(memory_format=torch.channels_last)
    if given.imagenet:
        network.load_imagenet(given.imagenet)
    average = copy.deepcopy(network)
    trained = [p for name, p in network.named_parameters() if not name.startswith(Network.FIRST)]
    decayed = [p for p in trained if p.ndim > 1]
    plain = [p for p in trained if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0}], lr=RATE)
    steps = steps_of(films, rows, given.seed, given.epochs)
    checkpoint, first = given.work / f"{name}.checkpoint", 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    network.train()
    log = open(given.work / f"{name}.log", "a", buffering=1)
    log.write(f"{len(rows)} films, {steps} steps from {first}\n")
    began, loss_mean = time.monotonic(), 0.7
    for step, pixels, labels in batches(films, rows, given.seed, given.epochs, first):
        rate = RATE * min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(given.seed * 1_000_003 + step)  # what is dropped does not depend on where training resumed
        logits, _ = network(to_tensor(pixels))
        wanted = torch.from_numpy(labels).float() * (1 - SMOOTHING) + SMOOTHING / 2
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        average_into(average, network, step)
        loss_mean += 0.05 * (loss.item() - loss_mean)
        if step % 20 == 0:
            seconds = (time.monotonic() - began) / (step - first + 1)
            log.write(f"step {step} of {steps}, loss {loss_mean:.4f}, {BATCH / seconds:.0f} films/s, {seconds * (steps - step) / 60:.0f} min left\n")
        if (step + 1) % CHECKPOINT_EVERY == 0:
            save(checkpoint, {"network": network.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1})
    save(given.work / f"{name}.pt", average.state_dict())
    log.write("done\n")


if __name__ == "__main__":
    main()
