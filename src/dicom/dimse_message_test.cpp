#include "dicom/dimse_message.hpp"

#include <gtest/gtest.h>

namespace fiducial::dicom {
namespace {

using Event = MessageReader::Event;

CommandSet store() {
    CommandSet command;
    command.field = CommandField::c_store_rq;
    command.message_id = 7;
    command.has_data_set = true;
    command.sop_class = "1.2.840.10008.5.1.4.1.1.7";
    command.sop_instance = "2.25.1";
    command.priority = 0;
    return command;
}
CommandSet echo() {
    CommandSet command;
    command.field = CommandField::c_echo_rq;
    command.message_id = 8;
    command.sop_class = "1.2.840.10008.1.1";
    return command;
}

struct Message {
    CommandSet command;
    std::uint8_t context_id = 0;
    Bytes data_set;
};

/// What comes out of PDUs, which are checked not to be longer than max_pdu_bytes.
std::vector<Message> read(ByteView pdus, std::uint32_t max_pdu_bytes) {
    PduLimits limits;
    limits.data_bytes = max_pdu_bytes;
    PduReader reader(limits);
    MessageReader messages;
    std::vector<Message> out;
    reader.feed(pdus);
    for (;;) {
        const auto event = reader.next();
        EXPECT_TRUE(event) << event.error().message;
        if (!event || *event == PduReader::Event::need_more) break;
        const auto got = messages.take(reader.piece());
        EXPECT_TRUE(got) << got.error().message;
        if (!got) break;
        if (*got == Event::command) out.push_back({messages.command(), messages.context_id(), {}});
        if (*got == Event::data_set) append(out.back().data_set, messages.data());
    }
    EXPECT_TRUE(messages.ended());
    return out;
}

TEST(DimseMessage, Ps37_6_3_1_WhateverThePeerTakesInAPdu) {
    Bytes data(5'000);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i * 7);
    for (const std::uint32_t most : {8u, 9u, 64u, 4'096u, 131'072u}) {
        auto bytes = encode_message(3, store(), data, most);
        append(bytes, encode_message(1, echo(), {}, most));
        const auto messages = read(bytes, most);
        ASSERT_EQ(messages.size(), 2u);
        EXPECT_EQ(messages[0].data_set, data);
        EXPECT_EQ(messages[0].context_id, 3);
        EXPECT_EQ(messages[0].command.sop_instance, "2.25.1");
        EXPECT_EQ(messages[1].command.message_id, 8);
        EXPECT_FALSE(messages[1].command.has_data_set);
    }
}

TEST(DimseMessage, Ps38_D_1_AMaximumOfZeroIsNone) {
    const Bytes data(300'000, 1);
    EXPECT_EQ(read(encode_message(1, store(), data, 0), 131'072).at(0).data_set, data);
}

TEST(DimseMessage, Ps38_E_AnEmptyLastFragmentEndsADataSet) {
    Bytes bytes;
    append_fragments(bytes, 1, true, encode_command_set(store()), 4'096);
    append_fragments(bytes, 1, false, {}, 4'096);
    EXPECT_TRUE(read(bytes, 4'096).at(0).data_set.empty());
}

PdvPiece piece(bool command, bool ends, ByteView data, std::uint8_t context_id = 1) {
    return {context_id, command, ends, data};
}
void expect_error(MessageReader& reader, const PdvPiece& wrong, ErrorCode code, std::string_view message) {
    const auto got = reader.take(wrong);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, code);
    EXPECT_NE(got.error().message.find(message), std::string::npos) << got.error().message;
    EXPECT_EQ(reader.take(piece(true, true, encode_command_set(echo()))).error().message, got.error().message) << "an error stays";
}

TEST(DimseMessage, Ps38_E_FragmentsOutOfOrderAreRefused) {
    const auto command = encode_command_set(store());
    {
        MessageReader reader;
        expect_error(reader, piece(false, true, {}), ErrorCode::malformed, "a data set without a command");
    }
    {
        MessageReader reader;
        ASSERT_TRUE(reader.take(piece(true, false, ByteView(command).first(4))));
        expect_error(reader, piece(true, false, {}, 3), ErrorCode::malformed, "another presentation context");
    }
    {
        MessageReader reader;
        ASSERT_TRUE(reader.take(piece(true, false, ByteView(command).first(4))));
        expect_error(reader, piece(false, false, {}), ErrorCode::malformed, "a data set in the middle of a command");
    }
    {
        MessageReader reader;
        ASSERT_EQ(reader.take(piece(true, true, command)).value(), Event::command);
        expect_error(reader, piece(true, true, command), ErrorCode::malformed, "a command in the middle of a data set");
    }
    {
        MessageReader reader;  // C-ECHO has none
        ASSERT_EQ(reader.take(piece(true, true, encode_command_set(echo()))).value(), Event::command);
        expect_error(reader, piece(false, true, {}), ErrorCode::malformed, "a data set without a command");
    }
    {
        MessageReader reader;
        expect_error(reader, piece(true, false, Bytes(MessageReader::kMaxCommandBytes + 1, 0)), ErrorCode::limit_exceeded,
                     "a command of more than 65536 bytes");
    }
    {
        MessageReader reader;
        expect_error(reader, piece(true, true, Bytes(12, 0)), ErrorCode::malformed, "does not begin with its length");
    }
}

TEST(MessageFramer, Ps38_AnnexE_LaysOutWhatAWholeMessageWouldBe) {
    CommandSet command;
    command.field = CommandField::c_store_rq;
    command.message_id = 7;
    command.has_data_set = true;
    command.sop_class = "1.2.840.10008.5.1.4.1.1.2";
    command.sop_instance = "2.25.1";
    Bytes data(70'001);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i * 31 >> 3);
    for (const std::uint32_t max_pdu : {0u, 8u, 100u, 16'384u, 131'072u}) {
        for (const std::size_t size :
             {std::size_t{1}, std::size_t{2}, std::size_t{94}, std::size_t{16'378}, std::size_t{16'379}, data.size()}) {
            if (max_pdu == 8 && size > 1'000) continue;
            for (const std::size_t about : {std::size_t{1}, std::size_t{20'000}, std::size_t{1'000'000}}) {
                const auto data_set = ByteView(data).first(size);
                for (const bool known : {true, false}) {
                    MessageFramer framer(3, command, known ? std::optional<std::uint64_t>(size) : std::nullopt, max_pdu);
                    std::size_t at = 0;
                    Bytes all, piece(50, 9);
                    do {
                        ASSERT_TRUE(framer.next(piece, about, [&](MutableByteView out) -> Result<std::size_t> {
                            const auto count = std::min(out.size(), size - at);
                            std::copy_n(data_set.begin() + static_cast<std::ptrdiff_t>(at), count, out.begin());
                            at += count;
                            return count;
                        }));
                        append(all, piece);
                    } while (!framer.ended());
                    EXPECT_EQ(all, encode_message(3, command, data_set, max_pdu)) << max_pdu << " " << size << " " << about << known;
                }
            }
        }
    }
}

TEST(MessageFramer, ADataSetThatIsShorterOrCannotBeReadIsAnError) {
    CommandSet command;
    command.field = CommandField::c_store_rq;
    command.has_data_set = true;
    Bytes piece;
    MessageFramer shorter(3, command, 10, 16'384);
    EXPECT_EQ(shorter.next(piece, 100, [](MutableByteView) -> Result<std::size_t> { return 9; }).error().code, ErrorCode::internal);
    MessageFramer damaged(3, command, 10, 16'384);
    const auto read = [](MutableByteView) -> Result<std::size_t> { return fail(ErrorCode::corrupt, "bits"); };
    EXPECT_EQ(damaged.next(piece, 100, read).error().code, ErrorCode::corrupt);
    MessageFramer unknown(3, command, std::nullopt, 16'384), empty = unknown;
    EXPECT_EQ(unknown.next(piece, 100, read).error().code, ErrorCode::corrupt);
    EXPECT_EQ(empty.next(piece, 100, [](MutableByteView) -> Result<std::size_t> { return 0; }).error().code, ErrorCode::malformed);
}

}  // namespace
}  // namespace fiducial::dicom
