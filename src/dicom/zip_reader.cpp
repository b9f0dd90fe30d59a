#include "dicom/zip_reader.hpp"

#include <zip.h>

#include <algorithm>
#include <optional>

#include "base/utf8.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::uint64_t kRatioFrom = 16u << 20;  // small entries may be as compressible as they like

struct ZipCloser {
    void operator()(zip_t* zip) const { zip_discard(zip); }
};
struct ZipFileCloser {
    void operator()(zip_file_t* file) const { zip_fclose(file); }
};

Error open_error(int number, const std::filesystem::path& path) {
    const auto name = path.filename().string();
    switch (number) {
        case ZIP_ER_NOENT: return {ErrorCode::not_found, name + " is not there"};
        case ZIP_ER_OPEN:
        case ZIP_ER_READ:
        case ZIP_ER_SEEK: return {ErrorCode::io, name + " cannot be read"};
        case ZIP_ER_MEMORY: return {ErrorCode::limit_exceeded, name + " needs more memory than there is"};
        default: return {ErrorCode::malformed, name + " is not a ZIP file, or a damaged one"};
    }
}

// Errors: malformed for a name that could leave the folder it is unpacked in.
Result<void> check_name(std::string_view name) {
    if (name.empty() || name.size() > 4096) return fail(ErrorCode::malformed, "a ZIP entry has no name or one longer than 4096 bytes");
    if (!is_utf8(name)) return fail(ErrorCode::malformed, "a ZIP entry has a name that is not UTF-8");
    const bool control = std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    if (control || name.front() == '/' || name.find('\\') != std::string_view::npos || (name.size() > 1 && name[1] == ':')) {
        return fail(ErrorCode::malformed, "a ZIP entry has an absolute or odd name");
    }
    for (std::size_t from = 0; from <= name.size();) {
        const auto to = std::min(name.find('/', from), name.size());
        if (name.substr(from, to - from) == "..") return fail(ErrorCode::malformed, "a ZIP entry leads out of its folder by \"..\"");
        from = to + 1;
    }
    return {};
}

bool is_link_or_device(zip_t* zip, std::uint64_t index) {
    zip_uint8_t system = 0;
    zip_uint32_t attributes = 0;
    if (zip_file_get_external_attributes(zip, index, 0, &system, &attributes) != 0 || system != ZIP_OPSYS_UNIX) return false;
    const auto type = (attributes >> 16) & 0170000u;
    return type != 0 && type != 0100000u && type != 0040000u;
}

}  // namespace

struct ZipReader::State {
    std::unique_ptr<zip_t, ZipCloser> zip;
    ZipLimits limits;
    std::vector<ZipEntry> entries;
    std::vector<RefusedZipEntry> refused;

    Result<void> list() {
        const auto count = zip_get_num_entries(zip.get(), 0);
        if (count < 0) return fail(ErrorCode::malformed, "the ZIP file has no directory");
        if (static_cast<std::uint64_t>(count) > limits.entries)
            return fail(ErrorCode::limit_exceeded, "the ZIP file has more than " + std::to_string(limits.entries) + " entries");
        std::uint64_t total = 0;
        for (std::uint64_t index = 0; index < static_cast<std::uint64_t>(count); ++index) {
            auto entry = describe_entry(index);
            if (entry && *entry && (*entry)->size > limits.total_bytes - total) {
                entry = fail(ErrorCode::limit_exceeded, "with entry " + std::to_string(index) + " the ZIP file unpacks to more than " +
                                                            std::to_string(limits.total_bytes) + " bytes");
            }
            if (!entry) {
                const char* name = zip_get_name(zip.get(), index, 0);
                refused.push_back({name == nullptr ? "entry " + std::to_string(index) : name, entry.error()});
            } else if (*entry) {
                total += (*entry)->size;
                entries.push_back(**std::move(entry));
            }
        }
        return {};
    }

    // Returns: nothing for a folder.
    Result<std::optional<ZipEntry>> describe_entry(std::uint64_t index) {
        zip_stat_t stat;
        zip_stat_init(&stat);
        constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
        if (zip_stat_index(zip.get(), index, 0, &stat) != 0 || (stat.valid & kNeeded) != kNeeded)
            return fail(ErrorCode::malformed, "entry " + std::to_string(index) + " of the ZIP file cannot be read");
        const std::string_view name = stat.name;
        FID_CHECK(check_name(name));
        if (name.back() == '/') return std::optional<ZipEntry>{};
        if (is_link_or_device(zip.get(), index))
            return fail(ErrorCode::malformed, "entry " + std::to_string(index) + " of the ZIP file is a link or device");
        if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE)
            return fail(ErrorCode::unsupported, "entry " + std::to_string(index) + " of the ZIP file is encrypted");
        if (stat.size > limits.entry_bytes)
            return fail(ErrorCode::limit_exceeded, "entry " + std::to_string(index) + " of the ZIP file is larger than " +
                                                       std::to_string(limits.entry_bytes) + " bytes");
        const bool suspicious = stat.size > kRatioFrom && stat.size / std::max<std::uint64_t>(stat.comp_size, 1) > limits.ratio;
        if (suspicious)
            return fail(ErrorCode::limit_exceeded, "entry " + std::to_string(index) + " of the ZIP file unpacks to more than " +
                                                       std::to_string(limits.ratio) + " times its size");
        return std::optional<ZipEntry>(ZipEntry{index, std::string(name), stat.size});
    }
};

ZipReader::ZipReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ZipReader::ZipReader(ZipReader&&) noexcept = default;
ZipReader& ZipReader::operator=(ZipReader&&) noexcept = default;
ZipReader::~ZipReader() = default;

Result<ZipReader> ZipReader::open(const std::filesystem::path& path, ZipLimits limits) {
    auto state = std::make_unique<State>();
    int number = 0;
    state->zip.reset(zip_open(path.c_str(), ZIP_RDONLY, &number));
    if (!state->zip) return fail(open_error(number, path));
    state->limits = limits;
    FID_CHECK(state->list());
    return ZipReader(std::move(state));
}

const std::vector<ZipEntry>& ZipReader::entries() const {
    return state_->entries;
}
const std::vector<RefusedZipEntry>& ZipReader::refused() const {
    return state_->refused;
}

Result<void> ZipReader::read(const ZipEntry& entry, const std::function<Result<void>(ByteView)>& sink) const {
    const std::unique_ptr<zip_file_t, ZipFileCloser> file(zip_fopen_index(state_->zip.get(), entry.index, 0));
    const auto what = "entry " + std::to_string(entry.index) + " of the ZIP file";
    if (!file) return fail(ErrorCode::unsupported, what + " is packed in a way that is not known");
    Bytes buffer(256u << 10);
    std::uint64_t total = 0;
    for (;;) {
        const auto got = zip_fread(file.get(), buffer.data(), buffer.size());
        if (got < 0) return fail(ErrorCode::malformed, what + " is damaged at offset " + std::to_string(total));
        if (got == 0) break;
        total += static_cast<std::uint64_t>(got);
        if (total > entry.size) return fail(ErrorCode::limit_exceeded, what + " is larger than it says");
        FID_CHECK(sink(ByteView(buffer).first(static_cast<std::size_t>(got))));
    }
    if (total != entry.size) return fail(ErrorCode::malformed, what + " is shorter than it says");
    return {};
}

}  // namespace fiducial::dicom
