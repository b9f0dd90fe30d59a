#include "gateway/impl/hl7_order.hpp"

#include <gtest/gtest.h>

namespace fiducial::gateway::impl {
namespace {

namespace tags = dicom::tags;

constexpr std::string_view kHead = "MSH|^~\\&|RIS|CLINIC|FIDUCIAL|CLINIC|20261130120000||ORM^O01|M1|P|2.3.1||||||UNICODE UTF-8\r";
constexpr std::string_view kPatient =
    "PID|1||P1^^^CLINIC||Müller^Jürgen^A^Jr^Dr~山田^太郎^^^^^^I||19700203|M\rPV1|1|O|WARD 3|||||D1^Haus^Greg\r";
constexpr std::string_view kOrder =
    "ORC|NW|PL1|FI1||||1^^^202612010830^^S\r"
    "OBR|1|PL1|FI1|CTTHX^CT of the chest^99LOCAL||||||||||||D2^Wilson^James||A1|RP1|SP1||||CT|||||||^Cough\r"
    "ZDS|1.2.3.4^^Application^DICOM\r";

Hl7Message parsed(const std::string& text) {
    auto message = Hl7Message::parse(as_bytes(text));
    EXPECT_TRUE(message) << message.error().message;
    return message.value_or(Hl7Message{});
}
Hl7Orders orders(const std::string& text) {
    const auto read = read_hl7_orders(parsed(text));
    const auto* refused = std::get_if<Hl7Answer>(&read);
    EXPECT_EQ(refused, nullptr) << refused->text;
    return refused == nullptr ? std::get<Hl7Orders>(read) : Hl7Orders{};
}
/// "AE 101 OBR 1.18: text"
std::string refused(const std::string& text) {
    const auto read = read_hl7_orders(parsed(text));
    const auto* answer = std::get_if<Hl7Answer>(&read);
    if (answer == nullptr) return "taken";
    return std::string(answer->code) + " " + std::string(answer->error) + " " + answer->place.segment + " " +
           std::to_string(answer->place.field) + "." + std::to_string(answer->place.component) + ": " + answer->text;
}
std::string changed(std::string text, std::string_view from, std::string_view to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
}
const std::string kOrm = std::string(kHead) + std::string(kPatient) + std::string(kOrder);

TEST(Hl7Order, IheRad4AnOrmBecomesAnEntry) {
    const auto read = orders(kOrm);
    ASSERT_EQ(read.scheduled.size(), 1u);
    const auto& entry = read.scheduled.front();
    EXPECT_TRUE(dicom::check_worklist_entry(entry));
    const std::vector<std::pair<dicom::Tag, std::string>> expected{{tags::kPatientName, "Müller^Jürgen^A^Dr^Jr=山田^太郎"},
                                                                   {tags::kPatientId, "P1"},
                                                                   {tags::kIssuerOfPatientId, "CLINIC"},
                                                                   {tags::kPatientBirthDate, "19700203"},
                                                                   {tags::kPatientSex, "M"},
                                                                   {tags::kReferringPhysicianName, "Haus^Greg"},
                                                                   {0x00380300, "WARD 3"},
                                                                   {tags::kAccessionNumber, "A1"},
                                                                   {tags::kRequestedProcedureId, "RP1"},
                                                                   {tags::kScheduledStepId, "SP1"},
                                                                   {tags::kStudyInstanceUid, "1.2.3.4"},
                                                                   {tags::kModality, "CT"},
                                                                   {tags::kScheduledStartDate, "20261201"},
                                                                   {tags::kScheduledStartTime, "083000"},
                                                                   {0x00401003, "STAT"},
                                                                   {0x00402016, "PL1"},
                                                                   {0x00402017, "FI1"},
                                                                   {0x00080100, "CTTHX"},
                                                                   {0x00080102, "99LOCAL"},
                                                                   {0x00080104, "CT of the chest"},
                                                                   {tags::kRequestedProcedureDescription, "CT of the chest"},
                                                                   {0x00321032, "Wilson^James"},
                                                                   {0x00401002, "Cough"}};
    for (const auto& [tag, value] : expected) EXPECT_EQ(entry.joined(tag), value) << dicom::keyword_of(tag);
    EXPECT_EQ(entry.size(), expected.size());
}

TEST(Hl7Order, AnOmiHasAStepForEachIpc) {
    const auto omi = changed(changed(std::string(kHead), "ORM^O01", "OMI^O23^OMI_O23"), "2.3.1", "2.5") + std::string(kPatient) +
                     "ORC|NW|PL1\rTQ1|1||||||20261201083000+0100||R\rOBR|1|PL1||CTTHX^CT of the chest^99LOCAL\r"
                     "IPC|A1|RP1|1.2.3|SP1|CT|P1^Thorax^99LOCAL|Scanner 1|Room 2|CT1\r"
                     "IPC|A1|RP1|1.2.3|SP2|CT|P2^Abdomen^99LOCAL|||CT2\r";
    const auto read = orders(omi);
    ASSERT_EQ(read.scheduled.size(), 2u);
    EXPECT_EQ(read.scheduled[0].first(tags::kScheduledStepDescription), "Thorax");
    EXPECT_EQ(read.scheduled[0].first(tags::kScheduledStationAeTitle), "CT1");
    EXPECT_EQ(read.scheduled[1].first(tags::kScheduledStepId), "SP2");
    EXPECT_EQ(read.scheduled[1].first(tags::kScheduledStartTime), "083000");
    EXPECT_EQ(read.scheduled[1].first(0x00401003), "ROUTINE");

    const auto cancelled = orders(changed(omi, "ORC|NW", "ORC|CA"));
    ASSERT_EQ(cancelled.cancelled.size(), 2u);
    EXPECT_EQ(cancelled.cancelled[1].accession_number + "/" + cancelled.cancelled[1].step_id, "A1/SP2");
}

TEST(Hl7Order, ACancellationNeedsTheOrderAlone) {
    const auto read = orders(std::string(kHead) + "ORC|CA|PL1|A7\r");
    ASSERT_EQ(read.cancelled.size(), 1u);
    EXPECT_EQ(read.cancelled.front().accession_number, "A7");
    EXPECT_EQ(read.cancelled.front().step_id, "");
}

TEST(Hl7Order, WhatIsWrongIsNamedBySegmentAndField) {
    const std::vector<std::tuple<std::string, std::string, std::string>> wrong{
        {"ORM^O01", "ADT^A08", "AR 200 MSH 9.1: taken are ORM O01 and OMI O23"},
        {"ORM^O01", "ORM^O02", "AR 201 MSH 9.2: taken are ORM O01 and OMI O23"},
        {"|P|2.3.1", "|T|2.3.1", "AR 202 MSH 11.0: taken is processing ID P, production"},
        {"2.3.1", "2.1", "AR 203 MSH 12.0: taken are versions 2.3 to 2.5.1"},
        {"|M1|", "||", "AR 101 MSH 10.0: the message control ID is missing, or too long"},
        {"P1^^^CLINIC", "", "AE 101 PID 3.0: PatientID is missing"},
        {"19700203", "soon", "AE 102 PID 7.0: PatientBirthDate is not a date YYYYMMDD"},
        {"|CT|", "||", "AE 101 OBR 24.0: Modality is missing"},
        {"|CT|", "|computed tomography|", "AE 102 OBR 24.1: Modality is not a code: capitals, digits, spaces and underscores"},
        {"202612010830", "", "AE 101 ORC 7.4: ScheduledProcedureStepStartDate is missing"},
        {"202612010830", "20261301", "AE 102 ORC 7.4: ScheduledProcedureStepStartDate is not a date YYYYMMDD"},
        {"ORC|NW", "ORC|SC", "AE 103 ORC 1.0: taken are order controls NW, XO, CA, DC, OC"},
        {"OBR|", "NTE|", "AE 100 OBR 0.0: an order has no OBR"},
        {"|A1|", "|A1234567890123456|", "AE 102 OBR 18.1: AccessionNumber is longer than 16 characters"}};
    for (const auto& [from, to, expected] : wrong) EXPECT_EQ(refused(changed(kOrm, from, to)), expected) << from << " → " << to;
    EXPECT_EQ(refused(std::string(kHead) + std::string(kPatient)), "AE 100 ORC 0.0: there is no order");
}

TEST(Hl7Order, TextsForPeopleAreCutIdentifiersAreNot) {
    const auto read = orders(changed(kOrm, "CT of the chest", std::string(70, 'x') + "ü"));
    EXPECT_EQ(read.scheduled.front().first(tags::kRequestedProcedureDescription), std::string(64, 'x'));
}

TEST(Hl7Message, Hl7_2_7_EscapesAndDelimiters) {
    const auto message = parsed("MSH|^~\\&|A\\F\\B|C\r\nPID|a&b^c\\S\\d~e^f\\.br\\g\\H\\h|\"\"\r\nPID|2\r");
    EXPECT_EQ(message.header().text(1), "|");
    EXPECT_EQ(message.header().text(3), "A|B");
    const auto& pid = *message.find("PID");
    EXPECT_EQ(pid.text(1), "a") << "the first subcomponent";
    EXPECT_EQ(pid.text(1, 2), "c^d");
    EXPECT_EQ(pid.repetitions(1), 2u);
    EXPECT_EQ(pid.text(1, 2, 2), "f gh");
    EXPECT_EQ(pid.text(2), "") << "two quotation marks delete";
    EXPECT_EQ(pid.text(99, 9, 9), "");
    EXPECT_EQ(message.segments[2].sequence, 2u);
}

TEST(Hl7Message, Hl7Table0211CharacterSets) {
    const std::string head = "MSH|^~\\&|||||||ORM^O01|1|P|2.5||||||";
    EXPECT_EQ(parsed(head + "8859/1\rPID|M\xfcller\r").find("PID")->text(1), "Müller");
    EXPECT_EQ(parsed(head + "UNICODE UTF-8\rPID|Müller\r").find("PID")->text(1), "Müller");
    const auto code = [&](const std::string& text) {
        const auto message = Hl7Message::parse(as_bytes(text));
        return message ? std::optional<ErrorCode>() : message.error().code;
    };
    EXPECT_EQ(code(head + "\rPID|M\xfcller\r"), ErrorCode::malformed);
    EXPECT_EQ(code(head + "UNICODE UTF-8\rPID|M\xfcller\r"), ErrorCode::malformed);
    EXPECT_EQ(code(head + "BIG-5\r"), ErrorCode::unsupported);
    EXPECT_EQ(code("PID|1\r"), ErrorCode::malformed);
    EXPECT_EQ(code("MSH|^^\\&|\r"), ErrorCode::malformed);
    EXPECT_EQ(code("MSH|"), ErrorCode::malformed);
    EXPECT_EQ(code("MSH|^~\\&|" + std::string(300, '|')), ErrorCode::limit_exceeded);
    EXPECT_EQ(code("MSH|^~\\&|\r" + std::string(2'000, 'a') + std::string(kMostHl7Bytes, 'b')), ErrorCode::limit_exceeded);
}

TEST(Hl7Message, Hl7_2_9_AnswersNameMessageAndPlace) {
    const auto message = parsed(kOrm);
    EXPECT_EQ(encode_hl7_answer(&message, {}, "20261201083000", "F1"),
              "MSH|^~\\&|FIDUCIAL|CLINIC|RIS|CLINIC|20261201083000||ACK^O01^ACK|F1|P|2.3.1\rMSA|AA|M1\r");
    const Hl7Answer wrong{"AE", "102", {"PID", 1, 7, 0}, "not | a date"};
    EXPECT_EQ(encode_hl7_answer(&message, wrong, "20261201083000", "F2"),
              "MSH|^~\\&|FIDUCIAL|CLINIC|RIS|CLINIC|20261201083000||ACK^O01^ACK|F2|P|2.3.1\rMSA|AE|M1\r"
              "ERR||PID^1^7|102^^HL70357|E||||not   a date\r");
    EXPECT_EQ(encode_hl7_answer(nullptr, {"AR", "102", {"MSH"}, "x"}, "20261201083000", "F3"),
              "MSH|^~\\&|||||20261201083000||ACK|F3|P|2.5.1\rMSA|AR|\rERR||MSH^1|102^^HL70357|E||||x\r");
}

TEST(Mllp, MessagesComeInPiecesOrTogether) {
    MllpReader reader;
    Bytes out;
    const std::string both = "noise" + frame_mllp("one") + "\n" + frame_mllp("t\x1cwo");
    for (const char c : both.substr(0, 9)) ASSERT_TRUE(reader.feed(as_bytes(std::string(1, c))));
    EXPECT_FALSE(reader.next(out));
    EXPECT_FALSE(reader.at_rest());
    ASSERT_TRUE(reader.feed(as_bytes(both).subspan(9)));
    ASSERT_TRUE(reader.next(out));
    EXPECT_EQ(as_text(out), "one");
    ASSERT_TRUE(reader.next(out));
    EXPECT_EQ(as_text(out), "t\x1cwo");
    EXPECT_FALSE(reader.next(out));
    EXPECT_TRUE(reader.at_rest());
    EXPECT_EQ(reader.feed(Bytes(kMostHl7Bytes + 2, 0x0b)).error().code, ErrorCode::limit_exceeded);
}

}  // namespace
}  // namespace fiducial::gateway::impl
