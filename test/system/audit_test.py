"""Who looked at what: searched, proved to strangers, checked by programs that we did not write; and what is done to the trace behind our back is found and named."""
import base64
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

import pydicom
from fhir.resources.R4B.auditevent import AuditEvent

from harness import FAKETIME, ROOT, Site, SystemTest, flip_bit, free_port, missing, wait_for

DAMAGED, DENIED = 10, 4
TOOLS = ROOT / "build/transparency"
FRAME, MAC = 16, 16  # of a record: docs/formats/trace.md


def fsck(folder, key):
    """github.com/transparency-dev/tessera/cmd/fsck. Returns: whether it says that all is well; of a damaged log it does not, and may not end (v1.0.4)."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(key)
        file.flush()
        process = subprocess.Popen([TOOLS / "fsck", "--storage_url", f"file://{folder}", "--public_key", file.name, "--ui=false"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            said = process.communicate(timeout=2)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            said = process.communicate()[1]
    return "Successfully fsck'd log" in said


def tlogcheck(*arguments):
    """filippo.io/torchwood and golang.org/x/mod/sumdb. Returns: whether it holds."""
    return subprocess.run([TOOLS / "tlogcheck", *map(str, arguments)], capture_output=True, text=True, timeout=60).returncode == 0


def openssl(*arguments, cwd=None):
    subprocess.run(["openssl", *map(str, arguments)], cwd=cwd, check=True, capture_output=True)


class Audit(SystemTest):
    """Each test works on a copy of one prepared site, on which some people looked at some things."""

    @classmethod
    def setUpClass(cls):
        cls.prepared = pathlib.Path(tempfile.mkdtemp(prefix="fiducial-test-"))
        self = cls()
        by_study = {}
        for file in sorted(self.samples().rglob("*.dcm")):
            by_study.setdefault(pydicom.dcmread(file, stop_before_pixels=True).StudyInstanceUID, []).append(file)
        cls.study, cls.other = sorted(by_study)[:2]
        site = Site(cls.prepared / "site")
        site.init()
        site.run("import", by_study[cls.study][0], by_study[cls.other][0])
        cls.patient = pydicom.dcmread(by_study[cls.study][0], stop_before_pixels=True).PatientID
        with site.serving():
            for name, role in (("ada", "doctor"), ("eve", "auditor")):
                site.run("person", "add", name, "--role", role)
            cls.tokens = {name: site.token(name) for name in ("ada", "eve")}
            for token, study in (("ada", cls.study), ("ada", cls.other), ("eve", cls.study)):
                cls.look(site, token, study)
            for _ in range(300):  # more than a tile holds
                cls.look(site, "ada", cls.other, "/metadata")
            cls.checkpoint = site.run("audit", "checkpoint")
            cls.before = len(list(site.trace()))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.prepared, ignore_errors=True)

    @classmethod
    def look(cls, site, person, study, what="/metadata"):
        request = urllib.request.Request(f"{site.url}/studies/{study}{what}", headers={"Authorization": f"Bearer {cls.tokens[person]}"})
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request) as answer:
            answer.read()

    def copy(self, name="site"):
        site = self.site(name, init=False)
        shutil.copytree(self.prepared / "site", site.folder)
        return site

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def records(self, site):
        """Where each record of the log begins and ends."""
        log = (site.folder / "trace/trace.log").read_bytes()
        at, records = 1 + log[0] + 32 + 8 + 16, []
        while at < len(log):
            end = at + FRAME + struct.unpack_from(">I", log, at)[0] + MAC
            records.append((at, end))
            at = end
        return log, records

    def check(self, site, *names, code=DAMAGED):
        """Found by `audit check`, which names it."""
        found = site.raw("audit", "check", codes=(code,))
        text = found.stdout + found.stderr
        for name in names:
            self.assertIn(name, text)

    def test_searches_say_who_looked_at_what(self):
        site = self.copy()
        with site.serving():
            def search(*arguments):
                return site.run("audit", "search", *arguments)["entries"]
            by_ada = search("--person", "ada", "--limit", "1000")
            self.assertEqual({(e["who"], e["action"], e["result"]) for e in by_ada}, {("ada", "read", "success")})
            self.assertEqual(len(by_ada), 302)
            of_study = search("--study", self.study)
            looks = [e for e in of_study if e["action"] == "read"]
            self.assertEqual([(e["who"], e["allowed"]) for e in looks], [("ada", True), ("eve", False)])
            self.assertTrue(all(e["studyInstanceUid"] == self.study and e["patientId"] == self.patient for e in looks))
            denied = search("--patient", self.patient, "--result", "denied")
            self.assertEqual([(e["who"], e["reason"]) for e in denied], [("eve", "the role does not allow it")])
            # Whoever looks into a patient's trace stands in it.
            self.assertEqual([e["action"] for e in search("--study", self.study)][-1], "trace")
            pages, before = [], self.before
            while before > self.before - 40:
                page = site.run("audit", "search", "--limit", "16", "--before", before)
                pages = [e["index"] for e in page["entries"]] + pages
                before = page["before"]
            self.assertEqual(pages, list(range(before, self.before)))
            self.assertEqual(search("--to", "2001-01-01"), [])
            self.assertEqual(len(search("--from", "2001-01-01", "--action", "trace", "--limit", "1")), 1)
            shown = site.raw("audit", "show", looks[1]["index"]).stdout
            self.assertIn("eve", shown)
            self.assertIn("was denied: looked at images", shown)

            # An auditor's right is asked of the ledger's contracts, as anybody's.
            auditor, doctor = (self.file(name, self.tokens[name]) for name in ("eve", "ada"))
            self.assertEqual(site.run("audit", "search", "--person", "eve", "--token-file", auditor)["entries"][-1]["action"], "trace")
            refused = site.raw("audit", "search", "--token-file", doctor, codes=(DENIED,))
            self.assertIn("role", refused.stderr)
            self.assertEqual([(e["who"], e["action"], e["result"]) for e in search("--limit", "2")][0], ("ada", "trace", "denied"))

    def test_strangers_check_tiles_and_proofs(self):
        self.need(None if TOOLS.exists() else "the checkers of transparency logs are not built (deploy/dependencies test)")
        site = self.copy()
        with site.serving():
            before = self.file("earlier", self.checkpoint["checkpoint"])
            self.look(site, "ada", self.study)
            now = site.run("audit", "checkpoint")
            key, tiles = now["key"], site.folder / "trace/tiles"
            self.assertEqual(key, self.checkpoint["key"])
            self.assertGreater(now["size"], 256)
            self.assertEqual(now["onLedger"], now["size"])
            self.assertTrue(fsck(tiles, key))
            self.assertTrue(tlogcheck("log", tiles, key))

            entry, growth = self.folder / "entry.tlog-proof", self.folder / "growth"
            site.run("audit", "prove", "270", "--out", entry)
            self.assertGreater(site.run("audit", "prove", "--since", before, "--out", growth)["size"], now["size"])
        # Offline: no site, no ledger.
        nowhere = Site(self.folder / "nowhere")
        self.assertEqual(nowhere.run("audit", "verify", entry, "--key", key)["index"], 270)
        self.assertEqual(nowhere.run("audit", "verify", growth, "--since", before, "--key", self.file("key", key))["oldSize"], self.checkpoint["size"])
        self.assertTrue(tlogcheck("entry", entry, key))
        self.assertTrue(tlogcheck("growth", growth, before, key))
        for proof, arguments in ((entry, ()), (growth, ("--since", before))):
            text = proof.read_text()
            at = text.index("\n", text.index("index" if proof == entry else "old")) + 1  # of the first hash
            changed = self.file("changed", text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1:])
            nowhere.raw("audit", "verify", changed, *arguments, "--key", key, codes=(11,))
            self.assertFalse(tlogcheck(*(("entry", changed, key) if proof == entry else ("growth", changed, before, key))))
        # The tiles are only a copy: one that was changed is found by everybody, and made anew from the trace.
        flip_bit(tiles / "tile/0/000", 1000)
        self.assertFalse(fsck(tiles, key))
        self.assertFalse(tlogcheck("log", tiles, key))
        self.check(site, "tile/0/000")
        shutil.rmtree(tiles)
        key = site.run("audit", "checkpoint")["key"]
        self.assertTrue(fsck(tiles, key))
        self.check(site, code=0)

    def test_whatever_is_done_to_entries_is_named(self):
        site = self.copy()
        log, records = self.records(site)
        # From the end on, so that what stands before stays where it is.
        a, b = records[200]
        log = log[:b] + log[a:b] + log[b:]  # doubled
        (a, b), (_, c) = records[150], records[151]
        log = log[:a] + log[b:c] + log[a:b] + log[c:]  # reordered
        at = records[100][0] + FRAME + 1 + len("fid.entry1")
        log = log[:at] + struct.pack(">Q", struct.unpack_from(">Q", log, at)[0] - 86_400_000) + log[at + 8:]  # back-dated
        at = records[50][0] + 60
        log = log[:at] + bytes([log[at] ^ 1]) + log[at + 1:]  # altered
        (site.folder / "trace/trace.log").write_bytes(log)
        self.check(site, "entry 50 at", "entry 100 at", "entry 150 is missing", "entry 200 at")
        # One that is taken out, or the last ones cut off: then it does not even open.
        for name, change in (("dropped", lambda log, records: log[:records[100][0]] + log[records[100][1]:]), ("cut", lambda log, records: log[:records[250][0]])):
            with self.subTest(change=name):
                site = self.copy(name)
                (site.folder / "trace/trace.log").write_bytes(change(*self.records(site)))
                self.check(site, "the log ends at byte", f"but {self.before} entries")

    def test_a_clock_set_back_is_named(self):
        self.need(None if FAKETIME else "faketime: not installed (deploy/dependencies test)")
        site = self.copy()
        site.raw("audit", "show", "0", environment={"LD_PRELOAD": str(FAKETIME), "FAKETIME": "+30s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        self.check(site, "back_dated", f"entry {self.before + 1}")

    def test_a_trace_cut_back_to_an_older_checkpoint_is_found_against_the_ledger(self):
        """By somebody who has the site's keys: log, head, index and tiles all fit each other, as they stood before."""
        site, earlier = self.copy(), self.prepared / "site"
        with site.serving():
            self.look(site, "ada", self.study)
            newest = site.run("audit", "checkpoint")["size"]
        kept = {name: (site.folder / name).read_bytes() for name in ("trace/trace.log", "trace/trace.head")}
        shutil.rmtree(site.folder / "trace")
        shutil.rmtree(site.folder / "store")
        shutil.copytree(earlier / "trace", site.folder / "trace")
        shutil.copytree(earlier / "store", site.folder / "store")
        cut_back = f"checkpoint of {newest} entries"
        with site.serving():
            wait_for(lambda: cut_back in site.serve_log(), 20, "the alarm at the start of the archive")
            self.check(site, cut_back, "cut back")
            self.assertIn(cut_back, site.raw("--json", "fsck", "--quick", codes=(DAMAGED,)).stdout)
            for _ in range(10):  # it grows beyond that size, with other entries
                self.look(site, "ada", self.other)
            self.assertGreater(len(list(site.trace())), newest)
            refused = site.raw("audit", "checkpoint", codes=None)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("its first entries are others", refused.stderr)
            self.check(site, "its first entries are others")
            # A person has looked into it: the trace goes on under another name, and the ledger keeps both.
            site.raw("fsck", "--quick", "--repair", codes=(DAMAGED,))
            again = site.run("audit", "checkpoint")
            self.assertEqual(again["key"].split("+")[0], self.checkpoint["key"].split("+")[0] + "/2")
            self.assertEqual(again["onLedger"], again["size"])
            self.check(site, code=0)
        # The true one put back no longer fits what was signed since.
        for name, content in kept.items():
            (site.folder / name).write_bytes(content)
        self.check(site, "checkpoint of", code=DAMAGED)

    def certificate(self, name, *more):
        """Of this machine, and whom to believe for it."""
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem", *more, cwd=self.folder)
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def test_checkpoints_reach_the_ledger_by_themselves(self):
        site = self.copy()
        site.set("trace", checkpoint_every_s=1)
        with site.serving():
            self.look(site, "ada", self.study)
            wanted = len(list(site.trace()))
            wait_for(lambda: site.run("audit", "check")["ledger"]["size"] >= wanted, 20, "the newest entries are under a checkpoint on the ledger")


    def test_killed_during_looks_no_answered_one_is_without_its_entry(self):
        """FIDUCIAL_FAULTS: 10,000 looks, else 600."""
        site, wanted, answered = self.copy(), 10_000 if os.environ.get("FIDUCIAL_FAULTS") else 600, []
        dice, before, kills = random.Random(4711), site.looks()[0], 0

        def look(ends):
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(site.url.removeprefix("http://"), timeout=30)
                while not ends.is_set():
                    connection.request("GET", f"/studies/{self.study}/metadata", headers={"Authorization": f"Bearer {self.tokens['ada']}"})
                    answer = connection.getresponse()
                    if answer.status == 200 and answer.read():
                        answered.append(1)

        while len(answered) < wanted:
            site.start()
            ends, first = threading.Event(), len(answered)
            lookers = [threading.Thread(target=look, args=(ends,)) for _ in range(4)]
            for thread in lookers:
                thread.start()
            until = min(wanted, first + dice.randrange(wanted // 4, wanted // 2))
            wait_for(lambda: len(answered) >= until, 120, "looks are answered")
            site.stop(signal.SIGKILL)
            kills += 1
            ends.set()
            for thread in lookers:
                thread.join()
        self.assertGreaterEqual(site.looks()[0] - before, len(answered), "a look was answered and has no entry")
        self.check(site, code=0)
        print(f"{kills} kills, {len(answered)} looks answered, each with its entry")

    def test_a_flood_of_strangers_is_a_few_entries(self):
        site, flood = self.copy(), 1_000
        with site.serving():
            address = tuple(site.url.removeprefix("http://").split(":"))
            with socket.create_connection(address) as stream, stream.makefile("rb") as answers:
                for n in range(flood):
                    bearer = "Authorization: Bearer nobody\r\n" if n % 2 else ""
                    stream.sendall(f"GET /studies/{self.study}/metadata HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n".encode())
                    self.assertIn(b" 401 ", answers.readline())
                    length = 0
                    while (line := answers.readline()) != b"\r\n":
                        length = int(line.split(b":")[1]) if line.lower().startswith(b"content-length") else length
                    answers.read(length)
        added = list(site.trace())[self.before:]
        self.assertEqual([(entry["allowed"], entry["flags"] & 128) for entry in added], [(0, 128)])  # counted together
        told = site.run("audit", "search", "--limit", "2")["entries"][0]
        self.assertIn(f"http: {flood} requests of nobody known, from 1 address, most from 127.0.0.1 ({flood})", told["from"])

    def test_witnesses_cosign_and_find_a_trace_that_was_cut_back(self):
        self.need(None if TOOLS.exists() else "the checkers of transparency logs are not built (deploy/dependencies test)")
        site, witness = self.copy(), self.site("witness")
        witness.set("trace", witness_for=[self.checkpoint["key"]])
        earlier = shutil.copytree(site.folder / "trace", self.folder / "earlier-trace")
        with witness.serving():
            key = witness.run("audit", "checkpoint")["witnessKey"]
            site.set("trace", witnesses=[f"{key} {witness.url}/witness"])
            with site.serving():
                for _ in range(2):  # the first time, and from there on
                    self.look(site, "ada", self.study)
                    note = site.run("audit", "checkpoint")["checkpoint"]
                    self.assertEqual([line.split()[1] for line in note.split("\n\n")[1].splitlines()], [self.checkpoint["key"].split("+")[0], key.split("+")[0]])
                self.assertTrue(tlogcheck("cosigned", self.file("note", note), site.run("audit", "checkpoint")["key"], key))
            # No ledger and no index tell of it, but the witness does.
            shutil.rmtree(site.folder / "trace")
            shutil.copytree(earlier, site.folder / "trace")
            for index in (site.folder / "store").glob("index.db*"):
                index.unlink()
            for index in (self.prepared / "site/store").glob("index.db*"):
                shutil.copy(index, site.folder / "store")
            with site.serving():
                refused = site.raw("audit", "checkpoint", codes=None)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("has cosigned", refused.stderr)

    def test_time_stamps_of_an_authority_of_ours(self):
        """RFC 3161, by `openssl ts`."""
        authority, key = self.certificate("tsa", "-addext", "extendedKeyUsage=critical,timeStamping", "-addext", "keyUsage=critical,digitalSignature")
        (self.folder / "serial").write_text("01\n")
        (self.folder / "tsa.conf").write_text(f"""[tsa]
default_tsa = ours
[ours]
serial = {self.folder}/serial
crypto_device = builtin
signer_cert = {authority}
signer_key = {key}
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
""")

        class Authority(http.server.BaseHTTPRequestHandler):
            folder = self.folder

            def do_POST(self):
                (self.folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
                openssl("ts", "-reply", "-queryfile", "query", "-config", "tsa.conf", "-section", "ours", "-out", "reply", cwd=self.folder)
                self.send_response(200)
                self.end_headers()
                self.wfile.write((self.folder / "reply").read_bytes())

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Authority)
        self.addCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        site = self.copy()
        site.set("trace", timestamp_url=f"http://127.0.0.1:{server.server_port}/", authorities=str(authority))
        size = site.run("audit", "checkpoint")["size"]
        stamped = site.folder / "trace/tiles/stamped"
        openssl("ts", "-verify", "-data", stamped / str(size), "-in", stamped / f"{size}.tsr", "-CAfile", authority)
        self.assertEqual((stamped / str(size)).read_text(), (site.folder / "trace/tiles/checkpoint").read_text())
        # One that nobody vouches for is not kept.
        other, _ = self.certificate("other")
        site.set("trace", authorities=str(other))
        size = site.run("audit", "checkpoint")["size"]
        self.assertFalse((stamped / f"{size}.tsr").exists())
        self.assertIn("no time stamp", site.log[-1])

    def test_exports_are_what_their_standards_say(self):
        self.need(missing("xmllint"))
        site = self.copy()
        with site.serving():
            entries = site.run("audit", "search", "--limit", "1000")["entries"]
            events = site.raw("audit", "export", "--format", "fhir").stdout.splitlines()
            messages = site.raw("audit", "export", "--format", "dicom", "--to", "40").stdout.splitlines()
        self.assertGreaterEqual(len(events), len(entries))
        parsed = [AuditEvent.model_validate_json(event) for event in events[:40]]
        self.assertEqual(len(messages), 40)
        for n, message in enumerate(messages):
            (self.folder / f"{n:03}.xml").write_text(message)
        checked = subprocess.run(["xmllint", "--noout", "--relaxng", ROOT / "test/vectors/audit/audit_message.rng", *sorted(self.folder.glob("*.xml"))], capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stderr[-3000:])
        denied = next(e for e in entries if e["result"] == "denied")
        event, message = parsed[denied["index"]], messages[denied["index"]]
        self.assertEqual((event.type.code, event.action, event.outcome, event.agent[0].altId), ("110103", "R", "4", "eve"))
        self.assertEqual(event.agent[0].network.address, "127.0.0.1")
        self.assertEqual([e.what.identifier.value for e in event.entity], [f"urn:oid:{self.study}", self.patient])
        for part in ('csd-code="110103"', 'EventOutcomeIndicator="4"', 'UserID="eve"', f'ParticipantObjectID="{self.study}"', f'ParticipantObjectID="{self.patient}"'):
            self.assertIn(part, message)

    def test_syslog_over_tls_loses_nothing_that_was_not_taken(self):
        """rsyslog, as a hospital's log server: away, there, and away and there again."""
        self.need(missing("rsyslogd"))
        certificate, key = self.certificate("logs", "-addext", "subjectAltName=IP:127.0.0.1")
        port, received = free_port(), self.folder / "received"
        (self.folder / "rsyslog.conf").write_text(f"""global(workDirectory="{self.folder}" maxMessageSize="64k" DefaultNetstreamDriver="ossl" DefaultNetstreamDriverCAFile="{certificate}"
       DefaultNetstreamDriverCertFile="{certificate}" DefaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="whole" type="string" string="%pri% %app-name% %msgid% %msg%\n")
action(type="omfile" file="{received}" template="whole")
""")

        @contextlib.contextmanager
        def log_server():
            process = subprocess.Popen(["rsyslogd", "-n", "-f", self.folder / "rsyslog.conf", "-i", self.folder / "rsyslog.pid"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                yield
            finally:
                process.terminate()
                process.wait(10)

        def numbers():
            """Of the entries that came, as their messages name them."""
            found = re.findall(r'type="entry" value="([^"]+)"', received.read_text()) if received.exists() else []
            return [int(base64.b64decode(number)) for number in found]

        site = self.copy()
        site.set("trace", syslog=f"127.0.0.1:{port}", authorities=str(certificate))
        with site.serving():
            with log_server():
                self.look(site, "ada", self.study)
                wait_for(lambda: len(numbers()) > 0, 20, "the first entries are with the log server")
            for _ in range(20):  # while it is away
                self.look(site, "ada", self.other)
            wait_for(lambda: "wait for the syslog server" in str(self.ready(site)), 20, "health says that entries wait")
            with log_server():
                size = len(list(site.trace()))
                wait_for(lambda: set(numbers()) >= set(range(self.before, size)), 40, "all the others are there, too")
        self.assertTrue(received.read_text().startswith("85 fiducial DICOM+RFC3881 "))

    def ready(self, site):
        request = urllib.request.Request(f"{site.url}/readyz", headers={"Authorization": f"Bearer {self.tokens['ada']}"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["notes"]


if __name__ == "__main__":
    unittest.main(verbosity=2)
