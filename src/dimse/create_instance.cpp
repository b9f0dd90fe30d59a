#include "dimse/create_instance.hpp"

#include "dimse/impl/single_request.hpp"

namespace fiducial::dimse {

net::Task<Result<std::uint16_t>> create_instance(UserSettings settings, NewInstance instance) {
    dicom::CommandSet command;
    command.field = dicom::CommandField::n_create_rq;
    command.message_id = 1;
    command.sop_class = instance.sop_class;
    command.sop_instance = instance.sop_instance;
    command.has_data_set = true;
    auto not_taken = "the peer does not take " + instance.sop_class;
    co_return co_await impl::single_request(std::move(settings), std::move(command), std::move(instance.attributes),
                                            dicom::CommandField::n_create_rsp, "N-CREATE", std::move(not_taken));
}

}  // namespace fiducial::dimse
