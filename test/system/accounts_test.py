"""The life of accounts over HTTP: from the link that init prints to a session that ends when its person is deactivated.

One-time codes are made here, from RFC 6238 alone.
"""
import base64
import hashlib
import hmac
import struct
import time
import unittest
import urllib.parse

import pydicom
import requests
from eth_account import Account
from eth_account.messages import encode_defunct

from harness import SystemTest, ask_node, wait_for

PASSWORD, OTHER = "korrektes pferd batterie", "eine andere klammer 7"
ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "phone": "+43 1 40400-0"}
OTTO = {"name": "Otto Hahn", "email": "otto@example.org", "phone": "+49 30 123456"}


def code(secret, step=0):
    counter = int(time.time()) // 30 + step
    digest = hmac.new(base64.b32decode(secret + "=" * (-len(secret) % 8)), struct.pack(">Q", counter), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7fffffff) % 1_000_000:06}"


class Browser:
    """What a page of ours can do: a cookie jar, and the headers that a browser sets."""

    def __init__(self, url):
        self.url, self.session = url, requests.Session()
        self.session.headers["Sec-Fetch-Site"] = "same-origin"

    def ask(self, method, path, status=200, **body):
        answer = self.session.request(method, self.url + path, json=body or None, timeout=60)
        for cookie in self.session.cookies:
            cookie.secure = False  # browsers take loopback for secure
        if answer.status_code != status:
            raise AssertionError(f"{method} {path}: {answer.status_code}, not {status}: {answer.text}")
        return answer.json() if answer.content else None

    def enter(self, step, status=200, code_of=0):
        """The second factor's code, of an enrolment or of `self.secret`."""
        self.secret = step.get("secret") or self.secret
        return self.ask("POST", "/session/code", status, ticket=step["ticket"], code=code(self.secret, code_of))

    def log_in(self, email, password=PASSWORD, status=200):
        return self.ask("POST", "/session/password", status, email=email, password=password)


class Accounts(SystemTest):
    def test_from_the_first_link_to_deactivation(self):
        site = self.site(init=False)
        link = site.init()["administratorLink"].split("#")[1]
        with site.serving("--verbose"):
            admin = self.first_administrator(site, link)
            ada = self.asks_and_is_let_in(site, admin)
            self.passwords_sessions_and_tokens(site, admin, ada)
            self.invited(site, admin)
            self.nobody_is_locked_out(site, ada)
            self.wallet(site, ada)
            self.second_factor_reset(site, admin)
            self.deactivated(site, admin, ada)
        logs = "\n".join(site.log) + site.serve_log()
        for secret in (PASSWORD, OTHER, link, link[4:], admin.secret, ada.secret, ADA["email"], "404000"):
            self.assertNotIn(secret, logs)
        self.assertNotIn(b"ada@example.org", b"".join(path.read_bytes() for path in (site.folder / "store").glob("index.db*")))
        self.assertEqual(site.run("fsck")["findings"], [])

    def first_administrator(self, site, link):
        admin = Browser(site.url)
        self.assertEqual(admin.ask("POST", "/links", link=link)["kind"], "administrator")
        admin.ask("POST", "/links", 404, link=link[:-1] + ("0" if link[-1] != "0" else "1"))
        new = {"link": link, "name": "Grace Hopper", "email": "grace@example.org", "phone": "+1 212 555 0123"}
        for wrong, value in (("phone", "+999 1"), ("email", "grace"), ("password", "Password123"), ("password", "short"), ("name", "")):
            told = admin.ask("POST", "/links/use", 400, **{**new, "password": PASSWORD, wrong: value})
            self.assertTrue(told["detail"].startswith(wrong + ": "), told)
        step = admin.ask("POST", "/links/use", password=PASSWORD, **new)
        self.assertEqual(step["step"], "enrol")
        self.assertEqual(urllib.parse.parse_qs(urllib.parse.urlsplit(step["uri"]).query)["secret"], [step["secret"]])
        admin.ask("GET", "/session", 401)
        admin.ask("POST", "/session/code", 401, ticket=step["ticket"], code="000000" if code(step["secret"]) != "000000" else "000001")
        done = admin.enter(step)
        self.assertEqual((done["step"], done["roles"], len(done["recoveryCodes"])), ("done", ["administrator"], 10))
        admin.ask("POST", "/links/use", 404, password=PASSWORD, **new)  # once
        known = admin.ask("GET", "/session")
        self.assertEqual((known["person"], known["roles"], known["email"]), ("Grace Hopper", ["administrator"], "grace@example.org"))
        own = admin.ask("GET", "/account")
        self.assertEqual((own["custody"], own["secondFactor"], own["recoveryCodesLeft"]), ("kept", True, 10))
        admin.recovery = done["recoveryCodes"]
        return admin

    def asks_and_is_let_in(self, site, admin):
        ada = Browser(site.url)
        self.assertEqual(requests.post(site.url + "/accounts", json={**ADA, "role": "doctor", "password": PASSWORD}, timeout=60).status_code, 403)  # no page of ours
        asked = ada.ask("POST", "/accounts", 201, role="doctor", password=PASSWORD, **ADA)
        self.assertEqual((asked["step"], sorted(asked["told"])), ("waiting", ["Grace Hopper", "operator"]))
        self.assertEqual(Browser(site.url).ask("POST", "/accounts", 201, role="desk", password=OTHER, **ADA), asked)  # nobody learns who has an account
        self.assertEqual(ada.log_in(ADA["email"])["step"], "waiting")
        ada.ask("GET", "/studies", 401)
        ada.log_in(ADA["email"], OTHER, 401)
        ada.ask("GET", "/people", 401)
        inbox = admin.ask("GET", "/account/messages")
        self.assertIn("Ada Lovelace asks for an account as doctor.", [message["text"] for message in inbox["messages"]])
        admin.ask("POST", "/account/messages/read", 204, all=True)
        self.assertEqual(admin.ask("GET", "/session")["unread"], 0)
        waiting, = (person for person in admin.ask("GET", "/people")["people"] if person["state"] == "waiting")
        self.assertEqual((waiting["name"], waiting["email"], waiting["roleAsked"]), ("Ada Lovelace", ADA["email"], "doctor"))
        admin.ask("POST", "/people/activate", 400, id=waiting["id"], roles=["custodian"])
        before = int(ask_node(site.folder / "ledger/geth.ipc", "eth_blockNumber"), 16)
        self.assertEqual(admin.ask("POST", "/people/activate", id=waiting["id"], roles=["technologist", "doctor"]), {"id": waiting["id"], "state": "active", "settled": True})
        blocks = range(before + 1, int(ask_node(site.folder / "ledger/geth.ipc", "eth_blockNumber"), 16) + 1)
        sent = [transaction["input"] for number in blocks for transaction in ask_node(site.folder / "ledger/geth.ipc", "eth_getBlockByNumber", hex(number), True)["transactions"]]
        self.assertTrue(any(waiting["id"] in data for data in sent), "on Members")
        step = ada.log_in(ADA["email"])
        self.assertEqual(step["step"], "enrol")
        done = ada.enter(step)
        self.assertEqual(done["roles"], ["doctor", "technologist"])
        ada.session.get(site.url + "/studies", timeout=60).raise_for_status()
        ada.ask("GET", "/people", 403)
        ada.ask("POST", "/people/activate", 403, id=waiting["id"], roles=["administrator"])
        self.assertIn("activation", [message["kind"] for message in ada.ask("GET", "/account/messages")["messages"]])
        ada.id, ada.recovery = waiting["id"], done["recoveryCodes"]
        return ada

    def passwords_sessions_and_tokens(self, site, admin, ada):
        with self.subTest("a code counts once, a recovery code too"):
            again = Browser(site.url)
            again.secret = ada.secret
            again.enter(again.log_in(ADA["email"]), 401)
            again.enter(again.log_in(ADA["email"]), code_of=1)
            other = Browser(site.url)
            step = other.log_in("grace@example.org")
            self.assertEqual(other.ask("POST", "/session/code", ticket=step["ticket"], code=admin.recovery[0].lower())["step"], "done")
            step = other.log_in("grace@example.org")
            other.ask("POST", "/session/code", 401, ticket=step["ticket"], code=admin.recovery[0])
        with self.subTest("sessions are listed and ended"):
            listed = ada.ask("GET", "/account/sessions")["sessions"]
            self.assertEqual(sorted(session["current"] for session in listed), [False, True])
            ada.ask("DELETE", "/account/sessions?id=" + next(session["id"] for session in listed if not session["current"]), 204)
            again.ask("GET", "/session", 401)
        with self.subTest("tokens open what they were made for"):
            made = ada.ask("POST", "/account/tokens", 201, note="script", scope="read", days=7)
            bearer = {"Authorization": "Bearer " + made["token"]}
            self.assertIn(requests.get(site.url + "/studies", headers=bearer, timeout=60).status_code, (200, 204))
            self.assertEqual(requests.post(site.url + "/studies", headers=bearer, data=b"x", timeout=60).status_code, 403)
            token, = ada.ask("GET", "/account/tokens")["tokens"]
            self.assertEqual((token["id"], token["note"], token["scope"]), (made["id"], "script", "read"))
            ada.ask("DELETE", "/account/tokens?id=" + token["id"], 204)
            self.assertEqual(requests.get(site.url + "/studies", headers=bearer, timeout=60).status_code, 401)
        with self.subTest("a new password ends all else"):
            token = ada.ask("POST", "/account/tokens", 201, note="", scope="all")["token"]
            ada.ask("PUT", "/account/password", 403, current=OTHER, password=OTHER)
            ada.ask("PUT", "/account/password", 400, current=PASSWORD, password="qwertyuiop")
            ada.ask("PUT", "/account/password", 204, current=PASSWORD, password=OTHER)
            ada.ask("GET", "/session")
            self.assertEqual(requests.get(site.url + "/studies", headers={"Authorization": "Bearer " + token}, timeout=60).status_code, 401)
            ada.log_in(ADA["email"], PASSWORD, 401)
        with self.subTest("by a link of an administrator's"):
            link = admin.ask("POST", "/people/password-link", 201, id=ada.id)["link"].split("#")[1]
            self.assertEqual(Browser(site.url).ask("POST", "/links/use", link=link, password=PASSWORD)["step"], "code")
            Browser(site.url).ask("POST", "/links/use", 404, link=link, password=PASSWORD)
            ada.ask("GET", "/session", 401)
            step = ada.log_in(ADA["email"])
            self.assertEqual(step["step"], "code")

    def invited(self, site, admin):
        invited = admin.ask("POST", "/people/invite", 201, email=OTTO["email"], roles=["technologist"])["link"].split("#")[1]
        otto = Browser(site.url)
        self.assertEqual(otto.ask("POST", "/links", link=invited)["email"], OTTO["email"])
        step = otto.ask("POST", "/links/use", link=invited, password=PASSWORD, name=OTTO["name"], phone=OTTO["phone"])
        self.assertEqual(otto.enter(step)["roles"], ["technologist"])

    def wallet(self, site, ada):
        """Ada's own wallet takes the place of the account that the site keeps, and stands for the password from then on."""
        step = ada.log_in(ADA["email"])
        ada.ask("POST", "/session/code", ticket=step["ticket"], code=ada.recovery[1])
        wallet, other = Account.create(), Account.create()

        def signed(path, by, of=None):
            message = ada.ask("POST", path + "/message", address=(of or by).address)["message"]
            return {"message": message, "signature": by.sign_message(encode_defunct(text=message)).signature.hex()}
        kept = ada.ask("GET", "/account")
        ada.ask("POST", "/account/wallet", 401, **signed("/account/wallet", other, of=wallet))
        ada.ask("POST", "/account/wallet", 401, **signed("/session/wallet", wallet))  # a log-in ties nothing
        changed = ada.ask("POST", "/account/wallet/message", address=wallet.address)["message"].replace("Chain ID: ", "Chain ID: 1")
        ada.ask("POST", "/account/wallet", 401, message=changed, signature=wallet.sign_message(encode_defunct(text=changed)).signature.hex())
        tied = signed("/account/wallet", wallet)
        self.assertEqual(ada.ask("POST", "/account/wallet", **tied), {"address": wallet.address, "custody": "wallet"})
        ada.ask("POST", "/account/wallet", 401, **tied)  # once
        now = ada.ask("GET", "/account")
        self.assertEqual((now["personId"], now["custody"], now["address"]), (kept["personId"], "wallet", wallet.address.lower()))
        rpc = ada.ask("POST", "/account/rpc", 201)
        ask = lambda method, **more: requests.post(rpc["url"], json={"jsonrpc": "2.0", "id": 7, "method": method, "params": [], **more}, timeout=60).json()
        self.assertEqual((ask("eth_chainId")["result"], ask("eth_chainId")["id"]), (hex(rpc["chainId"]), 7))
        for method in ("eth_sendRawTransaction", "admin_nodeInfo", "personal_listAccounts", "debug_traceTransaction"):
            self.assertEqual(ask(method)["error"]["code"], -32601)
        self.assertEqual(requests.post(rpc["url"][:-1] + "x", json={}, timeout=60).status_code, 404)
        out = Browser(site.url)
        ada_, ada = ada, out
        self.assertEqual(out.ask("POST", "/session/wallet", **signed("/session/wallet", wallet))["step"], "code")
        out.ask("POST", "/session/wallet", 401, **signed("/session/wallet", other))
        ada = ada_

    def second_factor_reset(self, site, admin):
        second = Browser(site.url)
        link = admin.ask("POST", "/people/invite", 201, roles=["administrator"])["link"].split("#")[1]
        second.enter(second.ask("POST", "/links/use", link=link, password=PASSWORD, name="Second Administrator", email="second@example.org", phone="+43 1 404001"))
        otto, = (person["id"] for person in admin.ask("GET", "/people")["people"] if person["name"] == OTTO["name"])
        for _ in range(2):
            self.assertEqual(admin.ask("POST", "/people/second-factor", id=otto)["state"], "proposed")  # alone it stays so
        self.assertEqual(Browser(site.url).log_in(OTTO["email"])["step"], "code")
        self.assertEqual(second.ask("POST", "/people/second-factor", id=otto)["state"], "reset")
        self.assertEqual(Browser(site.url).log_in(OTTO["email"])["step"], "enrol")

    def nobody_is_locked_out(self, site, ada):
        """Strangers guess from two addresses, ten times a minute each, and then nobody comes in from a new one; where she has come in before, Ada does."""
        def guess(address, password):
            stranger = requests.Session()
            stranger.mount("http://", From(address))
            return stranger.post(site.url + "/session/password", json={"email": ADA["email"], "password": password}, headers={"Sec-Fetch-Site": "same-origin"}, timeout=60).status_code
        self.assertEqual([guess("127.0.0.2", f"guess number {n}") for n in range(11)], [401] * 10 + [429])
        self.assertEqual([guess("127.0.0.3", f"guess number {n}") for n in range(11)][-1], 429)
        self.assertEqual(guess("127.0.0.4", PASSWORD), 429)
        self.assertEqual(ada.log_in(ADA["email"])["step"], "code")

    def deactivated(self, site, admin, ada):
        step = ada.log_in(ADA["email"])
        self.assertEqual(ada.ask("POST", "/session/code", ticket=step["ticket"], code=ada.recovery[0])["step"], "done")
        ada.ask("GET", "/session")
        admin.ask("POST", "/people/deactivate", 400, id=admin.ask("GET", "/session")["personId"])
        self.assertEqual(admin.ask("POST", "/people/deactivate", id=ada.id)["state"], "inactive")
        ada.ask("GET", "/session", 401)
        ada.log_in(ADA["email"], status=403)
        state, = (person["state"] for person in admin.ask("GET", "/people")["people"] if person["id"] == ada.id)
        self.assertEqual(state, "inactive")
        admin.ask("POST", "/people/activate", id=ada.id)
        self.assertEqual(ada.log_in(ADA["email"])["step"], "code")

    def test_a_patients_letter(self):
        """The desk prints a letter; who opens it sees the own studies and nobody else's. A broken glass is told to the privacy officer."""
        site = self.site()
        files = sorted(self.samples().rglob("*.dcm"))
        heads = {}
        for file in files:
            heads.setdefault(pydicom.dcmread(file, stop_before_pixels=True).PatientID, file)
        mine, others = list(heads.values())[:2]
        site.run("import", mine.parent, others.parent)
        study, foreign = (pydicom.dcmread(file, stop_before_pixels=True).StudyInstanceUID for file in (mine, others))
        for name, role in (("dora", "desk"), ("ada", "doctor"), ("petra", "privacy-officer")):
            site.run("person", "add", name, "--role", role)
        tokens = {name: {"Authorization": "Bearer " + site.token(name)} for name in ("dora", "ada", "petra")}
        with site.serving():
            ask = lambda who, path, **more: requests.post(site.url + path, headers=tokens[who], timeout=60, **more)
            self.assertEqual(ask("ada", "/letters", json={"studyInstanceUid": study}).status_code, 403)
            letters = [ask("dora", "/letters", json={"studyInstanceUid": study}).json() for _ in range(2)]
            new = {"name": "Jane Doe", "email": "jane@example.org", "password": PASSWORD}
            spoilt, good = ({"link": letter["link"].split("#")[1], "code": letter["code"]} for letter in letters)
            jane = Browser(site.url)
            for _ in range(5):
                jane.ask("POST", "/links/use", 401, **{**new, **spoilt, "code": "AAAAA-AAAAA"})
            jane.ask("POST", "/links/use", 404, **new, **spoilt)
            self.assertEqual(jane.ask("POST", "/links", link=good["link"])["kind"], "patient")
            self.assertEqual(jane.ask("POST", "/links/use", **new, **{**good, "code": good["code"].lower().replace("-", " ")})["roles"], ["patient"])
            jane.ask("POST", "/links/use", 404, **new, **good)
            looks = lambda uid: jane.session.get(f"{site.url}/studies/{uid}/metadata", headers={"Fiducial-Purpose": "personal"}, timeout=60).status_code
            wait_for(lambda: looks(study) == 200, 30, "the ledger has it that the patient decides")
            self.assertEqual(looks(foreign), 403)
            self.assertEqual(ask("ada", f"/studies/{study}/emergency", json={"reason": "life-threatening", "text": "unconscious"}).status_code, 201)
            told = requests.get(site.url + "/account/messages", headers=tokens["petra"], timeout=60).json()["messages"]
            self.assertEqual([(message["kind"], message["text"]) for message in told], [("break-glass", "ada broke the glass: life-threatening. The trace says for whom.")])

    def test_a_link_made_by_a_command(self):
        site = self.site()
        link = site.run("person", "link")["link"].split("#")[1]
        self.assertTrue(link.startswith("lnk_"))
        with site.serving():
            self.assertEqual(Browser(site.url).ask("POST", "/links", link=link)["roles"], ["administrator"])


class From(requests.adapters.HTTPAdapter):
    """Comes from another address of this machine."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *arguments, **more):
        super().init_poolmanager(*arguments, source_address=(self.address, 0), **more)


if __name__ == "__main__":
    unittest.main()
