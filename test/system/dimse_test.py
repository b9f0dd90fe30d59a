"""The DIMSE door, by peers that we did not write: DCMTK's echoscu and storescu, pynetdicom; and by some that nobody should have written."""
import collections
import contextlib
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import pydicom
import pynetdicom
import requests
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification

import patient_pynetdicom  # noqa: F401 (mends it)
from harness import FIDUCIAL, ROOT, SHARED, SystemTest, files_of, sockets_of, wait_for

pynetdicom._config.STORE_SEND_CHUNKED_DATASET = True  # a file's data set is sent as it stands in the file
DATA = SHARED / "data/dicom"
PEERS = ["STORESCU 127.0.0.1", "ECHOSCU 127.0.0.1", "PYNETDICOM 127.0.0.1", "STRICT 127.0.0.1 set-aside=failure", "CALM 127.0.0.1 set-aside=success", "FAR 192.0.2.7 plain"]
PROPOSE = {  # transfer syntax: the option with which storescu sends it as it is
    "1.2.840.10008.1.2": "-xi", "1.2.840.10008.1.2.1": "-xe", "1.2.840.10008.1.2.2": "-xb", "1.2.840.10008.1.2.1.99": "-xd", "1.2.840.10008.1.2.5": "-xr",
    "1.2.840.10008.1.2.4.50": "-xy", "1.2.840.10008.1.2.4.51": "-xx", "1.2.840.10008.1.2.4.70": "-xs", "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu", "1.2.840.10008.1.2.4.90": "-xv", "1.2.840.10008.1.2.4.91": "-xw", "1.2.840.10008.1.2.4.100": "-xm",
    "1.2.840.10008.1.2.4.101": "-xh", "1.2.840.10008.1.2.4.102": "-xn", "1.2.840.10008.1.2.4.107": "-x4"}


def data_set_of(file):
    """The bytes of a DICOM file's data set: what stands behind group 0002."""
    data = pathlib.Path(file).read_bytes()
    assert data[128:132] == b"DICM" and data[132:138] == b"\x02\0\0\0UL", file
    return data[144 + struct.unpack("<I", data[140:144])[0]:]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def make_image(path, study, series, number, patient="DIMSE1", size=64):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID, image.SeriesInstanceUID, image.InstanceNumber = study, series, number
    image.PatientID, image.PatientName, image.StudyDate, image.Modality = patient, "Dimse^Test", "20260102", "CT"
    image.Rows, image.Columns, image.SamplesPerPixel = size, size, 1
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = (number.to_bytes(4, "little") * (size * size // 2))
    image.save_as(path, enforce_file_format=True)
    return path


class Tap:
    """Passes connections on to the archive and keeps the data sets that went by, as they were on the wire."""

    def __init__(self, to_port):
        self.to_port, self.data_sets, self.lock = to_port, [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def relay(self, client):
        with client, socket.create_connection(("127.0.0.1", self.to_port)) as server:
            back = threading.Thread(target=self.pump, args=(server, client, None), daemon=True)
            back.start()
            self.pump(client, server, self.watch())
            back.join()

    @staticmethod
    def pump(source, sink, watch):
        with contextlib.suppress(OSError):
            while data := source.recv(262144):
                if watch is not None:
                    watch.send(data)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def watch(self):
        def run():
            buffer, current = b"", []
            while True:
                buffer += yield
                while len(buffer) >= 6 and len(buffer) >= 6 + struct.unpack(">I", buffer[2:6])[0]:
                    end = 6 + struct.unpack(">I", buffer[2:6])[0]
                    at = 6 if buffer[0] == 4 else end
                    while at < end:
                        size = struct.unpack(">I", buffer[at:at + 4])[0]
                        if not buffer[at + 5] & 1:
                            current.append(buffer[at + 6:at + 4 + size])
                            if buffer[at + 5] & 2:
                                with self.lock:
                                    self.data_sets.append(digest(b"".join(current)))
                                current = []
                        at += 4 + size
                    buffer = buffer[end:]
        watch = run()
        next(watch)
        return watch

    def close(self):
        self.listener.close()


class DimseTest(SystemTest):
    def archive(self, name="site", peers=PEERS, **settings):
        site = self.site(name)
        file = site.folder / "fiducial.toml"
        text = file.read_text()
        for key, value in {"listen": "127.0.0.1:0", "peers": peers, **settings}.items():
            section = text.index("[dimse]")
            text = text[:section] + re.sub(rf"(?m)^{key} = .*$", lambda _: f"{key} = {json.dumps(value)}", text[section:], count=1)
        file.write_text(text)
        return site

    def serve(self, site):
        site.start()
        return site.dimse_port

    def tool(self, *command, port, code=0, **more):
        ran = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, **more)
        if code is not None:
            self.assertEqual(ran.returncode, code, ran.stdout + ran.stderr)
        return ran

    def storescu(self, port, *arguments, calling="STORESCU", code=0):
        return self.tool("storescu", "-aet", calling, "-aec", "FIDUCIAL", *arguments[:-1], "127.0.0.1", port, *arguments[-1], port=port, code=code)

    def associate(self, port, contexts, title="PYNETDICOM", called="FIDUCIAL"):
        ae = AE(ae_title=title)
        for abstract, syntaxes in contexts:
            ae.add_requested_context(abstract, syntaxes)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
        return ae.associate("127.0.0.1", port, ae_title=called)

    def exported(self, site):
        """Digests of every data set in the archive, by where it stands."""
        out = {}
        for kind, how in (("current", ["--all"]), ("superseded", ["--all", "--superseded"]), ("aside", ["--set-aside"])):
            folder = self.folder / f"out-{site.folder.name}-{kind}"
            site.run("export", *how, "--to", folder, timeout=600)
            out[kind] = collections.Counter(digest(data_set_of(p)) for p in files_of(folder))
        return out


class Peers(DimseTest):
    def test_samples_by_dcmtk_and_pynetdicom(self):
        site = self.archive()
        port = self.serve(site)
        with self.subTest("echoscu"):
            self.tool("echoscu", "-aet", "ECHOSCU", "-aec", "FIDUCIAL", "127.0.0.1", port, port=port)
        with self.subTest("titles and addresses decide who comes in"):
            refused = self.tool("echoscu", "-aet", "ECHOSCU", "-aec", "SOMEBODY", "127.0.0.1", port, port=port, code=None)
            self.assertIn("Called AE Title Not Recognized", refused.stderr)
            refused = self.tool("echoscu", "-aet", "STRANGER", "-aec", "FIDUCIAL", "127.0.0.1", port, port=port, code=None)
            self.assertIn("Calling AE Title Not Recognized", refused.stderr)
            refused = self.tool("echoscu", "-aet", "FAR", "-aec", "FIDUCIAL", "127.0.0.1", port, port=port, code=None)
            self.assertIn("Calling AE Title Not Recognized", refused.stderr)
        samples = sorted(self.samples().rglob("*.dcm"))
        study = pydicom.dcmread(samples[0], stop_before_pixels=True).StudyInstanceUID
        with self.subTest("storescu"):
            self.storescu(port, samples)
        with self.subTest("pynetdicom: the same images, as they stand in the files"):
            heads = {p: pydicom.dcmread(p, stop_before_pixels=True) for p in samples}
            pairs = sorted({(h.SOPClassUID, h.file_meta.TransferSyntaxUID) for h in heads.values()})
            association = self.associate(port, [(a, [t]) for a, t in pairs])
            self.assertTrue(association.is_established)
            statuses = {p: association.send_c_store(p).Status for p in samples}
            association.release()
            self.assertEqual(set(statuses.values()), {0x0000}, "the same again costs nothing; another header over the same pixels is a new version")
        with self.subTest("what was stored is anchored and settled when the association is over"):
            wait_for(lambda: site.run("verify", "--all")["settled"] == len({h.StudyInstanceUID for h in heads.values()}), 60, "every study is settled")
            checked = site.run("verify", "--all")
            self.assertEqual((checked["damaged"], checked["objects"]), ([], len(samples)))
        with self.subTest("it comes out by WADO-RS as a file with the data set that came"):
            site.run("person", "add", "doctor", "--role", "doctor")
            headers = {"Authorization": "Bearer " + site.token("doctor"), "Accept": "application/dicom; transfer-syntax=*"}
            h = heads[samples[0]]
            path = f"/studies/{study}/series/{h.SeriesInstanceUID}/instances/{h.SOPInstanceUID}"
            answers = []
            wait_for(lambda: answers.append(requests.get(site.url + path, headers=headers, timeout=60)) or answers[-1].status_code == 200, 30, "a right counts once it is settled")
            got = self.folder / "got.dcm"
            got.write_bytes(answers[-1].content)
            self.assertEqual(data_set_of(got), data_set_of(samples[0]))
            self.assertEqual(pydicom.dcmread(got).file_meta.MediaStorageSOPInstanceUID, h.SOPInstanceUID)
        with self.subTest("metrics and the log speak of it, and name no patient"):
            metrics = requests.get(site.url + "/metrics", headers=headers, timeout=60).text
            self.assertIn('fiducial_dimse_associations_total{outcome="rejected"} 3\n', metrics)
            self.assertIn('fiducial_dimse_messages_total{command="C-STORE",status="0000"} ' + str(2 * len(samples)), metrics)
            self.assertIn("an association was released", site.serve_log())
            for head in heads.values():
                self.assertNotIn(str(head.PatientName), site.serve_log())
                self.assertNotIn(head.PatientID, site.serve_log())
        site.stop()
        self.assertEqual(site.run("fsck", timeout=600)["findings"], [])

    def test_statuses_say_what_became_of_an_object(self):
        site = self.archive()
        port = self.serve(site)
        study, series = generate_uid(), generate_uid()
        first = make_image(self.folder / "1.dcm", study, series, 1)
        other = pydicom.dcmread(first)
        other.PixelData = b"\1" * len(other.PixelData)
        other.save_as(self.folder / "other.dcm", enforce_file_format=True)

        def send(path, title="PYNETDICOM"):
            association = self.associate(port, [(CTImageStorage, [ExplicitVRLittleEndian])], title)
            status = association.send_c_store(path)
            association.release()
            return status

        self.assertEqual(send(first).Status, 0x0000)
        self.assertEqual(send(first).Status, 0x0000, "a duplicate")
        warned = send(self.folder / "other.dcm")
        self.assertEqual(warned.Status, 0xB000)
        self.assertIn("set aside", warned.ErrorComment)
        self.assertEqual(send(self.folder / "other.dcm", "CALM").Status, 0x0000)
        self.assertEqual(send(self.folder / "other.dcm", "STRICT").Status, 0xA900)
        with self.subTest("a data set that is not what the command says"):
            lies = pydicom.dcmread(first)
            lies.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            lies.save_as(self.folder / "lies.dcm")
            self.assertEqual(send(self.folder / "lies.dcm").Status, 0xA900)
        with self.subTest("no study"):
            homeless = pydicom.dcmread(first)
            del homeless.StudyInstanceUID
            homeless.SOPInstanceUID = homeless.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            homeless.save_as(self.folder / "homeless.dcm")
            refused = send(self.folder / "homeless.dcm")
            self.assertEqual(refused.Status, 0xC000)
            self.assertIn("Study Instance UID", refused.ErrorComment)
        with self.subTest("not what its transfer syntax says"):
            image = pydicom.dcmread(first)
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            image.save_as(self.folder / "cut.dcm", enforce_file_format=True)
            cut = (self.folder / "cut.dcm").read_bytes()[:-1001]
            (self.folder / "cut.dcm").write_bytes(cut)
            self.assertEqual(send(self.folder / "cut.dcm").Status, 0xC000)
        with self.subTest("what is not served is not negotiated"):
            association = self.associate(port, [(Verification, [ExplicitVRLittleEndian]), ("1.2.840.10008.5.1.4.31", [ExplicitVRLittleEndian]), (CTImageStorage, ["1.2.840.113619.5.2"]), ("1.3.12.2.1107.5.9.1", [ExplicitVRLittleEndian])])
            self.assertEqual([c.result for c in association.rejected_contexts], [1, 4, 3], "the worklist is served, but not to this peer")
            association.abort()
        site.stop()
        self.assertEqual(site.run("fsck", timeout=600)["findings"], [])

    def test_settings_of_the_door(self):
        with self.subTest("a private class that is listed is taken"):
            site = self.archive(private_sop_classes=["1.3.12.2.1107.5.9.1", "1.2.840.113619.4."], ae_title="ARCHIVE 2")
            port = self.serve(site)
            image = pydicom.dcmread(make_image(self.folder / "p.dcm", generate_uid(), generate_uid(), 1))
            image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.113619.4.26"
            image.save_as(self.folder / "p.dcm", enforce_file_format=True)
            association = self.associate(port, [("1.2.840.113619.4.26", [ExplicitVRLittleEndian])], called="ARCHIVE 2")
            self.assertEqual(association.send_c_store(self.folder / "p.dcm").Status, 0x0000)
            association.release()
            site.stop()
        for name, settings, said in (("far", {"peers": ["CT1 192.0.2.7"], "listen": "0.0.0.0:0"}, "not listed as plain"),
                                     ("title", {"ae_title": "seventeen letters"}, "no AE title"),
                                     ("line", {"peers": ["CT1 ct1.example.org"]}, "not a numeric IP address")):
            with self.subTest(name):
                refused = self.archive(name, **settings).raw("config", "check", codes=None)
                self.assertNotEqual(refused.returncode, 0)
                self.assertIn(said, refused.stderr)

    def test_over_tls(self):
        certificate, key = self.folder / "tls.pem", self.folder / "tls.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
        key.chmod(0o600)
        site = self.archive(tls_certificate=str(certificate), tls_key=str(key))
        port = self.serve(site)
        image = make_image(self.folder / "1.dcm", generate_uid(), generate_uid(), 1, size=256)
        self.tool("storescu", "-aet", "STORESCU", "-aec", "FIDUCIAL", "+tla", "+cf", certificate, "127.0.0.1", port, image, port=port)
        self.assertNotEqual(self.storescu(port, [image], code=None).returncode, 0, "there is nothing plain on this port")
        site.stop()
        self.assertEqual(self.exported(site)["current"], collections.Counter([digest(data_set_of(image))]))


@unittest.skipUnless(DATA.is_dir(), f"public test data is not there ({DATA})")
class SharedData(DimseTest):
    def heads(self):
        """Every file that can be sent at all, with what stands in its header; the others by name."""
        heads, not_sendable = {}, {}
        for file in files_of(DATA):
            try:
                head = pydicom.dcmread(file, stop_before_pixels=True)
                data_set_of(file)
                heads[file] = (head.file_meta.MediaStorageSOPClassUID, head.file_meta.TransferSyntaxUID, head.file_meta.MediaStorageSOPInstanceUID)
            except Exception as why:
                not_sendable[file.name] = str(why).splitlines()[0][:80] if str(why) else type(why).__name__
        return heads, not_sendable

    def test_every_file_by_pynetdicom(self):
        heads, not_sendable = self.heads()
        site = self.archive()
        tap = Tap(self.serve(site))
        pairs = sorted({(a, t) for a, t, _ in heads.values()})
        statuses, unaccepted = {}, set()
        for start in range(0, len(pairs), 128):
            chosen = pairs[start:start + 128]
            association = self.associate(tap.port, [(a, [t]) for a, t in chosen])
            self.assertTrue(association.is_established)
            accepted = {(c.abstract_syntax, c.transfer_syntax[0]) for c in association.accepted_contexts}
            unaccepted |= set(chosen) - accepted
            for file, (abstract, syntax, _) in heads.items():
                if (abstract, syntax) not in accepted:
                    continue
                try:
                    statuses[file] = association.send_c_store(file).Status
                except ValueError as why:  # pynetdicom itself does not send it
                    not_sendable[file.name] = str(why)
            association.release()
        counted = collections.Counter(f"{s:04X}" for s in statuses.values())
        print(f"\n{len(statuses)} files sent; not DICOM files that can be sent: {', '.join(sorted(not_sendable))}")
        print(f"statuses {dict(counted)}; not accepted: {sorted(map(str, unaccepted))}")
        self.assertTrue(all(not a.startswith("1.2.840.10008.5.1.4.1.1.") for a, t in unaccepted if t in PROPOSE), unaccepted)
        tap.close()
        taken = collections.Counter({d: 1 for d, s in zip(tap.data_sets, statuses.values(), strict=True) if s in (0x0000, 0xB000)})
        as_in_files = collections.Counter({digest(data_set_of(f)): 1 for f in statuses})
        self.assertGreater(sum(taken.values()), 150)
        self.assertLess(sum((taken - as_in_files).values()), 5, "pynetdicom sends what stands in a file")
        site.run("ledger", "wait", "--seconds", "120")
        site.stop()
        back = self.exported(site)
        everything = sum(back.values(), collections.Counter())
        self.assertEqual((taken - everything, everything - taken), (collections.Counter(), collections.Counter()), "each comes back bit for bit, once")
        self.assertEqual(site.run("fsck", timeout=600)["findings"], [])

    def test_every_file_by_storescu_as_it_was_on_the_wire(self):
        heads, _ = self.heads()
        site = self.archive()
        tap = Tap(self.serve(site))
        by_syntax = collections.defaultdict(list)
        for file, (_, syntax, _) in heads.items():
            by_syntax[syntax].append(file)
        print("\nsyntaxes that storescu cannot send:", ", ".join(sorted(f"{s} ({len(f)} files)" for s, f in by_syntax.items() if s not in PROPOSE)) or "none")
        failed = []
        for syntax, files in sorted(by_syntax.items()):
            if syntax not in PROPOSE:
                continue
            for start in range(0, len(files), 40):
                sent = self.storescu(tap.port, "-v", "-R", PROPOSE[syntax], "-nh", files[start:start + 40], code=None)
                failed += re.findall(r"^E: .*$", sent.stderr, re.M)
        tap.close()
        print(f"{len(tap.data_sets)} data sets sent; storescu's complaints: {collections.Counter(failed).most_common(4)}")
        self.assertGreater(len(tap.data_sets), 100)
        site.stop()
        everything = sum(self.exported(site).values(), collections.Counter())
        self.assertEqual(everything - collections.Counter(tap.data_sets), collections.Counter(), "nothing is there that did not come so")
        refused = collections.Counter({d: 1 for d in tap.data_sets}) - everything
        self.assertLessEqual(sum(refused.values()), site.serve_log().count("an instance could not be stored"), "what is refused is named, with a reason")
        self.assertLess(sum(refused.values()), 10, refused)
        self.assertEqual(site.run("fsck", timeout=600)["findings"], [])


class Together(DimseTest):
    def at_once(self, count, work):
        ready, errors = threading.Barrier(count), []

        def run(i):
            try:
                work(i, ready)
            except Exception as error:
                errors.append(repr(error))
        threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertEqual(errors, [])

    def test_sixteen_associations_with_a_new_patient_and_with_the_same_object(self):
        site = self.archive()
        port = self.serve(site)
        study, series = generate_uid(), generate_uid()
        images = [make_image(self.folder / f"{i}.dcm", study, series, i) for i in range(17)]
        statuses = []

        def send(path):
            def work(_, ready):
                association = self.associate(port, [(CTImageStorage, [ExplicitVRLittleEndian])])
                ready.wait()
                statuses.append(association.send_c_store(path(_)).Status)
                association.release()
            return work
        self.at_once(16, send(lambda i: images[i]))
        self.at_once(16, send(lambda _: images[16]))
        self.assertEqual(statuses, [0x0000] * 32)
        wait_for(lambda: site.run("verify", "--all")["settled"] == 1, 60, "settled")
        site.stop()
        listed = site.run("list")["studies"]
        self.assertEqual([(s["studyInstanceUid"], s["instances"]) for s in listed], [(study, 17)])
        back = self.exported(site)
        self.assertEqual(back["current"], collections.Counter(digest(data_set_of(p)) for p in images))
        self.assertEqual((back["superseded"], back["aside"]), (collections.Counter(), collections.Counter()))
        self.assertEqual(site.run("fsck", timeout=600)["findings"], [])

    def test_kill_while_storing_loses_nothing_that_was_acknowledged(self):
        site = self.archive()
        study, series = generate_uid(), generate_uid()
        images = [make_image(self.folder / f"{i}.dcm", study, series, i, size=128) for i in range(120)]
        acknowledged = []
        for turn in range(3):
            port = self.serve(site)
            todo = images[turn * 40:turn * 40 + 40]

            def send():
                with contextlib.suppress(Exception):
                    association = self.associate(port, [(CTImageStorage, [ExplicitVRLittleEndian])])
                    for path in todo:
                        if association.send_c_store(path).get("Status") != 0x0000:
                            return
                        acknowledged.append(path)
            sender = threading.Thread(target=send)
            before = len(acknowledged)
            sender.start()
            wait_for(lambda: len(acknowledged) >= before + 5 * (turn + 1), 60, "some are acknowledged")
            site.stop(signal.SIGKILL)
            sender.join(90)
        self.assertGreater(len(acknowledged), 20)
        self.serve(site)
        wait_for(lambda: site.run("verify", "--all")["settled"] == 1, 60, "what was left by the kill is anchored")
        site.stop()
        lost = collections.Counter(digest(data_set_of(p)) for p in acknowledged) - self.exported(site)["current"]
        self.assertEqual(lost, collections.Counter())
        self.assertEqual(site.run("fsck", timeout=600)["findings"], [])


def pdu_item(kind, content):
    return struct.pack(">BBH", kind, 0, len(content)) + content


class Strangers(DimseTest):
    """Peers that stall, lie and leave cost themselves only: meanwhile and afterwards the others are served."""

    def session(self):
        """What storescu says, as it was captured, to our title."""
        recorded = (ROOT / "test/vectors/dimse/dcmtk-store.rq").read_bytes()
        return recorded[:10] + b"FIDUCIAL".ljust(16) + recorded[26:]

    def play(self, port, data, wait=False):
        peer = socket.create_connection(("127.0.0.1", port))
        peer.settimeout(30)
        with contextlib.suppress(OSError):
            peer.sendall(data)
            if wait:
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65536):
                    pass
        return peer

    def test_strangers_cost_only_themselves(self):
        site = self.archive(max_associations=200)
        port = self.serve(site)
        session = self.session()
        begin = 6 + struct.unpack(">I", session[2:6])[0]
        image = make_image(self.folder / "1.dcm", generate_uid(), generate_uid(), 1)

        def served():
            self.storescu(port, [image])
        with self.subTest("the recording is a whole session"):
            self.play(port, session, wait=True).close()
            wait_for(lambda: "stored=1" in site.serve_log(), 10, "it is stored")
        with self.subTest("stalls at any byte, is gone after any byte"):
            stalled = [self.play(port, session[:cut]) for cut in range(0, begin, begin // 30)]
            stalled += [self.play(port, session[:cut]) for cut in range(begin, len(session), 11)]
            served()
            for peer in stalled:
                peer.close()
            served()
        with self.subTest("lies about lengths"):
            at = begin
            for offset, value in ((2, b"\xff\xff\xff\xff"), (2, b"\0\0\0\0"), (74, b"\xff\xff"), (begin + 2, b"\0\2\0\1"), (begin + 6, b"\x7f\xff\xff\xff"), (begin + 6, b"\0\0\0\0"),
                                  (begin + 12 + 8, b"\xff\xff\xff\x7f"), (begin, b"\x09"), (begin + 10, b"\xfe")):
                self.play(port, session[:offset] + value + session[offset + len(value):], wait=True).close()
            served()
        with self.subTest("negotiates 128 contexts"):
            association = self.associate(port, [(f"1.2.840.10008.5.1.4.1.1.{i}", [ExplicitVRLittleEndian, *(f"1.2.840.10008.1.2.4.{n}" for n in range(50, 90))]) for i in range(128)])
            self.assertEqual(len(association.accepted_contexts), 128)
            association.release()
            # And again and again: what it sent, as bytes.
            items = b"".join(pdu_item(0x20, bytes([2 * i + 1, 0, 0, 0]) + pdu_item(0x30, b"1.2.840.10008.5.1.4.1.1.%d" % i) + b"".join(pdu_item(0x40, b"1.2.840.10008.1.2.4.%d" % n) for n in range(50, 90))) for i in range(128))
            request = struct.pack(">HH", 1, 0) + b"FIDUCIAL".ljust(16) + b"STORESCU".ljust(16) + bytes(32) + pdu_item(0x10, b"1.2.840.10008.3.1.1.1") + items + pdu_item(0x50, pdu_item(0x51, struct.pack(">I", 16384)) + pdu_item(0x52, b"1.2.3"))
            request = b"\1\0" + struct.pack(">I", len(request)) + request
            held = sockets_of(site.server)
            for _ in range(10_000 if os.environ.get("FIDUCIAL_SOAK") else 200):
                peer = self.play(port, request)
                self.assertEqual(peer.recv(1), b"\2", "A-ASSOCIATE-AC")
                peer.close()
            wait_for(lambda: sockets_of(site.server) <= held + 2, 30, "the associations are let go")
            served()
        with self.subTest("aborts in the middle of an object"):
            after_command = begin + 6 + struct.unpack(">I", session[begin + 2:begin + 6])[0]
            self.play(port, session[:after_command] + bytes.fromhex("07000000000400000000"), wait=True).close()
            served()
        site.stop()
        found = site.run("fsck", timeout=600)["findings"]
        self.assertEqual(found, [])


class PeersThatAreAdded(DimseTest):
    """An archive that knows nobody: who knocks is seen, let in at once, and known after a restart."""

    def echo(self, title, port):
        return self.tool("echoscu", "-aet", title, "-aec", "FIDUCIAL", "127.0.0.1", port, port=port, code=None).returncode == 0

    def http(self, method, path, body=None, token=None):
        answer = requests.request(method, self.url + path, json=body, timeout=60, headers={"Authorization": f"Bearer {token or self.token}", "Fiducial-Purpose": "administration"})
        return answer.status_code, answer.json()

    def begin(self, site):
        port = self.serve(site)
        self.url = site.url
        site.run("person", "add", "boss", "--role", "administrator", codes=(0, 6))
        self.token = site.token("boss")
        return port

    def test_from_a_knock_to_a_peer(self):
        site = self.archive(peers=["SETTLED 127.0.0.1"])
        self.assertEqual([p["added"] for p in site.run("peer", "list")["peers"]], [False], "before it runs, too")
        site.run("peer", "add", "CT2 127.0.0.1", codes=(7,))
        port = self.begin(site)
        self.assertFalse(self.echo("CT2", port))
        self.assertFalse(self.echo("CT2", port))
        knock = site.run("peer", "knocks")["knocks"][0]
        self.assertEqual((knock["callingAeTitle"], knock["times"]), ("CT2", 2))

        self.assertIn("no AE title", site.run("peer", "add", "seventeen_letters 127.0.0.1", codes=(2,))["error"]["message"])
        self.assertIn("could not come", site.run("peer", "add", "FAR 192.0.2.7", codes=(2,))["error"]["message"])
        added = site.run("peer", "add", " CT2 127.0.0.1  pdu=16384 timeout=20 ")
        self.assertEqual((added["aeTitle"], added["line"], added["added"]), ("CT2", "CT2 127.0.0.1  pdu=16384 timeout=20", True))
        site.run("peer", "add", "CT2 127.0.0.1", codes=(6,))
        self.assertTrue(self.echo("CT2", port), "at once")
        association = self.associate(port, [(Verification, [ImplicitVRLittleEndian])], title="CT2")
        self.assertEqual(association.acceptor.maximum_length, 16384)
        association.release()

        with self.subTest("both ways"):
            checked = site.run("peer", "check", "CT2")["peers"][0]
            self.assertNotIn("answers", checked, "it has no port")
            self.assertIn("echoed", checked)
            waiting = subprocess.Popen([FIDUCIAL, "peer", "check", "CT2", "--wait", "60"], env=site.environment(), stdout=subprocess.DEVNULL)
            while waiting.poll() is None:
                self.echo("CT2", port)
            self.assertEqual(waiting.returncode, 0)
            site.run("peer", "check", "CT2", "--wait", "1", codes=(7,))

        with self.subTest("over HTTP"):
            status, answer = self.http("POST", "/peers", {"line": "MR2 127.0.0.1 port=1"})
            self.assertEqual((status, answer["port"]), (200, 1), answer)
            self.assertEqual(self.http("POST", "/peers", {"line": "MR2 127.0.0.1"})[0], 409)
            self.assertEqual(self.http("POST", "/peers", {"line": "MR2"})[0], 400)
            self.assertEqual(self.http("POST", "/peers", {"peer": "MR2"})[0], 400)
            status, answer = self.http("POST", "/peers/check?AETitle=MR2", {})
            self.assertEqual((status, answer["peers"][0]["answers"]), (200, False), answer)
            self.assertEqual({p["aeTitle"]: p["added"] for p in self.http("GET", "/peers")[1]["peers"]}, {"SETTLED": False, "CT2": True, "MR2": True})
            self.assertEqual(self.http("GET", "/peers/knocks")[1]["knocks"][0]["callingAeTitle"], "CT2")
            site.run("person", "add", "doc", "--role", "doctor")
            doctor = site.token("doc")
            for method, path, body in (("GET", "/peers", None), ("POST", "/peers", {"line": "EVIL 127.0.0.1"}), ("DELETE", "/peers?AETitle=CT2", None), ("POST", "/peers/check", {}), ("GET", "/peers/knocks", None)):
                self.assertEqual(self.http(method, path, body, doctor)[0], 403, (method, path))
            self.assertEqual(self.http("DELETE", "/peers?AETitle=SETTLED")[0], 409, "it stands in the settings")
            self.assertEqual(self.http("DELETE", "/peers?AETitle=NOBODY")[0], 404)
            self.assertEqual(self.http("DELETE", "/peers?AETitle=MR2"), (200, {"removed": 1}))

        with self.subTest("and over a restart"):
            before = site.run("peer", "list")["peers"]
            site.stop()
            port = self.begin(site)
            self.assertEqual(site.run("peer", "list")["peers"], before)
            self.assertEqual(site.run("peer", "knocks")["knocks"][0]["times"], 2)
            self.assertTrue(self.echo("CT2", port))
            site.run("peer", "remove", "CT2")
            self.assertFalse(self.echo("CT2", port))
        site.stop()
        with self.subTest("who was turned away is counted in the trace"):
            told = [entry["from"] for entry in site.run("audit", "search", "--result", "unauthenticated")["entries"]]
            counts = [re.fullmatch(r"dimse: (\d+) requests? of nobody known, from 1 address, most from 127\.0\.0\.1 \(\1\)", text) for text in told]
            self.assertEqual(sum(int(count[1]) for count in counts), 3, told)

    def test_a_peer_that_may_less_than_its_line_says(self):
        site = self.archive(peers=["WS 127.0.0.1 device=ws query retrieve"])
        port = self.begin(site)
        lacks = lambda: site.run("peer", "check", "WS")["peers"][0].get("lacks", "")
        warned = lambda: site.serve_log().count("a peer may less than its line says")

        def find():
            return self.tool("findscu", "-S", "-aet", "WS", "-aec", "FIDUCIAL", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "127.0.0.1", port, port=port)
        add = "fiducial device add ws --may store,query,retrieve"
        self.assertEqual(lacks(), f"device ws is not registered: {add}")
        site.run("device", "add", "ws")
        for _ in range(2):
            find()
        self.assertIn("on the ledger device ws may not: query, retrieve", lacks())
        self.assertEqual(self.http("GET", "/peers")[1]["peers"][0]["lacks"], lacks())
        self.assertEqual(warned(), 1, "once, not for each request")
        self.assertIn(add, site.serve_log())
        site.run("device", "remove", "ws")
        site.run(*add.split()[1:])
        wait_for(lambda: lacks() == "", 30, "the ledger knows of it")
        find()
        self.assertEqual(warned(), 1)
        self.assertNotIn("lacks", self.http("GET", "/peers")[1]["peers"][0])
        site.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
