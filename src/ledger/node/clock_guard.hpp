#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace fiducial::ledger {

/// What the kernel knows of time besides the wall clock.
struct KernelTime {
    std::string boot_id;                      // another one after each boot
    std::chrono::milliseconds since_boot{0};  // sleep included; nobody can set it
    bool synchronised = false;                // the wall clock, by a time service
};
KernelTime kernel_time();

/// Tells a wall clock that was set far ahead from one that only went on, within one boot: a single signer with such a clock seals blocks of
/// the future, and seals nothing until then once the clock is put right. Remembers in a file of a line when the machine was booted by a
/// clock that was taken for right. A clock that a time service keeps is right. Threads: one at a time.
class ClockGuard {
public:
    ClockGuard(std::filesystem::path file, const Clock& clock, KernelTime (*kernel)() = kernel_time);

    /// Reads the file again: somebody may have said that the clock is right. A file that is missing or damaged knows nothing.
    void load();
    /// Errors: invalid_argument, saying by how much and what to do: the clock is far ahead of the one that was known in this boot.
    Result<void> check() const;
    /// Remembers the clock as it is, where check() lets it pass; writes only what is news.
    Result<void> keep();
    /// Says that the clock is right, whatever is known.
    Result<void> trust();

private:
    struct Known {
        std::string boot_id;
        std::chrono::milliseconds booted{0};  // since 1970, by the wall clock
    };
    Known now() const;

    std::filesystem::path file_;
    const Clock& clock_;
    KernelTime (*kernel_)();
    std::optional<Known> known_;
};

/// Of a node's folder.
std::filesystem::path clock_file(const std::filesystem::path& node_folder);

}  // namespace fiducial::ledger
