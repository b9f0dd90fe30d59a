#pragma once
#include <filesystem>
#include <string_view>

#include "base/result.hpp"

namespace fiducial::archive {

/// A folder that is made whole or not at all: beside its place, as `PLACE.<word>-<process>`, and moved there at the end. What is not moved
/// goes with this object; what a killed process left goes at the next attempt.
class NewFolder {
public:
    /// Errors: those of check_site_place; io; permission.
    static Result<NewFolder> begin(const std::filesystem::path& place, std::string_view word);
    NewFolder(NewFolder&& other) noexcept;
    NewFolder& operator=(NewFolder&&) = delete;
    ~NewFolder();

    /// Where it is until then.
    const std::filesystem::path& path() const { return beside_; }
    /// Durable when it returns.
    Result<void> put_in_place();

private:
    NewFolder(std::filesystem::path place, std::filesystem::path beside) : place_(std::move(place)), beside_(std::move(beside)) {}
    std::filesystem::path place_, beside_;
};

}  // namespace fiducial::archive
