#include "store/disk_watch.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/file.hpp"
#include "base/log.hpp"

namespace fiducial::store {
namespace {

std::string bytes_text(std::uint64_t bytes) {
    static constexpr std::array<const char*, 4> kUnits{"KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes) / 1024;
    std::size_t unit = 0;
    for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "%.1f %s", value, kUnits[unit]);
    return text.data();
}

std::uint64_t threshold(const DiskMarks::Mark& mark, std::uint64_t total, std::uint64_t reserve) {
    return std::max(reserve, std::min(mark.bytes, total / 100 * mark.percent));
}

}  // namespace

std::string_view name_of(DiskState state) {
    switch (state) {
        case DiskState::ample: return "ample";
        case DiskState::low: return "low";
        case DiskState::full: return "full";
    }
    return "unknown";
}

std::string DiskRoom::text() const {
    return bytes_text(free_bytes) + " of " + bytes_text(total_bytes) + " are free where " + folder.string() + " lies";
}

Result<DiskWatch::Space> DiskWatch::measure_space(const std::filesystem::path& folder) {
    std::error_code error;
    const auto space = std::filesystem::space(folder, error);
    if (error) return fail(error_from_errno(error.value(), "reading the free room of", folder));
    return Space{space.available, space.capacity};
}

DiskWatch::DiskWatch(std::vector<std::filesystem::path> folders, DiskMarks marks, Measure measure)
    : folders_(std::move(folders)), marks_(marks), measure_(std::move(measure)) {}

Result<DiskRoom> DiskWatch::look() const {
    DiskRoom worst;
    bool any = false;
    for (const auto& folder : folders_) {
        const auto space = measure_(folder);
        if (!space && space.error().code == ErrorCode::not_found) continue;
        if (!space) return fail(space.error());
        DiskRoom room{folder, space->free_bytes, space->total_bytes, threshold(marks_.warn, space->total_bytes, marks_.reserve),
                      threshold(marks_.refuse, space->total_bytes, marks_.reserve)};
        if (room.free_bytes < room.refuse_below)
            room.state = DiskState::full;
        else if (room.free_bytes < room.warn_below)
            room.state = DiskState::low;
        if (!any || room.state > worst.state || (room.state == worst.state && room.free_bytes < worst.free_bytes)) worst = room;
        any = true;
    }
    const std::lock_guard lock(mutex_);
    if (worst.state == told_) return worst;
    told_ = worst.state;
    if (worst.state == DiskState::ample) log::info("store", "there is room on the disk again: " + worst.text());
    if (worst.state == DiskState::low)
        log::warning("store", "the disk fills up: " + worst.text(), {{"refused_below_bytes", worst.refuse_below}});
    if (worst.state == DiskState::full)
        log::error("store", "the disk is full, nothing new is stored: " + worst.text(), {{"refused_below_bytes", worst.refuse_below}});
    return worst;
}

Result<void> DiskWatch::admit() const {
    FID_TRY(const auto room, look());
    if (room.state != DiskState::full) return {};
    return fail(ErrorCode::no_space, "the disk is full: " + room.text() + ", and nothing new is stored below " +
                                         bytes_text(room.refuse_below) +
                                         " ([store] refuse_free_mib, refuse_free_percent); make room, then send it again");
}

}  // namespace fiducial::store
