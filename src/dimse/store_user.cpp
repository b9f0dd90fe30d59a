#include "dimse/store_user.hpp"

#include <array>

#include "dicom/dimse_message.hpp"
#include "dicom/transcoding.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dimse {
namespace {

constexpr std::size_t kPieceBytes = 262'144;

/// What an object is given in where it is not taken as it is.
constexpr std::array kInstead{dicom::kExplicitVrLittleEndian, dicom::kImplicitVrLittleEndian, dicom::kJpegLsLossless,
                              dicom::kJpeg2000Lossless, dicom::kHtj2kLossless};

/// An object with the next piece of its message, laid out.
struct Prepared {
    OutgoingObject object;
    std::uint16_t message_id = 0;
    std::optional<dicom::MessageFramer> framer;  // none: it is not sent
    Bytes piece;
};

class StoreUser {
public:
    StoreUser(Association& association, net::BlockingPool& reading, OutgoingObjects& objects, const StoreOptions& options)
        : association_(association), reading_(reading), objects_(objects), options_(options), message_id_(options.first_message_id) {}

    net::Task<Result<void>> run(const AfterEach& after_each) {
        auto prepare = [this]() { return prepare_next(); };
        FID_CO_CHECK(co_await reading_.run(prepare));
        while (coming_) {
            now_ = std::move(*coming_);
            coming_.reset();
            std::optional<std::uint16_t> status;
            if (now_.framer) {
                FID_CO_TRY(status, co_await send());
            } else {
                FID_CO_CHECK(co_await reading_.run(prepare));
            }
            const SentObject sent{now_.object, status, now_.object.error};
            FID_CO_TRY(const bool go_on, co_await after_each(sent));
            if (!go_on) co_return Result<void>();
        }
        co_return Result<void>();
    }

private:
    dicom::CommandSet command_of(const OutgoingObject& object, std::uint16_t message_id) const {
        dicom::CommandSet command;
        command.field = dicom::CommandField::c_store_rq;
        command.message_id = message_id;
        command.has_data_set = true;
        command.sop_class = object.sop_class;
        command.sop_instance = object.sop_instance;
        command.priority = 0;  // medium
        if (options_.originator) {
            command.move_originator = options_.originator->ae_title;
            command.move_originator_message = options_.originator->message_id;
        }
        return command;
    }

    /// Goes to the next object, and lays out the beginning of its message. Blocking.
    Result<void> prepare_next() {
        auto object = objects_.next();
        if (!object) return {};
        coming_.emplace();
        coming_->object = *std::move(object);
        auto& error = coming_->object.error;
        if (error) return {};
        const auto context = choose_context(coming_->object);
        if (!context) {
            error = Error{ErrorCode::unsupported, "the peer does not take SOP class " + coming_->object.sop_class + " in transfer syntax " +
                                                      coming_->object.transfer_syntax};
            return {};
        }
        coming_->message_id = message_id_++;
        std::optional<std::uint64_t> size;
        if (!transcoding_) size = coming_->object.size;
        coming_->framer.emplace(*context, command_of(coming_->object, coming_->message_id), size, association_.peer_max_pdu_bytes());
        coming_->piece = std::move(spare_);
        if (auto laid_out = lay_out(*coming_, coming_->piece); !laid_out) {
            error = laid_out.error();
            coming_->framer.reset();
        }
        return {};
    }

    /// The context in which an object goes out, and how: as it is, if that can be.
    std::optional<std::uint8_t> choose_context(OutgoingObject& object) {
        transcoding_.reset();
        auto context = association_.find_context(object.sop_class, object.transfer_syntax);
        for (const auto syntax : kInstead) {
            if (context || !dicom::can_transcode(object.transfer_syntax, syntax)) continue;
            context = association_.find_context(object.sop_class, syntax);
            if (!context) continue;
            const auto read = [this](MutableByteView out) { return objects_.read(out); };
            transcoding_.emplace(object.transfer_syntax, syntax, read);
            object.transcoded = true;
            object.size = 0;
        }
        return context;
    }

    /// Puts the next piece of a message into `piece`.
    Result<void> lay_out(Prepared& message, Bytes& piece) {
        return message.framer->next(piece, kPieceBytes, [&](MutableByteView out) -> Result<std::size_t> {
            if (!transcoding_) return objects_.read(out);
            FID_TRY(const auto got, transcoding_->read(out));
            message.object.size += got;
            return got;
        });
    }

    /// Returns: the peer's status.
    net::Task<Result<std::uint16_t>> send() {
        Bytes next_piece = std::move(next_);
        while (!now_.framer->ended()) {
            auto read = [&]() { return lay_out(now_, next_piece); };
            auto [sent, laid_out] = co_await net::both(association_.send_pdus(now_.piece), reading_.run(read));
            FID_CO_CHECK(sent);
            if (!laid_out) {
                co_await association_.abort();
                co_return fail(laid_out.error());
            }
            std::swap(now_.piece, next_piece);
        }
        next_ = std::move(next_piece);
        auto prepare = [this]() { return prepare_next(); };
        auto [status, prepared] = co_await net::both(finish(), reading_.run(prepare));
        spare_ = std::move(now_.piece);
        FID_CO_CHECK(status);
        FID_CO_CHECK(prepared);
        co_return status;
    }

    /// Sends what is left of the message and waits for its answer.
    net::Task<Result<std::uint16_t>> finish() {
        FID_CO_CHECK(co_await association_.send_pdus(now_.piece));
        FID_CO_TRY(const auto answer, co_await association_.answer());
        const auto& command = answer.command;
        if (command.field == dicom::CommandField::c_store_rsp && command.message_id == now_.message_id) co_return *command.status;
        co_await association_.abort();
        co_return fail(ErrorCode::malformed, "C-STORE was answered by something else");
    }

    Association& association_;
    net::BlockingPool& reading_;
    OutgoingObjects& objects_;
    const StoreOptions& options_;
    std::uint16_t message_id_;
    Prepared now_;
    std::optional<Prepared> coming_;
    std::optional<dicom::Transcoding> transcoding_;  // of the object that is read
    Bytes spare_, next_;                             // memory of pieces that were sent
};

}  // namespace

net::Task<Result<void>> send_objects(Association& association, net::BlockingPool& reading, OutgoingObjects& objects,
                                     const StoreOptions& options, const AfterEach& after_each) {
    StoreUser user(association, reading, objects, options);
    co_return co_await user.run(after_each);
}

}  // namespace fiducial::dimse
