// What the product shows itself with must be valid DICOM to others.
#include "app/samples/sample_people.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <map>
#include <set>

#include "app/samples/sample_files.hpp"
#include "base/file.hpp"
#include "dicom/data_set_scanner.hpp"

namespace fiducial::app::samples {
namespace {

namespace fs = std::filesystem;

std::string output_of(const std::string& command) {
    std::string out;
    FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return out;
    std::array<char, 4096> buffer;
    while (const auto got = fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), got);
    pclose(pipe);
    return out;
}

bool have_tool(const std::string& tool) {
    return !output_of("command -v " + tool + " 2>/dev/null").empty();
}

// All samples, written once for the tests that read them.
class Samples : public ::testing::Test {
protected:
    static void SetUpTestSuite() {
        folder_ = fs::temp_directory_path() / ("fiducial-samples-" + std::to_string(getpid()));
        const auto report = write_samples(folder_);
        ASSERT_TRUE(report) << report.error().message;
        report_ = *report;
    }
    static void TearDownTestSuite() { fs::remove_all(folder_); }
    static std::vector<fs::path> files() {
        std::vector<fs::path> out;
        for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
            if (entry.is_regular_file()) out.push_back(entry.path());
        }
        std::sort(out.begin(), out.end());
        return out;
    }
    static inline fs::path folder_;
    static inline SampleReport report_;
};

TEST_F(Samples, AreTwelvePeopleWithTwentyFourStudies) {
    EXPECT_EQ(report_.people, 12u);
    EXPECT_EQ(report_.studies, 24u);
    EXPECT_EQ(report_.files, 22u + 2u * kCtSlices);
    EXPECT_EQ(files().size(), report_.files);
}

TEST_F(Samples, ScanWithoutAWarningAndCarryTheirNamesInUtf8) {
    std::set<std::string> studies, instances;
    std::map<std::string, std::string> names;
    for (const auto& path : files()) {
        SCOPED_TRACE(path.string());
        const auto bytes = read_file(path, 64u << 20);
        ASSERT_TRUE(bytes);
        const auto header = dicom::scan_file(*bytes);
        ASSERT_TRUE(header) << header.error().message;
        EXPECT_TRUE(header->warnings.empty()) << header->warnings.front();
        studies.insert(header->identity.study.text());
        EXPECT_TRUE(instances.insert(header->identity.sop_instance.text()).second);
        names[header->identity.patient_id.value] = header->attributes.first(dicom::tags::kPatientName);
    }
    EXPECT_EQ(studies.size(), 24u);
    ASSERT_EQ(names.size(), sample_people().size());
    for (const auto& person : sample_people()) EXPECT_EQ(names[std::string(person.id)], person.name);
}

TEST_F(Samples, AreTheSameBytesWhenMadeAgain) {
    for (const auto& file : plan_sample_files()) {
        if (file.image != 0 || file.study % 5 != 1) continue;
        const auto written = read_file(folder_ / file.path, 64u << 20);
        ASSERT_TRUE(written);
        EXPECT_EQ(*written, make_sample_file(file, 1)) << file.path;
    }
}

TEST_F(Samples, AreDicomToDcmtk) {
    if (!have_tool("dcmftest") || !have_tool("dcmdump")) GTEST_SKIP() << "no dcmftest and dcmdump (package dcmtk)";
    std::string all;
    for (const auto& path : files()) all += " '" + path.string() + "'";
    const auto answers = output_of("dcmftest" + all + " 2>&1");
    EXPECT_EQ(static_cast<std::size_t>(std::count(answers.begin(), answers.end(), '\n')), report_.files);
    EXPECT_EQ(answers.find("no:"), std::string::npos) << answers;
    for (const auto& file : plan_sample_files()) {
        if (file.image != 0) continue;
        const auto dump = output_of("dcmdump -v '" + (folder_ / file.path).string() + "' 2>&1");
        EXPECT_EQ(dump.find("\nW:"), std::string::npos) << dump;
        EXPECT_EQ(dump.find("\nE:"), std::string::npos) << dump;
        EXPECT_NE(dump.find("PixelData"), std::string::npos);
    }
}

TEST_F(Samples, AreDicomToPydicom) {
    const std::string python = FIDUCIAL_SOURCE_DIR "/build/venv/bin/python";  // deploy/dependencies test makes it
    if (output_of(python + " -c 'import pydicom; print(1)' 2>/dev/null").empty()) {
        ASSERT_EQ(std::getenv("FIDUCIAL_TOOLS_REQUIRED"), nullptr) << "no pydicom in " << python;
        GTEST_SKIP() << "no pydicom in " << python << ": run deploy/dependencies test";
    }
    const auto program =
        "import sys, pathlib, pydicom\n"
        "for f in sorted(pathlib.Path(sys.argv[1]).rglob('*.dcm')):\n"
        "    d = pydicom.dcmread(f)\n"
        "    assert len(d.PixelData) == d.Rows * d.Columns * d.BitsAllocated // 8 * int(d.get('NumberOfFrames', 1)), f\n"
        "print('good')\n";
    const auto script = folder_ / "check.py";
    ASSERT_TRUE(write_file_atomically(script, as_bytes(program)));
    EXPECT_EQ(output_of(python + " '" + script.string() + "' '" + folder_.string() + "' 2>&1"), "good\n");
    fs::remove(script);
}

TEST_F(Samples, CtSlicesLieOneBehindTheOther) {
    double last = -1e9;
    std::set<std::string> frames_of_reference;
    for (const auto& file : plan_sample_files()) {
        if (sample_studies()[file.study].kind != SampleKind::ct_series || sample_studies()[file.study].person != 1) continue;
        const auto header = dicom::scan_file(make_sample_file(file, 1));
        ASSERT_TRUE(header);
        const auto position = header->attributes.all(0x00200032);
        ASSERT_EQ(position.size(), 3u);
        const double z = std::stod(position[2]);
        if (last > -1e8) {
            EXPECT_NEAR(z - last, 4.0, 1e-6);
        }
        last = z;
        frames_of_reference.insert(header->attributes.first(0x00200052));
    }
    EXPECT_EQ(frames_of_reference.size(), 1u);
}

}  // namespace
}  // namespace fiducial::app::samples
