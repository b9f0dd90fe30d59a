#pragma once
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "shadow/journal.hpp"

namespace fiducial::shadow {

/// What a report is made of.
struct ReportInput {
    std::string site, old_archive;  // their names, for people
    std::string sealed_by;          // who seals the blocks of this site's ledger
    SystemTime written{};
    bool complete = false;  // the run came to its end
    Figures figures;
};

/// One page, before it is drawn.
struct Sheet {
    enum class Tone : std::uint8_t { plain, good, bad };
    struct Tile {
        std::string value, label;
        Tone tone = Tone::plain;
    };
    struct Bar {
        std::string label, value;
        double part = 0;  // of the longest one
        bool ours = false;
    };
    struct Line {
        std::string what, study, instance, detail;
    };
    std::string title, subtitle, verdict;
    Tone tone = Tone::plain;
    std::vector<Tile> tiles;
    std::string bars_title, bars_note;
    std::vector<Bar> bars;
    std::string table_title, table_note;
    std::vector<Line> lines;
    std::vector<std::string> small_print;
};

/// How many findings a page names; the rest is in the list beside it.
constexpr std::size_t kMostLines = 18;

/// `findings`: the first of them. Their number follows from the figures.
Sheet make_sheet(const ReportInput& input, std::vector<Sheet::Line> findings);
std::uint64_t finding_count(const Figures& figures);

/// A page that needs nothing else: no script, no picture, nothing to be loaded.
std::string to_html(const Sheet& sheet);
/// The same on one sheet of A4. Characters beyond Latin-1 are shown as '?'. Errors: internal.
Result<Bytes> to_pdf(const Sheet& sheet);

/// Writes NAME.html, NAME.pdf and NAME.csv, which lists every finding, into a folder that is made where it is missing.
/// Returns: how many findings there are. Errors: those of files and of the journal.
Result<std::uint64_t> write_report(const std::filesystem::path& folder, const std::string& name, const ReportInput& input,
                                   Journal& journal);

}  // namespace fiducial::shadow
