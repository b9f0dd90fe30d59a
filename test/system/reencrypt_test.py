"""A key has leaked: with everything that was stolen, nothing of a later copy of the disk opens, nothing can be forged, and nothing is lost.

The thief is written here, from docs/formats alone: it shares no code with the archive. FIDUCIAL_FAULTS: a tenth of so many kills (default 6).
FIDUCIAL_SEED: repeats the same moments; printed at the start.
"""
import contextlib
import ctypes
import ctypes.util
import hashlib
import hmac
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import time
import unittest

import eth_keyfile
import requests
from Crypto.Cipher import AES

from harness import FIDUCIAL, PASSPHRASE, VERIFY, Site, SystemTest, files_of, sha256, wait_for

KILLS = max(6, int(os.environ.get("FIDUCIAL_FAULTS", "0")) // 10)
SEED = int(os.environ.get("FIDUCIAL_SEED", random.SystemRandom().randrange(1 << 32)))
NEW_PASSPHRASE = "a quite different battery"
WRONG_PASSPHRASE, CONFLICT, USAGE = 12, 6, 2
TABLES_WITH_MACS = {"patients", "studies", "series", "objects", "instances", "study_versions", "rights_state", "rights_changes", "local_denials", "local_changes", "worklist", "performed_steps", "people", "tokens", "archive_facts", "deliveries",
                    "ledger_outbox"}


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def tag(text):
    return bytes([len(text)]) + text.encode()


def lp(data):
    return struct.pack(">H", len(data)) + data


def hkdf(key, salt, info, size=32):
    out, block, n = b"", b"", 1
    extracted = mac(salt, key)
    while len(out) < size:
        block = mac(extracted, block, info.encode(), bytes([n]))
        out, n = out + block, n + 1
    return out[:size]


def gcm_opens(key, nonce, associated, sealed):
    """The plain bytes, or None."""
    cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
    cipher.update(associated)
    try:
        return cipher.decrypt_and_verify(sealed[:-16], sealed[-16:])
    except ValueError:
        return None


def small_opens(key, context, sealed):
    return gcm_opens(key, sealed[:12], context, sealed[12:])


def take_lp(data):
    size = struct.unpack(">H", data[:2])[0]
    return data[2:2 + size], data[2 + size:]


class Thief:
    """Somebody with a copy of a site as it once was, and the passphrase of that time."""

    def __init__(self, folder, passphrase):
        self.site_id = bytes.fromhex(json.loads((folder / "site.json").read_text())["siteId"])
        self.store_id = (folder / "store/site.id").read_bytes()[8:40]
        file, rest = take_lp((folder / "keys/site.key").read_bytes())
        site_key = self.open_key_file(file, passphrase)
        wrapped, self.rest = take_lp(rest)
        self.root = small_opens(site_key, b"fid.root-key1", wrapped)
        assert self.root is not None
        store_root = hkdf(self.root, self.store_id, "fid.root1")
        self.wrapping, self.row_key = (hkdf(store_root, self.store_id, label) for label in ("fid.shredkey1", "fid.rowkey1"))
        self.secrets = {}  # study slot → (K, D) of the pages that open
        for number, slots in self.pages(folder):
            for n, slot in enumerate(slots):
                self.secrets[number * 1024 + n] = slot[1:33], slot[33:65]

    @staticmethod
    def open_key_file(file, passphrase):
        at = 1 + len("fid.key1") + 2
        head = at + 1 + file[at] + 4 + 4 + 16 + 12
        memory, passes, salt, nonce = struct.unpack(">II16s12s", file[at + 1 + file[at]:head])
        key = ctypes.create_string_buffer(32)
        sodium = ctypes.CDLL(ctypes.util.find_library("sodium"))
        assert sodium.sodium_init() >= 0
        done = sodium.crypto_pwhash(key, ctypes.c_ulonglong(32), passphrase.encode(), ctypes.c_ulonglong(len(passphrase.encode())), salt, ctypes.c_ulonglong(passes),
                                    ctypes.c_size_t(memory * 1024), ctypes.c_int(2))
        assert done == 0
        return gcm_opens(key.raw, nonce, file[:head], file[head:head + 48])

    def derive(self, label):
        return hkdf(self.root, self.site_id, label)

    def pages(self, folder):
        """Number and slots of each study page that opens."""
        for path in sorted((folder / "store/secrets").glob("study-*.page")):
            page = path.read_bytes()
            head = 28 if page[8:10] == b"\0\2" else 24
            wrapped, sealed = take_lp(page[head:])
            key = small_opens(self.wrapping, page[:head], wrapped)
            if key is None:
                continue
            slots = gcm_opens(key, bytes(12), page[:len(page) - len(sealed)], sealed)
            size = len(slots) // 1024
            yield struct.unpack(">I", page[12:16])[0], [slots[n * size:(n + 1) * size] for n in range(1024)]

    def objects(self, folder):
        """Each object in the segments: (id, whether its header commits to a key that is known, whether its list of chunk hashes opens with one)."""
        for path in sorted((folder / "store/segments").iterdir()):
            data = path.read_bytes()
            at = data.find(b"FOBJ")
            while at >= 0:
                header = data[at:at + 80]
                if header[4:8] == b"\0\1\1\x0f" and header[9:12] == bytes(3):
                    yield header[16:48].hex(), *self.opens(header, data[at + 80:])
                at = data.find(b"FOBJ", at + 4)

    def opens(self, header, body):
        slot, object_id, commitment = struct.unpack(">I", header[12:16])[0], header[16:48], header[48:80]
        count = struct.unpack(">I", body[8:12])[0]
        size = struct.unpack(">I", body[12 + 20 * count:16 + 20 * count])[0]
        hashes = body[16 + 20 * count:16 + 20 * count + size]
        commits = opens = False
        for d in {self.secrets[slot][1] if slot in self.secrets else bytes(32), bytes(32)}:
            commits |= hkdf(d, object_id, "fid.object1", 64)[32:] == commitment
            chunk = hashes[:32 * 1024 + 16]
            nonce = bytes(7) + struct.pack(">I", 0) + bytes([len(hashes) <= 32 * 1024 + 16])
            opens |= gcm_opens(hkdf(d, object_id, "fid.chunks1", 64)[:32], nonce, header, chunk) is not None
        return commits, opens

    def rows(self, site):
        """How many rows of objects carry a MAC that the thief could have made."""
        with contextlib.closing(site.database()) as database:
            rows = database.execute("SELECT * FROM objects").fetchall()
        fitting = 0
        for row in rows:
            values = b"".join(b"\1" + struct.pack(">I", len(text)) + text for text in (str(row[key]).encode() for key in row.keys() if key != "mac"))
            fitting += mac(self.row_key, tag("fid.row1"), lp(b"objects"), struct.pack(">I", 1), values).hex() == row["mac"]
        return fitting, len(rows)

    def people(self, site):
        with contextlib.closing(site.database()) as database:
            rows = database.execute("SELECT * FROM people").fetchall()
        key = self.derive("fid.accounts1")
        return sum(mac(key, tag("fid.person1"), bytes.fromhex(row["id"]), lp(row["name"].encode()), struct.pack(">QQQ", row["roles"], row["created_ms"], row["token_epoch"])).hex() ==
                   row["mac"] for row in rows), len(rows)

    def key_files(self, folder):
        key = self.derive("fid.key-files1")
        return [name for name in ("deployer", "operator", "gateway", "sealer") if small_opens(key, name.encode(), (folder / f"keys/{name}.key").read_bytes())]

    def keystore(self, folder):
        """Whether the password that the root key gives opens the node's keystore."""
        password = self.derive("fid.node-password1").hex().encode()
        opened = []
        for path in (folder / "ledger/keystore").iterdir():
            with contextlib.suppress(ValueError):
                opened.append(eth_keyfile.decode_keyfile_json(json.loads(path.read_text()), password))
        return opened

    def heads(self, folder):
        """How many slots of the trace's head carry a MAC that the thief could have made."""
        data, key, fitting = (folder / "trace/trace.head").read_bytes(), self.derive("fid.trace1"), 0
        for slot in (data[:4096], data[4096:]):
            at = len(tag("fid.tracehead1")) + 32 + 8 + 8
            size = 0 if not any(slot) else at + 8 + 32 * bin(struct.unpack(">Q", slot[at:at + 8])[0]).count("1")
            fitting += size > 0 and mac(key, tag("fid.tracehead1"), slot[:size]) == slot[size:size + 32]
        return fitting

    def trace_entry(self, folder, like):
        """One more record for the trace, a copy of an entry under another number."""
        log = (folder / "trace/trace.log").read_bytes()
        log_id, at, records = log[14:46], 70, []
        while at < len(log):
            length, index = struct.unpack(">IQ", log[at:at + 12])
            records.append((index, log[at + 16:at + 16 + length]))
            at += 16 + length + 16
        index, entry = len(records), records[like][1]
        leaf = hashlib.sha256(b"\0" + entry).digest()
        where = struct.pack(">QI", index, 0)
        return struct.pack(">I", len(entry)) + where + entry + mac(self.derive("fid.trace1"), tag("fid.tracerow1"), log_id, where, leaf)[:16]


class Reencrypt(SystemTest):
    def setUp(self):
        super().setUp()
        self.dice = random.Random(SEED)
        files = sorted(self.samples().rglob("*.dcm"))
        studies = {}
        for file in files:
            studies.setdefault(file.parent, []).append(file)
        self.studies = list(studies.values())[:8]
        self.files = [file for study in self.studies for file in study]
        for name, text in (("old", PASSPHRASE), ("new", NEW_PASSPHRASE)):
            path = self.folder / name
            path.write_text(text)
            path.chmod(0o600)

    def filled(self, **settings):
        site = self.site()
        configuration = site.folder / "fiducial.toml"
        text = configuration.read_text().replace("segment_mib = 1024", "segment_mib = 1")
        for key, value in settings.items():
            self.assertIn(f"\n{key} = ", text)
            text = "\n".join(f"{key} = {value}" if line.startswith(f"{key} = ") else line for line in text.split("\n"))
        configuration.write_text(text)
        site.run("import", *{file.parent for file in self.files}, "--wait", "60")
        return site

    def reencrypt(self, site, *arguments, codes=(0,), passphrase="old"):
        return site.raw("--json", "--passphrase-file", self.folder / passphrase, "key", "rotate", "--reencrypt", "--new-passphrase-file", self.folder / "new", *arguments, codes=codes)

    def answers(self, process):
        """The JSON texts one after the other."""
        decoder, text, found = json.JSONDecoder(), process.stdout.strip(), []
        while text:
            answer, end = decoder.raw_decode(text)
            found.append(answer)
            text = text[end:].lstrip()
        return found

    @contextlib.contextmanager
    def new_passphrase(self, site):
        """Commands of the site under the new passphrase."""
        former = site.environment
        site.environment = lambda: {**former(), "FIDUCIAL_PASSPHRASE": NEW_PASSPHRASE}
        yield site

    def assert_holds(self, site):
        fsck = site.run("fsck", codes=None)
        self.assertTrue(fsck["clean"], fsck)
        out = self.folder / f"out-{self.dice.getrandbits(40):x}"
        self.assertEqual(site.run("export", "--all", "--to", out)["damaged"], [])
        self.assertEqual({sha256(file) for file in self.files} - {sha256(path) for path in files_of(out)}, set())
        site.run("verify", "--all")

    def bundle(self, site, study, name):
        instance = site.run("show", study)["objects"][0]["sopInstanceUid"]
        path = self.folder / name
        site.raw("evidence", study, "--instance", instance, "--out", path)
        return path

    def test_what_was_stolen_opens_nothing_afterwards(self):
        site = self.filled()
        site.run("person", "add", "ada", "--role", "doctor")
        study = site.run("list")["studies"][0]["studyInstanceUid"]
        trust = self.folder / "trust.json"
        trust.write_text(site.raw("trust").stdout)
        before = self.bundle(site, study, "before.json")
        site.run("backup", self.folder / "backup")
        stolen = self.folder / "stolen"
        shutil.copytree(site.folder, stolen, ignore=shutil.ignore_patterns("geth.ipc", "control.sock", "geth"))
        thief = Thief(stolen, PASSPHRASE)
        there = {}
        with self.subTest("the thief knows the trade"):
            self.assertEqual(len(list(thief.pages(site.folder))), 1)
            objects = list(thief.objects(site.folder))
            self.assertGreaterEqual(len(objects), len(self.files))
            self.assertTrue(all(commits and opens for _, commits, opens in objects))
            self.assertEqual(*thief.rows(site))
            self.assertEqual(*thief.people(site))
            self.assertEqual(len(thief.key_files(site.folder)), 4)
            self.assertEqual(len(thief.keystore(site.folder)), 1)
            self.assertEqual(thief.heads(site.folder), 2)
            there = {object_id for object_id, _, _ in objects}

        with self.subTest("refused"):
            same = site.raw("--json", "key", "rotate", "--reencrypt", codes=(USAGE,))
            self.assertIn("new-passphrase-file", same.stdout + same.stderr)
            site.raw("--json", "--passphrase-file", self.folder / "old", "key", "rotate", "--reencrypt", "--new-passphrase-file", self.folder / "old", codes=(USAGE,))
            with site.serving():
                self.assertIn("stop it first", self.reencrypt(site, codes=(CONFLICT,)).stdout)
        told = self.answers(self.reencrypt(site))
        self.assertEqual(len(told[0]["recoveryShares"]), 3)
        self.assertTrue(told[-1]["finished"], told)

        with self.new_passphrase(site):
            with self.subTest("nothing opens"):
                self.assertEqual(list(thief.pages(site.folder)), [])
                objects = list(thief.objects(site.folder))
                self.assertEqual({object_id for object_id, _, _ in objects}, there)
                self.assertFalse(any(commits or opens for _, commits, opens in objects))
                self.assertEqual(thief.rows(site)[0], 0)
                self.assertEqual(thief.people(site)[0], 0)
                self.assertEqual(thief.key_files(site.folder), [])
                self.assertEqual(thief.keystore(site.folder), [])
                self.assertEqual(len(list((site.folder / "ledger/keystore").iterdir())), 1)
                self.assertEqual(thief.heads(site.folder), 0)
                self.assertEqual(site.raw("--passphrase-file", self.folder / "old", "list", codes=(WRONG_PASSPHRASE,)).stdout, "")
            with self.subTest("no table was forgotten"), contextlib.closing(site.database()) as database:
                tables = database.execute("SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'mac'")
                self.assertEqual({row[0] for row in tables}, TABLES_WITH_MACS, "rekey_index, Accounts::rekey or rekey_outbox must know of it")
            with self.subTest("no ciphertext of before is left"):
                now = b"".join(path.read_bytes() for path in files_of(site.folder / "store/segments"))
                old = b"".join(path.read_bytes() for path in files_of(stolen / "store/segments"))
                looked_at = 0
                for at in range(4096, len(old) - 64, 8192):
                    piece = old[at:at + 32]
                    if len(set(piece)) > 16:  # not padding
                        looked_at += 1
                        self.assertEqual(now.find(piece), -1, at)
                self.assertGreater(looked_at, 100)
            with self.subTest("a forged entry of the trace does not count"):
                entries = site.run("fsck")["traceEntries"]
                with open(site.folder / "trace/trace.log", "ab") as log:
                    log.write(thief.trace_entry(site.folder, 0))
                again = site.run("fsck")
                self.assertTrue(again["clean"])
                self.assertEqual(again["traceEntries"], entries + 1, "one more: that of the second fsck")
            with self.subTest("everything is what it was"):
                self.assert_holds(site)
                self.assertEqual(site.run("import", *{file.parent for file in self.files})["duplicates"], len(self.files))
                self.assertEqual([person["name"] for person in site.run("person", "list")["people"]], ["ada", "operator"])
                after = self.bundle(site, study, "after.json")
                for bundle in (before, after):
                    subprocess.run([VERIFY, bundle, "--trust", trust], check=True, capture_output=True)
                self.assertEqual(site.run("key", "status")["finished"], True)
            with self.subTest("a new share opens it, a former one does not"):
                shares = []
                for n, share in enumerate(told[0]["recoveryShares"][:2]):
                    path = self.folder / f"share-{n}"
                    path.write_text(share)
                    path.chmod(0o600)
                    shares += ["--share-file", path]
                site.raw("key", "recover", *shares, "--new-passphrase-file", self.folder / "new")
            with self.subTest("the next backup is a whole new one"):
                pieces = {path.name for path in files_of(self.folder / "backup/pieces")}
                site.run("backup", self.folder / "backup")
                left = pieces & {path.name for path in files_of(self.folder / "backup/pieces")}
                for name in left:  # what is in no way secret: settings, facts, the trust file, blocks
                    piece = self.folder / "backup/pieces" / name[:2] / name
                    self.assertNotIn(b"FIDUCIAL SEGMENT", piece.read_bytes()[:16])
                restored = Site(self.folder / "restored")
                self.sites.append(restored)
                with self.new_passphrase(restored):
                    restored.run("restore", self.folder / "backup")
                    self.assert_holds(restored)
            with self.subTest("once more, with another key"):
                (self.folder / "new").write_text("and yet another one")
                again = self.answers(site.raw("--json", "key", "rotate", "--reencrypt", "--new-passphrase-file", self.folder / "new"))
                self.assertTrue(again[-1]["finished"])
                site.environment = lambda: {**os.environ, "FIDUCIAL_SITE": str(site.folder), "FIDUCIAL_PASSPHRASE": "and yet another one", "NO_COLOR": "1"}
                self.assert_holds(site)
                self.assertEqual(site.run("import", self.files[0])["duplicates"], 1)

    def test_beside_the_work_of_an_archive(self):
        site = self.filled(compact_every_s=1)
        site.run("person", "add", "ada", "--role", "doctor")
        told = self.answers(self.reencrypt(site, "--later"))
        self.assertEqual(len(told), 1, "the shares: there is no more to tell yet")
        with self.new_passphrase(site):
            status = site.run("key", "status", codes=(10,))
            self.assertFalse(status["finished"])
            self.assertGreater(status["segmentsLeft"], 1)
            with site.serving():
                token = site.token("ada")
                study = site.run("list")["studies"][0]["studyInstanceUid"]
                bearer = {"Authorization": f"Bearer {token}"}
                notes = requests.get(f"{site.url}/readyz", headers=bearer, timeout=10).json()["notes"]
                def look():
                    return requests.get(f"{site.url}/studies/{study}", headers=bearer, timeout=30).status_code

                wait_for(lambda: look() == 200, 30, "ada is known to the ledger")
                self.assertEqual({look() for _ in range(20)}, {200})
                self.assertTrue(self.answers(self.reencrypt(site, passphrase="new"))[-1]["finished"] or site.run("key", "status")["finished"])
                self.assertEqual(site.run("key", "status")["finished"], True)
                self.assertFalse(any(note.startswith("keys:") for note in requests.get(f"{site.url}/readyz", headers=bearer, timeout=10).json()["notes"]), notes)
            self.assert_holds(site)

    def test_killed_at_any_moment_it_goes_on(self):
        print(f"FIDUCIAL_SEED={SEED}")
        site = self.filled()
        arguments = [FIDUCIAL, "--json", "--passphrase-file", self.folder / "old", "key", "rotate", "--reencrypt", "--new-passphrase-file", self.folder / "new"]
        kills, longest = 0, 1.5
        while kills < KILLS:
            process = subprocess.Popen(arguments, env=site.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                out, err = process.communicate(timeout=self.dice.uniform(0, longest if kills else 0.1))  # the first comes before it can be through
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                out, err = process.communicate()
                kills += 1
            if process.returncode == 0:
                break  # it was through before the next kill
            self.assertIn(process.returncode, (-signal.SIGKILL,), err)
        last = self.reencrypt(site, codes=(0, USAGE))  # refused where it was through: the new passphrase is the one that is there
        self.assertTrue(last.returncode == USAGE or self.answers(last)[-1]["finished"])
        with self.new_passphrase(site):
            self.assertTrue(site.run("key", "status")["finished"])
            self.assert_holds(site)
            self.assertEqual(list(Thief(site.folder, NEW_PASSPHRASE).objects(site.folder))[0][1:], (True, True), "the thief's tools still work with the right key")
        self.assertGreater(kills, 0)


if __name__ == "__main__":
    unittest.main()
