#pragma once
#include <filesystem>
#include <optional>

#include "audit/impl/trace_format.hpp"
#include "audit/trace.hpp"

namespace fiducial::audit::impl {

/// What stands after the head: whole records are taken into `head`, which then ends before a torn tail, if there is one.
struct Tail {
    std::optional<TraceFault> fault;  // something that no crash can have done
};
/// Whether nothing but zeros stands there: room that was made for entries to come.
Result<bool> is_room(const File& log, std::uint64_t from, std::uint64_t end);
Result<Tail> scan_tail(const File& log, std::uint64_t log_size, const LogKey& key, Head& head);

/// Hashes entries [0, head.size) of a log again and compares with the head; names every fault it can.
Result<TraceReport> check_log(const File& log, std::uint64_t log_size, const LogKey& key, const Head& head);

/// Header, head, all entries and the tail of a log that nobody writes to.
Result<TraceReport> check_closed_log(const File& log, const std::filesystem::path& folder, const TraceKeys& keys);

}  // namespace fiducial::audit::impl
