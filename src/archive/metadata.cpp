#include "archive/metadata.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.hpp"
#include "crypto/hash.hpp"
#include "dicom/data_set_scanner.hpp"
#include "dicom/transcoding.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::archive {
namespace {

constexpr std::size_t kPieceBytes = 262'144;
constexpr std::size_t kGroup = 64;         // instances whose metadata are kept ready together
constexpr std::size_t kSmallestGroup = 8;  // fewer are read as fast
constexpr std::uint64_t kMostFragments = 1'000'000;
constexpr std::uint64_t kMostTableBytes = 16 * kMostFragments;
constexpr std::uint64_t kMostReadThrough = std::uint64_t{2} << 30;
constexpr std::size_t kMostHeaderJson = std::size_t{256} << 20;
constexpr std::uint32_t kItem = 0xfffee000, kSequenceDelimiter = 0xfffee0dd;
constexpr dicom::Tag kExtendedOffsetTable = 0x7fe00001;

/// Whether what is stored of an instance may be given. Errors: corrupt.
Result<void> check_row(const store::InstanceRow& row, const CheckedVersion* version, std::uint64_t study_revision) {
    if (row.object.state == store::ObjectState::quarantined)
        return fail(ErrorCode::corrupt, "instance " + row.sop_uid.text() + " is in quarantine: it was found damaged and is not served");
    return check_against_version(row, version, study_revision);
}

/// Errors: corrupt, also where the instance is in quarantine. Requires: nothing of it was read before.
Result<store::ObjectReader> open_checked(store::Store& store, const store::InstanceRow& row, const CheckedVersion* version,
                                         std::uint64_t study_revision) {
    FID_CHECK(check_row(row, version, study_revision));
    return store.open_object(row.object.ref);
}

/// Errors: corrupt.
Result<Bytes> read_fragment(const store::ObjectReader& reader, const store::InstanceRow& row) {
    FID_TRY(auto fragment, reader.fragment());
    if (crypto::sha256(fragment) != row.object.fragment_sha256)
        return fail(ErrorCode::corrupt, "the metadata of instance " + row.sop_uid.text() + " are not those that were stored");
    return fragment;
}

/// As it was stored, with what was corrected since.
Result<std::string> shown_header(ByteView fragment, const AppliedOverlay* overlay) {
    if (overlay == nullptr) return std::string(as_text(fragment));
    return overlay->apply_to_json(as_text(fragment));
}

template <std::size_t Size>
std::uint64_t little_endian(ByteView bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = Size; i > 0; --i) value = value << 8 | bytes[i - 1];
    return value;
}

/// The first value of an attribute in a DICOM JSON object.
std::uint64_t number_in(const boost::json::object& object, std::string_view tag, std::uint64_t otherwise) {
    const auto* element = object.if_contains(tag);
    const auto* values = element != nullptr && element->is_object() ? element->get_object().if_contains("Value") : nullptr;
    if (values == nullptr || !values->is_array() || values->get_array().empty()) return otherwise;
    boost::system::error_code problem;
    const auto value = values->get_array().front().to_number<std::uint64_t>(problem);
    return problem ? otherwise : value;
}
std::string text_in(const boost::json::object& object, std::string_view tag) {
    const auto* element = object.if_contains(tag);
    const auto* values = element != nullptr && element->is_object() ? element->get_object().if_contains("Value") : nullptr;
    if (values == nullptr || !values->is_array() || values->get_array().empty() || !values->get_array().front().is_string()) return {};
    return std::string(values->get_array().front().get_string());
}

}  // namespace

StoreMetadataLook::StoreMetadataLook(store::Store& store, ReadyMetadata& ready, crypto::Secret study_secret,
                                     std::vector<store::InstanceRow> instances, std::shared_ptr<const CheckedVersion> version,
                                     std::uint64_t study_revision, OnDamage on_damage, std::shared_ptr<const AppliedOverlay> overlay)
    : store_(store),
      ready_(ready),
      study_secret_(std::move(study_secret)),
      instances_(std::move(instances)),
      version_(std::move(version)),
      study_revision_(study_revision),
      on_damage_(std::move(on_damage)),
      overlay_(std::move(overlay)) {}

void StoreMetadataLook::begin_group() {
    group_begin_ = next_;
    group_end_ = std::min(next_ + kGroup, instances_.size());
    documents_.clear();
    is_ready_ = false;
    if (group_end_ - group_begin_ < kSmallestGroup) return;
    Bytes fingerprints;
    for (auto i = group_begin_; i < group_end_; ++i) append(fingerprints, instances_[i].object.fragment_sha256);
    group_hash_ = crypto::sha256(fingerprints);
    if (auto found = ready_.find(study_secret_, group_hash_); found && found->size() == group_end_ - group_begin_) {
        documents_ = *std::move(found);
        is_ready_ = true;
    }
}

/// The next instance's, as it was stored. Errors: corrupt.
Result<std::string> StoreMetadataLook::stored_document() {
    const auto& row = instances_[next_];
    if (is_ready_) {
        FID_CHECK(check_row(row, version_.get(), study_revision_));
        return std::move(documents_[next_ - group_begin_]);
    }
    FID_TRY(const auto reader, open_checked(store_, row, version_.get(), study_revision_));
    FID_TRY(const auto fragment, read_fragment(reader, row));
    std::string document(as_text(fragment));
    if (group_end_ - group_begin_ >= kSmallestGroup) documents_.push_back(document);
    if (documents_.size() == group_end_ - group_begin_) ready_.keep(study_secret_, group_hash_, documents_);
    return document;
}

Result<std::optional<MetadataLook::Document>> StoreMetadataLook::next() {
    if (next_ == instances_.size()) return std::optional<Document>();
    if (next_ == group_end_) begin_group();
    const auto& row = instances_[next_];
    auto document = stored_document();
    ++next_;
    if (!document) {
        if (document.error().code == ErrorCode::corrupt && on_damage_ && row.object.state != store::ObjectState::quarantined)
            on_damage_(row, document.error());
        return fail(document.error());
    }
    if (overlay_) {
        FID_TRY(*document, overlay_->apply_to_json(*document));
    }
    return Document{row.series_uid.text(), row.sop_uid.text(), *std::move(document)};
}

/// What an image's header says of its pixels.
struct StoreValueLook::Pixels {
    std::uint64_t frames = 1, rows = 0, columns = 0, samples = 1, bits = 0;
    bool is_subsampled = false;
};

/// A data set whose places say nothing, as one in which they do: read through from its beginning.
struct StoreValueLook::Transcoded {
    explicit Transcoded(dicom::Transcoding::Read read_) : read(std::move(read_)) {}

    Result<std::size_t> read_at(const std::string& stored, std::uint64_t offset, MutableByteView out) {
        if (offset + out.size() > kMostReadThrough)
            return fail(ErrorCode::unsupported, "the value stands too far in an instance that is stored in transfer syntax " + stored +
                                                    "; retrieve the whole instance");
        if (!transcoding || offset < at) {
            stored_at = at = 0;
            transcoding.emplace(stored, dicom::kExplicitVrLittleEndian, [this](MutableByteView piece) -> Result<std::size_t> {
                FID_TRY(const auto got, read(piece));
                stored_at += got;
                return got;
            });
        }
        Bytes skipped;
        while (at < offset) {
            skipped.resize(static_cast<std::size_t>(std::min<std::uint64_t>(offset - at, kPieceBytes)));
            FID_TRY(const auto got, transcoding->read(skipped));
            if (got == 0) return got;
            at += got;
        }
        FID_TRY(const auto got, transcoding->read(out));
        at += got;
        return got;
    }

    dicom::Transcoding::Read read;
    std::uint64_t stored_at = 0;  // how far in what is stored
    std::optional<dicom::Transcoding> transcoding;
    std::uint64_t at = 0;  // how far in what becomes of it
};

StoreValueLook::StoreValueLook(store::InstanceRow instance, store::ObjectReader reader, OnDamage on_damage,
                               std::shared_ptr<const AppliedOverlay> overlay)
    : instance_(std::move(instance)), reader_(std::move(reader)), on_damage_(std::move(on_damage)), overlay_(std::move(overlay)) {
    const auto* syntax = dicom::find_transfer_syntax(instance_.transfer_syntax_uid.text());
    if (syntax == nullptr || !(syntax->deflated || syntax->big_endian)) return;
    transcoded_ = std::make_unique<Transcoded>([this](MutableByteView out) { return read_stored(transcoded_->stored_at, out); });
}
StoreValueLook::~StoreValueLook() = default;

Result<std::unique_ptr<StoreValueLook>> StoreValueLook::open(store::Store& store, store::InstanceRow instance,
                                                             const CheckedVersion* version, std::uint64_t study_revision,
                                                             OnDamage on_damage, std::shared_ptr<const AppliedOverlay> overlay) {
    const auto* syntax = dicom::find_transfer_syntax(instance.transfer_syntax_uid.text());
    if (syntax == nullptr) {
        return fail(ErrorCode::unsupported, "stored in transfer syntax " + instance.transfer_syntax_uid.text() +
                                                ", out of which no parts are given; retrieve the whole instance");
    }
    auto reader = open_checked(store, instance, version, study_revision);
    if (!reader) {
        if (reader.error().code == ErrorCode::corrupt && on_damage && instance.object.state != store::ObjectState::quarantined)
            on_damage(instance, reader.error());
        return fail(reader.error());
    }
    return std::unique_ptr<StoreValueLook>(
        new StoreValueLook(std::move(instance), *std::move(reader), std::move(on_damage), std::move(overlay)));
}

Result<std::size_t> StoreValueLook::read(std::uint64_t offset, MutableByteView out) {
    return transcoded_ ? transcoded_->read_at(transfer_syntax_uid(), offset, out) : read_stored(offset, out);
}

Result<std::size_t> StoreValueLook::read_stored(std::uint64_t offset, MutableByteView out) {
    auto got = reader_.read(offset, out);
    if (!got && got.error().code == ErrorCode::corrupt && on_damage_ && !damage_told_) {
        damage_told_ = true;
        on_damage_(instance_, got.error());
    }
    return got;
}

Result<std::string> StoreValueLook::header() {
    auto fragment = read_fragment(reader_, instance_);
    if (!fragment) {
        if (fragment.error().code == ErrorCode::corrupt && on_damage_ && !damage_told_) {
            damage_told_ = true;
            on_damage_(instance_, fragment.error());
        }
        return fail(fragment.error());
    }
    return shown_header(*fragment, overlay_.get());
}

Result<Bytes> StoreValueLook::read_whole(const ValuePlace& place) {
    Bytes bytes(place.length);
    FID_TRY(const auto got, read(place.offset, bytes));
    if (got != bytes.size()) return fail(ErrorCode::malformed, "the data set ends within a value");
    return bytes;
}

/// Scans from where the scanner stands to where the value begins. Returns: nothing where the data set has none.
Result<std::optional<dicom::DataSetScanner::Passed>> StoreValueLook::look_for(dicom::Tag tag,
                                                                              std::optional<dicom::DataSetScanner>& scanner) {
    FID_TRY(scanner, dicom::DataSetScanner::for_data_set(transcoded_ ? dicom::kExplicitVrLittleEndian : transfer_syntax_uid()));
    Bytes piece(kPieceBytes / 4);
    for (std::uint64_t at = 0; transcoded_ || at < reader_.size();) {
        FID_TRY(const auto got, read(at, piece));
        if (got == 0) break;
        FID_CHECK(scanner->feed(ByteView(piece).first(got)));
        if (auto found = scanner->passed(tag)) return found;
        at += got;
        piece.resize(kPieceBytes);
    }
    return std::optional<dicom::DataSetScanner::Passed>();
}

Result<ValuePlace> StoreValueLook::find(std::string_view path) {
    if (path.find('/') != std::string_view::npos) return find_nested(path);
    const auto tag = path.size() == 8 ? dicom::parse_tag(path) : std::nullopt;
    if (!tag) return fail(ErrorCode::not_found, "there is no such value");
    if (overlay_ && overlay_->names(*tag)) return fail(ErrorCode::not_found, "the value was corrected; it stands in the metadata");
    std::optional<dicom::DataSetScanner> scanner;
    FID_TRY(const auto found, look_for(*tag, scanner));
    if (!found) return fail(ErrorCode::not_found, "there is no such value");
    if (!found->encapsulated) return ValuePlace{found->offset, found->length};
    FID_TRY(const auto items, fragments(found->offset));
    const auto end = items.empty() ? found->offset : items.back().offset + items.back().length;
    return ValuePlace{found->offset, end - found->offset};
}

/// Where nested values lie is known at the data set's end only.
Result<ValuePlace> StoreValueLook::find_nested(std::string_view path) {
    std::optional<dicom::DataSetScanner> scanner;
    FID_CHECK(look_for(0, scanner));  // no element has this tag: all of it is scanned
    FID_TRY(const auto header, scanner->finish());
    const auto found = std::find_if(header.bulk.begin(), header.bulk.end(), [&](const auto& bulk) { return bulk.path == path; });
    if (found == header.bulk.end()) return fail(ErrorCode::not_found, "there is no such value");
    return ValuePlace{found->offset, found->length};
}

Result<std::vector<ValuePlace>> StoreValueLook::find_frame(std::uint64_t number) {
    if (!frames_) FID_CHECK(find_frames());
    if (number < 1 || number > frames_->size())
        return fail(ErrorCode::not_found, "the image has " + std::to_string(frames_->size()) + " frames");
    return (*frames_)[number - 1];
}

Result<void> StoreValueLook::find_frames() {
    FID_TRY(const auto fragment, reader_.fragment());
    FID_TRY(const auto json, fiducial::json::parse(as_text(fragment), kMostHeaderJson));
    if (!json.is_object()) return fail(ErrorCode::corrupt, "metadata that are no JSON object");
    const auto& header = json.get_object();
    Pixels pixels;
    pixels.frames = std::max<std::uint64_t>(1, number_in(header, "00280008", 1));
    pixels.samples = number_in(header, "00280002", 1);
    pixels.rows = number_in(header, "00280010", 0);
    pixels.columns = number_in(header, "00280011", 0);
    pixels.bits = number_in(header, "00280100", 0);
    pixels.is_subsampled = text_in(header, "00280004").find("_422") != std::string::npos;
    if (pixels.frames > kMostFragments) return fail(ErrorCode::unsupported, "the image says that it has too many frames");
    for (const auto tag : {dicom::tags::kPixelData, dicom::tags::kFloatPixelData, dicom::tags::kDoubleFloatPixelData}) {
        if (!header.contains(dicom::tag_text(tag))) continue;
        std::optional<dicom::DataSetScanner> scanner;
        FID_TRY(const auto found, look_for(tag, scanner));
        if (!found) continue;
        if (found->encapsulated) return encapsulated_frames(pixels, found->offset);
        return native_frames(pixels, {found->offset, found->length});
    }
    return fail(ErrorCode::not_found, "the instance has no pixel data");
}

/// Frames of single bits, one bit behind the other also from frame to frame. Spec: PS3.5 §8.1.1
Result<void> StoreValueLook::bit_frames(std::uint64_t bits, std::uint64_t count, const ValuePlace& value) {
    const auto all = (bits * count + 7) / 8;
    if (value.length < all || value.length > all + 1)
        return fail(ErrorCode::unsupported, "the pixel data is not as long as the image's header says");
    auto& frames = frames_.emplace();
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto first = i * bits, begin = first / 8, end = (first + bits + 7) / 8;
        frames.push_back({{value.offset + begin, end - begin, static_cast<unsigned>(first % 8), bits}});
    }
    return {};
}

/// Spec: PS3.5 §8.1.1: one frame behind the other, without padding between.
Result<void> StoreValueLook::native_frames(const Pixels& pixels, const ValuePlace& value) {
    const auto sane = pixels.rows <= 65'535 && pixels.columns <= 65'535 && pixels.samples <= 255 && pixels.bits <= 64;
    auto bits = sane ? pixels.rows * pixels.columns * pixels.samples * pixels.bits : 0;
    if (pixels.is_subsampled) bits = bits / 3 * 2;
    if (pixels.bits == 1 && bits % 8 != 0 && pixels.frames > 1 && !pixels.is_subsampled) return bit_frames(bits, pixels.frames, value);
    if (bits == 0 || (bits % 8 != 0 && pixels.frames > 1))
        return fail(ErrorCode::unsupported, "where a frame begins does not follow from the image's header");
    const auto frame = (bits + 7) / 8;
    if (value.length / frame < pixels.frames || value.length > frame * pixels.frames + 1)
        return fail(ErrorCode::unsupported, "the pixel data is not as long as the image's header says");
    auto& frames = frames_.emplace();
    for (std::uint64_t i = 0; i < pixels.frames; ++i) frames.push_back({{value.offset + i * frame, frame}});
    return {};
}

/// Spec: PS3.5 §A.4. Returns: the values of all items, the offset table's first.
Result<std::vector<ValuePlace>> StoreValueLook::fragments(std::uint64_t offset) {
    std::vector<ValuePlace> items;
    while (true) {
        FID_TRY(const auto head, read_whole({offset, 8}));
        const auto tag = static_cast<std::uint32_t>(little_endian<2>(head) << 16 | little_endian<2>(ByteView(head).subspan(2)));
        const auto length = little_endian<4>(ByteView(head).subspan(4));
        if (tag == kSequenceDelimiter) return items;
        if (tag != kItem || offset + 8 + length > reader_.size())
            return fail(ErrorCode::malformed, "the pixel data's fragments do not add up");
        if (items.size() == kMostFragments) return fail(ErrorCode::limit_exceeded, "the pixel data has too many fragments");
        items.push_back({offset + 8, length});
        offset += 8 + length;
    }
}

/// Where each frame's first fragment begins, counted from the first fragment's item. Empty where the instance does not say.
Result<std::vector<std::uint64_t>> StoreValueLook::offset_table(const std::vector<ValuePlace>& items) {
    std::vector<std::uint64_t> offsets;
    std::optional<dicom::DataSetScanner> scanner;
    FID_TRY(const auto extended, look_for(kExtendedOffsetTable, scanner));
    const bool is_extended = extended && !extended->encapsulated && extended->length > 0;
    const auto place = is_extended ? ValuePlace{extended->offset, extended->length} : items.front();
    if (place.length > kMostTableBytes) return fail(ErrorCode::limit_exceeded, "the pixel data's offset table is too long");
    FID_TRY(const auto bytes, read_whole(place));
    const std::size_t size = is_extended ? 8 : 4;
    for (std::size_t at = 0; at + size <= bytes.size(); at += size) {
        const auto entry = ByteView(bytes).subspan(at, size);
        offsets.push_back(is_extended ? little_endian<8>(entry) : little_endian<4>(entry));
    }
    return offsets;
}

Result<void> StoreValueLook::encapsulated_frames(const Pixels& pixels, std::uint64_t offset) {
    FID_TRY(const auto items, fragments(offset));
    if (items.size() < 2) return fail(ErrorCode::not_found, "the instance has no pixel data");
    const std::span<const ValuePlace> of_frames = std::span(items).subspan(1);
    std::vector<Frame> frames(pixels.frames);
    if (pixels.frames == 1) {
        frames.front().assign(of_frames.begin(), of_frames.end());
    } else if (of_frames.size() == pixels.frames) {
        for (std::size_t i = 0; i < frames.size(); ++i) frames[i].push_back(of_frames[i]);
    } else {
        FID_TRY(const auto table, offset_table(items));
        if (table.size() != frames.size())
            return fail(ErrorCode::unsupported, "which fragments make up a frame cannot be told: the instance has no offset table");
        std::size_t frame = 0;
        for (const auto& fragment : of_frames) {
            const auto at = fragment.offset - of_frames.front().offset;
            while (frame + 1 < frames.size() && table[frame + 1] <= at) ++frame;
            frames[frame].push_back(fragment);
        }
        if (std::any_of(frames.begin(), frames.end(), [](const Frame& one) { return one.empty(); }))
            return fail(ErrorCode::unsupported, "the pixel data's offset table does not fit its fragments");
    }
    frames_ = std::move(frames);
    return {};
}

std::vector<store::InstanceRow> image_rows(std::vector<store::InstanceRow> rows, bool only_one) {
    std::erase_if(rows, [](const store::InstanceRow& row) { return row.frames == 0 || row.rows == 0; });
    const auto number = [](const store::InstanceRow& row) { return std::strtoll(row.number.c_str(), nullptr, 10); };
    std::stable_sort(rows.begin(), rows.end(), [&](const store::InstanceRow& a, const store::InstanceRow& b) {
        if (a.series_uid != b.series_uid) return a.series_uid.text() < b.series_uid.text();
        return number(a) < number(b);
    });
    if (!only_one || rows.empty()) return rows;
    std::size_t first = 0, most = 0, middle = 0;
    for (std::size_t i = 1; i <= rows.size(); ++i) {
        if (i < rows.size() && rows[i].series_uid == rows[first].series_uid) continue;
        if (i - first > most) {
            most = i - first;
            middle = first + most / 2;
        }
        first = i;
    }
    std::vector<store::InstanceRow> one;
    one.push_back(std::move(rows[middle]));
    return one;
}

StoreImageLook::StoreImageLook(store::Store& store, std::vector<store::InstanceRow> images, std::shared_ptr<const CheckedVersion> version,
                               std::uint64_t study_revision, OnDamage on_damage, std::shared_ptr<const AppliedOverlay> overlay)
    : store_(store),
      images_(std::move(images)),
      version_(std::move(version)),
      study_revision_(study_revision),
      on_damage_(std::move(on_damage)),
      overlay_(std::move(overlay)) {}

Result<std::unique_ptr<ValueLook>> StoreImageLook::next() {
    if (next_ == images_.size()) return std::unique_ptr<ValueLook>();
    FID_TRY(auto opened, StoreValueLook::open(store_, images_[next_++], version_.get(), study_revision_, on_damage_, overlay_));
    return std::unique_ptr<ValueLook>(std::move(opened));
}

}  // namespace fiducial::archive
