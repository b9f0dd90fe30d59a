"""Those who watch over the archive, over HTTP: the trace with its proofs, who broke the glass, who looked at one's own study, and the ledger, read without the archive's word for it."""
import base64
import contextlib
import csv
import hashlib
import io
import unittest

import pydicom
import requests
from eth_utils import keccak

from harness import SystemTest, free_port, wait_for

PASSWORD = "seven purple umbrellas"


def root_of(leaf, index, size, path):
    """RFC 9162 §2.1.3.2, written anew."""
    node, last, siblings = leaf, size - 1, list(path)
    while last > 0:
        if index % 2 == 1 or index == last:
            node = hashlib.sha256(b"\x01" + siblings.pop(0) + node).digest()
            while index % 2 == 0 and index != 0:
                index, last = index // 2, last // 2
        else:
            node = hashlib.sha256(b"\x01" + node + siblings.pop(0)).digest()
        index, last = index // 2, last // 2
    return node if not siblings else None


class Asking(SystemTest):
    def ask(self, who, path, status=200, **headers):
        answer = requests.get(self.archive.url + path, headers={**self.tokens[who], **headers}, timeout=60)
        self.assertEqual(answer.status_code, status, answer.text[:500])
        return answer if headers.get("Accept") == "text/csv" else answer.json()

    def post(self, who, path, body, status=200):
        answer = requests.post(self.archive.url + path, headers=self.tokens[who], json=body, timeout=60)
        self.assertEqual(answer.status_code, status, answer.text[:500])
        return answer.json()

    def rpc(self, who, method, *parameters):
        return self.post(who, "/ledger/rpc", {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})


class Oversight(Asking):
    def test_the_trace_over_http(self):
        site = self.archive = self.site()
        heads = {}
        for file in sorted(self.samples().rglob("*.dcm")):
            heads.setdefault(pydicom.dcmread(file, stop_before_pixels=True).PatientID, file)
        mine, others = list(heads.values())[:2]
        site.run("import", mine, others)
        study, foreign = (pydicom.dcmread(file, stop_before_pixels=True).StudyInstanceUID for file in (mine, others))
        people = {"ada": "doctor", "=1+1": "doctor", "eve": "auditor", "petra": "privacy-officer", "dora": "desk"}
        for name, role in people.items():
            site.run("person", "add", name, "--role", role)
        self.tokens = {name: {"Authorization": "Bearer " + site.token(name)} for name in people}
        with site.serving():
            for who in ("ada", "=1+1"):
                self.ask(who, f"/studies/{study}/metadata")
            with self.subTest("only those whose office it is"):
                for path in ("/trace", "/trace/proof?index=0", "/trace/emergencies", f"/studies/{study}/looks"):
                    self.ask("ada", path, 403)
                turned_away = self.ask("eve", "/trace?person=ada&action=trace")["entries"]
                self.assertEqual([entry["result"] for entry in turned_away], ["denied"] * 4)
            with self.subTest("searched"):
                looks = self.ask("petra", f"/trace?study={study}&action=read")["entries"]
                self.assertEqual([(entry["who"], entry["studyInstanceUid"]) for entry in looks], [("ada", study), ("=1+1", study)])
                whole = self.ask("eve", "/trace?limit=3")
                self.assertEqual((whole["entries"][-1]["who"], whole["entries"][-1]["action"]), ("eve", "trace"), "this look, too")
                before = self.ask("eve", f"/trace?limit=3&before={whole['before']}")["entries"]
                self.assertEqual(before[-1]["index"], whole["entries"][0]["index"] - 1)
                for path, status in (("/trace?limit=many", 400), ("/trace?colour=red", 400), ("/trace?person=nobody", 404), ("/trace?from=yesterday", 400), ("/trace/proof", 400), ("/trace/proof?index=999999", 404)):
                    self.ask("eve", path, status)
            with self.subTest("for a spreadsheet"):
                table = self.ask("eve", f"/trace?study={study}&action=read", Accept="text/csv")
                self.assertEqual([row["who"] for row in csv.DictReader(io.StringIO(table.text))], ["ada", "'=1+1"])
            with self.subTest("proved, and read on the ledger without the archive"):
                entry = looks[0]["index"]
                self.assertFalse(self.ask("eve", f"/trace/proof?index={entry}")["ledger"]["covers"], "it is newer than what the ledger holds")
                site.run("audit", "checkpoint")
                proof = self.ask("eve", f"/trace/proof?index={entry}")
                file = self.folder / "proof"
                file.write_text(proof["proof"])
                self.assertEqual(site.run("audit", "verify", file, "--key", proof["key"])["index"], entry)
                on_ledger = proof["ledger"]
                self.assertTrue(on_ledger["covers"])
                call = keccak(text="checkpointOf(bytes32,bytes32)")[:4].hex() + on_ledger["institution"][2:] + on_ledger["origin"][2:]
                answer = bytes.fromhex(self.rpc("eve", "eth_call", {"to": on_ledger["contract"], "data": "0x" + call}, "latest")["result"][2:])
                leaf = hashlib.sha256(b"\x00" + base64.b64decode(proof["proof"].split("\n")[1].removeprefix("extra "))).digest()
                path = [bytes.fromhex(hash[2:]) for hash in on_ledger["path"]]
                self.assertEqual(root_of(leaf, entry, on_ledger["size"], path), answer[:32])
                self.assertEqual(int.from_bytes(answer[32:64], "big"), on_ledger["size"])
                other = hashlib.sha256(b"\x00another").digest()
                self.assertNotEqual(root_of(other, entry, on_ledger["size"], path), answer[:32])
            with self.subTest("who broke the glass"):
                self.assertEqual(self.ask("petra", "/trace/emergencies"), {"emergencies": []})
                self.post("ada", f"/studies/{study}/emergency", {"reason": "life-threatening", "text": "unconscious"}, 201)
                opened, = self.ask("petra", "/trace/emergencies")["emergencies"]
                self.assertEqual((opened["person"], opened["reason"], opened["text"], opened["studyInstanceUid"]), ("ada", "life-threatening", "unconscious", study))
                wait_for(lambda: self.ask("petra", "/trace/emergencies")["emergencies"][0]["anchored"], 30, "the ledger has it")
            with self.subTest("the patient learns who looked at the own study"):
                letter = self.post("dora", "/letters", {"studyInstanceUid": study}, 201)
                jane = requests.Session()
                jane.headers.update({"Sec-Fetch-Site": "same-origin"})
                new = {"name": "Jane Doe", "email": "jane@example.org", "password": PASSWORD, "link": letter["link"].split("#")[1], "code": letter["code"]}
                self.assertEqual(jane.post(site.url + "/links/use", json=new, timeout=60).json()["roles"], ["patient"])
                for cookie in jane.cookies:
                    cookie.secure = False  # browsers take loopback for secure
                looked = lambda uid: jane.get(f"{site.url}/studies/{uid}/looks", headers={"Fiducial-Purpose": "personal"}, timeout=60)
                wait_for(lambda: looked(study).status_code == 200, 30, "the ledger has it that the patient decides")
                read = [look for look in looked(study).json()["looks"] if look["action"] == "read"]
                self.assertEqual([look["who"] for look in read], ["ada", "=1+1"])
                self.assertNotIn("from", read[0])
                self.assertEqual(looked(foreign).status_code, 403)
                self.assertEqual(jane.get(site.url + "/trace", timeout=60).status_code, 403)
                self.assertEqual(jane.get(f"{site.url}/trace?study={foreign}", timeout=60).status_code, 403)
                entries = jane.get(f"{site.url}/trace?study={study}", timeout=60).json()["entries"]
                self.assertEqual(({entry["from"] for entry in entries}, any("127.0.0.1" in entry["words"] for entry in entries)), ({""}, False))
            with self.subTest("the ledger, to look alone"):
                ledger = self.ask("ada", "/ledger")
                self.assertEqual(self.rpc("ada", "eth_chainId")["result"], hex(ledger["chainId"]))
                self.assertEqual({account["whose"] for account in ledger["accounts"]}, {"gateway", "operator", "signer"})
                self.assertGreaterEqual(ledger["head"], ledger["settled"])
                for method in ("eth_sendRawTransaction", "personal_unlockAccount", "debug_traceTransaction"):
                    self.assertEqual(self.rpc("ada", method)["error"]["code"], -32601)
                self.assertEqual(requests.post(site.url + "/ledger/rpc", json={}, timeout=60).status_code, 401)

    def test_what_waits(self):
        site = self.archive = self.site()
        image = max(self.samples().rglob("*.dcm"), key=lambda file: file.stat().st_size)
        head = pydicom.dcmread(image, stop_before_pixels=True)
        site.set("dimse", peers=[f"SCP 127.0.0.1 device=scp port={free_port()}"], forward=["SCP"])
        site.run("device", "add", "scp", "--may", "retrieve")
        site.run("import", image)
        for name, role in (("root", "administrator"), ("ada", "doctor")):
            site.run("person", "add", name, "--role", role)
        self.tokens = {name: {"Authorization": "Bearer " + site.token(name)} for name in ("root", "ada")}
        mend = site.flip(head.SOPInstanceUID)
        with site.serving("--dimse", "127.0.0.1:0"):
            waiting = lambda: self.ask("root", "/queues")
            self.ask("ada", "/queues", 403)
            for path in ("deliveries/retry", "deliveries/discard", "quarantine/restore"):
                self.post("ada", "/queues/" + path, {"all": True, "object": "00" * 32}, 403)
            with self.subTest("for peers"):
                wait_for(lambda: any("problem" in one for one in waiting()["deliveries"]), 30, "the peer is away")
                delivery, = waiting()["deliveries"]
                self.assertEqual((delivery["peer"], delivery["state"], delivery["sopInstanceUid"]), ("SCP", "waiting", head.SOPInstanceUID))
                self.post("root", "/queues/deliveries/retry", {}, 400)
                self.assertEqual(self.post("root", "/queues/deliveries/retry", {"ids": [delivery["id"]]}), {"deliveries": 1})
                self.assertEqual(self.post("root", "/queues/deliveries/discard", {"peer": "SCP"}), {"deliveries": 1})
                self.assertEqual(waiting()["deliveries"], [])
            with self.subTest("damaged"):
                path = f"/studies/{head.StudyInstanceUID}/series/{head.SeriesInstanceUID}/instances/{head.SOPInstanceUID}"
                with contextlib.suppress(requests.RequestException):
                    requests.get(site.url + path, headers={**self.tokens["ada"], "Accept": "application/dicom; transfer-syntax=*"}, timeout=60)
                damaged, = waiting()["quarantined"]
                self.assertEqual(damaged["sopInstanceUid"], head.SOPInstanceUID)
                self.assertNotEqual(requests.post(site.url + "/queues/quarantine/restore", headers=self.tokens["root"], json={"object": damaged["objectId"]}, timeout=60).status_code, 200)
                mend()
                self.post("root", "/queues/quarantine/restore", {"object": damaged["objectId"]})
                self.assertEqual(waiting()["quarantined"], [])
            with self.subTest("room"):
                disk = waiting()["disk"]
                self.assertGreater(disk["totalBytes"], disk["freeBytes"])
                self.assertGreater(disk["warnBelowBytes"], 0)


if __name__ == "__main__":
    unittest.main()
