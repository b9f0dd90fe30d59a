"""STOW-RS with metadata and bulk data (PS3.18 §10.5.1): what pydicom says of an instance as JSON, with its values in parts of their own, becomes that instance."""
import io
import json
import subprocess
import unittest
import xml.sax.saxutils

import pydicom
import requests
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless, generate_uid

from harness import SystemTest
from transcoding_test import image

OCTETS = "application/octet-stream"
KEPT = 64 << 20


def part(content, content_type, location=None, length=True):
    head = f"--B\r\nContent-Type: {content_type}\r\n"
    if location is not None:
        head += f"Content-Location: {location}\r\n"
    if length:
        head += f"Content-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content + b"\r\n"


def described(data_set, names):
    """DICOM JSON with everything of more than 100 bytes by address; `names` collects what is there."""
    def name(element):
        uri = f"bulk/{len(names)}/{element.tag:08x}"
        names[uri] = element.value
        return uri
    return data_set.to_json_dict(bulk_data_threshold=100, bulk_data_element_handler=name)


def as_xml(document):
    """The same as a Native DICOM Model (PS3.19 Annex A)."""
    def attributes(data_set):
        return "".join(attribute(tag, element) for tag, element in data_set.items())

    def attribute(tag, element):
        out = f'<DicomAttribute tag="{tag}" vr="{element["vr"]}">'
        if "BulkDataURI" in element:
            out += f'<BulkData uri="{element["BulkDataURI"]}"/>'
        if "InlineBinary" in element:
            out += f'<InlineBinary>{element["InlineBinary"]}</InlineBinary>'
        for number, value in enumerate(element.get("Value", []), 1):
            if element["vr"] == "SQ":
                out += f'<Item number="{number}">{attributes(value)}</Item>'
            elif element["vr"] == "PN":
                out += f'<PersonName number="{number}">'
                for group, text in (value or {}).items():
                    parts = zip(("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"), text.split("^"))
                    out += f"<{group}>" + "".join(f"<{n}>{xml.sax.saxutils.escape(t)}</{n}>" for n, t in parts if t) + f"</{group}>"
                out += "</PersonName>"
            else:
                out += f'<Value number="{number}">{xml.sax.saxutils.escape("" if value is None else str(value))}</Value>'
        return out + "</DicomAttribute>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">{attributes(document)}</NativeDicomModel>'


class StowDocuments(SystemTest):
    def setUp(self):
        super().setUp()
        self.archive = self.site()
        self.archive.run("person", "add", "technologist", "--role", "doctor,technologist")
        self.token = self.archive.token("technologist")
        self.archive.start()
        self.addCleanup(self.archive.stop)

    def make(self, frames=1, colours=1, bits=12, name="Müller^Jürgen"):
        data_set = image(frames, colours, bits)
        data_set.SpecificCharacterSet, data_set.PatientName = "ISO_IR 192", name
        icon = pydicom.Dataset()
        icon.Rows = icon.Columns = 16
        icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
        icon.BitsAllocated, icon.BitsStored, icon.HighBit, icon.PixelRepresentation = 8, 8, 7, 0
        icon.PixelData = bytes(range(256))
        icon["PixelData"].VR = "OB"
        data_set.IconImageSequence = [icon]
        data_set.save_as(self.folder / "made.dcm", enforce_file_format=True)
        return pydicom.dcmread(self.folder / "made.dcm")

    def store(self, parts, kind="json", path="/studies"):
        headers = {"Authorization": "Bearer " + self.token, "Content-Type": f'multipart/related; type="application/dicom+{kind}"; boundary=B', "Accept": "application/dicom+json"}
        return requests.post(self.archive.url + path, b"".join(parts) + b"--B--\r\n", headers=headers, timeout=60)

    def got(self, data_set):
        path = f"/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"
        answer = requests.get(self.archive.url + path, headers={"Authorization": "Bearer " + self.token, "Accept": "application/dicom"}, timeout=60)
        self.assertEqual(answer.status_code, 200, answer.text[:300])
        file = self.folder / "got.dcm"
        file.write_bytes(answer.content)
        self.assertEqual(subprocess.run(["dcmdump", "-q", "+E", file], stdout=subprocess.DEVNULL).returncode, 0)
        return pydicom.dcmread(io.BytesIO(answer.content))

    def expect_same(self, data_set, syntax=ExplicitVRLittleEndian, pixels=True):
        got = self.got(data_set)
        self.assertEqual(got.file_meta.TransferSyntaxUID, syntax)
        if pixels:
            self.assertTrue((got.pixel_array == data_set.pixel_array).all())
        for element in data_set:
            if element.keyword not in ("PixelData", "IconImageSequence"):
                self.assertEqual(str(got[element.tag].value), str(element.value), element)
        self.assertEqual(got.IconImageSequence[0].PixelData, data_set.IconImageSequence[0].PixelData)

    def test_documents(self):
        self.check_one()
        self.check_several_out_of_order()
        self.check_frames()
        self.check_what_is_wrong()
        self.check_limits()

    def check_one(self):
        for kind in ("json", "xml"):
            for length in (True, False):
                with self.subTest(kind, length=length):
                    data_set, names = self.make(), {}
                    document = described(data_set, names)
                    self.assertEqual(len(names), 2)
                    head = json.dumps([document]) if kind == "json" else as_xml(document)
                    answer = self.store([part(head.encode(), f"application/dicom+{kind}"), *(part(value, OCTETS, uri, length) for uri, value in names.items())], kind)
                    self.assertEqual(answer.status_code, 200, answer.text)
                    stored = answer.json()["00081199"]["Value"]
                    self.assertEqual([one["00081155"]["Value"] for one in stored], [[data_set.SOPInstanceUID]])
                    self.expect_same(data_set)
        with self.subTest("everything in the document"):
            data_set = self.make()
            answer = self.store([part(data_set.to_json().encode(), "application/dicom+json")])
            self.assertEqual(answer.status_code, 200, answer.text)
            self.expect_same(data_set)

    def check_several_out_of_order(self):
        for order in (1, -1):
            for kind in ("json", "xml"):
                with self.subTest(order=order, kind=kind):
                    images, names = [self.make(), self.make(colours=3, bits=8), self.make(frames=3)], {}
                    documents = [described(one, names) for one in images]
                    heads = [part(json.dumps(documents).encode(), "application/dicom+json")] if kind == "json" else [part(as_xml(one).encode(), "application/dicom+xml") for one in documents]
                    answer = self.store([*heads, *(part(value, OCTETS, uri) for uri, value in list(names.items())[::order])], kind)
                    self.assertEqual(answer.status_code, 200, answer.text)
                    for one in images:
                        self.expect_same(one)

    def check_frames(self):
        for tool, syntax, media in (("dcmcrle", RLELossless, "image/dicom-rle"), ("dcmcjpeg", JPEGLosslessSV1, "image/jpeg"), ("dcmcjpeg", JPEGLosslessSV1, f"{OCTETS}; transfer-syntax={JPEGLosslessSV1}")):
            for shape in ("in order", "without lengths", "early"):
                with self.subTest(media, shape=shape):
                    plain = self.make(frames=3)
                    subprocess.run([tool, self.folder / "made.dcm", self.folder / "coded.dcm"], check=True)
                    coded = pydicom.dcmread(self.folder / "coded.dcm")
                    frames, names = list(generate_frames(coded.PixelData, number_of_frames=3)), {}
                    icon = coded.IconImageSequence[0].PixelData
                    coded.IconImageSequence[0].PixelData = bytes(range(256))
                    coded.IconImageSequence[0]["PixelData"].is_undefined_length = False
                    self.assertTrue(icon)
                    document = described(coded, names)
                    uri, icon_uri = document["7FE00010"]["BulkDataURI"], document["00880200"]["Value"][0]["7FE00010"]["BulkDataURI"]
                    pixels = [part(frame, media, uri, shape != "without lengths") for frame in frames]
                    icons = [part(names[icon_uri], OCTETS, icon_uri)]
                    answer = self.store([part(json.dumps([document]).encode(), "application/dicom+json"), *(pixels + icons if shape == "early" else icons + pixels)])
                    self.assertEqual(answer.status_code, 200, answer.text)
                    got = self.got(coded)
                    self.assertEqual(got.file_meta.TransferSyntaxUID, syntax)
                    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
                    self.assertEqual(list(generate_frames(got.PixelData, number_of_frames=3)), padded)
                    self.assertEqual(got.IconImageSequence[0].PixelData, bytes(range(256)))
                    self.assertEqual(got.PatientName, plain.PatientName)

    def check_what_is_wrong(self):
        def failures(answer, status):
            self.assertEqual(answer.status_code, status, answer.text)
            report = answer.json()
            return [(one["00081155"]["Value"][0], one["00081197"]["Value"][0]) for one in report.get("00081198", {}).get("Value", [])], [one["00081197"]["Value"][0] for one in report.get("0008119A", {}).get("Value", [])]
        with self.subTest("a value that does not come is named, the others are stored"):
            images, names = [self.make(), self.make()], {}
            documents = [described(one, names) for one in images]
            values = [part(value, OCTETS, uri) for uri, value in list(names.items())[:-1]]
            self.assertEqual(failures(self.store([part(json.dumps(documents).encode(), "application/dicom+json"), *values]), 202), ([(images[1].SOPInstanceUID, 0xC000)], []))
            self.expect_same(images[0])
        with self.subTest("a part that nothing names, one of a type that is not taken"):
            data_set, names = self.make(), {}
            head = part(json.dumps(described(data_set, names)).encode(), "application/dicom+json")
            values = [part(value, OCTETS, uri) for uri, value in names.items()]
            self.assertEqual(failures(self.store([head, part(b"x", OCTETS, "nobody"), part(b"x", "text/html", "nobody"), *values]), 202), ([], [0xC000, 0x0122]))
        with self.subTest("an instance of another study than that in the path"):
            data_set, names = self.make(), {}
            head = part(json.dumps(described(data_set, names)).encode(), "application/dicom+json")
            self.assertEqual(failures(self.store([head, *(part(value, OCTETS, uri) for uri, value in names.items())], path=f"/studies/{generate_uid()}"), 409)[0], [(data_set.SOPInstanceUID, 0xA900)])
        with self.subTest("frames are missing"):
            data_set, names = self.make(frames=3), {}
            document = described(data_set, names)
            uri, icon = document["7FE00010"]["BulkDataURI"], document["00880200"]["Value"][0]["7FE00010"]["BulkDataURI"]
            answer = self.store([part(json.dumps(document).encode(), "application/dicom+json"), part(names[icon], OCTETS, icon), part(b"ab", "image/jpeg", uri)])
            self.assertEqual(failures(answer, 409)[0], [(data_set.SOPInstanceUID, 0xC000)])
        for name, body in {"no JSON": b"{", "no data set": b"[7]", "no UIDs": b"[{}]", "a VR that there is not": b'[{"00080018":{"vr":"XX"}}]'}.items():
            with self.subTest(name):
                self.assertIn(self.store([part(body, "application/dicom+json")]).status_code, (400, 409))
        with self.subTest("lengths that lie"):
            data_set, names = self.make(), {}
            head = part(json.dumps(described(data_set, names)).encode(), "application/dicom+json")
            parts = [part(value, OCTETS, uri) for uri, value in names.items()]
            longest = len(max(names.values(), key=len))
            for lie in (longest - 2, longest + 2, 0xFFFFFFFF, "x"):
                body = [head, *(one.replace(b"Content-Length: %d\r\n" % longest, f"Content-Length: {lie}\r\n".encode()) for one in parts)]
                self.assertIn(self.store(body).status_code, (400, 409), lie)
        with self.subTest("other bodies"):
            self.assertEqual(self.store([], kind="other").status_code, 415)

    def check_limits(self):
        """What comes in order is streamed, however much it is; what would have to be kept has a bound."""
        data_set, names = self.make(), {}
        data_set.NumberOfFrames, data_set.Rows, data_set.Columns = KEPT // 2000 // 1000 + 20, 1000, 1000
        data_set.PixelData = bytes(data_set.NumberOfFrames * 2_000_000)
        document = described(data_set, names)
        head = part(json.dumps(document).encode(), "application/dicom+json")
        parts = [part(value, OCTETS, uri) for uri, value in names.items()]
        refused = self.store([head, *sorted(parts, key=len, reverse=True)])
        self.assertEqual((refused.status_code, "more bulk data to keep" in refused.text), (413, True), refused.text)
        answer = self.store([head, *sorted(parts, key=len)])
        self.assertEqual(answer.status_code, 200, answer.text)


if __name__ == "__main__":
    unittest.main()
