#pragma once
#include <utility>

#include "archive/requester.hpp"
#include "base/json.hpp"
#include "base/result.hpp"

namespace fiducial::archive {

class Service;
struct Decision;
struct StudyIdentity;

/// What people and commands ask of the trace. Each question is decided for whoever asks, and is a look that is written down itself.
/// Arguments and answers are JSON objects: docs/reference/http.md#the-trace.
/// Errors: denied, unavailable: by the decision; invalid_argument; corrupt, io: the trace cannot be read.
/// Threads: one at a time; several desks side by side.
class TraceDesk {
public:
    /// Requires: the service outlives it.
    TraceDesk(Service& service, Requester who) : service_(service), who_(std::move(who)) {}

    /// Decides and writes down that the trace is looked into: all of it, or what it tells of a study.
    Result<Decision> look(const StudyIdentity* study = nullptr);
    /// The newest entries that match, in order. Errors: not_found: a person, patient or study that is not known here.
    Result<boost::json::object> search(const boost::json::object& arguments);
    /// Errors: not_found: there is no entry of this number.
    Result<boost::json::object> show(const boost::json::object& arguments);
    /// That an entry stands in the trace, to be checked by anybody.
    Result<boost::json::object> prove(const boost::json::object& arguments);
    /// The same, and how the entry stands in the checkpoint that the ledger holds, where it does.
    Result<boost::json::object> prove_on_ledger(const boost::json::object& arguments);
    /// That the trace goes on from an earlier checkpoint. Errors: corrupt: it does not.
    Result<boost::json::object> prove_growth(const boost::json::object& arguments);
    /// Who broke the glass, and why: those that the ledger does not have yet first, then the newest.
    Result<boost::json::object> list_emergencies();
    /// Who looked at a study, or was turned away, for whoever may know it of this study: the patient, too. Without addresses.
    Result<boost::json::object> list_looks(const boost::json::object& arguments);

private:
    Service& service_;
    const Requester who_;
};

}  // namespace fiducial::archive
