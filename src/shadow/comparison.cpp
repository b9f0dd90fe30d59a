#include "shadow/comparison.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <thread>

#include "base/json.hpp"
#include "crypto/hash.hpp"
#include "dicom/attributes.hpp"
#include "dicom/data_set_scanner.hpp"
#include "dicom/transcoding.hpp"
#include "dicom/transfer_syntax.hpp"
#include "shadow/impl/pipe.hpp"

namespace fiducial::shadow {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostJson = std::size_t{256} << 20;
constexpr std::size_t kMostNamed = 12;
constexpr std::size_t kPieceBytes = 262'144;
/// Values up to here are compared, longer ones but for pixels are refused.
constexpr std::uint64_t kLongestValue = std::uint64_t{32} << 20;
/// What differs wherever the pixels are encoded otherwise.
constexpr std::array<std::string_view, 5> kOfTheEncoding{"00280004", "00280006", "7FE00001", "7FE00002", "7FE00010"};

/// What archives write about it when they compress an image.
constexpr std::array<std::string_view, 2> kOfTheDerivation{"00082111", "00089215"};

std::string named(std::string_view tag) {
    if (const auto parsed = dicom::parse_tag(tag)) {
        if (auto keyword = dicom::keyword_of(*parsed); !keyword.empty()) return keyword;
    }
    return tag.size() == 8 ? "(" + std::string(tag.substr(0, 4)) + "," + std::string(tag.substr(4)) + ")" : std::string(tag);
}

/// A value without the address by which its archive gives it.
json::value without_address(const json::value& attribute) {
    if (!attribute.is_object()) return attribute;
    auto copy = attribute.get_object();
    copy.erase("BulkDataURI");
    return copy;
}

std::set<std::string> differing(const json::object& a, const json::object& b) {
    std::set<std::string> tags;
    const auto look = [&tags](const json::object& one, const json::object& other) {
        for (const auto& [tag, value] : one) {
            const auto* its = other.if_contains(tag);
            if (its == nullptr || without_address(value) != without_address(*its)) tags.insert(std::string(tag));
        }
    };
    look(a, b);
    look(b, a);
    return tags;
}

std::string both_syntaxes(const Seen& old, const Seen& here) {
    return old.transfer_syntax + " there, " + here.transfer_syntax + " here";
}

std::string list_of(const std::set<std::string>& tags) {
    std::string text;
    std::size_t count = 0;
    for (const auto& tag : tags) {
        if (count == kMostNamed) return text + " and " + std::to_string(tags.size() - count) + " more";
        text += (count++ == 0 ? "" : ", ") + named(tag);
    }
    return text;
}

dicom::ScanLimits scan_limits() {
    dicom::ScanLimits limits;
    limits.bulk_threshold = kLongestValue;
    return limits;
}

/// Fetches an instance's data set into a pipe. Errors: those of the source; malformed: it is another one than was asked for.
Result<void> fetch_data_set(Source& source, const ListedInstance& instance, const std::string& transfer_syntax, impl::Pipe& pipe) {
    dicom::DataSetScanner scanner(scan_limits());
    FID_CHECK(source.fetch(instance, [&](ByteView piece) -> Result<void> {
        FID_TRY(const auto pieces, scanner.feed(piece));
        FID_CHECK(pipe.put(pieces.held));
        return pipe.put(pieces.fresh);
    }));
    FID_TRY(const auto header, scanner.finish());
    if (header.identity.sop_instance.text() != instance.sop_uid || header.identity.transfer_syntax != transfer_syntax)
        return fail(ErrorCode::malformed, source.name() + ": another instance was given than before");
    return {};
}

Result<Seen> look_at_decoded(impl::Pipe& pipe, const std::string& transfer_syntax) {
    dicom::Transcoding decoding(transfer_syntax, dicom::kExplicitVrLittleEndian, [&pipe](MutableByteView out) { return pipe.take(out); });
    FID_TRY(auto scanner, dicom::DataSetScanner::for_data_set(dicom::kExplicitVrLittleEndian, scan_limits()));
    crypto::Sha256 data_set;
    for (Bytes piece(kPieceBytes);;) {
        FID_TRY(const auto got, decoding.read(piece));
        const auto bytes = ByteView(piece).first(got);
        FID_CHECK(scanner.feed(bytes));
        data_set.update(bytes);
        if (got < piece.size()) break;
    }
    FID_TRY(auto header, scanner.finish());
    return Seen{std::string(dicom::kExplicitVrLittleEndian),
                header.data_set_length,
                data_set.finish(),
                header.pixel_sha256,
                std::move(header.dicom_json),
                {}};
}

bool loses_nothing(const std::string& transfer_syntax) {
    const auto* known = dicom::find_transfer_syntax(transfer_syntax);
    return known != nullptr && !known->lossy;
}

}  // namespace

std::string_view text_of(Outcome outcome) {
    switch (outcome) {
        case Outcome::not_compared: return "not compared yet";
        case Outcome::same: return "the same, byte for byte";
        case Outcome::rewritten: return "the same, written anew";
        case Outcome::recompressed: return "in another compression";
        case Outcome::header_changed: return "header changed";
        case Outcome::pixels_changed: return "pixels changed";
        case Outcome::gone: return "listed, but not given by the old archive";
        case Outcome::absent: return "not given here";
        case Outcome::unread: return "could not be compared";
        case Outcome::same_picture: return "the same picture, in another compression";
    }
    return "";
}

bool is_difference(Outcome outcome) {
    return outcome >= Outcome::header_changed && outcome <= Outcome::absent;
}

Result<Seen> look_at(Source& source, const ListedInstance& instance, const TakePiece& also) {
    dicom::DataSetScanner scanner(scan_limits());
    crypto::Sha256 data_set;
    const auto begin = std::chrono::steady_clock::now();
    FID_CHECK(source.fetch(instance, [&](ByteView piece) -> Result<void> {
        FID_TRY(const auto pieces, scanner.feed(piece));
        data_set.update(pieces.held);
        data_set.update(pieces.fresh);
        return also ? also(piece) : Result<void>{};
    }));
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    FID_TRY(auto header, scanner.finish());
    if (header.identity.sop_instance.text() != instance.sop_uid)
        return fail(ErrorCode::malformed, source.name() + ": another instance was given than the one asked for");
    return Seen{std::move(header.identity.transfer_syntax),
                header.data_set_length,
                data_set.finish(),
                header.pixel_sha256,
                std::move(header.dicom_json),
                took};
}

/// Reads on one thread and decodes on the other, so that no instance has to fit into memory.
Result<Seen> look_at_decoded(Source& source, const ListedInstance& instance, const std::string& transfer_syntax) {
    impl::Pipe pipe;
    std::thread reader([&] {
        const auto fetched = fetch_data_set(source, instance, transfer_syntax, pipe);
        pipe.end(fetched ? std::optional<Error>() : fetched.error());
    });
    auto seen = look_at_decoded(pipe, transfer_syntax);
    pipe.abandon();
    reader.join();
    return seen;
}

namespace {

/// `beside`: attributes in which they may differ.
Comparison compare_but_for(const Seen& old, const Seen& here, std::span<const std::string_view> beside) {
    if (old.transfer_syntax == here.transfer_syntax && old.data_set_sha256 == here.data_set_sha256) return {Outcome::same, ""};
    const auto a = fiducial::json::parse(old.dicom_json, kMostJson);
    const auto b = fiducial::json::parse(here.dicom_json, kMostJson);
    if (!a || !b || !a->is_object() || !b->is_object()) return {Outcome::unread, "their headers cannot be compared"};
    auto tags = differing(a->get_object(), b->get_object());
    for (const auto tag : beside) tags.erase(std::string(tag));
    const bool same_encoding = old.transfer_syntax == here.transfer_syntax;
    if (same_encoding && old.pixel_sha256 != here.pixel_sha256) {
        tags.insert("7FE00010");
        return {Outcome::pixels_changed, list_of(tags)};
    }
    const bool same_pixels = old.pixel_sha256 == here.pixel_sha256;  // also where both have none
    if (!same_pixels) {
        for (const auto tag : kOfTheEncoding) tags.erase(std::string(tag));
        const bool decodable = dicom::can_transcode(old.transfer_syntax, dicom::kExplicitVrLittleEndian) &&
                               dicom::can_transcode(here.transfer_syntax, dicom::kExplicitVrLittleEndian);
        if (tags.empty()) return {Outcome::recompressed, both_syntaxes(old, here), decodable};
        return {Outcome::header_changed, list_of(tags) + "; pixels in another compression, not compared", decodable};
    }
    tags.erase("7FE00010");  // the same bytes, whether they are called OB or OW
    if (tags.empty()) return {Outcome::rewritten, ""};
    return {Outcome::header_changed, list_of(tags)};
}

}  // namespace

Comparison compare(const Seen& old, const Seen& here) {
    return compare_but_for(old, here, {});
}

Comparison compare_decoded(const Seen& old, const Seen& here, const Seen& old_decoded, const Seen& here_decoded) {
    auto comparison = compare_but_for(old_decoded, here_decoded, kOfTheDerivation);
    switch (comparison.outcome) {
        case Outcome::same:
        case Outcome::rewritten: return {Outcome::same_picture, both_syntaxes(old, here)};
        case Outcome::header_changed: comparison.detail += "; the same picture, in another compression"; break;
        case Outcome::pixels_changed:
            // Where one of them loses something, other pixels are what is to be expected.
            if (!loses_nothing(old.transfer_syntax) || !loses_nothing(here.transfer_syntax))
                return {Outcome::recompressed, both_syntaxes(old, here) + ", of which one loses something: not the same pixels"};
            comparison.detail += "; decoded: " + both_syntaxes(old, here);
            break;
        default: break;
    }
    return comparison;
}

}  // namespace fiducial::shadow
