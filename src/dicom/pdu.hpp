#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/log.hpp"

// The protocol data units of the DICOM upper layer, apart from any socket. Spec: PS3.8 §9.3, Annex D; PS3.7 Annex D.3.3.
namespace fiducial::dicom {

inline constexpr std::string_view kApplicationContext = "1.2.840.10008.3.1.1.1";  // PS3.7 Annex A
inline constexpr std::size_t kMaxPresentationContexts = 128;                      // odd identifiers from 1 to 255
inline constexpr std::uint32_t kUnstatedMaxPduBytes = 16'384;

enum class PduType : std::uint8_t {
    associate_rq = 1,
    associate_ac = 2,
    associate_rj = 3,
    p_data_tf = 4,
    release_rq = 5,
    release_rp = 6,
    abort = 7,
};

/// Spec: PS3.8 §9.3.2.2
struct ProposedContext {
    std::uint8_t id = 0;
    std::string abstract_syntax;
    std::vector<std::string> transfer_syntaxes;
};

/// Spec: PS3.8 §9.3.3.2, table 9-18
enum class ContextResult : std::uint8_t {
    acceptance = 0,
    user_rejection = 1,
    no_reason = 2,
    abstract_syntax_not_supported = 3,
    transfer_syntaxes_not_supported = 4,
};
struct AnsweredContext {
    std::uint8_t id = 0;
    ContextResult result = ContextResult::acceptance;
    std::string transfer_syntax;  // says something only where accepted
};

/// Spec: PS3.7 §D.3.3.3
struct AsynchronousOperations {
    std::uint16_t invoked = 1;  // 0: as many as one likes
    std::uint16_t performed = 1;
};
/// Spec: PS3.7 §D.3.3.4
struct RoleSelection {
    std::string sop_class;
    bool scu = false;
    bool scp = false;
};
/// Spec: PS3.7 §D.3.3.5
struct ExtendedNegotiation {
    std::string sop_class;
    Bytes information;  // as the service class says
};
/// Spec: PS3.7 §D.3.3.6
struct CommonExtendedNegotiation {
    std::string sop_class;
    std::string service_class;
    std::vector<std::string> related_general_classes;
};
/// Spec: PS3.7 §D.3.3.7. Passwords and tickets stand in it.
struct UserIdentity : log::NotForLogs {
    std::uint8_t type = 0;  // 1: name, 2: name and passcode, 3: Kerberos, 4: SAML, 5: JSON web token
    bool response_requested = false;
    Bytes primary;
    Bytes secondary;
};

/// What the two sides say of themselves. Spec: PS3.8 Annex D, PS3.7 §D.3.3
struct UserInformation {
    std::uint32_t max_pdu_bytes = kUnstatedMaxPduBytes;  // of the variable field of P-DATA-TF; 0: no limit
    std::string implementation_class_uid;
    std::string implementation_version;  // empty: not given
    std::optional<AsynchronousOperations> asynchronous;
    std::vector<RoleSelection> roles;
    std::vector<ExtendedNegotiation> extended;
    std::vector<CommonExtendedNegotiation> common_extended;  // requests only
    std::optional<UserIdentity> identity;                    // requests only
    std::optional<Bytes> identity_response;                  // answers only
};

struct AssociateRq {
    std::uint16_t protocol_versions = 1;  // bit 0: version 1, the only one there is
    std::string called_ae_title;          // without outer spaces
    std::string calling_ae_title;
    std::string application_context{kApplicationContext};
    std::vector<ProposedContext> contexts;
    UserInformation user;
};
struct AssociateAc {
    std::uint16_t protocol_versions = 1;
    std::string called_ae_title;  // as they came with the request
    std::string calling_ae_title;
    std::string application_context{kApplicationContext};
    std::vector<AnsweredContext> contexts;
    UserInformation user;
};

/// Spec: PS3.8 §9.3.4, table 9-21
struct AssociateRj {
    std::uint8_t result = 1;  // 1: permanent, 2: transient
    std::uint8_t source = 1;  // 1: service user, 2: provider (ACSE), 3: provider (presentation)
    std::uint8_t reason = 1;
    bool operator==(const AssociateRj&) const = default;
};
namespace reject {
inline constexpr AssociateRj kApplicationContextNotSupported{1, 1, 2};
inline constexpr AssociateRj kCallingAeTitleNotRecognized{1, 1, 3};
inline constexpr AssociateRj kCalledAeTitleNotRecognized{1, 1, 7};
inline constexpr AssociateRj kProtocolVersionNotSupported{1, 2, 2};
inline constexpr AssociateRj kTemporaryCongestion{2, 3, 1};
inline constexpr AssociateRj kLocalLimitExceeded{2, 3, 2};
}  // namespace reject

struct ReleaseRq {};
struct ReleaseRp {};

/// Spec: PS3.8 §9.3.8, table 9-26
enum class AbortReason : std::uint8_t {
    not_specified = 0,
    unrecognized_pdu = 1,
    unexpected_pdu = 2,
    unrecognized_pdu_parameter = 4,
    unexpected_pdu_parameter = 5,
    invalid_pdu_parameter_value = 6,
};
struct Abort {
    bool by_provider = false;  // else by the service user, who gives no reason
    AbortReason reason = AbortReason::not_specified;
};

using Pdu = std::variant<AssociateRq, AssociateAc, AssociateRj, ReleaseRq, ReleaseRp, Abort>;
PduType type_of(const Pdu& pdu);

/// Requires: titles of at most 16 characters, odd context identifiers, lengths within what their fields hold: all that PduReader gives.
Bytes encode(const Pdu& pdu);

/// A piece of one presentation data value as it streams by; never more than what was fed.
struct PdvPiece {
    std::uint8_t context_id = 0;
    bool command = false;  // else data set
    bool ends = false;     // the last piece of the last fragment (of the command, or of the data set)
    ByteView data;         // may be empty
};

struct PduLimits {
    std::uint32_t associate_bytes = 262'144;  // of an A-ASSOCIATE PDU
    std::uint32_t data_bytes = 131'072;       // of the variable field of P-DATA-TF, as we have said to the peer
};

/// Reads PDUs as a state machine: bytes in as they come, split anywhere; PDUs and pieces of data values out. Data is handed through, never
/// kept; every other PDU is, within the limits.
///
///     reader.feed(bytes);
///     for (;;) { FID_TRY(const auto event, reader.next()); if (event == PduReader::Event::need_more) break; … }
///
/// Spec:     PS3.8 §9.3. Items that are not known are skipped (§9.3.1); a title, UID or identifier that is none is refused.
/// Requires: bytes given to feed() stay in place until next() answers need_more; pdu() and piece() are valid until the next call
/// Errors:   malformed, limit_exceeded; afterwards every next() gives the same error, and abort() is what to answer
class PduReader {
public:
    enum class Event : std::uint8_t {
        need_more,  // the bytes given are used up
        pdu,        // pdu() is a whole one, anything but P-DATA-TF
        piece,      // piece() is of a P-DATA-TF
    };
    explicit PduReader(PduLimits limits = {}) : limits_(limits) {}

    /// Requires: the last next() answered need_more, or none was called yet.
    void feed(ByteView bytes);
    Result<Event> next();
    const Pdu& pdu() const { return pdu_; }
    const PdvPiece& piece() const { return piece_; }
    Abort abort() const { return abort_; }
    /// Whether a PDU has begun and not ended.
    bool inside() const { return state_ != State::header || !kept_.empty(); }

private:
    enum class State : std::uint8_t { header, body, value_header, value, failed };
    Result<Event> fail_with(ErrorCode code, std::string message, AbortReason reason);
    /// Gathers until `size` bytes are kept. Returns: whether they are.
    bool gather(std::size_t size);
    Result<Event> begin_pdu();
    Result<Event> decode_pdu();
    Result<Event> begin_value();
    Event hand_out_value();

    const PduLimits limits_;
    State state_ = State::header;
    ByteView input_;
    Bytes kept_;                    // a header, or the body of a PDU without data
    PduType type_{};                // of the PDU that is being read
    std::uint32_t pdu_left_ = 0;    // of its variable field
    std::uint32_t value_left_ = 0;  // of a data value's fragment
    bool value_is_last_ = false;
    Pdu pdu_;
    PdvPiece piece_;
    Abort abort_;
    Error error_;
};

/// Reads one PDU's variable field. Errors: malformed, naming PDU and place.
Result<Pdu> decode_pdu(PduType type, ByteView body);

/// Whether text can be an Application Entity title: 1 to 16 printable characters without backslash, not only spaces.
/// Spec: PS3.5 §6.2 (AE)
bool is_ae_title(std::string_view text);

}  // namespace fiducial::dicom
