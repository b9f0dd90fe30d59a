"""What a person at the command line meets: answers, exit codes, interruptions, other people's files."""
import os
import pty
import re
import shutil
import signal
import subprocess
import unittest

from harness import FIDUCIAL, PASSPHRASE, SystemTest

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
