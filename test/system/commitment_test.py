"""Storage Commitment and forwarding, by pynetdicom and DCMTK: what is promised to a peer, and what is brought to it, whatever is killed when."""
import collections
import hashlib
import pathlib
import shutil
import signal
import ssl
import subprocess
import threading
import time
import unittest

import requests
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.dsutils import decode
from pynetdicom.sop_class import CTImageStorage, InstanceAvailabilityNotification, MRImageStorage, StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from dimse_retrieve_test import Receiver, uids_of
from dimse_test import DimseTest, data_set_of, digest, make_image
from harness import free_port, wait_for

NO_SUCH_INSTANCE, CONFLICT, DUPLICATE = 0x0112, 0x0119, 0x0131


def request_of(references, transaction=None):
    request = Dataset()
    request.TransactionUID = transaction or generate_uid()
    request.ReferencedSOPSequence = []
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        request.ReferencedSOPSequence.append(item)
    return request


class Reports:
    """What was reported, by transaction: the event's type, what is kept, and what is not with its reason."""

    def __init__(self):
        self.by_transaction, self.lock = collections.defaultdict(list), threading.Lock()

    def take(self, event):
        told = event.event_information
        kept = {i.ReferencedSOPInstanceUID for i in told.get("ReferencedSOPSequence", [])}
        failed = {i.ReferencedSOPInstanceUID: i.FailureReason for i in told.get("FailedSOPSequence", [])}
        with self.lock:
            self.by_transaction[told.TransactionUID].append((event.event_type, kept, failed))
        return 0x0000, None

    def of(self, transaction, seconds=60):
        wait_for(lambda: self.by_transaction[transaction], seconds, "the transaction's result is reported")
        return self.by_transaction[transaction][0]

    def listen(self, port):
        """A modality that waits for reports on associations of their own."""
        ae = AE(ae_title="CT1")
        ae.add_supported_context(StorageCommitmentPushModel, [ImplicitVRLittleEndian, ExplicitVRLittleEndian], scu_role=True, scp_role=True)
        return ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.take)])


class CommitmentTest(DimseTest):
    def setUp(self):
        super().setUp()
        self.reports, self.modality = Reports(), free_port()

    def committing_site(self, policy="settled", more=(), **settings):
        return self.archive(peers=[f"CT1 127.0.0.1 commitment={policy} port={self.modality}", "SAME 127.0.0.1 commitment=durable", "OTHER 127.0.0.1", *more], **settings)

    def commit(self, references, title="CT1", transaction=None, images=(), stay=False, instance=StorageCommitmentPushModelInstance, action=1):
        """Stores, asks, and leaves; or stays until the result is told. Returns: the status of N-ACTION and the transaction's UID."""
        ae = AE(ae_title=title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
        ae.add_requested_context(StorageCommitmentPushModel, [ExplicitVRLittleEndian if stay else ImplicitVRLittleEndian])
        ae.add_requested_context(CTImageStorage, [ExplicitVRLittleEndian])
        association = ae.associate("127.0.0.1", self.port, ae_title="FIDUCIAL", evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.reports.take)] if stay else [])
        self.assertTrue(association.is_established)
        for image in images:
            self.assertEqual(association.send_c_store(image).Status, 0x0000)
        request = request_of(references, transaction)
        status, _ = association.send_n_action(request, action, StorageCommitmentPushModel, instance)
        if stay and status.Status == 0:
            self.reports.of(request.TransactionUID)
            time.sleep(0.5)  # until pynetdicom has answered the report
        association.release()
        return status.Status, request.TransactionUID

    def images(self, count, patient="COMMIT", study=None):
        study, series = study or generate_uid(), generate_uid()
        return [make_image(self.folder / f"{patient}-{study[-6:]}-{i}.dcm", study, series, i, patient=patient) for i in range(count)]

    def references(self, images):
        return [(CTImageStorage, uids_of(image)[2]) for image in images]


class Commitment(CommitmentTest):
    def test_what_is_promised(self):
        site = self.committing_site()
        self.port = self.serve(site)
        images = self.images(3)
        references = self.references(images)
        uids = {uid for _, uid in references}
        with self.subTest("durable: told on the same association, which completes the exam"):
            status, transaction = self.commit(references, "SAME", images=images, stay=True)
            self.assertEqual((status, self.reports.of(transaction)), (0, (1, uids, {})))
            self.assertEqual(site.run("delivery", "list")["deliveries"], [])
            self.assertEqual(site.run("list")["studies"][0]["instances"], 3)
        with self.subTest("a transaction is one transaction, also after it was answered"):
            self.assertEqual(self.commit(references, "SAME", transaction)[0], DUPLICATE)
        with self.subTest("what is not here, and what is something else"):
            unknown = generate_uid()
            status, transaction = self.commit([references[0], (CTImageStorage, unknown), (MRImageStorage, references[1][1])], "SAME", stay=True)
            self.assertEqual((status, self.reports.of(transaction)), (0, (2, {references[0][1]}, {unknown: NO_SUCH_INSTANCE, references[1][1]: CONFLICT})))
        with self.subTest("settled: told on an association of its own; what others brought is unknown to it"):
            server = self.reports.listen(self.modality)
            own = self.images(2)
            status, transaction = self.commit([*self.references(own), references[0]], images=own)
            self.assertEqual(status, 0)
            self.assertEqual(self.reports.of(transaction), (2, {uid for _, uid in self.references(own)}, {references[0][1]: NO_SUCH_INSTANCE}))
            anchored = site.run("verify", "--all")
            self.assertEqual((anchored["settled"], anchored["studies"]), (2, 2))
        with self.subTest("what it sent again belongs to it as well"):
            status, transaction = self.commit(references, images=images)
            self.assertEqual((status, self.reports.of(transaction)), (0, (1, uids, {})))
            server.shutdown()
        with self.subTest("what cannot be asked"):
            self.assertEqual(self.commit(references, "SAME", instance="1.2.3")[0], NO_SUCH_INSTANCE)
            self.assertEqual(self.commit(references, "SAME", action=2)[0], 0x0123)
            self.assertEqual(self.commit([], "SAME")[0], 0x0115)
            refused = self.associate(self.port, [(StorageCommitmentPushModel, [ImplicitVRLittleEndian])], title="OTHER")
            self.assertFalse(refused.is_established and refused.accepted_contexts, "it is not switched on for this peer")
        site.stop()
        self.assertEqual(site.run("fsck")["findings"], [])

    def test_pending_survives_and_never_fails(self):
        geth = self.folder / "geth"
        geth.symlink_to(shutil.which("geth") or pathlib.Path.home() / "go/bin/geth")
        site = self.committing_site()
        file = site.folder / "fiducial.toml"
        file.write_text(file.read_text().replace('geth = ""', f'geth = "{geth}"'))
        self.port = self.serve(site)
        self.commit([(CTImageStorage, generate_uid())], "SAME", stay=True)
        site.stop()
        real = geth.readlink()
        geth.unlink()  # the node stays away from here on
        self.port = self.serve(site)
        server = self.reports.listen(self.modality)
        images = self.images(2)
        status, transaction = self.commit(self.references(images), images=images)
        self.assertEqual(status, 0)
        waiting = lambda: [d for d in site.run("delivery", "list")["deliveries"] if d["transactionUid"] == transaction]
        wait_for(lambda: "not settled" in waiting()[0].get("problem", ""), 30, "it is pending, and says why")
        self.assertEqual((waiting()[0]["state"], self.reports.by_transaction[transaction]), ("waiting", []))
        server.shutdown()
        site.stop(signal.SIGKILL)
        geth.symlink_to(real)
        self.port = self.serve(site)
        wait_for(lambda: "settled" not in waiting()[0].get("problem", "settled"), 60, "settled now, and the modality is away")
        self.assertEqual(self.reports.by_transaction[transaction], [])
        server = self.reports.listen(self.modality)
        site.run("delivery", "retry", "--all")
        self.assertEqual(self.reports.of(transaction), (1, {uid for _, uid in self.references(images)}, {}))
        wait_for(lambda: not waiting(), 30, "it is done")
        server.shutdown()


class Forwarding(CommitmentTest):
    def forwarding_site(self, *rules, **settings):
        self.scp_port, self.pacs_port = free_port(), free_port()
        site = self.archive(peers=["CT1 127.0.0.1", "CT2 127.0.0.1", f"SCP 127.0.0.1 device=scp port={self.scp_port}", f"PACS 127.0.0.1 device=pacs port={self.pacs_port}"], forward=list(rules), **settings)
        site.run("device", "add", "scp", "--may", "retrieve")
        site.run("device", "add", "pacs", "--may", "store")
        return site

    def test_what_goes_where_and_is_never_lost(self):
        site = self.forwarding_site("SCP from=CT1 Modality=CT", "PACS from=CT2", delivery_refusals=2)
        port = self.serve(site)
        images, others = self.images(6), self.images(2, "OTHERS")
        self.storescu(port, images, calling="CT1")
        self.storescu(port, others, calling="CT2")
        waiting = lambda **where: [d for d in site.run("delivery", "list")["deliveries"] if all(d[k] == v for k, v in where.items())]
        with self.subTest("it waits while the peer is away"):
            wait_for(lambda: len(waiting(peer="SCP")) == 6 and all("problem" in d for d in waiting(peer="SCP")), 30, "everything waits, and says why")
        with self.subTest("a peer without the right gets nothing, and a person is told"):
            wait_for(lambda: len(waiting(peer="PACS", state="failed")) == 2, 30, "it is given up")
            self.assertEqual(site.run("delivery", "discard", "--failed")["deliveries"], 2)
        with self.subTest("a kill loses nothing"):
            site.stop(signal.SIGKILL)
            port = self.serve(site)
            receiver = Receiver(self.scp_port, [ExplicitVRLittleEndian], status=lambda uid: 0xA700 if uid == uids_of(images[2])[2] else 0)
            wait_for(lambda: len(receiver.requests) >= 7, 60, "all have come, and the one that was refused comes again")
            sent = [r.AffectedSOPInstanceUID for r in receiver.requests]
            self.assertEqual(len(set(sent)), 6)
            self.assertEqual(receiver.received.keys(), {digest(data_set_of(image)) for image in images}, "byte by byte")
            wait_for(lambda: len(waiting(state="failed")) == 1, 30, "what is refused too often is given up")
            receiver.close()
        with self.subTest("what was given up is tried again when a person says so, here by storescp"):
            scp = subprocess.Popen(["storescp", "-aet", "SCP", "-od", self.folder, str(self.scp_port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(scp.wait)
            self.addCleanup(scp.kill)
            self.assertEqual(site.run("delivery", "retry", "--failed", "--peer", "SCP")["deliveries"], 1)
            wait_for(lambda: not waiting(), 30, "it is there")
        metrics = requests.get(site.url + "/metrics", timeout=30).text
        self.assertNotIn("fiducial_deliveries{", metrics)
        site.stop()
        self.assertEqual(site.run("fsck")["findings"], [])

    def test_what_is_corrected_goes_again(self):
        site = self.forwarding_site("SCP")
        port = self.serve(site)
        receiver = Receiver(self.scp_port, [ExplicitVRLittleEndian])
        images = self.images(2)
        study, series, first = uids_of(images[0])
        second = uids_of(images[1])[2]
        came = lambda: collections.Counter(r.AffectedSOPInstanceUID for r in list(receiver.requests))
        what = (study, "--series", series, "--instance", first)
        self.storescu(port, images, calling="CT1")
        wait_for(lambda: came() == {first: 1, second: 1}, 30, "both are there")
        site.run("remove", *what, "--reason", "quality", "--text", "blurred")
        site.run("put-back", *what, "--text", "it was the right one")
        wait_for(lambda: came()[first] == 2, 30, "what is put back comes again")
        site.run("correct", "patient", study, "--patient-id", "RIGHT", "--name", "Right^Rose", "--text", "the line above")
        wait_for(lambda: came() == {first: 3, second: 2}, 30, "both come as the right patient's")
        self.assertEqual({decode(r.DataSet, False, True).PatientID for r in receiver.requests[-2:]}, {"RIGHT"})
        receiver.close()
        self.storescu(port, self.images(1, "LATER"), calling="CT1")
        waiting = lambda: site.run("delivery", "list")["deliveries"]
        wait_for(lambda: waiting(), 30, "it waits")
        site.run("remove", waiting()[0]["studyInstanceUid"], "--reason", "quality", "--text", "blurred")
        receiver = Receiver(self.scp_port, [ExplicitVRLittleEndian])
        site.run("delivery", "retry", "--all")
        wait_for(lambda: not waiting(), 30, "what was taken out does not wait any more")
        self.assertEqual(receiver.requests, [], "nor is it sent")
        receiver.close()

    def test_a_peer_is_told_what_is_here(self):
        notices = []

        def take(event):
            notices.append((event.request.AffectedSOPInstanceUID, event.attribute_list))
            return (0x0110, None) if len(notices) == 1 else (0x0000, event.attribute_list)
        ris = free_port()
        site = self.archive(peers=["CT1 127.0.0.1", f"RIS 127.0.0.1 device=ris port={ris}", f"SCP 127.0.0.1 device=ris port={free_port()}"], notify=["RIS", "SCP"], delivery_refusals=2)
        site.run("device", "add", "ris", "--may", "query")
        port = self.serve(site)
        images = self.images(3)
        study, series, _ = uids_of(images[0])
        self.storescu(port, images, calling="CT1")
        waiting = lambda **where: [d for d in site.run("delivery", "list")["deliveries"] if all(d[k] == v for k, v in where.items())]
        wait_for(lambda: {d["kind"] for d in waiting(peer="RIS", studyInstanceUid=study)} == {"availability"}, 30, "the notice waits while the peer is away")
        site.stop(signal.SIGKILL)
        port = self.serve(site)
        ae = AE(ae_title="RIS")
        ae.add_supported_context(InstanceAvailabilityNotification)
        server = ae.start_server(("127.0.0.1", ris), block=False, evt_handlers=[(evt.EVT_N_CREATE, take)])
        wait_for(lambda: not waiting(peer="RIS"), 60, "it is told: what was refused, again")
        self.assertEqual(len(notices), 2)
        said = notices[1][1]
        self.assertEqual((said.StudyInstanceUID, [one.SeriesInstanceUID for one in said.ReferencedSeriesSequence], said.ReferencedPerformedProcedureStepSequence), (study, [series], []))
        references = said.ReferencedSeriesSequence[0].ReferencedSOPSequence
        self.assertEqual({r.ReferencedSOPInstanceUID for r in references}, {uids_of(image)[2] for image in images})
        self.assertEqual({(r.ReferencedSOPClassUID, r.InstanceAvailability, r.RetrieveAETitle) for r in references}, {(CTImageStorage, "ONLINE", "FIDUCIAL")})
        with self.subTest("what comes to the study later is told, too"):
            later = make_image(self.folder / "later.dcm", study, series, 9, patient="COMMIT")
            self.storescu(port, [later], calling="CT1")
            wait_for(lambda: len(notices) == 3, 30, "the next notice")
            self.assertEqual(len(notices[2][1].ReferencedSeriesSequence[0].ReferencedSOPSequence), 4)
        with self.subTest("to a peer that does not take notices nothing is said for ever"):
            scp = subprocess.Popen(["storescp", "-aet", "SCP", "--ignore", str(int(next(p for p in site.run("peer", "list")["peers"] if p["aeTitle"] == "SCP")["port"]))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(scp.wait)
            self.addCleanup(scp.kill)
            site.run("delivery", "retry", "--all")
            wait_for(lambda: waiting(peer="SCP", state="failed"), 60, "it is given up, and a person told")
        server.shutdown()

    def test_over_tls_with_certificates(self):
        def identity(name):
            pem, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem, "-days", "2", "-subj", f"/CN={name}"], check=True, capture_output=True)
            key.chmod(0o600)
            shown = subprocess.run(["openssl", "x509", "-in", pem, "-noout", "-fingerprint", "-sha256"], check=True, capture_output=True, text=True).stdout
            return pem, key, shown.strip().split("=")[1]
        (archive, archive_key, _), (modality, modality_key, ct), (other, other_key, _), (viewer, viewer_key, scp) = map(identity, ("archive", "modality", "other", "viewer"))
        self.scp_port = free_port()
        site = self.archive(peers=[f"CT1 127.0.0.1 certificate={ct}", "OPEN 127.0.0.1", f"SCP 127.0.0.1 device=scp port={self.scp_port} certificate={scp}"], forward=["SCP"],
                            tls_certificate=str(archive), tls_key=str(archive_key))
        site.run("device", "add", "scp", "--may", "retrieve")
        port = self.serve(site)
        image = self.images(1)[0]
        send = lambda title, *identity, code=0: self.tool("storescu", "-aet", title, "-aec", "FIDUCIAL", *identity, "+cf", archive, "127.0.0.1", port, image, port=port, code=code)
        with self.subTest("who shows no certificate, or another, does not come in under that title"):
            self.assertIn("Calling AE Title Not Recognized", send("CT1", "+tla", code=None).stderr)
            self.assertIn("Calling AE Title Not Recognized", send("CT1", "+tls", other_key, other, code=None).stderr)
            self.assertIn(hashlib.sha256(ssl.PEM_cert_to_DER_cert(other.read_text())).hexdigest(), " ".join(k["why"] for k in site.run("peer", "knocks")["knocks"]))
            send("CT1", "+tls", modality_key, modality)
            send("OPEN", "+tla")
        delivery = lambda: site.run("delivery", "list")["deliveries"]
        receiving = lambda pem, key: subprocess.Popen(["storescp", "-aet", "SCP", "-od", self.folder, "-v", "+tls", key, pem, "+cf", archive, str(self.scp_port)], stdout=subprocess.DEVNULL, stderr=open(self.folder / "storescp.log", "ab"))
        with self.subTest("nothing goes to a peer that shows another certificate"):
            scp = receiving(other, other_key)
            wait_for(lambda: "another certificate" in (delivery() or [{}])[0].get("problem", ""), 30, "it waits, and says why")
            scp.kill()
            scp.wait()
        with self.subTest("it goes to the one that is listed, and it sees ours"):
            scp = receiving(viewer, viewer_key)
            self.addCleanup(scp.wait)
            self.addCleanup(scp.kill)
            wait_for(lambda: site.run("delivery", "retry", "--all") and not delivery(), 30, "it is there")
            self.assertEqual(site.run("peer", "check", "SCP")["peers"][0]["answers"], True)

    def test_a_rule_for_nobody_is_refused(self):
        site = self.archive(peers=["CT1 127.0.0.1"], forward=["SCP"])
        process = site.raw("serve", "--listen", "127.0.0.1:0", codes=None)
        self.assertIn("[dimse] forward: no line of [dimse] peers has the title SCP", process.stdout + process.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
