#include "archive/ready_metadata.hpp"

#include "crypto/aead.hpp"
#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

/// One key for each group: what is sealed under it never changes, so that its nonce may be the same.
crypto::Aes256Gcm cipher_of(const crypto::Secret& study_secret, const Hash& what) {
    auto key = crypto::tagged_hmac_sha256(study_secret.view(), "fid.ready-metadata1", {what});
    crypto::Aes256Gcm cipher(key);
    crypto::wipe(key);
    return cipher;
}

}  // namespace

std::optional<ReadyMetadata::Documents> ReadyMetadata::find(const crypto::Secret& study_secret, const Hash& what) {
    Bytes sealed;
    {
        const std::lock_guard lock(mutex_);
        const auto found = places_.find(what);
        if (found == places_.end()) return std::nullopt;
        groups_.splice(groups_.begin(), groups_, found->second);
        sealed = found->second->sealed;
    }
    Bytes plain(sealed.size() - crypto::kAeadTagSize);
    if (!cipher_of(study_secret, what).open(crypto::AeadNonce{}, what, sealed, plain)) return std::nullopt;
    Documents documents;
    for (ByteReader reader(plain); !reader.at_end();) {
        const auto size = reader.u32("a document's length");
        if (!size) return std::nullopt;
        const auto document = reader.take(*size, "a document");
        if (!document) return std::nullopt;
        documents.emplace_back(as_text(*document));
    }
    return documents;
}

void ReadyMetadata::keep(const crypto::Secret& study_secret, const Hash& what, const Documents& documents) {
    Bytes plain;
    for (const auto& document : documents) {
        if (plain.size() + document.size() > most_bytes_ / 4) return;
        append_be(plain, static_cast<std::uint32_t>(document.size()));
        append(plain, as_bytes(document));
    }
    Group group{what, Bytes(plain.size() + crypto::kAeadTagSize)};
    cipher_of(study_secret, what).seal(crypto::AeadNonce{}, what, plain, group.sealed);
    const std::lock_guard lock(mutex_);
    if (const auto found = places_.find(what); found != places_.end()) {  // sealed under a former secret, perhaps
        bytes_ -= found->second->sealed.size();
        groups_.erase(found->second);
        places_.erase(found);
    }
    bytes_ += group.sealed.size();
    groups_.push_front(std::move(group));
    places_.emplace(what, groups_.begin());
    while (bytes_ > most_bytes_) {
        bytes_ -= groups_.back().sealed.size();
        places_.erase(groups_.back().what);
        groups_.pop_back();
    }
}

}  // namespace fiducial::archive
