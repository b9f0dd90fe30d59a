#pragma once
#include "archive/requester.hpp"
#include "base/json.hpp"
#include "base/result.hpp"

namespace fiducial::archive {

class Service;

/// What waits in the archive for a peer or for a person, for those who look after it. Arguments and answers are JSON objects:
/// docs/reference/http.md#what-waits.
/// Security: whoever asks was let in to administer; restore() decides and traces by itself.
/// Threads: safe.
class QueueDesk {
public:
    /// Requires: the service outlives it.
    explicit QueueDesk(Service& service) : service_(service) {}

    /// What is to be brought to peers, or was given up.
    Result<boost::json::object> list_deliveries(const boost::json::object& arguments);
    /// Errors of both: invalid_argument: which ones is not said.
    Result<boost::json::object> retry_deliveries(const boost::json::object& arguments);
    Result<boost::json::object> discard_deliveries(const boost::json::object& arguments);
    /// Objects kept apart, for a custodian to decide.
    Result<boost::json::object> list_set_aside(const boost::json::object& arguments);
    /// Objects found damaged.
    Result<boost::json::object> list_quarantine();
    /// Takes one back after its bytes were mended; it is checked first. Errors: denied; not_found; corrupt: it is still damaged.
    Result<boost::json::object> restore(const Requester& who, const boost::json::object& arguments);
    /// E-mails that wait, were given up, or were sent in the last week; newest first, at most 1,000.
    Result<boost::json::object> list_mails();
    /// Errors of both: invalid_argument: which ones is not said.
    Result<boost::json::object> retry_mails(const boost::json::object& arguments);
    Result<boost::json::object> discard_mails(const boost::json::object& arguments);
    /// The disk with the least room, and the marks below which people are told and nothing new is taken. Errors: io.
    Result<boost::json::object> room();

private:
    Service& service_;
};

}  // namespace fiducial::archive
