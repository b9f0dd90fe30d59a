"""The README's examples, run as they stand there."""
import re
import subprocess
import unittest

from harness import BIN, ROOT, SystemTest


class Readme(SystemTest):
    def test_a_site_of_your_own_and_verifying_an_image(self):
        text = (ROOT / "README.md").read_text()
        blocks = dict(re.findall(r"^## (A site of your own|Verify an image yourself)\n+```\n(.*?)```", text, re.S | re.M))
        self.assertEqual(len(blocks), 2)
        image = sorted(self.samples().rglob("*.dcm"))[0]
        site = self.site("clinic", init=False)
        environment = {**site.environment(), "PATH": f"{BIN}:{site.environment()['PATH']}"}
        environment.pop("FIDUCIAL_SITE")

        def shell(line):
            ran = subprocess.run(["bash", "-c", line], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120)
            self.assertEqual(ran.returncode, 0, f"{line}\n{ran.stdout}\n{ran.stderr}")
            return ran.stdout

        for line in blocks["A site of your own"].splitlines():
            command = line.split("  #")[0].rstrip()
            if not command or command.startswith(("export PATH", "fiducial serve")):
                continue
            shell(command.replace("/media/cdrom", str(image)).replace("/mnt/backup", str(self.folder / "backup")))
        shown = site.run("list")["studies"][0]
        instance = site.run("show", shown["studyInstanceUid"])["objects"][0]["sopInstanceUid"]
        said = ""
        for line in blocks["Verify an image yourself"].splitlines():
            command = line.split("  #")[0].rstrip()
            if command:
                said = shell(command.replace("STUDY", shown["studyInstanceUid"]).replace("--instance IMAGE", f"--instance {instance}").replace("image.dcm", str(image)))
        self.assertIn("Verified", said)


class CommandLine(SystemTest):
    def test_every_command_explains_itself(self):
        fiducial = BIN / "fiducial"
        top = subprocess.run([fiducial, "--help"], capture_output=True, text=True)
        self.assertEqual(top.returncode, 0)
        names = re.findall(r"^  ([a-z-]+) {2,}\S", top.stdout.split("Subcommands:")[1], re.M)
        self.assertGreaterEqual(len(names), 18)
        for name in names:
            said = subprocess.run([fiducial, name, "--help"], capture_output=True, text=True)
            self.assertEqual(said.returncode, 0, name)
            self.assertIn("Usage", said.stdout)
        wrong = subprocess.run([fiducial, "no-such-command"], capture_output=True, text=True)
        self.assertEqual(wrong.returncode, 2)

    def test_completion_script_is_sound(self):
        for shell in ("bash",):
            script = subprocess.run([BIN / "fiducial", "completion", shell], capture_output=True, text=True).stdout
            check = f'{script}\nCOMP_WORDS=(fiducial key ro); COMP_CWORD=2; _fiducial; echo "${{COMPREPLY[@]}}"'
            ran = subprocess.run([shell, "-c", check], capture_output=True, text=True)
            self.assertEqual((ran.returncode, ran.stdout.strip()), (0, "rotate"), ran.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
