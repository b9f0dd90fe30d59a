#include <hpdf.h>

#include <algorithm>
#include <memory>

#include "shadow/report.hpp"

namespace fiducial::shadow {
namespace {

struct Colour {
    float r, g, b;
};
constexpr Colour kInk{.11F, .15F, .19F}, kFaint{.36F, .41F, .46F}, kLine{.85F, .87F, .90F}, kOurs{.04F, .45F, .52F},
    kOther{.68F, .71F, .74F}, kGood{.17F, .54F, .24F}, kBad{.79F, .16F, .16F};
constexpr float kLeft = 42, kWidth = 511, kTop = 800, kBottom = 40;

/// UTF-8 as the font's own encoding has it (Windows-1252 has Latin-1 in the same places).
std::string latin1(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const auto c = static_cast<unsigned char>(text[i]);
        std::size_t length = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        length = std::min(length, text.size() - i);
        if (length == 1) {
            out += c < 0x20 ? ' ' : text[i];
        } else if (length == 2 && c <= 0xC3) {
            out += static_cast<char>(((c & 0x03) << 6) | (static_cast<unsigned char>(text[i + 1]) & 0x3F));
        } else {
            out += '?';
        }
        i += length;
    }
    return out;
}

/// A page that is filled from the top.
class Page {
public:
    explicit Page(HPDF_Doc document) : page_(HPDF_AddPage(document)) {
        HPDF_Page_SetSize(page_, HPDF_PAGE_SIZE_A4, HPDF_PAGE_PORTRAIT);
        plain_ = HPDF_GetFont(document, "Helvetica", "WinAnsiEncoding");
        strong_ = HPDF_GetFont(document, "Helvetica-Bold", "WinAnsiEncoding");
        fixed_ = HPDF_GetFont(document, "Courier", "WinAnsiEncoding");
    }
    enum class Face { plain, strong, fixed };
    float y = kTop;

    void rectangle(float x, float bottom, float width, float height, Colour colour) {
        HPDF_Page_SetRGBFill(page_, colour.r, colour.g, colour.b);
        HPDF_Page_Rectangle(page_, x, bottom, width, height);
        HPDF_Page_Fill(page_);
    }
    void text(float x, float at, Face face, float size, Colour colour, const std::string& line) {
        HPDF_Page_SetRGBFill(page_, colour.r, colour.g, colour.b);
        HPDF_Page_BeginText(page_);
        HPDF_Page_SetFontAndSize(page_, font(face), size);
        HPDF_Page_TextOut(page_, x, at, latin1(line).c_str());
        HPDF_Page_EndText(page_);
    }
    /// Words in lines of that width, downwards from `at`, at most so many. Returns: where the next line would stand.
    float paragraph(float x, float at, float width, Face face, float size, Colour colour, const std::string& words, int most = 100) {
        std::string rest = latin1(words);
        for (int line = 0; !rest.empty() && line < most; ++line, at -= size * 1.3F) {
            HPDF_Page_SetFontAndSize(page_, font(face), size);
            auto fits = static_cast<std::size_t>(HPDF_Page_MeasureText(page_, rest.c_str(), width, HPDF_TRUE, nullptr));
            if (fits == 0) fits = static_cast<std::size_t>(HPDF_Page_MeasureText(page_, rest.c_str(), width, HPDF_FALSE, nullptr));
            fits = std::clamp<std::size_t>(fits, 1, rest.size());
            HPDF_Page_SetRGBFill(page_, colour.r, colour.g, colour.b);
            HPDF_Page_BeginText(page_);
            HPDF_Page_TextOut(page_, x, at, rest.substr(0, fits).c_str());
            HPDF_Page_EndText(page_);
            rest.erase(0, fits);
            rest.erase(0, rest.find_first_not_of(' ') == std::string::npos ? rest.size() : rest.find_first_not_of(' '));
        }
        return at;
    }

private:
    HPDF_Font font(Face face) const { return face == Face::plain ? plain_ : face == Face::strong ? strong_ : fixed_; }

    HPDF_Page page_;
    HPDF_Font plain_ = nullptr, strong_ = nullptr, fixed_ = nullptr;
};
using Face = Page::Face;

Colour colour_of(Sheet::Tone tone, Colour plain) {
    return tone == Sheet::Tone::good ? kGood : tone == Sheet::Tone::bad ? kBad : plain;
}

void draw_tiles(Page& page, const Sheet& sheet) {
    constexpr int kColumns = 4;
    constexpr float kGap = 8, kHeight = 58;
    const float width = (kWidth - kGap * (kColumns - 1)) / kColumns;
    for (std::size_t i = 0; i < sheet.tiles.size(); ++i) {
        const auto& tile = sheet.tiles[i];
        const float x = kLeft + static_cast<float>(i % kColumns) * (width + kGap);
        const float top = page.y - static_cast<float>(i / kColumns) * (kHeight + kGap);
        page.rectangle(x, top - kHeight, width, kHeight, kLine);
        page.rectangle(x + .7F, top - kHeight + .7F, width - 1.4F, kHeight - 1.4F, {1, 1, 1});
        page.text(x + 7, top - 19, Face::strong, 15, colour_of(tile.tone, kInk), tile.value);
        page.paragraph(x + 7, top - 31, width - 12, Face::plain, 6.8F, kFaint, tile.label, 3);
    }
    const auto rows = static_cast<float>((sheet.tiles.size() + kColumns - 1) / kColumns);
    page.y -= rows * (kHeight + kGap) + 12;
}

void draw_bars(Page& page, const Sheet& sheet) {
    page.text(kLeft, page.y, Face::strong, 11, kInk, sheet.bars_title);
    page.y -= 17;
    for (const auto& bar : sheet.bars) {
        page.text(kLeft, page.y, Face::plain, 8, kInk, bar.label);
        const float length = std::max(1.F, static_cast<float>(bar.part) * 300);
        page.rectangle(kLeft + 140, page.y - 2, length, 9, bar.ours ? kOurs : kOther);
        page.text(kLeft + 146 + length, page.y, Face::plain, 8, kInk, bar.value);
        page.y -= 14;
    }
    page.y = page.paragraph(kLeft, page.y, kWidth, Face::plain, 7.5F, kFaint, sheet.bars_note) - 12;
}

void draw_findings(Page& page, const Sheet& sheet) {
    page.text(kLeft, page.y, Face::strong, 11, kInk, sheet.table_title);
    page.y -= 14;
    for (const auto& line : sheet.lines) {
        page.paragraph(kLeft, page.y, 128, Face::plain, 6.5F, kInk, line.what, 2);
        page.paragraph(kLeft + 132, page.y, 234, Face::fixed, 5.6F, kInk, line.study, 1);
        page.paragraph(kLeft + 132, page.y - 7, 234, Face::fixed, 5.6F, kInk, line.instance, 1);
        page.paragraph(kLeft + 370, page.y, kWidth - 370, Face::plain, 6.5F, kInk, line.detail, 2);
        page.y -= 18;
    }
    if (!sheet.table_note.empty()) page.y = page.paragraph(kLeft, page.y, kWidth, Face::plain, 7.5F, kFaint, sheet.table_note);
}

void draw(HPDF_Doc document, const Sheet& sheet) {
    Page page(document);
    page.text(kLeft, page.y, Face::strong, 18, kInk, sheet.title);
    page.y = page.paragraph(kLeft, page.y - 16, kWidth, Face::plain, 8.5F, kFaint, sheet.subtitle, 2) - 6;
    page.rectangle(kLeft, page.y - 10, 4, 22, colour_of(sheet.tone, kOther));
    page.paragraph(kLeft + 10, page.y, kWidth - 10, Face::strong, 11, kInk, sheet.verdict, 1);
    page.y -= 24;
    draw_tiles(page, sheet);
    draw_bars(page, sheet);
    draw_findings(page, sheet);
    page.y = std::min(page.y - 8, kBottom + 62);
    for (const auto& line : sheet.small_print) page.y = page.paragraph(kLeft, page.y, kWidth, Face::plain, 7, kFaint, line, 3) - 2;
}

/// libharu reports each failure here and goes on; the first is kept.
void on_error(HPDF_STATUS status, HPDF_STATUS, void* user) {
    auto& first = *static_cast<HPDF_STATUS*>(user);
    if (first == HPDF_OK) first = status;
}

}  // namespace

Result<Bytes> to_pdf(const Sheet& sheet) {
    HPDF_STATUS failed = HPDF_OK;
    const std::unique_ptr<std::remove_pointer_t<HPDF_Doc>, decltype(&HPDF_Free)> document(HPDF_New(&on_error, &failed), &HPDF_Free);
    if (!document) return fail(ErrorCode::internal, "no PDF can be made");
    HPDF_SetCompressionMode(document.get(), HPDF_COMP_TEXT);
    HPDF_SetInfoAttr(document.get(), HPDF_INFO_TITLE, latin1(sheet.title).c_str());
    HPDF_SetInfoAttr(document.get(), HPDF_INFO_CREATOR, "Fiducial");
    draw(document.get(), sheet);
    HPDF_SaveToStream(document.get());
    HPDF_UINT32 size = HPDF_GetStreamSize(document.get());
    Bytes bytes(size);
    HPDF_ResetStream(document.get());
    HPDF_ReadFromStream(document.get(), bytes.data(), &size);
    if (failed != HPDF_OK || size != bytes.size())
        return fail(ErrorCode::internal, "the PDF could not be made (libharu " + std::to_string(failed) + ")");
    return bytes;
}

}  // namespace fiducial::shadow
