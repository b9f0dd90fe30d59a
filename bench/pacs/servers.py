"""The archive and the PACS it is compared with, each as it is run in a hospital; while one is measured, the other stands still."""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/system"))

from harness import Site, free_port  # noqa: E402

TITLE = "BENCH"  # of every peer here
DICOMWEB = shutil.which("Orthanc") and next((str(p) for p in pathlib.Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so*")), None)


def children(pid):
    out = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            out += children(int(child))
    return out


def cpu_seconds(pids):
    """Of processes, with those of their children that ended."""
    total = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(int(fields[i]) for i in (11, 12, 13, 14))
    return total / os.sysconf("SC_CLK_TCK")


class Server:
    """One that can be asked over DICOMweb at `web` and DIMSE at `dicom`."""
    pid = None

    def pids(self):
        return children(self.pid)

    def stand_still(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def go_on(self):
        for pid in reversed(self.pids()):
            os.kill(pid, signal.SIGCONT)

    def peak_memory(self):
        total = 0
        for pid in self.pids():
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    total += int(line.split()[1]) << 10
        return total


class Fiducial(Server):
    """With everything on: encryption, evidence, decisions, the trace, its own node beside it."""
    name, title, root = "fiducial", "FIDUCIAL", ""

    def __init__(self, folder, sink):
        self.site = Site(folder / "fiducial")
        self.site.init()
        settings = self.site.folder / "fiducial.toml"
        text = settings.read_text()
        peers = json.dumps([f"{TITLE} 127.0.0.1 device=bench query retrieve port={sink}"])
        for line, value in (("listen = \"\"", 'listen = "127.0.0.1:0"'), ("peers = []", f"peers = {peers}")):
            at = text.index("[dimse]")
            assert line in text[at:], text[at:at + 400]
            text = text[:at] + text[at:].replace(line, value, 1)
        settings.write_text(text)
        self.site.run("device", "add", "bench", "--may", "store,query,retrieve")
        self.site.run("person", "add", "doctor", "--role", "doctor")
        self.site.run("person", "add", "technologist", "--role", "technologist")
        self.tokens = {who: self.site.token(who) for who in ("doctor", "technologist")}
        self.start()

    def start(self):
        self.site.start()
        self.pid, self.dicom = self.site.server.pid, self.site.dimse_port
        self.web = int(self.site.url.rsplit(":", 1)[1])

    def headers(self, who="doctor"):
        return {"Authorization": "Bearer " + self.tokens[who]}

    def go_on(self):
        super().go_on()
        time.sleep(0.3)  # it asks its node whether it is there

    def stop(self):
        self.site.stop()


class Orthanc(Server):
    """Debian's, with the settings that it comes with; tuned: with TCP_NODELAY=1 in its environment, too."""
    name, title, root = "orthanc", "ORTHANC", "/dicom-web"

    def __init__(self, folder, sink, tuned=True, **settings):
        self.folder = folder / ("orthanc" if tuned else "orthanc-as-shipped")
        self.environment = {**os.environ, **({"TCP_NODELAY": "1"} if tuned else {})}
        self.folder.mkdir()
        self.web, self.dicom = free_port(), free_port()
        self.settings = {"Name": "bench", "StorageDirectory": str(self.folder), "IndexDirectory": str(self.folder), "StorageCompression": False, "Plugins": [DICOMWEB],
                         "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True, "Ssl": False}, "HttpPort": self.web, "DicomAet": self.title, "DicomPort": self.dicom,
                         "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True,
                         "DicomModalities": {TITLE: [TITLE, "127.0.0.1", sink]}, "TcpNoDelay": True, "KeepAlive": True, "HttpThreadsCount": 50, "DicomThreadsCount": 4,
                         "StoreMD5ForAttachments": True, "SyncStorageArea": True, "MaximumStorageCacheSize": 128, **settings}
        self.start()

    def start(self):
        file = self.folder / "orthanc.json"
        file.write_text(json.dumps(self.settings))
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(["Orthanc", file], stdout=self.log, stderr=subprocess.STDOUT, env=self.environment)
        self.pid = self.process.pid
        until = time.monotonic() + 60
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.web, timeout=5)
                connection.request("GET", "/dicom-web/studies?limit=1")
                if connection.getresponse().status == 200:
                    with socket.create_connection(("127.0.0.1", self.dicom), 5):
                        return
            except OSError:
                pass
            if time.monotonic() > until or self.process.poll() is not None:
                raise SystemExit("Orthanc did not start: " + (self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def headers(self, who="doctor"):
        return {}

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


class Sink:
    """What C-MOVE sends to: DCMTK's storescp, which throws it away. An association a process."""

    def __init__(self, port):
        self.port = port
        self.process = subprocess.Popen(["storescp", "-q", "--ignore", "--fork", "-aet", TITLE, str(port)], env={**os.environ, "TCP_NODELAY": "1"})

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
