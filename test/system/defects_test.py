"""What becomes of objects with defects: each row of docs/reference/defects.md, by a file that has the defect."""
import json
import re
import struct
import unittest
import zlib

import pydicom
from pydicom.uid import MRImageStorage, generate_uid

from dimse_test import make_image
from harness import ROOT, SystemTest

PAGE = ROOT / "docs/reference/defects.md"
ROW = re.compile(r"^\| `([\w-]+)` \| .+? \| (stored|warned|set aside|new version|duplicate|refused) \|.*\|$", re.M)
STUDY, SERIES = generate_uid(), generate_uid()  # of all but those that say otherwise


def element(tag, vr, value):
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    return head + (struct.pack("<HI", 0, len(value)) if vr in (b"OW", b"SQ", b"UN") else struct.pack("<H", len(value))) + value


def uid(tag, text):
    return element(tag, b"UI", text.encode() + b"\0" * (len(text) % 2))


def replaced(data, old, new):
    assert data.count(old) == 1, (old, data.count(old))
    return data.replace(old, new)


def before(data, tag, what):
    at = data.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF))
    return data[:at] + what + data[at:]


def deflate(data):
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def syntax(head, said):
    """Group 0002 with another transfer syntax in it, and its length put right."""
    head = replaced(head, uid(0x0002_0010, "1.2.840.10008.1.2.1"), uid(0x0002_0010, said))
    return head[:140] + struct.pack("<I", len(head) - 144) + head[144:]


PATIENT_NAME, IMAGE_ROWS, PIXELS, STATION = 0x0010_0010, 0x0028_0010, 0x7FE0_0010, 0x0008_1010
ROWS_64 = element(IMAGE_ROWS, b"US", b"\x40\0")
OPEN_SEQUENCE = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
OPEN_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
MANY_ELEMENTS = b"".join(element(0x0009_0000 + number, b"LT", b"text" * 300) for number in range(0x1000, 0x10000))  # 73 million bytes
STUDY_ELEMENT = uid(0x0020_000D, STUDY)


def without(*names):
    return lambda image: [delattr(image, name) for name in names]


def put(**values):
    return lambda image: [setattr(image, name, value) for name, value in values.items()]


def said(**values):
    return lambda image: [setattr(image.file_meta, name, value) for name, value in values.items()]


def inserted(tag, what):
    return lambda head, data: (head, before(data, tag, what))


def swapped(old, new):
    return lambda head, data: (head, replaced(data, old, new))


OF_DATA_SETS = {
    "type-2-missing": without("PatientID", "PatientName", "StudyDate"),
    "type-1-missing": without("Modality", "Rows", "Columns"),
    "no-pixel-data": without("PixelData"),
    "pixel-data-short": lambda image: setattr(image, "PixelData", image.PixelData[:-2000]),
    "pixel-data-long": lambda image: setattr(image, "PixelData", image.PixelData + b"\0" * 2000),
    "unknown-character-set": put(SpecificCharacterSet="ISO_IR 999"),
    "no-sop-class": without("SOPClassUID"),
    "header-names-another-class": said(MediaStorageSOPClassUID=MRImageStorage),
    "header-names-another-instance": said(MediaStorageSOPInstanceUID=generate_uid()),
    "no-study": without("StudyInstanceUID"),
    "no-series": without("SeriesInstanceUID"),
    "no-instance": without("SOPInstanceUID"),
}
OF_BYTES = {
    "bad-date": swapped(b"20260102", b"2026-1-2"),
    "value-too-long": inserted(PATIENT_NAME, element(STATION, b"SH", b"a station name of more than 16 characters ")),
    "odd-length": inserted(PATIENT_NAME, element(STATION, b"SH", b"odd")),
    "wrong-vr": swapped(ROWS_64, element(IMAGE_ROWS, b"SS", b"\x40\0")),
    "unreadable-text": swapped(b"Dimse^Test", b"D\xefmse^T\xff\xfe\x80"),
    "unknown-elements": inserted(PATIENT_NAME, element(0x0009_0010, b"LO", b"NOBODY") + element(0x0009_1001, b"UN", b"\1\2\3\4")),
    "group-lengths": inserted(PATIENT_NAME, element(0x0010_0000, b"UL", b"\0\0\0\1")),
    "element-twice": swapped(ROWS_64, 2 * ROWS_64),
    "out-of-order": inserted(PIXELS, element(STATION, b"SH", b"SCANNER ")),
    "trailing-zeros": lambda head, data: (head, data + bytes(512)),
    "no-preamble": lambda head, data: (head[132:], data),
    "no-header": lambda head, data: (b"", data),
    "header-length-wrong": lambda head, data: (head[:140] + struct.pack("<I", 9999) + head[144:], data),
    "uid-too-long": swapped(STUDY_ELEMENT, uid(0x0020_000D, "1.2." + "9" * 64)),
    "uid-with-letters": swapped(STUDY_ELEMENT, uid(0x0020_000D, "1.2.abc.4")),
    "uid-leading-zero": swapped(STUDY_ELEMENT, uid(0x0020_000D, "1.2.003.4")),
    "uid-with-spaces": swapped(STUDY_ELEMENT, uid(0x0020_000D, " 1.2.3.4.5  ")),
    "cut-in-pixels": lambda head, data: (head, data[:-1001]),
    "cut-in-header": lambda head, data: (head, data[:data.index(ROWS_64) - 5]),
    "another-syntax-than-said": lambda head, data: (syntax(head, "1.2.840.10008.1.2.5"), data),
    "unknown-syntax": lambda head, data: (syntax(head, "1.2.840.10008.1.9.1"), data),
    "not-dicom": lambda head, data: (b"", b"MZ" + bytes(range(256)) * 40),
    "empty": lambda head, data: (b"", b""),
    "deflated-cut": lambda head, data: (syntax(head, "1.2.840.10008.1.2.1.99"), deflate(data)[:-5]),
    "deflate-bomb": lambda head, data: (syntax(head, "1.2.840.10008.1.2.1.99"), deflate(before(data, PATIENT_NAME, element(0x0009_1001, b"UN", bytes(100 << 20))))),
    "header-too-large": lambda head, data: (syntax(head, "1.2.840.10008.1.2.1.99"), deflate(before(data, PATIENT_NAME, MANY_ELEMENTS))),
    "sequence-never-ends": inserted(PATIENT_NAME, OPEN_SEQUENCE),
    "nested-too-deep": inserted(PATIENT_NAME, OPEN_SEQUENCE + (OPEN_ITEM + OPEN_SEQUENCE) * 5000),
}
# Of an image that is here already.
OF_WHAT_IS_KNOWN = {
    "same-bytes": lambda image: None,
    "same-pixels-another-header": put(StudyDescription="corrected by the modality"),
    "another-image-under-its-uid": lambda image: setattr(image, "PixelData", b"\1" * len(image.PixelData)),
    "second-patient-in-a-study": put(PatientID="SOMEBODY-ELSE", SOPInstanceUID=generate_uid()),
}


class Defects(SystemTest):
    def bring(self, site, folder, codes):
        """What became of each file, by its name without the suffix: as a word of the table, and why."""
        lines = [json.loads(line) for line in site.raw("--json", "import", "--each", folder, codes=codes).stdout.splitlines()]
        out = {}
        for file in (line["file"] for line in lines if "file" in line):
            outcome = {"setAside": "set aside", "newVersion": "new version"}.get(file["outcome"], file["outcome"].replace("_", " "))
            if outcome == "stored" and "warnings" in file:
                outcome = "warned"
            out[file["path"].rsplit("/", 1)[1].removesuffix(".dcm")] = (outcome, file)
        return out

    def test_each_row_of_the_table(self):
        site = self.site()
        folders = {name: self.folder / name for name in ("given", "known", "again")}
        for folder in folders.values():
            folder.mkdir()
        for number, (name, change) in enumerate([*OF_DATA_SETS.items(), *OF_BYTES.items()]):
            path = make_image(folders["given"] / f"{name}.dcm", STUDY, SERIES, number, patient="DEFECT")
            if name in OF_BYTES:
                data = path.read_bytes()
                end = 144 + struct.unpack("<I", data[140:144])[0]
                path.write_bytes(b"".join(change(data[:end], data[end:])))
            else:
                image = pydicom.dcmread(path)
                change(image)
                if name == "type-2-missing":
                    image.StudyInstanceUID = generate_uid()  # of nobody known
                image.save_as(path)
        for number, (name, change) in enumerate(OF_WHAT_IS_KNOWN.items()):
            path = make_image(folders["known"] / f"{name}.dcm", generate_uid(), generate_uid(), number, patient="KNOWN")
            image = pydicom.dcmread(path)
            change(image)
            if name != "same-bytes":
                image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
                image.save_as(folders["again"] / f"{name}.dcm")
            else:
                (folders["again"] / f"{name}.dcm").write_bytes(path.read_bytes())
        became = self.bring(site, folders["given"], codes=(1,))
        self.assertEqual({outcome for outcome, _ in self.bring(site, folders["known"], codes=(0,)).values()}, {"stored"})
        became.update(self.bring(site, folders["again"], codes=(1,)))

        said = dict(ROW.findall(PAGE.read_text()))
        self.assertEqual(set(said), set(became), "each row has a file, and each file a row")
        for name, outcome in said.items():
            with self.subTest(name):
                self.assertEqual(became[name][0], outcome, became[name][1])
                if outcome in ("refused", "set aside"):
                    self.assertTrue(became[name][1]["reason"])
        self.assertEqual(site.run("fsck", timeout=600)["findings"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
