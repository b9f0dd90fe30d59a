// A restore of a site whose studies were erased after the backup: with a real chain that says so.
#include "archive/restore.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "archive/backup_folder.hpp"
#include "archive/service.hpp"
#include "dicom/test_data_sets.hpp"
#include "ledger/ledger_test_support.hpp"
#include "ledger/node/geth.hpp"
#include "net/client.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
using ledger::testing::must;

class RestoreTest : public ::testing::Test {
protected:
    static crypto::Secret passphrase() { return crypto::Secret::copy_of(as_bytes("a passphrase")); }
    std::filesystem::path site() const { return folder_.path() / "site"; }
    std::filesystem::path copy() const { return folder_.path() / "copy"; }
    std::filesystem::path backup() const { return folder_.path() / "backup"; }

    static Bytes file(const std::string& study) {
        using namespace dicom::test;
        Builder b(Form::explicit_le);
        b.text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7").text(0x00080018, "UI", study + ".1.1").text(0x00100020, "LO", "P" + study);
        b.text(0x0020000d, "UI", study).text(0x0020000e, "UI", study + ".1").raw(0x7fe00010, "OB", Bytes(100, 5));
        return joined(prefix("1.2.840.10008.1.2.1"), b.out);
    }
    static json::object operate(Service& service, std::string_view name, const json::object& arguments = {}) {
        std::atomic<bool> stop{false};
        return must(service.operate(
                        name, arguments, [](const json::object&) {}, stop),
                    std::string(name).c_str());
    }
    static std::unique_ptr<Service> open(const std::filesystem::path& folder) {
        return must(Service::open(must(Site::open(folder, passphrase())), Service::Ledger::required));
    }
    static std::set<std::string> studies(Service& service) {
        std::set<std::string> out;
        const auto listed = operate(service, "list");
        for (const auto& study : listed.at("studies").as_array()) out.insert(std::string(study.at("studyInstanceUid").as_string()));
        return out;
    }
    void import(Service& service, std::initializer_list<const char*> uids) {
        const auto session = must(service.begin_ingest(service.command_requester(), "test"));
        for (const auto* uid : uids) {
            must(session->begin_instance({}));
            must(session->write(file(uid)));
            ASSERT_EQ(must(session->finish_instance()).outcome, Outcome::stored);
        }
        must(session->complete());
        ASSERT_TRUE(operate(service, "wait", {{"seconds", 60}}).at("settled").as_bool());
    }
    /// What an erasure does: the last version is signed and anchored, then the secrets die.
    void erase(const std::filesystem::path& folder, const std::string& study_uid, bool here_too) {
        const auto opened = must(Site::open(folder, passphrase()));
        const auto store = must(open_store(opened));
        ledger::LocalNodeSettings settings;
        settings.folder = opened.layout().ledger();
        settings.chain_id = opened.facts().chain_id;
        settings.sealer = must(crypto::address_of(must(opened.key(kSealerKey))));
        ledger::LocalNode node(settings, opened.node_password());
        must(node.start());
        ledger::Rpc rpc(net::transport_to(node.socket_path().string()));
        ledger::OutboxSettings outbox_settings;
        outbox_settings.chain_id = opened.facts().chain_id;
        outbox_settings.studies = opened.facts().studies;
        outbox_settings.institution = opened.facts().institution;
        ledger::Outbox outbox(store->database(), rpc, outbox_settings, must(opened.key(kGatewayKey)), opened.derive(kOutboxLabel));
        const auto uid = *Uid::parse(study_uid);
        const auto last = must(store->database().read([&](database::Transaction& t) { return store->index().latest_version(t, uid); }));
        store::StudyVersionRow version{uid, evidence::erasure_record(last->record), {}, 1, 0};
        must(store->database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
            FID_CHECK(store->index().insert_version(t, version));
            FID_CHECK(outbox.enqueue(t, version.record));
            return {};
        }));
        for (int i = 0; i < 200 && outbox.status().included == 0; ++i) {
            must(outbox.step(true));
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        ASSERT_EQ(outbox.status().included, 1U);
        if (here_too) must(store->erase_study(uid));
    }
    Result<json::object> restore(const std::string& ledger) {
        const std::atomic<bool> stop{false};
        return restore_site(
            {backup(), copy(), ledger, {}, {}}, passphrase(), [](const json::object&) {}, stop);
    }

    ledger::testing::TemporaryFolder folder_;
};

#define FID_SKIP_WITHOUT_GETH()                           \
    if (const auto geth = ledger::find_geth({}); !geth) { \
        FID_SKIP(geth.error().message);                   \
    }

TEST_F(RestoreTest, WhatTheLedgerCallsErasedIsErasedAgainBeforeAnyDoorOpens) {
    FID_SKIP_WITHOUT_GETH()
    InitOptions options;
    options.folder = site();
    options.argon2 = {8192, 1};
    must(init_site(options, passphrase()));
    std::filesystem::copy(site() / "ledger", folder_.path() / "older", std::filesystem::copy_options::recursive);
    {
        const auto service = open(site());
        import(*service, {"1.2.3", "1.2.4"});
        EXPECT_EQ(operate(*service, "backup", {{"to", backup().string()}}).at("chainHead").to_number<std::uint64_t>() > 5, true);
    }
    erase(site(), "1.2.3", true);
    {
        const auto service = open(site());
        import(*service, {"1.2.5"});  // and the chain goes on
        EXPECT_EQ(studies(*service), (std::set<std::string>{"1.2.4", "1.2.5"}));
        EXPECT_TRUE(operate(*service, "fsck").at("clean").as_bool()) << json::serialize(operate(*service, "fsck"));
    }

    const auto refused = [&](const std::filesystem::path& ledger, ErrorCode code, std::string_view why) {
        const auto tried = restore(ledger.string());
        ASSERT_FALSE(tried) << ledger;
        EXPECT_EQ(tried.error().code, code) << tried.error().message;
        EXPECT_NE(tried.error().message.find(why), std::string::npos) << tried.error().message;
        EXPECT_FALSE(std::filesystem::exists(copy())) << ledger;
    };
    refused(folder_.path() / "older", ErrorCode::unavailable, "this chain is older than the backup");  // does not know of what was erased
    options.folder = folder_.path() / "other";
    must(init_site(options, passphrase()));
    refused(options.folder / "ledger", ErrorCode::conflict, "belongs to another chain");
    const auto genesis = site() / "ledger/genesis.json", elsewhere = folder_.path() / "genesis.json";
    std::filesystem::rename(genesis, elsewhere);
    std::filesystem::create_symlink(elsewhere, genesis);
    refused(site() / "ledger", ErrorCode::conflict, "genesis.json is a symbolic link");
    std::filesystem::rename(elsewhere, genesis);

    const auto report = restore((site() / "ledger").string());
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->at("erased").to_number<int>(), 1);
    ASSERT_EQ(report->at("lost").as_array().size(), 1U)
        << json::serialize(*report);  // the one study that came later, not the erased one's last version
    const auto restored = must(Site::open(copy(), passphrase()));
    {
        const auto store = must(open_store(restored));
        EXPECT_EQ(store->secrets().study_secrets(0).error().code, ErrorCode::not_found);  // the first study's, destroyed
        EXPECT_TRUE(store->secrets().study_secrets(1));
    }
    const auto service = open(copy());
    EXPECT_EQ(studies(*service), (std::set<std::string>{"1.2.4"}));
    const auto found = operate(*service, "fsck").at("findings").as_array();
    ASSERT_EQ(found.size(), 1U) << json::serialize(found);
    EXPECT_EQ(found[0].at("kind").as_string(), "lost_version");
    import(*service, {"1.2.6"});  // nonces go on where the chain stands
    EXPECT_EQ(operate(*service, "ledger status").contains("foreignNonce"), false);
}

TEST_F(RestoreTest, AnErasureThatWasSignedAndNotDoneIsDone) {
    FID_SKIP_WITHOUT_GETH()
    InitOptions options;
    options.folder = site();
    options.argon2 = {8192, 1};
    must(init_site(options, passphrase()));
    import(*open(site()), {"1.2.3", "1.2.4"});
    erase(site(), "1.2.3", false);
    operate(*open(site()), "backup", {{"to", backup().string()}});
    const auto report = restore({});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->at("erased").to_number<int>(), 1);
    EXPECT_EQ(report->at("lost").as_array().size(), 0U);
    const auto service = open(copy());
    EXPECT_EQ(studies(*service), (std::set<std::string>{"1.2.4"}));
    EXPECT_TRUE(operate(*service, "fsck").at("clean").as_bool()) << json::serialize(operate(*service, "fsck"));
}

}  // namespace
}  // namespace fiducial::archive
