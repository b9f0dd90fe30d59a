#include "ethereum/rlp.hpp"

namespace fiducial::ethereum::rlp {
namespace {

// What an item's first bytes say. `size` counts the payload.
struct Prefix {
    bool is_list = false;
    std::size_t header_size = 0;
    std::size_t size = 0;
};

tl::unexpected<Error> malformed(std::string_view what, std::size_t offset) {
    return fail(ErrorCode::malformed, "RLP: " + std::string(what) + " at byte " + std::to_string(offset));
}

Result<std::size_t> long_size(ByteView bytes, std::size_t size_of_size, std::size_t offset) {
    if (bytes.size() < 1 + size_of_size) return malformed("a length that is cut off", offset);
    if (bytes[1] == 0) return malformed("a length with leading zeros", offset);
    std::uint64_t size = 0;
    for (std::size_t i = 0; i < size_of_size; ++i) size = (size << 8) | bytes[1 + i];
    if (size <= 55) return malformed("a length not in its shortest form", offset);
    return static_cast<std::size_t>(size);
}

Result<Prefix> read_prefix(ByteView bytes, std::size_t offset) {
    if (bytes.empty()) return malformed("nothing where an item should be", offset);
    const std::uint8_t first = bytes[0];
    Prefix prefix;
    prefix.is_list = first >= 0xc0;
    if (first < 0x80) {
        prefix.size = 1;
    } else {
        const std::size_t code = first - (prefix.is_list ? 0xc0u : 0x80u);
        prefix.header_size = 1;
        prefix.size = code;
        if (code > 55) {
            FID_TRY(prefix.size, long_size(bytes, code - 55, offset));
            prefix.header_size = 1 + (code - 55);
        }
    }
    if (prefix.size > bytes.size() - prefix.header_size) return malformed("a length past the end", offset);
    if (first == 0x81 && bytes[1] < 0x80) return malformed("a single byte not in its shortest form", offset);
    return prefix;
}

// Checks a list's items at all levels. Recursion is bounded by limits.max_depth.
Result<void> check_items(ByteView payload, std::size_t offset, std::size_t depth, std::size_t& items, const Limits& limits) {
    while (!payload.empty()) {
        if (++items > limits.max_items)
            return fail(ErrorCode::limit_exceeded, "RLP: more than " + std::to_string(limits.max_items) + " items");
        FID_TRY(const auto prefix, read_prefix(payload, offset));
        if (prefix.is_list) {
            if (depth >= limits.max_depth)
                return fail(ErrorCode::limit_exceeded, "RLP: lists nested deeper than " + std::to_string(limits.max_depth));
            FID_CHECK(check_items(payload.subspan(prefix.header_size, prefix.size), offset + prefix.header_size, depth + 1, items, limits));
        }
        payload = payload.subspan(prefix.header_size + prefix.size);
        offset += prefix.header_size + prefix.size;
    }
    return {};
}

tl::unexpected<Error> wrong(std::string_view field, std::string_view what) {
    return fail(ErrorCode::malformed, std::string(field) + ": " + std::string(what));
}

void append_prefix(Bytes& out, std::size_t size, std::uint8_t short_base) {
    if (size <= 55) {
        out.push_back(static_cast<std::uint8_t>(short_base + size));
        return;
    }
    std::size_t size_of_size = 0;
    for (std::size_t rest = size; rest != 0; rest >>= 8) ++size_of_size;
    out.push_back(static_cast<std::uint8_t>(short_base + 55 + size_of_size));
    for (std::size_t i = size_of_size; i-- > 0;) out.push_back(static_cast<std::uint8_t>(size >> (8 * i)));
}

}  // namespace

Result<Item> decode(ByteView bytes, const Limits& limits) {
    if (bytes.size() > limits.max_bytes)
        return fail(ErrorCode::limit_exceeded, "RLP: more than " + std::to_string(limits.max_bytes) + " bytes");
    FID_TRY(const auto prefix, read_prefix(bytes, 0));
    if (prefix.header_size + prefix.size != bytes.size()) return malformed("more bytes after the item", prefix.header_size + prefix.size);
    Item item;
    item.is_list_ = prefix.is_list;
    item.encoded_ = bytes;
    item.payload_ = bytes.subspan(prefix.header_size);
    std::size_t items = 1;
    if (prefix.is_list) {
        if (limits.max_depth == 0) return fail(ErrorCode::limit_exceeded, "RLP: a list where none may be");
        FID_CHECK(check_items(item.payload_, prefix.header_size, 1, items, limits));
    }
    return item;
}

// The first item of a payload that decode() has checked.
Item next_valid(ByteView& rest) {
    const auto prefix = read_prefix(rest, 0);
    FID_INVARIANT(prefix.has_value(), "a checked RLP payload is valid");
    Item item;
    item.is_list_ = prefix->is_list;
    item.encoded_ = rest.first(prefix->header_size + prefix->size);
    item.payload_ = item.encoded_.subspan(prefix->header_size);
    rest = rest.subspan(item.encoded_.size());
    return item;
}

Result<ByteView> Item::bytes(std::string_view field) const {
    if (is_list_) return wrong(field, "a list where a string should be");
    return payload_;
}

Result<Uint256> Item::uint256(std::string_view field) const {
    FID_TRY(const auto view, bytes(field));
    if (view.size() > 32) return wrong(field, "an integer beyond 256 bits");
    if (!view.empty() && view[0] == 0) return wrong(field, "an integer with leading zeros");
    return Uint256::from_be_view(view);
}

Result<std::uint64_t> Item::u64(std::string_view field) const {
    FID_TRY(const auto value, uint256(field));
    if (!value.fits_u64()) return wrong(field, "an integer beyond 64 bits");
    return value.low_u64();
}

Result<ListReader> Item::list(std::string_view field) const {
    if (!is_list_) return wrong(field, "a string where a list should be");
    return ListReader(payload_);
}

Result<std::vector<Item>> Item::items(std::string_view field) const {
    if (!is_list_) return wrong(field, "a string where a list should be");
    std::vector<Item> out;
    for (ByteView rest = payload_; !rest.empty();) out.push_back(next_valid(rest));
    return out;
}

Result<Item> ListReader::next(std::string_view field) {
    if (rest_.empty()) return wrong(field, "missing");
    return next_valid(rest_);
}

Result<ByteView> ListReader::bytes(std::string_view field) {
    FID_TRY(const auto item, next(field));
    return item.bytes(field);
}

Result<std::uint64_t> ListReader::u64(std::string_view field) {
    FID_TRY(const auto item, next(field));
    return item.u64(field);
}

Result<Uint256> ListReader::uint256(std::string_view field) {
    FID_TRY(const auto item, next(field));
    return item.uint256(field);
}

Result<ListReader> ListReader::list(std::string_view field) {
    FID_TRY(const auto item, next(field));
    return item.list(field);
}

Result<void> ListReader::finish(std::string_view what) const {
    if (!rest_.empty()) return wrong(what, "more items than it has fields");
    return {};
}

void append_bytes(Bytes& out, ByteView bytes) {
    if (bytes.size() == 1 && bytes[0] < 0x80) {
        out.push_back(bytes[0]);
        return;
    }
    append_prefix(out, bytes.size(), 0x80);
    append(out, bytes);
}

void append_u64(Bytes& out, std::uint64_t value) {
    append_uint256(out, value);
}

void append_uint256(Bytes& out, const Uint256& value) {
    append_bytes(out, value.to_minimal_be());
}

void append_list_prefix(Bytes& out, std::size_t payload_size) {
    append_prefix(out, payload_size, 0xc0);
}

Bytes ListWriter::finish() const {
    Bytes out;
    out.reserve(payload_.size() + 9);
    append_list_prefix(out, payload_.size());
    append(out, payload_);
    return out;
}

}  // namespace fiducial::ethereum::rlp
