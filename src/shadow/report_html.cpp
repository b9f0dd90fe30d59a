#include <cstdio>

#include "base/escape.hpp"
#include "shadow/report.hpp"

namespace fiducial::shadow {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light; --ink: #1d2530; --faint: #5c6876; --line: #d9dfe6; --ours: #0b7285; --other: #adb5bd; --good: #2b8a3e; --bad: #c92a2a; }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); max-width: 62rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { margin: 0; font-size: 1.7rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
.subtitle, .note, footer { color: var(--faint); } footer { font-size: .85rem; border-top: 1px solid var(--line); margin-top: 1.8rem; padding-top: .4rem; }
.verdict { font-size: 1.15rem; font-weight: 600; border-left: .4rem solid var(--other); padding: .5rem .8rem; margin: 1rem 0; background: #f6f8fa; }
.verdict.good { border-color: var(--good); } .verdict.bad { border-color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: .7rem; }
.tile { border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .7rem; }
.tile b { display: block; font-size: 1.5rem; } .tile.good b { color: var(--good); } .tile.bad b { color: var(--bad); }
.tile span { font-size: .8rem; color: var(--faint); }
.bar { display: grid; grid-template-columns: 14rem 1fr 5rem; align-items: center; gap: .6rem; margin: .25rem 0; }
.bar i { display: block; height: 1rem; background: var(--other); border-radius: .15rem; } .bar i.ours { background: var(--ours); }
table { border-collapse: collapse; width: 100%; font-size: .8rem; } th, td { text-align: left; vertical-align: top; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid var(--line); }
td.uid { font-family: ui-monospace, monospace; font-size: .72rem; overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; } }
)";

std::string class_of(Sheet::Tone tone) {
    return tone == Sheet::Tone::good ? " good" : tone == Sheet::Tone::bad ? " bad" : "";
}

}  // namespace

std::string to_html(const Sheet& sheet) {
    std::string out =
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<meta name=\"viewport\" content=\"width=device-width\"><title>" +
        escape_html(sheet.title) + "</title><style>" + std::string(kStyle) + "</style></head><body>\n";
    out += "<h1>" + escape_html(sheet.title) + "</h1>\n<p class=\"subtitle\">" + escape_html(sheet.subtitle) + "</p>\n";
    out += "<p class=\"verdict" + class_of(sheet.tone) + "\">" + escape_html(sheet.verdict) + "</p>\n<div class=\"tiles\">\n";
    for (const auto& tile : sheet.tiles) {
        out += "<div class=\"tile" + class_of(tile.tone) + "\"><b>" + escape_html(tile.value) + "</b><span>" + escape_html(tile.label) +
               "</span></div>\n";
    }
    out += "</div>\n<h2>" + escape_html(sheet.bars_title) + "</h2>\n";
    for (const auto& bar : sheet.bars) {
        char width[16];
        std::snprintf(width, sizeof(width), "%.1f", bar.part * 100);
        out += "<div class=\"bar\"><span>" + escape_html(bar.label) + "</span><i" + (bar.ours ? " class=\"ours\"" : "") +
               " style=\"width:" + width + "%\"></i><span>" + escape_html(bar.value) + "</span></div>\n";
    }
    out += "<p class=\"note\">" + escape_html(sheet.bars_note) + "</p>\n<h2>" + escape_html(sheet.table_title) + "</h2>\n";
    if (!sheet.lines.empty()) {
        out += "<table><thead><tr><th>Finding<th>Study<th>Image<th>What</tr></thead><tbody>\n";
        for (const auto& line : sheet.lines) {
            out += "<tr><td>" + escape_html(line.what) + "<td class=\"uid\">" + escape_html(line.study) + "<td class=\"uid\">" +
                   escape_html(line.instance) + "<td>" + escape_html(line.detail) + "</tr>\n";
        }
        out += "</tbody></table>\n";
    }
    if (!sheet.table_note.empty()) out += "<p class=\"note\">" + escape_html(sheet.table_note) + "</p>\n";
    out += "<footer>\n";
    for (const auto& line : sheet.small_print) out += "<p>" + escape_html(line) + "</p>\n";
    return out + "</footer></body></html>\n";
}

}  // namespace fiducial::shadow
