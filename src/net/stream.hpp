#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "net/runtime.hpp"
#include "net/task.hpp"
#include "net/tls.hpp"

namespace fiducial::net {

/// A connected TCP or TLS byte stream, TCP_NODELAY.
/// Errors:  cancelled after close(), timeout after the deadline, unavailable when the peer broke it
/// Threads: the calls of one stream are made by coroutines of its own executor, one read and one write at a time; close() from anywhere
class Stream {
public:
    virtual ~Stream() = default;
    /// Finishes the TLS handshake, if there is one. To be called first. Errors: malformed as well (no TLS, no common version).
    virtual Task<Result<void>> handshake() = 0;
    /// Returns: bytes read, 0 at the peer's orderly end. Over TLS an end without close_notify is an error (truncation).
    virtual Task<Result<std::size_t>> read_some(MutableByteView out) = 0;
    /// Reads what has come already. Returns: bytes read, 0 at the peer's orderly end; nothing where none have come.
    virtual Result<std::optional<std::size_t>> read_available(MutableByteView out) = 0;
    /// Writes all of both, gathered into as few segments as can be.
    virtual Task<Result<void>> write(ByteView first, ByteView second) = 0;
    /// Ends the connection in order: says to the peer that no more comes, discards what it still sends for up to linger, closes.
    virtual Task<void> finish(std::chrono::milliseconds linger) = 0;
    /// The operation that is running and later ones fail with timeout after this moment. After a read that came too late the stream
    /// can still be written; after a write it can only be closed.
    virtual void set_deadline(std::chrono::steady_clock::time_point deadline) = 0;
    /// Breaks the connection at once; running operations end with cancelled. The peer sees it broken (RST; over TLS without
    /// close_notify), never ended in order.
    virtual void close() = 0;

    /// The strand on which the stream lives: spawn with Runtime::spawn_on().
    virtual Executor executor() = 0;
    virtual const std::string& peer() const = 0;  // "192.0.2.1:104", "[2001:db8::1]:104"
    virtual bool secure() const = 0;
    /// SHA-256 of the certificate (DER) that the peer has shown, and whose key it has; empty: none. Known once the handshake is over.
    virtual const std::string& certificate() const = 0;
};

struct ConnectSettings {
    std::string address;  // numeric
    std::uint16_t port = 0;
    std::chrono::milliseconds timeout{10'000};
    bool quick_acknowledgements = false;  // as in ListenSettings
    std::shared_ptr<TlsContext> tls{};    // none: plain
};
/// Connects. The stream lives on the executor of the coroutine that awaits this. Requires: that is a strand.
/// Errors: invalid_argument (address); unavailable: nobody answers there; timeout
Task<Result<std::shared_ptr<Stream>>> connect(ConnectSettings settings);

struct ListenSettings {
    std::string address = "127.0.0.1";         // numeric; "0.0.0.0" and "::" mean all
    std::uint16_t port = 0;                    // 0: any free one
    std::shared_ptr<TlsContext> tls;           // none: plain
    bool allow_plain_beyond_loopback = false;  // for a door with rules of its own (DIMSE); never for HTTP
    /// Acknowledges what was read at once, for peers that hold back the rest of a message until it is (Nagle's algorithm and delayed
    /// acknowledgements wait for each other, 40 ms each time).
    bool quick_acknowledgements = false;
};

/// A listening socket. Requires: destroyed before the Runtime.
/// Threads: accept() by one coroutine at a time; close() from anywhere.
class Listener {
public:
    /// Errors: invalid_argument (address; plain beyond loopback).
    static Result<void> check(const ListenSettings& settings);
    /// Errors: those of check; conflict (port taken); permission.
    static Result<std::unique_ptr<Listener>> open(Runtime& runtime, const ListenSettings& settings);
    ~Listener();
    std::uint16_t port() const;
    /// Returns: the next connection, on a strand of its own; its coroutine runs there (Runtime::spawn_on).
    /// Errors: cancelled after close(); unavailable for the passing kind (out of descriptors): wait and try again.
    /// Requires: awaited on executor().
    Task<Result<std::shared_ptr<Stream>>> accept();
    Executor executor() const;
    void close();

private:
    Listener();
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace fiducial::net
