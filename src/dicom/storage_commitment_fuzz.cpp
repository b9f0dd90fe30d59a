#include "dicom/storage_commitment.hpp"
#include "dicom/transfer_syntax.hpp"

using namespace fiducial;
using namespace fiducial::dicom;

/// The first byte says in which transfer syntax the rest is. What was read can be answered; and the answer is a request as well, where none
/// failed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    static constexpr std::string_view kSyntaxes[] = {kImplicitVrLittleEndian, kExplicitVrLittleEndian, kExplicitVrBigEndian};
    const auto read = decode_commitment_request(ByteView(data + 1, size - 1), kSyntaxes[data[0] % 3]);
    if (!read) {
        FID_INVARIANT(!read.error().message.empty() && read.error().code != ErrorCode::internal, "an error says nothing");
        return 0;
    }
    for (const auto syntax : {kImplicitVrLittleEndian, kExplicitVrLittleEndian}) {
        const auto written = encode_commitment_result(*read, "FIDUCIAL", syntax);
        if (written.size() > kMostCommitmentBytes) continue;
        const auto again = decode_commitment_request(written, syntax);
        FID_INVARIANT(
            again.has_value() && again->transaction_uid == read->transaction_uid && again->instances.size() == read->instances.size(),
            "what is written reads otherwise");
    }
    return 0;
}
