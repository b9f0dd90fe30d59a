#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "ethereum/uint256.hpp"

namespace fiducial::ethereum {

using Selector = std::array<std::uint8_t, 4>;

/// The first four bytes of keccak256 of a signature such as "transfer(address,uint256)": canonical types, no spaces, no names.
Selector function_selector(std::string_view signature);
/// keccak256 of an event's signature: topic 0 of its logs.
Hash event_topic(std::string_view signature);

/// Writes a sequence of values as Solidity's abi.encode does. Also the items of an array, and the members of a tuple.
/// Spec: Solidity, "Contract ABI Specification".
///   AbiWriter args;  args.bytes32(key).u64(version).string("x");
///   Bytes data = args.call("put(bytes32,uint64,string)");
/// A struct with static members only may be written member by member, or as tuple(): the bytes are the same.
class AbiWriter {
public:
    AbiWriter& uint256(const Uint256& value);
    AbiWriter& u64(std::uint64_t value);  // any uintN that holds it, and enums
    AbiWriter& i64(std::int64_t value);   // any intN that holds it
    AbiWriter& boolean(bool value);
    AbiWriter& address(const Address& value);
    AbiWriter& bytes32(const Bytes32& value);
    /// bytesN: left-aligned. Requires: value.size() <= 32.
    AbiWriter& bytes_n(ByteView value);
    AbiWriter& bytes(ByteView value);
    AbiWriter& string(std::string_view value);
    /// A tuple (struct), or an array of fixed size: dynamic when one of its members is.
    AbiWriter& tuple(const AbiWriter& members);
    /// T[]: the items as written into `items`, each one value.
    AbiWriter& array(const AbiWriter& items);

    std::size_t count() const { return values_.size(); }
    bool is_dynamic() const { return dynamic_; }
    /// Returns: the encoded sequence.
    Bytes finish() const;
    /// Returns: selector ‖ encoded sequence.
    Bytes call(std::string_view signature) const;

private:
    struct Value {
        bool dynamic;
        Bytes encoding;  // of the value itself: head in place when static, tail when dynamic
    };
    AbiWriter& word(const Bytes32& value);
    AbiWriter& add(bool dynamic, Bytes encoding);
    std::vector<Value> values_;
    bool dynamic_ = false;
};

/// Reads values as they were written, in order; strict about padding, ranges and offsets, never past the end.
/// A view: the data must outlive the reader and what it returns. Copies of a reader share one budget: each word of the data is
/// read once, so that offsets which point to the same place again and again cannot make a small input large.
/// Errors: malformed, naming the field.
class AbiReader {
public:
    explicit AbiReader(ByteView data);

    Result<Uint256> uint256(std::string_view field);
    /// An unsigned integer of `bits` (8 to 64). Errors: malformed when a higher bit is set.
    Result<std::uint64_t> uint(unsigned bits, std::string_view field);
    Result<std::uint64_t> u64(std::string_view field) { return uint(64, field); }
    Result<std::int64_t> i64(std::string_view field);
    Result<bool> boolean(std::string_view field);
    Result<Address> address(std::string_view field);
    Result<Bytes32> bytes32(std::string_view field);
    /// bytesN. Requires: 1 <= size <= 32. Errors: malformed also when what follows the first `size` bytes is not zero.
    Result<ByteView> bytes_n(std::size_t size, std::string_view field);
    Result<ByteView> bytes(std::string_view field);
    /// Bytes as they are; UTF-8 is not checked.
    Result<std::string_view> string(std::string_view field);
    /// A struct or fixed array with dynamic members. One with static members only is read member by member.
    Result<AbiReader> tuple(std::string_view field);
    struct Array;
    /// T[]: how many, and a reader that stands on the first. Errors: malformed also when the data cannot hold so many.
    Result<Array> array(std::string_view field);
    /// Errors: malformed when there are words that belong to nothing. After everything was read, by whichever reader.
    Result<void> finish(std::string_view what) const;

private:
    AbiReader(ByteView frame, std::shared_ptr<std::size_t> words_left);
    Result<ByteView> head(std::string_view field);
    Result<std::size_t> offset(std::string_view field);
    Result<std::size_t> length_at(std::size_t offset, std::string_view field) const;
    Result<void> spend(std::size_t words, std::string_view field) const;
    ByteView frame_;  // offsets count from its start
    std::size_t position_ = 0;
    std::shared_ptr<std::size_t> words_left_;
};

struct AbiReader::Array {
    std::size_t count;
    AbiReader items;
};

/// What a reverted call answered, for people: the text of Error(string), the meaning of Panic(uint256), or the selector of a
/// custom error in hex. Never fails. Text from the contract is cut at 256 bytes and control characters are replaced.
std::string describe_revert(ByteView data);

}  // namespace fiducial::ethereum
