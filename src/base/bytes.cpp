#include "base/bytes.hpp"

namespace fiducial {

void append_lp(Bytes& out, ByteView bytes) {
    FID_INVARIANT(bytes.size() <= 0xFFFF, "a length-prefixed field is longer than 65535 bytes");
    append_be(out, static_cast<std::uint16_t>(bytes.size()));
    append(out, bytes);
}

Result<ByteView> ByteReader::take(std::size_t count, std::string_view field) {
    if (count > remaining()) {
        return fail(ErrorCode::malformed, std::string(field) + " needs " + std::to_string(count) + " bytes at offset " +
                                              std::to_string(offset_) + ", " + std::to_string(remaining()) + " are left");
    }
    ByteView view = bytes_.subspan(offset_, count);
    offset_ += count;
    return view;
}

Result<ByteView> ByteReader::take_lp(std::string_view field) {
    const std::size_t start = offset_;
    FID_TRY(auto size, u16(field));
    auto view = take(size, field);
    if (!view) offset_ = start;
    return view;
}

}  // namespace fiducial
