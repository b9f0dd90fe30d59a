#pragma once
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "evidence/trust_file.hpp"

namespace fiducial::archive {

inline constexpr std::uint64_t kMaxTrustBytes = std::uint64_t{4} << 20;

/// Puts the next trust file in the place of the one at `path`, in one step. The one before is kept beside it as `path.VERSION`, and the
/// signatures of the new one as `path.VERSION.signatures`, so that others who hold an earlier one can follow.
/// Returns: the signers who signed. Errors: those of evidence::verify_succession; io. After an error the file at `path` is as it was.
Result<std::vector<Address>> install_next_trust_file(const std::filesystem::path& path, std::string_view next,
                                                     std::span<const crypto::RecoverableSignature> signatures);

}  // namespace fiducial::archive
