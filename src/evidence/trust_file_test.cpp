#include "evidence/trust_file.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "evidence/evidence_test_support.hpp"

namespace fiducial::evidence {
namespace {

SampleOptions of_signers(std::size_t signers) {
    SampleOptions options;
    options.signers = signers;
    return options;
}

struct Succession {
    Sample now;
    TrustFile next;
    std::string next_text;
};
Succession succession(std::size_t signers, const std::function<void(TrustFile&)>& change = {}) {
    Succession out{make_sample(of_signers(signers)), {}, {}};
    out.next = out.now.trust;
    out.next.version = 2;
    out.next.previous_sha256 = trust_file_sha256(out.now.trust_text);
    if (change) change(out.next);
    out.next_text = out.next.serialise().value();
    return out;
}
Result<std::vector<Address>> verify_with(const Succession& s, std::size_t signatures) {
    std::vector<crypto::RecoverableSignature> list;
    for (std::size_t i = 0; i < signatures; ++i) list.push_back(sign_trust_file(s.now.keys[i], s.next_text).value());
    return verify_succession(s.now.trust_text, s.next_text, list);
}

TEST(TrustFile, RoundTrip) {
    auto trust = make_sample(of_signers(3)).trust;
    trust.signer_sets.front().last_block = 99;
    trust.signer_sets.push_back({100, {}, {Address{1}}});
    trust.witnesses = {Address{1}, Address{2}};
    trust.contracts.push_back({"Zeta", Address{9}, named_hash("z"), 0, UINT64_MAX});
    const std::string text = trust.serialise().value();
    EXPECT_EQ(TrustFile::parse(text).value(), trust);
    EXPECT_EQ(TrustFile::parse(text + "\n").error().code, ErrorCode::malformed);
    EXPECT_EQ(TrustFile::parse(std::string(5 << 20, ' ')).error().code, ErrorCode::limit_exceeded);
}

TEST(TrustFile, LooksUpSignersContractsAndInstitutions) {
    auto trust = make_sample(of_signers(3)).trust;
    trust.signer_sets.front().first_block = 10;
    trust.signer_sets.front().last_block = 99;
    trust.signer_sets.push_back({100, {}, {Address{1}}});
    EXPECT_EQ(trust.signers_at(9), nullptr);
    EXPECT_EQ(trust.signers_at(10), &trust.signer_sets[0]);
    EXPECT_EQ(trust.signers_at(99), &trust.signer_sets[0]);
    EXPECT_EQ(trust.signers_at(100), &trust.signer_sets[1]);
    EXPECT_EQ(trust.signers_at(UINT64_MAX), &trust.signer_sets[1]);
    EXPECT_EQ(trust.contract("Studies", trust.contracts[0].address), &trust.contracts[0]);
    EXPECT_EQ(trust.contract("Members", trust.contracts[0].address), nullptr);
    EXPECT_EQ(trust.contract("Studies", Address{}), nullptr);
    EXPECT_EQ(trust.institution(trust.institutions[0].id), &trust.institutions[0]);
    EXPECT_EQ(trust.institution(Bytes32{}), nullptr);
}

TEST(TrustFile, Rejections) {
    const auto refused = [](auto change) {
        auto trust = make_sample(of_signers(3)).trust;
        change(trust);
        const auto text = trust.serialise();
        return !text && text.error().code == ErrorCode::invalid_argument;
    };
    EXPECT_FALSE(refused([](auto&) {}));
    EXPECT_TRUE(refused([](auto& t) { t.version = 0; }));
    EXPECT_TRUE(refused([](auto& t) { t.version = 2; }));
    EXPECT_TRUE(refused([](auto& t) { t.previous_sha256 = named_hash("p"); }));
    EXPECT_TRUE(refused([](auto& t) { t.chain_id = 0; }));
    EXPECT_TRUE(refused([](auto& t) { t.epoch = 0; }));
    EXPECT_TRUE(refused([](auto& t) { t.signer_sets.clear(); }));
    EXPECT_TRUE(refused([](auto& t) { t.signer_sets[0].signers.clear(); }));
    EXPECT_TRUE(refused([](auto& t) { std::swap(t.signer_sets[0].signers[0], t.signer_sets[0].signers[1]); }));
    EXPECT_TRUE(refused([](auto& t) { t.signer_sets[0].signers[0] = t.signer_sets[0].signers[1]; }));
    EXPECT_TRUE(refused([](auto& t) { t.signer_sets[0].last_block = 9; }));
    EXPECT_TRUE(refused([](auto& t) { t.signer_sets.push_back({100, {}, {Address{1}}}); }));
    EXPECT_TRUE(refused([](auto& t) {
        t.signer_sets[0].last_block = 98;
        t.signer_sets.push_back({100, {}, {Address{1}}});
    }));
    EXPECT_TRUE(refused([](auto& t) {
        t.signer_sets[0].last_block = 100;
        t.signer_sets.push_back({100, {}, {Address{1}}});
    }));
    EXPECT_TRUE(refused([](auto& t) { t.client = ClientKind::development; }));
    EXPECT_TRUE(refused([](auto& t) { t.contracts[0].name = "no name"; }));
    EXPECT_TRUE(refused([](auto& t) { t.contracts[0].name = ""; }));
    EXPECT_TRUE(refused([](auto& t) { t.contracts.push_back(t.contracts[0]); }));
    EXPECT_TRUE(refused([](auto& t) {
        t.contracts.push_back(t.contracts[0]);
        t.contracts.back().from_block++;
    }));
    EXPECT_TRUE(refused([](auto& t) { t.institutions.push_back(t.institutions[0]); }));
    EXPECT_TRUE(refused([](auto& t) { t.institutions[0].name = "\xC3\xA4"; }));
    EXPECT_TRUE(refused([](auto& t) { t.institutions[0].name = std::string(101, 'x'); }));
    EXPECT_TRUE(refused([](auto& t) { t.witnesses = {Address{2}, Address{1}}; }));
}

TEST(TrustFile, ParseRefusesOtherKeysAndKinds) {
    const std::string text = make_sample().trust_text;
    const auto replaced = [&](std::string_view from, std::string_view to) {
        std::string changed = text;
        const auto at = changed.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        changed.replace(at, from.size(), to);
        return TrustFile::parse(changed);
    };
    EXPECT_EQ(replaced("\"fid.trust1\"", "\"fid.trust2\"").error().code, ErrorCode::unsupported);
    EXPECT_EQ(replaced("\"clique\"", "\"qbft\"").error().code, ErrorCode::unsupported);
    EXPECT_EQ(replaced("\"witnesses\":[]", "\"witnesses\":[],\"x\":1").error().code, ErrorCode::malformed);
    EXPECT_EQ(replaced("\"witnesses\":[]", "\"witnesses\":[\"0x00\"]").error().code, ErrorCode::malformed);
    EXPECT_EQ(replaced(",\"witnesses\":[]", "").error().code, ErrorCode::malformed);
    EXPECT_EQ(replaced("\"version\":1", "\"version\":1.0").error().code, ErrorCode::malformed);
    EXPECT_EQ(replaced("\"version\":1", "\"version\":true").error().code, ErrorCode::malformed);
    EXPECT_EQ(replaced("\"first_block\":0", "\"first_block\":0,\"last_block\":5").error().code, ErrorCode::malformed);
}

TEST(TrustFile, EIP191DigestIsNotARawDigest) {
    const Hash sha = named_hash("file");
    EXPECT_EQ(trust_signing_digest(sha), crypto::keccak256({as_bytes("\x19"
                                                                     "Ethereum Signed Message:\n32"),
                                                            sha}));
}

TEST(TrustSuccession, MoreThanHalfOfTheSignersAreNeeded) {
    for (std::size_t signers : {1u, 2u, 3u, 4u, 5u}) {
        const auto s = succession(signers);
        for (std::size_t count = 0; count <= signers; ++count) {
            EXPECT_EQ(verify_with(s, count).has_value(), count * 2 > signers) << count << " of " << signers;
        }
    }
}

TEST(TrustSuccession, OneSignerCountsOnceAndStrangersNever) {
    const auto s = succession(3);
    const auto own = sign_trust_file(s.now.keys[0], s.next_text).value();
    const auto strange = sign_trust_file(named_key("stranger"), s.next_text).value();
    const std::vector<crypto::RecoverableSignature> list{own, own, own, strange, strange};
    EXPECT_EQ(verify_succession(s.now.trust_text, s.next_text, list).error().code, ErrorCode::unverified);
    const auto of_old = sign_trust_file(s.now.keys[1], s.now.trust_text).value();
    const std::vector<crypto::RecoverableSignature> stale{own, of_old};
    EXPECT_FALSE(verify_succession(s.now.trust_text, s.next_text, stale));
    const auto raw = crypto::sign_recoverable(s.now.keys[1], trust_file_sha256(s.next_text)).value();
    const std::vector<crypto::RecoverableSignature> raw_digest{own, raw};
    EXPECT_FALSE(verify_succession(s.now.trust_text, s.next_text, raw_digest));
}

TEST(TrustSuccession, NewSignersDoNotCountForTheirOwnAppointment) {
    const auto fresh = named_keys("fresh", 5);
    const auto s = succession(3, [&](TrustFile& t) {
        t.signer_sets.back().last_block = 999;
        SignerSet set{1000, {}, {}};
        for (const auto& key : fresh) set.signers.push_back(crypto::address_of(key).value());
        t.signer_sets.push_back(set);
    });
    std::vector<crypto::RecoverableSignature> list;
    for (const auto& key : fresh) list.push_back(sign_trust_file(key, s.next_text).value());
    EXPECT_FALSE(verify_succession(s.now.trust_text, s.next_text, list));
    EXPECT_TRUE(verify_with(s, 2));
}

TEST(TrustSuccession, ThePastIsKept) {
    const auto refused = [](const std::function<void(TrustFile&)>& change) {
        const auto verified = verify_with(succession(3, change), 3);
        return !verified && verified.error().code == ErrorCode::unverified;
    };
    EXPECT_FALSE(refused({}));
    EXPECT_FALSE(refused([](auto& t) { t.institutions.front().gateway = Address{7}; }));
    EXPECT_TRUE(refused([](auto& t) { t.version = 3; }));
    EXPECT_TRUE(refused([](auto& t) { t.previous_sha256 = named_hash("x"); }));
    EXPECT_TRUE(refused([](auto& t) { t.chain_id++; }));
    EXPECT_TRUE(refused([](auto& t) { t.genesis_hash = named_hash("x"); }));
    EXPECT_TRUE(refused([](auto& t) { t.signer_sets[0].signers.pop_back(); }));
    EXPECT_TRUE(refused([](auto& t) { t.signer_sets[0].first_block = 1; }));
    EXPECT_TRUE(refused([](auto& t) { t.contracts.clear(); }));
    EXPECT_TRUE(refused([](auto& t) { t.contracts[0].code_hash = named_hash("x"); }));
    EXPECT_TRUE(refused([](auto& t) { t.institutions.clear(); }));
}

TEST(TrustSuccession, ErrorsSayWhatIsMissing) {
    const auto refusal = [](const std::function<void(TrustFile&)>& change, std::size_t signatures = 3) {
        const auto verified = verify_with(succession(3, change), signatures);
        return verified ? std::string() : verified.error().message;
    };
    const auto says = [](const std::string& text, std::string_view part) {
        return text.find(part) != std::string::npos ? "" : text.empty() ? "accepted" : text;
    };
    EXPECT_EQ(refusal({}), "");
    EXPECT_EQ(says(refusal({}, 1), "signed by 1 of the 3 signers of version 1"), "");
    EXPECT_EQ(says(refusal([](auto& t) { t.version = 3; }), "version 2 comes first"), "");
    EXPECT_EQ(says(refusal([](auto& t) { t.chain_id++; }), "of another chain"), "");
    EXPECT_EQ(says(refusal([](auto& t) { t.period++; }), "period"), "");
    EXPECT_EQ(says(refusal([](auto& t) { t.signer_sets[0].signers.pop_back(); }), "an earlier signer set"), "");
    EXPECT_EQ(says(refusal([](auto& t) { t.previous_sha256 = named_hash("x"); }), to_hex(named_hash("x"))), "");
    const auto s = succession(3);
    const std::vector strange{sign_trust_file(s.now.keys[0], s.next_text).value(),
                              sign_trust_file(named_key("stranger"), s.next_text).value()};
    EXPECT_EQ(says(verify_succession(s.now.trust_text, s.next_text, strange).error().message,
                   to_0x(crypto::address_of(named_key("stranger")).value())),
              "");
    EXPECT_EQ(verify_with(s, 2).value().size(), 2U);
}

TEST(TrustSuccession, ChangesAreDescribed) {
    const auto changes = [](const std::function<void(TrustFile&)>& change) {
        const auto s = succession(3, change);
        return describe_changes(s.now.trust, s.next);
    };
    EXPECT_TRUE(changes({}).empty());
    const auto voted = changes([](TrustFile& t) {
        auto set = t.signer_sets.back();
        t.signer_sets.back().last_block = 99;
        set.first_block = 100;
        set.signers.erase(set.signers.begin());
        set.signers.insert(set.signers.begin(), Address{});
        t.signer_sets.push_back(set);
    });
    ASSERT_EQ(voted.size(), 2U);
    EXPECT_EQ(voted[0], "signer " + to_0x(Address{}) + " seals from block 100 on");
    EXPECT_EQ(changes([](TrustFile& t) { t.institutions[0].name = "St. Luke"; }).size(), 1U);
    EXPECT_EQ(changes([](TrustFile& t) { t.institutions[0].gateway = Address{7}; }).size(), 1U);
    const auto replaced = changes([](TrustFile& t) { t.contracts.push_back({"Zeta", Address{9}, named_hash("z"), 0, 500}); });
    ASSERT_EQ(replaced.size(), 1U);
    EXPECT_EQ(replaced[0],
              "contract Zeta at " + to_0x(Address{9}) + " with code " + to_0x(named_hash("z")) + ", slot 0, from block 500 on");
    EXPECT_EQ(changes([](TrustFile& t) { t.witnesses = {Address{5}}; }),
              std::vector<std::string>{"witness " + to_0x(Address{5}) + " cosigns"});
}

TEST(TrustSuccession, AgainstNothingAWholeFileIsDescribed) {
    const auto whole = succession(3).next;
    std::string all;
    for (const auto& one : describe_changes({}, whole)) all += one + "\n";
    for (const auto& signer : whole.signer_sets.back().signers) EXPECT_NE(all.find("signer " + to_0x(signer)), std::string::npos);
    for (const auto& contract : whole.contracts)
        EXPECT_NE(all.find("contract " + contract.name + " at " + to_0x(contract.address) + " with code " + to_0x(contract.code_hash)),
                  std::string::npos);
    for (const auto& institution : whole.institutions)
        EXPECT_NE(all.find(to_0x(institution.id) + ") anchors by account " + to_0x(institution.gateway)), std::string::npos);
}

TEST(TrustSuccession, ADevelopmentChainHasNone) {
    const auto s = succession(0);
    EXPECT_EQ(verify_succession(s.now.trust_text, s.next_text, {}).error().code, ErrorCode::unverified);
}

TEST(TrustSignatures, RoundTripAndRejections) {
    const auto s = succession(3);
    const std::vector<crypto::RecoverableSignature> list{sign_trust_file(s.now.keys[0], s.next_text).value(),
                                                         sign_trust_file(s.now.keys[1], s.next_text).value()};
    const Hash sha = trust_file_sha256(s.next_text);
    const std::string text = serialise_trust_signatures(sha, list);
    const auto back = parse_trust_signatures(text).value();
    EXPECT_EQ(back.trust_sha256, sha);
    EXPECT_TRUE(verify_succession(s.now.trust_text, s.next_text, back.signatures));
    EXPECT_FALSE(parse_trust_signatures(text + " "));
    EXPECT_FALSE(parse_trust_signatures("{}"));
    std::string short_one = text;
    short_one.erase(text.find("0x") + 10, 2);
    EXPECT_FALSE(parse_trust_signatures(short_one));
}

TEST(TrustSignatures, AsANodesConsolePrintsThem) {
    const auto s = succession(1);
    const Hash sha = trust_file_sha256(s.next_text);
    const auto signature = sign_trust_file(s.now.keys[0], s.next_text).value();
    auto bytes = signature.serialised();
    bytes[64] += 27;
    const std::string hex = to_0x(bytes);
    for (const auto& text : {hex, "\"" + hex + "\"\n", "  '" + hex + "'", hex.substr(2), to_0x(signature.serialised()),
                             serialise_trust_signatures(sha, std::vector{signature}) + "\n"}) {
        const auto read = read_trust_signatures(text, sha);
        ASSERT_TRUE(read) << text;
        ASSERT_EQ(read->size(), 1U);
        EXPECT_TRUE(verify_succession(s.now.trust_text, s.next_text, *read)) << text;
    }
    for (const auto& text :
         {std::string(), std::string("0x"), hex + "00", hex.substr(0, 131), std::string("\"\""), std::string("{"), std::string(130, 'g')}) {
        EXPECT_EQ(read_trust_signatures(text, sha).error().code, ErrorCode::malformed) << text;
    }
    EXPECT_EQ(read_trust_signatures(serialise_trust_signatures(named_hash("other"), std::vector{signature}), sha).error().code,
              ErrorCode::unverified);
}

}  // namespace
}  // namespace fiducial::evidence
