"""Power cuts at random moments, of everything at once: archive, trace, index, node. Nothing acknowledged is lost, no answered look is without
its entry, fsck is clean, all gets settled.

FIDUCIAL_FAULTS: three times as many as cuts (default: 10 cuts). FIDUCIAL_SEED: repeats the same choices; printed at the start.
"""
import http.client
import json
import random
import shutil
import signal
import sys
import threading
import time
import unittest

from harness import SystemTest, wait_for
from kill_test import FAULTS_SET, GIVEN_UP, SEED, Sent, get, make_images, store
from small_disk import SmallDisk

CUTS = FAULTS_SET // 3 or 10
CHECK_EVERY = 5


class PowerCut(SystemTest):
    def setUp(self):
        super().setUp()
        self.dice, self.sent = random.Random(SEED), Sent()
        self.disk = SmallDisk(self, 3000)
        self.site_ = self.site("disk/site", init=False)
        self.site_.init()
        settings = self.site_.folder / "fiducial.toml"
        settings.write_text(settings.read_text().replace("segment_mib = 1024", "segment_mib = 2").replace("compact_every_s = 600", "compact_every_s = 1").replace("compact_dead_percent = 30", "compact_dead_percent = 5"))
        for person, role in (("scanner", "technologist"), ("ada", "doctor")):
            self.site_.run("person", "add", person, "--role", role)
        self.scanner, self.ada = self.site_.token("scanner"), self.site_.token("ada")
        self.looked = 0
        self.started = time.monotonic()

    def tearDown(self):
        for site in self.sites:
            if site.server is not None:
                site.stop(signal.SIGKILL)
        self.disk.remove()
        super().tearDown()

    def peer(self, images, stop):
        """Stores one after the other, looks at what it has stored, and counts what was answered."""
        for image in images:
            if stop.is_set():
                return
            try:
                if store(self.site_.url, self.scanner, image) == 200:
                    self.sent.acknowledge(image)
                status, body = get(self.site_.url, self.ada, f"/studies/{image.study}/series/{image.series}/instances/{image.uid}")
            except (OSError, http.client.HTTPException):
                return
            if status == 200 and image.bytes in body:
                with self.sent.lock:
                    self.looked += 1

    def one_cut(self):
        self.site_.start()
        (entries, _), looked = self.site_.looks(), self.looked
        images = make_images(self.dice, 3, 12)
        self.sent.offer(images)
        stop = threading.Event()
        peers = [threading.Thread(target=self.peer, args=(images[i::3], stop)) for i in range(3)]
        for thread in peers:
            thread.start()
        time.sleep(self.dice.random() * 1.5)
        self.disk.cut()
        self.site_.stop(signal.SIGKILL)
        stop.set()
        for thread in peers:
            thread.join()
        # geth goes with the archive; the disk is free once it has.
        wait_for(self.is_free, GIVEN_UP, "nobody uses the disk any more")
        report = self.fsck()
        self.assertEqual(report["findings"], [])
        self.assertGreaterEqual(self.site_.looks()[0] - entries, self.looked - looked, "a look was answered and has no entry")
        listed = {study["studyInstanceUid"]: study["instances"] for study in self.site_.run("list", "--limit", "1000")["studies"]}
        for study, of_it in self.sent.studies().items():
            self.assertGreaterEqual(listed.get(study, 0), len(of_it), f"study {study}: acknowledged and not there")

    def is_free(self):
        try:
            self.disk.mount_again()
            return True
        except Exception:
            return False

    def fsck(self):
        deadline = time.monotonic() + GIVEN_UP
        while True:
            answer = self.site_.raw("--json", "fsck", codes=(0, 7, 10))
            report = json.loads(answer.stdout)
            if answer.returncode != 7 and "ledger" not in report:
                return report
            self.assertLess(time.monotonic(), deadline, f"the node does not come back: {report}")
            time.sleep(0.05)

    def check_everything(self):
        waited = self.site_.run("ledger", "wait", "--seconds", GIVEN_UP)
        self.assertEqual((waited["settled"], waited["waiting"]), (True, 0))
        verified = self.site_.run("verify", "--all")
        self.assertEqual(verified["damaged"], [])
        self.assertEqual(verified["settled"], verified["studies"], verified["states"])
        out = self.folder / "out"
        self.site_.run("export", "--all", "--to", out)
        held = {path.read_bytes() for path in out.rglob("*.dcm")}
        shutil.rmtree(out)
        self.assertEqual([image.uid for image in self.sent.acknowledged.values() if image.bytes not in held], [], "acknowledged and not there")

    def test_nothing_acknowledged_is_lost(self):
        print(f"FIDUCIAL_SEED={SEED} FIDUCIAL_FAULTS={CUTS}", flush=True)
        try:
            for cut in range(CUTS):
                self.one_cut()
                if cut % CHECK_EVERY == CHECK_EVERY - 1:
                    self.check_everything()
            self.check_everything()
        except BaseException:
            print(self.site_.serve_log()[-6000:], file=sys.stderr, flush=True)
            raise
        print(f"{CUTS} power cuts, {len(self.sent.acknowledged)} of {len(self.sent.images)} images acknowledged, none lost, {self.looked} looks, in {time.monotonic() - self.started:.0f} s")


if __name__ == "__main__":
    unittest.main(verbosity=2)
