#include "archive/checkpoints.hpp"

#include <charconv>

#include "archive/facts.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "crypto/merkle.hpp"
#include "crypto/timestamp.hpp"

namespace fiducial::archive {
namespace {

constexpr std::string_view kBranchFact = "trace-branch", kSentFact = "trace-checkpoint";
constexpr std::chrono::seconds kWitnessPatience{5};
constexpr std::chrono::seconds kLookEvery{1}, kTryAgainAfter{10}, kFirstAfter{60};

/// Whoever begins a trace anew, or goes on from an older one, does so under a name of its own.
std::string origin_of(const Bytes32& log, std::uint64_t branch) {
    return "fiducial/trace/" + to_hex(log) + (branch > 1 ? "/" + std::to_string(branch) : std::string());
}

bool is_away(const Error& error) {
    return error.code == ErrorCode::unavailable || error.code == ErrorCode::timeout;
}

}  // namespace

Result<std::string> Checkpoints::origin() {
    FID_TRY(const auto branch, database_.read([&](database::Transaction& t) { return read_fact(t, row_key_, kBranchFact); }));
    std::uint64_t number = 1;
    if (branch) std::from_chars(branch->data(), branch->data() + branch->size(), number);
    return origin_of(trace_.id(), number);
}

Result<audit::NoteKey> Checkpoints::key() {
    FID_TRY(const auto name, origin());
    return audit::log_key(name, seed_);
}

Result<std::string> Checkpoints::sign() {
    const std::lock_guard lock(mutex_);
    FID_TRY(const auto name, origin());
    return sign_now(name);
}

Result<std::string> Checkpoints::sign_now(const std::string& origin) {
    const auto head = trace_.head();
    std::uint64_t made = 0;
    FID_TRY(const auto earlier, tiles_.checkpoint());
    const auto signed_before = earlier ? audit::open_checkpoint(*earlier, audit::log_key(origin, seed_))
                                       : Result<audit::Checkpoint>(fail(ErrorCode::not_found, "none was signed"));
    if (signed_before) {
        const auto& before = signed_before->head;
        if (before.size == head.size && before.root == head.root) return *earlier;
        if (before.size >= head.size)
            return fail(ErrorCode::conflict, "a checkpoint of " + std::to_string(before.size) +
                                                 " entries was signed here, and the trace holds " +
                                                 (before.size == head.size ? std::string("others") : std::to_string(head.size)) +
                                                 ": it was cut, put back from an earlier time, or rewritten");
        made = before.size;
    } else {
        FID_CHECK(tiles_.clear());
    }
    auto extended = tiles_.extend(trace_, made, head.size);
    auto root = extended ? tiles_.hash(0, head.size) : fail(extended.error());
    if (made > 0 && ((!root && root.error().code == ErrorCode::corrupt) || (root && *root != head.root))) {
        // Only a copy: what was done to it is made good. Whether the trace goes on from what was signed, its own entries say.
        FID_TRY(const auto then, trace_.root_at(made));
        if (then != signed_before->head.root)
            return fail(ErrorCode::conflict, "a checkpoint of " + std::to_string(made) +
                                                 " entries was signed here, and the trace's first ones are others: it was put back from an "
                                                 "earlier time, or rewritten");
        log::warning("archive", "the trace's tiles were not what they were, and are made anew", {{"folder", tiles_.path().string()}});
        FID_CHECK(tiles_.clear());
        extended = tiles_.extend(trace_, 0, head.size);
        root = extended ? tiles_.hash(0, head.size) : fail(extended.error());
    } else if (made > 0 && root) {
        FID_TRY(const auto path, audit::consistency_path(made, head.size, tiles_.hashes()));
        if (!crypto::merkle_verify_consistency(made, head.size, signed_before->head.root, head.root, path))
            return fail(ErrorCode::conflict, "the trace does not go on from the checkpoint of " + std::to_string(made) +
                                                 " entries that was signed here: it was put back from an earlier time, or rewritten");
    }
    FID_CHECK(root);
    if (*root != head.root) return fail(ErrorCode::corrupt, "the trace's entries do not give the root of its head");
    const auto note = audit::sign_checkpoint({origin, head}, seed_).serialise();
    FID_CHECK(tiles_.set_checkpoint(note));
    return note;
}

Result<ledger::contracts::Checkpoint> Checkpoints::on_ledger(const std::string& origin) {
    if (ledger_.rpc == nullptr) return fail(ErrorCode::unavailable, "no ledger was asked");
    const auto question = ledger::contracts::checkpoint_of_call(ledger_.institution, crypto::sha256(as_bytes(origin)));
    FID_TRY(const auto answer, ledger_.rpc->call({ledger_.contract, question, std::nullopt}));
    if (answer.reverted) return fail(ErrorCode::unavailable, "the contract Checkpoints does not answer");
    return ledger::contracts::decode_checkpoint(answer.data);
}

Result<std::string> Checkpoints::find_problem(const ledger::contracts::Checkpoint& kept, const audit::TraceHead& head) {
    if (kept.size == 0) return std::string();
    const auto on_ledger = "the ledger holds its checkpoint of " + std::to_string(kept.size) + " entries, of " +
                           to_rfc3339(SystemTime(std::chrono::seconds(kept.at)));
    if (head.size < kept.size)
        return on_ledger + ", and it holds " + std::to_string(head.size) + ": it was cut back, or put back from an earlier time";
    const auto path = audit::consistency_path(kept.size, head.size, tiles_.hashes());
    if (path && crypto::merkle_verify_consistency(kept.size, head.size, kept.root, head.root, *path)) return std::string();
    FID_TRY(const auto root, trace_.root_at(kept.size));  // without the tiles, which are only a copy
    return root == kept.root ? std::string()
                             : on_ledger + ", and its first entries are others: it was rewritten, or put back and gone on with";
}

Result<Checkpoints::Comparison> Checkpoints::compare() {
    const std::lock_guard lock(mutex_);
    FID_TRY(const auto name, origin());
    FID_TRY(const auto kept, on_ledger(name));
    Comparison out{kept.size, kept.at, {}, kept.root, crypto::sha256(as_bytes(name))};
    FID_TRY(out.problem, find_problem(kept, trace_.head()));
    return out;
}

Result<void> Checkpoints::set_others(const Others& others) {
    others_ = others;
    for (const auto& text : others.witnesses) {
        const auto space = text.find(' ');
        if (space == std::string::npos) return fail(ErrorCode::invalid_argument, "[trace] witnesses: wanted is \"KEY URL\"");
        auto key = audit::NoteKey::parse(text.substr(0, space));
        if (!key) return fail(key.error().with("[trace] witnesses"));
        auto url = text.substr(text.find_first_not_of(' ', space));
        while (url.ends_with('/')) url.pop_back();
        if (key->algorithm != audit::NoteAlgorithm::cosignature)
            return fail(ErrorCode::invalid_argument, "[trace] witnesses: " + key->name + " is no witness's key");
        witnesses_.push_back({std::move(*key), std::move(url)});
    }
    return {};
}

Result<void> Checkpoints::ask_witness(WitnessPeer& witness, audit::Note& note, const audit::TraceHead& head) {
    const auto doubt = [&](const std::string& what) {
        return fail(ErrorCode::conflict,
                    "the witness " + witness.key.name + " " + what + ": the trace was cut back, put back, or rewritten");
    };
    for (int attempt = 0; attempt < 2; ++attempt) {
        audit::ConsistencyProof proof;
        proof.old_size = witness.cosigned;
        FID_TRY(proof.path, audit::consistency_path(witness.cosigned, head.size, tiles_.hashes()));
        proof.checkpoint = note.serialise();
        net::HttpClientRequest request{"POST", witness.url + "/add-checkpoint", {}, proof.text()};
        request.headers.add("Content-Type", "text/plain; charset=utf-8");
        FID_TRY(const auto answer, http_.send(request, kWitnessPatience));
        if (answer.status == 200) {
            FID_TRY(const auto lines, audit::Note::parse_signatures(answer.body));
            auto more = note;
            for (const auto& line : lines) {
                if (line.name == witness.key.name && line.key_id == witness.key.id()) more.signatures.push_back(line);
            }
            FID_CHECK(more.verify(witness.key));
            note = std::move(more);
            witness.cosigned = head.size;
            return {};
        }
        std::uint64_t size = 0;
        const auto* end = answer.body.data() + answer.body.size();
        const bool tells = answer.status == 409 && std::from_chars(answer.body.data(), end, size).ec == std::errc();
        if (!tells && answer.status != 422) return fail(ErrorCode::unavailable, "it answers with status " + std::to_string(answer.status));
        if (answer.status == 422) return doubt("has cosigned entries that are no longer there");
        if (size > head.size) return doubt("has cosigned " + std::to_string(size) + " entries, and there are " + std::to_string(head.size));
        if (size == witness.cosigned) return doubt("has cosigned other entries of the same number");
        witness.cosigned = size;
    }
    return fail(ErrorCode::unavailable, "it goes on with this log elsewhere");
}

Result<std::string> Checkpoints::cosigned(const std::string& text, const audit::TraceHead& head) {
    if (witnesses_.empty()) return text;
    FID_TRY(auto note, audit::Note::parse(text));
    const auto before = note.signatures.size();
    for (auto& witness : witnesses_) {
        if (note.verify(witness.key)) continue;
        const auto asked = ask_witness(witness, note, head);
        if (!asked && asked.error().code == ErrorCode::conflict) return fail(asked.error());
        if (!asked && !witness.away)
            log::warning("archive", "a witness does not cosign", {{"witness", witness.key.name}, {"why", asked.error().message}});
        witness.away = !asked;
    }
    auto out = note.serialise();
    if (note.signatures.size() != before) FID_CHECK(tiles_.set_checkpoint(out));
    return out;
}

Result<void> Checkpoints::stamp(const std::string& note, std::uint64_t size) {
    if (others_.timestamp_url.empty()) return {};
    const auto folder = tiles_.path() / "stamped";
    const auto file = folder / std::to_string(size), token = folder / (std::to_string(size) + ".tsr");
    std::error_code ec;
    if (std::filesystem::exists(token, ec)) return {};
    const auto hash = crypto::sha256(as_bytes(note));
    const auto nonce = read_be<std::uint64_t>(crypto::random_bytes32()) >> 1;
    net::HttpClientRequest request{"POST", others_.timestamp_url, {}, std::string(as_text(crypto::timestamp_request(hash, nonce)))};
    request.headers.add("Content-Type", "application/timestamp-query");
    FID_TRY(const auto answer, http_.send(request, kWitnessPatience));
    if (answer.status != 200)
        return fail(ErrorCode::unavailable, "the time stamping authority answers with status " + std::to_string(answer.status));
    FID_CHECK(crypto::verify_timestamp(as_bytes(answer.body), hash, nonce, others_.authorities));
    std::filesystem::create_directories(folder, ec);
    if (ec) return fail(error_from_errno(ec.value(), "making folder", folder));
    FID_CHECK(write_file_atomically(file, as_bytes(note)));
    return write_file_atomically(token, as_bytes(answer.body));
}

/// The one before must be in a block first: the proof goes on from what the ledger holds.
Result<bool> Checkpoints::is_on_its_way(database::Transaction& transaction) {
    FID_TRY(const auto tag, read_fact(transaction, row_key_, kSentFact));
    if (!tag) return false;
    const auto item = ledger_.outbox->call(transaction, *tag);
    if (!item && item.error().code == ErrorCode::not_found) return false;
    FID_CHECK(item);
    return item->state == ledger::OutboxState::stored || item->state == ledger::OutboxState::submitted;
}

Result<Checkpoints::Published> Checkpoints::publish() {
    const std::lock_guard lock(mutex_);
    FID_TRY(const auto name, origin());
    FID_TRY(const auto signed_note, sign_now(name));
    FID_TRY(const auto checkpoint, audit::open_checkpoint(signed_note, audit::log_key(name, seed_)));
    const auto& head = checkpoint.head;
    FID_TRY(const auto note, cosigned(signed_note, head));
    if (const auto stamped = stamp(note, head.size); !stamped)
        log::warning("archive", "a checkpoint of the trace got no time stamp", {{"why", stamped.error().message}});
    FID_TRY(const auto kept, on_ledger(name));
    Published out{head, kept.size, false};
    FID_TRY(auto problem, find_problem(kept, head));
    if (!problem.empty()) return fail(ErrorCode::conflict, std::move(problem));
    if (kept.size == head.size) return out;
    FID_TRY(const auto path, audit::consistency_path(kept.size, head.size, tiles_.hashes()));
    const auto origin_hash = crypto::sha256(as_bytes(name));
    const auto call = ledger::contracts::submit_checkpoint_call(origin_hash, head.size, head.root, path);
    const auto tag = "checkpoint:" + to_hex(origin_hash).substr(0, 16) + ":" + std::to_string(head.size);
    FID_CHECK(database_.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(const bool waiting, is_on_its_way(t));
        if (waiting) return {};
        FID_CHECK(ledger_.outbox->enqueue_call(t, ledger_.contract, call, tag));
        FID_CHECK(write_fact(t, row_key_, kSentFact, tag));
        out.handed_over = true;
        return {};
    }));
    if (out.handed_over) ledger_.outbox->wake(true);
    return out;
}

Result<std::vector<Hash>> Checkpoints::inclusion_path(std::uint64_t index, std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    return audit::inclusion_path(index, size, tiles_.hashes());
}

Result<std::vector<Hash>> Checkpoints::consistency_path(std::uint64_t old_size, std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    return audit::consistency_path(old_size, size, tiles_.hashes());
}

Result<std::optional<std::string>> Checkpoints::first_damaged_tile() {
    const std::lock_guard lock(mutex_);
    FID_TRY(const auto name, origin());
    FID_TRY(const auto note, tiles_.checkpoint());
    if (!note) return std::optional<std::string>();
    const auto checkpoint = audit::open_checkpoint(*note, audit::log_key(name, seed_));
    if (!checkpoint || checkpoint->head.size > trace_.size()) return std::optional<std::string>("checkpoint");
    return tiles_.first_difference(trace_, checkpoint->head.size);
}

Result<void> Checkpoints::accept() {
    const std::lock_guard lock(mutex_);
    std::uint64_t branch = 2;
    for (;; ++branch) {
        FID_TRY(const auto kept, on_ledger(origin_of(trace_.id(), branch)));
        if (kept.size == 0) break;
    }
    FID_CHECK(database_.write(database::Durability::full,
                              [&](database::Transaction& t) { return write_fact(t, row_key_, kBranchFact, std::to_string(branch)); }));
    FID_CHECK(tiles_.clear());
    const std::lock_guard problem_lock(problem_mutex_);
    problem_.clear();
    return {};
}

std::string Checkpoints::problem() const {
    const std::lock_guard lock(problem_mutex_);
    return problem_;
}

void Checkpoints::start(const Times& times, std::function<void(const std::string&)> raise) {
    thread_ = std::jthread([this, times, raise = std::move(raise)](const std::stop_token& stop) { run(stop, times, raise); });
}

void Checkpoints::stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
}

/// Compares at once when it starts: a trace that was cut back while nobody served is found then.
void Checkpoints::run(const std::stop_token& stop, const Times& times, const std::function<void(const std::string&)>& raise) {
    using Clock = std::chrono::steady_clock;
    const auto found = [&](const std::string& problem) {
        const std::lock_guard lock(problem_mutex_);
        if (!problem.empty() && problem != problem_) raise(problem);
        problem_ = problem;
    };
    bool compared = false;
    std::uint64_t published = 0;  // entries
    auto due = Clock::now() + std::min<std::chrono::seconds>(times.every, kFirstAfter), not_before = Clock::now();
    std::mutex waiting;
    while (!stop.stop_requested()) {
        const auto now = Clock::now();
        const auto size = trace_.size();
        if (!compared && now >= not_before) {
            const auto comparison = compare();
            not_before = now + (comparison ? std::chrono::seconds(0) : kLookEvery);
            compared = comparison.has_value();
            if (comparison) {
                published = comparison->size;
                found(comparison->problem);
            }
        }
        const bool wanted = now >= due || (published != 0 && size > published && size - published >= times.entries);
        if (compared && size != published && wanted && now >= not_before) {
            const auto done = publish();
            if (done && (done->handed_over || done->ledger_size == done->signed_head.size)) {
                published = done->signed_head.size;
                due = now + times.every;
            } else {
                not_before = now + std::min<std::chrono::seconds>(times.every, kTryAgainAfter);
            }
            if (done || !is_away(done.error())) found(done ? std::string() : done.error().message);
        }
        std::unique_lock lock(waiting);
        wakes_.wait_for(lock, stop, kLookEvery, [] { return false; });
    }
}

}  // namespace fiducial::archive
