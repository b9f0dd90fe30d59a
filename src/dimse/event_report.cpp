#include "dimse/event_report.hpp"

#include "dimse/impl/single_request.hpp"

namespace fiducial::dimse {

dicom::CommandSet event_report(const Event& event, std::uint16_t message_id) {
    dicom::CommandSet command;
    command.field = dicom::CommandField::n_event_report_rq;
    command.message_id = message_id;
    command.sop_class = event.sop_class;
    command.sop_instance = event.sop_instance;
    command.event_type = event.type;
    command.has_data_set = !event.information.empty();
    return command;
}

net::Task<Result<std::uint16_t>> report_event(UserSettings settings, Event event) {
    settings.roles = {{event.sop_class, false, true}};
    auto command = event_report(event, 1);
    auto not_taken = "the peer does not take reports of " + event.sop_class;
    co_return co_await impl::single_request(std::move(settings), std::move(command), std::move(event.information),
                                            dicom::CommandField::n_event_report_rsp, "N-EVENT-REPORT", std::move(not_taken));
}

}  // namespace fiducial::dimse
