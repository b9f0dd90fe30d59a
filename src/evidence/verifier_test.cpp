#include "evidence/verifier.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/address.hpp"
#include "ethereum/clique.hpp"
#include "evidence/canonical_json.hpp"
#include "evidence/evidence_test_support.hpp"
#include "evidence/overlay.hpp"

namespace fiducial::evidence {
namespace {

StatementState state_of(const Report& report, std::string_view id) {
    for (const auto& statement : report.statements) {
        if (statement.id == id) return statement.state;
    }
    return StatementState::not_established;
}
std::vector<StatementState> states(const Report& report) {
    std::vector<StatementState> out;
    for (const auto& statement : report.statements) out.push_back(statement.state);
    return out;
}
using enum StatementState;
using States = std::vector<StatementState>;  // bytes_match, in_study_version, anchored, settled, latest

SampleOptions of_signers(std::size_t signers) {
    SampleOptions options;
    options.signers = signers;
    return options;
}

TEST(Verifier, AllEstablishedWithOneThreeAndFiveSigners) {
    for (std::size_t signers : {1u, 3u, 5u}) {
        const auto sample = make_sample(of_signers(signers));
        const auto report = verify(sample.text, sample.trust_text, sample.file);
        EXPECT_EQ(report.verdict, Verdict::verified) << report.to_text();
        EXPECT_EQ(states(report), (States{established, established, established, established, established}));
        EXPECT_EQ(report.signers, signers);
        EXPECT_EQ(report.self_sealed, signers == 1);
        EXPECT_EQ(report.summary.find("self-sealed (1 of 1)") != std::string::npos, signers == 1);
        EXPECT_EQ(report.institution_name, "Example Hospital");
        EXPECT_EQ(report.block, 40u);
        EXPECT_EQ(report.not_established.size(), 6u);
    }
}

TEST(Verifier, ACorrectionBesideTheOriginal) {
    const auto study = make_sample().bundle.study_instance_uid;
    Overlay overlay;
    overlay.study_instance_uid = study;
    overlay.person = named_hash("ada");
    overlay.at_ms = 1'795'377'600'123;
    overlay.reason = "Secret^Name stood in the wrong line";
    overlay.patient_in_data_sets = {{{}, "Klinik"}, {{}, "17"}};
    overlay.patient = {{{}, "Klinik"}, {{}, "4711"}};
    overlay.edits = {{0x00100010, "PN", "Secret^Name"}, {0x00101000, "LO", {}}};
    const auto key = named_key("gateway");
    ASSERT_TRUE(overlay.sign(key));
    const Bytes bytes = overlay.encode().value();
    auto options = of_signers(3);
    options.overlay_sha256 = crypto::sha256(bytes);
    const auto sample = make_sample(options), uncorrected = make_sample(of_signers(3));
    for (const auto& file : {std::optional(sample.file), std::optional<FileFingerprint>()}) {
        const auto report = verify(sample.text, sample.trust_text, file, ByteView(bytes));
        EXPECT_EQ(report.verdict, Verdict::verified) << report.to_text();
        EXPECT_EQ(state_of(report, "corrected"), established);
        const auto text = report.to_text();
        EXPECT_NE(text.find("signed by " + ethereum::to_checksum(crypto::address_of(key).value())), std::string::npos) << text;
        EXPECT_NE(text.find("it corrects 2 attributes: (0010,0010) (0010,1000)"), std::string::npos) << text;
        EXPECT_EQ(text.find("Secret"), std::string::npos) << "values may name a patient";
    }
    EXPECT_EQ(state_of(verify(sample.text, {}, sample.file, ByteView(bytes)), "corrected"), consistent);
    EXPECT_EQ(verify(sample.text, sample.trust_text, sample.file).statements.size(), 5u) << "nothing is said of what was not given";

    const auto refuted_by = [&](const Sample& of, const Bytes& given) {
        const auto report = verify(of.text, of.trust_text, of.file, ByteView(given));
        EXPECT_EQ(report.verdict, Verdict::mismatch);
        EXPECT_EQ(state_of(report, "corrected"), refuted);
        EXPECT_EQ(state_of(report, "bytes_match"), established);
        return report.problem;
    };
    EXPECT_NE(refuted_by(uncorrected, bytes).find("no correction is in force"), std::string::npos);
    auto other = overlay;
    other.edits.pop_back();
    ASSERT_TRUE(other.sign(key));
    EXPECT_NE(refuted_by(sample, other.encode().value()).find("another correction is in force"), std::string::npos);
    other.study_instance_uid = Uid::parse("1.2.3.4.5.6").value();
    ASSERT_TRUE(other.sign(key));
    EXPECT_EQ(refuted_by(sample, other.encode().value()), "The overlay corrects another study.");
    EXPECT_NE(refuted_by(sample, Bytes(40)).find("The overlay is none"), std::string::npos);
}

TEST(Verifier, WithoutATrustFileItSaysConsistentAndNoMore) {
    const auto sample = make_sample(of_signers(3));
    const auto report = verify(sample.text, {}, sample.file);
    EXPECT_EQ(report.verdict, Verdict::trust_unverified);
    EXPECT_EQ(states(report), (States{established, consistent, consistent, not_established, consistent}));
    EXPECT_NE(report.summary.find("Consistent, trust unverified"), std::string::npos);
}

TEST(Verifier, AGenesisOfOnesOwnNeverSaysMore) {
    auto options = of_signers(3);
    const auto real = make_sample(options);
    options.signer_seed = "impostor";
    const auto forged = make_sample(options);
    EXPECT_EQ(verify(forged.text, forged.trust_text, forged.file).verdict, Verdict::verified);  // under a trust file of one's own
    EXPECT_EQ(verify(forged.text, real.trust_text, forged.file).verdict, Verdict::refused);
    EXPECT_EQ(verify(forged.text, {}, forged.file).verdict, Verdict::trust_unverified);
}

TEST(Verifier, ADevelopmentChainIsSaidPlainly) {
    const auto sample = make_sample(of_signers(0));
    const auto report = verify(sample.text, sample.trust_text, sample.file);
    EXPECT_EQ(report.verdict, Verdict::development_chain);
    EXPECT_EQ(states(report), (States{established, consistent, consistent, not_established, consistent}));
    EXPECT_NE(report.summary.find("development chain"), std::string::npos);
    auto later_fields = of_signers(0);
    later_fields.before_seal = [](std::size_t, ethereum::BlockHeader& header) {  // as anvil writes them
        header.withdrawals_root = named_hash("w");
        header.blob_gas_used = 0;
        header.excess_blob_gas = 0;
        header.parent_beacon_block_root = named_hash("b");
    };
    const auto anvil = make_sample(later_fields);
    EXPECT_EQ(verify(anvil.text, anvil.trust_text, anvil.file).verdict, Verdict::development_chain);
}

TEST(Verifier, NotSettledUntilSignersAndDepthAreShown) {
    for (std::size_t signers : {3u, 5u}) {
        const std::size_t needed = 2 * (signers / 2 + 1);
        for (std::size_t headers = 1; headers <= needed; ++headers) {
            auto options = of_signers(signers);
            options.headers = headers;
            const auto sample = make_sample(options);
            const auto report = verify(sample.text, sample.trust_text, sample.file);
            EXPECT_EQ(report.verdict, headers == needed ? Verdict::verified : Verdict::not_settled) << headers;
            EXPECT_EQ(state_of(report, "settled"), headers == needed ? established : not_established);
            for (const char* id : {"in_study_version", "anchored", "latest"}) {
                EXPECT_EQ(state_of(report, id), headers == needed ? established : consistent) << id;
            }
        }
    }
}

/// One signer of five seals a header over a state of its own making: neither that a version stands there nor that a later one does
/// is more than its word.
TEST(Verifier, OneRogueSignerOfFiveEstablishesNothing) {
    for (const bool later : {false, true}) {
        auto options = of_signers(5);
        options.headers = 1;
        options.later_version_exists = later;
        const auto sample = make_sample(options);
        const auto report = verify(sample.text, sample.trust_text, sample.file);
        EXPECT_EQ(report.verdict, Verdict::not_settled);
        EXPECT_EQ(states(report), (States{established, consistent, consistent, not_established, later ? not_established : consistent}));
        EXPECT_EQ(report.to_text().find("[yes]        That version"), std::string::npos);
    }
}

TEST(Verifier, ALaterVersionIsSaid) {
    auto options = of_signers(3);
    options.version = 2;
    options.later_version_exists = true;
    const auto sample = make_sample(options);
    const auto report = verify(sample.text, sample.trust_text, sample.file);
    EXPECT_EQ(report.verdict, Verdict::verified);
    EXPECT_EQ(state_of(report, "latest"), refuted);
    EXPECT_NE(report.summary.find("later version"), std::string::npos);
}

TEST(Verifier, FilesThatMatchAndThatDoNot) {
    auto sample = make_sample(of_signers(1));
    const auto verdict = [&](const FileFingerprint& file) { return verify(sample.text, sample.trust_text, file).verdict; };
    EXPECT_EQ(state_of(verify(sample.text, sample.trust_text, {}), "bytes_match"), not_asked);
    auto file = sample.file;
    file.transfer_syntax_uid = "1.2.840.10008.1.2.1";
    EXPECT_EQ(verdict(file), Verdict::verified);
    file.transfer_syntax_uid = "1.2.840.10008.1.2";
    EXPECT_EQ(verdict(file), Verdict::mismatch);
    file = sample.file;
    file.data_set->sha256[0] ^= 1;
    EXPECT_EQ(verdict(file), Verdict::mismatch);
    file = sample.file;
    file.data_set->size++;
    EXPECT_EQ(verdict(file), Verdict::mismatch);
    file = sample.file;
    file.data_set->chunk_root[0] ^= 1;
    EXPECT_EQ(verdict(file), Verdict::mismatch);
    EXPECT_EQ(verdict({}), Verdict::mismatch);  // an all-zero hash is not the "no source" of a body
    const auto report = verify(sample.text, sample.trust_text, FileFingerprint{});
    EXPECT_EQ(state_of(report, "bytes_match"), refuted);
    EXPECT_EQ(state_of(report, "anchored"), established);
    EXPECT_FALSE(report.problem.empty());
}

TEST(Verifier, SeveralInstancesShareOneProof) {
    auto options = of_signers(3);
    options.shown = {3, 4};
    const auto sample = make_sample(options);
    const auto report = verify(sample.text, sample.trust_text, sample.file);
    EXPECT_EQ(report.verdict, Verdict::verified);
    EXPECT_EQ(report.sop_instance_uids, (std::vector<std::string>{"1.2.3.103", "1.2.3.104"}));
}

/// Each way in which a trust file can contradict a bundle.
TEST(Verifier, WhatTheTrustFileDoesNotSayIsRefused) {
    const auto sample = make_sample(of_signers(3));
    const auto problem = [&](auto change) {
        auto trust = sample.trust;
        change(trust);
        const auto report = verify(sample.text, trust.serialise().value(), sample.file);
        EXPECT_EQ(report.verdict, Verdict::refused);
        EXPECT_TRUE(report.statements.empty());
        EXPECT_NE(report.problem.find("The bundle names trust file version 1"), std::string::npos);
        return report.problem;
    };
    const auto says = [](const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; };
    EXPECT_TRUE(says(problem([](auto& t) { t.chain_id++; }), "another chain"));
    EXPECT_TRUE(says(problem([](auto& t) { t.contracts.clear(); }), "no contract Studies"));
    EXPECT_TRUE(says(problem([](auto& t) { t.contracts[0].address[0] ^= 1; }), "no contract Studies"));
    EXPECT_TRUE(says(problem([](auto& t) { t.contracts[0].name = "Members"; }), "no contract Studies"));
    EXPECT_TRUE(says(problem([](auto& t) { t.contracts[0].code_hash[0] ^= 1; }), "code"));
    EXPECT_TRUE(says(problem([](auto& t) { t.contracts[0].slot++; }), "slot"));
    EXPECT_TRUE(says(problem([](auto& t) { t.contracts[0].from_block = 41; }), "older than the contract"));
    EXPECT_TRUE(says(problem([](auto& t) { t.institutions.clear(); }), "institution"));
    EXPECT_TRUE(says(problem([](auto& t) { t.signer_sets[0].first_block = 41; }), "set of signers"));
    EXPECT_TRUE(says(problem([](auto& t) {
                         t.signer_sets[0].last_block = 41;
                         t.signer_sets.push_back({42, {}, t.signer_sets[0].signers});
                     }),
                     "set of signers"));
    problem([](auto& t) { t.signer_sets[0].signers.pop_back(); });
    problem([](auto& t) { t.period = 2; });
    problem([](auto& t) { t.epoch = 20; });  // block 40 would then have to be a checkpoint
    EXPECT_EQ(verify(sample.text, "{}", sample.file).verdict, Verdict::refused);
    EXPECT_EQ(verify("{}", sample.trust_text, sample.file).verdict, Verdict::refused);
}

TEST(Verifier, TheHintChangesNoStatement) {
    auto sample = make_sample(of_signers(3));
    const auto before = verify(sample.text, sample.trust_text, sample.file);
    sample.bundle.trust_version = 99;
    sample.bundle.trust_sha256 = named_hash("another file");
    EXPECT_EQ(verify(sample.bundle.encode().value(), sample.trust_text, sample.file), before);
}

TEST(Verifier, EIP225_OneOfThreeCannotSealForAll) {
    auto options = of_signers(3);
    options.sealer = [](std::size_t) { return std::size_t{0}; };
    const auto sample = make_sample(options);
    EXPECT_EQ(verify(sample.text, sample.trust_text, sample.file).verdict, Verdict::refused);
}

TEST(Verifier, TwoOfFiveNeverSettle) {
    auto options = of_signers(5);
    options.headers = 12;
    options.sealer = [](std::size_t i) { return i % 2; };
    const auto sample = make_sample(options);
    EXPECT_NE(verify(sample.text, sample.trust_text, sample.file).verdict, Verdict::verified);
}

TEST(Verifier, EIP225_SealsAreJudged) {
    const auto verdict = [](std::size_t which, const std::function<void(ethereum::BlockHeader&)>& before,
                            const std::function<void(ethereum::BlockHeader&)>& after) {
        auto options = of_signers(3);
        if (before)
            options.before_seal = [&](std::size_t i, ethereum::BlockHeader& h) {
                if (i == which) before(h);
            };
        if (after)
            options.after_seal = [&](std::size_t i, ethereum::BlockHeader& h) {
                if (i == which) after(h);
            };
        const auto sample = make_sample(options);
        return verify(sample.text, sample.trust_text, sample.file).verdict;
    };
    const auto make_high_s = [](ethereum::BlockHeader& header) {  // s' = n - s and the other recovery id: the same signer
        const auto order = ethereum::Uint256::parse("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").value();
        auto* seal = header.extra_data.data() + header.extra_data.size() - 65;
        const auto s = ethereum::Uint256::from_be_view(ByteView(seal + 32, 32)).value();
        const Bytes32 high = order.minus(s).value().to_be();
        std::copy(high.begin(), high.end(), seal + 32);
        seal[64] ^= 1;
    };
    for (std::size_t which = 0; which < 4; ++which) {
        EXPECT_EQ(verdict(which, {}, {}), Verdict::verified);
        EXPECT_EQ(verdict(which, {}, make_high_s), Verdict::refused) << which;
        EXPECT_EQ(verdict(which, {}, [](auto& h) { h.extra_data.back() += 27; }), Verdict::refused);
        EXPECT_EQ(verdict(which, {}, [](auto& h) { ASSERT_TRUE(ethereum::clique_seal(h, named_key("stranger"))); }), Verdict::refused);
        EXPECT_EQ(verdict(which, [](auto& h) { h.difficulty = 1; }, {}), Verdict::refused);
        EXPECT_EQ(verdict(which, [](auto& h) { h.beneficiary[0] = 1; }, {}), Verdict::refused);
        EXPECT_EQ(verdict(which, [](auto& h) { h.nonce.fill(0xff); }, {}), Verdict::refused);
        EXPECT_EQ(verdict(which, [](auto& h) { h.parent_hash[0] ^= 1; }, {}), which == 0 ? Verdict::verified : Verdict::refused);
        EXPECT_EQ(verdict(which, [](auto& h) { h.number++; }, {}), Verdict::refused);
        EXPECT_EQ(verdict(which, [](auto& h) { h.mix_hash[0] = 1; }, {}), Verdict::refused);
    }
}

TEST(Report, RendersAsTextAndJson) {
    const auto sample = make_sample(of_signers(3));
    const auto report = verify(sample.text, sample.trust_text, sample.file);
    const auto json = read_canonical(report.to_json());
    ASSERT_TRUE(json) << json.error().message;
    auto reader = ObjectReader::of(*json, "report").value();
    EXPECT_EQ(reader.string("verdict", 100).value(), "verified");
    EXPECT_EQ(reader.array("statements", 100).value()->size(), 5u);
    EXPECT_EQ(reader.object("facts").value().string("record_hash", 100).value(), to_0x(sample.bundle.record.hash()));
    const std::string text = report.to_text();
    for (const char* part :
         {"Verified.", "bit for bit", "Example Hospital", "is settled", "latest one", "sealer's clock", "Not established", "rival fork"}) {
        EXPECT_NE(text.find(part), std::string::npos) << part;
    }
    const auto refused = verify("{", {}, {});
    EXPECT_TRUE(read_canonical(refused.to_json()));
    EXPECT_NE(refused.to_text().find("Refused"), std::string::npos);
}

}  // namespace
}  // namespace fiducial::evidence
