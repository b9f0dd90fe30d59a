#pragma once
#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/log.hpp"

namespace fiducial::crypto {

/// Bytes that must not leak: locked in memory where the system permits, left out of core dumps, zeroed when they go.
/// Security: cannot be logged (does not compile) nor copied by accident.
class Secret : public log::NotForLogs {
public:
    Secret() = default;
    explicit Secret(std::size_t size);      // zeros
    static Secret copy_of(ByteView bytes);  // the caller wipes its own
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;
    ~Secret();
    Secret clone() const { return copy_of(view()); }

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    ByteView view() const { return {data_, size_}; }
    MutableByteView bytes() { return {data_, size_}; }

private:
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

/// Overwrites memory in a way that the compiler does not leave out.
void wipe(MutableByteView bytes);

/// Fills from the operating system's generator. Aborts where there is none.
void fill_random(MutableByteView out);
Bytes32 random_bytes32();
Secret random_secret(std::size_t size);

}  // namespace fiducial::crypto
