#include <algorithm>
#include <boost/json.hpp>

#include "base/json.hpp"
#include "ethereum/abi.hpp"
#include "ledger/contracts.hpp"

namespace fiducial::ledger::contracts {
namespace {

constexpr std::size_t kMaxAbiBytes = std::size_t{1} << 20;

std::string signature_of(const boost::json::object& error) {
    std::string out(error.at("name").as_string());
    char before = '(';
    for (const auto& input : error.at("inputs").as_array()) {
        out += before + std::string(input.as_object().at("type").as_string());
        before = ',';
    }
    return out + (before == '(' ? "()" : ")");
}

std::string_view advice_of(std::string_view error) {
    for (const auto& [name, text] : advice()) {
        if (name == error) return text;
    }
    return {};
}

}  // namespace

std::span<const Advice> advice() {
    static constexpr Advice kAdvice[] = {
        {"MembersNotAdministrator", "only an active administrator of the institution may do this"},
        {"MembersInactiveInstitution", "the consortium has made the institution inactive"},
        {"MembersCustodianNeedsTwo",
         "one administrator alone makes no custodian: register the person without this role, then one administrator calls "
         "proposeCustodian and another, whom the first did not make, appointCustodian; or the consortium calls addFounders"},
        {"MembersSameAdministrator",
         "both speak with one voice: the second must be an administrator whom the first did not make; the consortium adds one with "
         "addFounders"},
        {"MembersAccountTaken", "the account is another person's or gateway's, or was a removed person's"},
        {"MembersNotReady", "its delay is not over, or approvals are missing"},
        {"ConsentsNotAllowed", "only who decides for the patient may do this"},
        {"ConsentsStaleEpoch", "the patient has decided something since: ask for the current epoch and sign again"},
        {"ConsentsStaleSerial", "this restriction has changed since: take a serial above the last one"},
        {"ConsentsNotDoctor", "only an active doctor can open an emergency"},
        {"CheckpointsInconsistent", "the log does not continue the one that is anchored: run fiducial fsck"},
    };
    return kAdvice;
}

std::string describe_revert(ByteView data) {
    if (data.size() >= 4) {
        for (const auto& contract : artifacts()) {
            const auto abi = json::parse(contract.abi_json, kMaxAbiBytes);
            FID_INVARIANT(abi.has_value(), "the committed ABI is JSON");
            for (const auto& entry : abi->as_array()) {
                const auto& object = entry.as_object();
                if (object.at("type").as_string() != "error") continue;
                const auto selector = ethereum::function_selector(signature_of(object));
                if (!std::equal(selector.begin(), selector.end(), data.begin())) continue;
                const std::string name(object.at("name").as_string());
                const auto text = advice_of(name);
                return "refused with " + name + (text.empty() ? std::string() : ": " + std::string(text));
            }
        }
    }
    return ethereum::describe_revert(data);
}

}  // namespace fiducial::ledger::contracts
