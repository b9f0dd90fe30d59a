"""A site on a network of signers: settled by their majority, evidence that no single one of them could make, and one of them away."""
import subprocess
import unittest

from harness import FIDUCIAL, VERIFY, SystemTest, files_of, wait_for


class Network(SystemTest):
    def network(self, signers):
        folder = self.folder / "net"
        subprocess.run([FIDUCIAL, "ledger", "network", str(signers), folder, "--period", "1"], check=True, capture_output=True)
        self.addCleanup(lambda: (folder / "stop").exists() and subprocess.run([folder / "stop"]))
        subprocess.run([folder / "start"], check=True)
        wait_for(lambda: all((folder / f"node{n + 1}/geth.ipc").exists() for n in range(signers)), 60, "the nodes answer")
        return folder

    def verified(self, site, study, code):
        bundle, trust, out = self.folder / "bundle.json", self.folder / "trust.json", self.folder / f"out-{study}"
        site.raw("evidence", study, "--out", bundle)
        trust.write_text(site.raw("trust").stdout)
        site.run("export", study, "--to", out)
        verified = subprocess.run([VERIFY, bundle, "--trust", trust, files_of(out)[0]], capture_output=True, text=True)
        self.assertEqual(verified.returncode, code, verified.stdout + verified.stderr)
        return verified.stdout

    def test_three_signers_and_two_of_them(self):
        net = self.network(3)
        site = self.site(init=False)
        with self.subTest("real ether is never taken unasked"):
            refused = site.raw("init", "--ledger", net / "node1/geth.ipc", "--argon2-memory-mib", "8", codes=(2,))
            self.assertIn("--deployer-key", refused.stderr)
            self.assertFalse(site.folder.exists())
        site.init("--ledger", net / "node1/geth.ipc", "--deployer-key", net / "deployer.key")
        first, second, third = sorted(self.samples().rglob("*.dcm"))[:3]

        self.assertEqual(site.run("import", first)["unsettled"], 0)
        (study,) = [s["studyInstanceUid"] for s in site.run("list")["studies"]]
        self.assertIn("at least 2 of its 3 signers stand on it", self.verified(site, study, 0))
        status = site.run("ledger", "status")
        self.assertEqual((status["ledger"], status["healthy"]), ("external node", True), status)
        self.assertGreaterEqual(status["head"], status["settled"] + 2)

        with self.subTest("one signer away: it goes on"):
            subprocess.run([net / "stop", "node3"], check=True)
            self.assertEqual(site.run("import", second, "--wait", "120")["unsettled"], 0)
        with self.subTest("two away: nothing is settled, nothing is lost, and it is said"):
            subprocess.run([net / "stop", "node2"], check=True)
            report = site.run("import", third, "--wait", "5")
            self.assertEqual((report["stored"], report["unsettled"]), (1, 1))
        subprocess.run([net / "start"], check=True)
        self.assertTrue(site.run("ledger", "wait", "--seconds", "180", timeout=240)["settled"])
        checked = site.run("verify", "--all")
        self.assertEqual((checked["damaged"], checked["settled"], checked["studies"]), ([], checked["studies"], len(site.run("list")["studies"])))
        fsck = site.run("fsck")
        self.assertTrue(fsck["clean"], fsck)


if __name__ == "__main__":
    unittest.main(verbosity=2)
