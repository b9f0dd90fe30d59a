// Corrections: instances taken out of a study and put back, and whose a study is.
#include <boost/json.hpp>

#include "base/json.hpp"
#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kMostBody = 16'384;

std::optional<std::string> text_in(const boost::json::object& body, std::string_view key) {
    const auto* found = body.if_contains(key);
    if (found == nullptr || !found->is_string()) return std::nullopt;
    return std::string(found->get_string());
}

/// {"reason":"…","text":"…"}, or the header "Fiducial-Reason: REASON: WORDS" with an empty body.
Result<boost::json::object> parse_body(const net::HeaderFields& headers, std::string_view body) {
    if (body.empty()) {
        const auto header = headers.find("Fiducial-Reason");
        if (!header)
            return fail(ErrorCode::malformed, "say why: a JSON object with \"reason\" and \"text\", or the header Fiducial-Reason");
        const std::string_view text = *header;
        const auto colon = text.find(": ");
        if (colon == std::string_view::npos) return boost::json::object{{"text", text}};
        return boost::json::object{{"reason", text.substr(0, colon)}, {"text", text.substr(colon + 2)}};
    }
    FID_TRY(auto value, json::parse(body, kMostBody));
    if (!value.is_object()) return fail(ErrorCode::malformed, "a JSON object is wanted");
    return std::move(value.get_object());
}

archive::CorrectionGround ground_of(const boost::json::object& body) {
    return {text_in(body, "reason").value_or(""), text_in(body, "text").value_or("")};
}

using Act = std::function<Result<archive::Corrected>(const boost::json::object& body)>;

net::Task<Result<void>> serve_correction(Call& call, Act act) {
    FID_CO_TRY(const auto text, co_await call.request.read_all(kMostBody));
    FID_CO_TRY(const auto body, parse_body(call.request.headers(), text));
    FID_CO_TRY(const auto ticket, call.door.stores.enter());
    auto run = [&]() { return act(body); };
    FID_CO_TRY(const auto done, co_await call.door.ingesting.run(run));
    boost::json::array remarks;
    for (const auto& remark : done.remarks) remarks.emplace_back(remark);
    boost::json::object out{{"instances", done.instances}, {"version", done.version}, {"remarks", std::move(remarks)}};
    if (!done.study_uid.empty()) out["studyInstanceUid"] = done.study_uid;
    auto answer = boost::json::serialize(out);
    co_return co_await call.answer(200, "application/json", std::move(answer));
}

net::Task<Result<void>> serve_removal(Call& call, archive::Level level) {
    const auto what = call.selector(level);
    Act act = [&call, what](const boost::json::object& body) { return call.door.archive.remove(call.who, what, ground_of(body)); };
    co_return co_await serve_correction(call, std::move(act));
}

net::Task<Result<void>> serve_put_back(Call& call, archive::Level level) {
    const auto what = call.selector(level);
    Act act = [&call, what](const boost::json::object& body) { return call.door.archive.put_back(call.who, what, ground_of(body)); };
    co_return co_await serve_correction(call, std::move(act));
}

net::Task<Result<void>> serve_move(Call& call, archive::Level level) {
    const auto what = call.selector(level);
    Act act = [&call, what](const boost::json::object& body) {
        return call.door.archive.move(call.who, what, text_in(body, "study").value_or(""), ground_of(body));
    };
    co_return co_await serve_correction(call, std::move(act));
}

}  // namespace

net::Task<Result<void>> serve_move_study(Call& call) {
    return serve_move(call, archive::Level::study);
}
net::Task<Result<void>> serve_move_series(Call& call) {
    return serve_move(call, archive::Level::series);
}
net::Task<Result<void>> serve_move_instance(Call& call) {
    return serve_move(call, archive::Level::instance);
}

net::Task<Result<void>> serve_remove_study(Call& call) {
    return serve_removal(call, archive::Level::study);
}
net::Task<Result<void>> serve_remove_series(Call& call) {
    return serve_removal(call, archive::Level::series);
}
net::Task<Result<void>> serve_remove_instance(Call& call) {
    return serve_removal(call, archive::Level::instance);
}
net::Task<Result<void>> serve_put_back_study(Call& call) {
    return serve_put_back(call, archive::Level::study);
}
net::Task<Result<void>> serve_put_back_series(Call& call) {
    return serve_put_back(call, archive::Level::series);
}
net::Task<Result<void>> serve_put_back_instance(Call& call) {
    return serve_put_back(call, archive::Level::instance);
}

net::Task<Result<void>> serve_correct_patient(Call& call) {
    Act act = [&call](const boost::json::object& body) {
        archive::PatientCorrection right;
        right.patient_id.value = text_in(body, "patientId").value_or("");
        right.issuer.value = text_in(body, "issuer").value_or("");
        if (auto name = text_in(body, "name")) right.name = PatientText{{}, *std::move(name)};
        if (auto date = text_in(body, "birthDate")) right.birth_date = PatientText{{}, *std::move(date)};
        right.sex = text_in(body, "sex");
        return call.door.archive.correct_patient(call.who, call.parameters.at(0), right, ground_of(body));
    };
    co_return co_await serve_correction(call, std::move(act));
}

net::Task<Result<void>> serve_take_correction_back(Call& call) {
    Act act = [&call](const boost::json::object& body) {
        return call.door.archive.take_correction_back(call.who, call.parameters.at(0), ground_of(body));
    };
    co_return co_await serve_correction(call, std::move(act));
}

}  // namespace fiducial::gateway::impl
