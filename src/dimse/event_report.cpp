#include "dimse/event_report.hpp"

#include "dicom/transfer_syntax.hpp"

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
    settings.contexts = {{1, event.sop_class, {std::string(dicom::kImplicitVrLittleEndian)}}};
    settings.roles = {{event.sop_class, false, true}};
    FID_CO_TRY(const auto user, co_await User::open(std::move(settings)));
    auto& association = user->association();
    const auto context = association.find_context(event.sop_class, dicom::kImplicitVrLittleEndian);
    if (!context) {
        static_cast<void>(co_await user->release());
        co_return fail(ErrorCode::unsupported, "the peer does not take reports of " + event.sop_class);
    }
    const auto command = event_report(event, 1);
    FID_CO_CHECK(co_await association.send(*context, command, event.information));
    FID_CO_TRY(const auto answer, co_await association.answer());
    const auto& answered = answer.command;
    if (answered.field != dicom::CommandField::n_event_report_rsp || answered.message_id != command.message_id) {
        co_await association.abort();
        co_return fail(ErrorCode::malformed, "N-EVENT-REPORT was answered by something else");
    }
    static_cast<void>(co_await user->release());  // it has it, however it leaves
    co_return *answered.status;
}

}  // namespace fiducial::dimse
