#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "crypto/secret.hpp"

namespace fiducial::app {

/// What a file holds, without the end of its last line. `name`: what it is, for messages.
/// Errors: permission when others can read it; invalid_argument when it is empty.
Result<crypto::Secret> read_secret_file(const std::filesystem::path& file, std::string_view name);

/// Where a passphrase comes from: --passphrase-file, FIDUCIAL_PASSPHRASE, or a prompt on the terminal, in this order.
/// Errors: invalid_argument when there is none of them; permission when others can read the file.
Result<crypto::Secret> obtain_passphrase(const std::filesystem::path& file, std::string_view prompt, bool twice);

/// Lines from standard input up to an empty one, or its end. Errors: invalid_argument when nothing more comes; limit_exceeded.
Result<crypto::Secret> type_lines();

/// Asks on the terminal. Errors: invalid_argument where there is no terminal to answer on; cancelled for any answer but yes.
Result<void> confirm(std::string_view question);

/// Set by SIGINT and SIGTERM; what runs looks at it and ends in order. A second signal ends at once.
std::atomic<bool>& stop_requested();
void catch_signals();

/// "12.3 MB"
std::string human_bytes(std::uint64_t bytes);
/// "3 min 20 s"
std::string human_time(std::chrono::milliseconds time);

/// One line on standard error that shows how far something is, with rate and time left; silent where that is no terminal.
class ProgressLine {
public:
    explicit ProgressLine(bool wanted);
    ~ProgressLine();
    void show(std::uint64_t done, std::uint64_t total, std::uint64_t items_done, std::uint64_t items_total, std::string_view items);
    void clear();

private:
    const bool wanted_;
    const std::chrono::steady_clock::time_point begun_;
    std::chrono::steady_clock::time_point shown_{};
    bool visible_ = false;
};

/// Colours where standard output is a terminal, NO_COLOR is not set, and nobody switched them off.
void no_colours();
std::string good(std::string_view text);
std::string bad(std::string_view text);
std::string faint(std::string_view text);
std::string strong(std::string_view text);

}  // namespace fiducial::app
