#include "dimse/query_user.hpp"

#include <array>
#include <cstdio>

#include "dicom/transfer_syntax.hpp"

namespace fiducial::dimse {
namespace {

using dicom::CommandField;

constexpr std::uint16_t kMessageId = 1;

std::string failure_text(std::string_view command, const dicom::CommandSet& answer) {
    std::array<char, 8> status{};
    std::snprintf(status.data(), status.size(), "%04X", answer.status.value_or(0));
    return "the peer answers " + std::string(command) + " with status " + status.data() + "H" +
           (answer.error_comment.empty() ? "" : ": " + answer.error_comment);
}

/// Sends a request with its identifier. Returns: its presentation context.
net::Task<Result<std::uint8_t>> ask_for(Association& association, const QueryAsk& ask, CommandField field) {
    const auto context = association.find_context(ask.sop_class, dicom::kImplicitVrLittleEndian);
    if (!context) co_return fail(ErrorCode::unsupported, "the peer does not take SOP class " + ask.sop_class);
    dicom::CommandSet command;
    command.field = field;
    command.message_id = kMessageId;
    command.sop_class = ask.sop_class;
    command.priority = 0;  // medium
    command.move_destination = ask.move_destination;
    command.has_data_set = true;
    const auto identifier = dicom::encode_identifier(ask.identifier, dicom::kImplicitVrLittleEndian);
    FID_CO_CHECK(co_await association.send(*context, command, identifier));
    co_return *context;
}

net::Task<Result<void>> cancel(Association& association, std::uint8_t context) {
    dicom::CommandSet command;
    command.field = CommandField::c_cancel_rq;
    command.message_id = kMessageId;
    co_return co_await association.send(context, command, ByteView());
}

net::Task<Result<Bytes>> read_identifier(Association& association) {
    constexpr std::size_t kPiece = 16'384;
    Bytes out;
    for (;;) {
        const auto had = out.size();
        out.resize(had + kPiece);
        const auto room = MutableByteView(out).subspan(had);
        FID_CO_TRY(const auto got, co_await association.read(room));
        out.resize(had + got);
        if (got == 0) co_return std::move(out);
        if (out.size() > dicom::kMostIdentifierBytes) co_return fail(ErrorCode::limit_exceeded, "the peer's answer is too long");
    }
}

net::Task<Error> stray(Association& association, std::string_view to) {
    co_await association.abort();
    co_return Error{ErrorCode::malformed, std::string(to) + " was answered by something else"};
}

}  // namespace

net::Task<Result<std::vector<dicom::Identifier>>> find(Association& association, QueryAsk ask, std::size_t most) {
    FID_CO_TRY(const auto context, co_await ask_for(association, ask, CommandField::c_find_rq));
    std::vector<dicom::Identifier> rows;
    for (;;) {
        FID_CO_TRY(const auto answer, co_await association.answer());
        const auto& command = answer.command;
        if (command.field != CommandField::c_find_rsp || command.message_id != kMessageId) {
            const auto error = co_await stray(association, "C-FIND");
            co_return fail(error);
        }
        const auto kind = dicom::class_of_status(*command.status);
        if (kind == dicom::StatusClass::success) co_return std::move(rows);
        if (kind != dicom::StatusClass::pending) co_return fail(ErrorCode::conflict, failure_text("C-FIND", command));
        if (!command.has_data_set) continue;
        if (rows.size() == most) {
            static_cast<void>(co_await cancel(association, context));
            co_return fail(ErrorCode::limit_exceeded, "the peer finds more than " + std::to_string(most));
        }
        FID_CO_TRY(const auto bytes, co_await read_identifier(association));
        FID_CO_TRY(auto row, dicom::decode_identifier(bytes, answer.transfer_syntax));
        rows.push_back(std::move(row));
    }
}

net::Task<Result<RetrieveProgress>> retrieve(Association& association, QueryAsk ask, const OnObject& on_object,
                                             const OnProgress& on_progress) {
    const bool moves = !ask.move_destination.empty();
    const std::string_view name = moves ? "C-MOVE" : "C-GET";
    FID_CO_TRY(const auto context, co_await ask_for(association, ask, moves ? CommandField::c_move_rq : CommandField::c_get_rq));
    bool cancelled = false;
    for (;;) {
        FID_CO_TRY(const auto message, co_await association.next());
        if (!message) co_return fail(ErrorCode::cancelled, "the peer released the association instead of answering");
        const auto& command = message->command;
        if (command.field == CommandField::c_store_rq && !moves) {
            FID_CO_CHECK(co_await on_object(*message));
            continue;
        }
        if (command.field != (moves ? CommandField::c_move_rsp : CommandField::c_get_rsp) || command.message_id != kMessageId) {
            const auto error = co_await stray(association, name);
            co_return fail(error);
        }
        RetrieveProgress progress;
        progress.status = *command.status;
        progress.remaining = command.remaining.value_or(0);
        progress.completed = command.completed.value_or(0);
        progress.failed = command.failed.value_or(0);
        progress.warned = command.warned.value_or(0);
        const auto kind = dicom::class_of_status(progress.status);
        if (kind != dicom::StatusClass::pending) {
            if (kind == dicom::StatusClass::failure) progress.comment = failure_text(name, command);
            co_return progress;
        }
        if (!on_progress(progress) && !cancelled) {
            cancelled = true;
            FID_CO_CHECK(co_await cancel(association, context));
        }
    }
}

}  // namespace fiducial::dimse
