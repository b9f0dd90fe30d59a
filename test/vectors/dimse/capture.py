#!/usr/bin/env python3
"""Captures what DCMTK and pynetdicom say to each other, for the tests of the upper layer and of DIMSE (src/dicom).

Writes NAME.rq (what the requestor sent) and NAME.ac (what the acceptor sent), byte for byte, and states.txt: the upper layer's state table
as pynetdicom has it, "event state action next". Needs DCMTK's storescp, storescu and echoscu and pynetdicom; run it by hand, the files are
kept in the tree."""
import contextlib
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time

import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt, fsm
from pynetdicom.pdu_primitives import (AsynchronousOperationsWindowNegotiation, SOPClassCommonExtendedNegotiation, SOPClassExtendedNegotiation,
                                       UserIdentityNegotiation)
from pynetdicom.sop_class import CTImageStorage, ModalityWorklistInformationFind, Verification

HERE = pathlib.Path(__file__).resolve().parent
CR = "1.2.840.10008.5.1.4.1.1.1"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Tap:
    """Passes one connection on to a port, and keeps both directions."""

    def __init__(self, name, to_port):
        self.name, self.to_port = name, to_port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.to_port))
        sent = {"rq": b"", "ac": b""}

        def pump(source, sink, key):
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    sent[key] += data
                    sink.sendall(data)
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        back = threading.Thread(target=pump, args=(server, client, "ac"))
        back.start()
        pump(client, server, "rq")
        back.join()
        for key, data in sent.items():
            (HERE / f"{self.name}.{key}").write_bytes(data)
            print(f"{self.name}.{key}: {len(data)} bytes")

    def done(self):
        self.thread.join(30)
        self.listener.close()


def small_file(path):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CR, "2.25.1234567890"
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = CR, "2.25.1234567890"
    image.StudyInstanceUID, image.SeriesInstanceUID = "2.25.11", "2.25.12"
    image.PatientName, image.PatientID, image.Modality = "Vector^Test", "V1", "CR"
    image.Rows = image.Columns = 8
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 7, 0, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = bytes(range(64))
    image.save_as(path, enforce_file_format=True)


def with_dcmtk(folder):
    port = free_port()
    scp = subprocess.Popen(["storescp", "-od", folder, "-aet", "VECTORSCP", str(port)])
    time.sleep(1)
    try:
        image = folder / "image.dcm"
        small_file(image)
        for name, command in (("dcmtk-echo", ["echoscu", "-aet", "ECHOSCU", "-aec", "VECTORSCP"]),
                              ("dcmtk-store", ["storescu", "-aet", "STORESCU", "-aec", "VECTORSCP"]),
                              ("dcmtk-abort", ["echoscu", "--abort", "-pts", "3"])):
            tap = Tap(name, port)
            files = [str(image)] if command[0] == "storescu" else []
            subprocess.run([*command, "127.0.0.1", str(tap.port), *files], check=True)
            tap.done()
    finally:
        scp.terminate()
        scp.wait()


def with_pynetdicom():
    acceptor = AE(ae_title="PYSCP")
    acceptor.add_supported_context(Verification)
    acceptor.add_supported_context(CTImageStorage, ExplicitVRLittleEndian, scu_role=True, scp_role=True)
    acceptor.maximum_pdu_size = 4096
    answers = [(evt.EVT_C_ECHO, lambda event: 0x0000), (evt.EVT_USER_ID, lambda event: (True, b"well met")),
               (evt.EVT_ASYNC_OPS, lambda event: (1, 2)), (evt.EVT_SOP_EXTENDED, lambda event: {CTImageStorage: b"\x02\x00\x03\x00\x01\x00"})]
    port = free_port()
    server = acceptor.start_server(("127.0.0.1", port), block=False, evt_handlers=answers)
    tap = Tap("pynetdicom-everything", port)
    requestor = AE(ae_title="PYSCU")
    requestor.add_requested_context(Verification)
    requestor.add_requested_context(CTImageStorage, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    requestor.add_requested_context(ModalityWorklistInformationFind)  # not supported there
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.positive_response_requested = 3, True  # a Kerberos ticket: the others are answered with nothing
    identity.primary_field = b"no ticket at all"
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 5, 6
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = CTImageStorage, b"\x02\x00\x03\x00\x01\x00"
    common = SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.4.2"
    common.related_general_sop_class_identification = ["1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.11"]
    association = requestor.associate("127.0.0.1", tap.port, ae_title="PYSCP",
                                      ext_neg=[identity, window, extended, common, build_role(CTImageStorage, scu_role=True, scp_role=True)])
    assert association.is_established
    association.send_c_echo()
    association.release()
    tap.done()
    server.shutdown()

    refusing = AE(ae_title="PYSCP")
    refusing.add_supported_context(Verification)
    refusing.require_called_aet = True
    server = refusing.start_server(("127.0.0.1", port), block=False)
    tap = Tap("pynetdicom-rejected", port)
    requestor = AE(ae_title="PYSCU")
    requestor.add_requested_context(Verification)
    assert requestor.associate("127.0.0.1", tap.port, ae_title="SOMEBODY ELSE").is_rejected
    tap.done()
    server.shutdown()


def states():
    """Where two states can follow (AE-6, AR-8) the first stands."""
    rows = []
    for (event, state), action in fsm.TRANSITION_TABLE.items():
        following = fsm.ACTIONS[action][2]
        following = following[0] if isinstance(following, tuple) else following
        rows.append((int(event[3:]), int(state[3:]), action.replace("-", "").lower(), int(re.search(r"Sta(\d+)", following)[1])))
    (HERE / "states.txt").write_text("".join(f"{e} {s} {a} {n}\n" for e, s, a, n in sorted(rows)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        with_dcmtk(pathlib.Path(temporary))
    with_pynetdicom()
    states()
