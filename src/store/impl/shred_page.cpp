#include "store/impl/shred_page.hpp"

#include <cstring>

#include "crypto/aead.hpp"
#include "store/shred_store.hpp"

namespace fiducial::store {
namespace {

constexpr std::string_view kMagic = "FIDSHRED";
constexpr std::uint16_t kFormat = 1;
constexpr std::uint16_t kFormatWithFormer = 2;
constexpr std::size_t kSecret = 32;     // bytes
constexpr std::uint8_t kAlgorithm = 1;  // AES-256-GCM
constexpr crypto::AeadNonce kNonce{};   // each page key encrypts once

Bytes encode_header(const ShredPage& page) {
    Bytes out;
    append(out, as_bytes(kMagic));
    append_be(out, page.former_until == 0 ? kFormat : kFormatWithFormer);
    out.push_back(static_cast<std::uint8_t>(page.kind));
    out.push_back(kAlgorithm);
    append_be(out, page.number);
    append_be(out, page.generation);
    if (page.former_until != 0) append_be(out, page.former_until);
    return out;
}

}  // namespace

ShredPage ShredPage::make(Kind kind, std::uint32_t number) {
    ShredPage page;
    page.kind = kind;
    page.number = number;
    page.slots = crypto::random_secret(page.slot_size() * kSlotsPerPage);
    for (std::uint32_t i = 0; i < kSlotsPerPage; ++i) page.slots.bytes()[i * page.slot_size()] = kLive;
    return page;
}

ShredPage ShredPage::renewed(std::uint32_t first_unused, std::uint32_t until) const {
    FID_INVARIANT(former_until == 0, "a page that holds former secrets is settled before it is renewed");
    ShredPage page;
    page.kind = kind;
    page.number = number;
    page.generation = generation + 1;
    if (kind == Kind::study) page.former_until = until;
    page.slots = crypto::random_secret(page.slot_size() * kSlotsPerPage);
    for (std::uint32_t i = 0; i < kSlotsPerPage; ++i) {
        const auto from = slot(i);
        const auto to = page.slots.bytes().subspan(i * page.slot_size(), page.slot_size());
        to[0] = kLive;
        if (is_destroyed(i)) {
            page.destroy(i);
        } else if (i < first_unused) {
            std::memcpy(to.data() + 1, from.data() + 1, kSecret);  // K or P: what was named with it keeps its name
            if (page.former_until != 0) std::memcpy(to.data() + 1 + 2 * kSecret, from.data() + 1 + kSecret, kSecret);
        }
    }
    return page;
}

ShredPage ShredPage::settled() const {
    ShredPage page;
    page.kind = kind;
    page.number = number;
    page.generation = generation + 1;
    page.slots = crypto::Secret(page.slot_size() * kSlotsPerPage);
    for (std::uint32_t i = 0; i < kSlotsPerPage; ++i)
        std::memcpy(page.slots.bytes().data() + i * page.slot_size(), slot(i).data(), page.slot_size());
    return page;
}

std::uint32_t ShredPage::claimed_former_until(ByteView head) {
    const auto behind = head.subspan(kMagic.size());
    return read_be<std::uint16_t>(behind) == kFormatWithFormer ? read_be<std::uint32_t>(head.subspan(kHeadSize - 4)) : 0;
}

void ShredPage::destroy(std::uint32_t index) {
    auto bytes = slots.bytes().subspan(index * slot_size(), slot_size());
    crypto::wipe(bytes);
    bytes[0] = kDestroyed;
}

Bytes ShredPage::seal(const crypto::Secret& wrapping_key) const {
    Bytes out = encode_header(*this);
    const auto key = crypto::random_secret(32);
    const auto wrapped = crypto::seal_small(wrapping_key.view(), out, key.view());
    append_lp(out, wrapped);
    const std::size_t header_size = out.size();
    out.resize(header_size + slots.size() + crypto::kAeadTagSize);
    crypto::Aes256Gcm(key.view()).seal(kNonce, ByteView(out).first(header_size), slots.view(), MutableByteView(out).subspan(header_size));
    return out;
}

Result<ShredPage> ShredPage::open(ByteView file, const crypto::Secret& wrapping_key) {
    ByteReader reader(file);
    FID_TRY(const auto magic, reader.take(kMagic.size(), "magic"));
    if (as_text(magic) != kMagic) return fail(ErrorCode::malformed, "not a page of a shred store");
    FID_TRY(const auto format, reader.u16("format"));
    if (format != kFormat && format != kFormatWithFormer)
        return fail(ErrorCode::unsupported,
                    "a page of a shred store in format " + std::to_string(format) + ", which this version does not know");
    FID_TRY(const auto kind, reader.u8("kind"));
    if (kind != 1 && kind != 2) return fail(ErrorCode::malformed, "kind of shred store page " + std::to_string(kind));
    FID_TRY(const auto algorithm, reader.u8("algorithm"));
    if (algorithm != kAlgorithm)
        return fail(ErrorCode::unsupported, "a page of a shred store under algorithm " + std::to_string(algorithm));
    ShredPage page;
    page.kind = static_cast<Kind>(kind);
    FID_TRY(page.number, reader.u32("page number"));
    FID_TRY(page.generation, reader.u64("generation"));
    if (format == kFormatWithFormer) {
        FID_TRY(page.former_until, reader.u32("last segment under former secrets"));
        if (page.former_until == 0 || page.kind != Kind::study)
            return fail(ErrorCode::malformed, "a page of a shred store that holds former secrets of nothing");
    }
    const std::size_t clear_size = reader.offset();
    FID_TRY(const auto wrapped, reader.take_lp("wrapped page key"));
    const std::size_t header_size = reader.offset();
    const std::size_t plain_size = page.slot_size() * kSlotsPerPage;
    if (reader.remaining() != plain_size + crypto::kAeadTagSize) {
        return fail(ErrorCode::malformed, "a page of a shred store has " + std::to_string(file.size()) + " bytes, expected " +
                                              std::to_string(header_size + plain_size + crypto::kAeadTagSize));
    }
    FID_TRY(const auto key, crypto::open_small(wrapping_key.view(), file.first(clear_size), wrapped));
    if (key.size() != 32) return fail(ErrorCode::malformed, "a page key has 32 bytes, not " + std::to_string(key.size()));
    page.slots = crypto::Secret(plain_size);
    FID_CHECK(crypto::Aes256Gcm(key.view()).open(kNonce, file.first(header_size), file.subspan(header_size), page.slots.bytes()));
    for (std::uint32_t i = 0; i < kSlotsPerPage; ++i) {
        const auto state = page.slot(i)[0];
        if (state != kLive && state != kDestroyed)
            return fail(ErrorCode::corrupt, "slot " + std::to_string(i) + " has state " + std::to_string(state));
    }
    return page;
}

}  // namespace fiducial::store
