#include "vision/film.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "dicom/data_set_scanner.hpp"
#include "dicom/image_import.hpp"
#include "dicom/pixel_description.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::vision {
namespace {

using dicom::Raster;

constexpr dicom::Tag kModality = 0x00080060, kBodyPart = 0x00180015, kViewPosition = 0x00185101, kPatientAge = 0x00101010,
                     kBirthDate = 0x00100030, kStudyDate = 0x00080020, kOrientation = 0x00200020;
constexpr std::uint64_t kMostPixels = 64'000'000;

/// The one frame's bytes. Spec: PS3.5 §A.4: the fragments after the offset table, one after the other.
Result<Bytes> only_frame(ByteView pixels, bool encapsulated) {
    if (!encapsulated) return to_bytes(pixels);
    constexpr std::size_t kItemHead = 8;
    Bytes frame;
    bool is_offset_table = true;
    while (pixels.size() >= kItemHead) {
        const auto length = static_cast<std::size_t>(pixels[4]) | static_cast<std::size_t>(pixels[5]) << 8 |
                            static_cast<std::size_t>(pixels[6]) << 16 | static_cast<std::size_t>(pixels[7]) << 24;
        pixels = pixels.subspan(kItemHead);
        if (length > pixels.size()) return fail(ErrorCode::malformed, "the pixel data ends within a fragment");
        if (!is_offset_table) append(frame, pixels.first(length));
        is_offset_table = false;
        pixels = pixels.subspan(length);
    }
    return frame;
}

/// "003Y", "018M", "002W", "010D". Spec: PS3.5 §6.2 (AS).
std::optional<double> years_of(const std::string& age) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(age.data(), age.data() + age.size(), number);
    if (error != std::errc{} || end + 1 != age.data() + age.size()) return std::nullopt;
    switch (*end) {
        case 'Y': return number;
        case 'M': return number / 12.0;
        case 'W': return number / 52.18;
        case 'D': return number / 365.25;
        default: return std::nullopt;
    }
}

/// Years between two dates as YYYYMMDD, in whole months.
std::optional<double> years_between(const std::optional<std::string>& from, const std::optional<std::string>& to) {
    if (!from || !to) return std::nullopt;
    const auto months = [](const std::string& date) { return std::stoi(date.substr(0, 4)) * 12 + std::stoi(date.substr(4, 2)); };
    const int passed = months(*to) - months(*from) - (to->substr(6) < from->substr(6) ? 1 : 0);
    return passed < 0 ? std::nullopt : std::optional(passed / 12.0);
}

std::optional<double> age_of(const dicom::Attributes& attributes) {
    if (const auto age = years_of(attributes.first(kPatientAge))) return age;
    return years_between(dicom::normalise_date(attributes.first(kBirthDate)), dicom::normalise_date(attributes.first(kStudyDate)));
}

void mirror_rows(Raster& raster) {
    for (std::size_t row = 0; row < raster.rows; ++row) {
        const auto begin = raster.samples.begin() + static_cast<std::ptrdiff_t>(row * raster.columns);
        std::reverse(begin, begin + raster.columns);
    }
}
void turn_upside_down(Raster& raster) {
    for (std::size_t top = 0, bottom = raster.rows; top + 1 < bottom; ++top) {
        --bottom;
        std::swap_ranges(raster.samples.begin() + static_cast<std::ptrdiff_t>(top * raster.columns),
                         raster.samples.begin() + static_cast<std::ptrdiff_t>((top + 1) * raster.columns),
                         raster.samples.begin() + static_cast<std::ptrdiff_t>(bottom * raster.columns));
    }
}
void transpose(Raster& raster) {
    Bytes samples(raster.samples.size());
    for (std::size_t row = 0; row < raster.rows; ++row) {
        for (std::size_t column = 0; column < raster.columns; ++column)
            samples[column * raster.rows + row] = raster.samples[row * raster.columns + column];
    }
    raster.samples = std::move(samples);
    std::swap(raster.rows, raster.columns);
}

/// Puts the patient upright, their left at the right edge. Spec: PS3.3 §C.7.6.1.1.1: where rows and columns run to.
void turn_upright(const dicom::Attributes& attributes, Film& film) {
    const auto values = attributes.all(kOrientation);
    if (values.size() != 2 || values[0].empty() || values[1].empty()) return;
    char along_row = values[0][0], along_column = values[1][0];
    const auto is_sideways = [](char direction) { return direction == 'L' || direction == 'R'; };
    const auto is_upright = [](char direction) { return direction == 'H' || direction == 'F'; };
    film.is_lateral = along_row == 'A' || along_row == 'P' || along_column == 'A' || along_column == 'P';
    if (is_upright(along_row) && is_sideways(along_column)) {
        transpose(film.pixels);
        std::swap(along_row, along_column);
    }
    if (!is_sideways(along_row) || !is_upright(along_column)) return;
    if (along_row == 'R') mirror_rows(film.pixels);
    if (along_column == 'H') turn_upside_down(film.pixels);
}

Result<Film> film_of(const dicom::InstanceHeader& header, ByteView data_set) {
    if (!header.has_pixel_data || header.pixel_tag != dicom::tags::kPixelData)
        return fail(ErrorCode::unsupported, "the instance holds no image");
    if (header.number_of_frames != 1)
        return fail(ErrorCode::unsupported, "it has " + std::to_string(header.number_of_frames) + " frames; a radiograph has one");
    const auto* syntax = dicom::find_transfer_syntax(header.identity.transfer_syntax);
    if (syntax == nullptr || syntax->deflated)
        return fail(ErrorCode::unsupported, "deflated instances are not looked at; store it in another transfer syntax");
    const auto value = [&](std::uint64_t offset, std::uint64_t length) -> Result<ByteView> {
        if (offset > data_set.size() || length > data_set.size() - offset)
            return fail(ErrorCode::malformed, "a value lies beyond the data set's end");
        return data_set.subspan(offset, length);
    };
    const auto read_value = [&](std::string_view path, std::size_t most) -> Result<Bytes> {
        for (const auto& bulk : header.bulk) {
            if (bulk.path != path) continue;
            if (bulk.length > most) return fail(ErrorCode::limit_exceeded, "a value is too long");
            FID_TRY(const auto bytes, value(bulk.offset, bulk.length));
            return to_bytes(bytes);
        }
        return fail(ErrorCode::malformed, "the header names a value that is not there");
    };
    FID_TRY(const auto image, dicom::describe_pixels(header.dicom_json, 1, read_value));
    if (std::uint64_t{image.rows} * image.columns > kMostPixels) return fail(ErrorCode::limit_exceeded, "the image is too large");
    FID_TRY(const auto pixels, value(header.pixel_offset, header.pixel_length));
    FID_TRY(const auto frame, only_frame(pixels, syntax->encapsulated));
    Film film;
    FID_TRY(film.pixels, dicom::grey_frame(image, header.identity.transfer_syntax, frame));
    const auto& attributes = header.attributes;
    film.has_header = true;
    film.modality = attributes.first(kModality);
    film.body_part = attributes.first(kBodyPart);
    film.view_position = attributes.first(kViewPosition);
    film.age_years = age_of(attributes);
    turn_upright(attributes, film);
    return film;
}

/// As the archive takes such files in: made an instance, then read like any other.
Result<Film> film_of_picture(ByteView file) {
    static constexpr Bytes32 kNoSite{};  // the UIDs that come of it are not kept
    dicom::ImageImportOptions options;
    options.source_bytes = kMostFilmBytes;
    options.pixels = kMostPixels;
    FID_TRY(const auto image, dicom::import_image(file, {}, kNoSite, options));
    FID_TRY(const auto header, dicom::scan_data_set(image.data_set, image.transfer_syntax));
    if (header.attributes.first(0x00280101) != "8" && header.attributes.first(0x00280002) == "1")
        return fail(ErrorCode::unsupported,
                    "a picture of more or fewer than 8 bits a sample does not say how its values become greys; as DICOM it can");
    FID_TRY(auto film, film_of(header, image.data_set));
    film.has_header = false;
    film.modality.clear();
    film.body_part.clear();
    film.view_position.clear();
    film.age_years.reset();
    return film;
}

}  // namespace

Result<Film> read_film(ByteView file) {
    if (file.empty()) return fail(ErrorCode::malformed, "the file is empty");
    if (file.size() > kMostFilmBytes) return fail(ErrorCode::limit_exceeded, "the file is too large for a radiograph");
    if (dicom::image_kind(file) != dicom::ImageKind::unknown) return film_of_picture(file);
    FID_TRY(const auto header, dicom::scan_file(file));
    return film_of(header, file.subspan(header.prefix_length));
}

}  // namespace fiducial::vision
