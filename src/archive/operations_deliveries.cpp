#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/front_desk.hpp"
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

Result<json::object> Operations::list_mails(const Arguments&) {
    return QueueDesk(service_).list_mails();
}

Result<json::object> Operations::retry_mails(const Arguments& arguments) {
    return QueueDesk(service_).retry_mails(arguments);
}

Result<json::object> Operations::discard_mails(const Arguments& arguments) {
    return QueueDesk(service_).discard_mails(arguments);
}

Result<json::object> Operations::test_mail(const Arguments& arguments) {
    FID_TRY(const auto to, argument::required_text(arguments, "to"));
    FID_TRY(const auto said, service_.front_desk_->mails().test(to));
    return json::object{{"to", to}, {"server", said}};
}

}  // namespace fiducial::archive
