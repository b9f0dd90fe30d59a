#pragma once
#include <atomic>

#include "dimse/impl/association_connection.hpp"
#include "dimse/provider.hpp"
#include "net/connection_server.hpp"

namespace fiducial::dimse::impl {

/// What all connections of a provider share.
struct ProviderShared {
    ProviderLimits limits;
    std::shared_ptr<Service> service;
    std::atomic<bool> stopping = false;
    std::atomic<std::size_t> associations = 0;  // open now
    std::atomic<std::uint64_t> accepted = 0, rejected = 0, failed = 0, broken = 0;
};

/// One connection of a peer, who asks for an association.
class ProviderConnection final : public net::Connection, public AssociationConnection {
public:
    ProviderConnection(std::shared_ptr<ProviderShared> shared, std::shared_ptr<net::Stream> stream);

    // net::Connection
    net::Task<void> run() override;
    std::int64_t idle_since() const override { return idle_since_; }
    net::Stream& stream() override { return *stream_; }

private:
    void note_idle(bool idle) override;
    bool is_stopping() const override { return shared_->stopping; }

    /// Returns: whether there is an association now.
    net::Task<Result<bool>> establish();
    net::Task<Result<bool>> answer_request();
    net::Task<Result<bool>> reject(dicom::AssociateRj rejection);
    Admission decide();
    void agree(const Acceptance& acceptance);

    const std::shared_ptr<ProviderShared> shared_;
    std::atomic<std::int64_t> idle_since_;
};

}  // namespace fiducial::dimse::impl
