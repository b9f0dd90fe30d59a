#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "dicom/attributes.hpp"

// The commands of DIMSE: group 0000, always in Implicit VR Little Endian. Spec: PS3.7 §6.3, §9.3, §10.3, Annex E.
namespace fiducial::dicom {

enum class CommandField : std::uint16_t {
    c_store_rq = 0x0001,
    c_store_rsp = 0x8001,
    c_get_rq = 0x0010,
    c_get_rsp = 0x8010,
    c_find_rq = 0x0020,
    c_find_rsp = 0x8020,
    c_move_rq = 0x0021,
    c_move_rsp = 0x8021,
    c_echo_rq = 0x0030,
    c_echo_rsp = 0x8030,
    c_cancel_rq = 0x0FFF,
    n_event_report_rq = 0x0100,
    n_event_report_rsp = 0x8100,
    n_get_rq = 0x0110,
    n_get_rsp = 0x8110,
    n_set_rq = 0x0120,
    n_set_rsp = 0x8120,
    n_action_rq = 0x0130,
    n_action_rsp = 0x8130,
    n_create_rq = 0x0140,
    n_create_rsp = 0x8140,
    n_delete_rq = 0x0150,
    n_delete_rsp = 0x8150,
};
/// Returns: "C-STORE-RQ", …; nothing for a value that is no command.
std::optional<std::string_view> name_of(CommandField field);
bool is_response(CommandField field);
CommandField response_to(CommandField request);

/// One command. What a command does not have is empty.
struct CommandSet {
    CommandField field{};
    std::uint16_t message_id = 0;  // of a response and of C-CANCEL: that of the request
    bool has_data_set = false;
    std::string sop_class;     // affected, or where the command wants it so, requested SOP Class UID
    std::string sop_instance;  // likewise; perhaps not a UID (invalid object instance), but at most 64 characters
    std::optional<std::uint16_t> priority{};
    std::optional<std::uint16_t> status{};
    std::string error_comment{};
    std::optional<std::uint16_t> error_id{};
    std::vector<Tag> offending_elements{};
    std::optional<std::uint16_t> event_type{}, action_type{};
    std::vector<Tag> attributes{};  // asked for by N-GET
    std::string move_destination{}, move_originator{};
    std::optional<std::uint16_t> move_originator_message{};
    std::optional<std::uint16_t> remaining{}, completed{}, failed{}, warned{};  // sub-operations
};

/// The answer to a command: same SOP class and instance, message identifier, no data set.
CommandSet answer_to(const CommandSet& request, std::uint16_t status);

/// Elements that are not known are skipped, values of known ones must be what their VR says.
/// Errors: malformed: not ascending, not group 0000, another length than the group's, a field that the command must have is missing.
///     unsupported: a command field that is none.
Result<CommandSet> decode_command_set(ByteView bytes);
Bytes encode_command_set(const CommandSet& command);

/// Spec: PS3.7 Annex C, PS3.4 §B.2.3, §C.4.1
namespace status {
inline constexpr std::uint16_t kSuccess = 0x0000;
inline constexpr std::uint16_t kCancel = 0xFE00;
inline constexpr std::uint16_t kPending = 0xFF00;
inline constexpr std::uint16_t kPendingWithoutOptionalKeys = 0xFF01;
inline constexpr std::uint16_t kProcessingFailure = 0x0110;
inline constexpr std::uint16_t kInvalidObjectInstance = 0x0117;
inline constexpr std::uint16_t kDuplicateInvocation = 0x0210;
inline constexpr std::uint16_t kUnrecognizedOperation = 0x0211;
inline constexpr std::uint16_t kSopClassNotSupported = 0x0122;
inline constexpr std::uint16_t kNotAuthorized = 0x0124;
inline constexpr std::uint16_t kOutOfResources = 0xA700;
inline constexpr std::uint16_t kUnableToPerformSubOperations = 0xA702;
inline constexpr std::uint16_t kMoveDestinationUnknown = 0xA801;
inline constexpr std::uint16_t kDataSetDoesNotMatch = 0xA900;
inline constexpr std::uint16_t kCannotUnderstand = 0xC000;
inline constexpr std::uint16_t kCoercionOfDataElements = 0xB000;
inline constexpr std::uint16_t kSubOperationsWithFailures = 0xB000;
}  // namespace status

enum class StatusClass : std::uint8_t { success, pending, cancel, warning, failure };
StatusClass class_of_status(std::uint16_t status);

}  // namespace fiducial::dicom
