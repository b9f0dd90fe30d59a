#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/json.hpp"

namespace fiducial::ethereum::impl {

struct Member {
    std::string name;
    std::string type;
};

/// True for the types that Solidity has in itself: bool, address, string, bytes, bytesN, uintN, intN.
bool is_known(std::string_view type);
/// The same without string and bytes.
bool is_atomic(std::string_view type);
/// The number at a type's end: 32 for "bytes32". 0 when there is none.
unsigned trailing_number(std::string_view type);

/// The struct types of one EIP-712 document; each member's type is known or declared.
class TypeTable {
public:
    /// Errors: malformed, naming the type; limit_exceeded beyond 64 types of 64 members, or arrays of more than 4 dimensions.
    static Result<TypeTable> parse(const boost::json::value& types);

    bool contains(const std::string& type) const { return members_.contains(type); }
    /// Requires: contains(type).
    const std::vector<Member>& members(const std::string& type) const { return members_.at(type); }
    const Hash& type_hash(const std::string& type) const { return hashes_.at(type); }
    /// The type, then all types it refers to, sorted by name. Spec: EIP-712, encodeType.
    std::string encode_type(const std::string& type) const;

private:
    Result<void> add(std::string_view name, const boost::json::value& members);
    std::map<std::string, std::vector<Member>> members_;
    std::map<std::string, Hash> hashes_;
};

}  // namespace fiducial::ethereum::impl
