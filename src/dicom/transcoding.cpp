#include "dicom/transcoding.hpp"

#include <algorithm>
#include <optional>

#include "dicom/impl/data_set_converter.hpp"
#include "dicom/impl/frame_encoder.hpp"
#include "dicom/impl/inflater.hpp"
#include "dicom/impl/native_frames.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::size_t kPieceBytes = 65'536;
constexpr std::size_t kDeflatedPieceBytes = 1'024;  // may become a thousand times as large
constexpr std::uint64_t kMostInflated = std::uint64_t{1} << 36;

}  // namespace

bool can_transcode(std::string_view from, std::string_view to) {
    if (to != kExplicitVrLittleEndian && to != kImplicitVrLittleEndian && !impl::is_encoded(to)) return false;
    const auto* stored = find_transfer_syntax(from);
    return stored != nullptr && (!stored->encapsulated || impl::is_decoded(from));
}

Result<Bytes> transcode_frame(const PixelDescription& image, std::string_view from, std::string_view to, ByteView frame) {
    FID_TRY(auto native, impl::native_frame(image, from, frame));
    if (!impl::is_encoded(to)) return native;
    return impl::encode_frame(impl::native_description(image, from), to, native);
}

struct Transcoding::State {
    State(const TransferSyntax& from, const TransferSyntax& to, Read source) : read(std::move(source)), converter(from, to) {
        if (from.deflated) inflater.emplace(kMostInflated);
        stored.resize(from.deflated ? kDeflatedPieceBytes : kPieceBytes);
    }

    /// Makes a next piece of what is given out; nothing more once it ended.
    Result<void> fill() {
        made.clear();
        given = 0;
        while (made.empty() && !ended) {
            if (!input.empty()) {
                FID_TRY(const auto taken, converter.feed(input, made));
                input = input.subspan(taken);
                continue;
            }
            FID_TRY(const auto got, read(stored));
            if (got == 0) {
                if (inflater) FID_CHECK(inflater->finish());
                FID_CHECK(converter.finish(made));
                ended = true;
                break;
            }
            input = ByteView(stored).first(got);
            if (!inflater) continue;
            inflated.clear();
            FID_CHECK(inflater->feed(input, [this](ByteView piece) -> Result<void> {
                append(inflated, piece);
                return {};
            }));
            input = inflated;
        }
        return {};
    }

    Read read;
    impl::DataSetConverter converter;
    std::optional<impl::Inflater> inflater;
    Bytes stored, inflated;
    ByteView input;  // of these, what is not converted yet
    Bytes made;
    std::size_t given = 0;  // of `made`
    bool ended = false;
};

Transcoding::Transcoding(std::string_view from, std::string_view to, Read read) {
    FID_INVARIANT(can_transcode(from, to), "an instance is transcoded only into what it can be");
    state_ = std::make_unique<State>(*find_transfer_syntax(from), *find_transfer_syntax(to), std::move(read));
}
Transcoding::Transcoding(Transcoding&&) noexcept = default;
Transcoding& Transcoding::operator=(Transcoding&&) noexcept = default;
Transcoding::~Transcoding() = default;

Result<std::size_t> Transcoding::read(MutableByteView out) {
    std::size_t done = 0;
    while (done < out.size()) {
        if (state_->given == state_->made.size()) {
            if (state_->ended) break;
            FID_CHECK(state_->fill());
            continue;
        }
        const auto part = std::min(out.size() - done, state_->made.size() - state_->given);
        std::copy_n(state_->made.begin() + static_cast<std::ptrdiff_t>(state_->given), part,
                    out.begin() + static_cast<std::ptrdiff_t>(done));
        state_->given += part;
        done += part;
    }
    return done;
}

}  // namespace fiducial::dicom
