#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "base/bytes.hpp"

namespace fiducial::dicom::impl {

/// Inflates a raw deflate stream (RFC 1951) as it comes, in constant memory.
class Inflater {
public:
    explicit Inflater(std::uint64_t max_output);
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;
    ~Inflater();

    /// Hands what comes out to the sink. Errors: malformed, limit_exceeded, the sink's.
    Result<void> feed(ByteView bytes, const std::function<Result<void>(ByteView)>& sink);
    /// Errors: malformed where the stream did not end.
    Result<void> finish() const;
    std::uint64_t output_bytes() const { return output_; }
    bool padded() const { return padded_; }  // zeros follow the stream

private:
    struct Stream;
    std::unique_ptr<Stream> stream_;
    std::uint64_t max_output_;
    std::uint64_t input_ = 0;
    std::uint64_t output_ = 0;
    bool ended_ = false;
    bool padded_ = false;
};

}  // namespace fiducial::dicom::impl
