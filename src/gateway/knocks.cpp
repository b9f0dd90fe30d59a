#include "gateway/knocks.hpp"

#include <algorithm>

namespace fiducial::gateway {

void Knocks::add(std::string_view address, std::string_view calling_ae_title, std::string_view called_ae_title, std::string_view why) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(knocks_.begin(), knocks_.end(), [&](const Knock& one) {
        return one.address == address && one.calling_ae_title == calling_ae_title && one.called_ae_title == called_ae_title &&
               one.why == why;
    });
    Knock knock{std::string(address), std::string(calling_ae_title), std::string(called_ae_title), std::string(why)};
    if (found != knocks_.end()) {
        knock.times = found->times;
        knocks_.erase(found);
    } else if (knocks_.size() == kMost) {
        knocks_.pop_back();
    }
    ++knock.times;
    knock.last = clock_.now();
    knocks_.push_front(std::move(knock));
    ++count_;
}

void Knocks::restore(const std::vector<Knock>& knocks) {
    const std::lock_guard lock(mutex_);
    knocks_.assign(knocks.begin(), knocks.begin() + static_cast<std::ptrdiff_t>(std::min(knocks.size(), kMost)));
}

std::uint64_t Knocks::count() const {
    const std::lock_guard lock(mutex_);
    return count_;
}

std::vector<Knocks::Knock> Knocks::list() const {
    const std::lock_guard lock(mutex_);
    return {knocks_.begin(), knocks_.end()};
}

}  // namespace fiducial::gateway
