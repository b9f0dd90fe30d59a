#pragma once
#include <filesystem>
#include <memory>

#include "base/result.hpp"

namespace fiducial::net {

struct TlsSettings {
    std::filesystem::path certificate_file;  // PEM: the server's, then its chain
    std::filesystem::path key_file;          // PEM, without a passphrase, readable by its owner only
};

/// A server's TLS identity.
/// Spec: RFC 9325: TLS 1.3 and 1.2 only; in 1.2 only ECDHE with AEAD; no compression, no renegotiation
class TlsContext {
public:
    /// Errors: not_found, permission, malformed; invalid_argument when key and certificate do not belong together, or others can read the
    /// key.
    static Result<std::shared_ptr<TlsContext>> server(const TlsSettings& settings);
    ~TlsContext();
    /// For the room's own streams: an SSL_CTX of OpenSSL.
    void* native() const;

private:
    TlsContext();
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fiducial::net
