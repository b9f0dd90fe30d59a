"""Corrections: images that are taken out of a study and put back, the right patient for a study; while the node is away, killed in between,
over rebuilt indexes, and what evidence from before and after says."""
import contextlib
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import unittest

import pydicom
import pydicom.dataset
import pydicom.uid
import requests
from harness import VERIFY, SystemTest, sha256, wait_for
from kill_test import nodes_of

QUALITY = {"reason": "quality", "text": "motion, repeated"}
RIGHT = {"patientId": "RIGHT-1", "name": "Right^Ros\u00e9", "birthDate": "19700102", "sex": "F", "text": "picked the line above in the worklist"}
PERSONAL = {"Fiducial-Purpose": "personal"}


def rejection_note(study, refused, code):
    """A Key Object Selection titled as a rejection note. Spec: PS3.3 A.35.4, IHE RAD TF-2 4.66."""
    def item(**values):
        dataset = pydicom.Dataset()
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        return dataset
    first = refused[0]
    note = pydicom.Dataset()
    note.SOPClassUID, note.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.59", pydicom.uid.generate_uid(entropy_srcs=["note", code])
    note.StudyInstanceUID, note.SeriesInstanceUID = study, pydicom.uid.generate_uid(entropy_srcs=["series", code])
    note.PatientID, note.PatientName, note.IssuerOfPatientID = first.PatientID, first.PatientName, first.get("IssuerOfPatientID", "")
    note.Modality, note.SeriesNumber, note.InstanceNumber, note.ValueType = "KO", 1, 1, "CONTAINER"
    note.ConceptNameCodeSequence = [item(CodeValue=code, CodingSchemeDesignator="DCM", CodeMeaning="Rejected")]
    note.CurrentRequestedProcedureEvidenceSequence = [item(
        StudyInstanceUID=study, ReferencedSeriesSequence=[item(
            SeriesInstanceUID=first.SeriesInstanceUID,
            ReferencedSOPSequence=[item(ReferencedSOPClassUID=one.SOPClassUID, ReferencedSOPInstanceUID=one.SOPInstanceUID) for one in refused])])]
    return part10(note)


def part10(dataset, syntax=pydicom.uid.ExplicitVRLittleEndian):
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


class Corrections(SystemTest):
    def setUp(self):
        super().setUp()
        self.geth = self.folder / "geth"
        self.real = pathlib.Path(shutil.which("geth") or pathlib.Path.home() / "go/bin/geth")
        self.geth.symlink_to(self.real)
        self.archive = self.site(init=False)
        self.archive.init("--geth", self.geth)
        patients = sorted(folder for folder in self.samples().iterdir() if folder.is_dir())
        patient, study = next((patient, study) for patient in patients for study in sorted(patient.iterdir()) if len(list(study.rglob("*.dcm"))) >= 4)
        self.files = sorted(study.rglob("*.dcm"))[:4]
        self.other_file = next(file for other in patients if other != patient for file in sorted(other.rglob("*.dcm")))
        self.data_sets = [pydicom.dcmread(file) for file in self.files]
        self.study = self.data_sets[0].StudyInstanceUID
        self.tokens = {}
        self.archive.start()
        self.archive.run("import", *self.files, self.other_file)
        for name, role in (("ada", "doctor"), ("tom", "technologist")):
            self.archive.run("person", "add", name, "--role", role)
            self.tokens[name] = self.archive.token(name)

    def ask(self, method, path, who="tom", headers=None, **more):
        return requests.request(method, f"{self.archive.url}/studies{path}", timeout=60, headers={"Authorization": "Bearer " + self.tokens[who], **(headers or {})}, **more)

    def path_of(self, data_set):
        return f"/{self.study}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"

    def retrieve(self, data_set, who="ada", query=""):
        answer = self.ask("GET", self.path_of(data_set) + query, who, {"Accept": "application/dicom"})
        return answer, pydicom.dcmread(io.BytesIO(answer.content)) if answer.status_code == 200 else None

    def found(self, who="ada"):
        answer = self.ask("GET", f"/{self.study}/instances", who)
        return {one["00080018"]["Value"][0] for one in answer.json()} if answer.status_code == 200 else set()

    def record(self):
        return self.ask("GET", f"/{self.study}/record", "ada").json()

    def evidence(self, data_set, name, study=None):
        self.assertTrue(self.archive.run("ledger", "wait", "--seconds", 60)["settled"])
        bundle = self.folder / f"{name}.json"
        self.archive.raw("evidence", study or self.study, "--instance", data_set.SOPInstanceUID, "--out", bundle)
        trust = self.folder / "trust.json"
        trust.write_text(self.archive.raw("trust").stdout)
        return bundle

    def verify(self, bundle, *files):
        return subprocess.run([VERIFY, bundle, "--trust", self.folder / "trust.json", *files], capture_output=True, text=True, check=False)

    def test_what_belongs_to_another_study(self):
        def whole(study):
            """What a study is now, by (series, instance): data sets as they are given out."""
            answer = self.ask("GET", f"/{study}", "ada", {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'})
            if answer.status_code != 200:
                return []
            boundary = re.search('boundary="?([^";]+)', answer.headers["Content-Type"]).group(1).encode()
            return [pydicom.dcmread(io.BytesIO(part.split(b"\r\n\r\n", 1)[1][:-2])) for part in answer.content.split(b"--" + boundary)[1:-1]]

        moving, staying = self.data_sets[0], set()
        series = self.data_sets
        with self.subTest("who may, and what stands against it"):
            path = f"/{self.study}/series/{moving.SeriesInstanceUID}/move"
            self.assertEqual(self.ask("POST", path, "ada", json={"text": "no"}).status_code, 403, "a doctor may not")
            self.assertEqual(self.ask("POST", path, json={"study": self.study, "text": "no"}).status_code, 400)
            self.assertEqual(self.ask("POST", path, json={"study": "x", "text": "no"}).status_code, 400)
            self.assertEqual(self.ask("POST", path, json={"text": ""}).status_code, 400)
            self.archive.run("hold", "set", self.study, "--text", "a court")
            self.assertEqual(self.ask("POST", path, json={"text": "second exam"}).status_code, 409)
            self.archive.run("hold", "lift", self.study, "--text", "it is over")
            self.assertEqual(len(self.found()), len(self.data_sets), "nothing went")
        with self.subTest("a series becomes a study of its own"):
            answer = self.ask("POST", path, json={"text": "second exam"}).json()
            new = answer["studyInstanceUid"]
            self.assertEqual((answer["instances"], self.found()), (len(series), staying))
            copies = whole(new)
            self.assertEqual(len(copies), len(series))
            self.assertEqual({c.StudyInstanceUID for c in copies}, {new})
            self.assertTrue({c.SOPInstanceUID for c in copies}.isdisjoint(d.SOPInstanceUID for d in series))
            self.assertEqual(len({c.SeriesInstanceUID for c in copies} - {moving.SeriesInstanceUID}), 1)
            for copy in copies:
                original = next(d for d in series if d.InstanceNumber == copy.InstanceNumber)
                self.assertEqual(copy.file_meta.TransferSyntaxUID, original.file_meta.TransferSyntaxUID)
                for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
                    setattr(copy, keyword, original[keyword].value)
                self.assertEqual(copy, original, "everything else as it was")
            record = self.ask("GET", f"/{new}/record", "ada").json()
            self.assertEqual({one["movedFromStudy"] for one in record["objects"]}, {self.study})
        with self.subTest("taken back"):
            self.assertEqual(self.ask("DELETE", f"/{new}", json={"reason": "other", "text": "it was one exam"}).status_code, 200)
            self.assertEqual(self.ask("POST", f"/{self.study}/series/{moving.SeriesInstanceUID}/put-back", json={"text": "it was one exam"}).status_code, 200)
            self.assertEqual((len(self.found()), whole(new)), (len(self.data_sets), []))
        with self.subTest("moved again, the same is shown again"):
            again = self.archive.run("correct", "move", self.study, "--series", moving.SeriesInstanceUID, "--to", new, "--text", "two exams after all")
            self.assertEqual((again["instances"], again["studyInstanceUid"], len(whole(new))), (len(series), new, len(series)))
            self.assertEqual(self.found(), staying)
        with self.subTest("into a study of somebody else: it is then that patient's"):
            other = pydicom.dcmread(self.other_file)
            moved = self.ask("POST", f"/{new}/move", json={"study": other.StudyInstanceUID, "text": "wrong exam and patient"})
            self.assertEqual(moved.status_code, 200, moved.text)
            self.assertEqual(whole(new), [])
            there = whole(other.StudyInstanceUID)
            self.assertEqual(len(there), 1 + len(series))
            for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyDescription", "AccessionNumber"):
                self.assertEqual({str(one.get(keyword, "")) for one in there}, {str(other.get(keyword, ""))}, keyword)
            copy = next(one for one in there if one.SOPInstanceUID != other.SOPInstanceUID)
            bundle = self.evidence(copy, "moved", other.StudyInstanceUID)
            stored = self.folder / "moved.dcm"
            stored.write_bytes(self.ask("GET", f"/{other.StudyInstanceUID}/series/{copy.SeriesInstanceUID}/instances/{copy.SOPInstanceUID}", "ada", {"Accept": "application/dicom; transfer-syntax=*"}).content)
            verified = self.verify(bundle, stored)
            self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        self.check_whole()

    def check_whole(self):
        """fsck finds nothing, an index made again says the same, and every byte is what was anchored."""
        def told(site):
            with contextlib.closing(site.database()) as database:
                return (database.execute("SELECT i.sop_uid, i.is_current, o.state, o.reason FROM instances i JOIN objects o ON o.object_id = i.object_id ORDER BY 1, o.object_id").fetchall(),
                        database.execute("SELECT s.study_uid, s.instance_count, p.patient_id, p.name FROM studies s JOIN patients p ON p.id = s.patient ORDER BY 1").fetchall(),
                        database.execute("SELECT study_uid, version, record_hash FROM study_versions ORDER BY 1, 2").fetchall(),
                        database.execute("SELECT object_id, kind, state FROM objects ORDER BY 1").fetchall(),
                        database.execute("SELECT series_uid FROM series ORDER BY 1").fetchall())
        def rows_of(site):
            return [[tuple(row) for row in rows] for rows in told(site)]
        self.archive.stop()
        self.assertEqual(self.archive.run("fsck")["findings"], [])
        before = rows_of(self.archive)
        self.archive.run("fsck", "--rebuild-index")
        self.assertEqual(rows_of(self.archive), before)
        with self.subTest("a lost index comes back from the segments, with the versions"):
            copy = self.site("copy", init=False)
            shutil.copytree(self.archive.folder, copy.folder)
            for part in (copy.folder / "store").glob("index.db*"):
                part.unlink()
            copy.run("list")
            self.assertEqual(rows_of(copy), before)
            self.assertEqual(copy.run("fsck")["findings"], [])
            shutil.rmtree(copy.folder)
        self.archive.start()

    def test_removed_and_put_back(self):
        first = self.data_sets[0]
        bundle = self.evidence(first, "before")
        with self.subTest("who may, and why"):
            self.assertEqual(self.ask("DELETE", self.path_of(first), "ada", json=QUALITY).status_code, 403)
            self.assertEqual(self.ask("DELETE", self.path_of(first)).status_code, 400)
            self.assertEqual(self.ask("DELETE", self.path_of(first), json={"reason": "ugly", "text": "x"}).status_code, 400)
            self.assertEqual(self.ask("DELETE", self.path_of(first), json={"reason": "quality"}).status_code, 400)
            self.assertEqual(self.ask("DELETE", f"/{self.study}/series/1.2.3/instances/1.2.4", json=QUALITY).status_code, 404)
        with self.subTest("a legal hold, a retention"):
            self.archive.run("hold", "set", self.study, "--text", "court order 12/26")
            self.assertEqual([one["text"] for one in self.archive.run("hold", "list")["holds"]], ["court order 12/26"])
            refused = self.ask("DELETE", self.path_of(first), json=QUALITY)
            self.assertEqual((refused.status_code, "court order 12/26" in refused.json()["detail"]), (409, True), refused.text)
            self.archive.run("hold", "lift", self.study, "--text", "settled out of court")
            self.archive.run("hold", "lift", self.study, "--text", "again", codes=(5,))
            kept = self.archive.raw("remove", self.study, "--reason", "expired", "--text", "old", codes=(6,))
            self.assertIn("to be kept until", kept.stderr)
        with self.subTest("out of lists and retrievals, with a version"):
            done = self.ask("DELETE", self.path_of(first), json=QUALITY)
            self.assertEqual((done.status_code, done.json()["instances"], done.json()["version"]), (200, 1, 2), done.text)
            self.assertEqual(self.retrieve(first)[0].status_code, 404)
            self.assertEqual(self.found(), {one.SOPInstanceUID for one in self.data_sets[1:]})
            record = self.record()
            self.assertEqual([v["reasons"] for v in record["versions"]], ["new", "removed"])
            self.assertEqual([(r["sopInstanceUid"], r["reason"]) for r in record["removed"]], [(first.SOPInstanceUID, "quality: motion, repeated")])
        with self.subTest("evidence from before stays, and what is sent again stays out"):
            self.assertEqual(self.verify(bundle, self.files[0]).returncode, 0)
            self.assertEqual(self.archive.run("import", self.files[0], codes=(1,))["setAside"], 1)
            self.assertEqual(self.retrieve(first)[0].status_code, 404)
        self.check_whole()
        with self.subTest("put back"):
            done = self.ask("POST", self.path_of(first) + "/put-back", json={"text": "it was the right one"})
            self.assertEqual((done.status_code, done.json()["version"]), (200, 3), done.text)
            self.assertEqual(hashlib.sha256(self.retrieve(first)[0].content).hexdigest(), sha256(self.files[0]))
            self.assertEqual(self.verify(self.evidence(first, "after"), self.files[0]).returncode, 0)
        with self.subTest("all of a study, by the header alone"):
            done = self.ask("DELETE", f"/{self.study}", headers={"Fiducial-Reason": "worklist: wrong entry"})
            self.assertEqual((done.status_code, done.json()["instances"]), (200, len(self.files)), done.text)
            self.assertEqual(self.ask("GET", f"/{self.study}", "ada").status_code, 404)
            self.assertNotIn(self.study, [one["0020000D"]["Value"][0] for one in self.ask("GET", "", "ada").json()])
            self.assertEqual(self.record()["versions"][-1]["instances"], 0)
            self.assertTrue(self.archive.run("ledger", "wait", "--seconds", 60)["settled"])
            self.assertEqual(self.archive.run("verify", "--all")["damaged"], [])
        self.check_whole()
        self.archive.run("put-back", self.study, "--text", "all of it")
        self.assertEqual(len(self.found()), len(self.files))
        self.assertEqual(self.archive.run("fsck")["findings"], [])

    def test_rejection_notes(self):
        refused = self.data_sets[:2]
        note = rejection_note(self.study, refused, "113001")

        def send(who, file=note):
            body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--b--"
            return self.ask("POST", "", who, {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}, data=body)
        self.archive.run("hold", "set", self.study, "--text", "court order")
        self.assertIn(send("tom").status_code, (200, 202))
        self.assertEqual(len(self.found()), len(self.files) + 1)
        self.archive.run("hold", "lift", self.study, "--text", "over")
        self.assertEqual(send("tom").status_code, 200)  # the same note again, once nothing stands against it
        self.assertEqual(self.found() & {one.SOPInstanceUID for one in refused}, set())
        self.assertEqual([r["reason"].split(":")[0] for r in self.record()["removed"]], ["quality"] * len(refused))
        self.check_whole()

    def test_the_right_patient(self):
        first, wrong = self.data_sets[0], self.data_sets[0].PatientID
        bundle = self.evidence(first, "before")
        self.archive.run("person", "add", "gus", "--role", "patient")
        self.tokens["gus"] = self.archive.token("gus")
        self.archive.run("consent", "grant", self.study, "--person", "gus", "--purpose", "personal")
        self.assertEqual(self.ask("GET", f"/{self.study}", "gus", PERSONAL).status_code, 200)
        with self.subTest("who may"):
            self.assertEqual(self.ask("PUT", f"/{self.study}/patient", "ada", json=RIGHT).status_code, 403)
            self.assertEqual(self.ask("PUT", f"/{self.study}/patient", json={"patientId": "RIGHT-1", "text": "who?"}).status_code, 400)
        done = self.ask("PUT", f"/{self.study}/patient", json=RIGHT)
        self.assertEqual((done.status_code, done.json()["version"], done.json()["remarks"]), (200, 2, []), done.text)
        self.check_corrected(first)
        with self.subTest("the wrong patient's grant opens nothing, and the original is for who may correct"):
            self.assertEqual(self.ask("GET", f"/{self.study}", "gus", PERSONAL).status_code, 403)
            self.assertEqual(self.retrieve(first, "ada", "?original=true")[0].status_code, 403)
            self.assertEqual(hashlib.sha256(self.retrieve(first, "tom", "?original=true")[0].content).hexdigest(), sha256(self.files[0]))
        with self.subTest("evidence of both"):
            self.assertEqual(self.verify(bundle, self.files[0]).returncode, 0)
            after = self.evidence(first, "after")
            self.assertNotIn('"overlay_sha256":"0x' + "00" * 32, after.read_text())
            self.assertEqual(self.verify(after, self.files[0]).returncode, 0)
            served = self.folder / "served.dcm"
            served.write_bytes(self.retrieve(first)[0].content)
            self.assertEqual(self.verify(after, served).returncode, 10)
            self.archive.run("export", self.study, "--to", self.folder / "as stored", "--original")
            self.assertEqual(sorted(map(sha256, (self.folder / "as stored").rglob("*.dcm"))), sorted(map(sha256, self.files)))
            shown = self.archive.run("correct", "show", self.study, "--out", self.folder / "overlay")
            self.assertIn(f'"overlay_sha256":"0x{sha256(self.folder / "overlay")}"', after.read_text())
            told = self.verify(after, "--overlay", self.folder / "overlay", "--json", self.files[0])
            said = {one["id"]: one for one in json.loads(told.stdout)["statements"]}
            self.assertEqual((told.returncode, said["bytes_match"]["state"], said["corrected"]["state"]), (0, "established", "established"), told.stdout)
            self.assertIn("(0010,0020)", said["corrected"]["text"])
            self.assertNotIn("RIGHT-1", told.stdout)
            self.assertEqual(self.verify(bundle, "--overlay", self.folder / "overlay", self.files[0]).returncode, 10)  # none was in force before
            self.assertEqual(self.archive.run("verify", self.files[0], "--evidence", after, "--trust", self.folder / "trust.json", "--overlay", self.folder / "overlay")["verdict"], "verified")
            self.assertEqual((shown["patientInDataSets"]["patientId"], shown["patient"]["patientId"], shown["text"]), (wrong, "RIGHT-1", RIGHT["text"]))
        self.check_whole()
        self.check_corrected(first)
        with self.subTest("more of the study comes under the patient whom its data sets name"):
            late = pydicom.dcmread(self.files[0])
            late.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["late"])
            path = self.folder / "late.dcm"
            path.write_bytes(part10(late, late.file_meta.TransferSyntaxUID))
            self.assertEqual(self.archive.run("import", path)["stored"], 1)
            self.assertEqual(self.retrieve(late)[1].PatientID, "RIGHT-1")
        with self.subTest("taken back"):
            done = self.ask("DELETE", f"/{self.study}/patient", json={"text": "the first entry was right"})
            self.assertEqual(done.status_code, 200, done.text)
            answer, data_set = self.retrieve(first)
            self.assertEqual((hashlib.sha256(answer.content).hexdigest(), "Fiducial-Correction" in answer.headers), (sha256(self.files[0]), False))
            self.assertEqual(data_set.PatientID, wrong)
            self.assertEqual(self.archive.run("show", self.study)["patientId"], wrong)
            self.assertEqual(self.ask("DELETE", f"/{self.study}/patient", json={"text": "again"}).status_code, 404)
            self.assertEqual(self.ask("GET", f"/{self.study}", "gus", PERSONAL).status_code, 200)
        with self.subTest("two patients are one"):
            other = pydicom.dcmread(self.other_file)
            merged = self.archive.run("correct", "merge", wrong, "--into", other.PatientID, "--text", "identified by the ward")
            self.assertEqual([one["studyInstanceUid"] for one in merged["studies"]], [self.study])
            self.assertEqual(self.retrieve(first)[1].PatientName, other.PatientName)
            self.archive.run("correct", "merge", wrong, "--into", other.PatientID, "--text", "again", codes=(5,))
        self.check_whole()

    def check_corrected(self, first):
        answer, given = self.retrieve(first)
        self.assertEqual(answer.status_code, 200, answer.text[:200])
        self.assertIn("overlay=", answer.headers["Fiducial-Correction"])
        self.assertEqual((given.PatientID, str(given.PatientName), given.PatientBirthDate, given.PatientSex), ("RIGHT-1", "Right^Ros\u00e9", "19700102", "F"))
        def the_rest(data_set):
            return {element.tag: element.value for element in data_set if element.tag.group != 0x10 and element.keyword != "SpecificCharacterSet"}
        self.assertEqual(the_rest(given), the_rest(pydicom.dcmread(self.files[0])))
        self.assertNotIn("OtherPatientIDs", given)
        metadata = self.ask("GET", self.path_of(first) + "/metadata", "ada").json()[0]
        self.assertEqual((metadata["00100020"]["Value"], metadata["00100010"]["Value"][0]["Alphabetic"]), (["RIGHT-1"], "Right^Ros\u00e9"))
        self.assertEqual(list(metadata), sorted(metadata))
        listed = self.ask("GET", "?PatientID=RIGHT-1", "ada").json()
        self.assertEqual([(one["0020000D"]["Value"], one["00100020"]["Value"]) for one in listed], [([self.study], ["RIGHT-1"])])

    def take_node_away(self):
        self.geth.unlink()
        for node in nodes_of(self.archive.server.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(node, signal.SIGKILL)

    def test_with_the_node_away(self):
        self.assertTrue(self.archive.run("ledger", "wait", "--seconds", 60)["settled"])
        self.take_node_away()
        wait_for(lambda: self.ask("GET", f"/{self.study}", "ada").status_code in (200, 503), 30, "an answer")
        with self.subTest("within a day, as treatment: by the last settled state, anchored later"):
            self.assertEqual(self.ask("DELETE", self.path_of(self.data_sets[0]), "ada", json=QUALITY).status_code, 403)
            self.assertEqual(self.ask("DELETE", self.path_of(self.data_sets[0]), json=QUALITY).status_code, 200)
            self.assertEqual(self.ask("PUT", f"/{self.study}/patient", json=RIGHT).status_code, 200)
        with self.subTest("killed, and longer than that: not at all"):
            self.archive.stop(signal.SIGKILL)
            settings = self.archive.folder / "fiducial.toml"
            former = settings.read_text()
            settings.write_text(re.sub(r"(?m)^away_limit_s = .*$", "away_limit_s = 1", former))
            self.archive.start()
            wait_for(lambda: self.ask("GET", f"/{self.study}", "ada").status_code == 503, 30, "longer than the limit")
            self.assertEqual(self.ask("DELETE", self.path_of(self.data_sets[1]), json=QUALITY).status_code, 503)
        self.archive.stop(signal.SIGKILL)
        self.geth.symlink_to(self.real)
        settings.write_text(former)
        self.archive.start()
        self.assertTrue(self.archive.run("ledger", "wait", "--seconds", 120, timeout=300)["settled"])
        self.assertEqual(self.retrieve(self.data_sets[0])[0].status_code, 404)
        self.assertEqual(self.retrieve(self.data_sets[1])[1].PatientID, "RIGHT-1")
        self.check_whole()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
