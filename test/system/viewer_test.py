"""Images in a real browser: the way into the viewer, and the viewer, as a radiologist uses them. The pages before it: web_test.py. Chromium is Debian's; the viewer is what deploy/viewer installs."""
import io
import shutil
import unittest

import numpy
import pydicom
import requests

from harness import BIN, ROOT, SystemTest, wait_for

try:
    from playwright.sync_api import TimeoutError as PlaywrightTimeout
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None

CHROMIUM = shutil.which("chromium")
VIEWER = BIN.parent / "share/fiducial/viewer"
APP = BIN.parent / "share/fiducial/web"
MISSING = None if sync_playwright and CHROMIUM and all((folder / "index.html").exists() for folder in (VIEWER, APP)) else "chromium, playwright, the viewer or the web application is not installed (deploy/dependencies test)"
PICTURES = ROOT / "build/pictures"
# No GPU: Chromium draws WebGL by itself.
ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--disable-dev-shm-usage"]
SLOW = 120_000  # ms; a busy machine without a GPU

# What a canvas shows, scaled down: a row of greys for each line.
GREYS = """canvas => { const small = document.createElement('canvas'); small.width = 256; small.height = Math.round(256 * canvas.height / canvas.width);
  const context = small.getContext('2d'); context.drawImage(canvas, 0, 0, small.width, small.height);
  const data = context.getImageData(0, 0, small.width, small.height).data;
  return [small.width, small.height, Array.from({length: data.length / 4}, (_, i) => data[4 * i])]; }"""


def greys(canvas):
    width, height, values = canvas.evaluate(GREYS)
    return numpy.array(values, dtype=numpy.uint8).reshape(height, width)


def body_proportions(picture):
    """Width by height of what is not black."""
    rows, columns = numpy.nonzero(picture > 24)
    return (columns.max() - columns.min() + 1) / (rows.max() - rows.min() + 1) if rows.size else 0


class Viewer(SystemTest):
    def setUp(self):
        super().setUp()
        self.need(MISSING)
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.archive = self.site()
        # A CT of a chest, and what else there is of the same patient and another one.
        ct = next(file for file in sorted(self.samples().rglob("*.dcm")) if pydicom.dcmread(file, specific_tags=["Modality"]).Modality == "CT")
        self.files = sorted(ct.parent.parent.rglob("*.dcm"))
        self.images = [pydicom.dcmread(file) for file in self.files]
        self.ct = [image for image in self.images if image.Modality == "CT"]
        self.archive.run("import", *self.files)
        self.archive.run("person", "add", "ada", "--role", "doctor,technologist")
        self.token = self.archive.token("ada")
        self.archive.start()
        self.addCleanup(self.archive.stop)
        playwright = sync_playwright().start()
        self.addCleanup(playwright.stop)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        self.addCleanup(browser.close)
        self.context = browser.new_context(viewport={"width": 1400, "height": 900})
        self.page = self.context.new_page()
        self.page.set_default_timeout(SLOW)
        self.broken, self.errors = [], []
        self.page.on("response", lambda answer: answer.status >= 400 and self.broken.append((answer.status, answer.url)))
        self.page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def log_in(self):
        self.page.goto(self.archive.url + "/")
        self.page.wait_for_url("**/login*")
        self.page.get_by_role("button", name="With a token instead").click()
        self.page.get_by_label("Token").fill(self.token)
        self.page.get_by_role("button", name="Log in").click()
        self.page.locator("tbody tr").first.wait_for()
        self.broken.clear(), self.errors.clear()  # the page asked before there was a session

    def search(self, **fields):
        for label, value in fields.items():
            self.page.get_by_label(label).select_option(value)
        with self.page.expect_response("**/studies?*"):
            self.page.get_by_role("button", name="Search").click()
        self.page.get_by_text("Loading …").wait_for(state="hidden")
        return self.page.locator("tbody tr")

    def shows(self, canvas, what, check):
        last = []

        def look():
            last[:] = [greys(canvas)]
            return check(last[0])
        try:
            wait_for(look, SLOW / 1000, what)
        except AssertionError:
            self.page.screenshot(path=PICTURES / "failed.png")
            raise AssertionError(f"{what}: proportions {body_proportions(last[0])}, greys {last[0].mean()}; {self.broken}; {self.errors}")
        return last[0]

    def report_of(self, study):
        """The one structured report of a study, as DICOMweb gives it."""
        def get(path, accept):
            answer = requests.get(self.archive.url + path, headers={"Authorization": "Bearer " + self.token, "Accept": accept}, timeout=60)
            answer.raise_for_status()
            return answer
        found, = get(f"/studies/{study}/instances?Modality=SR", "application/dicom+json").json()
        series, instance = found["0020000E"]["Value"][0], found["00080018"]["Value"][0]
        return pydicom.dcmread(io.BytesIO(get(f"/studies/{study}/series/{series}/instances/{instance}", "application/dicom; transfer-syntax=*").content))

    def test_a_ct_is_read_measured_and_read_again(self):
        page = self.page
        self.log_in()
        self.search(Modality="CT").get_by_role("link").first.click()
        canvas = page.locator("[data-cy=viewport-pane] canvas.cornerstone-canvas").first
        canvas.wait_for()
        page.get_by_text("Confirm and hide").click()

        # The image is the one that was stored: the body's outline has its proportions.
        first = max(self.ct, key=lambda image: image.ImagePositionPatient[2])
        stored = (first.pixel_array * float(first.RescaleSlope) + float(first.RescaleIntercept) > -110).astype(numpy.uint8) * 255
        wanted = body_proportions(stored)
        shown = self.shows(canvas, "the CT is shown", lambda picture: abs(body_proportions(picture) / wanted - 1) < 0.03 and picture.mean() > 10)
        self.assertGreater(len(numpy.unique(shown)), 20, "greys")
        self.assertTrue(page.evaluate("crossOriginIsolated"), "a page that may share memory")
        page.screenshot(path=PICTURES / "ct.png")

        # A length is measured and stored as a structured report.
        page.locator("[data-cy=Length-btn]").first.click()
        box = canvas.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x - 80, y)
        page.mouse.down()
        page.mouse.move(x + 80, y - 20, steps=5)
        page.mouse.up()
        page.get_by_role("button", name="Yes", exact=True).click()
        page.locator("[data-cy=trackedMeasurements-btn]").click()
        page.get_by_role("button", name="Create SR").click()
        page.get_by_role("dialog").get_by_role("textbox").first.fill("Width")
        with page.expect_response(lambda answer: answer.request.method == "POST") as stored:
            page.get_by_role("button", name="Save", exact=True).click()
        self.assertEqual(stored.value.status, 200)
        report = self.report_of(first.StudyInstanceUID)
        self.assertEqual(report.ContentTemplateSequence[0].TemplateIdentifier, "1500")
        length, = (float(element.value[0].NumericValue) for element in report.iterall() if element.keyword == "MeasuredValueSequence")

        # It is there again, with the same length, for whoever opens the study next.
        page.goto(f"{self.archive.url}/ohif/viewer?StudyInstanceUIDs={first.StudyInstanceUID}")
        # Asked for once the study itself is shown: what is chosen before, the viewer's first layout puts away again.
        self.shows(canvas, "the CT is shown again", lambda picture: picture.mean() > 10)
        measured = page.locator("svg").get_by_text(f"{length:.2f} mm").first

        def chosen():
            page.locator("[data-cy=study-browser-thumbnail-no-image]").dblclick()
            try:
                measured.wait_for(timeout=SLOW / 4)
            except PlaywrightTimeout:
                return False
            return True
        wait_for(chosen, SLOW / 1000, "the stored measurement")
        page.screenshot(path=PICTURES / "measured.png")

        # Reformatted: three planes, each of the volume's proportions.
        page.goto(f"{self.archive.url}/ohif/viewer?StudyInstanceUIDs={first.StudyInstanceUID}&hangingprotocolId=mpr")
        panes = page.locator("[data-cy=viewport-pane] canvas.cornerstone-canvas")
        wait_for(lambda: panes.count() == 3, SLOW / 1000, "three planes")
        for i in range(3):
            self.shows(panes.nth(i), f"plane {i + 1}", lambda picture: body_proportions(picture) > 0 and len(numpy.unique(picture)) > 20)
        page.screenshot(path=PICTURES / "mpr.png")
        self.assertEqual(self.broken, [])
        self.assertEqual([text for text in self.errors if "Content Security Policy" in text], [])

    def test_a_study_of_twenty_series(self):
        study, folder = pydicom.uid.generate_uid(), self.folder / "twenty"
        folder.mkdir()
        for number in range(1, 21):
            series = pydicom.uid.generate_uid()
            for image in self.ct[:12]:
                image.StudyInstanceUID, image.SeriesInstanceUID, image.SeriesNumber, image.SOPInstanceUID = study, series, number, pydicom.uid.generate_uid()
                image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
                image.save_as(folder / f"{number}-{image.InstanceNumber}.dcm")
        self.archive.run("import", folder)
        self.log_in()
        asked = []
        self.page.on("request", lambda request: f"/studies/{study}" in request.url and asked.append(request.url.split("?")[0]))
        self.page.goto(f"{self.archive.url}/ohif/viewer?StudyInstanceUIDs={study}")
        canvas = self.page.locator("[data-cy=viewport-pane] canvas.cornerstone-canvas").first
        canvas.wait_for()
        self.page.get_by_text("Confirm and hide").click()
        self.shows(canvas, "the first image is shown", lambda picture: len(numpy.unique(picture)) > 20)
        self.page.screenshot(path=PICTURES / "twenty_series.png")
        self.assertEqual([url for url in asked if url.endswith(f"/studies/{study}/metadata")], [], "never the whole study's metadata at once")
        wait_for(lambda: len({url for url in asked if url.endswith("/metadata")}) == 20, SLOW / 1000, "each series' own")
        thumbnails = self.page.locator("[data-cy^=study-browser-thumbnail]")
        wait_for(lambda: thumbnails.count() >= 20, SLOW / 1000, "all series in the list")
        self.assertEqual(self.broken, [])


if __name__ == "__main__":
    unittest.main()
