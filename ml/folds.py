"""Which film belongs to which patient, and which patient to which fold.

A patient is (kind, number) for films with pneumonia and (prefix, number) for normal ones. Byte-identical files bind their
patients together. No patient and no duplicate ever crosses a fold: test_folds.py fails if one does.
"""
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

FOLDS = 5
CLASSES = ("NORMAL", "PNEUMONIA")
ENDINGS = (".jpeg", ".jpg", ".png")

_PNEUMONIA = re.compile(r"person(\d+)_(bacteria|virus)_")
_NORMAL = re.compile(r"((?:NORMAL\d+-)?IM)-(\d+)-")


@dataclass(frozen=True)
class Film:
    path: Path
    label: int       # 1 with pneumonia
    kind: str        # bacteria, virus, IM or NORMAL2-IM: the subgroup it is counted in
    patient: str
    sha256: str
    group: str = ""  # the patients that share files with this one, by the name of the first


def patient_of(name: str, label: int) -> tuple[str, str]:
    """(kind, patient) of a file's name; a name that follows no rule is a patient of its own."""
    if label == 1 and (match := _PNEUMONIA.match(name)):
        return match[2], f"{match[2]}-{match[1]}"
    if label == 0 and (match := _NORMAL.match(name)):
        return match[1], f"{match[1]}-{match[2]}"
    return CLASSES[label], name


def read_folder(folder: Path) -> list[Film]:
    """The films of a folder laid out NORMAL/ PNEUMONIA/, in the order of their names, with their groups."""
    films = []
    for label, name in enumerate(CLASSES):
        for path in sorted(p for p in (folder / name).iterdir() if p.suffix.lower() in ENDINGS):
            kind, patient = patient_of(path.name, label)
            films.append(Film(path, label, kind, patient, hashlib.sha256(path.read_bytes()).hexdigest()))
    return bind_groups(films)


def bind_groups(films: list[Film]) -> list[Film]:
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            key = parent[key]
        return key

    for film in films:
        first, second = sorted((root(film.patient), root("file " + film.sha256)))
        parent[first] = second
    names: dict[str, str] = {}
    for film in films:
        names.setdefault(root(film.patient), film.patient)
    return [Film(f.path, f.label, f.kind, f.patient, f.sha256, names[root(f.patient)]) for f in films]


def assign_folds(films: list[Film]) -> list[int]:
    """A fold for each film. Groups are dealt out by the hash of their name, each kind by itself, so that a fold holds a fifth of each."""
    kinds: dict[str, str] = {}
    for film in films:
        kinds.setdefault(film.group, film.kind)
    fold_of: dict[str, int] = {}
    for kind in sorted(set(kinds.values())):
        groups = sorted((g for g in kinds if kinds[g] == kind), key=lambda g: hashlib.sha256(g.encode()).digest())
        fold_of.update({group: position % FOLDS for position, group in enumerate(groups)})
    return [fold_of[film.group] for film in films]


def groups_of(films: list[Film], held_out: Path) -> set[str]:
    """The groups that have a file of the same name in another folder: what is kept out of training for the whole path's test."""
    names = {path.name for path in held_out.rglob("*")}
    return {film.group for film in films if film.path.name in names}
