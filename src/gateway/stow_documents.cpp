// STOW-RS with metadata and bulk data; PS3.18 §10.5.1, §8.7.3.
#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <vector>

#include "base/log.hpp"
#include "dicom/data_set_document.hpp"
#include "dicom/data_set_writer.hpp"
#include "dicom/transfer_syntax.hpp"
#include "gateway/impl/media_types.hpp"
#include "gateway/impl/store_run.hpp"
#include "net/http_syntax.hpp"

namespace fiducial::gateway::impl {
namespace {

using dicom::DataSetDocument;
using Event = net::MultipartReader::Event;

constexpr dicom::Tag kPixelData = dicom::tags::kPixelData;
constexpr std::size_t kMostInstances = 100'000;         // of a request
constexpr std::uint64_t kMostValueBytes = 0xffff'fffd;  // of a length field

/// What a part of bulk data says of itself.
struct PartHead {
    std::string location;
    std::string syntax;  // of its values
    std::optional<std::uint64_t> length;
    bool is_fragment = false;  // a compressed frame
};

/// Spec: PS3.18 §8.7.3.3, table 8.7.3-5. Errors: malformed; unsupported.
Result<PartHead> head_of(const net::HeaderFields& headers) {
    PartHead out;
    out.location = headers.find("Content-Location").value_or("");
    if (out.location.empty()) return fail(ErrorCode::malformed, "a part of bulk data without Content-Location");
    const auto field = headers.find("Content-Type");
    FID_TRY(const auto type, net::parse_media_type(field ? std::string_view(*field) : kOctets));
    out.syntax = type.parameter("transfer-syntax").value_or(default_syntax_of(type.essence()));
    const auto* known = dicom::find_transfer_syntax(out.syntax);
    if (known == nullptr || known->big_endian || known->deflated)
        return fail(ErrorCode::unsupported, "bulk data of a media type or transfer syntax that is not taken");
    out.is_fragment = known->encapsulated;
    if (const auto length = headers.find("Content-Length")) {
        std::uint64_t value = 0;
        const auto [stop, problem] = std::from_chars(length->data(), length->data() + length->size(), value);
        if (problem != std::errc{} || stop != length->data() + length->size())
            return fail(ErrorCode::malformed, "a Content-Length that is no number");
        if (value > kMostValueBytes) return fail(ErrorCode::limit_exceeded, "a value that is too long for a data set");
        out.length = value;
    }
    return out;
}

/// One instance, until it is stored or refused.
struct Pending {
    explicit Pending(DataSetDocument described) : document(std::move(described)) {}

    DataSetDocument document;
    std::map<std::string, Bytes, std::less<>> values;  // that came, by address
    std::size_t missing = 0;                           // addresses
    // Of compressed pixel data:
    std::string syntax;         // empty while it is not known
    std::vector<Bytes> frames;  // that came
    bool done = false;

    std::uint64_t frame_count() const {
        const auto text = document.first(dicom::tags::kNumberOfFrames);
        std::uint64_t count = 0;
        std::from_chars(text.data(), text.data() + text.size(), count);
        return std::max<std::uint64_t>(count, 1);
    }
    bool names_pixels(std::string_view uri) const {
        const auto& references = document.references();
        return std::any_of(references.begin(), references.end(),
                           [&](const auto& one) { return one.tag == kPixelData && !one.nested && one.uri == uri; });
    }
};

void append_item_head(Bytes& out, std::uint32_t tag, std::uint64_t length) {
    for (const std::uint32_t half : {tag >> 16, tag & 0xffff}) {
        out.push_back(static_cast<std::uint8_t>(half));
        out.push_back(static_cast<std::uint8_t>(half >> 8));
    }
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<std::uint8_t>(length >> shift));
}

class DocumentRun final : public StoreRun {
public:
    DocumentRun(std::unique_ptr<archive::IngestSession> session, net::MultipartReader reader, std::string study_uid, bool as_xml)
        : StoreRun(std::move(session), std::move(study_uid)), reader_(std::move(reader)), as_xml_(as_xml) {}

    Result<void> take(ByteView bytes) override {
        reader_.feed(bytes);
        for (;;) {
            FID_TRY(const auto event, reader_.next());
            switch (event) {
                case Event::part_begin: FID_CHECK(begin_part()); break;
                case Event::part_data: FID_CHECK(part_data(reader_.data())); break;
                case Event::part_end: FID_CHECK(end_part()); break;
                default: return {};
            }
        }
    }

    Result<void> finish() override {
        FID_CHECK(reader_.finish());
        if (streaming_ != nullptr) stop_streaming();
        for (auto& one : pending_) {
            if (!one->done) refuse(*one, Error{ErrorCode::malformed, "bulk data is missing"});
        }
        return {};
    }

private:
    enum class Part : std::uint8_t { document, kept, streamed, ignored };

    Result<void> begin_part() {
        const auto& headers = reader_.headers();
        const auto field = headers.find("Content-Type");
        const auto type = net::parse_media_type(field ? std::string_view(*field) : kOctets);
        const auto wanted = as_xml_ ? std::string_view("application/dicom+xml") : std::string_view("application/dicom+json");
        gathered_.clear();
        part_ = Part::document;
        if (type && type->essence() == wanted) return {};
        part_ = Part::ignored;
        auto head = head_of(headers);
        if (!head) {
            report_.add_failure(head.error());
            return {};
        }
        head_ = *std::move(head);
        begin_bulk();
        return {};
    }

    void begin_bulk() {
        const auto found = by_address_.find(head_.location);
        if (found == by_address_.end()) {
            report_.add_failure(Error{ErrorCode::malformed, "a part that no metadata name"});
            return;
        }
        const auto is_done = [](const Pending* owner) { return owner->done; };
        if (std::all_of(found->second.begin(), found->second.end(), is_done)) return;
        part_ = Part::kept;
        auto& owner = *found->second.front();
        if (is_next_frame()) {
            if (head_.length) begin_fragment(*head_.length);
            return;
        }
        const bool last = found->second.size() == 1 && owner.missing == 1 && !owner.done && owner.values.count(head_.location) == 0 &&
                          owner.frames.empty();
        if (last && streaming_ == nullptr) begin_streaming(owner);
    }

    /// Whether the part is the next frame of the instance that is open.
    bool is_next_frame() const {
        return streaming_ != nullptr && frames_left_ > 0 && head_.is_fragment && head_.syntax == streaming_->syntax &&
               streaming_->names_pixels(head_.location);
    }

    /// The one value at the top level that is named so, of a VR that holds bytes. Null where it is not as simple as that.
    static const DataSetDocument::Reference* sole_reference(const Pending& owner, std::string_view uri) {
        const DataSetDocument::Reference* found = nullptr;
        for (const auto& one : owner.document.references()) {
            if (one.uri != uri) continue;
            const auto vr = owner.document.vr(one.tag);
            if (found != nullptr || one.nested || !(vr.starts_with('O') || vr == "UN")) return nullptr;
            found = &one;
        }
        return found;
    }

    /// The value that an instance still lacks goes straight into the archive.
    void begin_streaming(Pending& owner) {
        const bool pixels = owner.names_pixels(head_.location);
        const bool fragments = pixels && head_.is_fragment;
        if (!fragments && !head_.length) return;  // kept, until its length is known
        const auto* reference = sole_reference(owner, head_.location);
        if (reference == nullptr) return;
        owner.syntax = fragments ? head_.syntax : std::string(dicom::kExplicitVrLittleEndian);
        if (!begin_writing(owner, reference->tag)) {
            part_ = Part::ignored;
            return;
        }
        streaming_ = &owner;
        streamed_tag_ = reference->tag;
        frames_left_ = fragments ? owner.frame_count() : 0;
        if (fragments) {
            begin_fragments();
            if (head_.length) begin_fragment(*head_.length);
            return;
        }
        dicom::DataSetWriter element;
        element.binary_head(reference->tag, owner.document.vr(reference->tag), static_cast<std::size_t>(*head_.length));
        write(element.bytes());
        part_ = Part::streamed;
        left_ = *head_.length;
    }

    /// Opens the instance and writes what stands before `before`. Returns: whether it is taken; else it is refused, and done.
    bool begin_writing(Pending& owner, dicom::Tag before) {
        Bytes elements;
        const auto written = owner.document.write(elements, 0, before, find_in(owner));
        if (!written) {
            refuse(owner, written.error());
            return false;
        }
        archive::InstanceFormat format;
        format.transfer_syntax_uid = owner.syntax;
        format.study_uid = study_uid_;
        format.sop_class_uid = owner.document.first(dicom::tags::kSopClassUid);
        format.sop_uid = owner.document.first(dicom::tags::kSopInstanceUid);
        if (!begin_instance(format)) {
            owner.done = true;
            return false;
        }
        write(elements);
        return true;
    }

    void begin_fragments() {
        Bytes head;
        append_pixel_head(head);
        write(head);
    }
    static void append_pixel_head(Bytes& out) {
        append(out, Bytes{0xe0, 0x7f, 0x10, 0x00, 0x4f, 0x42, 0, 0, 0xff, 0xff, 0xff, 0xff});  // OB of undefined length
        append_item_head(out, 0xfffee000, 0);
    }
    void begin_fragment(std::uint64_t length) {
        Bytes head;
        append_item_head(head, 0xfffee000, length + length % 2);
        write(head);
        part_ = Part::streamed;
        left_ = length;
    }

    Result<void> part_data(ByteView bytes) {
        if (part_ == Part::ignored) return {};
        if (part_ == Part::streamed) {
            if (bytes.size() > left_) return fail(ErrorCode::malformed, "a part that is longer than its Content-Length");
            left_ -= bytes.size();
            write(bytes);
            return {};
        }
        const auto most = part_ == Part::document ? DataSetDocument::kMostBytes : kMostKeptBytes - std::min(kept_, kMostKeptBytes);
        if (bytes.size() > most - std::min<std::size_t>(most, gathered_.size()))
            return fail(ErrorCode::limit_exceeded,
                        part_ == Part::document ? "metadata of more than " + std::to_string(DataSetDocument::kMostBytes) + " bytes"
                                                : "more bulk data to keep than " + std::to_string(kMostKeptBytes) +
                                                      " bytes: send each instance's in the order of the metadata, with Content-Length");
        append(gathered_, bytes);
        return {};
    }

    Result<void> end_part() {
        switch (part_) {
            case Part::ignored: return {};
            case Part::document: return end_document();
            case Part::streamed:
                if (left_ != 0) return fail(ErrorCode::malformed, "a part that is shorter than its Content-Length");
                if (*head_.length % 2 != 0) write(Bytes{0});
                end_streamed();
                return {};
            case Part::kept: break;
        }
        if (is_next_frame()) {
            begin_fragment(gathered_.size());
            write(gathered_);
            if (gathered_.size() % 2 != 0) write(Bytes{0});
            end_streamed();
            return {};
        }
        keep();
        return {};
    }

    Result<void> end_document() {
        if (as_xml_) {
            FID_TRY(auto document, DataSetDocument::read_xml(as_text(gathered_)));
            return add(std::move(document));
        }
        FID_TRY(auto documents, DataSetDocument::read_json(as_text(gathered_)));
        for (auto& one : documents) FID_CHECK(add(std::move(one)));
        return {};
    }

    Result<void> add(DataSetDocument document) {
        kept_ += gathered_.size();  // what was read of it is larger than its text
        gathered_.clear();
        if (kept_ > kMostKeptBytes || pending_.size() == kMostInstances)
            return fail(ErrorCode::limit_exceeded, "too much metadata in one request");
        pending_.push_back(std::make_unique<Pending>(std::move(document)));
        auto& added = *pending_.back();
        for (const auto& reference : added.document.references()) {
            auto& owners = by_address_[reference.uri];
            if (std::find(owners.begin(), owners.end(), &added) != owners.end()) continue;
            owners.push_back(&added);
            ++added.missing;
        }
        if (added.missing == 0) ready_.push_back(&added);
        store_ready();
        return {};
    }

    /// A value, or one frame of several, that came before its instance could be stored.
    void keep() {
        for (auto* owner : by_address_.find(head_.location)->second) {
            if (owner->done || owner->values.contains(head_.location)) continue;
            kept_ += gathered_.size();
            if (head_.is_fragment && owner->names_pixels(head_.location)) {
                if (!owner->syntax.empty() && owner->syntax != head_.syntax) {
                    if (owner == streaming_) stop_streaming();
                    refuse(*owner, Error{ErrorCode::malformed, "frames in different transfer syntaxes"});
                    continue;
                }
                owner->syntax = head_.syntax;
                owner->frames.push_back(gathered_);
                if (owner->frames.size() < owner->frame_count()) continue;
                owner->values.emplace(head_.location, Bytes());
            } else {
                owner->values.emplace(head_.location, gathered_);
            }
            if (--owner->missing == 0) ready_.push_back(owner);
        }
        gathered_.clear();
        store_ready();
    }

    /// What is open cannot be finished.
    void stop_streaming() {
        abandon_instance();
        streaming_ = nullptr;
        frames_left_ = 0;
    }

    void end_streamed() {
        if (frames_left_ > 1) {
            --frames_left_;
            return;
        }
        auto& owner = *streaming_;
        Bytes rest;
        if (frames_left_ == 1) append_item_head(rest, 0xfffee0dd, 0);
        frames_left_ = 0;
        streaming_ = nullptr;
        end_writing(owner, std::move(rest), streamed_tag_);
        store_ready();
    }

    /// Writes what is left, behind `after`, and ends the instance.
    void end_writing(Pending& owner, Bytes rest, dicom::Tag after) {
        owner.done = true;
        if (const auto written = owner.document.write(rest, after + 1, DataSetDocument::kEnd, find_in(owner)); !written) {
            abandon_instance();
            owner.done = false;
            refuse(owner, written.error());
            return;
        }
        write(rest);
        end_instance();
        release(owner);
    }

    /// What is all here, one after the other; not while another instance is open.
    void store_ready() {
        while (streaming_ == nullptr && !ready_.empty()) {
            auto& owner = *ready_.front();
            ready_.erase(ready_.begin());
            if (owner.done) continue;
            const bool fragments = !owner.frames.empty();
            if (!fragments) owner.syntax = dicom::kExplicitVrLittleEndian;
            if (!begin_writing(owner, fragments ? kPixelData : DataSetDocument::kEnd)) continue;
            if (!fragments) {
                end_writing(owner, {}, DataSetDocument::kEnd - 1);
                continue;
            }
            begin_fragments();
            for (const auto& frame : owner.frames) {
                Bytes head;
                append_item_head(head, 0xfffee000, frame.size() + frame.size() % 2);
                write(head);
                write(frame);
                if (frame.size() % 2 != 0) write(Bytes{0});
            }
            Bytes rest;
            append_item_head(rest, 0xfffee0dd, 0);
            end_writing(owner, std::move(rest), kPixelData);
        }
    }

    void refuse(Pending& owner, const Error& error) {
        if (owner.done) return;
        owner.done = true;
        archive::InstanceOutcome outcome;
        outcome.error = error;
        outcome.sop_uid = owner.document.first(dicom::tags::kSopInstanceUid);
        outcome.sop_class_uid = owner.document.first(dicom::tags::kSopClassUid);
        report_.add(outcome);
        release(owner);
    }

    /// What is kept of an instance is no longer needed.
    void release(Pending& owner) {
        std::size_t size = 0;
        for (const auto& [uri, value] : owner.values) size += value.size();
        for (const auto& frame : owner.frames) size += frame.size();
        kept_ -= std::min(kept_, size);
        owner.values.clear();
        owner.frames.clear();
    }

    static DataSetDocument::Find find_in(const Pending& owner) {
        return [&owner](std::string_view uri) -> const Bytes* {
            const auto found = owner.values.find(uri);
            return found == owner.values.end() ? nullptr : &found->second;
        };
    }

    net::MultipartReader reader_;
    const bool as_xml_;
    std::vector<std::unique_ptr<Pending>> pending_;
    std::map<std::string, std::vector<Pending*>, std::less<>> by_address_;
    std::vector<Pending*> ready_;  // all of it is here
    std::size_t kept_ = 0;

    Part part_ = Part::ignored;
    PartHead head_;
    Bytes gathered_;
    Pending* streaming_ = nullptr;  // the instance that is open
    dicom::Tag streamed_tag_ = 0;
    std::uint64_t frames_left_ = 0;  // of it; 0: its value is not in frames
    std::uint64_t left_ = 0;         // of the part
};

}  // namespace

std::unique_ptr<StoreRun> store_documents(std::unique_ptr<archive::IngestSession> session, net::MultipartReader reader,
                                          std::string study_uid, bool as_xml) {
    return std::make_unique<DocumentRun>(std::move(session), std::move(reader), std::move(study_uid), as_xml);
}

}  // namespace fiducial::gateway::impl
