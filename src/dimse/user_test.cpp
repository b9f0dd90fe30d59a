// Associations that this side asks for, and C-STORE over them, against a provider of our own; DCMTK and pynetdicom are the peers in
// test/system.
#include "dimse/user.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "dicom/negotiation.hpp"
#include "dimse/provider.hpp"
#include "dimse/store_user.hpp"
#include "net/runtime.hpp"

namespace fiducial::dimse {
namespace {

using namespace std::chrono_literals;
using dicom::CommandField;

constexpr std::string_view kCt = "1.2.840.10008.5.1.4.1.1.2", kExplicit = "1.2.840.10008.1.2.1";

/// Keeps what it is sent; answers with the status that stands for the instance.
class Keeper final : public Service {
public:
    Admission admit(const Caller& caller) override {
        if (caller.request.called_ae_title != "KEEPER") return dicom::reject::kCalledAeTitleNotRecognized;
        Acceptance out;
        out.contexts = dicom::negotiate(caller.request.contexts, [this](std::string_view uid) {
            return echoes || dicom::is_storage_sop_class(uid) ? dicom::Served::objects : dicom::Served::no;
        });
        return out;
    }
    net::Task<void> serve(Association& association) override { released = static_cast<bool>(co_await keep(association)); }

    std::mutex mutex;
    std::map<std::string, Bytes> kept;
    std::vector<dicom::CommandSet> commands;
    std::map<std::string, std::uint16_t> statuses;  // else success
    std::string leaves_at;                          // this instance
    std::string silent_at;                          // likewise: it is never answered
    std::atomic<bool> released = false, echoes = true;

private:
    net::Task<Result<void>> keep(Association& association) {
        for (;;) {
            FID_CO_TRY(const auto message, co_await association.next());
            if (!message) co_return Result<void>();
            Bytes data, piece(10'000);
            for (;;) {
                FID_CO_TRY(const auto got, co_await association.read(piece));
                if (got == 0) break;
                append(data, ByteView(piece).first(got));
            }
            const auto& instance = message->command.sop_instance;
            if (!leaves_at.empty() && instance == leaves_at) co_return fail(ErrorCode::internal, "left");
            if (!silent_at.empty() && instance == silent_at) continue;
            std::uint16_t status = dicom::status::kSuccess;
            {
                const std::lock_guard lock(mutex);
                kept[instance] = std::move(data);
                commands.push_back(message->command);
                if (const auto found = statuses.find(instance); found != statuses.end()) status = found->second;
            }
            const auto answer = dicom::answer_to(message->command, status);
            FID_CO_CHECK(co_await association.send(message->context_id, answer, ByteView()));
        }
    }
};

/// Objects 2.25.0, 2.25.1, … of given sizes.
class Numbers final : public OutgoingObjects {
public:
    explicit Numbers(std::vector<std::size_t> sizes) : sizes_(std::move(sizes)) {}
    std::optional<OutgoingObject> next() override {
        if (at_ == sizes_.size()) return std::nullopt;
        position_ = 0;
        const auto number = at_++;
        OutgoingObject out{std::string(kCt), "2.25." + std::to_string(number), std::string(syntax), sizes_[number]};
        if (number == not_there) out.error = Error{ErrorCode::corrupt, "it is in quarantine"};
        return out;
    }
    Result<std::size_t> read(MutableByteView out) override {
        if (at_ - 1 == breaks && position_ + out.size() > breaks_from) return fail(ErrorCode::corrupt, "a chunk does not match");
        for (auto& byte : out) byte = byte_at(at_ - 1, position_++);
        return out.size();
    }
    static std::uint8_t byte_at(std::size_t number, std::size_t position) {
        return static_cast<std::uint8_t>(number * 7 + position * 31 + (position >> 11));
    }
    static Bytes bytes_of(std::size_t number, std::size_t size) {
        Bytes out(size);
        for (std::size_t i = 0; i < size; ++i) out[i] = byte_at(number, i);
        return out;
    }

    std::string_view syntax = kExplicit;
    std::size_t not_there = SIZE_MAX, breaks = SIZE_MAX, breaks_from = 0;

private:
    const std::vector<std::size_t> sizes_;
    std::size_t at_ = 0, position_ = 0;
};

class UserTest : public ::testing::Test {
protected:
    void SetUp() override {
        auto started = Provider::start(runtime_, {}, limits_, keeper_);
        ASSERT_TRUE(started) << started.error().message;
        provider_ = std::move(*started);
    }
    void TearDown() override { provider_->stop(5s); }

    UserSettings settings() const {
        UserSettings out;
        out.address = "127.0.0.1";
        out.port = provider_->port();
        out.called_ae_title = "KEEPER";
        out.calling_ae_title = "USER";
        out.limits.answer_timeout = answer_timeout_;
        out.contexts = {{1, std::string(kCt), {std::string(kExplicit)}}, {3, "1.2.3.4", {std::string(kExplicit)}}};
        return out;
    }
    struct Sent {
        std::string instance;
        std::optional<std::uint16_t> status;
        std::string error;
    };
    /// What became of each; nothing where the association broke.
    Result<std::vector<Sent>> send(OutgoingObjects& objects, std::size_t most = SIZE_MAX, StoreOptions options = {}) {
        auto run = [&]() -> net::Task<Result<std::vector<Sent>>> {
            FID_CO_TRY(const auto user, co_await User::open(settings()));
            std::vector<Sent> sent;
            const AfterEach after_each = [&](const SentObject& one) -> net::Task<Result<bool>> {
                sent.push_back({one.object.sop_instance, one.status, one.error ? one.error->message : ""});
                co_return sent.size() < most;
            };
            const auto done = co_await send_objects(user->association(), pool_, objects, options, after_each);
            seen_ = sent;
            FID_CO_CHECK(done);
            FID_CO_CHECK(co_await user->release());
            co_return sent;
        };
        return runtime_.block_on(run());
    }

    net::Runtime runtime_{2};
    net::BlockingPool pool_{"reading", 2, 4};
    ProviderLimits limits_;
    std::shared_ptr<Keeper> keeper_ = std::make_shared<Keeper>();
    std::unique_ptr<Provider> provider_;
    std::vector<Sent> seen_;
    std::chrono::milliseconds answer_timeout_{20'000};
};

TEST_F(UserTest, Ps37_9_1_1_ObjectsArriveAsTheyAre) {
    const std::vector<std::size_t> sizes{1, 100, 262'144, 262'143, 1'000'000, 2, 131'066, 131'067, 3'000'001};
    Numbers numbers(sizes);
    StoreOptions options;
    options.first_message_id = 65'530;  // message identifiers go round
    options.originator = MoveOriginator{"WS", 9};
    const auto sent = send(numbers, SIZE_MAX, options);
    ASSERT_TRUE(sent) << sent.error().message;
    ASSERT_EQ(sent->size(), sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        EXPECT_EQ((*sent)[i].status, dicom::status::kSuccess);
        EXPECT_EQ(keeper_->kept["2.25." + std::to_string(i)], Numbers::bytes_of(i, sizes[i])) << i;
    }
    EXPECT_EQ(keeper_->commands[8].message_id, 2);
    EXPECT_EQ(keeper_->commands[8].move_originator, "WS");
    EXPECT_EQ(keeper_->commands[8].move_originator_message, 9);
}

TEST_F(UserTest, WhatCannotBeSentIsLeftOutAndTheRestGoesOn) {
    Numbers numbers({10, 20, 30, 40});
    numbers.not_there = 1;
    numbers.breaks = 2;
    keeper_->statuses["2.25.3"] = dicom::status::kOutOfResources;
    const auto sent = send(numbers);
    ASSERT_TRUE(sent) << sent.error().message;
    ASSERT_EQ(sent->size(), 4u);
    EXPECT_EQ((*sent)[0].status, dicom::status::kSuccess);
    EXPECT_EQ((*sent)[1].error, "it is in quarantine");
    EXPECT_EQ((*sent)[2].error, "a chunk does not match");
    EXPECT_EQ((*sent)[3].status, dicom::status::kOutOfResources);
    EXPECT_EQ(keeper_->kept.size(), 2u);

    Numbers other({10});
    other.syntax = "1.2.840.10008.1.2.4.102";  // video: nothing makes it what the peer takes
    const auto refused = send(other);
    ASSERT_TRUE(refused);
    EXPECT_FALSE((*refused)[0].status);
    EXPECT_NE((*refused)[0].error.find("1.2.840.10008.1.2.4.102"), std::string::npos);
}

TEST_F(UserTest, AnObjectThatBreaksInTheMiddleEndsTheAssociation) {
    Numbers numbers({10, 2'000'000, 30});
    numbers.breaks = 1;
    numbers.breaks_from = 1'000'000;
    const auto sent = send(numbers);
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, ErrorCode::corrupt);
    EXPECT_EQ(seen_.size(), 1u);
    EXPECT_EQ(keeper_->kept.size(), 1u) << "nothing of it looks complete";
}

TEST_F(UserTest, ItStopsWhereItIsToldTo) {
    Numbers numbers({10, 20, 30});
    const auto sent = send(numbers, 2);
    ASSERT_TRUE(sent) << sent.error().message;
    EXPECT_EQ(sent->size(), 2u);
    EXPECT_EQ(keeper_->kept.size(), 2u);
    provider_->stop(5s);
    EXPECT_TRUE(keeper_->released);
}

TEST_F(UserTest, APeerThatLeavesInTheMiddleIsAnError) {
    keeper_->leaves_at = "2.25.1";
    Numbers numbers({10, 20, 30});
    EXPECT_EQ(send(numbers).error().code, ErrorCode::cancelled);
    EXPECT_EQ(seen_.size(), 1u);
}

TEST_F(UserTest, APeerThatDoesNotAnswerIsWaitedForSoLong) {
    keeper_->silent_at = "2.25.1";
    answer_timeout_ = 300ms;
    Numbers numbers({10, 20, 30});
    EXPECT_EQ(send(numbers).error().code, ErrorCode::timeout);
    EXPECT_EQ(seen_.size(), 1u);
}

TEST_F(UserTest, Ps38_9_3_4_WhyNoAssociationComesAbout) {
    const auto open = [&](UserSettings wanted) {
        auto run = [&]() -> net::Task<Result<bool>> {
            const auto user = co_await User::open(wanted);
            if (!user) co_return fail(user.error());
            co_return true;
        };
        return runtime_.block_on(run());
    };
    auto other = settings();
    other.called_ae_title = "SOMEBODY";
    const auto rejected = open(other);
    EXPECT_EQ(rejected.error().code, ErrorCode::denied);
    EXPECT_NE(rejected.error().message.find("called AE title not recognized"), std::string::npos);
    auto nowhere = settings();
    nowhere.address = "localhost";
    EXPECT_EQ(open(nowhere).error().code, ErrorCode::invalid_argument);
    provider_->stop(0s);
    EXPECT_EQ(open(settings()).error().code, ErrorCode::unavailable);
}

TEST_F(UserTest, Ps37_9_1_5_Echo) {
    const auto answered = runtime_.block_on(echo(settings()));
    ASSERT_TRUE(answered) << answered.error().message;
    keeper_->echoes = false;
    EXPECT_EQ(runtime_.block_on(echo(settings())).error().code, ErrorCode::unsupported);
}

}  // namespace
}  // namespace fiducial::dimse
