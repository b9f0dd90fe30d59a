#include "evidence/file_fingerprint.hpp"

#include "base/file.hpp"
#include "evidence/part10.hpp"

namespace fiducial::evidence {

void FileFingerprinter::split() {
    split_done_ = true;
    const auto found = split_part10(head_);
    if (found) {
        transfer_syntax_uid_ = found->transfer_syntax_uid;
        data_set_.update(ByteView(head_).subspan(static_cast<std::size_t>(found->data_set_offset)));
    } else {
        has_data_set_ = false;
        note_ = found.error().message;
    }
    head_ = {};
}

void FileFingerprinter::update(ByteView bytes) {
    whole_.update(bytes);
    if (!split_done_) {
        const auto wanted = std::min(bytes.size(), kMaxPart10PrefixBytes - head_.size());
        append(head_, bytes.first(wanted));
        bytes = bytes.subspan(wanted);
        if (head_.size() < kMaxPart10PrefixBytes) return;
        split();
    }
    if (has_data_set_) data_set_.update(bytes);
}

FileFingerprint FileFingerprinter::finish() {
    if (!split_done_) split();
    FileFingerprint out;
    out.file_sha256 = whole_.finish();
    out.transfer_syntax_uid = transfer_syntax_uid_;
    out.note = note_;
    if (!has_data_set_) return out;
    auto data_set = data_set_.finish();
    if (data_set) {
        out.data_set = *std::move(data_set);
    } else {
        out.note = data_set.error().message;
    }
    return out;
}

Result<FileFingerprint> fingerprint_file(const std::filesystem::path& path) {
    FID_TRY(const File file, File::open(path, File::Mode::read));
    FileFingerprinter fingerprinter;
    Bytes buffer(std::size_t{1} << 20);
    for (std::uint64_t offset = 0;;) {
        FID_TRY(const std::size_t count, file.read_at(offset, buffer));
        if (count == 0) return fingerprinter.finish();
        fingerprinter.update(ByteView(buffer).first(count));
        offset += count;
    }
}

}  // namespace fiducial::evidence
