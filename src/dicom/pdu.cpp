#include "dicom/pdu.hpp"

#include <algorithm>
#include <bitset>

#include "base/identifiers.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::size_t kHeaderBytes = 6;       // type, reserved, u32 length
constexpr std::size_t kValueHeaderBytes = 6;  // u32 length, context, control header
constexpr std::size_t kTitleBytes = 16;

// Item and sub-item types.
constexpr std::uint8_t kApplicationContextItem = 0x10;
constexpr std::uint8_t kProposedContextItem = 0x20;
constexpr std::uint8_t kAnsweredContextItem = 0x21;
constexpr std::uint8_t kAbstractSyntaxItem = 0x30;
constexpr std::uint8_t kTransferSyntaxItem = 0x40;
constexpr std::uint8_t kUserInformationItem = 0x50;
constexpr std::uint8_t kMaximumLengthItem = 0x51;
constexpr std::uint8_t kImplementationClassItem = 0x52;
constexpr std::uint8_t kAsynchronousItem = 0x53;
constexpr std::uint8_t kRoleItem = 0x54;
constexpr std::uint8_t kImplementationVersionItem = 0x55;
constexpr std::uint8_t kExtendedItem = 0x56;
constexpr std::uint8_t kCommonExtendedItem = 0x57;
constexpr std::uint8_t kIdentityItem = 0x58;
constexpr std::uint8_t kIdentityResponseItem = 0x59;

constexpr std::uint32_t kLeastMaxPduBytes = 8;  // a value header and two bytes

bool is_printable(char c) {
    return c >= 0x20 && c <= 0x7e;
}

std::string_view without_outer_spaces(std::string_view text) {
    while (!text.empty() && text.back() == '\0') text.remove_suffix(1);  // padding that occurs in the field
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    return text;
}

// ---- decoding

struct Item {
    std::uint8_t type = 0;
    ByteView body;
};

Result<Item> take_item(ByteReader& reader, std::string_view where) {
    FID_TRY(const auto type, reader.u8(where));
    FID_CHECK(reader.u8(where));  // reserved; the version of a common extended negotiation
    FID_TRY(const auto body, reader.take_lp(where));
    return Item{type, body};
}

Result<std::string> uid_of(ByteView bytes, std::string_view what) {
    const auto uid = Uid::parse(as_text(bytes));
    if (!uid) return fail(ErrorCode::malformed, std::string(what) + " is not a UID");
    return uid->text();
}

Result<std::string> take_title(ByteReader& reader, std::string_view what) {
    FID_TRY(const auto bytes, reader.take(kTitleBytes, what));
    const auto title = without_outer_spaces(as_text(bytes));
    if (!is_ae_title(title)) return fail(ErrorCode::malformed, std::string(what) + " is not an AE title");
    return std::string(title);
}

Result<void> expect_end(const ByteReader& reader, std::string_view what) {
    if (!reader.at_end()) return fail(ErrorCode::malformed, std::string(what) + " is followed by more bytes than it has");
    return {};
}

Result<ProposedContext> proposed_context(ByteView body) {
    ByteReader reader(body);
    ProposedContext out;
    FID_TRY(out.id, reader.u8("presentation context identifier"));
    FID_CHECK(reader.take(3, "presentation context"));
    while (!reader.at_end()) {
        FID_TRY(const auto item, take_item(reader, "presentation context's item"));
        if (item.type == kAbstractSyntaxItem) {
            if (!out.abstract_syntax.empty()) return fail(ErrorCode::malformed, "a presentation context has two abstract syntaxes");
            FID_TRY(out.abstract_syntax, uid_of(item.body, "an abstract syntax"));
        } else if (item.type == kTransferSyntaxItem) {
            FID_TRY(auto uid, uid_of(item.body, "a transfer syntax"));
            out.transfer_syntaxes.push_back(std::move(uid));
        }
    }
    if (out.abstract_syntax.empty()) return fail(ErrorCode::malformed, "a presentation context has no abstract syntax");
    if (out.transfer_syntaxes.empty()) return fail(ErrorCode::malformed, "a presentation context has no transfer syntax");
    return out;
}

Result<AnsweredContext> answered_context(ByteView body) {
    ByteReader reader(body);
    AnsweredContext out;
    FID_TRY(out.id, reader.u8("presentation context identifier"));
    FID_CHECK(reader.u8("presentation context"));
    FID_TRY(const auto result, reader.u8("presentation context's result"));
    FID_CHECK(reader.u8("presentation context"));
    if (result > static_cast<std::uint8_t>(ContextResult::transfer_syntaxes_not_supported))
        return fail(ErrorCode::malformed, "a presentation context is answered with an unknown result");
    out.result = static_cast<ContextResult>(result);
    while (!reader.at_end()) {
        FID_TRY(const auto item, take_item(reader, "presentation context's item"));
        if (item.type != kTransferSyntaxItem || out.result != ContextResult::acceptance) continue;
        if (!out.transfer_syntax.empty())
            return fail(ErrorCode::malformed, "a presentation context is answered with two transfer syntaxes");
        FID_TRY(out.transfer_syntax, uid_of(item.body, "a transfer syntax"));
    }
    if (out.result == ContextResult::acceptance && out.transfer_syntax.empty())
        return fail(ErrorCode::malformed, "a presentation context is accepted without a transfer syntax");
    return out;
}

Result<RoleSelection> role_selection(ByteReader reader) {
    RoleSelection out;
    FID_TRY(const auto uid, reader.take_lp("role selection's SOP class"));
    FID_TRY(out.sop_class, uid_of(uid, "role selection's SOP class"));
    FID_TRY(const auto scu, reader.u8("SCU role"));
    FID_TRY(const auto scp, reader.u8("SCP role"));
    if (scu > 1 || scp > 1) return fail(ErrorCode::malformed, "a role is neither 0 nor 1");
    out.scu = scu == 1;
    out.scp = scp == 1;
    FID_CHECK(expect_end(reader, "role selection"));
    return out;
}

Result<ExtendedNegotiation> extended_negotiation(ByteReader reader) {
    ExtendedNegotiation out;
    FID_TRY(const auto uid, reader.take_lp("extended negotiation's SOP class"));
    FID_TRY(out.sop_class, uid_of(uid, "extended negotiation's SOP class"));
    FID_TRY(const auto information, reader.take(reader.remaining(), "extended negotiation"));
    out.information = to_bytes(information);
    return out;
}

Result<CommonExtendedNegotiation> common_extended_negotiation(ByteReader reader) {
    CommonExtendedNegotiation out;
    FID_TRY(const auto sop_class, reader.take_lp("common extended negotiation's SOP class"));
    FID_TRY(out.sop_class, uid_of(sop_class, "common extended negotiation's SOP class"));
    FID_TRY(const auto service_class, reader.take_lp("common extended negotiation's service class"));
    FID_TRY(out.service_class, uid_of(service_class, "common extended negotiation's service class"));
    FID_TRY(const auto related, reader.take_lp("related general SOP classes"));
    ByteReader list(related);
    while (!list.at_end()) {
        FID_TRY(const auto uid, list.take_lp("related general SOP class"));
        FID_TRY(auto one, uid_of(uid, "related general SOP class"));
        out.related_general_classes.push_back(std::move(one));
    }
    return out;  // what follows is reserved
}

Result<UserIdentity> user_identity(ByteReader reader) {
    UserIdentity out;
    FID_TRY(out.type, reader.u8("user identity's type"));
    FID_TRY(const auto response, reader.u8("user identity"));
    out.response_requested = response != 0;
    FID_TRY(const auto primary, reader.take_lp("user identity's primary field"));
    FID_TRY(const auto secondary, reader.take_lp("user identity's secondary field"));
    out.primary = to_bytes(primary);
    out.secondary = to_bytes(secondary);
    FID_CHECK(expect_end(reader, "user identity"));
    return out;
}

Result<std::string> version_name(ByteView body) {
    const auto text = without_outer_spaces(as_text(body));
    if (text.size() > kTitleBytes || !std::all_of(text.begin(), text.end(), is_printable))
        return fail(ErrorCode::malformed, "an implementation version name is longer than 16 characters, or not printable");
    return std::string(text);
}

Result<std::uint32_t> maximum_length(ByteReader reader) {
    FID_TRY(const auto bytes, reader.u32("maximum length"));
    FID_CHECK(expect_end(reader, "maximum length"));
    if (bytes != 0 && bytes < kLeastMaxPduBytes)
        return fail(ErrorCode::malformed, "a maximum length of " + std::to_string(bytes) + " has no room for a fragment");
    return bytes;
}

Result<UserInformation> user_information(ByteView body) {
    ByteReader reader(body);
    UserInformation out;
    std::bitset<256> seen;
    while (!reader.at_end()) {
        FID_TRY(const auto item, take_item(reader, "user information's item"));
        const bool repeats = item.type == kRoleItem || item.type == kExtendedItem || item.type == kCommonExtendedItem;
        if (seen.test(item.type) && !repeats && item.type >= kMaximumLengthItem && item.type <= kIdentityResponseItem)
            return fail(ErrorCode::malformed, "user information has item " + std::to_string(item.type) + " twice");
        seen.set(item.type);
        ByteReader fields(item.body);
        switch (item.type) {
            case kMaximumLengthItem: {
                FID_TRY(out.max_pdu_bytes, maximum_length(fields));
                break;
            }
            case kImplementationClassItem: {
                FID_TRY(out.implementation_class_uid, uid_of(item.body, "implementation class UID"));
                break;
            }
            case kImplementationVersionItem: {
                FID_TRY(out.implementation_version, version_name(item.body));
                break;
            }
            case kAsynchronousItem: {
                AsynchronousOperations window;
                FID_TRY(window.invoked, fields.u16("operations invoked"));
                FID_TRY(window.performed, fields.u16("operations performed"));
                FID_CHECK(expect_end(fields, "asynchronous operations window"));
                out.asynchronous = window;
                break;
            }
            case kRoleItem: {
                FID_TRY(auto role, role_selection(fields));
                out.roles.push_back(std::move(role));
                break;
            }
            case kExtendedItem: {
                FID_TRY(auto extended, extended_negotiation(fields));
                out.extended.push_back(std::move(extended));
                break;
            }
            case kCommonExtendedItem: {
                FID_TRY(auto common, common_extended_negotiation(fields));
                out.common_extended.push_back(std::move(common));
                break;
            }
            case kIdentityItem: {
                FID_TRY(out.identity, user_identity(fields));
                break;
            }
            case kIdentityResponseItem: {
                FID_TRY(const auto response, fields.take_lp("user identity's response"));
                out.identity_response = to_bytes(response);
                break;
            }
            default: break;
        }
    }
    return out;
}

template <typename Context>
Result<void> add_context(std::vector<Context>& contexts, Result<Context> read) {
    FID_TRY(auto context, std::move(read));
    if (context.id % 2 == 0) return fail(ErrorCode::malformed, "a presentation context identifier is not odd");
    if (std::any_of(contexts.begin(), contexts.end(), [&](const Context& other) { return other.id == context.id; }))
        return fail(ErrorCode::malformed, "presentation context " + std::to_string(context.id) + " occurs twice");
    contexts.push_back(std::move(context));
    return {};
}
Result<void> add_context_item(AssociateRq& pdu, const Item& item) {
    return item.type == kProposedContextItem ? add_context(pdu.contexts, proposed_context(item.body)) : Result<void>();
}
Result<void> add_context_item(AssociateAc& pdu, const Item& item) {
    return item.type == kAnsweredContextItem ? add_context(pdu.contexts, answered_context(item.body)) : Result<void>();
}

template <typename Associate>
Result<Pdu> associate(ByteView body) {
    ByteReader reader(body);
    Associate out;
    FID_TRY(out.protocol_versions, reader.u16("protocol version"));
    FID_CHECK(reader.take(2, "reserved"));
    FID_TRY(out.called_ae_title, take_title(reader, "the called AE title"));
    FID_TRY(out.calling_ae_title, take_title(reader, "the calling AE title"));
    FID_CHECK(reader.take(32, "reserved"));
    out.application_context.clear();
    bool has_user = false;
    while (!reader.at_end()) {
        FID_TRY(const auto item, take_item(reader, "item"));
        if (item.type == kApplicationContextItem) {
            if (!out.application_context.empty()) return fail(ErrorCode::malformed, "there are two application contexts");
            FID_TRY(out.application_context, uid_of(item.body, "the application context"));
        } else if (item.type == kUserInformationItem) {
            if (std::exchange(has_user, true)) return fail(ErrorCode::malformed, "there are two user information items");
            FID_TRY(out.user, user_information(item.body));
        } else {
            FID_CHECK(add_context_item(out, item));
        }
    }
    if (out.application_context.empty()) return fail(ErrorCode::malformed, "there is no application context");
    if (!has_user) return fail(ErrorCode::malformed, "there is no user information");
    return Pdu(std::move(out));
}

Result<Pdu> four_bytes(PduType type, ByteView body) {
    ByteReader reader(body);
    FID_CHECK(reader.u8("reserved"));
    FID_TRY(const auto first, reader.u8("result"));
    FID_TRY(const auto source, reader.u8("source"));
    FID_TRY(const auto reason, reader.u8("reason"));
    FID_CHECK(expect_end(reader, "the PDU"));
    switch (type) {
        case PduType::associate_rj:
            if (first < 1 || first > 2 || source < 1 || source > 3)
                return fail(ErrorCode::malformed, "result or source of the rejection is unknown");
            return Pdu(AssociateRj{first, source, reason});
        case PduType::abort:
            if (source != 0 && source != 2) return fail(ErrorCode::malformed, "the source of the abort is unknown");
            return Pdu(Abort{source == 2, static_cast<AbortReason>(reason)});
        case PduType::release_rq: return Pdu(ReleaseRq{});
        default: return Pdu(ReleaseRp{});
    }
}

// ---- encoding

void append_bytes(Bytes& out, std::string_view text) {
    append(out, as_bytes(text));
}

/// Appends an item whose body the function appends.
template <typename Body>
void append_item(Bytes& out, std::uint8_t type, Body&& body) {
    out.push_back(type);
    out.push_back(0);
    const auto at = out.size();
    append_be<std::uint16_t>(out, 0);
    body(out);
    const auto length = out.size() - at - 2;
    FID_INVARIANT(length <= 0xffff, "an item of a PDU fits its length field");
    out[at] = static_cast<std::uint8_t>(length >> 8);
    out[at + 1] = static_cast<std::uint8_t>(length);
}
void append_text_item(Bytes& out, std::uint8_t type, std::string_view text) {
    append_item(out, type, [&](Bytes& to) { append_bytes(to, text); });
}

void append_title(Bytes& out, std::string_view title) {
    FID_INVARIANT(title.size() <= kTitleBytes, "an AE title has at most 16 characters");
    append_bytes(out, title);
    out.insert(out.end(), kTitleBytes - title.size(), ' ');
}

void append_context(Bytes& out, const ProposedContext& context) {
    append_item(out, kProposedContextItem, [&](Bytes& to) {
        to.insert(to.end(), {context.id, 0, 0, 0});
        append_text_item(to, kAbstractSyntaxItem, context.abstract_syntax);
        for (const auto& syntax : context.transfer_syntaxes) append_text_item(to, kTransferSyntaxItem, syntax);
    });
}
void append_context(Bytes& out, const AnsweredContext& context) {
    append_item(out, kAnsweredContextItem, [&](Bytes& to) {
        to.insert(to.end(), {context.id, 0, static_cast<std::uint8_t>(context.result), 0});
        append_text_item(to, kTransferSyntaxItem, context.transfer_syntax);
    });
}

void append_user_information(Bytes& out, const UserInformation& user) {
    append_item(out, kUserInformationItem, [&](Bytes& to) {
        append_item(to, kMaximumLengthItem, [&](Bytes& item) { append_be(item, user.max_pdu_bytes); });
        if (!user.implementation_class_uid.empty()) append_text_item(to, kImplementationClassItem, user.implementation_class_uid);
        if (user.asynchronous) {
            append_item(to, kAsynchronousItem, [&](Bytes& item) {
                append_be(item, user.asynchronous->invoked);
                append_be(item, user.asynchronous->performed);
            });
        }
        for (const auto& role : user.roles) {
            append_item(to, kRoleItem, [&](Bytes& item) {
                append_lp(item, as_bytes(role.sop_class));
                item.push_back(role.scu ? 1 : 0);
                item.push_back(role.scp ? 1 : 0);
            });
        }
        if (!user.implementation_version.empty()) append_text_item(to, kImplementationVersionItem, user.implementation_version);
        for (const auto& extended : user.extended) {
            append_item(to, kExtendedItem, [&](Bytes& item) {
                append_lp(item, as_bytes(extended.sop_class));
                append(item, extended.information);
            });
        }
        for (const auto& common : user.common_extended) {
            append_item(to, kCommonExtendedItem, [&](Bytes& item) {
                append_lp(item, as_bytes(common.sop_class));
                append_lp(item, as_bytes(common.service_class));
                Bytes related;
                for (const auto& uid : common.related_general_classes) append_lp(related, as_bytes(uid));
                append_lp(item, related);
            });
        }
        if (user.identity) {
            append_item(to, kIdentityItem, [&](Bytes& item) {
                item.push_back(user.identity->type);
                item.push_back(user.identity->response_requested ? 1 : 0);
                append_lp(item, user.identity->primary);
                append_lp(item, user.identity->secondary);
            });
        }
        if (user.identity_response) append_item(to, kIdentityResponseItem, [&](Bytes& item) { append_lp(item, *user.identity_response); });
    });
}

template <typename Associate>
void append_associate(Bytes& out, const Associate& pdu) {
    append_be(out, pdu.protocol_versions);
    append_be<std::uint16_t>(out, 0);
    append_title(out, pdu.called_ae_title);
    append_title(out, pdu.calling_ae_title);
    out.insert(out.end(), 32, 0);
    append_text_item(out, kApplicationContextItem, pdu.application_context);
    for (const auto& context : pdu.contexts) append_context(out, context);
    append_user_information(out, pdu.user);
}
void append_body(Bytes& out, const AssociateRq& pdu) {
    append_associate(out, pdu);
}
void append_body(Bytes& out, const AssociateAc& pdu) {
    append_associate(out, pdu);
}
void append_body(Bytes& out, const AssociateRj& pdu) {
    out.insert(out.end(), {0, pdu.result, pdu.source, pdu.reason});
}
void append_body(Bytes& out, const ReleaseRq&) {
    out.insert(out.end(), 4, 0);
}
void append_body(Bytes& out, const ReleaseRp&) {
    out.insert(out.end(), 4, 0);
}
void append_body(Bytes& out, const Abort& pdu) {
    const std::uint8_t source = pdu.by_provider ? 2 : 0;
    out.insert(out.end(), {0, 0, source, static_cast<std::uint8_t>(pdu.by_provider ? pdu.reason : AbortReason::not_specified)});
}

std::string_view name_of(PduType type) {
    switch (type) {
        case PduType::associate_rq: return "A-ASSOCIATE-RQ";
        case PduType::associate_ac: return "A-ASSOCIATE-AC";
        case PduType::associate_rj: return "A-ASSOCIATE-RJ";
        case PduType::p_data_tf: return "P-DATA-TF";
        case PduType::release_rq: return "A-RELEASE-RQ";
        case PduType::release_rp: return "A-RELEASE-RP";
        case PduType::abort: return "A-ABORT";
    }
    return "unknown PDU";
}

}  // namespace

bool is_ae_title(std::string_view text) {
    return !text.empty() && text.size() <= kTitleBytes && text.find_first_not_of(' ') != std::string_view::npos &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_printable(c) && c != '\\'; });
}

PduType type_of(const Pdu& pdu) {
    static constexpr std::array kTypes{PduType::associate_rq, PduType::associate_ac, PduType::associate_rj,
                                       PduType::release_rq,   PduType::release_rp,   PduType::abort};
    return kTypes[pdu.index()];
}

Bytes encode(const Pdu& pdu) {
    Bytes out{static_cast<std::uint8_t>(type_of(pdu)), 0, 0, 0, 0, 0};
    std::visit([&](const auto& one) { append_body(out, one); }, pdu);
    Bytes length;
    append_be(length, static_cast<std::uint32_t>(out.size() - kHeaderBytes));
    std::copy(length.begin(), length.end(), out.begin() + 2);
    return out;
}

Result<Pdu> decode_pdu(PduType type, ByteView body) {
    auto decoded = [&]() -> Result<Pdu> {
        switch (type) {
            case PduType::associate_rq: return associate<AssociateRq>(body);
            case PduType::associate_ac: return associate<AssociateAc>(body);
            default: return four_bytes(type, body);
        }
    }();
    if (!decoded) return fail(decoded.error().with(name_of(type)));
    return decoded;
}

void PduReader::feed(ByteView bytes) {
    FID_INVARIANT(input_.empty() || state_ == State::failed, "a PDU reader is fed before it has used up what it had");
    input_ = bytes;
}

Result<PduReader::Event> PduReader::fail_with(ErrorCode code, std::string message, AbortReason reason) {
    error_ = Error{code, std::move(message)};
    abort_ = Abort{true, reason};
    state_ = State::failed;
    input_ = {};
    return fail(error_);
}

bool PduReader::gather(std::size_t size) {
    const auto wanted = std::min(size - kept_.size(), input_.size());
    append(kept_, input_.first(wanted));
    input_ = input_.subspan(wanted);
    return kept_.size() == size;
}

Result<PduReader::Event> PduReader::next() {
    for (;;) {
        switch (state_) {
            case State::failed: return fail(error_);
            case State::header: {
                if (!gather(kHeaderBytes)) return Event::need_more;
                FID_TRY(const auto event, begin_pdu());
                if (event != Event::need_more) return event;
                break;
            }
            case State::body:
                if (!gather(pdu_left_)) return Event::need_more;
                return decode_pdu();
            case State::value_header: {
                if (!gather(kValueHeaderBytes)) return Event::need_more;
                FID_TRY(const auto event, begin_value());
                if (event != Event::need_more) return event;
                break;
            }
            case State::value:
                if (input_.empty()) return Event::need_more;
                return hand_out_value();
        }
    }
}

Result<PduReader::Event> PduReader::begin_pdu() {
    const auto type = kept_[0];
    pdu_left_ = read_be<std::uint32_t>(ByteView(kept_).subspan(2));
    kept_.clear();
    if (type < static_cast<std::uint8_t>(PduType::associate_rq) || type > static_cast<std::uint8_t>(PduType::abort))
        return fail_with(ErrorCode::malformed, "a PDU of the unknown type " + std::to_string(type), AbortReason::unrecognized_pdu);
    type_ = static_cast<PduType>(type);
    const auto too_long = [&](std::uint32_t most) {
        return fail_with(
            ErrorCode::limit_exceeded,
            std::string(name_of(type_)) + " of " + std::to_string(pdu_left_) + " bytes, " + std::to_string(most) + " are the most",
            AbortReason::invalid_pdu_parameter_value);
    };
    switch (type_) {
        case PduType::p_data_tf:
            if (pdu_left_ > limits_.data_bytes) return too_long(limits_.data_bytes);
            if (pdu_left_ < kValueHeaderBytes)
                return fail_with(ErrorCode::malformed, "P-DATA-TF without a data value", AbortReason::invalid_pdu_parameter_value);
            state_ = State::value_header;
            break;
        case PduType::associate_rq:
        case PduType::associate_ac:
            if (pdu_left_ > limits_.associate_bytes) return too_long(limits_.associate_bytes);
            state_ = State::body;
            break;
        default:
            if (pdu_left_ != 4) {
                return fail_with(ErrorCode::malformed,
                                 std::string(name_of(type_)) + " of " + std::to_string(pdu_left_) + " bytes, it has 4",
                                 AbortReason::invalid_pdu_parameter_value);
            }
            state_ = State::body;
            break;
    }
    return Event::need_more;
}

Result<PduReader::Event> PduReader::decode_pdu() {
    auto decoded = dicom::decode_pdu(type_, kept_);
    kept_.clear();
    if (!decoded) return fail_with(decoded.error().code, decoded.error().message, AbortReason::invalid_pdu_parameter_value);
    pdu_ = std::move(*decoded);
    state_ = State::header;
    return Event::pdu;
}

Result<PduReader::Event> PduReader::begin_value() {
    const auto length = read_be<std::uint32_t>(kept_);  // of what follows the length field
    piece_ = PdvPiece{kept_[4], (kept_[5] & 1) != 0, false, {}};
    value_is_last_ = (kept_[5] & 2) != 0;
    kept_.clear();
    if (length < 2 || length > pdu_left_ - 4) {
        return fail_with(
            ErrorCode::malformed,
            "a data value of " + std::to_string(length) + " bytes where P-DATA-TF has " + std::to_string(pdu_left_ - 4) + " left",
            AbortReason::invalid_pdu_parameter_value);
    }
    value_left_ = length - 2;
    pdu_left_ -= length + 4;
    if (pdu_left_ > 0 && pdu_left_ < kValueHeaderBytes) {
        return fail_with(ErrorCode::malformed, "P-DATA-TF ends in " + std::to_string(pdu_left_) + " bytes that are no data value",
                         AbortReason::invalid_pdu_parameter_value);
    }
    state_ = State::value;
    return value_left_ == 0 ? hand_out_value() : Event::need_more;
}

PduReader::Event PduReader::hand_out_value() {
    const auto size = static_cast<std::uint32_t>(std::min<std::size_t>(value_left_, input_.size()));
    piece_.data = input_.first(size);
    input_ = input_.subspan(size);
    value_left_ -= size;
    piece_.ends = value_left_ == 0 && value_is_last_;
    if (value_left_ == 0) state_ = pdu_left_ > 0 ? State::value_header : State::header;
    return Event::piece;
}

}  // namespace fiducial::dicom
