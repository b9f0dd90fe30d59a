#include "shadow/report.hpp"

#include <gtest/gtest.h>

#include "base/bytes.hpp"

namespace fiducial::shadow {
namespace {

ReportInput input() {
    ReportInput out;
    out.site =
        "Klinik S\xC3\xBC"
        "d <&>";
    out.old_archive = "http://pacs/dicom-web";
    out.sealed_by = "self-sealed (1 of 1)";
    out.complete = true;
    out.figures.run.number = 3;
    out.figures.old = {10, 1234};
    out.figures.here = {10, 1234};
    out.figures.outcomes[static_cast<int>(Outcome::same)] = 1234;
    for (int i = 1; i <= 100; ++i) out.figures.times_us.emplace_back(2000 * i, 1000 * i);
    return out;
}

TEST(ShadowReport, SaysThatAllIsTheSame) {
    const auto sheet = make_sheet(input(), {});
    EXPECT_EQ(sheet.tone, Sheet::Tone::good);
    EXPECT_EQ(sheet.verdict, "Both archives hold the same images.");
    ASSERT_EQ(sheet.bars.size(), 4u);
    EXPECT_EQ(sheet.bars[0].value, "100 ms");
    EXPECT_EQ(sheet.bars[1].value, "50 ms");
    EXPECT_NE(sheet.bars_note.find("0.50 times"), std::string::npos) << sheet.bars_note;
    const auto html = to_html(sheet);
    EXPECT_NE(html.find("1,234"), std::string::npos);
    EXPECT_NE(html.find("&lt;&amp;&gt;"), std::string::npos) << "names are no mark-up";
    EXPECT_EQ(html.find("<script"), std::string::npos);
}

TEST(ShadowReport, NamesWhatChangedFirst) {
    auto with = input();
    with.figures.outcomes[static_cast<int>(Outcome::pixels_changed)] = 1;
    with.figures.missing_old = 2;
    with.figures.vanished = 1;
    EXPECT_EQ(finding_count(with.figures), 3u);
    const auto sheet = make_sheet(with, {{"pixels changed", "1.2", "1.2.3", "PixelData"}});
    EXPECT_EQ(sheet.tone, Sheet::Tone::bad);
    EXPECT_EQ(sheet.verdict, "The old archive is not what it was: 1 changed, 2 missing there.");
    EXPECT_EQ(sheet.table_title, "3 findings");
    EXPECT_NE(sheet.table_note.find("The first 1;"), std::string::npos);
}

TEST(ShadowReport, ARunThatIsNotCompleteProvesNothing) {
    auto with = input();
    with.complete = false;
    with.figures.studies_to_list = 4;
    const auto sheet = make_sheet(with, {});
    EXPECT_EQ(sheet.tone, Sheet::Tone::plain);
    EXPECT_NE(sheet.verdict.find("4 studies"), std::string::npos);
}

TEST(ShadowReport, IsOneSheetOfPdf) {
    auto with = input();
    with.figures.missing_old = 100;
    std::vector<Sheet::Line> lines(kMostLines, {"missing in the old archive, which listed it before", "1.2.840.113619.2.55.3.2831178355.1",
                                                "1.2.840.113619.2.55.3.2831178355.2", "PatientName, StudyDescription"});
    const auto pdf = to_pdf(make_sheet(with, std::move(lines)));
    ASSERT_TRUE(pdf) << pdf.error().message;
    const auto text = as_text(*pdf);
    EXPECT_TRUE(text.starts_with("%PDF-1."));
    EXPECT_NE(text.find("/Count 1"), std::string::npos);
}

}  // namespace
}  // namespace fiducial::shadow
