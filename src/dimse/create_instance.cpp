#include "dimse/create_instance.hpp"

#include "dicom/transfer_syntax.hpp"

namespace fiducial::dimse {

net::Task<Result<std::uint16_t>> create_instance(UserSettings settings, NewInstance instance) {
    settings.contexts = {{1, instance.sop_class, {std::string(dicom::kImplicitVrLittleEndian)}}};
    FID_CO_TRY(const auto user, co_await User::open(std::move(settings)));
    auto& association = user->association();
    const auto context = association.find_context(instance.sop_class, dicom::kImplicitVrLittleEndian);
    if (!context) {
        static_cast<void>(co_await user->release());
        co_return fail(ErrorCode::unsupported, "the peer does not take " + instance.sop_class);
    }
    dicom::CommandSet command;
    command.field = dicom::CommandField::n_create_rq;
    command.message_id = 1;
    command.sop_class = instance.sop_class;
    command.sop_instance = instance.sop_instance;
    command.has_data_set = true;
    FID_CO_CHECK(co_await association.send(*context, command, instance.attributes));
    FID_CO_TRY(const auto answer, co_await association.answer());
    const auto& answered = answer.command;
    if (answered.field != dicom::CommandField::n_create_rsp || answered.message_id != command.message_id) {
        co_await association.abort();
        co_return fail(ErrorCode::malformed, "N-CREATE was answered by something else");
    }
    static_cast<void>(co_await user->release());  // it has it, however it leaves
    co_return *answered.status;
}

}  // namespace fiducial::dimse
