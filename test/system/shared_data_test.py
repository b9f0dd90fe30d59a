"""Real images of many makers: every file that was taken comes back bit for bit, every other one is accounted for."""
import collections
import unittest

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
