"""A site on a network of signers: settled by their majority, evidence that no single one of them could make, and one of them away."""
import subprocess
import unittest

from harness import VERIFY, SystemTest, files_of


class Network(SystemTest):
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
            refused = site.raw("init", "--ledger", net.socket("node1"), "--argon2-memory-mib", "8", codes=(2,))
            self.assertIn("--deployer-key", refused.stderr)
            self.assertFalse(site.folder.exists())
        site.init("--ledger", net.socket("node1"), "--deployer-key", net.folder / "deployer.key")
        first, second, third = sorted(self.samples().rglob("*.dcm"))[:3]

        self.assertEqual(site.run("import", first)["unsettled"], 0)
        (study,) = [s["studyInstanceUid"] for s in site.run("list")["studies"]]
        self.assertIn("at least 2 of its 3 signers stand on it", self.verified(site, study, 0))
        status = site.run("ledger", "status")
        self.assertEqual((status["ledger"], status["healthy"]), ("external node", True), status)
        self.assertGreaterEqual(status["head"], status["settled"] + 2)

        with self.subTest("one signer away: it goes on"):
            net.stop("node3")
            self.assertEqual(site.run("import", second, "--wait", "120")["unsettled"], 0)
        with self.subTest("two away: nothing is settled, nothing is lost, and it is said"):
            net.stop("node2")
            report = site.run("import", third, "--wait", "5")
            self.assertEqual((report["stored"], report["unsettled"]), (1, 1))
            for _ in range(3):  # each time by a program that has only just started
                waits = site.run("ledger", "status", codes=(0, 7))["outbox"]
                self.assertGreaterEqual(waits["stored"] + waits["submitted"] + waits["included"], 1, waits)
        net.start()
        self.assertTrue(site.run("ledger", "wait", "--seconds", "180", timeout=240)["settled"])
        checked = site.run("verify", "--all")
        self.assertEqual((checked["damaged"], checked["settled"], checked["studies"]), ([], checked["studies"], len(site.run("list")["studies"])))
        fsck = site.run("fsck")
        self.assertTrue(fsck["clean"], fsck)


if __name__ == "__main__":
    unittest.main(verbosity=2)
