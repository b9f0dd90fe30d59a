#pragma once
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace fiducial::simulation {

/// Everything that happened in a run, in order: as one number, by which two runs are compared, and for people on demand.
/// Threads: whoever calls holds the disk's lock, or is the only one.
class Journal {
public:
    enum class Shown : std::uint8_t { nothing, steps, calls };
    explicit Journal(Shown shown) : shown_(shown) {}

    /// A step, or a fault.
    void step(std::string_view text) {
        take(text);
        ++steps_;
        if (shown_ != Shown::nothing)
            std::fprintf(stderr, "%6llu  %.*s\n", static_cast<unsigned long long>(steps_), static_cast<int>(text.size()), text.data());
    }
    /// A call of the archive to its machine: what it was, upon what, with which numbers.
    void call(std::string_view what, std::string_view subject, std::uint64_t a = 0, std::uint64_t b = 0) {
        take(what);
        take(subject);
        take_number(a);
        take_number(b);
        ++calls_;
        if (shown_ == Shown::calls)
            std::fprintf(stderr, "        . %.*s %.*s %llu %llu\n", static_cast<int>(what.size()), what.data(),
                         static_cast<int>(subject.size()), subject.data(), static_cast<unsigned long long>(a),
                         static_cast<unsigned long long>(b));
    }
    void bytes(std::span<const std::uint8_t> bytes) {
        for (const auto byte : bytes) sum_ = (sum_ ^ byte) * kPrime;
    }
    std::uint64_t sum() const { return sum_; }
    std::uint64_t calls() const { return calls_; }

private:
    static constexpr std::uint64_t kPrime = 0x100000001b3;  // FNV-1a
    void take(std::string_view text) {
        for (const char c : text) sum_ = (sum_ ^ static_cast<unsigned char>(c)) * kPrime;
    }
    void take_number(std::uint64_t number) { sum_ = (sum_ ^ number) * kPrime; }

    Shown shown_;
    std::uint64_t sum_ = 0xcbf29ce484222325;
    std::uint64_t steps_ = 0, calls_ = 0;
};

}  // namespace fiducial::simulation
