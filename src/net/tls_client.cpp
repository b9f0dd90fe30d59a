#include "net/tls_client.hpp"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.hpp"

namespace fiducial::net {
namespace {

struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* connection) const { SSL_free(connection); }
    void operator()(addrinfo* addresses) const { ::freeaddrinfo(addresses); }
};

bool is_address(const std::string& host) {
    return host.find_first_not_of("0123456789.") == std::string::npos || host.find(':') != std::string::npos;
}

/// The read or write that failed says by errno whether it took too long.
Error broken(const std::string& where, std::string_view doing) {
    const bool late = errno == EAGAIN || errno == EWOULDBLOCK;
    ERR_clear_error();
    return {late ? ErrorCode::timeout : ErrorCode::unavailable,
            where + ": " + std::string(doing) + ": " + (late ? "it took too long" : "the peer broke the connection")};
}

}  // namespace

struct TlsClient::Impl {
    std::string where;
    int fd = -1;
    std::unique_ptr<SSL_CTX, Free> context;
    std::unique_ptr<SSL, Free> connection;

    ~Impl() {
        connection.reset();
        if (fd >= 0) ::close(fd);
    }
    Result<void> open_socket(const TlsClientSettings& settings);
};

TlsClient::TlsClient() : impl_(std::make_unique<Impl>()) {}
TlsClient::~TlsClient() = default;

Result<void> TlsClient::Impl::open_socket(const TlsClientSettings& settings) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(settings.host.c_str(), std::to_string(settings.port).c_str(), &hints, &found); error != 0)
        return fail(ErrorCode::unavailable, where + ": " + ::gai_strerror(error));
    const std::unique_ptr<addrinfo, Free> addresses(found);
    const timeval wait{static_cast<time_t>(settings.timeout.count() / 1000),
                       static_cast<suseconds_t>(settings.timeout.count() % 1000 * 1000)};
    int why = 0;
    for (const auto* address = found; address != nullptr; address = address->ai_next) {
        fd = ::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) return fail(ErrorCode::unavailable, where + ": " + std::strerror(errno));
        ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
        if (::connect(fd, address->ai_addr, address->ai_addrlen) == 0) return {};
        why = errno;
        ::close(std::exchange(fd, -1));
    }
    return fail(why == EINPROGRESS ? ErrorCode::timeout : ErrorCode::unavailable,
                where + ": " + (why == EINPROGRESS ? "nobody answers" : std::strerror(why)));
}

Result<std::unique_ptr<TlsClient>> TlsClient::connect(const TlsClientSettings& settings) {
    std::unique_ptr<TlsClient> client(new TlsClient);
    auto& self = *client->impl_;
    self.where = settings.host + ":" + std::to_string(settings.port);
    self.context.reset(SSL_CTX_new(TLS_client_method()));
    FID_INVARIANT(self.context != nullptr, "OpenSSL cannot start");
    auto* context = self.context.get();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (settings.authorities.empty()) {
        SSL_CTX_set_default_verify_paths(context);
    } else {
        FID_CHECK(File::open(settings.authorities, File::Mode::read));
        if (SSL_CTX_load_verify_locations(context, settings.authorities.c_str(), nullptr) != 1) {
            ERR_clear_error();
            return fail(ErrorCode::malformed, settings.authorities.string() + " holds no PEM certificates");
        }
    }
    FID_CHECK(self.open_socket(settings));
    self.connection.reset(SSL_new(context));
    auto* connection = self.connection.get();
    FID_INVARIANT(connection != nullptr, "OpenSSL makes no connection");
    if (is_address(settings.host)) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), settings.host.c_str());
    } else {
        SSL_set1_host(connection, settings.host.c_str());
        SSL_ctrl(connection, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(settings.host.c_str()));
    }
    SSL_set_fd(connection, self.fd);
    if (SSL_connect(connection) == 1) return client;
    if (const auto verdict = SSL_get_verify_result(connection); verdict != X509_V_OK) {
        ERR_clear_error();
        return fail(ErrorCode::unverified, self.where + ": its certificate: " + X509_verify_cert_error_string(verdict));
    }
    return fail(broken(self.where, "TLS handshake"));
}

Result<void> TlsClient::write(ByteView bytes) {
    auto& self = *impl_;
    std::size_t written = 0;
    if (bytes.empty() || SSL_write_ex(self.connection.get(), bytes.data(), bytes.size(), &written) == 1) return {};
    return fail(broken(self.where, "sending"));
}

Result<void> TlsClient::finish() {
    auto& self = *impl_;
    auto* connection = self.connection.get();
    const int said = SSL_shutdown(connection);
    if (said < 0) return fail(broken(self.where, "ending"));
    if (said == 1) return {};
    std::array<std::uint8_t, 1024> ignored{};
    for (;;) {
        errno = 0;
        const int got = SSL_read(connection, ignored.data(), static_cast<int>(ignored.size()));
        if (got > 0) continue;
        const int why = SSL_get_error(connection, got);
        const bool ended = why == SSL_ERROR_ZERO_RETURN ||
                           (why == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
        if (!ended) return fail(broken(self.where, "ending"));
        ERR_clear_error();
        return {};
    }
}

}  // namespace fiducial::net
