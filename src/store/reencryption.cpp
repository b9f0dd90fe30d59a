// A new root key, and new secrets under which all data are encrypted anew.
#include <algorithm>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "store/impl/object_cipher.hpp"
#include "store/impl/rekey.hpp"
#include "store/impl/vault_state.hpp"
#include "store/store.hpp"

namespace fiducial::store {
namespace {

constexpr std::uint32_t kPage = 1000;
constexpr std::uint64_t kWorkPerByte = 4;  // read, written and read again: about

}  // namespace

UsedSecrets Store::used_secrets() const {
    return {secrets_->study_slots_used(), secrets_->patient_slots_used(), vault_->highest_segment()};
}

Result<void> Store::change_root(
    const std::filesystem::path& folder, const crypto::Secret& former, const crypto::Secret& now, const UsedSecrets& used,
    const StoreOptions& options,
    const std::function<Result<void>(database::Database& database, database::Transaction& transaction)>& others) {
    Store store;
    store.folder_ = folder;
    FID_TRY(const auto site, store.read_site_id());
    const Keyring before(former, site.id), after(now, site.id);
    if (!crypto::equal_constant_time(before.check_value(), site.check) && !crypto::equal_constant_time(after.check_value(), site.check))
        return fail(ErrorCode::wrong_passphrase, "neither the former nor the new root key belongs to " + folder.string());
    FID_CHECK(store.open_database(options));
    FID_CHECK(store.database_->write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(rekey_index(t, before.row_key(), after.row_key()));
        return others(*store.database_, t);
    }));
    FID_CHECK(store.database_->checkpoint());
    FID_CHECK(ShredStore::renew(folder / "secrets", before, after, used));
    return store.write_site_id(after);
}

Result<std::vector<SegmentInfo>> Store::segments_to_reencrypt() const {
    const auto until = secrets_->former_until();
    if (until == 0) return std::vector<SegmentInfo>();
    FID_TRY(auto segments, vault_->segments());
    std::erase_if(segments, [until](const SegmentInfo& one) { return one.number > until; });
    return segments;
}

ReencryptionReport Store::reencryption_status() const {
    const std::lock_guard lock(status_mutex_);
    return reencryption_;
}

// From the last segment to the first: a record takes the bytes that it has in segments before its own with it, so that nothing behind a
// segment names bytes there when its turn comes. A large object's own segment may stand behind its record: it goes in another round.
Result<ReencryptionReport> Store::reencrypt(const ReencryptionOptions& options) {
    if (!options.gives_way) ++reencryptions_waiting_;
    const std::lock_guard one_at_a_time(compaction_mutex_);
    if (!options.gives_way) --reencryptions_waiting_;
    const auto is_in_the_way = [&] { return options.gives_way && reencryptions_waiting_ > 0; };
    ReencryptionReport report;
    FID_TRY(auto segments, segments_to_reencrypt());
    std::uint64_t total = 0, done = 0, worked = 0, current = 0;
    for (const auto& segment : segments) total += segment.bytes;
    const auto tell = [&] {
        if (options.progress) options.progress(done + std::min(current, worked / kWorkPerByte), total);
    };
    const auto rules = rewrite_rules(
        [&](std::uint64_t bytes) {
            worked += bytes;
            tell();
            return options.pace ? options.pace(bytes) : Result<void>();
        },
        true);
    for (bool wrote = true; wrote && !segments.empty() && !is_in_the_way();) {
        wrote = false;
        report.left.clear();
        for (auto segment = segments.rbegin(); segment != segments.rend() && !is_in_the_way(); ++segment) {
            worked = 0;
            current = segment->bytes;
            FID_TRY(const auto written, rewrite_segment(*segment, rules, report.left));
            if (!written) continue;
            wrote = true;
            report.segments += 1;
            report.bytes += segment->bytes;
            done += segment->bytes;
            const std::lock_guard lock(status_mutex_);
            reencryption_.segments_left -= std::min<std::uint64_t>(1, reencryption_.segments_left);
            reencryption_.bytes_left -= std::min(segment->bytes, reencryption_.bytes_left);
        }
        FID_TRY(segments, segments_to_reencrypt());
    }
    for (const auto& segment : segments) report.bytes_left += segment.bytes;
    report.segments_left = segments.size();
    if (is_reencrypting() && segments.empty()) {
        const std::unique_lock nobody_needs_them(former_secrets_mutex_, std::try_to_lock);
        const auto named = nobody_needs_them ? name_headers_anew() : Result<void>();
        if (!nobody_needs_them) {
            report.left.emplace_back("a backup is being made: the former secrets are destroyed after it");
        } else if (!named) {
            report.left.push_back(named.error().message);
        } else {
            FID_CHECK(secrets_->forget_former());
            log::info("store", "all data are encrypted anew, and the former secrets destroyed");
        }
    }
    report.finished = !is_reencrypting();
    current = 0;
    tell();
    const std::lock_guard lock(status_mutex_);
    reencryption_ = report;
    return report;
}

// Rows of an index that is older than the segments (it came from a backup) may name the headers that their objects had before.
Result<void> Store::name_headers_anew() {
    std::string after;
    while (true) {
        FID_TRY(const auto rows, database_->read([&](database::Transaction& t) { return index_->list_objects(t, after, kPage); }));
        if (rows.empty()) return {};
        std::vector<std::pair<ObjectId, Hash>> changed;
        for (const auto& row : rows) {
            after = to_hex(row.ref.id);
            const auto secrets = secrets_->study_secrets(row.ref.slot);
            if (!secrets && secrets.error().code == ErrorCode::not_found) continue;
            if (!secrets) return fail(secrets.error());
            const ObjectHeader header{row.kind, row.ref.slot, row.ref.id,
                                      derive_stream_key(secrets->d, row.ref.id, "fid.object1").commitment};
            if (header.hash() != row.ref.header_hash && is_named(header, row.ref.header_hash, *secrets))
                changed.emplace_back(row.ref.id, header.hash());
        }
        if (changed.empty()) continue;
        FID_CHECK(database_->write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
            for (const auto& [id, hash] : changed) FID_CHECK(index_->set_header_hash(t, id, hash));
            return {};
        }));
    }
}

Result<ObjectReader> Store::open_object(const ObjectRef& ref) const {
    auto opened = vault_->open_object(ref);
    if (opened || opened.error().code != ErrorCode::corrupt) return opened;
    const auto row = database_->read([&](database::Transaction& t) { return index_->find_object(t, ref.id); });
    const bool newer = row && *row && (*row)->ref.header_hash != ref.header_hash && (*row)->ref.chunk_root == ref.chunk_root;
    return newer ? vault_->open_object((*row)->ref) : std::move(opened);
}

}  // namespace fiducial::store
