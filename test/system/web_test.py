"""The web application in a real browser (Debian's Chromium): what people do with it, that it says what is wrong, and that everybody can use it. deploy/web builds it."""
import base64
import gzip
import hmac
import io
import json
import shutil
import struct
import subprocess
import time
import unittest

import PIL.Image
import pydicom
import requests

from harness import BIN, FIDUCIAL, ROOT, SystemTest, free_port, wait_for

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None

CHROMIUM = shutil.which("chromium")
APP = BIN.parent / "share/fiducial/web"
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
MISSING = None if sync_playwright and CHROMIUM and (APP / "index.html").exists() and AXE.exists() else "chromium, playwright or the web application is not installed (deploy/dependencies test)"
PICTURES = ROOT / "build/screenshots"
MOST_FIRST_SCRIPT = 300_000  # bytes, as they are sent


def code_of(secret, at=None):
    """What an authenticator app shows (RFC 6238: SHA-1, six digits, 30 s)."""
    mac = hmac.digest(base64.b32decode(secret + "=" * (-len(secret) % 8)), struct.pack(">Q", int(at or time.time()) // 30), "sha1")
    offset = mac[-1] & 15
    return f"{(int.from_bytes(mac[offset:offset + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


class Web(SystemTest):
    """One site and one browser for all that is tried."""

    @classmethod
    def setUpClass(cls):
        cls.browser = None
        if not MISSING:
            cls.playwright = sync_playwright().start()
            cls.addClassCleanup(cls.playwright.stop)
            cls.browser = cls.playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
            cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        super().setUp()
        self.need(MISSING)
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.archive = self.site()
        self.files = sorted(file for file in self.samples().rglob("*.dcm") if pydicom.dcmread(file, specific_tags=["Modality"]).Modality != "CT")

    def serve(self, *arguments):
        self.archive.start(*arguments)
        self.addCleanup(self.archive.stop)

    def person(self, name, roles):
        self.archive.run("person", "add", name, "--role", roles)
        return self.archive.token(name)

    def window(self, **how):
        context = self.browser.new_context(viewport={"width": 1400, "height": 900}, reduced_motion="reduce", **how)
        self.addCleanup(context.close)
        page = context.new_page()
        page.set_default_timeout(20_000)
        self.said = []
        page.on("console", lambda message: message.type in ("error", "warning") and self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        return page

    def log_in(self, token, purpose="treatment", first="Studies", **how):
        page = self.window(**how)
        page.goto(self.archive.url + "/")
        page.wait_for_url("**/login*")
        page.get_by_role("button", name="With a token instead").click()
        page.get_by_label("Token").fill(token)
        page.get_by_label("Why you look").select_option(purpose)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name=first, exact=True).wait_for()
        self.said.clear()  # the page asked before there was a session
        return page

    def fits_everybody(self, page, name):
        """A picture of the page to look at, and what axe has against it."""
        page.wait_for_load_state("load")
        page.get_by_text("Loading …").first.wait_for(state="hidden")
        page.screenshot(path=PICTURES / f"{name}.png")
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        serious = [(one["id"], one["help"], [node["html"][:160] for node in one["nodes"][:3]]) for one in found if one["impact"] in ("serious", "critical")]
        self.assertEqual(serious, [], name)
        self.assertEqual([text for text in self.said if "Content Security Policy" in text], [], name)

    def get(self, path, token, **headers):
        return requests.get(self.archive.url + path, headers={"Authorization": "Bearer " + token, **headers}, timeout=60)

    def serves_what_it_should(self):
        page = requests.get(self.archive.url + "/", timeout=60)
        again = requests.get(self.archive.url + "/app/studies/1.2.3", timeout=60)
        policy = page.headers["Content-Security-Policy"]
        nonce = policy.split("'nonce-")[1].split("'")[0]
        self.assertIn(f'nonce="{nonce}"', page.text)
        self.assertNotIn("FIDUCIAL-NONCE", page.text)
        self.assertNotIn(nonce, again.headers["Content-Security-Policy"])
        self.assertNotIn("unsafe", policy)
        self.assertNotIn("<style", page.text)
        script = page.text.split('src="')[1].split('"')[0]
        answer = requests.get(self.archive.url + script, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=60)
        sent = answer.raw.read()
        self.assertEqual((answer.headers["Content-Encoding"], answer.headers["Cache-Control"]), ("gzip", "public, max-age=31536000, immutable"))
        self.assertLessEqual(len(sent), MOST_FIRST_SCRIPT)
        self.assertEqual(gzip.decompress(sent), (APP / script.removeprefix("/web/")).read_bytes())
        self.assertEqual(requests.get(self.archive.url + script, headers={"If-None-Match": answer.headers["ETag"]}, timeout=60).status_code, 304)
        self.assertEqual(requests.get(self.archive.url + "/web/index.html", timeout=60).status_code, 404)

    def test_a_doctor_finds_a_study_and_what_vouches_for_it(self):
        self.archive.run("import", *self.files)
        token = self.person("ada", "doctor,technologist")
        self.serve()
        page = self.window()
        page.goto(self.archive.url + "/login")
        page.get_by_label("E-mail address").wait_for()
        self.fits_everybody(page, "login")
        page.get_by_role("button", name="With a token instead").click()
        page.get_by_label("Token").fill("fid_" + "0" * 64)
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("This token is not known").wait_for()
        page = self.log_in(token)
        cookie, = page.context.cookies()
        self.assertEqual((cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["expires"]), (True, True, "Strict", -1))
        self.assertNotIn(token, str(page.context.storage_state()))

        rows = page.locator("tbody tr")
        studies = {pydicom.dcmread(file, specific_tags=["StudyInstanceUID"]).StudyInstanceUID for file in self.files}
        rows.first.wait_for()
        self.assertEqual(rows.count(), len(studies))
        rows.first.get_by_role("button", name="Unchanged").wait_for()
        rows.first.locator("img").wait_for()
        self.fits_everybody(page, "studies")

        def search(**fields):
            for label, value in fields.items():
                field = page.get_by_label(label.replace("_", " "), exact=True)
                field.select_option(value) if label == "Modality" else field.fill(value)
            with page.expect_response("**/studies?*"):
                page.get_by_role("button", name="Search").click()
            page.get_by_text("Loading …").first.wait_for(state="hidden")
            return rows
        wait_for(lambda: search(Name="соко").count() == 2, 20, "a name in its own letters")
        self.assertIn("Соколов, Пётр Ильич", rows.first.inner_text())
        self.assertEqual(page.evaluate("location.href").count("%"), 0, "no names in addresses")
        search(Name="nobody at all")
        page.get_by_text("Nothing was found").wait_for()
        page.get_by_role("button", name="Clear").click()
        wait_for(lambda: rows.count() == len(studies), 20, "all of them")

        # What exactly was checked, behind the sign; then the study's own page.
        rows.first.get_by_role("button", name="Unchanged").click()
        page.get_by_text("Unchanged since").wait_for()
        page.keyboard.press("Escape")
        rows.first.get_by_role("link", name="Details of").click()
        page.get_by_role("heading", name="History").wait_for()
        study = page.url.rsplit("/", 1)[1]
        page.get_by_text("settled, block").first.wait_for()
        page.get_by_role("button", name="Verify now").click()
        page.get_by_text("what was anchored.").wait_for()
        with page.expect_download() as download:
            page.get_by_role("link", name="Evidence").first.click()
        self.assertEqual(json.loads(download.value.path().read_text()), self.get(f"/studies/{study}/evidence", token).json())
        self.fits_everybody(page, "study")
        page.get_by_role("button", name="Light or dark").click()
        self.fits_everybody(page, "study.dark")
        page.go_back()
        rows.first.wait_for()
        self.fits_everybody(page, "studies.dark")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        self.assertEqual(page.context.cookies(), [])
        self.assertEqual(requests.get(self.archive.url + "/studies", cookies={"fiducial": cookie["value"]}, timeout=60).status_code, 401)
        self.assertNotIn(token, self.archive.serve_log())

    def test_upload(self):
        token = self.person("tim", "technologist,doctor")
        self.serve()
        self.serves_what_it_should()
        page = self.log_in(token)
        page.get_by_text("There are no studies yet").wait_for()
        self.fits_everybody(page, "studies.empty")
        page.get_by_role("main").get_by_role("link", name="Upload").click()
        evil = self.folder / "<img src=x onerror=alert(1)>.txt"
        evil.write_text("not an image")
        images = self.files[:3]
        broken = self.folder / "broken.dcm"
        broken.write_bytes(images[0].read_bytes()[:132] + b"\xff" * 400)
        page.get_by_label("Choose files").last.set_input_files([*images, broken, evil])
        page.get_by_role("button", name="Upload 4 files").click()
        page.get_by_text("3 of 5 stored").wait_for()
        self.assertEqual(page.get_by_text("not stored", exact=True).count(), 1)
        self.assertEqual(page.get_by_text("no DICOM", exact=True).count(), 1)
        page.get_by_text(evil.name).wait_for()  # as text
        self.assertEqual(page.locator("main img").count(), 0)
        digests = [cell.get_attribute("title") for cell in page.locator("td.mono[title]").all()]
        self.fits_everybody(page, "upload")
        # What is here already is not stored twice, and what failed is sent again.
        page.get_by_label("Choose files").last.set_input_files(images[0])
        page.get_by_role("button", name="Upload 1 file").click()
        page.get_by_text("4 of 6 stored").wait_for()
        page.get_by_role("button", name="Send 1 file again").wait_for()
        page.get_by_role("link", name="See the studies").click()
        page.locator("tbody tr").first.wait_for()
        stored = self.get("/instances", token).json()
        self.assertEqual(len(stored), 3)

        # A photograph, and a scan, become a study.
        page.get_by_role("link", name="Upload").first.click()
        pictures = [self.folder / "arm.jpg", self.folder / "letter.png"]
        image = PIL.Image.new("RGB", (320, 200), (180, 120, 90))
        for picture in pictures:
            image.save(picture)
        page.get_by_label("Choose files").last.set_input_files(pictures)
        page.get_by_label("Family name").fill("Łukasiewicz")
        page.get_by_label("Given name").fill("Jan")
        page.get_by_label("Patient ID").fill("P-77")
        page.get_by_label("What it shows").fill("Left forearm")
        self.fits_everybody(page, "pictures")
        page.get_by_role("button", name="Store as a new study").click()
        page.get_by_text("2 of 2 stored").wait_for()
        photos = self.get("/instances?PatientID=P-77", token, Accept="application/dicom+json").json()
        self.assertEqual([one["00080016"]["Value"][0] for one in photos], ["1.2.840.10008.5.1.4.1.1.7"] * 2)
        for one in photos:
            path = "/studies/{}/series/{}/instances/{}/rendered".format(*(one[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")))
            shown = PIL.Image.open(io.BytesIO(self.get(path, token, Accept="image/png").content)).convert("RGB")
            self.assertEqual(shown.size, image.size)
            self.assertLess(max(abs(a - b) for a, b in zip(shown.getpixel((160, 100)), image.getpixel((160, 100)))), 6)
        page.get_by_role("link", name="Studies").first.click()
        page.get_by_label("Patient ID").fill(pydicom.dcmread(images[0], specific_tags=["PatientID"]).PatientID)
        page.get_by_role("button", name="Search").click()
        page.get_by_text("Łukasiewicz").wait_for(state="hidden")

        # What is wrong is taken out, with a reason, and put back.
        page.get_by_role("link", name="Details of").first.click()
        page.get_by_role("button", name="Take out").click()
        page.get_by_label("In your words").fill("motion, repeated")
        self.fits_everybody(page, "take_out")
        page.get_by_role("button", name="Take it out").click()
        page.get_by_text("Everything was taken out").wait_for()
        self.assertEqual(len(self.get("/instances", token).json()), 4)
        page.get_by_text("One image was taken out: Poor quality").wait_for()
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("button", name="Take out").wait_for()
        self.assertEqual(len(self.get("/instances", token).json()), 5)
        studies = {one["0020000D"]["Value"][0] for one in stored}
        recorded = [one["sha256"] for study in studies for one in self.get(f"/studies/{study}/record", token).json()["objects"]]
        self.assertEqual(sorted(digests[:3]), sorted(recorded), "what the browser computed is what the archive anchored")

    def test_what_is_damaged_and_what_is_denied(self):
        image = max(self.files, key=lambda file: file.stat().st_size)
        uid = pydicom.dcmread(image, specific_tags=["SOPInstanceUID"]).SOPInstanceUID
        other = pydicom.dcmread(next(file for file in self.files if file.relative_to(self.samples()).parts[0] != image.relative_to(self.samples()).parts[0]), stop_before_pixels=True)
        self.archive.run("import", image, other.filename)
        token = self.person("ada", "doctor")
        self.archive.flip(uid)
        self.archive.run("consent", "restrict", other.StudyInstanceUID, codes=(0, 1))
        self.serve()
        page = self.log_in(token)
        page.get_by_role("button", name="Damaged").wait_for()
        self.fits_everybody(page, "damaged")
        page.locator("tbody tr", has=page.get_by_role("button", name="Damaged")).get_by_role("link", name="Details of").click()
        page.get_by_role("button", name="Verify now").click()
        page.get_by_text("The image did not pass").wait_for()
        page.get_by_text(uid + ": Damaged").wait_for()
        self.fits_everybody(page, "study.damaged")

        page.goto(f"{self.archive.url}/app/studies/{other.StudyInstanceUID}")
        page.get_by_text("You may not see these images").wait_for()
        self.fits_everybody(page, "denied")
        page.get_by_role("button", name="Break the glass").click()
        page.get_by_label("In your words").fill("polytrauma, history unknown")
        self.fits_everybody(page, "break_glass")
        page.get_by_role("button", name="Open for one hour").click()
        page.get_by_text("Open until").wait_for()
        page.get_by_text("You may not see these images").wait_for(state="hidden")
        page.locator("main img").first.wait_for()
        # Loaded anew, as by the viewer, which says nothing of why it asks: the session knows.
        asked = lambda study: page.evaluate("path => fetch(path).then(answer => answer.status)", f"/studies/{study}/metadata")
        self.assertEqual(asked(other.StudyInstanceUID), 200)
        page.reload()
        page.locator("main img").first.wait_for()
        emergency, = self.archive.run("emergency", "list")["emergencies"]
        self.assertEqual(emergency["reason"], "life-threatening")

    def test_those_who_watch(self):
        self.archive.run("import", *self.files[:2])
        study = pydicom.dcmread(self.files[0], specific_tags=["StudyInstanceUID"]).StudyInstanceUID
        doctor, auditor, desk = self.person("ada", "doctor"), self.person("eve", "auditor"), self.person("dora", "desk")
        self.serve()
        post = lambda path, token, **body: requests.post(self.archive.url + path, headers={"Authorization": "Bearer " + token}, json=body, timeout=60).json()
        for _ in range(3):
            self.get(f"/studies/{study}/metadata", doctor)
        post(f"/studies/{study}/emergency", doctor, reason="life-threatening", text="unconscious, =history unknown")
        self.archive.run("ledger", "wait")
        self.archive.run("audit", "checkpoint")

        page = self.log_in(auditor, "administration", first="Trace")
        self.assertEqual(page.get_by_role("link", name="Studies").count(), 0, "an auditor sees no images")
        rows = page.get_by_role("table", name="Trace").locator("tbody tr")
        rows.first.wait_for()
        self.fits_everybody(page, "trace")
        page.get_by_label("Who", exact=True).fill("ada")
        page.get_by_label("Action").select_option("read")
        page.get_by_role("button", name="Search").click()
        wait_for(lambda: rows.count() == 3, 20, "her looks alone")
        self.assertIn("looked at images", rows.first.inner_text())
        with page.expect_download() as download:
            page.get_by_role("button", name="Table for a spreadsheet").click()
        self.assertEqual(len(download.value.path().read_text().splitlines()), 4)
        rows.first.get_by_role("button", name="Proof of entry").click()
        page.get_by_text("Proved in the checkpoint of").wait_for()
        self.fits_everybody(page, "trace.proof")
        with page.expect_download() as download:
            page.get_by_role("button", name="Proof as a file").click()
        key = page.get_by_role("dialog").locator(".mono").inner_text()
        self.archive.run("audit", "verify", download.value.path(), "--key", key)
        page.keyboard.press("Escape")

        def lie(route):
            told = route.fetch().json()
            entry = bytearray(base64.b64decode(told["proof"].split("extra ")[1].split("\n")[0]))
            entry[-1] ^= 1
            told["proof"] = told["proof"].replace(told["proof"].split("extra ")[1].split("\n")[0], base64.b64encode(entry).decode())
            route.fulfill(json=told)
        page.route("**/trace/proof*", lie)
        rows.nth(1).get_by_role("button", name="Proof of entry").click()
        page.get_by_text("It does not give what the chain holds").wait_for()
        page.keyboard.press("Escape")
        page.get_by_label("Who", exact=True).fill("nobody at all")
        page.get_by_role("button", name="Search").click()
        page.get_by_text("there is no person or device of this name here").wait_for()
        page.get_by_role("tab", name="Broken glass").click()
        page.get_by_text("unconscious").wait_for()
        page.get_by_text("Life is in danger").wait_for()
        self.fits_everybody(page, "trace.glass")
        page.get_by_role("button", name="What was looked at by ada").click()
        rows.first.wait_for()
        page.get_by_role("button", name="Light or dark").click()
        self.fits_everybody(page, "trace.dark")

        page.get_by_role("link", name="Ledger").click()
        page.get_by_role("heading", name="Settings").wait_for()
        page.get_by_text("anchors 2 study versions").or_(page.get_by_text("anchors 1 study version")).first.click()
        page.get_by_text("A study's version 1 is anchored").first.wait_for()
        page.get_by_text("a doctor broke the glass").wait_for()
        page.get_by_text("a checkpoint of the trace").first.wait_for()
        page.get_by_role("row", name="this archive's gateway").last.get_by_text("ETH").wait_for()
        self.fits_everybody(page, "ledger.dark")
        page.get_by_role("button", name="Light or dark").click()
        self.fits_everybody(page, "ledger")
        page.get_by_label("Only what is mine").check()
        page.get_by_text("a doctor broke the glass").wait_for(state="hidden")

        # The patient, who has come in by the desk's letter.
        letter = post("/letters", desk, studyInstanceUid=study)
        requests.post(self.archive.url + "/links/use", headers={"Sec-Fetch-Site": "same-origin"}, timeout=60,
                      json={"name": "Jane Doe", "email": "jane@example.org", "password": "seven purple umbrellas", "link": letter["link"].split("#")[1], "code": letter["code"]}).raise_for_status()
        self.archive.run("ledger", "wait")
        jane = self.window()
        jane.goto(self.archive.url + "/login")
        jane.get_by_label("E-mail address").fill("jane@example.org")
        jane.get_by_label("Password", exact=True).fill("seven purple umbrellas")
        jane.get_by_label("Why you look").select_option("personal")
        jane.get_by_role("button", name="Log in").click()
        jane.get_by_role("heading", name="Studies").wait_for()
        jane.goto(f"{self.archive.url}/app/studies/{study}")
        jane.get_by_text("ada looked at images").wait_for()
        jane.get_by_text("ada broke the glass").wait_for()
        self.fits_everybody(jane, "study.who_looked")

    def test_what_waits(self):
        image = max(self.files, key=lambda file: file.stat().st_size)
        uid = pydicom.dcmread(image, specific_tags=["SOPInstanceUID"]).SOPInstanceUID
        self.archive.set("dimse", peers=[f"SCP 127.0.0.1 device=scp port={free_port()}"], forward=["SCP"])
        self.archive.run("device", "add", "scp", "--may", "retrieve")
        self.archive.run("import", image)
        mend = self.archive.flip(uid)
        self.archive.run("fsck", "--repair", codes=None)
        token = self.person("root", "administrator")
        self.serve("--dimse", "127.0.0.1:0")
        page = self.log_in(token, "administration")
        page.get_by_role("link", name="Queues").click()
        waiting, damaged = (page.get_by_role("table", name=name).locator("tbody tr") for name in ("For peers", "Found damaged"))
        waiting.first.wait_for()
        self.assertIn(uid, damaged.first.inner_text())
        self.fits_everybody(page, "queues")
        damaged.first.get_by_role("button", name="Take it back").click()
        page.get_by_role("alert").first.wait_for()
        self.assertEqual(damaged.count(), 1, "its bytes are not mended yet")
        mend()
        damaged.first.get_by_role("button", name="Take it back").click()
        page.get_by_text("No object was found damaged").wait_for()
        waiting.first.get_by_role("button", name="Try again: delivery").click()
        page.get_by_text("One delivery is tried again").wait_for()
        waiting.first.get_by_role("button", name="Give up: delivery").click()
        self.fits_everybody(page, "queues.give_up")
        page.get_by_role("button", name="Give it up").click()
        page.get_by_text("Nothing waits for a peer").wait_for()

    def test_people_come_in(self):
        self.serve()
        admin = self.window()
        admin.goto(f"{self.archive.url}/app/link#{self.archive.run('person', 'link')['link'].split('#')[1]}")
        admin.get_by_role("heading", name="Welcome: you are the first administrator").wait_for()
        self.fits_everybody(admin, "link")

        def enrol(page):
            page.get_by_role("heading", name="Set up your second factor").wait_for()
            page.get_by_role("img", name="QR code").wait_for()
            page.get_by_label("Code", exact=True).fill(code_of(page.locator(".mono").inner_text()))
            page.get_by_role("button", name="Confirm").click()
            page.get_by_role("heading", name="Keep these recovery codes").wait_for()
            codes = page.locator("main li").all_inner_texts()
            self.assertEqual(len(set(codes)), 10)
            return codes
        admin.get_by_label("Your name").fill("Anna Müller")
        admin.get_by_label("E-mail address").fill("anna@example.org")
        admin.get_by_label("Phone").fill("12")
        admin.get_by_label("Password", exact=True).fill("violet anchors drift")
        admin.get_by_role("button", name="Go on").click()
        admin.locator("#root [aria-invalid=true]").wait_for()
        admin.get_by_label("Phone").fill("+41 44 668 18 00")
        admin.get_by_role("button", name="Go on").click()
        admin.get_by_role("heading", name="Set up your second factor").wait_for()
        self.said.clear()
        self.fits_everybody(admin, "enrol")
        enrol(admin)
        self.fits_everybody(admin, "recovery_codes")
        admin.get_by_role("button", name="I have kept them").click()
        admin.get_by_role("heading", name="Studies").wait_for()

        bob = self.window()
        bob.goto(self.archive.url + "/app/register")
        bob.get_by_label("Your name").fill("Bob Ødegård")
        bob.get_by_label("E-mail address").fill("bob@example.org")
        bob.get_by_label("Phone").fill("+41 44 668 18 01")
        bob.get_by_label("Password", exact=True).fill("green tables hum softly")
        self.fits_everybody(bob, "register")
        bob.get_by_role("button", name="Ask for an account").click()
        bob.get_by_text("Told: Anna Müller").wait_for()
        self.fits_everybody(bob, "waiting")

        admin.get_by_role("link", name="People").click()
        admin.get_by_text("1 person waits").wait_for()
        self.fits_everybody(admin, "people")
        admin.get_by_role("button", name="Activate Bob").click()
        self.assertTrue(admin.get_by_role("checkbox", name="Doctor").is_checked())
        admin.get_by_role("dialog").get_by_role("button", name="Activate").click()
        admin.get_by_text("Bob Ødegård is active").wait_for()
        admin.get_by_role("button", name="Invite").click()
        admin.get_by_role("checkbox", name="Technologist").check()
        admin.get_by_role("button", name="Make the link").click()
        admin.get_by_text("/app/link#lnk_").wait_for()
        self.fits_everybody(admin, "invited")
        admin.keyboard.press("Escape")

        bob.get_by_role("link", name="To the log-in").click()
        bob.get_by_label("E-mail address").fill("bob@example.org")
        bob.get_by_label("Password", exact=True).fill("green tables hum softly")
        bob.get_by_role("button", name="Log in").click()
        codes = enrol(bob)
        bob.get_by_role("button", name="I have kept them").click()
        bob.get_by_role("heading", name="Studies").wait_for()
        self.assertEqual(bob.get_by_role("link", name="People").count(), 0, "pages are shown by role")
        bob.get_by_role("link", name="Bob Ødegård").click()
        bob.get_by_text("Second factor on, 10 recovery codes left").wait_for()
        bob.get_by_label("What for").fill("the ward's screen")
        bob.get_by_role("button", name="Make a token").click()
        bob.get_by_text("Copy it now").wait_for()
        self.fits_everybody(bob, "account")
        bob.get_by_role("link", name="messages").or_(bob.get_by_role("link", name="message not read")).first.click()
        bob.get_by_role("heading", name="Messages").wait_for()
        self.fits_everybody(bob, "inbox")
        bob.get_by_role("button", name="Log out").click()
        bob.get_by_label("E-mail address").fill("bob@example.org")
        bob.get_by_label("Password", exact=True).fill("green tables hum softly")
        bob.get_by_role("button", name="Log in").click()
        bob.get_by_label("Code", exact=True).fill(codes[0])
        bob.get_by_role("button", name="Confirm").click()
        bob.get_by_role("heading", name="Studies").wait_for()

        admin.get_by_role("button", name="Deactivate Bob").click()
        admin.get_by_text("is logged out and may do nothing any more").wait_for()
        bob.get_by_role("button", name="Search").click()
        bob.wait_for_url("**/login*")

    def test_the_demo(self):
        served = subprocess.Popen([FIDUCIAL, "--json", "demo", "--site", self.folder / "demo", "--serve"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(served.wait)
        self.addCleanup(served.stdout.close)
        self.addCleanup(served.terminate)
        said = ""
        while '"url"' not in said:
            line = served.stdout.readline()
            self.assertTrue(line, said)
            said += line
        url = "http" + said.split('"url": "http', 1)[1].split('"')[0]
        page = self.window()
        page.goto(url + "/")
        page.get_by_role("heading", name="Who do you want to be?").wait_for()
        self.fits_everybody(page, "demo")
        page.get_by_role("button", name="Doctor").click()
        page.get_by_text("these patients do not exist").wait_for()
        rows = page.locator("tbody tr")
        rows.first.wait_for()
        self.assertEqual(rows.count(), 24)
        self.said.clear()
        rows.first.get_by_role("link", name="Details of").click()
        page.get_by_role("button", name="Flip one bit").click()
        page.get_by_text("The image did not pass").wait_for()
        page.get_by_text("damaged", exact=True).wait_for()
        page.get_by_text(": Damaged").wait_for()
        self.fits_everybody(page, "demo.flipped")
        page.get_by_role("button", name="Flip it back").click()
        page.get_by_text("The image is what was anchored").wait_for()
        page.get_by_role("button", name="Be somebody else").click()
        page.get_by_role("button", name="Doctor").click()
        rows.first.wait_for()
        page.get_by_role("button", name="Be somebody else").click()
        page.get_by_role("button", name="Administrator").click()
        page.get_by_role("link", name="Health").click()
        page.get_by_text("All is well").wait_for()
        self.fits_everybody(page, "demo.health")

    def test_an_administrator(self):
        token = self.person("root", "administrator")
        self.serve("--dimse", "127.0.0.1:0")
        page = self.log_in(token, "administration")
        page.get_by_role("link", name="Queues").click()
        page.get_by_text("Nothing waits for a peer").wait_for()
        page.get_by_text("are free").wait_for()
        self.fits_everybody(page, "queues.empty")
        page.get_by_role("link", name="Peers").click()
        page.get_by_text("No peer is let in yet").wait_for()
        self.fits_everybody(page, "peers.empty")
        page.get_by_label("Line").fill("CT2 127.0.0.1 plain device=ct2 port=1")
        page.get_by_role("button", name="Let in").click()
        page.get_by_role("cell", name="CT2", exact=True).wait_for()
        page.get_by_role("button", name="Ask all").click()
        wait_for(lambda: "refused" in page.locator("tbody tr").first.inner_text().lower() or "not" in page.locator("tbody tr").first.inner_text().lower(), 20, "it does not answer")
        self.fits_everybody(page, "peers")
        page.get_by_role("button", name="Take CT2 back").click()
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("cell", name="CT2", exact=True).wait_for()
        page.get_by_role("link", name="Health").click()
        page.get_by_text("All is well").wait_for()
        self.fits_everybody(page, "health")
        page.goto(self.archive.url + "/app/nothing")
        page.get_by_role("heading", name="There is no such page").wait_for()
        self.fits_everybody(page, "no_such_page")


if __name__ == "__main__":
    unittest.main()
