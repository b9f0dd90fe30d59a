#include "dicom/impl/inflater.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <string>

namespace fiducial::dicom::impl {

struct Inflater::Stream {
    z_stream z{};
    std::array<std::uint8_t, 65536> out{};
};

Inflater::Inflater(std::uint64_t max_output) : stream_(std::make_unique<Stream>()), max_output_(max_output) {
    FID_INVARIANT(inflateInit2(&stream_->z, -15) == Z_OK, "zlib cannot start");
}

Inflater::~Inflater() {
    inflateEnd(&stream_->z);
}

Result<void> Inflater::feed(ByteView bytes, const std::function<Result<void>(ByteView)>& sink) {
    auto& z = stream_->z;
    while (!bytes.empty()) {
        if (ended_) {
            if (std::any_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b != 0; })) {
                return fail(ErrorCode::malformed, "something follows the deflated data set at offset " + std::to_string(input_));
            }
            input_ += bytes.size();
            padded_ = true;
            return {};
        }
        const auto part = bytes.first(std::min<std::size_t>(bytes.size(), 1u << 20));
        z.next_in = const_cast<Bytef*>(part.data());
        z.avail_in = static_cast<uInt>(part.size());
        int answer = Z_OK;
        do {
            z.next_out = stream_->out.data();
            z.avail_out = static_cast<uInt>(stream_->out.size());
            answer = inflate(&z, Z_NO_FLUSH);
            if (answer != Z_OK && answer != Z_STREAM_END && answer != Z_BUF_ERROR) {
                return fail(ErrorCode::malformed,
                            "the deflated data set cannot be inflated at offset " + std::to_string(input_ + (part.size() - z.avail_in)));
            }
            const std::size_t made = stream_->out.size() - z.avail_out;
            output_ += made;
            if (output_ > max_output_)
                return fail(ErrorCode::limit_exceeded, "the data set inflates to more than " + std::to_string(max_output_) + " bytes");
            if (made != 0) FID_CHECK(sink(ByteView(stream_->out).first(made)));
        } while (answer == Z_OK && z.avail_out == 0);
        ended_ = answer == Z_STREAM_END;
        const std::size_t used = part.size() - z.avail_in;
        input_ += used;
        if (used == 0 && !ended_)
            return fail(ErrorCode::malformed, "the deflated data set cannot be inflated at offset " + std::to_string(input_));
        bytes = bytes.subspan(used);
    }
    return {};
}

Result<void> Inflater::finish() const {
    if (!ended_)
        return fail(ErrorCode::malformed,
                    "the input ends at offset " + std::to_string(input_) + " of the deflated data set, before the end of the stream");
    return {};
}

}  // namespace fiducial::dicom::impl
