"""C-FIND, by DCMTK's findscu and pynetdicom, against an independent reading of the same files with pydicom."""
import re
import struct
import subprocess
import unittest
from datetime import datetime, timedelta

import pydicom
import requests
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import (PatientRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet)

from dimse_test import DimseTest
from harness import wait_for
from qido_test import INSTANCE_RULES, RULES, SERIES_RULES, exams

PATIENT_ROOT, STUDY_ROOT = PatientRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelFind
PEERS = ["WS 127.0.0.1 device=ws query", "CT1 127.0.0.1 device=ct1", "HALF 127.0.0.1 device=ct1 query", "GONE 127.0.0.1 device=nowhere query"]


def keys(level, **values):
    query = pydicom.Dataset()
    query.QueryRetrieveLevel = level
    for name, value in values.items():
        if name == "character_set":
            query.SpecificCharacterSet = value
        else:
            setattr(query, name, value)
    return query


def key_of(rule, value):
    """A rule of QIDO's, which names attributes in a sequence with a dot, as keys."""
    name = rule.replace("00400275.00400009", "RequestAttributesSequence.ScheduledProcedureStepID")
    if "." not in name:
        return {name: value}
    item = pydicom.Dataset()
    setattr(item, name.split(".")[1], value)
    return {name.split(".")[0]: [item]}


IDENTIFY, READ, DEVICE_LISTED, BY_A_DEVICE = 1, 0, 13, 4


def looks(site):
    """Operation, reason and flags of every entry in the trace (docs/formats/trace.md)."""
    log = (site.folder / "trace/trace.log").read_bytes()
    return [(log[m.end() + 8], *struct.unpack(">H", log[m.end() + 11:m.end() + 13]), *struct.unpack(">I", log[m.end() + 54:m.end() + 58])) for m in re.finditer(rb"\x0afid\.entry1", log)]


class Find(DimseTest):
    def setUp(self):
        super().setUp()
        self.site_ = self.archive(peers=PEERS)
        self.images = list(exams())
        folder = self.folder / "exams"
        folder.mkdir()
        for number, data_set in enumerate(self.images):
            data_set.save_as(folder / f"{number}.dcm", enforce_file_format=True)
        self.site_.run("import", folder)
        self.site_.run("device", "add", "ws", "--may", "query,retrieve")
        self.site_.run("device", "add", "ct1")
        self.site_.run("person", "add", "auditor", "--role", "auditor")
        self.token = self.site_.token("auditor")
        self.port = self.serve(self.site_)

    def contexts(self, title="WS", extended=None):
        ae = AE(ae_title=title)
        for model in (PATIENT_ROOT, STUDY_ROOT, StudyRootQueryRetrieveInformationModelGet):
            ae.add_requested_context(model, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
        items = []
        if extended:
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid, item.service_class_application_information = STUDY_ROOT, extended
            items = [item]
        return ae.associate("127.0.0.1", self.port, ae_title="FIDUCIAL", ext_neg=items)

    def find(self, association, query, model=STUDY_ROOT):
        """The rows, and every status."""
        answers = list(association.send_c_find(query, model))
        statuses = [s.Status for s, _ in answers]
        self.last = answers[-1][0]
        return [row for _, row in answers if row is not None], statuses

    def entries(self):
        return int(re.search(r"^fiducial_trace_entries (\d+)", requests.get(self.site_.url + "/metrics", headers={"Authorization": "Bearer " + self.token}, timeout=60).text, re.MULTILINE)[1])

    def test_queries(self):
        association = self.contexts()
        self.assertTrue(association.is_established)
        self.check_matching(association)
        self.check_attributes(association)
        self.check_character_sets(association)
        self.check_refusals(association)
        association.release()
        self.check_who_may()
        self.check_extended_negotiation()
        self.check_findscu()
        self.site_.stop()
        self.assertIn("queries=", self.site_.serve_log())
        seen = [entry for entry in looks(self.site_) if entry[:2] == (IDENTIFY, DEVICE_LISTED)]
        self.assertGreater(len(seen), 100)
        self.assertTrue(all(flags & BY_A_DEVICE for _, _, flags in seen))

    def check_matching(self, association):
        with self.subTest("every attribute and value, at every level and root"):
            levels = [("STUDY", "StudyInstanceUID", RULES), ("SERIES", "SeriesInstanceUID", SERIES_RULES), ("IMAGE", "SOPInstanceUID", INSTANCE_RULES)]
            some = 0
            for level, unique, rules in levels:
                for rule, values, fits in rules:
                    for value in (v for v in values if "," not in v):
                        expected = sorted({getattr(d, unique) for d in self.images if fits(d, value)})
                        with self.subTest(level=level, key=rule, value=value):
                            rows, statuses = self.find(association, keys(level, character_set="ISO_IR 192", **{unique: "", **key_of(rule, value)}), PATIENT_ROOT if some % 2 else STUDY_ROOT)
                            self.assertEqual(sorted(getattr(r, unique) for r in rows), expected)
                            self.assertEqual(statuses, [0xFF00] * len(rows) + [0x0000])
                        some += bool(expected)
            self.assertGreater(some, 35, "most of them find something")
        with self.subTest("patients"):
            rows, _ = self.find(association, keys("PATIENT", PatientID="", PatientName="doe*"), PATIENT_ROOT)
            self.assertEqual(sorted(r.PatientID for r in rows), sorted({d.PatientID for d in self.images if str(d.PatientName).startswith("Doe")}))
        with self.subTest("lists of UIDs, modalities in a study, several keys"):
            two = sorted({d.StudyInstanceUID for d in self.images})[:2]
            rows, _ = self.find(association, keys("STUDY", StudyInstanceUID=two))
            self.assertEqual(sorted(r.StudyInstanceUID for r in rows), two)
            rows, _ = self.find(association, keys("STUDY", StudyInstanceUID="", ModalitiesInStudy="MR"))
            self.assertEqual(sorted(r.StudyInstanceUID for r in rows), sorted({d.StudyInstanceUID for d in self.images if d.Modality == "MR"}))
            rows, _ = self.find(association, keys("SERIES", SeriesInstanceUID="", PatientID="P1", Modality="CT"))
            self.assertEqual(sorted(r.SeriesInstanceUID for r in rows), sorted({d.SeriesInstanceUID for d in self.images if d.PatientID == "P1" and d.Modality == "CT"}))
        with self.subTest("the same order each time: newest first"):
            dates = {d.StudyInstanceUID: d.StudyDate for d in self.images}
            expected = sorted(dates, key=lambda uid: (dates[uid], uid), reverse=True)
            for _ in range(2):
                rows, _ = self.find(association, keys("STUDY", StudyInstanceUID=""))
                self.assertEqual([r.StudyInstanceUID for r in rows], expected)

    def check_attributes(self, association):
        first = self.images[0]
        of_study = [d for d in self.images if d.StudyInstanceUID == first.StudyInstanceUID]
        with self.subTest("what was asked for and is known, and nothing else"):
            wanted = dict(PatientName="", PatientBirthDate="", StudyDate="", AccessionNumber="", NumberOfStudyRelatedInstances="", InstanceAvailability="", StudyComments="", Modality="")
            rows, statuses = self.find(association, keys("STUDY", StudyInstanceUID=first.StudyInstanceUID, **wanted))
            self.assertEqual(statuses, [0xFF01, 0x0000], "Study Comments are not indexed, Modality is of a series")
            row = rows[0]
            self.assertEqual({e.keyword for e in row} - {"SpecificCharacterSet"}, {"StudyInstanceUID", "QueryRetrieveLevel", "RetrieveAETitle", *wanted} - {"StudyComments", "Modality"})
            self.assertEqual((row.QueryRetrieveLevel, row.RetrieveAETitle, row.InstanceAvailability), ("STUDY", "FIDUCIAL", "ONLINE"))
            self.assertEqual((row.PatientName, row.PatientBirthDate, row.StudyDate, row.AccessionNumber), (first.PatientName, first.PatientBirthDate, first.StudyDate, first.AccessionNumber))
            self.assertEqual(row.NumberOfStudyRelatedInstances, len(of_study))
        with self.subTest("numbers and sequences"):
            item = pydicom.Dataset()
            item.ScheduledProcedureStepID = item.RequestedProcedureID = ""
            rows, _ = self.find(association, keys("IMAGE", SOPInstanceUID=first.SOPInstanceUID, Rows=None, NumberOfFrames="", TimezoneOffsetFromUTC="", RequestAttributesSequence=[item]))
            self.assertEqual((rows[0].Rows, rows[0].NumberOfFrames, rows[0].TimezoneOffsetFromUTC), (4, 1, "+0100"))
            self.assertEqual(rows[0].RequestAttributesSequence[0], first.RequestAttributesSequence[0])
            code = pydicom.Dataset()
            code.CodeValue = "CTTHX"
            rows, statuses = self.find(association, keys("STUDY", StudyInstanceUID=first.StudyInstanceUID, ProcedureCodeSequence=[code]))
            self.assertEqual((statuses, "ProcedureCodeSequence" in rows[0]), ([0xFF01, 0x0000], False), "not kept: a warning, and nothing is kept out")
            item.RequestedProcedureCodeSequence = [code]
            rows, statuses = self.find(association, keys("SERIES", SeriesInstanceUID=first.SeriesInstanceUID, RequestAttributesSequence=[item]))
            self.assertEqual((statuses, "RequestedProcedureCodeSequence" in rows[0].RequestAttributesSequence[0]), ([0xFF01, 0x0000], False))
        with self.subTest("entries in the trace for each patient shown, one for an empty list"):
            for query, least in ((keys("STUDY", StudyInstanceUID=""), len({d.PatientID for d in self.images})), (keys("STUDY", PatientID="P1"), 1), (keys("STUDY", PatientID="nobody"), 1)):
                before = self.entries()
                self.find(association, query)
                self.assertIn(self.entries() - before, range(least, 2 * least), "a second one for a patient of whom more studies came in a later batch")

    def check_character_sets(self, association):
        yamada = next(d for d in self.images if "山田" in str(d.PatientName))
        studies = {d.StudyInstanceUID for d in self.images if d.PatientID == yamada.PatientID}
        for character_set in (["", "ISO 2022 IR 87"], ["ISO 2022 IR 13", "ISO 2022 IR 87"], "GB18030", "ISO_IR 192"):
            with self.subTest(character_set=character_set):
                for name in ("山田*", "*=山田^太郎", "==やまだ*"):
                    rows, _ = self.find(association, keys("STUDY", character_set=character_set, StudyInstanceUID="", PatientName=name))
                    self.assertEqual({r.StudyInstanceUID for r in rows}, studies)
                    self.assertEqual({str(r.PatientName) for r in rows}, {"Yamada^Tarou=山田^太郎=やまだ^たろう"})
                    answered = rows[0].SpecificCharacterSet
                    self.assertEqual(answered if isinstance(answered, str) else list(answered), character_set)
        with self.subTest("what a character set does not have comes in UTF-8"):
            for character_set in ("ISO_IR 100", ["", "ISO 2022 IR 149"], None):
                rows, _ = self.find(association, keys("STUDY", **({"character_set": character_set} if character_set else {}), PatientID=yamada.PatientID, PatientName=""))
                self.assertEqual((rows[0].SpecificCharacterSet, str(rows[0].PatientName)), ("ISO_IR 192", "Yamada^Tarou=山田^太郎=やまだ^たろう"))
        with self.subTest("Latin 1, both ways"):
            rows, _ = self.find(association, keys("STUDY", character_set="ISO_IR 100", PatientName="müller^jörg"))
            self.assertEqual({(r.SpecificCharacterSet, str(r.PatientName)) for r in rows}, {("ISO_IR 100", "Müller^Jörg")})

    def check_refusals(self, association):
        for why, query, model in (("no level", keys(""), STUDY_ROOT), ("patients of the study root", keys("PATIENT", PatientID=""), STUDY_ROOT), ("a level that is none", keys("FRAME"), PATIENT_ROOT),
                                  ("a date that is none", keys("STUDY", StudyDate="20261399"), STUDY_ROOT), ("a UID that is none", keys("STUDY", StudyInstanceUID="1.2.*"), STUDY_ROOT)):
            with self.subTest(why):
                rows, statuses = self.find(association, query, model)
                self.assertEqual((rows, statuses), ([], [0xA900]))
                self.assertTrue(self.last.ErrorComment)
        self.assertEqual(len(self.find(association, keys("STUDY", PatientID="P1", StudyInstanceUID=""))[0]), len({d.StudyInstanceUID for d in self.images if d.PatientID == "P1"}), "the association goes on")

    def check_who_may(self):
        with self.subTest("who is not let query in the settings is told so"):
            association = self.contexts("CT1")
            self.assertEqual([c.result for c in association.rejected_contexts][:2], [1, 1])
            association.abort()
        with self.subTest("nor may a device that the ledger does not list for it: it sees nothing"):
            association = self.contexts("HALF")
            self.assertEqual(self.find(association, keys("STUDY", StudyInstanceUID="")), ([], [0x0000]))
            association.release()
        with self.subTest("nor one that is not registered"):
            association = self.contexts("GONE")
            self.assertEqual(self.find(association, keys("STUDY", StudyInstanceUID="")), ([], [0x0124]))
            self.assertIn("fiducial device add", self.last.ErrorComment)
            association.release()
        with self.subTest("a device that is removed sees nothing from then on, also on an association that stands"):
            self.site_.run("device", "add", "brief", "--may", "query")
            self.site_.stop()
            file = self.site_.folder / "fiducial.toml"
            file.write_text(file.read_text().replace('"GONE 127.0.0.1', '"BRIEF 127.0.0.1 device=brief query", "GONE 127.0.0.1'))
            self.port = self.serve(self.site_)
            association = self.contexts("BRIEF")
            wait_for(lambda: self.find(association, keys("STUDY", StudyInstanceUID=""))[0], 30, "it may query")
            self.site_.run("device", "remove", "brief")
            self.assertEqual(self.find(association, keys("STUDY", StudyInstanceUID=""))[1], [0x0124])
            association.release()

    def check_extended_negotiation(self):
        moments = {d.StudyInstanceUID: d.StudyDate + d.StudyTime for d in self.images}
        ranges = keys("STUDY", StudyInstanceUID="", StudyDate="20260105-20260220", StudyTime="120000-080000")
        with self.subTest("date and time together, and fuzzy names, where it was agreed on"):
            association = self.contexts(extended=b"\x01\x01\x01\x01")
            answered = [i for i in association.acceptor.user_information if isinstance(i, SOPClassExtendedNegotiation)]
            self.assertEqual([i.service_class_application_information for i in answered], [b"\x01\x01\x01\x01"])
            rows, _ = self.find(association, ranges)
            self.assertEqual(sorted(r.StudyInstanceUID for r in rows), sorted(u for u, m in moments.items() if "20260105120000" <= m <= "20260220080000"))
            rows, _ = self.find(association, keys("STUDY", StudyInstanceUID="", PatientName="j doe"))
            self.assertEqual({r.StudyInstanceUID for r in rows}, {d.StudyInstanceUID for d in self.images if str(d.PatientName).startswith("Doe^J")})
            association.release()
        with self.subTest("a day of another timezone, whose midnight is another"):
            association = self.contexts()
            for offset, hours in (("-0800", -9), ("+0100", 0), ("+1100", 10)):  # the images' own is +0100
                there = {d.StudyInstanceUID: (datetime.strptime(d.StudyDate + d.StudyTime, "%Y%m%d%H%M%S") + timedelta(hours=hours)).strftime("%Y%m%d") for d in self.images}
                days = sorted(set(there.values()))
                rows, _ = self.find(association, keys("STUDY", StudyInstanceUID="", StudyDate="-".join((days[5], days[10])), TimezoneOffsetFromUTC=offset))
                self.assertEqual(sorted(r.StudyInstanceUID for r in rows), sorted(u for u, day in there.items() if days[5] <= day <= days[10]), offset)
                self.assertEqual({r.TimezoneOffsetFromUTC for r in rows}, {"+0100"}, "what is given out stays as it is stored, and says so")
            self.assertEqual(self.find(association, keys("STUDY", StudyInstanceUID="", TimezoneOffsetFromUTC="Tokyo")), ([], [0xA900]))
            association.release()
        with self.subTest("and apart where not"):
            association = self.contexts()
            self.assertEqual(self.find(association, ranges)[0], [], "no time is after noon and before eight")
            association.release()

    def check_findscu(self):
        out = self.folder / "found"
        out.mkdir()

        def findscu(*arguments, calling="WS"):
            for old in out.iterdir():
                old.unlink()
            self.tool("findscu", "-aet", calling, "-aec", "FIDUCIAL", "-X", "-od", out, *arguments, "127.0.0.1", self.port, port=self.port)
            return [pydicom.dcmread(p, force=True) for p in sorted(out.iterdir())]
        with self.subTest("study root"):
            rows = findscu("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyDate=20260101-20260131", "-k", "StudyInstanceUID", "-k", "PatientName")
            self.assertEqual({r.StudyInstanceUID for r in rows}, {d.StudyInstanceUID for d in self.images if d.StudyDate <= "20260131"})
        with self.subTest("patient root, Latin 1 as bytes"):
            ran = subprocess.run([b"findscu", b"-aet", b"WS", b"-aec", b"FIDUCIAL", b"-P", b"-k", b"QueryRetrieveLevel=PATIENT", b"-k", b"SpecificCharacterSet=ISO_IR 100", b"-k", b"PatientName=M\xfcller*",
                                  b"-k", b"PatientID", b"127.0.0.1", str(self.port).encode()], capture_output=True, timeout=60, check=True)
            self.assertIn(b"M\xfcller^J\xf6rg", ran.stdout + ran.stderr)
        with self.subTest("a sequence's key"):
            rows = findscu("-S", "-k", "QueryRetrieveLevel=SERIES", "-k", "(0040,0275)[0].ScheduledProcedureStepID=S3", "-k", "SeriesInstanceUID")
            self.assertEqual({r.SeriesInstanceUID for r in rows}, {d.SeriesInstanceUID for d in self.images if d.RequestAttributesSequence[0].ScheduledProcedureStepID == "S3"})
        with self.subTest("cancel: it ends in order, sooner or later"):
            rows = findscu("-S", "--cancel", "1", "-k", "QueryRetrieveLevel=IMAGE", "-k", "SOPInstanceUID")
            self.assertLessEqual(len(rows), len(self.images))
            self.assertGreater(len(rows), 0)
        with self.subTest("nothing there"):
            self.assertEqual(findscu("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=nobody"), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
