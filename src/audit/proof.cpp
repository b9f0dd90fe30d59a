#include "audit/proof.hpp"

#include <bit>
#include <charconv>

#include "base/base64.hpp"
#include "crypto/merkle.hpp"

namespace fiducial::audit {
namespace {

constexpr std::size_t kLongestPath = 64, kLongestText = 2 * Note::kLongest;

/// A proof's lines, from the top.
class Lines {
public:
    explicit Lines(std::string_view text) : rest_(text) {}
    std::string_view rest() const { return rest_; }
    Result<std::string_view> next(std::string_view what) {
        const auto end = rest_.find('\n');
        if (end == std::string_view::npos) return fail(ErrorCode::malformed, "proof: " + std::string(what) + " is missing");
        const auto line = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return line;
    }
    /// "WORD N"
    Result<std::uint64_t> number(std::string_view word) {
        FID_TRY(auto line, next(word));
        std::uint64_t value = 0;
        if (line.starts_with(word) && line.substr(word.size()).starts_with(' ')) {
            line.remove_prefix(word.size() + 1);
            const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
            if (error == std::errc() && end == line.data() + line.size() && std::to_string(value) == line) return value;
        }
        return fail(ErrorCode::malformed, "proof: there is no line '" + std::string(word) + " N'");
    }
    /// Hashes up to an empty line.
    Result<std::vector<Hash>> path() {
        std::vector<Hash> out;
        for (;;) {
            FID_TRY(const auto line, next("the empty line before the checkpoint"));
            if (line.empty()) return out;
            if (out.size() == kLongestPath) return fail(ErrorCode::limit_exceeded, "proof: it is too long");
            FID_TRY(const auto bytes, from_base64(line, "proof: a hash"));
            FID_TRY(const auto hash, fixed<32>(bytes, "proof: a hash"));
            out.push_back(hash);
        }
    }

private:
    std::string_view rest_;
};

void append_path(std::string& out, const std::vector<Hash>& path) {
    for (const auto& hash : path) out += to_base64(hash) + "\n";
    out += "\n";
}

Result<void> check_length(std::string_view text) {
    return text.size() <= kLongestText ? Result<void>() : fail(ErrorCode::limit_exceeded, "proof: the file is too long");
}

}  // namespace

Result<std::vector<Hash>> inclusion_path(std::uint64_t index, std::uint64_t size, const RangeHash& hash) {
    FID_INVARIANT(index < size, "an inclusion path needs a leaf of the tree");
    std::vector<Hash> path;
    for (std::uint64_t begin = 0, end = size; end - begin > 1;) {
        const auto middle = begin + std::bit_floor(end - begin - 1);
        const bool left = index < middle;
        FID_TRY(const auto sibling, left ? hash(middle, end) : hash(begin, middle));
        path.insert(path.begin(), sibling);
        (left ? end : begin) = middle;
    }
    return path;
}

Result<std::vector<Hash>> consistency_path(std::uint64_t old_size, std::uint64_t size, const RangeHash& hash) {
    FID_INVARIANT(old_size <= size, "a consistency path needs an older, smaller tree");
    std::vector<Hash> path;
    if (old_size == 0 || old_size == size) return path;
    std::uint64_t begin = 0, end = size;
    while (end != old_size) {
        const auto middle = begin + std::bit_floor(end - begin - 1);
        const bool left = old_size <= middle;
        FID_TRY(const auto sibling, left ? hash(middle, end) : hash(begin, middle));
        path.insert(path.begin(), sibling);
        (left ? end : begin) = middle;
    }
    if (begin == 0) return path;  // the old tree is a subtree of the new one: who checks has its root
    FID_TRY(const auto last, hash(begin, end));
    path.insert(path.begin(), last);
    return path;
}

std::string InclusionProof::text() const {
    std::string out = std::string(kFirstLine) + "extra " + to_base64(entry) + "\nindex " + std::to_string(index) + "\n";
    append_path(out, path);
    return out + checkpoint;
}

Result<InclusionProof> InclusionProof::parse(std::string_view text) {
    FID_CHECK(check_length(text));
    if (!text.starts_with(kFirstLine)) return fail(ErrorCode::malformed, "proof: it does not begin as a tlog-proof does");
    Lines lines(text.substr(kFirstLine.size()));
    InclusionProof out;
    FID_TRY(auto extra, lines.next("the line 'extra'"));
    constexpr std::string_view kExtra = "extra ";
    if (!extra.starts_with(kExtra)) return fail(ErrorCode::malformed, "proof: it does not hold the entry (no line 'extra …')");
    FID_TRY(out.entry, from_base64(extra.substr(kExtra.size()), "proof: the entry"));
    FID_TRY(out.index, lines.number("index"));
    FID_TRY(out.path, lines.path());
    out.checkpoint = lines.rest();
    return out;
}

Result<Checkpoint> InclusionProof::verify(const NoteKey& key) const {
    FID_TRY(auto opened, open_checkpoint(checkpoint, key));
    FID_CHECK(crypto::merkle_verify_inclusion(entry_leaf_hash(entry), index, opened.head.size, path, opened.head.root));
    return opened;
}

std::string ConsistencyProof::text() const {
    std::string out = "old " + std::to_string(old_size) + "\n";
    append_path(out, path);
    return out + checkpoint;
}

Result<ConsistencyProof> ConsistencyProof::parse(std::string_view text) {
    FID_CHECK(check_length(text));
    Lines lines(text);
    ConsistencyProof out;
    FID_TRY(out.old_size, lines.number("old"));
    FID_TRY(out.path, lines.path());
    out.checkpoint = lines.rest();
    return out;
}

Result<Checkpoint> ConsistencyProof::verify(const NoteKey& key, const TraceHead& old) const {
    FID_TRY(auto opened, open_checkpoint(checkpoint, key));
    if (old.size != old_size)
        return fail(ErrorCode::unverified, "the proof goes on from " + std::to_string(old_size) + " entries, the older checkpoint has " +
                                               std::to_string(old.size));
    FID_CHECK(crypto::merkle_verify_consistency(old.size, opened.head.size, old.root, opened.head.root, path));
    return opened;
}

}  // namespace fiducial::audit
