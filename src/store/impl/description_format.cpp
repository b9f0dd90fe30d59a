#include "store/impl/description_format.hpp"

#include <memory>

#include <zstd.h>

namespace fiducial::store {
namespace {

constexpr std::uint16_t kFormat = 1;
constexpr std::size_t kMaxText = 65535;

void append_text(Bytes& out, std::string_view text) {
    append_lp(out, as_bytes(text.substr(0, kMaxText)));
}

Result<std::string> take_text(ByteReader& reader, std::string_view field) {
    FID_TRY(const auto bytes, reader.take_lp(field));
    return std::string(as_text(bytes));
}
Result<Uid> take_uid(ByteReader& reader, std::string_view field) {
    FID_TRY(const auto text, take_text(reader, field));
    if (text.empty()) return Uid();
    return Uid::parse(text);
}

}  // namespace

Bytes encode_description(const SealedDescription& sealed) {
    const auto& d = sealed.description;
    Bytes out;
    append_be(out, kFormat);
    out.push_back(static_cast<std::uint8_t>(d.kind));
    for (const auto* uid : {&d.study_uid, &d.series_uid, &d.sop_uid, &d.sop_class_uid, &d.transfer_syntax_uid})
        append_text(out, uid->text());
    append(out, sealed.sha256);
    append(out, d.pixel_sha256);
    append(out, d.source_sha256);
    append(out, sealed.prefix_sha256);
    append(out, sealed.fragment_sha256);
    append_be(out, sealed.prefix_size);
    append_be(out, d.arrival_ms);
    append_text(out, d.source.value);
    append_text(out, d.patient_id.value);
    append_text(out, d.issuer.value);
    out.push_back(d.patient_slot ? 1 : 0);
    append_be(out, d.patient_slot.value_or(0));
    append_be(out, static_cast<std::uint32_t>(d.attributes.size()));
    for (const auto& [tag, values] : d.attributes) {
        append_be(out, tag);
        const auto count = std::min(values.size(), kMaxText);
        append_be(out, static_cast<std::uint16_t>(count));
        for (std::size_t i = 0; i < count; ++i) append_text(out, values[i]);
    }
    return out;
}

Result<SealedDescription> decode_description(ByteView bytes) {
    ByteReader reader(bytes);
    FID_TRY(const auto format, reader.u16("description format"));
    if (format != kFormat) return fail(ErrorCode::unsupported, "description format " + std::to_string(format));
    SealedDescription sealed;
    auto& d = sealed.description;
    FID_TRY(const auto kind, reader.u8("kind"));
    if (kind < 1 || kind > 5) return fail(ErrorCode::malformed, "object kind " + std::to_string(kind));
    d.kind = static_cast<ObjectKind>(kind);
    FID_TRY(d.study_uid, take_uid(reader, "study UID"));
    FID_TRY(d.series_uid, take_uid(reader, "series UID"));
    FID_TRY(d.sop_uid, take_uid(reader, "SOP instance UID"));
    FID_TRY(d.sop_class_uid, take_uid(reader, "SOP class UID"));
    FID_TRY(d.transfer_syntax_uid, take_uid(reader, "transfer syntax UID"));
    FID_TRY(sealed.sha256, reader.array<32>("sha256"));
    FID_TRY(d.pixel_sha256, reader.array<32>("pixel sha256"));
    FID_TRY(d.source_sha256, reader.array<32>("source sha256"));
    FID_TRY(sealed.prefix_sha256, reader.array<32>("prefix sha256"));
    FID_TRY(sealed.fragment_sha256, reader.array<32>("fragment sha256"));
    FID_TRY(sealed.prefix_size, reader.u64("prefix size"));
    FID_TRY(d.arrival_ms, reader.u64("arrival"));
    FID_TRY(d.source.value, take_text(reader, "source"));
    FID_TRY(d.patient_id.value, take_text(reader, "patient id"));
    FID_TRY(d.issuer.value, take_text(reader, "issuer"));
    FID_TRY(const auto has_slot, reader.u8("patient slot flag"));
    FID_TRY(const auto patient_slot, reader.u32("patient slot"));
    if (has_slot > 1 || (has_slot == 0 && patient_slot != 0))
        return fail(ErrorCode::malformed, "patient slot flag " + std::to_string(has_slot));
    if (has_slot == 1) d.patient_slot = patient_slot;
    FID_TRY(const auto count, reader.u32("attribute count"));
    if (count > reader.remaining() / 6) return fail(ErrorCode::malformed, "a description of " + std::to_string(count) + " attributes");
    for (std::uint32_t i = 0; i < count; ++i) {
        FID_TRY(const auto tag, reader.u32("attribute tag"));
        FID_TRY(const auto value_count, reader.u16("value count"));
        if (value_count > reader.remaining() / 2)
            return fail(ErrorCode::malformed, "an attribute of " + std::to_string(value_count) + " values");
        std::vector<std::string> values;
        values.reserve(value_count);
        for (std::uint16_t v = 0; v < value_count; ++v) {
            FID_TRY(auto value, take_text(reader, "attribute value"));
            values.push_back(std::move(value));
        }
        d.attributes.set(tag, std::move(values));
    }
    if (!reader.at_end()) return fail(ErrorCode::malformed, "a description has bytes behind its end");
    return sealed;
}

Bytes encode_mark(const Mark& mark) {
    Bytes out;
    append_be(out, kFormat);
    append(out, mark.object);
    out.push_back(static_cast<std::uint8_t>(mark.state));
    append_be(out, mark.at_ms);
    append_text(out, mark.reason);
    return out;
}

Result<Mark> decode_mark(ByteView bytes) {
    ByteReader reader(bytes);
    FID_TRY(const auto format, reader.u16("mark format"));
    if (format != kFormat) return fail(ErrorCode::unsupported, "mark format " + std::to_string(format));
    Mark mark;
    FID_TRY(mark.object, reader.array<32>("object id"));
    FID_TRY(const auto state, reader.u8("state"));
    if (state < 1 || state > 8) return fail(ErrorCode::malformed, "object state " + std::to_string(state));
    mark.state = static_cast<ObjectState>(state);
    FID_TRY(mark.at_ms, reader.u64("time"));
    FID_TRY(mark.reason, take_text(reader, "reason"));
    if (!reader.at_end()) return fail(ErrorCode::malformed, "a mark has bytes behind its end");
    return mark;
}

Bytes compress_fragment(ByteView plain) {
    Bytes out(ZSTD_compressBound(plain.size()));
    const auto size = ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3);
    FID_INVARIANT(ZSTD_isError(size) == 0, "zstd compresses into a buffer of its own bound");
    out.resize(size);
    return out;
}

Result<Bytes> decompress_fragment(ByteView compressed) {
    const auto size = ZSTD_getFrameContentSize(compressed.data(), compressed.size());
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR)
        return fail(ErrorCode::corrupt, "a fragment is not one zstd frame that names its size");
    if (size > kMaxFragmentBytes) return fail(ErrorCode::limit_exceeded, "a fragment of " + std::to_string(size) + " bytes");
    // One for each thread: a new one costs ten times what it does with a fragment.
    thread_local const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
    if (!context) return fail(ErrorCode::limit_exceeded, "there is no memory left to decompress a fragment");
    Bytes out(size);
    const auto got = ZSTD_decompressDCtx(context.get(), out.data(), out.size(), compressed.data(), compressed.size());
    if (ZSTD_isError(got) != 0 || got != size) return fail(ErrorCode::corrupt, "a fragment does not decompress");
    return out;
}

}  // namespace fiducial::store
