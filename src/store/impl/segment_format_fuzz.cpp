#include <algorithm>

#include "store/impl/crc32c.hpp"
#include "store/impl/segment_format.hpp"
#include "store/impl/vault_state.hpp"

namespace {

using namespace fiducial;
using namespace fiducial::store;

void put_crc(Bytes& bytes, std::size_t covered) {
    if (covered + 4 > bytes.size()) return;
    const auto crc = crc32c(ByteView(bytes).first(covered));
    for (std::size_t i = 0; i < 4; ++i) bytes[covered + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
}

void check_record(ByteView bytes) {
    if (const auto record = decode_record(bytes)) FID_INVARIANT(encode_record(*record) == to_bytes(bytes), "a record does not round-trip");
}

class MemorySegment final : public Segment {
public:
    explicit MemorySegment(Bytes bytes) : bytes_(std::move(bytes)) {}
    std::uint32_t number() const override { return 1; }
    std::string name() const override { return "fuzz"; }
    Result<std::uint64_t> size() const override { return bytes_.size(); }
    Result<void> read_exactly_at(std::uint64_t offset, MutableByteView out) const override {
        if (offset > bytes_.size() || out.size() > bytes_.size() - offset) return fail(ErrorCode::corrupt, "ends before");
        std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
        return {};
    }
    Result<void> write_at(std::uint64_t, ByteView) override { return {}; }
    Result<void> sync() override { return {}; }
    Result<void> truncate(std::uint64_t) override { return {}; }

private:
    Bytes bytes_;
};

// A walk ends, stays within the segment, and visits blocks in ascending order.
void check_walk(ByteView data) {
    SegmentHeader header;
    header.number = 1;
    Bytes bytes = header.encode();
    append(bytes, data);
    for (std::size_t at = kSegmentHeaderSize; at + kBlockHeaderSize <= bytes.size(); at += kBlockAlignment) {
        if (!BlockHeader::has_magic(ByteView(bytes).subspan(at))) continue;
        Bytes head(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin() + static_cast<std::ptrdiff_t>(at + kBlockHeaderSize));
        put_crc(head, kBlockHeaderSize - 4);
        std::copy(head.begin(), head.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
        const auto decoded = BlockHeader::decode(head);
        if (!decoded) continue;
        const std::size_t covered = kBlockHeaderSize + decoded->payload_size;
        if (covered + 4 > bytes.size() - at) continue;
        Bytes block(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin() + static_cast<std::ptrdiff_t>(at + covered + 4));
        put_crc(block, covered);
        std::copy(block.begin(), block.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
    }
    const std::uint64_t size = bytes.size();
    const MemorySegment segment(std::move(bytes));
    const VaultShared shared;
    std::uint64_t last = 0;
    const auto walk = shared.walk(segment, 0, [&](std::uint64_t offset, std::span<const BlockRecord> records) -> Result<void> {
        FID_INVARIANT(offset > last && offset < size, "blocks are visited in order");
        last = offset;
        for (const auto& record : records) check_record(record.bytes);
        return {};
    });
    if (walk) FID_INVARIANT(walk->last_offset == last, "the last block visited is the last one");
}

}  // namespace

// The first byte chooses what is read; checksums are put right, so that what lies behind them is reached.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    Bytes bytes(data + 1, data + size);
    switch (data[0] % 4) {
        case 0:
            bytes.resize(kSegmentHeaderSize);
            put_crc(bytes, kSegmentHeaderSize - 4);
            (void)SegmentHeader::decode(bytes);
            break;
        case 1: check_walk(bytes); break;
        case 2:
            if (bytes.size() < kMinRecordSize) return 0;
            for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::uint8_t>(bytes.size() >> (24 - 8 * i));
            put_crc(bytes, bytes.size() - 4);
            check_record(bytes);
            break;
        default:
            check_record(bytes);
            (void)SegmentHeader::decode(bytes);
            (void)ObjectHeader::decode(bytes);
            if (const auto header = BlockHeader::decode(bytes)) (void)decode_block(*header, bytes);
    }
    return 0;
}
