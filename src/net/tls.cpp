#include "net/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "base/file.hpp"

namespace fiducial::net {
namespace {

struct ContextFree {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

/// Spec: RFC 9325 §4.2, AEAD with ephemeral keys; TLS 1.3's own suites are all fit.
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

std::string last_tls_error() {
    std::array<char, 256> text{};
    ERR_error_string_n(ERR_get_error(), text.data(), text.size());
    ERR_clear_error();
    return text.data();
}

/// A passphrase is never asked for at the terminal.
int no_passphrase(char*, int, int, void*) {
    return 0;
}

/// The handshake proves that the peer has the certificate's key. Whose certificate it is, who uses the stream finds out.
int any_certificate(int, X509_STORE_CTX*) {
    return 1;
}

Result<void> check_files(const TlsSettings& settings) {
    for (const auto& path : {settings.certificate_file, settings.key_file}) {
        FID_CHECK(File::open(path, File::Mode::read));
    }
    struct stat status {};
    if (::stat(settings.key_file.c_str(), &status) != 0) return fail(error_from_errno(errno, "look at", settings.key_file));
    if ((status.st_mode & (S_IROTH | S_IWOTH)) != 0) {
        return fail(ErrorCode::invalid_argument, settings.key_file.native() + ": the TLS key can be read by everybody; chmod it to 0600");
    }
    return {};
}

}  // namespace

struct TlsContext::Impl {
    std::unique_ptr<SSL_CTX, ContextFree> context;
};

TlsContext::TlsContext() : impl_(std::make_unique<Impl>()) {}
TlsContext::~TlsContext() = default;
void* TlsContext::native() const {
    return impl_->context.get();
}

Result<void> TlsContext::prepare(bool server) {
    impl_->context.reset(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
    SSL_CTX* context = impl_->context.get();
    if (!context) return fail(ErrorCode::internal, "OpenSSL gave no context: " + last_tls_error());
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context,
                        SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    FID_INVARIANT(SSL_CTX_set_cipher_list(context, kCiphers12) == 1, "OpenSSL knows the cipher suites");
    FID_INVARIANT(SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1, "OpenSSL knows the curves");
    return {};
}

Result<void> TlsContext::use(const TlsSettings& settings) {
    FID_CHECK(check_files(settings));
    SSL_CTX* context = impl_->context.get();
    if (SSL_CTX_use_certificate_chain_file(context, settings.certificate_file.c_str()) != 1) {
        return fail(ErrorCode::malformed, settings.certificate_file.native() + ": not a PEM certificate: " + last_tls_error());
    }
    if (SSL_CTX_use_PrivateKey_file(context, settings.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
        const auto reason = ERR_GET_REASON(ERR_peek_error());
        const bool mismatch = ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509 && reason != 0;
        return fail(
            mismatch ? ErrorCode::invalid_argument : ErrorCode::malformed,
            settings.key_file.native() + ": not usable as the key of " + settings.certificate_file.native() + ": " + last_tls_error());
    }
    if (SSL_CTX_check_private_key(context) != 1) {
        return fail(ErrorCode::invalid_argument, settings.key_file.native() + ": not the key of " + settings.certificate_file.native());
    }
    ERR_clear_error();
    return {};
}

Result<std::shared_ptr<TlsContext>> TlsContext::server(const TlsSettings& settings) {
    std::shared_ptr<TlsContext> out(new TlsContext);
    FID_CHECK(out->prepare(true));
    FID_CHECK(out->use(settings));
    if (!settings.ask_for_certificate) return out;
    SSL_CTX* context = out->impl_->context.get();
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, any_certificate);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // each connection shows its certificate
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    return out;
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const std::optional<TlsSettings>& settings) {
    std::shared_ptr<TlsContext> out(new TlsContext);
    FID_CHECK(out->prepare(false));
    if (settings) FID_CHECK(out->use(*settings));
    SSL_CTX_set_verify(out->impl_->context.get(), SSL_VERIFY_PEER, any_certificate);
    return out;
}

}  // namespace fiducial::net
