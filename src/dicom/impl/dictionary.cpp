#include "dicom/impl/dictionary.hpp"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcdicent.h>
#include <dcmtk/dcmdata/dcdict.h>

#include <cctype>
#include <unordered_map>

namespace fiducial::dicom::impl {
namespace {

struct Entry {
    Vr vr;
    std::string keyword;
};

Vr vr_of(const DcmDictEntry& entry) {
    switch (entry.getEVR()) {
        case EVR_ox:
        case EVR_px: return Vr::of("ox");
        case EVR_xs: return Vr::of("xs");
        case EVR_lt: return Vr::of("lt");
        case EVR_na:
        case EVR_up:
        case EVR_UNKNOWN:
        case EVR_UNKNOWN2B: return Vr{};
        default: break;
    }
    DcmVR vr(entry.getEVR());
    const char* name = vr.getVRName();
    return name != nullptr ? Vr::of(name) : Vr{};
}

// The standard part of DCMTK's dictionary, copied once: look-ups need no lock and no object of its own.
struct StandardDictionary {
    std::unordered_map<Tag, Entry> by_tag;
    std::unordered_map<std::string, Tag> by_keyword;

    StandardDictionary() {
        const DcmDataDictionary& dictionary = dcmDataDict.rdlock();
        // Two passes of DCMTK's iterators are not const; the copy is made under the read lock.
        auto& open = const_cast<DcmDataDictionary&>(dictionary);
        for (auto it = open.normalBegin(); it != open.normalEnd(); ++it) {
            const DcmDictEntry* entry = *it;
            if (entry == nullptr || entry->getPrivateCreator() != nullptr) continue;
            const Tag tag = make_tag(entry->getGroup(), entry->getElement());
            const char* name = entry->getTagName();
            std::string keyword = name != nullptr ? name : "";
            if (keyword.starts_with("RETIRED_") || keyword.starts_with("ACR_NEMA_"))
                keyword = keyword.substr(keyword.find('_', keyword[0] == 'A' ? 4 : 0) + 1);
            by_keyword.emplace(keyword, tag);
            by_tag.emplace(tag, Entry{vr_of(*entry), std::move(keyword)});
        }
        dcmDataDict.rdunlock();
    }
};

const StandardDictionary& standard() {
    static const StandardDictionary dictionary;
    return dictionary;
}

Vr find_in_dcmtk(Tag tag, const char* creator) {
    const DcmDataDictionary& dictionary = dcmDataDict.rdlock();
    const DcmDictEntry* entry = dictionary.findEntry(DcmTagKey(group_of(tag), element_of(tag)), creator);
    const Vr vr = entry != nullptr ? vr_of(*entry) : Vr{};
    dcmDataDict.rdunlock();
    return vr;
}

}  // namespace

bool is_private(Tag tag) {
    return (group_of(tag) & 1) != 0;
}

Vr standard_vr(Tag tag) {
    const auto& table = standard().by_tag;
    if (const auto found = table.find(tag); found != table.end()) return found->second.vr;
    if (element_of(tag) == 0) return Vr::of("UL");  // group length
    if (is_private(tag)) return element_of(tag) >= 0x10 && element_of(tag) <= 0xff ? Vr::of("LO") : Vr{};
    const auto group = group_of(tag);
    const bool repeating = (group >= 0x5000 && group <= 0x501e) || (group >= 0x6000 && group <= 0x601e) || group == 0x0020 ||
                           group == 0x0028 || group == 0x1000 || group == 0x1010 || group == 0x7f00;
    return repeating ? find_in_dcmtk(tag, nullptr) : Vr{};
}

Vr private_vr(Tag tag, const std::string& creator) {
    if (creator.empty()) return Vr{};
    return find_in_dcmtk(tag, creator.c_str());
}

}  // namespace fiducial::dicom::impl

namespace fiducial::dicom {

std::string keyword_of(Tag tag) {
    const auto& table = impl::standard().by_tag;
    const auto found = table.find(tag);
    return found == table.end() ? std::string{} : found->second.keyword;
}

std::string_view dictionary_vr(Tag tag) {
    const auto& table = impl::standard().by_tag;
    const auto found = table.find(tag);
    if (found == table.end()) return "UN";
    const auto vr = found->second.vr.view();
    if (vr == "ox" || vr == "lt") return "OW";
    if (vr == "xs") return "US";
    return vr;
}

std::string tag_text(Tag tag) {
    static constexpr char kDigits[] = "0123456789ABCDEF";
    std::string out(8, '0');
    for (int i = 0; i < 8; ++i) out[static_cast<std::size_t>(i)] = kDigits[(tag >> (28 - 4 * i)) & 15];
    return out;
}

std::string tag_name(Tag tag) {
    const auto text = tag_text(tag);
    return "(" + text.substr(0, 4) + "," + text.substr(4) + ")";
}

std::optional<Tag> parse_tag(std::string_view text) {
    if (!text.empty() && text.front() == '(' && text.back() == ')' && text.size() > 2) text = text.substr(1, text.size() - 2);
    std::string digits(text);
    if (digits.size() == 9 && digits[4] == ',') digits.erase(4, 1);
    if (digits.size() == 8 && std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isxdigit(c) != 0; })) {
        Tag tag = 0;
        for (const char c : digits) {
            const int value = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
            tag = (tag << 4) | static_cast<Tag>(value);
        }
        return tag;
    }
    const auto& table = impl::standard().by_keyword;
    const auto found = table.find(std::string(text));
    if (found == table.end()) return std::nullopt;
    return found->second;
}

}  // namespace fiducial::dicom
