#include "ethereum/typed_data.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "base/hex.hpp"
#include "base/json.hpp"
#include "crypto/hash.hpp"
#include "ethereum/address.hpp"
#include "ethereum/impl/typed_data_types.hpp"

namespace fiducial::ethereum {
namespace {

namespace bj = boost::json;
using impl::Member;
using impl::TypeTable;

constexpr std::size_t kMaxBytes = 256 * 1024;
constexpr std::size_t kMaxLevels = 16;

tl::unexpected<Error> malformed(std::string_view path, std::string_view what) {
    return fail(ErrorCode::malformed, "typed data: " + std::string(path) + ": " + std::string(what));
}

Bytes32 left_padded(ByteView bytes) {
    Bytes32 out{};
    std::copy(bytes.begin(), bytes.end(), out.end() - static_cast<std::ptrdiff_t>(bytes.size()));
    return out;
}

Bytes32 right_padded(ByteView bytes) {
    Bytes32 out{};
    std::copy(bytes.begin(), bytes.end(), out.begin());
    return out;
}

Bytes32 negated(const Uint256& magnitude) {
    auto out = magnitude.to_be();
    for (auto& byte : out) byte = static_cast<std::uint8_t>(~byte);
    for (std::size_t i = 32; i-- > 0 && ++out[i] == 0;) {
    }
    return out;
}

// Encodes a JSON value of a type from the table, as encodeData does.
class ValueEncoder {
public:
    explicit ValueEncoder(const TypeTable& types) : types_(types) {}

    Result<Hash> hash_struct(const std::string& type, const bj::value& value, const std::string& path, std::size_t level) const {
        if (level > kMaxLevels) return fail(ErrorCode::limit_exceeded, "typed data: " + path + ": more than 16 levels");
        if (!value.is_object()) return malformed(path, "an object of type " + type + " should be here");
        const auto& object = value.get_object();
        const auto& members = types_.members(type);
        if (object.size() != members.size()) return malformed(path, "other members than " + type + " has");
        Bytes encoded = to_bytes(types_.type_hash(type));
        for (const auto& member : members) {
            const auto* found = object.if_contains(member.name);
            if (found == nullptr) return malformed(path, "no member " + member.name);
            FID_TRY(const auto word, encode(member.type, *found, path + "." + member.name, level + 1));
            append(encoded, word);
        }
        return crypto::keccak256(encoded);
    }

private:
    Result<Bytes32> encode(const std::string& type, const bj::value& value, const std::string& path, std::size_t level) const {
        if (type.ends_with(']')) return encode_array(type, value, path, level);
        if (types_.contains(type)) return hash_struct(type, value, path, level);
        if (type == "bool") {
            if (!value.is_bool()) return malformed(path, "true or false should be here");
            return Uint256(value.get_bool() ? 1 : 0).to_be();
        }
        if (type.starts_with("uint") || type.starts_with("int")) return encode_integer(type, value, path);
        if (!value.is_string()) return malformed(path, "a string should be here");
        const std::string_view text = value.get_string();
        if (type == "string") return crypto::keccak256(as_bytes(text));
        if (type == "address") {
            auto address = parse_address(text);
            if (!address) return malformed(path, address.error().message);
            return left_padded(*address);
        }
        if (!text.starts_with("0x")) return malformed(path, "bytes are written as 0x and hex digits");
        auto bytes = from_hex(text);
        if (!bytes) return malformed(path, bytes.error().message);
        if (type == "bytes") return crypto::keccak256(*bytes);
        if (bytes->size() != impl::trailing_number(type)) return malformed(path, "not the number of bytes that " + type + " has");
        return right_padded(*bytes);
    }

    Result<Bytes32> encode_integer(const std::string& type, const bj::value& value, const std::string& path) const {
        const bool is_signed = type.front() == 'i';
        const auto bits = impl::trailing_number(type);
        bool negative = false;
        Uint256 magnitude;
        if (value.is_int64()) {
            negative = value.get_int64() < 0;
            const auto raw = static_cast<std::uint64_t>(value.get_int64());
            magnitude = negative ? 0 - raw : raw;
        } else if (value.is_uint64()) {
            magnitude = value.get_uint64();
        } else if (value.is_string()) {
            std::string_view text = value.get_string();
            negative = text.starts_with('-');
            auto parsed = Uint256::parse(text.substr(negative ? 1 : 0));
            if (!parsed) return malformed(path, parsed.error().message);
            magnitude = *parsed;
        } else {
            return malformed(path, "an integer should be here");
        }
        const Uint256 one(1);
        if (negative && !magnitude.is_zero()) {
            if (!is_signed || magnitude.minus(one)->bit_length() >= bits) return malformed(path, "out of the range of " + type);
            return negated(magnitude);
        }
        if (magnitude.bit_length() > bits - (is_signed ? 1 : 0)) return malformed(path, "out of the range of " + type);
        return magnitude.to_be();
    }

    Result<Bytes32> encode_array(const std::string& type, const bj::value& value, const std::string& path, std::size_t level) const {
        if (level > kMaxLevels) return fail(ErrorCode::limit_exceeded, "typed data: " + path + ": more than 16 levels");
        if (!value.is_array()) return malformed(path, "an array should be here");
        const auto& items = value.get_array();
        const auto open = type.rfind('[');
        const auto length = type.substr(open + 1, type.size() - open - 2);
        if (!length.empty() && length != std::to_string(items.size()))
            return malformed(path, "not the number of items that " + type + " has");
        const auto item_type = type.substr(0, open);
        Bytes encoded;
        for (std::size_t i = 0; i < items.size(); ++i) {
            FID_TRY(const auto word, encode(item_type, items[i], path + "[" + std::to_string(i) + "]", level + 1));
            append(encoded, word);
        }
        return crypto::keccak256(encoded);
    }

    const TypeTable& types_;
};

}  // namespace

Hash typed_digest(const Hash& domain_separator, const Hash& struct_hash) {
    const std::array<std::uint8_t, 2> prefix{0x19, 0x01};
    return crypto::keccak256({ByteView(prefix), ByteView(domain_separator), ByteView(struct_hash)});
}

Hash domain_separator(const TypedDomain& domain) {
    std::string type;
    Bytes encoded;
    const auto add = [&](std::string_view member, const Bytes32& word) {
        type += (type.empty() ? "EIP712Domain(" : ",") + std::string(member);
        append(encoded, word);
    };
    if (domain.name) add("string name", crypto::keccak256(as_bytes(*domain.name)));
    if (domain.version) add("string version", crypto::keccak256(as_bytes(*domain.version)));
    if (domain.chain_id) add("uint256 chainId", domain.chain_id->to_be());
    if (domain.verifying_contract) add("address verifyingContract", left_padded(*domain.verifying_contract));
    if (domain.salt) add("bytes32 salt", *domain.salt);
    type += type.empty() ? "EIP712Domain()" : ")";
    const auto type_hash = crypto::keccak256(as_bytes(type));
    return crypto::keccak256({ByteView(type_hash), ByteView(encoded)});
}

StructHasher::StructHasher(std::string_view encoded_type) : type_hash_(crypto::keccak256(as_bytes(encoded_type))) {
    const auto open = encoded_type.find('(');
    const auto close = encoded_type.find(')');
    if (open == std::string_view::npos || open == 0 || close == std::string_view::npos || close < open) {
        error_ = "not a struct type";
        return;
    }
    auto list = encoded_type.substr(open + 1, close - open - 1);
    while (!list.empty()) {
        const auto member = list.substr(0, list.find(','));
        const auto space = member.find(' ');
        if (space == std::string_view::npos || space == 0 || space + 1 == member.size()) {
            error_ = "a member that is not \"type name\"";
            return;
        }
        members_.emplace_back(member.substr(0, space));
        list.remove_prefix(std::min(list.size(), member.size() + 1));
    }
}

// kind: "uint", "hash" or the type's own name. bits: how many the value needs, for "uint".
StructHasher& StructHasher::add(std::string_view kind, const Bytes32& word, unsigned bits) {
    if (!error_.empty()) return *this;
    if (next_ == members_.size()) {
        error_ = "more values than members";
        return *this;
    }
    const auto& type = members_[next_++];
    bool fits = type == kind;
    if (kind == "uint") fits = impl::is_atomic(type) && type.starts_with("uint") && bits <= impl::trailing_number(type);
    if (kind == "hash") fits = type.ends_with(']') || !impl::is_known(type);
    if (!fits) error_ = "member " + std::to_string(next_) + " is " + type + ", and the value is not";
    append(encoded_, word);
    return *this;
}

StructHasher& StructHasher::uint256(const Uint256& value) {
    return add("uint", value.to_be(), value.bit_length());
}
StructHasher& StructHasher::u64(std::uint64_t value) {
    return uint256(value);
}
StructHasher& StructHasher::boolean(bool value) {
    return add("bool", Uint256(value ? 1 : 0).to_be(), 1);
}
StructHasher& StructHasher::address(const Address& value) {
    return add("address", left_padded(value), 0);
}
StructHasher& StructHasher::bytes32(const Bytes32& value) {
    return add("bytes32", value, 0);
}
StructHasher& StructHasher::bytes(ByteView value) {
    return add("bytes", crypto::keccak256(value), 0);
}
StructHasher& StructHasher::string(std::string_view value) {
    return add("string", crypto::keccak256(as_bytes(value)), 0);
}
StructHasher& StructHasher::hashed(const Hash& value) {
    return add("hash", value, 0);
}

Result<Hash> StructHasher::finish() const {
    if (!error_.empty()) return fail(ErrorCode::invalid_argument, "struct hash: " + error_);
    if (next_ != members_.size()) return fail(ErrorCode::invalid_argument, "struct hash: fewer values than members");
    return crypto::keccak256({ByteView(type_hash_), ByteView(encoded_)});
}

namespace {

constexpr std::string_view kDomain = "EIP712Domain";

Result<void> check_domain_type(const TypeTable& types) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kMembers{
        {{"string", "name"}, {"string", "version"}, {"uint256", "chainId"}, {"address", "verifyingContract"}, {"bytes32", "salt"}}};
    std::size_t next = 0;  // the standard's order, any of them left out
    for (const auto& member : types.members(std::string(kDomain))) {
        while (next < kMembers.size() && kMembers[next].second != member.name) ++next;
        if (next == kMembers.size() || kMembers[next].first != member.type)
            return malformed("types.EIP712Domain", "not the standard's members in its order");
        ++next;
    }
    return {};
}

}  // namespace

Result<TypedData> TypedData::parse(std::string_view json_text) {
    FID_TRY(const auto document, json::parse(json_text, kMaxBytes));
    const auto* object = document.if_object();
    if (object == nullptr || object->size() != 4) return malformed("document", "not exactly types, primaryType, domain and message");
    const auto* types_value = object->if_contains("types");
    const auto* primary = object->if_contains("primaryType");
    const auto* domain = object->if_contains("domain");
    const auto* message = object->if_contains("message");
    if (types_value == nullptr || primary == nullptr || domain == nullptr || message == nullptr || !primary->is_string()) {
        return malformed("document", "not exactly types, primaryType, domain and message");
    }
    FID_TRY(const auto types, TypeTable::parse(*types_value));
    TypedData out;
    out.primary_type_ = std::string(primary->get_string());
    if (!types.contains(out.primary_type_)) return malformed("primaryType", "a type that is not declared");
    if (!types.contains(std::string(kDomain))) return malformed("types", "no EIP712Domain");
    FID_CHECK(check_domain_type(types));
    const ValueEncoder encoder(types);
    FID_TRY(out.domain_hash_, encoder.hash_struct(std::string(kDomain), *domain, "domain", 0));
    FID_TRY(out.message_hash_, encoder.hash_struct(out.primary_type_, *message, "message", 0));
    out.encoded_type_ = types.encode_type(out.primary_type_);
    return out;
}

}  // namespace fiducial::ethereum
