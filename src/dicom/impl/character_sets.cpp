#include "dicom/impl/character_sets.hpp"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <vector>

#include "base/utf8.hpp"
#include "dicom/impl/text.hpp"

namespace fiducial::dicom::impl {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// A set of 94, 96 or 94 × 94 characters, as ISO 2022 designates it.
struct CodeSet {
    int registration;         // ISO-IR number
    std::string_view escape;  // without ESC
    const char* iconv_name;
    bool right;  // goes to G1: bytes with the high bit
    bool two_bytes;
};

constexpr std::array kSets = {
    CodeSet{6, "(B", "ASCII", false, false},
    CodeSet{14, "(J", "ASCII", false, false},  // JIS X 0201 romaji: yen sign and overline are left as they are
    CodeSet{87, "$B", "EUC-JP", false, true},
    CodeSet{159, "$(D", "EUC-JP", false, true},
    CodeSet{100, "-A", "ISO-8859-1", true, false},
    CodeSet{101, "-B", "ISO-8859-2", true, false},
    CodeSet{109, "-C", "ISO-8859-3", true, false},
    CodeSet{110, "-D", "ISO-8859-4", true, false},
    CodeSet{144, "-L", "ISO-8859-5", true, false},
    CodeSet{127, "-G", "ISO-8859-6", true, false},
    CodeSet{126, "-F", "ISO-8859-7", true, false},
    CodeSet{138, "-H", "ISO-8859-8", true, false},
    CodeSet{148, "-M", "ISO-8859-9", true, false},
    CodeSet{203, "-b", "ISO-8859-15", true, false},
    CodeSet{166, "-T", "TIS-620", true, false},
    CodeSet{13, ")I", "EUC-JP", true, false},
    CodeSet{149, "$)C", "EUC-KR", true, true},
    CodeSet{58, "$)A", "EUC-CN", true, true},
};

const CodeSet* set_of(int registration) {
    const auto found = std::find_if(kSets.begin(), kSets.end(), [=](const CodeSet& s) { return s.registration == registration; });
    return found == kSets.end() ? nullptr : &*found;
}

// The number in "ISO_IR 100", "ISO 2022 IR 100" and what is seen in their place; 0 for none.
int registration_of(std::string_view term) {
    if (term.empty()) return 6;
    const auto at = term.find("IR");
    if (!term.starts_with("ISO") || at == std::string_view::npos) return 0;
    int number = 0;
    for (const char c : term.substr(at + 2)) {
        if (c == ' ' || c == '_' || c == '-') continue;
        if (c < '0' || c > '9' || number > 1000) return 0;
        number = number * 10 + (c - '0');
    }
    return number;
}

class Converter {
public:
    explicit Converter(const char* from, const char* to = "UTF-8") : handle_(iconv_open(to, from)) {}
    Converter(const Converter&) = delete;
    Converter& operator=(const Converter&) = delete;
    ~Converter() {
        if (handle_ != bad()) iconv_close(handle_);
    }
    // Returns: all of the text, or nothing where it cannot be said so.
    std::optional<std::string> convert(std::string_view text) {
        if (handle_ == bad()) return std::nullopt;
        iconv(handle_, nullptr, nullptr, nullptr, nullptr);
        std::string input(text), out(text.size() * 4 + 8, '\0');
        char* in = input.data();
        char* to = out.data();
        std::size_t in_left = input.size(), to_left = out.size();
        if (iconv(handle_, &in, &in_left, &to, &to_left) != 0) return std::nullopt;  // more than 0: something like it was taken instead
        out.resize(out.size() - to_left);
        return out;
    }
    // Appends as UTF-8. Returns: whether every byte had a meaning.
    bool append(std::string& out, std::string_view raw) {
        if (handle_ == bad()) {
            out += kReplacement;
            return false;
        }
        bool complete = true;
        iconv(handle_, nullptr, nullptr, nullptr, nullptr);
        std::string input(raw);
        char* in = input.data();
        std::size_t in_left = input.size();
        std::array<char, 1024> buffer;
        while (in_left > 0) {
            char* to = buffer.data();
            std::size_t to_left = buffer.size();
            const auto answer = iconv(handle_, &in, &in_left, &to, &to_left);
            const int error = errno;
            out.append(buffer.data(), buffer.size() - to_left);
            if (answer != static_cast<std::size_t>(-1) || error == E2BIG) continue;
            complete = false;
            out += kReplacement;
            ++in;
            --in_left;
        }
        return complete;
    }

private:
    static iconv_t bad() { return reinterpret_cast<iconv_t>(-1); }
    iconv_t handle_;
};

Converter& converter(const char* name) {
    thread_local std::map<std::string, Converter> kept;
    return kept.try_emplace(name, name).first->second;
}

Converter& converter_to(const char* name) {
    thread_local std::map<std::string, Converter> kept;
    return kept.try_emplace(name, "UTF-8", name).first->second;
}

// Reads text with code extensions.
class ExtendedDecoder {
public:
    ExtendedDecoder(const CodeSet* left, const CodeSet* right, std::string_view delimiters)
        : first_left_(left), first_right_(right), left_(left), right_(right), delimiters_(delimiters) {}

    Decoded run(std::string_view raw) {
        for (std::size_t at = 0; at < raw.size();) {
            const auto byte = static_cast<unsigned char>(raw[at]);
            if (byte == 0x1b) {
                at += escape(raw.substr(at));
            } else if (byte < 0x21 || (!left_->two_bytes && byte < 0x80)) {
                if ((byte < 0x20 && byte != 0) || delimiters_.find(raw[at]) != std::string_view::npos)
                    left_ = first_left_, right_ = first_right_;
                out_.text += raw[at++];
            } else {
                at += run_of(raw.substr(at), byte >= 0x80);
            }
        }
        return std::move(out_);
    }

private:
    std::size_t escape(std::string_view raw) {
        for (const auto& set : kSets) {
            if (!raw.substr(1).starts_with(set.escape)) continue;
            (set.right ? right_ : left_) = &set;
            return 1 + set.escape.size();
        }
        out_.text += kReplacement;
        out_.complete = false;
        return 1;
    }

    // Converts all bytes of one side up to the next of another kind.
    std::size_t run_of(std::string_view raw, bool high) {
        std::size_t length = 0;
        while (length < raw.size()) {
            const auto byte = static_cast<unsigned char>(raw[length]);
            if ((byte >= 0x80) != high || byte == 0x1b || byte < 0x21) break;
            ++length;
        }
        const CodeSet* set = high ? right_ : left_;
        std::string bytes;
        const std::size_t step = set != nullptr && set->two_bytes ? 2 : 1;
        for (std::size_t i = 0; i < length; i += step) {
            if (set != nullptr && set->registration == 159) bytes += '\x8f';
            if (set != nullptr && set->registration == 13) bytes += '\x8e';
            for (std::size_t k = i; k < std::min(i + step, length); ++k)
                bytes += static_cast<char>(static_cast<unsigned char>(raw[k]) | (set != nullptr && !high ? 0x80 : 0));
        }
        if (set == nullptr || !converter(set->iconv_name).append(out_.text, bytes)) {
            if (set == nullptr) out_.text += kReplacement;
            out_.complete = false;
        }
        return length;
    }

    const CodeSet* first_left_;
    const CodeSet* first_right_;
    const CodeSet* left_;
    const CodeSet* right_;
    std::string_view delimiters_;
    Decoded out_;
};

Decoded whole(const char* name, std::string_view raw) {
    Decoded out;
    out.complete = converter(name).append(out.text, raw);
    return out;
}

// A character as the set writes it; nothing where it has none such.
std::optional<std::string> code_of(const CodeSet& set, std::string_view character) {
    auto bytes = converter_to(set.iconv_name).convert(character);
    if (!bytes) return std::nullopt;
    const auto strip = [&](char lead) {  // EUC's other sets stand behind a lead byte
        if (bytes->size() < 2 || bytes->front() != lead) return false;
        bytes->erase(0, 1);
        return true;
    };
    if (set.registration == 159 && !strip('\x8f')) return std::nullopt;
    if (set.registration == 13 && !strip('\x8e')) return std::nullopt;
    if (bytes->size() != (set.two_bytes ? 2u : 1u)) return std::nullopt;
    for (auto& byte : *bytes) {
        if (static_cast<unsigned char>(byte) < 0xa0) return std::nullopt;
        if (!set.right) byte = static_cast<char>(byte & 0x7f);
    }
    return bytes;
}

// Writes text with code extensions.
class ExtendedEncoder {
public:
    ExtendedEncoder(std::vector<const CodeSet*> sets, const CodeSet* left, const CodeSet* right, std::string_view delimiters)
        : sets_(std::move(sets)), first_left_(left), first_right_(right), left_(left), right_(right), delimiters_(delimiters) {}

    std::optional<std::string> run(std::string_view text) {
        for (std::size_t at = 0; at < text.size();) {
            const auto length = utf8_sequence(text, at);
            if (length == 0) return std::nullopt;
            const auto character = text.substr(at, length);
            at += length;
            if (length > 1) {
                if (!put(character)) return std::nullopt;
                continue;
            }
            designate(*first_left_);
            out_ += character;
            const bool control = static_cast<unsigned char>(character[0]) < 0x20;
            if (control || delimiters_.find(character[0]) != std::string_view::npos) right_ = first_right_;
        }
        designate(*first_left_);
        return std::move(out_);
    }

private:
    void designate(const CodeSet& set) {
        auto& current = set.right ? right_ : left_;
        if (current == &set) return;
        out_ += '\x1b';
        out_ += set.escape;
        current = &set;
    }
    bool put(std::string_view character) {
        for (const auto* set : sets_) {
            const auto code = code_of(*set, character);
            if (!code) continue;
            designate(*set);
            out_ += *code;
            return true;
        }
        return false;
    }

    const std::vector<const CodeSet*> sets_;  // what may be used beside ASCII
    const CodeSet* first_left_;
    const CodeSet* first_right_;
    const CodeSet* left_;
    const CodeSet* right_;
    std::string_view delimiters_;
    std::string out_;
};

// What the values of Specific Character Set designate.
struct Designated {
    std::vector<const CodeSet*> sets;
    const CodeSet* left = set_of(6);  // at the beginning, and again behind delimiters
    const CodeSet* right = nullptr;
    bool known = true;
};
Designated designated_by(std::string_view character_set) {
    Designated out;
    for (std::size_t from = 0, index = 0; from <= character_set.size(); ++index) {
        const auto to = std::min(character_set.find('\\', from), character_set.size());
        const int number = registration_of(trim(character_set.substr(from, to - from)));
        const CodeSet* set = set_of(number);
        if (set == nullptr) out.known = false;
        if (set != nullptr && number != 6 && number != 14) out.sets.push_back(set);
        if (index == 0 && set != nullptr) {
            if (number == 13) out.left = set_of(14);
            if (set->right) out.right = set;
        }
        from = to + 1;
    }
    return out;
}

}  // namespace

Decoded decode_text(std::string_view raw, std::string_view character_set, std::string_view delimiters) {
    const auto first = character_set.substr(0, character_set.find('\\'));
    if (first == "GB18030") return whole("GB18030", raw);
    if (first == "GBK") return whole("GBK", raw);
    const auto sets = designated_by(character_set);
    auto out = ExtendedDecoder(sets.left, sets.right, delimiters).run(raw);
    out.known = sets.known;
    return out;
}

std::optional<std::string> encode_text(std::string_view text, std::string_view character_set, std::string_view delimiters) {
    const auto first = character_set.substr(0, character_set.find('\\'));
    if (first == "ISO_IR 192") return is_utf8(text) ? std::optional(std::string(text)) : std::nullopt;
    if (first == "GB18030" || first == "GBK") return converter_to(first == "GBK" ? "GBK" : "GB18030").convert(text);
    auto sets = designated_by(character_set);
    if (!sets.known) return std::nullopt;
    return ExtendedEncoder(std::move(sets.sets), sets.left, sets.right, delimiters).run(text);
}

}  // namespace fiducial::dicom::impl
