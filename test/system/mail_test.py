"""E-mail against a real SMTP server (aiosmtpd, with STARTTLS and log-in): confirmation, each event, a new password, a server that is away or refuses, and kills in between."""
import email
import email.policy
import logging
import pathlib
import re
import signal
import ssl
import subprocess
import time
import unittest

import pydicom
import requests
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from accounts_test import ADA, OTHER, PASSWORD, Browser
from harness import CommandFailed, SystemTest, free_port, wait_for

logging.getLogger("mail.log").setLevel(logging.ERROR)
PUBLIC = "https://pacs.example.org"
SMTP_USER, SMTP_PASSWORD = "archive", "ein geheimnis des postboten"
NAME = 'Universitätsklinik "Sankt Lukas"'


class PostOffice:
    """A mail server that keeps what it takes. `refuse`, `later`: recipients that it does not take, for good or for now."""

    def __init__(self, folder, port):
        self.folder, self.port, self.mails, self.refuse, self.later, self.controller, self.plain = pathlib.Path(folder), port, [], set(), set(), None, 0
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.folder / "smtp.key", "-out", self.folder / "smtp.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True)

    def start(self, **more):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.folder / "smtp.pem", self.folder / "smtp.key")
        options = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": self.authenticate, **more}
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)
        self.controller.start()

    def stop(self):
        if self.controller is not None:
            self.controller.stop()
            self.controller = None

    def authenticate(self, server, session, envelope, mechanism, data):
        return AuthResult(success=(data.login, data.password) == (SMTP_USER.encode(), SMTP_PASSWORD.encode()), handled=False)

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuse:
            return "550 5.1.1 no mailbox here by that name"
        if address in self.later:
            return "451 4.7.1 greylisted, come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if session.ssl is None:
            self.plain += 1
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope.rcpt_tos, mail))
        return "250 OK"

    def to(self, address, subject=""):
        return [mail for recipients, mail in self.mails if recipients == [address] and subject in mail["Subject"]]


def link_in(mail):
    return re.search(re.escape(PUBLIC) + r"/app/link#(lnk_[0-9a-f]{64})", mail.get_content())[1]


class Mails(SystemTest):
    def archive(self):
        site = self.site(init=False)
        self.first_link = site.init()["administratorLink"].split("#")[1]
        self.office = PostOffice(self.folder, free_port())
        self.addCleanup(self.office.stop)
        password = self.folder / "smtp.password"
        password.write_text(SMTP_PASSWORD + "\n")
        password.chmod(0o600)
        site.set("site", name=NAME)
        site.set("http", public_url=PUBLIC)
        site.set("mail", server="localhost", port=self.office.port, user=SMTP_USER, password_file=str(password), authorities=str(self.folder / "smtp.pem"), **{"from": "pacs@example.org"})
        return site

    def administrator(self, site):
        admin = Browser(site.url)
        step = admin.ask("POST", "/links/use", link=self.first_link, password=PASSWORD, name="Grace Hopper", email="grace@example.org", phone="+1 212 555 0123")
        admin.recovery = admin.enter(step)["recoveryCodes"]
        return admin

    def confirm(self, site, address):
        wait_for(lambda: self.office.to(address, "confirm"), 20, "the link to confirm")
        link = link_in(self.office.to(address, "confirm")[-1])
        visitor = Browser(site.url)
        self.assertEqual(visitor.ask("POST", "/links", link=link)["kind"], "email")
        self.assertEqual(visitor.ask("POST", "/links/use", link=link), {"step": "confirmed"})
        visitor.ask("POST", "/links/use", 404, link=link)  # once
        return link

    def registered(self, site, admin):
        ada = Browser(site.url)
        asked = ada.ask("POST", "/accounts", 201, role="doctor", password=PASSWORD, **ADA)
        self.assertEqual(asked["email"], "sent")
        person, = (one for one in admin.ask("GET", "/people")["people"] if one["state"] == "waiting")
        self.assertFalse(person["emailConfirmed"])
        self.links = [self.confirm(site, ADA["email"])]
        person, = (one for one in admin.ask("GET", "/people")["people"] if one["state"] == "waiting")
        self.assertTrue(person["emailConfirmed"])
        self.assertEqual(ada.log_in(ADA["email"])["email"], "confirmed")
        admin.ask("POST", "/people/activate", id=person["id"], roles=["doctor", "privacy-officer"])
        ada.enter(ada.log_in(ADA["email"]))
        ada.id = person["id"]
        return ada

    def test_confirmation_each_event_and_a_new_password(self):
        site = self.archive()
        self.office.start()
        self.assertEqual(site.run("mail", "test", "someone@example.org")["to"], "someone@example.org")
        with site.serving("--verbose"):
            admin = self.administrator(site)
            self.confirm(site, "grace@example.org")
            ada = self.registered(site, admin)
            with self.subTest("what a mail looks like"):
                wait_for(lambda: self.office.to(ADA["email"], "there is a message"), 20, "the activation's mail")
                mail = self.office.to(ADA["email"], "there is a message")[0]
                self.assertEqual(mail["Subject"], NAME + ": there is a message for you")
                self.assertEqual((mail["From"].addresses[0].display_name, mail["From"].addresses[0].addr_spec), (NAME, "pacs@example.org"))
                self.assertEqual((mail["Auto-Submitted"], mail["To"].addresses[0].addr_spec), ("auto-generated", ADA["email"]))
                self.assertTrue(mail["Message-ID"].endswith("@example.org>"))
                self.assertLess(abs(time.time() - mail["Date"].datetime.timestamp()), 600)
                self.assertIn(PUBLIC + "/app/inbox", mail.get_content())
                self.assertNotIn("Ada", mail.as_string())
                self.assertNotIn("doctor", mail.get_content())
                self.assertTrue(self.office.to("grace@example.org", "there is a message"), "a registration is an event for administrators")
            self.each_event(site, admin, ada)
            self.new_password(site, ada)
            with self.subTest("everything was sent"):
                wait_for(lambda: {mail["state"] for mail in admin.ask("GET", "/queues")["mail"]["mails"]} == {"sent"}, 20, "all to be sent")
                self.assertNotIn("problem", admin.ask("GET", "/queues")["mail"])
        self.assertEqual(self.office.plain, 0, "never without TLS")
        everything = "\n".join(site.log) + site.serve_log()
        for secret in (*self.links, ADA["email"], "grace@example.org", SMTP_PASSWORD, PASSWORD, "Ada"):
            self.assertNotIn(secret, everything)
        index = b"".join(path.read_bytes() for path in (site.folder / "store").glob("index.db*"))
        for secret in (*self.links, ADA["email"], "grace@example.org", "there is a message"):
            self.assertNotIn(secret.encode(), index)
        self.assertEqual(site.run("fsck")["findings"], [])

    def each_event(self, site, admin, ada):
        def mails(address, happens):
            before = len(self.office.to(address, "there is a message"))
            happens()
            wait_for(lambda: len(self.office.to(address, "there is a message")) > before, 20, "a mail of it")
        with self.subTest("a token of one's own"):
            mails(ADA["email"], lambda: ada.ask("POST", "/account/tokens", 201, note="", scope="read"))
        with self.subTest("a link that an administrator made"):
            mails(ADA["email"], lambda: admin.ask("POST", "/people/password-link", 201, id=ada.id))
        with self.subTest("break glass"):
            file = sorted(self.samples().rglob("*.dcm"))[0]
            site.run("import", file.parent)
            study = pydicom.dcmread(file, stop_before_pixels=True).StudyInstanceUID
            site.run("person", "add", "bob", "--role", "doctor")
            mails(ADA["email"], lambda: site.run("break-glass", study, "--as", "bob", "--reason", "other", "--text", "called from the theatre"))
        with self.subTest("deactivation, and activation again"):
            mails(ADA["email"], lambda: admin.ask("POST", "/people/deactivate", id=ada.id))
            mails(ADA["email"], lambda: admin.ask("POST", "/people/activate", id=ada.id, roles=["doctor"]))

    def new_password(self, site, ada):
        ada.enter(ada.log_in(ADA["email"]), code_of=1)
        visitor = Browser(site.url)
        mails = len(self.office.mails)
        answers = [visitor.ask("POST", "/session/reset", 202, email=address) for address in ("nobody@example.org", ADA["email"])]
        self.assertEqual(answers[0], answers[1], "nobody learns who has an account")
        wait_for(lambda: self.office.to(ADA["email"], "new password"), 20, "the link")
        former = link_in(self.office.to(ADA["email"], "new password")[0])
        visitor.ask("POST", "/session/reset", 202, email=ADA["email"])
        wait_for(lambda: len(self.office.to(ADA["email"], "new password")) == 2, 20, "another one")
        link = link_in(self.office.to(ADA["email"], "new password")[1])
        visitor.ask("POST", "/links", 404, link=former)
        shown = visitor.ask("POST", "/links", link=link)
        self.assertEqual(shown["kind"], "password")
        self.assertLess(time.mktime(time.strptime(shown["expires"][:19], "%Y-%m-%dT%H:%M:%S")) - time.mktime(time.gmtime()), 30 * 60 + 5)
        self.assertEqual(visitor.ask("POST", "/links/use", link=link, password=OTHER)["step"], "code", "the second factor is asked for all the same")
        visitor.ask("POST", "/links/use", 404, link=link, password=OTHER)
        ada.ask("GET", "/session", 401)
        Browser(site.url).log_in(ADA["email"], PASSWORD, 401)
        self.assertEqual(Browser(site.url).log_in(ADA["email"], OTHER)["step"], "code")
        for _ in range(3):
            visitor.ask("POST", "/session/reset", 202, email=ADA["email"])
        time.sleep(3)
        self.assertLessEqual(len(self.office.to(ADA["email"], "new password")), 3, "no flood of mails")
        self.assertFalse([recipients for recipients, _ in self.office.mails[mails:] if recipients == ["nobody@example.org"]])
        self.assertEqual(requests.post(site.url + "/session/reset", json={"email": ADA["email"]}, timeout=60).status_code, 403)  # no page of ours
        self.links += [former, link]

    def test_a_server_that_is_away_or_refuses_and_kills_in_between(self):
        site = self.archive()
        with self.assertRaises(CommandFailed) as away:
            site.run("mail", "test", "someone@example.org")
        self.assertIn("look at [mail] server and port", away.exception.out + away.exception.err)
        self.office.start()
        site.start()
        admin = self.administrator(site)
        self.confirm(site, "grace@example.org")
        token = lambda: admin.ask("POST", "/account/tokens", 201, note="", scope="read")
        of_grace = lambda: self.office.to("grace@example.org", "there is a message")
        with self.subTest("away, killed, and back"):
            token()
            wait_for(lambda: len(of_grace()) == 1, 20, "the first")
            self.office.stop()
            for _ in range(3):
                token()
            wait_for(lambda: admin.ask("GET", "/queues")["mail"].get("problem"), 20, "it is said that they wait")
            site.stop(signal.SIGKILL)
            site.start()
            admin.url = site.url
            self.office.start()
            wait_for(lambda: len(of_grace()) >= 4, 60, "all of them")
            self.assertEqual(len({mail["Message-ID"] for mail in of_grace()}), 4)
        with self.subTest("kills at any moment lose nothing"):
            for wait in (0, 0.05, 0.3):
                again = self.in_again(site, admin)
                time.sleep(1.5)  # what tells of the recovery code has been sent
                made = len({mail["Message-ID"] for mail in of_grace()})
                again.ask("POST", "/account/tokens", 201, note="", scope="read")
                time.sleep(wait)
                site.stop(signal.SIGKILL)
                site.start()
                wait_for(lambda: len({mail["Message-ID"] for mail in of_grace()}) > made, 30, "the mail of before")
        with self.subTest("refused for good, and tried again"):
            admin = self.in_again(site, admin)
            self.office.refuse.add("grace@example.org")
            admin.ask("POST", "/account/tokens", 201, note="", scope="read")
            failed = lambda: [mail for mail in admin.ask("GET", "/queues")["mail"]["mails"] if mail["state"] == "failed"]
            wait_for(failed, 20, "it is given up")
            self.assertIn("550 5.1.1 no mailbox here by that name", failed()[0]["problem"])
            self.office.refuse.clear()
            before = len(of_grace())
            admin.ask("POST", "/queues/mails/retry", 400)
            self.assertEqual(admin.ask("POST", "/queues/mails/retry", ids=[failed()[0]["id"]]), {"mails": 1})
            wait_for(lambda: len(of_grace()) > before, 20, "it arrives")
        with self.subTest("refused for now"):
            self.office.later.add("grace@example.org")
            admin.ask("POST", "/account/tokens", 201, note="", scope="read")
            wait_for(lambda: any("greylisted" in mail.get("problem", "") for mail in admin.ask("GET", "/queues")["mail"]["mails"]), 20, "it waits")
            before = len(of_grace())
            self.office.later.clear()
            wait_for(lambda: len(of_grace()) > before, 30, "it arrives by itself")
        site.stop()
        with self.subTest("a wrong password, and a server without TLS"):
            (self.folder / "smtp.password").write_text("wrong\n")
            with self.assertRaises(CommandFailed) as refused:
                site.run("mail", "test", "someone@example.org")
            self.assertIn("look at [mail] user and password_file", refused.exception.out + refused.exception.err)
            self.office.stop()
            self.office.start(tls_context=None, require_starttls=False, auth_required=False)
            with self.assertRaises(CommandFailed) as refused:
                site.run("mail", "test", "someone@example.org")
            self.assertIn("it has no STARTTLS", refused.exception.out + refused.exception.err)
            site.set("mail", security="none", user="", password_file="")
            self.assertEqual(site.run("mail", "test", "someone@example.org")["to"], "someone@example.org")

    def in_again(self, site, former):
        """By a recovery code: one of the second factor's counts once in half a minute."""
        again = Browser(site.url)
        again.secret, again.recovery = former.secret, former.recovery
        step = again.log_in("grace@example.org")
        self.assertEqual(again.ask("POST", "/session/code", ticket=step["ticket"], code=again.recovery.pop())["step"], "done")
        return again


if __name__ == "__main__":
    unittest.main()
