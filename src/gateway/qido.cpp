// QIDO-RS: searches for studies, series and instances; PS3.18 §10.6.
#include "dicom/json_model.hpp"
#include "gateway/impl/json_answer.hpp"
#include "gateway/impl/qido_request.hpp"
#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {
namespace {

using dicom::QueryLevel;
namespace tags = dicom::tags;

constexpr dicom::Tag kRetrieveUrl = 0x00081190;

struct Found {
    std::vector<dicom::Attributes> rows;
    bool has_more = false;
    std::vector<dicom::Tag> ignored;
};

Result<Found> search(archive::Archive& archive, const archive::Requester& who, const QidoRequest& request) {
    FID_TRY(const auto answer, archive.query(who, request.query));
    Found found;
    FID_TRY(found.rows, answer->next(request.limit));
    FID_TRY(found.has_more, answer->has_more());
    found.ignored = answer->ignored();
    return found;
}

std::string retrieve_url(const std::string& base_url, QueryLevel level, const dicom::Attributes& row) {
    auto url = base_url + "/studies/" + row.first(tags::kStudyInstanceUid);
    if (level >= QueryLevel::series) url += "/series/" + row.first(tags::kSeriesInstanceUid);
    if (level == QueryLevel::instance) url += "/instances/" + row.first(tags::kSopInstanceUid);
    return url;
}

/// Spec: PS3.18 §8.3.4.4, §10.6.3.2 (RFC 7234 §5.5: code 299, the service, a text).
void set_warnings(Call& call, const QidoRequest& request, const Found& found) {
    std::string text;
    const auto warn = [&](const std::string& what) {
        text += (text.empty() ? "" : ", ");
        text += "299 " + call.base_url() + " \"" + what + "\"";
    };
    if (found.has_more) {
        warn(found.rows.size() == kMostResults
                 ? "The number of results exceeded the maximum supported by the server. Additional results can be requested."
                 : "There are additional results that can be requested.");
    }
    std::string names;
    for (const auto& name : request.ignored) names += (names.empty() ? "" : ", ") + name;
    for (const auto tag : found.ignored) {
        const auto keyword = dicom::keyword_of(tag);
        names += (names.empty() ? "" : ", ") + (keyword.empty() ? dicom::tag_text(tag) : keyword);
    }
    if (!names.empty()) warn("Not supported for matching at this level and ignored: " + names);
    if (!text.empty()) call.response.set_header("Warning", std::move(text));
}

net::Task<Result<void>> serve_search(Call& call, QueryLevel level) {
    const auto form = negotiate_model(call.request);
    if (!form) co_return co_await call.refuse(form.error(), form.error().code == ErrorCode::unsupported ? 406 : 400);
    const auto study = call.parameters.empty() ? std::string() : call.parameters[0];
    const auto series = call.parameters.size() < 2 ? std::string() : call.parameters[1];
    auto request = read_qido_request(call.request.target().query, level, study, series);
    if (!request) co_return co_await call.refuse(request.error(), 400);
    FID_CO_TRY(const auto ticket, call.door.retrievals.enter());
    auto ask = [&]() { return search(call.door.archive, call.who, *request); };
    auto found = co_await call.door.retrieving.run(ask);
    const bool theirs = !found && (found.error().code == ErrorCode::malformed || found.error().code == ErrorCode::limit_exceeded);
    if (theirs) co_return co_await call.refuse(found.error(), 400);
    if (!found) co_return fail(found.error());
    set_warnings(call, *request, *found);
    if (found->rows.empty()) {  // table 10.6.3-2
        call.status = 204;
        call.response.set_status(204);
        co_return co_await call.response.send({});
    }
    const auto base_url = call.base_url();
    std::size_t at = 0;
    const NextModel next = [&]() -> Result<std::optional<std::string>> {
        if (at == found->rows.size()) return std::optional<std::string>();
        const auto& row = found->rows[at++];
        auto shown = select_attributes(*request, row);
        shown.set(kRetrieveUrl, {retrieve_url(base_url, level, row)});
        return std::optional<std::string>(dicom::to_dicom_json(shown));
    };
    co_return co_await send_models(call, *form, next);
}

}  // namespace

net::Task<Result<void>> serve_search_studies(Call& call) {
    return serve_search(call, QueryLevel::study);
}
net::Task<Result<void>> serve_search_series(Call& call) {
    return serve_search(call, QueryLevel::series);
}
net::Task<Result<void>> serve_search_instances(Call& call) {
    return serve_search(call, QueryLevel::instance);
}

}  // namespace fiducial::gateway::impl
