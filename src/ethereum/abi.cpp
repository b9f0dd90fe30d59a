#include "ethereum/abi.hpp"

#include <algorithm>

#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::ethereum {
namespace {

constexpr std::size_t kWord = 32;

std::size_t padded(std::size_t size) {
    return (size + kWord - 1) / kWord * kWord;
}

tl::unexpected<Error> wrong(std::string_view field, std::string_view what) {
    return fail(ErrorCode::malformed, "ABI: " + std::string(field) + ": " + std::string(what));
}

bool all_zero(ByteView bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

Selector function_selector(std::string_view signature) {
    const auto hash = crypto::keccak256(as_bytes(signature));
    return {hash[0], hash[1], hash[2], hash[3]};
}

Hash event_topic(std::string_view signature) {
    return crypto::keccak256(as_bytes(signature));
}

AbiWriter& AbiWriter::add(bool dynamic, Bytes encoding) {
    dynamic_ = dynamic_ || dynamic;
    values_.push_back({dynamic, std::move(encoding)});
    return *this;
}

AbiWriter& AbiWriter::word(const Bytes32& value) {
    return add(false, to_bytes(value));
}

AbiWriter& AbiWriter::uint256(const Uint256& value) {
    return word(value.to_be());
}

AbiWriter& AbiWriter::u64(std::uint64_t value) {
    return uint256(value);
}

AbiWriter& AbiWriter::i64(std::int64_t value) {
    Bytes32 out = Uint256(static_cast<std::uint64_t>(value)).to_be();
    if (value < 0) std::fill_n(out.begin(), 24, std::uint8_t{0xff});
    return word(out);
}

AbiWriter& AbiWriter::boolean(bool value) {
    return u64(value ? 1 : 0);
}

AbiWriter& AbiWriter::address(const Address& value) {
    Bytes32 out{};
    std::copy(value.begin(), value.end(), out.begin() + 12);
    return word(out);
}

AbiWriter& AbiWriter::bytes32(const Bytes32& value) {
    return word(value);
}

AbiWriter& AbiWriter::bytes_n(ByteView value) {
    FID_INVARIANT(value.size() <= kWord, "a bytesN has at most 32 bytes");
    Bytes32 out{};
    std::copy(value.begin(), value.end(), out.begin());
    return word(out);
}

AbiWriter& AbiWriter::bytes(ByteView value) {
    Bytes out = to_bytes(Uint256(value.size()).to_be());
    append(out, value);
    out.resize(kWord + padded(value.size()));
    return add(true, std::move(out));
}

AbiWriter& AbiWriter::string(std::string_view value) {
    return bytes(as_bytes(value));
}

AbiWriter& AbiWriter::tuple(const AbiWriter& members) {
    return add(members.dynamic_, members.finish());
}

AbiWriter& AbiWriter::array(const AbiWriter& items) {
    Bytes out = to_bytes(Uint256(items.count()).to_be());
    append(out, items.finish());
    return add(true, std::move(out));
}

Bytes AbiWriter::finish() const {
    std::size_t head_size = 0;
    for (const auto& value : values_) head_size += value.dynamic ? kWord : value.encoding.size();
    Bytes out;
    std::size_t tail_offset = head_size;
    for (const auto& value : values_) {
        if (!value.dynamic) {
            append(out, value.encoding);
            continue;
        }
        append(out, Uint256(tail_offset).to_be());
        tail_offset += value.encoding.size();
    }
    for (const auto& value : values_) {
        if (value.dynamic) append(out, value.encoding);
    }
    return out;
}

Bytes AbiWriter::call(std::string_view signature) const {
    const auto selector = function_selector(signature);
    Bytes out(selector.begin(), selector.end());
    append(out, finish());
    return out;
}

AbiReader::AbiReader(ByteView data) : AbiReader(data, std::make_shared<std::size_t>(padded(data.size()) / kWord)) {}

AbiReader::AbiReader(ByteView frame, std::shared_ptr<std::size_t> words_left) : frame_(frame), words_left_(std::move(words_left)) {}

Result<void> AbiReader::spend(std::size_t words, std::string_view field) const {
    if (words > *words_left_) return wrong(field, "offsets that overlap");
    *words_left_ -= words;
    return {};
}

// The next 32 bytes of the head; nothing is consumed when they are not there.
Result<ByteView> AbiReader::head(std::string_view field) {
    if (frame_.size() - position_ < kWord) return wrong(field, "the data end before it");
    FID_CHECK(spend(1, field));
    const auto view = frame_.subspan(position_, kWord);
    position_ += kWord;
    return view;
}

// A length word at `offset`, and at least as many bytes after it.
Result<std::size_t> AbiReader::length_at(std::size_t offset, std::string_view field) const {
    if (frame_.size() < kWord || offset > frame_.size() - kWord) return wrong(field, "an offset past the end");
    FID_TRY(const auto length, Uint256::from_be_view(frame_.subspan(offset, kWord)));
    if (!length.fits_u64() || length.low_u64() > frame_.size() - offset - kWord) return wrong(field, "a length past the end");
    FID_CHECK(spend(1, field));
    return static_cast<std::size_t>(length.low_u64());
}

Result<std::size_t> AbiReader::offset(std::string_view field) {
    FID_TRY(const auto view, head(field));
    FID_TRY(const auto value, Uint256::from_be_view(view));
    if (!value.fits_u64() || value.low_u64() > frame_.size()) return wrong(field, "an offset past the end");
    if (value.low_u64() % kWord != 0 || value.low_u64() < kWord) return wrong(field, "an offset into the head or between words");
    return static_cast<std::size_t>(value.low_u64());
}

Result<Uint256> AbiReader::uint256(std::string_view field) {
    FID_TRY(const auto view, head(field));
    return Uint256::from_be_view(view);
}

Result<std::uint64_t> AbiReader::uint(unsigned bits, std::string_view field) {
    FID_INVARIANT(bits >= 8 && bits <= 64, "8 to 64 bits");
    FID_TRY(const auto value, uint256(field));
    if (value.bit_length() > bits) return wrong(field, "a number beyond " + std::to_string(bits) + " bits");
    return value.low_u64();
}

Result<std::int64_t> AbiReader::i64(std::string_view field) {
    FID_TRY(const auto view, head(field));
    const auto value = static_cast<std::int64_t>(read_be<std::uint64_t>(view.subspan(24)));
    const std::uint8_t sign = value < 0 ? 0xff : 0;
    const auto high = view.first(24);
    if (!std::all_of(high.begin(), high.end(), [sign](std::uint8_t byte) { return byte == sign; }))
        return wrong(field, "a number beyond 64 bits");
    return value;
}

Result<bool> AbiReader::boolean(std::string_view field) {
    FID_TRY(const auto value, uint256(field));
    if (value > Uint256(1)) return wrong(field, "a truth value that is neither 0 nor 1");
    return value == Uint256(1);
}

Result<Address> AbiReader::address(std::string_view field) {
    FID_TRY(const auto view, head(field));
    if (!all_zero(view.first(12))) return wrong(field, "an address with bytes before it");
    return fixed<20>(view.subspan(12), field);
}

Result<Bytes32> AbiReader::bytes32(std::string_view field) {
    FID_TRY(const auto view, head(field));
    return fixed<32>(view, field);
}

Result<ByteView> AbiReader::bytes_n(std::size_t size, std::string_view field) {
    FID_INVARIANT(size >= 1 && size <= kWord, "a bytesN has 1 to 32 bytes");
    FID_TRY(const auto view, head(field));
    if (!all_zero(view.subspan(size))) return wrong(field, "bytes after its end that are not zero");
    return view.first(size);
}

Result<ByteView> AbiReader::bytes(std::string_view field) {
    FID_TRY(const auto start, offset(field));
    FID_TRY(const auto size, length_at(start, field));
    const auto room = frame_.subspan(start + kWord);
    if (padded(size) > room.size()) return wrong(field, "padding that is cut off");
    if (!all_zero(room.subspan(size, padded(size) - size))) return wrong(field, "padding that is not zero");
    FID_CHECK(spend(padded(size) / kWord, field));
    return room.first(size);
}

Result<std::string_view> AbiReader::string(std::string_view field) {
    FID_TRY(const auto view, bytes(field));
    return as_text(view);
}

Result<AbiReader> AbiReader::tuple(std::string_view field) {
    FID_TRY(const auto start, offset(field));
    return AbiReader(frame_.subspan(start), words_left_);
}

Result<AbiReader::Array> AbiReader::array(std::string_view field) {
    FID_TRY(const auto start, offset(field));
    FID_TRY(const auto count, length_at(start, field));
    const auto items = frame_.subspan(start + kWord);
    if (count > items.size() / kWord) return wrong(field, "more items than the data can hold");
    return Array{count, AbiReader(items, words_left_)};
}

Result<void> AbiReader::finish(std::string_view what) const {
    if (*words_left_ != 0) return wrong(what, "words that belong to nothing");
    return {};
}

namespace {

std::string_view panic_meaning(std::uint64_t code) {
    switch (code) {
        case 0x01: return "an assertion failed";
        case 0x11: return "arithmetic overflow";
        case 0x12: return "division by zero";
        case 0x21: return "a value that is no member of its enumeration";
        case 0x31: return "pop from an empty array";
        case 0x32: return "an index out of range";
        case 0x41: return "out of memory";
        default: return "an internal check failed";
    }
}

std::string printable(std::string_view text) {
    std::string out(text.substr(0, 256));
    std::replace_if(
        out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
    return out;
}

}  // namespace

std::string describe_revert(ByteView data) {
    if (data.empty()) return "reverted without a reason";
    if (data.size() < 4) return "reverted with " + to_0x(data);
    const auto selector = to_0x(data.first(4));
    AbiReader reader(data.subspan(4));
    if (selector == "0x08c379a0") {
        if (const auto text = reader.string("reason")) return "reverted: " + printable(*text);
    } else if (selector == "0x4e487b71") {
        if (const auto code = reader.u64("code")) return "reverted: " + std::string(panic_meaning(*code));
    }
    return "reverted with error " + selector;
}

}  // namespace fiducial::ethereum
