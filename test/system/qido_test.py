"""Searches, by clients that we did not write, against an independent reading of the same files with pydicom."""
import random
import re
import unicodedata
import unittest
from datetime import datetime, timedelta
import xml.etree.ElementTree

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from harness import SystemTest

NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
NAMES = ["Doe^Jane", "Doe^John^^Dr", "Müller^Jörg", "Muller^Anna", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Smith^O'Neil", "de la Cruz^María", "SOLO", ""]
DESCRIPTIONS = ["Thorax AP", "THORAX lateral", "Knie links", "100% pure_", ""]

# PS3.18 (2024), tables 10.6.3-3 to -5: what each answer holds.
STUDY = "StudyDate StudyTime AccessionNumber InstanceAvailability ModalitiesInStudy ReferringPhysicianName TimezoneOffsetFromUTC RetrieveURL PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyID NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances".split()
SERIES = "Modality TimezoneOffsetFromUTC SeriesDescription RetrieveURL SeriesInstanceUID SeriesNumber NumberOfSeriesRelatedInstances PerformedProcedureStepStartDate PerformedProcedureStepStartTime RequestAttributesSequence".split()
INSTANCE = "SOPClassUID SOPInstanceUID InstanceAvailability TimezoneOffsetFromUTC RetrieveURL InstanceNumber Rows Columns BitsAllocated NumberOfFrames".split()


def image(**attributes):
    data_set = pydicom.Dataset()
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.SOPClassUID = SecondaryCaptureImageStorage
    data_set.SOPInstanceUID = generate_uid()
    data_set.Rows, data_set.Columns, data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 4, 4, 8, 8, 7
    data_set.SamplesPerPixel, data_set.PixelRepresentation, data_set.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    data_set.PixelData = bytes(range(16))
    for name, value in attributes.items():
        setattr(data_set, name, value)
    return data_set


def exams(seed=20260101, studies=24):
    """Random exams, the same each time."""
    choose = random.Random(seed)
    for s in range(studies):
        patient = choose.randrange(len(NAMES))
        of_study = dict(
            StudyInstanceUID=generate_uid(entropy_srcs=["study", str(s)]), PatientName=NAMES[patient], PatientID=f"P{patient}", PatientSex="FMO"[patient % 3],
            PatientBirthDate=f"19{50 + patient}0101", StudyDate=f"2026{choose.randint(1, 3):02}{choose.randint(1, 28):02}", StudyTime=f"{choose.randint(0, 23):02}{choose.randint(0, 59):02}00",
            AccessionNumber=f"A{choose.randint(1, 9)}", StudyID=str(s), StudyDescription=choose.choice(DESCRIPTIONS), ReferringPhysicianName=choose.choice(NAMES), TimezoneOffsetFromUTC="+0100")
        for e in range(choose.randint(1, 3)):
            request = pydicom.Dataset()
            request.ScheduledProcedureStepID, request.RequestedProcedureID = f"S{s}", f"R{e}"
            of_series = dict(SeriesInstanceUID=generate_uid(entropy_srcs=["series", str(s), str(e)]), Modality=choose.choice(["CT", "MR", "CR"]), SeriesNumber=e + 1, SeriesDescription=choose.choice(DESCRIPTIONS),
                             PerformedProcedureStepStartDate=of_study["StudyDate"], PerformedProcedureStepStartTime=of_study["StudyTime"], RequestAttributesSequence=[request], BodyPartExamined="CHEST")
            for i in range(choose.randint(1, 3)):
                yield image(**of_study, **of_series, InstanceNumber=i + 1, SOPInstanceUID=generate_uid(entropy_srcs=["sop", str(s), str(e), str(i)]), NumberOfFrames=1)


def folded(text):
    """Without case and accents."""
    return "".join(c for c in unicodedata.normalize("NFD", str(text)) if not unicodedata.combining(c)).casefold()


def fits_text(value, wanted):
    pattern = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in wanted)
    return re.fullmatch(pattern, value, re.DOTALL) is not None


def fits_name(value, wanted):
    def groups(name):
        return [re.sub(r" +", " ", group.replace("^", " ")).strip() for group in folded(name).split("=")]
    return any(fits_text(group, groups(wanted)[0]) for group in groups(value))


def fits_range(value, wanted):
    first, dash, last = wanted.partition("-")
    return bool(value) and (first or "0") <= value <= ((last or "9") if dash else first)


# The rules once more: attribute, values to ask with, whether a data set fits.
RULES = [
    ("PatientID", ["P1", "P*", "?4", "p1", "", "P1*"], lambda d, w: fits_text(d.PatientID, w or "*")),
    ("PatientName", ["doe*", "DOE^JANE", "muller*", "*jörg", "山田*", "yamada^tarou", "smith^o'neil", "doe", "de la*", "*a", "?oe*", "%", "solo"], lambda d, w: fits_name(d.PatientName, w)),
    ("ReferringPhysicianName", ["doe*", "müller*", "*太郎"], lambda d, w: fits_name(d.ReferringPhysicianName, w)),
    ("StudyDate", ["20260101-20260131", "-20260215", "20260301-", "20260110", "20260215-20260216"], lambda d, w: fits_range(d.StudyDate, w)),
    ("StudyTime", ["080000-120000", "-060000", "180000-"], lambda d, w: fits_range(d.StudyTime, w)),
    ("PatientBirthDate", ["19510101", "19520101-19540101"], lambda d, w: fits_range(d.PatientBirthDate, w)),
    ("PatientSex", ["F", "M,O"], lambda d, w: d.PatientSex in w.split(",")),
    ("AccessionNumber", ["A1", "A?", "*7"], lambda d, w: fits_text(d.AccessionNumber, w)),
    ("StudyID", ["3", "1?"], lambda d, w: fits_text(d.StudyID, w)),
    ("StudyDescription", ["thorax*", "100% PURE_", "*_", "knie ?inks"], lambda d, w: fits_text(folded(d.StudyDescription), folded(w))),
]
SERIES_RULES = [
    ("Modality", ["CT", "C?", "CT,MR"], lambda d, w: any(fits_text(d.Modality, one) for one in w.split(","))),
    ("SeriesNumber", ["1", "03"], lambda d, w: int(d.SeriesNumber) == int(w)),
    ("PerformedProcedureStepStartDate", ["20260101-20260131"], lambda d, w: fits_range(d.PerformedProcedureStepStartDate, w)),
    ("PerformedProcedureStepStartTime", ["080000-120000"], lambda d, w: fits_range(d.PerformedProcedureStepStartTime, w)),
    ("RequestAttributesSequence.RequestedProcedureID", ["R1"], lambda d, w: d.RequestAttributesSequence[0].RequestedProcedureID == w),
    ("00400275.00400009", ["S3", "S1?"], lambda d, w: fits_text(d.RequestAttributesSequence[0].ScheduledProcedureStepID, w)),
]
INSTANCE_RULES = [
    ("InstanceNumber", ["2"], lambda d, w: int(d.InstanceNumber) == int(w)),
    ("SOPClassUID", [SecondaryCaptureImageStorage, "1.2.3"], lambda d, w: d.SOPClassUID == w),
]


class Qido(SystemTest):
    def setUp(self):
        super().setUp()
        self.archive = self.site()
        self.images = list(exams())
        folder = self.folder / "exams"
        folder.mkdir()
        for number, data_set in enumerate(self.images):
            data_set.save_as(folder / f"{number}.dcm", enforce_file_format=True)
        self.archive.run("import", folder)
        for name in ("doctor", "desk", "researcher", "auditor"):
            self.archive.run("person", "add", name, "--role", name)
        self.tokens = {name: self.archive.token(name) for name in ("doctor", "desk", "researcher", "auditor")}

    def ask(self, path, who="doctor", accept="application/dicom+json", **parameters):
        headers = {"Accept": accept, **({"Authorization": "Bearer " + self.tokens[who]} if who else {})}
        return requests.get(self.archive.url + path, headers=headers, params=parameters, timeout=60)

    def found(self, path, who="doctor", **parameters):
        answer = self.ask(path, who, **parameters)
        self.assertIn(answer.status_code, (200, 204), answer.text[:400])
        return [pydicom.Dataset.from_json(one) for one in answer.json()] if answer.status_code == 200 else []

    def test_searches(self):
        with self.archive.serving():
            self.check_matching()
            self.check_attributes()
            self.check_pages()
            self.check_rights_and_trace()
            self.check_clients()
            self.check_metadata()

    def check_matching(self):
        def uids(images, name):
            return sorted({getattr(d, name) for d in images})
        with self.subTest("every attribute and value, at every level"):
            levels = [("/studies", "StudyInstanceUID", RULES), ("/series", "SeriesInstanceUID", RULES + SERIES_RULES), ("/instances", "SOPInstanceUID", RULES + SERIES_RULES + INSTANCE_RULES)]
            some = 0
            for path, unique, rules in levels:
                for name, values, fits in rules:
                    for value in values:
                        expected = uids([d for d in self.images if fits(d, value)], unique)
                        with self.subTest(path=path, key=name, value=value):
                            self.assertEqual(sorted(getattr(d, unique) for d in self.found(path, **{name: value})), expected)
                        some += bool(expected)
            self.assertGreater(some, 100, "most of them find something")
        with self.subTest("modalities in a study, lists of UIDs, several keys"):
            in_study = {}
            for d in self.images:
                in_study.setdefault(d.StudyInstanceUID, set()).add(d.Modality)
            self.assertEqual(sorted(d.StudyInstanceUID for d in self.found("/studies", ModalitiesInStudy="MR")), sorted(u for u, m in in_study.items() if "MR" in m))
            two = sorted(in_study)[:2]
            for separator in (",", "\\"):
                self.assertEqual(sorted(d.StudyInstanceUID for d in self.found("/studies", StudyInstanceUID=separator.join(two))), two)
            wanted = uids([d for d in self.images if d.PatientID == "P1" and d.Modality == "CT"], "SeriesInstanceUID")
            self.assertEqual(sorted(d.SeriesInstanceUID for d in self.found("/series", PatientID="P1", Modality="CT")), wanted)
        with self.subTest("date and time together are moments"):
            moments = {d.StudyInstanceUID: d.StudyDate + d.StudyTime for d in self.images}
            expected = sorted(u for u, m in moments.items() if "20260105120000" <= m <= "20260220080000")
            self.assertEqual(sorted(d.StudyInstanceUID for d in self.found("/studies", StudyDate="20260105-20260220", StudyTime="120000-080000")), expected)
        with self.subTest("a day of another timezone"):
            there = {d.StudyInstanceUID: (datetime.strptime(d.StudyDate + d.StudyTime, "%Y%m%d%H%M%S") - timedelta(hours=9)).strftime("%Y%m%d") for d in self.images}
            day = sorted(there.values())[7]
            self.assertEqual(sorted(d.StudyInstanceUID for d in self.found("/studies", StudyDate=day, TimezoneOffsetFromUTC="-0800")), sorted(u for u, at in there.items() if at == day))
        with self.subTest("fuzzy names"):
            expected = uids([d for d in self.images if str(d.PatientName).startswith("Doe^J")], "StudyInstanceUID")
            self.assertEqual(sorted(d.StudyInstanceUID for d in self.found("/studies", PatientName="j doe", fuzzymatching="true")), expected)
        with self.subTest("refusals and warnings"):
            refused = self.ask("/studies", StudyDate="yesterday")
            self.assertEqual(refused.status_code, 400)
            self.assertIn("StudyDate", refused.json()["detail"])
            warned = self.ask("/studies", NoSuchAttribute="1", limit=1)
            self.assertIn("NoSuchAttribute", warned.headers["Warning"])
            self.assertEqual(self.ask("/studies", PatientID="nobody").status_code, 204)

    def check_attributes(self):
        first = self.images[0]
        path = f"/studies/{first.StudyInstanceUID}"
        of_study = [d for d in self.images if d.StudyInstanceUID == first.StudyInstanceUID]
        of_series = [d for d in of_study if d.SeriesInstanceUID == first.SeriesInstanceUID]
        computed = {"InstanceAvailability": "ONLINE", "NumberOfStudyRelatedInstances": len(of_study), "NumberOfStudyRelatedSeries": len({d.SeriesInstanceUID for d in of_study}),
                    "NumberOfSeriesRelatedInstances": len(of_series)}
        rows = [(STUDY, self.found("/studies", StudyInstanceUID=first.StudyInstanceUID), path), (SERIES, self.found(path + "/series", SeriesInstanceUID=first.SeriesInstanceUID), path + f"/series/{first.SeriesInstanceUID}"),
                (INSTANCE, self.found(path + f"/series/{first.SeriesInstanceUID}/instances", SOPInstanceUID=first.SOPInstanceUID), path + f"/series/{first.SeriesInstanceUID}/instances/{first.SOPInstanceUID}")]
        rows.append((STUDY + SERIES, self.found("/series", SeriesInstanceUID=first.SeriesInstanceUID), rows[1][2]))
        rows.append((STUDY + SERIES + INSTANCE, self.found("/instances", SOPInstanceUID=first.SOPInstanceUID), rows[2][2]))
        for names, answer, url in rows:
            self.assertEqual(len(answer), 1)
            for name in names:
                with self.subTest(resource=url, attribute=name):
                    if name == "RetrieveURL":
                        self.assertEqual(answer[0].RetrieveURL, self.archive.url + url)
                    elif name == "ModalitiesInStudy":
                        value = answer[0].ModalitiesInStudy
                        self.assertEqual(sorted([value] if isinstance(value, str) else value), sorted({d.Modality for d in of_study}))
                    else:
                        self.assertEqual(getattr(answer[0], name), computed.get(name, getattr(first, name, None)))
        with self.subTest("includefield"):
            self.assertNotIn("BodyPartExamined", self.found(path + "/series")[0])
            self.assertEqual(self.found(path + "/series", includefield="BodyPartExamined")[0].BodyPartExamined, "CHEST")
            self.assertEqual(self.found(path + "/series", includefield="all")[0].BodyPartExamined, "CHEST")
        with self.subTest("as XML"):
            answer = self.ask("/studies", accept='multipart/related; type="application/dicom+xml"', StudyInstanceUID=first.StudyInstanceUID)
            boundary = answer.headers["Content-Type"].split("boundary=")[1]
            part = answer.content.split(b"--" + boundary.encode())[1].split(b"\r\n\r\n", 1)[1]
            tree = xml.etree.ElementTree.fromstring(part.strip())
            by_keyword = {a.get("keyword"): a for a in tree.iter(NATIVE + "DicomAttribute")}
            self.assertEqual(by_keyword["StudyInstanceUID"].find(NATIVE + "Value").text, first.StudyInstanceUID)
            self.assertLessEqual(set(STUDY), set(by_keyword))

    def check_pages(self):
        everything = [d.StudyInstanceUID for d in self.found("/studies")]
        dates = {d.StudyInstanceUID: d.StudyDate for d in self.images}
        self.assertEqual(everything, sorted(dates, key=lambda uid: (dates[uid], uid), reverse=True), "newest first")
        for path in ("/studies", "/series", "/instances"):
            with self.subTest(path):
                whole = [d.to_json() for d in self.found(path)]
                paged, offset = [], 0
                while True:
                    answer = self.ask(path, limit=7, offset=offset)
                    if answer.status_code == 204:
                        break
                    paged += [pydicom.Dataset.from_json(one).to_json() for one in answer.json()]
                    self.assertEqual("Warning" in answer.headers, len(paged) < len(whole))
                    offset += 7
                self.assertEqual(paged, whole)

    def check_rights_and_trace(self):
        def entries():
            return int(re.search(r"^fiducial_trace_entries (\d+)", self.ask("/metrics").text, re.MULTILINE)[1])
        patients = len({d.PatientID for d in self.images})
        with self.subTest("one entry for each patient shown, one for an empty list"):
            before = entries()
            self.found("/studies")
            self.assertEqual(entries() - before, patients)
            before = entries()
            self.found("/studies", PatientID="P1")
            self.assertEqual(entries() - before, 1)
            before = entries()
            self.found("/studies", PatientID="nobody")
            self.assertEqual(entries() - before, 1)
        with self.subTest("who may"):
            self.assertEqual(len(self.found("/studies", "desk")), len(self.found("/studies")))
            self.assertEqual(self.found("/studies", "researcher"), [])
            self.assertEqual(self.found("/studies", "auditor"), [])
            self.assertEqual(self.ask("/studies", None).status_code, 401)
        with self.subTest("what is denied is neither shown nor counted"):
            theirs = {d.StudyInstanceUID for d in self.images if d.PatientID == "P1"}
            others = len({d.StudyInstanceUID for d in self.images}) - len(theirs)
            self.archive.run("deny", "add", "--person", "desk", "--study", min(theirs), "--reason", "a court order")
            shown = self.found("/studies", "desk")
            self.assertEqual(len(shown), others)
            self.assertFalse(theirs & {d.StudyInstanceUID for d in shown})
            page = self.ask("/studies", "desk", limit=others)
            self.assertNotIn("Warning", page.headers)
            self.assertEqual(len(self.found("/studies", "desk", offset=others - 1)), 1)
            self.assertEqual(len(self.found("/studies")), others + len(theirs), "the doctor sees them still")

    def check_clients(self):
        client = DICOMwebClient(self.archive.url, headers={"Authorization": "Bearer " + self.tokens["doctor"]})
        first = self.images[0]
        studies = client.search_for_studies(search_filters={"PatientID": first.PatientID}, fields=["PatientComments"])
        self.assertEqual({s["0020000D"]["Value"][0] for s in studies}, {d.StudyInstanceUID for d in self.images if d.PatientID == first.PatientID})
        self.assertEqual(len(client.search_for_series(first.StudyInstanceUID)), len({d.SeriesInstanceUID for d in self.images if d.StudyInstanceUID == first.StudyInstanceUID}))
        self.assertEqual(len(client.search_for_instances(limit=3)), 3)
        self.assertEqual(client.search_for_studies(search_filters={"PatientID": "nobody"}), [])
        self.assertEqual(len(client.search_for_studies(get_remaining=True, limit=5)), len({d.StudyInstanceUID for d in self.images}))

    def check_metadata(self):
        client = DICOMwebClient(self.archive.url, headers={"Authorization": "Bearer " + self.tokens["doctor"]})
        first = self.images[0]
        by_uid = {d.SOPInstanceUID: d for d in self.images if d.StudyInstanceUID == first.StudyInstanceUID}
        metadata = client.retrieve_study_metadata(first.StudyInstanceUID)
        self.assertEqual({m["00080018"]["Value"][0] for m in metadata}, set(by_uid))
        for one in metadata:
            read = pydicom.Dataset.from_json(one, bulk_data_uri_handler=lambda uri: b"")
            brought = by_uid[read.SOPInstanceUID]
            for element in brought:
                if element.keyword != "PixelData":
                    self.assertEqual(read[element.tag].value or None, element.value or None, element)
            self.assertTrue(one["7FE00010"]["BulkDataURI"].startswith(self.archive.url))
        self.assertEqual(len(client.retrieve_series_metadata(first.StudyInstanceUID, first.SeriesInstanceUID)), sum(d.SeriesInstanceUID == first.SeriesInstanceUID for d in by_uid.values()))
        one = client.retrieve_instance_metadata(first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID)
        self.assertEqual(one["00080018"]["Value"], [first.SOPInstanceUID])
        self.assertEqual(self.ask(f"/studies/{first.StudyInstanceUID}/metadata", "desk").status_code, 403)
        self.assertEqual(self.ask("/studies/1.2.3.4/metadata").status_code, 404)


if __name__ == "__main__":
    unittest.main()
