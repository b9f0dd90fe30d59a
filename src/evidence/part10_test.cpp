#include "evidence/part10.hpp"

#include <gtest/gtest.h>

#include "crypto/hash.hpp"
#include "evidence/evidence_test_support.hpp"
#include "evidence/file_fingerprint.hpp"

namespace fiducial::evidence {
namespace {

Bytes le16(std::size_t value) {
    return {static_cast<std::uint8_t>(value), static_cast<std::uint8_t>(value >> 8)};
}

Bytes element(std::uint16_t group, std::uint16_t number, std::string_view vr, std::string_view value) {
    Bytes out;
    append(out, le16(group));
    append(out, le16(number));
    append(out, as_bytes(vr));
    if (vr == "OB" || vr == "UN") {
        append(out, Bytes{0, 0});
        append(out, le16(value.size()));
        append(out, Bytes{0, 0});
    } else {
        append(out, le16(value.size()));
    }
    append(out, as_bytes(value));
    return out;
}

/// Preamble, group length (off by `wrong`) and what else stands in group 0002.
Bytes prefix_of(ByteView group, std::size_t wrong = 0) {
    Bytes out(128, 0x41);
    append(out, as_bytes("DICM"));
    Bytes length = le16(group.size() + wrong);
    append(length, Bytes{0, 0});
    append(out, element(2, 0, "UL", as_text(length)));
    append(out, group);
    return out;
}
Bytes group_of(std::string_view transfer_syntax) {
    Bytes group = element(2, 1, "OB", std::string_view("\0\1", 2));
    append(group, element(2, 0x10, "UI", transfer_syntax));
    return group;
}
Bytes prefix(std::string_view transfer_syntax) {
    return prefix_of(group_of(transfer_syntax));
}
const Bytes kDataSet = element(8, 0x18, "UI", "1.2.3.4");

TEST(Part10, PS310_7_1_FindsTheDataSet) {
    Bytes file = prefix(std::string_view("1.2.840.10008.1.2.1\0", 20));
    const std::size_t start = file.size();
    append(file, kDataSet);
    const auto found = split_part10(file).value();
    EXPECT_TRUE(found.has_prefix);
    EXPECT_EQ(found.data_set_offset, start);
    EXPECT_EQ(found.transfer_syntax_uid, "1.2.840.10008.1.2.1");
}

TEST(Part10, AnythingElseIsTakenAsItIs) {
    for (const Bytes& bytes : {Bytes{}, kDataSet, Bytes(131, 0), filler("jpeg", 1000)}) {
        const auto found = split_part10(bytes).value();
        EXPECT_FALSE(found.has_prefix);
        EXPECT_EQ(found.data_set_offset, 0u);
    }
}

TEST(Part10, Rejections) {
    const Bytes whole = prefix("1.2.840.10008.1.2.1");
    std::size_t accepted = 0;
    for (std::size_t size = 132; size < whole.size(); ++size) accepted += split_part10(ByteView(whole).first(size)).has_value() ? 1 : 0;
    EXPECT_EQ(accepted, 3u);  // between elements: the data set that follows is empty, which is refused where it is hashed
    Bytes file = prefix("1.2.x");
    append(file, kDataSet);
    EXPECT_EQ(split_part10(file).error().code, ErrorCode::malformed);
    Bytes group = group_of("1.2");
    append(group, element(2, 0x102, "OB", "abcd"));
    file = prefix_of(group);
    file[file.size() - 5] = 0xFF;  // a length beyond the file
    EXPECT_EQ(split_part10(file).error().code, ErrorCode::malformed);
}

TEST(Part10, PS35_7_1_WhatTwoReadersMayReadDifferentlyIsRefused) {
    Bytes twice = group_of("1.2.840.10008.1.2.1");
    append(twice, element(2, 0x10, "UI", "1.2.840.10008.1.2.2"));
    Bytes out_of_order = group_of("1.2.840.10008.1.2.1");
    append(out_of_order, element(2, 3, "UI", "1.2"));
    Bytes second_length = group_of("1.2.840.10008.1.2.1");
    append(second_length, element(2, 0, "UL", "abcd"));
    for (Bytes file : {prefix_of(twice), prefix_of(out_of_order), prefix_of(second_length)}) {
        append(file, kDataSet);
        const auto found = split_part10(file);
        ASSERT_FALSE(found);
        EXPECT_EQ(found.error().code, ErrorCode::malformed);
    }
    // Group 0002 is its elements, as PS3.10 §7.1 has them at the beginning; a wrong length of it moves nothing.
    for (const auto& file : {prefix_of(group_of("1.2"), 16), prefix_of(group_of("1.2"), static_cast<std::size_t>(-10))}) {
        Bytes whole = file;
        append(whole, kDataSet);
        ASSERT_TRUE(split_part10(whole));
        EXPECT_EQ(split_part10(whole)->data_set_offset, file.size());
    }
    Bytes without_preamble = group_of("1.2");
    const auto begins_at = without_preamble.size();
    append(without_preamble, kDataSet);
    ASSERT_TRUE(split_part10(without_preamble));
    EXPECT_EQ(split_part10(without_preamble)->data_set_offset, begins_at);
    Bytes without_length(128, 0);
    append(without_length, as_bytes("DICM"));
    append(without_length, group_of("1.2"));
    append(without_length, kDataSet);
    EXPECT_TRUE(split_part10(without_length));
}

TEST(FileFingerprint, TheDataSetAloneCounts) {
    const Bytes data_set = filler("data set", 3 << 20);
    Bytes file = prefix("1.2.840.10008.1.2.1");
    append(file, data_set);
    for (std::size_t piece : {std::size_t{4096}, std::size_t{1} << 20, std::size_t{1} << 22}) {
        FileFingerprinter fingerprinter;
        for (std::size_t at = 0; at < file.size(); at += piece)
            fingerprinter.update(ByteView(file).subspan(at, std::min(piece, file.size() - at)));
        const auto found = fingerprinter.finish();
        EXPECT_EQ(found.data_set, fingerprint_of(data_set));
        EXPECT_EQ(found.file_sha256, crypto::sha256(file));
        EXPECT_EQ(found.transfer_syntax_uid, "1.2.840.10008.1.2.1");
        EXPECT_TRUE(found.note.empty());
    }
}

TEST(FileFingerprint, AFileWithoutADataSetSaysWhy) {
    FileFingerprinter nothing;
    auto found = nothing.finish();
    EXPECT_FALSE(found.data_set);
    EXPECT_FALSE(found.note.empty());
    FileFingerprinter only_prefix;
    only_prefix.update(prefix("1.2"));
    EXPECT_FALSE(only_prefix.finish().data_set);
    FileFingerprinter cut_off;
    const Bytes whole = prefix("1.2");
    cut_off.update(ByteView(whole).first(138));
    found = cut_off.finish();
    EXPECT_FALSE(found.data_set);
    EXPECT_NE(found.file_sha256, Hash{});
}

}  // namespace
}  // namespace fiducial::evidence
