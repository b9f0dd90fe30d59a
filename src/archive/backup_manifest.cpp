#include "archive/backup_manifest.hpp"

#include <boost/json.hpp>

#include "base/hex.hpp"
#include "base/json.hpp"
#include "crypto/aead.hpp"
#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::string_view kMagic = "fiducial-backup 1 ";
constexpr std::size_t kMacDigits = 64;
constexpr std::uint64_t kFormat = 1;
constexpr std::size_t kSealing = 12 + crypto::kAeadTagSize;  // crypto::seal_small

Error malformed(const std::string& what) {
    return {ErrorCode::malformed, "the backup's manifest: " + what};
}

/// What every key must be: text, or a number that is not negative.
struct Reader {
    const json::object& object;

    Result<std::uint64_t> number(std::string_view key) const {
        const auto* value = object.if_contains(key);
        if (value == nullptr || !value->is_int64() || value->get_int64() < 0)
            return fail(malformed("'" + std::string(key) + "' is no number"));
        return static_cast<std::uint64_t>(value->get_int64());
    }
    Result<Bytes32> hash(std::string_view key) const {
        const auto* value = object.if_contains(key);
        if (value == nullptr || !value->is_string()) return fail(malformed("'" + std::string(key) + "' is missing"));
        return fixed_from_hex<32>(value->get_string(), key);
    }
};

Result<Hash> hash_of(const json::value& value) {
    if (!value.is_string()) return fail(malformed("a piece without a hash"));
    return fixed_from_hex<32>(value.get_string(), "hash of a piece");
}

/// Nothing that leads out of the folder that a backup is put into.
bool is_plain_path(std::string_view path) {
    if (path.empty() || path.size() > 255 || path.front() == '/' || path.back() == '/') return false;
    std::size_t at = 0;
    while (at <= path.size()) {
        const auto end = std::min(path.find('/', at), path.size());
        const auto part = path.substr(at, end - at);
        if (part.empty() || part == "." || part == "..") return false;
        at = end + 1;
    }
    return path.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/") == std::string_view::npos;
}

Result<BackupFile> read_file_entry(const std::string& path, const json::value& value) {
    if (!value.is_object()) return fail(malformed("'" + path + "' is no object"));
    const Reader in{value.get_object()};
    BackupFile file;
    FID_TRY(file.size, in.number("size"));
    FID_TRY(const auto modified, in.number("modifiedNs"));
    file.modified_ns = static_cast<std::int64_t>(modified);
    const auto* sealed = in.object.if_contains("sealed");
    file.sealed = sealed != nullptr && sealed->is_bool() && sealed->get_bool();
    const auto* pieces = in.object.if_contains("pieces");
    if (pieces == nullptr || !pieces->is_array()) return fail(malformed("'" + path + "' has no pieces"));
    std::uint64_t sum = 0;
    for (const auto& item : pieces->get_array()) {
        const std::size_t parts = file.sealed ? 3 : 2;
        if (!item.is_array() || item.get_array().size() != parts)
            return fail(malformed("a piece of '" + path + "' has not " + std::to_string(parts) + " parts"));
        const auto& array = item.get_array();
        BackupPiece piece;
        FID_TRY(piece.stored, hash_of(array[0]));
        if (!array[1].is_int64() || array[1].get_int64() <= 0 || static_cast<std::uint64_t>(array[1].get_int64()) > kMaxPieceBytes)
            return fail(malformed("a piece of '" + path + "' has no size that can be"));
        piece.size = static_cast<std::uint64_t>(array[1].get_int64());
        if (file.sealed) {
            FID_TRY(piece.plain, hash_of(array[2]));
        }
        sum += piece.size;
        file.pieces.push_back(piece);
    }
    if (sum != file.size)
        return fail(malformed("the pieces of '" + path + "' have " + std::to_string(sum) + " bytes, not " + std::to_string(file.size)));
    return file;
}

}  // namespace

std::uint64_t BackupFile::stored_size(const BackupPiece& piece) const {
    return piece.size + (sealed ? kSealing : 0);
}

std::string BackupManifest::body() const {
    json::object listed;
    for (const auto& [path, file] : files) {
        json::array pieces;
        for (const auto& piece : file.pieces) {
            json::array parts{json::string(to_hex(piece.stored)), piece.size};
            if (file.sealed) parts.push_back(json::string(to_hex(piece.plain)));
            pieces.push_back(std::move(parts));
        }
        json::object entry{{"size", file.size}, {"modifiedNs", file.modified_ns}, {"pieces", std::move(pieces)}};
        if (file.sealed) entry["sealed"] = true;
        listed[path] = std::move(entry);
    }
    return json::serialize(json::object{{"siteId", to_hex(site_id)},
                                        {"madeMs", made_ms},
                                        {"chainHead", chain_head},
                                        {"chainHash", to_hex(chain_hash)},
                                        {"files", std::move(listed)}});
}

Bytes BackupManifest::encode(const crypto::Secret& key) const {
    const auto text = body();
    Bytes out = to_bytes(as_bytes(kMagic));
    append(out, as_bytes(to_hex(crypto::tagged_hmac_sha256(key.view(), "fid.backup1", {as_bytes(text)}))));
    out.push_back('\n');
    append(out, as_bytes(text));
    return out;
}

Result<FoundManifest> FoundManifest::decode(ByteView file) {
    const auto text = as_text(file);
    const auto name = kMagic.substr(0, kMagic.find(' '));
    if (!text.starts_with(name)) return fail(malformed("this is none"));
    if (!text.starts_with(kMagic))
        return fail(ErrorCode::unsupported,
                    "the backup's manifest is not of format " + std::to_string(kFormat) + ": a newer version made it");
    const auto head = kMagic.size() + kMacDigits;
    if (text.size() <= head || text[head] != '\n') return fail(malformed("it is cut short"));
    FoundManifest found;
    FID_TRY(found.mac, fixed_from_hex<32>(text.substr(kMagic.size(), kMacDigits), "the manifest's MAC"));
    found.body = text.substr(head + 1);
    FID_TRY(const auto value, fiducial::json::parse(found.body, kMaxManifestBytes));
    if (!value.is_object()) return fail(malformed("no JSON object"));
    const Reader in{value.get_object()};
    auto& manifest = found.manifest;
    FID_TRY(manifest.site_id, in.hash("siteId"));
    FID_TRY(manifest.made_ms, in.number("madeMs"));
    FID_TRY(manifest.chain_head, in.number("chainHead"));
    FID_TRY(manifest.chain_hash, in.hash("chainHash"));
    const auto* files = in.object.if_contains("files");
    if (files == nullptr || !files->is_object()) return fail(malformed("'files' is missing"));
    for (const auto& [key, entry] : files->get_object()) {
        const std::string path(key);
        if (!is_plain_path(path)) return fail(malformed("a file's name that leads elsewhere"));
        FID_TRY(manifest.files[path], read_file_entry(path, entry));
    }
    return found;
}

Result<void> FoundManifest::authenticate(const crypto::Secret& key) const {
    if (crypto::equal_constant_time(mac, crypto::tagged_hmac_sha256(key.view(), "fid.backup1", {as_bytes(body)}))) return {};
    return fail(ErrorCode::corrupt,
                "the backup's manifest does not fit the site's key: it was altered, or is another site's; take another backup");
}

}  // namespace fiducial::archive
