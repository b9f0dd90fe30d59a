// simulation: runs of the archive with all faults that a seed lets happen. README.md says how to read one that fails.
#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "run.hpp"

namespace fiducial::simulation {
namespace {

struct Options {
    std::optional<std::uint64_t> seed;
    std::uint64_t seeds = 1, steps = 600, seconds = 0, jobs = 1;
    bool twice = false, disk_errors = false, failing_syncs = false;
    std::string forgotten_syncs;
    Journal::Shown shown = Journal::Shown::nothing;
};

constexpr const char* kUsage =
    "simulation [--seed N [--seeds COUNT]] [--seconds S] [--steps N] [--jobs N] [--twice]\n"
    "           [--disk-errors] [--failing-syncs] [--forget-syncs NAME] [--trace | --trace-calls]\n"
    "  without --seed: new seeds, for --seconds (60)\n"
    "  --disk-errors: reads, writes and changes of folders fail; --failing-syncs: syncs do\n"
    "  --forget-syncs NAME: syncs of what ends so do nothing, as if the product had left them out (trace.log, index.db-wal, secrets/)\n"
    "  --twice: each seed two times; they must do the same\n";

std::optional<Options> parse(int count, char** words) {
    Options out;
    for (int i = 1; i < count; ++i) {
        const std::string word = words[i];
        const auto number = [&]() -> std::uint64_t { return ++i < count ? std::strtoull(words[i], nullptr, 10) : 0; };
        if (word == "--seed")
            out.seed = number();
        else if (word == "--seeds")
            out.seeds = number();
        else if (word == "--steps")
            out.steps = number();
        else if (word == "--seconds")
            out.seconds = number();
        else if (word == "--jobs")
            out.jobs = number();
        else if (word == "--twice")
            out.twice = true;
        else if (word == "--disk-errors")
            out.disk_errors = true;
        else if (word == "--failing-syncs")
            out.failing_syncs = true;
        else if (word == "--forget-syncs")
            out.forgotten_syncs = ++i < count ? words[i] : "";
        else if (word == "--trace")
            out.shown = Journal::Shown::steps;
        else if (word == "--trace-calls")
            out.shown = Journal::Shown::calls;
        else
            return std::nullopt;
    }
    if (!out.seed && out.seconds == 0) out.seconds = 60;
    return out;
}

std::uint64_t now_s() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec);
}

struct Outcome {
    bool held = false;
    std::uint64_t sum = 0;
    std::string text;
};

/// A process for one run: whatever it does to itself, its seed is known, and nothing of an earlier run is left in it.
struct Child {
    pid_t process = -1;
    int answer = -1;
    std::uint64_t seed = 0;
    std::string folder;
};

Child begin(const Options& options, std::uint64_t seed) {
    Child child;
    child.seed = seed;
    child.folder = (std::filesystem::temp_directory_path() / "fiducial-simulation-XXXXXX").string();
    int ends[2];
    if (::mkdtemp(child.folder.data()) == nullptr || ::pipe(ends) != 0) {
        std::perror("simulation");
        std::exit(2);
    }
    child.process = ::fork();
    if (child.process != 0) {
        ::close(ends[1]);
        child.answer = ends[0];
        return child;
    }
    ::close(ends[0]);
    if (options.shown == Journal::Shown::nothing) ::dup2(::open("/dev/null", O_WRONLY), 2);
    const auto report =
        run({seed, options.steps, options.disk_errors, options.failing_syncs, options.forgotten_syncs, options.shown, child.folder});
    std::string text(reinterpret_cast<const char*>(&report.sum), sizeof report.sum);
    text += report.broken.empty() ? '+' : '-';
    char line[300];
    std::snprintf(line, sizeof line,
                  "%4.1f h, %llu steps, %llu calls; %llu kills, %llu power cuts, %llu disk faults, %llu forks; %llu instances, %llu "
                  "versions, %llu looks",
                  report.hours, static_cast<unsigned long long>(report.steps), static_cast<unsigned long long>(report.calls),
                  static_cast<unsigned long long>(report.kills), static_cast<unsigned long long>(report.power_cuts),
                  static_cast<unsigned long long>(report.faults), static_cast<unsigned long long>(report.forks),
                  static_cast<unsigned long long>(report.instances), static_cast<unsigned long long>(report.versions),
                  static_cast<unsigned long long>(report.looks));
    text += report.broken.empty() ? line : report.broken;
    if (::write(ends[1], text.data(), text.size()) != static_cast<ssize_t>(text.size())) ::_exit(3);
    ::_exit(0);
}

Outcome end(const Child& child) {
    std::string text;
    char piece[4096];
    for (ssize_t got = 0; (got = ::read(child.answer, piece, sizeof piece)) > 0;) text.append(piece, static_cast<std::size_t>(got));
    ::close(child.answer);
    int status = 0;
    ::waitpid(child.process, &status, 0);
    std::error_code ignored;
    std::filesystem::remove_all(child.folder, ignored);
    Outcome out;
    if (text.size() < sizeof out.sum + 1) {
        out.text =
            WIFSIGNALED(status) ? std::string("the process died: ") + ::strsignal(WTERMSIG(status)) : "the process left without a word";
        return out;
    }
    std::memcpy(&out.sum, text.data(), sizeof out.sum);
    out.held = text[sizeof out.sum] == '+';
    out.text = text.substr(sizeof out.sum + 1);
    return out;
}

bool tell(const Options& options, std::uint64_t seed, const Outcome& outcome) {
    std::printf("seed %llu: %s%s [%016llx]\n", static_cast<unsigned long long>(seed), outcome.held ? "" : "BROKEN: ", outcome.text.c_str(),
                static_cast<unsigned long long>(outcome.sum));
    if (!outcome.held)
        std::printf("replay: simulation --seed %llu --steps %llu%s%s --trace\n", static_cast<unsigned long long>(seed),
                    static_cast<unsigned long long>(options.steps), options.disk_errors ? " --disk-errors" : "",
                    options.failing_syncs ? " --failing-syncs" : "");
    std::fflush(stdout);
    return outcome.held;
}

int run_all(const Options& options) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    auto seed = options.seed.value_or(static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000);
    std::printf("simulation: seeds from %llu on\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    const auto until = now_s() + options.seconds;
    std::uint64_t done = 0, broken = 0, begun = 0;
    std::vector<Child> running;
    const auto wanted = [&] { return options.seconds > 0 ? now_s() < until : begun < options.seeds; };
    while (wanted() || !running.empty()) {
        while (wanted() && running.size() < options.jobs) {
            running.push_back(begin(options, seed++));
            ++begun;
        }
        const auto child = running.front();
        running.erase(running.begin());
        auto outcome = end(child);
        if (options.twice) {
            const auto again = end(begin(options, child.seed));
            if (again.sum != outcome.sum || again.text != outcome.text)
                outcome = {false, again.sum, "the second run was another: " + again.text + " (first: " + outcome.text + ")"};
        }
        broken += tell(options, child.seed, outcome) ? 0 : 1;
        ++done;
    }
    std::printf("simulation: %llu seeds, %llu broken\n", static_cast<unsigned long long>(done), static_cast<unsigned long long>(broken));
    return broken == 0 && done > 0 ? 0 : 1;
}

}  // namespace
}  // namespace fiducial::simulation

int main(int count, char** words) {
    const auto options = fiducial::simulation::parse(count, words);
    if (!options) {
        std::fputs(fiducial::simulation::kUsage, stderr);
        return 2;
    }
    return fiducial::simulation::run_all(*options);
}
