#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"

namespace fiducial::crypto::impl {

/// Ways to hash many messages. All give the same hashes; they differ in speed by machine.
enum class Sha256Engine : std::uint8_t {
    openssl,       // one message after the other
    multi_buffer,  // libipsec-mb: messages in the lanes of vector registers, or in turn on the SHA instructions; OpenSSL where that is quicker
};

std::string_view name_of(Sha256Engine engine);
/// The engines that this build and this machine have; openssl is always first.
std::vector<Sha256Engine> available_sha256_engines();
/// The quickest one for chunks of 32 KiB on this machine.
Sha256Engine chosen_sha256_engine();
/// Requires: the engine is available; out.size() == messages.size().
/// Returns: how many messages were hashed side by side.
std::size_t sha256_many_with(Sha256Engine engine, std::span<const ByteView> messages, std::span<Hash> out);

}  // namespace fiducial::crypto::impl
