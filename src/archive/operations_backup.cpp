// A backup of the site while it runs. What is copied in which order, and why: docs/design/backup.md.
#include <boost/json.hpp>
#include <thread>

#include "archive/arguments.hpp"
#include "archive/backup_folder.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"
#include "base/file.hpp"
#include "base/log.hpp"

namespace fiducial::archive {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
constexpr std::uint64_t kIndexPiece = std::uint64_t{256} << 10;  // pages change here and there
constexpr std::size_t kBlocksAtOnce = std::size_t{4} << 20;      // bytes
constexpr int kMomentTries = 50;
constexpr std::chrono::milliseconds kMomentPause{100};

bool lies_within(const fs::path& path, const fs::path& folder) {
    std::error_code ec;
    const auto inner = fs::weakly_canonical(path, ec);
    const auto outer = fs::weakly_canonical(folder, ec);
    return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

/// A file that goes when its holder does.
struct Passing {
    fs::path path;
    ~Passing() {
        std::error_code ec;
        fs::remove(path, ec);
    }
};

}  // namespace

/// What the backup is of: index, chain and trace as they fit each other. What comes later (objects, secrets) may hold more.
struct Operations::Moment {
    std::optional<database::Transaction> index;
    std::optional<ledger::Block> chain_head;
    std::string chain_problem;
    audit::Trace::Copy trace;
    std::uint64_t made_ms = 0;
    bool fits = true;  // else people were changed at every try
};

/// A change to people stands in the trace before it stands in the index. Where one falls between the two, another moment is taken.
Result<Operations::Moment> Operations::take_moment() {
    auto& accounts = *service_.accounts_;
    for (int tries = 1;; ++tries) {
        Moment moment;
        FID_TRY(const auto before, accounts.changed_at());
        FID_TRY(auto index, service_.store_->database().begin_read());
        FID_CHECK(service_.store_->index().known(index));  // from here on the transaction has its snapshot
        moment.index.emplace(std::move(index));
        if (service_.site_.facts().own_node) {
            auto head = service_.rpc_->block(ledger::Latest{});
            if (head && *head)
                moment.chain_head = std::move(**head);
            else
                moment.chain_problem = head ? "the node has no block" : head.error().message;
        }
        moment.trace = service_.trace_->copy();
        moment.made_ms = static_cast<std::uint64_t>(system_clock().now().time_since_epoch().count());
        bool between = false;
        FID_CHECK(service_.trace_->for_each(before.value_or(0), [&](std::uint64_t at, const audit::StoredEntry& entry) {
            between = at < moment.trace.head.size && (entry.clear.flags & audit::people) != 0;
            return at < moment.trace.head.size && !between;
        }));
        FID_TRY(const auto after, accounts.changed_at());
        moment.fits = !between && before == after;
        if (moment.fits || tries == kMomentTries) return moment;
        std::this_thread::sleep_for(kMomentPause);
    }
}

/// Every block up to the moment's, each with the hash that the next one names: what the last backup holds is not asked for again.
Result<void> Operations::back_up_chain(BackupWriter& backup, Moment& moment, json::object& answer) {
    const auto& last = backup.previous();
    auto number = last.files.contains(std::string(kBlocksInBackup)) ? last.chain_head : 0;
    auto hash = last.chain_hash;
    auto end = moment.chain_head ? moment.chain_head->number() : number;
    if (moment.chain_head) {
        FID_TRY(const auto same, service_.rpc_->block(number));
        if (number > end || !same || (number > 0 && same->hash != hash)) {
            if (number > 0) log::warning("archive", "the chain is not the one of the last backup: it is copied anew", {{"block", number}});
            number = 0;
        }
        if (number == 0) hash = service_.site_.facts().genesis_hash;
    }
    const auto next = [&]() -> Result<Bytes> {
        Bytes blocks;
        while (number < end && blocks.size() < kBlocksAtOnce) {
            if (stop_.load()) return fail(ErrorCode::cancelled, "stopped");
            FID_TRY(const auto whole, service_.rpc_->whole_block(number + 1));
            if (whole.block.header.parent_hash != hash)
                return fail(ErrorCode::unavailable,
                            "the chain changed at block " + std::to_string(number + 1) + " while it was copied; run the backup again");
            append(blocks, whole.rlp);
            hash = whole.block.hash;
            number += 1;
        }
        return blocks;
    };
    if (!moment.chain_head && number == 0)
        return fail(ErrorCode::unavailable,
                    "the node is away (" + moment.chain_problem +
                        "), and a first backup needs its chain: without it nothing could be proved after a restore");
    FID_CHECK(backup.add_stream(std::string(kBlocksInBackup), number > 0, next));
    if (!moment.chain_head) {
        answer["ledger"] =
            "the node is away (" + moment.chain_problem + "): its chain after block " + std::to_string(number) + " is not in this backup";
        moment.chain_head.emplace();
        moment.chain_head->header.number = number;
        moment.chain_head->hash = hash;
    }
    return backup.add_file("ledger/genesis.json", service_.site_.layout().genesis(), fs::file_size(service_.site_.layout().genesis()),
                           kMaxPieceBytes);
}

Result<json::object> Operations::back_up(const Arguments& arguments) {
    FID_TRY(const fs::path folder, argument::required_text(arguments, "to"));
    const auto& site = service_.site_;
    const auto& layout = site.layout();
    if (lies_within(folder, layout.root))
        return fail(ErrorCode::invalid_argument, folder.string() + " lies within the site: what destroys the one would destroy the other");
    const std::unique_lock one(service_.backup_mutex_, std::try_to_lock);
    if (!one) return fail(ErrorCode::locked, "another backup of this site is running");
    FID_CHECK(administer({}, true));  // never held up by a node that is away: it gives nobody anything that the passphrase does not
    FID_TRY(const auto backup, BackupWriter::open(folder, site.facts().site_id, site.derive(kBackupLabel), site.former_backup_keys()));
    const auto secrets_stay = service_.store_->keep_former_secrets();  // with which index and segments of this moment can be opened
    FID_TRY(auto moment, take_moment());
    if (!moment.fits)
        log::warning("archive", "people were changed all the while: index and trace in this backup may not fit each other",
                     {{"tries", kMomentTries}});

    std::uint64_t total = moment.trace.log_bytes, done = 0;
    const auto more = [&](std::uint64_t bytes) -> Result<void> {
        if (stop_.load()) return fail(ErrorCode::cancelled, "stopped; the last complete backup in " + folder.string() + " is as it was");
        done += bytes;
        emit_({{"progress", {{"bytesDone", done}, {"bytesTotal", std::max(total, done)}}}});
        return {};
    };
    backup->on_progress(more);
    FID_TRY(const auto usage, service_.store_->vault().usage());
    total += usage.bytes;

    std::error_code ec;
    fs::remove_all(layout.working(), ec);
    fs::create_directories(layout.working(), ec);
    if (ec) return fail(error_from_errno(ec.value(), "making folder", layout.working()));
    fs::permissions(layout.working(), fs::perms::owner_all, ec);
    {
        const Passing copy{layout.working() / "index.db"};
        FID_CHECK(service_.store_->database().copy(*moment.index, copy.path, [&](std::uint64_t, std::uint64_t) { return more(0); }));
        moment.index.reset();
        const auto size = fs::file_size(copy.path, ec);
        total += size;
        FID_CHECK(backup->add_file("store/index.db", copy.path, size, kIndexPiece, true));  // names stand in it
    }
    json::object answer;
    if (!moment.fits)
        answer["people"] =
            "people and tokens were changed all the while: after a restore, fsck may find them older than the trace; run the backup again "
            "when this has ended";
    std::uint64_t chain_head = 0;
    Hash chain_hash{};
    if (site.facts().own_node) {
        FID_CHECK(back_up_chain(*backup, moment, answer));
        chain_head = moment.chain_head->number();
        chain_hash = moment.chain_head->hash;
    }
    auto places_stay = service_.store_->keep_places();
    FID_TRY(const auto parts, service_.store_->vault().committed_parts());
    for (const auto& part : parts) {
        const auto name = store::segment_file_name(part.segment);
        FID_CHECK(backup->add_file("store/segments/" + name, layout.store() / "segments" / name, part.bytes, kMaxPieceBytes));
    }
    places_stay.unlock();
    FID_CHECK(service_.store_->secrets().copy_pages(
        [&](const std::string& name, ByteView page) { return backup->add_bytes("store/secrets/" + name, page); }));
    FID_CHECK(backup->add_file("trace/" + std::string(audit::Trace::kLogFile), layout.trace() / audit::Trace::kLogFile,
                               moment.trace.log_bytes, kMaxPieceBytes));
    FID_CHECK(backup->add_bytes("trace/" + std::string(audit::Trace::kHeadFile), moment.trace.head_file));
    std::vector<fs::path> small{layout.store() / "site.id", layout.facts(),          layout.configuration(),
                                layout.trust_file(),        layout.site_key(),       layout.key(kDeployerKey),
                                layout.key(kOperatorKey),   layout.key(kGatewayKey), layout.key(kSealerKey)};
    for (const auto& entry : fs::directory_iterator(layout.root, ec)) {  // earlier trust files and what signed the later ones
        if (entry.path().filename().string().starts_with(layout.trust_file().filename().string() + ".") && entry.is_regular_file(ec))
            small.push_back(entry.path());
    }
    for (const auto& path : small) {
        FID_TRY(const auto bytes, read_file(path, kMaxPieceBytes));
        FID_CHECK(backup->add_bytes(path.lexically_relative(layout.root).generic_string(), bytes));
    }
    FID_TRY(const auto report, backup->finish(moment.made_ms, chain_head, chain_hash));
    log::info("archive", "a backup was made", {{"folder", folder.string()}, {"bytes", report.bytes}, {"copied", report.bytes_copied}});
    answer["folder"] = folder.string();
    answer["files"] = report.files;
    answer["bytes"] = report.bytes;
    answer["bytesCopied"] = report.bytes_copied;
    answer["piecesCopied"] = report.pieces_copied;
    answer["made"] = to_rfc3339(SystemTime(std::chrono::milliseconds(moment.made_ms)));
    answer["chainHead"] = chain_head;
    return answer;
}

}  // namespace fiducial::archive
