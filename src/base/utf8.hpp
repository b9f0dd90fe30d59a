#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace fiducial {

/// Length of the UTF-8 sequence that begins at `at`, 0 where none does: no overlong forms, no surrogates, nothing beyond U+10FFFF.
/// Spec: RFC 3629 §4. Requires: at < text.size().
std::size_t utf8_sequence(std::string_view text, std::size_t at);
bool is_utf8(std::string_view text);

/// Bytes that nobody promised to be text (a file's name, a peer's) as text that can be stored, sent and shown: what is not UTF-8,
/// and control characters, become \xNN.
/// Returns: UTF-8 of at most max_bytes, cut between characters.
std::string readable(std::string_view bytes, std::size_t max_bytes = std::string_view::npos);

}  // namespace fiducial
