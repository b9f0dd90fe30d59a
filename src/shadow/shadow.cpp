#include "shadow/shadow.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <ctime>
#include <optional>
#include <thread>

#include "base/json.hpp"
#include "base/log.hpp"
#include "shadow/impl/pipe.hpp"

namespace fiducial::shadow {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kMostFailures = 20;  // one after the other: it is the archive that is away, not its images
constexpr std::chrono::seconds kForSettling{20};
constexpr milliseconds kMostAhead{250};  // of Pace

/// What one instance may be blamed for; anything else is the archive's.
bool is_of_the_instance(const Error& error) {
    switch (error.code) {
        case ErrorCode::not_found:
        case ErrorCode::malformed:
        case ErrorCode::unsupported:
        case ErrorCode::limit_exceeded:
        case ErrorCode::conflict:
        case ErrorCode::corrupt: return true;
        default: return false;
    }
}

std::string problem_of(const Error& error) {
    return std::string(name_of(error.code)) + ": " + error.message;
}

}  // namespace

Result<Hours> parse_hours(const std::string& text) {
    const auto dash = text.find('-');
    const auto hour = [](const std::string& part) -> int {
        if (part.empty() || part.size() > 2 || part.find_first_not_of("0123456789") != std::string::npos) return -1;
        return std::stoi(part);
    };
    const int from = dash == std::string::npos ? -1 : hour(text.substr(0, dash));
    const int to = dash == std::string::npos ? -1 : hour(text.substr(dash + 1));
    if (from < 0 || from > 23 || to < 0 || to > 24)
        return fail(ErrorCode::invalid_argument, "'" + text + "' are no hours: write them as 20-6");
    return Hours{from, to % 24};
}

int hour_of(SystemTime time) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm local{};
    localtime_r(&seconds, &local);
    return local.tm_hour;
}

milliseconds Pace::after(std::uint64_t bytes, std::chrono::steady_clock::time_point now) {
    if (bytes_per_second_ == 0) return milliseconds(0);
    begun_ = std::max(begun_, now - kMostAhead);
    begun_ += std::chrono::microseconds(bytes * 1'000'000 / bytes_per_second_);
    return std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(begun_ - now));
}

bool Shadow::over() const {
    return stop_ || !settings_.hours.holds(hour_of(system_clock().now()));
}

void Shadow::wait_after(std::uint64_t bytes) {
    for (auto left = pace_.after(bytes, std::chrono::steady_clock::now()); left.count() > 0 && !stop_; left -= milliseconds(200))
        std::this_thread::sleep_for(std::min(left, milliseconds(200)));
}

Result<Shadow::Night> Shadow::run() {
    FID_TRY(auto run, journal_.begin_or_continue(system_clock().now()));
    if (!run.listed) FID_CHECK(list_studies(run));
    bool complete = run.listed;
    if (complete) {
        FID_TRY(complete, list_instances(run));
    }
    if (complete) {
        FID_TRY(complete, compare_what_is_due(run));
    }
    FID_CHECK(ask_for_states(run));
    if (complete) FID_CHECK(journal_.end(run, system_clock().now()));
    return Night{run, complete};
}

Result<void> Shadow::list_studies(Run& run) {
    std::uint64_t studies = 0;
    const auto from = [&](Side side) {
        return [this, &run, &studies, side](const ListedStudy& study) -> Result<bool> {
            if (study.study_uid.empty()) return true;
            FID_CHECK(journal_.note_study(run, side, study));
            on_step_({"listing", ++studies, 0});
            return !over();
        };
    };
    FID_CHECK(old_.each_study(from(Side::old)));
    if (over()) return {};
    FID_CHECK(here_.each_study(from(Side::here)));
    if (over()) return {};
    return journal_.all_studies_noted(run);
}

/// Returns: whether all of them are listed.
Result<bool> Shadow::list_instances(const Run& run) {
    FID_TRY(const auto to_list, journal_.studies_due(run));
    for (std::uint64_t done = 0;; ++done) {
        on_step_({settings_.copy ? "copying" : "listing", done, to_list});
        FID_TRY(const auto study, journal_.next_study(run));
        if (!study) return true;
        if (over()) return false;
        std::vector<ListedInstance> old, here;
        if (study->old) {
            FID_TRY(old, old_.instances(study->study_uid));
        }
        if (study->here) {
            FID_TRY(here, here_.instances(study->study_uid));
        }
        FID_TRY(const auto missing, journal_.note_instances(run, old, here));
        for (const auto& instance : settings_.copy ? missing : std::vector<ListedInstance>{}) {
            if (over()) return false;
            FID_CHECK(copy(run, instance));
        }
        FID_CHECK(journal_.note_looked(run, study->study_uid));
    }
}

/// Reads on one thread and stores on the other, so that no instance has to fit into memory.
Result<void> Shadow::copy(const Run& run, const ListedInstance& instance) {
    impl::Pipe pipe;
    std::uint64_t bytes = 0;
    std::optional<Error> read_error;
    std::thread reader([&] {
        auto read = old_.fetch(instance, [&](ByteView piece) {
            bytes += piece.size();
            return pipe.put(piece);
        });
        if (!read) read_error = read.error();
        pipe.end(read_error);
    });
    auto stored = here_.store([&pipe](MutableByteView out) { return pipe.take(out); });
    pipe.abandon();
    reader.join();
    wait_after(bytes);
    if (stored && !read_error) {
        failures_ = 0;
        return journal_.note_copy(run, instance, bytes);
    }
    const auto error = read_error && read_error->code != ErrorCode::cancelled ? *read_error : stored.error();
    log::warning("shadow", "an instance was not copied", {{"instance", instance.sop_uid}, {"problem", problem_of(error)}});
    FID_CHECK(journal_.note_failed_copy(instance, problem_of(error)));
    if (is_of_the_instance(error)) return {};
    if (error.code == ErrorCode::denied || error.code == ErrorCode::unauthenticated || error.code == ErrorCode::no_space)
        return fail(error);
    return ++failures_ < kMostFailures ? Result<void>{} : fail(error);
}

/// Returns: whether all that was due is compared.
Result<bool> Shadow::compare_what_is_due(const Run& run) {
    const auto before = std::min(run.begun, system_clock().now()) - std::chrono::duration_cast<milliseconds>(settings_.again);
    FID_TRY(const auto total, journal_.comparisons_due(run, before));
    for (std::uint64_t done = 0;; ++done) {
        on_step_({"comparing", done, total});
        FID_TRY(const auto instance, journal_.next_comparison(run, before));
        if (!instance) return true;
        if (over()) return false;
        FID_CHECK(compare(run, *instance));
    }
}

Result<void> Shadow::compare(const Run& run, const ListedInstance& instance) {
    auto first = look_at(old_first_ ? old_ : here_, instance);
    auto second = look_at(old_first_ ? static_cast<Source&>(here_) : old_, instance);
    const auto& old = old_first_ ? first : second;
    const auto& here = old_first_ ? second : first;
    old_first_ = !old_first_;
    wait_after((old ? old->bytes : 0) + (here ? here->bytes : 0));
    Comparison comparison;
    if (old && here) {
        comparison = shadow::compare(*old, *here);
        if (comparison.needs_decoding) comparison = compare_pixels(instance, *old, *here, std::move(comparison));
        failures_ = 0;
    } else {
        const bool of_old = !old;
        const auto& error = of_old ? old.error() : here.error();
        comparison.outcome = error.code == ErrorCode::not_found ? (of_old ? Outcome::gone : Outcome::absent) : Outcome::unread;
        comparison.detail = problem_of(error);
        if (!is_of_the_instance(error) && ++failures_ >= kMostFailures) return fail(error);
    }
    return journal_.note_comparison(run, instance, system_clock().now(), comparison, old ? &*old : nullptr, here ? &*here : nullptr);
}

/// Both archives are asked once more. Returns: `otherwise` where one of the two cannot be decoded, and why.
Comparison Shadow::compare_pixels(const ListedInstance& instance, const Seen& old, const Seen& here, Comparison otherwise) {
    const auto old_decoded = look_at_decoded(old_, instance, old.transfer_syntax);
    const auto here_decoded = look_at_decoded(here_, instance, here.transfer_syntax);
    wait_after(old.bytes + here.bytes);
    if (old_decoded && here_decoded) return compare_decoded(old, here, *old_decoded, *here_decoded);
    const auto& error = old_decoded ? here_decoded.error() : old_decoded.error();
    if (!is_of_the_instance(error)) return {Outcome::unread, problem_of(error)};
    otherwise.detail += "; not decoded: " + problem_of(error);
    return otherwise;
}

/// How far the ledger vouches for what is here. What was copied last gets a while to be settled.
Result<void> Shadow::ask_for_states(const Run& run) {
    for (const auto end = std::chrono::steady_clock::now() + kForSettling;;) {
        FID_TRY(const auto unsettled, ask_for_unsettled(run));
        if (unsettled == 0 || over() || std::chrono::steady_clock::now() > end) return {};
        std::this_thread::sleep_for(milliseconds(500));
    }
}

/// Returns: how many studies are not settled yet.
Result<std::size_t> Shadow::ask_for_unsettled(const Run& run) {
    FID_TRY(const auto studies, journal_.unsettled(run));
    std::size_t left = studies.size();
    for (const auto& uid : studies) {
        auto record = here_.document("/studies/" + uid + "/record");
        if (!record && record.error().code == ErrorCode::not_found) continue;
        if (!record) return fail(std::move(record.error()));
        const auto parsed = json::parse(*record, std::size_t{64} << 20);
        const auto* versions = parsed && parsed->is_object() ? parsed->get_object().if_contains("versions") : nullptr;
        if (versions == nullptr || !versions->is_array() || versions->get_array().empty()) continue;
        const auto& newest = versions->get_array().back();
        const auto* state = newest.is_object() ? newest.get_object().if_contains("state") : nullptr;
        if (state == nullptr || !state->is_string()) continue;
        if (state->get_string() == "settled") --left;
        FID_CHECK(journal_.note_state(uid, std::string(state->get_string())));
    }
    return left;
}

}  // namespace fiducial::shadow
