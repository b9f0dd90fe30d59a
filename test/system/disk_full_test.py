"""A disk that fills up: people are warned, then new images are refused in DICOM's and HTTP's own words, before anything breaks; the rest goes on."""
import json
import pathlib
import random
import subprocess
import unittest

from harness import SystemTest, wait_for
from kill_test import GIVEN_UP, get, make_images, request
from small_disk import SmallDisk

MIB = 1 << 20


class DiskFull(SystemTest):
    def setUp(self):
        super().setUp()
        self.disk = SmallDisk(self, 1500)
        self.site_ = self.site("disk/site", init=False)
        self.site_.init()
        settings = self.site_.folder / "fiducial.toml"
        text = settings.read_text()
        for key, value in (("warn_free_percent", 60), ("refuse_free_percent", 30), ("segment_mib", 4), ("peers", '["STORESCU 127.0.0.1"]')):
            lines = [f"{key} = {value}" if line.startswith(f"{key} = ") else line for line in text.splitlines()]
            self.assertNotEqual(lines, text.splitlines(), key)
            text = "\n".join(lines) + "\n"
        settings.write_text(text)
        for person, role in (("scanner", "technologist"), ("ada", "doctor"), ("root", "administrator")):
            self.site_.run("person", "add", person, "--role", role)
        self.scanner, self.ada = self.site_.token("scanner"), self.site_.token("ada")
        self.images = make_images(random.Random(1), 3, 4)

    def tearDown(self):
        for site in self.sites:
            site.stop()
        self.disk.remove()
        super().tearDown()

    def store(self, images):
        """One request with all of them. Returns: status and answer."""
        return request(self.site_.url, self.scanner, images, GIVEN_UP)

    def read(self, image):
        status, body = get(self.site_.url, self.ada, f"/studies/{image.study}/series/{image.series}/instances/{image.uid}", GIVEN_UP)
        return status, image.bytes in body

    def ready(self):
        status, body = get(self.site_.url, self.ada, "/readyz")
        return status, " ".join(json.loads(body)["notes"])

    def metric(self, name):
        _, body = get(self.site_.url, self.ada, "/metrics")
        return next(float(line.split()[1]) for line in body.decode().splitlines() if line.startswith(name + " "))

    def folder_of(self, images):
        folder = pathlib.Path(self.folder / "in")
        folder.mkdir(exist_ok=True)
        for image in images:
            (folder / f"{image.uid}.dcm").write_bytes(image.bytes)
        return folder

    def test_warned_refused_and_resumed(self):
        first, second, third = self.images[:4], self.images[4:8], self.images[8:]
        with self.site_.serving("--dimse", "127.0.0.1:0"):
            self.assertEqual(self.store(first)[0], 200)
            self.assertEqual(self.metric("fiducial_disk_state"), 0)
            self.assertNotIn("disk", self.ready()[1])

            self.disk.fill(700 * MIB)
            self.assertEqual(self.store(second)[0], 200, "warned, and taken")
            status, notes = self.ready()
            self.assertEqual(status, 200)
            self.assertIn("the disk fills up", notes)
            self.assertEqual(self.metric("fiducial_disk_state"), 1)
            self.assertEqual(self.site_.run("ledger", "status")["disk"]["state"], "low")
            self.assertIn("the disk fills up", self.site_.serve_log())

            self.disk.fill(350 * MIB)
            status, answer = self.store(third)
            self.assertEqual(status, 507)
            failed = {item["00081155"]["Value"][0]: item["00081197"]["Value"][0] for item in answer["00081198"]["Value"]}
            self.assertEqual(failed, {image.uid: 0xA700 for image in third})
            status, notes = self.ready()
            self.assertEqual(status, 503)
            self.assertIn("the disk is full", notes)
            self.assertEqual(self.metric("fiducial_disk_state"), 2)
            sent = subprocess.run(["storescu", "-v", "-aec", "FIDUCIAL", "127.0.0.1", str(self.site_.dimse_port), self.folder_of(third[:1]) / f"{third[0].uid}.dcm"], capture_output=True, text=True)
            self.assertIn("OutOfResources", sent.stdout + sent.stderr)
            refused = self.site_.raw("import", self.folder_of(third), codes=(15,))
            self.assertIn("stopped: ", refused.stdout)
            self.assertIn("the disk is full: ", refused.stdout)
            self.assertIn("make room, then run the same command again", refused.stdout)
            entries = self.site_.run("fsck")["traceEntries"]
            self.assertEqual([self.read(image) for image in first + second], [(200, True)] * 8, "reads go on")
            self.assertGreaterEqual(self.site_.run("fsck")["traceEntries"], entries + 8, "and leave their traces")
            waited = self.site_.run("ledger", "wait", "--seconds", GIVEN_UP)
            self.assertEqual((waited["settled"], waited["waiting"]), (True, 0), "and what is there is anchored")

            self.disk.make_room()
            self.assertEqual(self.ready()[0], 200)
            self.assertEqual(self.site_.run("import", self.folder_of(self.images))["stored"], 4, "the same command takes the rest")
            self.assertEqual([self.read(image) for image in self.images], [(200, True)] * 12)
            self.assertEqual(self.site_.run("fsck")["findings"], [])

    def test_filled_by_somebody_else_to_the_last_byte(self):
        first, second = self.images[:4], self.images[4:]
        with self.site_.serving():
            self.assertEqual(self.store(first)[0], 200)
            self.disk.fill(16 * MIB)
            self.disk.fill_up()
            self.assertEqual(self.store(second)[0], 507)
            for image in first:
                status, whole = self.read(image)
                self.assertTrue(status != 200 or whole, "no look without its trace, and no half answer")
            self.disk.make_room()
            wait_for(lambda: self.store(second)[0] == 200, GIVEN_UP, "stored again, without a restart")
            wait_for(lambda: all(self.read(image) == (200, True) for image in self.images), GIVEN_UP, "read again, without a restart")
            waited = self.site_.run("ledger", "wait", "--seconds", GIVEN_UP)
            self.assertEqual((waited["settled"], waited["waiting"]), (True, 0))
            self.assertEqual(self.site_.run("fsck")["findings"], [])
        self.assertEqual(self.site_.run("fsck")["findings"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
