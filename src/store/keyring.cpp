#include "store/keyring.hpp"

#include "crypto/aead.hpp"

namespace fiducial::store {

Keyring::Keyring(const crypto::Secret& site_key, const Bytes32& site_id) : root_(32), site_id_(site_id) {
    FID_INVARIANT(site_key.size() == 32, "a site key has 32 bytes");
    crypto::hkdf_sha256(site_key.view(), site_id_, "fid.root1", root_.bytes());
    row_key_ = derive("fid.rowkey1");
    shred_key_ = derive("fid.shredkey1");
    uid_key_ = derive("fid.uidkey1");
    const auto check = derive("fid.check1");
    std::memcpy(check_value_.data(), check.view().data(), check_value_.size());
}

crypto::Secret Keyring::derive(std::string_view label) const {
    crypto::Secret key(32);
    crypto::hkdf_sha256(root_.view(), site_id_, label, key.bytes());
    return key;
}

}  // namespace fiducial::store
