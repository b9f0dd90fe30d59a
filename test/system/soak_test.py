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
    return len(os.listdir(f"/proc/{pid}/fd"))


SESSIONS, CACHED_KIB = 3, 48 * 1024  # that read and write for one client, and what of the index they keep in memory together at most (database.cpp)


def index_kib(site):
    return (site.folder / "store/index.db").stat().st_size // 1024


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
                    early, files_early, pages_early = resident_kib(site.server.pid), descriptors(site.server.pid), index_kib(site)
            late, files_late, pages_late = resident_kib(site.server.pid), descriptors(site.server.pid), index_kib(site)
        print(f"{cycles} cycles: {early} KiB after the first tenth, {late} KiB at the end, index {pages_early} and {pages_late} KiB; {files_early} and {files_late} descriptors")
        room = max(CACHED_KIB - SESSIONS * pages_early, 0)
        self.assertLess(late, early * 1.1 + min(SESSIONS * (pages_late - pages_early), room))
        self.assertLessEqual(files_late, files_early + 16, "more than all that may read the index at once")


if __name__ == "__main__":
    unittest.main(verbosity=2)
