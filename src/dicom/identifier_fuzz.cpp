#include "dicom/identifier.hpp"
#include "dicom/transfer_syntax.hpp"

using namespace fiducial;
using namespace fiducial::dicom;

/// The first byte says in which transfer syntax the rest is. What is read can be written, and what is written reads the same again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    static constexpr std::string_view kSyntaxes[] = {kImplicitVrLittleEndian, kExplicitVrLittleEndian, kExplicitVrBigEndian};
    const auto read = decode_identifier(ByteView(data + 1, size - 1), kSyntaxes[data[0] % 3]);
    if (!read) {
        FID_INVARIANT(!read.error().message.empty() && read.error().code != ErrorCode::internal, "an error says nothing");
        return 0;
    }
    for (const auto syntax : {kImplicitVrLittleEndian, kExplicitVrLittleEndian}) {
        const auto written = encode_identifier(*read, syntax);
        FID_INVARIANT(written.empty() || written.size() > kMostIdentifierBytes || decode_identifier(written, syntax).has_value(),
                      "what is written cannot be read");
    }
    return 0;
}
