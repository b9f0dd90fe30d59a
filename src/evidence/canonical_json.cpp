#include "evidence/canonical_json.hpp"

#include "base/hex.hpp"

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes a std::variant that was moved from for one that was never set.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace fiducial::evidence {

namespace {

bool printable(char c) {
    return c >= 0x20 && c <= 0x7e;
}

void write_string(std::string& out, std::string_view text) {
    out += '"';
    for (char c : text) {
        FID_INVARIANT(printable(c), "canonical JSON holds printable ASCII only");
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    out += '"';
}

void write(std::string& out, const JsonValue& value) {
    if (const auto* boolean = value.if_bool()) {
        out += *boolean ? "true" : "false";
    } else if (const auto* integer = value.if_integer()) {
        const bool quoted = *integer > kMaxJsonInteger;
        if (quoted) out += '"';
        out += std::to_string(*integer);
        if (quoted) out += '"';
    } else if (const auto* string = value.if_string()) {
        write_string(out, *string);
    } else if (const auto* array = value.if_array()) {
        out += '[';
        for (std::size_t i = 0; i < array->size(); ++i) {
            if (i > 0) out += ',';
            write(out, (*array)[i]);
        }
        out += ']';
    } else {
        out += '{';
        bool first = true;
        for (const auto& [key, member] : *value.if_object()) {
            if (!first) out += ',';
            first = false;
            write_string(out, key);
            out += ':';
            write(out, member);
        }
        out += '}';
    }
}

/// Accepts a text only where write() would have written the same.
class Reader {
public:
    Reader(std::string_view text, const JsonLimits& limits) : text_(text), limits_(limits) {}

    Result<JsonValue> document() {
        FID_TRY(auto out, value(0));
        if (at_ != text_.size()) return bad("more text after the value");
        return out;
    }

private:
    tl::unexpected<Error> bad(std::string_view what) const {
        return fail(ErrorCode::malformed, "canonical JSON: " + std::string(what) + " at byte " + std::to_string(at_));
    }
    bool next_is(char c) const { return at_ < text_.size() && text_[at_] == c; }
    bool skip(char c) {
        if (!next_is(c)) return false;
        ++at_;
        return true;
    }

    Result<JsonValue> value(std::size_t depth) {
        if (depth > limits_.max_depth)
            return fail(ErrorCode::limit_exceeded, "canonical JSON: nested deeper than " + std::to_string(limits_.max_depth));
        if (++values_ > limits_.max_values)
            return fail(ErrorCode::limit_exceeded, "canonical JSON: more than " + std::to_string(limits_.max_values) + " values");
        if (at_ >= text_.size()) return bad("a value is missing");
        const char c = text_[at_];
        if (c == '{') return object(depth);
        if (c == '[') return array(depth);
        if (c == '"') {
            FID_TRY(auto text, string());
            return JsonValue(std::move(text));
        }
        if (c >= '0' && c <= '9') return integer();
        if (text_.substr(at_, 4) == "true") return at_ += 4, JsonValue(true);
        if (text_.substr(at_, 5) == "false") return at_ += 5, JsonValue(false);
        return bad("neither a string, an integer, true, false, an array nor an object");
    }

    Result<JsonValue> integer() {
        std::uint64_t number = 0;
        const std::size_t start = at_;
        for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
            if (at_ > start && text_[start] == '0') return bad("a leading zero");
            number = number * 10 + static_cast<std::uint64_t>(text_[at_] - '0');
            if (number > kMaxJsonInteger) return bad("an integer of 2^53 or more");
        }
        return JsonValue(number);
    }

    Result<std::string> string() {
        ++at_;
        std::string out;
        while (at_ < text_.size()) {
            char c = text_[at_];
            if (c == '"') return ++at_, out;
            if (!printable(c)) return bad("a character other than printable ASCII");
            if (c == '\\') {
                if (at_ + 1 >= text_.size()) break;
                c = text_[++at_];
                if (c != '"' && c != '\\') return bad("an escape that is not needed");
            }
            out += c;
            ++at_;
        }
        return bad("a string does not end");
    }

    Result<JsonValue> array(std::size_t depth) {
        ++at_;
        JsonValue::Array out;
        if (skip(']')) return JsonValue(std::move(out));
        while (true) {
            FID_TRY(auto item, value(depth + 1));
            out.push_back(std::move(item));
            if (skip(']')) return JsonValue(std::move(out));
            if (!skip(',')) return bad("neither , nor ]");
        }
    }

    Result<JsonValue> object(std::size_t depth) {
        ++at_;
        JsonValue::Object out;
        if (skip('}')) return JsonValue(std::move(out));
        while (true) {
            if (!next_is('"')) return bad("a key is missing");
            FID_TRY(auto key, string());
            if (!out.empty() && key <= out.rbegin()->first) return bad("keys are not strictly ascending");
            if (!skip(':')) return bad("no colon after a key");
            FID_TRY(auto member, value(depth + 1));
            out.emplace_hint(out.end(), std::move(key), std::move(member));
            if (skip('}')) return JsonValue(std::move(out));
            if (!skip(',')) return bad("neither , nor }");
        }
    }

    std::string_view text_;
    JsonLimits limits_;
    std::size_t at_ = 0;
    std::size_t values_ = 0;
};

}  // namespace

std::string write_canonical(const JsonValue& value) {
    std::string out;
    write(out, value);
    return out;
}

Result<JsonValue> read_canonical(std::string_view text, const JsonLimits& limits) {
    if (text.size() > limits.max_bytes) {
        return fail(ErrorCode::limit_exceeded,
                    "a document of " + std::to_string(text.size()) + " bytes, more than " + std::to_string(limits.max_bytes));
    }
    return Reader(text, limits).document();
}

Result<Bytes> read_hex(const JsonValue& value, std::size_t max_bytes, std::string_view part) {
    const auto* text = value.if_string();
    const auto bad = [&](std::string_view what) { return fail(ErrorCode::malformed, std::string(part) + ": " + std::string(what)); };
    if (text == nullptr || !text->starts_with("0x")) return bad("not a string of 0x and hex digits");
    if (text->size() / 2 > max_bytes + 1)
        return fail(ErrorCode::limit_exceeded, std::string(part) + ": more than " + std::to_string(max_bytes) + " bytes");
    if (text->find_first_not_of("0123456789abcdef", 2) != std::string::npos) return bad("a character other than a lower-case hex digit");
    auto bytes = from_hex(std::string_view(*text).substr(2));
    if (!bytes) return bad("an odd number of hex digits");
    return bytes;
}

Result<ObjectReader> ObjectReader::of(const JsonValue& value, std::string_view part) {
    const auto* object = value.if_object();
    if (object == nullptr) return fail(ErrorCode::malformed, std::string(part) + ": not an object");
    return ObjectReader(*object, std::string(part));
}

bool ObjectReader::has(std::string_view key) const {
    return object_->find(key) != object_->end();
}

Result<const JsonValue*> ObjectReader::take(std::string_view key) {
    const auto found = object_->find(key);
    if (found == object_->end()) return fail(ErrorCode::malformed, part_ + ": `" + std::string(key) + "` is missing");
    taken_.push_back(found->first);
    return &found->second;
}

Result<std::uint64_t> ObjectReader::integer(std::string_view key, std::uint64_t max) {
    FID_TRY(const auto* value, take(key));
    std::uint64_t number = 0;
    const std::string where = part_ + "." + std::string(key);
    if (const auto* small = value->if_integer()) {
        number = *small;
    } else if (const auto* text = value->if_string()) {
        if (text->empty() || text->size() > 20 || text->front() == '0' || text->find_first_not_of("0123456789") != std::string::npos) {
            return fail(ErrorCode::malformed, where + ": not an integer");
        }
        for (char c : *text) {
            const auto digit = static_cast<std::uint64_t>(c - '0');
            if (number > (UINT64_MAX - digit) / 10) return fail(ErrorCode::malformed, where + ": an integer of 2^64 or more");
            number = number * 10 + digit;
        }
        if (number <= kMaxJsonInteger) return fail(ErrorCode::malformed, where + ": an integer below 2^53 written as a string");
    } else {
        return fail(ErrorCode::malformed, where + ": not an integer");
    }
    if (number > max) return fail(ErrorCode::malformed, where + ": larger than " + std::to_string(max));
    return number;
}

Result<std::string> ObjectReader::string(std::string_view key, std::size_t max_size) {
    FID_TRY(const auto* value, take(key));
    const auto* text = value->if_string();
    if (text == nullptr) return fail(ErrorCode::malformed, part_ + "." + std::string(key) + ": not a string");
    if (text->size() > max_size)
        return fail(ErrorCode::limit_exceeded, part_ + "." + std::string(key) + ": longer than " + std::to_string(max_size));
    return *text;
}

Result<const JsonValue::Array*> ObjectReader::array(std::string_view key, std::size_t max_size) {
    FID_TRY(const auto* value, take(key));
    const auto* items = value->if_array();
    if (items == nullptr) return fail(ErrorCode::malformed, part_ + "." + std::string(key) + ": not an array");
    if (items->size() > max_size)
        return fail(ErrorCode::limit_exceeded, part_ + "." + std::string(key) + ": more than " + std::to_string(max_size) + " items");
    return items;
}

Result<ObjectReader> ObjectReader::object(std::string_view key) {
    FID_TRY(const auto* value, take(key));
    return of(*value, part_ + "." + std::string(key));
}

Result<Bytes> ObjectReader::hex(std::string_view key, std::size_t max_bytes) {
    FID_TRY(const auto* value, take(key));
    return read_hex(*value, max_bytes, part_ + "." + std::string(key));
}

Result<void> ObjectReader::done() const {
    for (const auto& [key, member] : *object_) {
        if (std::find(taken_.begin(), taken_.end(), key) == taken_.end()) {
            return fail(ErrorCode::malformed, part_ + ": an unknown key of " + std::to_string(key.size()) + " characters");
        }
    }
    return {};
}

}  // namespace fiducial::evidence
