// What comes in, into a real store; the ledger is away, which hinders nothing here.
#include "archive/ingest.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "archive/hand_clock.hpp"
#include "archive/retrieve.hpp"
#include "dicom/test_data_sets.hpp"
#include "ledger/ledger_test_support.hpp"
#include "net/client.hpp"

namespace fiducial::archive {
namespace {

using ledger::testing::must;

/// Nobody answers.
struct Away final : net::JsonTransport {
    Result<std::string> exchange(std::string_view, std::chrono::milliseconds) override { return fail(ErrorCode::unavailable, "away"); }
};

class IngestTest : public ::testing::Test {
protected:
    void SetUp() override {
        store::StoreOptions options;
        options.vault.segment_bytes = 64u << 10;
        options.vault.own_file_bytes = 64u << 10;
        options.other_migrations = ledger::migrations();
        store_ = must(store::Store::open(folder_.path() / "store", key(1), options));
        facts_.chain_id = 1337;
        facts_.institution[0] = facts_.studies[0] = 7;
        ledger::OutboxSettings settings;
        settings.chain_id = facts_.chain_id;
        settings.studies = facts_.studies;
        settings.institution = facts_.institution;
        outbox_ = std::make_unique<ledger::Outbox>(store_->database(), rpc_, settings, key(2), key(3));
        versions_ = std::make_unique<CheckedVersions>(*store_);
        exams_ = std::make_unique<Exams>(*store_, *versions_, *outbox_, facts_, std::chrono::seconds(3600));
    }
    static crypto::Secret key(std::uint8_t byte) {
        crypto::Secret out(32);
        std::fill(out.bytes().begin(), out.bytes().end(), byte);
        return out;
    }
    StoreSession session(std::string source = "test") { return StoreSession(*store_, *exams_, {}, std::move(source)); }

    struct Instance {
        std::string study = "1.2.3", patient_id = "4711", issuer{};
        std::size_t pixels = 100;
        int number = 1;
    };
    static Bytes file(const Instance& instance) {
        using namespace dicom::test;
        Builder b(Form::explicit_le);
        b.text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7")
            .text(0x00080018, "UI", instance.study + ".1." + std::to_string(instance.number))
            .text(0x00100020, "LO", instance.patient_id);
        if (!instance.issuer.empty()) b.text(0x00100021, "LO", instance.issuer);
        b.text(0x0020000d, "UI", instance.study)
            .text(0x0020000e, "UI", instance.study + ".1")
            .raw(0x7fe00010, "OB", Bytes(instance.pixels, 5));
        return joined(prefix("1.2.840.10008.1.2.1"), b.out);
    }
    static Result<InstanceOutcome> send(StoreSession& session, const Instance& instance, std::string source = {}) {
        InstanceFormat format;
        format.source.value = std::move(source);
        must(session.begin_instance(format));
        static_cast<void>(session.write(file(instance)));
        return session.finish_instance();
    }
    std::size_t versions(const std::string& study) {
        return must(
                   store_->database().read([&](database::Transaction& t) { return store_->index().latest_version(t, *Uid::parse(study)); }))
            .has_value();
    }

    ledger::testing::TemporaryFolder folder_;
    SiteFacts facts_;
    std::unique_ptr<store::Store> store_;
    ledger::Rpc rpc_{std::make_shared<Away>()};
    std::unique_ptr<ledger::Outbox> outbox_;
    std::unique_ptr<CheckedVersions> versions_;
    std::unique_ptr<Exams> exams_;
};

TEST_F(IngestTest, WhateverTheSourceIsCalledTheStudyGetsItsRecord) {
    auto session = this->session();
    std::string at_the_cut(1022, 'a');
    at_the_cut += "\u20ac.dcm";
    int number = 0;
    for (const std::string& source : {std::string("/m\xfcller/1.dcm"), std::string(5000, '\xff'), at_the_cut, std::string()}) {
        const auto study = "1.2." + std::to_string(++number);
        EXPECT_EQ(must(send(session, {.study = study}, source)).outcome, Outcome::stored);
        EXPECT_TRUE(session.complete());
        EXPECT_EQ(versions(study), 1u) << source;
    }
    const auto rows = must(
        store_->database().read([&](database::Transaction& t) { return store_->index().instances_of_study(t, *Uid::parse("1.2.1")); }));
    EXPECT_EQ(rows.front().object.source.value, "/m\\xfcller/1.dcm");
}

TEST_F(IngestTest, WhatNoManifestCouldHoldIsRefused) {
    auto session = this->session();
    for (const Instance& instance : {Instance{.patient_id = std::string(1025, 'x')}, Instance{.issuer = std::string(2000, 'x')},
                                     Instance{.patient_id = std::string(2000, 'x'), .pixels = 0}}) {
        const auto outcome = must(send(session, instance));
        EXPECT_EQ(outcome.outcome, Outcome::refused);
        ASSERT_TRUE(outcome.error);
        EXPECT_EQ(outcome.error->code, ErrorCode::limit_exceeded);
        EXPECT_NE(outcome.error->message.find("is longer than 1024 bytes"), std::string::npos) << outcome.error->message;
    }
    EXPECT_EQ(must(send(session, {.patient_id = std::string(1024, 'x')})).outcome, Outcome::stored);
    EXPECT_TRUE(session.complete());
}

TEST_F(IngestTest, RequestsOfOneInstanceEachMakeOneVersionOfWhatComesMeanwhile) {
    HandClock clock;
    Exams exams(*store_, *versions_, *outbox_, facts_, std::chrono::seconds(3600), clock);
    exams.start();
    for (int number = 1; number <= 12; ++number) {
        StoreSession session(*store_, exams, {}, "stow-rs");
        EXPECT_EQ(must(send(session, {.number = number})).outcome, Outcome::stored);
        session.complete_soon();
    }
    EXPECT_EQ(versions("1.2.3"), 0u) << "nobody waited for one";
    clock.advance(std::chrono::seconds(1));
    for (int tries = 0; tries < 3000 && versions("1.2.3") == 0; ++tries) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const auto latest =
        must(store_->database().read([&](database::Transaction& t) { return store_->index().latest_version(t, *Uid::parse("1.2.3")); }));
    ASSERT_TRUE(latest);
    EXPECT_EQ(latest->record.version, 1u);
    EXPECT_EQ(latest->record.count, 12u);
    exams.stop();
}

TEST_F(IngestTest, OneStudyThatCannotBeCompletedHindersNoOther) {
    auto session = this->session();
    for (const auto* study : {"1.2.1", "1.2.2", "1.2.3"}) EXPECT_EQ(must(send(session, {.study = study})).outcome, Outcome::stored);
    must(store_->erase_study(*Uid::parse("1.2.1")));
    const auto done = session.complete();
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find("1.2.1 ("), std::string::npos) << done.error().message;
    EXPECT_EQ(versions("1.2.2"), 1u);
    EXPECT_EQ(versions("1.2.3"), 1u);
}

TEST_F(IngestTest, AFailureOfTheStoreIsNeverTheInstancesFault) {
    auto session = this->session();
    EXPECT_EQ(must(send(session, {.study = "1.2.1"})).outcome, Outcome::stored);
    std::filesystem::remove_all(folder_.path() / "store" / "segments");
    const auto failed = send(session, {.study = "1.2.2", .pixels = 1u << 20});  // begins a new segment
    ASSERT_FALSE(failed) << "refused: " << failed->error->message;
    EXPECT_EQ(failed.error().code, ErrorCode::io) << failed.error().message;
    const auto bad = send(session, {.study = "1.2.x"});
    ASSERT_TRUE(bad) << "what is wrong with the bytes is said of the instance";
    EXPECT_EQ(bad->outcome, Outcome::refused);
    EXPECT_EQ(bad->error->code, ErrorCode::malformed);
}

}  // namespace
}  // namespace fiducial::archive
