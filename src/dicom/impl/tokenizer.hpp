#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/hash.hpp"
#include "dicom/data_set_scanner.hpp"
#include "dicom/impl/dictionary.hpp"

namespace fiducial::dicom::impl {

/// How elements are written.
struct Encoding {
    bool explicit_vr = true;
    bool big_endian = false;
};

inline constexpr std::uint32_t kUndefinedLength = 0xffffffff;
inline constexpr Tag kItem = 0xfffee000;
inline constexpr Tag kItemDelimiter = 0xfffee00d;
inline constexpr Tag kSequenceDelimiter = 0xfffee0dd;
inline constexpr std::size_t kNotKept = static_cast<std::size_t>(-1);

/// Reads a tag or number in the byte order of the encoding.
std::uint16_t read_u16(const std::uint8_t* at, bool big_endian);
std::uint32_t read_u32(const std::uint8_t* at, bool big_endian);

/// Head of an element or item.
struct ElementHead {
    Tag tag = 0;
    Vr vr;  // as written; implicit: from the dictionary, UN for private ones
    std::uint32_t length = 0;
    std::uint8_t size = 0;  // of the head: 8 or 12
};
/// Returns: how many bytes the head needs (8 or 12), judged by the first 8.
/// Errors: malformed where the VR is not two capital letters.
Result<std::uint8_t> head_size(ByteView first8, Encoding encoding);
ElementHead read_head(ByteView head, Encoding encoding);
/// True for VRs of which the standard says anything.
bool is_known_vr(Vr vr);
/// Whether an explicit head has 16 bits for the length of such a value.
bool has_short_length(Vr vr);

/// A top-level element that went by.
struct TopElement {
    Tag tag = 0;
    Vr vr;
    bool undefined_length = false;
    std::uint64_t offset = 0;     // of the value in the data set
    std::uint64_t length = 0;     // of the value, without the delimiter that ends it
    std::size_t kept = kNotKept;  // where the value starts in kept()
};

/// Walks over a data set's bytes as they come, in any pieces.
/// Top-level values are kept, but for pixel data (hashed) and long ones (skipped).
class Tokenizer {
public:
    Tokenizer(Encoding encoding, const ScanLimits& limits) : encoding_(encoding), limits_(limits) {}

    Result<void> feed(ByteView bytes);
    Result<void> finish();

    /// Elements before the first one behind (0020,000E); kNotKept while none of those came. All of them are complete.
    std::size_t before_identity_passed() const { return identity_passed_; }
    /// Elements before pixel data; kNotKept while it did not come.
    std::size_t before_pixel_data() const { return pixel_; }
    const std::vector<TopElement>& elements() const { return elements_; }
    ByteView kept() const { return kept_; }
    /// Empty for a value that is not kept or not complete yet.
    ByteView value_of(const TopElement& element) const;
    const TopElement* pixel() const { return pixel_ == kNotKept ? nullptr : &elements_[pixel_]; }
    Hash pixel_sha256() { return pixel_hash_.finish(); }
    std::uint64_t offset() const { return offset_; }
    const std::vector<std::string>& warnings() const { return warnings_; }
    Encoding encoding() const { return encoding_; }

private:
    enum class Target : std::uint8_t { keep, skip, pixel };
    enum class FrameKind : std::uint8_t { sequence, item, fragments };
    struct Frame {
        FrameKind kind;
        Encoding encoding;
    };

    Encoding current() const { return frames_.empty() ? encoding_ : frames_.back().encoding; }
    Result<void> head_complete(const ElementHead& head);
    Result<void> top_element(const ElementHead& head);
    Result<void> in_container(const ElementHead& head);
    Result<void> nested_undefined(const ElementHead& head, Encoding here);
    Result<void> close_container();
    Result<void> push(FrameKind kind, Encoding encoding, const ElementHead& head);
    Result<void> keep(ByteView bytes);
    Result<void> take_value(ByteView bytes);
    tl::unexpected<Error> malformed(std::string what) const;
    void warn(std::string what);

    Encoding encoding_;
    ScanLimits limits_;
    std::uint64_t offset_ = 0;  // bytes taken
    std::array<std::uint8_t, 12> head_{};
    std::uint8_t head_have_ = 0;
    std::uint8_t head_need_ = 0;  // 0: not known yet
    std::uint64_t head_offset_ = 0;
    std::uint64_t value_left_ = 0;
    Target target_ = Target::keep;
    bool trailing_zeros_ = false;
    std::size_t identity_passed_ = kNotKept;
    std::vector<Frame> frames_;
    std::vector<TopElement> elements_;
    std::uint64_t used_ = 0;  // of limits_.header_bytes
    Bytes kept_;
    std::size_t pixel_ = kNotKept;
    Tag last_tag_ = 0;
    crypto::Sha256 pixel_hash_;
    std::vector<std::string> warnings_;
};

}  // namespace fiducial::dicom::impl
