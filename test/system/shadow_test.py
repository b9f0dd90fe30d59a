"""fiducial shadow beside a real Orthanc, into which images are put, changed and deleted behind its back."""
import contextlib
import csv
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

import pydicom
import requests
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1, JPEGLSLossless

from dimse_test import make_image
from harness import FIDUCIAL, SystemTest, files_of, free_port, wait_for
from orthanc_test import ORTHANC, Orthanc
from transcoding_test import image

PLUGIN = pathlib.Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


class Shadow(SystemTest):
    def setUp(self):
        super().setUp()
        self.need(None if ORTHANC and PLUGIN.exists() else "Orthanc with its DICOMweb plugin is not installed (deploy/dependencies test)")
        self.need(None if shutil.which("pdftotext") else "pdftotext is not installed (deploy/dependencies test)")
        self.orthanc = Orthanc(self.folder / "orthanc")
        self.addCleanup(self.orthanc.stop)
        self.start_orthanc()
        self.archive = self.site()
        self.token_file = self.folder / "token"
        self.token_file.touch(0o600)
        self.token_file.write_text(self.archive.token("operator") + "\n")

    def start_orthanc(self, **more):
        self.orthanc.start(Plugins=[str(PLUGIN)], DicomWeb={"Enable": True, "Root": "/dicom-web/"}, OverwriteInstances=True, **more)

    def command(self, *more, rate="0"):
        return ["shadow", "run", "--once", "--old", f"http://127.0.0.1:{self.orthanc.http}/dicom-web", "--here", self.archive.url, "--token-file", self.token_file,
                "--report", self.folder / "reports", "--rate", rate, *more]

    def reports(self, suffix):
        return sorted((self.folder / "reports").glob("*." + suffix))

    def findings(self):
        with open(self.reports("csv")[-1], newline="") as file:
            return {row["instance"]: row for row in csv.DictReader(file)}

    def put(self, *files):
        return {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: self.orthanc.ask("/instances", pathlib.Path(path).read_bytes()).json()["ID"] for path in files}

    def count_here(self):
        headers = {"Authorization": "Bearer " + self.token_file.read_text().strip(), "Fiducial-Purpose": "administration", "Accept": "application/dicom+json"}
        answer = requests.get(self.archive.url + "/instances", headers=headers, timeout=30)
        return len(answer.json()) if answer.status_code == 200 else 0

    def stored_file(self, instance):
        """Where Orthanc keeps an instance."""
        uuid = self.orthanc.ask(f"/instances/{instance}/attachments/dicom/info").json()["Uuid"]
        return self.orthanc.folder / "storage" / uuid[:2] / uuid[2:4] / uuid

    def test_nights_beside_orthanc(self):
        files = [p for p in files_of(self.samples()) if p.suffix == ".dcm"][::4]
        ids = self.put(*files)
        names = {str(pydicom.dcmread(path, stop_before_pixels=True).PatientName).split("^")[0] for path in files}
        with self.archive.serving():
            with self.subTest("the first night copies all, and all is the same"):
                first = self.archive.run(*self.command(), timeout=300)
                self.assertEqual((first["old"]["instances"], first["here"]["instances"], first["copied"], first["compared"]), (len(files),) * 4)
                self.assertEqual(first["outcomes"]["same"], len(files), first)
                self.assertTrue(first["complete"])
                self.assertEqual(first["findings"], 0)
                self.assertEqual(first["settledStudies"], first["here"]["studies"])
            with self.subTest("the next one has nothing to do"):
                second = self.archive.run(*self.command())
                self.assertEqual((second["run"], second["copied"], second["compared"], second["findings"]), (first["run"] + 1, 0, 0, 0))
            with self.subTest("what is done behind its back is found and named"):
                uids = sorted(ids)
                deleted, header, pixels = uids[0], uids[1], uids[2]
                requests.delete(f"http://127.0.0.1:{self.orthanc.http}/instances/{ids[deleted]}", timeout=60).raise_for_status()
                changed = pydicom.dcmread(next(p for p in files if pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID == header))
                changed.StudyDescription, changed.InstitutionName = "another", "Elsewhere"
                changed.save_as(self.folder / "changed.dcm")
                self.put(self.folder / "changed.dcm")
                path = self.stored_file(ids[pixels])
                data = bytearray(path.read_bytes())
                data[-2] ^= 1  # the last pixel's
                path.write_bytes(data)
                self.orthanc.stop()  # it keeps files in memory
                self.start_orthanc()
                new = make_image(self.folder / "new.dcm", "1.2.826.0.1.3680043.8.498.77", "1.2.826.0.1.3680043.8.498.77.1", 1)
                fresh = next(iter(self.put(new)))
                third = self.archive.run(*self.command("--again", "0"), codes=(10,), timeout=300)
                self.assertEqual((third["copied"], third["missingInOld"], third["outcomes"]["pixelsChanged"], third["outcomes"]["headerChanged"], third["findings"]), (1, 1, 1, 1, 3), third)
                found = self.findings()
                self.assertEqual(set(found), {deleted, header, pixels})
                self.assertIn("listed it before", found[deleted]["finding"])
                self.assertEqual((found[header]["finding"], found[header]["detail"]), ("header changed", "InstitutionName, StudyDescription"))
                self.assertEqual((found[pixels]["finding"], found[pixels]["detail"]), ("pixels changed", "PixelData"))
                self.assertNotIn(fresh, found)
            with self.subTest("the report is one page, in two forms, and names nobody"):
                page = self.reports("html")[-1].read_text()
                text = subprocess.run(["pdftotext", "-layout", self.reports("pdf")[-1], "-"], check=True, capture_output=True, text=True).stdout
                self.assertEqual(text.count("\f"), 1)
                for form in (page, text):
                    self.assertIn("1 missing there", form)
                    self.assertIn("2 changed", form)
                    self.assertIn("self-sealed (1 of 1)", " ".join(form.split()))
                    self.assertIn(pixels, form)
                    for name in names:
                        self.assertNotIn(name, form)
                again = self.archive.run("shadow", "report", "--report", self.folder / "again", codes=(10,))
                self.assertEqual({k: v for k, v in again.items() if k != "reports"}, {k: v for k, v in third.items() if k != "reports"})
        self.assertEqual(self.archive.run("fsck", timeout=300)["findings"], [])

    def test_images_that_the_old_archive_compressed(self):
        """It compresses what comes to it: decoded, that is the same picture, or another one."""
        files = []
        for frames, colours, bits in ((3, 1, 12), (1, 3, 8), (1, 1, 8), (1, 1, 16), (2, 1, 16)):
            files.append(self.folder / f"{frames} {colours} {bits}.dcm")
            image(frames, colours, bits).save_as(files[-1], enforce_file_format=True)
        for file in files:
            self.archive.run("import", file)
        self.orthanc.stop()
        for syntax in (JPEGLSLossless, JPEGLosslessSV1):
            with self.subTest(syntax.name):
                self.start_orthanc(IngestTranscoding=syntax)
                self.put(*files)
                stored = self.orthanc.ask("/instances").json()
                kept = [self.orthanc.ask(f"/instances/{one}/metadata/TransferSyntax").text for one in stored]
                self.assertEqual(kept, [syntax] * len(files))
                with self.archive.serving():
                    same = self.archive.run(*self.command("--again", "0", "--no-copy"), timeout=300)
                    self.assertEqual((same["findings"], same["outcomes"]["samePicture"], same["outcomes"]["recompressed"]), (0, len(files), 0), same)
                    changed, renamed = (pydicom.dcmread(file) for file in files[:2])
                    pixels = changed.pixel_array.copy()
                    pixels[-1, 5, 7] ^= 1
                    changed.PixelData = pixels.tobytes()
                    renamed.PatientName = "Roe^Jane"
                    for n, data_set in enumerate((changed, renamed)):
                        data_set.save_as(self.folder / f"behind its back {n}")
                        self.put(self.folder / f"behind its back {n}")
                    other = self.archive.run(*self.command("--again", "0", "--no-copy"), codes=(10,), timeout=300)
                    self.assertEqual((other["findings"], other["outcomes"]["pixelsChanged"], other["outcomes"]["headerChanged"]), (2, 1, 1), other)
                    found = self.findings()
                    self.assertEqual(found[changed.SOPInstanceUID]["detail"], f"PixelData; decoded: {syntax} there, {ExplicitVRLittleEndian} here")
                    self.assertEqual(found[renamed.SOPInstanceUID]["detail"], "PatientName; the same picture, in another compression")
                self.orthanc.stop()
                shutil.rmtree(self.orthanc.folder / "storage")

    def test_an_old_archive_that_speaks_dimse(self):
        """By C-FIND and C-GET: the same night, the same findings."""
        self.check_dimse()

    def test_an_old_archive_that_only_moves(self):
        """By C-FIND and C-MOVE, as most archives want it."""
        port = free_port()
        self.orthanc.stop()
        self.start_orthanc(DicomModalities={"fiducial": ["FIDUCIAL", "127.0.0.1", 104], "shadow": ["FIDSHADOW", "127.0.0.1", port]})
        self.check_dimse("--move-listen", f"127.0.0.1:{port}")
        with self.archive.serving():
            self.archive.run("shadow", "run", "--once", "--old", "http://127.0.0.1:1", "--move-listen", "127.0.0.1:0", "--token-file", self.token_file, codes=(2,))

    def check_dimse(self, *how):
        settings = self.archive.folder / "fiducial.toml"
        text = settings.read_text()
        section = text.index("[dimse]")
        settings.write_text(text[:section] + text[section:].replace("peers = []", f'peers = ["ORTHANC 127.0.0.1 port={self.orthanc.dicom}"]', 1))
        files = [p for p in files_of(self.samples()) if p.suffix == ".dcm"][::4]
        ids = self.put(*files)
        command = lambda *more: ["shadow", "run", "--once", "--old-peer", "ORTHANC", "--here", self.archive.url, "--token-file", self.token_file, "--report", self.folder / "reports", "--rate", "0", *how, *more]
        with self.archive.serving():
            self.archive.run("shadow", "run", "--once", "--old-peer", "NOBODY", "--here", self.archive.url, "--token-file", self.token_file, codes=(5,))
            self.archive.run(*command("--old", "http://127.0.0.1:1"), codes=(2,))
            first = self.archive.run(*command(), timeout=300)
            self.assertEqual((first["old"]["instances"], first["here"]["instances"], first["copied"], first["compared"], first["findings"]), (len(files),) * 4 + (0,), first)
            self.assertEqual(first["outcomes"]["same"] + first["outcomes"]["rewritten"], len(files), first)
            deleted, header = sorted(ids)[:2]
            requests.delete(f"http://127.0.0.1:{self.orthanc.http}/instances/{ids[deleted]}", timeout=60).raise_for_status()
            changed = pydicom.dcmread(next(p for p in files if pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID == header))
            changed.StudyDescription = "another"
            changed.save_as(self.folder / "changed.dcm")
            self.put(self.folder / "changed.dcm")
            second = self.archive.run(*command("--again", "0"), codes=(10,), timeout=300)
            self.assertEqual((second["missingInOld"], second["outcomes"]["headerChanged"], second["findings"]), (1, 1, 2), second)
            self.assertEqual(set(self.findings()), {deleted, header})
            self.orthanc.stop()
            self.assertIn(f"127.0.0.1:{self.orthanc.dicom}", json.dumps(self.archive.run(*command(), codes=(7,))))

    def test_it_goes_on_where_it_was_stopped(self):
        studies = [make_image(self.folder / f"{n}.dcm", f"1.2.826.0.1.3680043.8.498.88.{n}", f"1.2.826.0.1.3680043.8.498.88.{n}.1", n, patient=f"S{n}", size=256) for n in range(24)]
        self.put(*studies)
        with self.archive.serving():
            slow = subprocess.Popen([FIDUCIAL, "--json", "--site", self.archive.folder, *map(str, self.command(rate="0.5"))], env={**os.environ, **self.archive.environment()},
                                    stdout=subprocess.PIPE, text=True)
            self.addCleanup(slow.kill)
            wait_for(lambda: self.count_here() >= 3, 60, "some are copied")
            slow.send_signal(signal.SIGINT)
            begun = json.loads(slow.communicate(timeout=60)[0])
            self.assertEqual((slow.returncode, begun["findings"]), (8, 0))
            self.assertFalse(begun["complete"])
            self.assertLess(begun["copied"], len(studies))
            done = self.archive.run(*self.command(), timeout=300)
            self.assertEqual((done["run"], done["complete"], done["copied"], done["outcomes"]["same"]), (begun["run"], True, len(studies), len(studies)))
            with self.subTest("an archive that is away is said to be"):
                self.orthanc.stop()
                self.assertIn("127.0.0.1", json.dumps(self.archive.run(*self.command(), codes=(7,))))

    def test_what_it_is_given_is_checked(self):
        self.assertIn("nothing ran yet", json.dumps(self.archive.run("shadow", "report", codes=(5,))))
        self.token_file.chmod(0o644)
        with self.archive.serving():
            self.assertIn("chmod 600", json.dumps(self.archive.run(*self.command(), codes=tuple(range(1, 16)))))
            self.token_file.chmod(0o600)
            self.assertIn("20-6", json.dumps(self.archive.run(*self.command("--hours", "late"), codes=tuple(range(1, 16)))))
            self.token_file.write_text("nonsense\n")
            self.put(make_image(self.folder / "one.dcm", "1.2.826.0.1.3680043.8.498.99", "1.2.826.0.1.3680043.8.498.99.1", 1))
            refused = self.archive.run(*self.command(), codes=tuple(range(1, 16)))
            self.assertIn("401", json.dumps(refused))


if __name__ == "__main__":
    unittest.main(verbosity=2)
