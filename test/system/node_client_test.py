"""dicomweb-client of npm, which viewers use, by itself: stores, finds and fetches what pydicom reads in the files."""
import json
import shutil
import subprocess
import unittest

import pydicom
from pydicom.uid import generate_uid

from dimse_test import digest, make_image
from harness import ROOT, SystemTest

FOLDER = ROOT / "test/node"
MISSING = None if shutil.which("node") and (FOLDER / "node_modules/dicomweb-client").exists() else "node or its packages are not installed (deploy/dependencies test)"


class NodeClient(SystemTest):
    def test_dicomweb_client(self):
        self.need(MISSING)
        study, folder = generate_uid(), self.folder / "images"
        folder.mkdir()
        files = [make_image(folder / f"{number}.dcm", study, generate_uid(), number) for number in range(3)]
        images = {pydicom.dcmread(file).SOPInstanceUID: (pydicom.dcmread(file), file) for file in files}
        site = self.site()
        site.run("import", *files[:-1])
        site.run("person", "add", "ada", "--role", "doctor,technologist")
        with site.serving():
            ran = subprocess.run(["node", "dicomweb.mjs", site.url, site.token("ada"), study, files[-1]], cwd=FOLDER, capture_output=True, text=True, timeout=60)
        self.assertEqual(ran.returncode, 0, ran.stderr[-3000:])
        got = json.loads(ran.stdout)
        first, file = images[got["instance"]]
        self.assertEqual((got["studies"], got["series"], got["metadata"]), ([study], sorted(image.SeriesInstanceUID for image, _ in images.values()), sorted(images)))
        self.assertEqual(got["whole"], sorted(digest(one.read_bytes()) for one in files))
        self.assertEqual((got["one"], got["frame"], got["rendered"]), (digest(file.read_bytes()), digest(first.PixelData), "ffd8ff"))


if __name__ == "__main__":
    unittest.main()
