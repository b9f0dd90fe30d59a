"""The HTTP door, by clients that we did not write: dicomweb-client, pydicom, requests."""
import contextlib
import io
import json
import socket
import subprocess
import unittest

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import generate_uid

from harness import FIDUCIAL, VERIFY, SystemTest, sockets_of, wait_for

MULTIPART = 'multipart/related; type="application/dicom"; transfer-syntax=*'
SINGLE = "application/dicom; transfer-syntax=*"


def parts_of(response):
    """The parts of a multipart answer, by the boundary alone."""
    boundary = response.headers["Content-Type"].split("boundary=")[1].strip('"')
    pieces = response.content.split(b"--" + boundary.encode())
    assert pieces[-1].strip() == b"--", pieces[-1]
    return [piece.split(b"\r\n\r\n", 1)[1][:-2] for piece in pieces[1:-1]]


def multipart(files):
    body = b"".join(b"--B\r\nContent-Type: application/dicom\r\n\r\n" + f + b"\r\n" for f in files) + b"--B--\r\n"
    return body, {"Content-Type": 'multipart/related; type="application/dicom"; boundary=B'}


def file_of(data_set):
    out = io.BytesIO()
    data_set.save_as(out, enforce_file_format=True)
    return out.getvalue()


class HttpTest(SystemTest):
    def setUp(self):
        super().setUp()
        self.archive = self.site()
        by_study = {}
        for file in sorted(self.samples().rglob("*.dcm")):
            by_study.setdefault(pydicom.dcmread(file, stop_before_pixels=True).StudyInstanceUID, []).append(file)
        self.study = next(uid for uid, files in sorted(by_study.items()) if len(files) > 3)
        single = next(uid for uid, files in sorted(by_study.items()) if len(files) <= 3)
        self.files = by_study[self.study][:6]
        self.fresh = by_study[single][:2]
        self.archive.run("import", *self.files)
        for name in ("doctor", "technologist", "desk", "researcher"):
            self.archive.run("person", "add", name, "--role", name)
        self.tokens = {name: self.archive.token(name) for name in ("doctor", "technologist", "desk", "researcher")}

    def ask(self, path, who="doctor", accept=MULTIPART, method="GET", **more):
        headers = {"Accept": accept, **({"Authorization": "Bearer " + self.tokens[who]} if who else {}), **more.pop("headers", {})}
        return requests.request(method, self.archive.url + path, headers=headers, timeout=60, **more)

    def client(self, who):
        return DICOMwebClient(self.archive.url, headers={"Authorization": "Bearer " + self.tokens[who]})


class Http(HttpTest):
    def test_wado_gives_what_was_brought(self):
        with self.archive.serving():
            self.check_retrieval()
            self.check_rights()
            self.check_evidence_and_state()

    def check_retrieval(self):
        brought = sorted(p.read_bytes() for p in self.files)
        heads = [pydicom.dcmread(p, stop_before_pixels=True) for p in self.files]
        with self.subTest("study, multipart"):
            answer = self.ask(f"/studies/{self.study}")
            self.assertEqual(answer.status_code, 200, answer.text[:400])
            self.assertEqual(sorted(parts_of(answer)), brought)
        with self.subTest("series, multipart"):
            series = heads[0].SeriesInstanceUID
            expected = sorted(p.read_bytes() for p, h in zip(self.files, heads) if h.SeriesInstanceUID == series)
            self.assertEqual(sorted(parts_of(self.ask(f"/studies/{self.study}/series/{series}"))), expected)
        with self.subTest("instance, multipart and single part"):
            path = f"/studies/{self.study}/series/{heads[0].SeriesInstanceUID}/instances/{heads[0].SOPInstanceUID}"
            self.assertEqual(parts_of(self.ask(path)), [self.files[0].read_bytes()])
            single = self.ask(path, accept=SINGLE)
            self.assertEqual((single.status_code, single.content), (200, self.files[0].read_bytes()))
            self.assertEqual(single.headers["Cache-Control"], "no-store")
        with self.subTest("dicomweb-client reads them"):
            client = self.client("doctor")
            self.assertEqual({d.SOPInstanceUID for d in client.retrieve_study(self.study)}, {h.SOPInstanceUID for h in heads})
            self.assertEqual(len(client.retrieve_series(self.study, heads[0].SeriesInstanceUID)), sum(h.SeriesInstanceUID == heads[0].SeriesInstanceUID for h in heads))
            one = client.retrieve_instance(self.study, heads[0].SeriesInstanceUID, heads[0].SOPInstanceUID)
            self.assertEqual(one.PixelData, pydicom.dcmread(self.files[0]).PixelData)
        with self.subTest("what is not there"):
            self.assertEqual(self.ask("/studies/1.2.3.4.5").status_code, 404)
            self.assertEqual(self.ask("/studies/not-a-uid").status_code, 400)
            self.assertEqual(self.ask("/nowhere").status_code, 404)

    def check_rights(self):
        path = f"/studies/{self.study}"
        with self.subTest("no token, a wrong one"):
            self.assertEqual(self.ask(path, who=None).status_code, 401)
            wrong = requests.get(self.archive.url + path, headers={"Authorization": "Bearer fid_" + "0" * 64}, timeout=60)
            self.assertEqual(wrong.status_code, 401)
            self.assertIn("Bearer", wrong.headers["WWW-Authenticate"])
        with self.subTest("a role without the right is told why"):
            for who in ("desk", "researcher"):
                refused = self.ask(path, who=who)
                self.assertEqual(refused.status_code, 403, who)
                self.assertGreater(len(refused.json()["detail"]), 10, refused.text)
        with self.subTest("a technologist reads too"):
            self.assertEqual(self.ask(path, who="technologist").status_code, 200)
        with self.subTest("a token that was taken back"):
            self.archive.run("person", "add", "locum", "--role", "doctor")
            self.tokens["locum"] = self.archive.token("locum")
            wait_for(lambda: self.ask(path, who="locum").status_code == 200, 30, "a right counts once it is settled")
            self.archive.run("token", "--person", "locum", "--revoke")
            self.assertEqual(self.ask(path, who="locum").status_code, 401)

    def check_evidence_and_state(self):
        with self.subTest("evidence over HTTP verifies offline"):
            head = pydicom.dcmread(self.files[0], stop_before_pixels=True)
            answer = self.ask(f"/studies/{self.study}/series/{head.SeriesInstanceUID}/instances/{head.SOPInstanceUID}/evidence", accept="application/json")
            self.assertEqual(answer.status_code, 200, answer.text[:400])
            bundle, trust = self.folder / "bundle.json", self.folder / "trust.json"
            bundle.write_bytes(answer.content)
            trust.write_text(self.archive.raw("trust").stdout)
            checked = subprocess.run([VERIFY, bundle, "--trust", trust, self.files[0]], capture_output=True, text=True)
            self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
            other = subprocess.run([VERIFY, bundle, "--trust", trust, self.files[1]], capture_output=True, text=True)
            self.assertEqual(other.returncode, 10, other.stdout)
            self.assertEqual(self.ask(f"/studies/{self.study}/evidence", who="desk", accept="application/json").status_code, 403)
        with self.subTest("each retrieval says how far the ledger vouches for it"):
            record = json.loads(self.ask(f"/studies/{self.study}/record", accept="application/json").text)["versions"][-1]
            expected = f"version={record['version']}, state=settled, block={record['block']}, complete"
            instance = f"/studies/{self.study}/series/{head.SeriesInstanceUID}/instances/{head.SOPInstanceUID}"
            for path, accept in ((f"/studies/{self.study}", MULTIPART), (instance, SINGLE), (f"{instance}/metadata", "application/dicom+json"), (f"{instance}/frames/1", "*/*")):
                self.assertEqual(self.ask(path, accept=accept).headers.get("Fiducial-Evidence"), expected, path)
        with self.subTest("health and metrics"):
            self.assertEqual(self.ask("/healthz", who=None, accept="*/*").status_code, 200)
            self.assertEqual(self.ask("/readyz", who=None, accept="*/*").status_code, 401)
            self.assertTrue(self.ask("/readyz", accept="*/*").json()["ready"])
            metrics = self.ask("/metrics", accept="*/*").text
            for name in ("fiducial_outbox_age_seconds", "fiducial_settle_lag_seconds", "fiducial_reorganisation_depth_blocks", "fiducial_chain_stalled",
                         "fiducial_ledger_incidents", "fiducial_quarantined_total", "fiducial_denied_total", "fiducial_http_requests_total", "fiducial_trace_entries"):
                self.assertIn("\n" + name, metrics)
            self.assertNotIn("\nfiducial_denied_total 0\n", metrics)

    def test_stow_takes_and_says_what_it_did_not_take(self):
        with self.archive.serving():
            fresh = [pydicom.dcmread(p) for p in self.fresh]
            with self.subTest("several instances by dicomweb-client"):
                answer = self.client("technologist").store_instances(fresh)
                self.assertEqual({i.ReferencedSOPInstanceUID for i in answer.ReferencedSOPSequence}, {d.SOPInstanceUID for d in fresh})
                self.assertNotIn("FailedSOPSequence", answer)
            with self.subTest("they come out again"):
                back = self.client("doctor").retrieve_study(fresh[0].StudyInstanceUID)
                self.assertEqual({d.SOPInstanceUID: d.PixelData for d in back}, {d.SOPInstanceUID: d.PixelData for d in fresh})
            with self.subTest("again is a duplicate, and well"):
                self.assertEqual(self.store([p.read_bytes() for p in self.files]).status_code, 200)
            with self.subTest("another object under a known UID is kept aside, with a warning"):
                other = pydicom.dcmread(self.files[0])
                other.PixelData = bytes([other.PixelData[0] ^ 1]) + other.PixelData[1:]
                answer = self.store([file_of(other)])
                self.assertEqual(answer.status_code, 202, answer.text)
                item = answer.json()["00081199"]["Value"][0]
                self.assertEqual(item["00081196"]["Value"], [0xB000])
                self.assertEqual(len(self.archive.run("set-aside", "list")["setAside"]), 1)
            with self.subTest("a damaged instance fails alone"):
                good = pydicom.dcmread(self.fresh[0])
                good.SOPInstanceUID = good.file_meta.MediaStorageSOPInstanceUID = generate_uid()
                answer = self.store([self.files[0].read_bytes()[:5000], file_of(good)])
                self.assertEqual(answer.status_code, 202, answer.text)
                self.assertEqual([i["00081155"]["Value"][0] for i in answer.json()["00081199"]["Value"]], [good.SOPInstanceUID])
                self.assertEqual(len(answer.json().get("00081198", {}).get("Value", []) + answer.json().get("0008119A", {}).get("Value", [])), 1)
            with self.subTest("nothing taken"):
                self.assertEqual(self.store([b"no DICOM at all"]).status_code, 409)
                self.assertEqual(self.ask("/studies", who="technologist", method="POST", data=b"x", headers={"Content-Type": "text/plain"}).status_code, 415)
            with self.subTest("into a study that it does not belong to"):
                astray = pydicom.dcmread(self.fresh[0])
                astray.SOPInstanceUID = astray.file_meta.MediaStorageSOPInstanceUID = generate_uid()
                answer = self.store([file_of(astray)], "/studies/" + self.study)
                self.assertEqual(answer.status_code, 409, answer.text)
            with self.subTest("who may not store"):
                for who, status in (("doctor", 403), ("desk", 403), (None, 401)):
                    self.assertEqual(self.store([self.fresh[0].read_bytes()], who=who).status_code, status, who)
            self.assertTrue(self.archive.run("ledger", "wait")["settled"])
        self.assertEqual(self.archive.run("fsck")["findings"], [])

    def store(self, files, path="/studies", who="technologist"):
        body, headers = multipart(files)
        return self.ask(path, who=who, accept="application/dicom+json", method="POST", data=body, headers=headers)

    def test_a_damaged_object_is_never_given_out_whole(self):
        large = max(self.files, key=lambda p: p.stat().st_size)
        head = pydicom.dcmread(large, stop_before_pixels=True)
        self.archive.flip(head.SOPInstanceUID)  # near its end: what is before is sent already
        path = f"/studies/{self.study}/series/{head.SeriesInstanceUID}/instances/{head.SOPInstanceUID}"
        with self.archive.serving():
            whole = False
            try:
                answer = self.ask(path, accept=SINGLE)
                whole = answer.status_code == 200
                self.assertGreaterEqual(answer.status_code, 500)
            except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError):
                pass  # broken off: the client knows that it is not whole
            self.assertFalse(whole)
            quarantined = self.archive.run("quarantine", "list")["quarantined"]
            self.assertEqual([q["sopInstanceUid"] for q in quarantined], [head.SOPInstanceUID])
            again = self.ask(path, accept=SINGLE)
            self.assertEqual(again.status_code, 500)
            self.assertEqual(again.json()["code"], "corrupt", again.text)
            self.assertNotIn("\nfiducial_quarantined_total 0\n", self.ask("/metrics", accept="*/*").text)
            others = [p for p in self.files if p != large]
            for file in others[:2]:
                other = pydicom.dcmread(file, stop_before_pixels=True)
                got = self.ask(f"/studies/{self.study}/series/{other.SeriesInstanceUID}/instances/{other.SOPInstanceUID}", accept=SINGLE)
                self.assertEqual(got.content, file.read_bytes())
        self.assertIn(head.SOPInstanceUID, json.dumps(quarantined))
        self.assertEqual(self.archive.raw("verify", self.study, codes=None).returncode, 10)

    def test_tls(self):
        certificate, key = self.folder / "cert.pem", self.folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        settings = self.archive.folder / "fiducial.toml"
        plain = settings.read_text()
        settings.write_text(plain.replace('tls_certificate = ""', f'tls_certificate = "{certificate}"').replace('tls_key = ""', f'tls_key = "{key}"'))
        with self.archive.serving():
            self.assertTrue(self.archive.url.startswith("https://127.0.0.1:"))
            answer = self.ask(f"/studies/{self.study}", verify=str(certificate))
            self.assertEqual(sorted(parts_of(answer)), sorted(p.read_bytes() for p in self.files))
            with self.assertRaises(requests.exceptions.SSLError):
                self.ask("/healthz", who=None)
            port = int(self.archive.url.rsplit(":", 1)[1])
            for version, works in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
                tried = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version, "-CAfile", certificate], input=b"", capture_output=True)
                self.assertEqual(b"Verify return code: 0 (ok)" in tried.stdout and tried.returncode == 0, works, version)
        settings.write_text(plain)
        refused = subprocess.run([FIDUCIAL, "serve", "--listen", "0.0.0.0:0"], env=self.archive.environment(), capture_output=True, text=True, timeout=60)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("TLS", refused.stderr)


class Strangers(HttpTest):
    """Clients that stall, lie and leave cost themselves only: meanwhile and afterwards the others are served. Limits in time: net/http_server_test.cpp."""

    def connect(self, data):
        stream = socket.create_connection(("127.0.0.1", int(self.archive.url.rsplit(":", 1)[1])))
        stream.settimeout(30)
        with contextlib.suppress(OSError):
            stream.sendall(data)
        return stream

    def say(self, data):
        """Sends it and nothing more. Returns all that comes back."""
        out = b""
        with self.connect(data) as stream, contextlib.suppress(OSError):
            stream.shutdown(socket.SHUT_WR)
            while piece := stream.recv(65536):
                out += piece
        return out

    def request(self, method, path, who, body=b"", **headers):
        lines = [f"{method} {path} HTTP/1.1", "Host: archive", f"Authorization: Bearer {self.tokens[who]}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def test_strangers_cost_only_themselves(self):
        file = self.fresh[0].read_bytes()
        uid = pydicom.dcmread(self.fresh[0]).SOPInstanceUID
        body, headers = multipart([file])
        stow = self.request("POST", "/studies", "technologist", body, Content_Type=headers["Content-Type"], Content_Length=len(body))
        begin = stow.index(b"\r\n\r\n") + 4
        wado = self.request("GET", f"/studies/{self.study}", "doctor", Accept=MULTIPART)

        def served():
            answer = self.ask(f"/studies/{self.study}")
            self.assertEqual((answer.status_code, sorted(parts_of(answer))), (200, sorted(f.read_bytes() for f in self.files)))

        def refused(data, *codes):
            answer = self.say(data)
            self.assertIn(int(answer.split(b" ", 2)[1]) if answer else None, codes, data[:200])

        with self.archive.serving():
            served()
            before = sockets_of(self.archive.server)
            with self.subTest("stalls at any byte, is gone after any byte"):
                stalled = [self.connect(stow[:cut]) for cut in [*range(1, begin, begin // 60), *range(begin, len(stow), len(stow) // 60)]]
                stalled += [self.connect(wado) for _ in range(40)]  # and never reads the answer
                served()
                for stream in stalled:
                    stream.close()
                served()
                wait_for(lambda: sockets_of(self.archive.server) <= before + 2, 30, "the connections are let go")
            with self.subTest("sends what comes next before it is asked"):
                one = pydicom.dcmread(self.files[0], stop_before_pixels=True)
                answers = self.say(20 * self.request("GET", f"/studies/{self.study}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}", "doctor", Accept=SINGLE))
                self.assertEqual(answers.count(b"HTTP/1.1 200 "), 20)
                self.assertEqual(answers.count(self.files[0].read_bytes()), 20)
                # A body that is refused early is no request.
                hidden = self.request("GET", "/health", "doctor")
                answers = self.say(self.request("POST", "/studies", "desk", hidden, Content_Type=headers["Content-Type"], Content_Length=len(hidden)))
                self.assertEqual(answers.count(b"HTTP/1.1 "), 1)
            with self.subTest("lies about lengths, and says what is no request"):
                cut = stow.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % (len(body) + 1000))
                refused(cut, 400, None)
                refused(stow.replace(b"Content-Length: %d" % len(body), b"Content-Length: 99999999999999999999"), 400, 413)
                refused(stow.replace(b"Content-Length: %d" % len(body), b"Content-Length: -1"), 400)
                refused(stow.replace(b"Content-Length: ", b"Content-Length: 5\r\nContent-Length: "), 400)
                refused(stow.replace(b"Content-Length: ", b"Transfer-Encoding: chunked\r\nContent-Length: "), 400)
                chunked = stow[:begin].replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
                for size in (b"fffffffffffffffff", b"-1", b"g", b""):
                    refused(chunked + size + b"\r\n" + body, 400, None)
                refused(b"GET / HTTP/1.1\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n", 431)
                refused(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1_000 + b"\r\n", 431)
                refused(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", 414)
                refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, None)
                refused(b"GET / HTTP/9.9\r\n\r\n", 400, 505)
                served()
            with self.subTest("a multipart body that is none"):
                for lie in (body[:-5], body[:len(body) // 2], body.replace(b"--B", b"--C"), b"", b"--B--\r\n", body.replace(b"Content-Type: application/dicom", b"X: " + b"y" * 20_000)):
                    answer = requests.post(self.archive.url + "/studies", data=lie, headers={**headers, "Authorization": "Bearer " + self.tokens["technologist"]}, timeout=60)
                    self.assertIn(answer.status_code, (400, 409, 413), (lie[:80], answer.text))
            answer = self.ask(f"/instances?SOPInstanceUID={uid}", accept="application/dicom+json")
            self.assertIn(answer.status_code, (200, 204))
            self.assertEqual(answer.json() if answer.content else [], [], "what was not sent whole is not there")
            wait_for(lambda: sockets_of(self.archive.server) <= before + 2, 30, "the connections are let go")
            served()
        self.assertEqual(self.archive.run("fsck", timeout=600)["findings"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
