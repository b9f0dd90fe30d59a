#include "dicom/data_set_writer.hpp"

#include <bit>

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
    return vr == "OB" || vr == "OW" || vr == "OF" || vr == "OD" || vr == "OL" || vr == "OV" || vr == "SQ" || vr == "UC" || vr == "UN" ||
           vr == "UR" || vr == "UT";
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
    const auto bits = std::bit_cast<std::uint64_t>(value);
    put32(out_, static_cast<std::uint32_t>(bits));
    put32(out_, static_cast<std::uint32_t>(bits >> 32));
}

void DataSetWriter::at(Tag tag, Tag value) {
    header(tag, "AT", 4);
    put16(out_, group_of(value));
    put16(out_, element_of(value));
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
