#pragma once
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "archive/trace_export.hpp"
#include "database/database.hpp"
#include "net/tls_client.hpp"

namespace fiducial::archive {

/// Gives the trace's entries, as DICOM audit messages, to a syslog server: each at least once, in order. What was not taken waits where it
/// is, in the trace, and how far it was taken in the index.
/// Spec: PS3.15 A.6; RFC 5425 (TLS, octet counting), RFC 5424.
/// Threads: safe; one of its own.
class SyslogFeed {
public:
    struct Settings {
        net::TlsClientSettings server;
        AuditSource source;
        std::string host_name;
    };
    using OpenReader = std::function<Result<TraceReader>()>;
    /// Requires: what is referred to outlives it. From the first time on it begins with what comes then.
    SyslogFeed(const audit::Trace& trace, database::Database& database, crypto::Secret row_key, Settings settings, OpenReader open_reader);
    ~SyslogFeed();
    /// "10.0.0.1:6514", "logs.example.org:6514", "[2001:db8::1]:6514". Errors: invalid_argument.
    static Result<net::TlsClientSettings> parse_server(std::string_view text);

    /// Why entries wait; empty: none do, or only for a moment.
    std::string problem() const;
    std::uint64_t waiting() const;

private:
    Result<std::uint64_t> taken() const;
    Result<void> set_taken(std::uint64_t entries);
    /// Sends what waits, at most a batch. Returns: entries taken.
    Result<std::uint64_t> send_batch();
    Result<std::string> message(std::uint64_t index, const audit::StoredEntry& entry);
    void run(const std::stop_token& stop);

    const audit::Trace& trace_;
    database::Database& database_;
    const crypto::Secret row_key_;
    const Settings settings_;
    const OpenReader open_reader_;
    std::optional<TraceReader> reader_;
    SystemTime reader_opened_{};
    mutable std::mutex mutex_;
    std::string problem_;
    std::uint64_t taken_ = 0;
    std::condition_variable_any wakes_;
    std::jthread thread_;
};

}  // namespace fiducial::archive
