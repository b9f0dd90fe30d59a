#pragma once
#include "dimse/impl/association_connection.hpp"
#include "dimse/user.hpp"

namespace fiducial::dimse::impl {

/// One connection to a peer, of whom an association is asked.
class UserConnection final : public AssociationConnection {
public:
    UserConnection(const UserSettings& settings, std::shared_ptr<net::Stream> stream);
    net::Task<Result<void>> establish();
    net::Task<Result<void>> release();
    void close() { stream_->close(); }

private:
    const std::string wanted_certificate_;
    void agree(const dicom::AssociateAc& answer);
};

}  // namespace fiducial::dimse::impl
