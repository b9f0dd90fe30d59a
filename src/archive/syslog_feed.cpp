#include "archive/syslog_feed.hpp"

#include <unistd.h>

#include <charconv>

#include "archive/facts.hpp"
#include "base/log.hpp"

namespace fiducial::archive {
namespace {

constexpr std::string_view kTakenFact = "trace-syslog";
constexpr std::uint64_t kBatch = 512;  // entries to a connection: what may come twice
constexpr std::chrono::seconds kLookEvery{1}, kLongestPause{60};
constexpr int kPriority = 10 * 8 + 5;  // security, notice

}  // namespace

Result<net::TlsClientSettings> SyslogFeed::parse_server(std::string_view text) {
    const auto wrong = [&] { return fail(ErrorCode::invalid_argument, "[trace] syslog: '" + std::string(text) + "' is not HOST:PORT"); };
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return wrong();
    net::TlsClientSettings server;
    auto host = text.substr(0, colon);
    const auto port = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), server.port);
    if (error != std::errc() || end != port.data() + port.size() || server.port == 0) return wrong();
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    server.host = host;
    return server;
}

SyslogFeed::SyslogFeed(const audit::Trace& trace, database::Database& database, crypto::Secret row_key, Settings settings,
                       OpenReader open_reader)
    : trace_(trace),
      database_(database),
      row_key_(std::move(row_key)),
      settings_(std::move(settings)),
      open_reader_(std::move(open_reader)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

SyslogFeed::~SyslogFeed() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
}

std::string SyslogFeed::problem() const {
    const std::lock_guard lock(mutex_);
    return problem_;
}

std::uint64_t SyslogFeed::waiting() const {
    const auto size = trace_.size();
    const std::lock_guard lock(mutex_);
    return size > taken_ ? size - taken_ : 0;
}

Result<std::uint64_t> SyslogFeed::taken() const {
    FID_TRY(const auto text, database_.read([&](database::Transaction& t) { return read_fact(t, row_key_, kTakenFact); }));
    if (!text) return trace_.size();
    std::uint64_t entries = 0;
    std::from_chars(text->data(), text->data() + text->size(), entries);
    return std::min(entries, trace_.size());  // a trace that was put back is shorter
}

Result<void> SyslogFeed::set_taken(std::uint64_t entries) {
    FID_CHECK(database_.write(database::Durability::full,
                              [&](database::Transaction& t) { return write_fact(t, row_key_, kTakenFact, std::to_string(entries)); }));
    const std::lock_guard lock(mutex_);
    taken_ = entries;
    return {};
}

/// Spec: RFC 5424 §6; RFC 5425 §4.3: the length first.
Result<std::string> SyslogFeed::message(std::uint64_t index, const audit::StoredEntry& entry) {
    if (!reader_ || reader_opened_ < entry.clear.time) {  // of people and patients that came since it knows nothing
        FID_TRY(auto opened, open_reader_());
        reader_.emplace(std::move(opened));
        reader_opened_ = system_clock().now();
    }
    FID_TRY(const auto read, reader_->read(index, entry));
    std::string text = "<" + std::to_string(kPriority) + ">1 " + to_rfc3339(entry.clear.time) + " " + settings_.host_name + " fiducial " +
                       std::to_string(::getpid()) + " DICOM+RFC3881 - \xef\xbb\xbf" + dicom_audit_message(read, settings_.source);
    return std::to_string(text.size()) + " " + text;
}

Result<std::uint64_t> SyslogFeed::send_batch() {
    FID_TRY(const auto from, taken());
    const auto to = std::min(trace_.size(), from + kBatch);
    if (from == to) {
        FID_TRY(const auto known, database_.read([&](database::Transaction& t) { return read_fact(t, row_key_, kTakenFact); }));
        if (!known) FID_CHECK(set_taken(from));
        const std::lock_guard lock(mutex_);
        taken_ = from;
        return std::uint64_t{0};
    }
    std::string messages;
    Result<void> made;
    FID_CHECK(trace_.for_each(from, [&](std::uint64_t index, const audit::StoredEntry& entry) {
        const auto text = message(index, entry);
        if (text)
            messages += *text;
        else
            made = fail(text.error());
        return made && index + 1 < to;
    }));
    FID_CHECK(made);
    FID_TRY(const auto connection, net::TlsClient::connect(settings_.server));
    FID_CHECK(connection->write(as_bytes(messages)));
    FID_CHECK(connection->finish());  // only what the server has read to its end counts as taken
    FID_CHECK(set_taken(to));
    return to - from;
}

void SyslogFeed::run(const std::stop_token& stop) {
    std::chrono::seconds pause = kLookEvery;
    std::mutex waiting;
    while (!stop.stop_requested()) {
        const auto sent = send_batch();
        {
            const std::lock_guard lock(mutex_);
            if (!sent && problem_.empty())
                log::warning("archive", "the syslog server does not take the trace's entries; they wait", {{"why", sent.error().message}});
            if (sent && !problem_.empty()) log::info("archive", "the syslog server takes the trace's entries again");
            problem_ = sent ? std::string() : sent.error().message;
        }
        if (sent && *sent == kBatch) continue;
        pause = sent ? kLookEvery : std::min(2 * pause, kLongestPause);
        std::unique_lock lock(waiting);
        wakes_.wait_for(lock, stop, pause, [] { return false; });
    }
}

}  // namespace fiducial::archive
