#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/identifiers.hpp"
#include "crypto/secp256k1.hpp"
#include "crypto/secret.hpp"
#include "evidence/manifest.hpp"

namespace fiducial::evidence {

/// What a correction says of a study: whose it is, and which values its data sets' top-level attributes have instead of those that were
/// stored. Signed by the institution. The stored bytes never change; its SHA-256 stands in each instance's body while it is in force.
/// Spec: docs/formats/overlay.md
struct Overlay {
    struct Edit {
        std::uint32_t tag = 0;             // group << 16 | element
        std::string vr;                    // two capital letters
        std::optional<std::string> value;  // UTF-8, several joined by backslash; nothing: the attribute is left out
        bool operator==(const Edit&) const = default;
    };
    Uid study_instance_uid;
    Hash previous{};                       // SHA-256 of the overlay whose place it takes; zeros: none
    Bytes32 person{};                      // who asked for it: id in Members
    std::uint64_t at_ms = 0;               // since 1970-01-01 UTC
    std::string reason;                    // for people, UTF-8
    PatientIdentity patient_in_data_sets;  // whom the stored data sets name
    PatientIdentity patient;               // whose the study is
    std::vector<Edit> edits;               // strictly ascending by tag; none: what was corrected before is taken back
    crypto::RecoverableSignature signature;

    /// Errors: invalid_argument for what the format cannot say.
    Result<void> sign(const crypto::Secret& gateway_key);
    /// Whose signature it carries. Errors: unverified: it is nobody's.
    Result<Address> signer() const;
    /// Errors: unverified when it was not signed by this account.
    Result<void> check_signature(const Address& gateway) const;
    /// Errors: invalid_argument for what the format cannot say.
    Result<Bytes> encode() const;
    /// Errors: malformed for any bytes that encode() would not make; limit_exceeded beyond kMaxOverlayBytes. The signature is not judged.
    static Result<Overlay> decode(ByteView bytes);

private:
    Result<Bytes> encode_unsigned() const;
};
inline constexpr std::size_t kMaxOverlayBytes = std::size_t{1} << 20;

}  // namespace fiducial::evidence
