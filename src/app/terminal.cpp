#include "app/terminal.hpp"

#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/file.hpp"

namespace fiducial::app {
namespace {

std::atomic<bool> g_stop{false};

void on_signal(int) {
    if (g_stop.exchange(true)) ::_exit(130);
}

Result<crypto::Secret> prompt_once(std::string_view prompt) {
    std::fprintf(stderr, "%.*s: ", static_cast<int>(prompt.size()), prompt.data());
    std::fflush(stderr);
    termios before{};
    ::tcgetattr(STDIN_FILENO, &before);
    termios quiet = before;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
    crypto::Secret typed(1024);
    std::size_t size = 0;
    for (int c = std::getchar(); c != EOF && c != '\n' && size < typed.size(); c = std::getchar())
        typed.bytes()[size++] = static_cast<std::uint8_t>(c);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &before);
    std::fputc('\n', stderr);
    return crypto::Secret::copy_of(typed.view().first(size));
}

bool& colours() {
    static bool wanted = ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
    return wanted;
}
std::string coloured(std::string_view code, std::string_view text) {
    if (!colours()) return std::string(text);
    return "\033[" + std::string(code) + "m" + std::string(text) + "\033[0m";
}

}  // namespace

Result<crypto::Secret> read_secret_file(const std::filesystem::path& file, std::string_view name) {
    const auto named = "the " + std::string(name) + " file";
    struct stat info {};
    if (::stat(file.c_str(), &info) != 0) return fail(error_from_errno(errno, "reading " + named, file));
    const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");  // systemd's: an access list there shows as the group's bits
    const bool is_credential = credentials != nullptr && file.parent_path() == std::filesystem::path(credentials);
    if ((info.st_mode & (is_credential ? 007 : 077)) != 0 && S_ISREG(info.st_mode)) {
        return fail(ErrorCode::permission, named + " " + file.string() + " can be read by others; chmod 600 it");
    }
    FID_TRY(auto bytes, read_file(file, 4096));
    while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r')) bytes.pop_back();
    auto secret = crypto::Secret::copy_of(bytes);
    crypto::wipe(bytes);
    if (secret.empty()) return fail(ErrorCode::invalid_argument, named + " " + file.string() + " is empty");
    return secret;
}

Result<crypto::Secret> obtain_passphrase(const std::filesystem::path& file, std::string_view prompt, bool twice) {
    if (!file.empty()) return read_secret_file(file, "passphrase");
    if (const char* text = std::getenv("FIDUCIAL_PASSPHRASE"); text != nullptr && *text != '\0')
        return crypto::Secret::copy_of(as_bytes(text));
    if (::isatty(STDIN_FILENO) != 1) {
        return fail(ErrorCode::invalid_argument,
                    "a passphrase is needed: --passphrase-file FILE, FIDUCIAL_PASSPHRASE, or a terminal to type it on");
    }
    FID_TRY(auto first, prompt_once(prompt));
    if (first.empty()) return fail(ErrorCode::invalid_argument, "an empty passphrase protects nothing");
    if (twice) {
        FID_TRY(const auto second, prompt_once("the same again"));
        if (as_text(first.view()) != as_text(second.view())) return fail(ErrorCode::invalid_argument, "the two passphrases differ");
    }
    return first;
}

Result<crypto::Secret> type_lines() {
    crypto::Secret typed(4096);
    std::size_t size = 0;
    for (bool empty_line = true;;) {
        const int c = std::getchar();
        if (c == EOF && size == 0) return fail(ErrorCode::invalid_argument, "standard input ended; nothing was given");
        if (c == EOF || (c == '\n' && empty_line && size > 0)) return crypto::Secret::copy_of(typed.view().first(size));
        if (c == '\n' && empty_line) continue;
        empty_line = c == '\n';
        if (size == typed.size()) return fail(ErrorCode::limit_exceeded, "this is too long");
        typed.bytes()[size++] = static_cast<std::uint8_t>(c);
    }
}

Result<void> confirm(std::string_view question) {
    if (::isatty(STDIN_FILENO) != 1)
        return fail(ErrorCode::invalid_argument, "there is no terminal to ask a person on; a script says --yes");
    std::fprintf(stderr, "%s [y/N] ", std::string(question).c_str());
    std::string answer;
    for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar()) {
        if (answer.size() < 10) answer.push_back(static_cast<char>(c));
    }
    if (answer == "y" || answer == "Y" || answer == "yes") return {};
    return fail(ErrorCode::cancelled, "not confirmed: nothing was done");
}

std::atomic<bool>& stop_requested() {
    return g_stop;
}

void catch_signals() {
    struct sigaction action {};
    action.sa_handler = on_signal;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

std::string human_bytes(std::uint64_t bytes) {
    static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1000 && unit + 1 < std::size(kUnits)) {
        value /= 1000;
        ++unit;
    }
    char text[32];
    std::snprintf(text, sizeof text, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
    return text;
}

std::string human_time(std::chrono::milliseconds time) {
    const auto ms = time.count();
    char text[48];
    if (ms < 1000)
        std::snprintf(text, sizeof text, "%lld ms", static_cast<long long>(ms));
    else if (ms < 60'000)
        std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(ms) / 1000);
    else if (ms < 3'600'000)
        std::snprintf(text, sizeof text, "%lld min %lld s", static_cast<long long>(ms / 60'000), static_cast<long long>(ms / 1000 % 60));
    else
        std::snprintf(text, sizeof text, "%lld h %lld min", static_cast<long long>(ms / 3'600'000),
                      static_cast<long long>(ms / 60'000 % 60));
    return text;
}

ProgressLine::ProgressLine(bool wanted) : wanted_(wanted && ::isatty(STDERR_FILENO) == 1), begun_(std::chrono::steady_clock::now()) {}
ProgressLine::~ProgressLine() {
    clear();
}

void ProgressLine::clear() {
    if (visible_) std::fputs("\r\033[K", stderr);
    visible_ = false;
}

void ProgressLine::show(std::uint64_t done, std::uint64_t total, std::uint64_t items_done, std::uint64_t items_total,
                        std::string_view items) {
    const auto now = std::chrono::steady_clock::now();
    if (!wanted_ || (visible_ && now - shown_ < std::chrono::milliseconds(100))) return;
    shown_ = now;
    visible_ = true;
    const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(now - begun_);
    const double part = total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    std::string bar(24, '.');
    for (std::size_t i = 0; i < static_cast<std::size_t>(part * 24); ++i) bar[i] = '#';
    std::string line = "\r\033[K[" + bar + "] " + std::to_string(items_done) + "/" + std::to_string(items_total) + " " + std::string(items);
    if (spent.count() > 500 && done > 0) {
        line += "  " + human_bytes(done * 1000 / static_cast<std::uint64_t>(spent.count())) + "/s";
        if (part > 0)
            line += "  " +
                    human_time(std::chrono::milliseconds(static_cast<long long>(static_cast<double>(spent.count()) * (1 - part) / part))) +
                    " left";
    }
    std::fputs(line.c_str(), stderr);
    std::fflush(stderr);
}

void no_colours() {
    colours() = false;
}
std::string good(std::string_view text) {
    return coloured("32", text);
}
std::string bad(std::string_view text) {
    return coloured("31;1", text);
}
std::string faint(std::string_view text) {
    return coloured("2", text);
}
std::string strong(std::string_view text) {
    return coloured("1", text);
}

}  // namespace fiducial::app
