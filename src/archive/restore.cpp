#include "archive/restore.hpp"

#include <boost/json.hpp>

#include "archive/backup_folder.hpp"
#include "archive/new_folder.hpp"
#include "archive/service.hpp"
#include "archive/site.hpp"
#include "base/file.hpp"
#include "ledger/node/geth.hpp"
#include "ledger/node/local_node.hpp"
#include "ledger/node/process.hpp"

namespace fiducial::archive {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
constexpr std::uint64_t kMaxSmallFile = 1 << 20;
constexpr std::size_t kNamed = 20;  // damaged places that an error names

/// A backup that its own keys vouch for. Nothing was written yet.
struct OpenBackup {
    BackupReader reader;
    SiteFacts facts;
    KeyFile keys;
};

Result<KeyFile> open_keys(ByteView file, const RestoreOptions& options, const crypto::Secret& passphrase) {
    const std::string name = "the backup's " + SiteLayout().site_key().string();
    if (options.shares.empty()) return KeyFile::open(file, name, passphrase);
    FID_TRY(auto site_key, crypto::combine_shares(options.shares));
    auto keys = KeyFile::open_with_site_key(file, name, std::move(site_key));
    if (!keys && keys.error().code == ErrorCode::conflict)
        return fail(ErrorCode::conflict,
                    "these shares fit together, but are not those of this backup: they belong to another site, or to another time's key");
    return keys;
}

Result<OpenBackup> open_backup(const RestoreOptions& options, const crypto::Secret& passphrase) {
    const SiteLayout inside;
    FID_TRY(auto reader, BackupReader::open(options.source));
    FID_TRY(const auto facts_text, reader.read(inside.facts().string(), kMaxSmallFile));
    FID_TRY(auto facts, SiteFacts::parse(as_text(facts_text)));
    FID_TRY(const auto key_file, reader.read(inside.site_key().string(), kMaxSmallFile));
    FID_TRY(auto keys, open_keys(key_file, options, passphrase));
    FID_CHECK(reader.authenticate(derive_key(keys.root_key, facts.site_id, kBackupLabel)));
    return OpenBackup{std::move(reader), std::move(facts), std::move(keys)};
}

/// Every file of the backup: checked, and written where `place_of` gives a place. Errors: corrupt, naming what is damaged.
Result<json::object> read_all(const BackupReader& reader, const std::function<std::optional<fs::path>(const std::string& path)>& place_of,
                              const EmitEvent& emit, const std::atomic<bool>& stop) {
    const auto& manifest = reader.manifest();
    std::uint64_t total = 0, done = 0;
    for (const auto& [path, file] : manifest.files) total += file.size;
    const auto more = [&](std::uint64_t bytes) -> Result<void> {
        if (stop.load()) return fail(ErrorCode::cancelled, "stopped; nothing was put in place");
        done += bytes;
        emit({{"progress", {{"bytesDone", done}, {"bytesTotal", total}}}});
        return {};
    };
    std::vector<std::string> damaged;
    for (const auto& [path, file] : manifest.files) {
        const auto place = place_of(path);
        FID_TRY(const auto found, reader.check(path, place ? &*place : nullptr, more));
        damaged.insert(damaged.end(), found.begin(), found.end());
    }
    if (!damaged.empty()) {
        std::string text = "the backup is damaged in " + std::to_string(damaged.size()) + (damaged.size() == 1 ? " place" : " places") +
                           "; take another one, or, while the site lives, remove the pieces named here and run fiducial backup again: ";
        for (std::size_t i = 0; i < std::min(damaged.size(), kNamed); ++i) text += (i == 0 ? "" : "; ") + damaged[i];
        return fail(ErrorCode::corrupt, text + (damaged.size() > kNamed ? "; …" : ""));
    }
    return json::object{{"files", manifest.files.size()},
                        {"bytes", total},
                        {"made", to_rfc3339(SystemTime(std::chrono::milliseconds(manifest.made_ms)))},
                        {"chainHead", manifest.chain_head}};
}

/// What the operator says about the ledger goes into the settings.
Result<void> change_settings(const SiteLayout& layout, const SiteFacts& facts, const RestoreOptions& options) {
    const bool other_address = !facts.own_node && !options.ledger.empty();
    if (!other_address && options.geth.empty()) return {};
    FID_TRY(auto configuration, Configuration::load(layout.configuration()));
    if (other_address) configuration.ledger_url = options.ledger;
    if (!options.geth.empty()) configuration.ledger_geth = options.geth;
    return write_file_atomically(layout.configuration(), as_bytes(configuration.to_toml()));
}

/// A chain that survived the rest of the site, as a copy.
Result<void> take_over_chain(const fs::path& from, const fs::path& to) {
    std::error_code ec;
    if (!ledger::holds_chain(from))
        return fail(ErrorCode::not_found, from.string() + " holds no chain: name the ledger/ folder of the former site");
    if (!ledger::find_processes("--datadir", fs::weakly_canonical(from, ec).string()).empty()) {
        return fail(ErrorCode::locked,
                    "a node runs on " + from.string() + ": stop the former site first, it must never run beside the restored one");
    }
    fs::remove_all(to, ec);
    for (fs::recursive_directory_iterator it(from, ec), end; !ec && it != end; it.increment(ec)) {
        const auto target = to / it->path().lexically_relative(from);
        if (it->is_symlink(ec))
            return fail(
                ErrorCode::conflict,
                it->path().string() + " is a symbolic link: put what it names in its place, so that the folder holds the whole chain");
        if (it->is_directory(ec))
            fs::create_directories(target, ec);
        else if (it->is_regular_file(ec)) {
            fs::create_directories(target.parent_path(), ec);
            fs::copy_file(it->path(), target, ec);
        }
        if (ec) return fail(error_from_errno(ec.value(), "copying", it->path()));
    }
    if (ec) return fail(error_from_errno(ec.value(), "reading", from));
    fs::permissions(to, fs::perms::owner_all, ec);
    return {};
}

Result<void> make_chain_again(const Site& site, const RestoreOptions& options, const fs::path& blocks, const std::atomic<bool>& stop) {
    const auto& layout = site.layout();
    if (!options.ledger.empty()) return take_over_chain(options.ledger, layout.ledger());
    FID_TRY(const auto genesis, read_file(layout.genesis(), kMaxSmallFile));
    FID_TRY(const auto geth, ledger::find_geth(site.configuration().ledger_geth));
    FID_TRY(const auto sealer, site.key(kSealerKey));
    return ledger::restore_chain(geth, layout.ledger(), as_text(genesis), blocks, sealer, site.node_password(), stop);
}

}  // namespace

Result<json::object> restore_site(const RestoreOptions& options, const crypto::Secret& passphrase, const EmitEvent& emit,
                                  const std::atomic<bool>& stop) {
    FID_TRY(auto folder, NewFolder::begin(options.folder, "restoring"));
    FID_TRY(const auto backup, open_backup(options, passphrase));
    const SiteLayout layout{folder.path()};
    std::error_code ec;
    const auto blocks = layout.working() / "blocks.rlp";
    FID_TRY(auto answer,
            read_all(
                backup.reader,
                [&](const std::string& path) -> std::optional<fs::path> { return path == kBlocksInBackup ? blocks : layout.root / path; },
                emit, stop));
    for (const auto& place : {layout.root / "keys", layout.store(), layout.store() / "segments", layout.trace()}) {
        fs::create_directories(place, ec);
        if (ec) return fail(error_from_errno(ec.value(), "making folder", place));
    }
    FID_CHECK(change_settings(layout, backup.facts, options));
    if (!options.shares.empty()) FID_CHECK(backup.keys.write(layout.site_key(), passphrase, backup.keys.argon2));
    FID_TRY(auto site, Site::open(layout.root, passphrase));
    if (backup.facts.own_node) {
        emit({{"step", "the chain's blocks are taken in, each seal checked"}});
        FID_CHECK(make_chain_again(site, options, blocks, stop));
    }
    fs::remove_all(layout.working(), ec);
    emit({{"step", "what was erased is erased again"}});
    {
        FID_TRY(const auto service, Service::open(std::move(site), Service::Ledger::silent));
        FID_TRY(const auto settled,
                service->settle_restored(backup.reader.manifest().chain_head, backup.facts.own_node && options.ledger.empty(), emit, stop));
        if (stop.load()) return fail(ErrorCode::cancelled, "stopped; nothing was put in place");
        for (const auto& [key, value] : settled) answer[key] = value;
    }
    FID_CHECK(sync_file_system(layout.root));  // all of it: the node syncs neither what it took in nor what was copied for it
    FID_CHECK(folder.put_in_place());
    answer["folder"] = options.folder.string();
    return answer;
}

Result<json::object> check_backup(const RestoreOptions& options, const crypto::Secret& passphrase, const EmitEvent& emit,
                                  const std::atomic<bool>& stop) {
    FID_TRY(const auto backup, open_backup(options, passphrase));
    return read_all(
        backup.reader, [](const std::string&) { return std::nullopt; }, emit, stop);
}

}  // namespace fiducial::archive
