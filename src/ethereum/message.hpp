#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "crypto/secp256k1.hpp"
#include "crypto/secret.hpp"

namespace fiducial::ethereum {

/// keccak256("\x19Ethereum Signed Message:\n" ‖ length ‖ message). Spec: EIP-191, version 0x45.
Hash personal_message_hash(ByteView message);
/// Errors: invalid_argument for a key that is none.
Result<crypto::RecoverableSignature> sign_personal(const crypto::Secret& private_key, ByteView message);
/// Who signed it. `signature` is r ‖ s ‖ v with v 0/1 or 27/28.
/// Errors: malformed for another form or a high s; unverified when no key fits.
Result<Address> recover_personal(ByteView message, ByteView signature);

/// A sign-in with a wallet. Spec: EIP-4361. Texts are as in the message; times RFC 3339.
struct SignInMessage {
    std::string scheme;  // empty: none
    std::string domain;  // RFC 3986 authority
    Address address{};
    std::optional<std::string> statement;  // no line feed
    std::string uri;
    std::uint64_t chain_id = 0;
    std::string nonce;  // at least 8 letters and digits
    std::string issued_at;
    std::optional<std::string> expiration_time;
    std::optional<std::string> not_before;
    std::optional<std::string> request_id;
    std::vector<std::string> resources;  // empty with has_resources: the line alone
    bool has_resources = false;
    friend bool operator==(const SignInMessage&, const SignInMessage&) = default;

    /// The text to sign. Errors: invalid_argument when a field does not fit the grammar.
    Result<std::string> to_text() const;
};

/// Takes only what to_text() could have written: text that differs by a byte is refused.
/// Errors: malformed, naming the line; limit_exceeded beyond 8 KiB.
Result<SignInMessage> parse_sign_in(std::string_view text);

/// What the door that asked for the signature expects.
struct SignInExpectation {
    std::string domain;
    std::string uri;  // empty: not compared
    std::uint64_t chain_id = 0;
    std::string nonce;  // the one that was handed out; used once by the caller
    SystemTime now;
};

/// Returns: the message, whose address has been shown to have signed it.
/// Errors: malformed; unauthenticated for another domain, URI, chain or nonce, a signature by another key, or a time not yet come or past.
Result<SignInMessage> verify_sign_in(std::string_view text, ByteView signature, const SignInExpectation& expected);

/// Reads "2026-11-22T20:00:00.123Z" and the like. Spec: RFC 3339 §5.6; a leap second counts as the second before it.
/// Errors: malformed.
Result<SystemTime> parse_rfc3339(std::string_view text);

}  // namespace fiducial::ethereum
