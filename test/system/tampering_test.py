"""What somebody changes behind the archive's back is found and named, nothing that was changed is given out, and the rest goes on."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

import pydicom

from harness import FIDUCIAL, Site, SystemTest, files_of, flip_bit, sha256, wait_for

DAMAGED = 10


class Tampering(SystemTest):
    """Each test works on a copy of one prepared site: a CT study with two versions, and another exam that is never touched."""

    @classmethod
    def setUpClass(cls):
        cls.prepared = pathlib.Path(tempfile.mkdtemp(prefix="fiducial-test-"))
        self = cls()
        by_study = {}
        for file in sorted(self.samples().rglob("*.dcm")):
            by_study.setdefault(pydicom.dcmread(file, stop_before_pixels=True).StudyInstanceUID, []).append(file)
        cls.study = max(by_study, key=lambda uid: len(by_study[uid]))
        cls.other = next(uid for uid, files in sorted(by_study.items()) if len(files) == min(map(len, by_study.values())))
        cls.files = by_study[cls.study][:4]
        cls.other_files = by_study[cls.other][:1]
        cls.uids = [pydicom.dcmread(f, stop_before_pixels=True).SOPInstanceUID for f in cls.files]
        site = Site(cls.prepared / "site")
        site.init()
        site.run("import", *cls.files, *cls.other_files)
        shutil.copytree(site.folder, cls.prepared / "earlier")
        corrected = pydicom.dcmread(cls.files[0])
        corrected.StudyDescription = "Corrected afterwards"
        corrected.save_as(cls.prepared / "corrected.dcm")
        report = site.run("import", cls.prepared / "corrected.dcm")
        assert report["newVersions"] == 1, report
        assert site.run("fsck")["clean"]

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.prepared, ignore_errors=True)

    def copy(self):
        site = self.site(init=False)
        shutil.copytree(self.prepared / "site", site.folder)
        return site

    def change(self, site, *statements):
        database = site.database()
        for statement in statements:
            database.execute(*statement) if isinstance(statement, tuple) else database.execute(statement)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()

    def assert_found(self, site, *names, by=("verify", "fsck"), mends=None):
        """Found by each of the commands, with its exit code and one of the names; the untouched exam still comes out whole."""
        for command in by:
            arguments = ("verify", self.study) if command == "verify" else (command,)
            found = site.raw("--json", *arguments, codes=None)
            self.assertEqual(found.returncode, DAMAGED, f"{command}: {found.stdout}{found.stderr}")
            text = found.stdout + found.stderr
            self.assertTrue(any(name in text for name in names), f"{command} names none of {names}: {text[:3000]}")
        self.assert_other_is_whole(site)
        if mends:
            site.raw(*mends, codes=(0, DAMAGED))
            self.assertEqual(site.run("fsck")["findings"], [])
            self.assertEqual(site.run("verify", "--all")["damaged"], [])

    def assert_other_is_whole(self, site):
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        self.assertEqual(site.run("export", self.other, "--to", out)["files"], len(self.other_files))
        self.assertEqual([sha256(p) for p in files_of(out)], [sha256(p) for p in self.other_files])

    # Rows of the index

    def test_changed_rows(self):
        """A patient's name, a fingerprint, a chunk root, and whose study an instance is: all at once, each named."""
        site = self.copy()
        rows = [site.row_of(uid) for uid in self.uids]
        self.change(site, ("UPDATE patients SET name = 'SOMEBODY^ELSE' WHERE id = (SELECT patient FROM studies WHERE study_uid = ?)", [self.study]),
                    ("UPDATE objects SET sha256 = ? WHERE object_id = ?", ["00" * 32, rows[1]["object_id"]]),
                    ("UPDATE objects SET chunk_root = ? WHERE object_id = ?", ["00" * 32, rows[2]["object_id"]]),
                    ("UPDATE instances SET study = study + 1000 WHERE object_id = ?", [rows[3]["object_id"]]))
        found = site.raw("--json", "fsck", codes=(DAMAGED,)).stdout
        for name in ("patients", rows[1]["object_id"], rows[2]["object_id"]):
            self.assertIn(name, found)
        self.assertIn("of instances", found)
        listed = site.raw("--json", "list", codes=None)
        self.assertEqual(listed.returncode, DAMAGED, listed.stdout)
        self.assertNotIn("SOMEBODY", listed.stdout)
        self.assert_found(site, self.study, "patients", by=("verify",), mends=("fsck", "--rebuild-index"))

    def test_deleted_rows(self):
        site = self.copy()
        one, two = site.row_of(self.uids[1])["object_id"], site.row_of(self.uids[2])["object_id"]
        self.change(site, ("DELETE FROM instances WHERE object_id = ?", [one]), ("DELETE FROM objects WHERE object_id = ?", [two]))
        self.assert_found(site, self.study, self.uids[1], self.uids[2], mends=("fsck", "--rebuild-index"))

    def test_rows_replayed_from_an_older_index(self):
        """Every row is genuine, and none of them is the latest: all but the study's versions are set back to before the correction."""
        site = self.copy()
        database = site.database()
        database.execute("ATTACH ? AS earlier", [str(self.prepared / "earlier/store/index.db")])
        for table in ("patients", "studies", "series", "objects", "instances"):
            database.execute(f"DELETE FROM {table}" + (" WHERE kind = 1" if table == "objects" else ""))
            database.execute(f"INSERT OR IGNORE INTO {table} SELECT * FROM earlier.{table}")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        self.assert_found(site, self.study, self.uids[0])

    def test_a_study_shown_short(self):
        """An instance taken away with all its rows, and the study's own row put back to before it came: everything left is genuine."""
        site = self.copy()
        database = site.database()
        database.execute("ATTACH ? AS earlier", [str(self.prepared / "earlier/store/index.db")])
        gone = database.execute("SELECT object_id FROM instances WHERE object_id NOT IN (SELECT object_id FROM earlier.instances)").fetchall()
        self.assertEqual(len(gone), 1)
        for table in ("instances", "objects"):
            database.execute(f"DELETE FROM {table} WHERE object_id = ?", list(gone[0]))
        database.execute("DELETE FROM instances WHERE sop_uid = ?", [self.uids[0]])
        database.execute("INSERT INTO instances SELECT * FROM earlier.instances WHERE sop_uid = ?", [self.uids[0]])
        database.execute("DELETE FROM objects WHERE object_id IN (SELECT object_id FROM earlier.instances WHERE sop_uid = ?)", [self.uids[0]])
        database.execute("INSERT INTO objects SELECT * FROM earlier.objects WHERE object_id IN (SELECT object_id FROM earlier.instances WHERE sop_uid = ?)", [self.uids[0]])
        database.execute("DELETE FROM studies WHERE study_uid = ?", [self.study])
        database.execute("INSERT INTO studies SELECT * FROM earlier.studies WHERE study_uid = ?", [self.study])
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        self.assert_found(site, self.uids[0], self.study, mends=("fsck", "--rebuild-index"))

    def put_back(self, site, *names):
        for name in names:
            for path in (site.folder / "store").glob(name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for path in (self.prepared / "earlier/store").glob(name):
                shutil.copytree(path, site.folder / "store" / path.name) if path.is_dir() else shutil.copy(path, site.folder / "store")

    def test_an_older_index(self):
        """The database set back: objects and versions come back from the segments."""
        site = self.copy()
        self.put_back(site, "index.db*")
        found = site.run("fsck", codes=(DAMAGED,))["findings"]
        self.assertEqual([finding["kind"] for finding in found], ["foreign_transaction"], found)  # signed by an archive that knew more
        site.run("fsck", "--repair", codes=(DAMAGED,))
        self.assertTrue(site.run("fsck")["clean"])
        self.assert_versions_are_settled(site)

    def test_an_older_store(self):
        """Database and segments set back: the ledger knows of a version that the archive does not."""
        site = self.copy()
        self.put_back(site, "index.db*", "segments", "secrets")
        found = site.raw("--json", "fsck", codes=None)
        self.assertEqual(found.returncode, DAMAGED, found.stdout + found.stderr)
        self.assertIn("lost_version", found.stdout)
        self.assert_other_is_whole(site)

    def test_a_lost_index(self):
        """All that is not in the database comes back at the next start, versions too; people must be added again."""
        site = self.copy()
        facts = json.loads((site.folder / "site.json").read_text())
        self.assertEqual(facts["operatorName"], "operator")
        (site.folder / "site.json").write_text(json.dumps({**facts, "operatorName": "op1"}))
        for file in (site.folder / "store").glob("index.db*"):
            file.unlink()
        found = site.raw("--json", "list")
        self.assertIn("versions that the index had lost were made again", found.stderr)
        self.assert_versions_are_settled(site)
        self.assertTrue(site.run("fsck")["clean"])
        self.assertEqual(site.run("verify", "--all")["damaged"], [])
        self.assertEqual([person["name"] for person in site.run("person", "list")["people"]], ["op1"])
        report = site.run("import", *self.files[1:], *self.other_files)
        self.assertEqual((report["stored"], report["duplicates"]), (0, len(self.files)))
        self.assert_versions_are_settled(site)

    def assert_versions_are_settled(self, site):
        site.run("ledger", "status")
        versions = site.run("show", self.study)["versions"]
        self.assertEqual([v["version"] for v in versions], [1, 2])
        outbox = site.run("ledger", "status")["outbox"]
        self.assertEqual(outbox["incidents"], 0, outbox)
        self.assert_other_is_whole(site)

    def test_a_damaged_database_file(self):
        """Named with what to do; made again from the segments once somebody says so, and the damaged one is kept."""
        site = self.copy()
        index = site.folder / "store/index.db"
        for file in (site.folder / "store").glob("index.db-*"):
            file.unlink()
        size = index.stat().st_size
        with open(index, "r+b") as file:
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        for command in (["list"], ["verify", "--all"], ["fsck"]):
            found = site.raw(*command, codes=(DAMAGED,))
            self.assertIn("--rebuild-index", found.stderr + found.stdout)
        self.assertEqual(index.stat().st_size, size)
        site.raw("fsck", "--rebuild-index", codes=(0, DAMAGED))
        self.assertEqual(len(list((site.folder / "store").glob("index.db.damaged-*"))), 1)
        self.assert_versions_are_settled(site)
        self.assertEqual(site.run("fsck")["findings"], [])
        self.assertEqual(site.run("verify", "--all")["damaged"], [])

    def test_swapped_places(self):
        site = self.copy()
        a, b = site.row_of(self.uids[1]), site.row_of(self.uids[2])
        move = "UPDATE objects SET segment = ?, position = ? WHERE object_id = ?"
        self.change(site, (move, [b["segment"], b["position"], a["object_id"]]), (move, [a["segment"], a["position"], b["object_id"]]))
        self.assert_found(site, a["object_id"], b["object_id"], self.uids[1], self.uids[2], mends=("fsck", "--rebuild-index"))

    def test_rows_of_the_outbox(self):
        """Whoever can write to the index cannot make the gateway sign: an added call and a changed record are named and never sent."""
        site = self.copy()
        facts = json.loads((site.folder / "site.json").read_text())
        self.change(site, ("INSERT INTO ledger_outbox(kind, state, created_ms, not_before_ms, to_address, calldata, tag, gas_limit, problem, mac)"
                           " VALUES (1, 0, 1, 0, ?, '51d72a2b', 'made up', 300000, '', ?)", [facts["consents"][2:], "0" * 64]),
                    ("UPDATE ledger_outbox SET state = 0, nonce = NULL, fields = replace(fields, '1', '2') WHERE id = (SELECT min(id) FROM ledger_outbox WHERE kind = 0)"))
        found = site.raw("--json", "fsck", codes=(DAMAGED,)).stdout
        self.assertEqual(found.count('"altered_row"'), 2, found)
        with site.serving():
            wait_for(lambda: site.run("ledger", "status", codes=(0, 7))["outbox"]["incidents"] == 2, 30, "two incidents")
        with contextlib.closing(site.database()) as database:
            self.assertEqual([tuple(row) for row in database.execute("SELECT state, nonce FROM ledger_outbox WHERE problem LIKE '%behind our back%'")], [(4, None)] * 2)
        site.raw("fsck", "--repair", codes=(0, DAMAGED))
        self.assertEqual(site.run("fsck")["findings"], [])
        self.assertEqual(site.run("verify", "--all")["damaged"], [])

    def test_rows_of_the_outbox_mended_with_the_node_away(self):
        """No record is lost by a repair that could not ask the ledger; a version without a row is a finding, not the end of the command."""
        site = self.copy()
        configuration = site.folder / "fiducial.toml"
        text = configuration.read_text()
        with contextlib.closing(site.database()) as database:
            records = sorted(row[0] for row in database.execute("SELECT record FROM ledger_outbox WHERE kind = 0"))
        self.change(site, "UPDATE ledger_outbox SET fields = replace(fields, '1', '2') WHERE kind = 0")
        configuration.write_text(re.sub(r'(?m)^geth = ".*"$', 'geth = "/nonexistent/geth"', text))
        self.assertIn('"/nonexistent/geth"', configuration.read_text())
        site.raw("fsck", "--repair", codes=(DAMAGED,))
        with contextlib.closing(site.database()) as database:
            self.assertEqual(sorted(row[0] for row in database.execute("SELECT record FROM ledger_outbox WHERE kind = 0 AND state IN (0, 1)")), records)
        configuration.write_text(text)
        site.run("ledger", "wait", "--seconds", "60")
        self.assertEqual(site.run("fsck")["findings"], [])
        self.change(site, "DELETE FROM ledger_outbox WHERE kind = 0")
        self.assertIn("the outbox does not know of version", site.raw("--json", "verify", "--all", codes=(DAMAGED,)).stdout)
        site.raw("fsck", "--repair", codes=(0, DAMAGED))
        self.assertEqual(site.run("verify", "--all")["damaged"], [])

    # Bytes of the store

    def test_a_changed_bit_of_an_object(self):
        site = self.copy()
        site.flip(self.uids[1])
        object_id = site.row_of(self.uids[1])["object_id"]
        self.assert_found(site, self.uids[1], object_id)
        with self.subTest("it is in quarantine, named, and no more given out"):
            quarantined = site.run("quarantine", "list")["quarantined"]
            self.assertEqual([q["sopInstanceUid"] for q in quarantined], [self.uids[1]])
            report = site.run("export", self.study, "--to", self.folder / "out", codes=(DAMAGED,))
            self.assertEqual([d["sopInstanceUid"] for d in report["damaged"]], [self.uids[1]])
            self.assertNotIn(self.uids[1], " ".join(str(p) for p in files_of(self.folder / "out")))
            self.assertEqual(report["files"], len(self.files) - 1)
        with self.subTest("it is not taken back before it is mended"):
            self.assertEqual(site.raw("quarantine", "restore", object_id, codes=None).returncode, DAMAGED)
            site.flip(self.uids[1])
            site.run("quarantine", "restore", object_id)
            self.assertEqual(site.run("verify", "--all")["damaged"], [])
            self.assertEqual(site.run("fsck")["findings"], [])

    def test_swapped_bytes_of_two_objects(self):
        site = self.copy()
        a, b = site.row_of(self.uids[1]), site.row_of(self.uids[2])
        self.assertEqual(a["segment"], b["segment"])
        with open(site.segment(a["segment"]), "r+b") as file:
            pieces = []
            for row in (a, b):
                file.seek(row["position"] - 100_000)
                pieces.append(file.read(40_000))
            for row, piece in zip((b, a), pieces):
                file.seek(row["position"] - 100_000)
                file.write(piece)
        self.assert_found(site, self.uids[1], self.uids[2], a["object_id"], b["object_id"])
        self.assertEqual({q["sopInstanceUid"] for q in site.run("quarantine", "list")["quarantined"]}, {self.uids[1], self.uids[2]})

    def test_a_damaged_manifest(self):
        site = self.copy()
        database = site.database()
        row = database.execute("SELECT o.* FROM objects o JOIN study_versions v ON v.manifest = o.object_id WHERE v.study_uid = ? AND v.version = 2", [self.study]).fetchone()
        database.close()
        flip_bit(site.segment(row["segment"]), row["position"] - 300 if row["size"] < 4000 else row["position"] - 1000)
        self.assert_found(site, self.study, row["object_id"])

    def test_a_truncated_segment(self):
        site = self.copy()
        position = site.row_of(self.uids[1])["position"]
        with open(site.segment(), "r+b") as file:
            file.truncate(position - 1000)
        found = site.raw("--json", "fsck", codes=None)
        self.assertEqual(found.returncode, DAMAGED, found.stdout + found.stderr)
        self.assertRegex(found.stdout + found.stderr, "segment")
        self.assertEqual(site.segment().stat().st_size, position - 1000, "what is left stays as it is, for whoever mends it")
        before_the_cut = site.raw("--json", "verify", "--instance", self.uids[0], codes=None)
        self.assertNotIn(before_the_cut.returncode, (70,), before_the_cut.stdout)
        shutil.copy(self.prepared / "site/store/segments" / site.segment().name, site.segment())
        self.assertEqual(site.run("fsck")["findings"], [])

    def test_changed_secrets(self):
        site = self.copy()
        kept = self.folder / "secrets"
        shutil.copytree(site.folder / "store/secrets", kept)
        for file in sorted((site.folder / "store/secrets").iterdir()):
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 1
            file.write_bytes(data)
        found = site.raw("--json", "fsck", codes=None)
        self.assertEqual(found.returncode, DAMAGED, found.stdout + found.stderr)
        self.assertIn("secret", (found.stdout + found.stderr).lower())
        site.raw("verify", "--all", codes=None)
        site.raw("export", self.other, "--to", self.folder / "out", codes=None)
        shutil.rmtree(site.folder / "store/secrets")
        shutil.copytree(kept, site.folder / "store/secrets")
        self.assertEqual(site.run("quarantine", "list")["quarantined"], [])  # the objects were never the damaged part
        self.assertEqual(site.run("fsck")["findings"], [])

    # The trace

    def test_a_changed_trace(self):
        site = self.copy()
        flip_bit(site.folder / "trace/trace.log", -200)
        found = site.raw("--json", "fsck", codes=None)
        self.assertEqual(found.returncode, DAMAGED, found.stdout + found.stderr)
        self.assertIn("trace", found.stdout + found.stderr)

    def test_an_older_trace(self):
        site = self.copy()
        self.assertLess((self.prepared / "earlier/trace/trace.log").stat().st_size, (site.folder / "trace/trace.log").stat().st_size)
        shutil.copy(self.prepared / "earlier/trace/trace.log", site.folder / "trace/trace.log")
        found = site.raw("--json", "fsck", codes=None)
        self.assertEqual(found.returncode, DAMAGED, found.stdout + found.stderr)
        self.assertIn("trace", found.stdout + found.stderr)

    def test_a_lost_trace(self):
        site = self.copy()
        for file in (site.folder / "trace").iterdir():
            file.unlink()
        for command in ("fsck", "list"):
            found = site.raw("--json", command, codes=(DAMAGED,))
            self.assertIn("trace.log is missing; put the folder trace/ back", found.stdout + found.stderr)
        self.assertEqual(list((site.folder / "trace").iterdir()), [])
        with self.subTest("without a backup somebody decides to go on"):
            begun = site.raw("--json", "fsck", "--new-trace", codes=(DAMAGED,))
            self.assertIn("a new trace is begun", begun.stderr)
            (finding,) = json.loads(begun.stdout)["findings"]
            self.assertEqual(finding["kind"], "lost_trace")
            self.assertRegex(finding["what"], r"\d+ [0-9a-f]{64}$")
            self.assertEqual(site.run("fsck")["findings"], [])
            self.assertEqual(site.run("verify", "--all")["damaged"], [])
            self.assertEqual(site.run("fsck", "--new-trace")["findings"], [])
            self.assertEqual(len(list(site.folder.glob("trace.lost-*"))), 1)  # one that is there is never replaced

    def test_an_older_trace_with_its_head(self):
        """Whole and genuine, and not the latest: told of until somebody decides to go on from it."""
        site = self.copy()
        shutil.rmtree(site.folder / "trace")
        shutil.copytree(self.prepared / "earlier/trace", site.folder / "trace")
        for _ in range(2):
            self.assertEqual([f["kind"] for f in site.run("fsck", codes=(DAMAGED,))["findings"]], ["older_trace"])
        self.assertIn("older_trace", site.raw("--json", "fsck", "--repair", codes=(0, DAMAGED)).stdout)
        self.assertEqual(site.run("fsck")["findings"], [])
        with self.subTest("the index says no more how long it is"):
            self.change(site, "DELETE FROM archive_facts WHERE name = 'trace'")
            self.assertIn("older_trace", site.raw("--json", "fsck", codes=(DAMAGED,)).stdout)

    # People and tokens

    def test_a_changed_person(self):
        """One row of people shuts out one person."""
        site = self.copy()
        for name in ("dora", "theo"):
            site.run("person", "add", name, "--role", "doctor")
        tokens = {name: site.token(name) for name in ("dora", "theo")}
        self.change(site, "UPDATE people SET roles = 1023 WHERE name IN ('operator', 'dora')")
        listed = site.run("person", "list")
        self.assertEqual([person["name"] for person in listed["people"]], ["theo"])
        self.assertEqual({person["name"] for person in listed["damaged"]}, {"operator", "dora"})
        site.run("list")
        self.assert_tokens(site, {tokens["dora"]: False, tokens["theo"]: True})
        self.assertEqual([f["kind"] for f in site.run("fsck", codes=(DAMAGED,))["findings"]], ["damaged_row"] * 2)
        site.raw("fsck", "--repair", codes=(0, DAMAGED))
        self.assertEqual(site.run("fsck")["findings"], [])
        self.assertEqual({person["name"] for person in site.run("person", "list")["people"]}, {"operator", "theo"})
        site.run("person", "add", "dora", "--role", "doctor")
        self.assert_tokens(site, {tokens["dora"]: False, tokens["theo"]: True, site.token("dora"): True})

    def test_people_and_tokens_put_back(self):
        """A token that was taken back stays so, with rows, register and all put back; deleted people are missed."""
        site = self.copy()
        for name in ("dora", "theo"):
            site.run("person", "add", name, "--role", "doctor")
        token = site.token("dora")
        tables = ("people", "tokens", "archive_facts")
        self.change(site, *(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}" for table in tables))
        site.run("token", "--person", "dora", "--revoke")

        def put_back(*names):
            self.change(site, *(s for table in names for s in (f"DELETE FROM {table}", f"INSERT INTO {table} SELECT * FROM kept_{table}")))
        put_back("people", "tokens")
        self.assert_tokens(site, {token: False})
        found = site.run("fsck", codes=(DAMAGED,))["findings"]
        self.assertEqual([(f["kind"], f["subject"]) for f in found], [("damaged_row", "person dora")])
        with self.subTest("the register too: the trace tells"):
            put_back("people", "tokens", "archive_facts")
            self.assertEqual([f["kind"] for f in site.run("fsck", codes=(DAMAGED,))["findings"]], ["older_people"])
            site.raw("fsck", "--repair", codes=(0, DAMAGED))
            self.assertEqual(site.run("fsck")["findings"], [])
            self.assert_tokens(site, {token: False})
        with self.subTest("deleted"):
            self.change(site, "DELETE FROM people")
            self.assertEqual([f["kind"] for f in site.run("fsck", codes=(DAMAGED,))["findings"]], ["damaged_row"] * 3)
            site.raw("fsck", "--repair", codes=(0, DAMAGED))
            self.assertEqual([person["name"] for person in site.run("person", "list")["people"]], ["operator"])

    def assert_tokens(self, site, opens):
        with site.serving() as url:
            for token, expected in opens.items():
                request = urllib.request.Request(f"{url}/studies/{self.other}/record", headers={"Authorization": f"Bearer {token}"})
                try:
                    with urllib.request.urlopen(request) as answer:
                        opened = answer.status == 200
                except urllib.error.HTTPError as refused:
                    opened = False
                    self.assertIn(refused.code, (401, 500), refused.read())
                self.assertEqual(opened, expected)

    # Who may

    def test_wrong_passphrase_and_key_file(self):
        site = self.copy()
        wrong = site.raw("--json", "list", codes=None, environment={"FIDUCIAL_PASSPHRASE": "not the one"})
        self.assertEqual(wrong.returncode, 12, wrong.stdout)
        self.assertNotIn("not the one", wrong.stdout + wrong.stderr)
        key = next(p for p in files_of(site.folder / "keys") if "site" in p.name)
        flip_bit(key, -5)
        broken = site.raw("--json", "list", codes=None)
        self.assertIn(broken.returncode, (DAMAGED, 12), broken.stdout)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root, to act as another user")
    def test_a_site_that_its_user_may_not_read(self):
        site = self.copy()
        os.chmod(self.folder, 0o755)
        program = self.folder / "fiducial"
        shutil.copy(FIDUCIAL, program)
        for path in [site.folder, *site.folder.rglob("*")]:
            os.chown(path, 65534, 65534)
        os.chown(site.segment(), 0, 0)
        os.chmod(site.segment(), 0o600)

        def as_nobody(*arguments):
            return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "--json", *arguments], capture_output=True, text=True,
                                  timeout=120, env={**site.environment(), "HOME": "/nonexistent"})
        refused = as_nobody("export", self.study, "--to", str(site.folder / "out"))
        self.assertEqual(refused.returncode, 14, refused.stdout + refused.stderr)
        self.assertIn("00000001.segment", refused.stdout + refused.stderr)
        with self.subTest("a key that cannot be read"):
            for key in files_of(site.folder / "keys"):
                os.chown(key, 0, 0)
            self.assertEqual(as_nobody("list").returncode, 14)
        with self.subTest("nothing was harmed"):
            for path in site.folder.rglob("*"):
                os.chown(path, 0, 0)
            self.assertEqual(site.run("verify", "--all")["damaged"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
