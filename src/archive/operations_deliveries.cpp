#include <boost/json.hpp>

#include "archive/operations.hpp"
#include "archive/queue_desk.hpp"
#include "archive/service.hpp"

namespace fiducial::archive {

namespace json = boost::json;

Result<json::object> Operations::list_deliveries(const Arguments& arguments) {
    return QueueDesk(service_).list_deliveries(arguments);
}

Result<json::object> Operations::retry_deliveries(const Arguments& arguments) {
    return QueueDesk(service_).retry_deliveries(arguments);
}

Result<json::object> Operations::discard_deliveries(const Arguments& arguments) {
    return QueueDesk(service_).discard_deliveries(arguments);
}

}  // namespace fiducial::archive
