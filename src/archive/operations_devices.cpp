#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/front_desk.hpp"
#include "archive/members_on_ledger.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"
#include "base/hex.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::string_view kRemoved = "device removed";  // reason of the denial that goes with it

}  // namespace

Result<json::object> Operations::add_device(const Arguments& arguments) {
    FID_TRY(const auto name, argument::required_text(arguments, "name"));
    if (!Devices::is_name(name))
        return fail(ErrorCode::invalid_argument, "a device's name has 1 to 64 letters, digits, dots, dashes and underscores");
    FID_TRY(const auto may, argument::required_text(arguments, "may"));
    FID_TRY(const auto operations, parse_device_duties(may));
    FID_TRY(const auto administrator, service_.site_.key(kOperatorKey));
    const auto there = service_.devices_->by_name(name);
    if (there) return fail(ErrorCode::conflict, "there is a device of this name already");
    if (there.error().code != ErrorCode::not_found) return fail(there.error());
    const Device device{name, crypto::random_bytes32(), operations};
    FID_CHECK(administer(device.id, false));
    // On the ledger first, as people: a device known here without rights there could do nothing.
    FID_TRY(const auto block, register_device(*service_.rpc_, service_.site_.facts(), administrator, device.id, operations));
    FID_CHECK(service_.devices_->add(device));
    return json::object{{"id", to_hex(device.id)},
                        {"name", name},
                        {"may", device_duties_text(operations)},
                        {"usable", service_.front_desk_->wait_until_counts(block)}};
}

Result<json::object> Operations::list_devices(const Arguments&) {
    FID_TRY(const auto devices, service_.devices_->all());
    json::array out;
    for (const auto& device : devices)
        out.push_back({{"id", to_hex(device.id)}, {"name", device.name}, {"may", device_duties_text(device.operations)}});
    return json::object{{"devices", std::move(out)}};
}

/// Counts here at once, whatever the node does. Once the ledger knows, nothing stands under the name any more.
Result<json::object> Operations::remove_device(const Arguments& arguments) {
    FID_TRY(const auto name, argument::required_text(arguments, "name"));
    FID_TRY(const auto device, service_.devices_->by_name(name));
    FID_CHECK(administer(device.id, true));
    FID_TRY(auto denial, service_.front_desk_->denial_of(device.id, kRemoved));
    if (!denial) {
        FID_TRY(denial, service_.access_->add_denial(device.id, {}, std::string(kRemoved)));
    }
    FID_TRY(const auto administrator, service_.site_.key(kOperatorKey));
    const auto told = archive::remove_device(*service_.rpc_, service_.site_.facts(), administrator, device.id);
    const bool away = !told && (told.error().code == ErrorCode::unavailable || told.error().code == ErrorCode::timeout);
    if (!told && !away) return fail(told.error());
    if (told) {
        service_.follower_->wake();
        FID_CHECK(service_.devices_->remove(name));
        FID_CHECK(service_.access_->remove_denial(*denial));
    }
    return json::object{{"name", name}, {"onLedger", told.has_value()}};
}

}  // namespace fiducial::archive
