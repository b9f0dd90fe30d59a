#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/secp256k1.hpp"
#include "ethereum/uint256.hpp"

namespace fiducial::ethereum {

/// EIP-712's domain. The fields that are set make its type, in the standard's order.
struct TypedDomain {
    std::optional<std::string> name;
    std::optional<std::string> version;
    std::optional<Uint256> chain_id;
    std::optional<Address> verifying_contract;
    std::optional<Bytes32> salt;
};
Hash domain_separator(const TypedDomain& domain);

/// keccak256(0x1901 ‖ domain separator ‖ struct hash): what is signed. Spec: EIP-712.
Hash typed_digest(const Hash& domain_separator, const Hash& struct_hash);

/// hashStruct of one struct with the type given as text, its values written in order:
///   StructHasher grant("Grant(bytes32 holder,uint64 expiry,string note)");
///   FID_TRY(Hash hash, grant.bytes32(h).u64(e).string(n).finish());
/// Structs within structs: append their types, as EIP-712's encodeType does, and write them with hashed().
class StructHasher {
public:
    explicit StructHasher(std::string_view encoded_type);
    StructHasher& uint256(const Uint256& value);
    StructHasher& u64(std::uint64_t value);
    StructHasher& boolean(bool value);
    StructHasher& address(const Address& value);
    StructHasher& bytes32(const Bytes32& value);
    StructHasher& bytes(ByteView value);
    StructHasher& string(std::string_view value);
    /// A struct's or array's hash, made before.
    StructHasher& hashed(const Hash& value);
    /// Errors: invalid_argument when the values do not fit the type's members in number, kind or width.
    Result<Hash> finish() const;

private:
    StructHasher& add(std::string_view kind, const Bytes32& word, unsigned bits);
    std::string error_;
    Hash type_hash_{};
    std::vector<std::string> members_;  // types, in order
    std::size_t next_ = 0;
    Bytes encoded_;
};

/// A message as eth_signTypedData_v4 takes it: {types, primaryType, domain, message}.
class TypedData {
public:
    /// Spec: EIP-712. Strict: exact keys, every member of every struct present and no other (a struct's member may not be null),
    ///       integers as JSON integers, decimal or 0x strings, in range; types without cycles that a value could not end.
    /// Errors: malformed, naming the path; limit_exceeded beyond 256 KiB, 64 types, 64 members or 16 levels.
    static Result<TypedData> parse(std::string_view json);

    const std::string& primary_type() const { return primary_type_; }
    const Hash& domain_hash() const { return domain_hash_; }
    const Hash& message_hash() const { return message_hash_; }  // hashStruct(message)
    Hash digest() const { return typed_digest(domain_hash_, message_hash_); }
    /// encodeType of the primary type: "Mail(Person from,…)Person(…)".
    const std::string& encoded_type() const { return encoded_type_; }

private:
    std::string primary_type_;
    std::string encoded_type_;
    Hash domain_hash_{};
    Hash message_hash_{};
};

}  // namespace fiducial::ethereum
