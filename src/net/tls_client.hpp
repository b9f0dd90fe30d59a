#pragma once
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "base/bytes.hpp"

namespace fiducial::net {

struct TlsClientSettings {
    std::string host;  // a name or an address: what the server's certificate must be for
    std::uint16_t port = 0;
    std::filesystem::path authorities;  // PEM: whom to believe; empty: the system's
    std::chrono::milliseconds timeout{10'000};
};

/// A TLS connection that only sends, blocking.
/// Spec: RFC 9325: TLS 1.3 and 1.2 only; RFC 9525: the certificate is for the host.
/// Threads: one at a time.
class TlsClient {
public:
    /// Errors: unavailable: nobody answers there; timeout; unverified: the certificate is not one to believe; not_found, malformed: the
    /// file of authorities.
    static Result<std::unique_ptr<TlsClient>> connect(const TlsClientSettings& settings);
    ~TlsClient();
    /// Errors: unavailable: the peer broke it; timeout.
    Result<void> write(ByteView bytes);
    /// Says that no more comes, and waits until the peer has ended in order, too: then it has read all of it.
    /// Errors: unavailable: it broke the connection instead; timeout.
    Result<void> finish();

private:
    TlsClient();
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fiducial::net
