#include "gateway/dimse_peers.hpp"

#include <gtest/gtest.h>

namespace fiducial::gateway {
namespace {

std::array<std::uint8_t, 16> from(std::string_view socket) {
    return address_of_socket(socket).value();
}

TEST(DimsePeers, TitleAndAddressMustBothBeThose) {
    const auto ct = parse_dimse_peer("CT1 192.0.2.7").value();
    EXPECT_TRUE(ct.matches("CT1", from("192.0.2.7:4711")));
    EXPECT_TRUE(ct.matches("CT1", from("[::ffff:192.0.2.7]:4711"))) << "the same machine, come to a socket for both families";
    EXPECT_FALSE(ct.matches("CT1", from("192.0.2.8:4711")));
    EXPECT_FALSE(ct.matches("ct1", from("192.0.2.7:4711"))) << "titles are compared with case";
    EXPECT_FALSE(ct.plain);
    EXPECT_EQ(ct.set_aside, SetAsideAnswer::warning);
}

TEST(DimsePeers, NetworksAndAnyTitle) {
    const auto ward = parse_dimse_peer("* 192.0.2.128/25 plain set-aside=success").value();
    EXPECT_TRUE(ward.matches("ANY ONE", from("192.0.2.255:1")));
    EXPECT_FALSE(ward.matches("ANY ONE", from("192.0.2.127:1")));
    EXPECT_TRUE(ward.plain);
    EXPECT_EQ(ward.set_aside, SetAsideAnswer::success);
    const auto six = parse_dimse_peer("MR 2001:db8::/32 set-aside=failure").value();
    EXPECT_TRUE(six.matches("MR", from("[2001:db8:1::9]:104")));
    EXPECT_FALSE(six.matches("MR", from("[2001:db9::9]:104")));
    EXPECT_FALSE(six.matches("MR", from("192.0.2.1:104")));
    EXPECT_EQ(six.set_aside, SetAsideAnswer::failure);
    EXPECT_TRUE(parse_dimse_peer("* 0.0.0.0/0").value().matches("X", from("203.0.113.9:1")));
}

TEST(DimsePeers, OnlyThisMachineIsLoopback) {
    for (const auto* text : {"A 127.0.0.1", "A 127.0.0.0/8", "A ::1", "A 127.1.2.0/24"})
        EXPECT_TRUE(parse_dimse_peer(text).value().is_loopback()) << text;
    for (const auto* text : {"A 192.0.2.7", "A 0.0.0.0/0", "A ::/0", "A ::/64", "A 126.0.0.0/7"})
        EXPECT_FALSE(parse_dimse_peer(text).value().is_loopback()) << text;
}

TEST(DimsePeers, TheFirstThatMatchesCounts) {
    const std::vector<DimsePeer> peers{parse_dimse_peer("CT1 192.0.2.7 set-aside=success").value(),
                                       parse_dimse_peer("* 192.0.2.0/24").value()};
    EXPECT_EQ(find_peer(peers, "CT1", from("192.0.2.7:1")), &peers[0]);
    EXPECT_EQ(find_peer(peers, "CT2", from("192.0.2.7:1")), &peers[1]);
    EXPECT_EQ(find_peer(peers, "CT2", from("198.51.100.1:1")), nullptr);
}

TEST(DimsePeers, WhatIsWrongIsNamedWithItsLine) {
    const auto said = [](const std::string& text) {
        const auto peer = parse_dimse_peer(text);
        return peer ? std::string() : peer.error().message;
    };
    EXPECT_EQ(said("CT1"), "[dimse] peers: \"CT1\": an AE title and an address are needed");
    EXPECT_NE(said("SEVENTEEN_LETTERS 192.0.2.1").find("no AE title"), std::string::npos);
    EXPECT_NE(said("CT1 ct1.example.org").find("not a numeric IP address"), std::string::npos);
    EXPECT_NE(said("CT1 192.0.2.1/33").find("prefix"), std::string::npos);
    EXPECT_NE(said("CT1 192.0.2.1/x").find("prefix"), std::string::npos);
    EXPECT_NE(said("CT1 192.0.2.1/").find("prefix"), std::string::npos);
    EXPECT_NE(said("CT1 192.0.2.1 plane").find("'plane' is none of"), std::string::npos);
    EXPECT_FALSE(address_of_socket("192.0.2.1"));
    EXPECT_FALSE(address_of_socket("nowhere:1"));
}

TEST(DimsePeers, WhatAPeerMayIsSwitchedOnForIt) {
    const auto plain = parse_dimse_peer("CT1 192.0.2.7 plain");
    ASSERT_TRUE(plain);
    EXPECT_TRUE(plain->device.empty() && !plain->query && !plain->retrieve && plain->port == 0);
    const auto workstation = parse_dimse_peer("WS3 192.0.2.8 plain device=ws3 query retrieve port=11112");
    ASSERT_TRUE(workstation) << workstation.error().message;
    EXPECT_EQ(workstation->device, "ws3");
    EXPECT_TRUE(workstation->query && workstation->retrieve);
    EXPECT_EQ(workstation->port, 11112);
    EXPECT_EQ(workstation->address(), "192.0.2.8");
    EXPECT_EQ(workstation->network_text(), "192.0.2.8");
    EXPECT_EQ(parse_dimse_peer("* 192.0.2.0/24")->network_text(), "192.0.2.0/24");
    EXPECT_EQ(parse_dimse_peer("* 2001:db8::/32")->network_text(), "2001:db8::/32");
    EXPECT_EQ(parse_dimse_peer("WS3 2001:db8::9 plain port=104")->address(), "2001:db8::9");
    for (const auto* wrong : {"WS3 192.0.2.8 query", "WS3 192.0.2.8 retrieve", "WS3 192.0.2.8 device=", "WS3 192.0.2.8 plain port=0",
                              "WS3 192.0.2.8 plain port=65536", "WS3 192.0.2.8 plain port=", "* 192.0.2.8 plain port=104",
                              "WS3 192.0.2.0/24 plain port=104", "WS3 192.0.2.8 port=104"})
        EXPECT_EQ(parse_dimse_peer(wrong).error().code, ErrorCode::invalid_argument) << wrong;
}

TEST(DimsePeers, ACertificateIsKnownByItsFingerprint) {
    const std::string hex(64, 'a');
    std::string colons;
    for (int i = 0; i < 32; ++i) colons += i == 0 ? "AA" : ":AA";
    EXPECT_EQ(parse_dimse_peer("WS3 192.0.2.8 certificate=" + hex)->certificate, hex);
    EXPECT_EQ(parse_dimse_peer("WS3 192.0.2.8 certificate=" + colons + " port=104")->certificate, hex) << "as openssl shows it";
    for (const auto& wrong :
         {"certificate=" + hex + " plain", "certificate=" + hex.substr(2), std::string("certificate="), "certificate=z" + hex.substr(1)})
        EXPECT_EQ(parse_dimse_peer("WS3 192.0.2.8 " + wrong).error().code, ErrorCode::invalid_argument) << wrong;
}

TEST(DimsePeers, WhatAPeerIsNotAsOthersAreIn) {
    const auto plain = parse_dimse_peer("WS3 127.0.0.2").value();
    EXPECT_EQ(plain.commitment, archive::CommitmentPolicy::none);
    EXPECT_EQ(plain.max_pdu_bytes, 0u);
    EXPECT_FALSE(plain.uncompressed || plain.announce);
    const auto old = parse_dimse_peer(
        "  WS3 127.0.0.2 port=104 commitment=settled pdu=16384 timeout=20 uncompressed charset=ISO_2022_IR_87 device=ws3 announce ");
    ASSERT_TRUE(old) << old.error().message;
    EXPECT_EQ(old->line,
              "WS3 127.0.0.2 port=104 commitment=settled pdu=16384 timeout=20 uncompressed charset=ISO_2022_IR_87 device=ws3 announce");
    EXPECT_EQ(old->commitment, archive::CommitmentPolicy::settled);
    EXPECT_EQ(old->port, 104);
    EXPECT_EQ(old->max_pdu_bytes, 16'384u);
    EXPECT_EQ(old->timeout, std::chrono::seconds(20));
    EXPECT_TRUE(old->uncompressed && old->announce);
    EXPECT_EQ(old->character_set, "ISO 2022 IR 87");
    EXPECT_EQ(parse_dimse_peer("WS3 127.0.0.2 charset=ISO_IR_100")->character_set, "ISO_IR 100");
    for (const auto* wrong :
         {"pdu=100", "pdu=1000000", "pdu=x", "timeout=0", "timeout=", "charset=KOI8", "charset=", "port=0", "port=65536", "announce"})
        EXPECT_EQ(parse_dimse_peer(std::string("WS3 127.0.0.2 ") + wrong).error().code, ErrorCode::invalid_argument) << wrong;
}

}  // namespace
}  // namespace fiducial::gateway
