#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "ledger/chain_types.hpp"

// Reads what a node answers. Everything here is from outside: bounded, never throws, and strict about forms.
namespace fiducial::ledger {

inline constexpr std::size_t kMaxAnswerBytes = std::size_t{64} << 20;

/// The error object of JSON-RPC.
struct RpcError {
    std::int64_t code = 0;
    std::string message;  // at most 1 KiB, control characters replaced
    Bytes data;           // where it is a hex string (the return data of a revert)
};

/// Calls on_result or on_error for each answer of a batch (or the single answer), in any order.
/// Errors: malformed for anything but JSON-RPC 2.0 answers.
class AnswerVisitor {
public:
    virtual ~AnswerVisitor() = default;
    virtual Result<void> on_result(std::uint64_t id, const boost::json::value& result) = 0;
    virtual Result<void> on_error(std::optional<std::uint64_t> id, RpcError error) = 0;
};
Result<void> visit_answers(std::string_view text, AnswerVisitor& visitor);

struct HeaderForm {
    bool later_fields = false;
    bool check_hash = true;
};
Result<std::uint64_t> quantity(const boost::json::value& value, std::string_view what);
Result<Bytes> data_bytes(const boost::json::value& value, std::string_view what);
/// Returns: nothing for null.
Result<std::optional<Block>> read_block(const boost::json::value& value, const HeaderForm& form);
Result<std::vector<Log>> read_logs(const boost::json::value& value);
Result<std::optional<Receipt>> read_receipt(const boost::json::value& value);
Result<AccountProof> read_proof(const boost::json::value& value);

}  // namespace fiducial::ledger
