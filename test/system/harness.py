"""What the system tests share: the real program on real sites in a temporary folder, and nothing left running."""
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("FIDUCIAL_BIN", ROOT / "build/bin"))
FIDUCIAL = BIN / "fiducial"
VERIFY = BIN / "fiducial-verify"
FAKETIME = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
SHARED = ROOT.parent / "shared"
PASSPHRASE = "correct horse battery staple"
READ = 0                           # IConsents.Operation
AWAY_FLAG, EMERGENCY_FLAG, COMMAND_FLAG = 1, 2, 8  # docs/formats/trace.md


class CommandFailed(AssertionError):
    def __init__(self, arguments, process):
        super().__init__(f"{' '.join(map(str, arguments))}: exit {process.returncode}\n{process.stdout[-4000:]}\n{process.stderr[-4000:]}")
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr


class Site:
    """One site and the commands on it. Collects everything the commands wrote to standard error in `log`."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.log = []
        self.server = None
        self.url = None

    def environment(self):
        return {**os.environ, "FIDUCIAL_SITE": str(self.folder), "FIDUCIAL_PASSPHRASE": PASSPHRASE, "NO_COLOR": "1"}

    def raw(self, *arguments, codes=(0,), timeout=300, environment=None, stdin=None):
        process = subprocess.run([FIDUCIAL, *map(str, arguments)], env={**self.environment(), **(environment or {})}, stdin=stdin, capture_output=True, text=True, timeout=timeout)
        self.log.append(process.stderr)
        if codes is not None and process.returncode not in codes:
            raise CommandFailed(arguments, process)
        return process

    def run(self, *arguments, codes=(0,), **more):
        """A command with --json; returns its answer."""
        return json.loads(self.raw("--json", *arguments, codes=codes, **more).stdout)

    def init(self, *arguments):
        return self.run("init", "--name", "Test site", "--argon2-memory-mib", "8", *arguments)

    @contextlib.contextmanager
    def serving(self, *arguments, **more):
        self.start(*arguments, **more)
        try:
            yield self.url
        finally:
            self.stop()

    def start(self, *arguments, wait=True, under=(), environment=None):
        """`under`: a program, and its arguments, that starts the archive in its own place."""
        self.server_log = open(self.folder.parent / f"{self.folder.name}.serve.log", "ab")
        self.server = subprocess.Popen([*under, FIDUCIAL, "--json", "serve", "--listen", "127.0.0.1:0", *arguments], env={**self.environment(), **(environment or {})},
                                       stdout=subprocess.PIPE, stderr=self.server_log, start_new_session=True)
        if wait:
            ready = ""
            while '"url"' not in ready:
                line = self.server.stdout.readline().decode()
                if not line:
                    raise AssertionError("the archive did not start:\n" + self.serve_log()[-4000:])
                ready += line
            self.url = "http" + ready.split('"http', 1)[1].split('"')[0]
            self.dimse_port = int(ready.split('"dimse":', 1)[1].split('"')[1].rsplit(":", 1)[1]) if '"dimse"' in ready else None

    def database(self):
        """The archive's index, behind its back."""
        database = sqlite3.connect(self.folder / "store/index.db", isolation_level=None)
        database.row_factory = sqlite3.Row
        return database

    def row_of(self, sop_uid):
        """The index row of the current object under a SOP Instance UID."""
        with contextlib.closing(self.database()) as database:
            return dict(database.execute("SELECT o.* FROM objects o JOIN instances i ON i.object_id = o.object_id WHERE i.sop_uid = ? AND i.is_current = 1", [sop_uid]).fetchone())

    def trace(self):
        """What stands in clear in each entry of the trace. Spec: docs/formats/trace.md"""
        log = (self.folder / "trace/trace.log").read_bytes()
        at = 1 + log[0] + 32 + 8 + 16
        while at + 16 <= len(log):
            length, = struct.unpack_from(">I", log, at)
            entry = log[at + 16:at + 16 + length]
            if len(entry) < max(length, 1):  # what a crash has torn off, or room for entries to come
                return
            fields = struct.unpack_from(">QBBBHBQ32sI", entry, 1 + entry[0])
            yield dict(zip(("time", "operation", "purpose", "allowed", "reason", "obligation", "block", "hash", "flags"), fields))
            at += 16 + length + 16

    def set(self, section, **settings):
        """Settings of a section of fiducial.toml."""
        path = self.folder / "fiducial.toml"
        lines = path.read_text().split("\n")
        begin = lines.index(f"[{section}]")
        for name, value in settings.items():
            at = next(n for n in range(begin, len(lines)) if lines[n].removeprefix("# ").startswith(f"{name} ="))
            lines[at] = f"{name} = {json.dumps(value)}"
        path.write_text("\n".join(lines))

    def looks(self):
        """How many entries of the trace tell of images that were looked at: by people through doors, and by commands on the machine."""
        reads = [entry["flags"] & COMMAND_FLAG for entry in self.trace() if entry["operation"] == READ and entry["allowed"]]
        return reads.count(0), reads.count(COMMAND_FLAG)

    def segment(self, number=1):
        return self.folder / "store/segments" / f"{number:08}.segment"

    def flip(self, sop_uid, before_end=20_000):
        """Changes one bit of an object's stored bytes, which lie before its record. Returns: what changes it back."""
        row = self.row_of(sop_uid)
        assert row["size"] > before_end + 10_000, "too small to be sure where its bytes are"
        place = self.segment(row["segment"]), row["position"] - before_end
        flip_bit(*place)
        return lambda: flip_bit(*place)

    def serve_log(self):
        path = self.folder.parent / f"{self.folder.name}.serve.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self, how=signal.SIGTERM, timeout=60):
        if self.server is None:
            return
        self.server.send_signal(how)
        self.server.wait(timeout)
        self.server.stdout.close()
        self.server_log.close()
        self.server = None

    def token(self, person):
        return self.run("token", "--person", person)["token"]


class Network:
    """A network of signers on this machine, as `fiducial ledger network` makes it, and its nodes' answers. Nodes are named node1, node2, …"""

    def __init__(self, folder, signers, period=1):
        self.folder = pathlib.Path(folder)
        made = subprocess.run([FIDUCIAL, "--json", "ledger", "network", str(signers), self.folder, "--period", str(period)], check=True, capture_output=True)
        self.chain_id = json.loads(made.stdout)["chainId"]
        self.nodes = [f"node{n + 1}" for n in range(signers)]

    def start(self, *nodes):
        subprocess.run([self.folder / "start", *nodes], check=True)
        wait_for(lambda: all(self.answers(node) for node in nodes or self.nodes), 60, "the nodes answer")

    def stop(self, *nodes):
        if (self.folder / "stop").exists():
            subprocess.run([self.folder / "stop", *nodes], check=True)

    def socket(self, node):
        return self.folder / node / "geth.ipc"

    def ask(self, node, method, *parameters):
        return ask_node(self.socket(node), method, *parameters)

    def answers(self, node):
        try:
            return self.ask(node, "eth_chainId") == hex(self.chain_id)
        except (OSError, ValueError):
            return False


def ask_node(path, method, *parameters):
    """One question of JSON-RPC to the node that answers on a socket."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(30)
        stream.connect(str(path))
        stream.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode())
        answer = json.loads(stream.makefile().readline())
    if "error" in answer:
        raise AssertionError(f"{path}: {method}: {answer['error']['message']}")
    return answer["result"]


def missing(*programs):
    """What there is to say where some of them are not installed."""
    absent = [program for program in programs if shutil.which(program) is None]
    return f"{', '.join(absent)}: not installed (deploy/dependencies test)" if absent else None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def sockets_of(process):
    """How many sockets a process has open. (Files of the index come and go with how many read it at once.)"""
    count = 0
    for name in os.listdir(f"/proc/{process.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"/proc/{process.pid}/fd/{name}").startswith("socket:")
    return count


class SystemTest(unittest.TestCase):
    """A test with a folder of its own that goes away afterwards, with whatever still runs in it."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fiducial-test-"))
        self.sites = []

    def tearDown(self):
        for site in self.sites:
            if site.server is not None:
                with contextlib.suppress(Exception):
                    site.stop(signal.SIGKILL)
        subprocess.run(["pkill", "-9", "-f", str(self.folder)], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def need(self, missing):
        """`missing`: what has to be installed for this test, or nothing. Without it the test is skipped, or fails where all tools have to be there."""
        if missing:
            (self.fail if os.environ.get("FIDUCIAL_TOOLS_REQUIRED") else self.skipTest)(missing)

    def site(self, name="site", init=True):
        site = Site(self.folder / name)
        self.sites.append(site)
        if init:
            site.init()
        return site

    def network(self, signers, kind=Network):
        network = kind(self.folder / f"net{signers}", signers)
        self.addCleanup(network.stop)
        network.start()
        return network

    def samples(self, studies=None):
        """The product's own sample exams, drawn once for all tests. Returns the folder."""
        folder = ROOT / "build/samples"
        with open(ROOT / "build/samples.lock", "w") as lock:  # tests run side by side
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / ".complete").exists():
                subprocess.run([FIDUCIAL, "samples", "--to", folder], check=True, capture_output=True)
                (folder / ".complete").touch()
        return folder


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def flip_bit(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def files_of(folder):
    return sorted(p for p in pathlib.Path(folder).rglob("*") if p.is_file())


def peak_kib(pid):
    """The most memory that a process has had at one time."""
    return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0])


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")
