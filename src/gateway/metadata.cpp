// WADO-RS metadata: what instances say of themselves; PS3.18 §10.4.1.1.2.
#include "gateway/impl/json_answer.hpp"
#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {
namespace {

/// Puts addresses where the archive's documents say "bulk/…". In JSON a quote within a text has a backslash before it, so that these bytes
/// are nothing else.
std::string with_addresses(std::string_view document, const std::string& instance_url) {
    constexpr std::string_view kWritten = "\"BulkDataURI\":\"bulk/";
    std::string out;
    out.reserve(document.size());
    while (true) {
        const auto at = document.find(kWritten);
        out += document.substr(0, at);
        if (at == std::string_view::npos) return out;
        out += "\"BulkDataURI\":\"" + instance_url + "/bulkdata/";
        document.remove_prefix(at + kWritten.size());
    }
}

net::Task<Result<void>> serve_metadata(Call& call, archive::Level level) {
    const auto form = negotiate_model(call.request);
    if (!form) co_return co_await call.refuse(form.error(), form.error().code == ErrorCode::unsupported ? 406 : 400);
    FID_CO_TRY(const auto ticket, call.door.retrievals.enter());
    const auto what = call.selector(level);
    auto open = [&]() { return call.door.archive.metadata(call.who, what); };
    FID_CO_TRY(const auto look, co_await call.door.retrieving.run(open));
    call.say_evidence(*look);
    const auto study_url = call.base_url() + "/studies/" + what.study_uid;
    const NextModel next = [&]() -> Result<std::optional<std::string>> {
        FID_TRY(const auto document, look->next());
        if (!document) return std::optional<std::string>();
        return with_addresses(document->dicom_json, study_url + "/series/" + document->series_uid + "/instances/" + document->sop_uid);
    };
    co_return co_await send_models(call, *form, next);
}

}  // namespace

net::Task<Result<void>> serve_study_metadata(Call& call) {
    return serve_metadata(call, archive::Level::study);
}
net::Task<Result<void>> serve_series_metadata(Call& call) {
    return serve_metadata(call, archive::Level::series);
}
net::Task<Result<void>> serve_instance_metadata(Call& call) {
    return serve_metadata(call, archive::Level::instance);
}

}  // namespace fiducial::gateway::impl
