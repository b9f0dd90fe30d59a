#include "gateway/impl/pixels.hpp"

#include <algorithm>

#include "dicom/transfer_syntax.hpp"

namespace fiducial::gateway::impl {

bool is_of_pixels(const Error& error) {
    return error.code == ErrorCode::unsupported || error.code == ErrorCode::malformed || error.code == ErrorCode::limit_exceeded;
}

std::string_view syntax_of_parts(const archive::ValueLook& look) {
    const auto* stored = dicom::find_transfer_syntax(look.transfer_syntax_uid());
    if (stored != nullptr && (stored->deflated || stored->big_endian)) return dicom::kExplicitVrLittleEndian;
    return look.transfer_syntax_uid();
}

Bytes aligned_bits(ByteView bytes, unsigned first_bit, std::uint64_t bits) {
    Bytes out((bits + 7) / 8);
    for (std::size_t i = 0; i < out.size(); ++i) {
        const unsigned above = first_bit != 0 && i + 1 < bytes.size() ? bytes[i + 1] : 0;
        out[i] = static_cast<std::uint8_t>((above << 8 | bytes[i]) >> first_bit);
    }
    if (bits % 8 != 0) out.back() &= static_cast<std::uint8_t>((1u << (bits % 8)) - 1);
    return out;
}

std::uint64_t length_of(const std::vector<archive::ValuePlace>& places) {
    std::uint64_t length = 0;
    for (const auto& place : places) length += place.bits != 0 ? (place.bits + 7) / 8 : place.length;
    return length;
}

bool shares_bytes(const std::vector<archive::ValuePlace>& places) {
    return std::any_of(places.begin(), places.end(), [](const archive::ValuePlace& place) { return place.bits != 0; });
}

Result<Bytes> read_places(archive::ValueLook& look, const std::vector<archive::ValuePlace>& places, std::uint64_t most) {
    std::uint64_t size = 0;
    for (const auto& place : places) {
        if (place.length > most - size) return fail(ErrorCode::limit_exceeded, "the image is too large to be decoded");
        size += place.length;
    }
    Bytes bytes(size);
    std::size_t done = 0;
    for (const auto& place : places) {
        for (std::uint64_t at = 0; at < place.length;) {
            FID_TRY(const auto got, look.read(place.offset + at, MutableByteView(bytes).subspan(done, place.length - at)));
            if (got == 0) return fail(ErrorCode::malformed, "the data set ends within a value");
            at += got;
            done += got;
        }
    }
    if (shares_bytes(places)) return aligned_bits(bytes, places.front().first_bit, places.front().bits);  // it is one place
    return bytes;
}

}  // namespace fiducial::gateway::impl
