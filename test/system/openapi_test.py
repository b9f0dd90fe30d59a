"""The description of the HTTP routes (docs/reference/openapi.json), held against a running archive by Schemathesis: what is described is answered as described."""
import json
import subprocess
import sys
import unittest

import pydicom
import requests

from harness import ROOT, SystemTest

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance,unsupported_method"
ENOUGH_S = 8


class OpenApi(SystemTest):
    def test_described_and_answered_alike(self):
        site = self.site()
        file = sorted(self.samples().rglob("*.dcm"))[0]
        site.run("import", file.parent)
        site.run("person", "add", "ada", "--role", "doctor,technologist")
        token = site.token("ada")
        head = pydicom.dcmread(file, stop_before_pixels=True)
        described = json.loads((ROOT / "docs/reference/openapi.json").read_text())
        parameters = described["components"]["parameters"]
        real = {"study": head.StudyInstanceUID, "series": head.SeriesInstanceUID, "instance": head.SOPInstanceUID, "studyUID": head.StudyInstanceUID, "seriesUID": head.SeriesInstanceUID, "objectUID": head.SOPInstanceUID,
                "frames": "1", "requestType": "WADO", "limit": 3, "viewport": "20,30", "quality": 50}
        for name, value in real.items():
            parameters[name]["example"] = value
        file = self.folder / "openapi.json"
        file.write_text(json.dumps(described))
        with site.serving():
            ran = subprocess.run([sys.executable, "-m", "schemathesis.cli", "run", file, "--url", site.url, "-H", f"Authorization: Bearer {token}", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing",
                                  "--max-examples", "5", "--max-time", str(ENOUGH_S), "--generation-deterministic", "--no-color", "--continue-on-failure", "--exclude-tag", "STOW-RS", "--exclude-tag", "corrections"], capture_output=True, text=True, timeout=120, cwd=self.folder)
            self.assertEqual(ran.returncode, 0, ran.stdout[-12_000:] + ran.stderr[-2_000:])
            self.assertEqual(requests.get(site.url + "/healthz", timeout=10).text.strip(), "alive")


if __name__ == "__main__":
    unittest.main()
