#include "archive/backup_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/clock.hpp"
#include "base/descriptor.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/aead.hpp"
#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kSealedPiece = "fid.backup-piece1";
constexpr std::int64_t kYoung = 2'000'000'000;  // ns: a file changed so recently may change again without its time showing it

Result<void> make_folder(const fs::path& folder) {
    std::error_code ec;
    if (fs::create_directories(folder, ec)) fs::permissions(folder, fs::perms::owner_all, ec);
    if (ec) return fail(error_from_errno(ec.value(), "making folder", folder));
    return {};
}

Error not_ours(const fs::path& path, std::string_view why) {
    return {ErrorCode::conflict,
            path.string() + " was not made by a backup (" + std::string(why) +
                "): nothing was touched; find out what it is, and take it away or give the backup a folder of its own"};
}

bool is_hex(std::string_view text, std::size_t size) {
    return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Every file under pieces/. Errors: conflict, naming it, when anything else lies there: what is returned here is overwritten where no
/// manifest names it.
Result<std::vector<fs::path>> files_of_pieces(const BackupLayout& layout) {
    std::vector<fs::path> files;
    std::error_code ec;
    const auto look = [&](const fs::path& path, fs::file_type wanted, std::string_view what) -> Result<bool> {
        const auto type = fs::symlink_status(path, ec).type();
        if (type == fs::file_type::not_found) return false;
        if (ec) return fail(error_from_errno(ec.value(), "looking at", path));
        if (type != wanted) return fail(not_ours(path, "it is no " + std::string(what)));
        return true;
    };
    FID_TRY(const auto any, look(layout.pieces(), fs::file_type::directory, "folder"));
    if (!any) return files;
    for (fs::directory_iterator folder(layout.pieces(), ec), end; !ec && folder != end; folder.increment(ec)) {
        const auto prefix = folder->path().filename().string();
        if (!is_hex(prefix, 2)) return fail(not_ours(folder->path(), "folders there have names of two hex digits"));
        FID_TRY(const auto there, look(folder->path(), fs::file_type::directory, "folder"));
        if (!there) continue;
        for (fs::directory_iterator file(folder->path(), ec); !ec && file != end; file.increment(ec)) {
            const auto name = file->path().filename().string();
            if (!is_hex(name, 64) || !name.starts_with(prefix))
                return fail(not_ours(file->path(), "files there have names of 64 hex digits that begin with their folder's"));
            FID_TRY(const auto is_file, look(file->path(), fs::file_type::regular, "plain file"));
            if (is_file) files.push_back(file->path());
        }
        if (ec) return fail(error_from_errno(ec.value(), "reading", folder->path()));
    }
    if (ec) return fail(error_from_errno(ec.value(), "reading", layout.pieces()));
    return files;
}

/// A plain file of the backup's own; made where `may_make`. A symbolic link in its place is never followed. Errors: conflict when it is
/// anything else.
Result<File> open_own(const fs::path& path, bool may_make) {
    const Descriptor own(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (may_make ? O_CREAT : 0), 0600));
    if (!own) return errno == ELOOP ? fail(not_ours(path, "it is a symbolic link")) : fail(error_from_errno(errno, "opening", path));
    FID_TRY(auto file, File::open(path, File::Mode::read_write));
    struct stat real {
    }, opened{};
    if (::fstat(own.get(), &real) != 0 || ::fstat(file.fd(), &opened) != 0) return fail(error_from_errno(errno, "looking at", path));
    if (!S_ISREG(real.st_mode) || real.st_ino != opened.st_ino || real.st_dev != opened.st_dev)
        return fail(not_ours(path, "it is no plain file"));
    return file;
}

/// Nothing but what backups leave may lie in the folder.
Result<void> check_folder(const BackupLayout& layout) {
    std::error_code ec;
    for (fs::directory_iterator it(layout.root, ec), end; !ec && it != end; it.increment(ec)) {
        const auto& path = it->path();
        if (it->is_symlink(ec)) return fail(not_ours(path, "it is a symbolic link"));
        const bool ours = path == layout.manifest() || path == layout.pieces() || path == layout.lock() ||
                          path.filename().string().starts_with("manifest.new-") || path.filename() == "lost+found";
        if (!ours)
            return fail(ErrorCode::conflict, layout.root.string() + " holds something else (" + path.filename().string() +
                                                 "): give a folder of its own to each site's backup");
    }
    if (ec) return fail(error_from_errno(ec.value(), "reading", layout.root));
    FID_CHECK(files_of_pieces(layout));
    return {};
}

std::int64_t modified_ns(const struct stat& info) {
    return std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

/// What of it stands in a disk's sectors is gone, as far as the file system permits.
Result<void> overwrite_and_remove(const fs::path& path) {
    auto opened = open_own(path, false);
    if (!opened && opened.error().code == ErrorCode::not_found) return {};
    if (!opened)
        return fail(opened.error().code,
                    "what is no longer part of the backup cannot be overwritten, and may hold what was erased: " + opened.error().message);
    auto& file = *opened;
    const Bytes zeros(std::size_t{1} << 20, 0);
    FID_TRY(const auto size, file.size());
    for (std::uint64_t at = 0; at < size; at += zeros.size())
        FID_CHECK(file.write_at(at, ByteView(zeros).first(std::min<std::uint64_t>(zeros.size(), size - at))));
    FID_CHECK(file.sync_data());
    std::error_code ec;
    fs::remove(path, ec);
    if (ec) return fail(error_from_errno(ec.value(), "removing", path));
    return {};
}

Hash plain_id(const crypto::Secret& key, ByteView bytes) {
    return crypto::tagged_hmac_sha256(key.view(), "fid.backup-plain1", {bytes});
}

}  // namespace

fs::path BackupLayout::piece(const Hash& stored) const {
    const auto name = to_hex(stored);
    return pieces() / name.substr(0, 2) / name;
}

Result<std::unique_ptr<BackupWriter>> BackupWriter::open(const fs::path& folder, const Bytes32& site_id, crypto::Secret key,
                                                         std::span<const crypto::Secret> former_keys) {
    std::unique_ptr<BackupWriter> writer(new BackupWriter({folder}, std::move(key)));
    auto& layout = writer->layout_;
    FID_CHECK(make_folder(folder));
    FID_CHECK(check_folder(layout));
    FID_TRY(writer->lock_, open_own(layout.lock(), true));
    if (auto taken = writer->lock_.lock_exclusively(); !taken) {
        if (taken.error().code != ErrorCode::locked) return fail(taken.error());
        return fail(ErrorCode::locked, "another backup into " + folder.string() + " is running");
    }
    auto there = read_file(layout.manifest(), kMaxManifestBytes);
    if (!there && there.error().code != ErrorCode::not_found) return fail(there.error());
    bool copies_all = false;
    if (there) {
        FID_TRY(auto found, FoundManifest::decode(*there));
        if (found.manifest.site_id != site_id)
            return fail(ErrorCode::conflict, folder.string() + " holds another site's backup: give a folder of its own to each");
        const bool is_former = std::any_of(former_keys.begin(), former_keys.end(),
                                           [&](const crypto::Secret& former) { return found.authenticate(former).has_value(); });
        if (!is_former) FID_CHECK(found.authenticate(writer->key_));
        writer->previous_ = std::move(found.manifest);
        copies_all = is_former;  // who has the key that is known to others could have written it
    }
    writer->manifest_.site_id = site_id;
    FID_CHECK(make_folder(layout.pieces()));
    FID_CHECK(writer->remove_unnamed(writer->previous_));
    writer->forget_what_is_missing();
    if (copies_all) writer->previous_.files.clear();
    return writer;
}

/// A file of which a piece is gone, or cut, is copied anew.
void BackupWriter::forget_what_is_missing() {
    for (auto it = previous_.files.begin(); it != previous_.files.end();) {
        bool whole = true;
        for (const auto& piece : it->second.pieces) {
            std::error_code ec;
            const bool there = fs::file_size(layout_.piece(piece.stored), ec) == it->second.stored_size(piece) && !ec;
            if (there) present_.insert(piece.stored);
            whole = whole && there;
        }
        if (!whole) log::warning("archive", "the last backup lacks a piece of this file: it is copied anew", {{"file", it->first}});
        it = whole ? std::next(it) : previous_.files.erase(it);
    }
}

/// Stored under the name of what it is. A file of that name which no manifest vouches for may be torn: it is written again.
Result<BackupPiece> BackupWriter::add_piece(ByteView bytes, bool sealed, const BackupPiece* before) {
    BackupPiece piece;
    piece.size = bytes.size();
    report_.bytes += bytes.size();
    if (sealed) {
        piece.plain = plain_id(key_, bytes);
        if (before != nullptr && before->plain == piece.plain && before->size == piece.size) return *before;
    }
    const auto stored = sealed ? crypto::seal_small(key_.view(), as_bytes(kSealedPiece), bytes) : Bytes();
    const ByteView to_store = sealed ? ByteView(stored) : bytes;
    piece.stored = crypto::sha256(to_store);
    if (!present_.insert(piece.stored).second) return piece;
    const auto path = layout_.piece(piece.stored);
    FID_CHECK(make_folder(path.parent_path()));
    FID_TRY(auto file, open_own(path, true));
    FID_CHECK(file.truncate(0));
    FID_CHECK(file.write_at(0, to_store));
    report_.pieces_copied += 1;
    report_.bytes_copied += to_store.size();
    return piece;
}

Result<void> BackupWriter::add_to(BackupFile& file, ByteView bytes, const BackupPiece* before) {
    FID_TRY(const auto piece, add_piece(bytes, file.sealed, before));
    file.pieces.push_back(piece);
    file.size += piece.size;
    return progress_ ? progress_(piece.size) : Result<void>();
}

Result<void> BackupWriter::add_file(const std::string& path, const fs::path& source, std::uint64_t size, std::uint64_t piece_bytes,
                                    bool sealed) {
    FID_TRY(const auto input, File::open(source, File::Mode::read));
    struct stat info {};
    if (::fstat(input.fd(), &info) != 0) return fail(error_from_errno(errno, "looking at", source));
    auto& file = manifest_.files[path];
    file.sealed = sealed;
    const auto now_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(system_clock().now().time_since_epoch()).count();
    const auto modified = modified_ns(info);
    report_.files += 1;
    const auto found = previous_.files.find(path);
    const auto* before = found == previous_.files.end() || found->second.sealed != sealed ? nullptr : &found->second;
    if (before != nullptr && before->modified_ns != 0 && before->modified_ns == modified && before->size == size) {
        file = *before;
        report_.bytes += size;
        return progress_ ? progress_(size) : Result<void>();
    }
    file.modified_ns = modified < now_ns - kYoung ? modified : 0;
    Bytes buffer(kMaxPieceBytes);
    // Where the last backup cut it, so that what has not changed since is the same piece; what is new in pieces of its own.
    std::size_t next = 0;
    for (std::uint64_t at = 0; at < size;) {
        const BackupPiece* same =
            before != nullptr && next < before->pieces.size() && before->pieces[next].size <= size - at ? &before->pieces[next++] : nullptr;
        const auto wanted = same != nullptr ? same->size : std::min(piece_bytes, size - at);
        const auto piece = MutableByteView(buffer).first(wanted);
        FID_CHECK(input.read_exactly_at(at, piece));
        FID_CHECK(add_to(file, piece, same));
        at += wanted;
    }
    return {};
}

Result<void> BackupWriter::add_bytes(const std::string& path, ByteView bytes) {
    report_.files += 1;
    auto& file = manifest_.files[path];
    return bytes.empty() ? Result<void>() : add_to(file, bytes, nullptr);
}

Result<void> BackupWriter::add_stream(const std::string& path, bool goes_on, const std::function<Result<Bytes>()>& next) {
    report_.files += 1;
    auto& file = manifest_.files[path];
    if (const auto found = previous_.files.find(path); goes_on && found != previous_.files.end()) {
        file = found->second;
        report_.bytes += file.size;
    }
    Bytes gathered;
    for (;;) {
        FID_TRY(const auto more, next());
        append(gathered, more);
        if (gathered.size() < kMaxPieceBytes && !more.empty()) continue;
        for (std::size_t at = 0; at < gathered.size(); at += kMaxPieceBytes) {
            FID_CHECK(add_to(file, ByteView(gathered).subspan(at, std::min<std::size_t>(kMaxPieceBytes, gathered.size() - at)), nullptr));
        }
        gathered.clear();
        if (more.empty()) return {};
    }
}

Result<BackupWriter::Report> BackupWriter::finish(std::uint64_t made_ms, std::uint64_t chain_head, const Hash& chain_hash) {
    manifest_.made_ms = made_ms;
    manifest_.chain_head = chain_head;
    manifest_.chain_hash = chain_hash;
    const auto encoded = manifest_.encode(key_);
    if (encoded.size() > kMaxManifestBytes)
        return fail(ErrorCode::limit_exceeded,
                    "the backup's manifest would be larger than " + std::to_string(kMaxManifestBytes >> 20) + " MiB");
    const Descriptor folder(::open(layout_.root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return fail(error_from_errno(errno, "opening", layout_.root));
    if (::syncfs(folder.get()) != 0)
        return fail(error_from_errno(errno, "syncing", layout_.root));  // pieces and folders before what names them
    FID_CHECK(write_file_atomically(layout_.manifest(), encoded));
    FID_CHECK(remove_unnamed(manifest_));
    return report_;
}

Result<void> BackupWriter::remove_unnamed(const BackupManifest& named) {
    std::set<std::string> names;
    for (const auto& [path, file] : named.files) {
        for (const auto& piece : file.pieces) names.insert(to_hex(piece.stored));
    }
    FID_TRY(const auto files, files_of_pieces(layout_));
    for (const auto& path : files) {
        if (!names.contains(path.filename().string())) FID_CHECK(overwrite_and_remove(path));
    }
    std::error_code ec;
    for (fs::directory_iterator it(layout_.root, ec), end; !ec && it != end; it.increment(ec)) {
        if (it->path().filename().string().starts_with("manifest.new-")) fs::remove(it->path(), ec);
    }
    return {};
}

Result<BackupReader> BackupReader::open(const fs::path& folder) {
    BackupReader reader;
    reader.layout_ = {folder};
    auto file = read_file(reader.layout_.manifest(), kMaxManifestBytes);
    if (!file && file.error().code == ErrorCode::not_found)
        return fail(ErrorCode::not_found, folder.string() + " holds no backup: there is no manifest in it");
    FID_TRY(const auto bytes, std::move(file));
    FID_TRY(reader.found_, FoundManifest::decode(bytes));
    return reader;
}

Result<void> BackupReader::authenticate(crypto::Secret key) {
    FID_CHECK(found_.authenticate(key));
    key_ = std::move(key);
    return {};
}

/// Errors: corrupt when it is missing or not what its name says; others when it cannot be read.
Result<Bytes> BackupReader::read_piece(const BackupFile& file, const BackupPiece& piece) const {
    const auto path = layout_.piece(piece.stored);
    auto bytes = read_file(path, kMaxPieceBytes + 64);
    if (!bytes && bytes.error().code == ErrorCode::not_found) return fail(ErrorCode::corrupt, path.string() + " is missing");
    if (!bytes && bytes.error().code == ErrorCode::limit_exceeded) return fail(ErrorCode::corrupt, bytes.error().message);
    if (!bytes) return bytes;
    if (crypto::sha256(*bytes) != piece.stored || bytes->size() != file.stored_size(piece))
        return fail(ErrorCode::corrupt, path.string() + " is not what was written");
    if (!file.sealed) return bytes;
    FID_TRY(const auto opened, crypto::open_small(key_.view(), as_bytes(kSealedPiece), *bytes));
    return to_bytes(opened.view());
}

Result<Bytes> BackupReader::read(const std::string& path, std::uint64_t max_bytes) const {
    const auto found = found_.manifest.files.find(path);
    if (found == found_.manifest.files.end()) return fail(ErrorCode::not_found, "the backup holds no " + path);
    if (found->second.size > max_bytes)
        return fail(ErrorCode::limit_exceeded, path + " in the backup has " + std::to_string(found->second.size) + " bytes");
    Bytes out;
    for (const auto& piece : found->second.pieces) {
        FID_TRY(const auto bytes, read_piece(found->second, piece));
        append(out, bytes);
    }
    return out;
}

Result<std::vector<std::string>> BackupReader::check(const std::string& path, const fs::path* target,
                                                     const std::function<Result<void>(std::uint64_t)>& progress) const {
    const auto& file = found_.manifest.files.at(path);
    std::optional<File> out;
    if (target != nullptr) {
        FID_CHECK(make_folder(target->parent_path()));
        FID_TRY(out, File::open(*target, File::Mode::create_new));
    }
    std::vector<std::string> damaged;
    std::uint64_t at = 0;
    for (const auto& piece : file.pieces) {
        const auto bytes = read_piece(file, piece);
        if (!bytes && bytes.error().code != ErrorCode::corrupt) return fail(bytes.error());
        if (!bytes)
            damaged.push_back(path + ", bytes " + std::to_string(at) + " to " + std::to_string(at + piece.size) + ": " +
                              bytes.error().message);
        if (bytes && out) FID_CHECK(out->write_at(at, *bytes));
        at += piece.size;
        FID_CHECK(progress(piece.size));
    }
    if (out) FID_CHECK(out->sync());
    return damaged;
}

}  // namespace fiducial::archive
