"""Frames and long values over WADO-RS, byte for byte what pydicom finds in the files."""
import struct
import unittest

import numpy
import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, MultiFrameGrayscaleByteSecondaryCaptureImageStorage, generate_uid

from harness import SystemTest
from http_test import parts_of

ANY_OCTETS = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


def image(frames, syntax, pixels, bits=8, extended=None):
    data_set = pydicom.Dataset()
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set.SOPClassUID = MultiFrameGrayscaleByteSecondaryCaptureImageStorage
    data_set.SOPInstanceUID, data_set.StudyInstanceUID, data_set.SeriesInstanceUID = generate_uid(), generate_uid(), generate_uid()
    data_set.PatientID, data_set.PatientName, data_set.Modality = "F1", "Doe^Jane", "OT"
    data_set.Rows, data_set.Columns, data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 100, 90, bits, bits, bits - 1
    data_set.SamplesPerPixel, data_set.PixelRepresentation, data_set.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    data_set.NumberOfFrames = frames
    if extended:
        data_set.ExtendedOffsetTable, data_set.ExtendedOffsetTableLengths = extended
    data_set.PixelData = pixels
    data_set["PixelData"].VR = "OB" if bits == 8 else "OW"
    data_set["PixelData"].is_undefined_length = syntax.is_compressed
    return data_set


def swapped(words):
    return b"".join(words[i + 1:i + 2] + words[i:i + 1] for i in range(0, len(words), 2))


def item(data):
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(data)) + data


class Values(SystemTest):
    def setUp(self):
        super().setUp()
        self.archive = self.site()
        folder = self.folder / "images"
        folder.mkdir()
        native = [bytes([n]) * 9000 for n in range(1, 6)]
        wide = [bytes([n, 255 - n]) * 9000 for n in range(40)]
        coded = [b"\xff\xd8" + bytes([n]) * (1000 + 2 * n) + b"\xff\xd9" for n in range(4)]
        split = [c[:600] for c in coded], [c[600:] for c in coded]
        starts, at = [], 0
        for c in coded:
            starts.append(at)
            at += len(c) + 16
        drawn = numpy.random.default_rng(5).integers(0, 2, (4, 5, 3), dtype=numpy.uint8)  # a segmentation: each frame but the first begins within a byte
        bits = [numpy.packbits(frame, bitorder="little").tobytes() for frame in drawn]
        packed = numpy.packbits(drawn, bitorder="little").tobytes()
        of_bits = [image(4, syntax, pixels, bits=1) for syntax, pixels in ((ExplicitVRLittleEndian, packed), (ExplicitVRBigEndian, swapped(packed)))]
        for data_set in of_bits:
            data_set.Rows, data_set.Columns = 5, 3
        pieces = b"".join(item(a) + item(b) for a, b in zip(*split))
        table = item(struct.pack("<4I", *starts)) + pieces
        no_table = item(b"") + pieces
        self.images = {
            "native": (image(5, ExplicitVRLittleEndian, b"".join(native)), native),
            "implicit": (image(40, ImplicitVRLittleEndian, b"".join(wide), bits=16), wide),
            "one fragment a frame": (image(4, JPEGBaseline8Bit, encapsulate(coded)), coded),
            "extended offset table": (image(4, JPEGBaseline8Bit, (extended := encapsulate_extended(coded))[0], extended=extended[1:]), coded),
            "offset table": (image(4, JPEGBaseline8Bit, table), coded),
            "single frame": (image(1, JPEGBaseline8Bit, item(b"") + item(coded[0][:600]) + item(coded[0][600:])), coded[:1]),
            "big endian": (image(3, ExplicitVRBigEndian, swapped(b"".join(wide[:3])), bits=16), wide[:3]),
            "bits": (of_bits[0], bits),
            "bits, big endian": (of_bits[1], bits),
            "deflated": (image(5, DeflatedExplicitVRLittleEndian, b"".join(native)), native),
            "no table": (image(4, JPEGBaseline8Bit, no_table), None),
            "too short": (image(7, ExplicitVRLittleEndian, b"".join(native)), None),
        }
        for name, (data_set, _) in self.images.items():
            data_set.save_as(folder / f"{name}.dcm", enforce_file_format=True)
        self.folder_of_images = folder
        self.archive.run("import", folder)
        self.archive.run("person", "add", "doctor", "--role", "doctor")
        self.token = self.archive.token("doctor")

    def path_of(self, data_set):
        return f"/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"

    def ask(self, path, accept=ANY_OCTETS, **headers):
        url = path if path.startswith("http") else self.archive.url + path
        return requests.get(url, headers={"Authorization": "Bearer " + self.token, "Accept": accept, **headers}, timeout=60)

    def test_frames_and_values(self):
        with self.archive.serving():
            self.check_frames()
            self.check_negotiation()
            self.check_bulk_data()
            self.check_client()
        self.check_damage()

    def check_frames(self):
        for name, (data_set, frames) in self.images.items():
            path = self.path_of(data_set)
            with self.subTest(name):
                if frames is None:
                    refused = self.ask(path + "/frames/1")
                    self.assertEqual(refused.status_code, 406)
                    self.assertGreater(len(refused.json()["detail"]), 20)
                    continue
                for number, frame in enumerate(frames, 1):
                    answer = self.ask(f"{path}/frames/{number}")
                    self.assertEqual(answer.status_code, 200, answer.text[:300])
                    self.assertEqual(parts_of(answer), [frame])
                several = [len(frames), 1]
                self.assertEqual(parts_of(self.ask(path + "/frames/" + ",".join(map(str, several)))), [frames[n - 1] for n in several])
                self.assertEqual(self.ask(f"{path}/frames/{len(frames) + 1}").status_code, 404)
        path = self.path_of(self.images["native"][0])
        for bad in ("0", "1,,2", "x", "-1", "1,"):
            self.assertEqual(self.ask(f"{path}/frames/{bad}").status_code, 400, bad)

    def check_negotiation(self):
        coded, native = (self.path_of(self.images[name][0]) + "/frames/1" for name in ("offset table", "native"))
        for path, accept, status in [
            (coded, 'multipart/related; type="image/jpeg"', 200), (coded, f'multipart/related; type="image/jpeg"; transfer-syntax={JPEGBaseline8Bit}', 200), (coded, "*/*", 200), (coded, "image/jpeg", 200),
            (coded, 'multipart/related; type="application/octet-stream"', 406), (coded, 'multipart/related; type="image/jp2"', 406),
            (coded, f'multipart/related; type="application/octet-stream"; transfer-syntax={ExplicitVRLittleEndian}', 406),
            (native, 'multipart/related; type="application/octet-stream"', 200), (native, "application/octet-stream", 200), (native, 'multipart/related; type="image/jpeg"', 406), (native, "text/html", 406)]:
            answer = self.ask(path, accept)
            self.assertEqual(answer.status_code, status, accept)
            if status == 406:
                self.assertGreater(len(answer.json()["detail"]), 20)  # what is stored, or that it cannot be decoded
        single = self.ask(native, "application/octet-stream")
        self.assertEqual((single.content, single.headers["Content-Length"]), (self.images["native"][1][0], "9000"))
        self.assertNotIn("transcoded", single.headers["Fiducial-Evidence"])
        bits = self.ask(self.path_of(self.images["bits"][0]) + "/frames/3", "application/octet-stream")
        self.assertEqual((bits.content, bits.headers["Content-Length"]), (self.images["bits"][1][2], "2"))
        self.assertIn("transcoded", bits.headers["Fiducial-Evidence"])  # moved to a byte: not the bytes that the fingerprint covers

    def check_bulk_data(self):
        data_set = self.images["implicit"][0]
        metadata = self.ask(self.path_of(data_set) + "/metadata", "application/dicom+json").json()[0]
        uri = metadata["7FE00010"]["BulkDataURI"]
        self.assertEqual(self.ask(uri, "application/octet-stream").content, data_set.PixelData)
        self.assertEqual(parts_of(self.ask(uri)), [data_set.PixelData])
        data_set = self.images["bits"][0]
        answer = self.ask(self.path_of(data_set) + "/bulkdata/7FE00010", "application/octet-stream")
        self.assertEqual(answer.content, data_set.PixelData)
        self.assertNotIn("transcoded", answer.headers["Fiducial-Evidence"])
        for name in ("big endian", "deflated"):  # read through, as Explicit VR Little Endian
            data_set, frames = self.images[name]
            answer = self.ask(self.path_of(data_set) + "/bulkdata/7FE00010", "application/octet-stream")
            self.assertEqual((answer.status_code, answer.content), (200, b"".join(frames)))
            self.assertIn("transcoded", answer.headers["Fiducial-Evidence"])
        self.assertEqual(self.ask(self.path_of(data_set) + "/bulkdata/00091001").status_code, 404)
        self.assertEqual(self.ask(self.path_of(data_set) + "/bulkdata/nonsense/1").status_code, 404)

    def check_client(self):
        client = DICOMwebClient(self.archive.url, headers={"Authorization": "Bearer " + self.token})
        for name in ("native", "offset table"):
            data_set, frames = self.images[name]
            got = client.retrieve_instance_frames(data_set.StudyInstanceUID, data_set.SeriesInstanceUID, data_set.SOPInstanceUID, frame_numbers=[1, 3],
                                                  media_types=None if name == "native" else (("image/jpeg", str(JPEGBaseline8Bit)),))
            self.assertEqual(got, [frames[0], frames[2]])
        uri = client.retrieve_instance_metadata(*(getattr(self.images["native"][0], name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")))
        self.assertEqual(client.retrieve_bulkdata(uri["7FE00010"]["BulkDataURI"]), [self.images["native"][0].PixelData])

    def check_damage(self):
        """A frame whose chunk was changed on the disk is not given out, and the object is quarantined."""
        data_set, frames = self.images["implicit"]
        self.archive.flip(data_set.SOPInstanceUID)
        with self.archive.serving():
            answers = []
            for number in range(1, len(frames) + 1):
                answer = self.ask(f"{self.path_of(data_set)}/frames/{number}")
                answers.append(answer.status_code)
                if answer.status_code == 200:
                    self.assertEqual(parts_of(answer), [frames[number - 1]])
            self.assertIn(500, answers)
            listed = self.ask(f"/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances", "application/dicom+json").json()
            self.assertEqual(listed[0]["00080056"]["Value"], ["UNAVAILABLE"])


if __name__ == "__main__":
    unittest.main()
