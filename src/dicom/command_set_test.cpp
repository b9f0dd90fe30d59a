#include "dicom/command_set.hpp"

#include <gtest/gtest.h>

#include "base/file.hpp"
#include "dicom/dimse_message.hpp"
#include "dicom/pdu.hpp"

namespace fiducial::dicom {
namespace {

Bytes element(std::uint16_t number, ByteView value, std::uint16_t group = 0) {
    Bytes out;
    for (const std::uint32_t n : {std::uint32_t{group}, std::uint32_t{number}})
        out.insert(out.end(), {static_cast<std::uint8_t>(n), static_cast<std::uint8_t>(n >> 8)});
    const auto size = static_cast<std::uint32_t>(value.size());
    for (int i = 0; i < 4; ++i) out.push_back(static_cast<std::uint8_t>(size >> (8 * i)));
    append(out, value);
    return out;
}
Bytes element(std::uint16_t number, std::string_view text) {
    return element(number, as_bytes(text));
}
Bytes number(std::uint16_t element_number, std::uint16_t value) {
    return element(element_number, Bytes{static_cast<std::uint8_t>(value), static_cast<std::uint8_t>(value >> 8)});
}
/// With its length in front.
Bytes command(std::initializer_list<Bytes> elements) {
    Bytes body;
    for (const auto& one : elements) append(body, one);
    const auto size = static_cast<std::uint8_t>(body.size());
    Bytes out = element(0, Bytes{size, 0, 0, 0});
    append(out, body);
    return out;
}

void expect_error(ByteView bytes, ErrorCode code, std::string_view message) {
    const auto decoded = decode_command_set(bytes);
    ASSERT_FALSE(decoded) << "nothing wrong, expected: " << message;
    EXPECT_EQ(decoded.error().code, code);
    EXPECT_NE(decoded.error().message.find(message), std::string::npos) << decoded.error().message;
}

const Bytes kSopClass = element(0x0002, std::string_view("1.2.840.10008.1.1\0", 18));

TEST(CommandSet, Ps37_9_3_CommandsOfDcmtkAndPynetdicomAreReadAndWrittenAsTheyCame) {
    std::vector<std::string> names;
    for (const std::string file :
         {"dcmtk-echo.rq", "dcmtk-echo.ac", "dcmtk-store.rq", "dcmtk-store.ac", "pynetdicom-everything.rq", "pynetdicom-everything.ac"}) {
        const auto bytes = read_file(std::string(FIDUCIAL_SOURCE_DIR "/test/vectors/dimse/") + file, 1 << 20).value();
        PduReader reader;
        MessageReader messages;
        reader.feed(bytes);
        Bytes gathered;
        for (;;) {
            const auto event = reader.next();
            ASSERT_TRUE(event) << event.error().message;
            if (*event == PduReader::Event::need_more) break;
            if (*event != PduReader::Event::piece) continue;
            const auto& piece = reader.piece();
            if (piece.command) append(gathered, piece.data);
            const auto got = messages.take(piece);
            ASSERT_TRUE(got) << got.error().message;
            if (*got != MessageReader::Event::command) continue;
            names.emplace_back(name_of(messages.command().field).value());
            EXPECT_EQ(encode_command_set(messages.command()), gathered) << file;
            gathered.clear();
        }
        EXPECT_TRUE(messages.ended());
    }
    EXPECT_EQ(names, (std::vector<std::string>{"C-ECHO-RQ", "C-ECHO-RSP", "C-STORE-RQ", "C-STORE-RSP", "C-ECHO-RQ", "C-ECHO-RSP"}));
}

TEST(CommandSet, Ps37_9_3_1_EveryFieldGoesThereAndBack) {
    CommandSet move;
    move.field = CommandField::c_move_rsp;
    move.message_id = 65535;
    move.has_data_set = true;
    move.sop_class = "1.2.840.10008.5.1.4.1.2.2.2";
    move.status = 0xB000;
    move.error_comment = "two of them are elsewhere";
    move.offending_elements = {0x00100020, 0x0020000D};
    move.remaining = 1;
    move.completed = 2;
    move.failed = 3;
    move.warned = 4;
    const auto back = decode_command_set(encode_command_set(move)).value();
    EXPECT_EQ(encode_command_set(back), encode_command_set(move));
    EXPECT_EQ(back.offending_elements, move.offending_elements);
    EXPECT_EQ(back.error_comment, move.error_comment);
    EXPECT_EQ(back.warned, move.warned);

    CommandSet action;  // its SOP class is the requested one
    action.field = CommandField::n_action_rq;
    action.sop_class = "1.2.840.10008.1.20.1";
    action.sop_instance = "1.2.840.10008.1.20.1.1";
    action.action_type = 1;
    const auto bytes = encode_command_set(action);
    EXPECT_EQ(bytes[14], 0x03);  // (0000,0003) follows the group's length
    EXPECT_EQ(decode_command_set(bytes)->sop_instance, action.sop_instance);
}

TEST(CommandSet, Ps37_E_1_StructureThatDoesNotAddUp) {
    expect_error({}, ErrorCode::malformed, "command element");
    expect_error(number(0x0100, 0x30), ErrorCode::malformed, "does not begin with its length");
    auto wrong = command({kSopClass});
    wrong[8] += 1;
    expect_error(wrong, ErrorCode::malformed, "does not begin with its length");
    expect_error(command({number(0x0110, 1), number(0x0100, 0x30)}), ErrorCode::malformed, "(0000,0100) is not in ascending order");
    expect_error(command({element(0x0018, Bytes{0x20, 0x20}, 8)}), ErrorCode::malformed, "not of group 0000");
    auto cut = command({kSopClass});
    cut.pop_back();
    cut[8] -= 1;
    expect_error(cut, ErrorCode::malformed, "(0000,0002)");
}

TEST(CommandSet, Ps37_9_3_WhatACommandMustHave) {
    expect_error(command({number(0x0110, 1), number(0x0800, 0x0101)}), ErrorCode::malformed, "without Command Field");
    expect_error(command({number(0x0100, 0x0031), number(0x0110, 1), number(0x0800, 0x0101)}), ErrorCode::unsupported, "no command 49");
    expect_error(command({kSopClass, number(0x0100, 0x30), number(0x0800, 0x0101)}), ErrorCode::malformed, "without a message identifier");
    expect_error(command({kSopClass, number(0x0100, 0x8030), number(0x0110, 1), number(0x0800, 0x0101), number(0x0900, 0)}),
                 ErrorCode::malformed, "without a message identifier");
    expect_error(command({kSopClass, number(0x0100, 0x30), number(0x0110, 1)}), ErrorCode::malformed, "without Command Data Set Type");
    expect_error(command({number(0x0100, 0x30), number(0x0110, 1), number(0x0800, 0x0101)}), ErrorCode::malformed,
                 "C-ECHO-RQ without a SOP class");
    expect_error(command({kSopClass, number(0x0100, 0x30), number(0x0110, 1), number(0x0800, 1)}), ErrorCode::malformed,
                 "announces a data set");
    expect_error(command({kSopClass, number(0x0100, 0x01), number(0x0110, 1), number(0x0800, 1)}), ErrorCode::malformed,
                 "C-STORE-RQ without a SOP instance");
    expect_error(command({kSopClass, number(0x0100, 0x01), number(0x0110, 1), number(0x0800, 0x0101), element(0x1000, "1.2 ")}),
                 ErrorCode::malformed, "C-STORE-RQ without a data set");
    expect_error(command({number(0x0100, 0x8001), number(0x0120, 1), number(0x0800, 0x0101)}), ErrorCode::malformed,
                 "C-STORE-RSP without a status");
    expect_error(command({kSopClass, number(0x0100, 0x21), number(0x0110, 1), number(0x0800, 1)}), ErrorCode::malformed,
                 "C-MOVE-RQ without a destination");
    expect_error(command({kSopClass, number(0x0100, 0x100), number(0x0110, 1), number(0x0800, 0x0101), element(0x1000, "1.2 ")}),
                 ErrorCode::malformed, "without an event type");
    const auto requested = element(0x0003, "1.2 ");
    expect_error(command({requested, number(0x0100, 0x130), number(0x0110, 1), number(0x0800, 0x0101), element(0x1001, "1.2 ")}),
                 ErrorCode::malformed, "without an action type");
    expect_error(command({kSopClass, number(0x0100, 0x110), number(0x0110, 1), number(0x0800, 0x0101), element(0x1001, "1.2 ")}),
                 ErrorCode::malformed, "N-GET-RQ without a SOP class");
}

TEST(CommandSet, Ps35_6_2_ValuesMustBeWhatTheirVrSays) {
    const auto echo = [](const Bytes& more) {
        return command({kSopClass, number(0x0100, 0x30), number(0x0110, 1), number(0x0800, 0x0101), more});
    };
    EXPECT_TRUE(decode_command_set(echo(number(0x0900, 0))));
    expect_error(echo(element(0x0900, "1234")), ErrorCode::malformed, "(0000,0900) is not one 16-bit number");
    expect_error(echo(element(0x0901, "12")), ErrorCode::malformed, "(0000,0901) is not a list of tags");
    expect_error(echo(element(0x1000, std::string(66, '1'))), ErrorCode::malformed,
                 "Affected SOP Instance UID (0000,1000) is longer than a UID");
    EXPECT_EQ(decode_command_set(echo(element(0x1000, "1.2.x ")))->sop_instance, "1.2.x") << "to be answered with 0117H";
    const auto bad_class = command({element(0x0002, "1.2.x "), number(0x0100, 0x30), number(0x0110, 1), number(0x0800, 0x0101)});
    expect_error(bad_class, ErrorCode::malformed, "Affected SOP Class UID (0000,0002) is not a UID");
    expect_error(echo(element(0x1030, "longer than sixteen characters")), ErrorCode::malformed, "is not an AE title");
    EXPECT_TRUE(decode_command_set(echo(element(0x5010, "retired elements are skipped"))));
}

TEST(CommandSet, Ps37_C_ClassesOfStatus) {
    EXPECT_EQ(class_of_status(0x0000), StatusClass::success);
    EXPECT_EQ(class_of_status(0xFF00), StatusClass::pending);
    EXPECT_EQ(class_of_status(0xFF01), StatusClass::pending);
    EXPECT_EQ(class_of_status(0xFE00), StatusClass::cancel);
    EXPECT_EQ(class_of_status(0xB000), StatusClass::warning);
    EXPECT_EQ(class_of_status(0xB007), StatusClass::warning);
    EXPECT_EQ(class_of_status(0x0107), StatusClass::warning);
    EXPECT_EQ(class_of_status(0xA700), StatusClass::failure);
    EXPECT_EQ(class_of_status(0x0124), StatusClass::failure);
    EXPECT_EQ(class_of_status(0xC123), StatusClass::failure);
}

}  // namespace
}  // namespace fiducial::dicom
