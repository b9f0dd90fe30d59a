#include "ledger/node/process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>

#include "base/descriptor.hpp"
#include "base/file.hpp"

namespace fiducial::ledger {
namespace {

constexpr std::size_t kMaxInput = 32 * 1024;
constexpr std::size_t kMaxLine = 4096;
constexpr std::size_t kKeptOutput = 64 * 1024;

int open_pidfd(int pid) {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}
int send_by_pidfd(int pidfd, int number) {
    return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0));
}

struct Pipe {
    Descriptor read_end;
    Descriptor write_end;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail(error_from_errno(errno, "pipe", "child process"));
    Pipe pipe{Descriptor(ends[0]), Descriptor(ends[1])};
    // Away from the low numbers, which the child's dup2 calls overwrite.
    Descriptor high(::fcntl(ends[0], F_DUPFD_CLOEXEC, 64));
    if (high.get() < 0) return fail(error_from_errno(errno, "fcntl", "child process"));
    pipe.read_end = std::move(high);
    return pipe;
}

Result<Descriptor> pipe_with(ByteView input) {
    FID_INVARIANT(input.size() <= kMaxInput, "a child's input fits into a pipe");
    FID_TRY(auto pipe, make_pipe());
    std::size_t done = 0;
    while (done < input.size()) {
        const auto written = ::write(pipe.write_end.get(), input.data() + done, input.size() - done);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return fail(error_from_errno(errno, "write", "child's input"));
        done += static_cast<std::size_t>(written);
    }
    return std::move(pipe.read_end);
}

void read_lines(int fd, const std::function<void(std::string_view)>& on_line) {
    std::string line;
    char buffer[8192];
    for (;;) {
        const auto size = ::read(fd, buffer, sizeof buffer);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) break;
        for (const char c : std::string_view(buffer, static_cast<std::size_t>(size))) {
            if (c == '\n') {
                if (on_line) on_line(line);
                line.clear();
            } else if (line.size() < kMaxLine) {
                line.push_back(c);
            }
        }
    }
    if (!line.empty() && on_line) on_line(line);
}

// Between fork and exec only calls that are safe there.
[[noreturn]] void become(const char* program, char* const* arguments, const int* inputs, int input_count, int output, pid_t parent,
                         bool die_with_parent) {
    ::setpgid(0, 0);  // a Ctrl-C at the terminal is for us; we stop the child in order
    if (die_with_parent) {
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (::getppid() != parent) ::_exit(127);
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, 0);
    ::dup2(output, 1);
    ::dup2(output, 2);
    for (int i = 0; i < input_count; ++i) ::dup2(inputs[i], 3 + i);
    ::syscall(SYS_close_range, 3 + input_count, ~0U, 0);
    ::execv(program, arguments);
    ::_exit(127);
}

int status_from(const siginfo_t& info) {
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

bool wait_readable(int fd, std::chrono::milliseconds time) {
    const auto deadline = std::chrono::steady_clock::now() + time;
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
        pollfd poll{fd, POLLIN, 0};
        const int ready = ::poll(&poll, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
        if (ready > 0) return true;
        if (ready == 0) return false;
        if (errno != EINTR) return false;
    }
}

std::vector<std::string> arguments_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
    std::vector<std::string> out;
    std::string item;
    while (std::getline(file, item, '\0')) out.push_back(item);
    return out;
}

bool runs_with(int pid, std::string_view option, std::string_view value) {
    const auto arguments = arguments_of(pid);
    for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
        if (arguments[i] == option && arguments[i + 1] == value) return true;
    }
    return false;
}

}  // namespace

Result<Process> Process::start(const ProcessSpec& spec) {
    std::vector<Descriptor> inputs;
    for (const auto input : spec.inputs) {
        FID_TRY(auto pipe, pipe_with(input));
        inputs.push_back(std::move(pipe));
    }
    FID_TRY(auto output, make_pipe());
    Descriptor high_output(::fcntl(output.write_end.get(), F_DUPFD_CLOEXEC, 64));
    if (high_output.get() < 0) return fail(error_from_errno(errno, "fcntl", spec.program));
    output.write_end.reset();

    std::vector<std::string> texts{spec.program.string()};
    for (auto argument : spec.arguments) {
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            if (argument == "{fd" + std::to_string(i) + "}") argument = "/dev/fd/" + std::to_string(3 + i);
        }
        texts.push_back(std::move(argument));
    }
    std::vector<char*> pointers;
    for (auto& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    std::vector<int> input_numbers;
    for (const auto& input : inputs) input_numbers.push_back(input.get());

    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) return fail(error_from_errno(errno, "fork", spec.program));
    if (pid == 0) {
        become(texts[0].c_str(), pointers.data(), input_numbers.data(), static_cast<int>(input_numbers.size()), high_output.get(), parent,
               spec.die_with_parent);
    }
    Process process;
    process.pid_ = pid;
    process.pidfd_ = open_pidfd(pid);
    if (process.pidfd_ < 0) {
        const int number = errno;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        process.pid_ = -1;
        return fail(error_from_errno(number, "pidfd_open", spec.program));
    }
    ::fcntl(process.pidfd_, F_SETFD, FD_CLOEXEC);
    process.reader_ = std::jthread([fd = output.read_end.release(), on_line = spec.on_line] {
        const Descriptor owner(fd);
        read_lines(fd, on_line);
    });
    return process;
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::exchange(other.pidfd_, -1)),
      status_(other.status_),
      reader_(std::move(other.reader_)) {}

Process& Process::operator=(Process&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(pidfd_, other.pidfd_);
    std::swap(status_, other.status_);
    std::swap(reader_, other.reader_);
    return *this;
}

Process::~Process() {
    if (pid_ > 0 && !status_) {
        signal(SIGKILL);
        while (!wait_for(std::chrono::seconds(60))) {
        }
    }
    finish_reader();
    if (pidfd_ >= 0) ::close(pidfd_);
}

void Process::finish_reader() {
    if (reader_.joinable()) reader_.join();
}

std::optional<int> Process::wait_for(std::chrono::milliseconds time) {
    if (status_) return status_;
    if (!wait_readable(pidfd_, time)) return std::nullopt;
    siginfo_t info{};
    while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_), &info, WEXITED) != 0) {
        if (errno != EINTR) {
            status_ = 127;
            return status_;
        }
    }
    status_ = status_from(info);
    return status_;
}

void Process::signal(int number) {
    if (!status_ && pidfd_ >= 0) send_by_pidfd(pidfd_, number);
}

int Process::stop(std::chrono::milliseconds patience) {
    signal(SIGTERM);
    if (!wait_for(patience)) {
        signal(SIGKILL);
        while (!wait_for(std::chrono::seconds(60))) {
        }
    }
    finish_reader();
    return *status_;
}

Result<Finished> run_to_end(ProcessSpec spec, std::chrono::milliseconds limit) {
    Finished finished;
    spec.on_line = [&finished](std::string_view line) {  // joined with the reader's thread below, before it is read
        finished.output.append(line).push_back('\n');
        if (finished.output.size() > kKeptOutput) finished.output.erase(0, finished.output.size() - kKeptOutput);
    };
    FID_TRY(auto process, Process::start(spec));
    const auto status = process.wait_for(limit);
    if (!status) {
        process.stop(std::chrono::seconds(2));
        return fail(ErrorCode::timeout, spec.program.string() + " did not end within " + std::to_string(limit.count()) + " ms");
    }
    finished.status = process.stop(std::chrono::milliseconds(0));
    return finished;
}

std::vector<int> find_processes(std::string_view option, std::string_view value) {
    std::vector<int> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
        const auto name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos || name.size() > 9) continue;
        const int pid = std::stoi(name);
        struct stat info {};
        if (pid == ::getpid() || ::stat(entry.path().c_str(), &info) != 0 || info.st_uid != ::geteuid()) continue;
        if (runs_with(pid, option, value)) found.push_back(pid);
    }
    return found;
}

Result<void> stop_foreign(int pid, std::string_view option, std::string_view value, std::chrono::milliseconds patience) {
    const Descriptor pidfd(open_pidfd(pid));
    if (pidfd.get() < 0) return {};                 // it has ended
    if (!runs_with(pid, option, value)) return {};  // its number belongs to somebody else by now
    send_by_pidfd(pidfd.get(), SIGTERM);
    if (wait_readable(pidfd.get(), patience)) return {};
    send_by_pidfd(pidfd.get(), SIGKILL);
    if (wait_readable(pidfd.get(), std::chrono::seconds(10))) return {};
    return fail(ErrorCode::unavailable, "process " + std::to_string(pid) + " does not end");
}

}  // namespace fiducial::ledger
