// C-FIND: lists of patients, studies, series and images; PS3.7 §9.1.2, PS3.4 §C.4.1.
#include "base/log.hpp"
#include "dicom/dimse_message.hpp"
#include "gateway/impl/dimse_association.hpp"
#include "gateway/impl/find_request.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kFirstRows = 8, kMoreRows = 64;  // found, traced and sent at a time

/// A C-FIND under way. Blocking: runs in the pool.
class Finding {
public:
    Finding(const DimseDoor& door, const dimse::Message& message, std::uint32_t peer_max_pdu_bytes)
        : door_(door), message_(message), peer_max_pdu_bytes_(peer_max_pdu_bytes) {}

    /// Errors: malformed, limit_exceeded: the identifier; those of Archive::query and authenticate_device
    Result<void> begin(ByteView identifier, const dicom::QueryOptions& options, const archive::Requester& who) {
        const auto* model = dicom::find_query_model(message_.abstract_syntax);
        FID_TRY(auto read, dicom::decode_identifier(identifier, message_.transfer_syntax));
        FID_TRY(request_, read_find_request(std::move(read), model->root, options));
        FID_TRY(answer_, door_.archive.query(who, request_.query));
        ignored_ = request_.ignored;
        ignored_.insert(ignored_.end(), answer_->ignored().begin(), answer_->ignored().end());
        return {};
    }

    /// Lays out the answers of the next rows. Returns: nothing at the end.
    Result<Bytes> next() {
        FID_TRY(const auto rows, answer_->next(count_ == 0 ? kFirstRows : kMoreRows));
        count_ += rows.size();
        Bytes out;
        auto pending =
            dicom::answer_to(message_.command, ignored_.empty() ? dicom::status::kPending : dicom::status::kPendingWithoutOptionalKeys);
        pending.has_data_set = true;
        for (const auto& row : rows) {
            const auto found =
                dicom::encode_identifier(find_answer(request_, ignored_, row, door_.settings.ae_title), message_.transfer_syntax);
            append(out, dicom::encode_message(message_.context_id, pending, found, peer_max_pdu_bytes_));
        }
        return out;
    }
    std::uint64_t count() const { return count_; }

private:
    const DimseDoor& door_;
    const dimse::Message& message_;
    const std::uint32_t peer_max_pdu_bytes_;
    FindRequest request_;
    std::unique_ptr<archive::QueryAnswer> answer_;
    std::vector<dicom::Tag> ignored_;
    std::uint64_t count_ = 0;
};

}  // namespace

net::Task<Result<void>> DimseAssociation::find(const dimse::Message& message) {
    ++queries_;
    Bytes identifier;
    FID_CO_TRY(const bool whole, co_await read_identifier(identifier));
    Finding finding(door_, message, association_.peer_max_pdu_bytes());
    auto begin = [&]() -> Result<void> {
        if (!whole) return fail(ErrorCode::limit_exceeded, "the identifier is too long");
        FID_CHECK(check_model(message, dicom::CommandField::c_find_rq));
        FID_TRY(const auto who, requester());
        return finding.begin(identifier, options_of(message), who);
    };
    if (const auto begun = co_await door_.retrieving.run(begin); !begun) {
        co_return co_await refuse_query(message, begun.error());
    }
    auto next = [&]() { return finding.next(); };
    for (;;) {
        const auto answers = co_await door_.retrieving.run(next);
        if (!answers) co_return co_await refuse_query(message, answers.error());
        if (answers->empty()) break;
        FID_CO_TRY(const bool cancelled, co_await association_.cancelled(message.command.message_id));
        if (cancelled) co_return co_await answer_query(message, dicom::status::kCancel);
        FID_CO_CHECK(co_await association_.send_pdus(*answers));
    }
    found_ += finding.count();
    co_return co_await answer_query(message, dicom::status::kSuccess);
}

}  // namespace fiducial::gateway::impl
