"""Real images of many makers: every file that was taken comes back bit for bit, every other one is accounted for."""
import collections
import io
import struct
import unittest
import warnings

import pydicom
import requests

from harness import SHARED, SystemTest, files_of, sha256

DATA = SHARED / "data"


@unittest.skipUnless((DATA / "dicom").is_dir(), f"public test data is not there ({DATA})")
class SharedData(SystemTest):
    def bring(self):
        """What is imported: all DICOM, all full X-rays, and some of the small ones, in folders as a site would name them."""
        small = self.folder / "small"
        for kind in ("NORMAL", "PNEUMONIA"):
            (small / kind).mkdir(parents=True)
            for file in files_of(DATA / "chest-xray-224/train" / kind)[::13][:100]:
                (small / kind / file.name).symlink_to(file)
        return [DATA / "dicom", DATA / "chest-xray-full", small]

    def test_every_file_comes_back_or_is_accounted_for(self):
        site = self.site()
        paths = self.bring()
        came = {str(p): sha256(p) for path in paths for p in files_of(path)}
        report = site.run("import", "--wait", "120", *paths, codes=(0, 1), timeout=900)
        notable = {f["path"]: f["outcome"] for f in report["notable"]}

        with self.subTest("every file is accounted for"):
            outcomes = {name: report[name] for name in ("stored", "duplicates", "newVersions", "setAside", "refused", "skipped")}
            self.assertEqual(sum(outcomes.values()), len(came), outcomes)
            self.assertGreater(report["stored"], 500)
            self.assertEqual((report["duplicates"], report["skipped"]), (0, 0), "the files differ, and none of them only lists others")
            self.assertEqual(report["unsettled"], 0)
        with self.subTest("what is refused is named, with a reason"):
            refused = [f for f in report["notable"] if f["outcome"] == "refused"]
            self.assertEqual(len(refused), report["refused"])
            for file in refused:
                self.assertIn(file["path"], came)
                self.assertGreater(len(file["reason"]), 10, file)
            self.assertLess(len(refused), 25, [(f["path"], f["reason"]) for f in refused])
            self.assertTrue(all("/dicom/" in f["path"] for f in refused), "every X-ray is taken")

        out = self.folder / "out"
        with self.subTest("each one taken comes back bit for bit"):
            current = self.exported(site, out / "current", "--all")
            superseded = self.exported(site, out / "superseded", "--all", "--superseded")
            aside = self.exported(site, out / "aside", "--set-aside")
            self.assertEqual((sum(current.values()), sum(superseded.values()), sum(aside.values())), (report["stored"], report["newVersions"], report["setAside"]))
            taken = collections.Counter(digest for path, digest in came.items() if notable.get(path) != "refused")
            back = current + superseded + aside
            lost = sorted(path for path, digest in came.items() if digest in taken - back)
            self.assertEqual((lost, sum((back - taken).values())), ([], 0))
        with self.subTest("what was set aside is what comes back as such"):
            self.assertEqual(aside, collections.Counter(digest for path, digest in came.items() if notable.get(path) == "set_aside"))
            self.assertGreater(report["setAside"], 20)
            self.assertGreater(report["newVersions"], 0)

        with self.subTest("everything is settled, whole and in step"):
            checked = site.run("verify", "--all", timeout=900)
            self.assertEqual((checked["damaged"], checked["objects"], checked["settled"]), ([], report["stored"], checked["studies"]))
            self.assertEqual(site.run("fsck", timeout=900)["findings"], [])
        with self.subTest("again: nothing new"):
            again = site.run("import", *paths, codes=(0, 1), timeout=900)
            self.assertEqual((again["stored"], again["newVersions"], again["refused"]), (0, 0, report["refused"]), again)

    def exported(self, site, folder, *how):
        report = site.run("export", *how, "--to", folder, timeout=900)
        self.assertEqual(report["damaged"], [])
        files = files_of(folder)
        self.assertEqual(report["files"], len(files))
        return collections.Counter(sha256(p) for p in files)


def plain(value, vr=""):
    """A value of pydicom's, or of our JSON, in a form in which both can be compared."""
    if value is None or value == "":
        return None
    if vr == "PN":  # without empty components and groups at the end
        groups = [value.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")] if isinstance(value, dict) else str(value).split("=")
        return "=".join(group.strip(" \0").rstrip("^").strip() for group in groups).rstrip("=") or None
    if vr == "FL":
        return struct.unpack("<f", struct.pack("<f", value))[0]
    if isinstance(value, (int, float)):
        return float(value)
    text = str(value).strip(" \0")
    try:
        return float(text)
    except ValueError:
        return text or None


def differences(brought, given, path=""):
    """Where a data set, as pydicom reads it, is not what our DICOM JSON says."""
    for element in brought:
        tag = f"{element.tag.group:04X}{element.tag.element:04X}"
        ours = given.get(tag)
        if element.tag.element == 0 or tag == "FFFCFFFC":  # group lengths and padding are no part of it (PS3.18 F.2.2)
            continue
        if tag == "00080005":  # all of it is UTF-8 (PS3.18 F.2)
            if ours["Value"] != ["ISO_IR 192"]:
                yield path + tag, ours, element.value
            continue
        if ours is None:
            yield path + tag, "missing", element.VR
        elif element.VR == "SQ":
            items = ours.get("Value", [])
            if len(items) != len(element.value):
                yield path + tag, len(items), len(element.value)
            for number, (theirs, item) in enumerate(zip(element.value, items)):
                yield from differences(theirs, item or {}, f"{path}{tag}/{number}/")
        elif "BulkDataURI" not in ours and "InlineBinary" not in ours and element.VR not in ("OB", "OW", "OF", "OD", "OL", "OV", "UN", "AT"):
            theirs = [element.value] if element.VM <= 1 else list(element.value)
            theirs, said = [plain(v, element.VR) for v in theirs], [plain(v, element.VR) for v in ours.get("Value", [])]
            while theirs and theirs[-1] is None:
                theirs.pop()
            while said and said[-1] is None:
                said.pop()
            if theirs != said:
                yield path + tag, said, theirs


@unittest.skipUnless((DATA / "dicom").is_dir(), f"public test data is not there ({DATA})")
class SharedDataOverHttp(SystemTest):
    """What pydicom reads in each file is what metadata, searches and frames say."""

    def test_searches_metadata_and_frames_say_what_the_files_hold(self):
        site = self.site()
        site.run("import", DATA / "dicom", codes=(0, 1), timeout=900)
        site.run("person", "add", "doctor", "--role", "doctor")
        headers = {"Authorization": "Bearer " + site.token("doctor")}
        warnings.simplefilter("ignore")
        with site.serving(), requests.Session() as session:
            def ask(path, accept="application/dicom+json"):
                return session.get(site.url + path, headers={**headers, "Accept": accept}, timeout=120)
            rows = {row["00080018"]["Value"][0]: row for row in ask("/instances?limit=5000").json()}
            self.assertGreater(len(rows), 100)
            frames = 0
            for uid, row in rows.items():
                where = f"/studies/{row['0020000D']['Value'][0]}/series/{row['0020000E']['Value'][0]}/instances/{uid}"
                with self.subTest(where):
                    brought = pydicom.dcmread(io.BytesIO(ask(where, "application/dicom").content), force=True)
                    metadata = ask(where + "/metadata").json()[0]
                    self.assertEqual(list(differences(brought, metadata)), [])
                    for tag, element in row.items():  # of patient and study: as in the first that came
                        if tag in ("00080016", "00080018", "00200013", "00280010", "00280011", "00280100", "00280008") and "Value" in element:
                            self.assertEqual(plain(element["Value"][0]), plain(brought[int(tag, 16)].value), tag)
                    frames += self.check_frame(ask, where, brought)
            self.assertGreater(frames, 50)

    def check_frame(self, ask, where, brought):
        """The last frame, native ones only: how others are split pydicom's own decoders say in values_test. Returns: how many were compared."""
        syntax = brought.file_meta.get("TransferSyntaxUID") if hasattr(brought, "file_meta") else None
        if "PixelData" not in brought or syntax is None or not syntax.is_transfer_syntax or syntax.is_compressed or syntax.is_deflated or not syntax.is_little_endian:
            return 0
        count = int(brought.get("NumberOfFrames") or 1)
        answer = ask(f"{where}/frames/{count}", "application/octet-stream")
        if answer.status_code == 406:
            return 0
        self.assertEqual(answer.status_code, 200)
        size = len(brought.PixelData) // count
        if brought.BitsAllocated == 1:  # PS3.5 §8.1.1: bit after bit, the lowest first, whatever bytes they fall into
            bits = int(brought.Rows) * int(brought.Columns)
            alone = (int.from_bytes(brought.PixelData, "little") >> (count - 1) * bits) & ((1 << bits) - 1)
            self.assertEqual(answer.content, alone.to_bytes((bits + 7) // 8, "little"))
            return 1
        self.assertEqual(answer.content, brought.PixelData[(count - 1) * len(answer.content) :][: len(answer.content)])
        self.assertLessEqual(abs(size - len(answer.content)), 1)
        return 1


if __name__ == "__main__":
    unittest.main(verbosity=2)
