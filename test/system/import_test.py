"""Whose the images are that do not say it, and what an import makes of files that cannot be taken: told, and no hindrance to others."""
import io
import json
import os
import pathlib
import signal
import struct
import subprocess
import unittest
import zipfile
import zlib

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset

from harness import FIDUCIAL, PASSPHRASE, SystemTest


def png(shade):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes([shade, 255 - shade, (shade * 7) % 256, 9]) for _ in range(4))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def dicom(number):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}.1.1"
    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.PatientID, image.StudyInstanceUID, image.SeriesInstanceUID = f"D{number}", f"1.2.3.{number}", f"1.2.3.{number}.1"
    out = io.BytesIO()
    pydicom.dcmwrite(out, image, enforce_file_format=True)
    return out.getvalue()


class Import(SystemTest):
    def setUp(self):
        super().setUp()
        self.archive = self.site()
        self.given = self.folder / "given"
        self.given.mkdir()

    def put(self, name, content):
        path = self.given / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def bring(self, *paths, codes=(0,), **more):
        return self.archive.run("import", "--wait", "0", *paths, codes=codes, **more)

    def patients(self):
        """How many images each patient has, by study."""
        return sorted((study["patientId"], study["patientName"], study["date"], study["instances"]) for study in self.archive.run("list")["studies"])

    def counts(self, report):
        return tuple(report[name] for name in ("stored", "duplicates", "refused", "skipped"))

    def reasons(self, report):
        return {pathlib.Path(f["path"].split("!/")[-1]).name: f["reason"] for f in report["notable"]}

    def test_each_table_speaks_for_its_own_folder(self):
        for folder, shade in (("A", 1), ("B", 2)):
            self.put(f"{folder}/001.png", png(shade))
            self.put(f"{folder}/patients.csv", f"file,patient id,name\n001.png,{folder}1,Of^{folder}\n")
        self.assertEqual(self.counts(self.bring(self.given / "A", self.given / "B")), (2, 0, 0, 2))
        self.assertEqual(self.patients(), [("A1", "Of^A", "", 1), ("B1", "Of^B", "", 1)])
        self.assertEqual(self.counts(self.bring(self.given)), (0, 2, 0, 2), "given together, their tables still say whose they are")
        with self.subTest("a table in a ZIP speaks for the ZIP"):
            with zipfile.ZipFile(self.given / "c.zip", "w") as zipped:
                zipped.writestr("001.png", png(3))
                zipped.writestr("patients.csv", "file,patient id\n001.png,C1\n")
            self.bring(self.given / "c.zip")
            self.assertIn(("C1", "", "", 1), self.patients())

    def test_what_a_table_does_not_name_is_refused(self):
        self.put("001.png", png(1))
        self.put("deep/002.png", png(2))
        table = self.put("patients.csv", "file,patient id\n001.png,P1\n")
        for arguments in ((self.given,), ("--patients", table, self.given)):
            report = self.bring(*arguments, codes=(1,))
            self.assertEqual(report["refused"], 1)
            self.assertEqual(self.reasons(report), {"002.png": f"{table} does not name deep/002.png: add a line that says whose it is"})
        self.assertEqual(self.patients(), [("P1", "", "", 1)])
        with self.subTest("a line that names no image is told"):
            extra = self.folder / "extra.csv"
            extra.write_text("file,patient id\n001.png,P1\ndeep/002.png,P2\ngone.jpeg,P3\n")
            report = self.bring("--patients", extra, self.given, codes=(1,))
            self.assertEqual((report["refused"], report["unusedRows"]), (0, ["line 4: gone.jpeg"]))
        with self.subTest("a row that could mean two files means none"):
            other = self.folder / "other"
            (other / "x").mkdir(parents=True)
            (other / "x/001.png").write_bytes(png(9))
            report = self.bring("--patients", table, self.given, other / "x", codes=(1,))
            self.assertIn("001.png", self.reasons(report))
            self.assertEqual(len(self.patients()), 2)
        with self.subTest("a table that names a file twice is no table"):
            table.write_text("file,patient id\n001.png,P1\n./001.png,P2\n")
            report = self.bring(self.given, codes=(1,))
            self.assertEqual(self.counts(report), (0, 0, 3, 0))
            self.assertIn("line 3 names a file that line 2 names already", self.reasons(report)["001.png"])

    def test_images_of_nobody_known_are_strangers_to_each_other(self):
        shades = iter(range(1, 50))
        directly = [self.put(f"direct/{n}.png", png(next(shades))) for n in range(2)]
        for folder in ("root", "sorted/NORMAL", "sorted/2026", "years/2026-01-05"):
            for n in range(2):
                self.put(f"{folder}/{n}.png", png(next(shades)))
        report = self.bring(*directly, self.given / "root", self.given / "sorted", self.given / "years")
        self.assertEqual(self.counts(report), (10, 0, 0, 0))
        self.assertEqual(report["withoutPatient"], 10)
        self.assertEqual(self.patients(), [("", "", "", 1)] * 8 + [("", "", "20260105", 1)] * 2)
        self.assertEqual(self.counts(self.bring(*directly, self.given / "root")), (0, 4, 0, 0), "again: duplicates")
        with self.subTest("each is a patient by itself, on the ledger too"):
            self.assertEqual(self.archive.run("ledger", "wait")["waiting"], 0)
            self.assertEqual(self.archive.run("fsck")["findings"], [])

    def test_folders_named_after_patients(self):
        self.put("12345_Doe/1.png", png(1))
        self.put("many/12346 Roe^Jo/2026-01-05/1.png", png(2))
        self.put("many/P7/1.png", png(3))
        self.bring(f"{self.given / '12345_Doe'}/", self.given / "many")
        self.assertEqual(self.patients(), [("12345", "Doe", "", 1), ("12346", "Roe^Jo", "20260105", 1), ("P7", "P7", "", 1)])

    def test_names_that_are_no_text(self):
        folder = os.fsencode(self.given)
        with open(folder + b"/M\xfcller.dcm", "wb") as file:
            file.write(dicom(1))
        deep = self.given
        for _ in range(6):
            deep = deep / ("\u20ac" * 80)
        deep.mkdir(parents=True)
        (deep / "x.dcm").write_bytes(dicom(2))
        with open(folder + b"/bad\xff.dcm", "wb") as file:
            file.write(b"nothing")
        with self.archive.serving():
            report = self.archive.run("import", self.given, codes=(1,))
        self.assertEqual((self.counts(report), report["unsettled"], report["incomplete"]), ((2, 0, 1, 0), 0, ""))
        self.assertIn("bad\\xff.dcm", self.reasons(report))
        self.assertEqual(self.archive.run("ledger", "wait")["waiting"], 0)
        for number in (1, 2):
            self.assertEqual([v["state"] for v in self.archive.run("show", f"1.2.3.{number}")["versions"]], ["settled"])

    def test_what_cannot_be_read_is_told_and_the_rest_taken(self):
        self.put("good.dcm", dicom(1))
        os.symlink("/proc/self/mem", self.given / "sector.dcm")  # opens, and cannot be read at its beginning
        listed = self.put("DICOMDIR", b"\0" * 128 + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, 32) + struct.pack("<HH2sH", 2, 2, b"UI", 20) + b"1.2.840.10008.1.3.10" + b"broken")
        report = self.bring(self.given, listed, self.given / "good.dcm", codes=(1,))
        self.assertEqual((report["stored"], report["duplicates"], report["refused"]), (1, 1, 2), report)
        self.assertEqual(set(self.reasons(report)), {"sector.dcm", "DICOMDIR"})
        with self.subTest("one odd entry of a ZIP"):
            with zipfile.ZipFile(self.given / "a.zip", "w") as zipped:
                zipped.writestr("../x.dcm", dicom(2))
                zipped.writestr("y.dcm", dicom(3))
                zipped.writestr("rubbish", b"nothing")
            report = self.bring(self.given / "a.zip", codes=(1,))
            self.assertEqual(self.counts(report), (1, 0, 2, 0))
            self.assertEqual(set(self.reasons(report)), {"x.dcm", "rubbish"})

    def test_each_file_is_a_line_of_json(self):
        self.put("1.dcm", dicom(1))
        self.put("2.dcm", b"nothing")
        lines = [json.loads(line) for line in self.archive.raw("--json", "import", "--each", self.given, codes=(1,)).stdout.splitlines()]
        self.assertEqual([line["file"]["outcome"] for line in lines[:-1]], ["stored", "refused"])
        self.assertEqual(lines[-1]["stored"], 1)

    def test_a_zip_is_stopped_within_an_entry_and_taken_later(self):
        path = self.given / "large.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
            zipped.writestr("1.dcm", dicom(1))
            with zipped.open("2.dcm", "w", force_zip64=True) as entry:
                entry.write(dicom(2) + struct.pack("<HH2sHI", 0x7fe0, 0x0010, b"OB", 0, 1 << 28))
                block = os.urandom(1 << 15) * 32
                for _ in range(1 << 8):
                    entry.write(block)
        process = subprocess.Popen([FIDUCIAL, "--json", "import", "--each", "--wait", "0", path], env=self.archive.environment(), stdout=subprocess.PIPE, text=True)
        first = process.stdout.readline()  # the first entry is stored, the second one under way
        process.send_signal(signal.SIGINT)
        lines = [json.loads(first), *map(json.loads, process.communicate(timeout=60)[0].splitlines())]
        self.assertEqual(process.returncode, 8, lines)
        self.assertEqual((lines[-1]["interrupted"], self.counts(lines[-1])), (True, (1, 0, 0, 0)))
        self.assertEqual(self.counts(self.bring(path)), (1, 1, 0, 0))

    def test_waits_are_bounded(self):
        for command in (("ledger", "wait", "--seconds", "9223372036854775807"), ("ledger", "wait", "--seconds", "-1"), ("import", "--wait", "100000", self.given)):
            self.archive.raw(*command, codes=(2,))


if __name__ == "__main__":
    unittest.main(verbosity=2)
