"""kill -9 at random moments, of the archive, of its node, of both: nothing acknowledged is lost, no answered look is without its entry, fsck is
clean, all gets settled.

FIDUCIAL_FAULTS: how many kills (default 30). FIDUCIAL_SEED: repeats the same choices; printed at the start.
"""
import contextlib
import copy
import hashlib
import http.client
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest
import urllib.parse

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info

from harness import FIDUCIAL, PASSPHRASE, SystemTest, wait_for

FAULTS_SET = int(os.environ.get("FIDUCIAL_FAULTS", "0"))
FAULTS = FAULTS_SET or 30
SEED = int(os.environ.get("FIDUCIAL_SEED", random.SystemRandom().randrange(1 << 32)))
CHECK_EVERY = 6          # kills between two full checks
KINDS = ["import", "import", "serve", "serve", "through", "look", "look", "export", "backup", "compact", "start", "fsck", "rotate"]
GIVEN_UP = 120           # seconds until something that should happen counts as not happening
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = pydicom.uid.ExplicitVRLittleEndian


class Image:
    """One DICOM file with random pixels, and its fingerprints."""

    def __init__(self, dice, patient, study, series, number, size):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CT, f"2.25.{dice.getrandbits(120)}"
        meta.TransferSyntaxUID, meta.ImplementationClassUID, meta.FileMetaInformationVersion = EXPLICIT, "2.25.1", b"\0\1"
        data = Dataset()
        data.SOPClassUID, data.SOPInstanceUID = CT, meta.MediaStorageSOPInstanceUID
        data.PatientID, data.PatientName = f"KILL{patient:04}", f"Fault^{patient:04}"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.InstanceNumber = study, series, number
        data.StudyDate, data.Modality, data.StudyID = "20260101", "CT", str(patient)
        data.Columns, data.Rows = 64, max(1, size // 128)
        data.SamplesPerPixel, data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 1, 16, 12, 11, 0
        data.PhotometricInterpretation = "MONOCHROME2"
        data.PixelData = dice.randbytes(128 * data.Rows)
        head, body = io.BytesIO(), DicomBytesIO()
        head.write(b"\0" * 128 + b"DICM")
        write_file_meta_info(head, meta)
        body.is_little_endian, body.is_implicit_VR = True, False
        write_dataset(body, data)
        self.study, self.series, self.uid, self.data_set = study, series, data.SOPInstanceUID, hashlib.sha256(body.getvalue()).hexdigest()
        self.bytes = head.getvalue() + body.getvalue()
        self.file = hashlib.sha256(self.bytes).hexdigest()


def make_images(dice, studies, each, large=False):
    images = []
    for _ in range(studies):
        patient, study, series = dice.randrange(200), f"2.25.{dice.getrandbits(120)}", f"2.25.{dice.getrandbits(120)}"
        for number in range(each):
            size = (1 << 20) if large and number == 0 else 1 << dice.randrange(11, 17)
            images.append(Image(dice, patient, study, series, number + 1, size))
    return images


def children(pid):
    """Ids of the processes that a process has started and that still run."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


def nodes_of(pid):
    found = []
    for child in children(pid):
        with contextlib.suppress(OSError):
            if pathlib.Path(f"/proc/{child}/exe").resolve().name.startswith("geth"):
                found.append(child)
    return found


def all_arguments():
    """The command lines of all processes."""
    for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield file.read_bytes()


class Killer:
    """Kills one process, its node or both, and knows how often it has."""

    def __init__(self, dice):
        self.dice, self.kills, self.told = dice, 0, []

    def strike(self, process, victim, moment):
        if process.poll() is not None:
            return False
        nodes = nodes_of(process.pid) if victim != "archive" else []
        if victim == "node" and not nodes:
            return False
        targets = nodes if victim == "node" else [process.pid] if victim == "archive" else [*nodes, process.pid]
        self.dice.shuffle(targets)
        for target in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(target, signal.SIGKILL)
        if victim != "node":
            process.wait(GIVEN_UP)
        self.kills += 1
        self.told.append(f"{self.kills}: {victim} during {moment}")
        return True


class Sent:
    """What was given to the archive, and what it has acknowledged."""

    def __init__(self):
        self.images, self.acknowledged, self.lock = {}, {}, threading.Lock()

    def offer(self, images):
        for image in images:
            self.images[image.uid] = image

    def acknowledge(self, image):
        with self.lock:
            self.acknowledged[image.uid] = image

    def studies(self):
        out = {}
        with self.lock:
            for image in self.acknowledged.values():
                out.setdefault(image.study, []).append(image)
        return out


def store(url, token, image, timeout=30):
    """One STOW-RS request with one instance. Returns: the status."""
    return request(url, token, [image], timeout)[0]


def request(url, token, images, timeout=30):
    """One STOW-RS request. Returns: the status, and the answer where that is DICOM JSON."""
    where = urllib.parse.urlsplit(url)
    body = b"".join(b"--b0\r\nContent-Type: application/dicom\r\n\r\n" + image.bytes + b"\r\n" for image in images) + b"--b0--\r\n"
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=timeout)
    try:
        connection.request("POST", "/studies", body, {"Authorization": "Bearer " + token, "Accept": "application/dicom+json",
                                                      "Content-Type": 'multipart/related; type="application/dicom"; boundary=b0'})
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if answer.headers.get_content_type() == "application/dicom+json" else None
    finally:
        connection.close()


def get(url, token, path, timeout=30):
    where = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Authorization": "Bearer " + token, "Accept": "*/*"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Kill(SystemTest):
    def setUp(self):
        super().setUp()
        self.dice, self.sent, self.passphrase = random.Random(SEED), Sent(), PASSPHRASE
        self.killer = Killer(self.dice)
        self.started = time.monotonic()
        self.site_ = self.site()
        settings = self.site_.folder / "fiducial.toml"  # segments that fill up, and are rewritten while all this goes on
        text = settings.read_text()
        for key, value in (("segment_mib", 1), ("compact_every_s", 1), ("compact_dead_percent", 5)):
            text, found = re.subn(f"(?m)^{key} = .*$", f"{key} = {value}", text)
            assert found == 1, key
        settings.write_text(text)
        for person, role in (("scanner", "technologist"), ("ada", "doctor")):
            self.site_.run("person", "add", person, "--role", role)
        self.token, self.ada = self.site_.token("scanner"), self.site_.token("ada")
        self.looked = self.exported = self.looks = 0  # looks answered in this round, through doors and to commands; all of them
        self.backup, self.backups = self.folder / "backup", 0
        self.deck, self.struck = [], set()  # what is still to be killed before the next shuffle; what was

    # ---- what is going on when the blow falls

    def folder_of(self, images):
        folder = self.folder / f"in-{self.dice.getrandbits(64):016x}"
        folder.mkdir()
        for image in images:
            (folder / f"{image.uid}.dcm").write_bytes(image.bytes)
        return folder

    def spawn(self, *arguments):
        process = subprocess.Popen([FIDUCIAL, *map(str, arguments)], env=self.site_.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()

    def moment(self, most):
        time.sleep(self.dice.random() * most)

    def follow(self, process, enough=None):
        """Reads the lines in which `import --each` acknowledges, until `enough` of them were seen or there are no more."""
        seen = 0
        for line in process.stdout:
            outcome, _, path = line.strip().partition(" ")
            if outcome in ("stored", "duplicate"):
                self.sent.acknowledge(self.sent.images[pathlib.Path(path.strip()).stem])
                seen += 1
                if enough is not None and seen >= enough:
                    return
            self.assertNotIn(outcome, ("refused", "set_aside", "new_version"), line)

    def import_round(self, victim, killed):
        """An import, alone or through a running archive (then that one is killed)."""
        images = make_images(self.dice, 3, 12, large=self.dice.random() < 0.3)
        self.sent.offer(images)
        process = self.spawn("import", "--each", "-q", self.folder_of(images))
        killed = killed or process
        moment = self.dice.choice(["receiving", "receiving", "anchoring", "start-up"])
        if moment == "receiving":
            self.follow(process, self.dice.randrange(1, len(images)))
            self.moment(0.005)
        elif moment == "anchoring":
            self.follow(process, len(images))
            self.moment(0.15)
        else:
            self.moment(0.4)
        struck = self.killer.strike(killed, victim, f"import, {moment}")
        self.follow(process)
        process.wait(GIVEN_UP)
        if victim == "node" or not struck:  # the archive lives on: all is taken, and settled as soon as the node is back
            self.assertEqual(process.returncode, 0, process.stderr.read())
            self.assertTrue(all(image.uid in self.sent.acknowledged for image in images))
        shutil.rmtree(process.args[-1])

    def store_round(self, victim):
        """STOW-RS from three peers at once, each request acknowledged for itself."""
        images = make_images(self.dice, 3, 10)
        self.sent.offer(images)
        answered, refused = threading.Semaphore(0), []
        if self.dice.random() < 0.5:
            self.dice.shuffle(images)

        def peer(own):
            for image in own:
                try:
                    status = store(self.site_.url, self.token, image)
                except OSError:
                    break
                except http.client.HTTPException:
                    break
                if status == 200:
                    self.sent.acknowledge(image)
                else:
                    refused.append((status, image.uid))
                answered.release()
            answered.release()

        peers = [threading.Thread(target=peer, args=(images[i::3],)) for i in range(3)]
        for thread in peers:
            thread.start()
        moment = self.dice.choice(["receiving", "receiving", "anchoring"])
        for _ in range(self.dice.randrange(1, len(images)) if moment == "receiving" else len(images)):
            answered.acquire(timeout=GIVEN_UP)
        self.moment(0.01 if moment == "receiving" else 0.3)
        self.killer.strike(self.site_.server, victim, f"STOW-RS, {moment}")
        for thread in peers:
            thread.join()
        self.assertEqual(refused, [])
        if victim == "node":
            self.assertTrue(all(image.uid in self.sent.acknowledged for image in images))

    def compact_round(self, victim):
        """What a custodian discarded is dead room: killed while the segments are rewritten without it. Returns: whether one was caught half-way."""
        images = make_images(self.dice, 2, 4)
        self.sent.offer(images)
        for image in images:
            self.assertEqual(store(self.site_.url, self.token, image), 200)
            self.sent.acknowledge(image)
            other = copy.copy(image)
            other.bytes = image.bytes[:-64] + self.dice.randbytes(64)
            self.assertEqual(store(self.site_.url, self.token, other), 202, "other pixels under a known UID are set aside")
        for item in self.site_.run("set-aside", "list")["setAside"]:
            self.site_.run("set-aside", "discard", item["objectId"], "--reason", "not wanted")
        process = self.spawn("--json", "compact")
        while process.poll() is None and not self.is_rewriting():
            time.sleep(0.0005)
        self.moment(0.01)
        self.killer.strike(self.site_.server, victim, "compaction")
        caught = victim != "node" and self.is_rewriting()
        process.communicate(timeout=GIVEN_UP)
        return caught

    def is_rewriting(self):
        """Whether a segment's draft is there, or the segment in whose place another one stands. Spec: docs/formats/segments.md#compaction"""
        names = os.listdir(self.site_.folder / "store/segments")
        places = [re.match("[0-9]+", name)[0] for name in names if name.endswith(".segment")]
        return len(places) < len(names) or len(set(places)) < len(places)

    def some_studies(self, most):
        """Studies of which images were acknowledged, the last ones among them; some are stored where there are none."""
        if len(self.sent.studies()) < 3:
            images = make_images(self.dice, 3, 4)
            self.sent.offer(images)
            for image in images:
                self.assertEqual(store(self.site_.url, self.token, image), 200)
                self.sent.acknowledge(image)
        studies = list(self.sent.studies().items())
        return dict(studies[-2:] + self.dice.sample(studies, min(len(studies), most)))

    def look_round(self, victim):
        """WADO-RS by three readers at once, instances and whole studies; what came to its end was seen, and has its entry."""
        studies, begun, wrong, before = self.some_studies(6), threading.Semaphore(0), [], self.looked
        looks = [(f"/studies/{study}", images) for study, images in studies.items()]
        looks += [(f"/studies/{study}/series/{image.series}/instances/{image.uid}", [image]) for study, images in studies.items() for image in images]
        self.dice.shuffle(looks)

        def reader(own):
            for path, images in own:
                begun.release()
                try:
                    status, body = get(self.site_.url, self.ada, path, GIVEN_UP)
                except (OSError, http.client.HTTPException):
                    break
                if status != 200 or any(image.bytes not in body for image in images):
                    wrong.append((path, status, body[:300]))
                with self.sent.lock:
                    self.looked += 1
            begun.release()

        readers = [threading.Thread(target=reader, args=(looks[i::3],)) for i in range(3)]
        for thread in readers:
            thread.start()
        for _ in range(self.dice.randrange(1, len(looks))):
            begun.acquire(timeout=GIVEN_UP)
        self.moment(0.02)
        self.killer.strike(self.site_.server, victim, "WADO-RS")
        for thread in readers:
            thread.join()
        self.assertEqual(wrong, [])
        if victim == "node":
            self.assertEqual(self.looked - before, len(looks), "the archive lives on and answers")

    def export_round(self, victim, killed):
        """An export, alone or through a running archive: every file that has its name is what was acknowledged, and has its entry."""
        out = self.folder / "part"
        process = self.spawn("--json", "export", *self.some_studies(8), "--to", out)
        self.moment(0.5)
        struck = self.killer.strike(killed or process, victim, "export")
        _, error = process.communicate(timeout=GIVEN_UP)
        sent = {image.file: image for image in self.sent.images.values()}
        files = {hashlib.sha256(path.read_bytes()).hexdigest() for path in out.rglob("*.dcm")}
        self.assertEqual(files - set(sent), set(), "half a file under its full name")
        self.exported += len(files)
        if victim == "node" or not struck:
            self.assertIn(process.returncode, (0, 7) if struck else (0,), error)
        shutil.rmtree(out, ignore_errors=True)

    def backup_round(self, victim, killed):
        """A backup, alone or through a running archive: what an earlier one holds stays whole, and the next one comes to its end."""
        process = self.spawn("--json", "backup", self.backup)
        self.moment(0.6)
        struck = self.killer.strike(killed or process, victim, "backup")
        _, error = process.communicate(timeout=GIVEN_UP)
        if victim == "node" or not struck:
            self.assertIn(process.returncode, (0, 7) if struck else (0,), error)
        self.backups += process.returncode == 0
        if self.backups > 0 and self.dice.random() < 0.3:
            self.site_.raw("--json", "restore", "--check", self.backup)

    def start_round(self, victim):
        self.site_.start(wait=False)
        self.moment(0.6)
        self.killer.strike(self.site_.server, victim, "start-up")
        if victim == "node":
            self.site_.stop()
        else:
            self.forget_server()

    def command_round(self, victim, *arguments):
        process = self.spawn("--json", *arguments)
        self.moment(0.6)
        self.killer.strike(process, victim, " ".join(arguments))
        out, error = process.communicate(timeout=GIVEN_UP)
        return process.returncode, out, error

    def fsck_round(self, victim):
        code, out, error = self.command_round(victim, "fsck")
        if code == 0:
            self.assertEqual(json.loads(out)["findings"], [])
        else:
            self.assertTrue(code < 0 or (victim != "archive" and code == 7), (code, out, error))

    def rotate_round(self, victim):
        """Whenever it is killed, the former passphrase or the new one opens the site, with everything in it. No node runs meanwhile."""
        fresh = self.folder / "fresh"
        fresh.write_text("another " + PASSPHRASE)
        fresh.chmod(0o600)
        process = self.spawn("--json", "key", "rotate", "--new-passphrase-file", fresh)
        self.moment(0.15)
        self.killer.strike(process, "archive", "key rotate")
        process.wait(GIVEN_UP)
        opened = {}
        for passphrase in (PASSPHRASE, "another " + PASSPHRASE):
            answer = self.site_.raw("--json", "list", "--limit", "1000", codes=None, environment={"FIDUCIAL_PASSPHRASE": passphrase})
            self.assertIn(answer.returncode, (0, 12), answer.stderr)
            opened[passphrase] = answer.returncode == 0
        self.assertEqual(sum(opened.values()), 1, opened)
        if not opened[PASSPHRASE]:  # back to the passphrase that all the others use
            back = self.folder / "back"
            back.write_text(PASSPHRASE)
            back.chmod(0o600)
            self.site_.raw("key", "rotate", "--new-passphrase-file", back, environment={"FIDUCIAL_PASSPHRASE": "another " + PASSPHRASE})

    def forget_server(self):
        """The server was killed: its handles go, its exit is awaited."""
        server = self.site_.server
        if server is None:
            return
        if server.poll() is None:
            self.site_.stop(signal.SIGKILL)
            return
        server.stdout.close()
        self.site_.server_log.close()
        self.site_.server = None

    def test_init_that_was_killed_leaves_nothing_in_the_way(self):
        site = self.site("second", init=False)
        process = subprocess.Popen([FIDUCIAL, "init", "--argon2-memory-mib", "8"], env=site.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: list(self.folder.glob("second.making-*/ledger")), GIVEN_UP, "init has begun")
        process.kill()
        process.wait()
        self.assertEqual(site.raw("list", codes=None).returncode, 5)
        wait_for(lambda: not any(b"second.making-" in arguments for arguments in all_arguments()), GIVEN_UP, "its node has ended")
        site.init()
        self.assertEqual(site.run("fsck")["findings"], [])
        self.assertEqual(list(self.folder.glob("second.*")), [])

    # ---- what holds afterwards

    def fsck_with_ledger(self):
        """fsck, again until the node that was killed is back and everything can be compared with it."""
        deadline = time.monotonic() + GIVEN_UP
        while True:
            answer = self.site_.raw("--json", "fsck", codes=(0, 7, 10))
            report = json.loads(answer.stdout)
            if answer.returncode != 7 and "ledger" not in report:
                return report
            self.assertLess(time.monotonic(), deadline, f"the node does not come back: {report}")
            time.sleep(0.05)

    def check_after_kill(self):
        """fsck finds nothing, and every acknowledged image is in the index."""
        report = self.fsck_with_ledger()
        self.assertEqual(report["findings"], [])
        self.assertGreaterEqual(report["objects"], len(self.sent.acknowledged))
        for entries, before, looks in zip(self.site_.looks(), self.looks_before, (self.looked, self.exported)):
            self.assertGreaterEqual(entries - before, looks, "a look was answered and has no entry")
        self.looks += self.looked + self.exported
        listed = {study["studyInstanceUid"]: study["instances"] for study in self.site_.run("list", "--limit", "1000")["studies"]}
        studies = self.sent.studies()
        for study, images in studies.items():
            self.assertGreaterEqual(listed.get(study, 0), len(images), f"study {study}")
        for study in list(studies)[-3:]:
            held = {one["sopInstanceUid"]: one["sha256"] for one in self.site_.run("show", study)["objects"]}
            for image in studies[study]:
                self.assertEqual(held.get(image.uid), image.data_set, f"{image.uid} was acknowledged")

    def check_everything(self):
        """All gets settled; every byte is what was anchored; what comes out is what was acknowledged (and nothing that was not sent)."""
        waited = self.site_.run("ledger", "wait", "--seconds", GIVEN_UP)
        self.assertEqual((waited["settled"], waited["waiting"], waited["incidents"]), (True, 0, 0))
        verified = self.site_.run("verify", "--all")
        self.assertEqual(verified["damaged"], [])
        self.assertEqual(verified["settled"], verified["studies"], verified["states"])
        out = self.folder / "out"
        self.site_.run("export", "--all", "--to", out)
        held = {hashlib.sha256(path.read_bytes()).hexdigest() for path in out.rglob("*.dcm")}
        shutil.rmtree(out)
        self.assertEqual({image.file for image in self.sent.acknowledged.values()} - held, set(), "acknowledged and not there")
        self.assertEqual(held - {image.file for image in self.sent.images.values()}, set(), "never sent")
        self.assertEqual(self.site_.run("fsck")["findings"], [])
        self.assertEqual(self.site_.run("set-aside", "list")["setAside"], [])
        self.assertEqual(self.site_.run("quarantine", "list")["quarantined"], [])
        self.site_.run("backup", self.backup)
        self.site_.raw("--json", "restore", "--check", self.backup)
        self.backups += 1

    def one_round(self):
        """One kind of work and the blow that falls on it: each kind comes as often as it stands in KINDS before they are shuffled again."""
        if not self.deck:
            self.deck = self.dice.sample(KINDS, len(KINDS))
        victim, kind, kills = self.dice.choice(["archive", "archive", "node", "both"]), self.deck.pop(), self.killer.kills
        self.looks_before, self.looked, self.exported = self.site_.looks(), 0, 0
        hit = True
        alone = kind in ("import", "start", "fsck", "rotate") or (kind in ("export", "backup") and len(self.sent.studies()) >= 3 and self.dice.random() < 0.5)
        if alone and self.site_.server is not None:
            self.site_.stop()
        if not alone and self.site_.server is None:
            self.site_.start()
        if kind == "import":
            self.import_round(victim, None)
        elif kind == "through":
            self.import_round(victim, self.site_.server)
        elif kind == "serve":
            self.store_round(victim)
        elif kind == "look":
            self.look_round(victim)
        elif kind == "export":
            self.export_round(victim, self.site_.server)
        elif kind == "backup":
            self.backup_round(victim, self.site_.server)
        elif kind == "compact":
            hit = self.compact_round(victim)
        elif kind == "start":
            self.start_round(victim)
        elif kind == "fsck":
            self.fsck_round(victim)
        else:
            self.rotate_round(victim)
        if hit and self.killer.kills > kills:
            self.struck.add(kind)
        else:
            self.deck.insert(0, kind)  # once more
        if self.site_.server is not None and self.site_.server.poll() is not None:
            self.forget_server()
        if self.site_.server is None and self.dice.random() < 0.7:
            self.site_.start()

    def test_nothing_acknowledged_is_lost(self):
        print(f"FIDUCIAL_SEED={SEED} FIDUCIAL_FAULTS={FAULTS}", flush=True)
        try:
            done = 0
            while self.killer.kills < FAULTS:
                before = self.killer.kills
                self.one_round()
                if self.killer.kills == before:
                    continue
                self.check_after_kill()
                done += 1
                if done % CHECK_EVERY == 0:
                    self.check_everything()
            if self.site_.server is not None:
                self.site_.stop()
            self.check_everything()
            if FAULTS >= 2 * len(KINDS):
                self.assertEqual(set(KINDS) - self.struck, set(), "never struck")
        except BaseException:
            print("\n".join(self.killer.told[-8:]), "\n", self.site_.serve_log()[-6000:], file=sys.stderr, flush=True)
            raise
        print(f"{self.killer.kills} kills, {len(self.sent.acknowledged)} of {len(self.sent.images)} images acknowledged, none lost, {self.looks} looks answered, each with its entry, {self.backups} backups, in {time.monotonic() - self.started:.0f} s")


class NodeAway(SystemTest):
    """The design's table for an archive whose node is away: storing goes on, own staff see by the last state, no proof is made up."""

    def setUp(self):
        super().setUp()
        self.dice = random.Random(SEED)
        self.geth = self.folder / "geth"  # where the configuration says it is; taken away and brought back
        self.real = pathlib.Path(shutil.which("geth") or pathlib.Path.home() / "go/bin/geth")
        self.geth.symlink_to(self.real)
        self.site_ = self.site(init=False)
        self.site_.init("--geth", self.geth)
        for person, role in (("scanner", "technologist"), ("ada", "doctor")):
            self.site_.run("person", "add", person, "--role", role)
        self.scanner, self.ada = self.site_.token("scanner"), self.site_.token("ada")
        self.images = make_images(self.dice, 2, 3)

    def strike_node(self):
        killed = nodes_of(self.site_.server.pid)
        for node in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(node, signal.SIGKILL)
        return killed

    def store_all(self, images):
        self.assertEqual([store(self.site_.url, self.scanner, image, GIVEN_UP) for image in images], [200] * len(images))

    def read(self, image, what=""):
        status, body = get(self.site_.url, self.ada, f"/studies/{image.study}/series/{image.series}/instances/{image.uid}{what}", GIVEN_UP)
        return status, image.bytes in body

    def check_all_settle(self, images):
        waited = self.site_.run("ledger", "wait", "--seconds", GIVEN_UP)
        self.assertEqual((waited["settled"], waited["waiting"], waited["incidents"]), (True, 0, 0))
        for image in images:
            self.assertEqual(self.read(image), (200, True))
            self.assertEqual(self.read(image, "/evidence")[0], 200)
        verified = self.site_.run("verify", "--all")
        self.assertEqual((verified["damaged"], verified["objects"]), ([], len(images)))
        self.assertEqual(self.site_.run("fsck")["findings"], [])

    def test_node_away_while_serving(self):
        known, later = self.images[:3], self.images[3:]
        with self.site_.serving():
            self.store_all(known)
            self.site_.run("ledger", "wait", "--seconds", GIVEN_UP)
            for image in known:
                self.assertEqual(self.read(image), (200, True))
            self.geth.unlink()
            self.assertEqual(len(self.strike_node()), 1)
            self.store_all(later)
            with self.subTest("own staff see by the last state"):
                self.assertEqual(self.read(known[0]), (200, True))
                self.assertEqual(self.read(later[0]), (200, True))  # nobody has looked at it yet
            with self.subTest("evidence of what the ledger is needed for is unavailable, not wrong"):
                wait_for(lambda: self.read(later[0], "/evidence")[0] != 404, GIVEN_UP, "its study has a version")
                self.assertEqual(self.read(later[0], "/evidence")[0], 503)
            with self.subTest("whoever operates it is told"):
                wait_for(lambda: self.site_.run("ledger", "status", codes=(0, 7))["node"]["problem"], GIVEN_UP, "the node is known to be away")
                report = self.site_.run("fsck", codes=(7,))
                self.assertEqual((report["findings"], report["clean"]), ([], False))
                self.assertIn("not compared", report["ledger"])
            self.geth.symlink_to(self.real)
            self.check_all_settle(self.images)

    def test_node_away_from_the_start(self):
        known, later = self.images[:3], self.images[3:]
        with self.site_.serving():
            self.store_all(known)
            self.site_.run("ledger", "wait", "--seconds", GIVEN_UP)
        self.geth.unlink()
        with self.site_.serving():
            self.store_all(later)
            for image in known + later:
                self.assertEqual(self.read(image), (200, True))  # by the last state that this archive has seen
            self.assertEqual(self.read(known[0], "/evidence")[0], 503)
            self.geth.symlink_to(self.real)  # it is found without a restart of the archive
            self.check_all_settle(self.images)
            self.assertEqual(len(nodes_of(self.site_.server.pid)), 1)

    def test_node_away_again_and_again(self):
        stop, killed = threading.Event(), []

        def strike():
            while not stop.wait(0.05):
                killed.extend(self.strike_node())

        with self.site_.serving():
            self.store_all(self.images[:1])
            killer = threading.Thread(target=strike)
            killer.start()
            try:
                self.store_all(self.images[1:])
                wait_for(lambda: len(killed) >= 4, GIVEN_UP, "killed four times")
            finally:
                stop.set()
                killer.join()
            self.check_all_settle(self.images)


if __name__ == "__main__":
    unittest.main(verbosity=2)
