// DICOMDIR, ZIP and patient tables.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zip.h>

#include <filesystem>
#include <fstream>

#include "base/file.hpp"
#include "dicom/dicomdir.hpp"
#include "dicom/patient_table.hpp"
#include "dicom/test_data_sets.hpp"
#include "dicom/transfer_syntax.hpp"
#include "dicom/zip_reader.hpp"

namespace fiducial::dicom {
namespace {

using namespace test;
namespace fs = std::filesystem;
using ::testing::HasSubstr;

Bytes directory_prefix(std::string_view sop_class = "1.2.840.10008.1.3.10", std::string_view syntax = kExplicitVrLittleEndian) {
    Builder meta(Form::explicit_le);
    meta.text(0x00020002, "UI", std::string(sop_class)).text(0x00020010, "UI", std::string(syntax));
    Builder all(Form::explicit_le);
    all.head(0x00020000, "UL", 4).number(meta.out.size(), 4);
    Bytes out(128, 0);
    append(out, as_bytes("DICM"));
    append(out, all.out);
    append(out, meta.out);
    return out;
}

// A record for each file name; empty for a patient record.
Bytes directory(const std::vector<std::string>& files, bool defined_lengths) {
    Builder b(Form::explicit_le);
    b.text(0x00041130, "CS", "DISC");
    Builder records(Form::explicit_le);
    for (const auto& file : files) {
        Builder record(Form::explicit_le);
        record.text(0x00041430, "CS", file.empty() ? "PATIENT" : "IMAGE");
        if (!file.empty()) record.text(0x00041500, "CS", file).text(0x00041511, "UI", "1.2.3");
        record.head(0x00081115, "SQ", 0xffffffff).item().text(0x00041500, "CS", "NOT\\THIS").end_item().end_sequence();
        records.item(defined_lengths ? static_cast<std::uint32_t>(record.out.size()) : 0xffffffff);
        append(records.out, record.out);
        if (!defined_lengths) records.end_item();
    }
    b.head(0x00041220, "SQ", defined_lengths ? static_cast<std::uint32_t>(records.out.size()) : 0xffffffff);
    append(b.out, records.out);
    if (!defined_lengths) b.end_sequence();
    return joined(directory_prefix(), b.out);
}

TEST(PS3_3_F, DicomdirGivesItsFilesInOrder) {
    for (const bool defined : {true, false}) {
        const auto file = directory({"", "IMAGES\\CT\\IM1 ", "IM2"}, defined);
        EXPECT_TRUE(is_dicomdir(file));
        const auto entries = read_dicomdir(file);
        ASSERT_TRUE(entries) << entries.error().message;
        ASSERT_EQ(entries->size(), 2u);
        EXPECT_EQ((*entries)[0].path, "IMAGES/CT/IM1");
        EXPECT_EQ((*entries)[0].sop_instance, "1.2.3");
        EXPECT_EQ((*entries)[1].path, "IM2");
    }
}

TEST(PS3_3_F, DicomdirNeverLeavesItsFolder) {
    const auto entries = read_dicomdir(directory({"..\\secret", "A\\..\\..\\B", "/etc\\passwd", "C:\\x", "A\\\\B", "GOOD"}, true));
    ASSERT_TRUE(entries);
    ASSERT_EQ(entries->size(), 1u);
    EXPECT_EQ(entries->front().path, "GOOD");
    const auto none = read_dicomdir(directory({"..\\secret"}, true));
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().message, "the DICOMDIR names files outside of its folder only");
}

TEST(PS3_3_F, BrokenDicomdirsAreRefused) {
    EXPECT_FALSE(is_dicomdir(as_bytes("hello")));
    EXPECT_FALSE(read_dicomdir(as_bytes("hello")));
    EXPECT_FALSE(read_dicomdir(joined(directory_prefix("1.2.840.10008.5.1.4.1.1.7"), {})));
    EXPECT_FALSE(read_dicomdir(joined(directory_prefix("1.2.840.10008.1.3.10", "1.2.3"), {})));
    const auto file = directory({"", "IM1"}, false);
    for (std::size_t cut = directory_prefix().size() + 16; cut < file.size(); ++cut)
        EXPECT_FALSE(read_dicomdir(ByteView(file).first(cut))) << cut;
    Bytes deep = directory_prefix();
    for (int i = 0; i < 40; ++i) {
        Builder level(Form::explicit_le);
        append(deep, level.head(0x00041220, "SQ", 0xffffffff).item().out);
    }
    const auto answer = read_dicomdir(deep);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::limit_exceeded);
}

class Zip : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("fiducial-zip-" + std::to_string(getpid())), fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    fs::path make(const std::vector<std::pair<std::string, std::string>>& files, bool link = false) {
        const auto path = folder_ / ("a" + std::to_string(++count_) + ".zip");
        int error = 0;
        zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error);
        for (const auto& [name, content] : files) {
            const auto index = zip_file_add(zip, name.c_str(), zip_source_buffer(zip, content.data(), content.size(), 0), ZIP_FL_ENC_UTF_8);
            EXPECT_GE(index, 0);
            if (link) zip_file_set_external_attributes(zip, static_cast<zip_uint64_t>(index), 0, ZIP_OPSYS_UNIX, 0120777u << 16);
        }
        EXPECT_EQ(zip_close(zip), 0);
        return path;
    }
    /// What is wrong with the file, or with the only entry that is refused.
    static std::string error_of(const fs::path& path, ZipLimits limits = {}) {
        const auto zip = ZipReader::open(path, limits);
        if (!zip) return zip.error().message;
        EXPECT_LE(zip->refused().size(), 1u);
        return zip->refused().empty() ? "taken" : zip->refused().front().why.message;
    }

    fs::path folder_;
    int count_ = 0;
};

TEST_F(Zip, APPNOTE_EntriesComeOutAsTheyWent) {
    const std::string large(1'000'000, 'x');
    const auto zip = ZipReader::open(make({{"a/b.dcm", "hello"}, {"ü.txt", large}, {"folder/", ""}, {"empty", ""}}));
    ASSERT_TRUE(zip) << zip.error().message;
    ASSERT_EQ(zip->entries().size(), 3u);
    EXPECT_EQ(zip->entries()[0].name, "a/b.dcm");
    EXPECT_EQ(zip->entries()[1].name, "ü.txt");
    for (std::size_t i = 0; i < 3; ++i) {
        Bytes out;
        const auto read = zip->read(zip->entries()[i], [&](ByteView piece) {
            append(out, piece);
            return Result<void>{};
        });
        ASSERT_TRUE(read) << read.error().message;
        EXPECT_EQ(as_text(out), i == 0 ? "hello" : i == 1 ? large : "");
    }
    const auto stopped = zip->read(zip->entries()[1], [](ByteView) { return Result<void>(fail(ErrorCode::cancelled, "enough")); });
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, ErrorCode::cancelled);
}

TEST_F(Zip, APPNOTE_4_4_17_NamesThatLeadOutsideAreRefused) {
    for (const std::string name : {"../x", "a/../../x", "/etc/x", "a\\..\\x", "C:x", "a/.."})
        EXPECT_NE(error_of(make({{"good", "1"}, {name, "2"}})), "taken") << name;
    EXPECT_EQ(error_of(make({{"a/..b/c..", "2"}})), "taken");
    EXPECT_EQ(error_of(make({{"link", "/etc/passwd"}}, true)), "entry 0 of the ZIP file is a link or device");
}

TEST_F(Zip, APPNOTE_4_4_17_OneOddEntryHindersNoOther) {
    const auto zip = ZipReader::open(make({{"a", "1"}, {"../x", "2"}, {"c", "3"}}));
    ASSERT_TRUE(zip) << zip.error().message;
    ASSERT_EQ(zip->entries().size(), 2u);
    EXPECT_EQ(zip->entries()[1].name, "c");
    ASSERT_EQ(zip->refused().size(), 1u);
    EXPECT_EQ(zip->refused()[0].name, "../x");
}

TEST_F(Zip, APPNOTE_BombsAreRefusedByWhatTheyClaimAndByWhatTheyDo) {
    const auto many = make({{"1", "a"}, {"2", "bb"}, {"3", "ccc"}});
    ZipLimits limits;
    limits.entries = 2;
    EXPECT_EQ(error_of(many, limits), "the ZIP file has more than 2 entries");
    limits = {};
    limits.entry_bytes = 2;
    EXPECT_EQ(error_of(many, limits), "entry 2 of the ZIP file is larger than 2 bytes");
    limits = {};
    limits.total_bytes = 5;
    EXPECT_EQ(error_of(many, limits), "with entry 2 the ZIP file unpacks to more than 5 bytes");
    limits = {};
    limits.ratio = 100;
    EXPECT_EQ(error_of(make({{"bomb", std::string(20u << 20, '\0')}}), limits),
              "entry 0 of the ZIP file unpacks to more than 100 times its size");
}

TEST_F(Zip, APPNOTE_4_4_7_DamageIsFound) {
    EXPECT_EQ(error_of(folder_ / "absent.zip"), "absent.zip is not there");
    std::ofstream(folder_ / "text.zip") << "this is no ZIP file at all, but it is long enough to be looked at";
    EXPECT_EQ(error_of(folder_ / "text.zip"), "text.zip is not a ZIP file, or a damaged one");
    std::string noise;
    for (unsigned i = 0; i < 5000; ++i) noise += static_cast<char>((i * i * 7919u) >> 5);
    const auto path = make({{"a", noise}});
    auto bytes = *read_file(path, 1u << 20);
    bytes[200] ^= 0x55;
    ASSERT_TRUE(write_file_atomically(path, bytes));
    const auto zip = ZipReader::open(path);
    ASSERT_TRUE(zip);
    const auto read = zip->read(zip->entries()[0], [](ByteView) { return Result<void>{}; });
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::malformed);
}

TEST(RFC4180_Table, ReadsColumnsInAnyOrderAndForm) {
    const auto rows = read_patient_table(
        "\xef\xbb\xbfPatient_ID;File;Name;Birth-Date;Sex;study date;study time;View\r\n"
        "4711;a\\b.jpg;\"Doe^Jane; \"\"JD\"\"\";29.02.1980;female;2024-01-02;07:08;PA\r\n"
        "\r\n"
        "4712;c.png;\"Two\nlines\";;;;;\r\n"
        "4713;d.png;Last;19991231;M;20240103;;AP");
    ASSERT_TRUE(rows) << rows.error().message;
    ASSERT_EQ(rows->size(), 3u);
    EXPECT_EQ((*rows)[0].file, "a/b.jpg");
    EXPECT_EQ((*rows)[0].patient.name.value, "Doe^Jane; \"JD\"");
    EXPECT_EQ((*rows)[0].patient.birth_date.value, "19800229");
    EXPECT_EQ((*rows)[0].patient.sex, "F");
    EXPECT_EQ((*rows)[0].patient.study_date, "20240102");
    EXPECT_EQ((*rows)[0].patient.study_time, "070800");
    EXPECT_EQ((*rows)[0].patient.view_position, "PA");
    EXPECT_EQ((*rows)[0].line, 2u);
    EXPECT_EQ((*rows)[1].patient.name.value, "Two\nlines");
    EXPECT_EQ((*rows)[2].line, 6u);
    EXPECT_EQ(read_patient_table("file,patient id\na,1")->size(), 1u);
    EXPECT_EQ(read_patient_table("file\tpatient id\na\t1\n")->size(), 1u);
}

TEST(RFC4180_Table, EachErrorNamesItsLine) {
    const auto error = [](std::string_view csv) {
        const auto rows = read_patient_table(csv);
        return rows ? "taken" : rows.error().message;
    };
    const std::string head = "file,patient id,birth date,sex,study time\n", at = "of the patient table: ";
    EXPECT_EQ(error(""), "line 1 " + at + "it is empty");
    EXPECT_EQ(error("file,name\n"), "line 1 " + at + "the column \"patient id\" is missing");
    EXPECT_EQ(error("name,patient id\n"), "line 1 " + at + "the column \"file\" is missing");
    EXPECT_EQ(error("file,patient id,shoe size\n"), "line 1 " + at + "the column \"shoe size\" is not known");
    EXPECT_EQ(error("file,patient id,File\n"), "line 1 " + at + "the column \"file\" occurs twice");
    EXPECT_EQ(error(head + "a,1,,,\nb,2,\n"), "line 3 " + at + "3 fields instead of 5");
    EXPECT_EQ(error(head + ",1,,,\n"), "line 2 " + at + "no file is named");
    EXPECT_EQ(error(head + "a,,,,\n"), "line 2 " + at + "no patient id is given");
    EXPECT_EQ(error(head + "a,1,1980,,\n"), "line 2 " + at + "the birth date is not a date (YYYYMMDD, YYYY-MM-DD or DD.MM.YYYY)");
    EXPECT_EQ(error(head + "a,1,,x,\n"), "line 2 " + at + "the sex is none of M, F, O");
    EXPECT_EQ(error(head + "a,1,,,9999\n"), "line 2 " + at + "the study time is not a time (HHMMSS or HH:MM:SS)");
    EXPECT_EQ(error(head + "a,1,,,\n\"b,2,,,\n"), "line 3 " + at + "a quotation mark is not closed");
    EXPECT_EQ(error(head + "a\"b,2,,,\n"), "line 2 " + at + "a quotation mark inside a field without quotation marks");
    EXPECT_EQ(error(head + "\"a\"b,2,,,\n"), "line 2 " + at + "something follows a closing quotation mark");
    EXPECT_EQ(error(head + std::string(2000, 'x') + ",2,,,\n"), "line 2 " + at + "a field longer than 1024 bytes");
    EXPECT_EQ(error("file,patient id\na,\xff\n"), "the patient table is not UTF-8");
}

}  // namespace
}  // namespace fiducial::dicom
