#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

// The Storage Commitment service class, push model. Spec: PS3.4 Annex J.
namespace fiducial::dicom {

inline constexpr std::string_view kStorageCommitmentSopClass = "1.2.840.10008.1.20.1";
inline constexpr std::string_view kStorageCommitmentInstance = "1.2.840.10008.1.20.1.1";  // the well-known one
inline constexpr std::uint16_t kRequestStorageCommitment = 1;                             // Action Type ID
inline constexpr std::uint16_t kCommitmentSucceeded = 1, kCommitmentHasFailures = 2;      // Event Type ID

/// Why an instance is not committed to: Failure Reason (0008,1197), whose numbers are statuses of N-ACTION as well.
/// Spec: PS3.3 §C.14.1.1, PS3.7 Annex C
namespace commitment_failure {
inline constexpr std::uint16_t kProcessingFailure = 0x0110;
inline constexpr std::uint16_t kNoSuchInstance = 0x0112;
inline constexpr std::uint16_t kInvalidArgument = 0x0115;  // of N-ACTION alone
inline constexpr std::uint16_t kClassInstanceConflict = 0x0119;
inline constexpr std::uint16_t kNoSuchAction = 0x0123;  // of N-ACTION alone
inline constexpr std::uint16_t kDuplicateTransaction = 0x0131;
inline constexpr std::uint16_t kResourceLimitation = 0x0213;
}  // namespace commitment_failure

/// An instance that is asked about, or answered for.
struct CommittedInstance {
    std::string sop_class, sop_instance;
    std::uint16_t failure = 0;  // 0: it is kept
};

/// What an N-ACTION asks for, or an N-EVENT-REPORT answers.
struct Commitment {
    std::string transaction_uid;
    std::vector<CommittedInstance> instances;
};

inline constexpr std::size_t kMostCommitmentBytes = std::size_t{4} << 20;

/// Reads what an N-ACTION asks for. Spec: PS3.4 table J.3-1. Errors: malformed: without a transaction's UID, or without an instance, or one
/// of them is no UID; unsupported (transfer syntax); limit_exceeded
Result<Commitment> decode_commitment_request(ByteView data_set, std::string_view transfer_syntax);

/// Writes what an N-EVENT-REPORT answers: those that are kept, then those that are not. Spec: PS3.4 table J.3-2
/// Requires: transfer_syntax is Explicit or Implicit VR Little Endian
Bytes encode_commitment_result(const Commitment& result, std::string_view our_ae_title, std::string_view transfer_syntax);

}  // namespace fiducial::dicom
