#include "gateway/impl/render_request.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kMostFrames = 10'000;  // asked for at a time
constexpr std::size_t kMostParts = 8;
constexpr std::uint32_t kThumbnail = 128;

using Parts = std::vector<std::string_view>;

Parts split(std::string_view text) {
    Parts parts;
    while (parts.size() <= kMostParts) {
        const auto comma = std::min(text.find(','), text.size());
        parts.push_back(text.substr(0, comma));
        if (comma == text.size()) break;
        text.remove_prefix(comma + 1);
    }
    return parts;
}

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
    Number value{};
    const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
    return value;
}

Result<dicom::Viewport> read_viewport(std::string_view text) {
    const auto wrong = [] {
        return fail(ErrorCode::malformed, "viewport: wanted is width,height or width,height,x,y,width,height; at most " +
                                              std::to_string(dicom::kMostViewport) + " pixels a side");
    };
    const auto parts = split(text);
    if (parts.size() != 2 && parts.size() != 6) return wrong();
    dicom::Viewport viewport;
    const auto width = number_of<std::uint32_t>(parts[0]), height = number_of<std::uint32_t>(parts[1]);
    if (!width || !height || *width < 1 || *height < 1 || *width > dicom::kMostViewport || *height > dicom::kMostViewport) return wrong();
    viewport.width = *width;
    viewport.height = *height;
    std::int64_t* const places[] = {&viewport.x, &viewport.y, &viewport.part_width, &viewport.part_height};
    for (std::size_t i = 2; i < parts.size(); ++i) {
        if (parts[i].empty()) continue;  // as it is where nothing is said
        const auto value = number_of<std::int32_t>(parts[i]);
        if (!value || (i < 4 && *value < 0)) return wrong();
        *places[i - 2] = *value;
    }
    return viewport;
}

Result<dicom::Window> read_window(std::string_view text) {
    const auto wrong = [] {
        return fail(ErrorCode::malformed, "window: wanted is center,width,function; functions are linear, linear-exact and sigmoid");
    };
    const auto parts = split(text);
    if (parts.size() != 3) return wrong();
    const auto center = number_of<double>(parts[0]), width = number_of<double>(parts[1]);
    if (!center || !width) return wrong();
    dicom::Window window{*center, *width, dicom::WindowShape::linear};
    if (net::equals_ignoring_case(parts[2], "sigmoid")) {
        window.shape = dicom::WindowShape::sigmoid;
    } else if (net::equals_ignoring_case(parts[2], "linear-exact")) {
        window.shape = dicom::WindowShape::linear_exact;
    } else if (!net::equals_ignoring_case(parts[2], "linear")) {
        return wrong();
    }
    if (!dicom::is_usable(window)) return wrong();
    return window;
}

/// The format that an element of Accept takes. Returns: nothing for another one.
std::optional<dicom::PictureFormat> format_of(std::string_view type) {
    if (type == "*/*" || type == "image/*" || net::equals_ignoring_case(type, "image/jpeg")) return dicom::PictureFormat::jpeg;
    if (net::equals_ignoring_case(type, "image/png")) return dicom::PictureFormat::png;
    return std::nullopt;
}

}  // namespace

Result<std::vector<std::uint64_t>> read_frame_list(std::string_view text) {
    std::vector<std::uint64_t> out;
    while (true) {
        const auto end = std::min(text.find(','), text.size());
        const auto number = number_of<std::uint64_t>(text.substr(0, end));
        if (!number || *number == 0 || out.size() == kMostFrames)
            return fail(ErrorCode::malformed, "frames are a list of numbers from 1 on, as 1,2,3");
        out.push_back(*number);
        if (end == text.size()) return out;
        text.remove_prefix(end + 1);
    }
}

Result<dicom::RenderOptions> read_render_options(const net::Query& parameters, bool thumbnail) {
    dicom::RenderOptions options;
    if (thumbnail) options.viewport = dicom::Viewport{kThumbnail, kThumbnail};
    for (const auto& [name, value] : parameters) {
        if (name == "viewport") {
            FID_TRY(options.viewport, read_viewport(value));
        } else if (name == "window") {
            FID_TRY(options.window, read_window(value));
        } else if (name == "quality") {
            const auto quality = number_of<unsigned>(value);
            if (!quality || *quality < 1 || *quality > 100) return fail(ErrorCode::malformed, "quality: wanted is a number from 1 to 100");
            options.quality = *quality;
        }
    }
    return options;
}

std::string_view media_type_of(dicom::PictureFormat format) {
    return format == dicom::PictureFormat::png ? "image/png" : "image/jpeg";
}

Result<PictureForm> negotiate_picture(std::string_view accept, bool single) {
    FID_TRY(const auto items, net::parse_accept(accept));
    if (items.empty()) return PictureForm{dicom::PictureFormat::jpeg, !single};
    for (const auto& item : items) {
        const auto& range = item.range;
        if (item.q == 0) continue;
        const bool any = range.type == "*";
        const bool multipart = range.type == "multipart" && (range.subtype == "related" || range.subtype == "*");
        if (!multipart && !any && !single) continue;
        const auto type = multipart ? std::string(range.parameter("type").value_or("*/*")) : range.essence();
        if (const auto format = format_of(type)) return PictureForm{*format, multipart || (any && !single)};
    }
    return fail(ErrorCode::unsupported,
                single ? "given are image/jpeg and image/png" : "given are multipart/related; type=\"image/jpeg\" and type=\"image/png\"");
}

}  // namespace fiducial::gateway::impl
