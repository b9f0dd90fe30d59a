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


class Soak(SystemTest):
    def test_memory_and_descriptors_stay_flat(self):
        import pydicom

        cycles = 20_000 if os.environ.get("FIDUCIAL_SOAK") else 300
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
                    early, files_early = resident_kib(site.server.pid), descriptors(site.server.pid)
            late, files_late = resident_kib(site.server.pid), descriptors(site.server.pid)
        print(f"{cycles} cycles: {early} KiB after the first tenth, {late} KiB at the end; {files_early} and {files_late} descriptors")
        if os.environ.get("FIDUCIAL_SOAK"):
            self.assertLess(late, early * 1.1)
        self.assertLessEqual(files_late, files_early + 8)


if __name__ == "__main__":
    unittest.main(verbosity=2)
