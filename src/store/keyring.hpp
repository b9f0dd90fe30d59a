#pragma once
#include <string_view>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace fiducial::store {

/// The keys that a site's one key gives, each for one purpose: root = HKDF-SHA-256(ikm site key, salt site id, info "fid.root1");
/// key = HKDF-SHA-256(ikm root, salt site id, info label).
/// Spec: docs/formats/shred_store.md#keys
/// Security: whoever learns one of them learns neither the site key nor another.
/// Threads: safe once made.
class Keyring {
public:
    /// Requires: site_key has 32 random bytes. It is not kept.
    Keyring(const crypto::Secret& site_key, const Bytes32& site_id);

    const crypto::Secret& row_key() const { return row_key_; }      // MACs of index rows
    const crypto::Secret& shred_key() const { return shred_key_; }  // wraps the shred store's page keys
    const crypto::Secret& uid_key() const { return uid_key_; }      // UIDs of images that came without: 2.25.<HMAC(…)>
    const Bytes32& site_id() const { return site_id_; }
    /// A short value that tells the right site key from a wrong one and nothing else.
    const Hash& check_value() const { return check_value_; }
    /// For other purposes. Requires: a label of its own, as "fid.x1".
    crypto::Secret derive(std::string_view label) const;

private:
    crypto::Secret root_;
    Bytes32 site_id_;
    crypto::Secret row_key_;
    crypto::Secret shred_key_;
    crypto::Secret uid_key_;
    Hash check_value_;
};

}  // namespace fiducial::store
