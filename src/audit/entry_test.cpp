#include "audit/entry.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::audit {
namespace {

Bytes32 filled(std::uint8_t value) {
    Bytes32 out;
    out.fill(value);
    return out;
}

Entry sample() {
    Entry entry;
    entry.time = SystemTime(std::chrono::milliseconds(1795377600123));
    entry.operation = 1;
    entry.purpose = 2;
    entry.allowed = true;
    entry.reason = 0x0304;
    entry.obligation = 5;
    entry.block_number = 0x0607;
    entry.block_hash = filled(0xbb);
    entry.flags = node_away | emergency;
    entry.result = 9;
    return entry;
}

struct Keys {
    crypto::Secret staff = crypto::random_secret(32);
    crypto::Secret patient = crypto::random_secret(32);
    EntryKeys both() const { return {{filled(1), &staff}, {filled(2), &patient}}; }
};

Entry full() {
    Entry entry = sample();
    entry.staff = StaffPart{filled(0x11), "192.0.2.7:4711"};
    entry.patient = PatientPart{filled(0x21), filled(0x22), filled(0x23)};
    return entry;
}

TEST(TraceEntry, GoldenBytesOfTheClearPart) {
    const auto bytes = encode_entry(sample(), {});
    ASSERT_TRUE(bytes);
    EXPECT_EQ(to_hex(*bytes),
              "0a"
              "6669642e656e74727931"
              "000001a204d8167b"
              "01"
              "02"
              "01"
              "0304"
              "05"
              "0000000000000607"
              "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
              "00000003"
              "0009"
              "00");
}

TEST(TraceEntry, RoundTripOfEachSelectionOfParts) {
    const Keys keys;
    for (int parts = 0; parts < 4; ++parts) {
        Entry entry = full();
        if ((parts & 1) == 0) entry.staff.reset();
        if ((parts & 2) == 0) entry.patient.reset();
        const auto bytes = encode_entry(entry, keys.both());
        ASSERT_TRUE(bytes);
        const auto stored = decode_entry(*bytes);
        ASSERT_TRUE(stored) << stored.error().message;
        EXPECT_EQ(stored->bytes, *bytes);
        Entry clear = entry;
        clear.staff.reset();
        clear.patient.reset();
        EXPECT_EQ(stored->clear, clear);
        const auto staff = stored->open_staff(keys.staff);
        const auto patient = stored->open_patient(keys.patient);
        ASSERT_EQ(staff.has_value(), entry.staff.has_value());
        ASSERT_EQ(patient.has_value(), entry.patient.has_value());
        if (staff) {
            EXPECT_EQ(*staff, *entry.staff);
            EXPECT_EQ(stored->staff->key_id, filled(1));
        } else {
            EXPECT_EQ(staff.error().code, ErrorCode::not_found);
        }
        if (patient) {
            EXPECT_EQ(*patient, *entry.patient);
        } else {
            EXPECT_EQ(patient.error().code, ErrorCode::not_found);
        }
    }
}

TEST(TraceEntry, Rfc6962LeafHashStartsWithTheTag) {
    const Bytes bytes = encode_entry(sample(), {}).value();
    EXPECT_EQ(entry_leaf_hash(bytes), crypto::tagged_leaf_sha256("fid.entry1", {ByteView(bytes).subspan(11)}));
}

TEST(TraceEntry, NothingOfTheSealedPartsStandsInClear) {
    const Keys keys;
    const Bytes bytes = encode_entry(full(), keys.both()).value();
    const std::string_view text = as_text(bytes);
    EXPECT_EQ(text.find("192.0.2.7"), std::string_view::npos);
    for (const std::uint8_t value : {std::uint8_t{0x11}, std::uint8_t{0x21}, std::uint8_t{0x22}, std::uint8_t{0x23}}) {
        EXPECT_EQ(text.find(std::string(8, static_cast<char>(value))), std::string_view::npos);
    }
}

TEST(TraceEntry, AnotherKeyDoesNotOpenAPart) {
    const Keys keys;
    const auto stored = decode_entry(encode_entry(full(), keys.both()).value()).value();
    EXPECT_EQ(stored.open_staff(keys.patient).error().code, ErrorCode::corrupt);
    EXPECT_EQ(stored.open_patient(keys.staff).error().code, ErrorCode::corrupt);
    EXPECT_EQ(stored.open_patient(crypto::Secret(31)).error().code, ErrorCode::invalid_argument);
}

TEST(TraceEntry, PartsAreBoundToTheirEntryAndPlace) {
    const Keys keys;
    const auto one = decode_entry(encode_entry(full(), keys.both()).value()).value();
    Entry refused = full();
    refused.allowed = false;
    auto two = decode_entry(encode_entry(refused, keys.both()).value()).value();
    two.patient = one.patient;  // the patient part of another look
    EXPECT_EQ(two.open_patient(keys.patient).error().code, ErrorCode::corrupt);
    auto same = one;
    same.staff->key_id = filled(7);
    EXPECT_EQ(same.open_staff(keys.staff).error().code, ErrorCode::corrupt);
    const EntryKeys one_key{{filled(1), &keys.staff}, {filled(1), &keys.staff}};
    auto crossed = decode_entry(encode_entry(full(), one_key).value()).value();
    std::swap(crossed.staff, crossed.patient);
    EXPECT_EQ(crossed.open_staff(keys.staff).error().code, ErrorCode::corrupt);
}

TEST(TraceEntry, EncodingRefusesWhatCannotBeStored) {
    const Keys keys;
    const auto code = [](const Entry& entry, const EntryKeys& with) { return encode_entry(entry, with).error().code; };
    EntryKeys none = keys.both();
    none.patient.key = nullptr;
    EXPECT_EQ(code(full(), none), ErrorCode::invalid_argument);
    const crypto::Secret small(16);
    none.patient.key = &small;
    EXPECT_EQ(code(full(), none), ErrorCode::invalid_argument);
    Entry entry = full();
    entry.staff->remote_address = std::string(256, 'x');
    EXPECT_EQ(code(entry, keys.both()), ErrorCode::invalid_argument);
    entry.staff->remote_address = std::string(255, 'x');
    EXPECT_TRUE(encode_entry(entry, keys.both()));
    entry.time = SystemTime(std::chrono::milliseconds(-1));
    EXPECT_EQ(code(entry, keys.both()), ErrorCode::invalid_argument);
}

TEST(TraceEntry, OneRejectionForEachDecodingError) {
    const Keys keys;
    const Bytes good = encode_entry(full(), keys.both()).value();
    const auto code = [](ByteView bytes) {
        const auto decoded = decode_entry(bytes);
        EXPECT_FALSE(decoded);
        return decoded ? ErrorCode::internal : decoded.error().code;
    };
    for (std::size_t size = 0; size < good.size(); ++size) ASSERT_EQ(code(ByteView(good).first(size)), ErrorCode::malformed) << size;
    const auto changed = [&](std::size_t at, std::uint8_t value) {
        Bytes bytes = good;
        bytes[at] = value;
        return code(bytes);
    };
    EXPECT_EQ(changed(1, 'x'), ErrorCode::malformed) << "tag";
    EXPECT_EQ(changed(10, '2'), ErrorCode::unsupported) << "version";
    EXPECT_EQ(changed(11, 0x80), ErrorCode::malformed) << "time";
    EXPECT_EQ(changed(21, 2), ErrorCode::malformed) << "allowed";
    EXPECT_EQ(changed(71, 4), ErrorCode::malformed) << "parts";
    Bytes longer = good;
    longer.push_back(0);
    EXPECT_EQ(code(longer), ErrorCode::malformed);
    EXPECT_EQ(code(Bytes(kLongestEntry + 1, 0)), ErrorCode::limit_exceeded);
    Bytes big = ByteView(good).size() > 72 ? Bytes(good.begin(), good.begin() + 72 + 32) : Bytes();
    append_lp(big, Bytes(513, 0));
    append(big, Bytes(400, 0));
    EXPECT_EQ(code(big), ErrorCode::limit_exceeded) << "sealed part";
}

}  // namespace
}  // namespace fiducial::audit
