"""What a person at the command line meets: answers, exit codes, interruptions, other people's files."""
import json
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import unittest
import urllib.error
import urllib.request
import zlib

import numpy
import pydicom
import zxingcpp
from harness import BIN, FAKETIME, FIDUCIAL, PASSPHRASE, VERIFY, SystemTest, files_of, missing, sha256, wait_for

TIME_ERROR = 5  # of adjtimex(2): the clock is kept by no time service
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class Permissions(SystemTest):
    """Commands of another user end with a sentence and the exit code for it."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            self.skipTest("only root can act as another user (setpriv)")
        self.folder.chmod(0o755)
        self.program = self.folder / "fiducial"  # where everybody can reach it
        shutil.copy(FIDUCIAL, self.program)

    def as_nobody(self, *arguments):
        environment = {**os.environ, "FIDUCIAL_PASSPHRASE": PASSPHRASE, "NO_COLOR": "1", "HOME": "/nonexistent"}
        return subprocess.run([*NOBODY, self.program, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=60, cwd="/")

    def test_the_site_of_another_user(self):
        site = self.site()
        for command in (["list"], ["fsck"], ["serve"], ["trust"], ["config", "check"], ["key", "rotate"], ["demo"]):
            with self.subTest(command=command):
                said = self.as_nobody(*command, "--site", site.folder)
                self.assertEqual(said.returncode, 14, said.stderr)
                self.assertIn("Permission denied", said.stderr)
        self.assertIn("run this as the user who owns the site", self.as_nobody("list", "--site", site.folder).stderr)

    def test_folders_that_cannot_be_entered_or_made(self):
        closed = self.folder / "closed"
        closed.mkdir(mode=0o700)
        for command in (["init", "--site", closed / "site"], ["init", "--site", self.folder / "site"], ["demo", "--site", closed / "site"]):
            with self.subTest(command=command):
                said = self.as_nobody(*command)
                self.assertEqual(said.returncode, 14, said.stderr)
                self.assertIn("Permission denied", said.stderr)

    def test_an_export_folder_that_cannot_be_made(self):
        site = self.site()
        self.assertEqual(site.run("export", "--all", "--to", "/proc/nowhere", codes=None)["error"]["code"], "not_found")
        open_to_all = self.folder / "open"
        shutil.copytree(site.folder, open_to_all, ignore=shutil.ignore_patterns("*.sock", "*.ipc"))
        subprocess.run(["chown", "-R", "65534:65534", open_to_all], check=True)
        (self.folder / "closed").mkdir(mode=0o700)
        said = self.as_nobody("--site", open_to_all, "export", "--all", "--to", self.folder / "closed" / "copy")
        self.assertEqual(said.returncode, 14, said.stderr)


class Interrupted(SystemTest):
    """Ctrl-C: what was done is said, nothing is claimed of the rest, and the same command again takes the rest."""

    def interrupt(self, site, *arguments, at):
        """SIGINT as soon as `at` shows on the command's terminal. Returns the exit code and all that it said."""
        terminal, inside = pty.openpty()
        process = subprocess.Popen([FIDUCIAL, *map(str, arguments)], env=site.environment(), stdout=inside, stderr=inside, start_new_session=True)
        os.close(inside)
        said = b""
        while True:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # the command ended
                break
            asked = at in said
            said += piece
            if not asked and at in said:
                process.send_signal(signal.SIGINT)
        os.close(terminal)
        return process.wait(60), said.decode().replace("\r\n", "\n")

    def import_and_resume(self, site):
        files = sorted(self.samples().rglob("*.dcm"))
        folders = sorted(one for one in self.samples().iterdir() if one.is_dir())
        code, said = self.interrupt(site, "import", "--each", *folders, at=b"stored ")
        self.assertEqual(code, 8, said)
        self.assertIn("run the same command again", said)
        stored = int(re.search(r"^(?:.*\x1b\[K)?(\d+) stored,", said, re.M).group(1))
        self.assertTrue(0 < stored < len(files), said)
        again = site.run("import", *folders)
        self.assertEqual((again["duplicates"], again["stored"], again["interrupted"]), (stored, len(files) - stored, False))

    def test_import(self):
        site = self.site()
        self.import_and_resume(site)
        self.assertEqual(site.run("fsck")["findings"], [])
        with self.subTest("verify"):
            code, said = self.interrupt(site, "verify", "--all", at=b" studies")
            self.assertEqual(code, 8, said)
            self.assertIn("interrupted", said)
            self.assertNotIn("every byte is what was anchored", said)
            done = int(re.search(r"in (\d+) stud", said).group(1))
            self.assertLess(done, len(site.run("list")["studies"]))

    def test_import_through_a_running_archive(self):
        site = self.site()
        with site.serving():
            self.import_and_resume(site)
            with self.subTest("verify"):
                code, said = self.interrupt(site, "verify", "--all", at=b" studies")
                self.assertEqual(code, 8, said)
                self.assertNotIn("every byte is what was anchored", said)


class NodeAway(SystemTest):
    def test_nothing_is_called_clean_that_was_not_compared(self):
        site = self.site()
        site.run("import", *sorted(self.samples().rglob("*.dcm"))[:2])
        configuration = site.folder / "fiducial.toml"
        configuration.write_text(configuration.read_text().replace('geth = ""', 'geth = "/nonexistent/geth"'))
        fsck = site.run("fsck", codes=(7,))
        self.assertEqual((fsck["clean"], fsck["findings"]), (False, []))
        self.assertNotIn(": clean", site.raw("fsck", codes=(7,)).stdout)
        self.assertEqual(site.run("verify", "--all", codes=(7,))["damaged"], [])
        self.assertIn("nothing was compared", site.raw("verify", "--all", codes=(7,)).stdout)

    def test_a_clock_that_went_an_hour_ahead(self):
        """As far as a test may go that does not set the machine's clock: what is known of the clock is put an hour back, and no time service keeps it."""
        alone = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", f"inject=adjtimex,clock_adjtime:retval={TIME_ERROR}"]
        self.need(missing("strace"))
        if subprocess.run([*alone, "true"], capture_output=True).returncode != 0:
            self.skipTest("tracing is not allowed here")
        site = self.site()
        known = site.folder / "ledger/clock"
        boot, booted = known.read_text().split()
        known.write_text(f"{boot} {int(booted) - 3600_000}\n")
        image, later = sorted(self.samples().rglob("*.dcm"))[:2]
        with site.serving(under=alone):
            report = site.run("import", image, "--wait", "0")
            self.assertEqual((report["stored"], report["unsettled"]), (1, 1), "storing goes on")
            status = site.run("ledger", "status", codes=(7,))
            self.assertIn("60 minutes ahead", status["node"]["problem"])
            self.assertIn("trust-clock", status["node"]["problem"])
            site.run("ledger", "trust-clock")
            self.assertTrue(site.run("ledger", "wait", "--seconds", "60")["settled"], "the node has started by itself")
        self.assertEqual(site.run("import", later)["unsettled"], 0)

    def test_a_clock_that_is_set_while_the_archive_runs(self):
        """The archive's clock alone: faketime reads from a file by how much it is off."""
        self.need(missing("faketime"))
        off = self.folder / "off"
        off.write_text("+0\n")
        site = self.site()
        site.run("person", "add", "watch", "--role", "security-officer")
        with site.serving(environment={"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(off), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}) as url:
            token = site.token("watch")

            def said(path):
                request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {token}"})
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.read().decode()

            def jumps():
                return float(re.search(r"^fiducial_clock_jumps_total (\S+)$", said("/metrics"), re.M)[1])

            self.assertEqual((jumps(), [note for note in json.loads(said("/readyz"))["notes"] if note.startswith("clock")]), (0, []))
            for count, offset, way in ((1, "+600", "ahead"), (2, "+0", "back")):
                off.write_text(offset + "\n")
                wait_for(lambda: jumps() == count, 20, f"the clock was set {way}")
                self.assertRegex(said("/readyz"), f"it was set (599|600) s {way}")
                self.assertRegex(site.serve_log(), f"clock_jump.*set (599|600) s {way}")


class People(SystemTest):
    def looks(self, site, token, study):
        request = urllib.request.Request(f"{site.url}/studies/{study}/record", headers={"Authorization": f"Bearer {token}"})
        try:
            return urllib.request.urlopen(request, timeout=30).status
        except urllib.error.HTTPError as error:
            return error.code

    def test_what_is_taken_away_counts_at_once(self):
        site = self.site()
        site.run("import", sorted(self.samples().rglob("*.dcm"))[0])
        study = site.run("list")["studies"][0]["studyInstanceUid"]
        site.run("person", "add", "ada", "--role", "doctor")
        with site.serving():
            token = site.token("ada")
            self.assertEqual(self.looks(site, token, study), 200)
            denial = site.run("deny", "add", "--person", "ada", "--study", study, "--reason", "a court order")["id"]
            self.assertEqual(self.looks(site, token, study), 403)
            self.assertEqual([(one["person"], one["reason"]) for one in site.run("deny", "list")["denials"]], [("ada", "a court order")])
            site.run("deny", "remove", str(denial))
            self.assertEqual(self.looks(site, token, study), 200)
            gone = site.run("person", "deactivate", "ada")
            self.assertEqual((gone["tokensRevoked"], gone["onLedger"]), (1, True))
            self.assertEqual(self.looks(site, token, study), 401)
            self.assertEqual(self.looks(site, site.token("ada"), study), 403)
            site.run("person", "activate", "ada")
            self.assertEqual(site.run("deny", "list")["denials"], [])
            self.assertEqual(self.looks(site, token, study), 401)
            self.assertEqual(self.looks(site, site.token("ada"), study), 200)
            site.run("person", "deactivate", "operator", codes=(2,))

    def test_with_the_node_away(self):
        site = self.site()
        site.run("person", "add", "ada", "--role", "doctor")
        configuration = site.folder / "fiducial.toml"
        configuration.write_text(configuration.read_text().replace('geth = ""', 'geth = "/nonexistent/geth"'))
        self.assertFalse(site.run("person", "deactivate", "ada", codes=(7,))["onLedger"])
        self.assertEqual([one["person"] for one in site.run("deny", "list")["denials"]], ["ada"])
        configuration.write_text(configuration.read_text().replace('geth = "/nonexistent/geth"', 'geth = ""'))
        self.assertTrue(site.run("person", "deactivate", "ada")["onLedger"])
        self.assertEqual(len(site.run("deny", "list")["denials"]), 1)


class NextTrustFile(SystemTest):
    def test_the_next_one_of_a_site_that_seals_alone(self):
        site, other = self.site(), self.site("other")
        image = sorted(self.samples().rglob("*.dcm"))[0]
        site.run("import", image)
        study = site.run("list")["studies"][0]["studyInstanceUid"]
        bundle, first, second, signature = (self.folder / name for name in ("bundle.json", "trust.1.json", "trust.2.json", "own.sig"))
        site.raw("evidence", study, "--out", bundle)
        first.write_text(site.raw("trust").stdout)
        self.assertIn("would say the same", site.run("trust", "next", second, codes=(6,))["error"]["message"])
        configuration = site.folder / "fiducial.toml"
        configuration.write_text(configuration.read_text().replace('"Test site"', '"St. Luke"'))
        made = site.run("trust", "next", second)
        self.assertEqual((made["version"], made["needed"], made["changes"]), (2, 1, ["institution Test site is called St. Luke"]))

        def refused(who, *arguments, code=11):
            return who.run("trust", *arguments, codes=(code,))["error"]["message"]

        with self.subTest("another site signs it not, and takes it not"):
            self.assertIn("another chain", refused(other, "sign", second, "--yes"))
            key = self.folder / "key"
            key.write_text("11" * 32)
            by_key = other.raw("trust", "sign", second, "--key", key, "--yes", "--out", signature)
            self.assertIn("Nothing was compared with the chain", by_key.stderr)
            for one in json.loads(second.read_text())["contracts"]:
                self.assertIn(f"contract {one['name']} at {one['address']} with code {one['code_hash']}", by_key.stderr)
            self.assertIn("signed by 0 of the 1 signers", refused(site, "accept", second, signature))
            self.assertIn("another one", refused(other, "accept", second, signature))
        self.signers_see_what_they_sign(site, second)
        signed = site.raw("trust", "sign", second, "--yes")
        self.assertIn("New in it:\n  institution Test site is called St. Luke\n", signed.stderr)
        signature.write_text(signed.stdout)
        with self.subTest("a signature of one file is none of another"):
            self.assertIn("not for", refused(site, "accept", first, signature))
        accepted = site.run("trust", "accept", second, signature)
        self.assertEqual((accepted["version"], accepted["sha256"]), (2, sha256(second)))
        self.assertEqual(site.raw("trust").stdout, second.read_text())
        for trust in (first, second):
            verified = subprocess.run([VERIFY, bundle, "--trust", trust, image], capture_output=True, text=True)
            self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        self.assertIn("St. Luke", verified.stdout)
        with site.serving():
            site.raw("evidence", study, "--out", bundle)
        self.assertEqual(json.loads(bundle.read_text())["trust"], {"sha256": "0x" + sha256(second), "version": 2})


    def on_a_terminal(self, site, answer, *arguments):
        ours, theirs = os.openpty()
        with os.fdopen(ours, "r+b", buffering=0) as keyboard:
            process = subprocess.Popen([FIDUCIAL, *map(str, arguments)], env=site.environment(), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            os.close(theirs)
            keyboard.write(answer.encode() + b"\n")
            out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def signers_see_what_they_sign(self, site, made):
        """Before anything is signed: what it is, a person's yes, and the contracts' code on the chain."""
        out = self.folder / "none.sig"

        def changed(name, change):
            content = json.loads(made.read_text())
            change(content)
            file = self.folder / name
            file.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")))
            return file, content

        with self.subTest("nobody to ask"):
            refused = site.raw("trust", "sign", made, "--out", out, codes=(2,), stdin=subprocess.DEVNULL)
            self.assertIn("is called St. Luke", refused.stderr)
            self.assertIn("--yes", refused.stderr)
        with self.subTest("asked on a terminal"):
            code, printed, shown = self.on_a_terminal(site, "n", "trust", "sign", made, "--out", out)
            self.assertNotEqual(code, 0, shown)
            self.assertIn("is called St. Luke", shown)
            self.assertFalse(out.exists())
            code, printed, shown = self.on_a_terminal(site, "y", "trust", "sign", made)
            self.assertEqual((code, "fid.trust_signatures1" in printed), (0, True), shown)
        with self.subTest("a new contract of other code, or of none, is not signed"):
            def with_contract(code_hash=None, address=None):
                def change(content):
                    studies = next(c for c in content["contracts"] if c["name"] == "Studies")
                    content["contracts"].append({**studies, "name": "Zeta", "address": address or studies["address"], "code_hash": code_hash or studies["code_hash"]})
                return change
            for change, says in ((with_contract(code_hash="0x" + "11" * 32), "on the chain its code is"), (with_contract(address="0x" + "22" * 20), "no code there")):
                refused = site.raw("trust", "sign", changed("code.json", change)[0], "--yes", "--out", out, codes=(11,))
                self.assertIn(says, refused.stderr)
                self.assertFalse(out.exists())
            same, _ = changed("code.json", with_contract())
            self.assertIn("contract Zeta at", site.raw("trust", "sign", same, "--yes").stderr)

        def another_hospitals(code_hash=None):
            def change(content):
                content["previous"] = "0x" + "33" * 32
                members, studies = (next(c for c in content["contracts"] if c["name"] == name) for name in ("Members", "Studies"))
                studies.update(address=members["address"], code_hash=code_hash or members["code_hash"])
                content["institutions"][0].update(name="St. Mary", gateway="0x" + "44" * 20)
            return change
        with self.subTest("another hospital's file is printed whole, and its code is compared, too"):
            file, content = changed("mary.json", another_hospitals())
            shown = site.raw("trust", "sign", file, "--yes").stderr
            self.assertIn("another hospital's", shown)
            for one in content["contracts"]:
                self.assertIn(f"contract {one['name']} at {one['address']} with code {one['code_hash']}", shown)
            for one in content["institutions"]:
                self.assertIn(f"institution {one['name']} ({one['id']}) anchors by account {one['gateway']}", shown)
            self.assertIn(content["signer_sets"][0]["signers"][0], shown)
            self.assertEqual(site.run("trust", "sign", file, "--yes")["comparedWithChain"], True)
            self.assertIn("on the chain its code is", site.run("trust", "sign", changed("mary.json", another_hospitals("0x" + "11" * 32))[0], "--yes", codes=(11,))["error"]["message"])
        with self.subTest("nor is another period signed"):
            def other_period(content):
                another_hospitals()(content)
                content["chain"]["period"] += 1
            self.assertIn("period", site.run("trust", "sign", changed("mary.json", other_period)[0], "--yes", codes=(11,))["error"]["message"])


class NoNode(SystemTest):
    def test_import_does_not_wait_for_a_node_that_cannot_start(self):
        site = self.site()
        configuration = site.folder / "fiducial.toml"
        configuration.write_text(configuration.read_text().replace('geth = ""', 'geth = "/nonexistent/geth"'))
        report = site.run("import", "--wait", "86400", sorted(self.samples().rglob("*.dcm"))[0], timeout=120)
        self.assertEqual((report["stored"], report["unsettled"]), (1, 1))
        site.run("ledger", "wait", "--seconds", "86400", codes=(5,), timeout=120)  # says that there is no geth


class Demo(SystemTest):
    def demo(self, *arguments, code=0):
        ran = subprocess.run([FIDUCIAL, *arguments], cwd=self.folder, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, timeout=300)
        self.assertEqual(ran.returncode, code, ran.stdout + ran.stderr)
        return ran

    def test_twice_and_served(self):
        self.assertIn("All of it worked", self.demo("demo", "--site", "one").stdout)
        steps = json.loads(self.demo("--json", "demo", "--site", "one").stdout)
        self.assertTrue(steps["ok"])
        self.assertEqual([step["step"][0] for step in steps["steps"]], list("123456"))
        with self.subTest("what it prints to be tried works as it stands there"), socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", 8043))  # the port of the settings: another one is taken then
                taken.listen()
            except OSError:
                pass  # somebody else has it
            served = subprocess.Popen([FIDUCIAL, "demo", "--site", "one", "--serve"], cwd=self.folder, env={**os.environ, "NO_COLOR": "1"},
                                      stdout=subprocess.PIPE, text=True)
            said = ""
            for line in served.stdout:
                said += line
                if line.startswith("Ctrl-C stops"):
                    break
            lines = "\n".join(line.strip() for line in said.split("The archive runs at")[1].splitlines() if line.startswith("  "))
            self.assertEqual(lines.count("curl"), 3, said)
            tried = subprocess.run(["bash", "-e", "-c", lines], env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}, capture_output=True, text=True, timeout=60)
            served.send_signal(signal.SIGINT)
            served.stdout.close()
            self.assertEqual(served.wait(60), 0)
            self.assertEqual(tried.returncode, 0, lines + tried.stdout + tried.stderr)
            self.assertIn("Verified", tried.stdout)

    def test_a_real_site_is_left_alone(self):
        site = self.site()
        before = files_of(self.folder)
        self.assertEqual(site.raw("demo", codes=(6,)).returncode, 6)
        self.assertEqual(files_of(self.folder), before)


class Settings(SystemTest):
    def test_check_refuses_what_serve_refuses(self):
        site = self.site()
        configuration = site.folder / "fiducial.toml"
        as_made = configuration.read_text()
        self.assertTrue(site.run("config", "check")["valid"])
        for key, value, word in (("listen", '"0.0.0.0:8043"', "TLS"), ("listen", '"abc"', "port"), ("listen", '"nowhere:8043"', "numeric"),
                                 ("tls_certificate", '"/nonexistent/chain.pem"\ntls_key = "/nonexistent/key.pem"', "/nonexistent/chain.pem"),
                                 ("extra_attributes", '["NoSuchThing"]', "NoSuchThing"), ("geth", '"/nonexistent/geth"', "/nonexistent/geth"),
                                 ("poll_ms", "5", "10 to 60000")):
            with self.subTest(key=key, value=value):
                text = re.sub(rf"^{key} = .*$", f"{key} = {value}", as_made, flags=re.M)
                configuration.write_text(re.sub(r'^tls_key = ""\n', "", text, flags=re.M) if key == "tls_certificate" else text)
                refused = site.raw("config", "check", codes=None)
                self.assertNotEqual(refused.returncode, 0)
                self.assertIn(word, refused.stderr)
                self.assertIn("fiducial.toml", refused.stderr)

    def test_a_ledger_that_is_not_the_sites(self):
        """Settings and folder of another ledger are refused or found, never taken silently."""
        site = self.site()
        configuration = site.folder / "fiducial.toml"
        as_made = configuration.read_text()
        for url, word in (("http://127.0.0.1:8545", "a chain of its own"),):
            configuration.write_text(as_made.replace('url = ""', f'url = "{url}"'))
            for command in (["config", "check"], ["list"]):
                refused = site.raw(*command, codes=(2,))
                self.assertIn(word, refused.stderr)
                self.assertIn("fiducial.toml", refused.stderr)
        configuration.write_text(as_made)
        site.run("import", sorted(self.samples().rglob("*.dcm"))[0])
        other = self.site("other")
        (site.folder / "ledger").rename(self.folder / "own-ledger")
        shutil.copytree(other.folder / "ledger", site.folder / "ledger", ignore=shutil.ignore_patterns("*.ipc"))
        found = site.run("fsck", codes=(10,))["findings"]
        self.assertEqual([f["kind"] for f in found], ["foreign_ledger"])
        self.assertIn("belongs to another chain", found[0]["what"])
        shutil.rmtree(site.folder / "ledger")
        (self.folder / "own-ledger").rename(site.folder / "ledger")
        self.assertEqual(site.run("fsck")["findings"], [])

    def test_a_key_file_that_others_can_read(self):
        site = self.site()
        self.assertNotIn("key file", site.raw("list").stderr)
        (site.folder / "keys/site.key").chmod(0o644)
        self.assertIn("chmod 600", site.raw("list").stderr)

    def test_defaults_and_completion_in_json(self):
        site = self.site(init=False)
        self.assertEqual(site.run("config", "defaults")["http"]["listen"], "127.0.0.1:8043")
        self.assertIn("_fiducial", site.run("completion", "bash")["script"])


class TrustFile(SystemTest):
    def read(self, image):
        found = zxingcpp.read_barcodes(image)
        self.assertEqual(len(found), 1)
        return found[0].text

    def test_its_qr_code(self):
        """On the screen and on paper, read by another program."""
        site = self.site(init=False)
        made = site.raw("init", "--argon2-memory-mib", "8").stdout
        code = "FIDUCIAL:TRUST:1:" + sha256(site.folder / "trust.json").upper()
        for text in (made, site.raw("trust", "--qr", "--svg", self.folder / "code.svg").stdout):
            self.assertIn(sha256(site.folder / "trust.json"), text)
            rows = []
            for line in (line for line in text.splitlines() if len(line) > 30 and set(line) <= set("█▀▄ ")):
                rows.append([character in "█▀" for character in line])
                rows.append([character in "█▄" for character in line])
            self.assertEqual(self.read(numpy.kron(numpy.array(rows, dtype=numpy.uint8) * 255, numpy.ones((8, 8), dtype=numpy.uint8))), code)
        drawing = (self.folder / "code.svg").read_text()
        side = int(re.search(r'viewBox="0 0 (\d+)', drawing)[1])
        paper = numpy.full((side, side), 255, dtype=numpy.uint8)
        for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", drawing):
            paper[int(y), int(x)] = 0
        self.assertEqual(self.read(numpy.kron(paper, numpy.ones((8, 8), dtype=numpy.uint8))), code)


class Usage(SystemTest):
    def said(self, *arguments, code):
        return self.site("none", init=False).raw(*arguments, codes=(code,))

    def test_what_is_wrong_is_named(self):
        for arguments, word in ((["bogus"], "bogus"), (["key", "bogus"], "bogus"), (["list", "--bogus"], "bogus"), (["list", "--from", "garbage"], "YYYYMMDD"),
                                (["list", "--to", "20241301"], "20241301"), (["list", "--limit", "0"], "limit"), (["import", "--wait", "-5", "x"], "wait"),
                                (["init", "--argon2-memory-mib", "abc"], "abc"), (["help", "bogus"], "bogus")):
            with self.subTest(arguments=arguments):
                self.assertIn(word, self.said(*arguments, code=2).stderr)
                self.assertIn(word, json.loads(self.said("--json", *arguments, code=2).stdout)["error"]["message"])

    def test_a_ledger_that_does_not_answer_is_named_with_its_port(self):
        self.assertIn("http://127.0.0.1:1:", self.said("init", "--ledger", "http://127.0.0.1:1", code=7).stderr)
        self.assertIn("path of an IPC socket", self.said("init", "--ledger", "ws://127.0.0.1:1", code=2).stderr)

    def test_a_place_that_is_taken_is_named_before_a_passphrase_is_asked_for(self):
        (self.folder / "none").mkdir()
        (self.folder / "none" / "file").write_text("here already")
        taken = self.site("none", init=False).raw("init", codes=(6,), environment={"FIDUCIAL_PASSPHRASE": ""})
        self.assertIn("is not empty", taken.stderr)

    def test_init_interrupted(self):
        """Nothing is left of a site that was not made."""
        site = self.site("site", init=False)
        process = subprocess.Popen([FIDUCIAL, "init"], env=site.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: list(self.folder.glob("site.making-*")), 20, "the site's folder")
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        self.assertEqual((process.returncode, list(self.folder.iterdir())), (8, []), said)
        self.assertIn("no site was made", said)

    def test_help(self):
        self.assertIn("12 wrong passphrase", self.said("help", "exit-codes", code=0).stdout)
        self.assertIn("set-aside", self.said("help", code=0).stdout)
        self.assertIn("--new-passphrase-file", self.said("help", "key", "rotate", code=0).stdout)
        self.assertEqual(self.said("--version", code=0).stdout, self.said("version", code=0).stdout)

    def test_nothing_there_and_nothing_that_matches(self):
        site = self.site()
        self.assertIn("bring some in", site.raw("list").stdout)
        (self.folder / "empty").mkdir()
        self.assertIn("nothing to import was found", site.raw("import", self.folder / "empty", codes=(1,)).stdout)
        site.run("import", sorted(self.samples().rglob("*.dcm"))[0])
        self.assertIn("nothing matches", site.raw("list", "--name", "zzz").stdout)
        self.assertIn("1 object in 1 study", site.raw("verify", "--all").stdout)


class SetAside(SystemTest):
    """Another object under a known UID is kept apart until somebody decides."""

    def test_accept_and_discard(self):
        site = self.site()
        files = sorted(self.samples().rglob("*.dcm"))[:2]
        site.run("import", *files)
        for number, file in enumerate(files):
            image = pydicom.dcmread(file)
            pixels = bytearray(image.PixelData)
            pixels[0] ^= 1
            image.PixelData = bytes(pixels)
            image.save_as(self.folder / f"other{number}.dcm")
        report = site.run("import", self.folder / "other0.dcm", self.folder / "other1.dcm", codes=(1,))
        self.assertEqual(report["setAside"], 2)
        waiting = {one["sopInstanceUid"]: one for one in site.run("set-aside", "list")["setAside"]}
        uids = [str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in files]
        self.assertEqual(set(waiting), set(uids))
        self.assertTrue(all(one["reason"] for one in waiting.values()))
        self.assertEqual(site.run("set-aside", "accept", waiting[uids[0]]["objectId"], "--reason", "the right one")["state"], "current")
        self.assertEqual(site.run("set-aside", "discard", waiting[uids[1]]["objectId"], "--reason", "a mistake")["state"], "discarded")
        self.assertEqual(site.run("set-aside", "list")["setAside"], [])
        self.assertTrue(site.run("ledger", "wait")["settled"])
        site.run("export", "--all", "--to", self.folder / "out")
        came_out = {path.stem: sha256(path) for path in files_of(self.folder / "out")}
        self.assertEqual(came_out[uids[0]], sha256(self.folder / "other0.dcm"))
        self.assertEqual(came_out[uids[1]], sha256(files[1]))
        self.assertEqual(site.run("fsck")["findings"], [])

    def test_all_that_came_of_a_study(self):
        """A known UID comes as the first of another study: that study has nothing else, and still its image goes out and can be decided about."""
        site = self.site()
        file = sorted(self.samples().rglob("*.dcm"))[0]
        image = pydicom.dcmread(file)
        site.run("import", file)
        image.StudyInstanceUID += ".1"
        image.save_as(self.folder / "elsewhere.dcm")
        self.assertEqual(site.run("import", self.folder / "elsewhere.dcm", codes=(1,))["setAside"], 1)
        self.assertEqual(site.run("export", "--set-aside", "--to", self.folder / "out")["files"], 1)
        self.assertEqual(sha256(files_of(self.folder / "out")[0]), sha256(self.folder / "elsewhere.dcm"))
        (waiting,) = site.run("set-aside", "list")["setAside"]
        self.assertEqual(site.run("set-aside", "accept", waiting["objectId"], "--reason", "it was the wrong study")["state"], "current")
        self.assertTrue(site.run("ledger", "wait")["settled"])
        self.assertEqual(site.run("export", image.StudyInstanceUID, "--to", self.folder / "accepted")["files"], 1)
        self.assertEqual(site.run("fsck")["findings"], [])


class Superseded(SystemTest):
    """An X-ray that came as PNG, and then again as DICOM with another header: the earlier version goes out as it came."""

    def test_export(self):
        site = self.site()
        brought = self.folder / "in/P1 Doe/chest.png"
        brought.parent.mkdir(parents=True)
        chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # noqa: E731
        rows = b"".join(b"\0" + bytes((x * y) % 251 for x in range(64)) for y in range(64))
        brought.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
        self.assertEqual(site.run("import", self.folder / "in")["stored"], 1)
        site.run("export", "--all", "--dicom", "--to", self.folder / "dicom")
        image = pydicom.dcmread(files_of(self.folder / "dicom")[0])
        image.StudyDescription = "corrected"
        image.save_as(self.folder / "corrected.dcm")
        self.assertEqual(site.run("import", self.folder / "corrected.dcm")["newVersions"], 1)
        site.run("export", "--all", "--superseded", "--to", self.folder / "out")
        self.assertEqual([(one.suffix, sha256(one)) for one in files_of(self.folder / "out")], [(".png", sha256(brought))])


class Recovery(SystemTest):
    """The passphrase is lost: two of three shares open the site again."""

    def test_shares_and_a_new_passphrase(self):
        site = self.site(init=False)
        shares = site.init()["recoveryShares"]
        files = []
        for number, share in enumerate(shares):
            files.append(self.folder / f"share{number}")
            files[-1].write_text(share)
        fresh = {"FIDUCIAL_PASSPHRASE": "a new passphrase"}
        with self.subTest("too few, mistyped, of another site"):
            self.assertEqual(site.raw("key", "recover", "--share-file", files[0], codes=None, environment=fresh).returncode, 2)
            (self.folder / "typo").write_text(("2" if shares[1][0] != "2" else "3") + shares[1][1:])
            typo = site.raw("key", "recover", "--share-file", files[0], "--share-file", self.folder / "typo", codes=(3,), environment=fresh)
            self.assertIn("group 1", typo.stderr)
            other = self.site("other")
            wrong = other.raw("key", "recover", "--share-file", files[0], "--share-file", files[1], codes=(6,), environment=fresh)
            self.assertIn("another site", wrong.stderr)
            site.run("list")
        made = json.loads(site.raw("--json", "key", "recover", "--share-file", files[2], "--share-file", files[0], environment=fresh).stdout)
        self.assertEqual(site.raw("list", codes=None).returncode, 12)
        site.raw("list", environment=fresh)
        with self.subTest("used shares are of no more use; the new ones are, typed"):
            self.assertEqual(site.raw("key", "recover", "--share-file", files[0], "--share-file", files[1], codes=None, environment=fresh).returncode, 6)
            new = made["recoveryShares"]
            typed = f"{new[0]}\n\n{new[0].lower()}\n\n{shares[1][:10]}\n\n{new[1]}\n\n"
            ran = subprocess.run([FIDUCIAL, "key", "recover"], env={**site.environment(), "FIDUCIAL_PASSPHRASE": "a third"}, input=typed, capture_output=True, text=True)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            self.assertIn("given already", ran.stderr)
            site.raw("list", environment={"FIDUCIAL_PASSPHRASE": "a third"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
