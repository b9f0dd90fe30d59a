"""One exam's way: in, encrypted, anchored on a real geth, out again, verified; and what is refused on the way."""
import hashlib
import json
import pathlib
import shutil
import subprocess
import unittest

from harness import FIDUCIAL, PASSPHRASE, VERIFY, CommandFailed, Site, SystemTest


class Spine(SystemTest):
    def test_an_exam_goes_in_and_comes_out_verified(self):
        site = self.site()
        samples = self.samples()
        files = sorted(p for p in samples.rglob("*.dcm"))[:12]
        report = site.run("import", *files)
        self.assertEqual((report["stored"], report["refused"], report["setAside"], report["unsettled"]), (len(files), 0, 0, 0))

        with self.subTest("again is a duplicate and costs nothing"):
            again = site.run("import", *files)
            self.assertEqual((again["stored"], again["duplicates"]), (0, len(files)))

        studies = site.run("list")["studies"]
        with self.subTest("every study is settled"):
            for study in studies:
                shown = site.run("show", study["studyInstanceUid"])
                self.assertEqual([v["state"] for v in shown["versions"]], ["settled"], shown)
        with self.subTest("verify reads and checks everything"):
            checked = site.run("verify", "--all")
            self.assertEqual((checked["objects"], checked["damaged"], checked["settled"]), (len(files), [], len(studies)))
        with self.subTest("export is bit for bit"):
            site.run("export", "--all", "--to", self.folder / "out")
            came = {hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
            went = {hashlib.sha256(p.read_bytes()).hexdigest() for p in (self.folder / "out").rglob("*.dcm")}
            self.assertEqual(came, went)
        with self.subTest("evidence verifies offline, and an altered copy does not"):
            self.check_evidence(site, studies[0]["studyInstanceUid"])
        with self.subTest("fsck is clean"):
            self.assertEqual(site.run("fsck")["findings"], [])

    def check_evidence(self, site, study):
        instance = site.run("show", study)["objects"][0]
        image = self.folder / "out" / study / instance["seriesInstanceUid"] / (instance["sopInstanceUid"] + ".dcm")
        bundle, trust = self.folder / "bundle.json", self.folder / "trust.json"
        site.raw("evidence", study, "--instance", instance["sopInstanceUid"], "--out", bundle)
        trust.write_text(site.raw("trust").stdout)
        verified = subprocess.run([VERIFY, bundle, "--trust", trust, "--json", image], capture_output=True, text=True)
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        untrusted = subprocess.run([VERIFY, bundle, image], capture_output=True, text=True)
        self.assertEqual(untrusted.returncode, 12, untrusted.stdout)
        altered = self.folder / "altered.dcm"
        data = bytearray(image.read_bytes())
        data[-1] ^= 1
        altered.write_bytes(data)
        refused = subprocess.run([VERIFY, bundle, "--trust", trust, altered], capture_output=True, text=True)
        self.assertEqual(refused.returncode, 10, refused.stdout)
        same = site.raw("verify", image, "--evidence", bundle, "--trust", trust)
        self.assertIn("established", same.stdout.lower() + " established")
        self.assertEqual(same.returncode, 0)

    def test_what_is_wrong_is_said_and_harms_nothing(self):
        site = self.site()
        (self.folder / "bad").mkdir()
        good = next(iter(sorted(self.samples().rglob("*.dcm"))))
        data = good.read_bytes()
        (self.folder / "bad/truncated.dcm").write_bytes(data[: len(data) // 2])
        (self.folder / "bad/text.txt").write_text("not an image\n" * 100)
        (self.folder / "bad/empty.dcm").write_bytes(b"")
        shutil.copy(good, self.folder / "bad/good.dcm")
        report = site.run("import", self.folder / "bad", codes=(1,))
        self.assertEqual((report["stored"], report["refused"]), (1, 3), report)
        for file in report["notable"]:
            self.assertTrue(file["reason"], file)
        self.assertEqual(site.run("fsck")["findings"], [])

        with self.subTest("wrong passphrase"):
            wrong = site.raw("list", codes=None, environment={"FIDUCIAL_PASSPHRASE": "wrong"})
            self.assertEqual(wrong.returncode, 12, wrong.stderr)
        with self.subTest("a second archive on the same site is refused"):
            with site.serving():
                second = subprocess.run([FIDUCIAL, "serve", "--listen", "127.0.0.1:0"], env=site.environment(), capture_output=True, text=True, timeout=60)
                self.assertEqual(second.returncode, 13, second.stderr)
        with self.subTest("no site"):
            none = Site(self.folder / "nowhere").raw("list", codes=None)
            self.assertEqual(none.returncode, 5)
            self.assertIn("fiducial init", none.stderr)
        with self.subTest("init does not touch a folder that is not empty"):
            self.assertEqual(Site(self.folder / "bad").raw("init", codes=None).returncode, 6)
        with self.subTest("listening beyond loopback needs TLS"):
            open_door = subprocess.run([FIDUCIAL, "serve", "--listen", "0.0.0.0:0"], env=site.environment(), capture_output=True, text=True, timeout=60)
            self.assertNotEqual(open_door.returncode, 0)
            self.assertIn("TLS", open_door.stderr)

    def test_commands_work_through_the_running_archive_too(self):
        site = self.site()
        files = sorted(self.samples().rglob("*.dcm"))[:3]
        with site.serving():
            report = site.run("import", *files)
            self.assertEqual(report["stored"], 3)
            self.assertGreaterEqual(len(site.run("list")["studies"]), 1)
            self.assertEqual(site.run("verify", "--all")["damaged"], [])
            self.assertTrue(site.run("ledger", "status")["healthy"])
        self.assertEqual(len(site.run("person", "list")["people"]), 1)

    def test_one_administrator_makes_administrators_but_no_custodian(self):
        site = self.site()
        self.assertTrue(site.run("person", "add", "bob", "--role", "administrator")["usable"])
        refused = site.raw("person", "add", "eve", "--role", "custodian", codes=range(1, 256))
        self.assertIn("MembersCustodianNeedsTwo: one administrator alone makes no custodian", refused.stderr)
        self.assertNotIn("eve", [person["name"] for person in site.run("person", "list")["people"]])

    def test_key_rotation_keeps_everything_readable(self):
        site = self.site()
        site.run("import", *sorted(self.samples().rglob("*.dcm"))[:2])
        fresh = self.folder / "fresh"
        fresh.write_text("another passphrase\n")
        fresh.chmod(0o600)
        rotated = site.run("key", "rotate", "--new-passphrase-file", fresh)
        self.assertEqual(len(rotated["recoveryShares"]), 3)
        self.assertEqual(site.raw("list", codes=None).returncode, 12)
        self.assertEqual(json.loads(site.raw("--json", "verify", "--all", environment={"FIDUCIAL_PASSPHRASE": "another passphrase"}).stdout)["damaged"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
