// Every file of the shared data: scanned as DCMTK's own tools read it, or refused for the reason written here.
#include <gtest/gtest.h>

#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <filesystem>
#include <map>

#include "base/file.hpp"
#include "base/json.hpp"
#include "dicom/data_set_scanner.hpp"

namespace fiducial::dicom {
namespace {

namespace fs = std::filesystem;

fs::path shared_folder() { return fs::path(FIDUCIAL_SOURCE_DIR) / ".." / "shared" / "data" / "dicom"; }

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
    static const std::map<std::string, std::string> table = {
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

bool have_tool(const std::string& tool) { return !output_of("command -v " + tool + " 2>/dev/null").empty(); }

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

TEST(PS3_10_SharedData, EveryFileScansAsDcmdumpReadsItOrIsRefusedByName) {
    if (shared_files().empty()) GTEST_SKIP() << "no shared/data/dicom beside the source tree";
    if (!have_tool("dcmdump")) GTEST_SKIP() << "no dcmdump (package dcmtk)";
    std::size_t taken = 0;
    for (const auto& path : shared_files()) {
        SCOPED_TRACE(path.filename().string());
        const auto bytes = read_file(path, 64u << 20);
        ASSERT_TRUE(bytes);
        const auto header = scan_file(*bytes);
        const auto expected = refused().find(path.filename().string());
        if (expected != refused().end()) {
            ASSERT_FALSE(header);
            EXPECT_EQ(header.error().message, expected->second);
            continue;
        }
        if (!header) {
            ADD_FAILURE() << header.error().message;
            continue;
        }
        ++taken;
        const auto dump = output_of("dcmdump -q -M +L -Un '" + path.string() + "' 2>/dev/null");
        EXPECT_EQ(header->identity.sop_instance.text(), dumped(dump, "0008,0018"));
        EXPECT_EQ(header->identity.study.text(), dumped(dump, "0020,000d"));
        EXPECT_EQ(header->identity.series.text(), dumped(dump, "0020,000e"));
        EXPECT_EQ(header->identity.sop_class.text(), dumped(dump, "0008,0016"));
        EXPECT_EQ(header->identity.transfer_syntax, dumped(dump, "0002,0010"));
        EXPECT_EQ(header->prefix_length + header->data_set_length, bytes->size());
        for (const auto& w : header->warnings) std::cout << path.filename() << ": " << w << "\n";
    }
    EXPECT_GT(taken, 150u);
}

}  // namespace
}  // namespace fiducial::dicom
