"""The pneumonia classifier at the command line: clear answers to whatever is given to it, and figures for a labelled folder."""
import json
import os
import subprocess
import unittest
import zlib

import numpy
import pydicom
from harness import FIDUCIAL, SHARED, SystemTest, files_of

FILMS = SHARED / "data/chest-xray-224/train"
KEYS = {"n", "auc", "pr_auc", "accuracy", "sensitivity", "specificity", "ece", "threshold", "refused"}


def png(pixels):
    """Grey (rows, columns) or RGB (rows, columns, 3) of 8 or 16 bits."""
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    bits = 8 * pixels.dtype.itemsize
    rows = pixels.astype(f">u{pixels.dtype.itemsize}").reshape(pixels.shape[0], -1)
    head = pixels.shape[1].to_bytes(4, "big") + pixels.shape[0].to_bytes(4, "big") + bytes([bits, 2 if pixels.ndim == 3 else 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))) + chunk(b"IEND", b"")


def instance(path, pixels, **changes):
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", pydicom.uid.generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    data.Modality, data.BodyPartExamined, data.ViewPosition, data.PatientAge = "DX", "CHEST", "AP", "003Y"
    data.Rows, data.Columns = pixels.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated = data.BitsStored = 8 * pixels.dtype.itemsize
    data.HighBit = data.BitsStored - 1
    if pixels.ndim == 3:
        data.NumberOfFrames = len(pixels)
    data.PixelData = pixels.tobytes()
    for name, value in changes.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)


class Vision(SystemTest):
    def ask(self, *arguments, code=0):
        done = subprocess.run([FIDUCIAL, "--json", *map(str, arguments)], capture_output=True, text=True, timeout=300, env={**os.environ, "NO_COLOR": "1"})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_whatever_is_no_film_gets_a_clear_answer_and_no_verdict(self):
        folder = self.folder / "odd"
        folder.mkdir()
        noise = numpy.random.default_rng(1).integers(0, 256, (300, 300)).astype(numpy.uint8)
        ramp = numpy.add.outer(numpy.arange(300), numpy.arange(300)).astype(numpy.uint8)
        (folder / "corrupt.jpeg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(200)))
        (folder / "cut.png").write_bytes(png(noise)[:2000])
        (folder / "empty.dcm").write_bytes(b"")
        (folder / "colour.png").write_bytes(png(numpy.stack([noise, ramp, noise.T], 2)))
        (folder / "noise.png").write_bytes(png(noise))
        (folder / "blank.png").write_bytes(png(numpy.zeros_like(noise)))
        (folder / "deep.png").write_bytes(png(noise.astype(numpy.uint16) << 8))
        (folder / "tiny.png").write_bytes(png(noise[:20, :20]))
        instance(folder / "multiframe.dcm", numpy.stack([noise, noise]))
        instance(folder / "knee.dcm", noise, BodyPartExamined="KNEE")
        instance(folder / "ct.dcm", noise, Modality="CT")
        instance(folder / "lateral.dcm", noise, ViewPosition="LL")
        instance(folder / "adult.dcm", noise, PatientAge="045Y")
        answer = self.ask("triage", "--any-age", folder, code=1)
        said = {film["path"].rsplit("/", 1)[1]: film for film in answer["films"]}
        self.assertEqual(len(said), 13)
        self.assertIn("research only", answer["notice"])
        for name, film in said.items():
            with self.subTest(file=name):
                self.assertEqual(film["verdict"], "refused")
                self.assertNotIn("probability", film)
                self.assertTrue(all(len(refusal["reason"]) > 10 for refusal in film["refusals"]))
        reasons = {name: " ".join(refusal["reason"] for refusal in film["refusals"]) for name, film in said.items()}
        for name, words in {"colour.png": "in colours", "empty.dcm": "empty", "deep.png": "8 bits", "multiframe.dcm": "2 frames", "knee.dcm": "KNEE",
                            "ct.dcm": "CT", "lateral.dcm": "not frontal", "blank.png": "contrast"}.items():
            self.assertIn(words, reasons[name], name)
        codes = [refusal["code"] for film in self.ask("triage", folder / "adult.dcm", code=1)["films"] for refusal in film["refusals"]]
        self.assertIn("age", codes)

    @unittest.skipUnless(FILMS.is_dir(), f"no chest films beside the project ({FILMS})")
    def test_a_labelled_folder_is_measured(self):
        folder = self.folder / "labelled"
        for kind in ("NORMAL", "PNEUMONIA"):
            (folder / kind).mkdir(parents=True)
            for film in files_of(FILMS / kind)[::len(files_of(FILMS / kind)) // 40][:40]:
                (folder / kind / film.name).symlink_to(film)
        plain = self.ask("model", "evaluate", folder, "--plots", self.folder / "curves", "--films", self.folder / "films.csv")
        self.assertLessEqual(KEYS, plain.keys())
        self.assertEqual(plain["n"], 80)
        self.assertGreater(plain["auc"], 0.9)
        for name in ("roc", "precision", "calibration"):
            self.assertIn("<polyline", (self.folder / f"curves/{name}.svg").read_text())
            self.assertEqual((self.folder / f"curves/{name}.png").read_bytes()[:4], b"\x89PNG")
        self.assertEqual(len((self.folder / "films.csv").read_text().splitlines()), 81)
        with self.subTest("what is refused counts against the model"):
            (folder / "PNEUMONIA/broken.jpeg").write_bytes(b"not an image")
            broken = self.ask("model", "evaluate", folder)
            self.assertEqual((broken["n"], broken["refused"]), (81, plain["refused"] + 1))
            self.assertAlmostEqual(broken["sensitivity"], plain["sensitivity"] * 40 / 41)
            self.assertLess(broken["auc"], plain["auc"])

    @unittest.skipUnless(FILMS.is_dir(), f"no chest films beside the project ({FILMS})")
    def test_films_as_dicom_and_jpeg_get_the_same_verdict_and_a_page(self):
        film = files_of(SHARED / "data/chest-xray-full/PNEUMONIA")[0]
        refused = self.ask("triage", film, code=1)["films"][0]
        self.assertEqual([refusal["code"] for refusal in refused["refusals"]], ["age"], "a picture file does not say how old the patient is")
        page = self.folder / "page.html"
        one = self.ask("triage", "--any-age", "--report", page, film)["films"][0]
        self.assertTrue(one["ageOverridden"])
        text = page.read_text()
        self.assertIn("data:image/png;base64,", text)
        self.assertIn("research only", text)
        jpeg = film.read_bytes()
        frame = jpeg.index(b"\xff\xc0")  # ITU-T T.81, B.2.2
        rows, columns = (int.from_bytes(jpeg[frame + at:frame + at + 2], "big") for at in (5, 7))
        path = self.folder / "film.dcm"
        instance(path, numpy.zeros((rows, columns), numpy.uint8))
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID, data.PixelData = pydicom.uid.JPEGBaseline8Bit, pydicom.encaps.encapsulate([jpeg])
        data["PixelData"].is_undefined_length = True
        data.save_as(path)
        other = self.ask("triage", path)["films"][0]
        self.assertFalse(other["ageOverridden"])
        self.assertAlmostEqual(other["logit"], one["logit"], places=4)

    def test_the_model_says_what_it_is(self):
        shown = self.ask("model", "show")
        self.assertRegex(shown["sha256"], "^[0-9a-f]{64}$")
        self.assertLessEqual(shown["bytes"], 20 << 20)
        self.assertIn("heldOut", shown["facts"])


if __name__ == "__main__":
    unittest.main()
