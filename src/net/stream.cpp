#include "net/stream.hpp"

#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "base/hex.hpp"

namespace fiducial::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr auto kCancelAgain = std::chrono::milliseconds(200);
constexpr std::size_t kGatherTls = 262'144;  // beyond that, copying costs more than a record does

std::string text_of(const tcp::endpoint& endpoint) {
    const auto address = endpoint.address();
    const auto text = address.to_string();
    return (address.is_v6() ? "[" + text + "]" : text) + ":" + std::to_string(endpoint.port());
}

constexpr auto kTurn = std::chrono::milliseconds(10);  // without waiting for its peer, before others on its thread have theirs

/// A TCP socket with a deadline; Tls adds its layer on top of it.
class TcpStream : public Stream, public std::enable_shared_from_this<TcpStream> {
public:
    TcpStream(tcp::socket socket, bool quick_acknowledgements)
        : socket_(std::move(socket)), timer_(socket_.get_executor()), quick_acknowledgements_(quick_acknowledgements) {
        error_code ignored;
        socket_.set_option(tcp::no_delay(true), ignored);
        socket_.non_blocking(true, ignored);
        const auto endpoint = socket_.remote_endpoint(ignored);
        peer_ = text_of(endpoint);
    }

    Task<Result<void>> handshake() override { co_return Result<void>(); }

    // What the system gives or takes at once is moved at once: going by way of Asio wakes another thread for every piece, which costs more
    // than most pieces do.

    Task<Result<std::size_t>> read_some(MutableByteView out) override {
        FID_CO_TRY(const auto available, read_available_from(socket_, out));
        if (available) {
            if (is_turn_over()) co_await let_others();
            co_return *available;
        }
        auto [error, count] = co_await socket_.async_read_some(asio::buffer(out.data(), out.size()), kToken);
        begin_turn();
        if (error == asio::error::eof) co_return std::size_t{0};
        if (error) co_return fail(translate(error));
        acknowledge();
        co_return count;
    }

    Result<std::optional<std::size_t>> read_available(MutableByteView out) override { return read_available_from(socket_, out); }

    Task<Result<void>> write(ByteView first, ByteView second) override {
        while (!first.empty() || !second.empty()) {
            if (dead()) co_return fail(translate({}));
            const std::array<asio::const_buffer, 2> pieces{asio::buffer(first.data(), first.size()),
                                                           asio::buffer(second.data(), second.size())};
            error_code error;
            std::size_t count = socket_.write_some(pieces, error);
            if (error == asio::error::would_block) {
                auto [failed] = co_await socket_.async_wait(tcp::socket::wait_write, kToken);
                error = failed;
                begin_turn();
            }
            if (error) co_return fail(translate(error));
            if (is_turn_over()) co_await let_others();
            const auto of_first = std::min(count, first.size());
            first = first.subspan(of_first);
            second = second.subspan(count - of_first);
        }
        co_return Result<void>();
    }

    Task<void> finish(std::chrono::milliseconds linger) override {
        set_deadline(SteadyClock::now() + linger);
        co_await finish_tcp();
    }

    void set_deadline(SteadyClock::time_point deadline) override {
        deadline_ = deadline;
        timed_out_ = false;
        if (closed_) return;
        if (deadline == SteadyClock::time_point::max()) return;
        if (!waiting_ || deadline < timer_.expiry()) wait_until_deadline();
    }

    void close() override {
        asio::post(socket_.get_executor(), [self = shared_from_this()] { self->close_now(true); });
    }

    Executor executor() override { return socket_.get_executor(); }
    const std::string& peer() const override { return peer_; }
    bool secure() const override { return false; }
    const std::string& certificate() const override { return certificate_; }

protected:
    Task<void> finish_tcp() {
        error_code ignored;
        socket_.shutdown(tcp::socket::shutdown_send, ignored);
        Bytes rubbish(16'384);
        while (!closed_ && !timed_out_) {
            auto [error, count] = co_await socket_.async_read_some(asio::buffer(rubbish), kToken);
            if (error) break;
        }
        close_now(false);
    }

    template <typename Layer>
    Result<std::optional<std::size_t>> read_available_from(Layer& layer, MutableByteView out) {
        if (dead()) return fail(translate({}));
        error_code error;
        const auto count = layer.read_some(asio::buffer(out.data(), out.size()), error);
        if (error == asio::error::would_block) return std::optional<std::size_t>();
        if (error == asio::error::eof) return std::optional<std::size_t>(0);
        if (error) return fail(translate(error));
        acknowledge();
        return std::optional<std::size_t>(count);
    }

    Error translate(const error_code& error) const {
        if (closed_) return {ErrorCode::cancelled, "the connection was closed here"};
        if (timed_out_) return {ErrorCode::timeout, "the peer was too slow"};
        return {ErrorCode::unavailable, "the connection broke: " + error.message()};
    }

    bool dead() const { return closed_ || timed_out_; }

    bool is_turn_over() const { return SteadyClock::now() - turn_began_ >= kTurn; }
    void begin_turn() { turn_began_ = SteadyClock::now(); }
    Task<void> let_others() {
        co_await asio::post(socket_.get_executor(), asio::use_awaitable);
        begin_turn();
    }

    /// The system forgets it, so that it is said anew after each read.
    void acknowledge() {
        const int on = 1;
        if (quick_acknowledgements_) ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    }

    tcp::socket socket_;
    std::string certificate_;

private:
    void close_now(bool reset) {
        if (closed_) return;
        closed_ = true;
        error_code ignored;
        if (reset) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
        socket_.close(ignored);
        timer_.cancel();
    }

    void wait_until_deadline() {
        waiting_ = true;
        timer_.expires_at(deadline_);  // ends a wait that runs
        timer_.async_wait([weak = weak_from_this()](const error_code& error) {
            const auto self = weak.lock();
            if (!self || error) return;
            self->waiting_ = false;
            if (self->closed_ || self->deadline_ == SteadyClock::time_point::max()) return;
            if (SteadyClock::now() < self->deadline_) return self->wait_until_deadline();
            self->timed_out_ = true;
            error_code ignored;
            self->socket_.cancel(ignored);
            self->deadline_ = SteadyClock::now() + kCancelAgain;  // an operation made of several may have been between two of them
            self->wait_until_deadline();
        });
    }

    asio::steady_timer timer_;
    const bool quick_acknowledgements_;
    SteadyClock::time_point deadline_ = SteadyClock::time_point::max();
    bool waiting_ = false;
    bool timed_out_ = false;
    bool closed_ = false;
    SteadyClock::time_point turn_began_ = SteadyClock::now();
    std::string peer_;
};

/// Empty where the peer has shown no certificate.
std::string fingerprint_of(SSL* tls) {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(tls), X509_free);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (!certificate || X509_digest(certificate.get(), EVP_sha256(), digest.data(), &size) != 1) return {};
    return to_hex(ByteView(digest).first(size));
}

class TlsStream final : public TcpStream {
public:
    using Side = asio::ssl::stream_base::handshake_type;
    TlsStream(tcp::socket socket, bool quick_acknowledgements, std::shared_ptr<TlsContext> context, Side side)
        : TcpStream(std::move(socket), quick_acknowledgements),
          context_(std::move(context)),
          side_(side),
          tls_(socket_, SSL_new(static_cast<SSL_CTX*>(context_->native()))) {}

    Task<Result<void>> handshake() override {
        auto [error] = co_await tls_.async_handshake(side_, kToken);
        if (error) {
            auto translated = translate(error);
            if (error.category() == asio::error::get_ssl_category())
                translated = {ErrorCode::malformed, "TLS handshake: " + error.message()};
            co_return fail(translated);
        }
        certificate_ = fingerprint_of(tls_.native_handle());
        co_return Result<void>();
    }

    Task<Result<std::size_t>> read_some(MutableByteView out) override {
        if (dead()) co_return fail(translate({}));
        auto [error, count] = co_await tls_.async_read_some(asio::buffer(out.data(), out.size()), kToken);
        if (error == asio::error::eof) co_return std::size_t{0};
        if (error) co_return fail(translate(error));
        acknowledge();
        co_return count;
    }

    Result<std::optional<std::size_t>> read_available(MutableByteView out) override { return read_available_from(tls_, out); }

    Task<Result<void>> write(ByteView first, ByteView second) override {
        // One record at a time is taken from one buffer: gather small pieces, so that they share records.
        const std::size_t total = first.size() + second.size();
        if (!first.empty() && !second.empty() && total <= kGatherTls) {
            gathered_.assign(first.begin(), first.end());
            gathered_.insert(gathered_.end(), second.begin(), second.end());
            first = gathered_;
            second = {};
        }
        const std::array<asio::const_buffer, 2> pieces{asio::buffer(first.data(), first.size()),
                                                       asio::buffer(second.data(), second.size())};
        auto [error, count] = co_await asio::async_write(tls_, pieces, kToken);
        if (error) co_return fail(translate(error));
        co_return Result<void>();
    }

    Task<void> finish(std::chrono::milliseconds linger) override {
        set_deadline(SteadyClock::now() + linger);
        static_cast<void>(co_await tls_.async_shutdown(kToken));
        co_await finish_tcp();
    }

    bool secure() const override { return true; }

private:
    std::shared_ptr<TlsContext> context_;
    const Side side_;
    asio::ssl::stream<tcp::socket&> tls_;
    Bytes gathered_;
};

Result<tcp::endpoint> endpoint_of(const ListenSettings& settings) {
    error_code error;
    const auto address = asio::ip::make_address(settings.address, error);
    if (error) return fail(ErrorCode::invalid_argument, "listen address " + settings.address + " is not a numeric IP address");
    if (!settings.tls && !settings.allow_plain_beyond_loopback && !address.is_loopback()) {
        return fail(ErrorCode::invalid_argument, "refusing to listen on " + settings.address +
                                                     " without TLS: give a certificate and a key, or listen on 127.0.0.1 or ::1");
    }
    return tcp::endpoint(address, settings.port);
}

}  // namespace

Task<Result<std::shared_ptr<Stream>>> connect(ConnectSettings settings) {
    error_code error;
    const auto address = asio::ip::make_address(settings.address, error);
    if (error) co_return fail(ErrorCode::invalid_argument, settings.address + " is not a numeric IP address");
    const auto executor = co_await asio::this_coro::executor;
    const auto socket = std::make_shared<tcp::socket>(executor);
    bool too_late = false;
    asio::steady_timer timer(executor, settings.timeout);
    timer.async_wait([weak = std::weak_ptr(socket), &too_late](const error_code& stopped) {
        const auto waiting = weak.lock();  // else the coroutine has ended, and too_late with it
        if (stopped || !waiting) return;
        too_late = true;
        error_code ignored;
        waiting->close(ignored);
    });
    const tcp::endpoint endpoint(address, settings.port);
    auto [failed] = co_await socket->async_connect(endpoint, kToken);
    timer.cancel();
    if (too_late) co_return fail(ErrorCode::timeout, "nobody answers at " + text_of(endpoint));
    if (failed) co_return fail(ErrorCode::unavailable, "connecting to " + text_of(endpoint) + ": " + failed.message());
    std::shared_ptr<Stream> out;
    if (settings.tls)
        out =
            std::make_shared<TlsStream>(std::move(*socket), settings.quick_acknowledgements, settings.tls, asio::ssl::stream_base::client);
    else
        out = std::make_shared<TcpStream>(std::move(*socket), settings.quick_acknowledgements);
    co_return out;
}

struct Listener::Impl {
    explicit Impl(const Executor& executor) : base(executor), strand(asio::make_strand(executor)), acceptor(strand) {}
    Executor base;
    Executor strand;
    tcp::acceptor acceptor;
    std::shared_ptr<TlsContext> tls;
    bool quick_acknowledgements = false;
    std::uint16_t port = 0;
    bool closed = false;  // on the strand
};

Listener::Listener() = default;
Listener::~Listener() {
    if (impl_) close();
}

Result<void> Listener::check(const ListenSettings& settings) {
    FID_CHECK(endpoint_of(settings));
    return {};
}

Result<std::unique_ptr<Listener>> Listener::open(Runtime& runtime, const ListenSettings& settings) {
    FID_TRY(const auto endpoint, endpoint_of(settings));
    std::unique_ptr<Listener> out(new Listener);
    out->impl_ = std::make_shared<Impl>(runtime.executor());
    out->impl_->tls = settings.tls;
    out->impl_->quick_acknowledgements = settings.quick_acknowledgements;
    auto& acceptor = out->impl_->acceptor;
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
        ErrorCode code = ErrorCode::unavailable;
        if (error == asio::error::address_in_use) code = ErrorCode::conflict;
        if (error == asio::error::access_denied) code = ErrorCode::permission;
        if (error == boost::system::errc::address_not_available) code = ErrorCode::invalid_argument;
        return fail(code, "listen on " + text_of(endpoint) + ": " + error.message());
    }
    out->impl_->port = acceptor.local_endpoint(error).port();
    return out;
}

std::uint16_t Listener::port() const {
    return impl_->port;
}
Executor Listener::executor() const {
    return impl_->strand;
}

Task<Result<std::shared_ptr<Stream>>> Listener::accept() {
    const auto impl = impl_;
    for (;;) {
        if (impl->closed) co_return fail(ErrorCode::cancelled, "the listener is closed");
        const Executor strand = asio::make_strand(impl->base);
        auto [error, socket] = co_await impl->acceptor.async_accept(strand, kToken);
        if (impl->closed) co_return fail(ErrorCode::cancelled, "the listener is closed");
        if (error == asio::error::connection_aborted || error == asio::error::interrupted) continue;
        if (error) co_return fail(ErrorCode::unavailable, "accept: " + error.message());
        std::shared_ptr<Stream> out;
        if (impl->tls) {
            out = std::make_shared<TlsStream>(std::move(socket), impl->quick_acknowledgements, impl->tls, asio::ssl::stream_base::server);
        } else {
            out = std::make_shared<TcpStream>(std::move(socket), impl->quick_acknowledgements);
        }
        co_return out;
    }
}

void Listener::close() {
    asio::post(impl_->strand, [impl = impl_] {
        impl->closed = true;
        error_code ignored;
        impl->acceptor.close(ignored);
    });
}

}  // namespace fiducial::net
