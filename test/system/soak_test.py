"""Store and retrieve for a long time on one process: memory stays flat and no descriptor leaks."""
import os
import pathlib
import unittest

import requests

from harness import SystemTest


def resident_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def descriptors(pid):
    """How many the process has open, and which segments: each of these is there once (and a vault keeps 512 of them at most: vault.cpp)."""
    paths = [os.readlink(path) for path in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    segments = [path for path in paths if path.endswith(".segment")]
    return len(paths) - len(segments), segments


SESSIONS_KIB = (32 * 1024, 8 * 1024, 8 * 1024)  # what a writer and two readers, which one client needs, keep of the index in memory at most: database.cpp


def cached_kib(site):
    index = (site.folder / "store/index.db").stat().st_size // 1024
    return sum(min(index, most) for most in SESSIONS_KIB)


class Soak(SystemTest):
    def test_memory_and_descriptors_stay_flat(self):
        import pydicom

        cycles = 100_000 if os.environ.get("FIDUCIAL_SOAK") else 2_000
        site = self.site()
        site.run("person", "add", "ada", "--role", "doctor,technologist")
        token = site.token("ada")
        template = pydicom.dcmread(min(self.samples().rglob("*.dcm"), key=lambda p: p.stat().st_size))
        with site.serving() as url, requests.Session() as http:
            http.headers["Authorization"] = f"Bearer {token}"
            early = files_early = None
            for cycle in range(cycles):
                template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.10.1{cycle}"
                template.StudyInstanceUID = f"1.2.826.0.1.3680043.10.2{cycle // 50}"
                path = self.folder / "one.dcm"
                template.save_as(path)
                body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + path.read_bytes() + b"\r\n--b--\r\n"
                stored = http.post(f"{url}/studies", data=body, headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'})
                self.assertEqual(stored.status_code, 200, stored.text)
                got = http.get(f"{url}/studies/{template.StudyInstanceUID}/series/{template.SeriesInstanceUID}/instances/{template.SOPInstanceUID}",
                               headers={"Accept": "application/dicom"})
                self.assertEqual((got.status_code, got.content), (200, path.read_bytes()))
                if cycle == cycles // 10:
                    early, (files_early, _), cached_early = resident_kib(site.server.pid), descriptors(site.server.pid), cached_kib(site)
            late, (files_late, segments), cached_late = resident_kib(site.server.pid), descriptors(site.server.pid), cached_kib(site)
        print(f"{cycles} cycles: {early} KiB after the first tenth, {late} KiB at the end, of these of the index {cached_early} and {cached_late}; {files_early} and {files_late} descriptors, {len(segments)} segments")
        self.assertLess(late, early * 1.1 + cached_late - cached_early)
        self.assertLessEqual(files_late, files_early + 16, "more than all that may read the index at once")
        self.assertEqual(len(segments), len(set(segments)), "a segment is open more than once")


if __name__ == "__main__":
    unittest.main(verbosity=2)
