"""Images as pictures (PS3.18 §10.4.1.1.3, .4): every image of the shared data, against pydicom's and NumPy's reading of the same file, and DCMTK's where it has overlays."""
import io
import struct
import subprocess
import sys
import unittest
import xml.etree.ElementTree

import numpy
import pydicom
import requests
from PIL import Image
from pydicom.pixels import apply_color_lut, apply_modality_lut, convert_color_space
from pydicom.uid import generate_uid

from harness import SHARED, SystemTest
from http_test import parts_of
from transcoding_test import LOSSY, coded_images, image

# What is not shown, and why: the answer is 406 and says it.
NOT_SHOWN = {
    "pixels in floating point": lambda d: "FloatPixelData" in d or "DoubleFloatPixelData" in d,
    "video": lambda d: d.file_meta.TransferSyntaxUID.startswith("1.2.840.10008.1.2.4.10"),
    "32 bits a colour": lambda d: d.get("SamplesPerPixel") == 3 and d.get("BitsAllocated") == 32,
    "damaged": lambda d: "too_short" in d.filename,
}

# The same image, by others: as it is, and compressed without loss.
PAIRS = [("693_UNCR.dcm", "693_J2KR.dcm"), ("MR2_UNCR.dcm", "MR2_J2KR.dcm"), ("US1_UNCR.dcm", "US1_J2KR.dcm"), ("OBXXXX1A.dcm", "OBXXXX1A_rle.dcm"),
         ("emri_small.dcm", "emri_small_jpeg_ls_lossless.dcm"), ("emri_small.dcm", "emri_small_jpeg_2k_lossless.dcm"), ("emri_small.dcm", "emri_small_RLE.dcm"),
         ("liver.dcm", "liver_j2k.dcm")]


def expected(data_set):
    """The first frame as 8 bits, by the formulas of PS3.3 §C.11; None where pydicom alone cannot decode it."""
    try:
        pixels = data_set.pixel_array
    except (RuntimeError, NotImplementedError, AttributeError):
        return None
    if int(data_set.get("NumberOfFrames") or 1) > 1:
        pixels = pixels[0]
    if data_set.SamplesPerPixel == 3:
        if data_set.PhotometricInterpretation.startswith("YBR") and not data_set.file_meta.TransferSyntaxUID.is_compressed:
            pixels = convert_color_space(pixels, data_set.PhotometricInterpretation, "RGB")
        return (pixels >> (data_set.BitsStored - 8)).astype(float)
    if data_set.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(pixels, data_set)
        return (colours >> (8 * (colours.dtype.itemsize - 1))).astype(float)
    if "VOILUTSequence" in data_set or "SharedFunctionalGroupsSequence" in data_set or "PixelPaddingValue" in data_set:
        return None
    values = apply_modality_lut(pixels, data_set).astype(float)
    if "WindowCenter" in data_set:
        center, width = (float(value[0] if isinstance(value, pydicom.multival.MultiValue) else value) for value in (data_set.WindowCenter, data_set.WindowWidth))
        values = numpy.clip(((values - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255) if width > 1 else (values > center - 0.5) * 255.0
    else:
        values = (values - values.min()) / max(1e-9, values.max() - values.min()) * 255
    inverse = (data_set.PhotometricInterpretation == "MONOCHROME1") != (data_set.get("PresentationLUTShape") == "INVERSE")
    return 255 - values if inverse else values


class RenderedTest(SystemTest):
    def serve(self):
        self.archive = self.site()
        self.archive.run("person", "add", "doctor", "--role", "doctor")
        self.archive.run("person", "add", "desk", "--role", "desk")
        self.tokens = {name: self.archive.token(name) for name in ("doctor", "desk")}
        self.archive.start()
        self.addCleanup(self.archive.stop)

    def ask(self, path, accept="image/png", who="doctor"):
        return requests.get(self.archive.url + path, headers={"Authorization": "Bearer " + self.tokens[who], "Accept": accept}, timeout=120)


class Made(RenderedTest):
    """Images that are made here, in each coding, against what DCMTK decodes of them."""

    def check(self, path, wanted, most):
        answer = self.ask(path + "/rendered")
        self.assertEqual(answer.status_code, 200, answer.text[:300])
        picture = numpy.array(Image.open(io.BytesIO(answer.content))).astype(float)
        self.assertEqual(picture.shape, wanted.shape)
        self.assertLessEqual(numpy.abs(picture - wanted).max(), most)

    def path_of(self, data_set):
        return f"/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"

    def test_every_coding_palettes_and_bits(self):
        self.serve()
        coded = list(coded_images(self.folder / "images", generate_uid()))
        drawn = numpy.random.default_rng(5).integers(0, 2, (4, 5, 3), dtype=numpy.uint8)
        others = {"palette": self.palette(), "bits": self.bits(), "frames of bits": self.frames_of_bits(drawn), "overlays": self.overlays()}
        for name, data_set in others.items():
            data_set.save_as(self.folder / "images" / f"{name}.dcm", enforce_file_format=True)
        self.archive.run("import", self.folder / "images")
        for file, decoded, lossy in coded:
            with self.subTest(file.stem):
                stored = pydicom.dcmread(file)
                if any(holds(stored) for holds in NOT_SHOWN.values()):
                    self.assertEqual(self.ask(self.path_of(stored) + "/rendered").status_code, 406)
                    continue
                self.check(self.path_of(stored), expected(decoded), 3 if lossy else 1.01)
        with self.subTest("a palette in segments"):
            self.check(self.path_of(others["palette"]), expected(pydicom.dcmread(self.folder / "images/palette.dcm")), 0)
        with self.subTest("overlays"):
            self.check(self.path_of(others["overlays"]), self.by_dcmtk(self.folder / "images/overlays.dcm"), 1.01)
            self.check(self.path_of(others["overlays"]) + "/frames/2", self.by_dcmtk(self.folder / "images/overlays.dcm", 2), 1.01)
        with self.subTest("bits"):
            self.check(self.path_of(others["bits"]), others["bits"].pixel_array * 255.0, 0)
            for number, frame in enumerate(drawn, 1):  # of which all but the first begin within a byte
                self.check(f"{self.path_of(others['frames of bits'])}/frames/{number}", frame * 255.0, 0)
        with self.subTest("WADO-URI gives the same"):
            what = coded[0][1]
            query = f"/wado?requestType=WADO&studyUID={what.StudyInstanceUID}&seriesUID={what.SeriesInstanceUID}&objectUID={what.SOPInstanceUID}"
            self.assertEqual(self.ask(query).content, self.ask(self.path_of(what) + "/rendered").content)
            part = Image.open(io.BytesIO(self.ask(query + "&frameNumber=2&region=0.25,0.5,0.75,1&contentType=image/png").content))
            self.assertEqual(part.size, (int(0.75 * what.Columns + 0.5) - int(0.25 * what.Columns + 0.5), what.Rows - int(0.5 * what.Rows + 0.5)))
            self.assertEqual(Image.open(io.BytesIO(self.ask(query + "&columns=20&contentType=image/jpeg").content)).size[0], 20)
            file = self.ask(query + "&contentType=application/dicom", "*/*")
            self.assertEqual(pydicom.dcmread(io.BytesIO(file.content)).file_meta.TransferSyntaxUID, "1.2.840.10008.1.2.1")
            stored = self.ask(query + "&contentType=application/dicom&transferSyntax=*", "*/*")
            self.assertEqual(stored.content, coded[0][0].read_bytes())
            self.assertEqual([self.ask(query + more).status_code for more in ("&rows=0", "&contentType=text/html", "&anonymize=yes", "&frameNumber=9")], [400, 406, 406, 404])
            self.assertEqual(self.ask(query, who="desk").status_code, 403)
            self.assertEqual(self.ask(query.replace(what.SOPInstanceUID, "1.2.3")).status_code, 404)
        with self.subTest("capabilities"):
            answer = requests.options(self.archive.url + "/", timeout=60)
            self.assertEqual((answer.status_code, answer.headers["Content-Type"]), (200, "application/vnd.sun.wadl+xml"))
            resources = xml.etree.ElementTree.fromstring(answer.content)[0]
            self.assertGreater(len(resources), 25)
            self.assertIn("GET", requests.options(self.archive.url + "/studies", timeout=60).headers["Allow"])

    @staticmethod
    def palette():
        data_set = image(1, 1, 8)
        data_set.PhotometricInterpretation = "PALETTE COLOR"
        del data_set.SmallestImagePixelValue
        for colour, segments in {"Red": [0, 1, 0, 1, 255, 65280], "Green": [0, 1, 65280, 1, 255, 0], "Blue": [0, 2, 256, 512, 1, 126, 32768, 2, 1, 0, 0, 1, 125, 0, 0, 1, 512]}.items():
            setattr(data_set, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
            setattr(data_set, f"Segmented{colour}PaletteColorLookupTableData", struct.pack(f"<{len(segments)}H", *segments))
        return data_set

    @staticmethod
    def overlays():
        """Two frames with two planes: one over both, partly outside; one over the second alone. A region of interest is not drawn."""
        data_set = image(2, 1, 12)
        random = numpy.random.default_rng(7)
        for group, rows, columns, origin, kind in ((0x6000, 40, 50, [-3, 60], "G"), (0x6004, 61, 83, [1, 1], "G"), (0x600A, 61, 83, [1, 1], "R")):
            plane = random.integers(0, 8, rows * columns) == 0
            for element, vr, value in ((0x10, "US", rows), (0x11, "US", columns), (0x40, "CS", kind), (0x50, "SS", origin), (0x100, "US", 1), (0x102, "US", 0)):
                data_set.add_new(group << 16 | element, vr, value)
            if group == 0x6004:
                data_set.add_new(0x60040015, "IS", 1)
                data_set.add_new(0x60040051, "US", 2)
            data = numpy.packbits(plane, bitorder="little").tobytes()
            data_set.add_new(group << 16 | 0x3000, "OW", data + bytes(len(data) % 2))
        return data_set

    def by_dcmtk(self, file, frame=1):
        subprocess.run(["dcmj2pnm", "+on", "+Wm", "+F", str(frame), "+O", "1", "+O", "2", "+Omr", file, self.folder / "dcmtk.png"], check=True)
        return numpy.array(Image.open(self.folder / "dcmtk.png").convert("L")).astype(float)

    @staticmethod
    def frames_of_bits(drawn):
        data_set = image(len(drawn), 1, 8)
        data_set.Rows, data_set.Columns = drawn.shape[1:]
        data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 1, 1, 0
        del data_set.SmallestImagePixelValue
        data_set.PixelData = numpy.packbits(drawn, bitorder="little").tobytes()
        return data_set

    @staticmethod
    def bits():
        data_set = image(1, 1, 8)
        data_set.Rows, data_set.Columns = 5, 9
        data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 1, 1, 0
        del data_set.SmallestImagePixelValue
        data_set.PixelData = bytes([0b10110010, 0b01010101, 0b11110000, 0b00001111, 0b10000001, 0b11])
        return data_set


class Rendered(RenderedTest):
    def setUp(self):
        super().setUp()
        self.folder_of_images = SHARED / "data/dicom"
        if not self.folder_of_images.exists():
            self.skipTest("no shared data here")
        self.serve()

    def images(self):
        """Of the files that were taken, one for each SOP Instance UID: what is current."""
        known = set()
        for file in sorted(self.folder_of_images.rglob("*.dcm")):
            try:
                data_set = pydicom.dcmread(file)
            except pydicom.errors.InvalidDicomError:
                continue  # without a preamble
            path = f"/studies/{data_set.get('StudyInstanceUID')}/series/{data_set.get('SeriesInstanceUID')}/instances/{data_set.get('SOPInstanceUID')}"
            if "Rows" not in data_set or path in known:
                continue
            known.add(path)
            stored = self.ask(path, "application/dicom; transfer-syntax=*")
            if stored.status_code == 200 and stored.content == file.read_bytes():
                yield str(file.relative_to(self.folder_of_images)), path, data_set

    def test_every_image_of_the_shared_data(self):
        self.archive.run("import", self.folder_of_images, codes=(0, 1))
        shown, compared, overlaid = set(), 0, 0
        for name, path, data_set in self.images():
            answer = self.ask(path + "/rendered")
            reasons = [reason for reason, holds in NOT_SHOWN.items() if holds(data_set)]
            with self.subTest(name, syntax=data_set.file_meta.TransferSyntaxUID.name, text=answer.text[:300] if answer.status_code != 200 else ""):
                self.assertEqual(answer.status_code, 406 if reasons else 200)
                if reasons:
                    self.assertTrue(answer.json()["detail"])
                    continue
                picture = numpy.array(Image.open(io.BytesIO(answer.content))).astype(float)
                self.assertEqual(picture.shape[:2], (data_set.Rows, data_set.Columns))
                shown.add(name)
                if (wanted := expected(data_set)) is not None:
                    if (0x6000, 0x3000) in data_set:
                        wanted[data_set.overlay_array(0x6000) == 1] = 255
                        overlaid += 1
                    most = 10 if data_set.PhotometricInterpretation == "YBR_FULL_422" else 3 if data_set.file_meta.TransferSyntaxUID in LOSSY else 1.01  # decoders differ
                    self.assertLessEqual(numpy.abs(picture - wanted).max(), most)
                    compared += 1
        print(f"{len(shown)} images shown, {compared} compared, {overlaid} of them with overlays", file=sys.stderr)
        self.assertGreater(len(shown), 150, sorted(shown))
        self.assertGreater(compared, 130)
        self.assertGreater(overlaid, 0)

    def test_others_lossless_compression_shows_the_same(self):
        folder = self.folder / "pairs"
        folder.mkdir()
        paths = {}
        for name in {name for pair in PAIRS for name in pair}:
            data_set = pydicom.dcmread(self.folder_of_images / "pydicom" / name)
            data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            data_set.save_as(folder / name)
            paths[name] = f"/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}/rendered"
        self.archive.run("import", folder)
        for plain, coded in PAIRS:
            with self.subTest(coded):
                answers = [self.ask(paths[name]) for name in (plain, coded)]
                self.assertEqual([answer.status_code for answer in answers], [200, 200], [answer.text[:300] for answer in answers])
                self.assertEqual(*(answer.content for answer in answers))

    def test_what_can_be_asked_for(self):
        file = self.folder_of_images / "pydicom/emri_small.dcm"
        self.archive.run("import", file)
        data_set = pydicom.dcmread(file)
        study = f"/studies/{data_set.StudyInstanceUID}"
        path = f"{study}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"
        with self.subTest("sizes, frames, windows"):
            thumbnail = Image.open(io.BytesIO(self.ask(path + "/thumbnail", "image/*").content))
            self.assertEqual((thumbnail.format, max(thumbnail.size)), ("JPEG", 128))
            wide = Image.open(io.BytesIO(self.ask(path + "/rendered?viewport=100,30").content))
            self.assertEqual(wide.size, (30, 30))
            frames = self.ask(path + "/frames/2,1/rendered", "multipart/related; type=\"image/png\"")
            two, one = (numpy.array(Image.open(io.BytesIO(part))) for part in parts_of(frames))
            self.assertTrue((one == numpy.array(Image.open(io.BytesIO(self.ask(path + "/frames/1/rendered").content)))).all())
            self.assertFalse((one == two).all())
            dark = numpy.array(Image.open(io.BytesIO(self.ask(path + "/rendered?window=60000,100,linear").content)))
            self.assertEqual(dark.max(), 0)
            for query in ("viewport=0,0", "window=1", "quality=0"):
                self.assertEqual(self.ask(path + "/rendered?" + query).status_code, 400, query)
            self.assertEqual(self.ask(path + f"/frames/{data_set.NumberOfFrames + 1}/rendered").status_code, 404)
            self.assertEqual(self.ask(path + "/rendered", "image/gif").status_code, 406)
        with self.subTest("study and series"):
            self.assertEqual(self.ask(study + "/thumbnail").status_code, 200)
            parts = parts_of(self.ask(study + "/rendered", "multipart/related; type=\"image/jpeg\""))
            self.assertTrue(all(Image.open(io.BytesIO(part)).format == "JPEG" for part in parts))
        with self.subTest("who may not read images gets no pictures"):
            for what in (path + "/rendered", path + "/thumbnail", path + "/frames/1/rendered", study + "/rendered", study + "/thumbnail"):
                self.assertEqual(self.ask(what, who="desk").status_code, 403, what)


if __name__ == "__main__":
    unittest.main()
