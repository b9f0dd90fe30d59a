// Modality Performed Procedure Step: what modalities say that they do, by N-CREATE and N-SET; PS3.4 Annex F, PS3.7 §10.1.
#include "archive/worklist.hpp"
#include "base/log.hpp"
#include "crypto/secret.hpp"
#include "dicom/identifier.hpp"
#include "dicom/image_import.hpp"
#include "dicom/performed_step.hpp"
#include "gateway/impl/dimse_association.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::uint16_t kMayNoLongerBeUpdated = 0xA506;  // Error ID; PS3.4 table F.7.2-2

/// Spec: PS3.4 §F.7.2.1.3, §F.7.2.2.3
std::uint16_t status_of(ErrorCode code, bool begins) {
    if (code == ErrorCode::conflict && !begins) return dicom::status::kProcessingFailure;
    return status_of_creating(code);
}

}  // namespace

std::uint16_t status_of_creating(ErrorCode code) {
    switch (code) {
        case ErrorCode::conflict: return dicom::status::kDuplicateSopInstance;
        case ErrorCode::not_found: return dicom::status::kNoSuchSopInstance;
        case ErrorCode::malformed: return dicom::status::kMissingAttribute;
        case ErrorCode::invalid_argument: return dicom::status::kInvalidAttributeValue;
        case ErrorCode::unsupported: return dicom::status::kNoSuchSopClass;
        case ErrorCode::denied:
        case ErrorCode::unauthenticated: return dicom::status::kNotAuthorized;
        case ErrorCode::limit_exceeded:
        case ErrorCode::unavailable:
        case ErrorCode::timeout: return dicom::status::kResourceLimitation;
        default: return dicom::status::kProcessingFailure;
    }
}

/// Blocking.
Result<void> DimseAssociation::take_performed(const dimse::Message& message, std::string_view sop_uid, ByteView data_set) {
    if (message.command.sop_class != message.abstract_syntax)
        return fail(ErrorCode::unsupported, "the SOP class is not that of the presentation context");
    FID_TRY(const auto who, requester());
    archive::PerformedReport report{std::string(sop_uid), {}};
    FID_TRY(report.document, dicom::data_set_json(data_set, message.transfer_syntax));
    auto& worklist = door_.archive.worklist();
    if (message.command.field == dicom::CommandField::n_create_rq) return worklist.begin_performed(who, report);
    return worklist.change_performed(who, report);
}

net::Task<Result<void>> DimseAssociation::perform(const dimse::Message& message) {
    Bytes data_set;
    FID_CO_TRY(const bool whole, co_await read_identifier(data_set));
    auto answer = dicom::answer_to(message.command, dicom::status::kSuccess);
    const bool begins = message.command.field == dicom::CommandField::n_create_rq;
    if (begins && answer.sop_instance.empty()) answer.sop_instance = dicom::uid_from_hash(crypto::random_bytes32()).text();
    const bool named = Uid::parse(answer.sop_instance).has_value();
    auto take = [&]() -> Result<void> {
        if (!whole) return fail(ErrorCode::limit_exceeded, "what is said of a performed procedure step is too long");
        return take_performed(message, answer.sop_instance, data_set);
    };
    Result<void> taken;
    if (named)
        taken = co_await door_.ingesting.run(take);
    else
        answer.status = dicom::status::kInvalidObjectInstance;
    if (!taken) {
        answer.status = status_of(taken.error().code, begins);
        answer.error_comment = comment_of(is_ours(taken.error().code) ? describe(taken.error().code).text : taken.error().message);
        if (taken.error().code == ErrorCode::conflict && !begins) answer.error_id = kMayNoLongerBeUpdated;
        log::write(
            is_ours(taken.error().code) ? log::Level::error : log::Level::warning, "gateway", "a performed procedure step was refused",
            {{"peer", association_.peer()}, {"command", name_of(message.command.field).value_or("")}, {"why", taken.error().message}});
    }
    ++performed_;
    count(message, *answer.status);
    co_return co_await association_.send(message.context_id, answer, ByteView());
}

}  // namespace fiducial::gateway::impl
