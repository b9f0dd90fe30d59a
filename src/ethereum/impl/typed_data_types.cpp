#include "ethereum/impl/typed_data_types.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "crypto/hash.hpp"

namespace fiducial::ethereum::impl {
namespace {

namespace bj = boost::json;

constexpr std::size_t kMaxTypes = 64;
constexpr std::size_t kMaxMembers = 64;
constexpr std::size_t kMaxName = 128;
constexpr std::size_t kMaxDimensions = 4;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_identifier(std::string_view text) {
    if (text.empty() || text.size() > kMaxName || is_digit(text.front())) return false;
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$'; });
}

std::string_view without_arrays(std::string_view type) {
    return type.substr(0, type.find('['));
}

// "[]" and "[n]" again and again; n without leading zeros.
bool are_dimensions(std::string_view text) {
    std::size_t count = 0;
    while (!text.empty()) {
        const auto close = text.find(']');
        if (text.front() != '[' || close == std::string_view::npos || close > 7 || ++count > kMaxDimensions) return false;
        const auto length = text.substr(1, close - 1);
        if (!std::all_of(length.begin(), length.end(), is_digit) || length.starts_with('0')) return false;
        text.remove_prefix(close + 1);
    }
    return true;
}

tl::unexpected<Error> malformed(std::string_view type, std::string_view what) {
    const std::string shown(type.substr(0, kMaxName));
    return fail(ErrorCode::malformed, "typed data: types." + shown + ": " + std::string(what));
}

}  // namespace

unsigned trailing_number(std::string_view type) {
    unsigned value = 0;
    unsigned scale = 1;
    for (std::size_t i = type.size(); i-- > 0 && is_digit(type[i]) && scale <= 1000; scale *= 10)
        value += scale * static_cast<unsigned>(type[i] - '0');
    return value;
}

bool is_atomic(std::string_view type) {
    if (type == "bool" || type == "address") return true;
    const auto number = trailing_number(type);
    const auto is = [&](std::string_view stem) { return number != 0 && type == std::string(stem) + std::to_string(number); };
    if (is("bytes")) return number <= 32;
    return (is("uint") || is("int")) && number % 8 == 0 && number <= 256;
}

bool is_known(std::string_view type) {
    return type == "string" || type == "bytes" || is_atomic(type);
}

Result<void> TypeTable::add(std::string_view name, const bj::value& value) {
    if (!is_identifier(name) || is_known(name)) return malformed(name, "not a name for a struct");
    const auto* list = value.if_array();
    if (list == nullptr) return malformed(name, "a list of members should be here");
    if (list->size() > kMaxMembers) return fail(ErrorCode::limit_exceeded, "typed data: more than 64 members");
    auto& members = members_[std::string(name)];
    for (const auto& entry : *list) {
        const auto* object = entry.if_object();
        const auto* member_name = object != nullptr ? object->if_contains("name") : nullptr;
        const auto* member_type = object != nullptr ? object->if_contains("type") : nullptr;
        if (member_name == nullptr || member_type == nullptr || object->size() != 2 || !member_name->is_string() ||
            !member_type->is_string()) {
            return malformed(name, "a member is {name, type}");
        }
        Member member{std::string(member_name->get_string()), std::string(member_type->get_string())};
        if (!is_identifier(member.name)) return malformed(name, "a member whose name is none");
        const auto taken = [&](const Member& other) { return other.name == member.name; };
        if (std::any_of(members.begin(), members.end(), taken)) return malformed(name, "two members of one name");
        members.push_back(std::move(member));
    }
    return {};
}

Result<TypeTable> TypeTable::parse(const bj::value& types) {
    const auto* object = types.if_object();
    if (object == nullptr) return malformed("*", "an object should be here");
    if (object->size() > kMaxTypes) return fail(ErrorCode::limit_exceeded, "typed data: more than 64 types");
    TypeTable out;
    for (const auto& [name, members] : *object) FID_CHECK(out.add(std::string_view(name), members));
    for (const auto& [name, members] : out.members_) {
        for (const auto& member : members) {
            const auto base = without_arrays(member.type);
            const bool declared = is_known(base) || out.contains(std::string(base));
            if (!declared || !are_dimensions(std::string_view(member.type).substr(base.size()))) {
                return malformed(name, "member " + member.name + " has a type that is unknown");
            }
        }
    }
    for (const auto& [name, members] : out.members_) out.hashes_[name] = crypto::keccak256(as_bytes(out.encode_type(name)));
    return out;
}

std::string TypeTable::encode_type(const std::string& type) const {
    std::set<std::string> referred;
    std::vector<std::string> open{type};
    while (!open.empty()) {
        const auto name = std::move(open.back());
        open.pop_back();
        for (const auto& member : members_.at(name)) {
            const std::string base(without_arrays(member.type));
            if (contains(base) && base != type && referred.insert(base).second) open.push_back(base);
        }
    }
    const auto describe = [this](const std::string& name) {
        std::string out = name + "(";
        for (const auto& member : members_.at(name)) out += (out.back() == '(' ? "" : ",") + member.type + " " + member.name;
        return out + ")";
    };
    std::string out = describe(type);
    for (const auto& name : referred) out += describe(name);
    return out;
}

}  // namespace fiducial::ethereum::impl
