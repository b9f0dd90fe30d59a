"""The worklist: filled by command, file, HTTP and HL7, asked for by DCMTK's findscu and pynetdicom, worked off by performed procedure steps."""
import copy
import datetime
import json
import re
import socket
import ssl
import subprocess
import unittest

import pydicom
import requests
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, ModalityPerformedProcedureStep, ModalityWorklistInformationFind

from dimse_query_test import BY_A_DEVICE, DEVICE_LISTED, IDENTIFY, looks
from dimse_test import DimseTest, make_image

PEERS = ["CT1 127.0.0.1 device=ct1 worklist", "CT2 127.0.0.1 device=ct1", "BARE 127.0.0.1 device=bare worklist"]
TODAY = datetime.date.today()
HEAD = "PatientName,PatientID,AccessionNumber,ScheduledProcedureStepID,Modality,ScheduledStationAETitle,ScheduledProcedureStepStartDate,ScheduledProcedureStepStartTime,RequestedProcedureDescription,CodeValue,CodingSchemeDesignator,CodeMeaning"


def day(n):
    return (TODAY + datetime.timedelta(days=n)).strftime("%Y%m%d")


TABLE = "\n".join([HEAD,
                   f"Müller^Jürgen,P1,A1,S1,CT,CT1,{day(0)},0830,CT of the chest,CTTHX,99LOCAL,Chest",
                   f"Müller^Jürgen,P1,A1,S2,CT,CT2,{day(1)},0900,CT of the chest,CTTHX,99LOCAL,Chest",
                   f"山田^太郎,P2,A2,S1,MR,,{day(0)},1000,Knee,,,",
                   f"Doe^Jane,P3,A3,S1,CT,CT1,{day(2)},1100,CT of the head,,,"])


def query(character_set="ISO_IR 192", step=None, **keys):
    """What a scanner asks: keys above, and `step` in the sequence."""
    out = pydicom.Dataset()
    out.SpecificCharacterSet = character_set
    for name in ("PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID", "RequestedProcedureID", "RequestedProcedureDescription", "RequestedProcedureCodeSequence", "ReferencedStudySequence"):
        setattr(out, name, [] if name.endswith("Sequence") else "")
    for name, value in keys.items():
        setattr(out, name, value)
    item = pydicom.Dataset()
    for name in ("ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime", "Modality", "ScheduledPerformingPhysicianName",
                 "ScheduledProcedureStepDescription", "ScheduledProcedureStepID", "ScheduledProcedureStepStatus"):
        setattr(item, name, (step or {}).get(name, ""))
    out.ScheduledProcedureStepSequence = [item]
    return out


HL7_HEAD = "MSH|^~\\&|RIS|CLINIC|FIDUCIAL|CLINIC|20261130120000||{type}|{id}|P|{version}||||||UNICODE UTF-8"
ORM = ["PID|1||H20^^^CLINIC||Müller^Jürgen^^^Dr~山田^太郎^^^^^^I||19700203|M", "PV1|1|O|WARD 3", "ORC|{control}|PL20|FI20||||1^^^{start}^^S",
       "OBR|1|PL20|FI20|CTTHX^CT of the chest^99LOCAL||||||||||||||A20|RP20|SP20||||{modality}", "ZDS|1.2.826.0.1.3680043.8.498.20^^Application^DICOM"]
OMI = ["PID|1||H21^^^CLINIC||Roe^Jane||19800101|F", "PV1|1|O", "ORC|{control}|PL21", "TQ1|1||||||{start}", "OBR|1|PL21||MRKNEE^MR of the knee^99LOCAL",
       "IPC|A21|RP21|1.2.826.0.1.3680043.8.498.21|S1|MR|P1^Left^99LOCAL|||CT1", "IPC|A21|RP21|1.2.826.0.1.3680043.8.498.21|S2|MR|P2^Right^99LOCAL|||CT1"]


def hl7(lines, type="ORM^O01", id="M1", version="2.3.1", encoding="utf-8", **values):
    values = {"control": "NW", "modality": "CT", "start": day(0) + "1400", **values}
    return ("\r".join([HL7_HEAD, *lines]) + "\r").format(type=type, id=id, version=version, **values).encode(encoding)


class Sender:
    """A small MLLP client: what an information system does."""

    def __init__(self, port, context=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        if context:
            self.socket = context.wrap_socket(self.socket)
        self.buffer = b""

    def send(self, *messages, pieces=1):
        data = b"".join(b"\x0b" + message + b"\x1c\r" for message in messages)
        step = -(-len(data) // pieces)
        for at in range(0, len(data), step):
            self.socket.sendall(data[at:at + step])
        return [self.receive() for _ in messages]

    def receive(self):
        while b"\x1c\r" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the archive ended the connection")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\x1c\r", 1)
        assert message[:1] == b"\x0b"
        return message[1:].decode()

    def close(self):
        self.socket.close()


class Worklist(DimseTest):
    def setUp(self):
        super().setUp()
        self.site_ = self.archive(peers=PEERS)
        self.site_.run("device", "add", "ct1", "--may", "store,query")
        self.site_.run("device", "add", "bare")
        for name, role in (("desk", "desk"), ("tech", "technologist"), ("doctor", "doctor"), ("admin", "administrator")):
            self.site_.run("person", "add", name, "--role", role)
        self.tokens = {}
        self.settings(listen="127.0.0.1:0", senders=["127.0.0.1 device=ct1"])
        self.table = self.folder / "today.csv"
        self.table.write_text(TABLE)

    def ask(self, what, title="CT1", contexts=(ModalityWorklistInformationFind,)):
        ae = AE(ae_title=title)
        for context in contexts:
            ae.add_requested_context(context)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
        association = ae.associate("127.0.0.1", self.site_.dimse_port, ae_title="FIDUCIAL")
        if not association.accepted_contexts:
            association.release()
            return None, []
        answers = list(association.send_c_find(what, ModalityWorklistInformationFind))
        association.release()
        return [row for _, row in answers if row is not None], [status.Status for status, _ in answers]

    def orders(self, what, **more):
        rows, statuses = self.ask(what, **more)
        self.assertEqual(statuses, [0xFF00] * len(rows) + [0x0000])
        return [f"{row.AccessionNumber}/{row.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID}" for row in rows]

    def test_worklist(self):
        self.assertEqual(self.site_.run("worklist", "import", self.table), {"added": 4, "changed": 0, "same": 0})
        self.assertEqual(self.site_.run("worklist", "import", self.table), {"added": 0, "changed": 0, "same": 4})
        self.serve(self.site_)
        self.check_matching()
        self.check_answers()
        self.check_findscu()
        self.check_who_may()
        self.check_http()
        self.check_commands()
        self.check_performed()
        self.check_hl7()
        seen = [entry for entry in looks(self.site_) if entry[:2] == (IDENTIFY, DEVICE_LISTED)]
        self.assertGreater(len(seen), 10)
        self.assertTrue(all(flags & BY_A_DEVICE for _, _, flags in seen))
        self.site_.stop()
        self.assertEqual(self.site_.run("fsck")["findings"], [])
        self.check_hl7_over_tls()

    def check_matching(self):
        for keys, step, expected in [
            ({}, {}, ["A1/S1", "A2/S1", "A1/S2", "A3/S1"]),
            ({}, {"ScheduledStationAETitle": "CT1"}, ["A1/S1", "A2/S1", "A3/S1"]),  # A2 is for any station
            ({}, {"ScheduledStationAETitle": "CT1", "Modality": "CT"}, ["A1/S1", "A3/S1"]),
            ({}, {"ScheduledProcedureStepStartDate": day(0)}, ["A1/S1", "A2/S1"]),
            ({}, {"ScheduledProcedureStepStartDate": f"{day(1)}-{day(2)}"}, ["A1/S2", "A3/S1"]),
            ({}, {"ScheduledProcedureStepStartDate": f"{day(0)}-{day(1)}", "ScheduledProcedureStepStartTime": "0945-0915"}, ["A2/S1", "A1/S2"]),
            ({"PatientName": "muller*"}, {}, ["A1/S1", "A1/S2"]),
            ({"PatientName": "山田*"}, {}, ["A2/S1"]),
            ({"PatientID": "P3"}, {}, ["A3/S1"]),
            ({"AccessionNumber": "A1"}, {"ScheduledProcedureStepID": "S2"}, ["A1/S2"]),
            ({}, {"ScheduledProcedureStepDescription": "ct of the c*"}, ["A1/S1", "A1/S2"]),
        ]:
            with self.subTest(keys=keys, step=step):
                self.assertEqual(self.orders(query(step=step, **keys)), expected)

    def check_answers(self):
        with self.subTest("what is given out"):
            rows, _ = self.ask(query("ISO_IR 100", {"Modality": "CT"}, PatientID="P1"))
            one, two = rows
            self.assertEqual((one.SpecificCharacterSet, str(one.PatientName)), ("ISO_IR 100", "Müller^Jürgen"))
            self.assertEqual(one.StudyInstanceUID, two.StudyInstanceUID, "one requested procedure is one study")
            self.assertTrue(one.StudyInstanceUID.startswith("2.25."))
            self.assertEqual((one.RequestedProcedureID, one.RequestedProcedureDescription), ("A1", "CT of the chest"))
            self.assertEqual(one.RequestedProcedureCodeSequence[0].CodeMeaning, "Chest")
            self.assertEqual(len(one.ReferencedStudySequence), 0)
            step = one.ScheduledProcedureStepSequence[0]
            self.assertEqual((step.ScheduledStationAETitle, step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime, step.Modality, step.ScheduledProcedureStepStatus),
                             ("CT1", day(0), "083000", "CT", "SCHEDULED"))
        with self.subTest("a character set that has not all of a name, a station that nobody named"):
            rows, _ = self.ask(query("ISO_IR 100", PatientID="P2"))
            self.assertEqual((rows[0].SpecificCharacterSet, str(rows[0].PatientName)), ("ISO_IR 192", "山田^太郎"))
            self.assertEqual(rows[0].ScheduledProcedureStepSequence[0].ScheduledStationAETitle, "CT1")
        with self.subTest("keys that are not known; values that are none"):
            rows, statuses = self.ask(query(PatientID="P3", PatientComments=""))
            self.assertEqual(statuses, [0xFF01, 0x0000])
            self.assertNotIn("PatientComments", rows[0])
            _, statuses = self.ask(query(step={"ScheduledProcedureStepStartDate": "2026"}))
            self.assertEqual(statuses, [0xA900])

    def check_findscu(self):
        folder = self.folder / "found"
        folder.mkdir()
        self.tool("findscu", "-W", "-X", "-od", folder, "-aet", "CT1", "-aec", "FIDUCIAL", "-k", "0008,0005=ISO_IR 192", "-k", "0010,0010", "-k", "ScheduledProcedureStepSequence[0].Modality=CT",
                  "-k", f"ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate={day(0)}", "127.0.0.1", self.site_.dimse_port, port=self.site_.dimse_port)
        found = [pydicom.dcmread(path, force=True) for path in sorted(folder.iterdir())]
        self.assertEqual([str(one.PatientName) for one in found], ["Müller^Jürgen"])
        cancelled = self.tool("findscu", "-W", "-v", "--cancel", "1", "-aet", "CT1", "-aec", "FIDUCIAL", "-k", "0010,0010", "127.0.0.1", self.site_.dimse_port, port=self.site_.dimse_port)
        self.assertRegex(cancelled.stdout + cancelled.stderr, "Cancel|Success")

    def check_who_may(self):
        self.assertIsNone(self.ask(query(), title="CT2")[0], "its line does not say worklist")
        self.assertEqual(self.ask(query(), title="BARE"), ([], [0x0124]), "the contracts do not let it know identities")

    def http(self, method, person, path="/worklist", purpose=None, body=None, **parameters):
        if person not in self.tokens:
            self.tokens[person] = self.site_.token(person)
        headers = {"Authorization": "Bearer " + self.tokens[person]}
        if purpose:
            headers["Fiducial-Purpose"] = purpose
        return requests.request(method, self.site_.url + path, params=parameters, data=body, headers=headers, timeout=60)

    def check_http(self):
        entry = {"PatientName": "Roe^Richard", "PatientID": "P4", "AccessionNumber": "A4", "Modality": "US", "ScheduledStationAETitle": ["US1", "US2"],
                 "ScheduledProcedureStepStartDate": TODAY.isoformat(), "ScheduledProcedureStepStartTime": "12:15", "PatientWeight": 70}
        with self.subTest("technologists and, for administration, the desk plan; others do not"):
            self.assertEqual(self.http("POST", "doctor", body=json.dumps(entry)).status_code, 403)
            self.assertEqual(self.http("POST", "admin", body=json.dumps(entry), purpose="administration").status_code, 403)
            self.assertEqual(self.http("POST", "tech", body=json.dumps(entry)).json(), {"added": 1, "changed": 0, "same": 0})
            changed = self.http("POST", "desk", body=json.dumps([{**entry, "ScheduledProcedureStepStartTime": "12:30"}]), purpose="administration")
            self.assertEqual(changed.json(), {"added": 0, "changed": 1, "same": 0})
        with self.subTest("lists"):
            self.assertEqual(self.http("GET", "admin").status_code, 403)
            listed = self.http("GET", "desk", Modality="US").json()
            self.assertEqual([(row["AccessionNumber"], row["ScheduledProcedureStepStartTime"], row["state"], row["source"], row["ScheduledStationAETitle"]) for row in listed],
                             [("A4", "123000", "scheduled", "http", ["US1", "US2"])])
            self.assertEqual(len(self.http("GET", "doctor").json()), 5)
            self.assertEqual(self.http("GET", "doctor", PatientComments="x").status_code, 400)
        with self.subTest("what is wrong is named, and nothing of it is taken"):
            wrong = self.http("POST", "tech", body=json.dumps([{**entry, "AccessionNumber": "A5"}, {**entry, "AccessionNumber": "A6", "Modality": ""}]))
            self.assertEqual((wrong.status_code, wrong.json()["detail"]), (400, "entry 2: Modality is missing"))
            self.assertEqual(self.http("POST", "tech", body="[1").status_code, 400)
            self.assertEqual(self.http("GET", "doctor", AccessionNumber="A5").json(), [])
        with self.subTest("cancelled, and put back"):
            self.assertEqual(self.http("DELETE", "tech").status_code, 400)
            self.assertEqual(self.http("DELETE", "tech", AccessionNumber="A9").status_code, 404)
            self.assertEqual(self.http("DELETE", "tech", AccessionNumber="A4").json(), {"cancelled": 1})
            self.assertEqual(self.http("GET", "desk", Modality="US").json(), [])
            self.assertEqual(self.http("GET", "desk", Modality="US", all="true").json()[0]["state"], "cancelled")
            self.assertEqual(self.http("POST", "tech", body=json.dumps(entry)).json()["changed"], 1)

    def check_commands(self):
        added = self.site_.run("worklist", "add", "PatientName=Poe^Edgar", "PatientID=P7", "AccessionNumber=A7", "Modality=DX", f"ScheduledProcedureStepStartDate={day(0)}", "ScheduledProcedureStepStartTime=07")
        self.assertEqual(added["added"], 1)
        listed = self.site_.run("worklist", "list", "--date", day(0), "--modality", "DX")["entries"]
        self.assertEqual([(row["state"], row["source"], row["attributes"]["ScheduledProcedureStepID"]) for row in listed], [("scheduled", "command", "A7")])
        self.assertIn("Poe^Edgar", self.site_.raw("worklist", "list", "--modality", "DX").stdout)
        self.site_.run("worklist", "add", "PatientID=P8", codes=(2,))
        self.assertEqual(self.site_.run("worklist", "cancel", "A1", "--step", "S2"), {"cancelled": 1})
        self.site_.run("worklist", "cancel", "A1", "--step", "S9", codes=(5,))
        self.assertEqual(self.orders(query(PatientID="P1")), ["A1/S1"])
        self.site_.stop(how=9)
        self.serve(self.site_)
        self.assertEqual(self.orders(query(PatientID="P1")), ["A1/S1"], "killed: what was said to be done stays")

    def check_performed(self):
        rows, _ = self.ask(query(PatientID="P3"))
        scheduled = rows[0]
        begun = pydicom.Dataset()
        item = pydicom.Dataset()
        item.StudyInstanceUID, item.AccessionNumber, item.RequestedProcedureID = scheduled.StudyInstanceUID, "A3", scheduled.RequestedProcedureID
        item.ScheduledProcedureStepID, item.ReferencedStudySequence = "S1", []
        begun.ScheduledStepAttributesSequence, begun.PatientName, begun.PatientID, begun.Modality = [item], "Doe^Jane", "P3", "CT"
        begun.PerformedProcedureStepID, begun.PerformedStationAETitle, begun.PerformedProcedureStepStatus = "PPS1", "CT1", "IN PROGRESS"
        begun.PerformedProcedureStepStartDate, begun.PerformedProcedureStepStartTime = day(0), "110500"
        begun.PerformedProcedureStepEndDate, begun.PerformedProcedureStepEndTime, begun.PerformedSeriesSequence = "", "", []
        ended = pydicom.Dataset()
        series = pydicom.Dataset()
        series.SeriesInstanceUID, series.ProtocolName, series.ReferencedImageSequence = generate_uid(), "Head", []
        ended.PerformedProcedureStepStatus, ended.PerformedProcedureStepEndDate, ended.PerformedProcedureStepEndTime = "COMPLETED", day(0), "112000"
        ended.PerformedSeriesSequence = [series]

        ae = AE(ae_title="CT1")
        ae.add_requested_context(ModalityPerformedProcedureStep)
        ae.add_requested_context(CTImageStorage)
        answers = []
        handlers = [(evt.EVT_DIMSE_RECV, lambda event: answers.append(event.message.command_set))]
        association = ae.associate("127.0.0.1", self.site_.dimse_port, ae_title="FIDUCIAL", evt_handlers=handlers)
        self.addCleanup(association.abort)

        def create(data_set, uid=None):
            return association.send_n_create(data_set, ModalityPerformedProcedureStep, uid)[0]

        def change(data_set, uid):
            return association.send_n_set(data_set, ModalityPerformedProcedureStep, uid)[0]

        def state():
            return [(row["AccessionNumber"], row["state"], row["ScheduledProcedureStepStatus"]) for row in self.http("GET", "tech", AccessionNumber="A3").json()]

        def without(data_set, keyword, value=None):
            out = copy.deepcopy(data_set)
            delattr(out, keyword)
            if value is not None:
                setattr(out, keyword, value)
            return out

        uid = generate_uid()
        with self.subTest("what is wrong with a beginning"):
            self.assertEqual(create(without(begun, "PerformedProcedureStepStatus", "COMPLETED"), uid).Status, 0x0106)
            missing = create(without(begun, "PerformedProcedureStepID"), uid)
            self.assertEqual((missing.Status, missing.ErrorComment), (0x0120, "PerformedProcedureStepID is missing"))
            self.assertEqual(change(ended, uid).Status, 0x0112)
            self.assertEqual(state(), [("A3", "scheduled", "SCHEDULED")])
        with self.subTest("begun"):
            self.assertEqual(create(begun, uid).Status, 0x0000)
            self.assertEqual(create(begun, uid).Status, 0x0111)
            self.assertEqual(state(), [("A3", "started", "STARTED")])
            self.assertEqual(self.orders(query(PatientID="P3")), ["A3/S1"], "it stays on the list")
            self.assertEqual(self.http("DELETE", "tech", AccessionNumber="A3").status_code, 409)
            self.assertEqual(create(begun).Status, 0x0000)
            self.assertTrue(answers[-1].AffectedSOPInstanceUID.startswith("2.25."), "a step without a UID gets one")
        with self.subTest("killed while it was performed"):
            self.site_.stop(how=9)
            self.serve(self.site_)
            association = ae.associate("127.0.0.1", self.site_.dimse_port, ae_title="FIDUCIAL")
            self.addCleanup(association.abort)
            self.assertEqual(state(), [("A3", "started", "STARTED")])
        with self.subTest("completed: the entry leaves the list, the exam gets its record while the association is open"):
            study = scheduled.StudyInstanceUID
            image = make_image(self.folder / "image.dcm", study, series.SeriesInstanceUID, 1, patient="P3")
            self.assertEqual(association.send_c_store(str(image)).Status, 0x0000)
            self.assertEqual(change(without(ended, "PerformedSeriesSequence", []), uid).Status, 0x0120)
            self.assertEqual(change(without(ended, "PerformedProcedureStepStatus", "PERHAPS"), uid).Status, 0x0106)
            self.assertEqual(change(ended, uid).Status, 0x0000)
            versions = requests.get(f"{self.site_.url}/studies/{study}/record", headers={"Authorization": "Bearer " + self.tokens["tech"]}, timeout=60).json()
            self.assertEqual(len(versions["versions"]), 1)
            self.assertEqual(state(), [])
            self.assertEqual(self.http("GET", "tech", AccessionNumber="A3", all="true").json()[0]["state"], "completed")
        with self.subTest("what is over stays as it is"):
            over = change(ended, uid)
            self.assertEqual((over.Status, over.ErrorID, over.ErrorComment), (0x0110, 0xA506, "Performed Procedure Step Object may no longer be updated"))
            entry = {"PatientName": "Doe^Jane", "PatientID": "P3", "AccessionNumber": "A3", "ScheduledProcedureStepID": "S1", "Modality": "CT", "ScheduledProcedureStepStartDate": day(5),
                     "ScheduledProcedureStepStartTime": "1200"}
            self.assertEqual(self.http("POST", "tech", body=json.dumps(entry)).status_code, 409)
        association.release()

    def settings(self, **values):
        file = self.site_.folder / "fiducial.toml"
        text = file.read_text()
        for key, value in values.items():
            section = text.index("[hl7]")
            text = text[:section] + re.sub(rf"(?m)^{key} = .*$", lambda _: f"{key} = {json.dumps(value)}", text[section:], count=1)
        file.write_text(text)

    def answered(self, answer):
        """Code, control ID, error and place of an answer, as hl7apy reads it."""
        self.assertTrue(answer.isascii())
        message = parse_message(answer.replace("|2.3.1\r", "|2.5.1\r"), validation_level=VALIDATION_LEVEL.STRICT)  # ERR of 2.5.1, in answers to older messages as well
        self.assertTrue(message.validate())
        error = next((segment for segment in answer.split("\r") if segment.startswith("ERR|")), "ERR|||||||||").split("|")
        return message.msa.msa_1.value, message.msa.msa_2.value, error[3].split("^")[0], error[2]

    def hl7_port(self):
        return int(re.findall(r"listening for HL7 .*port=(\d+)", self.site_.serve_log())[-1])

    def check_hl7(self):
        port = self.hl7_port()
        sender = Sender(port)
        self.addCleanup(sender.close)
        with self.subTest("a new order, in one piece and byte by byte; the same again"):
            self.assertEqual(self.answered(sender.send(hl7(ORM))[0]), ("AA", "M1", "", ""))
            self.assertEqual(self.answered(sender.send(hl7(ORM), pieces=1_000)[0]), ("AA", "M1", "", ""))
            rows, _ = self.ask(query("ISO_IR 192", {"Modality": "CT"}, PatientID="H20"))
            self.assertEqual([(str(row.PatientName), row.AccessionNumber, row.StudyInstanceUID, row.RequestedProcedureCodeSequence[0].CodeValue,
                               row.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime, row.ScheduledProcedureStepSequence[0].ScheduledStationAETitle) for row in rows],
                             [("Müller^Jürgen^^Dr=山田^太郎", "A20", "1.2.826.0.1.3680043.8.498.20", "CTTHX", "140000", "CT1")])
        with self.subTest("changed, and in another character set; several at once"):
            answers = sender.send(hl7(ORM[:1] + ORM[1:], id="M2", control="XO", start=day(0) + "1500"), hl7(OMI, type="OMI^O23^OMI_O23", version="2.5", id="M3"))
            self.assertEqual([self.answered(answer)[:2] for answer in answers], [("AA", "M2"), ("AA", "M3")])
            latin = hl7([ORM[0].split("~")[0] + "||19700203|M", *ORM[1:]], id="M4", control="XO").decode().replace("UNICODE UTF-8", "8859/1").encode("latin-1")
            self.assertEqual(self.answered(sender.send(latin)[0])[0], "AA")
            self.assertEqual(self.orders(query(PatientID="H*")), ["A20/SP20", "A21/S1", "A21/S2"])
            rows, _ = self.ask(query(PatientID="H20"))
            self.assertEqual(str(rows[0].PatientName), "Müller^Jürgen^^Dr")
        with self.subTest("cancelled"):
            self.assertEqual(self.answered(sender.send(hl7(OMI[:6], type="OMI^O23^OMI_O23", version="2.5", id="M5", control="CA"))[0])[0], "AA")
            self.assertEqual(self.orders(query(PatientID="H*")), ["A20/SP20", "A21/S2"])
            self.assertEqual(self.answered(sender.send(hl7(["ORC|CA|A99"], id="M6"))[0]), ("AE", "M6", "204", "ORC^1^2"))
        with self.subTest("what is wrong is named"):
            for lines, more, expected in [
                (ORM, {"modality": ""}, ("AE", "101", "OBR^1^24")),
                (ORM, {"start": "soon"}, ("AE", "101", "ORC^1^7^1^4")),
                (ORM, {"type": "ADT^A40"}, ("AR", "200", "MSH^1^9^1^1")),
                (ORM, {"control": "SC"}, ("AE", "103", "ORC^1^1")),
                (ORM[:2], {}, ("AE", "100", "ORC^1")),
            ]:
                code, _, error, place = self.answered(sender.send(hl7(lines, **more))[0])
                self.assertEqual((code, error, place), expected)
            self.assertIn("\rMSA|AR|\r", sender.send(b"MSH|^~\\&|\xff\r")[0], "which no answer can name")
        with self.subTest("acknowledged is durable"):
            self.assertEqual(self.answered(sender.send(hl7(ORM, id="M9", control="XO", start=day(3) + "0700"))[0])[0], "AA")
            self.site_.stop(how=9)
            self.serve(self.site_)
            self.assertEqual(self.orders(query(step={"ScheduledProcedureStepStartDate": day(3)})), ["A20/SP20"])
        with self.subTest("what is longer than a message may be ends the connection; the door goes on"):
            port = self.hl7_port()
            long = Sender(port)
            with self.assertRaises((ConnectionError, BrokenPipeError)):
                long.send(b"x" * (2 << 20))
                long.receive()
            long.close()
            again = Sender(port)
            self.assertEqual(self.answered(again.send(hl7(ORM, id="M10", control="CA"))[0])[0], "AA")
            again.close()
            self.assertIn('fiducial_hl7_messages_total{answer="AA"} 1', self.http("GET", "tech", "/metrics").text)

    def check_hl7_over_tls(self):
        self.settings(listen="0.0.0.0:0", senders=["192.0.2.9"])
        self.assertIn("there is no TLS, and it is not listed as plain", json.dumps(self.site_.run("config", "check", codes=range(1, 20))))
        certificate, key = self.folder / "c.pem", self.folder / "k.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        self.settings(senders=["127.0.0.1"], tls_certificate=str(certificate), tls_key=str(key))
        self.serve(self.site_)
        port = self.hl7_port()
        context = ssl.create_default_context(cafile=certificate)
        context.check_hostname = False
        sender = Sender(port, context)
        self.assertEqual(self.answered(sender.send(hl7(ORM, control="XO"))[0])[0], "AA")
        sender.close()
        plain = Sender(port)
        with self.assertRaises((ConnectionError, AssertionError)):
            plain.send(hl7(ORM))
        plain.close()


if __name__ == "__main__":
    unittest.main()
