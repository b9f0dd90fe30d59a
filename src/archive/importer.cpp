#include "archive/importer.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/file.hpp"
#include "base/utf8.hpp"
#include "dicom/dicomdir.hpp"
#include "dicom/image_import.hpp"
#include "dicom/patient_table.hpp"

namespace fiducial::archive {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kReadSize = std::size_t{1} << 20;
constexpr std::uint64_t kMaxImageBytes = std::uint64_t{100} << 20;
constexpr std::uint64_t kMaxTableBytes = std::uint64_t{64} << 20;
constexpr std::size_t kMaxNotable = 10'000;
constexpr std::size_t kMaxUnusedRows = 1000;
constexpr std::size_t kMaxNotableBytes = std::size_t{2} << 20;  // the report must fit into one answer of a running archive
constexpr std::string_view kTableName = "patients.csv";

enum class FileKind : std::uint8_t { dicom, image, zip, dicomdir, patient_table };

bool is_zip(ByteView head) {
    return head.size() >= 4 && as_text(head.first(4)) == "PK\x03\x04";
}

bool all_digits(std::string_view text) {
    return text.find_first_not_of("0123456789") == std::string_view::npos;
}
bool in_our_time(std::string_view year) {
    return year.starts_with("19") || year.starts_with("20");
}

/// A date that a folder may be named after: YYYY-MM-DD or YYYYMMDD. Returns: YYYYMMDD.
std::optional<std::string> folder_date(std::string name) {
    std::erase(name, '-');
    if (name.size() != 8 || !all_digits(name) || !in_our_time(name)) return std::nullopt;
    return name;
}

/// An ID has a digit in it and is no year, month or date: a folder "NORMAL", "Doe" or "2026" holds images of many.
bool reads_as_id(std::string_view text) {
    if (text.find_first_of("0123456789") == std::string_view::npos || folder_date(std::string(text))) return false;
    const bool year = text.size() == 4 && all_digits(text) && in_our_time(text);
    const bool month =
        text.size() == 7 && text[4] == '-' && all_digits(text.substr(0, 4)) && all_digits(text.substr(5)) && in_our_time(text);
    return !year && !month;
}

/// Absolute, without "." and "..", and without a '/' at its end, so that it has a name.
fs::path plain(const fs::path& path) {
    std::error_code ec;
    auto whole = fs::absolute(path, ec);
    whole = (ec ? path : whole).lexically_normal();
    return whole.has_filename() || !whole.has_relative_path() ? whole : whole.parent_path();
}

}  // namespace

/// Where an image lies. A ZIP counts as a folder.
struct Importer::Place {
    fs::path path;
    fs::path root;            // the folder or ZIP that was given; of a file given by itself, its folder
    fs::path base;            // where names of folders begin to say whose it is: the root, or the ZIP within it
    bool base_named = false;  // the base is a folder that was given: its own name may say it too
};

struct Importer::Item {
    Place place;
    FileKind kind = FileKind::dicom;
    std::uint64_t size = 0;
};

/// Whose the images are that do not say it themselves.
struct Importer::Patients {
    struct Table {
        fs::path path;
        std::map<std::string, dicom::PatientRow> rows;  // by file
        std::optional<Error> error;                     // why it cannot be used
    };
    std::optional<Table> given;
    mutable std::set<std::uint64_t> used_lines;  // of the table given
    std::set<fs::path> roots;                    // of all that was given
    std::map<fs::path, Table> found;             // patients.csv, by its folder

    static Table read(const fs::path& path, const Result<Bytes>& bytes) {
        Table table{path, {}, {}};
        auto rows = bytes ? dicom::read_patient_table(as_text(*bytes)) : Result<std::vector<dicom::PatientRow>>(fail(bytes.error()));
        if (!rows) {
            table.error = bytes ? rows.error().with(readable(path.string())) : rows.error();
            return table;
        }
        for (auto& row : *rows) {
            const auto line = row.line;
            const auto [at, fresh] = table.rows.try_emplace(fs::path(row.file).lexically_normal().generic_string(), std::move(row));
            if (fresh) continue;
            table.error = Error{ErrorCode::malformed, readable(path.string()) + ": line " + std::to_string(line) +
                                                          " names a file that line " + std::to_string(at->second.line) + " names already"};
            return table;
        }
        return table;
    }
    static const dicom::PatientRow* row_of(const Table& table, const fs::path& file, const fs::path& folder) {
        const auto found = table.rows.find(file.lexically_relative(folder).generic_string());
        return found == table.rows.end() ? nullptr : &found->second;
    }

    /// Errors: not_found: a table that should name it does not; conflict; what is wrong with that table.
    Result<dicom::ImportedPatient> find(const Place& place) const {
        if (given) return by_given_table(place);
        const Table* silent = nullptr;
        for (auto folder = place.path.parent_path();; folder = folder.parent_path()) {
            if (const auto table = found.find(folder); table != found.end()) {
                if (table->second.error) return fail(*table->second.error);
                if (const auto* row = row_of(table->second, place.path, folder)) return row->patient;
                if (silent == nullptr) silent = &table->second;
            }
            if (folder == place.root || folder == folder.parent_path()) break;
        }
        if (silent != nullptr) return not_named(*silent, place, silent->path.parent_path());
        return by_folders(place);
    }

    /// Files stand in it as seen from its own folder, or from the folder (or ZIP) given where that is only one.
    Result<dicom::ImportedPatient> by_given_table(const Place& place) const {
        const auto own = given->path.parent_path();
        const auto* row = row_of(*given, place.path, own);
        if (roots.size() == 1) {
            const auto* other = row_of(*given, place.path, place.root);
            if (row != nullptr && other != nullptr && row != other) {
                return fail(ErrorCode::conflict, "lines " + std::to_string(row->line) + " and " + std::to_string(other->line) + " of " +
                                                     readable(given->path.string()) +
                                                     " both name this file: write files as seen from the table's folder, and none twice");
            }
            if (row == nullptr) row = other;
        }
        if (row == nullptr) return not_named(*given, place, roots.size() == 1 ? place.root : own);
        used_lines.insert(row->line);
        return row->patient;
    }

    static tl::unexpected<Error> not_named(const Table& table, const Place& place, const fs::path& folder) {
        return fail(ErrorCode::not_found, readable(table.path.string()) + " does not name " +
                                              readable(place.path.lexically_relative(folder).generic_string()) +
                                              ": add a line that says whose it is");
    }

    /// …/<patient>/[<study date>/]file
    static dicom::ImportedPatient by_folders(const Place& place) {
        dicom::ImportedPatient patient;
        auto folder = place.path.parent_path();
        const auto counts = [&] { return folder != place.base || place.base_named; };
        if (!counts()) return patient;
        if (const auto date = folder_date(folder.filename().string())) {
            patient.study_date = *date;
            if (folder == place.base) return patient;
            folder = folder.parent_path();
            if (!counts()) return patient;
        }
        const std::string name = folder.filename().string();
        const auto split = name.find_first_of(" _");
        const bool has_name = split != std::string::npos && split + 1 < name.size();
        if (!reads_as_id(name.substr(0, split)) || (folder == place.base && !has_name)) return patient;
        patient.patient_id.value = name.substr(0, split);
        patient.name.value = has_name ? name.substr(split + 1) : name;
        return patient;
    }
};

Result<ImportReport> Importer::run(const ImportOptions& options, const std::atomic<bool>& stop) {
    const auto begun = std::chrono::steady_clock::now();
    stop_ = &stop;
    report_ = {};
    now_ = {};
    notable_bytes_ = 0;
    patients_ = std::make_shared<Patients>();
    if (!options.patient_table.empty()) {
        const auto path = plain(options.patient_table);
        patients_->given = Patients::read(path, read_file(path, kMaxTableBytes));
        if (patients_->given->error) return fail(*patients_->given->error);
    }
    std::vector<Item> items;
    FID_CHECK(collect(options, items));
    for (const auto& item : items) {
        patients_->roots.insert(item.place.root);
        now_.files_total += 1;
        now_.bytes_total += item.size;
    }
    for (const auto& item : items) {
        if (stopped()) break;
        const auto before = now_.bytes_done;
        if (auto taken = take(item, options); !taken) report_.failure = taken.error();
        if (report_.failure || report_.interrupted) break;
        now_.bytes_done = before + item.size;
        now_.files_done += 1;
        if (progress_) progress_(now_);
    }
    if (auto done = session_.complete(); !done) report_.incomplete = done.error();
    if (patients_->given && !report_.interrupted && !report_.failure) {
        for (const auto& [file, row] : patients_->given->rows) {
            if (report_.unused_rows.size() >= kMaxUnusedRows) break;
            if (!patients_->used_lines.contains(row.line))
                report_.unused_rows.push_back("line " + std::to_string(row.line) + ": " + readable(file));
        }
    }
    report_.took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun);
    return std::move(report_);
}

Result<void> Importer::collect(const ImportOptions& options, std::vector<Item>& items) {
    for (const auto& given : options.paths) {
        const auto path = plain(given);
        std::error_code ec;
        const auto status = fs::status(path, ec);
        if (!fs::exists(status))
            return fail(ErrorCode::not_found,
                        "there is no file or folder " + readable(path.string()) + (ec ? " (" + ec.message() + ")" : ""));
        if (fs::is_directory(status)) {
            collect_folder(path, items);
        } else {
            const auto folder = path.parent_path();
            collect_file(path, Place{path, folder, folder, false}, true, items);
        }
    }
    return {};
}

void Importer::collect_folder(const fs::path& root, std::vector<Item>& items) {
    std::vector<fs::path> files, folders{root};
    while (!folders.empty() && !stopped()) {
        const auto folder = std::move(folders.back());
        folders.pop_back();
        std::error_code ec, of_entry;
        for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
            if (it->is_directory(of_entry) && !it->is_symlink(of_entry))
                folders.push_back(it->path());
            else if (it->is_regular_file(of_entry))
                files.push_back(it->path());
        }
        if (ec) refuse(readable(folder.string()), Error{ErrorCode::io, "this folder cannot be read to its end: " + ec.message()});
    }
    std::sort(files.begin(), files.end());
    for (const auto& file : files) collect_file(file, Place{file, root, root, true}, false, items);
}

void Importer::collect_file(const fs::path& file, const Place& within, bool named, std::vector<Item>& items) {
    const auto shown = readable(file.string());
    Item item{within, FileKind::dicom, 0};
    item.place.path = file;
    Bytes head(4096);
    const auto look = [&]() -> Result<void> {
        FID_TRY(const auto opened, File::open(file, File::Mode::read));
        FID_TRY(item.size, opened.size());
        FID_TRY(const auto got, opened.read_at(0, head));
        head.resize(got);
        return {};
    };
    if (auto looked = look(); !looked) return refuse(shown, looked.error());
    if (is_zip(head)) {
        item.kind = FileKind::zip;
        item.place.base = file;
        item.place.base_named = false;
        if (named) item.place.root = file;
    } else if (dicom::image_kind(head) != dicom::ImageKind::unknown) {
        item.kind = FileKind::image;
    } else if (dicom::is_dicomdir(head)) {
        item.kind = FileKind::dicomdir;
    } else if (file.filename() == kTableName) {
        item.kind = FileKind::patient_table;
    }
    if (item.kind == FileKind::dicomdir && named) {  // given by itself: what it lists is meant
        const auto bytes = read_file(file, kMaxTableBytes);
        const auto entries = bytes ? dicom::read_dicomdir(*bytes) : Result<std::vector<dicom::DirectoryEntry>>(fail(bytes.error()));
        if (!entries) return refuse(shown, entries.error());
        for (const auto& entry : *entries) collect_file(file.parent_path() / entry.path, within, false, items);
        return;
    }
    if (item.kind == FileKind::patient_table && !patients_->given) {
        const auto& table = patients_->found[file.parent_path()] = Patients::read(file, read_file(file, kMaxTableBytes));
        if (table.error) return refuse(shown, *table.error);
    }
    if (item.kind == FileKind::dicomdir || item.kind == FileKind::patient_table) {
        report_.skipped += 1;
        return;
    }
    items.push_back(std::move(item));
}

Result<void> Importer::take(const Item& item, const ImportOptions& options) {
    switch (item.kind) {
        case FileKind::zip: return take_zip(item, options);
        case FileKind::image: {
            const auto shown = readable(item.place.path.string());
            auto bytes = read_file(item.place.path, kMaxImageBytes);
            if (!bytes) {
                refuse(shown, bytes.error());
                return {};
            }
            return take_image(shown, item.place, *bytes, options);
        }
        default: return take_dicom_file(item);
    }
}

Result<void> Importer::take_dicom_file(const Item& item) {
    const auto shown = readable(item.place.path.string());
    auto file = File::open(item.place.path, File::Mode::read);
    if (!file) {
        refuse(shown, file.error());
        return {};
    }
    InstanceFormat format;
    format.source.value = shown;
    FID_CHECK(session_.begin_instance(format));
    Bytes buffer(std::min<std::uint64_t>(kReadSize, item.size + 1));
    for (std::uint64_t offset = 0;;) {
        if (stopped()) {
            session_.abandon_instance();
            return {};
        }
        auto got = file->read_at(offset, buffer);
        if (!got) {
            session_.abandon_instance();
            refuse(shown, got.error());
            return {};
        }
        if (*got == 0) break;
        offset += *got;
        if (!session_.write(ByteView(buffer).first(*got))) break;  // finish() reports why
        count_bytes(*got);
    }
    return finish(shown);
}

Result<void> Importer::take_image(const std::string& shown, const Place& place, ByteView bytes, const ImportOptions& options) {
    dicom::ImageImportOptions how;
    if (options.digital_radiography) how.radiograph = dicom::RadiographClass::digital;
    const auto patient = patients_->find(place);
    auto image =
        patient ? dicom::import_image(bytes, *patient, site_secret_.view(), how) : Result<dicom::ImportedImage>(fail(patient.error()));
    if (!image) {
        refuse(shown, image.error());
        return {};
    }
    if (patient->patient_id.value.empty()) report_.without_patient += 1;
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

Result<void> Importer::take_zip(const Item& item, const ImportOptions& options) {
    const auto shown = readable(item.place.path.string());
    const auto zip = dicom::ZipReader::open(item.place.path);
    if (!zip) {
        refuse(shown, zip.error());
        return {};
    }
    for (const auto& entry : zip->refused()) refuse(shown + "!/" + readable(entry.name), entry.why);
    if (!patients_->given) read_tables_of(*zip, item.place.path);
    std::uint64_t unpacked = 0, done = 0;
    for (const auto& entry : zip->entries()) unpacked += entry.size;
    const auto before = now_.bytes_done;
    const auto count = [&](std::uint64_t bytes) {  // progress goes by the packed size, as the total does
        done += bytes;
        now_.bytes_done =
            before + static_cast<std::uint64_t>(static_cast<double>(item.size) * static_cast<double>(done) / static_cast<double>(unpacked));
        if (progress_) progress_(now_);
    };
    for (const auto& entry : zip->entries()) {
        if (stopped()) return {};
        auto place = item.place;
        place.path /= entry.name;
        FID_CHECK(take_zip_entry(*zip, entry, place, count, options));
    }
    return {};
}

void Importer::read_tables_of(const dicom::ZipReader& zip, const fs::path& path) {
    for (const auto& entry : zip.entries()) {
        const auto place = path / entry.name;
        if (place.filename() != kTableName) continue;
        Result<Bytes> bytes{Bytes()};
        const auto read = zip.read(entry, [&](ByteView piece) -> Result<void> {
            if (bytes->size() + piece.size() > kMaxTableBytes)
                return fail(ErrorCode::limit_exceeded, "the patient table is larger than 64 MiB");
            append(*bytes, piece);
            return {};
        });
        if (!read) bytes = fail(read.error().with(readable(place.string())));
        patients_->found[place.parent_path()] = Patients::read(place, bytes);
    }
}

Result<void> Importer::take_zip_entry(const dicom::ZipReader& zip, const dicom::ZipEntry& entry, const Place& place,
                                      const std::function<void(std::uint64_t)>& count, const ImportOptions& options) {
    const auto shown = readable(place.base.string()) + "!/" + readable(entry.name);
    std::optional<FileKind> kind;  // known from the first bytes
    if (place.path.filename() == kTableName) kind = FileKind::patient_table;
    Bytes image;
    Result<void> begun;
    bool over = false;  // the instance takes no more bytes: finish() reports why
    auto outcome = zip.read(entry, [&](ByteView bytes) -> Result<void> {
        if (stopped()) return fail(ErrorCode::cancelled, "stopped");
        if (!kind) {
            kind = FileKind::dicom;
            if (dicom::image_kind(bytes) != dicom::ImageKind::unknown) kind = FileKind::image;
            if (dicom::is_dicomdir(bytes)) kind = FileKind::dicomdir;
            if (*kind == FileKind::dicom) {
                InstanceFormat format;
                format.source.value = shown;
                begun = session_.begin_instance(format);
                FID_CHECK(begun);
            }
        }
        if (*kind == FileKind::image) {
            if (image.size() + bytes.size() > kMaxImageBytes) return fail(ErrorCode::limit_exceeded, "the image is larger than 100 MiB");
            append(image, bytes);
        } else if (*kind == FileKind::dicom) {
            if (!session_.write(bytes)) {
                over = true;
                return fail(ErrorCode::cancelled, "the instance takes no more");
            }
            report_.bytes += bytes.size();
        }
        count(bytes.size());
        return {};
    });
    FID_CHECK(begun);
    if (kind == FileKind::dicom && (outcome || over)) return finish(shown);
    if (kind == FileKind::dicom) session_.abandon_instance();
    if (report_.interrupted) return {};
    if (!outcome) {
        refuse(shown, outcome.error());
    } else if (kind == FileKind::image) {
        return take_image(shown, place, image, options);
    } else if (kind == FileKind::patient_table && !patients_->given && patients_->found[place.path.parent_path()].error) {
        refuse(shown, *patients_->found[place.path.parent_path()].error);
    } else if (kind) {  // nothing: an empty entry
        report_.skipped += 1;
    }
    return {};
}

Result<void> Importer::finish(const std::string& shown) {
    auto done = session_.finish_instance();
    if (!done) return fail(done.error().with(shown));
    record({shown, done->outcome, done->sop_uid, done->error ? done->error->message : std::string(), std::move(done->warnings)});
    return {};
}

// Once seen, it counts: what was broken off must be reported as such.
bool Importer::stopped() {
    if (stop_->load()) report_.interrupted = true;
    return report_.interrupted;
}

void Importer::refuse(const std::string& shown, const Error& why) {
    record({shown, Outcome::refused, {}, readable(why.message), {}});
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
    if (!notable || report_.notable.size() >= kMaxNotable || notable_bytes_ >= kMaxNotableBytes) return;
    notable_bytes_ += file.path.size() + file.reason.size() + 100;
    for (const auto& warning : file.warnings) notable_bytes_ += warning.size();
    report_.notable.push_back(std::move(file));
}

void Importer::count_bytes(std::uint64_t bytes) {
    report_.bytes += bytes;
    now_.bytes_done += bytes;
    if (progress_) progress_(now_);
}

}  // namespace fiducial::archive
