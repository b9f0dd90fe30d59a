#include "audit/tiles.hpp"

#include <array>
#include <bit>
#include <cstdio>

#include "base/file.hpp"
#include "crypto/merkle.hpp"

namespace fiducial::audit {
namespace {

constexpr std::size_t kWidth = 256;
constexpr int kHeight = 8, kEntries = -1;
constexpr std::size_t kMostLevels = 8;  // 256^8 entries
constexpr std::string_view kCheckpoint = "checkpoint";
constexpr std::size_t kLongestTile = kWidth * (2 + kLongestEntry);

/// Turns entries, in order, into the files of the layout.
class TileMaker {
public:
    using Take = std::function<Result<void>(int level, std::uint64_t index, std::size_t width, ByteView bytes)>;
    explicit TileMaker(Take take) : take_(std::move(take)) {}

    /// Goes on where a tree of so many full tiles' entries ended. `above`: the hashes of its incomplete tile of each level above 0.
    void go_on(std::uint64_t full_tiles, std::array<std::vector<Hash>, kMostLevels> above) {
        levels_ = std::move(above);
        for (std::size_t level = 0; level < kMostLevels; ++level) index_[level] = full_tiles >> (kHeight * level);
    }
    Result<void> add(const StoredEntry& entry) {
        append_lp(bundle_, entry.bytes);
        levels_[0].push_back(entry_leaf_hash(entry.bytes));
        if (levels_[0].size() < kWidth) return {};
        FID_CHECK(take_(kEntries, index_[0], kWidth, bundle_));
        bundle_.clear();
        return complete(0);
    }
    /// The incomplete tiles.
    Result<void> finish() {
        if (!levels_[0].empty()) FID_CHECK(take_(kEntries, index_[0], levels_[0].size(), bundle_));
        for (std::size_t level = 0; level < kMostLevels; ++level) {
            if (!levels_[level].empty()) FID_CHECK(give(level));
        }
        return {};
    }

private:
    Result<void> give(std::size_t level) {
        Bytes bytes;
        for (const auto& hash : levels_[level]) append(bytes, hash);
        return take_(static_cast<int>(level), index_[level], levels_[level].size(), bytes);
    }
    Result<void> complete(std::size_t level) {
        FID_CHECK(give(level));
        const auto root = crypto::merkle_root(levels_[level]);
        levels_[level].clear();
        ++index_[level];
        FID_INVARIANT(level + 1 < kMostLevels, "a trace of more than 2^64 entries");
        levels_[level + 1].push_back(root);
        return levels_[level + 1].size() == kWidth ? complete(level + 1) : Result<void>();
    }

    Take take_;
    Bytes bundle_;
    std::array<std::vector<Hash>, kMostLevels> levels_;
    std::array<std::uint64_t, kMostLevels> index_{};  // of the tile that is being filled
};

Result<Bytes> read_tile(const std::filesystem::path& path) {
    auto bytes = read_file(path, kLongestTile);
    if (!bytes && bytes.error().code == ErrorCode::not_found) bytes.error().code = ErrorCode::corrupt;
    return bytes;
}

/// The first `count` hashes of a tile: of the whole one, or where that is not there yet of the narrowest with as many.
Result<std::vector<Hash>> read_hashes(const std::filesystem::path& folder, int level, std::uint64_t index, std::size_t count) {
    auto path = folder / tile_path(level, index, kWidth);
    std::error_code none;
    for (auto width = count; width < kWidth && !std::filesystem::exists(path, none); ++width) {
        if (const auto narrow = folder / tile_path(level, index, width); std::filesystem::exists(narrow, none)) path = narrow;
    }
    FID_TRY(const auto bytes, read_tile(path));
    if (bytes.size() < 32 * count || bytes.size() % 32 != 0)
        return fail(ErrorCode::corrupt, path.string() + " holds other than its hashes");
    std::vector<Hash> hashes(count);
    for (std::size_t i = 0; i < count; ++i) std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(32 * i), 32, hashes[i].begin());
    return hashes;
}

/// Root of a complete subtree of 2^n leaves that begins at a multiple of that.
Result<Hash> aligned_hash(const std::filesystem::path& folder, std::uint64_t begin, std::uint64_t leaves) {
    const int bits = std::countr_zero(leaves), level = bits / kHeight;
    const auto first = begin >> (level * kHeight);  // hash of that level
    const std::size_t count = std::size_t{1} << (bits % kHeight), place = first % kWidth;
    FID_TRY(const auto hashes, read_hashes(folder, level, first / kWidth, place + count));
    return crypto::merkle_root(std::span(hashes).subspan(place));
}

}  // namespace

std::string tile_path(int level, std::uint64_t index, std::size_t width) {
    std::string number;
    char group[8];
    std::snprintf(group, sizeof group, "%03u", static_cast<unsigned>(index % 1000));
    number = group;
    for (auto rest = index / 1000; rest != 0; rest /= 1000) {
        std::snprintf(group, sizeof group, "x%03u/", static_cast<unsigned>(rest % 1000));
        number.insert(0, group);
    }
    auto path = "tile/" + (level == kEntries ? "entries" : std::to_string(level)) + "/" + number;
    if (width < kWidth) path += ".p/" + std::to_string(width);
    return path;
}

Result<void> TileFolder::extend(const Trace& trace, std::uint64_t from, std::uint64_t to) {
    TileMaker maker([this](int level, std::uint64_t index, std::size_t width, ByteView bytes) -> Result<void> {
        const auto path = folder_ / tile_path(level, index, width);
        std::error_code ec;
        std::filesystem::create_directories(path.parent_path(), ec);
        if (ec) return fail(error_from_errno(ec.value(), "making folder", path.parent_path()));
        FID_CHECK(write_file_atomically(path, bytes));
        if (width == kWidth) std::filesystem::remove_all(path.string() + ".p", ec);  // what it was while it was not full
        return {};
    });
    std::array<std::vector<Hash>, kMostLevels> above;
    for (std::size_t level = 1; level < kMostLevels; ++level) {
        const auto hashes = from >> (kHeight * level);
        if (hashes % kWidth == 0) continue;
        FID_TRY(above[level], read_hashes(folder_, static_cast<int>(level), hashes / kWidth, hashes % kWidth));
    }
    maker.go_on(from / kWidth, std::move(above));
    Result<void> done;
    if (const auto begin = from / kWidth * kWidth; begin < to) {
        FID_CHECK(trace.for_each(begin, [&](std::uint64_t index, const StoredEntry& entry) {
            done = maker.add(entry);
            return done && index + 1 < to;
        }));
    }
    FID_CHECK(done);
    return maker.finish();
}

Result<void> TileFolder::clear() {
    std::error_code ec;
    std::filesystem::remove(folder_ / kCheckpoint, ec);
    if (!ec) std::filesystem::remove_all(folder_ / "tile", ec);
    return ec ? fail(error_from_errno(ec.value(), "removing", folder_)) : Result<void>();
}

Result<Hash> TileFolder::hash(std::uint64_t begin, std::uint64_t end) const {
    if (begin == end) return crypto::merkle_empty_root();
    // The largest complete subtrees first, as RFC 6962 splits.
    std::vector<Hash> parts;
    for (auto at = begin; at < end;) {
        const auto leaves = std::bit_floor(end - at);
        FID_TRY(const auto part, aligned_hash(folder_, at, leaves));
        parts.push_back(part);
        at += leaves;
    }
    Hash out = parts.back();
    for (auto i = parts.size() - 1; i-- > 0;) out = crypto::merkle_node(parts[i], out);
    return out;
}

Result<std::optional<std::string>> TileFolder::first_difference(const Trace& trace, std::uint64_t size) const {
    std::optional<std::string> found;
    TileMaker maker([&](int level, std::uint64_t index, std::size_t width, ByteView bytes) -> Result<void> {
        const auto path = tile_path(level, index, width);
        if (found) return {};
        const auto there = read_tile(folder_ / path);
        if (!there && there.error().code != ErrorCode::corrupt) return fail(there.error());
        if (!there || as_text(*there) != as_text(bytes)) found = path;
        return {};
    });
    Result<void> done;
    if (size > 0) {
        FID_CHECK(trace.for_each(0, [&](std::uint64_t index, const StoredEntry& entry) {
            done = maker.add(entry);
            return done && !found && index + 1 < size;
        }));
    }
    FID_CHECK(done);
    if (!found) FID_CHECK(maker.finish());
    return found;
}

Result<std::optional<std::string>> TileFolder::checkpoint() const {
    const auto note = read_file(folder_ / kCheckpoint, Note::kLongest);
    if (!note && note.error().code == ErrorCode::not_found) return std::optional<std::string>();
    FID_CHECK(note);
    return std::optional<std::string>(as_text(*note));
}

Result<void> TileFolder::set_checkpoint(std::string_view note) {
    std::error_code ec;
    std::filesystem::create_directories(folder_, ec);
    if (ec) return fail(error_from_errno(ec.value(), "making folder", folder_));
    return write_file_atomically(folder_ / kCheckpoint, as_bytes(note));
}

}  // namespace fiducial::audit
