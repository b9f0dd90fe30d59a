// C-FIND: lists of patients, studies, series and images, and of what is to be done; PS3.7 §9.1.2, PS3.4 §C.4.1, §K.4.1.
#include "archive/worklist.hpp"
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
    Finding(const DimseDoor& door, const DimsePeer& peer, const dimse::Message& message, std::uint32_t peer_max_pdu_bytes)
        : door_(door), peer_(peer), message_(message), peer_max_pdu_bytes_(peer_max_pdu_bytes) {}
    virtual ~Finding() = default;

    /// Errors: malformed, limit_exceeded: the identifier; those of the archive and authenticate_device
    virtual Result<void> begin(ByteView identifier, const dicom::QueryOptions& options, const archive::Requester& who) = 0;
    /// Lays out the answers of the next rows. Returns: nothing at the end.
    virtual Result<Bytes> next() = 0;
    std::uint64_t count() const { return count_; }

protected:
    std::size_t most_rows() const { return count_ == 0 ? kFirstRows : kMoreRows; }
    void append_answer(Bytes& out, const dicom::Identifier& found, bool some_keys_ignored) const {
        auto pending =
            dicom::answer_to(message_.command, some_keys_ignored ? dicom::status::kPendingWithoutOptionalKeys : dicom::status::kPending);
        pending.has_data_set = true;
        const auto data_set = dicom::encode_identifier(found, message_.transfer_syntax);
        append(out, dicom::encode_message(message_.context_id, pending, data_set, peer_max_pdu_bytes_));
    }

    const DimseDoor& door_;
    const DimsePeer& peer_;
    const dimse::Message& message_;
    const std::uint32_t peer_max_pdu_bytes_;
    std::uint64_t count_ = 0;
};

class StudyFinding final : public Finding {
public:
    using Finding::Finding;
    Result<void> begin(ByteView identifier, const dicom::QueryOptions& options, const archive::Requester& who) override {
        const auto* model = dicom::find_query_model(message_.abstract_syntax);
        FID_TRY(auto read, dicom::decode_identifier(identifier, message_.transfer_syntax, peer_.character_set));
        FID_TRY(request_, read_find_request(std::move(read), model->root, options));
        FID_TRY(answer_, door_.archive.query(who, request_.query));
        ignored_ = request_.ignored;
        ignored_.insert(ignored_.end(), answer_->ignored().begin(), answer_->ignored().end());
        return {};
    }

    Result<Bytes> next() override {
        FID_TRY(const auto rows, answer_->next(most_rows()));
        count_ += rows.size();
        Bytes out;
        for (const auto& row : rows) append_answer(out, find_answer(request_, ignored_, row, door_.settings.ae_title), !ignored_.empty());
        return out;
    }

private:
    FindRequest request_;
    std::unique_ptr<archive::QueryAnswer> answer_;
    std::vector<dicom::Tag> ignored_;
};

class WorklistFinding final : public Finding {
public:
    WorklistFinding(const DimseDoor& door, const DimsePeer& peer, const dimse::Message& message, std::uint32_t peer_max_pdu_bytes,
                    std::string station)
        : Finding(door, peer, message, peer_max_pdu_bytes), station_(std::move(station)) {}
    Result<void> begin(ByteView identifier, const dicom::QueryOptions&, const archive::Requester& who) override {
        FID_TRY(auto read, dicom::decode_identifier(identifier, message_.transfer_syntax, peer_.character_set));
        FID_TRY(request_, dicom::read_worklist_request(std::move(read)));
        FID_TRY(entries_, door_.archive.worklist().find(who, request_.criteria, true));
        return {};
    }
    Result<Bytes> next() override {
        Bytes out;
        for (const auto end = std::min(entries_.size(), count_ + most_rows()); count_ < end; ++count_)
            append_answer(out, dicom::worklist_answer(request_, entries_[count_].attributes, station_), !request_.ignored.empty());
        return out;
    }

private:
    const std::string station_;
    dicom::WorklistRequest request_;
    std::vector<archive::WorklistEntry> entries_;
};

}  // namespace

net::Task<Result<void>> DimseAssociation::find(const dimse::Message& message) {
    ++queries_;
    Bytes identifier;
    FID_CO_TRY(const bool whole, co_await read_identifier(identifier));
    const auto peer_max = association_.peer_max_pdu_bytes();
    std::unique_ptr<Finding> finding;
    if (message.abstract_syntax == dicom::kModalityWorklistFind)
        finding = std::make_unique<WorklistFinding>(door_, peer_, message, peer_max, association_.request().calling_ae_title);
    else
        finding = std::make_unique<StudyFinding>(door_, peer_, message, peer_max);
    auto begin = [&]() -> Result<void> {
        if (!whole) return fail(ErrorCode::limit_exceeded, "the identifier is too long");
        FID_CHECK(check_model(message, dicom::CommandField::c_find_rq));
        FID_TRY(const auto who, looker());
        return finding->begin(identifier, options_of(message), who);
    };
    if (const auto begun = co_await door_.retrieving.run(begin); !begun) {
        co_return co_await refuse_query(message, begun.error());
    }
    auto next = [&]() { return finding->next(); };
    for (;;) {
        const auto answers = co_await door_.retrieving.run(next);
        if (!answers) co_return co_await refuse_query(message, answers.error());
        if (answers->empty()) break;
        FID_CO_TRY(const bool cancelled, co_await association_.cancelled(message.command.message_id));
        if (cancelled) co_return co_await answer_query(message, dicom::status::kCancel);
        FID_CO_CHECK(co_await association_.send_pdus(*answers));
    }
    found_ += finding->count();
    co_return co_await answer_query(message, dicom::status::kSuccess);
}

}  // namespace fiducial::gateway::impl
