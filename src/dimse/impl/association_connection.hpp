#pragma once
#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "dicom/dimse_message.hpp"
#include "dicom/upper_layer.hpp"
#include "dimse/association.hpp"
#include "net/stream.hpp"

namespace fiducial::dimse::impl {

/// What acceptor and requestor have in common: the socket under dicom's state machines.
class AssociationConnection : public Association {
public:
    const dicom::AssociateRq& request() const override { return request_; }
    const std::string& peer() const override { return stream_->peer(); }
    bool secure() const override { return stream_->secure(); }
    const std::string& certificate() const override { return stream_->certificate(); }
    std::optional<std::uint8_t> find_context(std::string_view abstract_syntax, std::string_view transfer_syntax) const override;
    std::uint32_t peer_max_pdu_bytes() const override { return peer_max_pdu_bytes_; }
    net::Task<Result<std::optional<Message>>> next() override;
    net::Task<Result<Message>> answer() override;
    net::Task<Result<std::size_t>> read(MutableByteView out) override;
    net::Task<Result<bool>> cancelled(std::uint16_t message_id) override;
    net::Task<Result<void>> send(std::uint8_t context_id, const dicom::CommandSet& command, ByteView data_set) override;
    net::Task<Result<void>> send_pdus(ByteView pdus) override;
    net::Task<void> abort() override;

protected:
    using SteadyClock = std::chrono::steady_clock;
    using Indication = dicom::Indication;

    AssociationConnection(dicom::UpperLayer::Role role, const AssociationLimits& limits, std::shared_ptr<net::Stream> stream);

    /// Told when the peer begins to be waited for between messages, and when it has sent something.
    virtual void note_idle(bool) {}
    /// Whether what is idle is to end.
    virtual bool is_stopping() const { return false; }

    /// What the peer says of the longest P-DATA-TF that it takes; 0: any.
    void take_max_pdu(std::uint32_t said) {
        peer_max_pdu_bytes_ = said == 0 ? limits_.max_pdu_bytes : std::min(said, limits_.max_pdu_bytes);
    }
    enum class Waiting : std::uint8_t { yes, no };
    /// Waits for the next PDU, or piece of one, and lets the state machine have it. Returns: what it tells, none where nothing has come and
    /// nothing was to be waited for. Errors: cancelled when the peer aborted.
    net::Task<Result<Indication>> receive(Waiting waiting = Waiting::yes);
    net::Task<Result<void>> transmit(ByteView bytes);
    /// Ends the association with A-ABORT. Returns: the error, to be passed on.
    net::Task<Error> abort_for(Error error);
    /// What still comes once we have said our last is not looked at; the peer closes, or ARTIM expires.
    net::Task<void> wind_down();

    AssociationLimits limits_;
    const std::shared_ptr<net::Stream> stream_;
    dicom::UpperLayer machine_;
    dicom::PduReader reader_;
    dicom::AssociateRq request_;
    std::map<std::uint8_t, Context> contexts_;
    std::uint32_t peer_max_pdu_bytes_ = dicom::kUnstatedMaxPduBytes;
    std::uint64_t received_ = 0;  // of the message that is coming
    bool released_ = false;

private:
    /// Waits for a piece of a message. Returns: what it gives; nothing when the peer has released the association.
    net::Task<Result<std::optional<dicom::MessageReader::Event>>> receive_piece();
    net::Task<Result<std::optional<dicom::MessageReader::Event>>> take_piece();
    net::Task<Result<std::optional<dicom::MessageReader::Event>>> answer_release();
    net::Task<Result<void>> fill();
    net::Task<Error> end_for_stop();
    /// Returns: whether something had come.
    Result<bool> fill_with_what_has_come();
    Result<void> check_rate() const;
    Result<void> gone(const Result<std::size_t>& got);

    dicom::MessageReader messages_;
    bool told_ = false;  // the message was given to next()'s caller
    bool waiting_for_answer_ = false;
    std::set<std::uint16_t> cancelled_;  // requests that the peer cancelled while an answer of its was waited for
    Bytes input_;
    ByteView data_;  // of the data set that is being read, handed out next
    std::chrono::nanoseconds waited_{0};
};

}  // namespace fiducial::dimse::impl
