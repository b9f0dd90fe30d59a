#pragma once
// What the parts of the front desk share.
#include <algorithm>
#include <map>

#include "archive/front_desk.hpp"
#include "base/json.hpp"

namespace fiducial::archive {

struct FrontDesk::Link {
    std::string kind;         // administrator, invitation, password, reset (a password link that was mailed), email, patient
    Bytes32 person{};         // of a link for a password or an address
    std::string name, email;  // of an invitation, as far as they are known
    std::uint32_t roles = 0;
    std::int64_t expires_ms = 0;
    std::string id;  // of its record
    // Of a patient's letter:
    Hash patient_key{};
    std::string code;  // SHA-256 of the ten characters, in hex
    std::int64_t wrong_codes = 0;
};

/// Roles that need a second factor: all but a patient's.
inline bool is_staff(std::uint32_t roles) {
    return (roles & ~static_cast<std::uint32_t>(kPatient)) != 0;
}
/// Makes room for one more where there are as many as there may be: what has ended goes, else what ends first.
template <typename Map>
void forget_ended(Map& map, SteadyTime now, std::size_t most) {
    if (map.size() < most) return;
    std::erase_if(map, [&](const auto& item) { return item.second.until <= now; });
    if (map.size() < most) return;
    map.erase(std::min_element(map.begin(), map.end(), [](const auto& a, const auto& b) { return a.second.until < b.second.until; }));
}
boost::json::array roles_json(std::uint32_t roles);
/// A list of roles that an administrator can give. Errors: invalid_argument.
Result<std::uint32_t> roles_from(const boost::json::object& said);
Result<Bytes32> person_from(const boost::json::object& said);
std::string rfc3339_of_ms(std::int64_t ms);
Reply reply_of(const boost::json::object& json);
std::string link_url(const Visitor& visitor, const crypto::Secret& token);

}  // namespace fiducial::archive
