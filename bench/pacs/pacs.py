"""The archive beside Orthanc, in turn, in one run: what `make bench-pacs` measures.

Each work is measured in pairs, ours and theirs one right after the other, first the one and then the other; while one is measured the other is
stopped. The figure is the median of the pairs' ratios, with the least and the greatest. Ours has everything on: encryption at rest, every byte checked
against what is anchored, a decision for every request, a trace that is durable before the answer; Orthanc has none of it.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from images import SLICES, images  # noqa: E402
from servers import DICOMWEB, ROOT, TITLE, Fiducial, Orthanc, Sink, cpu_seconds, free_port  # noqa: E402

OBJECTS = 'multipart/related; type="application/dicom"'
FRAMES = 'multipart/related; type="application/octet-stream"'
X_RAYS = 60     # fetched over and over: more than Orthanc's 128 MiB of cache
SEEN = []       # numbers of runs, so that no UID comes twice


def next_run():
    SEEN.append(len(SEEN) + 1)
    return SEEN[-1]


class Bench:
    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        port = free_port()
        self.sink, self.port = Sink(port), port
        self.ours, self.peer = Fiducial(folder, port), Orthanc(folder, port)
        self.kept = {}
        self.as_shipped = None

    def peer_for(self, work):
        """Whom a work is compared with: peers as shipped talk to an Orthanc as shipped, which has the CT as well."""
        if "as shipped" not in work:
            return self.peer
        if not self.as_shipped:
            there = self.stored("ct")
            self.as_shipped = Orthanc(self.folder, self.port, tuned=False)
            self.store(self.as_shipped, there, 1, tuned=True)
        return self.as_shipped

    def stop(self):
        for server in filter(None, (self.ours, self.peer, self.as_shipped)):
            server.stop()
        self.sink.stop()

    # what is there to be fetched

    def stored(self, kind, count=0):
        if (kind, count) not in self.kept:
            new = images(kind, next_run(), count)
            for server in (self.ours, self.peer):
                self.store(server, new, 4 if len({i.study for i in new}) > 1 else 1, tuned=True)
            self.ours.site.run("ledger", "wait", "--seconds", 300, timeout=400)
            self.kept[kind, count] = new
        return self.kept[kind, count]

    # works: each returns how many a second

    def store(self, server, new, associations, tuned):
        folders = [self.folder / f"send-{n}" for n in range(associations)]
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        for number, image in enumerate(new):
            (folders[number % associations] / f"{number:06}.dcm").write_bytes(image.data)
        subprocess.run(["sync"], check=True)
        environment = {**os.environ, **({"TCP_NODELAY": "1"} if tuned else {})}
        began = time.perf_counter()
        senders = [subprocess.Popen(["storescu", "-q", "+sd", "-aet", TITLE, "-aec", server.title, "127.0.0.1", str(server.dicom), folder], env=environment) for folder in folders]
        failed = [sender.wait(600) for sender in senders]
        took = time.perf_counter() - began
        assert not any(failed), f"storescu to {server.name}: {failed}"
        return len(new) / took

    def ask(self, server, paths, connections, accept, seconds=None):
        seconds = seconds or self.options.seconds
        urls = self.folder / "urls"
        urls.write_text("".join(f"{server.root}{path}\n" for path in paths))
        headers = [option for name, value in {**server.headers(), "Accept": accept}.items() for option in ("-H", f"{name}: {value}")]
        ran = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", *headers, "-s", pathlib.Path(__file__).parent / "path.lua",
                              f"http://127.0.0.1:{server.web}"], capture_output=True, text=True, env={**os.environ, "URLS": str(urls)}, check=True)
        said = json.loads(next(line for line in ran.stdout.splitlines() if line.startswith("JSON "))[5:])
        assert said["errors"] == 0, (server.name, paths[0], said)
        if said["requests"] < 10 and seconds < 60:  # too few to say how many there are in a second
            return self.ask(server, paths, connections, accept, 4 * seconds)
        return said["requests"] / said["us"] * 1e6

    def check(self, server, path, accept):
        """One answer, before many are measured: a fast refusal is no speed."""
        connection = HTTPConnection("127.0.0.1", server.web, timeout=120)
        connection.request("GET", server.root + path, headers={**server.headers(), "Accept": accept})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200 and body, (server.name, path, answer.status, body[:300])

    def fetching(self, paths, connections, accept):
        for server in (self.ours, self.peer):
            self.check(server, paths[0], accept)
        return lambda server: self.ask(server, paths, connections, accept)

    def store_over_the_web(self, server, new, connections, at_once):
        boundary = b"7f3a9c1e"
        pieces = [b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n" + image.data + b"\r\n" for image in new]
        bodies = [b"".join(pieces[i:i + at_once]) + b"--" + boundary + b"--\r\n" for i in range(0, len(pieces), at_once)]
        headers = {**server.headers("technologist"), "Content-Type": 'multipart/related; type="application/dicom"; boundary=' + boundary.decode(), "Accept": "application/dicom+json"}
        problems = []

        def send(mine):
            connection = HTTPConnection("127.0.0.1", server.web, timeout=120)
            for body in mine:
                connection.request("POST", server.root + "/studies", body, headers)
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != 200:
                    problems.append((answer.status, said[:200]))
        senders = [threading.Thread(target=send, args=(bodies[n::connections],)) for n in range(connections)]
        began = time.perf_counter()
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        took = time.perf_counter() - began
        assert not problems, (server.name, problems[:3])
        return len(new) / took

    def retrieve(self, server, command, study, tuned):
        environment = {**os.environ, **({"TCP_NODELAY": "1"} if tuned else {})}
        how = ["getscu", "-q", "-S", "--ignore"] if command == "get" else ["movescu", "-q", "-S", "-aem", TITLE]
        began = time.perf_counter()
        subprocess.run([*how, "-aet", TITLE, "-aec", server.title, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}", "127.0.0.1", str(server.dicom)], env=environment, check=True, timeout=300)
        return SLICES / (time.perf_counter() - began)

    def find(self, server, keys, repeat):
        asked = [option for key in ("QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName", "AccessionNumber", *keys) for option in ("-k", key)]
        began = time.perf_counter()
        subprocess.run(["findscu", "-q", "-S", "-aet", TITLE, "-aec", server.title, "--repeat", str(repeat), *asked, "127.0.0.1", str(server.dicom)], env={**os.environ, "TCP_NODELAY": "1"},
                       check=True, timeout=300, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return repeat / (time.perf_counter() - began)


def sync_rate(folder):
    """MB/s of writing 64 MB and waiting for the disk."""
    block, file = os.urandom(1 << 20), folder / "dd"
    began = time.perf_counter()
    with open(file, "wb") as out:
        for _ in range(64):
            out.write(block)
        os.fsync(out.fileno())
    return 64 * 1.048576 / (time.perf_counter() - began)


# rows: (work, goal, whether it waits for the disk, what makes the measurement)

def rows(bench):
    for connections, ct, cxr in ((1, 2.5, 1.3), (4, 2.3, 1.5), (16, 2.3, 1.5)):
        text = f"{connections} connection{'s' * (connections > 1)}"
        yield f"WADO-RS instance, CT, {text}", ct, False, lambda c=connections: bench.fetching([i.path() for i in bench.stored("ct")], c, OBJECTS)
        yield f"WADO-RS instance, CXR, {text}", cxr, False, lambda c=connections: bench.fetching([i.path() for i in bench.stored("cxr", X_RAYS)], c, OBJECTS)
    yield "WADO-RS frames, CT", 2, False, lambda: bench.fetching([i.path() + "/frames/1" for i in bench.stored("ct")], 1, FRAMES)
    yield "WADO-RS frames, CXR", 2, False, lambda: bench.fetching([i.path() + "/frames/1" for i in bench.stored("cxr", X_RAYS)], 1, FRAMES)
    yield "WADO-RS, a whole CT series", 1.3, False, lambda: bench.fetching([f"/studies/{bench.stored('ct')[0].study}/series/{bench.stored('ct')[0].series}"], 1, OBJECTS)
    for connections, goal in ((1, 2), (4, 2), (16, 1.5)):
        for kind, what in (("ct", ("ct",)), ("cxr", ("cxr", X_RAYS))):
            yield (f"rendered {kind.upper()}, {connections} connection{'s' * (connections > 1)}", goal, False,
                   lambda c=connections, w=what: bench.fetching([i.path() + "/rendered" for i in bench.stored(*w)], c, "image/jpeg"))
    yield "metadata of a 300-slice study", 3, False, lambda: bench.fetching([f"/studies/{bench.stored('ct')[0].study}/metadata"], 1, "application/dicom+json")
    yield "metadata of one instance", 2, False, lambda: bench.fetching([i.path() + "/metadata" for i in bench.stored("ct")], 1, "application/dicom+json")
    for studies in bench.options.studies:
        def asked(path, n=studies):
            there = bench.stored("tiny", n)
            chosen = random.Random(7).sample(there, min(200, len(there)))
            return bench.fetching([path.format(patient=i.patient, day=f"2024{number % 12 + 1:02}01-2024{number % 12 + 1:02}07") for number, i in enumerate(chosen)], 1, "application/dicom+json")
        yield f"QIDO-RS by PatientID, {studies} studies", 3, False, lambda f=asked: f("/studies?PatientID={patient}")
        yield f"QIDO-RS by StudyDate, {studies} studies", 3, False, lambda f=asked: f("/studies?StudyDate={day}&limit=100")
        yield f"QIDO-RS by ModalitiesInStudy, limit=100, {studies} studies", 20 if studies >= 20000 else 3, False, lambda f=asked: f("/studies?ModalitiesInStudy=CR&limit=100")

        def found(keys, repeat, n=studies):
            there = bench.stored("tiny", n)
            return lambda server: bench.find(server, [key.format(patient=there[len(there) // 2].patient) for key in keys], repeat)
        yield f"C-FIND by PatientID, {studies} studies", 3, False, lambda f=found: f(["PatientID={patient}"], 200)
        yield f"C-FIND by StudyDate, {studies} studies", 3, False, lambda f=found: f(["PatientID", "StudyDate=20240301-20240307"], 20)
    for tuned, peers in ((True, "peers with TCP_NODELAY=1"), (False, "peers as shipped")):
        for associations in ((1, 4) if tuned else (1,)):
            for kind, count, goal in (("ct", 0, 2.5 if tuned else 25), ("cxr", 60, 1.5 if tuned else 8)):
                # New images for each server and each pair; as shipped a peer takes 20 a second: fewer of them.
                yield (f"C-STORE {kind.upper()}, {peers}, {associations} association{'s' * (associations > 1)}", goal, True,
                       lambda k=kind, c=count, a=associations, t=tuned: lambda server: bench.store(server, images(k, next_run(), c)[:SLICES if t else 30], a, t))
    for kind, count, goal in (("ct", 0, 2.5), ("cxr", 60, 1.5)):
        for connections, at_once in ((1, 1), (4, 1), (1, 50)):
            yield (f"STOW-RS {kind.upper()}, {connections} connection{'s' * (connections > 1)}{', 50 a request' * (at_once > 1)}", goal, True,
                   lambda k=kind, c=count, n=connections, o=at_once: lambda server: bench.store_over_the_web(server, images(k, next_run(), c), n, o))
    yield "C-GET, CT, tuned peer", 1.3, False, lambda: lambda server: bench.retrieve(server, "get", bench.stored("ct")[0].study, True)
    yield "C-GET, CT, peer as shipped", 1.3, False, lambda: lambda server: bench.retrieve(server, "get", bench.stored("ct")[0].study, False)
    yield "C-MOVE, CT, into our own sink", 2, False, lambda: lambda server: bench.retrieve(server, "move", bench.stored("ct")[0].study, True)


def measure(bench, work, goal, durable, make):
    of, peer = make(), bench.peer_for(work)
    pairs, cpu, number, repeated = [], {"fiducial": 0.0, "orthanc": 0.0}, 0, 0
    for server in (bench.ours, peer):
        of(server)  # once to warm up
    while len(pairs) < bench.options.pairs:
        before = sync_rate(bench.folder) if durable else 0
        rate = {}
        for server, other in ((bench.ours, peer), (peer, bench.ours))[::1 if number % 2 == 0 else -1]:
            other.stand_still()
            spent = cpu_seconds(server.pids())
            try:
                rate[server.name] = of(server)
            finally:
                other.go_on()
            cpu[server.name] += cpu_seconds(server.pids()) - spent
        number += 1
        if durable and repeated < 2 * bench.options.pairs and abs(sync_rate(bench.folder) / before - 1) > 0.25:
            repeated += 1  # the disk was another one at the end
            continue
        pairs.append((rate["fiducial"], rate["orthanc"]))
    ratios = sorted(ours / peer for ours, peer in pairs)
    ratio = statistics.median(ratios)
    return {"work": work, "ours": statistics.median(o for o, _ in pairs), "peer": statistics.median(p for _, p in pairs), "unit": "/s", "ratio": ratio, "least": ratios[0], "most": ratios[-1],
            "pairs": len(pairs), "repeated": repeated, "goal": goal, "met": ratio >= goal}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="", help="works whose name has this in it; several with |")
    options.add_argument("--pairs", type=int, default=7)
    options.add_argument("--seconds", type=int, default=3, help="of each retrieval")
    options.add_argument("--studies", type=lambda text: [int(n) for n in text.split()], default=[500], help='how many for lists, as "500 20000"')
    options.add_argument("--list", action="store_true", help="name the works and end")
    options.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench/pacs.json")
    options = options.parse_args()
    if not DICOMWEB or not shutil.which("wrk"):
        raise SystemExit("Orthanc with its DICOMweb plugin, or wrk, is missing: deploy/dependencies bench")
    wanted = [part for part in options.only.split("|") if part]

    class Nothing:
        pass
    if options.list:
        nothing = Nothing()
        nothing.options = options
        for work, goal, _, _ in rows(nothing):
            print(f"{work}: goal {goal}")
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fiducial-pacs-", dir=os.environ.get("FIDUCIAL_BENCH_DIR")))
    bench, results = None, []
    try:
        bench = Bench(folder, options)
        print(f"{'work':58} {'ours':>9} {'Orthanc':>9}   ratio  [least … most]   goal", flush=True)
        for work, goal, durable, make in rows(bench):
            if wanted and not any(part in work for part in wanted):
                continue
            row = measure(bench, work, goal, durable, make)
            results.append(row)
            print(f"{work:58} {row['ours']:9.1f} {row['peer']:9.1f} {row['ratio']:7.2f}  [{row['least']:.2f} … {row['most']:.2f}]   {goal:g} {'met' if row['met'] else 'NOT MET'}", flush=True)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(results, indent=1) + "\n")
        print(f"peak memory: ours {bench.ours.peak_memory() >> 20} MiB (the node's included), Orthanc {bench.peer.peak_memory() >> 20} MiB")
    finally:
        if bench:
            bench.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
