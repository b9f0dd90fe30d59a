#include "dicom/data_set_writer.hpp"

#include <bit>
#include <charconv>
#include <optional>

namespace fiducial::dicom {
namespace {

void put16(Bytes& out, std::uint16_t value) {
    out.push_back(static_cast<std::uint8_t>(value));
    out.push_back(static_cast<std::uint8_t>(value >> 8));
}
void put32(Bytes& out, std::uint32_t value) {
    put16(out, static_cast<std::uint16_t>(value));
    put16(out, static_cast<std::uint16_t>(value >> 16));
}
bool has_long_length(std::string_view vr) {
    return vr == "OB" || vr == "OW" || vr == "OF" || vr == "OD" || vr == "OL" || vr == "OV" || vr == "SQ" || vr == "SV" || vr == "UC" ||
           vr == "UN" || vr == "UR" || vr == "UT" || vr == "UV";
}
void put64(Bytes& out, std::uint64_t value) {
    put32(out, static_cast<std::uint32_t>(value));
    put32(out, static_cast<std::uint32_t>(value >> 32));
}

template <typename Number>
std::optional<Number> number_of(std::string_view text, int base = 10) {
    Number value{};
    const auto* end = text.data() + text.size();
    std::from_chars_result read{};
    if constexpr (std::is_floating_point_v<Number>)
        read = std::from_chars(text.data(), end, value);
    else
        read = std::from_chars(text.data(), end, value, base);
    if (read.ec != std::errc{} || read.ptr != end) return std::nullopt;
    return value;
}

/// Appends one binary number. Returns: false for a VR that is none; what is no number of it appends nothing.
bool put_number(Bytes& out, std::string_view vr, std::string_view text) {
    const auto put = [&](const auto& number, const auto& writes) {
        if (number) writes(*number);
        return true;
    };
    if (vr == "US") return put(number_of<std::uint16_t>(text), [&](auto n) { put16(out, n); });
    if (vr == "SS") return put(number_of<std::int16_t>(text), [&](auto n) { put16(out, static_cast<std::uint16_t>(n)); });
    if (vr == "UL") return put(number_of<std::uint32_t>(text), [&](auto n) { put32(out, n); });
    if (vr == "SL") return put(number_of<std::int32_t>(text), [&](auto n) { put32(out, static_cast<std::uint32_t>(n)); });
    if (vr == "UV") return put(number_of<std::uint64_t>(text), [&](auto n) { put64(out, n); });
    if (vr == "SV") return put(number_of<std::int64_t>(text), [&](auto n) { put64(out, static_cast<std::uint64_t>(n)); });
    if (vr == "FL") return put(number_of<float>(text), [&](auto n) { put32(out, std::bit_cast<std::uint32_t>(n)); });
    if (vr == "FD") return put(number_of<double>(text), [&](auto n) { put64(out, std::bit_cast<std::uint64_t>(n)); });
    if (vr != "AT") return false;
    return put(number_of<std::uint32_t>(text, 16), [&](auto tag) {
        put16(out, group_of(tag));
        put16(out, element_of(tag));
    });
}

void put_item_head(Bytes& out, std::uint16_t element, std::uint32_t length) {
    put16(out, 0xfffe);
    put16(out, element);
    put32(out, length);
}

}  // namespace

void DataSetWriter::header(Tag tag, std::string_view vr, std::uint32_t length) {
    FID_INVARIANT(vr.size() == 2 && (has_long_length(vr) || length <= 0xffff), "a value too long for its VR");
    put16(out_, group_of(tag));
    put16(out_, element_of(tag));
    if (!explicit_vr_) return put32(out_, length);
    append(out_, as_bytes(vr));
    if (has_long_length(vr)) {
        put16(out_, 0);
        put32(out_, length);
    } else {
        put16(out_, static_cast<std::uint16_t>(length));
    }
}

void DataSetWriter::text(Tag tag, std::string_view vr, std::string_view value) {
    const bool odd = (value.size() & 1) != 0;
    header(tag, vr, static_cast<std::uint32_t>(value.size() + (odd ? 1 : 0)));
    append(out_, as_bytes(value));
    if (odd) out_.push_back(vr == "UI" ? 0 : ' ');
}

void DataSetWriter::us(Tag tag, std::uint16_t value) {
    header(tag, "US", 2);
    put16(out_, value);
}

void DataSetWriter::us(Tag tag, std::initializer_list<std::uint16_t> values) {
    header(tag, "US", static_cast<std::uint32_t>(values.size() * 2));
    for (const auto value : values) put16(out_, value);
}

void DataSetWriter::ul(Tag tag, std::uint32_t value) {
    header(tag, "UL", 4);
    put32(out_, value);
}

void DataSetWriter::fd(Tag tag, double value) {
    header(tag, "FD", 8);
    put64(out_, std::bit_cast<std::uint64_t>(value));
}

void DataSetWriter::at(Tag tag, Tag value) {
    header(tag, "AT", 4);
    put16(out_, group_of(value));
    put16(out_, element_of(value));
}

bool DataSetWriter::numbers(Tag tag, std::string_view vr, std::span<const std::string> texts) {
    Bytes values;
    if (!put_number(values, vr, {})) return false;
    for (const auto& text : texts) put_number(values, vr, text);
    header(tag, vr, static_cast<std::uint32_t>(values.size()));
    append(out_, values);
    return true;
}

void DataSetWriter::binary(Tag tag, std::string_view vr, ByteView value) {
    binary_head(tag, vr, value.size());
    append(out_, value);
    if ((value.size() & 1) != 0) out_.push_back(0);
}

void DataSetWriter::binary_head(Tag tag, std::string_view vr, std::size_t length) {
    FID_INVARIANT(length < 0xfffffffe, "a value too long for its length field");
    header(tag, vr, static_cast<std::uint32_t>(length + (length & 1)));
}

void DataSetWriter::ow(Tag tag, std::span<const std::uint16_t> samples) {
    header(tag, "OW", static_cast<std::uint32_t>(samples.size() * 2));
    out_.reserve(out_.size() + samples.size() * 2);
    for (const auto sample : samples) put16(out_, sample);
}

void DataSetWriter::encapsulated(std::span<const ByteView> frames) {
    std::size_t total = 28;
    for (const auto frame : frames) total += frame.size() + 9;
    out_.reserve(out_.size() + total);
    header(tags::kPixelData, "OB", 0xffffffff);
    put_item_head(out_, 0xe000, 0);
    for (const auto frame : frames) {
        const bool odd = (frame.size() & 1) != 0;
        put_item_head(out_, 0xe000, static_cast<std::uint32_t>(frame.size() + (odd ? 1 : 0)));
        append(out_, frame);
        if (odd) out_.push_back(0);
    }
    put_item_head(out_, 0xe0dd, 0);
}

void DataSetWriter::begin_sequence(Tag tag) {
    header(tag, "SQ", 0xffffffff);
}
void DataSetWriter::begin_item() {
    put_item_head(out_, 0xe000, 0xffffffff);
}
void DataSetWriter::end_item() {
    put_item_head(out_, 0xe00d, 0);
}
void DataSetWriter::end_sequence() {
    put_item_head(out_, 0xe0dd, 0);
}

}  // namespace fiducial::dicom
