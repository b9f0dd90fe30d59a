"""An object larger than what 32 bits can count: in, verified, out by export and over HTTP, in constant memory.

300 MiB by default, which keeps the test quick; with FIDUCIAL_SOAK=1 over 4 GiB, which takes minutes and 13 GiB of disk.
"""
import hashlib
import os
import struct
import unittest

import requests
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import JPEG2000Lossless, generate_uid

from harness import SystemTest, files_of, peak_kib

SOAK = os.environ.get("FIDUCIAL_SOAK") == "1"
FRAME_BYTES = 60 << 20
FRAMES = 71 if SOAK else 5
MOST_MEMORY_KIB = 200 * 1024
PIECE = 1 << 20


def digest_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def write_slide(path, frames):
    """An encapsulated multi-frame object of frames of 60 MiB with an Extended Offset Table (PS3.5 A.4), written frame by frame. Returns: its UIDs."""
    head = Dataset()
    head.file_meta = FileMetaDataset()
    head.file_meta.TransferSyntaxUID = JPEG2000Lossless
    head.SOPClassUID = head.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    head.SOPInstanceUID = head.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    head.StudyInstanceUID, head.SeriesInstanceUID = generate_uid(), generate_uid()
    head.PatientID, head.PatientName, head.Modality = "LARGE-1", "Large^Slide", "SM"
    head.NumberOfFrames, head.Rows, head.Columns = frames, 8192, 8192
    head.SamplesPerPixel, head.BitsAllocated, head.BitsStored, head.HighBit, head.PixelRepresentation = 1, 8, 8, 7, 0
    head.PhotometricInterpretation = "MONOCHROME2"
    head.save_as(path, enforce_file_format=True)
    block = os.urandom(PIECE)
    with open(path, "ab") as file:
        def long_element(element, vr, data):
            file.write(struct.pack("<HH2sHI", 0x7FE0, element, vr, 0, len(data)) + data)
        long_element(0x0001, b"OV", struct.pack(f"<{frames}Q", *(frame * (FRAME_BYTES + 8) for frame in range(frames))))
        long_element(0x0002, b"OV", struct.pack(f"<{frames}Q", *([FRAME_BYTES] * frames)))
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF))
        file.write(struct.pack("<HHI", 0xFFFE, 0xE000, 0))
        for frame in range(frames):
            file.write(struct.pack("<HHI", 0xFFFE, 0xE000, FRAME_BYTES))
            for piece in range(FRAME_BYTES // PIECE):  # no two chunks alike
                file.write(struct.pack("<II", frame, piece) + block[8:])
        file.write(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    return head


class LargeObject(SystemTest):
    def test_a_large_object_passes_in_constant_memory(self):
        file = self.folder / "slide.dcm"
        head = write_slide(file, FRAMES)
        size, came = file.stat().st_size, digest_of(file)
        self.assertGreater(size, 1 << 32 if SOAK else 300 << 20)
        site = self.site()
        site.run("person", "add", "ada", "--role", "doctor")
        token = site.token("ada")
        with site.serving():
            report = site.run("import", file, timeout=1200)
            self.assertEqual((report["stored"], report["bytes"]), (1, size))
            checked = site.run("verify", "--all", timeout=1200)
            self.assertEqual((checked["objects"], checked["damaged"]), (1, []))
            self.assertEqual(site.run("export", "--all", "--to", self.folder / "out", timeout=1200)["bytes"], size)
            self.assertEqual([digest_of(p) for p in files_of(self.folder / "out")], [came])
            with self.subTest("over HTTP, by a slow reader of pieces"):
                digest = hashlib.sha256()
                url = f"{site.url}/studies/{head.StudyInstanceUID}/series/{head.SeriesInstanceUID}/instances/{head.SOPInstanceUID}"
                with requests.get(url, headers={"Authorization": "Bearer " + token, "Accept": "application/dicom; transfer-syntax=*"}, stream=True, timeout=600) as answer:
                    self.assertEqual((answer.status_code, int(answer.headers["Content-Length"])), (200, size))
                    for piece in answer.iter_content(PIECE):
                        digest.update(piece)
                self.assertEqual(digest.hexdigest(), came)
            with self.subTest("memory"):
                peak = peak_kib(site.server.pid)
                self.assertLess(peak, MOST_MEMORY_KIB, f"{peak} KiB at most")
        self.assertEqual(site.run("fsck", timeout=1200)["findings"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
