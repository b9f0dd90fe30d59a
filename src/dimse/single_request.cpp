#include "dimse/impl/single_request.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dimse::impl {

net::Task<Result<std::uint16_t>> single_request(UserSettings settings, dicom::CommandSet command, Bytes data_set,
                                                dicom::CommandField answered_by, std::string_view name, std::string not_taken) {
    settings.contexts = {{1, command.sop_class, {std::string(dicom::kImplicitVrLittleEndian)}}};
    FID_CO_TRY(const auto user, co_await User::open(std::move(settings)));
    auto& association = user->association();
    const auto context = association.find_context(command.sop_class, dicom::kImplicitVrLittleEndian);
    if (!context) {
        static_cast<void>(co_await user->release());
        co_return fail(ErrorCode::unsupported, not_taken);
    }
    FID_CO_CHECK(co_await association.send(*context, command, data_set));
    FID_CO_TRY(const auto answer, co_await association.answer());
    const auto& answered = answer.command;
    if (answered.field != answered_by || answered.message_id != command.message_id) {
        co_await association.abort();
        co_return fail(ErrorCode::malformed, std::string(name) + " was answered by something else");
    }
    static_cast<void>(co_await user->release());  // it has it, however it leaves
    co_return *answered.status;
}

}  // namespace fiducial::dimse::impl
