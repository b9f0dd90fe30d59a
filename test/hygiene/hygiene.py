#!/usr/bin/env python3
"""The house rules that a machine can check: layering of includes, where third-party headers may stand, that every test
and fuzzer is built by a target, and that nothing in the tree speaks of machines it was made on.

Run from anywhere; prints each breach as file:line and exits 1 if there is one."""
import json
import pathlib
import re
import subprocess
import sys

try:
    import tomllib
except ModuleNotFoundError:  # Python before 3.11
    import tomli as tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
rules = tomllib.loads((ROOT / "src/rooms.toml").read_text())
rooms, libraries = rules["rooms"], rules["libraries"]
breaches = []


def breach(path, line, text):
    breaches.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def tracked():
    out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / p for p in out.decode().split("\0") if p and (ROOT / p).is_file()]


def check_levels():
    for name, room in rooms.items():
        for used in room["uses"]:
            if used not in rooms:
                breaches.append(f"src/rooms.toml: {name} uses {used}, which is no room")
            elif rooms[used]["level"] >= room["level"]:
                breaches.append(f"src/rooms.toml: {name} (level {room['level']}) uses {used} (level {rooms[used]['level']}), which is not below it")


def check_includes(path):
    room = path.relative_to(ROOT / "src").parts[0]
    if room not in rooms:
        return breach(path, 1, f"src/{room} is not a room of src/rooms.toml")
    is_header = path.suffix == ".hpp"
    is_test = path.stem.endswith(("_test", "_fuzz")) or "_test_" in path.stem or path.stem.startswith("test_") or path.stem.endswith("_fixture")
    relative = str(path.relative_to(ROOT / "src"))
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        bracket, target = match.groups()
        first = target.split("/")[0]
        if bracket == '"' and first in rooms:
            if first != room and first not in rooms[room]["uses"]:
                breach(path, number, f"room {room} may not include room {first}")
            continue
        for prefix, rule in libraries.items():
            if target.startswith(prefix):
                if room not in rule["rooms"] and not is_test:
                    breach(path, number, f"room {room} may not include {target}")
                elif is_header and relative not in rule["headers"] and not is_test:
                    breach(path, number, f"{target} may stand in .cpp files only")
                break


def check_built(files):
    build_text = "".join(p.read_text() for p in files if p.name in ("CMakeLists.txt",) or p.suffix == ".cmake")
    for path in files:
        if path.suffix == ".cpp" and path.stem.endswith(("_test", "_fuzz", "_bench")) and path.name not in build_text:
            breach(path, 1, "no target builds this file")
        if path.parent.name == "system" and path.name.endswith("_test.py") and not re.search(rf"fiducial_system_test\({path.stem.removesuffix('_test')}[ )]", build_text):
            breach(path, 1, "no test runs this file")


FORBIDDEN = [
    (re.compile(r"(?<![\w/.$}])/(work|root|home/[a-z]+)/"), "a path of the machine it was made on"),
    (re.compile(r"registry\.npmjs|pypi\.org|proxy\.golang|crates\.io|deb\.debian"), "a package registry's host name"),
]


def check_text(path):
    if path.suffix in {".png", ".dcm", ".jpg", ".onnx", ".zip", ".woff2"} or path == pathlib.Path(__file__).resolve() or "corpora" in path.parts:
        return
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, what in FORBIDDEN:
            if pattern.search(line):
                breach(path, number, what)


def check_named_tests(files):
    """Pages that name the test which shows each cell of a table: there must be such a test."""
    known = set()
    for path in files:
        if path.stem.endswith("_test") and path.suffix in {".cpp", ".py"} or path.name.endswith(".t.sol"):
            text = path.read_text()
            known.update(".".join(names) for names in re.findall(r"^TEST(?:_[FP])?\((\w+), (\w+)\)", text, re.M))
            known.update(re.findall(r"function (test\w+)\(", text))
            known.update(f"{path.stem.removesuffix('_test')}.{name}" for name in re.findall(r"def (test_\w+)\(self", text))
    for page, pattern in (("threats.md", r"`(\w+\.\w+|test\w*)`"), ("rights.md", r"`(\w+\.\w*_\w+)`")):
        page = ROOT / "docs/design" / page
        for number, line in enumerate(page.read_text().splitlines(), 1):
            for name in re.findall(pattern, line):
                if name not in known and not (ROOT / "contracts/test" / name).exists() and not name.endswith((".py", ".db", ".sol", ".cpp")):
                    breach(page, number, f"there is no test {name}")


def check_conformance():
    """The conformance statement's tables are those of the code: each transfer syntax, each attribute of queries, and no other."""
    page = ROOT / "docs/reference/conformance.md"
    text = page.read_text()
    syntaxes = (ROOT / "src/dicom/transfer_syntax.cpp").read_text()
    attributes = (ROOT / "src/dicom/attributes.cpp").read_text()
    in_code = {f"{name} {uid}" for uid, name in re.findall(r'TransferSyntax\{"([\d.]+)",\s*"([^"]+)"', syntaxes)}
    in_code |= {f"{name} ({tag[:4]},{tag[4:]}) {vr}" for tag, name, vr in re.findall(r'QueryAttribute\{0x(\w{8}), "(\w+)", "(\w\w)"', attributes)}
    on_page = {f"{name} {uid}" for name, uid in re.findall(r"^\| ([^|]+) \| (1\.2\.840\.10008\.1\.2[\d.]*) \|$", text, re.M)}
    on_page |= {" ".join(row) for row in re.findall(r"^\| (?:Request Attributes Sequence > )?(\w+) \| (\(\w{4},\w{4}\)) \| (\w\w) \|", text, re.M)}
    for row in sorted(in_code - on_page):
        breach(page, 1, f"does not say: {row}")
    for row in sorted(on_page - in_code):
        breach(page, 1, f"says what the code does not: {row}")


def check_openapi():
    """The description of the HTTP routes is that of the code: each path and method, and whether it wants a person."""
    page = ROOT / "docs/reference/openapi.json"
    described = json.loads(page.read_text())["paths"]
    in_code, on_page = set(), set()
    for method, pattern, access in re.findall(r'\{"([A-Z]+)", "([^"]+)", Access::(\w+),', (ROOT / "src/gateway/routes.cpp").read_text()):
        for level in ("{study}", "{series}", "{instance}"):
            pattern = pattern.replace("{uid}", level, 1)
        in_code.add((method, pattern.replace("{rest}", "{path}"), access))
    for path, methods in described.items():
        on_page |= {(method.upper(), path, "anonymous" if how.get("security") == [] else "person") for method, how in methods.items()}
    for row in sorted(in_code - on_page):
        breach(page, 1, f"does not say: {' '.join(row)}")
    for row in sorted(on_page - in_code):
        breach(page, 1, f"says what the code does not: {' '.join(row)}")


def main():
    files = tracked()
    check_conformance()
    check_openapi()
    check_levels()
    for path in files:
        if path.suffix in {".cpp", ".hpp"} and (ROOT / "src") in path.parents:
            check_includes(path)
        check_text(path)
    check_built(files)
    check_named_tests(files)
    for room in rooms:
        if (ROOT / "src" / room).is_dir() and not (ROOT / "src" / room / "README.md").exists():
            breaches.append(f"src/{room}: a room needs its README.md")
    print("\n".join(breaches) if breaches else f"hygiene: {len(files)} files, no breach")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
