#include "crypto/recovery_share.hpp"

#include <algorithm>

#include "crypto/hash.hpp"

namespace fiducial::crypto {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kKeySize = 32;
constexpr std::size_t kChecksumSize = 6;
constexpr std::size_t kHeadSize = 1 + 1 + 1 + 1 + 4 + 4;
constexpr std::size_t kTextBytes = kHeadSize + kKeySize + kChecksumSize;  // 50: 80 characters of 5 bits
constexpr std::size_t kDataInGroup = 4;
constexpr std::size_t kGroupSize = kDataInGroup + 1;
constexpr std::size_t kGroupsInLine = 5;
constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static_assert(kTextBytes * 8 == RecoveryShare::kGroups * kDataInGroup * 5);

// Arithmetic over GF(2^8) without tables and without branches on what is computed, so that neither time nor cache tells it.
std::uint8_t multiply(std::uint8_t a, std::uint8_t b) {
    unsigned product = 0;
    unsigned factor = a;
    for (int bit = 0; bit < 8; ++bit) {
        product ^= factor & (0U - ((static_cast<unsigned>(b) >> bit) & 1U));
        factor = (factor << 1) ^ (0x11bU & (0U - ((factor >> 7) & 1U)));
    }
    return static_cast<std::uint8_t>(product);
}
std::uint8_t inverse(std::uint8_t a) {  // a^254
    std::uint8_t power = a;
    std::uint8_t result = 1;
    for (int bit = 1; bit < 8; ++bit) {
        power = multiply(power, power);
        result = multiply(result, power);
    }
    return result;
}

/// The value at `at` of the polynomial that goes through the shares (Lagrange).
Secret interpolate(std::span<const RecoveryShare* const> shares, std::uint8_t at) {
    Secret value(kKeySize);
    for (const RecoveryShare* share : shares) {
        std::uint8_t weight = 1;
        for (const RecoveryShare* other : shares) {
            if (other == share) continue;
            const auto above = static_cast<std::uint8_t>(at ^ other->index);
            const auto below = static_cast<std::uint8_t>(share->index ^ other->index);
            weight = multiply(weight, multiply(above, inverse(below)));
        }
        for (std::size_t i = 0; i < kKeySize; ++i) value.bytes()[i] ^= multiply(weight, share->value.view()[i]);
    }
    return value;
}

std::array<std::uint8_t, 4> key_check_of(const std::array<std::uint8_t, 4>& set, const Secret& key) {
    Hash hash = tagged_hmac_sha256(key.view(), "fid.sharekey1", {set});
    return {hash[0], hash[1], hash[2], hash[3]};
}

/// GF(2^5) with x^5 + x^2 + 1: a weighted sum in which every place has a weight of its own, so that any one wrong character
/// and any two exchanged ones in a group are found, and whole groups exchanged too.
unsigned times_x(unsigned value) {
    return ((value << 1) ^ (0x25U & (0U - ((value >> 4) & 1U)))) & 0x1fU;
}
unsigned check_of_group(std::span<const std::uint8_t> data, std::size_t group) {
    unsigned sum = static_cast<unsigned>(group + 1) & 0x1fU;
    for (const std::uint8_t digit : data) sum = times_x(sum) ^ digit;
    return times_x(sum);
}

int digit_of(char c) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (c == 'O') c = '0';
    if (c == 'I' || c == 'L') c = '1';
    const std::size_t place = kAlphabet.find(c);
    return place == std::string_view::npos ? -1 : static_cast<int>(place);
}

bool is_separator(char c) {
    return c == ' ' || c == '-' || c == '\n' || c == '\r' || c == '\t';
}

tl::unexpected<Error> bad_group(std::size_t group, std::string_view what) {
    return fail(ErrorCode::malformed, "recovery share: group " + std::to_string(group + 1) + " " + std::string(what));
}

/// Splits the text into groups of 5 digits and checks each by its last one.
Result<Secret> read_groups(std::string_view text) {
    if (text.size() > RecoveryShare::kLongestText) return fail(ErrorCode::malformed, "recovery share: text is too long");
    Secret digits(RecoveryShare::kGroups * kGroupSize);
    std::size_t count = 0;
    std::size_t in_word = 0;  // characters since the last separator: a word cut short or too long is where the typo is
    for (std::size_t i = 0; i <= text.size(); ++i) {
        const bool separator = i == text.size() || is_separator(text[i]);
        if (!separator) {
            const std::size_t group = count / kGroupSize;
            const int digit = digit_of(text[i]);
            if (digit < 0) return bad_group(group, "holds a character that is not used");
            if (count == digits.size() && in_word == kGroupSize) return bad_group(group - 1, "does not have 5 characters");
            if (count == digits.size()) return fail(ErrorCode::malformed, "recovery share: there are more than 20 groups");
            digits.bytes()[count++] = static_cast<std::uint8_t>(digit);
            ++in_word;
        } else if (in_word % kGroupSize != 0 && in_word < 2 * kGroupSize) {
            return bad_group((count - in_word) / kGroupSize, "does not have 5 characters");
        } else {
            in_word = 0;
        }
    }
    for (std::size_t group = 0; group < count / kGroupSize; ++group) {
        const auto characters = digits.view().subspan(group * kGroupSize, kGroupSize);
        if (check_of_group(characters.first(kDataInGroup), group) != characters[kDataInGroup]) return bad_group(group, "has a typo");
    }
    if (count != digits.size()) {
        return fail(ErrorCode::malformed, "recovery share: there are " + std::to_string(count / kGroupSize) + " groups instead of 20");
    }
    return digits;
}

Result<void> check_numbers(const RecoveryShare& share) {
    if (share.threshold == 0 || share.threshold > share.count || share.index == 0 || share.index > share.count ||
        share.value.size() != kKeySize) {
        return fail(ErrorCode::malformed, "recovery share: its numbers make no sense");
    }
    return {};
}

}  // namespace

Secret RecoveryShare::to_text() const {
    Secret bytes(kTextBytes);
    MutableByteView out = bytes.bytes();
    out[0] = kVersion;
    out[1] = threshold;
    out[2] = count;
    out[3] = index;
    std::copy(set.begin(), set.end(), out.begin() + 4);
    std::copy(key_check.begin(), key_check.end(), out.begin() + 8);
    std::copy(value.view().begin(), value.view().end(), out.begin() + kHeadSize);
    const Hash checksum = tagged_sha256("fid.share1", {out.first(kHeadSize + kKeySize)});
    std::copy_n(checksum.begin(), kChecksumSize, out.begin() + kHeadSize + kKeySize);

    Secret text(kGroups * kGroupSize + kGroups - 1);
    std::size_t written = 0;
    for (std::size_t group = 0; group < kGroups; ++group) {
        std::array<std::uint8_t, kDataInGroup> digits;
        for (std::size_t i = 0; i < kDataInGroup; ++i) {
            const std::size_t bit = (group * kDataInGroup + i) * 5;
            const unsigned pair = static_cast<unsigned>(out[bit / 8]) << 8 | (bit / 8 + 1 < out.size() ? out[bit / 8 + 1] : 0U);
            digits[i] = static_cast<std::uint8_t>(pair >> (11 - bit % 8) & 0x1fU);
        }
        if (group != 0) text.bytes()[written++] = group % kGroupsInLine == 0 ? '\n' : ' ';
        for (const std::uint8_t digit : digits) text.bytes()[written++] = static_cast<std::uint8_t>(kAlphabet[digit]);
        text.bytes()[written++] = static_cast<std::uint8_t>(kAlphabet[check_of_group(digits, group)]);
        wipe(digits);
    }
    return text;
}

Result<RecoveryShare> RecoveryShare::parse(std::string_view text) {
    FID_TRY(const Secret digits, read_groups(text));
    Secret bytes(kTextBytes);
    for (std::size_t place = 0; place < kGroups * kDataInGroup; ++place) {
        const unsigned digit = digits.view()[place / kDataInGroup * kGroupSize + place % kDataInGroup];
        const std::size_t bit = place * 5;
        const unsigned pair = digit << (11 - bit % 8);
        bytes.bytes()[bit / 8] |= static_cast<std::uint8_t>(pair >> 8);
        if (bit / 8 + 1 < bytes.size()) bytes.bytes()[bit / 8 + 1] |= static_cast<std::uint8_t>(pair & 0xffU);
    }
    const ByteView in = bytes.view();
    const Hash checksum = tagged_sha256("fid.share1", {in.first(kHeadSize + kKeySize)});
    if (!equal_constant_time(ByteView(checksum).first(kChecksumSize), in.subspan(kHeadSize + kKeySize))) {
        return fail(ErrorCode::malformed,
                    "recovery share: every group is well-formed, but together they do not fit: several typos, or groups of two shares");
    }
    if (in[0] != kVersion)
        return fail(ErrorCode::unsupported, "recovery share: of version " + std::to_string(in[0]) + ", which is not known here");
    RecoveryShare share;
    share.threshold = in[1];
    share.count = in[2];
    share.index = in[3];
    std::copy_n(in.begin() + 4, share.set.size(), share.set.begin());
    std::copy_n(in.begin() + 8, share.key_check.size(), share.key_check.begin());
    share.value = Secret::copy_of(in.subspan(kHeadSize, kKeySize));
    FID_CHECK(check_numbers(share));
    return share;
}

Result<std::vector<RecoveryShare>> split_key(const Secret& key32, unsigned threshold, unsigned count) {
    if (key32.size() != kKeySize) return fail(ErrorCode::invalid_argument, "recovery shares are made of a key of 32 bytes");
    if (threshold < 1 || threshold > count || count > 255) {
        return fail(ErrorCode::invalid_argument, "recovery shares: 1 <= needed <= made <= 255 does not hold");
    }
    std::array<std::uint8_t, 4> set;
    fill_random(set);
    const auto key_check = key_check_of(set, key32);
    const Secret coefficients = random_secret(std::size_t{threshold - 1} * kKeySize);  // the key is the constant term
    std::vector<RecoveryShare> shares(count);
    for (unsigned index = 1; index <= count; ++index) {
        RecoveryShare& share = shares[index - 1];
        share.threshold = static_cast<std::uint8_t>(threshold);
        share.count = static_cast<std::uint8_t>(count);
        share.index = static_cast<std::uint8_t>(index);
        share.set = set;
        share.key_check = key_check;
        share.value = Secret(kKeySize);
        for (std::size_t i = 0; i < kKeySize; ++i) {  // Horner's rule, highest power first
            std::uint8_t sum = 0;
            for (unsigned power = threshold - 1; power > 0; --power) {
                sum = multiply(static_cast<std::uint8_t>(sum ^ coefficients.view()[(power - 1) * kKeySize + i]), share.index);
            }
            share.value.bytes()[i] = sum ^ key32.view()[i];
        }
    }
    FID_TRY(const Secret again, combine_shares(shares));
    FID_INVARIANT(equal_constant_time(again.view(), key32.view()), "recovery shares do not give the key back");
    return shares;
}

Result<Secret> combine_shares(std::span<const RecoveryShare> shares) {
    if (shares.empty()) return fail(ErrorCode::invalid_argument, "recovery: there are no shares");
    std::vector<const RecoveryShare*> distinct;
    for (const RecoveryShare& share : shares) {
        FID_CHECK(check_numbers(share));
        const RecoveryShare& first = shares.front();
        if (share.set != first.set || share.threshold != first.threshold || share.count != first.count ||
            share.key_check != first.key_check) {
            return fail(ErrorCode::conflict,
                        "recovery: share " + std::to_string(share.index) + " is of another set than share " + std::to_string(first.index));
        }
        const auto same =
            std::find_if(distinct.begin(), distinct.end(), [&](const RecoveryShare* other) { return other->index == share.index; });
        if (same == distinct.end()) {
            distinct.push_back(&share);
        } else if (!equal_constant_time((*same)->value.view(), share.value.view())) {
            return fail(ErrorCode::corrupt, "recovery: there are two different shares with the number " + std::to_string(share.index));
        }
    }
    const std::size_t needed = shares.front().threshold;
    if (distinct.size() < needed) {
        return fail(ErrorCode::invalid_argument, "recovery: there are " + std::to_string(distinct.size()) + " different shares, and " +
                                                     std::to_string(needed) + " are needed");
    }
    const auto enough = std::span<const RecoveryShare* const>(distinct).first(needed);
    Secret key = interpolate(enough, 0);
    const auto check = key_check_of(shares.front().set, key);
    if (!equal_constant_time(check, shares.front().key_check))
        return fail(ErrorCode::corrupt, "recovery: the shares do not give the key they were made from; one of them is damaged");
    for (std::size_t i = needed; i < distinct.size(); ++i) {
        const Secret expected = interpolate(enough, distinct[i]->index);
        if (!equal_constant_time(expected.view(), distinct[i]->value.view())) {
            return fail(ErrorCode::corrupt, "recovery: share " + std::to_string(distinct[i]->index) + " is damaged");
        }
    }
    return key;
}

}  // namespace fiducial::crypto
