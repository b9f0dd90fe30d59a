#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/archive.hpp"
#include "crypto/secret.hpp"
#include "dicom/zip_reader.hpp"

namespace fiducial::archive {

struct ImportOptions {
    std::vector<std::filesystem::path> paths;  // files (DICOM, DICOMDIR, ZIP, JPEG, PNG) and folders
    std::filesystem::path
        patient_table;  // CSV with the patients of JPEG and PNG files; empty: each patients.csv that is found, else folders' names
    bool digital_radiography = false;  // JPEG and PNG radiographs become DX instead of CR
};

/// How far an import has come.
struct ImportProgress {
    std::uint64_t files_total = 0, files_done = 0;
    std::uint64_t bytes_total = 0, bytes_done = 0;
};

struct ImportedFile {
    std::string path;  // as given, with "!/" before the name of a ZIP's entry; made readable (base/utf8.hpp)
    Outcome outcome = Outcome::refused;
    std::string sop_uid;
    std::string reason;  // for refused and set_aside
    std::vector<std::string> warnings;
};

struct ImportReport {
    std::uint64_t stored = 0, duplicates = 0, new_versions = 0, set_aside = 0, refused = 0, skipped = 0;
    std::uint64_t bytes = 0;
    std::uint64_t without_patient = 0;     // JPEG and PNG of which nothing said whose they are: each is a patient of its own
    std::vector<std::string> unused_rows;  // of the patient table given, as "line 7: x.jpeg": no image of that name came; at most 1,000
    std::chrono::milliseconds took{0};
    bool interrupted = false;
    std::optional<Error> failure;       // the archive itself failed: what came after was not taken
    std::optional<Error> incomplete;    // all stored, but these studies could not be put into a record yet
    std::vector<ImportedFile> notable;  // all that is set aside or refused, and why; at most 10,000, and 2 MiB of text
};

/// Brings files into the archive. What was taken stays when it is interrupted; running it again takes the rest.
/// A file, folder or ZIP entry that cannot be read is refused, with the reason, and the import goes on.
/// Whose a JPEG or PNG is: docs/formats/imported_images.md.
/// Security: paths may name patients: they go into the report and the encrypted manifest, never into a log.
/// Errors:   not_found (a path given), malformed, io … (the patient table given). Once a file was taken there is a report.
class Importer {
public:
    using Progress = std::function<void(const ImportProgress&)>;
    using EachFile = std::function<void(const ImportedFile&)>;

    /// site_secret: makes the UIDs of images that bring none.
    Importer(IngestSession& session, const crypto::Secret& site_secret) : session_(session), site_secret_(site_secret) {}
    void on_progress(Progress progress) { progress_ = std::move(progress); }
    void on_file(EachFile each) { each_file_ = std::move(each); }
    Result<ImportReport> run(const ImportOptions& options, const std::atomic<bool>& stop);

private:
    struct Item;
    struct Place;
    struct Patients;
    Result<void> collect(const ImportOptions& options, std::vector<Item>& items);
    void collect_folder(const std::filesystem::path& folder, std::vector<Item>& items);
    void collect_file(const std::filesystem::path& file, const Place& within, bool named, std::vector<Item>& items);
    Result<void> take(const Item& item, const ImportOptions& options);
    Result<void> take_zip(const Item& item, const ImportOptions& options);
    Result<void> take_zip_entry(const dicom::ZipReader& zip, const dicom::ZipEntry& entry, const Place& place,
                                const std::function<void(std::uint64_t)>& count, const ImportOptions& options);
    void read_tables_of(const dicom::ZipReader& zip, const std::filesystem::path& path);
    Result<void> take_dicom_file(const Item& item);
    Result<void> take_image(const std::string& shown, const Place& place, ByteView bytes, const ImportOptions& options);
    Result<void> finish(const std::string& shown);
    bool stopped();
    void refuse(const std::string& shown, const Error& why);
    void record(ImportedFile file);
    void count_bytes(std::uint64_t bytes);

    IngestSession& session_;
    const crypto::Secret& site_secret_;
    Progress progress_;
    EachFile each_file_;
    ImportProgress now_;
    ImportReport report_;
    std::size_t notable_bytes_ = 0;
    std::shared_ptr<Patients> patients_;
    const std::atomic<bool>* stop_ = nullptr;
};

}  // namespace fiducial::archive
