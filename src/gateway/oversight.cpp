// For those who watch over the archive: the trace, emergencies, who looked at a study, the ledger. Spec: docs/reference/http.md#the-trace
#include "gateway/impl/oversight.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <span>

#include "archive/reception.hpp"
#include "base/escape.hpp"
#include "base/json.hpp"

namespace fiducial::gateway::impl {
namespace {

namespace json = boost::json;
constexpr std::size_t kMostBody = std::size_t{64} << 10;

struct Key {
    std::string_view name;
    bool is_number = false;
};
constexpr Key kSearchKeys[] = {{"person"}, {"patient"}, {"study"},       {"from"},        {"to"},
                               {"action"}, {"result"},  {"limit", true}, {"before", true}};
constexpr Key kProofKeys[] = {{"index", true}};
constexpr Key kLooksKeys[] = {{"limit", true}};

/// The query string as a JSON object. Errors: malformed, for a key that is none of these too.
Result<json::object> said_in(const net::Query& query, std::span<const Key> keys) {
    json::object said;
    for (const auto& [name, value] : query) {
        const auto key = std::find_if(keys.begin(), keys.end(), [&, &wanted = name](const Key& one) { return one.name == wanted; });
        if (key == keys.end()) return fail(ErrorCode::malformed, "there is no key of this name to search by");
        if (!key->is_number) {
            said[key->name] = value;
            continue;
        }
        std::int64_t number = 0;
        const auto* end = value.data() + value.size();
        const auto read = std::from_chars(value.data(), end, number);
        if (read.ec != std::errc() || read.ptr != end) return fail(ErrorCode::malformed, std::string(key->name) + ": a number is wanted");
        said[key->name] = number;
    }
    return said;
}

/// Asks the reception, in the pool of those who may read for long.
net::Task<Result<std::string>> ask_reception(Call& call, std::string_view what, const json::object& said) {
    FID_CO_TRY(const auto ticket, call.door.retrievals.enter());
    archive::Visitor visitor{call.who, network_of(call.request.peer()), call.base_url()};
    visitor.who.address = call.request.peer();
    visitor.who.door = "http";
    auto ask = [&]() { return call.door.archive.reception().ask(what, visitor, said); };
    FID_CO_TRY(auto reply, co_await call.door.retrieving.run(ask));
    co_return std::move(reply.json);
}

net::Task<Result<void>> answer_with(Call& call, std::string_view what, const json::object& said) {
    FID_CO_TRY(auto text, co_await ask_reception(call, what, said));
    co_return co_await call.answer(200, "application/json", std::move(text));
}

bool wants_table(const Call& call) {
    const auto accepted = call.request.headers().find("Accept");
    return accepted && accepted->find("text/csv") != std::string_view::npos;
}

/// Entries of the trace for a spreadsheet. Spec: RFC 4180
Result<std::string> table_of(std::string_view answer) {
    static constexpr std::string_view kColumns[] = {"index",   "time",   "who",    "from",      "action",           "purpose",
                                                    "allowed", "reason", "result", "patientId", "studyInstanceUid", "object",
                                                    "block",   "words"};
    std::string out;
    for (const auto column : kColumns) out += (out.empty() ? "" : ",") + csv_cell(column);
    out += "\r\n";
    FID_TRY(const auto parsed, fiducial::json::parse(answer, answer.size()));
    for (const auto& entry : parsed.get_object().at("entries").get_array()) {
        std::string line;
        for (const auto column : kColumns) {
            const auto* value = entry.get_object().if_contains(column);
            if (!line.empty()) line += ',';
            if (value == nullptr)
                line += csv_cell("");
            else
                line += value->is_string() ? csv_cell(std::string_view(value->get_string())) : json::serialize(*value);
        }
        out += line + "\r\n";
    }
    return out;
}

}  // namespace

net::Task<Result<void>> serve_trace(Call& call) {
    FID_CO_TRY(const auto said, said_in(call.request.target().query, kSearchKeys));
    if (!wants_table(call)) co_return co_await answer_with(call, "trace", said);
    FID_CO_TRY(const auto found, co_await ask_reception(call, "trace", said));
    call.response.set_header("Content-Disposition", "attachment; filename=\"trace.csv\"");
    FID_CO_TRY(auto table, table_of(found));
    co_return co_await call.answer(200, "text/csv; charset=utf-8; header=present", std::move(table));
}

net::Task<Result<void>> serve_trace_proof(Call& call) {
    FID_CO_TRY(const auto said, said_in(call.request.target().query, kProofKeys));
    co_return co_await answer_with(call, "trace proof", said);
}

net::Task<Result<void>> serve_emergencies(Call& call) {
    const json::object said;
    co_return co_await answer_with(call, "emergencies", said);
}

net::Task<Result<void>> serve_looks(Call& call) {
    FID_CO_TRY(auto said, said_in(call.request.target().query, kLooksKeys));
    said["study"] = call.parameters.at(0);
    co_return co_await answer_with(call, "looks", said);
}

net::Task<Result<void>> serve_ledger(Call& call) {
    const json::object said;
    co_return co_await answer_with(call, "ledger", said);
}

/// One question of JSON-RPC, by whoever is logged in; only such as look. Spec: docs/reference/http.md#the-ledger
net::Task<Result<void>> serve_ledger_question(Call& call) {
    FID_CO_TRY(const auto body, co_await call.request.read_all(kMostBody));
    FID_CO_TRY(auto question, fiducial::json::parse(body, kMostBody));
    json::object said;
    said["question"] = std::move(question);
    co_return co_await answer_with(call, "ledger question", said);
}

}  // namespace fiducial::gateway::impl
