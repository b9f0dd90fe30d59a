#pragma once
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "archive/archive.hpp"
#include "archive/commitments.hpp"
#include "base/clock.hpp"
#include "dicom/identifier.hpp"
#include "dicom/negotiation.hpp"
#include "dicom/query_retrieve.hpp"
#include "dimse/provider.hpp"
#include "dimse/store_user.hpp"
#include "dimse/user.hpp"
#include "gateway/dimse_gateway.hpp"
#include "gateway/peer_book.hpp"
#include "net/runtime.hpp"

namespace fiducial::gateway::impl {

/// Commands answered, by name and status, for /metrics.
class CommandCounts {
public:
    void add(std::string_view command, std::uint16_t status);
    std::vector<archive::Metric> metrics() const;

private:
    mutable std::mutex mutex_;
    std::map<std::pair<std::string, std::uint16_t>, std::uint64_t> counts_;
};

/// What fits into Error Comment (0000,0902): plain characters of the default repertoire.
std::string comment_of(std::string_view text);
/// The status that N-CREATE and N-SET are answered with. Spec: PS3.7 §10.1.3, §10.1.5, Annex C
std::uint16_t status_of_creating(ErrorCode code);
/// Whether it was the archive that failed, so that the log says why and the peer only what kind of thing it was.
bool is_ours(ErrorCode code);

/// What peers brought that was here already, the last of it: they may ask about it like about what they brought first.
/// Threads: safe.
class Brought {
public:
    void add(std::string_view source, std::string_view sop_instance);
    bool has(std::string_view source, std::string_view sop_instance) const;

private:
    static constexpr std::size_t kMost = 65'536;
    static std::string key(std::string_view source, std::string_view sop_instance);
    mutable std::mutex mutex_;
    std::set<std::string, std::less<>> known_;
    std::deque<std::string> in_order_;
};

/// What all associations share.
struct DimseDoor {
    archive::Archive& archive;
    const DimseGatewaySettings settings;
    const std::shared_ptr<PeerBook> peers;
    const std::shared_ptr<net::TlsContext> tls;  // for associations with peers
    // An association has at most one job in each, and what we fetch another, so that they are never found full.
    net::BlockingPool ingesting, retrieving;
    net::BlockingPool delivering;  // a job a peer, and one that looks for them
    CommandCounts counts;
    Brought brought;
    std::atomic<std::uint64_t> received_bytes = 0, sent_bytes = 0, transcoded = 0;

    DimseDoor(archive::Archive& used, DimseGatewaySettings given, std::shared_ptr<PeerBook> known_peers,
              std::shared_ptr<net::TlsContext> client_tls);
    bool is_storage(std::string_view sop_class) const;
    dicom::Served served(const DimsePeer& peer, std::string_view abstract_syntax) const;
    /// For an association with a peer that has a port; without presentation contexts yet.
    dimse::UserSettings user_settings(const DimsePeer& peer) const;
};

/// What becomes of a C-STORE.
struct StoreAnswer {
    std::uint16_t status = 0;
    std::string comment;  // of at most 64 characters; empty where all is well
};

/// One association on its way through the door.
class DimseAssociation {
public:
    /// title: of the peer.
    DimseAssociation(DimseDoor& door, dimse::Association& association, const DimsePeer& peer, std::string title);

    /// Serves it to its end, puts what was stored into its studies' records, and logs one line.
    net::Task<void> run();

    /// Takes an object that comes on an association of ours, by C-GET.
    net::Task<Result<void>> take(const dimse::Message& message) { return store(message); }
    /// Puts what was stored into its studies' records.
    net::Task<void> finish();

private:
    net::Task<Result<void>> serve_messages();
    net::Task<Result<void>> answer(const dimse::Message& message);
    net::Task<Result<void>> not_known_here(const dimse::Message& message);

    // dimse_query.cpp
    Result<archive::Requester> requester();
    Result<archive::Requester> looker();
    Result<void> check_model(const dimse::Message& message, dicom::CommandField command) const;
    dicom::QueryOptions options_of(const dimse::Message& message) const;
    net::Task<Result<bool>> read_identifier(Bytes& out, std::size_t most = dicom::kMostIdentifierBytes);
    net::Task<Result<void>> answer_query(const dimse::Message& message, std::uint16_t status);
    net::Task<Result<void>> refuse_query(const dimse::Message& message, const Error& error);
    void count(const dimse::Message& message, std::uint16_t status);

    // dimse_find.cpp
    net::Task<Result<void>> find(const dimse::Message& message);

    // dimse_retrieve.cpp
    struct Retrieving;
    net::Task<Result<void>> get(const dimse::Message& message);
    net::Task<Result<void>> move(const dimse::Message& message);
    net::Task<Result<bool>> open_retrieval(Retrieving& retrieving, dicom::CommandField command);
    net::Task<Result<bool>> after_object(Retrieving& retrieving, const dimse::SentObject& sent);
    net::Task<Result<void>> move_to(const DimsePeer& destination, Retrieving& retrieving);
    net::Task<Result<void>> finish_retrieval(const Retrieving& retrieving);

    // dimse_performed.cpp
    net::Task<Result<void>> perform(const dimse::Message& message);
    Result<void> take_performed(const dimse::Message& message, std::string_view sop_uid, ByteView data_set);

    // dimse_commitment.cpp
    net::Task<Result<void>> commit(const dimse::Message& message);
    Result<archive::Delivery> take_commitment(const dimse::Message& message, ByteView data_set);
    net::Task<Result<void>> report(std::uint8_t context_id, const std::string& transfer_syntax, const archive::Delivery& delivery);
    net::Task<Result<void>> take_report_answer(const dimse::Message& message);
    Result<void> leave_reports();

    // dimse_availability.cpp
    net::Task<Result<void>> take_announcement(const dimse::Message& message);
    Result<void> take_availability(const dimse::Message& message, ByteView data_set);

    // dimse_store.cpp
    std::string source() const;
    net::Task<Result<void>> store(const dimse::Message& message);
    net::Task<Result<StoreAnswer>> take_object(const dimse::Message& message);
    net::Task<Result<std::size_t>> read_piece();
    Result<void> open_session();
    StoreAnswer answer_for(const archive::InstanceOutcome& outcome, std::string_view sop_instance);
    StoreAnswer refused(const Error& error, std::string_view sop_instance);
    void complete();

    DimseDoor& door_;
    dimse::Association& association_;
    const DimsePeer& peer_;
    const std::string title_;
    std::unique_ptr<archive::IngestSession> session_;  // begun with the first C-STORE
    bool in_instance_ = false;
    bool lacks_told_ = false;
    SteadyTime permitted_{};
    Bytes piece_;
    std::map<std::uint16_t, archive::Delivery> reports_;  // N-EVENT-REPORTs that wait for their answers, by message identifier
    std::uint16_t next_report_ = 1;
    std::uint64_t bytes_ = 0, echoes_ = 0, announced_ = 0, stored_ = 0, duplicates_ = 0, set_aside_ = 0, refused_ = 0, performed_ = 0,
                  queries_ = 0, found_ = 0, queries_refused_ = 0, sent_ = 0, sent_bytes_ = 0, transcoded_ = 0, send_failures_ = 0;
};

}  // namespace fiducial::gateway::impl
