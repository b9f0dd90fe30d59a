#pragma once
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "ethereum/uint256.hpp"

/// Recursive length prefix, Ethereum's encoding of nested lists of byte strings. Spec: Yellow Paper, appendix B.
namespace fiducial::ethereum::rlp {

struct Limits {
    std::size_t max_bytes = 16u << 20;
    std::size_t max_depth = 16;        // lists within lists
    std::size_t max_items = 1u << 16;  // strings and lists, over all levels
};

class ListReader;

/// One decoded string or list. A view: the bytes it was decoded from must outlive it.
class Item {
public:
    bool is_list() const { return is_list_; }
    /// A string's bytes, or a list's encoded items.
    ByteView payload() const { return payload_; }
    /// The whole item with its prefix, as it stood.
    ByteView encoded() const { return encoded_; }

    // Each names the field in its error. Errors: malformed for a list, another length, leading zeros, or too large a number.
    Result<ByteView> bytes(std::string_view field) const;
    Result<std::uint64_t> u64(std::string_view field) const;
    Result<Uint256> uint256(std::string_view field) const;
    template <std::size_t N>
    Result<std::array<std::uint8_t, N>> array(std::string_view field) const {
        FID_TRY(auto view, bytes(field));
        return fixed<N>(view, field);
    }
    /// Errors: malformed for a string.
    Result<ListReader> list(std::string_view field) const;
    /// A list's items. Errors: malformed for a string.
    Result<std::vector<Item>> items(std::string_view field) const;

private:
    friend Result<Item> decode(ByteView bytes, const Limits& limits);
    friend Item next_valid(ByteView& rest);
    bool is_list_ = false;
    ByteView payload_;
    ByteView encoded_;
};

/// Decodes exactly one item and checks everything within it at once, so that walking it later cannot meet a wrong length.
/// Errors: malformed for trailing bytes, a length past the end, a length or single byte not written in its shortest form;
///         limit_exceeded. The offset is named.
Result<Item> decode(ByteView bytes, const Limits& limits = {});

/// Reads a list's items one after the other.
class ListReader {
public:
    explicit ListReader(ByteView valid_payload) : rest_(valid_payload) {}
    bool at_end() const { return rest_.empty(); }

    Result<Item> next(std::string_view field);  // Errors: malformed where the list has ended
    Result<ByteView> bytes(std::string_view field);
    Result<std::uint64_t> u64(std::string_view field);
    Result<Uint256> uint256(std::string_view field);
    template <std::size_t N>
    Result<std::array<std::uint8_t, N>> array(std::string_view field) {
        FID_TRY(auto item, next(field));
        return item.template array<N>(field);
    }
    Result<ListReader> list(std::string_view field);
    /// Errors: malformed when items are left over.
    Result<void> finish(std::string_view what) const;

private:
    ByteView rest_;
};

// Encoding, always in the one shortest form.
void append_bytes(Bytes& out, ByteView bytes);
void append_u64(Bytes& out, std::uint64_t value);
void append_uint256(Bytes& out, const Uint256& value);
/// Appends the prefix of a list whose encoded items are `payload_size` bytes.
void append_list_prefix(Bytes& out, std::size_t payload_size);

/// Builds one list.
class ListWriter {
public:
    ListWriter& bytes(ByteView value) {
        append_bytes(payload_, value);
        return *this;
    }
    ListWriter& u64(std::uint64_t value) {
        append_u64(payload_, value);
        return *this;
    }
    ListWriter& uint256(const Uint256& value) {
        append_uint256(payload_, value);
        return *this;
    }
    /// Appends an item that is encoded already.
    ListWriter& encoded(ByteView item) {
        append(payload_, item);
        return *this;
    }
    ListWriter& list(const ListWriter& inner) { return encoded(inner.finish()); }
    ByteView payload() const { return payload_; }
    Bytes finish() const;

private:
    Bytes payload_;
};

}  // namespace fiducial::ethereum::rlp
