// Every file of the shared data: scanned as DCMTK's own tools read it, or refused for the reason written here.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/file.hpp"
#include "base/json.hpp"
#include "dicom/data_set_scanner.hpp"

namespace fiducial::dicom {
namespace {

namespace fs = std::filesystem;

fs::path shared_folder() {
    return fs::path(FIDUCIAL_SOURCE_DIR) / ".." / "shared" / "data" / "dicom";
}

std::vector<fs::path> shared_files() {
    std::vector<fs::path> files;
    if (!fs::exists(shared_folder())) return files;
    for (const auto& entry : fs::recursive_directory_iterator(shared_folder())) {
        if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

// What is refused, and why.
const std::map<std::string, std::string>& refused() {
    static const std::string kNoStudy = "Study Instance UID (0020,000D) is missing",
                             kNoInstance = "SOP Instance UID (0008,0018) is missing";
    static const std::string kNotDicom = "this is not DICOM: no \"DICM\" at offset 128 and no data set at offset 0";
    static const std::map<std::string, std::string> table = {
        {"1.2.840.10008.1.2.4.50.YBR.raw", kNotDicom},
        {"1.2.840.10008.1.2.4.50.png", kNotDicom},
        {"HTJ2KLossless_08_RGB.dcm", kNoStudy},
        {"HTJ2K_08_RGB.dcm", kNoStudy},
        {"JLSL_08_07_0_1F.dcm", kNoStudy},
        {"JLSL_16_15_1_1F.dcm", kNoStudy},
        {"JLSL_RGB_ILV0.dcm", kNoInstance},
        {"JLSL_RGB_ILV1.dcm", kNoInstance},
        {"JLSL_RGB_ILV2.dcm", kNoInstance},
        {"JLSN_RGB_ILV0.dcm", kNoInstance},
        {"bad_sequence.dcm", "SOP Instance UID (0008,0018) is not a UID"},  // 64 hexadecimal digits
        {"emri_small_jpeg_2k_lossless_too_short.dcm",
         "the input ends at offset 39930 of the data set, before the delimiter that ends (7FE0,0010)"},
    };
    return table;
}

std::string output_of(const std::string& command) {
    std::string out;
    FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return out;
    std::array<char, 65536> buffer;
    while (const auto got = fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), got);
    pclose(pipe);
    return out;
}

bool have_tool(const std::string& tool) {
    return !output_of("command -v " + tool + " 2>/dev/null").empty();
}

// The value that dcmdump shows for a top-level tag.
std::string dumped(const std::string& dump, const std::string& tag) {
    for (std::size_t at = 0; at < dump.size();) {
        const auto end = dump.find('\n', at);
        const auto line = dump.substr(at, end - at);
        at = end == std::string::npos ? dump.size() : end + 1;
        if (!line.starts_with("(" + tag + ")")) continue;
        const auto open = line.find('['), close = line.find(']', open);
        if (open == std::string::npos || close == std::string::npos) return "";
        auto value = line.substr(open + 1, close - open - 1);
        while (!value.empty() && value.back() == ' ') value.pop_back();
        return value;
    }
    return "";
}

class SharedData : public ::testing::Test {
protected:
    void SetUp() override {
        if (shared_files().empty()) GTEST_SKIP() << "no shared/data/dicom beside the source tree";
    }
};

// Reads big series by their first image only, where each file costs a process.
bool is_later_slice(const fs::path& path) {
    const auto name = path.filename().string();
    return name.starts_with("IM-0001-") && name != "IM-0001-0001.dcm";
}

TEST_F(SharedData, PS3_10_EveryFileIsTakenWithItsOwnUidsOrRefusedByName) {
    std::size_t taken = 0, refusals = 0;
    for (const auto& path : shared_files()) {
        SCOPED_TRACE(path.filename().string());
        const auto bytes = read_file(path, 64u << 20);
        ASSERT_TRUE(bytes);
        const auto header = scan_file(*bytes);
        const auto expected = refused().find(path.filename().string());
        if (expected != refused().end()) {
            ASSERT_FALSE(header);
            EXPECT_EQ(header.error().message, expected->second);
            ++refusals;
            continue;
        }
        ASSERT_TRUE(header) << header.error().message;
        ++taken;
        EXPECT_EQ(header->prefix_length + header->data_set_length, bytes->size());
        EXPECT_TRUE(json::parse(header->dicom_json, 64u << 20));
    }
    EXPECT_EQ(refusals, refused().size());
    EXPECT_EQ(taken + refusals, shared_files().size());
}

TEST_F(SharedData, PS3_10_UidsAreWhatDcmdumpReads) {
    if (!have_tool("dcmdump")) GTEST_SKIP() << "no dcmdump (package dcmtk)";
    for (const auto& path : shared_files()) {
        const auto name = path.filename().string();
        if (refused().contains(name) || is_later_slice(path)) continue;
        SCOPED_TRACE(name);
        const auto bytes = read_file(path, 64u << 20);
        ASSERT_TRUE(bytes);
        const auto header = scan_file(*bytes);
        ASSERT_TRUE(header) << header.error().message;
        // +uc: values of VR UN as DCMTK reads them.
        const auto dump = output_of("dcmdump -q -M +L -Un +uc '" + path.string() + "' 2>/dev/null");
        EXPECT_EQ(header->identity.sop_instance.text(), dumped(dump, "0008,0018"));
        EXPECT_EQ(header->identity.study.text(), dumped(dump, "0020,000d"));
        EXPECT_EQ(header->identity.series.text(), dumped(dump, "0020,000e"));
        EXPECT_EQ(header->identity.sop_class.text(), dumped(dump, "0008,0016"));
        if (header->prefix_length > 0) {
            EXPECT_EQ(header->identity.transfer_syntax, dumped(dump, "0002,0010"));
        }
    }
}

TEST_F(SharedData, PS3_10_FedInPiecesGivesTheSameAndGivesBackEveryByte) {
    for (const auto& path : shared_files()) {
        if (is_later_slice(path) || refused().contains(path.filename().string())) continue;
        SCOPED_TRACE(path.filename().string());
        const auto bytes = read_file(path, 64u << 20);
        ASSERT_TRUE(bytes);
        const auto whole = scan_file(*bytes);
        ASSERT_TRUE(whole);
        const std::size_t step = bytes->size() < 150'000 ? 1 : 1013;
        DataSetScanner scanner;
        Bytes data_set;
        for (std::size_t at = 0; at < bytes->size(); at += step) {
            const auto pieces = scanner.feed(ByteView(*bytes).subspan(at, std::min(step, bytes->size() - at)));
            ASSERT_TRUE(pieces) << pieces.error().message;
            append(data_set, pieces->held);
            append(data_set, pieces->fresh);
        }
        Bytes again = to_bytes(scanner.prefix());
        append(again, data_set);
        EXPECT_TRUE(again == *bytes);
        const auto header = scanner.finish();
        ASSERT_TRUE(header) << header.error().message;
        EXPECT_EQ(header->dicom_json, whole->dicom_json);
        EXPECT_EQ(header->pixel_sha256, whole->pixel_sha256);
        EXPECT_EQ(header->warnings, whole->warnings);
    }
}

// What two JSON documents of one data set may differ in: bulk by reference, numbers by their last digit, padding.
class JsonComparison {
public:
    void objects(const boost::json::object& ours, const boost::json::object& theirs, const std::string& path) {
        for (const auto& [tag, element] : theirs) {
            const std::string key(tag);
            if (key.starts_with("0002") || key.ends_with("0000") || key == "FFFCFFFC" || key == "00080005") continue;
            if (!ours.contains(tag)) {
                ADD_FAILURE() << path << key << " is missing";
                continue;
            }
            elements(ours.at(tag).as_object(), element.as_object(), path + key);
        }
        for (const auto& [tag, element] : ours) {
            if (element.as_object().contains("BulkDataURI") || tag == "7FE00010") continue;  // dcmodify takes it out of icons too
            EXPECT_TRUE(theirs.contains(tag)) << path << std::string(tag) << " is too much";
        }
    }

private:
    void elements(const boost::json::object& ours, const boost::json::object& theirs, const std::string& path) {
        if (ours.contains("BulkDataURI")) return;
        EXPECT_EQ(ours.at("vr"), theirs.at("vr")) << path;
        EXPECT_EQ(ours.contains("InlineBinary"), theirs.contains("InlineBinary")) << path;
        if (ours.contains("InlineBinary") && theirs.contains("InlineBinary")) {
            EXPECT_EQ(ours.at("InlineBinary"), theirs.at("InlineBinary")) << path;
        }
        EXPECT_EQ(ours.contains("Value"), theirs.contains("Value")) << path;
        if (!ours.contains("Value") || !theirs.contains("Value")) return;
        const auto &a = ours.at("Value").as_array(), &b = theirs.at("Value").as_array();
        ASSERT_EQ(a.size(), b.size()) << path;
        for (std::size_t i = 0; i < a.size(); ++i) values(a[i], b[i], ours.at("vr").as_string() == "SQ", path + "/" + std::to_string(i));
    }
    static std::string plain(const boost::json::value& value) {
        std::string text = value.is_string() ? std::string(value.as_string()) : boost::json::serialize(value);
        for (const char c : {'\0', ' '}) {
            while (!text.empty() && text.back() == c) text.pop_back();
        }
        text.erase(0, std::min(text.find_first_not_of(' '), text.size()));
        return text;
    }
    void values(const boost::json::value& a, const boost::json::value& b, bool sequence, const std::string& path) {
        if (sequence) return objects(a.as_object(), b.as_object(), path + "/");
        if (plain(a) == plain(b)) return;
        char *end_a = nullptr, *end_b = nullptr;
        const auto text_a = plain(a), text_b = plain(b);
        const double x = std::strtod(text_a.c_str(), &end_a), y = std::strtod(text_b.c_str(), &end_b);
        if (*end_a == 0 && *end_b == 0 && !text_a.empty() && !text_b.empty()) {
            EXPECT_NEAR(x, y, 1e-6 * std::abs(y)) << path;
        } else {
            EXPECT_EQ(text_a, text_b) << path;
        }
    }
};

TEST_F(SharedData, PS3_18_F_JsonIsWhatDcm2jsonWrites) {
    if (!have_tool("dcm2json") || !have_tool("dcmodify")) GTEST_SKIP() << "no dcm2json and dcmodify (package dcmtk)";
    const auto folder = fs::temp_directory_path() / ("fiducial-json-" + std::to_string(getpid()));
    fs::create_directories(folder);
    std::size_t compared = 0;
    for (const auto& path : shared_files()) {
        const auto name = path.filename().string();
        // dcm2json cannot do compressed pixels: it gets a copy without them. It does not take UN for text.
        if (refused().contains(name) || is_later_slice(path) || name == "explicit_VR-UN.dcm") continue;
        SCOPED_TRACE(name);
        const auto bytes = read_file(path, 64u << 20);
        ASSERT_TRUE(bytes);
        const auto copy = folder / "copy.dcm";
        ASSERT_TRUE(write_file_atomically(copy, *bytes));
        output_of("dcmodify -q -nb -ea '(7fe0,0010)' '" + copy.string() + "' 2>/dev/null");
        const auto theirs = json::parse(output_of("dcm2json -q '" + copy.string() + "' 2>/dev/null"), 64u << 20);
        ASSERT_TRUE(theirs);
        const auto header = scan_file(*bytes);
        ASSERT_TRUE(header);
        const auto ours = json::parse(header->dicom_json, 64u << 20);
        ASSERT_TRUE(ours);
        JsonComparison().objects(ours->as_object(), theirs->as_object(), "");
        ++compared;
    }
    fs::remove_all(folder);
    EXPECT_GT(compared, 80u);
}

}  // namespace
}  // namespace fiducial::dicom
