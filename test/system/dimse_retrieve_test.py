"""C-GET and C-MOVE, by DCMTK's getscu, movescu and storescp and by pynetdicom: what comes back is what was stored, byte by byte."""
import collections
import contextlib
import socket
import ssl
import subprocess
import threading
import unittest

import pydicom
import pynetdicom
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (CTImageStorage, MRImageStorage, PatientRootQueryRetrieveInformationModelGet, PatientRootQueryRetrieveInformationModelMove, StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet,
                                  StudyRootQueryRetrieveInformationModelMove)

from dimse_query_test import BY_A_DEVICE, DEVICE_LISTED, READ, keys, looks
from dimse_test import DATA, DimseTest, data_set_of, digest, make_image
from harness import files_of, free_port, wait_for

FIND, GET, MOVE = StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove
PATIENT_GET, PATIENT_MOVE = PatientRootQueryRetrieveInformationModelGet, PatientRootQueryRetrieveInformationModelMove


def uids_of(file):
    head = pydicom.dcmread(file, stop_before_pixels=True)
    return head.StudyInstanceUID, head.SeriesInstanceUID, head.SOPInstanceUID


class Receiver:
    """An SCP of pynetdicom's that keeps what it is sent, as it was on the wire."""

    def __init__(self, port, syntaxes, classes=(CTImageStorage,), status=lambda uid: 0x0000):
        self.received, self.requests, self.lock = collections.Counter(), [], threading.Lock()
        ae = AE(ae_title="SCP")
        for uid in classes:
            ae.add_supported_context(uid, list(syntaxes))
        ae.maximum_pdu_size = 0

        def store(event):
            with self.lock:
                self.received[digest(event.request.DataSet.getvalue())] += 1
                self.requests.append(event.request)
            return status(event.request.AffectedSOPInstanceUID)
        self.server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])

    def close(self):
        self.server.shutdown()


class RetrieveTest(DimseTest):
    def retrieving_site(self, **more):
        self.scp_port = free_port()
        peers = ["WS 127.0.0.1 device=ws query retrieve", "QUERY 127.0.0.1 device=ws query", "GONE 127.0.0.1 device=nowhere retrieve", "STORESCU 127.0.0.1", "PYNETDICOM 127.0.0.1", f"SCP 127.0.0.1 port={self.scp_port}"]
        site = self.archive(peers=peers, **more)
        site.run("device", "add", "ws", "--may", "query,retrieve")
        return site

    def contexts(self, models, storage=(), title="WS", handlers=()):
        """An association for retrieval, on which these classes and syntaxes may be sent to us."""
        ae = AE(ae_title=title)
        ae.maximum_pdu_size = 0
        for model in models:
            ae.add_requested_context(model, [ImplicitVRLittleEndian])
        for abstract, syntax in storage:
            ae.add_requested_context(abstract, [syntax])
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
        return ae.associate("127.0.0.1", self.port, ae_title="FIDUCIAL", ext_neg=[build_role(a, scp_role=True) for a in {a for a, _ in storage}], evt_handlers=list(handlers))

    def get(self, query, storage, model=GET, title="WS", status=0x0000):
        """Everything that came by one C-GET: digests of data sets, and the answers."""
        received, came = collections.Counter(), []

        def store(event):
            received[digest(event.request.DataSet.getvalue())] += 1
            came.append(event.request.AffectedSOPInstanceUID)
            return status(event) if callable(status) else status
        association = self.contexts([model], storage, title, [(evt.EVT_C_STORE, store)])
        self.assertTrue(association.is_established)
        answers = list(association.send_c_get(query, model))
        association.release()
        return received, answers, came

    def counts(self, answer):
        return tuple(getattr(answer, f"NumberOf{kind}Suboperations", None) for kind in ("Remaining", "Completed", "Failed", "Warning"))

    def expect_alive(self):
        self.tool("echoscu", "-aet", "WS", "-aec", "FIDUCIAL", "127.0.0.1", self.port, port=self.port)


class Peers(RetrieveTest):
    def setUp(self):
        super().setUp()
        self.site_ = self.retrieving_site()
        self.port = self.serve(self.site_)
        study, series = generate_uid(), [generate_uid(), generate_uid()]
        self.images = [make_image(self.folder / f"{i}.dcm", study, series[i % 2], i, size=[64, 300, 7][i % 3]) for i in range(9)]
        other = generate_uid()
        self.others = [make_image(self.folder / f"o{i}.dcm", other, generate_uid(), i) for i in range(2)]
        self.storescu(self.port, [*self.images, *self.others])
        self.study, self.other, self.series = study, other, series
        self.ct = [(CTImageStorage, ExplicitVRLittleEndian)]

    def digests(self, files):
        return collections.Counter(digest(data_set_of(p)) for p in files)

    def test_retrievals(self):
        self.check_get()
        self.check_getscu()
        self.check_move()
        self.check_movescu()
        self.check_corrected()
        self.check_commands()
        self.check_who_may()
        self.check_refusals()
        self.check_damage()
        self.site_.stop()
        self.assertIn("sent=", self.site_.serve_log())
        seen = [entry for entry in looks(self.site_) if entry[:2] == (READ, DEVICE_LISTED)]
        self.assertGreater(len(seen), 20)
        self.assertTrue(all(flags & BY_A_DEVICE for _, _, flags in seen))

    def check_get(self):
        with self.subTest("a study, a series, images, a patient"):
            last = [uids_of(p) for p in self.images[-2:]]
            in_series = [p for p in self.images if uids_of(p)[1] == self.series[0]]
            for query, model, files in ((keys("STUDY", StudyInstanceUID=self.study), GET, self.images),
                                        (keys("STUDY", StudyInstanceUID=[self.study, self.other]), PATIENT_GET, self.images + self.others),
                                        (keys("SERIES", StudyInstanceUID=self.study, SeriesInstanceUID=self.series[0]), GET, in_series),
                                        (keys("SERIES", StudyInstanceUID=self.study, SeriesInstanceUID=self.series), GET, self.images),
                                        (keys("IMAGE", StudyInstanceUID=self.study, SeriesInstanceUID=last[0][1], SOPInstanceUID=last[0][2]), GET, self.images[-2:-1]),
                                        (keys("PATIENT", PatientID="DIMSE1"), PATIENT_GET, self.images + self.others)):
                received, answers, _ = self.get(query, self.ct, model)
                self.assertEqual(received, self.digests(files))
                self.assertEqual((answers[-1][0].Status, self.counts(answers[-1][0])), (0x0000, (None, len(files), 0, 0)))
                for pending, _ in answers[:-1]:
                    self.assertEqual((pending.Status, sum(self.counts(pending))), (0xFF00, len(files)))
        with self.subTest("what there is not, is nothing"):
            received, answers, _ = self.get(keys("STUDY", StudyInstanceUID="1.2.3"), self.ct)
            self.assertEqual((received, answers[-1][0].Status, self.counts(answers[-1][0])), ({}, 0x0000, (None, 0, 0, 0)))
        with self.subTest("what was not negotiated fails, and is listed"):
            received, answers, _ = self.get(keys("STUDY", StudyInstanceUID=self.study), [(MRImageStorage, ExplicitVRLittleEndian)])
            status, failed = answers[-1]
            self.assertEqual((received, status.Status, self.counts(status)), ({}, 0xA702, (None, 0, len(self.images), 0)))
            self.assertEqual(sorted(failed.FailedSOPInstanceUIDList), sorted(uids_of(p)[2] for p in self.images))
            self.assertIn("does not take SOP class", status.ErrorComment)
        with self.subTest("roles decide: a context of our own storing is none for being sent to"):
            association = self.contexts([GET], [])
            answers = list(association.send_c_get(keys("STUDY", StudyInstanceUID=self.other), GET))
            association.release()
            self.assertEqual(self.counts(answers[-1][0])[2], len(self.others))
        with self.subTest("the peer's refusals and warnings are counted"):
            bad, warned = uids_of(self.images[3])[2], uids_of(self.images[4])[2]
            received, answers, _ = self.get(keys("STUDY", StudyInstanceUID=self.study), self.ct, status=lambda e: {bad: 0xA700, warned: 0xB000}.get(e.request.AffectedSOPInstanceUID, 0x0000))
            status, failed = answers[-1]
            self.assertEqual((status.Status, self.counts(status), failed.FailedSOPInstanceUIDList), (0xB000, (None, len(self.images) - 2, 1, 1), bad))
        with self.subTest("cancelled in between"):
            came = threading.Event()

            def store(event):
                if not came.is_set():
                    event.assoc.send_c_cancel(1, query_model=GET)
                    came.set()
                return 0x0000
            association = self.contexts([GET], self.ct, handlers=[(evt.EVT_C_STORE, store)])
            answers = list(association.send_c_get(keys("STUDY", StudyInstanceUID=self.study), GET, msg_id=1))
            self.assertEqual(answers[-1][0].Status, 0xFE00)
            remaining, completed, failed, warned = self.counts(answers[-1][0])
            self.assertEqual((remaining + completed, failed, warned), (len(self.images), 0, 0))
            self.assertGreater(remaining, 0)
            answers = list(association.send_c_get(keys("STUDY", StudyInstanceUID=self.other), GET, msg_id=2))
            self.assertEqual(answers[-1][0].Status, 0x0000, "the association goes on")
            association.release()

    def check_getscu(self):
        for pdu in (4096, 131072):
            with self.subTest(pdu=pdu):
                out = self.folder / f"get{pdu}"
                out.mkdir()
                self.tool("getscu", "-aet", "WS", "-aec", "FIDUCIAL", "-S", "+B", "-pdu", pdu, "-od", out, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={self.study}", "127.0.0.1", self.port, port=self.port)
                self.assertEqual(self.digests(files_of(out)), self.digests(self.images))

    def check_move(self):
        receiver = Receiver(self.scp_port, [ExplicitVRLittleEndian])
        association = self.contexts([MOVE, PATIENT_MOVE])

        def move(query, model=MOVE, to="SCP"):
            receiver.received.clear()
            return list(association.send_c_move(query, to, model))
        with self.subTest("a study, two series, a patient"):
            for query, model, files in ((keys("STUDY", StudyInstanceUID=self.study), MOVE, self.images), (keys("SERIES", StudyInstanceUID=self.study, SeriesInstanceUID=self.series), MOVE, self.images),
                                        (keys("PATIENT", PatientID="DIMSE1"), PATIENT_MOVE, self.images + self.others)):
                answers = move(query, model)
                self.assertEqual(receiver.received, self.digests(files))
                self.assertEqual((answers[-1][0].Status, self.counts(answers[-1][0])), (0x0000, (None, len(files), 0, 0)))
            self.assertEqual({(r.MoveOriginatorApplicationEntityTitle, r.MoveOriginatorMessageID) for r in receiver.requests}, {("WS", 1)})
        with self.subTest("an unknown destination"):
            for to in ("NOBODY", "WS"):
                self.assertEqual([s.Status for s, _ in move(keys("STUDY", StudyInstanceUID=self.study), to=to)], [0xA801])
        receiver.close()
        with self.subTest("a destination that does not answer, or does not take it"):
            answers = move(keys("STUDY", StudyInstanceUID=self.study))
            self.assertEqual((answers[-1][0].Status, self.counts(answers[-1][0])), (0xA702, (None, 0, len(self.images), 0)))
            self.assertEqual(len(answers[-1][1].FailedSOPInstanceUIDList), len(self.images))
            receiver = Receiver(self.scp_port, [ExplicitVRLittleEndian], classes=[MRImageStorage])
            answers = move(keys("STUDY", StudyInstanceUID=self.study))
            self.assertEqual((answers[-1][0].Status, self.counts(answers[-1][0])), (0xA702, (None, 0, len(self.images), 0)))
            receiver.close()
        with self.subTest("cancelled in between"):
            cancelled = threading.Event()

            def status(_):
                if not cancelled.is_set():
                    association.send_c_cancel(7, query_model=MOVE)
                    cancelled.set()
                return 0x0000
            receiver = Receiver(self.scp_port, [ExplicitVRLittleEndian], status=status)
            answers = list(association.send_c_move(keys("STUDY", StudyInstanceUID=self.study), "SCP", MOVE, msg_id=7))
            remaining, completed, failed, warned = self.counts(answers[-1][0])
            self.assertEqual((answers[-1][0].Status, remaining + completed, failed + warned), (0xFE00, len(self.images), 0))
            receiver.close()
        association.release()

    def check_movescu(self):
        for how in ([], ["--max-pdu", "4096"]):
            with self.subTest(how=how):
                out = self.folder / f"move{len(how)}"
                out.mkdir()
                scp = subprocess.Popen(["storescp", "+B", "-od", out, "-aet", "SCP", *how, str(self.scp_port)], stderr=subprocess.DEVNULL)
                try:
                    wait_for(lambda: self.answers(self.scp_port), 20, "storescp listens")
                    self.tool("movescu", "-aet", "WS", "-aem", "SCP", "-aec", "FIDUCIAL", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={self.study}", "127.0.0.1", self.port, port=self.port)
                    self.assertEqual(self.digests(files_of(out)), self.digests(self.images))
                finally:
                    scp.terminate()
                    scp.wait(20)
        with self.subTest("storescp goes away in the middle"):
            scp = subprocess.Popen(["storescp", "--ignore", "--abort-after", "-aet", "SCP", str(self.scp_port)], stderr=subprocess.DEVNULL)
            try:
                wait_for(lambda: self.answers(self.scp_port), 20, "storescp listens")
                moved = self.tool("movescu", "-v", "-aet", "WS", "-aem", "SCP", "-aec", "FIDUCIAL", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={self.study}", "127.0.0.1", self.port, port=self.port, code=None)
                self.assertNotEqual(moved.returncode, 0)
            finally:
                scp.terminate()
                scp.wait(20)
            self.expect_alive()

    @staticmethod
    def answers(port):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return True
        return False

    def check_corrected(self):
        """The right patient goes out, by C-GET and C-MOVE, and everything else as it was stored."""
        self.site_.run("correct", "patient", self.other, "--patient-id", "RIGHT", "--name", "Right^Rosa", "--text", "the line above")
        stored = {uids_of(p)[2]: pydicom.dcmread(p) for p in self.others}

        def check(came):
            self.assertEqual({one.SOPInstanceUID for one in came}, set(stored))
            for one in came:
                self.assertEqual((one.PatientID, one.PatientName), ("RIGHT", "Right^Rosa"))
                of = stored[one.SOPInstanceUID]
                self.assertEqual([e for e in one if e.tag.group != 0x10], [e for e in of if e.tag.group != 0x10])
        with self.subTest("corrected, by C-GET"):
            came = []
            association = self.contexts([GET], self.ct, handlers=[(evt.EVT_C_STORE, lambda event: came.append(event.dataset) or 0x0000)])
            self.assertEqual([s.Status for s, _ in association.send_c_get(keys("STUDY", StudyInstanceUID=self.other), GET)][-1], 0x0000)
            association.release()
            check(came)
        with self.subTest("corrected, by C-MOVE"):
            out = self.folder / "corrected"
            out.mkdir()
            scp = subprocess.Popen(["storescp", "+B", "-od", out, "-aet", "SCP", str(self.scp_port)], stderr=subprocess.DEVNULL)
            try:
                wait_for(lambda: self.answers(self.scp_port), 20, "storescp listens")
                self.tool("movescu", "-aet", "WS", "-aem", "SCP", "-aec", "FIDUCIAL", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={self.other}", "127.0.0.1", self.port, port=self.port)
                check([pydicom.dcmread(p, force=True) for p in files_of(out)])
            finally:
                scp.terminate()
                scp.wait(20)
        self.site_.run("correct", "undo", self.other, "--text", "it was right")

    def check_commands(self):
        listed = {p["aeTitle"]: p for p in self.site_.run("peer", "list")["peers"]}
        self.assertEqual((listed["WS"]["may"], listed["WS"]["device"], listed["SCP"]["port"]), (["store", "query", "retrieve"], "ws", self.scp_port))
        checked = {p["aeTitle"]: p for p in self.site_.run("peer", "check", codes=(7,))["peers"]}
        self.assertFalse(checked["SCP"]["answers"])
        self.assertNotIn("answers", checked["WS"], "which has no port")
        self.assertIn("came", checked["WS"])
        scp = subprocess.Popen(["storescp", "--ignore", "-aet", "SCP", str(self.scp_port)], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: self.answers(self.scp_port), 20, "storescp listens")
            self.assertTrue(self.site_.run("peer", "check", "SCP")["peers"][0]["answers"])
        finally:
            scp.terminate()
            scp.wait(20)
        self.site_.run("peer", "check", "NOBODY", codes=(5,))
        for _ in range(2):
            self.tool("echoscu", "-aet", "STRANGER", "-aec", "FIDUCIAL", "127.0.0.1", self.port, port=self.port, code=None)
        knock = self.site_.run("peer", "knocks")["knocks"][0]
        self.assertEqual((knock["callingAeTitle"], knock["calledAeTitle"], knock["address"], knock["times"]), ("STRANGER", "FIDUCIAL", "127.0.0.1", 2))

    def check_who_may(self):
        with self.subTest("who is not let retrieve in the settings is told so"):
            association = self.contexts([GET, MOVE], self.ct, "QUERY")
            self.assertEqual([c.result for c in association.rejected_contexts], [1, 1])
            self.assertFalse([r for r in association.acceptor.role_selection.values() if r.scp_role], "nor is anything sent to it")
            association.abort()
        with self.subTest("nor a device that is not registered"):
            received, answers, _ = self.get(keys("STUDY", StudyInstanceUID=self.study), self.ct, title="GONE")
            self.assertEqual((received, [s.Status for s, _ in answers]), ({}, [0x0124]))
        with self.subTest("a patient that is denied: alone, and among others"):
            denial = self.site_.run("deny", "add", "--study", self.study, "--reason", "court order")["id"]
            for query in (keys("STUDY", StudyInstanceUID=self.study), keys("STUDY", StudyInstanceUID=[self.study, self.other])):
                received, answers, _ = self.get(query, self.ct)
                self.assertEqual((received, [s.Status for s, _ in answers]), ({}, [0x0124]))
            self.site_.run("deny", "remove", denial)
            self.assertEqual(self.get(keys("STUDY", StudyInstanceUID=self.study), self.ct)[0], self.digests(self.images))

    def check_refusals(self):
        association = self.contexts([GET, MOVE])
        for why, query in (("no level", keys("")), ("patients of the study root", keys("PATIENT", PatientID="DIMSE1")), ("no UID", keys("STUDY")), ("two studies above series", keys("SERIES", StudyInstanceUID=["1.2", "1.3"], SeriesInstanceUID="1.4")),
                           ("no series above images", keys("IMAGE", StudyInstanceUID=self.study, SOPInstanceUID="1.2")), ("a UID that is none", keys("STUDY", StudyInstanceUID="1.2.*"))):
            with self.subTest(why):
                self.assertEqual([s.Status for s, _ in association.send_c_get(query, GET)], [0xA900])
                self.assertEqual([s.Status for s, _ in association.send_c_move(query, "SCP", MOVE)], [0xA900])
        association.release()

    def check_damage(self):
        """Bits change on the disk while the archive runs: nothing altered passes."""
        large = make_image(self.folder / "large.dcm", generate_uid(), generate_uid(), 1, size=1200)  # 2.9 MB: its beginning is out before its end is read
        small = [make_image(self.folder / f"s{i}.dcm", uids_of(large)[0], uids_of(large)[1], i + 2, size=200) for i in range(2)]
        self.storescu(self.port, [large, *small])
        study = keys("STUDY", StudyInstanceUID=uids_of(large)[0])
        everything = self.digests([large, *small])
        with self.subTest("one that is seen before anything of it is sent: it fails, the others come"):
            self.site_.flip(uids_of(small[0])[2])
            received, answers, _ = self.get(study, self.ct)
            status, failed = answers[-1]
            self.assertEqual(received, self.digests([large, small[1]]))
            self.assertEqual((status.Status, self.counts(status), failed.FailedSOPInstanceUIDList), (0xB000, (None, 2, 1, 0), uids_of(small[0])[2]))
        with self.subTest("one that is seen in the middle: the association ends, nothing of it passes"):
            self.site_.flip(uids_of(large)[2])
            received, answers, came = self.get(study, self.ct)
            self.assertNotIn(digest(data_set_of(large)), received)
            self.assertLessEqual(set(received), set(everything))
        with self.subTest("from then on it fails as the other does"):
            received, answers, _ = self.get(study, self.ct)
            self.assertEqual((received, self.counts(answers[-1][0])), (self.digests([small[1]]), (None, 1, 2, 0)))
        self.expect_alive()
        self.assertEqual(len(self.site_.run("quarantine", "list")["quarantined"]), 2)


class OverTls(RetrieveTest):
    def test_query_and_get(self):
        certificate, key = self.folder / "tls.pem", self.folder / "tls.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        key.chmod(0o600)
        site = self.retrieving_site(tls_certificate=str(certificate), tls_key=str(key))
        self.port = self.serve(site)
        image = make_image(self.folder / "1.dcm", generate_uid(), generate_uid(), 1, size=700)
        self.tool("storescu", "-aet", "STORESCU", "-aec", "FIDUCIAL", "+tla", "+cf", certificate, "127.0.0.1", self.port, image, port=self.port)
        received = []
        ae = AE(ae_title="WS")
        for model in (FIND, GET):
            ae.add_requested_context(model, [ImplicitVRLittleEndian])
        ae.add_requested_context(CTImageStorage, [ExplicitVRLittleEndian])
        association = ae.associate("127.0.0.1", self.port, ae_title="FIDUCIAL", ext_neg=[build_role(CTImageStorage, scp_role=True)], tls_args=(ssl.create_default_context(cafile=certificate), "localhost"),
                                   evt_handlers=[(evt.EVT_C_STORE, lambda event: received.append(digest(event.request.DataSet.getvalue())) or 0x0000)])
        self.assertTrue(association.is_established)
        study = uids_of(image)[0]
        for _ in range(2):
            rows = [row.StudyInstanceUID for _, row in association.send_c_find(keys("STUDY", StudyInstanceUID=""), FIND) if row is not None]
            self.assertEqual(rows, [study])
            answers = list(association.send_c_get(keys("STUDY", StudyInstanceUID=study), GET))
            self.assertEqual((answers[-1][0].Status, received.pop()), (0x0000, digest(data_set_of(image))))
        association.release()


@unittest.skipUnless(DATA.is_dir(), f"public test data is not there ({DATA})")
class SharedData(RetrieveTest):
    def test_every_object_comes_back_as_it_is(self):
        """Everything under shared/data/dicom, imported, by C-GET and by C-MOVE, against what the archive exports."""
        site = self.retrieving_site()
        site.run("import", DATA, codes=(0, 1, 3), timeout=900)
        out = self.folder / "out"
        site.run("export", "--all", "--to", out, timeout=900)
        classes = {file.stem: str(pydicom.dcmread(file, stop_before_pixels=True, force=True).get("SOPClassUID", "")) for file in files_of(out)}
        expected, studies = collections.Counter(), collections.defaultdict(set)
        for study in (s["studyInstanceUid"] for s in site.run("list", "--limit", "1000")["studies"]):
            for stored in site.run("show", study)["objects"]:
                expected[stored["sha256"]] += 1
                studies[study].add((classes[stored["sopInstanceUid"]], stored["transferSyntax"]))
        self.assertEqual(sum(expected.values()), len(classes))
        kinds = set().union(*studies.values())
        taken = {k for k in kinds if k[0].startswith("1.2.840.10008.5.1.4.1.1.")}
        self.port = self.serve(site)
        print(f"\n{sum(expected.values())} objects of {len(studies)} studies, {len(kinds)} kinds; not of storage classes: {sorted(kinds - taken)}")
        uids = sorted(studies)
        with self.subTest("C-GET"):
            received, failed = collections.Counter(), collections.Counter()
            for start in range(0, len(uids), 25):
                some = uids[start:start + 25]
                of_these = sorted(set().union(*(studies[u] for u in some)) & taken)
                self.assertLess(len(of_these), 128)
                got, answers, _ = self.get(keys("STUDY", StudyInstanceUID=some), of_these)
                received += got
                failed[answers[-1][0].Status] += self.counts(answers[-1][0])[2]
            print(f"C-GET: {sum(received.values())} objects; failed {dict(failed)}")
            self.assertEqual(received - expected, collections.Counter())
            self.assertEqual(sum((expected - received).values()), sum(failed.values()))
            self.assertLessEqual(sum(failed.values()), sum(not c.startswith("1.2.840.10008.5.1.4.1.1.") for c in classes.values()), "those without a class that can be sent")
        with self.subTest("C-MOVE"):
            pynetdicom._config.UNRESTRICTED_STORAGE_SERVICE = True  # retired classes as well
            self.addCleanup(setattr, pynetdicom._config, "UNRESTRICTED_STORAGE_SERVICE", False)
            receiver = Receiver(self.scp_port, sorted({t for _, t in taken}), sorted({a for a, _ in taken})[:128])
            association = self.contexts([MOVE])
            for start in range(0, len(uids), 25):
                answers = list(association.send_c_move(keys("STUDY", StudyInstanceUID=uids[start:start + 25]), "SCP", MOVE))
                self.assertEqual(answers[-1][0].Status, 0x0000)
            association.release()
            receiver.close()
            print(f"C-MOVE: {sum(receiver.received.values())} objects")
            self.assertEqual(receiver.received, received)
        site.stop()
        self.assertEqual(site.run("fsck", timeout=600)["findings"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
