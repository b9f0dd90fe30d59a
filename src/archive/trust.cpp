#include "archive/trust.hpp"

#include "base/file.hpp"

namespace fiducial::archive {

Result<std::vector<Address>> install_next_trust_file(const std::filesystem::path& path, std::string_view next,
                                                     std::span<const crypto::RecoverableSignature> signatures) {
    FID_TRY(const auto current, read_file(path, kMaxTrustBytes));
    FID_TRY(auto signers, evidence::verify_succession(as_text(current), next, signatures));
    FID_TRY(const auto before, evidence::TrustFile::parse(as_text(current)));
    FID_TRY(const auto after, evidence::TrustFile::parse(next));
    const auto beside = [&path](std::uint64_t version, std::string_view ending) {
        return path.string() + "." + std::to_string(version) + std::string(ending);
    };
    FID_CHECK(write_file_atomically(beside(before.version, ""), current, 0644));
    const auto list = evidence::serialise_trust_signatures(evidence::trust_file_sha256(next), signatures);
    FID_CHECK(write_file_atomically(beside(after.version, ".signatures"), as_bytes(list), 0644));
    FID_CHECK(write_file_atomically(path, as_bytes(next), 0644));
    return signers;
}

}  // namespace fiducial::archive
