#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace fiducial::archive {

/// What is asked for. Numbers as in IConsents.Operation.
enum class Operation : std::uint8_t { read, identify, store, correct, inventory, trace, consent, ask, break_glass, erase };
/// Why. Numbers as in IConsents.Purpose.
enum class Purpose : std::uint8_t { treatment, emergency, research, administration, personal };
/// By its name above. Errors: invalid_argument, with the names there are.
Result<Purpose> parse_purpose(std::string_view name);
std::string_view name_of(Purpose purpose);

/// What a token opens: everything its person may, looks alone, or storing alone.
enum class TokenScope : std::uint8_t { all, read, store };
/// Errors: invalid_argument, with the names there are.
Result<TokenScope> parse_token_scope(std::string_view name);
std::string_view name_of(TokenScope scope);

/// Who asks, from where and why: what every decision and every trace entry needs.
struct Requester {
    Bytes32 subject{};  // id in `Members`
    Purpose purpose = Purpose::treatment;
    std::string address;  // "127.0.0.1:52344", "command line"
    std::string door;     // "http", "command", "dimse"
    bool device = false;  // no person asks: the trace says so
    TokenScope scope = TokenScope::all;
};

}  // namespace fiducial::archive
