#include "audit/impl/trace_check.hpp"

#include <algorithm>

namespace fiducial::audit::impl {
namespace {

constexpr std::size_t kMostFaults = 100;

std::string entry_at(std::uint64_t index, std::uint64_t offset) {
    return "entry " + std::to_string(index) + " at byte " + std::to_string(offset);
}

void add_fault(TraceReport& report, std::uint64_t index, std::uint64_t offset, std::string message) {
    if (report.faults.size() < kMostFaults) report.faults.push_back({index, offset, std::move(message)});
}

/// Goes through the records and remembers which index is due.
class Checker {
public:
    Checker(Window& window, const LogKey& key, TraceReport& report, std::uint64_t due)
        : window_(window), key_(key), report_(report), due_(due) {}

    /// Looks at one place. Returns: where to look next.
    Result<std::uint64_t> step(std::uint64_t offset) {
        FID_TRY(const auto found, look_at(window_, offset, key_));
        if (found.place == Place::whole) return take(found.record, offset);
        add_fault(report_, due_, offset, entry_at(due_, offset) + (found.place == Place::cut_off ? " is cut off" : " was altered"));
        ++due_;
        if (found.likely_next != 0) {  // the frame seems right: go on behind it, if something whole is there or the log ends
            if (found.likely_next == window_.end()) return found.likely_next;
            FID_TRY(const auto behind, look_at(window_, found.likely_next, key_));
            if (behind.place == Place::whole) return found.likely_next;
        }
        FID_TRY(const auto next, find_whole_record(window_, offset + 1, 0, key_));
        return next.value_or(window_.end());
    }
    std::uint64_t due() const { return due_; }
    const crypto::MerkleAccumulator& tree() const { return tree_; }

private:
    std::uint64_t take(const Record& record, std::uint64_t offset) {
        if (record.index < due_) {
            add_fault(report_, record.index, offset,
                      entry_at(record.index, offset) + " stands where entry " + std::to_string(due_) + " belongs");
            return record.next;
        }
        if (record.index > due_) {
            const std::string last = record.index - due_ == 1 ? "" : " to " + std::to_string(record.index - 1);
            add_fault(report_, due_, offset,
                      "entry " + std::to_string(due_) + last + " is missing at byte " + std::to_string(offset) + ": entry " +
                          std::to_string(record.index) + " follows");
        }
        if (auto decoded = decode_entry(record.entry); !decoded) {
            add_fault(report_, record.index, offset, entry_at(record.index, offset) + " cannot be read: " + decoded.error().message);
        }
        tree_.add(record.leaf_hash);
        due_ = record.index + 1;
        ++report_.size;
        return record.next;
    }

    Window& window_;
    const LogKey& key_;
    TraceReport& report_;
    std::uint64_t due_;
    crypto::MerkleAccumulator tree_;
};

}  // namespace

Result<Tail> scan_tail(const File& log, std::uint64_t log_size, const LogKey& key, Head& head) {
    Tail tail;
    Window window(log, log_size);
    while (head.bytes < log_size) {
        const std::uint64_t due = head.tree.size();
        FID_TRY(const auto found, look_at(window, head.bytes, key));
        if (found.place == Place::whole && found.record.index == due) {
            head.tree.add(found.record.leaf_hash);
            head.bytes = found.record.next;
            continue;
        }
        // A group is written only after the one before was synced: a whole record of a later group proves that this one had been whole.
        FID_TRY(const auto later, find_later_group(window, head.bytes, due, key));
        if (later) {
            tail.fault = TraceFault{due, head.bytes,
                                    entry_at(due, head.bytes) + " was altered or is missing: a later group of entries stands at byte " +
                                        std::to_string(*later)};
        } else if (found.place == Place::whole) {
            tail.fault = TraceFault{
                due, head.bytes,
                entry_at(due, head.bytes) + " is not in its place: entry " + std::to_string(found.record.index) + " stands there"};
        }
        break;
    }
    return tail;
}

Result<bool> is_room(const File& log, std::uint64_t from, std::uint64_t end) {
    Bytes piece(std::size_t{64} << 10);
    while (from < end) {
        const auto part = MutableByteView(piece).first(static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), end - from)));
        FID_CHECK(log.read_exactly_at(from, part));
        if (std::any_of(part.begin(), part.end(), [](std::uint8_t byte) { return byte != 0; })) return false;
        from += part.size();
    }
    return true;
}

Result<TraceReport> check_log(const File& log, std::uint64_t log_size, const LogKey& key, const Head& head) {
    TraceReport report;
    report.bytes = log_size;
    Window window(log, std::min(log_size, head.bytes));
    Checker checker(window, key, report, 0);
    std::uint64_t offset = kHeaderSize;
    while (offset < window.end()) {
        FID_TRY(offset, checker.step(offset));
    }
    const std::uint64_t size = head.tree.size();
    if (checker.due() < size) {
        add_fault(
            report, checker.due(), window.end(),
            "the log ends before entry " + std::to_string(checker.due()) + ", but its head says " + std::to_string(size) + " entries");
    }
    report.root = checker.tree().root();
    if (report.clean() && (report.size != size || report.root != head.tree.root())) {
        add_fault(report, size, window.end(), "the entries do not give the root of the head at size " + std::to_string(size));
    }
    return report;
}

Result<TraceReport> check_closed_log(const File& log, const std::filesystem::path& folder, const TraceKeys& keys) {
    TraceReport report;
    FID_TRY(report.bytes, log.size());
    Bytes header(static_cast<std::size_t>(std::min<std::uint64_t>(report.bytes, kHeaderSize)));
    FID_CHECK(log.read_exactly_at(0, header));
    const auto parsed = parse_header(header, keys.clone());
    if (!parsed) {
        add_fault(report, 0, 0, parsed.error().message);
        return report;
    }
    const LogKey& key = *parsed;
    const auto head_bytes = read_file(folder / kHeadName, 65536);
    if (!head_bytes && head_bytes.error().code != ErrorCode::not_found) return fail(head_bytes.error());
    const auto newest = head_bytes ? newest_head(*head_bytes, key) : std::nullopt;
    Head head = newest.value_or(Head{});
    if (!newest && report.bytes > kHeaderSize)
        add_fault(report, 0, kHeaderSize, "the log holds entries, but trace.head is missing or damaged");
    std::vector<TraceFault> faults = std::move(report.faults);
    FID_TRY(const auto tail, scan_tail(log, report.bytes, key, head));
    FID_TRY(report, check_log(log, report.bytes, key, head));
    faults.insert(faults.end(), report.faults.begin(), report.faults.end());
    if (tail.fault) faults.push_back(*tail.fault);
    if (!tail.fault && report.bytes > head.bytes) {
        FID_TRY(const auto room, is_room(log, head.bytes, report.bytes));
        if (!room) report.torn_tail_bytes = report.bytes - head.bytes;
    }
    report.faults = std::move(faults);
    return report;
}

}  // namespace fiducial::audit::impl
