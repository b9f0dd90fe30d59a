#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace fiducial::ledger {

/// What to start and how.
struct ProcessSpec {
    std::filesystem::path program;
    std::vector<std::string> arguments{};             // without the program's name; "{fd0}", "{fd1}" stand for /dev/fd/N of inputs
    std::vector<ByteView> inputs{};                   // each is given through a pipe of its own; at most 32 KiB
    std::function<void(std::string_view)> on_line{};  // each line of standard output and error; called from the reader's thread
    bool die_with_parent = true;
};

/// A child process in a process group of its own. Its end is noticed through a pidfd, so that no other child is reaped.
/// With die_with_parent it gets SIGTERM when the *thread* that started it ends (that is how Linux does it).
/// Threads: one thread at a time. The destructor kills and reaps.
class Process {
public:
    static Result<Process> start(const ProcessSpec& spec);
    Process(Process&& other) noexcept;
    Process& operator=(Process&& other) noexcept;
    ~Process();

    int id() const { return pid_; }
    /// Waits for its end. Returns: the exit status (128 + signal when it was killed), or nothing after the time-out.
    std::optional<int> wait_for(std::chrono::milliseconds time);
    void signal(int number);
    /// SIGTERM, up to `patience` for its end, SIGKILL. Returns: the exit status.
    int stop(std::chrono::milliseconds patience);
    /// Readable (poll) once the process has ended.
    int pidfd() const { return pidfd_; }

private:
    Process() = default;
    void finish_reader();
    int pid_ = -1;
    int pidfd_ = -1;
    std::optional<int> status_;
    std::jthread reader_;
};

/// Runs a program to its end. Returns: exit status and output (its last 64 KiB).
struct Finished {
    int status = 0;
    std::string output;
};
Result<Finished> run_to_end(ProcessSpec spec, std::chrono::milliseconds limit);

/// Our own processes (same user) that run with these two arguments next to each other, whatever the program is called.
std::vector<int> find_processes(std::string_view option, std::string_view value);
/// Stops a process that is not our child: SIGTERM, wait, SIGKILL, wait.
/// Errors: unavailable when it does not end.
Result<void> stop_foreign(int pid, std::string_view option, std::string_view value, std::chrono::milliseconds patience);

}  // namespace fiducial::ledger
