#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "dicom/attributes.hpp"

namespace fiducial::dicom {

/// Writes a data set in Explicit or Implicit VR Little Endian, elements ascending by tag as they are put. For images and answers that we
/// make ourselves: the same calls give the same bytes, whatever library or version.
/// Requires: tags ascending within each item; text already in the character set that the data set declares.
/// Spec: PS3.5 §7.1.2, §7.5, Annex A.4.
class DataSetWriter {
public:
    explicit DataSetWriter(bool explicit_vr = true) : explicit_vr_(explicit_vr) {}

    /// Text VRs; padded as the VR demands (UI with NUL, others with space).
    void text(Tag tag, std::string_view vr, std::string_view value);
    void us(Tag tag, std::uint16_t value);
    void us(Tag tag, std::initializer_list<std::uint16_t> values);
    void ul(Tag tag, std::uint32_t value);
    void fd(Tag tag, double value);
    void at(Tag tag, Tag value);
    /// Numbers of a binary VR (US, SS, UL, SL, UV, SV, FL, FD; AT as eight hexadecimal digits) out of text; texts that are none are left
    /// out. Returns: false where the VR is another, and nothing was written.
    bool numbers(Tag tag, std::string_view vr, std::span<const std::string> texts);
    /// Binary values with 32-bit length (OB, OW, UN); padded to even length.
    void binary(Tag tag, std::string_view vr, ByteView value);
    /// The head of such an element alone: who calls puts the value behind it, and a zero where its length is odd.
    void binary_head(Tag tag, std::string_view vr, std::size_t length);
    /// 16-bit samples as OW.
    void ow(Tag tag, std::span<const std::uint16_t> samples);
    /// Pixel data in fragments: an empty offset table, then one fragment a frame.
    void encapsulated(std::span<const ByteView> frames);
    /// Sequences of undefined length: begin_sequence, (begin_item … end_item)*, end_sequence.
    void begin_sequence(Tag tag);
    void begin_item();
    void end_item();
    void end_sequence();

    const Bytes& bytes() const { return out_; }
    Bytes take() { return std::move(out_); }

private:
    void header(Tag tag, std::string_view vr, std::uint32_t length);
    const bool explicit_vr_;
    Bytes out_;
};

}  // namespace fiducial::dicom
