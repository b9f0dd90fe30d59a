"""No patient and no duplicate crosses a fold."""
import collections
import pathlib
import tempfile
import unittest

from folds import FOLDS, assign_folds, groups_of, patient_of, read_folder

DATA = pathlib.Path(__file__).resolve().parents[2] / "shared/data/chest-xray-224/train"


class Folds(unittest.TestCase):
    def check(self, films, folds):
        for what in ("patient", "sha256", "group"):
            seen = collections.defaultdict(set)
            for film, fold in zip(films, folds):
                seen[getattr(film, what)].add(fold)
            self.assertEqual([key for key, those in seen.items() if len(those) > 1], [], what)
        self.assertEqual(set(folds), set(range(FOLDS)))

    def test_patients_are_read_from_names(self):
        self.assertEqual(patient_of("person12_bacteria_46.jpeg", 1), ("bacteria", "bacteria-12"))
        self.assertNotEqual(patient_of("person12_bacteria_46.jpeg", 1)[1], patient_of("person12_virus_46.jpeg", 1)[1])
        self.assertEqual(patient_of("NORMAL2-IM-0501-0001-0002.jpeg", 0), ("NORMAL2-IM", "NORMAL2-IM-0501"))
        self.assertEqual(patient_of("IM-0501-0001.jpeg", 0), ("IM", "IM-0501"))

    def test_made_up_patients_and_duplicates_stay_together(self):
        with tempfile.TemporaryDirectory() as folder:
            for kind in ("NORMAL", "PNEUMONIA"):
                (pathlib.Path(folder) / kind).mkdir()
            for number in range(60):
                for film in range(3):
                    (pathlib.Path(folder) / f"PNEUMONIA/person{number}_virus_{film}.jpeg").write_text(f"{number} {film}")
                    (pathlib.Path(folder) / f"NORMAL/IM-{number:04}-{film:04}.jpeg").write_text(f"normal {number} {film if number % 7 else 'same'}")
            (pathlib.Path(folder) / "PNEUMONIA/person70_bacteria_1.jpeg").write_text("5 1")  # a copy of another patient's film
            films = read_folder(pathlib.Path(folder))
            self.check(films, assign_folds(films))
            group = {film.path.name: film.group for film in films}
            self.assertEqual(group["person70_bacteria_1.jpeg"], group["person5_virus_2.jpeg"])
            with tempfile.TemporaryDirectory() as out:
                (pathlib.Path(out) / "person70_bacteria_1.jpeg").write_text("")
                self.assertEqual(groups_of(films, pathlib.Path(out)), {group["person5_virus_0.jpeg"]})

    @unittest.skipUnless(DATA.is_dir(), "no chest films beside the project (shared/data)")
    def test_the_public_set_stays_together(self):
        films = read_folder(DATA)
        self.assertEqual(len({film.patient for film in films}), 2443 + 1211)
        self.check(films, assign_folds(films))


if __name__ == "__main__":
    unittest.main()
