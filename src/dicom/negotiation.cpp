#include "dicom/negotiation.hpp"

#include <algorithm>
#include <array>

#include "dicom/query_retrieve.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::string_view kStorageRoot = "1.2.840.10008.5.1.4.1.1.";

/// Objects of studies whose classes the standard put elsewhere.
constexpr std::array<std::string_view, 6> kElsewhere{
    "1.2.840.10008.5.1.1.27",     // Stored Print Storage (retired)
    "1.2.840.10008.5.1.1.29",     // Hardcopy Grayscale Image Storage (retired)
    "1.2.840.10008.5.1.1.30",     // Hardcopy Color Image Storage (retired)
    "1.2.840.10008.5.1.4.34.1",   // RT Beams Delivery Instruction Storage - Trial (retired)
    "1.2.840.10008.5.1.4.34.7",   // RT Beams Delivery Instruction Storage
    "1.2.840.10008.5.1.4.34.10",  // RT Brachy Application Setup Delivery Instruction Storage
};

bool is_taken(const std::string& transfer_syntax, Served served) {
    if (served == Served::objects) return find_transfer_syntax(transfer_syntax) != nullptr;
    return transfer_syntax == kImplicitVrLittleEndian || transfer_syntax == kExplicitVrLittleEndian;
}

const std::string* choose(const std::vector<std::string>& offered, Served served) {
    const auto first = std::find_if(offered.begin(), offered.end(), [&](const auto& uid) { return is_taken(uid, served); });
    if (first == offered.end()) return nullptr;
    if (*first != kImplicitVrLittleEndian) return &*first;
    const auto better = std::find(offered.begin(), offered.end(), kExplicitVrLittleEndian);
    return better != offered.end() ? &*better : &*first;
}

AnsweredContext answer(const ProposedContext& proposed, Served served) {
    const auto refuse = [&](ContextResult why) { return AnsweredContext{proposed.id, why, std::string(kImplicitVrLittleEndian)}; };
    if (served == Served::no) return refuse(ContextResult::abstract_syntax_not_supported);
    if (served == Served::not_for_this_peer) return refuse(ContextResult::user_rejection);
    const auto* chosen = choose(proposed.transfer_syntaxes, served);
    if (chosen == nullptr) return refuse(ContextResult::transfer_syntaxes_not_supported);
    return {proposed.id, ContextResult::acceptance, *chosen};
}

// Bytes of the application information of C-FIND classes; PS3.4 table C.5-1. The fourth is timezone query adjustment: an offset in the
// identifier counts, whether or not it was agreed on.
constexpr std::size_t kRelational = 0, kCombinedDateTime = 1, kFuzzyNames = 2, kGranted = 4;

}  // namespace

bool is_storage_sop_class(std::string_view uid) {
    return uid.starts_with(kStorageRoot) || std::find(kElsewhere.begin(), kElsewhere.end(), uid) != kElsewhere.end();
}

std::vector<AnsweredContext> negotiate(const std::vector<ProposedContext>& proposed,
                                       const std::function<Served(std::string_view abstract_syntax)>& served) {
    std::vector<AnsweredContext> out;
    out.reserve(proposed.size());
    for (const auto& context : proposed) out.push_back(answer(context, served(context.abstract_syntax)));
    return out;
}

std::vector<RoleSelection> negotiate_roles(const std::vector<RoleSelection>& proposed,
                                           const std::function<bool(std::string_view sop_class)>& may_be_sent) {
    std::vector<RoleSelection> out;
    for (const auto& role : proposed) out.push_back({role.sop_class, role.scu, role.scp && may_be_sent(role.sop_class)});
    return out;
}

std::vector<ExtendedNegotiation> negotiate_queries(const std::vector<ExtendedNegotiation>& proposed) {
    std::vector<ExtendedNegotiation> out;
    for (const auto& item : proposed) {
        const auto* model = find_query_model(item.sop_class);
        if (model == nullptr) continue;
        ExtendedNegotiation answered{item.sop_class, Bytes(item.information.size(), 0)};
        const bool finds = model->command == CommandField::c_find_rq;
        for (std::size_t i = 0; finds && i < std::min(kGranted, answered.information.size()); ++i)
            answered.information[i] = item.information[i] == 1 ? 1 : 0;
        out.push_back(std::move(answered));
    }
    return out;
}

QueryOptions query_options(const std::vector<ExtendedNegotiation>& answered, std::string_view sop_class) {
    const auto found = std::find_if(answered.begin(), answered.end(), [&](const auto& item) { return item.sop_class == sop_class; });
    const auto granted = [&](std::size_t byte) {
        return found != answered.end() && byte < found->information.size() && found->information[byte] == 1;
    };
    return {granted(kRelational), granted(kCombinedDateTime), granted(kFuzzyNames)};
}

}  // namespace fiducial::dicom
