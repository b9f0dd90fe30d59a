#include "audit/impl/trace_format.hpp"

#include <algorithm>
#include <bit>

#include "crypto/hash.hpp"

namespace fiducial::audit::impl {
namespace {

constexpr std::string_view kLogTag = "fid.tracelog1";
constexpr std::string_view kRecordTag = "fid.tracerow1";
constexpr std::string_view kHeadTag = "fid.tracehead1";
constexpr std::size_t kLargestRecord = kFrameSize + kLongestEntry + kMacSize;

Hash header_mac(ByteView head, const crypto::Secret& mac_key) {
    return crypto::tagged_hmac_sha256(mac_key.view(), kLogTag, {head});
}

}  // namespace

const crypto::Secret& LogKey::of(std::uint64_t index) const {
    for (const auto& former : keys.former) {
        if (index < former.entries) return former.key;
    }
    return keys.key;
}

Bytes make_header(const LogKey& key, std::uint64_t created_ms) {
    Bytes out;
    out.push_back(static_cast<std::uint8_t>(kLogTag.size()));
    append(out, as_bytes(kLogTag));
    append(out, key.log_id);
    append_be(out, created_ms);
    const Hash mac = header_mac(out, key.keys.key);
    append(out, ByteView(mac).first(kMacSize));
    FID_INVARIANT(out.size() == kHeaderSize, "the trace's header has a fixed size");
    return out;
}

Result<LogKey> parse_header(ByteView header, TraceKeys keys) {
    ByteReader reader(header);
    FID_TRY(const auto tag_size, reader.u8("trace: tag length"));
    FID_TRY(const auto tag, reader.take(tag_size, "trace: tag"));
    if (as_text(tag) != kLogTag) {
        if (as_text(tag).starts_with("fid.tracelog")) return fail(ErrorCode::unsupported, "trace: of a later version");
        return fail(ErrorCode::malformed, "trace: the file is not a trace");
    }
    FID_TRY(const auto log_id, reader.array<32>("trace: log id"));
    FID_CHECK(reader.u64("trace: time of creation"));
    const auto clear = header.first(reader.offset());
    FID_TRY(const auto mac, reader.take(kMacSize, "trace: header MAC"));
    const auto fits = [&](const crypto::Secret& key) {
        const Hash expected = header_mac(clear, key);
        return crypto::equal_constant_time(mac, ByteView(expected).first(kMacSize));
    };
    const auto begun_under = std::find_if(keys.former.begin(), keys.former.end(), [&](const auto& former) { return fits(former.key); });
    if (begun_under == keys.former.end() && !fits(keys.key)) {
        return fail(ErrorCode::corrupt, "trace: the header does not match its MAC: altered, or made with another key");
    }
    keys.former.erase(keys.former.begin(), begun_under);
    return LogKey{std::move(keys), log_id};
}

std::array<std::uint8_t, kMacSize> record_mac(const LogKey& key, std::uint64_t index, std::uint32_t place, const Hash& leaf_hash) {
    Bytes where;
    where.reserve(12);
    append_be(where, index);
    append_be(where, place);
    const Hash mac = crypto::tagged_hmac_sha256(key.of(index).view(), kRecordTag, {key.log_id, where, leaf_hash});
    std::array<std::uint8_t, kMacSize> out;
    std::copy_n(mac.begin(), kMacSize, out.begin());
    return out;
}

void append_record(Bytes& out, const LogKey& key, std::uint64_t index, std::uint32_t place, ByteView entry, const Hash& leaf_hash) {
    append_be(out, static_cast<std::uint32_t>(entry.size()));
    append_be(out, index);
    append_be(out, place);
    append(out, entry);
    append(out, record_mac(key, index, place, leaf_hash));
}

Bytes make_head_slot(const LogKey& key, const Head& head) {
    Bytes out;
    out.reserve(kHeadSlotSize);
    out.push_back(static_cast<std::uint8_t>(kHeadTag.size()));
    append(out, as_bytes(kHeadTag));
    append(out, key.log_id);
    append_be(out, head.sequence);
    append_be(out, head.bytes);
    append_be(out, head.tree.size());
    for (const Hash& peak : head.tree.peaks()) append(out, peak);
    append(out, crypto::tagged_hmac_sha256(key.keys.key.view(), kHeadTag, {out}));
    out.resize(kHeadSlotSize);
    return out;
}

Result<Head> parse_head_slot(ByteView slot, const LogKey& key) {
    const auto refuse = [] { return fail(ErrorCode::corrupt, "trace: a head slot is damaged"); };
    ByteReader reader(slot);
    FID_TRY(const auto tag_size, reader.u8("trace head: tag length"));
    FID_TRY(const auto tag, reader.take(tag_size, "trace head: tag"));
    FID_TRY(const auto log_id, reader.array<32>("trace head: log id"));
    if (as_text(tag) != kHeadTag || log_id != key.log_id) return refuse();
    Head head;
    FID_TRY(head.sequence, reader.u64("trace head: sequence"));
    FID_TRY(head.bytes, reader.u64("trace head: bytes"));
    FID_TRY(const auto size, reader.u64("trace head: size"));
    std::vector<Hash> peaks(static_cast<std::size_t>(std::popcount(size)));
    for (Hash& peak : peaks) {
        FID_TRY(peak, reader.array<32>("trace head: peak"));
    }
    const Hash expected = crypto::tagged_hmac_sha256(key.keys.key.view(), kHeadTag, {slot.first(reader.offset())});
    FID_TRY(const auto mac, reader.take(expected.size(), "trace head: MAC"));
    if (!crypto::equal_constant_time(mac, expected)) return refuse();
    FID_TRY(head.tree, crypto::MerkleAccumulator::restore(size, peaks));
    return head;
}

std::optional<Head> newest_head(ByteView file, const LogKey& key) {
    std::optional<Head> newest;
    for (std::size_t at = 0; at + kHeadSlotSize <= file.size() && at <= kHeadSlotSize; at += kHeadSlotSize) {
        auto head = parse_head_slot(file.subspan(at, kHeadSlotSize), key);
        if (head && (!newest || head->sequence > newest->sequence)) newest = *std::move(head);
    }
    return newest;
}

Result<ByteView> Window::at(std::uint64_t offset, std::size_t size) {
    if (offset >= end_) return ByteView();
    size = static_cast<std::size_t>(std::min<std::uint64_t>(size, end_ - offset));
    if (offset < start_ || offset + size > start_ + buffer_.size()) {
        buffer_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(std::max(piece_, size), end_ - offset)));
        start_ = offset;
        FID_TRY(const std::size_t read, file_.read_at(offset, buffer_));
        buffer_.resize(read);  // the file may be shorter than when we were told its size
    }
    const std::size_t from = static_cast<std::size_t>(offset - start_);
    return ByteView(buffer_).subspan(from, std::min(size, buffer_.size() - from));
}

Result<Found> look_at(Window& window, std::uint64_t offset, const LogKey& key) {
    Found found;
    FID_TRY(const auto bytes, window.at(offset, kLargestRecord));
    if (bytes.size() < kFrameSize + kMacSize) {
        found.place = Place::cut_off;
        return found;
    }
    const std::size_t length = read_be<std::uint32_t>(bytes);
    if (length == 0 || length > kLongestEntry) return found;
    const std::size_t whole = kFrameSize + length + kMacSize;
    if (bytes.size() < whole) {
        found.place = Place::cut_off;
        return found;
    }
    found.likely_next = offset + whole;
    found.record.index = read_be<std::uint64_t>(bytes.subspan(4));
    found.record.place = read_be<std::uint32_t>(bytes.subspan(12));
    if (found.record.place > found.record.index) return found;
    found.record.next = offset + whole;
    found.record.entry = bytes.subspan(kFrameSize, length);
    found.record.leaf_hash = entry_leaf_hash(found.record.entry);
    const auto mac = record_mac(key, found.record.index, found.record.place, found.record.leaf_hash);
    if (crypto::equal_constant_time(mac, bytes.subspan(kFrameSize + length, kMacSize))) found.place = Place::whole;
    return found;
}

namespace {

/// Visits offsets at which a record could begin: a sensible length, and an index that could stand there.
template <typename Wanted>
Result<std::optional<std::uint64_t>> search(Window& window, std::uint64_t offset, std::uint64_t least, const LogKey& key, Wanted wanted) {
    for (; offset + kFrameSize + kMacSize < window.end(); ++offset) {
        FID_TRY(const auto frame, window.at(offset, kFrameSize));
        if (frame.size() < kFrameSize) break;
        const std::uint32_t length = read_be<std::uint32_t>(frame);
        if (length == 0 || length > kLongestEntry) continue;
        const std::uint64_t index = read_be<std::uint64_t>(frame.subspan(4));
        if (index < least) continue;
        FID_TRY(const auto found, look_at(window, offset, key));
        if (found.place == Place::whole && wanted(found.record)) return std::optional(offset);
    }
    return std::optional<std::uint64_t>();
}

}  // namespace

Result<std::optional<std::uint64_t>> find_whole_record(Window& window, std::uint64_t offset, std::uint64_t least, const LogKey& key) {
    return search(window, offset, least, key, [](const Record&) { return true; });
}

Result<std::optional<std::uint64_t>> find_later_group(Window& window, std::uint64_t offset, std::uint64_t bad, const LogKey& key) {
    return search(window, offset, bad, key, [bad](const Record& record) { return record.group_start() > bad; });
}

}  // namespace fiducial::audit::impl
