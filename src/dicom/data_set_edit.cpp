#include "dicom/data_set_edit.hpp"

#include <algorithm>
#include <map>

#include "dicom/impl/character_sets.hpp"
#include "dicom/impl/dicom_json.hpp"
#include "dicom/impl/tokenizer.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::size_t kPieceBytes = 16'384;
constexpr std::size_t kMostValueBytes = 65'534;  // that a length of 16 bits can say

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

void put16(Bytes& out, std::uint32_t value, bool big_endian) {
    const auto low = static_cast<std::uint8_t>(value), high = static_cast<std::uint8_t>(value >> 8);
    out.push_back(big_endian ? high : low);
    out.push_back(big_endian ? low : high);
}

Result<Bytes> element(const AttributeEdit& edit, std::string value, impl::Encoding encoding) {
    if ((value.size() & 1) != 0) value.push_back(edit.vr == "UI" ? '\0' : ' ');
    if (value.size() > kMostValueBytes) return fail(ErrorCode::unsupported, "a value of the correction is too long");
    Bytes out;
    put16(out, group_of(edit.tag), encoding.big_endian);
    put16(out, element_of(edit.tag), encoding.big_endian);
    const auto length = static_cast<std::uint32_t>(value.size());
    if (encoding.explicit_vr) {
        append(out, as_bytes(edit.vr));
        put16(out, length, encoding.big_endian);
    } else {
        put16(out, length, false);
        put16(out, 0, false);
    }
    append(out, as_bytes(value));
    return out;
}

/// Where the elements of a data set's beginning stand.
struct Beginning {
    struct Place {
        Tag tag = 0;
        std::uint64_t from = 0, to = 0;  // with the element's head
    };
    std::vector<Place> places;
    std::string character_set;
};

/// Reads until an element above `last` begins. Errors: unsupported where it cannot be told what stands where.
Result<Beginning> look_at_beginning(std::uint64_t size, impl::Encoding encoding, Tag last, const EditedDataSet::ReadAt& read) {
    const ScanLimits limits;
    impl::Tokenizer tokenizer(encoding, limits);
    Bytes piece(kPieceBytes);
    const auto passed = [&] { return !tokenizer.elements().empty() && tokenizer.elements().back().tag > last; };
    while (tokenizer.offset() < size && !passed()) {
        FID_TRY(const auto got, read(tokenizer.offset(), piece));
        if (got == 0) break;
        if (auto fed = tokenizer.feed(ByteView(piece).first(got)); !fed)
            return fail(ErrorCode::unsupported, "its data set cannot be written anew: " + fed.error().message);
    }
    Beginning out;
    for (const auto& one : tokenizer.elements()) {
        Bytes first8(8);
        first8[4] = static_cast<std::uint8_t>(one.vr.text[0]);
        first8[5] = static_cast<std::uint8_t>(one.vr.text[1]);
        FID_TRY(const auto head, impl::head_size(first8, encoding));
        const auto from = one.offset - head;
        if (!out.places.empty()) {
            if (one.tag <= out.places.back().tag)
                return fail(ErrorCode::unsupported, "its data set cannot be written anew: it is out of order");
            out.places.back().to = from;
        }
        out.places.push_back({one.tag, from, passed() ? one.offset + one.length : size});
        if (one.tag == tags::kSpecificCharacterSet) out.character_set = impl::character_set_of(as_text(tokenizer.value_of(one)));
    }
    return out;
}

}  // namespace

void EditedDataSet::add_stored(std::uint64_t from, std::uint64_t to) {
    if (from >= to) return;
    pieces_.push_back({size_, to - from, from, {}});
    size_ += to - from;
}

void EditedDataSet::add_own(Bytes bytes) {
    if (bytes.empty()) return;
    const auto size = bytes.size();
    pieces_.push_back({size_, size, 0, std::move(bytes)});
    size_ += size;
}

Result<EditedDataSet> EditedDataSet::plan(std::uint64_t stored_size, std::string_view transfer_syntax, std::span<const AttributeEdit> edits,
                                          const ReadAt& read) {
    EditedDataSet out;
    if (edits.empty()) {
        out.add_stored(0, stored_size);
        return out;
    }
    const auto* syntax = find_transfer_syntax(transfer_syntax);
    if (syntax == nullptr || syntax->deflated)
        return fail(ErrorCode::unsupported,
                    "stored in transfer syntax " + std::string(transfer_syntax) + ", in which a corrected data set cannot be written anew");
    const impl::Encoding encoding{syntax->explicit_vr, syntax->big_endian};
    FID_TRY(const auto beginning, look_at_beginning(stored_size, encoding, edits.back().tag, read));

    std::map<Tag, Bytes> written;  // empty: left out
    const bool is_plain =
        beginning.character_set.empty() || beginning.character_set == "ISO_IR 6" || beginning.character_set == "ISO 2022 IR 6";
    for (const auto& edit : edits) {
        auto& bytes = written[edit.tag];
        if (!edit.value) continue;
        auto value = *edit.value;
        if (!is_ascii(value) && is_plain) {  // all other text is ASCII, which means the same in UTF-8
            FID_TRY(written[tags::kSpecificCharacterSet], element({tags::kSpecificCharacterSet, "CS", {}}, "ISO_IR 192", encoding));
        } else if (!is_ascii(value)) {
            const auto encoded = impl::encode_text(value, beginning.character_set, edit.vr == "PN" ? "\\^=" : "\\");
            if (!encoded)
                return fail(ErrorCode::unsupported,
                            "its character set (" + beginning.character_set + ") does not have all the letters of the correction");
            value = *encoded;
        }
        FID_TRY(bytes, element(edit, std::move(value), encoding));
    }

    std::uint64_t done = 0;  // of the stored data set
    auto place = beginning.places.begin();
    for (auto& [tag, bytes] : written) {
        while (place != beginning.places.end() && place->tag < tag) ++place;
        const auto at = place != beginning.places.end() ? place->from : stored_size;
        out.add_stored(done, at);
        out.add_own(std::move(bytes));
        done = place != beginning.places.end() && place->tag == tag ? place->to : at;
    }
    out.add_stored(done, stored_size);
    return out;
}

Result<std::size_t> EditedDataSet::read(std::uint64_t offset, MutableByteView out, const ReadAt& stored) const {
    auto piece = std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                                  [](std::uint64_t at, const Piece& one) { return at < one.offset + one.size; });
    std::size_t done = 0;
    for (; piece != pieces_.end() && done < out.size(); ++piece) {
        const auto within = offset + done - piece->offset;
        const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(piece->size - within, out.size() - done));
        if (!piece->own.empty()) {
            std::copy_n(piece->own.begin() + static_cast<std::ptrdiff_t>(within), wanted, out.begin() + static_cast<std::ptrdiff_t>(done));
        } else {
            FID_TRY(const auto got, stored(piece->stored + within, out.subspan(done, wanted)));
            if (got != wanted) return fail(ErrorCode::internal, "a stored data set is shorter than it was");
        }
        done += wanted;
    }
    return done;
}

}  // namespace fiducial::dicom
