"""One whole run with every log at its loudest: no secret, no token and no patient in any of them, nor in any file of the site but its index.
And what the rest of the machine can get out of the archive and its node while they run."""
import contextlib
import hashlib
import os
import pathlib
import re
import struct
import unittest
import zlib

import pydicom
import requests
from eth_utils import keccak

from harness import PASSPHRASE, SystemTest, ask_node, files_of
from kill_test import nodes_of

ESCAPES = re.compile(rb"\x1b[\x28\x29\x24][\x28\x29]?[\x40-\x5a]")


def spellings(value):
    """A text as it might stand in a file: as it came, in UTF-8 and in UTF-16."""
    return {value.encode(), value.encode("utf-16-le"), value.encode("utf-16-be")}


def components(name):
    """The parts of a person's name in all its scripts, spelled in all ways, and as the image's own bytes."""
    found = set()
    for group in str(name).split("="):
        for part in group.split("^"):
            if len(part.encode()) >= 4:
                found |= spellings(part) | spellings(part.upper()) | spellings(part.lower())
    for part in re.split(rb"[\^=]", name.original_string):
        found.add(part)
        found |= set(ESCAPES.split(part))
    return {f for f in found if len(f) >= 4}


class Secrets(SystemTest):
    def test_nothing_leaks(self):
        files, forbidden = self.people()
        site = self.site(init=False)
        secrets = {PASSPHRASE.encode()}
        made = site.init("--verbose")
        secrets |= {share.encode() for share in made["recoveryShares"]}
        settings = site.folder / "fiducial.toml"
        log_file = self.folder / "archive.log"
        settings.write_text(settings.read_text().replace('level = "info"', 'level = "debug"').replace('file = ""', f'file = "{log_file}"'))
        self.live_with(site, files, secrets, forbidden)

        logs = b"\n".join(text.encode() for text in site.log) + site.serve_log().encode() + log_file.read_bytes()
        self.assertGreater(len(logs), 5000)
        self.assertIn(b"debug", logs.lower())
        with self.subTest("logs"):
            for what, needles in (("a secret", secrets), ("a patient", forbidden)):
                for needle in needles:
                    at = logs.find(needle)
                    self.assertEqual(at, -1, f"{what}: {needle!r} in {logs[max(0, at - 200):at + 200]!r}")
        with self.subTest("files of the site"):
            checked = 0
            for file in files_of(site.folder):
                if file.name.startswith("index.db"):
                    continue
                data = file.read_bytes()
                checked += len(data)
                for needle in secrets | {f for f in forbidden if len(f) >= 6}:  # shorter ones turn up in ciphertext by chance
                    self.assertEqual(data.find(needle), -1, f"{needle!r} in {file.relative_to(site.folder)}")
            self.assertGreater(checked, 1_000_000)
        with self.subTest("transactions of the chain: no patient, no secret, no study's UID, and no hash of one"):
            self.assertGreater(len(self.sent), 8)
            uids = {pydicom.dcmread(file, stop_before_pixels=True).StudyInstanceUID.encode() for file in files}
            for value in secrets | forbidden | uids:
                for needle in ([value] if len(value) >= 6 else []) + [hashlib.sha256(value).digest(), keccak(value)]:
                    self.assertFalse([data for data in self.sent if needle in data], value)
        with self.subTest("the search finds what is there"):
            self.assertTrue(any(b"Test site" in data for data in self.sent))
            index = b"".join(p.read_bytes() for p in (site.folder / "store").glob("index.db*"))
            self.assertTrue(any(needle in index for needle in forbidden))
            self.assertTrue(any(needle in files[0].read_bytes() for needle in forbidden))

    def transactions(self, site):
        """What every transaction of the site's own chain says."""
        node = site.folder / "ledger/geth.ipc"
        blocks = [ask_node(node, "eth_getBlockByNumber", hex(number), True) for number in range(int(ask_node(node, "eth_blockNumber"), 16) + 1)]
        return [bytes.fromhex(transaction["input"][2:]) for block in blocks for transaction in block["transactions"]]

    def people(self):
        """One image of each patient, and everything in it that says who it is."""
        files, forbidden = {}, set()
        for file in sorted(self.samples().rglob("*.dcm")):
            head = pydicom.dcmread(file, stop_before_pixels=True)
            files.setdefault(head.PatientID, file)
            forbidden |= components(head.PatientName) | {v for v in spellings(head.PatientID)}
        self.assertGreater(len(files), 5)
        return list(files.values()), forbidden

    def live_with(self, site, files, secrets, forbidden):
        """What a site sees in its days: images come, are looked at, refused, verified, given out; and things go wrong."""
        first = pydicom.dcmread(files[0])
        named = self.folder / f"{first.PatientID} Jane Featherstonehaugh" / "2026-01-02"
        named.mkdir(parents=True)
        forbidden |= spellings("Featherstonehaugh")
        picture = named / "knee.png"
        picture.write_bytes(png())
        broken = named / "Featherstonehaugh.dcm"
        broken.write_bytes(files[0].read_bytes()[:3000])
        site.run("--verbose", "import", *files[:-2], named.parent, codes=(0, 1))
        for name, role in (("ada", "doctor"), ("otto", "technologist"), ("dora", "desk")):
            site.run("--verbose", "person", "add", name, "--role", role)
        tokens = {name: site.token(name) for name in ("ada", "otto", "dora")}
        secrets |= {token.encode() for token in tokens.values()} | {token.encode()[4:] for token in tokens.values()}

        with site.serving("--verbose"):
            def ask(path, who, **more):
                return requests.request(more.pop("method", "GET"), site.url + path, headers={"Authorization": "Bearer " + tokens[who], **more.pop("headers", {})}, timeout=60, **more)
            study = f"/studies/{first.StudyInstanceUID}"
            self.assertEqual(ask(study, "ada").status_code, 200)
            self.assertEqual(ask(study, "dora").status_code, 403)
            self.assertEqual(ask(study + "/evidence", "ada").status_code, 200)
            self.assertEqual(ask("/studies/Featherstonehaugh", "ada").status_code, 400)
            ask("/studies?PatientName=Featherstonehaugh", "ada")
            ask("/Featherstonehaugh", "ada")
            requests.get(site.url + study, headers={"Authorization": "Bearer " + tokens["ada"][:-1]}, timeout=60)
            for file in files[-2:]:
                stored = ask("/studies", "otto", method="POST", data=file.read_bytes(), headers={"Content-Type": "application/dicom"})
                self.assertEqual(stored.status_code, 200, stored.text)
            ask("/studies", "otto", method="POST", data=files[0].read_bytes()[:3000], headers={"Content-Type": "application/dicom"})
            other = pydicom.dcmread(files[0])
            other.PatientID += "X"
            other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
            other.save_as(self.folder / "second-patient.dcm")
            site.run("--verbose", "import", self.folder / "second-patient.dcm", codes=(1,))
            site.run("--verbose", "list", "--name", str(first.PatientName.family_name) + "*")
            site.run("--verbose", "ledger", "wait")
            self.sent = self.transactions(site)
            site.run("--verbose", "token", "--person", "otto", "--revoke")
        site.run("--verbose", "show", first.StudyInstanceUID)
        site.run("--verbose", "verify", "--all")
        site.run("--verbose", "fsck")
        site.run("--verbose", "export", "--all", "--to", self.folder / "out")
        site.run("--verbose", "export", "--set-aside", "--to", self.folder / "aside")
        site.raw("--verbose", "evidence", first.StudyInstanceUID, "--out", self.folder / "bundle.json")
        wrong = "entirely another passphrase"
        secrets.add(wrong.encode())
        site.raw("--verbose", "list", codes=(12,), environment={"FIDUCIAL_PASSPHRASE": wrong})
        fresh = self.folder / "fresh"
        fresh.write_text("quite a fresh passphrase\n")
        fresh.chmod(0o600)
        secrets.add(b"quite a fresh passphrase")
        secrets |= {share.encode() for share in site.run("--verbose", "key", "rotate", "--new-passphrase-file", fresh)["recoveryShares"]}
        with self.subTest("a bundle holds what it must: the study's UID, no name"):
            bundle = (self.folder / "bundle.json").read_bytes()
            self.assertFalse([n for n in forbidden | secrets if n in bundle])


def ports_of(pid):
    """Addresses and ports on which a process can be reached, as (protocol, address in hexadecimal, port)."""
    inodes = set()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            inodes |= set(re.findall(r"^socket:\[(\d+)\]$", os.readlink(f"/proc/{pid}/fd/{descriptor}")))
    for protocol in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{protocol}").read_text().splitlines()[1:]:
            fields = line.split()
            listens = fields[3] == "0A" or not protocol.startswith("tcp")
            if listens and fields[9] in inodes:
                address, port = fields[1].split(":")
                yield protocol, address, int(port, 16)


class WhileItRuns(SystemTest):
    """What other programs of the machine, and the network, can reach."""

    def setUp(self):
        super().setUp()
        site = self.site()
        site.start()
        self.archive, (self.node,) = site.server.pid, nodes_of(site.server.pid)
        self.url = site.url

    def test_keys_are_locked_in_memory_and_in_no_core_dump(self):
        locked = int(re.search(r"^VmLck:\s+(\d+) kB$", pathlib.Path(f"/proc/{self.archive}/status").read_text(), re.M)[1])
        self.assertGreater(locked, 0)
        for pid in (self.archive, self.node):
            self.assertRegex(pathlib.Path(f"/proc/{pid}/limits").read_text(), r"Max core file size +0 +0 ")

    def test_the_node_is_reached_by_nobody_else(self):
        """geth 1.13.15 cannot be kept from one port: a random one of loopback, which wants a token made with a secret of its folder."""
        self.assertIn(("tcp", "0100007F", int(self.url.rsplit(":", 1)[1])), list(ports_of(self.archive)), "the search finds what is there")
        ports = list(ports_of(self.node))
        self.assertLessEqual({(protocol, address) for protocol, address, _ in ports}, {("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")})
        self.assertLessEqual(len(ports), 1)
        for _, _, port in ports:
            for more in ({}, {"Authorization": "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAA"}):
                answer = requests.post(f"http://localhost:{port}", json={"jsonrpc": "2.0", "id": 1, "method": "eth_accounts", "params": []}, headers=more, timeout=30)
                self.assertEqual(answer.status_code, 401, answer.text)
        for name in ("jwtsecret", "nodekey"):
            self.assertEqual((self.sites[0].folder / "ledger/geth" / name).stat().st_mode & 0o077, 0)


def png():
    """A small grey picture."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\x00" + bytes((x * y) % 256 for x in range(64)) for y in range(64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    unittest.main(verbosity=2)
