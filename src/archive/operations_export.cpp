#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr std::uint64_t kMaxWrapped = std::uint64_t{200} << 20;

/// The JPEG file that stands in a data set made of it: the one fragment after an empty offset table.
/// Returns: nothing when no fragment has that fingerprint.
std::optional<ByteView> wrapped_picture(ByteView data_set, const Hash& source_sha256) {
    static constexpr std::string_view kEmptyTable("\xFE\xFF\x00\xE0\x00\x00\x00\x00\xFE\xFF\x00\xE0", 12);
    const auto at = as_text(data_set).rfind(kEmptyTable);
    if (at == std::string_view::npos || at + 16 > data_set.size()) return std::nullopt;
    const auto* length = data_set.data() + at + 12;
    const std::uint64_t size = length[0] | length[1] << 8 | length[2] << 16 | std::uint64_t{length[3]} << 24;
    if (at + 16 + size > data_set.size()) return std::nullopt;
    for (std::uint64_t padding = 0; padding <= 1 && padding < size; ++padding) {  // fragments have an even length
        const auto picture = data_set.subspan(at + 16, size - padding);
        if (crypto::sha256(picture) == source_sha256) return picture;
    }
    return std::nullopt;
}

std::string_view picture_ending(ByteView picture) {
    return picture.size() > 4 && picture[0] == 0x89 && picture[1] == 'P' ? ".png" : ".jpg";
}

/// Writes beside the final name and moves it there when all is well, so that a broken export leaves no half file.
Result<std::uint64_t> write_pieces(const fs::path& path, const std::function<Result<std::size_t>(MutableByteView)>& read) {
    std::error_code ec;
    fs::create_directories(path.parent_path(), ec);
    auto part = path;
    part += ".part";
    fs::remove(part, ec);
    FID_TRY(auto file, File::open(part, File::Mode::create_new));
    Bytes buffer(kPiece);
    std::uint64_t offset = 0;
    for (;;) {
        auto got = read(buffer);
        auto put = got && *got > 0 ? file.write_at(offset, ByteView(buffer).first(*got)) : Result<void>();
        if (!got || !put) {
            fs::remove(part, ec);
            return fail(got ? put.error() : got.error());
        }
        if (*got == 0) break;
        offset += *got;
    }
    FID_CHECK(file.sync_data());
    fs::rename(part, path, ec);
    if (ec) return fail(ErrorCode::io, "moving to " + path.string() + ": " + ec.message());
    return offset;
}

/// A bare data set came without a file header; the one that a retrieval makes for it is not part of what came.
Result<void> skip_made_header(Retrieval& retrieval, const store::InstanceRow& row, const RetrievedInstance& instance) {
    Bytes header(row.object.prefix_size == 0 ? instance.prefix_size : 0);
    for (std::size_t done = 0; done < header.size();) {
        FID_TRY(const auto got, retrieval.read(MutableByteView(header).subspan(done)));
        if (got == 0) return fail(ErrorCode::internal, "an instance is shorter than its file header");
        done += got;
    }
    return {};
}

}  // namespace

struct Operations::Export {
    fs::path folder;
    bool as_brought = true;
    bool original = false;  // whatever was corrected
    std::uint64_t files = 0, bytes = 0;
    json::array damaged;
};

Result<json::object> Operations::export_files(const Arguments& arguments) {
    Export out;
    FID_TRY(out.folder, argument::required_text(arguments, "to"));
    out.as_brought = !argument::flag(arguments, "dicom");
    out.original = argument::flag(arguments, "original");
    std::error_code ec;
    fs::create_directories(out.folder, ec);
    if (ec) return fail(error_from_errno(ec.value(), "making folder", out.folder));
    FID_TRY(const auto studies, named_studies(arguments));
    const bool set_aside = argument::flag(arguments, "setAside");
    const bool superseded = argument::flag(arguments, "superseded");
    if (set_aside && superseded)
        return fail(ErrorCode::invalid_argument, "ask for what was set aside or for what was superseded, one at a time");
    if (studies.empty() && !set_aside && !argument::flag(arguments, "all"))
        return fail(ErrorCode::invalid_argument, "name studies, or ask for all of them");
    if (set_aside) {
        FID_CHECK(export_set_aside(out));
    }
    for (std::size_t i = 0; i < studies.size() && !stop_.load() && !set_aside; ++i) {
        FID_CHECK(superseded ? export_superseded(out, studies[i]) : export_study(out, studies[i]));
        emit_(
            {{"progress", {{"filesDone", out.files}, {"bytesDone", out.bytes}, {"studiesDone", i + 1}, {"studiesTotal", studies.size()}}}});
    }
    return json::object{{"files", out.files},
                        {"bytes", out.bytes},
                        {"folder", out.folder.string()},
                        {"damaged", std::move(out.damaged)},
                        {"interrupted", stop_.load()}};
}

/// One instance as it was brought: the PNG or JPEG file that it was made of, else its own bytes. `path` gets its ending here.
Result<std::uint64_t> Operations::write_instance(const Export& out, fs::path path, Retrieval& retrieval, const store::InstanceRow& row) {
    FID_TRY(const auto instance, retrieval.next_instance());
    if (!instance) return fail(ErrorCode::not_found, "the instance is gone");
    if (row.object.source_sha256 == kZero32 || !out.as_brought) {
        path += ".dcm";
        if (out.as_brought) FID_CHECK(skip_made_header(retrieval, row, *instance));
        return write_pieces(path, [&](MutableByteView buffer) { return retrieval.read(buffer); });
    }
    FID_TRY(const auto sources, service_.store_->database().read([&](database::Transaction& t) {
        return service_.store_->index().objects_of_study(t, row.study_uid, store::ObjectKind::source);
    }));
    const auto source = std::find_if(sources.begin(), sources.end(), [&](const auto& s) { return s.sha256 == row.object.source_sha256; });
    if (source != sources.end()) {
        FID_TRY(auto reader, service_.store_->open_object(source->ref));
        Bytes head(16);
        FID_TRY(const auto got, reader.read(0, head));
        path += picture_ending(ByteView(head).first(got));
        std::uint64_t position = 0;
        return write_pieces(path, [&](MutableByteView buffer) -> Result<std::size_t> {
            FID_TRY(const auto piece, reader.read(position, buffer));
            position += piece;
            return piece;
        });
    }
    if (instance->file_size() > kMaxWrapped)
        return fail(ErrorCode::limit_exceeded, "the picture that this instance was made of is larger than " +
                                                   std::to_string(kMaxWrapped >> 20) + " MiB: export it with --dicom");
    Bytes file(instance->file_size());
    std::size_t filled = 0;
    while (filled < file.size()) {
        FID_TRY(const auto got, retrieval.read(MutableByteView(file).subspan(filled)));
        if (got == 0) break;
        filled += got;
    }
    const auto picture = wrapped_picture(file, row.object.source_sha256);
    if (!picture) return fail(ErrorCode::corrupt, "the picture that this instance was made of is not in it");
    path += picture_ending(*picture);
    std::size_t position = 0;
    return write_pieces(path, [&](MutableByteView buffer) -> Result<std::size_t> {
        const auto piece = std::min(buffer.size(), picture->size() - position);
        std::copy_n(picture->begin() + static_cast<std::ptrdiff_t>(position), piece, buffer.begin());
        position += piece;
        return piece;
    });
}

Result<void> Operations::export_study(Export& out, const std::string& study_uid) {
    const auto who = service_.command_requester();
    FID_TRY(const auto study, service_.identify(study_uid));
    FID_TRY(const auto rows, service_.store_->database().read([&](database::Transaction& t) {
        return service_.store_->index().instances_of_study(t, study.row.study_uid);
    }));
    // Each instance is a retrieval of its own, so that a damaged one does not keep the others from being exported.
    for (const auto& row : rows) {
        if (stop_.load()) return {};
        Selector what{Level::instance, study_uid, row.series_uid.text(), row.sop_uid.text()};
        what.original = out.original;
        const auto write_one = [&]() -> Result<std::uint64_t> {
            FID_TRY(const auto retrieval, service_.retrieve(who, what));
            return write_instance(out, out.folder / study_uid / row.series_uid.text() / row.sop_uid.text(), *retrieval, row);
        };
        auto written = write_one();
        if (written) {
            out.files += 1;
            out.bytes += *written;
        } else if (written.error().code == ErrorCode::corrupt || written.error().code == ErrorCode::not_found) {
            out.damaged.push_back({{"sopInstanceUid", row.sop_uid.text()}, {"reason", written.error().message}});
        } else {
            return fail(written.error());
        }
    }
    return {};
}

/// One object that is not served: each is a look of its own. A damaged one is named and does not keep the others from being exported.
Result<void> Operations::export_apart(Export& out, const store::InstanceRow& row, std::string_view folder) {
    const auto who = service_.command_requester();
    FID_TRY(const auto identity, service_.identify_if_taken(row.study_uid));
    const auto* study = identity ? &*identity : nullptr;
    FID_TRY(const auto decision, service_.permit(who, study, Operation::read));
    FID_CHECK(service_.tracer_->write(who, Operation::read, decision, study, row.object.ref.id, {}));
    const auto path = out.folder / folder / (row.sop_uid.text() + "_" + to_hex(row.object.ref.id).substr(0, 16));
    StoreRetrieval retrieval(*service_.store_, {row}, nullptr, 0,
                             [this](const store::InstanceRow& instance, const Error& error) { service_.damaged(instance, error); });
    const auto written = write_instance(out, path, retrieval, row);
    if (written) {
        out.files += 1;
        out.bytes += *written;
    } else if (written.error().code == ErrorCode::corrupt) {
        out.damaged.push_back(
            {{"sopInstanceUid", row.sop_uid.text()}, {"objectId", to_hex(row.object.ref.id)}, {"reason", written.error().message}});
    } else {
        return fail(written.error());
    }
    return {};
}

/// What a newer version took the place of: earlier versions stay anchored, and their bytes stay.
Result<void> Operations::export_superseded(Export& out, const std::string& study_uid) {
    FID_TRY(const auto study, service_.identify(study_uid));
    FID_TRY(const auto rows, service_.store_->database().read([&](database::Transaction& t) -> Result<std::vector<store::InstanceRow>> {
        std::vector<store::InstanceRow> superseded;
        FID_TRY(const auto objects, service_.store_->index().objects_of_study(t, study.row.study_uid, store::ObjectKind::instance));
        for (const auto& object : objects) {
            if (object.state != store::ObjectState::superseded) continue;
            FID_TRY(auto row, service_.store_->index().find_instance_of(t, object.ref.id));
            if (!row) return fail(ErrorCode::corrupt, "the instance of object " + to_hex(object.ref.id) + " is missing in the index");
            superseded.push_back(std::move(*row));
        }
        return superseded;
    }));
    for (const auto& row : rows) {
        if (stop_.load()) return {};
        FID_CHECK(export_apart(out, row, "superseded"));
    }
    return {};
}

Result<void> Operations::export_set_aside(Export& out) {
    std::string after;
    for (;;) {
        FID_TRY(const auto rows, service_.store_->database().read(
                                     [&](database::Transaction& t) { return service_.store_->index().list_set_aside(t, after, 1000); }));
        if (rows.empty()) return {};
        for (const auto& row : rows) {
            if (stop_.load()) return {};
            after = to_hex(row.instance.object.ref.id);
            FID_CHECK(export_apart(out, row.instance, "set-aside"));
        }
    }
}

}  // namespace fiducial::archive
