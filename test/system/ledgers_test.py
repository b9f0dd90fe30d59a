"""The same archive on chains of other makers: development chains, which say of themselves that they prove nothing to a stranger."""
import contextlib
import os
import platform
import socket
import subprocess
import unittest

from harness import ROOT, VERIFY, SystemTest, free_port, wait_for

MODULES = ROOT / "contracts/node_modules"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
ANVIL = MODULES / f"@foundry-rs/anvil-linux-{MACHINE}/bin/anvil"
GANACHE = MODULES / ".bin/ganache"


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
REQUIRED = "FIDUCIAL_TOOLS_REQUIRED" in os.environ


class Ledgers(SystemTest):
    def on_chain(self, arguments, port):
        log = open(self.folder / "node.log", "wb")
        node = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=self.folder, env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder)})
        self.addCleanup(log.close)
        self.addCleanup(node.wait)
        self.addCleanup(node.kill)
        wait_for(lambda: answers(port), 60, f"{arguments[0]} listens")

        site = self.site(init=False)
        site.init("--ledger", f"http://127.0.0.1:{port}")
        files = sorted(self.samples().rglob("*.dcm"))[:3]
        report = site.run("import", *files)
        self.assertEqual((report["stored"], report["unsettled"]), (len(files), 0))
        status = site.run("ledger", "status")
        self.assertEqual((status["ledger"], status["healthy"]), ("development chain", True), status)
        self.assertNotIn("node", status)

        studies = [s["studyInstanceUid"] for s in site.run("list")["studies"]]
        instance = site.run("show", studies[0])["objects"][0]
        site.run("export", "--all", "--to", self.folder / "out")
        image = self.folder / "out" / studies[0] / instance["seriesInstanceUid"] / (instance["sopInstanceUid"] + ".dcm")
        bundle, trust = self.folder / "bundle.json", self.folder / "trust.json"
        site.raw("evidence", studies[0], "--out", bundle)
        trust.write_text(site.raw("trust").stdout)
        verified = subprocess.run([VERIFY, bundle, "--trust", trust, image], capture_output=True, text=True)
        self.assertEqual(verified.returncode, 13, verified.stdout + verified.stderr)
        self.assertIn("development chain", verified.stdout)
        altered = bytearray(image.read_bytes())
        altered[-1] ^= 1
        image.write_bytes(altered)
        self.assertEqual(subprocess.run([VERIFY, bundle, "--trust", trust, image], capture_output=True).returncode, 10)

        checked = site.run("verify", "--all")
        self.assertEqual((checked["damaged"], checked["settled"]), ([], len(studies)))
        self.assertEqual(site.run("fsck")["findings"], [])
        return site, node

    @unittest.skipUnless(ANVIL.exists() or REQUIRED, "anvil is not installed: run deploy/dependencies test")
    def test_anvil(self):
        port = free_port()
        site, node = self.on_chain([ANVIL, "--port", str(port), "--silent"], port)
        with self.subTest("with the node away nothing is lost, and it is said"):
            node.kill()
            node.wait()
            away = site.run("verify", "--all", codes=(7,))  # own staff, by the last state seen
            self.assertEqual((away["damaged"], away["settled"]), ([], 0), "nothing counts as settled that could not be looked up")
            self.assertEqual({state["state"] for state in away["states"]}, {"ledger not reached"})

    @unittest.skipUnless(GANACHE.exists() or REQUIRED, "Ganache 7.9.2 is not installed: run deploy/dependencies test")
    def test_ganache(self):
        port = free_port()
        self.on_chain(["/usr/bin/env", "node", GANACHE, "--server.port", str(port), "--server.host", "127.0.0.1", "--chain.hardfork", "london",
                       "--miner.blockGasLimit", "300000000"], port)


if __name__ == "__main__":
    unittest.main(verbosity=2)
