// C-STORE: data sets stream from the association into the archive; PS3.7 §9.1.1, PS3.4 Annex B.
#include <algorithm>

#include "base/log.hpp"
#include "gateway/impl/dimse_association.hpp"
#include "gateway/impl/store_report.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kPieceBytes = 262'144;
constexpr std::uint64_t kMostLogged = 20;      // refusals of one association
constexpr std::chrono::minutes kPermitted{1};  // after which a long association is asked about anew

}  // namespace

net::Task<Result<void>> DimseAssociation::store(const dimse::Message& message) {
    FID_CO_TRY(const auto stored, co_await take_object(message));
    door_.counts.add("C-STORE", stored.status);
    auto answer = dicom::answer_to(message.command, stored.status);
    answer.error_comment = stored.comment;
    co_return co_await association_.send(message.context_id, answer, ByteView());
}

/// Errors: those of the association. What is wrong with the object or the archive is in the answer.
net::Task<Result<StoreAnswer>> DimseAssociation::take_object(const dimse::Message& message) {
    const auto& command = message.command;
    if (!door_.is_storage(message.abstract_syntax) || command.sop_class != message.abstract_syntax) {
        const Error error{ErrorCode::unsupported, "the SOP class is not that of the presentation context"};
        co_return refused(error, command.sop_instance);
    }
    if (!Uid::parse(command.sop_instance)) {
        StoreAnswer invalid = refused({ErrorCode::malformed, "the SOP Instance UID is not a UID"}, command.sop_instance);
        invalid.status = dicom::status::kInvalidObjectInstance;
        co_return invalid;
    }
    archive::InstanceFormat format;
    format.transfer_syntax_uid = message.transfer_syntax;
    format.sop_class_uid = command.sop_class;
    format.sop_uid = command.sop_instance;
    bool begun = false;
    for (;;) {
        FID_CO_TRY(const auto size, co_await read_piece());
        const bool last = size < piece_.size();
        auto take = [&]() -> Result<std::optional<archive::InstanceOutcome>> {
            if (!begun) {
                FID_CHECK(open_session());
                FID_CHECK(session_->begin_instance(format));
                begun = in_instance_ = true;
            }
            static_cast<void>(session_->write(ByteView(piece_).first(size)));  // an error ends the instance: finish_instance() reports it
            if (!last) return std::optional<archive::InstanceOutcome>();
            in_instance_ = false;
            FID_TRY(auto outcome, session_->finish_instance());
            return std::optional<archive::InstanceOutcome>(std::move(outcome));
        };
        const auto outcome = co_await door_.ingesting.run(take);
        if (!outcome) co_return refused(outcome.error(), command.sop_instance);
        if (*outcome) co_return answer_for(**outcome, command.sop_instance);
    }
}

/// Fills the piece as far as the data set goes. Returns: how much there is; less than a whole piece is the last.
net::Task<Result<std::size_t>> DimseAssociation::read_piece() {
    piece_.resize(kPieceBytes);
    std::size_t size = 0;
    while (size < piece_.size()) {
        const auto room = MutableByteView(piece_).subspan(size);
        FID_CO_TRY(const auto got, co_await association_.read(room));
        if (got == 0) break;
        size += got;
    }
    bytes_ += size;
    door_.received_bytes += size;
    co_return size;
}

/// What the manifest says of where an object came from.
std::string DimseAssociation::source() const {
    const auto& peer = association_.peer();
    return "dimse " + title_ + " " + peer.substr(0, peer.rfind(':'));
}

/// Asks whether the peer may store: with the first object, and again on an association that stays open, since a right can be taken back.
Result<void> DimseAssociation::open_session() {
    const auto now = system_clock().steady_now();
    if (session_ && now - permitted_ < kPermitted) return {};
    FID_TRY(const auto who, requester());
    FID_TRY(auto session, door_.archive.begin_ingest(who, source()));
    if (!session_) session_ = std::move(session);
    permitted_ = now;
    return {};
}

StoreAnswer DimseAssociation::answer_for(const archive::InstanceOutcome& outcome, std::string_view sop_instance) {
    switch (outcome.outcome) {
        case archive::Outcome::stored:
        case archive::Outcome::new_version: ++stored_; return {};
        case archive::Outcome::duplicate:
            ++duplicates_;
            door_.brought.add(source(), sop_instance);
            return {};
        case archive::Outcome::set_aside: {
            ++set_aside_;
            if (peer_.set_aside == SetAsideAnswer::success) return {};
            const auto failure = failure_reason(ErrorCode::conflict);
            return {peer_.set_aside == SetAsideAnswer::warning ? dicom::status::kCoercionOfDataElements : failure,
                    comment_of("set aside: " + (outcome.error ? outcome.error->message : std::string()))};
        }
        case archive::Outcome::refused: break;
    }
    const Error unknown{ErrorCode::internal, "refused without a reason"};
    return refused(outcome.error.value_or(unknown), sop_instance);
}

StoreAnswer DimseAssociation::refused(const Error& error, std::string_view sop_instance) {
    const bool ours = is_ours(error.code);
    if (refused_++ < kMostLogged) {
        log::write(ours ? log::Level::error : log::Level::warning, "gateway", "an instance could not be stored",
                   {{"peer", association_.peer()}, {"instance", sop_instance}, {"why", error.message}});
    }
    return {failure_reason(error.code), comment_of(ours ? describe(error.code).text : std::string_view(error.message))};
}

/// What was stored belongs to exams that are now complete, also where the association broke.
void DimseAssociation::complete() {
    if (std::exchange(in_instance_, false)) session_->abandon_instance();
    session_->complete_soon();
}

}  // namespace fiducial::gateway::impl
