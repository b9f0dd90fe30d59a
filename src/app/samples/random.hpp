#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

namespace fiducial::app::samples {

/// A small generator whose numbers are the same on every machine (splitmix64). Not for keys.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    /// In [0, 1).
    double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
    double between(double low, double high) { return low + (high - low) * unit(); }

private:
    std::uint64_t state_;
};

/// Normal noise out of a table: what a million pixels need.
class Noise {
public:
    explicit Noise(std::uint64_t seed) : random_(seed), table_(4096) {
        for (std::size_t i = 0; i < table_.size(); ++i) {
            double sum = 0;
            for (int k = 0; k < 12; ++k) sum += random_.unit();
            table_[i] = static_cast<float>(sum - 6.0);
        }
    }
    float next() {
        if (left_ == 0) {
            bits_ = random_.next();
            left_ = 5;
        }
        const auto value = table_[bits_ & 4095];
        bits_ >>= 12;
        --left_;
        return value;
    }

private:
    Random random_;
    std::vector<float> table_;
    std::uint64_t bits_ = 0;
    int left_ = 0;
};

}  // namespace fiducial::app::samples
