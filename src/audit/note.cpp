#include "audit/note.hpp"

#include <algorithm>
#include <charconv>

#include "base/base64.hpp"
#include "base/hex.hpp"
#include "base/utf8.hpp"
#include "crypto/hash.hpp"

namespace fiducial::audit {
namespace {

constexpr std::string_view kDash = "\xe2\x80\x94 ";  // U+2014 and a space

bool is_name(std::string_view name) {
    return !name.empty() && name.find_first_of("+ \t\r\n") == std::string_view::npos;
}

std::string cosigned_text(std::uint64_t at, std::string_view text) {
    return "cosignature/v1\ntime " + std::to_string(at) + "\n" + std::string(text);
}

/// Takes the text up to the next newline, and it, off. Errors: malformed where there is none.
Result<std::string_view> take_line(std::string_view& rest, std::string_view what) {
    const auto end = rest.find('\n');
    if (end == std::string_view::npos) return fail(ErrorCode::malformed, std::string(what) + " is missing, or its line does not end");
    const auto line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return line;
}

}  // namespace

std::uint32_t NoteKey::id() const {
    const auto type = static_cast<std::uint8_t>(algorithm);
    return read_be<std::uint32_t>(crypto::sha256({as_bytes(name), as_bytes("\n"), ByteView(&type, 1), public_key}));
}

std::string NoteKey::text() const {
    Bytes id_bytes, key{static_cast<std::uint8_t>(algorithm)};
    append_be(id_bytes, id());
    append(key, public_key);
    return name + "+" + to_hex(id_bytes) + "+" + to_base64(key);
}

Result<NoteKey> NoteKey::parse(std::string_view text) {
    const auto refuse = [](std::string_view why) { return fail(ErrorCode::malformed, "note key: " + std::string(why)); };
    while (text.ends_with('\n')) text.remove_suffix(1);
    const auto first = text.find('+'), second = first == std::string_view::npos ? first : text.find('+', first + 1);
    if (second == std::string_view::npos) return refuse("wanted is NAME+ID+KEY");
    NoteKey key;
    key.name = text.substr(0, first);
    if (!is_name(key.name)) return refuse("its name is empty, or holds a space");
    FID_TRY(const auto bytes, from_base64(text.substr(second + 1), "note key"));
    if (bytes.empty()) return refuse("it is empty");
    if (bytes.front() != 1 && bytes.front() != 4) return fail(ErrorCode::unsupported, "note key: only those of Ed25519 are known");
    key.algorithm = static_cast<NoteAlgorithm>(bytes.front());
    FID_TRY(key.public_key, fixed<32>(ByteView(bytes).subspan(1), "note key"));
    if (key.text() != text) return refuse("its id is not that of name and key: a letter was mistaken");
    return key;
}

std::string NoteSignature::line() const {
    Bytes all;
    append_be(all, key_id);
    append(all, bytes);
    return std::string(kDash) + name + " " + to_base64(all) + "\n";
}

std::string Note::serialise() const {
    std::string out = text + "\n";
    for (const auto& signature : signatures) out += signature.line();
    return out;
}

Result<std::vector<NoteSignature>> Note::parse_signatures(std::string_view lines) {
    std::vector<NoteSignature> out;
    while (!lines.empty()) {
        FID_TRY(auto line, take_line(lines, "note: a signature"));
        if (out.size() == kMostSignatures) return fail(ErrorCode::limit_exceeded, "note: it has too many signatures");
        if (!line.starts_with(kDash)) return fail(ErrorCode::malformed, "note: a line behind the text is no signature");
        line.remove_prefix(kDash.size());
        const auto space = line.find(' ');
        NoteSignature signature;
        signature.name = line.substr(0, space);
        if (space == std::string_view::npos || !is_name(signature.name)) return fail(ErrorCode::malformed, "note: a signature has no name");
        FID_TRY(const auto bytes, from_base64(line.substr(space + 1), "note: a signature"));
        if (bytes.size() < 5) return fail(ErrorCode::malformed, "note: a signature is too short");
        signature.key_id = read_be<std::uint32_t>(bytes);
        signature.bytes.assign(bytes.begin() + 4, bytes.end());
        out.push_back(std::move(signature));
    }
    return out;
}

Result<Note> Note::parse(std::string_view bytes) {
    if (bytes.size() > kLongest) return fail(ErrorCode::limit_exceeded, "note: longer than " + std::to_string(kLongest) + " bytes");
    const bool control = std::any_of(bytes.begin(), bytes.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\n'; });
    if (control || !is_utf8(bytes)) return fail(ErrorCode::malformed, "note: it holds control characters, or is not UTF-8");
    const auto split = bytes.rfind("\n\n");
    if (split == std::string_view::npos) return fail(ErrorCode::malformed, "note: no empty line parts text and signatures");
    Note note;
    note.text = bytes.substr(0, split + 1);
    FID_TRY(note.signatures, parse_signatures(bytes.substr(split + 2)));
    if (note.signatures.empty()) return fail(ErrorCode::malformed, "note: nobody has signed it");
    return note;
}

Result<void> Note::verify(const NoteKey& key) const {
    const auto id = key.id();
    bool signed_by_key = false;
    for (const auto& signature : signatures) {
        if (signature.name != key.name || signature.key_id != id) continue;
        if (key.algorithm == NoteAlgorithm::ed25519) {
            FID_CHECK(crypto::ed25519_verify(key.public_key, as_bytes(text), signature.bytes));
        } else {
            if (signature.bytes.size() != 72) return fail(ErrorCode::unverified, "the cosignature of " + key.name + " has no time");
            const auto at = read_be<std::uint64_t>(signature.bytes);
            FID_CHECK(crypto::ed25519_verify(key.public_key, as_bytes(cosigned_text(at, text)), ByteView(signature.bytes).subspan(8)));
        }
        signed_by_key = true;
    }
    return signed_by_key ? Result<void>() : fail(ErrorCode::unverified, "the note is not signed by " + key.name);
}

Result<std::uint64_t> Note::cosigned_at(const NoteKey& key) const {
    FID_CHECK(verify(key));
    const auto id = key.id();
    const auto found = std::find_if(signatures.begin(), signatures.end(),
                                    [&](const auto& signature) { return signature.name == key.name && signature.key_id == id; });
    if (found->bytes.size() != 72) return fail(ErrorCode::unverified, key.name + " is no witness's key");
    return read_be<std::uint64_t>(found->bytes);
}

std::string Checkpoint::text() const {
    return origin + "\n" + std::to_string(head.size) + "\n" + to_base64(head.root) + "\n";
}

Result<Checkpoint> Checkpoint::parse(std::string_view text) {
    Checkpoint out;
    FID_TRY(out.origin, take_line(text, "checkpoint: origin"));
    if (out.origin.empty()) return fail(ErrorCode::malformed, "checkpoint: its origin is empty");
    FID_TRY(const auto size, take_line(text, "checkpoint: size"));
    const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), out.head.size);
    if (error != std::errc() || end != size.data() + size.size() || std::to_string(out.head.size) != size)
        return fail(ErrorCode::malformed, "checkpoint: its size is no number");
    FID_TRY(const auto root, take_line(text, "checkpoint: root"));
    FID_TRY(const auto bytes, from_base64(root, "checkpoint: its root"));
    FID_TRY(out.head.root, fixed<32>(bytes, "checkpoint: its root"));
    while (!text.empty()) {
        FID_TRY(const auto line, take_line(text, "checkpoint: a further line"));
        if (line.empty()) return fail(ErrorCode::malformed, "checkpoint: a further line is empty");
    }
    return out;
}

NoteKey log_key(std::string_view origin, const crypto::Secret& seed) {
    return {std::string(origin), NoteAlgorithm::ed25519, crypto::ed25519_public_key(seed)};
}

Note sign_checkpoint(const Checkpoint& checkpoint, const crypto::Secret& seed) {
    Note note{checkpoint.text(), {}};
    const auto signature = crypto::ed25519_sign(seed, as_bytes(note.text));
    note.signatures.push_back({checkpoint.origin, log_key(checkpoint.origin, seed).id(), to_bytes(signature)});
    return note;
}

Result<Checkpoint> open_checkpoint(std::string_view bytes, const NoteKey& key) {
    FID_TRY(const auto note, Note::parse(bytes));
    FID_CHECK(note.verify(key));
    FID_TRY(auto checkpoint, Checkpoint::parse(note.text));
    if (checkpoint.origin != key.name)
        return fail(ErrorCode::unverified, "the checkpoint is of the log " + checkpoint.origin + ", the key of " + key.name);
    return checkpoint;
}

NoteSignature cosign(std::string_view text, std::string_view name, const crypto::Secret& seed, SystemTime now) {
    const auto at = unix_seconds(now);
    const NoteKey key{std::string(name), NoteAlgorithm::cosignature, crypto::ed25519_public_key(seed)};
    NoteSignature out{key.name, key.id(), {}};
    append_be(out.bytes, at);
    append(out.bytes, crypto::ed25519_sign(seed, as_bytes(cosigned_text(at, text))));
    return out;
}

}  // namespace fiducial::audit
