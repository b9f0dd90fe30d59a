#pragma once
#include "crypto/secret.hpp"
#include "database/database.hpp"

namespace fiducial::store {

/// Puts every row and fact of the index under another row key, and what chains their MACs. What did not fit the former key fits the new one
/// as little: it stays found. Rows that are under the new key already are let be. Spec: docs/formats/index.md
/// Requires: Durability::full.
Result<void> rekey_index(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now);

}  // namespace fiducial::store
