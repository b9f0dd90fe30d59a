"""What is shipped beside the program: its bill of materials, its hardening, and the service that runs it in a sandbox."""
import json
import os
import re
import subprocess
import unittest

from harness import FIDUCIAL, ROOT, VERIFY, SystemTest, missing, sha256

UNIT = ROOT / "deploy/fiducial.service"
LEAST_EXPOSED = 1.6  # of systemd-analyze's 0 (none) to 10


def output(*command):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


class BillOfMaterials(unittest.TestCase):
    def test_names_all_that_the_programs_load(self):
        bill = json.loads(output(ROOT / "deploy/sbom", FIDUCIAL, VERIFY))
        self.assertEqual((bill["bomFormat"], bill["specVersion"]), ("CycloneDX", "1.5"))
        names = {component["name"] for component in bill["components"]}
        for wanted in ("libssl3", "libdcmtk17", "libsodium23", "libsqlite3-0", "libc6", "libboost1.81-dev", "@openzeppelin/contracts", "go-ethereum", "@ohif/app"):
            self.assertIn(wanted, names)
        for component in bill["components"]:
            self.assertTrue(component["version"], component)
            self.assertIn(component["version"], component["purl"])
        self.assertEqual(output(ROOT / "deploy/sbom", FIDUCIAL, VERIFY), json.dumps(bill, indent=2) + "\n")  # the same build, the same bill

    def test_the_one_beside_the_programs_is_theirs(self):
        bill = json.loads(FIDUCIAL.with_name("fiducial.cdx.json").read_text())
        hashes = {file["name"]: file["hashes"][0]["content"] for file in bill["metadata"]["component"]["components"]}
        self.assertEqual(hashes, {program.name: sha256(program) for program in (FIDUCIAL, VERIFY)})


class Hardening(SystemTest):
    def test_flags_of_the_programs(self):
        self.need(missing("readelf"))
        for program in (FIDUCIAL, VERIFY):
            with self.subTest(program=program.name):
                self.assertRegex(output("readelf", "-h", program), r"Type:\s+DYN")  # position independent
                headers = output("readelf", "-lW", program)
                self.assertIn("GNU_RELRO", headers)
                self.assertRegex(headers, r"GNU_STACK.* RW ")  # no executable stack
                self.assertRegex(output("readelf", "-dW", program), r"BIND_NOW|FLAGS_1.*NOW")
                symbols = output("readelf", "--dyn-syms", "-W", program)
                self.assertIn("__stack_chk_fail@", symbols)
                self.assertRegex(symbols, r"__(memcpy|snprintf|fprintf)_chk@")  # _FORTIFY_SOURCE
                self.assertIn("__glibcxx_assert_fail", symbols)


class Service(SystemTest):
    def test_the_unit_is_valid_and_exposes_little(self):
        self.need(missing("systemd-analyze"))
        unit = self.folder / UNIT.name
        unit.write_text(UNIT.read_text().replace("/usr/bin/fiducial", str(FIDUCIAL)))
        checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
        self.assertNotIn(UNIT.name, checked.stderr)
        judged = subprocess.run(["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True).stdout
        exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", judged)[1])
        self.assertLessEqual(exposure, LEAST_EXPOSED, judged)

    def allowed(self):
        """The system calls that the unit's filter lets through."""
        sets, name = {}, None
        for line in output("systemd-analyze", "syscall-filter").splitlines():
            if line.startswith("@"):
                name = line.strip()
                sets[name] = []
            elif name and line.strip() and not line.strip().startswith("#"):
                sets[name].append(line.strip())

        def members(item):
            return {call for inner in sets[item] for call in members(inner)} if item.startswith("@") else {item}
        calls = set()
        for words in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.M):
            listed = {call for item in words.lstrip("~").split() for call in members(item)}
            calls = calls - listed if words.startswith("~") else calls | listed
        return calls | members("@default")

    def test_archive_and_node_use_no_system_call_that_the_unit_denies(self):
        self.need(missing("systemd-analyze", "strace"))
        calls = self.folder / "calls"
        if subprocess.run(["strace", "-o", calls, "true"], capture_output=True).returncode != 0:
            self.skipTest("tracing is not allowed here")
        site = self.site()
        gone_without = {"fchown"} if os.geteuid() == 0 else set()  # SQLite, as root only
        server = subprocess.Popen(["strace", "-f", "-c", "-U", "name", "-o", calls, FIDUCIAL, "--json", "serve", "--listen", "127.0.0.1:0"], env=site.environment(),
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            while '"url"' not in (line := server.stdout.readline()):
                self.assertTrue(line, "the archive did not start")
            report = site.run("import", sorted(self.samples().rglob("*.dcm"))[0])
            self.assertEqual(report["stored"], 1)
            site.run("verify", "--all")
        finally:
            traced = output("pgrep", "-P", server.pid).split()
            for process in traced:
                subprocess.run(["kill", "-TERM", process], check=False)
            server.wait(60)
            server.stdout.close()
        used = {line.strip() for line in calls.read_text().splitlines()} - {"syscall", "total", "name"}
        used = {call for call in used if re.fullmatch(r"[a-z0-9_]+", call)}
        self.assertGreater(len(used), 40)
        self.assertTrue(used & {"adjtimex", "clock_adjtime"}, "nobody asks whether a time service keeps the clock")
        self.assertEqual(used - self.allowed() - gone_without, set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
