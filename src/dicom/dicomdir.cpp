#include "dicom/dicomdir.hpp"

#include <algorithm>

#include "dicom/impl/prefix.hpp"
#include "dicom/impl/text.hpp"
#include "dicom/impl/tokenizer.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::size_t kMaxBytes = 64u << 20;
constexpr std::size_t kMaxDepth = 32;
constexpr Tag kRecordSequence = 0x00041220;
constexpr Tag kReferencedFileId = 0x00041500;
constexpr Tag kReferencedSopInstance = 0x00041511;

struct MetaElements {
    std::string sop_class, syntax;
    std::size_t end = 0;
};

Result<MetaElements> read_meta(ByteView file) {
    constexpr impl::Encoding kMeta{true, false};
    if (file.size() < 132 || as_text(file.subspan(128, 4)) != "DICM")
        return fail(ErrorCode::malformed, "this is not a DICOMDIR: no \"DICM\" at offset 128");
    MetaElements meta;
    meta.end = 132;
    while (file.size() - meta.end >= 8 && impl::read_u16(file.data() + meta.end, false) == 2) {
        const auto rest = file.subspan(meta.end);
        const auto size = impl::head_size(rest.first(8), kMeta);
        if (!size || rest.size() < *size) break;
        const auto head = impl::read_head(rest.first(*size), kMeta);
        if (head.length > rest.size() - *size) break;
        const auto value = impl::trim(as_text(rest.subspan(*size, head.length)));
        if (head.tag == 0x00020002) meta.sop_class = value;
        if (head.tag == tags::kTransferSyntaxUid) meta.syntax = value;
        meta.end += *size + head.length;
    }
    return meta;
}

// "IMAGES\CT\IM1" to "IMAGES/CT/IM1"; nothing where it could leave the folder.
std::optional<std::string> safe_path(std::string_view id) {
    std::string path;
    for (const auto& component : impl::split_values(id)) {
        const bool bad = component.empty() || component == "." || component == ".." || component.size() > 255 ||
                         std::any_of(component.begin(), component.end(),
                                     [](char c) { return c == '/' || c == ':' || static_cast<unsigned char>(c) < 0x20; });
        if (bad) return std::nullopt;
        if (!path.empty()) path += '/';
        path += component;
    }
    if (path.empty()) return std::nullopt;
    return path;
}

// Walks elements and items in one pass: every element head is looked at, whatever nests it.
class RecordWalker {
public:
    RecordWalker(ByteView bytes, impl::Encoding encoding) : bytes_(bytes), encoding_(encoding) {}

    Result<std::vector<DirectoryEntry>> run() {
        FID_CHECK(elements(bytes_.size(), false, 0));
        if (unsafe_ != 0 && entries_.empty()) return fail(ErrorCode::malformed, "the DICOMDIR names files outside of its folder only");
        return std::move(entries_);
    }

private:
    tl::unexpected<Error> malformed(std::string_view what) const {
        return fail(ErrorCode::malformed, "the DICOMDIR " + std::string(what) + " at offset " + std::to_string(at_) + " of its data set");
    }

    Result<impl::ElementHead> next_head(std::size_t end) {
        if (end - at_ < 8) return malformed("ends inside the head of an element");
        const auto size = impl::head_size(bytes_.subspan(at_, 8), encoding_);
        if (!size) return malformed("has no value representation");
        if (end - at_ < *size) return malformed("ends inside the head of an element");
        const auto head = impl::read_head(bytes_.subspan(at_, *size), encoding_);
        at_ += *size;
        return head;
    }

    // Until `end`, or until an item delimiter.
    Result<void> elements(std::size_t end, bool delimited, std::size_t depth) {
        if (depth > kMaxDepth)
            return fail(ErrorCode::limit_exceeded, "the DICOMDIR is nested deeper than " + std::to_string(kMaxDepth) + " sequences");
        while (at_ < end) {
            FID_TRY(const auto head, next_head(end));
            if (delimited && head.tag == impl::kItemDelimiter) return {};
            if (group_of(head.tag) == 0xfffe) return malformed("has an item or delimiter where an element should be");
            const bool open = head.length == impl::kUndefinedLength;
            if (!open && head.length > end - at_) return malformed("is cut off");
            if (head.vr == "SQ" || open) {
                FID_CHECK(sequence(open ? end : at_ + head.length, open, depth, head.tag == kRecordSequence && depth == 0));
                continue;
            }
            if (depth == 1 && in_records_) note(head.tag, as_text(bytes_.subspan(at_, head.length)));
            at_ += head.length;
        }
        return delimited ? Result<void>(malformed("ends before the delimiter of an item")) : Result<void>{};
    }

    Result<void> sequence(std::size_t end, bool delimited, std::size_t depth, bool records) {
        while (at_ < end) {
            if (end - at_ < 8) return malformed("ends inside the head of an item");
            const auto head = impl::read_head(bytes_.subspan(at_, 8), impl::Encoding{false, encoding_.big_endian});
            at_ += 8;
            if (delimited && head.tag == impl::kSequenceDelimiter) return {};
            if (head.tag != impl::kItem) return malformed("has no item where one should be");
            const bool open = head.length == impl::kUndefinedLength;
            if (!open && head.length > end - at_) return malformed("is cut off");
            if (records) in_records_ = true, current_ = {};
            FID_CHECK(elements(open ? end : at_ + head.length, open, depth + 1));
            if (records) in_records_ = false, close_record();
        }
        return delimited ? Result<void>(malformed("ends before the delimiter of a sequence")) : Result<void>{};
    }

    void note(Tag tag, std::string_view value) {
        if (tag == kReferencedFileId) file_id_ = value;
        if (tag == kReferencedSopInstance) current_.sop_instance = impl::trim(value);
    }

    void close_record() {
        if (!impl::trim(file_id_).empty()) {
            if (auto path = safe_path(file_id_)) {
                current_.path = *std::move(path);
                entries_.push_back(std::move(current_));
            } else {
                ++unsafe_;
            }
        }
        file_id_.clear();
        current_ = {};
    }

    ByteView bytes_;
    impl::Encoding encoding_;
    std::size_t at_ = 0;
    bool in_records_ = false;
    std::string file_id_;
    DirectoryEntry current_;
    std::vector<DirectoryEntry> entries_;
    std::size_t unsafe_ = 0;
};

}  // namespace

Result<std::vector<DirectoryEntry>> read_dicomdir(ByteView file) {
    if (file.size() > kMaxBytes) return fail(ErrorCode::limit_exceeded, "the DICOMDIR is larger than 64 MiB");
    FID_TRY(const auto meta, read_meta(file));
    if (meta.sop_class != impl::kMediaStorageDirectory)
        return fail(ErrorCode::malformed, "group 0002 does not say Media Storage Directory");
    const auto* syntax = find_transfer_syntax(meta.syntax.empty() ? kExplicitVrLittleEndian : std::string_view(meta.syntax));
    if (syntax == nullptr || syntax->deflated)
        return fail(ErrorCode::unsupported, "the DICOMDIR is in a transfer syntax that is not known");
    return RecordWalker(file.subspan(meta.end), impl::Encoding{syntax->explicit_vr, syntax->big_endian}).run();
}

bool is_dicomdir(ByteView first_bytes) {
    const auto meta = read_meta(first_bytes);
    return meta && meta->sop_class == impl::kMediaStorageDirectory;
}

}  // namespace fiducial::dicom
