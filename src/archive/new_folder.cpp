#include "archive/new_folder.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <vector>

#include "archive/site.hpp"
#include "base/file.hpp"

namespace fiducial::archive {
namespace {

namespace fs = std::filesystem;

/// Nothing in them was ever used.
void remove_what_was_interrupted(const fs::path& place, std::string_view word) {
    const auto prefix = place.filename().string() + "." + std::string(word) + "-";
    std::vector<fs::path> left;
    std::error_code ec;
    for (fs::directory_iterator it(place.parent_path(), ec), end; !ec && it != end; it.increment(ec)) {
        const auto name = it->path().filename().string();
        if (!name.starts_with(prefix) || name.size() == prefix.size()) continue;
        const auto process = name.substr(prefix.size());
        if (process.find_first_not_of("0123456789") != std::string::npos) continue;
        if (process == std::to_string(::getpid()) || !fs::exists("/proc/" + process, ec)) left.push_back(it->path());
    }
    for (const auto& folder : left) fs::remove_all(folder, ec);
}

}  // namespace

Result<NewFolder> NewFolder::begin(const fs::path& wanted, std::string_view word) {
    auto place = fs::absolute(wanted).lexically_normal();
    if (!place.has_filename()) place = place.parent_path();
    FID_CHECK(check_site_place(wanted));
    std::error_code ec;
    remove_what_was_interrupted(place, word);
    auto beside = place;
    beside += "." + std::string(word) + "-" + std::to_string(::getpid());
    fs::create_directories(place.parent_path(), ec);
    if (ec) return fail(error_from_errno(ec.value(), "making folder", place.parent_path()));
    if (::mkdir(beside.c_str(), 0700) != 0) return fail(error_from_errno(errno, "making folder", beside));
    return NewFolder(std::move(place), std::move(beside));
}

NewFolder::NewFolder(NewFolder&& other) noexcept : place_(std::move(other.place_)), beside_(std::move(other.beside_)) {
    other.beside_.clear();
}

NewFolder::~NewFolder() {
    std::error_code ec;
    if (!beside_.empty()) fs::remove_all(beside_, ec);
}

Result<void> NewFolder::put_in_place() {
    std::error_code ec;
    fs::remove(place_, ec);
    fs::rename(beside_, place_, ec);
    if (ec) return fail(error_from_errno(ec.value(), "moving what was made to", place_));
    beside_.clear();
    return sync_folder(place_.parent_path());
}

}  // namespace fiducial::archive
