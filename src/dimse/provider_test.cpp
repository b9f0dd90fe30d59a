#include "dimse/provider.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <mutex>

#include "base/file.hpp"
#include "dicom/dimse_message.hpp"
#include "dicom/negotiation.hpp"

namespace fiducial::dimse {
namespace {

using namespace std::chrono_literals;
using dicom::CommandField;
using dicom::PduReader;
using dicom::PduType;

constexpr std::string_view kSecondaryCapture = "1.2.840.10008.5.1.4.1.1.7";

/// A peer that sends exactly the bytes it is told to.
class Peer {
public:
    explicit Peer(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const timeval patience{20, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    }
    ~Peer() { ::close(fd_); }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    void send(ByteView bytes) { ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
    void send(const dicom::Pdu& pdu) { send(dicom::encode(pdu)); }
    void end() { ::shutdown(fd_, SHUT_WR); }
    /// Returns: the next PDU that is not data, or nothing where the connection ended.
    std::optional<dicom::Pdu> pdu() {
        for (;;) {
            const auto event = next();
            if (!event) return std::nullopt;
            if (*event == PduReader::Event::pdu) return reader_.pdu();
        }
    }
    /// Returns: the next command, or nothing where the connection ended.
    std::optional<dicom::CommandSet> command() {
        for (;;) {
            const auto event = next();
            if (!event || *event != PduReader::Event::piece) return std::nullopt;
            const auto got = messages_.take(reader_.piece());
            EXPECT_TRUE(got) << got.error().message;
            if (got && *got == dicom::MessageReader::Event::command) return messages_.command();
        }
    }
    bool ended() { return !next(); }

    std::optional<dicom::AssociateAc> associate(const dicom::AssociateRq& request) {
        send(request);
        const auto answer = pdu();
        if (!answer || !std::holds_alternative<dicom::AssociateAc>(*answer)) return std::nullopt;
        return std::get<dicom::AssociateAc>(*answer);
    }

private:
    std::optional<PduReader::Event> next() {
        for (;;) {
            const auto event = reader_.next();
            EXPECT_TRUE(event) << event.error().message;
            if (!event) return std::nullopt;
            if (*event != PduReader::Event::need_more) return *event;
            const auto got = ::recv(fd_, buffer_.data(), buffer_.size(), 0);
            if (got <= 0) return std::nullopt;
            reader_.feed(ByteView(buffer_).first(static_cast<std::size_t>(got)));
        }
    }
    int fd_;
    Bytes buffer_ = Bytes(65'536);
    PduReader reader_;
    dicom::MessageReader messages_;
};

dicom::AssociateRq request(std::string called = "ARCHIVE") {
    dicom::AssociateRq out;
    out.called_ae_title = std::move(called);
    out.calling_ae_title = "PEER";
    out.contexts = {{1, std::string(dicom::kVerificationSopClass), {"1.2.840.10008.1.2"}},
                    {3, std::string(kSecondaryCapture), {"1.2.840.10008.1.2.1"}},
                    {5, "1.2.840.10008.5.1.4.31", {"1.2.840.10008.1.2"}}};
    return out;
}
Bytes echo(std::uint16_t id, std::uint8_t context_id = 1) {
    dicom::CommandSet command;
    command.field = CommandField::c_echo_rq;
    command.message_id = id;
    command.sop_class = dicom::kVerificationSopClass;
    return dicom::encode_message(context_id, command, {}, 16'384);
}
Bytes store(std::uint16_t id, ByteView data_set, std::uint32_t max_pdu_bytes = 16'384) {
    dicom::CommandSet command;
    command.field = CommandField::c_store_rq;
    command.message_id = id;
    command.has_data_set = true;
    command.sop_class = kSecondaryCapture;
    command.sop_instance = "2.25.1";
    return dicom::encode_message(3, command, data_set, max_pdu_bytes);
}

dicom::CommandSet find_command(std::uint16_t id) {
    dicom::CommandSet command;
    command.field = CommandField::c_find_rq;
    command.message_id = id;
    command.has_data_set = true;
    command.sop_class = kSecondaryCapture;  // whatever: nobody looks at it here
    return command;
}
Bytes cancel(std::uint16_t id) {
    dicom::CommandSet command;
    command.field = CommandField::c_cancel_rq;
    command.message_id = id;
    return dicom::encode_message(3, command, {}, 16'384);
}

/// Keeps what comes, and answers everything with success; but C-FIND with one pending answer after another until it is cancelled.
class Keeper final : public Service {
public:
    Admission admit(const Caller& caller) override {
        if (caller.request.called_ae_title != "ARCHIVE") return dicom::reject::kCalledAeTitleNotRecognized;
        Acceptance out;
        out.contexts = dicom::negotiate(caller.request.contexts, [](std::string_view uid) {
            const bool served = uid == dicom::kVerificationSopClass || dicom::is_storage_sop_class(uid);
            return served ? dicom::Served::objects : dicom::Served::no;
        });
        return out;
    }
    net::Task<void> serve(Association& association) override {
        const auto ended = co_await answer_all(association);
        const std::lock_guard lock(mutex);
        ends.push_back(ended ? "released" : std::string(name_of(ended.error().code)));
    }

    std::mutex mutex;
    std::vector<Bytes> kept;
    std::vector<std::string> ends;
    std::atomic<bool> skips_data = false;
    std::atomic<bool> leaves = false;

private:
    net::Task<Result<void>> find_until_cancelled(Association& association, const Message& message) {
        for (;;) {
            FID_CO_TRY(const bool cancelled, co_await association.cancelled(message.command.message_id));
            const auto answer = dicom::answer_to(message.command, cancelled ? dicom::status::kCancel : dicom::status::kPending);
            FID_CO_CHECK(co_await association.send(message.context_id, answer, ByteView()));
            if (cancelled) co_return Result<void>();
            co_await net::sleep_for(1ms);
        }
    }
    net::Task<Result<void>> answer_all(Association& association) {
        for (;;) {
            FID_CO_TRY(const auto message, co_await association.next());
            if (!message) co_return Result<void>();
            if (message->command.field == CommandField::c_cancel_rq) continue;
            if (leaves) co_return fail(ErrorCode::internal, "left");
            Bytes data, piece(1'000);
            while (!skips_data || message->command.field == CommandField::c_find_rq) {
                FID_CO_TRY(const auto got, co_await association.read(piece));
                if (got == 0) break;
                append(data, ByteView(piece).first(got));
            }
            if (message->command.field == CommandField::c_find_rq) {
                FID_CO_CHECK(co_await find_until_cancelled(association, *message));
                continue;
            }
            if (message->command.has_data_set) {
                const std::lock_guard lock(mutex);
                kept.push_back(std::move(data));
            }
            const auto answer = dicom::answer_to(message->command, dicom::status::kSuccess);
            FID_CO_CHECK(co_await association.send(message->context_id, answer, ByteView()));
        }
    }
};

class ProviderTest : public ::testing::Test {
protected:
    void start() {
        net::ListenSettings listen;
        auto started = Provider::start(runtime_, listen, limits_, keeper_);
        ASSERT_TRUE(started) << started.error().message;
        provider_ = std::move(*started);
    }
    void TearDown() override {
        if (provider_) provider_->stop(5s);
    }
    std::uint16_t port() const { return provider_->port(); }
    /// How associations ended, once that many have.
    std::vector<std::string> ends(std::size_t count) {
        for (int i = 0; i < 2'000; ++i) {
            {
                const std::lock_guard lock(keeper_->mutex);
                if (keeper_->ends.size() >= count) return keeper_->ends;
            }
            std::this_thread::sleep_for(10ms);
        }
        ADD_FAILURE() << "not so many associations ended";
        return {};
    }
    void expect_alive() {
        Peer peer(port());
        ASSERT_TRUE(peer.associate(request()));
        peer.send(echo(1));
        EXPECT_EQ(peer.command()->status, dicom::status::kSuccess);
        peer.send(dicom::ReleaseRq{});
        EXPECT_TRUE(std::holds_alternative<dicom::ReleaseRp>(peer.pdu().value()));
    }

    net::Runtime runtime_{2};
    ProviderLimits limits_;
    std::shared_ptr<Keeper> keeper_ = std::make_shared<Keeper>();
    std::unique_ptr<Provider> provider_;
};

TEST_F(ProviderTest, Ps38_7_AssociationMessagesAndRelease) {
    start();
    Peer peer(port());
    const auto accepted = peer.associate(request());
    ASSERT_TRUE(accepted);
    EXPECT_EQ(accepted->user.max_pdu_bytes, 131'072u);
    ASSERT_EQ(accepted->contexts.size(), 3u);
    EXPECT_EQ(accepted->contexts[0].result, dicom::ContextResult::acceptance);
    EXPECT_EQ(accepted->contexts[2].result, dicom::ContextResult::abstract_syntax_not_supported);
    peer.send(echo(7));
    const auto answer = peer.command();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->field, CommandField::c_echo_rsp);
    EXPECT_EQ(answer->message_id, 7);
    Bytes data(300'000);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i * 31 >> 3);
    peer.send(store(8, data, 131'072));
    EXPECT_EQ(peer.command()->message_id, 8);
    peer.send(dicom::ReleaseRq{});
    EXPECT_TRUE(std::holds_alternative<dicom::ReleaseRp>(peer.pdu().value()));
    peer.end();
    EXPECT_TRUE(peer.ended());
    EXPECT_EQ(ends(1), std::vector<std::string>{"released"});
    EXPECT_EQ(keeper_->kept, std::vector<Bytes>{data});
    EXPECT_EQ(provider_->counters().accepted, 1u);
    EXPECT_EQ(provider_->counters().broken, 0u);
}

TEST_F(ProviderTest, Ps37_6_3_1_DataSetThatNobodyReadsIsPassedOver) {
    keeper_->skips_data = true;
    start();
    Peer peer(port());
    ASSERT_TRUE(peer.associate(request()));
    const Bytes data(200'000, 3);
    peer.send(store(1, data));
    EXPECT_EQ(peer.command()->message_id, 1);
    peer.send(echo(2));
    EXPECT_EQ(peer.command()->message_id, 2);
}

TEST_F(ProviderTest, Ps37_9_3_2_3_ARequestIsCancelledWhileItIsAnswered) {
    start();
    Peer peer(port());
    ASSERT_TRUE(peer.associate(request()));
    const auto last_status = [&] {
        auto answer = peer.command();
        while (answer && answer->status == dicom::status::kPending) answer = peer.command();
        return answer ? answer->status : std::nullopt;
    };
    peer.send(dicom::encode_message(3, find_command(4), Bytes(20, 0), 16'384));
    EXPECT_EQ(peer.command()->status, dicom::status::kPending);
    const auto other = cancel(3), mine = cancel(4);
    peer.send(other);
    peer.send(ByteView(mine).first(9));
    EXPECT_EQ(peer.command()->status, dicom::status::kPending);
    std::this_thread::sleep_for(20ms);  // a part of it has come
    peer.send(ByteView(mine).subspan(9));
    EXPECT_EQ(last_status(), dicom::status::kCancel);
    peer.send(mine);  // of what is over: nothing
    peer.send(echo(5));
    EXPECT_EQ(peer.command()->message_id, 5);
    peer.send(dicom::encode_message(3, find_command(6), Bytes(20, 0), 16'384));
    EXPECT_EQ(peer.command()->status, dicom::status::kPending);
    const auto half = echo(7);
    peer.send(ByteView(cancel(6)));
    peer.send(ByteView(half).first(30));  // the next command begins before the last answer is out
    EXPECT_EQ(last_status(), dicom::status::kCancel);
    peer.send(ByteView(half).subspan(30));
    EXPECT_EQ(peer.command()->message_id, 7);
    peer.send(dicom::ReleaseRq{});
    EXPECT_TRUE(std::holds_alternative<dicom::ReleaseRp>(peer.pdu().value()));
}

TEST_F(ProviderTest, WhoAsksAgainOrLeavesBeforeTheAnswerEndsTheAssociation) {
    start();
    {
        Peer impatient(port());
        ASSERT_TRUE(impatient.associate(request()));
        impatient.send(dicom::encode_message(3, find_command(1), Bytes(20, 0), 16'384));
        impatient.send(echo(2));
        while (impatient.command()) {
        }
    }
    {
        Peer leaving(port());
        ASSERT_TRUE(leaving.associate(request()));
        leaving.send(dicom::encode_message(3, find_command(1), Bytes(20, 0), 16'384));
        leaving.send(dicom::ReleaseRq{});
        while (leaving.command()) {
        }
    }
    {
        Peer gone(port());
        ASSERT_TRUE(gone.associate(request()));
        gone.send(dicom::encode_message(3, find_command(1), Bytes(20, 0), 16'384));
        EXPECT_EQ(gone.command()->status, dicom::status::kPending);
    }
    for (const auto& end : ends(3)) EXPECT_TRUE(end == "malformed" || end == "cancelled" || end == "unavailable") << end;
    expect_alive();
}

TEST_F(ProviderTest, Ps38_9_3_4_RejectionsSayWhy) {
    limits_.max_associations = 1;
    start();
    const auto rejected = [&](const dicom::AssociateRq& asked) {
        Peer peer(port());
        peer.send(asked);
        const auto answer = peer.pdu();
        EXPECT_TRUE(answer && std::holds_alternative<dicom::AssociateRj>(*answer));
        return std::get<dicom::AssociateRj>(answer.value());
    };
    auto old = request();
    old.protocol_versions = 2;
    EXPECT_EQ(rejected(old), dicom::reject::kProtocolVersionNotSupported);
    auto other = request();
    other.application_context = "1.2.3";
    EXPECT_EQ(rejected(other), dicom::reject::kApplicationContextNotSupported);
    EXPECT_EQ(rejected(request("NOBODY")), dicom::reject::kCalledAeTitleNotRecognized);
    Peer first(port());
    ASSERT_TRUE(first.associate(request()));
    EXPECT_EQ(rejected(request()), dicom::reject::kLocalLimitExceeded);
    EXPECT_EQ(provider_->counters().rejected, 4u);
}

TEST_F(ProviderTest, Ps38_9_3_8_AbortsSayWhatWasWrong) {
    start();
    const auto aborted = [&](bool associated, ByteView bytes) {
        Peer peer(port());
        if (associated) {
            EXPECT_TRUE(peer.associate(request()));
        }
        peer.send(bytes);
        const auto answer = peer.pdu();
        EXPECT_TRUE(answer && std::holds_alternative<dicom::Abort>(*answer));
        peer.end();
        EXPECT_TRUE(peer.ended());
        return answer ? std::get<dicom::Abort>(*answer) : dicom::Abort{};
    };
    EXPECT_FALSE(aborted(false, echo(1)).by_provider) << "AA-1: data before an association";
    EXPECT_EQ(aborted(true, dicom::encode(request())).reason, dicom::AbortReason::unexpected_pdu);
    EXPECT_EQ(aborted(true, Bytes{9, 0, 0, 0, 0, 0}).reason, dicom::AbortReason::unrecognized_pdu);
    EXPECT_EQ(aborted(true, Bytes{4, 0, 0, 2, 0, 1}).reason, dicom::AbortReason::invalid_pdu_parameter_value);
    EXPECT_FALSE(aborted(true, echo(1, 5)).by_provider) << "a context that was not accepted";
    EXPECT_FALSE(aborted(true, echo(1, 99)).by_provider) << "a context that was never proposed";
    auto release_inside = store(1, Bytes(1'000, 0));
    release_inside.resize(release_inside.size() - 1'006 - 6);
    append(release_inside, dicom::encode(dicom::ReleaseRq{}));
    EXPECT_FALSE(aborted(true, release_inside).by_provider) << "release in the middle of a message";
    keeper_->leaves = true;
    EXPECT_FALSE(aborted(true, echo(1)).by_provider) << "the service left";
    keeper_->leaves = false;
    expect_alive();
}

TEST_F(ProviderTest, WhereverAPeerGoesAwayItCostsOnlyItself) {
    start();
    auto session = dicom::encode(request());
    const auto established = session.size();
    append(session, store(1, Bytes(50, 1)));
    append(session, dicom::encode(dicom::ReleaseRq{}));
    for (std::size_t cut = 0; cut < session.size(); cut += cut < established - 20 ? 37 : 1) {
        Peer peer(port());
        peer.send(ByteView(session).first(cut));
        if (cut % 2 == 0) peer.end();
    }
    expect_alive();
}

TEST_F(ProviderTest, Ps38_9_1_5_SilentPeersAreClosedAndOthersServedMeanwhile) {
    limits_.association.artim = 300ms;
    limits_.association.stall_timeout = 300ms;
    limits_.association.idle_timeout = 300ms;
    start();
    Peer silent(port());
    Peer half(port());
    half.send(ByteView(dicom::encode(request())).first(40));
    Peer stalled(port());
    ASSERT_TRUE(stalled.associate(request()));
    stalled.send(ByteView(store(1, Bytes(5'000, 0))).first(600));
    Peer idle(port());
    ASSERT_TRUE(idle.associate(request()));
    expect_alive();
    EXPECT_TRUE(silent.ended());
    EXPECT_TRUE(half.ended());
    EXPECT_TRUE(std::holds_alternative<dicom::Abort>(stalled.pdu().value()));
    EXPECT_TRUE(std::holds_alternative<dicom::Abort>(idle.pdu().value()));
    for (const auto& end : ends(3)) EXPECT_TRUE(end == "timeout" || end == "released") << end;
}

TEST_F(ProviderTest, ConnectionsWithoutAnAssociationKeepNobodyOut) {
    limits_.max_associations = 1;
    start();
    std::vector<std::unique_ptr<Peer>> silent;
    for (int i = 0; i < 80; ++i) silent.push_back(std::make_unique<Peer>(port()));
    expect_alive();
}

TEST_F(ProviderTest, All128ContextsAreAnsweredInOrder) {
    start();
    auto many = request();
    many.contexts.clear();
    for (int id = 255; id > 0; id -= 2)
        many.contexts.push_back(
            {static_cast<std::uint8_t>(id), std::string(kSecondaryCapture), std::vector<std::string>(40, "1.2.840.10008.1.2.4.90")});
    Peer peer(port());
    const auto accepted = peer.associate(many);
    ASSERT_TRUE(accepted);
    ASSERT_EQ(accepted->contexts.size(), 128u);
    for (std::size_t i = 0; i < 128; ++i) EXPECT_EQ(accepted->contexts[i].id, many.contexts[i].id);
}

TEST_F(ProviderTest, StopEndsARequestThatWouldBeAnsweredForLong) {
    start();
    Peer peer(port());
    ASSERT_TRUE(peer.associate(request()));
    peer.send(dicom::encode_message(3, find_command(1), Bytes(20, 0), 16'384));
    EXPECT_EQ(peer.command()->status, dicom::status::kPending);
    auto stopping = std::async(std::launch::async, [&] { provider_->stop(20s); });
    while (peer.command()) {  // until A-ABORT
    }
    peer.end();
    stopping.wait();
    EXPECT_EQ(ends(1), std::vector<std::string>{"cancelled"});
}

TEST_F(ProviderTest, StopBreaksWhatIsIdleAndLetsAMessageEnd) {
    start();
    Peer idle(port());
    ASSERT_TRUE(idle.associate(request()));
    Peer busy(port());
    ASSERT_TRUE(busy.associate(request()));
    const auto bytes = store(1, Bytes(5'000, 7));
    busy.send(ByteView(bytes).first(3'000));
    while (provider_->counters().accepted < 2) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(100ms);  // the first bytes of the message have come
    auto stopping = std::async(std::launch::async, [&] { provider_->stop(20s); });
    EXPECT_TRUE(idle.ended());
    busy.send(ByteView(bytes).subspan(3'000));
    EXPECT_EQ(busy.command()->status, dicom::status::kSuccess);
    EXPECT_TRUE(std::holds_alternative<dicom::Abort>(busy.pdu().value()));
    busy.end();
    stopping.wait();
    EXPECT_EQ(keeper_->kept.size(), 1u);
}

}  // namespace
}  // namespace fiducial::dimse
