#include "archive/devices.hpp"

#include <algorithm>
#include <array>
#include <sstream>

#include "archive/facts.hpp"
#include "archive/requester.hpp"
#include "base/hex.hpp"

namespace fiducial::archive {
namespace {

constexpr std::string_view kDevicesFact = "devices";
constexpr std::size_t kLongestName = 64;

struct Duty {
    Operation operation;
    std::string_view name;
};
constexpr std::array<Duty, 4> kDuties{
    {{Operation::store, "store"}, {Operation::identify, "query"}, {Operation::read, "retrieve"}, {Operation::correct, "correct"}}};

constexpr std::uint32_t bit_of(Operation operation) {
    return 1U << static_cast<unsigned>(operation);
}

}  // namespace

Result<std::uint32_t> parse_device_duties(std::string_view text) {
    std::uint32_t operations = 0;
    for (;;) {
        const auto comma = text.find(',');
        const auto word = text.substr(0, comma);
        const auto found = std::find_if(kDuties.begin(), kDuties.end(), [&](const Duty& duty) { return duty.name == word; });
        if (found == kDuties.end())
            return fail(ErrorCode::invalid_argument, "a device may " + device_duties_text(~0U) + ", not '" + std::string(word) + "'");
        operations |= bit_of(found->operation);
        if (comma == std::string_view::npos) return operations;
        text.remove_prefix(comma + 1);
    }
}

std::string device_duties_text(std::uint32_t operations) {
    std::string text;
    for (const auto& [operation, name] : kDuties) {
        if ((operations & bit_of(operation)) == 0) continue;
        if (!text.empty()) text += ", ";
        text += name;
    }
    return text;
}

bool Devices::is_name(std::string_view name) {
    static constexpr std::string_view kMarks = "._-";
    return !name.empty() && name.size() <= kLongestName && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kMarks.find(c) != std::string_view::npos;
    });
}

Result<std::vector<Device>> Devices::read(database::Transaction& transaction) const {
    FID_TRY(const auto text, read_fact(transaction, row_key_, kDevicesFact));
    std::vector<Device> devices;
    std::istringstream lines(text.value_or(std::string()));
    Device device;
    std::string id;
    while (lines >> device.name >> id >> device.operations) {
        FID_TRY(device.id, fixed_from_hex<32>(id, "device id"));
        devices.push_back(device);
    }
    return devices;
}

Result<void> Devices::write(database::Transaction& transaction, const std::vector<Device>& devices) const {
    std::string text;
    for (const auto& device : devices) text += device.name + " " + to_hex(device.id) + " " + std::to_string(device.operations) + "\n";
    return write_fact(transaction, row_key_, kDevicesFact, text);
}

Result<void> Devices::add(const Device& device) {
    return database_.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(auto devices, read(t));
        const auto place = std::lower_bound(devices.begin(), devices.end(), device.name,
                                            [](const Device& one, const std::string& name) { return one.name < name; });
        if (place != devices.end() && place->name == device.name)
            return fail(ErrorCode::conflict, "there is a device of this name already");
        devices.insert(place, device);
        return write(t, devices);
    });
}

Result<void> Devices::remove(std::string_view name) {
    return database_.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(auto devices, read(t));
        if (std::erase_if(devices, [&](const Device& one) { return one.name == name; }) == 0)
            return fail(ErrorCode::not_found, "there is no device of this name");
        return write(t, devices);
    });
}

Result<Device> Devices::by_name(std::string_view name) {
    FID_TRY(auto devices, all());
    const auto found = std::find_if(devices.begin(), devices.end(), [&](const Device& one) { return one.name == name; });
    if (found == devices.end()) return fail(ErrorCode::not_found, "there is no device '" + std::string(name) + "' at this site");
    return std::move(*found);
}

Result<Device> Devices::by_id(const Bytes32& id) {
    FID_TRY(auto devices, all());
    const auto found = std::find_if(devices.begin(), devices.end(), [&](const Device& one) { return one.id == id; });
    if (found == devices.end()) return fail(ErrorCode::not_found, "there is no such device at this site");
    return std::move(*found);
}

Result<std::vector<Device>> Devices::all() {
    return database_.read([&](database::Transaction& t) { return read(t); });
}

Result<void> Devices::forget() {
    return database_.write(database::Durability::full, [&](database::Transaction& t) { return write(t, {}); });
}

}  // namespace fiducial::archive
