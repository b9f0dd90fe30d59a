// C-FIND, C-GET, C-MOVE and N-EVENT-REPORT as a user, against a provider of our own; Orthanc and pynetdicom are the peers in test/system.
#include "dimse/query_user.hpp"

#include <gtest/gtest.h>

#include <mutex>

#include "dicom/negotiation.hpp"
#include "dicom/query_retrieve.hpp"
#include "dicom/transfer_syntax.hpp"
#include "dimse/event_report.hpp"
#include "dimse/provider.hpp"
#include "dimse/user.hpp"
#include "net/runtime.hpp"

namespace fiducial::dimse {
namespace {

using dicom::CommandField;

constexpr std::string_view kFind = "1.2.840.10008.5.1.4.1.2.2.1", kMove = "1.2.840.10008.5.1.4.1.2.2.2",
                           kGet = "1.2.840.10008.5.1.4.1.2.2.3";
constexpr std::string_view kCommitment = "1.2.840.10008.1.20.1";

/// An archive that finds `rows` studies, and gives nothing but answers.
class Peer final : public Service {
public:
    Admission admit(const Caller& caller) override {
        Acceptance out;
        out.contexts = dicom::negotiate(caller.request.contexts, [this](std::string_view uid) {
            return uid == refused ? dicom::Served::no : dicom::Served::identifiers;
        });
        for (const auto& role : caller.request.user.roles) out.roles.push_back({role.sop_class, role.scu, role.scp && takes_roles});
        return out;
    }
    net::Task<void> serve(Association& association) override { static_cast<void>(co_await answer_all(association)); }

    int rows = 3;
    std::uint16_t last = 0x0000;
    bool takes_roles = true;
    std::string refused;
    std::mutex mutex;
    std::vector<dicom::CommandSet> commands;
    Bytes data;  // of the last request

private:
    net::Task<Result<void>> answer_all(Association& association) {
        for (;;) {
            FID_CO_TRY(const auto message, co_await association.next());
            if (!message) co_return Result<void>();
            Bytes read(100'000);
            FID_CO_TRY(const auto size, co_await association.read(read));
            {
                const std::lock_guard lock(mutex);
                commands.push_back(message->command);
                if (size > 0) data.assign(read.begin(), read.begin() + static_cast<std::ptrdiff_t>(size));
            }
            if (message->command.field == CommandField::c_cancel_rq) continue;
            for (int row = 0; row < rows && message->command.field != CommandField::n_event_report_rq; ++row) {
                auto pending = dicom::answer_to(message->command, dicom::status::kPending);
                pending.remaining = static_cast<std::uint16_t>(rows - row);
                Bytes found;
                if (message->command.field == CommandField::c_find_rq) {
                    pending.has_data_set = true;
                    pending.remaining = {};
                    dicom::Identifier identifier;
                    identifier.attributes.set(dicom::tags::kStudyInstanceUid, {"2.25." + std::to_string(row)});
                    found = dicom::encode_identifier(identifier, message->transfer_syntax);
                }
                FID_CO_CHECK(co_await association.send(message->context_id, pending, found));
            }
            auto done = dicom::answer_to(message->command, last);
            done.failed = 1;
            if (last != 0) done.error_comment = "out of it";
            FID_CO_CHECK(co_await association.send(message->context_id, done, ByteView()));
        }
    }
};

class QueryUserTest : public ::testing::Test {
protected:
    void SetUp() override {
        auto started = Provider::start(runtime_, {}, {}, peer_);
        ASSERT_TRUE(started) << started.error().message;
        provider_ = std::move(*started);
    }
    void TearDown() override { provider_->stop(std::chrono::seconds(5)); }

    UserSettings settings() const {
        UserSettings out;
        out.address = "127.0.0.1";
        out.port = provider_->port();
        out.called_ae_title = "PEER";
        out.calling_ae_title = "USER";
        std::uint8_t id = 1;
        for (const auto sop_class : {kFind, kMove, kGet}) {
            out.contexts.push_back({id, std::string(sop_class), {std::string(dicom::kImplicitVrLittleEndian)}});
            id += 2;
        }
        return out;
    }
    static QueryAsk ask(std::string_view sop_class) {
        QueryAsk out;
        out.sop_class = sop_class;
        out.identifier.attributes.set(dicom::tags::kQueryRetrieveLevel, {"STUDY"});
        return out;
    }
    Result<std::vector<dicom::Identifier>> found(std::size_t most) {
        auto run = [&]() -> net::Task<Result<std::vector<dicom::Identifier>>> {
            FID_CO_TRY(const auto user, co_await User::open(settings()));
            auto asked = ask(kFind);
            FID_CO_TRY(auto rows, co_await find(user->association(), std::move(asked), most));
            FID_CO_CHECK(co_await user->release());
            co_return std::move(rows);
        };
        return runtime_.block_on(run());
    }
    Result<RetrieveProgress> retrieved(QueryAsk asked, const OnProgress& on_progress) {
        auto run = [&]() -> net::Task<Result<RetrieveProgress>> {
            FID_CO_TRY(const auto user, co_await User::open(settings()));
            const OnObject none;
            co_return co_await retrieve(user->association(), asked, none, on_progress);
        };
        return runtime_.block_on(run());
    }

    net::Runtime runtime_{2};
    std::shared_ptr<Peer> peer_ = std::make_shared<Peer>();
    std::unique_ptr<Provider> provider_;
};

TEST_F(QueryUserTest, Ps37_9_1_2_Find) {
    const auto rows = found(3);
    ASSERT_TRUE(rows) << rows.error().message;
    ASSERT_EQ(rows->size(), 3u);
    EXPECT_EQ((*rows)[2].attributes.first(dicom::tags::kStudyInstanceUid), "2.25.2");
    EXPECT_EQ(found(2).error().code, ErrorCode::limit_exceeded);
    peer_->last = 0xA700;
    const auto failed = found(3);
    EXPECT_EQ(failed.error().code, ErrorCode::conflict);
    EXPECT_NE(failed.error().message.find("A700H: out of it"), std::string::npos) << failed.error().message;
    peer_->refused = kFind;
    EXPECT_EQ(found(3).error().code, ErrorCode::unsupported);
}

TEST_F(QueryUserTest, Ps37_9_1_3_9_1_4_GetAndMove) {
    std::vector<std::uint16_t> remaining;
    const OnProgress note = [&](const RetrieveProgress& progress) {
        remaining.push_back(progress.remaining);
        return remaining.size() != 2;
    };
    peer_->last = 0xB000;
    auto asked = ask(kMove);
    asked.move_destination = "ELSEWHERE";
    const auto moved = retrieved(asked, note);
    ASSERT_TRUE(moved) << moved.error().message;
    EXPECT_EQ(remaining, (std::vector<std::uint16_t>{3, 2, 1}));
    EXPECT_EQ((std::pair{moved->status, moved->failed}), (std::pair<std::uint16_t, std::uint16_t>{0xB000, 1}));
    remaining.clear();
    peer_->last = 0xA702;
    const auto got = retrieved(ask(kGet), [](const RetrieveProgress&) { return true; });
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_NE(got->comment.find("C-GET with status A702H: out of it"), std::string::npos) << got->comment;
    const std::lock_guard lock(peer_->mutex);
    EXPECT_EQ(peer_->commands[0].move_destination, "ELSEWHERE");
    EXPECT_EQ(peer_->commands[1].field, CommandField::c_cancel_rq) << "told not to go on";
    EXPECT_EQ(peer_->commands[2].field, CommandField::c_get_rq);
}

TEST_F(QueryUserTest, Ps37_10_1_1_EventsAreReportedByTheirProvider) {
    const Event event{std::string(kCommitment), "1.2.840.10008.1.20.1.1", 2, Bytes{0x08, 0, 0x54, 0, 2, 0, 0, 0, 'F', ' '}};
    const auto reported = [&] { return runtime_.block_on(report_event(settings(), event)); };
    EXPECT_EQ(reported().value(), 0);
    {
        const std::lock_guard lock(peer_->mutex);
        EXPECT_EQ(peer_->commands[0].event_type, 2);
        EXPECT_EQ(peer_->commands[0].sop_instance, event.sop_instance);
        EXPECT_EQ(peer_->data, event.information);
    }
    peer_->last = 0x0110;
    EXPECT_EQ(reported().value(), 0x0110);
    peer_->takes_roles = false;
    EXPECT_EQ(reported().error().code, ErrorCode::unsupported) << "it leaves us no role";
    peer_->takes_roles = true;
    peer_->refused = kCommitment;
    EXPECT_EQ(reported().error().code, ErrorCode::unsupported);
}

}  // namespace
}  // namespace fiducial::dimse
