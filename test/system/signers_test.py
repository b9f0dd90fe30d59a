"""Five real signers and an archive on one of them: a signer cut off just before its turn, a shorter but heavier fork, partitions, a settled block
that is undone, signers voted in and out with the next trust file; and four signers that stand still after an even split. All gets settled.

FIDUCIAL_FAULTS set: all of it (some minutes). Otherwise the part that fits into a minute and a half.
"""
import hashlib
import json
import os
import shutil
import subprocess
import time
import unittest

import pydicom
import requests

from harness import VERIFY, Network, SystemTest, free_port, wait_for

FULL = bool(os.environ.get("FIDUCIAL_FAULTS"))
IN_FLIGHT = 2.8    # seconds until no seal can come any more after a halt: the period, and up to 1.5 s of a signer who is out of turn
SETTLES = 90       # seconds until something that should settle counts as not settling


class Signers(Network):
    """A network whose miners are told when to seal and whose connections are cut and healed, without a node being restarted."""

    def __init__(self, folder, signers):
        super().__init__(folder, signers)
        self.address = {node: (self.folder / node / "sealer").read_text().strip() for node in self.nodes}
        self.order = sorted(self.nodes, key=lambda node: self.address[node])
        self.enode = {}

    def start(self, *nodes):
        super().start(*nodes)
        for node in nodes or self.nodes:
            self.enode[node] = self.ask(node, "admin_nodeInfo")["enode"]
        wait_for(lambda: all(self.peers(node) for node in nodes or self.nodes), 60, "the nodes find each other")

    # -- what a node sees

    def head(self, node):
        return int(self.ask(node, "eth_blockNumber"), 16)

    def hash(self, node, number=None):
        return self.ask(node, "eth_getBlockByNumber", "latest" if number is None else hex(number), False)["hash"]

    def weight(self, node):
        return int(self.ask(node, "eth_getBlockByNumber", "latest", False)["totalDifficulty"], 16)

    def sealer(self, node, number):
        address = self.ask(node, "clique_getSigner", hex(number)).lower()
        return next(n for n in self.address if self.address[n] == address)

    def pending(self, node):
        return int(self.ask(node, "txpool_status")["pending"], 16)

    def signers(self, node):
        return {address.lower() for address in self.ask(node, "clique_getSigners")}

    # -- who seals when

    def turn(self, number):
        return self.order[number % len(self.order)]

    def halt(self):
        """Nobody seals any more, and all have the same head."""
        for _ in range(8):
            for node in self.nodes:
                self.ask(node, "miner_stop")
            heads, since = None, time.monotonic()
            while time.monotonic() < since + IN_FLIGHT:
                now = [self.hash(node) for node in self.nodes]
                if now != heads:
                    heads, since = now, time.monotonic()
                time.sleep(0.1)
            if len(set(heads)) == 1:
                return
            self.resume()  # two heads of equal weight: one block more decides
            time.sleep(2)
        raise AssertionError(f"the nodes do not agree on a head: {heads}")

    def resume(self, *nodes):
        for node in nodes or self.nodes:
            self.ask(node, "miner_start")

    def seal(self, node, among):
        """This node alone seals the next block. Returns: its number, once all of `among` have it."""
        number = self.head(node) + 1
        self.ask(node, "miner_start")
        wait_for(lambda: self.head(node) >= number, 20, f"{node} seals block {number}")
        self.ask(node, "miner_stop")
        wait_for(lambda: len({self.hash(n) for n in among}) == 1, 20, f"block {number} reaches {among}")
        assert self.head(node) == number and self.sealer(node, number) == node
        return number

    def seal_in_turn(self, until):
        """While all is halted: block by block, each by who has the turn, until the predicate on the next block's number holds, with the last three in turn."""
        in_turn = 0
        while in_turn < 3 or not until(self.head(self.nodes[0]) + 1):
            number = self.head(self.nodes[0]) + 1
            recent = {self.sealer(self.nodes[0], number - back) for back in range(1, len(self.nodes) // 2 + 1)}
            node = next(n for n in (self.turn(number + k) for k in range(len(self.order))) if n not in recent)
            in_turn = in_turn + 1 if node == self.turn(number) else 0
            self.seal(node, self.nodes)

    # -- who reaches whom

    def peers(self, node):
        return {peer["enode"].split("@")[0] for peer in self.ask(node, "admin_peers")}

    def connected(self, one, other):
        return self.enode[other].split("@")[0] in self.peers(one) and self.enode[one].split("@")[0] in self.peers(other)

    def between(self, left, right, method):
        for one in left:
            for other in right:
                self.ask(one, method, self.enode[other])
                self.ask(other, method, self.enode[one])

    def cut(self, left, right):
        def whole():
            return any(self.connected(a, b) for a in left for b in right)

        deadline = time.monotonic() + 30
        quiet = 0
        while quiet < 3:  # a call that was on its way when it was cut still comes through
            self.between(left, right, "admin_removePeer")
            time.sleep(0.1)
            quiet = 0 if whole() else quiet + 1
            assert time.monotonic() < deadline, "the network cannot be cut"

    def heal(self, left, right):
        self.between(left, right, "admin_addPeer")
        wait_for(lambda: all(self.connected(a, b) for a in left for b in right), 90, "the network is whole again")  # a node is not called twice within 35 s

    # -- nodes that come and go

    def add(self, name, static, keystore_of=None):
        """One more node, of a new signer, or with the key of another node's."""
        folder = self.folder / name
        folder.mkdir()
        shutil.copy(self.folder / "node1/genesis.json", folder)
        geth = next(line for line in (self.folder / "start").read_text().splitlines() if "nohup" in line).split("'")[1]
        subprocess.run([geth, "--datadir", folder, "--state.scheme=hash", "init", folder / "genesis.json"], check=True, capture_output=True)
        if keystore_of:
            shutil.copytree(self.folder / keystore_of / "keystore", folder / "keystore", dirs_exist_ok=True)
            for part in ("password", "sealer"):
                shutil.copy(self.folder / keystore_of / part, folder / part)
        else:
            (folder / "password").write_text("a new signer's")
            subprocess.run([geth, "--datadir", folder, "account", "new", "--lightkdf", "--password", folder / "password"], check=True, capture_output=True)
            (key,) = (folder / "keystore").iterdir()
            (folder / "sealer").write_text("0x" + json.loads(key.read_text())["address"] + "\n")
        self.configure(name, static, free_port())
        self.nodes.append(name)
        self.address[name] = (folder / "sealer").read_text().strip()

    def configure(self, node, static, port):
        """Whom a node calls when it starts."""
        peers = ", ".join(f'"{self.enode[peer]}"' for peer in static)
        (self.folder / node / "geth.toml").write_text(f'[Node.P2P]\nListenAddr = "127.0.0.1:{port}"\nNoDiscovery = true\nMaxPeers = 50\nStaticNodes = [{peers}]\nTrustedNodes = [{peers}]\n')

    def console(self, node, script):
        """A line in geth's console."""
        geth = next(line for line in (self.folder / "start").read_text().splitlines() if "nohup" in line).split("'")[1]
        return subprocess.run([geth, "attach", "--exec", script, self.socket(node)], check=True, capture_output=True, text=True).stdout


class Case(SystemTest):
    def begin(self, signers):
        self.net = self.network(signers, Signers)
        self.archive = self.site(init=False)
        self.home = "node1"
        self.archive.init("--ledger", self.net.socket(self.home), "--deployer-key", self.net.folder / "deployer.key")
        self.exams = {}
        for file in sorted(self.samples().rglob("*.dcm")):
            self.exams.setdefault(str(pydicom.dcmread(file, stop_before_pixels=True).StudyInstanceUID), file)
        self.unused = iter(list(self.exams))
        self.archive.start()
        wait_for(lambda: self.archive.raw("list", codes=None).returncode == 0, SETTLES, "the contracts are settled")
        self.token = self.archive.token("operator")

    def others(self, *away):
        return [node for node in self.net.nodes if node not in (away or (self.home,))]

    def store(self):
        """One more exam, stored; its anchor is in the pool of the archive's node. Returns: the study."""
        study = next(self.unused)
        before = self.net.pending(self.home)
        self.assertEqual(self.archive.run("import", self.exams[study], "--wait", "0")["stored"], 1)
        wait_for(lambda: self.net.pending(self.home) > before or self.state(study)[0] not in ("stored", "submitted"), 30, "the anchor is sent")
        return study

    def state(self, study):
        version = self.archive.run("show", study)["versions"][-1]
        return version["state"], version.get("block", 0)

    def all_settled(self):
        self.assertTrue(self.archive.run("ledger", "wait", "--seconds", str(SETTLES), timeout=SETTLES + 60)["settled"], self.status())

    def metric(self, name):
        answer = requests.get(self.archive.url + "/metrics", headers={"Authorization": "Bearer " + self.token}, timeout=30)
        return float(next(line.split()[1] for line in answer.text.splitlines() if line.startswith(f"fiducial_{name} ")))

    def status(self):
        return self.archive.run("ledger", "status", codes=(0, 7))

    def at_the_end(self):
        """Whatever was done to the network: nothing is missing, all is settled, every node has the same blocks."""
        self.all_settled()
        checked = self.archive.run("verify", "--all", timeout=600)
        self.assertEqual((checked["damaged"], checked["settled"]), ([], checked["studies"]))
        fsck = self.archive.run("fsck")
        self.assertTrue(fsck["clean"], fsck)
        settled = self.status()["settled"]
        self.assertEqual(len({self.net.hash(node, settled) for node in self.net.nodes}), 1)
        self.archive.stop()


class FiveSigners(Case):
    def test_five_signers(self):
        self.begin(5)
        self.first = self.store()
        self.all_settled()
        if FULL:
            self.cut_off_before_its_turn()
        self.heavier_fork()
        if FULL:
            self.partitions()
            self.settled_is_undone()
        self.signers_change()
        self.at_the_end()

    def cut_off_before_its_turn(self):
        """The archive's own node seals its anchor into a block that only it has; the others go on."""
        net, others = self.net, self.others()
        net.halt()
        net.seal_in_turn(lambda number: net.turn(number) == self.home)
        net.cut([self.home], others)
        study = self.store()
        number = net.seal(self.home, [self.home])
        wait_for(lambda: self.state(study) == ("included", number), 10, "the anchor is in the lone block")
        net.resume()
        wait_for(lambda: net.head(others[0]) >= number + 3, 30, "the others go on")
        self.assertNotEqual(net.hash(others[0], number), net.hash(self.home, number))
        self.assertEqual(self.state(study)[0], "included", "one signer of five settles nothing")
        undone = self.metric("reorganisations_total")
        net.heal([self.home], others)
        self.all_settled()
        self.assertGreater(self.metric("reorganisations_total"), undone)
        self.assertEqual(self.metric("settled_undone_total"), 0)

    def heavier_fork(self):
        """Three signers out of turn stand on the anchor with three blocks; two blocks in turn, which weigh four, take their place."""
        net = self.net
        net.halt()
        net.seal_in_turn(lambda number: self.home in (net.turn(number + 2), net.turn(number + 3), net.turn(number + 4)))
        base = net.head(self.home)
        heavy = [net.turn(base + 1), net.turn(base + 2)]
        long = [net.turn(base + 3), net.turn(base + 4), net.turn(base + 5)]
        net.cut(heavy, long)
        study = self.store()
        wait_for(lambda: all(net.pending(node) for node in long), 20, "the anchor reaches the three")
        for node in long:
            net.seal(node, long)
        for node in heavy:
            net.seal(node, heavy)
        self.assertEqual((net.head(long[0]), net.head(heavy[0])), (base + 3, base + 2))
        self.assertEqual(net.weight(heavy[0]) - net.weight(long[0]), 1)
        wait_for(lambda: self.state(study) == ("included", base + 1) and self.status()["head"] == base + 3, 10, "three signers stand on the anchor")
        before = self.metric("reorganisations_total")
        net.heal(heavy, long)
        wait_for(lambda: net.hash(self.home) == net.hash(heavy[0]), 60, "the heavier fork wins")
        wait_for(lambda: self.metric("reorganisations_total") == before + 1, 20, "the archive takes back what was included")
        self.assertNotEqual(self.state(study)[0], "settled")
        net.resume()
        self.all_settled()
        self.assertGreater(self.state(study)[1], base + 2)
        self.assertEqual(self.metric("settled_undone_total"), 0)

    def partitions(self):
        net = self.net
        with self.subTest("with the two: nothing settles until the network is whole"):
            minority = [self.home, self.others()[0]]
            majority = [node for node in net.nodes if node not in minority]
            net.cut(minority, majority)
            study = self.store()
            before = net.head(majority[0])
            wait_for(lambda: net.head(majority[0]) >= before + 8, 60, "three of five go on")
            self.assertNotEqual(self.state(study)[0], "settled")
            net.heal(minority, majority)
            self.all_settled()
        with self.subTest("with the three: it settles meanwhile"):
            minority = self.others()[:2]
            majority = [node for node in net.nodes if node not in minority]
            net.cut(minority, majority)
            study = self.store()
            self.all_settled()
            block = self.state(study)[1]
            net.heal(minority, majority)
            wait_for(lambda: net.head(minority[0]) >= net.head(self.home) - 1, 60, "the two catch up")
            self.assertEqual(self.state(study), ("settled", block))
        self.assertEqual(self.metric("settled_undone_total"), 0)

    def settled_is_undone(self):
        """One signer's key is used twice, so that two sides of the network have three signers each. What settled on one side is undone by the other."""
        net = self.net
        net.halt()
        twin = self.others()[0]
        away = self.others()[2:]
        mine = [node for node in net.nodes if node not in away]
        net.cut(mine, away)
        net.add("node9", away, keystore_of=twin)
        Network.start(net, "node9")
        wait_for(lambda: net.hash("node9") == net.hash(away[0]), 60, "the second node with the key catches up")
        net.ask("node9", "miner_stop")
        study = self.store()
        net.resume(*mine)
        self.all_settled()
        block = self.state(study)[1]
        self.assertEqual((self.state(study)[0], self.status()["undone"]["times"]), ("settled", 0))
        for node in mine:
            net.ask(node, "miner_stop")
        time.sleep(IN_FLIGHT)
        net.resume("node9", *away)
        wait_for(lambda: net.weight(away[0]) > net.weight(self.home) + 2, 120, "the other side grows heavier")
        net.heal(mine, away)
        wait_for(lambda: net.hash(self.home, block) == net.hash(away[0], block), 60, "it takes the place of settled blocks")
        wait_for(lambda: self.metric("settled_undone_total") == 1, 20, "the archive notices")
        status = self.status()
        self.assertEqual((status["undone"]["times"], status["healthy"]), (1, False))
        self.assertLessEqual(status["undone"]["fromBlock"], block)
        self.assertGreaterEqual(self.metric("ledger_incidents"), 1)
        self.assertIn("settled_undone", self.archive.serve_log())
        net.stop("node9")
        net.nodes.remove("node9")
        del net.address["node9"]
        net.resume()
        self.all_settled()
        with self.subTest("it stays an incident, over a restart, until somebody has looked into it"):
            self.archive.stop()
            self.archive.start()
            notes = requests.get(self.archive.url + "/readyz", headers={"Authorization": "Bearer " + self.token}, timeout=30).text
            self.assertIn("settled blocks were undone", notes)
            self.assertEqual(self.archive.run("ledger", "acknowledge")["times"], 1)
            self.assertEqual((self.metric("ledger_incidents"), self.status()["undone"]["times"]), (0, 0))

    def evidence(self, study, name, codes=(0,)):
        bundle = self.folder / name
        return bundle, self.archive.raw("evidence", study, "--out", bundle, codes=codes)

    def check(self, bundle, trust, study, code=0):
        by_program = subprocess.run([VERIFY, bundle, "--trust", trust, self.exams[study]], capture_output=True, text=True)
        by_command = self.archive.raw("verify", self.exams[study], "--evidence", bundle, "--trust", trust, codes=None)
        self.assertEqual((by_program.returncode, by_command.returncode), (code, code), by_program.stdout + by_program.stderr + by_command.stderr)
        return by_program.stdout + by_program.stderr

    def signers_change(self):
        """A sixth signer is voted in and the fifth out; the next trust file says so, signed by the signers of the one before."""
        net, folder = self.net, self.folder
        old_bundle, _ = self.evidence(self.first, "old.json")
        old_trust, held = folder / "trust.1.json", folder / "held.json"
        for file in (old_trust, held):
            file.write_text(self.archive.raw("trust").stdout)
        self.check(old_bundle, old_trust, self.first)
        with self.subTest("while nobody has voted there is nothing to say"):
            self.assertEqual(self.archive.run("trust", "next", folder / "none.json", codes=(6,))["error"]["code"], "conflict")

        leaves, comes = "node5", "node6"
        net.add(comes, [node for node in net.nodes])
        net.start(comes)
        voters = [node for node in net.nodes if node not in (leaves, comes)]
        for node in voters:
            net.ask(node, "clique_propose", net.address[comes], True)
        wait_for(lambda: net.address[comes] in net.signers(self.home), 60, "a signer is voted in")
        for node in [*voters, comes]:
            net.ask(node, "clique_propose", net.address[leaves], False)
        wait_for(lambda: net.address[leaves] not in net.signers(self.home), 60, "a signer is voted out")
        net.stop(leaves)
        net.nodes.remove(leaves)
        for node in net.nodes:
            for candidate in net.ask(node, "clique_proposals"):
                net.ask(node, "clique_discard", candidate)
        study = self.store()
        self.all_settled()  # by the votes, before anybody has a new trust file
        self.assertTrue(self.status()["trust"]["outdated"])
        _, refused = self.evidence(study, "none.json", codes=(11,))
        self.assertIn("fiducial trust next", refused.stderr)

        new_trust = folder / "trust.2.json"
        made = self.archive.run("trust", "next", new_trust)
        self.assertEqual((made["version"], made["needed"], len(made["changes"])), (2, 3, 2), made)
        sha256 = hashlib.sha256(new_trust.read_bytes()).hexdigest()
        self.assertEqual(made["sha256"], sha256)
        sets = json.loads(new_trust.read_text())["signer_sets"]
        for one in sets:
            signers = net.ask(self.home, "clique_getSigners", hex(max(one["first_block"], 1) - 1))
            self.assertEqual(sorted(a.lower() for a in signers), one["signers"], "whom the node counts after a block seal the next")
        signatures = [folder / "home.sig", folder / "console.sig"]
        signed = self.archive.run("trust", "sign", new_trust, "--yes", "--out", signatures[0])
        self.assertEqual(signed["signer"], net.address[self.home])
        signatures[1].write_text(net.console("node2", f'eth.sign("{net.address["node2"]}", "0x{sha256}")'))
        third = net.ask("node3", "eth_sign", net.address["node3"], "0x" + sha256)
        by_the_new = net.ask(comes, "eth_sign", net.address[comes], "0x" + sha256)

        def refused(*arguments):
            return self.archive.run("trust", "accept", *arguments, codes=(11,))["error"]["message"]

        with self.subTest("two of five are too few, the new one's voice does not count, nothing changes"):
            self.assertIn("signed by 2 of the 5 signers", refused(new_trust, *signatures))
            self.assertIn(net.address[comes], refused(new_trust, *signatures, by_the_new))
            self.assertEqual(self.archive.raw("trust").stdout, old_trust.read_text())
        with self.subTest("one changed byte of an earlier set, and the signatures are for another file"):
            changed = folder / "changed.json"
            changed.write_text(new_trust.read_text().replace(f'"last_block":{sets[0]["last_block"]}', f'"last_block":{sets[0]["last_block"] + 1}', 1)
                               .replace(f'"first_block":{sets[1]["first_block"]}', f'"first_block":{sets[1]["first_block"] + 1}', 1))
            self.assertIn("other signers", self.archive.run("trust", "sign", changed, "--yes", codes=(11,))["error"]["message"])
            self.assertIn("not for", refused(changed, signatures[0]))
        accepted = self.archive.run("trust", "accept", new_trust, *signatures, third)
        self.assertEqual((accepted["version"], len(accepted["signedBy"])), (2, 3))
        self.assertFalse(self.status()["trust"]["outdated"])
        self.assertEqual(self.archive.raw("trust").stdout, new_trust.read_text())
        with self.subTest("once is enough"):
            self.assertIn("does not follow", refused(new_trust, *signatures, third))

        new_bundle, _ = self.evidence(study, "new.json")
        self.check(old_bundle, new_trust, self.first)
        self.assertIn("at least 3 of its 5 signers", self.check(new_bundle, new_trust, study))
        self.check(new_bundle, old_trust, study, code=11)
        with self.subTest("whoever holds version 1 follows, without a site"):
            nowhere = {"FIDUCIAL_SITE": str(folder / "nowhere")}
            self.archive.run("trust", "accept", new_trust, self.archive.folder / "trust.json.2.signatures", "--replace", held, environment=nowhere)
            self.check(new_bundle, held, study)
            self.assertEqual((folder / "held.json.1").read_text(), old_trust.read_text())


class EvenSplit(Case):
    @unittest.skipUnless(FULL, "FIDUCIAL_FAULTS is not set: two minutes")
    def test_four_signers_stand_still(self):
        """Two and two seal as much as they may, in forks of equal weight, and go on from neither. One side's chain is cleared: it syncs, and all goes on."""
        self.begin(4)
        net = self.net
        self.store()
        self.all_settled()
        net.halt()
        net.seal_in_turn(lambda number: self.home in (net.turn(number + 1), net.turn(number + 2)))
        base = net.head(self.home)
        one, other = [net.turn(base + 1), net.turn(base + 4)], [net.turn(base + 2), net.turn(base + 3)]
        net.cut(one, other)
        study = self.store()
        net.resume()
        wait_for(lambda: (net.head(one[0]), net.head(other[0])) == (base + 1, base + 2), 30, "each side seals what it may")
        self.assertEqual(net.weight(one[0]), net.weight(other[0]))
        net.heal(one, other)
        wait_for(lambda: self.metric("chain_stalled") == 1, 90, "the alarm chain_stalled")
        self.assertEqual((net.head(one[0]), net.head(other[0])), (base + 1, base + 2), "the network is whole and stands still")
        status = self.status()
        self.assertEqual((status["stalled"], status["healthy"]), (True, False))
        notes = requests.get(self.archive.url + "/readyz", headers={"Authorization": "Bearer " + self.token}, timeout=30)
        self.assertIn("no new blocks are sealed", notes.text)
        self.assertTrue(notes.json()["ready"], "exams are taken all the same")
        self.assertNotEqual(self.state(study)[0], "settled")
        # docs/operating/runbooks.md, "The chain stands still"
        for node in one:
            self.clear_chain(node)
        wait_for(lambda: all(net.head(node) > base + 2 for node in net.nodes), 120, "it goes on")
        wait_for(lambda: self.metric("chain_stalled") == 0, 30, "the alarm ends")
        self.at_the_end()

    def clear_chain(self, node):
        """As the runbook says, line by line."""
        net = self.net
        geth = next(line for line in (net.folder / "start").read_text().splitlines() if "nohup" in line).split("'")[1]
        net.stop(node)
        shutil.rmtree(net.folder / node / "geth/chaindata")
        subprocess.run([geth, "--datadir", net.folder / node, "--state.scheme=hash", "init", net.folder / node / "genesis.json"], check=True, capture_output=True)
        net.start(node)


if __name__ == "__main__":
    unittest.main(verbosity=2)
