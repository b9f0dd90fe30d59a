"""One whole run with every log at its loudest: no secret, no token and no patient in any of them, nor in any file of the site but its index."""
import re
import struct
import unittest
import zlib

import pydicom
import requests

from harness import PASSPHRASE, SystemTest, files_of

ESCAPES = re.compile(rb"\x1b[\x28\x29\x24][\x28\x29]?[\x40-\x5a]")


def spellings(value):
    """A text as it might stand in a file: as it came, in UTF-8 and in UTF-16."""
    return {value.encode(), value.encode("utf-16-le"), value.encode("utf-16-be")}


def components(name):
    """The parts of a person's name in all its scripts, spelled in all ways, and as the image's own bytes."""
    found = set()
    for group in str(name).split("="):
        for part in group.split("^"):
            if len(part.encode()) >= 4:
                found |= spellings(part) | spellings(part.upper()) | spellings(part.lower())
    for part in re.split(rb"[\^=]", name.original_string):
        found.add(part)
        found |= set(ESCAPES.split(part))
    return {f for f in found if len(f) >= 4}


class Secrets(SystemTest):
    def test_nothing_leaks(self):
        files, forbidden = self.people()
        site = self.site(init=False)
        secrets = {PASSPHRASE.encode()}
        made = site.init("--verbose")
        secrets |= {share.encode() for share in made["recoveryShares"]}
        settings = site.folder / "fiducial.toml"
        log_file = self.folder / "archive.log"
        settings.write_text(settings.read_text().replace('level = "info"', 'level = "debug"').replace('file = ""', f'file = "{log_file}"'))
        self.live_with(site, files, secrets, forbidden)

        logs = b"\n".join(text.encode() for text in site.log) + site.serve_log().encode() + log_file.read_bytes()
        self.assertGreater(len(logs), 5000)
        self.assertIn(b"debug", logs.lower())
        with self.subTest("logs"):
            for what, needles in (("a secret", secrets), ("a patient", forbidden)):
                for needle in needles:
                    at = logs.find(needle)
                    self.assertEqual(at, -1, f"{what}: {needle!r} in {logs[max(0, at - 200):at + 200]!r}")
        with self.subTest("files of the site"):
            checked = 0
            for file in files_of(site.folder):
                if file.name.startswith("index.db"):
                    continue
                data = file.read_bytes()
                checked += len(data)
                for needle in secrets | {f for f in forbidden if len(f) >= 6}:  # shorter ones turn up in ciphertext by chance
                    self.assertEqual(data.find(needle), -1, f"{needle!r} in {file.relative_to(site.folder)}")
            self.assertGreater(checked, 1_000_000)
        with self.subTest("the search finds what is there"):
            index = b"".join(p.read_bytes() for p in (site.folder / "store").glob("index.db*"))
            self.assertTrue(any(needle in index for needle in forbidden))
            self.assertTrue(any(needle in files[0].read_bytes() for needle in forbidden))

    def people(self):
        """One image of each patient, and everything in it that says who it is."""
        files, forbidden = {}, set()
        for file in sorted(self.samples().rglob("*.dcm")):
            head = pydicom.dcmread(file, stop_before_pixels=True)
            files.setdefault(head.PatientID, file)
            forbidden |= components(head.PatientName) | {v for v in spellings(head.PatientID)}
        self.assertGreater(len(files), 5)
        return list(files.values()), forbidden

    def live_with(self, site, files, secrets, forbidden):
        """What a site sees in its days: images come, are looked at, refused, verified, given out; and things go wrong."""
        first = pydicom.dcmread(files[0])
        named = self.folder / f"{first.PatientID} Jane Featherstonehaugh" / "2026-01-02"
        named.mkdir(parents=True)
        forbidden |= spellings("Featherstonehaugh")
        picture = named / "knee.png"
        picture.write_bytes(png())
        broken = named / "Featherstonehaugh.dcm"
        broken.write_bytes(files[0].read_bytes()[:3000])
        site.run("--verbose", "import", *files[:-2], named.parent, codes=(0, 1))
        for name, role in (("ada", "doctor"), ("otto", "technologist"), ("dora", "desk")):
            site.run("--verbose", "person", "add", name, "--role", role)
        tokens = {name: site.token(name) for name in ("ada", "otto", "dora")}
        secrets |= {token.encode() for token in tokens.values()} | {token.encode()[4:] for token in tokens.values()}

        with site.serving("--verbose"):
            def ask(path, who, **more):
                return requests.request(more.pop("method", "GET"), site.url + path, headers={"Authorization": "Bearer " + tokens[who], **more.pop("headers", {})}, timeout=60, **more)
            study = f"/studies/{first.StudyInstanceUID}"
            self.assertEqual(ask(study, "ada").status_code, 200)
            self.assertEqual(ask(study, "dora").status_code, 403)
            self.assertEqual(ask(study + "/evidence", "ada").status_code, 200)
            self.assertEqual(ask("/studies/Featherstonehaugh", "ada").status_code, 400)
            ask("/studies?PatientName=Featherstonehaugh", "ada")
            ask("/Featherstonehaugh", "ada")
            requests.get(site.url + study, headers={"Authorization": "Bearer " + tokens["ada"][:-1]}, timeout=60)
            for file in files[-2:]:
                stored = ask("/studies", "otto", method="POST", data=file.read_bytes(), headers={"Content-Type": "application/dicom"})
                self.assertEqual(stored.status_code, 200, stored.text)
            ask("/studies", "otto", method="POST", data=files[0].read_bytes()[:3000], headers={"Content-Type": "application/dicom"})
            other = pydicom.dcmread(files[0])
            other.PatientID += "X"
            other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
            other.save_as(self.folder / "second-patient.dcm")
            site.run("--verbose", "import", self.folder / "second-patient.dcm", codes=(1,))
            site.run("--verbose", "list", "--name", str(first.PatientName.family_name) + "*")
            site.run("--verbose", "ledger", "wait")
            site.run("--verbose", "token", "--person", "otto", "--revoke")
        site.run("--verbose", "show", first.StudyInstanceUID)
        site.run("--verbose", "verify", "--all")
        site.run("--verbose", "fsck")
        site.run("--verbose", "export", "--all", "--to", self.folder / "out")
        site.run("--verbose", "export", "--set-aside", "--to", self.folder / "aside")
        site.raw("--verbose", "evidence", first.StudyInstanceUID, "--out", self.folder / "bundle.json")
        wrong = "entirely another passphrase"
        secrets.add(wrong.encode())
        site.raw("--verbose", "list", codes=(12,), environment={"FIDUCIAL_PASSPHRASE": wrong})
        fresh = self.folder / "fresh"
        fresh.write_text("quite a fresh passphrase\n")
        fresh.chmod(0o600)
        secrets.add(b"quite a fresh passphrase")
        secrets |= {share.encode() for share in site.run("--verbose", "key", "rotate", "--new-passphrase-file", fresh)["recoveryShares"]}
        with self.subTest("a bundle holds what it must: the study's UID, no name"):
            bundle = (self.folder / "bundle.json").read_bytes()
            self.assertFalse([n for n in forbidden | secrets if n in bundle])


def png():
    """A small grey picture."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\x00" + bytes((x * y) % 256 for x in range(64)) for y in range(64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    unittest.main(verbosity=2)
