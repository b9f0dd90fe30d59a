#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"

namespace fiducial::crypto::impl {

/// Ways to hash many messages. All give the same hashes; they differ in speed by machine and by how many messages there are.
enum class Sha256Engine : std::uint8_t {
    openssl,    // one message after the other
    sha_pair,   // libipsec-mb: two messages in turn on the SHA instructions
    avx2,       // libipsec-mb: 8 messages in the lanes of AVX2 registers
    avx512,     // libipsec-mb: 16 messages in the lanes of AVX-512 registers
    automatic,  // for each group of messages, the quickest of these on this machine
};

std::string_view name_of(Sha256Engine engine);
/// The engines that this build and this machine have: openssl first, automatic last.
std::vector<Sha256Engine> available_sha256_engines();
/// Requires: the engine is available; out.size() == messages.size().
/// Returns: how many messages were hashed side by side.
std::size_t sha256_many_with(Sha256Engine engine, std::span<const ByteView> messages, std::span<Hash> out);

}  // namespace fiducial::crypto::impl
