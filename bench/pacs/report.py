"""What `make bench-pacs` measured, as the docs show it: the table in docs/reference/beside_orthanc.md and its picture beside it."""
import json
import math
import pathlib
import sys
from html import escape

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/beside_orthanc.md"
BEGIN, END = "<!-- table: bench/pacs/report.py -->\n", "<!-- end of table -->\n"
LEAST, MOST = 0.25, 64  # ratios, on a scale of powers of two
NAMES, WIDTH, LINE, TOP = 410, 420, 20, 34


def table(rows):
    yield "| work | ours | Orthanc | ratio | least … most | goal | met |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        yield (f"| {row['work']} | {row['ours']:,.1f} /s | {row['peer']:,.1f} /s | **{row['ratio']:.2f}** | {row['least']:.2f} … {row['most']:.2f} | ≥ {row['goal']:g} | "
               f"{'yes' if row['met'] else 'no'} |")


def place(ratio):
    share = math.log2(min(max(ratio, LEAST), MOST) / LEAST) / math.log2(MOST / LEAST)
    return NAMES + share * WIDTH


def picture(rows):
    height = TOP + LINE * len(rows) + 10
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{NAMES + WIDTH + 60}" height="{height}" font-family="sans-serif" font-size="12">'
    yield "<title>How many times as fast as Orthanc: median of pairs, from the least to the greatest; a stroke is the goal</title>"
    yield f'<rect width="100%" height="{height}" fill="#fff"/>'
    power = math.log2(LEAST)
    while power <= math.log2(MOST):
        x, name = place(2 ** power), f"{2 ** power:g} ×"
        yield f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{height - 6}" stroke="{"#444" if power == 0 else "#ddd"}"/><text x="{x:.1f}" y="{TOP - 14}" text-anchor="middle" fill="#444">{name}</text>'
        power += 1
    for number, row in enumerate(rows):
        y = TOP + LINE * number
        colour = "#2b8a3e" if row["met"] else "#1971c2" if row["ratio"] >= 1 else "#c92a2a"
        start, end = sorted((place(1), place(row["ratio"])))
        yield f'<text x="{NAMES - 8}" y="{y + 12}" text-anchor="end" fill="#222">{escape(row["work"])}</text>'
        yield f'<rect x="{start:.1f}" y="{y + 2}" width="{max(end - start, 1):.1f}" height="11" fill="{colour}"/>'
        yield f'<line x1="{place(row["least"]):.1f}" y1="{y + 7.5}" x2="{place(row["most"]):.1f}" y2="{y + 7.5}" stroke="#222"/>'
        yield f'<line x1="{place(row["goal"]):.1f}" y1="{y}" x2="{place(row["goal"]):.1f}" y2="{y + 15}" stroke="#222" stroke-width="2"/>'
        yield f'<text x="{NAMES + WIDTH + 8}" y="{y + 12}" fill="#222">{row["ratio"]:.2f}</text>'
    yield "</svg>"


def main():
    rows = json.loads(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/bench/pacs.json").read_text())
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    tail = rest.split(END)[1]
    PAGE.write_text(head + BEGIN + "\n".join(table(rows)) + "\n" + END + tail)
    PAGE.with_suffix(".svg").write_text("\n".join(picture(rows)) + "\n")


if __name__ == "__main__":
    main()
