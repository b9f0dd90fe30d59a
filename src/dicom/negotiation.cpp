#include "dicom/negotiation.hpp"

#include <algorithm>
#include <array>

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

const std::string* choose(const std::vector<std::string>& offered) {
    const auto first = std::find_if(offered.begin(), offered.end(), [](const auto& uid) { return find_transfer_syntax(uid) != nullptr; });
    if (first == offered.end()) return nullptr;
    if (*first != kImplicitVrLittleEndian) return &*first;
    const auto better = std::find(offered.begin(), offered.end(), kExplicitVrLittleEndian);
    return better != offered.end() ? &*better : &*first;
}

AnsweredContext answer(const ProposedContext& proposed, bool served) {
    if (!served) return {proposed.id, ContextResult::abstract_syntax_not_supported, std::string(kImplicitVrLittleEndian)};
    const auto* chosen = choose(proposed.transfer_syntaxes);
    if (chosen == nullptr) return {proposed.id, ContextResult::transfer_syntaxes_not_supported, std::string(kImplicitVrLittleEndian)};
    return {proposed.id, ContextResult::acceptance, *chosen};
}

}  // namespace

bool is_storage_sop_class(std::string_view uid) {
    return uid.starts_with(kStorageRoot) || std::find(kElsewhere.begin(), kElsewhere.end(), uid) != kElsewhere.end();
}

std::vector<AnsweredContext> negotiate(const std::vector<ProposedContext>& proposed,
                                       const std::function<bool(std::string_view abstract_syntax)>& is_served) {
    std::vector<AnsweredContext> out;
    out.reserve(proposed.size());
    for (const auto& context : proposed) out.push_back(answer(context, is_served(context.abstract_syntax)));
    return out;
}

}  // namespace fiducial::dicom
