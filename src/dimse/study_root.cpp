#include "dimse/study_root.hpp"

#include <array>

#include "dicom/transfer_syntax.hpp"

namespace fiducial::dimse {
namespace {

constexpr std::array<std::string_view, 14> kSyntaxes{
    dicom::kExplicitVrLittleEndian,
    dicom::kImplicitVrLittleEndian,
    "1.2.840.10008.1.2.4.70",   // JPEG lossless
    "1.2.840.10008.1.2.4.90",   // JPEG 2000 lossless
    "1.2.840.10008.1.2.4.80",   // JPEG-LS lossless
    "1.2.840.10008.1.2.5",      // RLE
    "1.2.840.10008.1.2.4.50",   // JPEG baseline
    "1.2.840.10008.1.2.4.91",   // JPEG 2000
    "1.2.840.10008.1.2.4.81",   // JPEG-LS
    "1.2.840.10008.1.2.4.201",  // HTJ2K lossless
    "1.2.840.10008.1.2.4.51",   // JPEG extended
    "1.2.840.10008.1.2.4.102",  // H.264
    "1.2.840.10008.1.2.4.100",  // MPEG-2
    dicom::kDeflatedExplicitVrLittleEndian,
};

}  // namespace

QueryAsk study_root_ask(std::string_view sop_class, dicom::QueryLevel level, const QueryKeys& keys) {
    QueryAsk out;
    out.sop_class = sop_class;
    auto& attributes = out.identifier.attributes;
    attributes.set(dicom::tags::kQueryRetrieveLevel, {std::string(dicom::text_of(level))});
    for (const auto& [tag, value] : keys) attributes.set(tag, value.empty() ? std::vector<std::string>() : std::vector{value});
    return out;
}

void propose(UserSettings& settings, std::string_view sop_class) {
    settings.contexts = {{1, std::string(sop_class), {std::string(dicom::kImplicitVrLittleEndian)}}};
}

void propose_get(UserSettings& settings, const std::set<std::string>& storage_classes) {
    propose(settings, kStudyRootGet);
    for (const auto& sop_class : storage_classes) {
        if (settings.roles.size() + 1 < dicom::kMaxPresentationContexts) settings.roles.push_back({sop_class, false, true});
    }
    for (const auto syntax : kSyntaxes) {
        for (const auto& role : settings.roles) {
            if (settings.contexts.size() == dicom::kMaxPresentationContexts) return;
            settings.contexts.push_back(
                {static_cast<std::uint8_t>(2 * settings.contexts.size() + 1), role.sop_class, {std::string(syntax)}});
        }
    }
}

}  // namespace fiducial::dimse
