// The program itself: what it prints, what it exits with, and what it is made of.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"
#include "evidence/canonical_json.hpp"
#include "evidence/evidence_test_support.hpp"

namespace fiducial::evidence {
namespace {

struct Outcome {
    int exit_code = -1;
    std::string text;  // both streams
};

Outcome run(const std::string& command) {
    Outcome out;
    std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return out;
    std::array<char, 4096> buffer;
    for (std::size_t count; (count = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) out.text.append(buffer.data(), count);
    const int status = ::pclose(pipe);
    out.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return out;
}

class VerifyProgram : public ::testing::Test {
protected:
    void SetUp() override {
        std::filesystem::create_directories(folder_);
        SampleOptions options;
        options.signers = 3;
        const auto sample = make_sample(options);
        put("bundle.json", as_bytes(sample.text));
        put("trust.json", as_bytes(sample.trust_text));
        put("raw.dcm", sample.data_set);
        Bytes part10(128, 0);
        append(part10, as_bytes("DICM"));
        append(part10, Bytes{2, 0, 0x10, 0, 'U', 'I', 20, 0});
        append(part10, as_bytes(std::string_view("1.2.840.10008.1.2.1\0", 20)));
        append(part10, sample.data_set);
        put("file.dcm", part10);
        part10.back() ^= 1;
        put("changed.dcm", part10);
        put("broken.json", as_bytes(std::string_view(sample.text).substr(1)));
        options.headers = 2;
        put("early.json", as_bytes(make_sample(options).text));
        options = {};
        options.signers = 0;
        put("dev.json", as_bytes(make_sample(options).text));
        put("dev.trust.json", as_bytes(make_sample(options).trust_text));
        put("image.jpg", filler("a jpeg", 5000));
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    void put(const std::string& name, ByteView bytes) { ASSERT_TRUE(write_file_atomically(folder_ / name, bytes)); }
    Outcome verify(const std::string& arguments) {
        return run("cd '" + folder_.string() + "' && " FIDUCIAL_VERIFY_PROGRAM " " + arguments);
    }

    std::filesystem::path folder_ = std::filesystem::temp_directory_path() / ("fiducial-verify-test-" + std::to_string(::getpid()));
};

TEST_F(VerifyProgram, ExitCodesAreThoseOfTheHelp) {
    EXPECT_EQ(verify("bundle.json --trust trust.json file.dcm").exit_code, 0);
    EXPECT_EQ(verify("--trust=trust.json bundle.json raw.dcm").exit_code, 0);
    EXPECT_EQ(verify("bundle.json --trust trust.json").exit_code, 0);
    EXPECT_EQ(verify("bundle.json --trust trust.json changed.dcm").exit_code, 10);
    EXPECT_EQ(verify("bundle.json --trust trust.json image.jpg").exit_code, 10);
    EXPECT_EQ(verify("broken.json --trust trust.json file.dcm").exit_code, 11);
    EXPECT_EQ(verify("bundle.json --trust bundle.json file.dcm").exit_code, 11);
    EXPECT_EQ(verify("bundle.json file.dcm").exit_code, 12);
    EXPECT_EQ(verify("dev.json --trust dev.trust.json").exit_code, 13);
    EXPECT_EQ(verify("early.json --trust trust.json").exit_code, 14);
    EXPECT_EQ(verify("").exit_code, 2);
    EXPECT_EQ(verify("bundle.json --trust").exit_code, 2);
    EXPECT_EQ(verify("bundle.json --trust a --trust b").exit_code, 2);
    EXPECT_EQ(verify("--unknown bundle.json").exit_code, 2);
    EXPECT_EQ(verify("bundle.json a b").exit_code, 2);
    EXPECT_EQ(verify("missing.json").exit_code, 3);
    EXPECT_EQ(verify("bundle.json --trust missing.json").exit_code, 3);
    EXPECT_EQ(verify("bundle.json missing.dcm").exit_code, 3);
    const std::string help = verify("--help").text;
    for (const char* code : {" 0  ", " 2  ", " 3  ", "10  ", "11  ", "12  ", "13  ", "14  "})
        EXPECT_NE(help.find(code), std::string::npos) << code;
}

TEST_F(VerifyProgram, SaysWhatItFound) {
    auto found = verify("bundle.json --trust trust.json file.dcm");
    EXPECT_NE(found.text.find("Verified."), std::string::npos);
    EXPECT_NE(found.text.find("bit for bit"), std::string::npos);
    found = verify("bundle.json --trust trust.json --json file.dcm");
    ASSERT_TRUE(found.text.ends_with("}\n"));
    const auto json = read_canonical(std::string_view(found.text).substr(0, found.text.size() - 1));
    ASSERT_TRUE(json);
    EXPECT_EQ(ObjectReader::of(*json, "report").value().string("verdict", 99).value(), "verified");
    EXPECT_EQ(verify("--version").exit_code, 0);
}

TEST_F(VerifyProgram, AnImageAsItWasBroughtIsRecognised) {
    const auto vectors =
        json::parse(as_text(read_file(FIDUCIAL_SOURCE_DIR "/test/vectors/evidence/vectors.json", 1 << 24).value()), 1 << 24).value();
    const auto& golden = vectors.at("bundles").at(0);
    put("golden.json", as_bytes(golden.at("bundle").as_string()));
    put("golden.trust.json", as_bytes(golden.at("trust").as_string()));
    put("brought.jpeg", as_bytes("jpeg"));  // what source_sha256 in that bundle is the hash of
    const auto found = verify("golden.json --trust golden.trust.json brought.jpeg");
    EXPECT_EQ(found.exit_code, 0);
    EXPECT_NE(found.text.find("was made from, bit for bit"), std::string::npos);
    put("brought.jpeg", as_bytes("jpeG"));
    EXPECT_EQ(verify("golden.json --trust golden.trust.json brought.jpeg").exit_code, 10);
}

TEST_F(VerifyProgram, NeedsNoArchive) {
    const auto linked = run("ldd " FIDUCIAL_VERIFY_PROGRAM);
    ASSERT_EQ(linked.exit_code, 0) << linked.text;
    for (const char* library : {"sqlite", "soci", "dcmtk", "dcmdata", "opencv", "curl", "pqxx", "libpq", "libssl"}) {
        EXPECT_EQ(linked.text.find(library), std::string::npos) << library;
    }
    const auto symbols = run("nm -C --defined-only " FIDUCIAL_VERIFY_PROGRAM);
    ASSERT_EQ(symbols.exit_code, 0);
    EXPECT_NE(symbols.text.find("fiducial::evidence::"), std::string::npos);
    for (const char* room : {"net", "dicom", "database", "dimse", "vision", "store", "ledger", "audit", "sentinel", "archive", "gateway"}) {
        EXPECT_EQ(symbols.text.find("fiducial::" + std::string(room) + "::"), std::string::npos) << room;
    }
}

}  // namespace
}  // namespace fiducial::evidence
