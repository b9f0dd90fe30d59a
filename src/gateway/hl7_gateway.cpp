#include "gateway/hl7_gateway.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "archive/worklist.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "gateway/impl/hl7_order.hpp"
#include "net/connection_server.hpp"

namespace fiducial::gateway {
namespace impl {
namespace {

using std::chrono::steady_clock;
constexpr std::chrono::seconds kHandshake{10};
constexpr std::chrono::seconds kInsideMessage{30};  // without a byte
constexpr std::chrono::hours kBetweenMessages{24};  // senders keep their connections
constexpr std::chrono::milliseconds kLinger{1'000};

/// "2026-12-01T08:30:00.123Z" → "20261201083000"
std::string hl7_time(SystemTime now) {
    auto text = to_rfc3339(now).substr(0, 19);
    std::erase_if(text, [](char c) { return c < '0' || c > '9'; });
    return text;
}

}  // namespace

/// What all connections share.
struct Hl7Door {
    archive::Archive& archive;
    const Hl7GatewaySettings settings;
    net::BlockingPool working;
    std::atomic<std::uint64_t> answers = 0, turned_away = 0;
    mutable std::mutex mutex;
    std::map<std::string, std::uint64_t, std::less<>> counts;  // by the answer's code

    Hl7Door(archive::Archive& used, Hl7GatewaySettings given)
        : archive(used), settings(std::move(given)), working("hl7", settings.threads, settings.max_connections) {}

    const DimsePeer* sender_of(const net::Stream& stream) const {
        const auto address = address_of_socket(stream.peer());
        const auto* sender = address ? find_peer(settings.senders, "", *address) : nullptr;
        return sender != nullptr && (stream.secure() || sender->plain || sender->is_loopback()) ? sender : nullptr;
    }
    void count(std::string_view code) {
        const std::lock_guard lock(mutex);
        ++counts[std::string(code)];
    }
};

namespace {

/// What an error of the archive is answered with. What may pass is a refusal (AR), so that the sender tries again.
Hl7Answer answer_for(const Error& error, const Hl7Place& place) {
    switch (error.code) {
        case ErrorCode::invalid_argument:
        case ErrorCode::malformed: return {"AE", "102", place, error.message};
        case ErrorCode::not_found: return {"AE", "204", place, error.message};
        case ErrorCode::conflict: return {"AE", "206", place, error.message};
        case ErrorCode::denied:
        case ErrorCode::unauthenticated: return {"AR", "207", {}, "the sender may not change the worklist"};
        default: return {"AR", "207", {}, std::string(describe(error.code).text)};
    }
}

/// Blocking.
Hl7Answer take(archive::Archive& archive, const DimsePeer& sender, const std::string& peer, const Hl7Message& message) {
    const auto read = read_hl7_orders(message);
    if (const auto* refused = std::get_if<Hl7Answer>(&read)) return *refused;
    const auto& orders = std::get<Hl7Orders>(read);
    auto who = archive.authenticate_device(sender.device);
    if (!who) return answer_for(Error{ErrorCode::denied, who.error().message}, {});
    who->address = "hl7 " + peer;
    who->door = "hl7";
    auto& worklist = archive.worklist();
    if (!orders.scheduled.empty()) {
        const auto scheduled = worklist.schedule(*who, orders.scheduled, "hl7");
        if (!scheduled) return answer_for(scheduled.error(), {"ORC"});
    }
    for (const auto& cancelled : orders.cancelled) {
        const auto done = worklist.cancel(*who, cancelled.accession_number, cancelled.step_id);
        if (!done) return answer_for(done.error(), cancelled.place);
    }
    return {};
}

/// One sender, message by message. Each is answered before the next is looked at.
class Hl7Connection final : public net::Connection {
public:
    Hl7Connection(std::shared_ptr<Hl7Door> door, std::shared_ptr<net::Stream> stream)
        : door_(std::move(door)), stream_(std::move(stream)), idle_since_(steady_clock::now().time_since_epoch().count()) {}

    std::int64_t idle_since() const override { return idle_since_; }
    net::Stream& stream() override { return *stream_; }

    net::Task<void> run() override {
        stream_->set_deadline(steady_clock::now() + kHandshake);
        const auto* sender = door_->sender_of(*stream_);
        if (sender == nullptr) {
            ++door_->turned_away;
            door_->archive.turned_away("hl7", stream_->peer());
            log::warning("gateway", "a sender of HL7 messages was turned away: its address is in no line of [hl7] senders",
                         {{"peer", stream_->peer()}});
            stream_->close();
            co_return;
        }
        auto served = co_await stream_->handshake();
        if (served) served = co_await serve(*sender);
        log::info("gateway", "a sender of HL7 messages left",
                  {{"peer", stream_->peer()}, {"messages", messages_}, {"why", served ? std::string() : served.error().message}});
        co_await stream_->finish(kLinger);
    }

private:
    net::Task<Result<void>> serve(const DimsePeer& sender) {
        Bytes piece(16'384), message;
        for (;;) {
            const bool waits = reader_.at_rest();
            idle_since_ = waits ? steady_clock::now().time_since_epoch().count() : 0;
            stream_->set_deadline(steady_clock::now() + (waits ? std::chrono::seconds(kBetweenMessages) : kInsideMessage));
            const auto room = MutableByteView(piece);
            FID_CO_TRY(const auto got, co_await stream_->read_some(room));
            if (got == 0) co_return Result<void>();
            idle_since_ = 0;
            const auto fed = reader_.feed(ByteView(piece).first(got));
            while (reader_.next(message)) FID_CO_CHECK(co_await answer(sender, message));
            if (!fed) {
                const Hl7Answer refused{"AR", "207", {}, fed.error().message};
                FID_CO_CHECK(co_await send(nullptr, refused));
                co_return fed;
            }
        }
    }

    net::Task<Result<void>> answer(const DimsePeer& sender, const Bytes& bytes) {
        ++messages_;
        auto parsed = Hl7Message::parse(bytes);
        if (!parsed) {
            const Hl7Answer unreadable{"AR", "102", {"MSH"}, parsed.error().message};
            co_return co_await send(nullptr, unreadable);
        }
        auto work = [&]() -> Result<Hl7Answer> { return take(door_->archive, sender, stream_->peer(), *parsed); };
        auto taken = co_await door_->working.run(work);
        if (!taken) taken = answer_for(taken.error(), {});
        co_return co_await send(&*parsed, *taken);
    }

    net::Task<Result<void>> send(const Hl7Message* message, const Hl7Answer& answer) {
        door_->count(answer.code);
        if (answer.code != "AA")
            log::warning("gateway", "an HL7 message was refused",
                         {{"peer", stream_->peer()},
                          {"answer", answer.code},
                          {"segment", answer.place.segment},
                          {"field", answer.place.field},
                          {"why", answer.text}});
        const auto id = "F" + std::to_string(system_clock().now().time_since_epoch().count()) + "." + std::to_string(++door_->answers);
        const auto text = frame_mllp(encode_hl7_answer(message, answer, hl7_time(system_clock().now()), id));
        stream_->set_deadline(steady_clock::now() + kInsideMessage);
        co_return co_await stream_->write(as_bytes(text), ByteView());
    }

    const std::shared_ptr<Hl7Door> door_;
    const std::shared_ptr<net::Stream> stream_;
    std::atomic<std::int64_t> idle_since_;
    MllpReader reader_;
    std::uint64_t messages_ = 0;
};

Result<net::ListenSettings> listen_settings(const Hl7GatewaySettings& settings) {
    if (settings.senders.empty()) return fail(ErrorCode::invalid_argument, "[hl7] senders: there are none, so that nobody could come");
    net::ListenSettings listen;
    listen.address = settings.address;
    listen.port = settings.port;
    if (settings.tls) {
        FID_TRY(listen.tls, net::TlsContext::server(*settings.tls));
        return listen;
    }
    for (const auto& sender : settings.senders) {
        if (!sender.plain && !sender.is_loopback())
            return fail(ErrorCode::invalid_argument,
                        "[hl7] senders: " + sender.network_text() + " could not come: there is no TLS, and it is not listed as plain");
    }
    listen.allow_plain_beyond_loopback = true;  // each sender's address is listed, and each one beyond this machine as plain
    return listen;
}

}  // namespace
}  // namespace impl

Result<DimsePeer> parse_hl7_sender(std::string_view text) {
    auto sender = parse_dimse_peer("* " + std::string(text));
    const bool fits = sender && !sender->query && !sender->retrieve && !sender->worklist && sender->port == 0;
    if (!fits)
        return fail(ErrorCode::invalid_argument,
                    "[hl7] senders: \"" + std::string(text) + "\": an address or a network, then if need be plain, device=NAME");
    return sender;
}

struct Hl7Gateway::Impl {
    std::shared_ptr<impl::Hl7Door> door;
    std::unique_ptr<net::ConnectionServer> server;
};

Hl7Gateway::Hl7Gateway() : impl_(std::make_unique<Impl>()) {}
Hl7Gateway::~Hl7Gateway() {
    stop(std::chrono::milliseconds(0));
}

Result<void> Hl7Gateway::check(const Hl7GatewaySettings& settings) {
    FID_TRY(const auto listen, impl::listen_settings(settings));
    return net::Listener::check(listen);
}

Result<std::unique_ptr<Hl7Gateway>> Hl7Gateway::start(net::Runtime& runtime, archive::Archive& archive, Hl7GatewaySettings settings) {
    FID_TRY(const auto listen, impl::listen_settings(settings));
    auto door = std::make_shared<impl::Hl7Door>(archive, std::move(settings));
    std::unique_ptr<Hl7Gateway> out(new Hl7Gateway);
    out->impl_->door = door;
    auto serve = [door](std::shared_ptr<net::Stream> stream) -> std::shared_ptr<net::Connection> {
        return std::make_shared<impl::Hl7Connection>(door, std::move(stream));
    };
    FID_TRY(out->impl_->server,
            net::ConnectionServer::start(runtime, listen, door->settings.max_connections, "hl7 connection", std::move(serve)));
    log::info("gateway", "listening for HL7",
              {{"address", door->settings.address}, {"port", out->port()}, {"tls", door->settings.tls.has_value()}});
    return out;
}

std::uint16_t Hl7Gateway::port() const {
    return impl_->server->port();
}

std::vector<archive::Metric> Hl7Gateway::metrics() const {
    const auto& door = *impl_->door;
    std::vector<archive::Metric> out{
        {"fiducial_hl7_connections", "HL7 connections open now.", "gauge", {}, static_cast<double>(impl_->server->counters().connections)},
        {"fiducial_hl7_turned_away_total",
         "HL7 connections from addresses that are not listed.",
         "counter",
         {},
         static_cast<double>(door.turned_away)}};
    const std::lock_guard lock(door.mutex);
    for (const auto& [code, count] : door.counts)
        out.push_back({"fiducial_hl7_messages_total",
                       "HL7 messages, by what was answered.",
                       "counter",
                       {{"answer", code}},
                       static_cast<double>(count)});
    return out;
}

void Hl7Gateway::stop(std::chrono::milliseconds grace) {
    if (impl_->server) impl_->server->stop(grace);
    if (impl_->door) impl_->door->working.stop();
}

}  // namespace fiducial::gateway
