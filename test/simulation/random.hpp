#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace fiducial::simulation {

/// Where everything that is left to chance comes from. The same seed and name give the same numbers everywhere (SplitMix64; the
/// distributions of the standard library differ from one library to the next).
class Random {
public:
    Random(std::uint64_t seed, std::string_view name) : state_(seed) {
        for (const char c : name) state_ = next() ^ static_cast<unsigned char>(c);
    }
    std::uint64_t next() {
        auto z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    /// 0 … bound - 1. Requires: bound > 0.
    std::uint64_t below(std::uint64_t bound) { return next() % bound; }
    std::uint64_t between(std::uint64_t least, std::uint64_t most) { return least + below(most - least + 1); }
    /// True once in so many times; never for 0.
    bool one_in(std::uint64_t many) { return many != 0 && below(many) == 0; }
    bool coin() { return one_in(2); }
    /// One of them, as often as its weight says. Requires: not all are 0.
    std::size_t weighted(std::span<const unsigned> weights) {
        std::uint64_t sum = 0;
        for (const auto weight : weights) sum += weight;
        auto left = below(sum);
        std::size_t at = 0;
        while (left >= weights[at]) left -= weights[at++];
        return at;
    }
    void fill(std::span<std::uint8_t> out) {
        std::uint64_t word = 0;
        for (std::size_t i = 0; i < out.size(); ++i) {
            if (i % 8 == 0) word = next();
            out[i] = static_cast<std::uint8_t>(word >> (i % 8 * 8));
        }
    }

private:
    std::uint64_t state_;
};

}  // namespace fiducial::simulation
