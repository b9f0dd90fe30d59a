#pragma once
#include <filesystem>
#include <memory>
#include <optional>

#include "base/result.hpp"

namespace fiducial::net {

struct TlsSettings {
    std::filesystem::path certificate_file;  // PEM: the server's, then its chain
    std::filesystem::path key_file;          // PEM, without a passphrase, readable by its owner only
    bool ask_for_certificate = false;        // of clients: they are let in without one, or with any (Stream::certificate())
};

/// A side's TLS identity. Authorities are not asked: who a peer is, its certificate's fingerprint says to whoever knows it.
/// Spec: RFC 9325: TLS 1.3 and 1.2 only; in 1.2 only ECDHE with AEAD; no compression, no renegotiation
class TlsContext {
public:
    /// Errors: not_found, permission, malformed; invalid_argument when key and certificate do not belong together, or others can read the
    /// key.
    static Result<std::shared_ptr<TlsContext>> server(const TlsSettings& settings);
    /// A client's; without settings it shows no certificate. Errors: likewise.
    static Result<std::shared_ptr<TlsContext>> client(const std::optional<TlsSettings>& settings);
    ~TlsContext();
    /// For the room's own streams: an SSL_CTX of OpenSSL.
    void* native() const;

private:
    TlsContext();
    Result<void> prepare(bool server);
    Result<void> use(const TlsSettings& settings);
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fiducial::net
