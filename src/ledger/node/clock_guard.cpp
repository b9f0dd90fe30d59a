#include "ledger/node/clock_guard.hpp"

#include <sys/timex.h>

#include <charconv>
#include <ctime>

#include "base/file.hpp"

namespace fiducial::ledger {
namespace {

using std::chrono::milliseconds;

// Clocks drift by seconds a day; whoever sets one wrongly by hand, or a time zone, is off by an hour at least.
constexpr std::chrono::minutes kFarAhead{30};
constexpr std::chrono::minutes kNews{1};
constexpr std::uint64_t kMaxFileBytes = 256;

}  // namespace

KernelTime kernel_time() {
    KernelTime out;
    if (const auto file = File::open("/proc/sys/kernel/random/boot_id", File::Mode::read)) {  // of no size, like all files there
        Bytes id(kMaxFileBytes);
        id.resize(file->read_at(0, id).value_or(0));
        out.boot_id = as_text(id);
        while (!out.boot_id.empty() && out.boot_id.back() == '\n') out.boot_id.pop_back();
    }
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    out.since_boot = std::chrono::duration_cast<milliseconds>(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
    timex state{};
    const int outcome = ::adjtimex(&state);
    out.synchronised = outcome >= 0 && outcome != TIME_ERROR;
    return out;
}

std::filesystem::path clock_file(const std::filesystem::path& node_folder) {
    return node_folder / "clock";
}

ClockGuard::ClockGuard(std::filesystem::path file, const Clock& clock, KernelTime (*kernel)())
    : file_(std::move(file)), clock_(clock), kernel_(kernel) {}

ClockGuard::Known ClockGuard::now() const {
    auto kernel = kernel_();
    return {std::move(kernel.boot_id), clock_.now().time_since_epoch() - kernel.since_boot};
}

void ClockGuard::load() {
    known_.reset();
    const auto file = read_file(file_, kMaxFileBytes);
    if (!file) return;
    const auto text = as_text(*file);
    const auto space = text.find(' ');
    const auto end = text.find('\n');
    if (space == std::string_view::npos || end == std::string_view::npos || end < space) return;
    milliseconds::rep booted = 0;
    const auto digits = text.substr(space + 1, end - space - 1);
    const auto [behind, error] = std::from_chars(digits.data(), digits.data() + digits.size(), booted);
    if (error != std::errc() || behind != digits.data() + digits.size()) return;
    known_ = Known{std::string(text.substr(0, space)), milliseconds(booted)};
}

Result<void> ClockGuard::check() const {
    if (!known_) return {};
    const auto present = now();
    const auto ahead = present.booted - known_->booted;
    if (present.boot_id != known_->boot_id || ahead < kFarAhead || kernel_().synchronised) return {};
    return fail(ErrorCode::invalid_argument,
                "the machine's clock went " + std::to_string(std::chrono::round<std::chrono::minutes>(ahead).count()) +
                    " minutes ahead since it was last known to be right: blocks sealed now would stop the chain for so long once it is put "
                    "right; set the clock, and run a time service (the node starts by itself then), or, if the clock is right now, say so: "
                    "fiducial ledger trust-clock");
}

Result<void> ClockGuard::keep() {
    FID_CHECK(check());
    const auto present = now();
    if (present.boot_id.empty()) return {};
    if (known_ && present.boot_id == known_->boot_id && std::chrono::abs(present.booted - known_->booted) < kNews) return {};
    return trust();
}

Result<void> ClockGuard::trust() {
    auto present = now();
    FID_CHECK(write_file_atomically(file_, as_bytes(present.boot_id + " " + std::to_string(present.booted.count()) + "\n")));
    known_ = std::move(present);
    return {};
}

}  // namespace fiducial::ledger
