#pragma once
#include <atomic>
#include <map>

#include "dicom/dimse_message.hpp"
#include "dicom/upper_layer.hpp"
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

/// One connection of a peer: the socket under dicom's state machines, and the Association of the service.
class ProviderConnection final : public net::Connection, public Association {
public:
    ProviderConnection(std::shared_ptr<ProviderShared> shared, std::shared_ptr<net::Stream> stream);

    // net::Connection
    net::Task<void> run() override;
    std::int64_t idle_since() const override { return idle_since_; }
    net::Stream& stream() override { return *stream_; }

    // Association
    const dicom::AssociateRq& request() const override { return request_; }
    const std::string& peer() const override { return stream_->peer(); }
    bool secure() const override { return stream_->secure(); }
    net::Task<Result<std::optional<Message>>> next() override;
    net::Task<Result<std::size_t>> read(MutableByteView out) override;
    net::Task<Result<void>> send(std::uint8_t context_id, const dicom::CommandSet& command, ByteView data_set) override;

private:
    using SteadyClock = std::chrono::steady_clock;

    /// Returns: whether there is an association now.
    net::Task<Result<bool>> establish();
    net::Task<Result<bool>> answer_request();
    Admission decide();
    net::Task<void> wind_down();

    /// Waits for the next PDU, or piece of one, and lets the state machine have it. Returns: what it tells: associate, data or release.
    net::Task<Result<dicom::Indication>> receive();
    /// Waits for a piece of a message. Returns: what it gives; nothing when the peer has released the association.
    net::Task<Result<std::optional<dicom::MessageReader::Event>>> receive_piece();
    net::Task<Result<std::optional<dicom::MessageReader::Event>>> release();
    net::Task<Result<void>> fill();
    Result<void> check_rate() const;

    net::Task<Result<void>> transmit(ByteView bytes);
    /// Ends the association with A-ABORT. Returns: the error, to be passed on.
    net::Task<Error> abort(Error error);

    const std::shared_ptr<ProviderShared> shared_;
    const std::shared_ptr<net::Stream> stream_;
    std::atomic<std::int64_t> idle_since_;
    dicom::UpperLayer machine_{dicom::UpperLayer::Role::acceptor};
    dicom::PduReader reader_;
    dicom::MessageReader messages_;
    dicom::AssociateRq request_;
    std::map<std::uint8_t, dicom::AnsweredContext> contexts_;  // accepted ones
    Bytes input_;
    ByteView data_;  // of the data set that is being read, handed out next
    bool released_ = false;

    // the message that is coming
    std::uint64_t received_ = 0;
    std::chrono::nanoseconds waited_{0};
};

}  // namespace fiducial::dimse::impl
