#include "gateway/impl/pixels.hpp"

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
    return bytes;
}

}  // namespace fiducial::gateway::impl
