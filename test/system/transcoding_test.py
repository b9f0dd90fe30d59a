"""Transcoding on retrieval, by WADO-RS, WADO-URI, C-GET and C-MOVE: pixel by pixel what DCMTK's decoders and pydicom make of the same files, and no other attribute changed."""
import io
import subprocess
import sys
import unittest

import numpy
import pydicom
import requests
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.uid import (ExplicitVRBigEndian, ExplicitVRLittleEndian, HTJ2KLossless, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, MPEG4HP41,
                         MultiFrameGrayscaleWordSecondaryCaptureImageStorage, SecondaryCaptureImageStorage, generate_uid)
from pynetdicom import AE, evt

from dimse_query_test import keys
from dimse_retrieve_test import GET, RetrieveTest
import patient_pynetdicom  # noqa: F401 (mends it)
from harness import SHARED, SystemTest, files_of, wait_for
from http_test import parts_of

# How a file is compressed, and who is asked what is in it.
CODED = {
    "RLE": (["dcmcrle"], ["dcmdrle"]),
    "JPEG lossless": (["dcmcjpeg", "+e1"], ["dcmdjpeg"]),
    "JPEG baseline": (["dcmcjpeg", "+eb", "+q", "95"], ["dcmdjpeg"]),
    "JPEG-LS": (["dcmcjpls"], ["dcmdjpls"]),
    "implicit": (["dcmconv", "+ti"], ["dcmconv", "+te"]),
    "big endian": (["dcmconv", "+tb"], ["dcmconv", "+te"]),
    "deflated": (["dcmconv", "+td"], ["dcmconv", "+te"]),
}
OCTETS = 'multipart/related; type="application/octet-stream"'
LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"}
# Compressions that are made, with the media type of their frames.
LOSSLESS = {JPEGLSLossless: "image/jls", JPEG2000Lossless: "image/jp2", HTJ2KLossless: "image/jphc"}
CHANGED = {"PhotometricInterpretation", "PlanarConfiguration", "PixelData"}


def image(frames, colours, bits):
    """Soft shapes with noise in them, in a study of its own; with an icon, a private sequence and numbers of each width beside."""
    random = numpy.random.default_rng(frames + bits)
    y, x = numpy.mgrid[0:61, 0:83]
    shape = (1 << (bits - 1)) * (1 + numpy.sin(x / 9) * numpy.cos(y / 7)) * 0.9
    pixels = numpy.stack([shape + random.integers(0, 1 << (bits - 4), shape.shape) + 8 * n for n in range(frames * colours)]).clip(0, (1 << bits) - 1)
    pixels = pixels.reshape(frames, colours, *shape.shape).transpose(0, 2, 3, 1).astype("<u2" if bits > 8 else "u1")
    data_set = Dataset()
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage if frames > 1 else SecondaryCaptureImageStorage
    data_set.SOPInstanceUID, data_set.StudyInstanceUID, data_set.SeriesInstanceUID = generate_uid(), generate_uid(), generate_uid()
    data_set.PatientID, data_set.PatientName, data_set.Modality = "T1", "Doe^Jane", "OT"
    data_set.Rows, data_set.Columns, data_set.BitsStored, data_set.HighBit = *shape.shape, bits, bits - 1
    data_set.SamplesPerPixel, data_set.PixelRepresentation, data_set.BitsAllocated = colours, 0, pixels.dtype.itemsize * 8
    data_set.PhotometricInterpretation = "RGB" if colours == 3 else "MONOCHROME2"
    if colours == 3:
        data_set.PlanarConfiguration = 0
    if frames > 1:
        data_set.NumberOfFrames = frames
    data_set.FrameAnatomySequence = [Dataset()]
    data_set.FrameAnatomySequence[0].FrameLaterality = "U"
    data_set.FrameAnatomySequence[0].AnatomicRegionSequence = [Dataset()]
    data_set.FrameAnatomySequence[0].AnatomicRegionSequence[0].CodeValue = "38266002"
    data_set.SmallestImagePixelValue, data_set.RealWorldValueSlope = int(pixels.min()), 1.5
    data_set.add_new(0x00291001, "UN", b"\1\2\3\4")
    data_set.add_new(0x00290010, "LO", "FIDUCIAL TEST")
    data_set.PixelData = pixels.tobytes()
    data_set["PixelData"].VR = "OW" if bits > 8 else "OB"
    return data_set


def coded_images(folder, study):
    """The same images in each coding. Yields: the file, what DCMTK decodes of it, whether something was lost."""
    folder.mkdir()
    plain, coded, decoded = (folder.parent / f"{name}.dcm" for name in ("plain", "coded", "decoded"))
    for kind, (frames, colours, bits) in {"grey": (3, 1, 12), "colour": (1, 3, 8), "byte": (1, 1, 8)}.items():
        image(frames, colours, bits).save_as(plain, enforce_file_format=True)
        for name, (code, decode) in CODED.items():
            if name == "JPEG baseline" and bits > 8:
                continue
            subprocess.run([*code, plain, coded], check=True)
            data_set = pydicom.dcmread(coded)
            data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            data_set.StudyInstanceUID = study
            file = folder / f"{kind} {name}.dcm"
            data_set.save_as(file)
            subprocess.run([*decode, file, decoded], check=True)
            yield file, pydicom.dcmread(decoded), "baseline" in name


class Transcoding(RetrieveTest):
    def setUp(self):
        super().setUp()
        self.site_ = self.retrieving_site()
        self.site_.run("person", "add", "doctor", "--role", "doctor")
        self.token = self.site_.token("doctor")
        self.images_folder, self.study, self.truth, self.files = self.folder / "images", generate_uid(), {}, {}
        for file, decoded, lossy in coded_images(self.images_folder, self.study):
            self.files[file.stem] = pydicom.dcmread(file)
            self.truth[decoded.SOPInstanceUID] = decoded, lossy
        self.assertEqual(len({d.file_meta.TransferSyntaxUID for d in self.files.values()}), len(CODED))
        self.site_.run("import", self.images_folder)
        self.port = self.serve(self.site_)

    def ask(self, path, accept):
        return requests.get(self.site_.url + path, headers={"Authorization": "Bearer " + self.token, "Accept": accept}, timeout=60)

    def path_of(self, data_set):
        return f"/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"

    def expect_same(self, got, syntax):
        """An instance that came in the syntax that was asked for."""
        wanted, lossy = self.truth[got.SOPInstanceUID]
        pixels, expected = got.pixel_array.astype(int), wanted.pixel_array.astype(int)
        self.assertEqual(pixels.shape, expected.shape)
        self.assertLessEqual(numpy.abs(pixels - expected).max(), 2 if lossy else 0)  # two decoders may round differently
        mixed = wanted.PhotometricInterpretation == "RGB" and syntax in (JPEG2000Lossless, HTJ2KLossless)
        self.assertEqual((got.PhotometricInterpretation, got.get("PlanarConfiguration", 0)), ("YBR_RCT" if mixed else wanted.PhotometricInterpretation, 0))
        self.assertEqual(got.get("LossyImageCompression") == "01", lossy)
        for element in wanted:
            if element.keyword not in CHANGED and element.tag.element != 0:
                self.assertEqual(str(got[element.tag].value), str(element.value), element)
        self.assertEqual({e.tag for e in got}, {e.tag for e in wanted})

    def test_transcoding(self):
        self.check_single()
        self.check_study()
        self.check_frames()
        self.check_what_cannot_be()
        transcoded = [self.check_get(ImplicitVRLittleEndian), self.check_get(JPEG2000Lossless), self.check_move(), self.check_move_to_who_takes(JPEGLSLossless)]
        metrics = self.ask("/metrics", "*/*").text
        self.site_.stop()
        self.assertIn(f"fiducial_dimse_transcoded_total {sum(transcoded)}\n", metrics)
        for count in transcoded:
            self.assertIn(f"transcoded={count}", self.site_.serve_log())

    def check_single(self):
        for name, data_set in self.files.items():
            for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, *LOSSLESS):
                if data_set.file_meta.TransferSyntaxUID == syntax:
                    continue
                with self.subTest(name, syntax=syntax.name):
                    answer = self.ask(self.path_of(data_set), f"application/dicom; transfer-syntax={syntax}")
                    self.assertEqual(answer.status_code, 200, answer.text[:300])
                    self.assertEqual(answer.headers["Content-Type"], f"application/dicom; transfer-syntax={syntax}")
                    self.assertTrue(answer.headers["Fiducial-Evidence"].endswith(", transcoded"), answer.headers)
                    file = self.folder / "got.dcm"
                    file.write_bytes(answer.content)
                    for judge in (["dcmftest"], ["dcmdump", "-q", "+E"]):
                        self.assertEqual(subprocess.run([*judge, file], stdout=subprocess.DEVNULL).returncode, 0)
                    got = pydicom.dcmread(io.BytesIO(answer.content))
                    self.assertEqual(got.file_meta.TransferSyntaxUID, syntax)
                    self.expect_same(got, syntax)
                    if syntax == JPEGLSLossless:
                        subprocess.run(["dcmdjpls", file, self.folder / "decoded.dcm"], check=True)
                        self.expect_same(pydicom.dcmread(self.folder / "decoded.dcm"), ExplicitVRLittleEndian)
        by_query = f"/wado?requestType=WADO&studyUID={self.study}&seriesUID={data_set.SeriesInstanceUID}&objectUID={data_set.SOPInstanceUID}&contentType=application/dicom&transferSyntax="
        self.assertEqual(self.ask(by_query + HTJ2KLossless, "*/*").content, self.ask(self.path_of(data_set), f"application/dicom; transfer-syntax={HTJ2KLossless}").content)
        stored = self.ask(self.path_of(data_set), "application/dicom")
        self.assertNotIn("transcoded", stored.headers["Fiducial-Evidence"])

    def check_study(self):
        answer = self.ask(f"/studies/{self.study}", f'multipart/related; type="application/dicom"; transfer-syntax={ExplicitVRLittleEndian}')
        self.assertEqual(answer.status_code, 200, answer.text[:300])
        self.assertEqual(answer.content.count(b"Fiducial-Evidence: transcoded\r\n"), len(self.files))
        got = [pydicom.dcmread(io.BytesIO(part)) for part in parts_of(answer)]
        self.assertEqual(sorted(g.SOPInstanceUID for g in got), sorted(self.truth))
        for data_set in got:
            self.expect_same(data_set, ExplicitVRLittleEndian)

    def check_frames(self):
        for name, data_set in self.files.items():
            if not data_set.file_meta.TransferSyntaxUID.is_encapsulated:
                continue
            wanted, lossy = self.truth[data_set.SOPInstanceUID]
            frames = int(data_set.get("NumberOfFrames", 1))
            with self.subTest(name):
                answer = self.ask(self.path_of(data_set) + "/frames/" + ",".join(str(n) for n in range(frames, 0, -1)), OCTETS)
                self.assertEqual(answer.status_code, 200, answer.text[:300])
                self.assertIn("transcoded", answer.headers["Fiducial-Evidence"])
                pixels = wanted.pixel_array.reshape(frames, -1)
                for part, frame in zip(parts_of(answer), reversed(pixels), strict=True):
                    got = numpy.frombuffer(part, pixels.dtype)
                    self.assertLessEqual(numpy.abs(got.astype(int) - frame).max(), 2 if lossy else 0)
                one = self.ask(self.path_of(data_set) + "/frames/1", f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}")
                self.assertEqual((one.status_code, len(one.content)), (200, pixels[0].nbytes))
                for syntax, media in LOSSLESS.items():
                    if syntax == data_set.file_meta.TransferSyntaxUID:
                        continue
                    whole = pydicom.dcmread(io.BytesIO(self.ask(self.path_of(data_set), f"application/dicom; transfer-syntax={syntax}").content))
                    answer = self.ask(self.path_of(data_set) + "/frames/" + ",".join(str(n + 1) for n in range(frames)), f'multipart/related; type="{media}"')
                    self.assertIn("transcoded", answer.headers["Fiducial-Evidence"])
                    self.assertIn(f"Content-Type: {media}; transfer-syntax={syntax}\r\n".encode(), answer.content)
                    self.assertEqual([part + bytes(len(part) % 2) for part in parts_of(answer)], list(generate_frames(whole.PixelData, number_of_frames=frames)))
                stored = self.ask(self.path_of(data_set) + "/frames/1", "*/*")
                self.assertNotIn("transcoded", stored.headers["Fiducial-Evidence"])

    def check_what_cannot_be(self):
        data_set = self.files["grey RLE"]
        for accept in (f"application/dicom; transfer-syntax={JPEGBaseline8Bit}", f"application/dicom; transfer-syntax={ExplicitVRBigEndian}"):
            answer = self.ask(self.path_of(data_set), accept)
            self.assertEqual(answer.status_code, 406)
            self.assertIn(data_set.file_meta.TransferSyntaxUID, answer.json()["detail"])
        bits = pydicom.dcmread(self.images_folder / "byte implicit.dcm")
        bits.SOPInstanceUID, bits.StudyInstanceUID, bits.BitsAllocated, bits.BitsStored, bits.HighBit = generate_uid(), generate_uid(), 1, 1, 0
        bits.PixelData = bytes((bits.Rows * bits.Columns + 15) // 16 * 2)
        bits.save_as(self.folder / "bits.dcm")
        report = image(1, 1, 8)
        del report.PixelData
        report.save_as(self.folder / "report.dcm", enforce_file_format=True)
        for data_set, why in ((bits, "pixels"), (report, "no pixel data")):
            self.site_.run("import", self.folder / ("bits.dcm" if data_set is bits else "report.dcm"))
            for syntax in LOSSLESS:
                answer = self.ask(self.path_of(data_set), f"application/dicom; transfer-syntax={syntax}")
                self.assertEqual(answer.status_code, 406)
                self.assertIn(why, answer.json()["detail"])
        bad = {}
        for name, (source, change) in {"video": ("RLE", lambda d: setattr(d.file_meta, "TransferSyntaxUID", MPEG4HP41)), "too few frames": ("RLE", lambda d: setattr(d, "NumberOfFrames", 4)), "other size": ("JPEG lossless", lambda d: setattr(d, "Rows", 60))}.items():
            bad[name] = pydicom.dcmread(self.images_folder / f"grey {source}.dcm")
            change(bad[name])
            bad[name].SOPInstanceUID, bad[name].StudyInstanceUID = generate_uid(), generate_uid()
            bad[name].save_as(self.folder / "bad.dcm")
            self.site_.run("import", self.folder / "bad.dcm")
        for name, data_set in bad.items():
            with self.subTest(name):
                answer = self.ask(self.path_of(data_set), f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}")
                self.assertEqual(answer.status_code, 406, name)
                self.assertGreater(len(answer.json()["detail"]), 20)
                self.assertEqual(self.ask(self.path_of(data_set), "application/dicom").status_code, 200)

    def check_get(self, syntax):
        """A peer that takes nothing but this transfer syntax. Returns: how many images were transcoded for it."""
        classes = {d.SOPClassUID for d in self.files.values()}
        received = []
        association = self.contexts([GET], [(uid, syntax) for uid in classes], handlers=[storing_into(received)])
        answers = list(association.send_c_get(keys("STUDY", StudyInstanceUID=self.study), GET))
        association.release()
        self.assertEqual((answers[-1][0].Status, self.counts(answers[-1][0])), (0x0000, (None, len(self.files), 0, 0)))
        self.assertEqual(sorted(d.SOPInstanceUID for d in received), sorted(self.truth))
        for data_set in received:
            self.assertEqual(data_set.file_meta.TransferSyntaxUID, syntax)
            self.expect_same(data_set, syntax)
        return self.stored_otherwise(syntax)

    def stored_otherwise(self, syntax):
        return sum(d.file_meta.TransferSyntaxUID != syntax for d in self.files.values())

    def move(self):
        self.tool("movescu", "-aet", "WS", "-aem", "SCP", "-aec", "FIDUCIAL", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={self.study}", "127.0.0.1", self.port, port=self.port)

    def check_move_to_who_takes(self, syntax):
        """A destination that takes images compressed in one way only."""
        received = []
        ae = AE(ae_title="SCP")
        ae.supported_contexts = []
        for uid in {d.SOPClassUID for d in self.files.values()}:
            ae.add_supported_context(uid, [syntax])
        scp = ae.start_server(("127.0.0.1", self.scp_port), block=False, evt_handlers=[storing_into(received)])
        try:
            self.move()
        finally:
            scp.shutdown()
        self.assertEqual(sorted(d.SOPInstanceUID for d in received), sorted(self.truth))
        for data_set in received:
            self.assertEqual(data_set.file_meta.TransferSyntaxUID, syntax)
            self.expect_same(data_set, syntax)
        return self.stored_otherwise(syntax)

    def check_move(self):
        out = self.folder / "moved"
        out.mkdir()
        scp = subprocess.Popen(["storescp", "+B", "+xi", "-od", out, "-aet", "SCP", str(self.scp_port)], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: self.site_.run("peer", "check", "SCP", codes=None)["peers"][0]["answers"], 20, "storescp listens")
            self.move()
        finally:
            scp.terminate()
            scp.wait(20)
        got = [pydicom.dcmread(file) for file in files_of(out)]
        self.assertEqual(sorted(d.SOPInstanceUID for d in got), sorted(self.truth))
        return self.stored_otherwise(ImplicitVRLittleEndian)


# What is not compressed, and why.
NOT_COMPRESSED = {
    "bits": lambda d: d.BitsAllocated == 1,
    "32 bits": lambda d: d.BitsAllocated == 32,
}


class SharedImages(SystemTest):
    """Every image of the shared data, where it is: what others compressed is what pydicom decodes of it, or what they did not compress; and what is compressed here is what pydicom decodes of that."""
    SAME = [("693_UNCR", "693_J2KR"), ("MR2_UNCR", "MR2_J2KR"), ("US1_UNCR", "US1_J2KR"), ("emri_small", "emri_small_jpeg_ls_lossless"), ("emri_small", "emri_small_jpeg_2k_lossless")]

    def test_every_image(self):
        source, folder = SHARED / "data/dicom", self.folder / "images"
        if not source.exists():
            self.skipTest("no shared data here")
        folder.mkdir()
        images = {}
        for number, file in enumerate(sorted(source.rglob("*.dcm"))):
            try:
                data_set = pydicom.dcmread(file)
            except pydicom.errors.InvalidDicomError:
                continue
            if "PixelData" not in data_set or "StudyInstanceUID" not in data_set or "bad" in file.name or "too_short" in file.name:
                continue
            data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            data_set.save_as(folder / f"{number}.dcm")
            images[file.stem if file.parent.name == "pydicom" else str(file.relative_to(source))] = data_set
        site = self.site()
        site.run("import", folder, codes=(0, 1))
        site.run("person", "add", "ada", "--role", "doctor")
        authorization = "Bearer " + site.token("ada")
        pixels, compressed = {}, 0

        def ask(data_set, syntax):
            return requests.get(f"{site.url}/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}",
                                headers={"Authorization": authorization, "Accept": f"application/dicom; transfer-syntax={syntax}"}, timeout=60)

        with site.serving():
            for name, data_set in images.items():
                with self.subTest(name, syntax=data_set.file_meta.TransferSyntaxUID.name):
                    answer = ask(data_set, ExplicitVRLittleEndian)
                    if data_set.BitsAllocated == 1 and data_set.file_meta.TransferSyntaxUID.is_encapsulated or answer.status_code == 404:
                        self.assertIn(answer.status_code, (404, 406))
                        continue
                    self.assertEqual(answer.status_code, 200, answer.text[:300])
                    pixels[name] = pydicom.dcmread(io.BytesIO(answer.content)).pixel_array
                    lossy = data_set.file_meta.TransferSyntaxUID in LOSSY
                    try:
                        wanted = data_set.pixel_array
                    except (RuntimeError, NotImplementedError):
                        wanted = pixels[name]  # pydicom does not decode it
                    if lossy:
                        most = 10 if data_set.PhotometricInterpretation == "YBR_FULL_422" else 3  # two decoders may round, and spread colours, differently
                        self.assertLessEqual(numpy.abs(pixels[name].astype(int) - wanted).max(), most)
                    else:
                        self.assertTrue(numpy.array_equal(pixels[name], wanted))
                    compressed += self.check_compressed(ask, data_set, pixels[name])
        print(f"{len(pixels)} images read, {compressed} times compressed without loss", file=sys.stderr)
        self.assertGreater(len(pixels), 190)
        self.assertGreater(compressed, 500)
        for plain, coded in self.SAME:
            self.assertTrue(numpy.array_equal(pixels[plain], pixels[coded]), coded)

    def check_compressed(self, ask, data_set, wanted):
        """Returns: in how many ways the image could be compressed."""
        count = 0
        for syntax in LOSSLESS:
            if syntax == data_set.file_meta.TransferSyntaxUID:
                continue
            with self.subTest(data_set.file_meta.TransferSyntaxUID.name, compressed=syntax.name, file=data_set.filename):
                answer = ask(data_set, syntax)
                reasons = [why for why, holds in NOT_COMPRESSED.items() if holds(data_set)]
                self.assertEqual(answer.status_code, 406 if reasons else 200, answer.text[:300] if answer.status_code != 200 else reasons)
                if reasons:
                    continue
                got = pydicom.dcmread(io.BytesIO(answer.content))
                self.assertEqual(got.file_meta.TransferSyntaxUID, syntax)
                self.assertTrue(numpy.array_equal(got.pixel_array, wanted))
                count += 1
        return count


def storing_into(received):
    def store(event):
        data_set = event.dataset
        data_set.file_meta = event.file_meta
        received.append(data_set)
        return 0x0000
    return evt.EVT_C_STORE, store


if __name__ == "__main__":
    unittest.main()
