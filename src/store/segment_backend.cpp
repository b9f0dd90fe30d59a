#include "store/segment_backend.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>

#include "base/file.hpp"

namespace fiducial::store {
namespace {

constexpr std::string_view kSuffix = ".segment";
constexpr std::string_view kDraft = ".draft";

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

std::optional<std::uint32_t> number_in(std::string_view digits) {
    std::uint32_t number = 0;
    const auto [rest, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (digits.size() != 8 || problem != std::errc{} || rest != digits.data() + digits.size() || number == 0) return std::nullopt;
    return number;
}

std::optional<SegmentName> name_in(std::string_view file) {
    if (!file.ends_with(kSuffix)) return std::nullopt;
    file.remove_suffix(kSuffix.size());
    const auto first = number_in(file.substr(0, 8));
    if (!first) return std::nullopt;
    if (file.size() == 8) return SegmentName{*first, *first};
    const auto second = file.size() == 17 && file[8] == '-' ? number_in(file.substr(9)) : std::nullopt;
    if (!second || *second <= *first) return std::nullopt;
    return SegmentName{*second, *first};
}

class LocalSegments final : public SegmentBackend {
public:
    explicit LocalSegments(std::filesystem::path folder) : folder_(std::move(folder)) {}

    Result<std::vector<SegmentName>> list() const override {
        std::vector<SegmentName> names;
        std::error_code error;
        const std::lock_guard lock(mutex_);  // what is published meanwhile is either listed or still to come
        for (std::filesystem::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
            if (const auto name = name_in(entry->path().filename().string())) names.push_back(*name);
        }
        if (error) return fail(ErrorCode::io, "listing " + folder_.string() + ": " + error.message());
        std::sort(names.begin(), names.end());
        places_.clear();
        for (const auto& name : names) {
            if (name.is_rewritten()) places_[name.number] = name.place;
        }
        return names;
    }
    Result<std::shared_ptr<Segment>> create(std::uint32_t number) override { return make(number, path_of({number, number})); }
    Result<std::shared_ptr<Segment>> create_draft(SegmentName name) override { return make(name.number, draft_of(name)); }
    Result<void> publish_draft(SegmentName name) override {
        const std::lock_guard lock(mutex_);
        if (::rename(draft_of(name).c_str(), path_of(name).c_str()) != 0) return fail(error_from_errno(errno, "publishing", path_of(name)));
        if (auto durable = sync_folder(folder_); !durable) {
            static_cast<void>(
                ::rename(path_of(name).c_str(), draft_of(name).c_str()));  // else the next start finds both, and takes this one
            return fail(durable.error().with("publishing " + path_of(name).string()));
        }
        places_[name.number] = name.place;
        return {};
    }
    Result<void> remove_draft(SegmentName name) override { return remove_file(draft_of(name)); }
    Result<std::shared_ptr<Segment>> open(std::uint32_t number, bool writable) override {
        FID_TRY(auto file, File::open(path_of(name_of(number)), writable ? File::Mode::read_write : File::Mode::read));
        return std::make_shared<LocalSegment>(number, std::move(file));
    }
    Result<void> remove(std::uint32_t number) override { return remove_file(path_of(name_of(number))); }

private:
    Result<std::shared_ptr<Segment>> make(std::uint32_t number, const std::filesystem::path& path) {
        FID_TRY(auto file, File::open(path, File::Mode::create_new));
        FID_CHECK(sync_folder(folder_));
        return std::make_shared<LocalSegment>(number, std::move(file));
    }
    static Result<void> remove_file(const std::filesystem::path& path) {
        std::error_code error;
        std::filesystem::remove(path, error);
        if (error) return fail(error_from_errno(error.value(), "removing", path));
        return {};
    }
    SegmentName name_of(std::uint32_t number) const {
        const std::lock_guard lock(mutex_);
        const auto found = places_.find(number);
        return {number, found == places_.end() ? number : found->second};
    }
    std::filesystem::path path_of(SegmentName name) const { return folder_ / segment_file_name(name); }
    std::filesystem::path draft_of(SegmentName name) const { return folder_ / (segment_file_name(name) + std::string(kDraft)); }

    std::filesystem::path folder_;
    mutable std::mutex mutex_;
    mutable std::map<std::uint32_t, std::uint32_t> places_;  // of rewritten ones, as last seen
};

}  // namespace

std::string segment_file_name(SegmentName name) {
    const auto digits = [](std::uint32_t number) {
        auto text = std::to_string(number);
        return text.insert(0, text.size() < 8 ? 8 - text.size() : 0, '0');
    };
    return digits(name.place) + (name.is_rewritten() ? "-" + digits(name.number) : "") + std::string(kSuffix);
}

Result<std::unique_ptr<SegmentBackend>> open_local_segments(const std::filesystem::path& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return fail(error_from_errno(error.value(), "making the folder", folder));
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        std::error_code ignored;
        if (entry->path().extension() == kDraft) std::filesystem::remove(entry->path(), ignored);
    }
    // A name that a killed process gave may not be durable yet, and what it takes the place of is about to be removed.
    FID_CHECK(sync_folder(folder));
    return std::make_unique<LocalSegments>(folder);
}

}  // namespace fiducial::store
