#include "crypto/recovery_share.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::crypto {
namespace {

const Bytes kKey = [] {
    Bytes key(32);
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i * 7 + 1);
    return key;
}();

std::vector<RecoveryShare> split(unsigned threshold, unsigned count) {
    return split_key(Secret::copy_of(kKey), threshold, count).value();
}
RecoveryShare copy_of(const RecoveryShare& share) {
    RecoveryShare copy;
    copy.threshold = share.threshold;
    copy.count = share.count;
    copy.index = share.index;
    copy.set = share.set;
    copy.key_check = share.key_check;
    copy.value = share.value.clone();
    return copy;
}
std::vector<RecoveryShare> pick(const std::vector<RecoveryShare>& shares, std::initializer_list<std::size_t> which) {
    std::vector<RecoveryShare> out;
    for (const std::size_t i : which) out.push_back(copy_of(shares[i]));
    return out;
}
ErrorCode refusal(const std::vector<RecoveryShare>& shares) {
    const auto key = combine_shares(shares);
    EXPECT_FALSE(key);
    return key ? ErrorCode::internal : key.error().code;
}
std::string text_of(const RecoveryShare& share) {
    const Secret text = share.to_text();
    return std::string(as_text(text.view()));
}
std::string message_for(std::string_view text) {
    const auto parsed = RecoveryShare::parse(text);
    EXPECT_FALSE(parsed);
    return parsed ? "" : parsed.error().message;
}

TEST(RecoveryShare, AnyKOfNGiveTheKeyBack) {
    for (unsigned count = 1; count <= 5; ++count) {
        for (unsigned threshold = 1; threshold <= count; ++threshold) {
            const auto shares = split(threshold, count);
            for (unsigned chosen = 1; chosen < 1U << count; ++chosen) {
                std::vector<RecoveryShare> some;
                for (unsigned i = count; i-- > 0;) {
                    if ((chosen >> i & 1U) != 0) some.push_back(copy_of(shares[i]));
                }
                if (some.size() < threshold) {
                    EXPECT_EQ(refusal(some), ErrorCode::invalid_argument);
                } else {
                    const auto key = combine_shares(some);
                    ASSERT_TRUE(key) << threshold << " of " << count << ", chosen " << chosen;
                    EXPECT_EQ(to_bytes(key->view()), kKey);
                }
            }
        }
    }
}

TEST(RecoveryShare, ManyShares) {
    const auto shares = split(20, 255);
    std::vector<RecoveryShare> last;
    for (std::size_t i = 235; i < 255; ++i) last.push_back(copy_of(shares[i]));
    EXPECT_EQ(to_bytes(combine_shares(last)->view()), kKey);
    last.pop_back();
    EXPECT_EQ(refusal(last), ErrorCode::invalid_argument);
}

TEST(RecoveryShare, OneShareLessSaysNothingOfTheKey) {
    // With two needed, every value of the key's first byte must be equally possible beside one share: over many splits, the
    // first share's first byte takes all values.
    std::array<int, 256> seen{};
    for (int i = 0; i < 5000; ++i) ++seen[split(2, 2)[0].value.view()[0]];
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 0);
    EXPECT_LT(*std::max_element(seen.begin(), seen.end()), 60) << "the mean is 20";
}

TEST(RecoveryShare, PolynomialOverTheFieldOfAes) {
    // Shares made by hand over GF(2^8)/0x11b: f(x) = 0x53 + 0xca x, so f(1) = 0x99, f(2) = 0x53 ^ 0x8f = 0xdc.
    auto shares = split(2, 2);
    for (auto& share : shares) {
        const std::uint8_t value = share.index == 1 ? 0x99 : 0xdc;
        std::fill(share.value.bytes().begin(), share.value.bytes().end(), value);
        const Hash check = tagged_hmac_sha256(Bytes(32, 0x53), "fid.sharekey1", {share.set});
        std::copy_n(check.begin(), 4, share.key_check.begin());
    }
    EXPECT_EQ(to_bytes(combine_shares(shares)->view()), Bytes(32, 0x53));
}

TEST(RecoveryShare, MixedSetsAreAConflict) {
    const auto first = split(2, 3);
    const auto second = split(2, 3);
    std::vector<RecoveryShare> mixed;
    mixed.push_back(copy_of(first[0]));
    mixed.push_back(copy_of(second[1]));
    EXPECT_EQ(refusal(mixed), ErrorCode::conflict);
    auto other_threshold = pick(first, {0, 1});
    other_threshold[1].threshold = 1;
    EXPECT_EQ(refusal(other_threshold), ErrorCode::conflict);
}

TEST(RecoveryShare, TheSameShareTwiceCountsOnce) {
    const auto shares = split(2, 3);
    EXPECT_EQ(refusal(pick(shares, {0, 0})), ErrorCode::invalid_argument);
    EXPECT_TRUE(combine_shares(pick(shares, {0, 0, 1})));
    auto contradicting = pick(shares, {0, 0, 1});
    contradicting[1].value.bytes()[0] ^= 1;
    EXPECT_EQ(refusal(contradicting), ErrorCode::corrupt);
}

TEST(RecoveryShare, ADamagedShareIsRefusedWhetherNeededOrNot) {
    const auto shares = split(2, 3);
    auto needed = pick(shares, {0, 1});
    needed[1].value.bytes()[31] ^= 0x80;
    EXPECT_EQ(refusal(needed), ErrorCode::corrupt);
    auto extra = pick(shares, {0, 1, 2});
    extra[2].value.bytes()[31] ^= 0x80;
    EXPECT_EQ(refusal(extra), ErrorCode::corrupt);
    auto wrong_number = pick(shares, {0, 1});
    wrong_number[1].index = 3;
    EXPECT_EQ(refusal(wrong_number), ErrorCode::corrupt);
    auto senseless = pick(shares, {0, 1});
    senseless[1].index = 0;
    EXPECT_EQ(refusal(senseless), ErrorCode::malformed);
    EXPECT_EQ(refusal({}), ErrorCode::invalid_argument);
}

TEST(RecoveryShare, RefusesToSplitWhatMakesNoSense) {
    EXPECT_FALSE(split_key(Secret(31), 2, 3));
    EXPECT_FALSE(split_key(Secret(32), 0, 3));
    EXPECT_FALSE(split_key(Secret(32), 4, 3));
    EXPECT_FALSE(split_key(Secret(32), 2, 256));
}

/// "name = value" lines that a second implementation wrote (test/vectors/keys/generate.py).
std::map<std::string, std::string> vectors() {
    std::map<std::string, std::string> out;
    std::ifstream file(FIDUCIAL_SOURCE_DIR "/test/vectors/keys/vectors.txt");
    for (std::string name, equals, value; file >> name >> equals && std::getline(file >> std::ws, value);) out[name] = value;
    return out;
}

TEST(RecoveryShareText, SharesOfASecondImplementationGiveTheKey) {
    auto golden = vectors();
    std::vector<RecoveryShare> shares;
    for (int index = 1; index <= 5; ++index) {
        const std::string text = golden["share_" + std::to_string(index) + "_of_5_any_3"];
        auto share = RecoveryShare::parse(text);
        ASSERT_TRUE(share) << share.error().message;
        std::string printed = text_of(*share);
        std::replace(printed.begin(), printed.end(), '\n', ' ');
        EXPECT_EQ(printed, text);
        shares.push_back(*std::move(share));
    }
    for (const auto& some : {pick(shares, {0, 1, 2}), pick(shares, {4, 2, 3}), pick(shares, {0, 1, 2, 3, 4})}) {
        const auto key = combine_shares(some);
        ASSERT_TRUE(key) << key.error().message;
        EXPECT_EQ(to_hex(key->view()), golden["key"]);
    }
}

TEST(RecoveryShareText, RoundTripAndLayout) {
    for (const RecoveryShare& share : split(3, 5)) {
        const std::string text = text_of(share);
        EXPECT_EQ(text.size(), 119U);
        EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
        const auto parsed = RecoveryShare::parse(text);
        ASSERT_TRUE(parsed) << parsed.error().message;
        EXPECT_EQ(text_of(*parsed), text);
        EXPECT_EQ(parsed->index, share.index);
        EXPECT_EQ(parsed->threshold, 3);
        EXPECT_EQ(to_bytes(parsed->value.view()), to_bytes(share.value.view()));
    }
}

TEST(RecoveryShareText, CaseSeparatorsAndLookalikesDoNotMatter) {
    const std::string text = text_of(split(1, 1)[0]);
    std::string lower, joined, dashed, lookalike = text;
    for (const char c : text) {
        lower += static_cast<char>(std::tolower(c));
        if (c != ' ' && c != '\n') joined += c;
        dashed += c == ' ' ? '-' : c;
    }
    std::replace(lookalike.begin(), lookalike.end(), '0', 'O');
    std::replace(lookalike.begin(), lookalike.end(), '1', 'l');
    for (const std::string& variant : {lower, joined, dashed, lookalike, "\r\n\t " + text + "\r\n"}) {
        const auto parsed = RecoveryShare::parse(variant);
        ASSERT_TRUE(parsed) << parsed.error().message;
        EXPECT_EQ(text_of(*parsed), text);
    }
}

TEST(RecoveryShareText, EverySingleTypoIsNamedByItsGroup) {
    const std::string text = text_of(split(2, 3)[1]);
    std::size_t group = 1;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == ' ' || text[at] == '\n') {
            ++group;
            continue;
        }
        for (const char c : std::string_view("0123456789ABCDEFGHJKMNPQRSTVWXYZ")) {
            if (c == text[at]) continue;
            std::string typo = text;
            typo[at] = c;
            ASSERT_EQ(message_for(typo), "recovery share: group " + std::to_string(group) + " has a typo");
        }
        std::string cut = text;
        cut.erase(at, 1);
        ASSERT_EQ(message_for(cut), "recovery share: group " + std::to_string(group) + " does not have 5 characters");
        std::string doubled = text;
        doubled.insert(at, 1, text[at]);
        ASSERT_EQ(message_for(doubled), "recovery share: group " + std::to_string(group) + " does not have 5 characters");
        std::string foreign = text;
        foreign[at] = 'U';
        ASSERT_EQ(message_for(foreign), "recovery share: group " + std::to_string(group) + " holds a character that is not used");
    }
}

TEST(RecoveryShareText, ExchangedNeighboursAreNamed) {
    const std::string text = text_of(split(2, 3)[2]);
    for (std::size_t at = 0; at + 1 < text.size(); ++at) {
        if (at % 6 >= 4 || text[at] == text[at + 1]) continue;
        std::string exchanged = text;
        std::swap(exchanged[at], exchanged[at + 1]);
        EXPECT_EQ(message_for(exchanged), "recovery share: group " + std::to_string(at / 6 + 1) + " has a typo");
    }
    std::string groups = text;
    for (std::size_t i = 0; i < 5; ++i) std::swap(groups[i], groups[6 + i]);
    if (groups != text) {
        EXPECT_EQ(message_for(groups), "recovery share: group 1 has a typo");
    }
}

TEST(RecoveryShareText, OneRejectionForEachError) {
    const auto shares = split(2, 3);
    const std::string text = text_of(shares[0]);
    EXPECT_EQ(message_for(""), "recovery share: there are 0 groups instead of 20");
    EXPECT_EQ(message_for(text.substr(0, 113)), "recovery share: there are 19 groups instead of 20");
    EXPECT_EQ(message_for(text + " " + text), "recovery share: there are more than 20 groups");
    EXPECT_EQ(message_for(std::string(2000, ' ')), "recovery share: text is too long");
    EXPECT_NE(message_for(text_of(shares[0]).substr(0, 60) + text_of(shares[1]).substr(60)), "") << "halves of two shares";
}

TEST(RecoveryShareText, AWellFormedShareWithSenselessNumbersIsRefused) {
    auto shares = split(2, 3);
    shares[0].index = 4;
    EXPECT_EQ(message_for(text_of(shares[0])), "recovery share: its numbers make no sense");
    shares[1].threshold = 0;
    EXPECT_EQ(message_for(text_of(shares[1])), "recovery share: its numbers make no sense");
}

}  // namespace
}  // namespace fiducial::crypto
