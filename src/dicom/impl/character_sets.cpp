#include "dicom/impl/character_sets.hpp"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <vector>

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
    explicit Converter(const char* from) : handle_(iconv_open("UTF-8", from)) {}
    Converter(const Converter&) = delete;
    Converter& operator=(const Converter&) = delete;
    ~Converter() {
        if (handle_ != bad()) iconv_close(handle_);
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

}  // namespace

Decoded decode_text(std::string_view raw, std::string_view character_set, std::string_view delimiters) {
    const auto first = character_set.substr(0, character_set.find('\\'));
    if (first == "GB18030") return whole("GB18030", raw);
    if (first == "GBK") return whole("GBK", raw);
    const CodeSet* left = set_of(6);
    const CodeSet* right = nullptr;
    bool known = true;
    for (std::size_t from = 0, index = 0; from <= character_set.size(); ++index) {
        const auto to = std::min(character_set.find('\\', from), character_set.size());
        const int number = registration_of(trim(character_set.substr(from, to - from)));
        const CodeSet* set = set_of(number);
        if (set == nullptr) known = false;
        if (index == 0 && set != nullptr) {
            if (number == 13) left = set_of(14);
            if (set->right) right = set;
        }
        from = to + 1;
    }
    auto out = ExtendedDecoder(left, right, delimiters).run(raw);
    out.known = known;
    return out;
}

}  // namespace fiducial::dicom::impl
