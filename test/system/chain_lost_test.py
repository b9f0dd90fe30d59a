"""A site's own chain is gone and no backup holds it: what can be proved still, and how everything is anchored anew on a new site."""
import pathlib
import shutil
import subprocess
import unittest

from harness import FAKETIME, VERIFY, SystemTest, files_of, missing, sha256

TWO_DAYS_ON = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "+2d"}
UNAVAILABLE = 7


class ChainLost(SystemTest):
    def verified(self, bundle, trust, image):
        return subprocess.run([VERIFY, bundle, "--trust", trust, image], capture_output=True, text=True)

    def test_what_is_proved_still_and_how_to_begin_anew(self):
        self.need(missing("faketime"))
        geth = self.folder / "geth"
        geth.symlink_to(shutil.which("geth") or pathlib.Path.home() / "go/bin/geth")
        site = self.site(init=False)
        site.init("--geth", geth)
        images = sorted(self.samples().rglob("*.dcm"), key=lambda path: path.stat().st_size)[:4]
        self.assertEqual(site.run("import", *images)["unsettled"], 0)
        came = sorted(sha256(image) for image in images)
        study = site.run("list")["studies"][0]["studyInstanceUid"]
        instance = site.run("show", study)["objects"][0]["sopInstanceUid"]
        [image] = [path for path in images if instance in path.read_bytes().decode("latin-1")]
        bundle, trust = self.folder / "bundle.json", self.folder / "trust.json"
        site.raw("evidence", study, "--instance", instance, "--out", bundle)
        trust.write_text(site.raw("trust").stdout)

        with self.subTest("away for two days: everybody waits, the custodian too"):
            geth.rename(self.folder / "geth.away")
            refused = site.raw("export", "--all", "--to", self.folder / "refused", environment=TWO_DAYS_ON, codes=None)
            self.assertEqual(refused.returncode, UNAVAILABLE, refused.stderr)
            self.assertEqual(files_of(self.folder / "refused"), [])
            (self.folder / "geth.away").rename(geth)

        shutil.rmtree(site.folder / "ledger/geth")
        with self.subTest("it says so, and what to do"):
            said = site.raw("ledger", "status", codes=None)
            self.assertIn("holds no chain", said.stdout + said.stderr)
            self.assertIn("The chain is gone", said.stdout + said.stderr)
        with self.subTest("what was given out verifies as before"):
            self.assertEqual(self.verified(bundle, trust, image).returncode, 0)
        with self.subTest("no new evidence can be made"):
            self.assertNotEqual(site.raw("evidence", study, "--out", self.folder / "new.json", codes=None).returncode, 0)
            self.assertFalse((self.folder / "new.json").exists())

        moved = self.folder / "moved"
        with self.subTest("two days later the custodian takes everything out, bit for bit"):
            site.raw("export", "--all", "--to", moved, environment=TWO_DAYS_ON)
            self.assertEqual(sorted(sha256(path) for path in files_of(moved)), came)
        with self.subTest("and on a new site all of it is anchored anew"):
            new = self.site("new")
            report = new.run("import", moved)
            self.assertEqual((report["stored"], report["unsettled"]), (len(images), 0))
            checked = new.run("verify", "--all")
            self.assertEqual((checked["settled"], checked["damaged"]), (checked["studies"], []))
            new.raw("evidence", study, "--instance", instance, "--out", self.folder / "new.json")
            (self.folder / "new-trust.json").write_text(new.raw("trust").stdout)
            self.assertEqual(self.verified(self.folder / "new.json", self.folder / "new-trust.json", image).returncode, 0)
            self.assertNotEqual(self.verified(self.folder / "new.json", trust, image).returncode, 0, "another chain's")


if __name__ == "__main__":
    unittest.main(verbosity=2)
