#include "archive/new_root.hpp"

#include <boost/json.hpp>

#include "archive/account_records.hpp"
#include "archive/accounts.hpp"
#include "archive/arguments.hpp"
#include "archive/deliveries.hpp"
#include "archive/mail_outbox.hpp"
#include "archive/messages.hpp"
#include "archive/service.hpp"
#include "base/file.hpp"
#include "base/overwrite.hpp"
#include "crypto/aead.hpp"
#include "crypto/hash.hpp"
#include "ledger/node/geth.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;

/// A site whose key file names a former root key: puts one thing after the other under the new one.
class RootChange {
public:
    RootChange(const std::filesystem::path& folder, KeyFile keys, const std::function<void(std::string_view)>& on_step)
        : layout_{std::filesystem::absolute(folder).lexically_normal()}, keys_(std::move(keys)), on_step_(on_step) {}

    /// Requires: the caller has the store's lock.
    Result<void> finish() {
        FID_TRY(facts_, Site::read_facts(layout_.root));
        FID_TRY(configuration_, Configuration::load(layout_.configuration()));
        using Step = Result<void> (RootChange::*)();
        for (const Step step :
             {&RootChange::change_store, &RootChange::change_key_files, &RootChange::change_node, &RootChange::change_trace})
            FID_CHECK((this->*step)());
        keys_.change.reset();
        FID_CHECK(keys_.write_rest(layout_.site_key()));
        done("everything that the site derives from its root key is under the new one");
        return {};
    }

private:
    crypto::Secret former(std::string_view label) const { return derive_key(keys_.change->former_root, facts_.site_id, label); }
    crypto::Secret now(std::string_view label) const { return derive_key(keys_.root_key, facts_.site_id, label); }
    void done(std::string_view step) const {
        if (on_step_) on_step_(step);
    }

    Result<void> change_store() {
        FID_TRY(const auto options, store_options(configuration_));
        FID_CHECK(store::Store::change_root(layout_.store(), keys_.change->former_root, keys_.root_key, keys_.change->used, options,
                                            [&](database::Database& database, database::Transaction& t) -> Result<void> {
                                                FID_CHECK(Accounts::rekey(database, t, former(kAccountsLabel), now(kAccountsLabel)));
                                                FID_CHECK(AccountRecords::rekey(database, t, former(kAccountsLabel), now(kAccountsLabel)));
                                                FID_CHECK(Messages::rekey(t, former(kAccountsLabel), now(kAccountsLabel)));
                                                FID_CHECK(MailOutbox::rekey(t, former(kAccountsLabel), now(kAccountsLabel)));
                                                FID_CHECK(Deliveries::rekey(t, former(kAccountsLabel), now(kAccountsLabel)));
                                                return ledger::rekey_outbox(t, former(kOutboxLabel), now(kOutboxLabel));
                                            }));
        done("index and secrets are under the new root key");
        return {};
    }

    Result<void> change_key_files() {
        const auto before = former(kKeyFilesLabel), after = now(kKeyFilesLabel);
        for (const auto name : {kDeployerKey, kOperatorKey, kGatewayKey, kSealerKey}) {
            const auto path = layout_.key(name);
            FID_TRY(const auto sealed, read_file(path, 1 << 20));
            if (crypto::open_small(after.view(), as_bytes(name), sealed)) continue;  // an earlier run has been here
            const auto key = crypto::open_small(before.view(), as_bytes(name), sealed);
            if (!key) return fail(ErrorCode::corrupt, path.string() + " is damaged, or belongs to another site");
            FID_CHECK(replace_file_overwriting(path, crypto::seal_small(after.view(), as_bytes(name), key->view())));
        }
        done("key files are under the new root key");
        return {};
    }

    Result<void> change_node() {
        if (!facts_.own_node) return {};
        FID_TRY(const auto geth, ledger::find_geth(configuration_.ledger_geth));
        FID_TRY(const auto sealed, read_file(layout_.key(kSealerKey), 1 << 20));
        FID_TRY(const auto sealer, crypto::open_small(now(kKeyFilesLabel).view(), as_bytes(kSealerKey), sealed));
        FID_CHECK(ledger::change_sealer_password(geth, layout_.ledger(), sealer, node_password_of(now(kNodePasswordLabel))));
        done("the local node's keystore has a new password");
        return {};
    }

    Result<void> change_trace() {
        audit::TraceKeys trace(now(kTraceLabel));
        for (const auto& era : keys_.former.eras) trace.former.push_back({era.trace.clone(), era.trace_entries});
        FID_CHECK(audit::Trace::change_key(layout_.trace(), trace));
        done("the trace goes on under the new root key");
        return {};
    }

    const SiteLayout layout_;
    KeyFile keys_;
    const std::function<void(std::string_view)>& on_step_;
    SiteFacts facts_;
    Configuration configuration_;
};

json::object shown(const store::ReencryptionReport& report) {
    json::array left;
    for (const auto& why : report.left) left.emplace_back(why);
    return {{"finished", report.finished},          {"segments", report.segments},    {"bytes", report.bytes},
            {"segmentsLeft", report.segments_left}, {"bytesLeft", report.bytes_left}, {"left", std::move(left)}};
}

}  // namespace

Result<bool> is_new_root_unfinished(const std::filesystem::path& folder, const crypto::Secret& passphrase) {
    FID_TRY(const auto keys, KeyFile::open(SiteLayout{folder}.site_key(), passphrase));
    return keys.change.has_value();
}

Result<void> give_new_root(const std::filesystem::path& folder, const crypto::Secret& passphrase, const crypto::Secret& new_passphrase,
                           const NewRootOptions& options) {
    if (crypto::equal_constant_time(passphrase.view(), new_passphrase.view()))
        return fail(ErrorCode::invalid_argument, "the new passphrase is the former one: whoever knows it would open the new key file, too");
    const SiteLayout layout{folder};
    FID_TRY(auto site, Site::open(folder, passphrase));
    FID_TRY(auto service, Service::open(std::move(site), Service::Ledger::none));
    FID_TRY(const auto before, service->prepare_new_root(options.with_damage));
    FID_TRY(const auto facts, Site::read_facts(folder));
    FID_TRY(auto now, KeyFile::open(layout.site_key(), passphrase));
    const auto former = [&](std::string_view label) { return derive_key(now.root_key, facts.site_id, label); };
    KeyFile keys{crypto::random_secret(32), crypto::random_secret(32), now.argon2, std::move(now.former), {}};
    if (keys.former.eras.empty()) keys.former.image_uid = former(kImageUidLabel);
    keys.former.eras.push_back({before.trace_entries, former(kTraceLabel), former(kTraceStaffLabel), former(kBackupLabel)});
    keys.change = KeyFile::Change{now.root_key.clone(), before.used};
    RotateReport report;
    FID_TRY(report.shares, make_tested_shares(keys.site_key, options.recovery_needed, options.recovery_shares));
    // From here on nobody opens the site before all is under the new root key; the lock is held until then.
    FID_CHECK(keys.write(layout.site_key(), new_passphrase, keys.argon2));
    if (options.on_shares) options.on_shares(report);
    const auto lock = Service::close_keeping_lock(std::move(service));
    return RootChange(folder, std::move(keys), options.on_step).finish();
}

Result<void> finish_new_root(const std::filesystem::path& folder, const crypto::Secret& passphrase,
                             const std::function<void(std::string_view step)>& on_step) {
    const SiteLayout layout{folder};
    FID_TRY(const auto lock, store::Store::lock(layout.store()));
    FID_TRY(auto keys, KeyFile::open(layout.site_key(), passphrase));
    if (!keys.change) return {};
    return RootChange(folder, std::move(keys), on_step).finish();
}

Result<Service::BeforeNewRoot> Service::prepare_new_root(bool with_damage) {
    if (is_reencrypting())
        return fail(ErrorCode::conflict,
                    "data of an earlier change of the root key are not encrypted anew yet; let that come to its end first");
    const EmitEvent nobody = [](const json::object&) {};
    const std::atomic<bool> stop{false};
    FID_CHECK(Operations(*this, nobody, stop).look_before_new_root(with_damage));
    return BeforeNewRoot{store_->used_secrets(), trace_->size()};
}

Result<void> Operations::look_before_new_root(bool with_damage) {
    FID_CHECK(administer({}, true));
    FID_TRY(const auto report, service_.store_->fsck({.read_everything = false, .repair = false}));
    if (report.clean() || with_damage) return {};
    const auto& first = report.findings.front();
    return fail(ErrorCode::conflict,
                "something is damaged (" + first.subject + ": " + first.what + (report.findings.size() > 1 ? "; and more" : "") +
                    "): see fiducial fsck and mend it first, since nothing can be mended from earlier backups afterwards; or "
                    "add --with-damage");
}

File Service::close_keeping_lock(std::unique_ptr<Service> service) {
    auto lock = service->store_->take_lock_away();
    service.reset();
    return lock;
}

/// Goes on until all is encrypted anew, or what is left says why it is.
Result<json::object> Operations::reencrypt(const Arguments& arguments) {
    if (!service_.is_reencrypting() && !argument::flag(arguments, "continue"))
        return fail(
            ErrorCode::conflict,
            "the archive runs: stop it first. The site's new keys are made in some minutes, then it can be started again; the stored "
            "data are encrypted anew while it runs");
    FID_CHECK(administer({}, true));
    store::ReencryptionOptions options;
    options.pace = [&](std::uint64_t) {
        return stop_.load() ? Result<void>(fail(ErrorCode::cancelled, "stopped; what was encrypted anew so far stays so")) : Result<void>();
    };
    options.progress = [&](std::uint64_t done, std::uint64_t total) {
        emit_({{"progress", {{"bytesDone", done}, {"bytesTotal", total}}}});
    };
    FID_TRY(const auto report, service_.store_->reencrypt(options));
    return shown(report);
}

Result<json::object> Operations::key_status(const Arguments&) {
    return shown(service_.store_->reencryption_status());
}

}  // namespace fiducial::archive
