#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

namespace fiducial::crypto {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

bool is_code(const fs::path& path) {
    const std::string name = path.filename().string();
    const std::string kind = path.extension().string();
    if (kind != ".cpp" && kind != ".hpp" && kind != ".sol") return false;
    return !name.ends_with("_test.cpp") && !name.ends_with("_fuzz.cpp");
}

/// Every tag that the code uses, with one file that uses it.
std::map<std::string, std::string> tags_in_code() {
    static const std::regex tag("\"(fid\\.[a-z_-]+[0-9]+)\"");
    std::map<std::string, std::string> tags;
    for (const char* part : {"src", "contracts/src"}) {
        const fs::path folder = fs::path(FIDUCIAL_SOURCE_DIR) / part;
        if (!fs::exists(folder)) continue;
        for (const auto& file : fs::recursive_directory_iterator(folder)) {
            if (!file.is_regular_file() || !is_code(file.path())) continue;
            std::istringstream lines(text_of(file.path()));
            for (std::string line; std::getline(lines, line);) {
                line = line.substr(0, line.find("//"));
                for (std::sregex_iterator found(line.begin(), line.end(), tag), end; found != end; ++found) {
                    tags.emplace((*found)[1].str(), file.path().lexically_relative(FIDUCIAL_SOURCE_DIR).string());
                }
            }
        }
    }
    return tags;
}

TEST(HashTags, EveryTagInTheCodeStandsInTheTable) {
    const std::string table = text_of(fs::path(FIDUCIAL_SOURCE_DIR) / "docs/formats/hashes.md");
    const auto tags = tags_in_code();
    EXPECT_TRUE(tags.contains("fid.chunk1") && tags.contains("fid.record1")) << "the search finds nothing";
    for (const auto& [tag, file] : tags) {
        EXPECT_NE(table.find('`' + tag + '`'), std::string::npos) << tag << " (" << file << ") needs its line in docs/formats/hashes.md";
    }
}

}  // namespace
}  // namespace fiducial::crypto
