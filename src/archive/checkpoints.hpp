#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "archive/site.hpp"
#include "audit/tiles.hpp"
#include "audit/trace.hpp"
#include "database/database.hpp"
#include "ledger/contracts.hpp"
#include "ledger/outbox.hpp"
#include "ledger/rpc.hpp"
#include "net/client.hpp"

namespace fiducial::archive {

/// Signs the trace's head again and again, and takes it to the ledger, where it cannot be taken back: the contract `Checkpoints` lets a
/// trace only grow. A trace that was cut back, put back from an earlier time or rewritten, by whoever has the site's keys as well, does not
/// go on from what stands there.
/// Spec: docs/formats/trace.md#checkpoints
/// Threads: safe; one of its own from start() on.
class Checkpoints {
public:
    struct Ledger {
        ledger::Rpc* rpc = nullptr;
        ledger::Outbox* outbox = nullptr;
        Address contract{};
        Bytes32 institution{};
    };
    /// Requires: what is referred to outlives it. `row_key`: of the facts that it keeps in the index; `seed` signs.
    Checkpoints(const audit::Trace& trace, database::Database& database, crypto::Secret row_key, crypto::Secret seed,
                const std::filesystem::path& folder, const net::HttpClientSettings& http = {})
        : trace_(trace), database_(database), row_key_(std::move(row_key)), seed_(std::move(seed)), tiles_(folder), http_(http) {}
    ~Checkpoints() { stop(); }
    void set_ledger(const Ledger& ledger) { ledger_ = ledger; }
    /// Who else vouches for the checkpoints that are published.
    struct Others {
        std::vector<std::string> witnesses;  // "KEY URL": C2SP tlog-witness
        std::string timestamp_url;           // RFC 3161; empty: none
        std::filesystem::path authorities;   // PEM; empty: the system's
    };
    /// Errors: invalid_argument, malformed: a witness that is none.
    Result<void> set_others(const Others& others);

    /// By what everybody checks the checkpoints. Errors: corrupt: the index was altered.
    Result<audit::NoteKey> key();
    /// The checkpoint of all entries that are durable now, as a signed note, with the tiles that go with it.
    /// Errors: conflict: an earlier one that was signed here does not fit the trace as it is; corrupt; io, no_space.
    Result<std::string> sign();
    /// sign(), and hands it to the outbox unless the one before is still on its way.
    /// Errors: those of sign(); conflict: what the ledger holds does not fit the trace as it is; unavailable: the node is away.
    struct Published {
        audit::TraceHead signed_head;
        std::uint64_t ledger_size = 0;  // that the ledger held before
        bool handed_over = false;
    };
    Result<Published> publish();

    /// What stands on the ledger of this trace. Errors: unavailable, timeout.
    struct Comparison {
        std::uint64_t size = 0;  // 0: nothing yet
        std::uint64_t at = 0;    // s, of the block
        std::string problem;     // empty: the trace goes on from there
        Hash root{};             // of those entries
        Hash origin{};           // by what the contract knows the trace
    };
    Result<Comparison> compare();
    /// Of sign() and publish(): a size, all entries up to it, and proofs from them.
    Result<std::vector<Hash>> inclusion_path(std::uint64_t index, std::uint64_t size);
    Result<std::vector<Hash>> consistency_path(std::uint64_t old_size, std::uint64_t size);
    /// Compares the tiles with the trace. Returns: the first file that differs; nothing where all are right.
    Result<std::optional<std::string>> first_damaged_tile();

    /// A person has looked into what does not fit: from now on the trace goes under another name, beside the one that the ledger holds.
    /// Errors: unavailable, timeout.
    Result<void> accept();

    struct Times {
        std::chrono::seconds every{600};
        std::uint64_t entries = 10'000;
    };
    /// Publishes by itself. `raise` is told what does not fit, once.
    void start(const Times& times, std::function<void(const std::string& problem)> raise);
    void stop();
    /// What does not fit, as last found; empty: nothing.
    std::string problem() const;

private:
    Result<std::string> origin();
    Result<std::string> sign_now(const std::string& origin);
    Result<ledger::contracts::Checkpoint> on_ledger(const std::string& origin);
    /// Whether the trace, of whose head the tiles are, goes on from what the ledger holds. Returns: why not.
    Result<std::string> find_problem(const ledger::contracts::Checkpoint& kept, const audit::TraceHead& head);
    struct WitnessPeer {
        audit::NoteKey key;
        std::string url;
        std::uint64_t cosigned = 0;  // entries, as far as is known
        bool away = false;
    };
    /// Adds what the witnesses sign, and keeps it. One that is away is named in the log, and left out.
    /// Errors: conflict: a witness has cosigned what the trace does not go on from; corrupt, io.
    Result<std::string> cosigned(const std::string& note, const audit::TraceHead& head);
    Result<void> ask_witness(WitnessPeer& witness, audit::Note& note, const audit::TraceHead& head);
    /// Keeps checkpoint and stamp. Errors: those of the authority.
    Result<void> stamp(const std::string& note, std::uint64_t size);
    Result<bool> is_on_its_way(database::Transaction& transaction);
    void run(const std::stop_token& stop, const Times& times, const std::function<void(const std::string&)>& raise);

    const audit::Trace& trace_;
    database::Database& database_;
    const crypto::Secret row_key_, seed_;
    std::mutex mutex_;  // one at a time
    audit::TileFolder tiles_;
    Ledger ledger_;
    std::vector<WitnessPeer> witnesses_;
    Others others_;
    net::HttpClient http_;
    mutable std::mutex problem_mutex_;
    std::string problem_;
    std::condition_variable_any wakes_;
    std::jthread thread_;
};

}  // namespace fiducial::archive
