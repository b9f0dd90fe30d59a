"""Beside an ordinary PACS: a real Orthanc stores here, asks here, fetches from here and takes what is moved to it."""
import contextlib
import json
import shutil
import subprocess
import unittest

import pydicom
import requests
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from pynetdicom.sop_class import InstanceAvailabilityNotification

from dimse_retrieve_test import uids_of
from dimse_test import DimseTest, make_image
from harness import files_of, free_port, wait_for

ORTHANC = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")


class Orthanc:
    """One, on free ports, with one modality: us."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder, self.http, self.dicom = folder, free_port(), free_port()
        self.process = None

    def start(self, archive_port=104, **more):
        settings = {"Name": "Orthanc", "StorageDirectory": str(self.folder / "storage"), "IndexDirectory": str(self.folder / "storage"), "HttpPort": self.http, "DicomPort": self.dicom,
                    "DicomAet": "ORTHANC", "DefaultEncoding": "Utf8", "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "UnknownSopClassAccepted": True, "DicomModalities": {"fiducial": ["FIDUCIAL", "127.0.0.1", archive_port]},
                    "DicomAlwaysAllowStore": True, "StorageCompression": False, "OverwriteInstances": False, "LuaScripts": [], "Plugins": [], **more}
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(settings))
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([ORTHANC, path], stdout=subprocess.DEVNULL, stderr=log)
        wait_for(self.answers, 60, "Orthanc answers")

    def answers(self):
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{self.http}/system", timeout=5).ok

    def ask(self, path, body=None):
        url = f"http://127.0.0.1:{self.http}{path}"
        answer = requests.get(url, timeout=300) if body is None else requests.post(url, data=body if isinstance(body, bytes) else json.dumps(body), timeout=300)
        assert answer.ok, (path, answer.status_code, answer.text)
        return answer

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
            self.process = None


class BesideOrthanc(DimseTest):
    def setUp(self):
        super().setUp()
        self.need(None if ORTHANC else "Orthanc is not installed (deploy/dependencies test)")

    def test_it_stores_asks_fetches_and_takes(self):
        orthanc = Orthanc(self.folder / "orthanc")
        self.addCleanup(orthanc.stop)
        site = self.archive(peers=[f"ORTHANC 127.0.0.1 device=orthanc query retrieve port={orthanc.dicom}", "RIS 127.0.0.1 device=orthanc announce", "NOBODY 127.0.0.1"])
        site.run("device", "add", "orthanc", "--may", "store,query,retrieve")
        samples = [p for p in files_of(self.samples()) if p.suffix == ".dcm"][::3]
        heads = {p: pydicom.dcmread(p, stop_before_pixels=True) for p in samples}
        orthanc.start(self.serve(site))
        self.assertTrue(orthanc.ask("/modalities/fiducial/echo", {}).ok)
        with self.subTest("it stores here"):
            for path in samples:
                orthanc.ask("/instances", path.read_bytes())
            instances = orthanc.ask("/instances").json()
            self.assertEqual(len(instances), len(samples))
            orthanc.ask("/modalities/fiducial/store", {"Resources": instances, "Synchronous": True})
        with self.subTest("it asks here"):
            studies = {head.StudyInstanceUID: head for head in heads.values()}
            query = orthanc.ask("/modalities/fiducial/query", {"Level": "Study", "Query": {"PatientName": "*", "StudyInstanceUID": "", "ModalitiesInStudy": ""}}).json()["ID"]
            answers = [orthanc.ask(f"/queries/{query}/answers/{n}/content?simplify").json() for n in orthanc.ask(f"/queries/{query}/answers").json()]
            self.assertEqual({a["StudyInstanceUID"]: a["PatientName"].rstrip("^") for a in answers}, {uid: str(head.PatientName).rstrip("^") for uid, head in studies.items()})
        with self.subTest("it fetches from here: C-MOVE into itself"):
            for instance in instances:
                requests.delete(f"http://127.0.0.1:{orthanc.http}/instances/{instance}", timeout=60).raise_for_status()
            self.assertEqual(orthanc.ask("/instances").json(), [])
            for n in range(len(answers)):
                orthanc.ask(f"/queries/{query}/answers/{n}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
            back = orthanc.ask("/instances").json()
            self.assertEqual(len(back), len(samples))
            folder = self.folder / "back"
            folder.mkdir()
            for instance in back:
                (folder / f"{instance}.dcm").write_bytes(orthanc.ask(f"/instances/{instance}/file").content)
            self.assert_same(samples, files_of(folder))
        fetched = [make_image(self.folder / f"fetched-{how}.dcm", generate_uid(), generate_uid(), 1, patient=how) for how in ("GET", "MOVE", "SAID", "DENIED")]
        for path in fetched:
            orthanc.ask("/instances", path.read_bytes())
        with self.subTest("we fetch from it, by C-GET and by C-MOVE"):
            by_get = site.run("fetch", "ORTHANC", "--patient", "GET")["studies"]
            self.assertEqual(by_get, [{"studyInstanceUid": uids_of(fetched[0])[0], "completed": 1, "failed": 0}])
            by_move = site.run("fetch", "ORTHANC", "--study", uids_of(fetched[1])[0], "--by-move")["studies"]
            self.assertEqual(by_move, [{"studyInstanceUid": uids_of(fetched[1])[0], "completed": 1, "failed": 0}])
            site.run("fetch", "ORTHANC", "--patient", "NOBODY", codes=(5,))
            site.run("fetch", "NOWHERE", "--patient", "GET", codes=(5,))
        with self.subTest("what somebody announces that it has is fetched"):
            self.assertEqual(self.announce(site.dimse_port, fetched[2], "ORTHANC", title="NOBODY"), None)
            self.assertEqual(self.announce(site.dimse_port, fetched[2], "ELSEWHERE"), 0x0106)
            self.assertEqual(self.announce(site.dimse_port, fetched[2], "FIDUCIAL"), 0x0000, "our own is passed over")
            self.assertEqual(self.announce(site.dimse_port, fetched[2], "ORTHANC"), 0x0000)
            wait_for(lambda: uids_of(fetched[2])[0] in {s["studyInstanceUid"] for s in site.run("list")["studies"]}, 60, "it has come")
            wait_for(lambda: not site.run("delivery", "list")["deliveries"], 30, "nothing waits any more")
        with self.subTest("what may not store here does not come"):
            site.run("device", "remove", "orthanc")
            refused = site.run("fetch", "ORTHANC", "--patient", "DENIED", codes=(7,))["studies"][0]
            self.assertEqual(refused["completed"], 0)
        samples = [*samples, *fetched[:3]]
        site.stop()
        site.run("export", "--all", "--to", self.folder / "out", timeout=600)
        self.assert_same(samples, files_of(self.folder / "out"))
        self.assertEqual(site.run("fsck", timeout=600)["findings"], [])

    def announce(self, port, image, retrieve_from, title="RIS"):
        """Returns: the status of N-CREATE; nothing where the peer may not announce."""
        said, series, reference = Dataset(), Dataset(), Dataset()
        head = pydicom.dcmread(image, stop_before_pixels=True)
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = head.SOPClassUID, head.SOPInstanceUID
        reference.InstanceAvailability, reference.RetrieveAETitle = "ONLINE", retrieve_from
        series.SeriesInstanceUID, series.ReferencedSOPSequence = head.SeriesInstanceUID, [reference]
        said.ReferencedPerformedProcedureStepSequence, said.ReferencedSeriesSequence, said.StudyInstanceUID = [], [series], head.StudyInstanceUID
        association = self.associate(port, [(InstanceAvailabilityNotification, [ImplicitVRLittleEndian])], title=title)
        if not association.accepted_contexts:
            association.abort()
            return None
        status, _ = association.send_n_create(said, InstanceAvailabilityNotification, generate_uid())
        association.release()
        return status.Status

    def assert_same(self, some, others):
        """Each element and pixel, by its instance. Orthanc writes a data set anew before it sends it, so that lengths and padding may differ: dimse_test.py compares bytes."""
        some, others = ({(file := pydicom.dcmread(path)).SOPInstanceUID: file for path in paths} for paths in (some, others))
        self.assertEqual(set(some), set(others))
        for uid, file in some.items():
            self.assertEqual(file, others[uid])


if __name__ == "__main__":
    unittest.main(verbosity=2)
