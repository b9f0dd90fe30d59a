#include "store/segment_backend.hpp"

#include <algorithm>
#include <charconv>

#include "base/file.hpp"

namespace fiducial::store {
namespace {

constexpr std::string_view kSuffix = ".segment";

class LocalSegment final : public Segment {
public:
    LocalSegment(std::uint32_t number, File file) : number_(number), file_(std::move(file)) {}
    std::uint32_t number() const override { return number_; }
    std::string name() const override { return file_.path().string(); }
    Result<std::uint64_t> size() const override { return file_.size(); }
    Result<void> read_exactly_at(std::uint64_t offset, MutableByteView out) const override { return file_.read_exactly_at(offset, out); }
    Result<void> write_at(std::uint64_t offset, ByteView bytes) override { return file_.write_at(offset, bytes); }
    Result<void> sync() override { return file_.sync_data(); }
    Result<void> truncate(std::uint64_t size) override {
        FID_CHECK(file_.truncate(size));
        return file_.sync();
    }

private:
    std::uint32_t number_;
    File file_;
};

class LocalSegments final : public SegmentBackend {
public:
    explicit LocalSegments(std::filesystem::path folder) : folder_(std::move(folder)) {}

    Result<std::vector<std::uint32_t>> list() const override {
        std::vector<std::uint32_t> numbers;
        std::error_code error;
        for (std::filesystem::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
            const auto name = entry->path().filename().string();
            if (name.size() != 8 + kSuffix.size() || !name.ends_with(kSuffix)) continue;
            std::uint32_t number = 0;
            const auto [rest, problem] = std::from_chars(name.data(), name.data() + 8, number);
            if (problem == std::errc{} && rest == name.data() + 8 && number > 0) numbers.push_back(number);
        }
        if (error) return fail(ErrorCode::io, "listing " + folder_.string() + ": " + error.message());
        std::sort(numbers.begin(), numbers.end());
        return numbers;
    }
    Result<std::shared_ptr<Segment>> create(std::uint32_t number) override {
        FID_TRY(auto file, File::open(path_of(number), File::Mode::create_new));
        FID_CHECK(sync_folder(folder_));
        return std::make_shared<LocalSegment>(number, std::move(file));
    }
    Result<std::shared_ptr<Segment>> open(std::uint32_t number, bool writable) override {
        FID_TRY(auto file, File::open(path_of(number), writable ? File::Mode::read_write : File::Mode::read));
        return std::make_shared<LocalSegment>(number, std::move(file));
    }
    Result<void> remove(std::uint32_t number) override {
        std::error_code error;
        std::filesystem::remove(path_of(number), error);
        if (error) return fail(error_from_errno(error.value(), "removing", path_of(number)));
        return {};
    }

private:
    std::filesystem::path path_of(std::uint32_t number) const {
        return folder_ / segment_file_name(number);
    }
    std::filesystem::path folder_;
};

}  // namespace

std::string segment_file_name(std::uint32_t number) {
    auto digits = std::to_string(number);
    digits.insert(0, digits.size() < 8 ? 8 - digits.size() : 0, '0');
    return digits + std::string(kSuffix);
}

Result<std::unique_ptr<SegmentBackend>> open_local_segments(const std::filesystem::path& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return fail(error_from_errno(error.value(), "making the folder", folder));
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
    return std::make_unique<LocalSegments>(folder);
}

}  // namespace fiducial::store
