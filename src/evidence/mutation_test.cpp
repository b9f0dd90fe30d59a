// Every change to a good bundle is refused, or leaves every statement as it was. Nothing in between.
#include <gtest/gtest.h>

#include <random>

#include "base/hex.hpp"
#include "ethereum/clique.hpp"
#include "evidence/canonical_json.hpp"
#include "evidence/evidence_test_support.hpp"
#include "evidence/verifier.hpp"

namespace fiducial::evidence {
namespace {

/// Where a value stands in a document: keys and indexes from the top.
using Path = std::vector<std::string>;
using Visit = std::function<void(const Path&, const JsonValue&)>;

void walk(const JsonValue& value, Path& path, const Visit& visit) {
    visit(path, value);
    if (const auto* object = value.if_object()) {
        for (const auto& [key, member] : *object) {
            path.push_back(key);
            walk(member, path, visit);
            path.pop_back();
        }
    } else if (const auto* array = value.if_array()) {
        for (std::size_t i = 0; i < array->size(); ++i) {
            path.push_back(std::to_string(i));
            walk((*array)[i], path, visit);
            path.pop_back();
        }
    }
}

/// The document with the value at `path` replaced, or left out.
std::optional<JsonValue> replaced(const JsonValue& value, std::span<const std::string> path, const std::optional<JsonValue>& by) {
    if (path.empty()) return by;
    if (const auto* object = value.if_object()) {
        auto copy = *object;
        auto below = replaced(copy.at(path.front()), path.subspan(1), by);
        if (below) {
            copy[path.front()] = *std::move(below);
        } else {
            copy.erase(path.front());
        }
        return JsonValue(std::move(copy));
    }
    auto copy = *value.if_array();
    const auto at = static_cast<std::ptrdiff_t>(std::stoul(path.front()));
    auto below = replaced(copy[static_cast<std::size_t>(at)], path.subspan(1), by);
    if (below) {
        copy[static_cast<std::size_t>(at)] = *std::move(below);
    } else {
        copy.erase(copy.begin() + at);
    }
    return JsonValue(std::move(copy));
}

std::string text_of(const Path& path) {
    std::string out;
    for (const auto& part : path) out += "/" + part;
    return out;
}

class Mutations : public ::testing::TestWithParam<std::size_t> {
protected:
    void SetUp() override {
        options_.signers = GetParam();
        options_.version = 2;
        sample_ = make_sample(options_);
        document_ = read_canonical(sample_.text).value();
        base_ = verify(sample_.text, sample_.trust_text, sample_.file);
        ASSERT_EQ(base_.verdict, Verdict::verified) << base_.to_text();
        base_without_trust_ = verify(sample_.text, {}, sample_.file);
    }

    /// The one rule of this file.
    void try_text(const std::string& text, const std::string& what) {
        ++tried_;
        const auto report = verify(text, sample_.trust_text, sample_.file);
        const bool refused = report.verdict == Verdict::refused && report.statements.empty();
        refused_ += refused ? 1 : 0;
        EXPECT_TRUE(refused || report == base_) << what << "\n" << report.to_text();
        const auto alone = verify(text, {}, sample_.file);
        EXPECT_TRUE(alone.verdict == Verdict::refused || alone.verdict == Verdict::trust_unverified || alone.verdict == Verdict::mismatch)
            << what;
        for (const auto& statement : alone.statements) {
            EXPECT_TRUE(statement.id == "bytes_match" || statement.state != StatementState::established) << what;
        }
    }
    void try_value(const Path& path, std::optional<JsonValue> value, const std::string& what) {
        const auto changed = replaced(document_, path, value);
        try_text(write_canonical(*changed), what + " at " + text_of(path));
    }
    /// For mutations that show fewer headers: what was settled is no longer, and what rests on it is consistent only. (Without the
    /// first header the same state may stand under the next one: then the statements speak of that block.)
    void try_fewer_headers(const std::string& text, const std::string& what) {
        ++tried_;
        const auto report = verify(text, sample_.trust_text, sample_.file);
        if (report.verdict == Verdict::refused) return;
        EXPECT_EQ(report.verdict, Verdict::not_settled) << what;
        for (std::size_t i = 0; i < report.statements.size(); ++i) {
            const auto& statement = report.statements[i];
            const auto weakest = statement.id == "settled"       ? StatementState::not_established
                                 : statement.id == "bytes_match" ? base_.statements[i].state
                                                                 : StatementState::consistent;
            EXPECT_EQ(statement.state, weakest) << what << statement.id;
            EXPECT_TRUE(statement.id == "settled" || statement.text == base_.statements[i].text || report.block == base_.block + 1) << what;
        }
    }
    std::size_t random(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }

    SampleOptions options_;
    Sample sample_;
    JsonValue document_;
    Report base_, base_without_trust_;
    std::size_t tried_ = 0, refused_ = 0;
    std::mt19937_64 random_{20261122};
};

TEST_P(Mutations, EveryByteOfEveryHexField) {
    Path path;
    walk(document_, path, [&](const Path& at, const JsonValue& value) {
        const auto* text = value.if_string();
        if (text == nullptr || !text->starts_with("0x")) return;
        const Bytes bytes = from_hex(*text).value();
        // Long fields (headers, proof nodes): each of their first 96 bytes, and a random one of each 16 after that; the seals whole.
        for (std::size_t i = 0; i < bytes.size(); i += i < 96 || i + 160 > bytes.size() ? 1 : 1 + random(16)) {
            Bytes changed = bytes;
            changed[i] = static_cast<std::uint8_t>(changed[i] ^ (1u << random(8)));
            try_value(at, JsonValue(to_0x(changed)), "bit flipped in byte " + std::to_string(i));
        }
        for (const Bytes& other : {Bytes{}, Bytes(bytes.size(), 0), Bytes(bytes.size(), 0xFF), Bytes(bytes.begin(), bytes.end() - 1),
                                   Bytes(bytes.begin() + 1, bytes.end())}) {
            if (other != bytes) try_value(at, JsonValue(to_0x(other)), "field replaced");
        }
        Bytes longer = bytes;
        longer.push_back(0);
        try_value(at, JsonValue(to_0x(longer)), "a zero byte appended");
        longer.insert(longer.begin(), 0);
        try_value(at, JsonValue(to_0x(longer)), "zero bytes put around");
    });
    EXPECT_GT(tried_, 2000u);
    EXPECT_GE(refused_ + 80, tried_);  // only the hint's 32 bytes, and what is done to them whole, may go unpunished
    RecordProperty("mutations", static_cast<int>(tried_));
}

TEST_P(Mutations, EveryNumberAndEveryText) {
    Path path;
    walk(document_, path, [&](const Path& at, const JsonValue& value) {
        if (const auto* number = value.if_integer()) {
            for (std::uint64_t other :
                 {*number + 1, *number - 1, *number ^ 1u, *number + 256, *number << 8, std::uint64_t{0}, std::uint64_t{1}, kMaxJsonInteger,
                  kMaxJsonInteger + 1, std::uint64_t{UINT32_MAX}, std::uint64_t{UINT32_MAX} + 1 + *number, UINT64_MAX, *number | 32u}) {
                if (other != *number) try_value(at, JsonValue(other), "number " + std::to_string(other));
            }
            try_value(at, JsonValue(std::to_string(*number)), "number as a text");
            try_value(at, JsonValue(true), "number as true");
        } else if (const auto* text = value.if_string(); text != nullptr && !text->starts_with("0x")) {
            for (std::size_t i = 0; i < text->size(); ++i) {
                for (char other : {'0', '9', '.', 'a', ' '}) {
                    std::string changed = *text;
                    changed[i] = other;
                    if (changed != *text) try_value(at, JsonValue(changed), "character " + std::to_string(i));
                }
            }
            for (const std::string& other : {std::string(), *text + " ", *text + "0", " " + *text, *text + ".1", text->substr(1)}) {
                try_value(at, JsonValue(other), "text " + other);
            }
        }
    });
    EXPECT_GT(tried_, 300u);
}

TEST_P(Mutations, EveryPartDroppedDoubledSwappedOrOfAnotherKind) {
    Path path;
    walk(document_, path, [&](const Path& at, const JsonValue& value) {
        if (at.empty()) return;
        const bool header = at.size() == 3 && at[1] == "headers";
        if (const auto dropped = replaced(document_, at, std::nullopt); header) {
            try_fewer_headers(write_canonical(*dropped), "dropped " + text_of(at));
        } else {
            try_text(write_canonical(*dropped), "dropped " + text_of(at));
        }
        for (const auto& kind : {JsonValue(true), JsonValue(std::uint64_t{1}), JsonValue("x"), JsonValue(JsonValue::Array{}),
                                 JsonValue(JsonValue::Object{})}) {
            try_value(at, kind, "another kind");
        }
        if (const auto* object = value.if_object()) {
            auto more = *object;
            more.emplace("zzz", std::uint64_t{1});
            try_value(at, JsonValue(std::move(more)), "a key added");
        }
        if (const auto* array = value.if_array()) {
            for (std::size_t i = 0; i < array->size(); ++i) {
                auto doubled = *array;
                doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(i), doubled[i]);
                try_value(at, JsonValue(doubled), "item doubled");
                for (std::size_t k = i + 1; k < array->size(); ++k) {
                    auto swapped = *array;
                    std::swap(swapped[i], swapped[k]);
                    try_value(at, JsonValue(swapped), "items swapped");
                }
            }
        }
    });
    for (const char* key : {"a", "zzz", "cosignatures"}) {
        auto more = *document_.if_object();
        more.emplace(key, JsonValue(JsonValue::Array{}));
        try_text(write_canonical(JsonValue(std::move(more))), "a key added at the top");
    }
    EXPECT_GT(tried_, 300u);
}

TEST_P(Mutations, AnotherSpellingOfTheSameDocument) {
    const std::string& text = sample_.text;
    const auto refused_text = [&](const std::string& changed, const std::string& what) {
        ++tried_;
        EXPECT_EQ(verify(changed, sample_.trust_text, sample_.file).verdict, Verdict::refused) << what;
    };
    for (std::size_t i = 0; i < text.size(); i += 1 + random(40)) {
        for (const char* space : {" ", "\n", "\t"})
            refused_text(text.substr(0, i) + space + text.substr(i), "space at " + std::to_string(i));
        refused_text(text.substr(0, i), "cut at " + std::to_string(i));
        if (text[i] >= 'a' && text[i] <= 'f') {
            std::string upper = text;
            upper[i] = static_cast<char>(text[i] - 32);
            refused_text(upper, "upper case at " + std::to_string(i));
        }
        if (text[i] >= 'a' && text[i] <= 'z') {
            static constexpr std::string_view digits = "0123456789abcdef";
            const auto code = static_cast<unsigned>(text[i]);
            const std::string escape = std::string("\\u00") + digits[code >> 4] + digits[code & 15];
            refused_text(text.substr(0, i) + escape + text.substr(i + 1), "escape at " + std::to_string(i));
        }
    }
    refused_text(text + "\n", "line feed at the end");
    refused_text("\xEF\xBB\xBF" + text, "byte order mark");
    refused_text(text + text, "twice");
    refused_text("[" + text + "]", "in an array");

    // The same members in another order, or one of them twice.
    const auto& top = *document_.if_object();
    std::vector<std::string> members;
    for (const auto& [key, member] : top) members.push_back("\"" + key + "\":" + write_canonical(member));
    const auto joined = [](const std::vector<std::string>& list) {
        std::string out;
        for (const auto& member : list) out += (out.empty() ? "{" : ",") + member;
        return out + "}";
    };
    ASSERT_EQ(joined(members), text);
    for (std::size_t i = 0; i < members.size(); ++i) {
        for (std::size_t k = 0; k < members.size(); ++k) {
            auto other = members;
            if (i != k) {
                std::swap(other[i], other[k]);
            } else {
                other.insert(other.begin() + static_cast<std::ptrdiff_t>(i), other[i]);
            }
            refused_text(joined(other), "reordered");
        }
    }
    EXPECT_GT(tried_, 300u);
}

TEST_P(Mutations, RandomBytesOfTheText) {
    for (int i = 0; i < 1500; ++i) {
        std::string changed = sample_.text;
        const std::size_t at = random(changed.size());
        switch (random(4)) {
            case 0: changed[at] = static_cast<char>(changed[at] ^ static_cast<char>(1u << random(8))); break;
            case 1: changed.erase(at, 1 + random(8)); break;
            case 2: changed.insert(at, 1, static_cast<char>(32 + random(95))); break;
            default: std::swap(changed[at], changed[random(changed.size())]); break;
        }
        if (changed != sample_.text) try_text(changed, "random change " + std::to_string(i) + " at " + std::to_string(at));
    }
}

TEST_P(Mutations, PartsOfOtherBundles) {
    const auto variant = [&](const std::function<void(SampleOptions&)>& change) {
        auto options = options_;
        change(options);
        return make_sample(options);
    };
    std::vector<std::pair<std::string, Sample>> others;
    others.emplace_back("another study", variant([](auto& o) { o.study_seed = "another study"; }));
    others.emplace_back("another version", variant([](auto& o) { o.version = 3; }));
    others.emplace_back("the first version", variant([](auto& o) { o.version = 1; }));
    others.emplace_back("another contract", variant([](auto& o) { o.contract_seed = "another contract"; }));
    others.emplace_back("another institution", variant([](auto& o) { o.institution_seed = "another institution"; }));
    others.emplace_back("another chain", variant([](auto& o) { o.chain_id = 4243; }));
    others.emplace_back("another slot", variant([](auto& o) { o.slot = 4; }));
    others.emplace_back("another instance", variant([](auto& o) { o.shown = {1}; }));
    others.emplace_back("more instances", variant([](auto& o) { o.instances = 6; }));
    others.emplace_back("other signers", variant([](auto& o) { o.signer_seed = "other signers"; }));
    others.emplace_back("a later state", variant([](auto& o) { o.later_version_exists = true; }));
    std::size_t combined = 0;
    for (const auto& [name, other] : others) {
        const auto other_document = read_canonical(other.text).value();
        Path path;
        walk(other_document, path, [&](const Path& at, const JsonValue& value) {
            if (at.empty() || at.size() > 4) return;
            // Only where this document has such a place too.
            const JsonValue* here = &document_;
            for (const auto& part : at) {
                if (const auto* object = here->if_object()) {
                    const auto found = object->find(part);
                    if (found == object->end()) return;
                    here = &found->second;
                } else if (const auto* array = here->if_array(); array != nullptr && std::stoul(part) < array->size()) {
                    here = &(*array)[std::stoul(part)];
                } else {
                    return;
                }
            }
            if (write_canonical(*here) == write_canonical(value)) return;
            ++combined;
            const auto changed = write_canonical(*replaced(document_, at, value));
            const auto report = verify(changed, sample_.trust_text, sample_.file);
            const std::string what = text_of(at) + " of " + name;
            // A whole instance of the same version, or a whole anchor of the same chain, is good evidence of its own: but of nothing
            // that its own bundle would not have said.
            const auto own = verify(other.text, sample_.trust_text, sample_.file);
            EXPECT_TRUE(report.verdict == Verdict::refused || report == base_ || report == own) << what << "\n" << report.to_text();
        });
    }
    EXPECT_GT(combined, 150u);
}

INSTANTIATE_TEST_SUITE_P(Signers, Mutations, ::testing::Values(1, 3, 5));

}  // namespace
}  // namespace fiducial::evidence
