#include "archive/importer.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "base/file.hpp"
#include "dicom/dicomdir.hpp"
#include "dicom/image_import.hpp"
#include "dicom/patient_table.hpp"
#include "dicom/zip_reader.hpp"

namespace fiducial::archive {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kReadSize = std::size_t{1} << 20;
constexpr std::uint64_t kMaxImageBytes = std::uint64_t{100} << 20;
constexpr std::uint64_t kMaxTableBytes = std::uint64_t{64} << 20;
constexpr std::size_t kMaxNotable = 10'000;

enum class FileKind : std::uint8_t { dicom, image, zip, dicomdir, patient_table };

bool is_zip(ByteView head) { return head.size() >= 4 && as_text(head.first(4)) == "PK\x03\x04"; }

/// A date that a folder may be named after: YYYY-MM-DD or YYYYMMDD. Returns: YYYYMMDD.
std::optional<std::string> folder_date(std::string name) {
    std::erase(name, '-');
    if (name.size() != 8 || name.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
    if (name.substr(0, 2) != "19" && name.substr(0, 2) != "20") return std::nullopt;
    return name;
}

}  // namespace

struct Importer::Item {
    fs::path path;
    fs::path relative;  // to the folder that was given
    FileKind kind = FileKind::dicom;
    std::uint64_t size = 0;
};

/// Whose the images are that do not say it themselves.
struct Importer::Patients {
    std::map<std::string, dicom::ImportedPatient> by_file;

    /// A table row, else the folders' names: …/<patient>/[<study date>/]file. `<patient>` is "ID Name" or just an ID.
    dicom::ImportedPatient find(const fs::path& relative) const {
        if (const auto row = by_file.find(relative.generic_string()); row != by_file.end()) return row->second;
        dicom::ImportedPatient patient;
        auto folder = relative.parent_path();
        if (const auto date = folder_date(folder.filename().string())) {
            patient.study_date = *date;
            folder = folder.parent_path();
        }
        std::string name = folder.filename().string();
        if (name.empty()) name = "UNKNOWN";
        const auto space = name.find_first_of(" _");
        patient.patient_id.value = name.substr(0, space);
        patient.name.value = space == std::string::npos ? name : name.substr(space + 1);
        return patient;
    }
};

Result<ImportReport> Importer::run(const ImportOptions& options, const std::atomic<bool>& stop) {
    const auto begun = std::chrono::steady_clock::now();
    stop_ = &stop;
    report_ = {};
    now_ = {};
    std::vector<Item> items;
    FID_CHECK(collect(options, items));
    FID_TRY(const auto patients, read_patients(options));
    for (const auto& item : items) {
        now_.files_total += 1;
        now_.bytes_total += item.size;
    }
    for (const auto& item : items) {
        if (stop.load()) {
            report_.interrupted = true;
            break;
        }
        const auto before = now_.bytes_done;
        FID_CHECK(take(item, patients, options));
        now_.bytes_done = before + item.size;
        now_.files_done += 1;
        if (progress_) progress_(now_);
    }
    FID_CHECK(session_.complete());
    report_.took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun);
    return std::move(report_);
}

Result<void> Importer::collect(const ImportOptions& options, std::vector<Item>& items) {
    for (const auto& path : options.paths) {
        std::error_code ec;
        const auto status = fs::status(path, ec);
        if (ec || !fs::exists(status)) return fail(ErrorCode::not_found, "there is no file or folder " + path.string());
        if (fs::is_directory(status)) {
            FID_CHECK(collect_folder(path, items));
        } else {
            FID_CHECK(collect_file(path, path.parent_path(), true, items));
        }
    }
    return {};
}

Result<void> Importer::collect_folder(const fs::path& folder, std::vector<Item>& items) {
    std::vector<fs::path> files;
    std::error_code ec;
    for (fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, ec), end; !ec && it != end; it.increment(ec)) {
        if (it->is_regular_file(ec)) files.push_back(it->path());
    }
    if (ec) return fail(ErrorCode::io, "reading folder " + folder.string() + ": " + ec.message());
    std::sort(files.begin(), files.end());
    for (const auto& file : files) FID_CHECK(collect_file(file, folder, false, items));
    return {};
}

Result<void> Importer::collect_file(const fs::path& file, const fs::path& root, bool named, std::vector<Item>& items) {
    Item item{file, file.lexically_relative(root), FileKind::dicom, 0};
    Bytes head(4096);
    auto opened = File::open(file, File::Mode::read);
    if (!opened) {
        record({file.string(), Outcome::refused, {}, opened.error().message, {}});
        return {};
    }
    FID_TRY(item.size, opened->size());
    FID_TRY(const auto got, opened->read_at(0, head));
    head.resize(got);
    if (is_zip(head)) {
        item.kind = FileKind::zip;
    } else if (dicom::image_kind(head) != dicom::ImageKind::unknown) {
        item.kind = FileKind::image;
    } else if (dicom::is_dicomdir(head)) {
        item.kind = FileKind::dicomdir;
    } else if (file.filename() == "patients.csv") {
        item.kind = FileKind::patient_table;
    }
    if (item.kind == FileKind::dicomdir && named) {  // given by itself: what it lists is meant
        FID_TRY(const auto bytes, read_file(file, kMaxTableBytes));
        FID_TRY(const auto entries, dicom::read_dicomdir(bytes));
        for (const auto& entry : entries) FID_CHECK(collect_file(file.parent_path() / entry.path, root, false, items));
        return {};
    }
    if (item.kind == FileKind::dicomdir || item.kind == FileKind::patient_table) {
        report_.skipped += 1;
        return {};
    }
    items.push_back(std::move(item));
    return {};
}

Result<Importer::Patients> Importer::read_patients(const ImportOptions& options) const {
    Patients patients;
    std::vector<fs::path> tables;
    if (!options.patient_table.empty()) {
        tables.push_back(options.patient_table);
    } else {
        for (const auto& path : options.paths) {
            if (fs::exists(path / "patients.csv")) tables.push_back(path / "patients.csv");
        }
    }
    for (const auto& table : tables) {
        FID_TRY(const auto bytes, read_file(table, kMaxTableBytes));
        auto rows = dicom::read_patient_table(as_text(bytes));
        if (!rows) return fail(rows.error().with(table.filename().string()));
        for (auto& row : *rows) patients.by_file.insert_or_assign(row.file, std::move(row.patient));
    }
    return patients;
}

Result<void> Importer::take(const Item& item, const Patients& patients, const ImportOptions& options) {
    switch (item.kind) {
        case FileKind::zip: return take_zip(item, patients, options);
        case FileKind::image: {
            auto bytes = read_file(item.path, kMaxImageBytes);
            if (!bytes) {
                record({item.path.string(), Outcome::refused, {}, bytes.error().message, {}});
                return {};
            }
            return take_image(item.path.string(), item.relative, *bytes, patients, options);
        }
        default: return take_dicom_file(item);
    }
}

Result<void> Importer::take_dicom_file(const Item& item) {
    const auto shown = item.path.string();
    InstanceFormat format;
    format.source.value = shown;
    FID_CHECK(session_.begin_instance(format));
    auto file = File::open(item.path, File::Mode::read);
    if (!file) {
        session_.abandon_instance();
        record({shown, Outcome::refused, {}, file.error().message, {}});
        return {};
    }
    Bytes buffer(std::min<std::uint64_t>(kReadSize, item.size + 1));
    for (std::uint64_t offset = 0;;) {
        auto got = file->read_at(offset, buffer);
        if (!got) {
            session_.abandon_instance();
            record({shown, Outcome::refused, {}, got.error().message, {}});
            return {};
        }
        if (*got == 0) break;
        offset += *got;
        if (!session_.write(ByteView(buffer).first(*got))) break;  // finish() reports why
        count_bytes(*got);
    }
    return finish(shown);
}

Result<void> Importer::take_image(const std::string& shown, const fs::path& relative, ByteView bytes, const Patients& patients,
                                  const ImportOptions& options) {
    dicom::ImageImportOptions how;
    if (options.digital_radiography) how.radiograph = dicom::RadiographClass::digital;
    auto image = dicom::import_image(bytes, patients.find(relative), site_secret_.view(), how);
    if (!image) {
        record({shown, Outcome::refused, {}, image.error().message, {}});
        return {};
    }
    InstanceFormat format;
    format.source.value = shown;
    format.source_sha256 = image->source_sha256;
    if (!image->pixels_as_brought) format.original = to_bytes(bytes);
    FID_CHECK(session_.begin_instance(format));
    auto written = session_.write(image->prefix);
    if (written) written = session_.write(image->data_set);
    report_.bytes += bytes.size();
    return finish(shown);
}

Result<void> Importer::take_zip(const Item& item, const Patients& patients, const ImportOptions& options) {
    auto zip = dicom::ZipReader::open(item.path);
    if (!zip) {
        record({item.path.string(), Outcome::refused, {}, zip.error().message, {}});
        return {};
    }
    for (const auto& entry : zip->entries()) {
        if (stop_->load()) {
            report_.interrupted = true;
            return {};
        }
        const auto shown = item.path.string() + "!/" + entry.name;
        std::optional<FileKind> kind;  // known from the first bytes
        Bytes image;
        auto outcome = zip->read(entry, [&](ByteView bytes) -> Result<void> {
            if (!kind) {
                kind = FileKind::dicom;
                if (dicom::image_kind(bytes) != dicom::ImageKind::unknown) kind = FileKind::image;
                if (dicom::is_dicomdir(bytes)) kind = FileKind::dicomdir;
                if (*kind == FileKind::dicom) {
                    InstanceFormat format;
                    format.source.value = shown;
                    FID_CHECK(session_.begin_instance(format));
                }
            }
            if (*kind == FileKind::image) {
                if (image.size() + bytes.size() > kMaxImageBytes) return fail(ErrorCode::limit_exceeded, "the image is larger than 100 MiB");
                append(image, bytes);
            } else if (*kind == FileKind::dicom) {
                if (session_.write(bytes)) report_.bytes += bytes.size();  // finish() reports what is wrong with it
            }
            return {};
        });
        if (!kind) continue;  // an empty entry, or a folder
        if (*kind == FileKind::dicomdir) {
            report_.skipped += 1;
        } else if (*kind == FileKind::image && outcome) {
            FID_CHECK(take_image(shown, entry.name, image, patients, options));
        } else if (*kind == FileKind::dicom && outcome) {
            FID_CHECK(finish(shown));
        } else {
            if (*kind == FileKind::dicom) session_.abandon_instance();
            record({shown, Outcome::refused, {}, outcome.error().message, {}});
        }
    }
    return {};
}

Result<void> Importer::finish(const std::string& shown) {
    FID_TRY(auto done, session_.finish_instance());
    record({shown, done.outcome, done.sop_uid, done.error ? done.error->message : std::string(), std::move(done.warnings)});
    return {};
}

void Importer::record(ImportedFile file) {
    switch (file.outcome) {
        case Outcome::stored: report_.stored += 1; break;
        case Outcome::duplicate: report_.duplicates += 1; break;
        case Outcome::new_version: report_.new_versions += 1; break;
        case Outcome::set_aside: report_.set_aside += 1; break;
        case Outcome::refused: report_.refused += 1; break;
    }
    if (each_file_) each_file_(file);
    const bool notable = file.outcome == Outcome::refused || file.outcome == Outcome::set_aside;
    if (notable && report_.notable.size() < kMaxNotable) report_.notable.push_back(std::move(file));
}

void Importer::count_bytes(std::uint64_t bytes) {
    report_.bytes += bytes;
    now_.bytes_done += bytes;
    if (progress_) progress_(now_);
}

}  // namespace fiducial::archive
