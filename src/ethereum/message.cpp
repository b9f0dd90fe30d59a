#include "ethereum/message.hpp"

#include <algorithm>
#include <charconv>

#include "crypto/hash.hpp"
#include "ethereum/address.hpp"

namespace fiducial::ethereum {
namespace {

constexpr std::size_t kMaxSignInBytes = 8 * 1024;
constexpr std::size_t kMaxResources = 64;
constexpr std::string_view kGreeting = " wants you to sign in with your Ethereum account:";
constexpr std::string_view kUnreservedMarks = "-._~";
constexpr std::string_view kSubDelims = "!$&'()*+,;=";
constexpr std::string_view kGenDelims = ":/?#[]@";

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_in(char c, std::string_view set) {
    return set.find(c) != std::string_view::npos;
}
bool is_unreserved(char c) {
    return is_letter(c) || is_digit(c) || is_in(c, kUnreservedMarks);
}

// Unreserved and `more` characters of RFC 3986, and percent-encoded bytes.
bool is_uri_text(std::string_view text, std::string_view more) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
            i += 2;
        } else if (!is_unreserved(text[i]) && !is_in(text[i], kSubDelims) && !is_in(text[i], more)) {
            return false;
        }
    }
    return true;
}

bool is_scheme(std::string_view text) {
    return !text.empty() && is_letter(text.front()) &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_letter(c) || is_digit(c) || is_in(c, "+-."); });
}

bool is_uri(std::string_view text) {
    const auto colon = text.find(':');
    return colon != std::string_view::npos && is_scheme(text.substr(0, colon)) && is_uri_text(text.substr(colon + 1), kGenDelims);
}

bool is_statement(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return is_unreserved(c) || is_in(c, kSubDelims) || is_in(c, kGenDelims) || c == ' ';
    });
}

bool is_nonce(std::string_view text) {
    return text.size() >= 8 && std::all_of(text.begin(), text.end(), [](char c) { return is_letter(c) || is_digit(c); });
}

bool is_time(std::string_view text) {
    return parse_rfc3339(text).has_value();
}

// The first field that does not fit the grammar of EIP-4361; empty when all do.
std::string_view misfit(const SignInMessage& message) {
    const auto fits = [](const std::optional<std::string>& text, bool (*check)(std::string_view)) { return !text || check(*text); };
    if (!message.scheme.empty() && !is_scheme(message.scheme)) return "scheme";
    if (message.domain.empty() || !is_uri_text(message.domain, ":@[]")) return "domain";
    if (!fits(message.statement, is_statement)) return "statement";
    if (!is_uri(message.uri)) return "URI";
    if (!is_nonce(message.nonce)) return "nonce";
    if (!is_time(message.issued_at)) return "issued at";
    if (!fits(message.expiration_time, is_time)) return "expiration time";
    if (!fits(message.not_before, is_time)) return "not before";
    if (message.request_id && !is_uri_text(*message.request_id, ":@")) return "request id";
    if (!message.has_resources && !message.resources.empty()) return "resources";
    if (message.resources.size() > kMaxResources || !std::all_of(message.resources.begin(), message.resources.end(), is_uri))
        return "resources";
    return {};
}

// Takes a message apart line by line.
class Lines {
public:
    explicit Lines(std::string_view text) : rest_(text) {}
    bool at_end() const { return ended_; }
    std::string_view peek() const { return ended_ ? std::string_view{} : rest_.substr(0, rest_.find('\n')); }

    Result<std::string_view> next(std::string_view what) {
        if (ended_) return wrong(what, "missing");
        const auto line = peek();
        ended_ = line.size() == rest_.size();
        rest_.remove_prefix(std::min(rest_.size(), line.size() + 1));
        ++number_;
        return line;
    }
    /// What stands after a label that must be there.
    Result<std::string> labelled(std::string_view label) {
        FID_TRY(const auto line, next(label));
        if (!line.starts_with(label)) return wrong(label, "not where it should be");
        return std::string(line.substr(label.size()));
    }
    Result<std::optional<std::string>> optional(std::string_view label) {
        if (ended_ || !peek().starts_with(label)) return std::optional<std::string>{};
        FID_TRY(auto text, labelled(label));
        return std::optional<std::string>{std::move(text)};
    }
    tl::unexpected<Error> wrong(std::string_view what, std::string_view problem) const {
        return fail(ErrorCode::malformed,
                    "sign-in message: line " + std::to_string(number_) + ": " + std::string(what) + ": " + std::string(problem));
    }

private:
    std::string_view rest_;
    bool ended_ = false;
    std::size_t number_ = 1;
};

Result<void> read_preamble(Lines& lines, SignInMessage& out) {
    FID_TRY(auto first, lines.next("domain"));
    if (!first.ends_with(kGreeting)) return lines.wrong("domain", "not the sentence that EIP-4361 gives");
    first.remove_suffix(kGreeting.size());
    if (const auto colon = first.find("://"); colon != std::string_view::npos) {
        if (colon == 0) return lines.wrong("scheme", "empty");
        out.scheme = std::string(first.substr(0, colon));
        first.remove_prefix(colon + 3);
    }
    out.domain = std::string(first);
    FID_TRY(const auto address, lines.next("address"));
    FID_TRY(out.address, parse_address(address));
    FID_TRY(const auto empty, lines.next("empty line"));
    if (!empty.empty()) return lines.wrong("empty line", "not empty");
    FID_TRY(const auto statement, lines.next("statement"));
    if (statement.empty()) return {};
    out.statement = std::string(statement);
    FID_TRY(const auto after, lines.next("empty line"));
    if (!after.empty()) return lines.wrong("empty line", "not empty");
    return {};
}

Result<std::uint64_t> read_chain_id(Lines& lines) {
    FID_TRY(const auto text, lines.labelled("Chain ID: "));
    std::uint64_t value = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (ec != std::errc{} || end != text.data() + text.size()) return lines.wrong("Chain ID", "not a number of 64 bits");
    return value;
}

}  // namespace

Hash personal_message_hash(ByteView message) {
    const std::string prefix =
        "\x19"
        "Ethereum Signed Message:\n" +
        std::to_string(message.size());
    return crypto::keccak256({as_bytes(prefix), message});
}

Result<crypto::RecoverableSignature> sign_personal(const crypto::Secret& private_key, ByteView message) {
    return crypto::sign_recoverable(private_key, personal_message_hash(message));
}

Result<Address> recover_personal(ByteView message, ByteView signature) {
    FID_TRY(const auto parsed, crypto::RecoverableSignature::parse(signature));
    return crypto::recover_address(personal_message_hash(message), parsed);
}

Result<std::string> SignInMessage::to_text() const {
    if (const auto field = misfit(*this); !field.empty()) {
        return fail(ErrorCode::invalid_argument, "sign-in message: its " + std::string(field) + " does not fit EIP-4361");
    }
    std::string out = (scheme.empty() ? "" : scheme + "://") + domain + std::string(kGreeting) + "\n" + to_checksum(address) + "\n\n";
    if (statement) out += *statement + "\n";
    out += "\nURI: " + uri + "\nVersion: 1\nChain ID: " + std::to_string(chain_id) + "\nNonce: " + nonce + "\nIssued At: " + issued_at;
    if (expiration_time) out += "\nExpiration Time: " + *expiration_time;
    if (not_before) out += "\nNot Before: " + *not_before;
    if (request_id) out += "\nRequest ID: " + *request_id;
    if (has_resources) out += "\nResources:";
    for (const auto& resource : resources) out += "\n- " + resource;
    return out;
}

Result<SignInMessage> parse_sign_in(std::string_view text) {
    if (text.size() > kMaxSignInBytes) return fail(ErrorCode::limit_exceeded, "sign-in message: more than 8 KiB");
    Lines lines(text);
    SignInMessage out;
    FID_CHECK(read_preamble(lines, out));
    FID_TRY(out.uri, lines.labelled("URI: "));
    FID_TRY(const std::string_view version, lines.next("Version"));
    if (version != "Version: 1") return lines.wrong("Version", "not 1");
    FID_TRY(out.chain_id, read_chain_id(lines));
    FID_TRY(out.nonce, lines.labelled("Nonce: "));
    FID_TRY(out.issued_at, lines.labelled("Issued At: "));
    FID_TRY(out.expiration_time, lines.optional("Expiration Time: "));
    FID_TRY(out.not_before, lines.optional("Not Before: "));
    FID_TRY(out.request_id, lines.optional("Request ID: "));
    if (!lines.at_end()) {
        FID_TRY(const auto label, lines.next("Resources:"));
        if (label != "Resources:") return lines.wrong("Resources", "something else in its place");
        out.has_resources = true;
    }
    while (!lines.at_end()) {
        FID_TRY(auto resource, lines.labelled("- "));
        out.resources.push_back(std::move(resource));
        if (out.resources.size() > kMaxResources) return fail(ErrorCode::limit_exceeded, "sign-in message: more than 64 resources");
    }
    const auto again = out.to_text();
    if (!again) return fail(ErrorCode::malformed, again.error().message);
    if (*again != text)
        return fail(ErrorCode::malformed, "sign-in message: not in the one form that its fields have (address checksum, numbers)");
    return out;
}

Result<SignInMessage> verify_sign_in(std::string_view text, ByteView signature, const SignInExpectation& expected) {
    FID_TRY(auto message, parse_sign_in(text));
    const auto refuse = [](std::string_view why) { return fail(ErrorCode::unauthenticated, "sign-in: " + std::string(why)); };
    if (message.domain != expected.domain) return refuse("for another domain");
    if (!expected.uri.empty() && message.uri != expected.uri) return refuse("for another URI");
    if (message.chain_id != expected.chain_id) return refuse("for another chain");
    if (!crypto::equal_constant_time(as_bytes(message.nonce), as_bytes(expected.nonce))) return refuse("with another nonce");
    if (message.not_before) {
        FID_TRY(const auto time, parse_rfc3339(*message.not_before));
        if (expected.now < time) return refuse("not valid yet");
    }
    if (message.expiration_time) {
        FID_TRY(const auto time, parse_rfc3339(*message.expiration_time));
        if (expected.now >= time) return refuse("no longer valid");
    }
    const auto signer = recover_personal(as_bytes(text), signature);
    if (!signer) return refuse("the signature is none: " + signer.error().message);
    if (*signer != message.address) return refuse("signed by another account than it names");
    return message;
}

namespace {

// Exactly `count` digits.
bool take_number(std::string_view& text, std::size_t count, int& out) {
    if (text.size() < count || !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(count), is_digit)) return false;
    out = 0;
    for (std::size_t i = 0; i < count; ++i) out = out * 10 + (text[i] - '0');
    text.remove_prefix(count);
    return true;
}

bool take_one_of(std::string_view& text, std::string_view set) {
    if (text.empty() || !is_in(text.front(), set)) return false;
    text.remove_prefix(1);
    return true;
}

// "Z" or "+hh:mm". Returns false when it is neither.
bool take_zone(std::string_view& text, int& minutes) {
    minutes = 0;
    if (take_one_of(text, "Zz")) return true;
    const bool west = text.starts_with('-');
    int hour = 0;
    int minute = 0;
    if (!take_one_of(text, "+-") || !take_number(text, 2, hour) || !take_one_of(text, ":") || !take_number(text, 2, minute)) return false;
    minutes = (hour * 60 + minute) * (west ? -1 : 1);
    return hour <= 23 && minute <= 59;
}

}  // namespace

Result<SystemTime> parse_rfc3339(std::string_view text) {
    using namespace std::chrono;
    const auto bad = [] { return fail(ErrorCode::malformed, "not a time of RFC 3339"); };
    auto rest = text;
    int year_number = 0, month_number = 0, day_number = 0, hour = 0, minute = 0, second = 0, zone = 0;
    if (!take_number(rest, 4, year_number) || !take_one_of(rest, "-") || !take_number(rest, 2, month_number) || !take_one_of(rest, "-"))
        return bad();
    if (!take_number(rest, 2, day_number) || !take_one_of(rest, "Tt") || !take_number(rest, 2, hour) || !take_one_of(rest, ":"))
        return bad();
    if (!take_number(rest, 2, minute) || !take_one_of(rest, ":") || !take_number(rest, 2, second)) return bad();
    int millisecond = 0;
    if (take_one_of(rest, ".")) {
        const auto digits = static_cast<std::size_t>(std::find_if_not(rest.begin(), rest.end(), is_digit) - rest.begin());
        if (digits == 0 || digits > 9) return bad();
        for (std::size_t i = 0; i < 3; ++i) millisecond = millisecond * 10 + (i < digits ? rest[i] - '0' : 0);
        rest.remove_prefix(digits);
    }
    if (!take_zone(rest, zone) || !rest.empty()) return bad();
    const year_month_day date(year(year_number), month(static_cast<unsigned>(month_number)), day(static_cast<unsigned>(day_number)));
    if (!date.ok() || hour > 23 || minute > 59 || second > 60) return bad();
    const auto whole = sys_days(date) + hours(hour) + minutes(minute - zone) + seconds(std::min(second, 59));
    return time_point_cast<milliseconds>(whole) + milliseconds(millisecond);
}

}  // namespace fiducial::ethereum
