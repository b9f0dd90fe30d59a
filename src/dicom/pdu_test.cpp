#include "dicom/pdu.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "base/file.hpp"

namespace fiducial::dicom {
namespace {

using Event = PduReader::Event;

Bytes captured(const std::string& name) {
    return read_file(std::string(FIDUCIAL_SOURCE_DIR "/test/vectors/dimse/") + name, 1 << 20).value();
}

struct Outcome {
    std::vector<Pdu> pdus;
    std::vector<std::string> values;  // of data values, a digit of context and kind before
    std::optional<Error> error;
    Abort abort;
};

/// Reads bytes given in pieces of a size.
Outcome read_in_pieces(ByteView bytes, std::size_t piece, PduLimits limits = {}) {
    Outcome out;
    PduReader reader(limits);
    bool going_on = false;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        const Bytes copy = to_bytes(bytes.subspan(at, std::min(piece, bytes.size() - at)));  // a buffer of its own: stale views show
        reader.feed(copy);
        for (;;) {
            const auto event = reader.next();
            if (!event) {
                out.error = event.error();
                out.abort = reader.abort();
                EXPECT_EQ(reader.next().error().message, out.error->message);
                return out;
            }
            if (*event == Event::need_more) break;
            if (*event == Event::pdu) {
                out.pdus.push_back(reader.pdu());
                continue;
            }
            const auto& value = reader.piece();
            if (!going_on) out.values.push_back(std::to_string(value.context_id) + (value.command ? "c" : "d"));
            out.values.back() += as_text(value.data);
            going_on = !value.ends;
        }
    }
    return out;
}

void expect_error(ByteView bytes, ErrorCode code, std::string_view message, AbortReason reason = AbortReason::invalid_pdu_parameter_value) {
    for (const std::size_t piece : {std::size_t{1}, bytes.size()}) {
        const auto outcome = read_in_pieces(bytes, piece);
        ASSERT_TRUE(outcome.error) << "nothing wrong, expected: " << message;
        EXPECT_EQ(outcome.error->code, code) << outcome.error->message;
        EXPECT_NE(outcome.error->message.find(message), std::string::npos) << outcome.error->message;
        EXPECT_TRUE(outcome.abort.by_provider);
        EXPECT_EQ(outcome.abort.reason, reason);
    }
}

Bytes hex_pdu(std::uint8_t type, ByteView body) {
    Bytes out{type, 0};
    append_be(out, static_cast<std::uint32_t>(body.size()));
    append(out, body);
    return out;
}
Bytes item(std::uint8_t type, ByteView body) {
    Bytes out{type, 0};
    append_lp(out, body);
    return out;
}
Bytes item(std::uint8_t type, std::string_view body) {
    return item(type, as_bytes(body));
}
Bytes joined(std::initializer_list<Bytes> parts) {
    Bytes out;
    for (const auto& part : parts) append(out, part);
    return out;
}
Bytes u16(std::uint16_t value) {
    Bytes out;
    append_be(out, value);
    return out;
}
Bytes text(std::string_view value) {
    return to_bytes(as_bytes(value));
}

const Bytes kApplication = item(0x10, kApplicationContext);
const Bytes kMaximumLength = item(0x51, Bytes{0, 0, 0x40, 0});
Bytes user(const Bytes& more = {}) {
    return item(0x50, joined({kMaximumLength, item(0x52, "1.2.3"), more}));
}
Bytes context(std::uint8_t id, std::string_view abstract = "1.2.840.10008.1.1") {
    return item(0x20, joined({Bytes{id, 0, 0, 0}, item(0x30, abstract), item(0x40, "1.2.840.10008.1.2")}));
}
Bytes request(std::initializer_list<Bytes> items, std::string_view called = "CALLED          ",
              std::string_view calling = "CALLING         ") {
    Bytes body{0, 1, 0, 0};
    append(body, as_bytes(called));
    append(body, as_bytes(calling));
    body.insert(body.end(), 32, 0);
    for (const auto& one : items) append(body, one);
    return hex_pdu(1, body);
}
Bytes data_value(std::uint8_t context_id, std::uint8_t control, std::string_view bytes) {
    Bytes out;
    append_be(out, static_cast<std::uint32_t>(bytes.size() + 2));
    out.insert(out.end(), {context_id, control});
    append(out, as_bytes(bytes));
    return out;
}

TEST(Pdu, WhatDcmtkAndPynetdicomSayWhereverItIsCut) {
    for (const std::string name : {"dcmtk-echo", "dcmtk-store", "dcmtk-abort", "pynetdicom-everything", "pynetdicom-rejected"}) {
        for (const std::string side : {".rq", ".ac"}) {
            const auto bytes = captured(name + side);
            const auto whole = read_in_pieces(bytes, bytes.size());
            EXPECT_FALSE(whole.error) << name << side << ": " << whole.error->message;
            EXPECT_FALSE(whole.pdus.empty()) << name << side;
            for (const std::size_t piece : {1, 2, 3, 5, 7, 64}) {
                const auto cut = read_in_pieces(bytes, piece);
                EXPECT_EQ(cut.values, whole.values) << name << side << " at pieces of " << piece;
                ASSERT_EQ(cut.pdus.size(), whole.pdus.size());
                for (std::size_t i = 0; i < cut.pdus.size(); ++i) EXPECT_EQ(encode(cut.pdus[i]), encode(whole.pdus[i]));
            }
        }
    }
}

TEST(Pdu, Ps38_9_3_2_AssociateRqWithEveryUserItemIsReadAndWrittenAsItCame) {
    const auto bytes = captured("pynetdicom-everything.rq");
    const auto outcome = read_in_pieces(bytes, bytes.size());
    ASSERT_FALSE(outcome.error);
    const auto& rq = std::get<AssociateRq>(outcome.pdus.at(0));
    EXPECT_EQ(rq.called_ae_title, "PYSCP");
    EXPECT_EQ(rq.calling_ae_title, "PYSCU");
    EXPECT_EQ(rq.application_context, kApplicationContext);
    ASSERT_EQ(rq.contexts.size(), 3u);
    EXPECT_EQ(rq.contexts[1].id, 3);
    EXPECT_EQ(rq.contexts[1].abstract_syntax, "1.2.840.10008.5.1.4.1.1.2");
    EXPECT_EQ(rq.contexts[1].transfer_syntaxes, (std::vector<std::string>{"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}));
    EXPECT_EQ(rq.user.max_pdu_bytes, 16382u);
    EXPECT_FALSE(rq.user.implementation_class_uid.empty());
    EXPECT_TRUE(rq.user.implementation_version.starts_with("PYNETDICOM"));
    ASSERT_TRUE(rq.user.asynchronous);
    EXPECT_EQ(rq.user.asynchronous->invoked, 5);
    EXPECT_EQ(rq.user.asynchronous->performed, 6);
    ASSERT_EQ(rq.user.roles.size(), 1u);
    EXPECT_TRUE(rq.user.roles[0].scu && rq.user.roles[0].scp);
    ASSERT_EQ(rq.user.extended.size(), 1u);
    EXPECT_EQ(rq.user.extended[0].information, (Bytes{2, 0, 3, 0, 1, 0}));
    ASSERT_EQ(rq.user.common_extended.size(), 1u);
    EXPECT_EQ(rq.user.common_extended[0].related_general_classes.size(), 2u);
    ASSERT_TRUE(rq.user.identity);
    EXPECT_EQ(rq.user.identity->type, 3);
    EXPECT_EQ(as_text(rq.user.identity->primary), "no ticket at all");
    // What is written says the same as what came.
    const auto written = encode(rq);
    const auto again = read_in_pieces(written, written.size());
    ASSERT_FALSE(again.error) << again.error->message;
    EXPECT_EQ(encode(again.pdus.at(0)), written);
    EXPECT_EQ(written.size(), std::size_t{6} + read_be<std::uint32_t>(ByteView(bytes).subspan(2)));
}

TEST(Pdu, Ps38_9_3_3_AssociateAcOfDcmtkAndPynetdicom) {
    const auto store = captured("dcmtk-store.ac");
    const auto dcmtk = read_in_pieces(store, store.size());
    const auto& ac = std::get<AssociateAc>(dcmtk.pdus.at(0));
    EXPECT_EQ(encode(ac), to_bytes(ByteView(store).first(encode(ac).size())));  // byte for byte as DCMTK writes it
    const auto everything = captured("pynetdicom-everything.ac");
    const auto python = read_in_pieces(everything, everything.size());
    const auto& answer = std::get<AssociateAc>(python.pdus.at(0));
    ASSERT_EQ(answer.contexts.size(), 3u);
    EXPECT_EQ(answer.contexts[1].transfer_syntax, "1.2.840.10008.1.2.1");
    EXPECT_EQ(answer.contexts[2].result, ContextResult::abstract_syntax_not_supported);
    EXPECT_EQ(as_text(answer.user.identity_response.value()), "well met");
    EXPECT_EQ(answer.user.max_pdu_bytes, 4096u);
}

TEST(Pdu, Ps38_9_3_4_AssociateRj) {
    const auto bytes = captured("pynetdicom-rejected.ac");
    const auto outcome = read_in_pieces(bytes, 1);
    EXPECT_EQ(std::get<AssociateRj>(outcome.pdus.at(0)), reject::kCalledAeTitleNotRecognized);
    EXPECT_EQ(encode(outcome.pdus.at(0)), bytes);
    expect_error(hex_pdu(3, Bytes{0, 3, 1, 1}), ErrorCode::malformed, "result or source");
    expect_error(hex_pdu(3, Bytes{0, 1, 4, 1}), ErrorCode::malformed, "result or source");
}

TEST(Pdu, Ps38_9_3_5_DataValuesShareAPduAndStreamThrough) {
    const auto bytes = joined({hex_pdu(4, joined({data_value(1, 1, "com"), data_value(1, 3, "mand")})),
                               hex_pdu(4, data_value(1, 0, "data")), hex_pdu(4, data_value(1, 2, ""))});
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        const auto outcome = read_in_pieces(bytes, piece);
        ASSERT_FALSE(outcome.error) << outcome.error->message;
        EXPECT_EQ(outcome.values, (std::vector<std::string>{"1ccommand", "1ddata"}));
    }
}

TEST(Pdu, Ps38_9_3_5_BitsTwoToSevenOfTheControlHeaderAreNotLookedAt) {
    EXPECT_EQ(read_in_pieces(hex_pdu(4, data_value(3, 0xff, "x")), 1).values, std::vector<std::string>{"3cx"});
}

TEST(Pdu, Ps38_9_3_6_to_8_ReleaseAndAbort) {
    for (const auto& pdu : {Pdu(ReleaseRq{}), Pdu(ReleaseRp{}), Pdu(Abort{true, AbortReason::unexpected_pdu}), Pdu(Abort{})}) {
        const auto bytes = encode(pdu);
        ASSERT_EQ(bytes.size(), 10u);
        EXPECT_EQ(encode(read_in_pieces(bytes, 1).pdus.at(0)), bytes);
    }
    expect_error(hex_pdu(7, Bytes{0, 0, 1, 0}), ErrorCode::malformed, "source of the abort");
    expect_error(hex_pdu(5, Bytes{0, 0, 0}), ErrorCode::malformed, "of 3 bytes");
    expect_error(hex_pdu(6, Bytes{0, 0, 0, 0, 0}), ErrorCode::malformed, "of 5 bytes");
}

TEST(Pdu, UnknownTypesAreRefusedAndSayWhichKindOfFault) {
    expect_error(hex_pdu(0, Bytes{}), ErrorCode::malformed, "unknown type 0", AbortReason::unrecognized_pdu);
    expect_error(hex_pdu(8, Bytes{}), ErrorCode::malformed, "unknown type 8", AbortReason::unrecognized_pdu);
    expect_error(to_bytes(as_bytes("GET / HTTP/1.1\r\n")), ErrorCode::malformed, "unknown type 71", AbortReason::unrecognized_pdu);
}

TEST(Pdu, LengthsBeyondTheLimitsAreRefusedBeforeTheBytesCome) {
    expect_error(Bytes{1, 0, 0, 4, 0, 1}, ErrorCode::limit_exceeded, "262145 bytes");
    expect_error(Bytes{4, 0, 0, 2, 0, 1}, ErrorCode::limit_exceeded, "131073 bytes");
    expect_error(Bytes{7, 0, 0xff, 0xff, 0xff, 0xff}, ErrorCode::malformed, "4294967295 bytes");
}

TEST(Pdu, Ps38_9_3_5_DataValuesThatDoNotAddUp) {
    expect_error(hex_pdu(4, Bytes{}), ErrorCode::malformed, "without a data value");
    expect_error(hex_pdu(4, Bytes{0, 0, 0, 1, 1, 3}), ErrorCode::malformed, "data value of 1 bytes");
    expect_error(hex_pdu(4, Bytes{0, 0, 0, 3, 1, 3}), ErrorCode::malformed, "data value of 3 bytes");
    expect_error(hex_pdu(4, Bytes{0xff, 0xff, 0xff, 0xff, 1, 3}), ErrorCode::malformed, "data value of 4294967295 bytes");
    expect_error(hex_pdu(4, joined({data_value(1, 3, "x"), Bytes{0, 0, 0}})), ErrorCode::malformed, "ends in 3 bytes");
}

TEST(Pdu, Ps38_9_3_2_AssociateRqIsRefusedForEachThingThatIsWrong) {
    EXPECT_FALSE(read_in_pieces(request({kApplication, context(1), user()}), 1).error);
    expect_error(hex_pdu(1, Bytes(20, 0)), ErrorCode::malformed, "A-ASSOCIATE-RQ");
    expect_error(request({kApplication, user()}, "                "), ErrorCode::malformed, "the called AE title");
    expect_error(request({kApplication, user()}, "CALLED          ", "BACK\\SLASH      "), ErrorCode::malformed, "the calling AE title");
    expect_error(request({user()}), ErrorCode::malformed, "no application context");
    expect_error(request({kApplication, kApplication, user()}), ErrorCode::malformed, "two application contexts");
    expect_error(request({kApplication}), ErrorCode::malformed, "no user information");
    expect_error(request({kApplication, user(), user()}), ErrorCode::malformed, "two user information");
    expect_error(request({kApplication, context(2), user()}), ErrorCode::malformed, "not odd");
    expect_error(request({kApplication, context(1), context(1), user()}), ErrorCode::malformed, "context 1 occurs twice");
    expect_error(request({kApplication, context(1, "not a uid"), user()}), ErrorCode::malformed, "abstract syntax is not a UID");
    const auto no_abstract = item(0x20, joined({Bytes{1, 0, 0, 0}, item(0x40, "1.2")}));
    expect_error(request({kApplication, no_abstract, user()}), ErrorCode::malformed, "no abstract syntax");
    const auto no_transfer = item(0x20, joined({Bytes{1, 0, 0, 0}, item(0x30, "1.2")}));
    expect_error(request({kApplication, no_transfer, user()}), ErrorCode::malformed, "no transfer syntax");
    const auto two_abstract = item(0x20, joined({Bytes{1, 0, 0, 0}, item(0x30, "1.2"), item(0x30, "1.2"), item(0x40, "1.2")}));
    expect_error(request({kApplication, two_abstract, user()}), ErrorCode::malformed, "two abstract syntaxes");
    auto beyond = context(1);
    beyond[3] += 1;  // an item that says it is longer than it is
    expect_error(request({kApplication, user(), beyond}), ErrorCode::malformed, "item");
    expect_error(request({kApplication, user(), Bytes{0x10}}), ErrorCode::malformed, "item");
}

TEST(Pdu, Ps38_AnnexD_Ps37_D33_UserItemsAreRefusedForEachThingThatIsWrong) {
    const auto refused = [](const Bytes& wrong, std::string_view message) {
        expect_error(request({kApplication, user(wrong)}), ErrorCode::malformed, message);
    };
    refused(kMaximumLength, "twice");
    refused(item(0x53, Bytes{0, 1, 0}), "operations performed");
    refused(item(0x53, Bytes{0, 1, 0, 1, 0}), "asynchronous operations window");
    refused(item(0x54, joined({u16(3), text("1.2"), Bytes{1, 2}})), "role");
    refused(item(0x54, joined({u16(9), text("1.2"), Bytes{1, 1}})), "role selection's SOP class");
    refused(item(0x55, "seventeen letters"), "version name");
    refused(item(0x56, joined({u16(4), text("1.2")})), "extended negotiation's SOP class");
    refused(item(0x57, joined({u16(3), text("1.2"), u16(3), text("1.2"), u16(5), u16(4), text("1.2")})), "related general SOP class");
    refused(item(0x58, joined({Bytes{1, 0}, u16(5), text("ada")})), "primary field");
    expect_error(request({kApplication, item(0x50, item(0x51, Bytes{0, 0, 0, 7}))}), ErrorCode::malformed, "no room for a fragment");
    expect_error(request({kApplication, item(0x50, item(0x51, Bytes{0, 0, 7}))}), ErrorCode::malformed, "maximum length");
    expect_error(request({kApplication, item(0x50, item(0x52, "one.two"))}), ErrorCode::malformed, "implementation class UID");
}

TEST(Pdu, Ps38_9_3_1_ItemsThatAreNotKnownAreSkipped) {
    const auto bytes = request({kApplication, item(0x77, "?"), context(1), user(item(0x7f, "later"))});
    EXPECT_FALSE(read_in_pieces(bytes, 1).error);
}

TEST(Pdu, TitlesLoseTheirOuterSpacesAndPaddingNuls) {
    const auto outcome =
        read_in_pieces(request({kApplication, user()}, "  CT 1          ", std::string_view("CT2\0\0\0\0\0\0\0\0\0\0\0\0\0", 16)), 1);
    ASSERT_FALSE(outcome.error);
    const auto& rq = std::get<AssociateRq>(outcome.pdus.at(0));
    EXPECT_EQ(rq.called_ae_title, "CT 1");
    EXPECT_EQ(rq.calling_ae_title, "CT2");
}

TEST(Pdu, Ps38_9_3_2_All128PresentationContextsFit) {
    AssociateRq rq;
    rq.called_ae_title = "FIDUCIAL";
    rq.calling_ae_title = "MANY";
    for (int id = 1; id < 256; id += 2)
        rq.contexts.push_back(
            {static_cast<std::uint8_t>(id), "1.2.840.10008.1.1", std::vector<std::string>(20, "1.2.840.10008.1.2.4.202")});
    const auto bytes = encode(rq);
    const auto outcome = read_in_pieces(bytes, 4096);
    ASSERT_FALSE(outcome.error) << outcome.error->message;
    EXPECT_EQ(std::get<AssociateRq>(outcome.pdus.at(0)).contexts.size(), kMaxPresentationContexts);
}

}  // namespace
}  // namespace fiducial::dicom
