#include "dicom/pixel_description.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cmath>

#include "base/json.hpp"
#include "dicom/attributes.hpp"
#include "dicom/impl/text.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::size_t kMostJson = std::size_t{256} << 20;
constexpr std::size_t kMostEntries = 65'536;
constexpr std::size_t kMostOverlayBytes = std::size_t{64} << 20;

constexpr std::string_view kSharedGroups = "52009229", kFrameGroups = "52009230";
constexpr std::string_view kTransformation = "00289145", kFrameWindow = "00289132";

/// A DICOM JSON object that is looked into.
class Reader {
public:
    explicit Reader(const boost::json::object* object) : object_(object) {}
    bool is_there() const { return object_ != nullptr; }

    const boost::json::object* element(std::string_view tag) const {
        const auto* found = object_ != nullptr ? object_->if_contains(tag) : nullptr;
        return found != nullptr ? found->if_object() : nullptr;
    }
    const boost::json::array* values(std::string_view tag) const {
        const auto* one = element(tag);
        const auto* found = one != nullptr ? one->if_contains("Value") : nullptr;
        return found != nullptr ? found->if_array() : nullptr;
    }
    std::optional<double> number(std::string_view tag, std::size_t index = 0) const {
        const auto* list = values(tag);
        if (list == nullptr || index >= list->size() || !list->at(index).is_number()) return std::nullopt;
        boost::system::error_code problem;
        const auto value = list->at(index).to_number<double>(problem);
        return !problem && std::isfinite(value) ? std::optional(value) : std::nullopt;
    }
    std::uint32_t small(std::string_view tag, std::uint32_t otherwise) const {
        const auto value = number(tag);
        return value && *value >= 0 && *value <= 1e9 ? static_cast<std::uint32_t>(*value) : otherwise;
    }
    std::string text(std::string_view tag) const {
        const auto* list = values(tag);
        return list != nullptr && !list->empty() && list->front().is_string() ? std::string(list->front().get_string()) : std::string();
    }
    Reader item(std::string_view sequence, std::size_t index = 0) const {
        const auto* list = values(sequence);
        return Reader(list != nullptr && index < list->size() ? list->at(index).if_object() : nullptr);
    }

private:
    const boost::json::object* object_;
};

/// Where a value stands that the header holds for all frames, for a group of them, or for one.
Reader place_of(const Reader& header, std::string_view group, std::uint64_t frame) {
    for (const auto& groups : {header.item(kFrameGroups, frame - 1), header.item(kSharedGroups)}) {
        if (const auto found = groups.item(group); found.is_there()) return found;
    }
    return header;
}

/// A binary value, wherever it stands; nothing where there is none. Errors: those of read_value.
Result<Bytes> read_binary(const boost::json::object& element, std::size_t most, const ReadValue& read_value) {
    if (const auto* inlined = element.if_contains("InlineBinary"); inlined != nullptr && inlined->is_string())
        return impl::decode_base64(inlined->get_string());
    const auto* uri = element.if_contains("BulkDataURI");
    if (uri == nullptr || !uri->is_string()) return Bytes();
    std::string_view path = uri->get_string();
    if (path.starts_with("bulk/")) path.remove_prefix(5);
    return read_value(path, most);
}

/// Numbers of a table, in bytes or in words, however the header writes them: at most so many.
Result<std::vector<std::uint16_t>> table_numbers(const Reader& place, std::string_view tag, std::size_t most, bool bytes_suffice,
                                                 std::size_t count, const ReadValue& read_value) {
    std::vector<std::uint16_t> entries;
    const auto* element = place.element(tag);
    if (const auto* list = place.values(tag)) {
        for (std::size_t i = 0; i < list->size() && i < most; ++i)
            entries.push_back(
                static_cast<std::uint16_t>(static_cast<std::int32_t>(std::clamp(place.number(tag, i).value_or(0), -65'536.0, 65'535.0))));
    } else if (element != nullptr) {
        FID_TRY(const auto bytes, read_binary(*element, 2 * kMostEntries, read_value));
        const std::size_t width = bytes_suffice && bytes.size() < 2 * count ? 1 : 2;
        for (std::size_t i = 0; (i + 1) * width <= bytes.size() && i < most; ++i)
            entries.push_back(static_cast<std::uint16_t>(width == 1 ? bytes[i] : bytes[2 * i] | bytes[2 * i + 1] << 8));
    }
    return entries;
}

/// Segments written out. Spec: PS3.3 §C.7.9.2. Returns: fewer entries than `count` where they do not make as many, or make no sense.
class Segments {
public:
    Segments(const std::vector<std::uint16_t>& data, std::size_t count) : data_(data), count_(count) {}

    std::vector<std::uint16_t> entries() {
        std::size_t at = 0;
        while (at < data_.size() && entries_.size() < count_) {
            const bool done = data_[at] == kIndirect ? repeat(at) : expand(at);
            if (!done) break;
        }
        return std::move(entries_);
    }

private:
    static constexpr std::uint16_t kDiscrete = 0, kLinear = 1, kIndirect = 2;

    bool expand(std::size_t& at) {
        if (at + 2 > data_.size()) return false;
        const auto kind = data_[at];
        const std::size_t length = data_[at + 1];
        if (kind == kDiscrete && at + 2 + length <= data_.size()) {
            for (std::size_t i = 0; i < length && entries_.size() < count_; ++i) entries_.push_back(data_[at + 2 + i]);
            at += 2 + length;
            return true;
        }
        if (kind != kLinear || at + 3 > data_.size() || entries_.empty()) return false;
        const double from = entries_.back(), to = data_[at + 2];
        for (std::size_t i = 1; i <= length && entries_.size() < count_; ++i)
            entries_.push_back(
                static_cast<std::uint16_t>(std::lround(from + (to - from) * static_cast<double>(i) / static_cast<double>(length))));
        at += 3;
        return true;
    }

    /// Segments from before, once more: none of them indirect, so that nothing goes round.
    bool repeat(std::size_t& at) {
        if (at + 4 > data_.size()) return false;
        const std::size_t segments = data_[at + 1];
        const auto offset = data_[at + 2] | std::size_t{data_[at + 3]} << 16;  // in bytes
        if (offset % 2 != 0) return false;
        std::size_t from = offset / 2;
        for (std::size_t i = 0; i < segments && entries_.size() < count_; ++i) {
            if (from >= at || !expand(from)) return false;
        }
        at += 4;
        return true;
    }

    const std::vector<std::uint16_t>& data_;
    const std::size_t count_;
    std::vector<std::uint16_t> entries_;
};

/// The data of a table; `segmented`: where it may stand in segments instead.
Result<std::vector<std::uint16_t>> table_entries(const Reader& place, std::string_view tag, std::string_view segmented, std::size_t count,
                                                 bool bytes_suffice, const ReadValue& read_value) {
    std::vector<std::uint16_t> entries;
    if (!segmented.empty() && place.element(tag) == nullptr) {
        FID_TRY(const auto data, table_numbers(place, segmented, kMostEntries, false, count, read_value));
        entries = Segments(data, count).entries();
    } else {
        FID_TRY(entries, table_numbers(place, tag, count, bytes_suffice, count, read_value));
    }
    if (entries.size() < count) return fail(ErrorCode::unsupported, "the image has a look-up table that is too short");
    return entries;
}

/// Errors: unsupported; those of read_value. Returns: nothing where there is none.
Result<std::optional<LookUpTable>> read_table(const Reader& place, std::string_view descriptor, std::string_view data, bool is_signed,
                                              const ReadValue& read_value, std::string_view segmented = {}) {
    std::optional<LookUpTable> none;
    const auto length = place.number(descriptor), first = place.number(descriptor, 1), bits = place.number(descriptor, 2);
    if (!length || !first || !bits) return none;
    LookUpTable table;
    const auto count = *length == 0 ? kMostEntries : static_cast<std::size_t>(std::clamp(*length, 1.0, double{kMostEntries}));
    table.first = static_cast<std::int64_t>(std::clamp(*first, -65'536.0, 65'536.0));
    if (is_signed && table.first > 32'767) table.first -= 65'536;
    table.bits = static_cast<unsigned>(std::clamp(*bits, 8.0, 16.0));
    FID_TRY(table.entries, table_entries(place, data, segmented, count, *bits <= 8, read_value));
    // Some write 16 where the entries fill 8 bits only, and the other way round.
    const auto largest = *std::max_element(table.entries.begin(), table.entries.end());
    while (table.bits < 16 && largest >> table.bits != 0) ++table.bits;
    return std::optional(std::move(table));
}

std::optional<Window> first_window(const Reader& place) {
    const auto center = place.number("00281050"), width = place.number("00281051");
    if (!center || !width) return std::nullopt;
    const auto shape = place.text("00281056");
    const Window window{*center, *width,
                        shape == "SIGMOID"        ? WindowShape::sigmoid
                        : shape == "LINEAR_EXACT" ? WindowShape::linear_exact
                                                  : WindowShape::linear};
    return is_usable(window) ? std::optional(window) : std::nullopt;
}

/// One of the overlay planes, as far as it belongs to this frame. What does not add up is not drawn.
/// Spec: PS3.3 §C.9.2, §C.9.3. Errors: those of read_value.
Result<std::optional<OverlayPlane>> read_overlay(const Reader& header, unsigned group, std::uint64_t frame, const ReadValue& read_value) {
    std::optional<OverlayPlane> none;
    const auto tag = [&](Tag element) { return tag_text(group << 16 | element); };
    OverlayPlane plane;
    plane.rows = header.small(tag(0x0010), 0);
    plane.columns = header.small(tag(0x0011), 0);
    if (header.text(tag(0x0040)) == "R" || plane.rows == 0 || plane.columns == 0 || plane.rows > 65'535 || plane.columns > 65'535)
        return none;
    plane.top = static_cast<std::int64_t>(std::clamp(header.number(tag(0x0050), 0).value_or(1), -32'768.0, 32'767.0));
    plane.left = static_cast<std::int64_t>(std::clamp(header.number(tag(0x0050), 1).value_or(1), -32'768.0, 32'767.0));
    std::uint64_t index = 0;  // of its own frames
    if (const auto frames = header.number(tag(0x0015))) {
        const auto first = std::max<std::uint64_t>(1, header.small(tag(0x0051), 1));
        if (frame < first || static_cast<double>(frame - first) >= *frames) return none;
        index = frame - first;
    }
    const auto* data = header.element(tag(0x3000));
    if (data == nullptr) {
        plane.in_value = header.small(tag(0x0102), 32);
        return header.small(tag(0x0100), 1) == 1 ? none : std::optional(std::move(plane));
    }
    FID_TRY(const auto bytes, read_binary(*data, kMostOverlayBytes, read_value));
    const auto count = std::uint64_t{plane.rows} * plane.columns;
    const auto begin = index * count, end = begin + count;
    if (index > 1'000'000 || end > 8 * std::uint64_t{bytes.size()}) return none;
    plane.bits = to_bytes(ByteView(bytes).subspan(begin / 8, (end + 7) / 8 - begin / 8));
    plane.first = static_cast<std::uint32_t>(begin % 8);
    return std::optional(std::move(plane));
}

std::optional<std::int64_t> whole(std::optional<double> value) {
    return value && std::abs(*value) < 1e15 ? std::optional(static_cast<std::int64_t>(*value)) : std::nullopt;
}

Result<void> read_layout(const Reader& header, PixelDescription& out) {
    out.rows = header.small("00280010", 0);
    out.columns = header.small("00280011", 0);
    out.samples = header.small("00280002", 1);
    out.bits_allocated = header.small("00280100", 0);
    out.bits_stored = header.small("00280101", out.bits_allocated);
    out.high_bit = header.small("00280102", out.bits_stored - 1);
    out.is_signed = header.small("00280103", 0) == 1;
    out.is_planar = header.small("00280006", 0) == 1;
    out.photometric = header.text("00280004");
    if (header.element("7FE00008") != nullptr || header.element("7FE00009") != nullptr)
        return fail(ErrorCode::unsupported, "the image's pixels are floating-point numbers, which are not shown");
    if (out.rows == 0 || out.columns == 0) return fail(ErrorCode::unsupported, "the instance is no image");
    const bool sane = out.rows <= 65'535 && out.columns <= 65'535 && (out.samples == 1 || out.samples == 3) && out.bits_stored >= 1 &&
                      out.bits_stored <= out.bits_allocated && out.bits_allocated <= 32 && out.high_bit < out.bits_allocated &&
                      out.high_bit + 1 >= out.bits_stored;
    if (!sane) return fail(ErrorCode::unsupported, "the image's pixels are of a kind that is not shown");
    return {};
}

}  // namespace

bool is_usable(const Window& window) {
    if (!std::isfinite(window.center) || !std::isfinite(window.width)) return false;
    return window.shape == WindowShape::linear ? window.width >= 1 : window.width > 0;
}

std::uint16_t LookUpTable::at(std::int64_t value) const {
    const auto index = std::clamp<std::int64_t>(value - first, 0, static_cast<std::int64_t>(entries.size()) - 1);
    return entries[static_cast<std::size_t>(index)];
}

Result<PixelDescription> describe_layout(std::string_view dicom_json) {
    FID_TRY(const auto json, fiducial::json::parse(dicom_json, kMostJson));
    PixelDescription out;
    FID_CHECK(read_layout(Reader(json.if_object()), out));
    return out;
}

Result<PixelDescription> describe_pixels(std::string_view dicom_json, std::uint64_t frame, const ReadValue& read_value) {
    FID_TRY(const auto json, fiducial::json::parse(dicom_json, kMostJson));
    const Reader header(json.if_object());
    PixelDescription out;
    FID_CHECK(read_layout(header, out));
    const auto transformation = place_of(header, kTransformation, frame);
    out.slope = transformation.number("00281053").value_or(1);
    out.intercept = transformation.number("00281052").value_or(0);
    if (const auto item = header.item("00283000"); item.is_there()) {
        FID_TRY(out.modality_table, read_table(item, "00283002", "00283006", out.is_signed, read_value));
    }
    out.window = first_window(place_of(header, kFrameWindow, frame));
    if (const auto item = header.item("00283010"); item.is_there() && !out.window) {
        FID_TRY(out.window_table, read_table(item, "00283002", "00283006", out.is_signed && !out.modality_table, read_value));
    }
    out.is_inverse = header.text("20500020") == "INVERSE";
    out.padding = whole(header.number("00280120"));
    out.padding_end = whole(header.number("00280121"));
    if (out.photometric == "PALETTE COLOR") {
        constexpr std::array<std::string_view, 3> kDescriptors{"00281101", "00281102", "00281103"},
            kData{"00281201", "00281202", "00281203"}, kSegments{"00281221", "00281222", "00281223"};
        for (std::size_t i = 0; i < 3; ++i) {
            if (header.element(kData[i]) == nullptr && header.element(kSegments[i]) == nullptr)
                return fail(ErrorCode::unsupported, "the image has a palette of a kind that is not shown");
            FID_TRY(out.palette[i], read_table(header, kDescriptors[i], kData[i], out.is_signed, read_value, kSegments[i]));
            if (!out.palette[i]) return fail(ErrorCode::unsupported, "the image has a palette of a kind that is not shown");
        }
    }
    for (unsigned group = 0x6000; group <= 0x601e; group += 2) {
        FID_TRY(auto plane, read_overlay(header, group, frame, read_value));
        if (plane) out.overlays.push_back(*std::move(plane));
    }
    return out;
}

}  // namespace fiducial::dicom
