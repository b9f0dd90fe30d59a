"""Backup and restore: the drill, in all the ways in which it is needed. Whatever was acknowledged before a backup began comes back bit for bit.

FIDUCIAL_FAULTS: the long form; a tenth of so many backups are killed (default 5). FIDUCIAL_SEED: repeats the same moments; printed at the start.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import unittest

from harness import FIDUCIAL, VERIFY, Site, SystemTest, files_of, flip_bit, sha256, wait_for

FAULTS = os.environ.get("FIDUCIAL_FAULTS")
KILLS = max(5, int(FAULTS or "0") // 10)
SEED = int(os.environ.get("FIDUCIAL_SEED", random.SystemRandom().randrange(1 << 32)))
DAMAGED, WRONG_PASSPHRASE, CONFLICT, USAGE, NOT_FOUND, LOCKED = 10, 12, 6, 2, 5, 13


def manifest_of(backup):
    return json.loads((backup / "manifest").read_text().split("\n", 1)[1])


def pieces_of(backup):
    return {path.name: path for path in files_of(backup / "pieces")}


class Backup(SystemTest):
    def setUp(self):
        super().setUp()
        self.dice = random.Random(SEED)
        files = sorted(self.samples().rglob("*.dcm"))
        studies = {}
        for file in files:
            studies.setdefault(file.parent, []).append(file)
        self.studies = list(studies.values())

    def backup(self, site, name="backup", **more):
        return site.run("backup", self.folder / name, **more)

    def restored(self, backup="backup", name="restored", *arguments, codes=(0,)):
        site = Site(self.folder / name)
        self.sites.append(site)
        report = site.run("restore", self.folder / backup, *arguments, codes=codes)
        return site, report

    def check(self, backup="backup", codes=(0,)):
        return Site(self.folder / "nowhere").raw("--json", "restore", "--check", self.folder / backup, codes=codes)

    def assert_holds(self, site, files):
        """These files, bit for bit, and nothing wrong anywhere."""
        fsck = site.run("fsck", codes=None)
        self.assertTrue(fsck["clean"], fsck)
        out = self.folder / f"out-{self.dice.getrandbits(40):x}"
        self.assertEqual(site.run("export", "--all", "--to", out)["damaged"], [])
        missing = {sha256(file) for file in files} - {sha256(path) for path in files_of(out)}
        self.assertEqual(missing, set())
        shutil.rmtree(out)

    def test_drill(self):
        site = self.site()
        first = [file for study in self.studies[:6] for file in study]
        last = self.studies[6]
        with site.serving():
            self.assertEqual(site.run("import", *first)["unsettled"], 0)
            study = site.run("list")["studies"][0]["studyInstanceUid"]
            site.raw("evidence", study, "--out", self.folder / "bundle.json")
            (self.folder / "trust.json").write_text(site.raw("trust").stdout)
            site.run("person", "add", "ada", "--role", "doctor")
            token = site.token("ada")
            whole = self.backup(site)
            self.assertGreater(whole["bytesCopied"], sum(file.stat().st_size for file in first))
            self.assertEqual(site.run("import", *last)["unsettled"], 0)
            shutil.copy(site.folder / "trust.json", site.folder / "trust.json.1")  # as where a next one was accepted
            more = self.backup(site)
            new = sum(file.stat().st_size for file in last)
            self.assertLess(more["bytesCopied"], new + (2 << 20), "only what is new")
            self.assertGreater(more["bytes"], whole["bytes"])
            self.assertLess(self.backup(site)["bytesCopied"], 1 << 20)
        with self.subTest("nothing readable, and one version of everything"):
            named = {piece[0] for file in manifest_of(self.folder / "backup")["files"].values() for piece in file["pieces"]}
            pieces = pieces_of(self.folder / "backup")
            self.assertEqual(named, set(pieces))
            patient = site.run("list")["studies"][0]["patientName"].split("^")[0].encode()
            self.assertGreater(len(patient), 3)
            self.assertFalse(any(patient in path.read_bytes() for path in pieces.values()))
        with self.subTest("the check reads all of it"):
            self.assertEqual(json.loads(self.check().stdout)["bytes"], manifest_bytes(self.folder / "backup"))
        shutil.rmtree(site.folder)

        site, report = self.restored()
        self.assertEqual((report["lost"], report["erased"]), ([], 0))
        self.assert_holds(site, first + last)
        self.assertEqual({person["name"] for person in site.run("person", "list")["people"]}, {"operator", "ada"})
        self.assertTrue(site.run("ledger", "status")["healthy"])
        verified = site.run("verify", "--all")
        self.assertEqual((verified["settled"], verified["damaged"]), (verified["studies"], []))
        self.assertEqual((site.folder / "trust.json.1").read_bytes(), (self.folder / "trust.json").read_bytes())
        with self.subTest("evidence: of before and of now, under the trust file of before"):
            out = self.folder / "out"
            site.run("export", study, "--to", out)
            site.raw("evidence", study, "--out", self.folder / "again.json")
            for bundle in ("bundle.json", "again.json"):
                outcome = subprocess.run([VERIFY, self.folder / bundle, "--trust", self.folder / "trust.json", files_of(out)[0]], capture_output=True, text=True)
                self.assertEqual(outcome.returncode, 0, outcome.stdout + outcome.stderr)
        with self.subTest("it goes on: new exams are settled, tokens of before open nothing, and it can be backed up"):
            self.assertEqual(site.run("import", *self.studies[7])["unsettled"], 0)
            with site.serving() as url:
                for given, status in ((token, "401"), (site.token("ada"), "404")):
                    answer = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Bearer {given}", f"{url}/studies/1.2.3"], capture_output=True, text=True)
                    self.assertEqual(answer.stdout, status)
            self.assertLess(self.backup(site)["bytesCopied"], 30 << 20)
            self.assert_holds(site, first + last + self.studies[7])

    def test_while_an_import_runs(self):
        site = self.site()
        files = [file for study in self.studies[:12 if FAULTS is None else None] for file in study]
        with site.serving():
            importing = subprocess.Popen([FIDUCIAL, "import", "--each", "-q", *map(str, files)], env=site.environment(), stdout=subprocess.PIPE, text=True)
            self.addCleanup(importing.stdout.close)
            acknowledged = []
            for line in importing.stdout:
                outcome, _, path = line.strip().partition(" ")
                if outcome != "stored":
                    continue
                acknowledged.append(pathlib.Path(path.strip()))
                if len(acknowledged) % 25 == 5:  # the import goes on meanwhile
                    self.backup(site, f"backup-{len(acknowledged)}")
            importing.wait(60)
            self.assertEqual(importing.returncode, 0)
            self.assertEqual(len(acknowledged), len(files))
        backups = sorted(self.folder.glob("backup-*"), key=lambda path: int(path.name.split("-")[1]))
        self.assertGreaterEqual(len(backups), 2)
        for backup in backups[1:2] if FAULTS is None else backups:
            count = int(backup.name.split("-")[1])
            restored, report = self.restored(backup.name, f"site-of-{backup.name}")
            self.assertEqual(report["lost"], [])
            self.assertTrue(restored.run("ledger", "wait", "--seconds", "60")["settled"])
            self.assert_holds(restored, acknowledged[:count])
            shutil.rmtree(restored.folder)

    def test_killed(self):
        print(f"seed {SEED}")
        site = self.site()
        backup = self.folder / "backup"
        kept, stored, kills = [], [], 0
        for kill in range(KILLS):
            study = self.studies[kill % len(self.studies)]
            site.run("import", *study)
            stored += study
            through = kill % 3 == 2
            if through:
                site.start()
            process = subprocess.Popen([FIDUCIAL, "-q", "backup", backup], env=site.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
            time.sleep(self.dice.uniform(0, 0.4 if through else 1.6 if kills else 0.1))  # the first comes before it can be through
            if through:
                site.stop(signal.SIGKILL)
            else:
                process.kill()
            process.wait(60)
            process.stderr.close()
            kills += process.returncode != 0
            if process.returncode == 0:
                kept = list(stored)
            if (backup / "manifest").exists():
                self.check()
            elif backup.exists():
                self.check(codes=(NOT_FOUND,))
            wait_for(lambda: not lives(site), 20, "what was killed left nothing behind")
        self.assertGreater(kills, 0)
        if (backup / "manifest").exists():
            restored, _ = self.restored(name="of-the-last")
            self.assert_holds(restored, kept)
        self.backup(site)
        self.check()
        self.assertEqual({piece[0] for file in manifest_of(backup)["files"].values() for piece in file["pieces"]}, set(pieces_of(backup)))
        self.assertFalse((site.folder / "working/index.db").exists())
        restored, _ = self.restored(name="of-the-whole")
        self.assert_holds(restored, stored)

    def test_damaged_or_not_ours(self):
        site = self.site(init=False)
        shares = []
        for number, text in enumerate(site.init()["recoveryShares"][:2]):
            share = self.folder / f"share-{number}"
            share.write_text(text)
            shares += ["--share-file", share]
        site.run("import", *self.studies[0])
        self.backup(site)
        whole, backup = self.folder / "backup", self.folder / "damaged"

        def damaged(change, *expected, code=DAMAGED, environment=None):
            shutil.rmtree(backup, ignore_errors=True)
            shutil.copytree(whole, backup)
            change(backup)
            for arguments in (["restore", "--check", backup], ["restore", backup]):
                outcome = Site(self.folder / "restored").raw(*arguments, codes=(code,), environment=environment)
                for text in expected:
                    self.assertIn(text, outcome.stderr)
                self.assertEqual([path.name for path in self.folder.glob("restored*")], [])

        files = manifest_of(whole)["files"]
        for name in ("store/segments/00000001.segment", "store/index.db", "trace/trace.log", "ledger/blocks.rlp", "store/secrets/study-000000.page", "keys/gateway.key"):
            digest = files[name]["pieces"][-1][0]
            with self.subTest(f"a bit of {name}"):
                damaged(lambda at, digest=digest: flip_bit(pieces_of(at)[digest], 5), name, digest, "is not what was written")
        with self.subTest("a piece that is gone, and one that is cut"):
            two = [files["store/index.db"]["pieces"][0][0], files["store/segments/00000001.segment"]["pieces"][0][0]]

            def lose(at):
                pieces_of(at)[two[0]].unlink()
                os.truncate(pieces_of(at)[two[1]], 100)
            damaged(lose, "2 places", "store/index.db, bytes 0 to", "is missing", "store/segments/00000001.segment, bytes 0 to")
        with self.subTest("an altered manifest"):
            damaged(lambda at: (at / "manifest").write_text((at / "manifest").read_text().replace('"madeMs":1', '"madeMs":2')), "it was altered")
        with self.subTest("wrong passphrase"):
            damaged(lambda at: None, code=WRONG_PASSPHRASE, environment={"FIDUCIAL_PASSPHRASE": "wrong"})
        with self.subTest("no backup, another's folder, the site's own, one that is in use"):
            Site(self.folder / "restored").raw("restore", self.folder / "nothing", codes=(NOT_FOUND,))
            self.assertIn("exists and is not empty", Site(site.folder).raw("restore", whole, codes=(CONFLICT,)).stderr)
            self.assertIn("holds something else", site.raw("backup", self.folder, codes=(CONFLICT,)).stderr)
            self.assertIn("within the site", site.raw("backup", site.folder / "copy", codes=(USAGE,)).stderr)
            other = self.site("other")
            self.assertIn("another site's backup", other.raw("backup", whole, codes=(CONFLICT,)).stderr)
        with self.subTest("the next one mends it"):
            for name in ("store/index.db", "ledger/blocks.rlp", "store/segments/00000001.segment"):
                flip_bit(pieces_of(whole)[files[name]["pieces"][0][0]], 5)
            for line in self.check(codes=(DAMAGED,)).stdout.split(";"):
                if "is not what was written" in line:
                    pathlib.Path(line.split(": ")[-1].split(" is not")[0]).unlink()
            self.backup(site)
            self.check()
        with self.subTest("the passphrase is lost: the recovery shares open the mended one"):
            fresh = {"FIDUCIAL_PASSPHRASE": "another passphrase"}
            restored = Site(self.folder / "restored")
            restored.raw("restore", whole, *shares[:2], codes=(USAGE,), environment=fresh)
            restored.run("restore", whole, *shares, environment=fresh)
            restored.raw("list", codes=(WRONG_PASSPHRASE,))
            self.assertTrue(json.loads(restored.raw("--json", "fsck", environment=fresh).stdout)["clean"])

    def test_older_than_the_chain(self):
        """The chain survived, the rest did not: what came after the backup is named."""
        site = self.site()
        site.run("import", *self.studies[0])
        self.backup(site)
        site.run("import", *self.studies[1])
        shutil.copytree(site.folder / "ledger", self.folder / "survived", ignore=shutil.ignore_patterns("*.ipc"))
        shutil.rmtree(site.folder)
        site, report = self.restored("backup", "restored", "--ledger", self.folder / "survived", codes=(1,))
        lost = {entry["studyKey"] for entry in report["lost"]}
        self.assertGreaterEqual(len(lost), 1)
        found = site.run("fsck", codes=(DAMAGED,))["findings"]
        self.assertEqual({finding["kind"] for finding in found}, {"lost_version"}, found)
        self.assertEqual({finding["subject"].split()[2] for finding in found}, lost)
        self.assertEqual(site.run("import", *self.studies[2])["unsettled"], 0, "nonces go on where the chain stands")
        self.assertTrue(site.run("ledger", "status")["healthy"])

    def test_a_site_copied_and_started_twice(self):
        """On a ledger that both reach, each finds that somebody else uses its account. (Two sites with a node of their own each have a chain of their own.)"""
        net = self.folder / "net"
        subprocess.run([FIDUCIAL, "ledger", "network", "1", net, "--period", "1"], check=True, capture_output=True)
        self.addCleanup(lambda: (net / "stop").exists() and subprocess.run([net / "stop"]))
        subprocess.run([net / "start"], check=True)
        wait_for(lambda: (net / "node1/geth.ipc").exists(), 60, "the node answers")
        site = self.site(init=False)
        site.init("--ledger", net / "node1/geth.ipc", "--deployer-key", net / "deployer.key")
        self.assertEqual(site.run("import", *self.studies[0])["unsettled"], 0)
        self.assertTrue(site.run("ledger", "status")["healthy"])
        shutil.copytree(site.folder, self.folder / "copy")
        copy = Site(self.folder / "copy")
        self.assertEqual(copy.run("import", *self.studies[1])["unsettled"], 0)
        with site.serving():
            wait_for(lambda: "foreignNonce" in site.run("ledger", "status", codes=None), 30, "the copy is noticed")
            self.assertFalse(site.run("ledger", "status", codes=(7,))["healthy"])
            found = {finding["kind"]: finding for finding in site.run("fsck", codes=(DAMAGED,))["findings"]}
            self.assertIn("a copy of the site is running", found["foreign_transaction"]["advice"])
            self.assertIn("lost_version", found)  # what the copy took in
            self.assertEqual(site.run("import", *self.studies[2])["unsettled"], 0, "it goes on meanwhile")
        site.run("fsck", "--repair", codes=(DAMAGED,))
        self.assertTrue(site.run("ledger", "status")["healthy"])


def manifest_bytes(backup):
    return sum(file["size"] for file in manifest_of(backup)["files"].values())


def lives(site):
    return any(str(site.folder).encode() in path.read_bytes() for path in map(pathlib.Path, command_lines()) if path.exists())


def command_lines():
    return [f"/proc/{pid}/cmdline" for pid in os.listdir("/proc") if pid.isdigit()]


if __name__ == "__main__":
    unittest.main(verbosity=2)
