"""The columns of docs/design/rights.md that only people open: break glass, revoke and restrict, grant, outsiders' grants; with the node
answering, away, and away longer; and nothing of it is lost or sent twice, whatever is killed."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import unittest

import requests
from harness import AWAY_FLAG, EMERGENCY_FLAG, READ, SystemTest, wait_for
from kill_test import nodes_of

BREAK_GLASS = 8                    # IConsents.Operation
EMERGENCY = 1                      # IConsents.Purpose
EMERGENCY_OPENED = 4               # IConsents.Reason
GROUND = {"reason": "life-threatening", "text": "polytrauma, history unknown"}
GIVEN_UP = 120


class Consents(SystemTest):
    def setUp(self):
        super().setUp()
        self.geth = self.folder / "geth"  # where the configuration says it is; taken away and brought back
        self.real = pathlib.Path(shutil.which("geth") or pathlib.Path.home() / "go/bin/geth")
        self.geth.symlink_to(self.real)
        self.archive = self.site(init=False)
        self.archive.init("--geth", self.geth)
        patients = sorted(folder for folder in self.samples().iterdir() if folder.is_dir())[:2]
        self.tokens = {}
        with self.archive.serving():
            self.archive.run("import", *[sorted(folder.rglob("*.dcm"))[0] for folder in patients])
            (self.patient, self.study), (_, self.other) = [(s["patientId"], s["studyInstanceUid"]) for s in self.archive.run("list")["studies"]]
            for name, role in (("ada", "doctor"), ("eve", "doctor"), ("desk", "desk"), ("bob", "patient")):
                self.archive.run("person", "add", name, "--role", role)
                self.tokens[name] = self.archive.token(name)

    def ask(self, who, study, purpose=None):
        headers = {"Authorization": "Bearer " + self.tokens[who], **({"Fiducial-Purpose": purpose} if purpose else {})}
        return requests.get(f"{self.archive.url}/studies/{study}", headers=headers, timeout=60)

    def read(self, who, study, purpose=None):
        return self.ask(who, study, purpose).status_code

    def break_glass(self, who, study, ground=None):
        return requests.post(f"{self.archive.url}/studies/{study}/emergency", json=GROUND if ground is None else ground,
                             headers={"Authorization": "Bearer " + self.tokens[who]}, timeout=60)

    def consent(self, *arguments, **more):
        return self.archive.run("consent", *arguments, **more)

    def emergencies(self):
        return self.archive.run("emergency", "list")["emergencies"]

    def take_node_away(self):
        self.geth.unlink()
        for node in nodes_of(self.archive.server.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(node, signal.SIGKILL)

    def bring_node_back(self):
        self.geth.symlink_to(self.real)

    def kill_and_start(self):
        self.archive.stop(signal.SIGKILL)
        self.archive.start()

    def check_all_arrived(self, emergencies, restrictions, revocations, grants):
        """Each thing that was said yes to stands on the chain once."""
        waited = self.archive.run("ledger", "wait", "--seconds", GIVEN_UP, timeout=300)
        self.assertEqual((waited["settled"], waited["waiting"], waited["incidents"]), (True, 0, 0))
        with contextlib.closing(self.archive.database()) as database:
            told = dict(database.execute("SELECT fact, COUNT(*) FROM rights_changes WHERE fact BETWEEN 20 AND 29 GROUP BY fact").fetchall())
            waiting = database.execute("SELECT COUNT(*) FROM local_changes WHERE settled_block = 0").fetchone()[0]
        self.assertEqual((told.get(25, 0), told.get(24, 0), told.get(23, 0), told.get(22, 0), waiting), (emergencies, restrictions, revocations, grants, 0))
        self.assertEqual(self.archive.run("fsck")["findings"], [])

    def test_with_the_node_answering(self):
        with self.archive.serving():
            self.check_restricted_study_in_an_emergency()
            self.check_outsiders_grant()

    def check_restricted_study_in_an_emergency(self):
        restricted = self.consent("restrict", self.study, "--note", "asked for at the desk")
        self.assertTrue(restricted["settled"])
        with self.subTest("why, and what to do"):
            refused = self.ask("ada", self.study)
            self.assertEqual(refused.status_code, 403)
            self.assertIn("the patient has restricted it", refused.json()["detail"])
            self.assertIn("breaks the glass", refused.json()["detail"])
            self.assertEqual(self.read("ada", self.study, "emergency"), 403)
            self.assertEqual(self.read("ada", self.study, "curiosity"), 400)
        with self.subTest("for doctors, with a ground"):
            self.assertEqual(self.break_glass("desk", self.study).status_code, 403)
            self.assertEqual(self.break_glass("ada", self.study, {"reason": "curious", "text": "x"}).status_code, 400)
            self.assertEqual(self.break_glass("ada", self.study, {"reason": "other"}).status_code, 400)
            self.assertEqual(self.break_glass("ada", "1.2.3").status_code, 404)
        with self.subTest("open for one doctor, who says that it is an emergency"):
            opened = self.break_glass("ada", self.study)
            self.assertEqual((opened.status_code, opened.json()["nodeAway"]), (201, False), opened.text)
            self.assertEqual(self.read("ada", self.study, "emergency"), 200)
            self.assertEqual(self.read("ada", self.study), 403)
            self.assertEqual(self.read("eve", self.study, "emergency"), 403)
        with self.subTest("by the command, for a patient"):
            self.archive.run("break-glass", self.patient, "--as", "desk", "--reason", "other", "--text", "x", codes=(4,))
            self.archive.run("break-glass", self.patient, "--as", "eve", "--reason", "other", "--text", "called from the theatre")
            self.assertEqual(self.read("eve", self.study, "emergency"), 200)
        with self.subTest("the trace says so"):
            entries = list(self.archive.trace())
            opened = [e for e in entries if e["operation"] == BREAK_GLASS and e["allowed"]]
            self.assertEqual([e["flags"] & EMERGENCY_FLAG for e in opened], [EMERGENCY_FLAG] * 2)
            looks = [e for e in entries if e["operation"] == READ and e["purpose"] == EMERGENCY and e["allowed"]]
            self.assertEqual([(e["reason"], e["flags"] & EMERGENCY_FLAG) for e in looks], [(EMERGENCY_OPENED, EMERGENCY_FLAG)] * 2)
        with self.subTest("the privacy officer sees who and why"):
            wait_for(lambda: all(one["anchored"] for one in self.emergencies()), 30, "both on the ledger")
            self.assertEqual([(one["person"], one["reason"], one["text"], one["studyInstanceUid"], one["patientId"]) for one in self.emergencies()],
                             [("eve", "other", "called from the theatre", self.study, self.patient), ("ada", *GROUND.values(), self.study, self.patient)])
        with self.subTest("lifted"):
            self.consent("lift", self.patient, "--restriction", restricted["id"][:12])
            self.assertEqual(self.read("ada", self.study), 200)
            self.assertEqual(self.consent("show", self.patient)["restrictions"], [])
            self.consent("lift", self.patient, "--restriction", "00" * 8, codes=(5,))

    def check_outsiders_grant(self):
        """A person who is nobody's staff sees what was granted, and nothing else."""
        self.assertEqual(self.read("bob", self.study, "personal"), 403)
        granted = self.consent("grant", self.study, "--person", "bob", "--purpose", "personal", "--days", "7")
        self.assertTrue(granted["settled"])
        self.assertEqual(self.read("bob", self.study, "personal"), 200)
        self.assertEqual(self.read("bob", self.study, "treatment"), 403)
        self.assertEqual(self.read("bob", self.other, "personal"), 403)
        shown = self.consent("show", self.study)
        self.assertEqual([(one["to"], one["purpose"], one["state"]) for one in shown["grants"]], [("bob", "personal", "in force")])
        with self.subTest("taken back, and given again"):
            self.assertTrue(self.consent("revoke", self.study, "--grant", granted["id"][:16])["settled"])
            self.assertEqual(self.read("bob", self.study, "personal"), 403)
            self.consent("grant", self.patient, "--person", "bob", "--purpose", "personal")
            self.assertEqual(self.read("bob", self.study, "personal"), 200)
            self.consent("revoke", self.patient, "--all")
            self.assertEqual(self.read("bob", self.study, "personal"), 403)
        self.check_all_arrived(emergencies=2, restrictions=2, revocations=2, grants=2)

    def prepare(self):
        """What is settled before the node goes away: bob may see one study, and another is closed to everybody."""
        self.consent("grant", self.study, "--person", "bob", "--purpose", "personal")
        self.closed = self.consent("restrict", self.other)["id"]
        self.assertEqual(self.read("bob", self.study, "personal"), 200)
        self.assertEqual(self.read("ada", self.study), 200)

    def check_what_is_open_without_the_node(self, staff):
        """Rows *away* and *away longer*; `staff`: what own staff meet."""
        with self.subTest("outsiders' grants"):
            wait_for(lambda: self.read("bob", self.study, "personal") == 503, 30, "the node has not answered for 10 s")
        with self.subTest("own staff, treatment"):
            self.assertEqual(self.read("ada", self.study), staff)
        with self.subTest("grant: no, and what to do"):
            for command in (["grant", self.other, "--person", "bob"], ["lift", self.other, "--restriction", self.closed[:12]]):
                refused = self.consent(*command, codes=(7,))["error"]["message"]
                self.assertIn("run this again when the node is back", refused)
        with self.subTest("revoke, restrict: at once here"):
            self.assertEqual(self.consent("restrict", self.study, "--person", "ada", codes=(1,))["nodeAway"], True)
            self.assertEqual(self.consent("revoke", self.study, "--all", codes=(1,))["nodeAway"], True)
            self.assertNotEqual(self.read("ada", self.study), 200)
        with self.subTest("break glass: what the patient restricted, too"):
            for study in (self.study, self.other):
                opened = self.break_glass("ada", study)
                self.assertEqual((opened.status_code, opened.json().get("nodeAway")), (201, True), opened.text)
                self.assertEqual(self.read("ada", study, "emergency"), 200)
            self.assertNotEqual(self.read("eve", self.other, "emergency"), 200)
        self.assertTrue(all(e["flags"] & AWAY_FLAG for e in list(self.archive.trace())[-3:]))
        with self.subTest("killed: it stands"):
            self.kill_and_start()
            self.assertEqual(self.read("ada", self.study, "emergency"), 200)
            self.assertNotEqual(self.read("ada", self.study), 200)

    def check_what_arrived(self):
        self.bring_node_back()
        self.check_all_arrived(emergencies=2, restrictions=2, revocations=1, grants=1)
        self.assertEqual([one["anchored"] for one in self.emergencies()], [True, True])
        self.assertEqual(self.read("ada", self.study), 403)
        self.assertEqual(self.read("ada", self.study, "emergency"), 200)
        self.assertEqual(self.read("eve", self.study), 200)
        self.assertEqual(self.read("bob", self.study, "personal"), 403)
        self.assertEqual(self.consent("show", self.study)["grants"][0]["state"], "revoked")

    def test_with_the_node_away(self):
        with self.archive.serving():
            self.prepare()
            self.take_node_away()
            self.check_what_is_open_without_the_node(staff=200)
            self.assertEqual(self.read("ada", self.study), 403)
            self.assertEqual([one["anchored"] for one in self.emergencies()], [False, False])
            self.assertEqual(len(self.consent("show", self.study)["waiting"]), 3)
            self.check_what_arrived()

    def test_with_the_node_away_longer(self):
        with self.archive.serving():
            self.prepare()
        settings = self.archive.folder / "fiducial.toml"
        text, found = re.subn(r"(?m)^away_limit_s = .*$", "away_limit_s = 1", settings.read_text())
        self.assertEqual(found, 1)
        settings.write_text(text)
        self.geth.unlink()
        self.archive.start()
        wait_for(lambda: self.read("ada", self.study) == 503, 30, "longer than the limit")
        self.check_what_is_open_without_the_node(staff=503)
        self.assertEqual(self.read("ada", self.study), 503)
        with self.subTest("the trace is closed, too"):
            self.archive.run("emergency", "list", codes=(7,))
        self.check_what_arrived()
        self.archive.stop()

    def test_killed_between_yes_and_the_ledger(self):
        """With the node answering: each time killed right after the answer."""
        self.archive.start()
        self.consent("restrict", self.study)
        for _ in range(3):
            self.assertEqual(self.break_glass("ada", self.study).status_code, 201)
            self.kill_and_start()
            self.assertEqual(self.read("ada", self.study, "emergency"), 200)
        self.check_all_arrived(emergencies=3, restrictions=1, revocations=0, grants=0)
        self.archive.stop()
        with self.subTest("who broke the glass cannot be taken away quietly"):
            with contextlib.closing(self.archive.database()) as database:
                database.execute("DELETE FROM local_changes WHERE id = 2")
            (finding,) = self.archive.run("fsck", codes=(10,))["findings"]
            self.assertIn("local_changes", finding["what"])
            self.archive.run("list", codes=(10,))  # nobody is served until a person has looked
            self.archive.run("fsck", "--repair", codes=(10,))
            self.assertEqual(self.archive.run("fsck")["findings"], [])
            self.assertEqual(len(self.emergencies()), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
