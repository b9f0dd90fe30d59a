#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"
#include "database/database.hpp"

namespace fiducial::archive {

/// Reads what a device may do, "store", "query", "retrieve", several joined by commas. Returns: operations as bits, as in `Members`.
/// Errors: invalid_argument, with the words there are.
Result<std::uint32_t> parse_device_duties(std::string_view text);
std::string device_duties_text(std::uint32_t operations);

/// A modality, workstation or other archive as this site knows it; what it may is in `Members` on the chain, under the same id.
struct Device {
    std::string name;  // unique at the site
    Bytes32 id{};
    std::uint32_t operations = 0;  // bit n: Operation n
};

/// Names of devices. All stand in one fact under a MAC, so that whoever can write to the database cannot give a device's name to another.
/// Put back from an earlier time it names a device that was removed; the ledger knows that one no more.
/// Spec: docs/formats/index.md#people
/// Errors: corrupt when the MAC does not fit.
/// Threads: safe.
class Devices {
public:
    Devices(database::Database& database, crypto::Secret row_key) : database_(database), row_key_(std::move(row_key)) {}

    /// Errors: conflict when the name is taken.
    Result<void> add(const Device& device);
    /// Errors: not_found.
    Result<void> remove(std::string_view name);
    /// Errors: not_found.
    Result<Device> by_name(std::string_view name);
    Result<Device> by_id(const Bytes32& id);
    /// By name.
    Result<std::vector<Device>> all();

    /// Begins anew where the MAC does not fit.
    Result<void> forget();

    /// 1 to 64 letters, digits, dots, dashes and underscores.
    static bool is_name(std::string_view name);

private:
    Result<std::vector<Device>> read(database::Transaction& transaction) const;
    Result<void> write(database::Transaction& transaction, const std::vector<Device>& devices) const;

    database::Database& database_;
    const crypto::Secret row_key_;
};

}  // namespace fiducial::archive
