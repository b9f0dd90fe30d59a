#include "shadow/report.hpp"

#include <algorithm>
#include <cstdio>

#include "base/escape.hpp"
#include "base/file.hpp"

namespace fiducial::shadow {
namespace {

std::string grouped(std::uint64_t number) {
    auto text = std::to_string(number);
    for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
    return text;
}

std::string milliseconds_text(double us) {
    char text[32];
    std::snprintf(text, sizeof(text), us < 9'950 ? "%.1f ms" : "%.0f ms", us / 1000);
    return text;
}

std::string size_text(std::uint64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof(text), bytes < 1'000'000'000 ? "%.1f MB" : "%.2f GB",
                  static_cast<double>(bytes) / (bytes < 1'000'000'000 ? 1e6 : 1e9));
    return text;
}

std::int64_t quantile(std::vector<std::int64_t>& values, double q) {
    if (values.empty()) return 0;
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

std::string day_and_minute(SystemTime time) {
    const auto text = to_rfc3339(time);
    return text.substr(0, 10) + " " + text.substr(11, 5) + " UTC";
}

std::uint64_t differences(const Figures& figures) {
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < std::size(figures.outcomes); ++i) {
        if (is_difference(static_cast<Outcome>(i))) count += figures.outcomes[i];
    }
    return count;
}

std::uint64_t of(const Figures& figures, Outcome outcome) {
    return figures.outcomes[static_cast<std::size_t>(outcome)];
}

void add_times(Sheet& sheet, const Figures& figures) {
    sheet.bars_title = "The same image, fetched from both in turn";
    std::vector<std::int64_t> old, here;
    std::vector<double> ratios;
    for (const auto& [a, b] : figures.times_us) {
        old.push_back(a);
        here.push_back(b);
        ratios.push_back(static_cast<double>(a) / static_cast<double>(b));
    }
    if (old.empty()) {
        sheet.bars_note = "No image was fetched from both in this run.";
        return;
    }
    struct Row {
        std::string label;
        double us;
        bool ours;
    };
    const std::vector<Row> rows{{"old archive, median", static_cast<double>(quantile(old, .5)), false},
                                {"here, median", static_cast<double>(quantile(here, .5)), true},
                                {"old archive, 95 of 100 within", static_cast<double>(quantile(old, .95)), false},
                                {"here, 95 of 100 within", static_cast<double>(quantile(here, .95)), true}};
    double longest = 1;
    for (const auto& row : rows) longest = std::max(longest, row.us);
    for (const auto& row : rows) sheet.bars.push_back({row.label, milliseconds_text(row.us), row.us / longest, row.ours});
    std::nth_element(ratios.begin(), ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2), ratios.end());
    const double ratio = ratios[ratios.size() / 2];
    char text[160];
    std::snprintf(text, sizeof(text),
                  "%s images; in the median of the pairs, this archive took %.2f times the old one's time. Whoever was asked first changed "
                  "from image to image.",
                  grouped(ratios.size()).c_str(), 1 / ratio);
    sheet.bars_note = text;
}

}  // namespace

std::uint64_t finding_count(const Figures& figures) {
    return differences(figures) + figures.missing_old + figures.missing_here + of(figures, Outcome::unread);
}

Sheet make_sheet(const ReportInput& input, std::vector<Sheet::Line> findings) {
    using Tone = Sheet::Tone;
    const auto& f = input.figures;
    const auto changed = of(f, Outcome::header_changed) + of(f, Outcome::pixels_changed);
    const auto same = of(f, Outcome::same) + of(f, Outcome::rewritten) + of(f, Outcome::same_picture);
    const auto missing_old = f.missing_old + of(f, Outcome::gone);
    const auto missing_here = f.missing_here + of(f, Outcome::absent);
    const auto total = finding_count(f);

    Sheet sheet;
    sheet.title = "Shadow report";
    sheet.subtitle = input.site + ", beside " + input.old_archive + ". Run " + std::to_string(f.run.number) + ", begun " +
                     day_and_minute(f.run.begun) + ", written " + day_and_minute(input.written) + ".";
    if (changed + missing_old > 0) {
        sheet.tone = Tone::bad;
        sheet.verdict = "The old archive is not what it was: " + grouped(changed) + " changed, " + grouped(missing_old) + " missing there.";
    } else if (!input.complete) {
        sheet.verdict = "So far, nothing that was looked at differs. The run is not complete: " + grouped(f.studies_to_list) +
                        " studies are still to be listed.";
    } else if (total > 0) {
        sheet.verdict = "Nothing changed there; " + grouped(total) + " findings are listed below.";
    } else {
        sheet.tone = Tone::good;
        sheet.verdict = "Both archives hold the same images.";
    }
    sheet.tiles = {
        {grouped(f.old.instances), "images in the old archive, " + grouped(f.old.studies) + " studies"},
        {grouped(f.here.instances), "images here, " + grouped(f.here.studies) + " studies"},
        {grouped(f.copied), "copied in this run, " + size_text(f.copied_bytes)},
        {grouped(f.compared), "compared in this run; " + grouped(f.never_compared) + " never yet"},
        {grouped(same),
         "the same: " + grouped(of(f, Outcome::same)) + " byte for byte, " + grouped(of(f, Outcome::rewritten)) + " written anew, " +
             grouped(of(f, Outcome::same_picture)) + " in another compression",
         same > 0 ? Tone::good : Tone::plain},
        {grouped(changed),
         "changed: " + grouped(of(f, Outcome::pixels_changed)) + " pixels, " + grouped(of(f, Outcome::header_changed)) + " header",
         changed > 0 ? Tone::bad : Tone::plain},
        {grouped(missing_old), "missing in the old archive; it listed " + grouped(f.vanished + of(f, Outcome::gone)) + " of them before",
         missing_old > 0 ? Tone::bad : Tone::plain},
        {grouped(missing_here), "missing here; " + grouped(f.copies_failed) + " could not be copied",
         missing_here > 0 ? Tone::bad : Tone::plain},
    };
    add_times(sheet, f);
    sheet.table_title = total == 0 ? "No findings" : grouped(total) + (total == 1 ? " finding" : " findings");
    if (total > findings.size())
        sheet.table_note = "The first " + grouped(findings.size()) + "; all of them are in the list (CSV) beside this page.";
    sheet.lines = std::move(findings);
    sheet.small_print.push_back("Sealed: " + grouped(f.settled) + " of " + grouped(f.here.studies) +
                                " studies here are settled on the ledger, " + input.sealed_by +
                                ". Since then nobody can change an image unnoticed, whoever runs this archive.");
    std::string compared =
        "Compared is what each archive gives when it is asked over DICOM: every value of the header and the pixel data, decoded where it "
        "comes in another compression. A header that was only encoded anew counts as the same.";
    if (const auto n = of(f, Outcome::recompressed); n > 0)
        compared +=
            " " + grouped(n) +
            " images came in another compression than they have here, which loses something or cannot be decoded: their headers were "
            "compared, their pixels cannot be.";
    if (const auto n = of(f, Outcome::unread); n > 0) compared += " " + grouped(n) + " could not be compared.";
    sheet.small_print.push_back(compared);
    sheet.small_print.push_back("Studies and images are named by their UIDs: this page names no patient.");
    return sheet;
}

Result<std::uint64_t> write_report(const std::filesystem::path& folder, const std::string& name, const ReportInput& input,
                                   Journal& journal) {
    std::error_code problem;
    std::filesystem::create_directories(folder, problem);
    if (problem) return fail(ErrorCode::io, folder.string() + ": " + problem.message());
    std::string list = "finding,study,series,instance,detail\n";
    std::vector<Sheet::Line> first;
    std::uint64_t count = 0;
    FID_CHECK(journal.each_finding(input.figures.run, [&](const JournalRow& row, const std::string& what) -> Result<void> {
        const auto& i = row.instance;
        list += csv_cell(what) + "," + csv_cell(i.study_uid) + "," + csv_cell(i.series_uid) + "," + csv_cell(i.sop_uid) + "," +
                csv_cell(row.detail) + "\n";
        if (count++ < kMostLines) first.push_back({what, i.study_uid, i.sop_uid, row.detail});
        return {};
    }));
    const auto sheet = make_sheet(input, std::move(first));
    FID_TRY(const auto pdf, to_pdf(sheet));
    FID_CHECK(write_file_atomically(folder / (name + ".csv"), as_bytes(list)));
    FID_CHECK(write_file_atomically(folder / (name + ".html"), as_bytes(to_html(sheet))));
    FID_CHECK(write_file_atomically(folder / (name + ".pdf"), pdf));
    return count;
}

}  // namespace fiducial::shadow
