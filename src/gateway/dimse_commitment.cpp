// Storage commitment: N-ACTION, and N-EVENT-REPORT on the same association; PS3.4 Annex J, PS3.7 §10.1.1, §10.1.4.
#include "base/log.hpp"
#include "dicom/storage_commitment.hpp"
#include "gateway/impl/deliverer.hpp"
#include "gateway/impl/dimse_association.hpp"

namespace fiducial::gateway::impl {
namespace {

namespace failure = dicom::commitment_failure;
using State = archive::CommitmentInstance::State;

constexpr std::chrono::seconds kHold{30};  // for the peer's answer on its own association

std::uint16_t status_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::malformed:
        case ErrorCode::invalid_argument:
        case ErrorCode::unsupported: return failure::kInvalidArgument;
        case ErrorCode::conflict: return failure::kDuplicateTransaction;
        case ErrorCode::denied:
        case ErrorCode::unauthenticated:
        case ErrorCode::not_found: return dicom::status::kNotAuthorized;
        case ErrorCode::limit_exceeded:
        case ErrorCode::unavailable:
        case ErrorCode::timeout:
        case ErrorCode::no_space: return failure::kResourceLimitation;
        default: return failure::kProcessingFailure;
    }
}

std::uint16_t failure_of(State state) {
    switch (state) {
        case State::kept: return 0;
        case State::unknown: return failure::kNoSuchInstance;
        case State::other_class: return failure::kClassInstanceConflict;
        case State::not_in_order: break;
    }
    return failure::kProcessingFailure;
}

/// What is wrong with the command itself; 0: nothing.
std::uint16_t misdirected(const dimse::Message& message) {
    const auto& command = message.command;
    if (message.abstract_syntax != dicom::kStorageCommitmentSopClass || command.sop_class != message.abstract_syntax)
        return dicom::status::kSopClassNotSupported;
    if (command.sop_instance != dicom::kStorageCommitmentInstance) return failure::kNoSuchInstance;
    return command.action_type == dicom::kRequestStorageCommitment ? 0 : failure::kNoSuchAction;
}

}  // namespace

dimse::Event commitment_event(const archive::Delivery& delivery, const archive::CommitmentAnswer& answer, std::string_view our_ae_title,
                              std::string_view transfer_syntax) {
    dicom::Commitment result;
    result.transaction_uid = delivery.subject;
    bool any_failed = false;
    for (const auto& one : answer.instances) {
        result.instances.push_back({one.sop_class, one.sop_uid, failure_of(one.state)});
        any_failed = any_failed || one.state != State::kept;
    }
    dimse::Event event;
    event.sop_class = dicom::kStorageCommitmentSopClass;
    event.sop_instance = dicom::kStorageCommitmentInstance;
    event.type = any_failed ? dicom::kCommitmentHasFailures : dicom::kCommitmentSucceeded;
    event.information = dicom::encode_commitment_result(result, our_ae_title, transfer_syntax);
    return event;
}

net::Task<Result<void>> DimseAssociation::commit(const dimse::Message& message) {
    Bytes data_set;
    FID_CO_TRY(const bool whole, co_await read_identifier(data_set, dicom::kMostCommitmentBytes));
    auto status = misdirected(message);
    std::optional<archive::Delivery> delivery;
    std::string comment;
    if (status == 0) {
        auto take = [&]() -> Result<archive::Delivery> {
            if (!whole) return fail(ErrorCode::limit_exceeded, "the request for storage commitment is too long");
            return take_commitment(message, data_set);
        };
        auto taken = co_await door_.retrieving.run(take);
        if (taken) {
            delivery = std::move(*taken);
        } else {
            const auto& error = taken.error();
            log::write(is_ours(error.code) ? log::Level::error : log::Level::warning, "gateway", "a storage commitment was refused",
                       {{"peer", association_.peer()}, {"why", error.message}});
            status = status_of(error.code);
            comment = comment_of(is_ours(error.code) ? describe(error.code).text : std::string_view(error.message));
        }
    }
    count(message, status);
    auto answer = dicom::answer_to(message.command, status);
    answer.error_comment = comment;
    if (auto sent = co_await association_.send(message.context_id, answer, ByteView()); !sent || !delivery) co_return sent;
    co_return co_await report(message.context_id, message.transfer_syntax, *delivery);
}

/// Blocking.
Result<archive::Delivery> DimseAssociation::take_commitment(const dimse::Message& message, ByteView data_set) {
    FID_TRY(const auto asked, dicom::decode_commitment_request(data_set, message.transfer_syntax));
    FID_TRY(const auto who, requester());
    archive::CommitmentRequest request;
    request.peer = title_;
    request.transaction_uid = asked.transaction_uid;
    for (const auto& one : asked.instances) request.instances.push_back({one.sop_class, one.sop_instance});
    request.policy = peer_.commitment;
    request.source = source();
    request.also_brought = [this](const std::string& sop_uid) { return door_.brought.has(source(), sop_uid); };
    request.hold = kHold;
    return door_.archive.request_commitment(who, std::move(request));
}

/// Tells the result at once where there is one; else it is brought later.
net::Task<Result<void>> DimseAssociation::report(std::uint8_t context_id, const std::string& transfer_syntax,
                                                 const archive::Delivery& delivery) {
    auto& deliveries = door_.archive.deliveries();
    auto look = [&]() -> Result<archive::CommitmentAnswer> {
        auto answer = door_.archive.answer_commitment(delivery);
        if (!answer || answer->pending)
            FID_CHECK(deliveries.postpone(delivery, std::chrono::milliseconds(0), answer ? answer->why : answer.error().message));
        return answer;
    };
    const auto answer = co_await door_.retrieving.run(look);
    if (!answer || answer->pending) co_return Result<void>();
    const auto event = commitment_event(delivery, *answer, door_.settings.ae_title, transfer_syntax);
    const auto id = next_report_++;
    reports_.insert_or_assign(id, delivery);
    const auto command = dimse::event_report(event, id);
    co_return co_await association_.send(context_id, command, event.information);
}

net::Task<Result<void>> DimseAssociation::take_report_answer(const dimse::Message& message) {
    const auto found = reports_.find(message.command.message_id);
    if (found == reports_.end()) co_return Result<void>();
    const auto delivery = std::move(found->second);
    reports_.erase(found);
    const auto status = message.command.status.value_or(failure::kProcessingFailure);
    door_.counts.add("N-EVENT-REPORT", status);
    auto note = [&] {
        auto& deliveries = door_.archive.deliveries();
        if (dicom::class_of_status(status) != dicom::StatusClass::failure) return deliveries.done(delivery);
        return deliveries.refused(delivery, "the report was answered with a failure");
    };
    if (const auto noted = co_await door_.retrieving.run(note); !noted)
        log::error("gateway", "how far a delivery is could not be noted", {{"why", noted.error().message}});
    co_return Result<void>();
}

/// What was not answered here is brought on an association of its own. Blocking.
Result<void> DimseAssociation::leave_reports() {
    for (const auto& [id, delivery] : reports_)
        FID_CHECK(
            door_.archive.deliveries().postpone(delivery, std::chrono::milliseconds(0), "not answered on the association that asked"));
    return {};
}

}  // namespace fiducial::gateway::impl
