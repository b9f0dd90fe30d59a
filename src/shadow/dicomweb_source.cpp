#include "shadow/dicomweb_source.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>

#include "base/json.hpp"
#include "net/multipart.hpp"

namespace fiducial::shadow {
namespace {

namespace json = boost::json;

constexpr std::size_t kPage = 500;
constexpr std::size_t kMostBytesOfAList = std::size_t{64} << 20;
constexpr std::string_view kStudy = "0020000D", kSeries = "0020000E", kSopInstance = "00080018", kSopClass = "00080016";

/// The values of an attribute, joined by commas. Spec: PS3.18 §F.2
std::string text_of(const json::object& data_set, std::string_view tag) {
    std::string text;
    const auto* attribute = data_set.if_contains(tag);
    const auto* values = attribute != nullptr && attribute->is_object() ? attribute->get_object().if_contains("Value") : nullptr;
    if (values == nullptr || !values->is_array()) return text;
    for (const auto& value : values->get_array()) {
        if (value.is_string()) text += (text.empty() ? "" : ",") + std::string(value.get_string());
    }
    return text;
}

Error error_of(unsigned status, const std::string& what) {
    ErrorCode code = ErrorCode::unavailable;
    if (status == 400 || status == 415) code = ErrorCode::invalid_argument;
    if (status == 401) code = ErrorCode::unauthenticated;
    if (status == 403) code = ErrorCode::denied;
    if (status == 404 || status == 410) code = ErrorCode::not_found;
    if (status == 406) code = ErrorCode::unsupported;
    if (status == 507) code = ErrorCode::no_space;
    return Error{code, what + ": answered with status " + std::to_string(status)};
}

Result<json::array> data_sets(const std::string& text, const std::string& from) {
    if (text.empty()) return json::array{};  // 204
    auto parsed = fiducial::json::parse(text, kMostBytesOfAList);
    if (!parsed) return fail(parsed.error().with(from));
    if (!parsed->is_array()) return fail(ErrorCode::malformed, from + ": a list of data sets was expected");
    return std::move(parsed->get_array());
}

/// Takes the one part of a multipart answer, or a body that is the file itself.
class PartTaker {
public:
    explicit PartTaker(const TakePiece& take) : take_(take) {}

    Result<void> operator()(const net::HttpClientAnswer& answer, ByteView piece) {
        if (!begun_) {
            begun_ = true;
            FID_TRY(const auto type, net::parse_media_type(answer.headers.find("Content-Type").value_or("")));
            if (type.essence() != "application/dicom") {
                const auto boundary = type.parameter("boundary");
                if (type.essence() != "multipart/related" || !boundary)
                    return fail(ErrorCode::malformed, "an instance was expected, not " + type.essence());
                FID_TRY(reader_, net::MultipartReader::create(*boundary));
            }
        }
        if (!reader_) return take_(piece);
        reader_->feed(piece);
        for (;;) {
            FID_TRY(const auto event, reader_->next());
            if (event == net::MultipartReader::Event::need_more || event == net::MultipartReader::Event::end) return {};
            if (event == net::MultipartReader::Event::part_begin && reader_->parts() > 1)
                return fail(ErrorCode::malformed, "one instance was expected, not several");
            if (event == net::MultipartReader::Event::part_data) FID_CHECK(take_(reader_->data()));
        }
    }
    Result<void> finish() const {
        if (!begun_) return fail(ErrorCode::malformed, "an instance was expected, not an empty answer");
        return reader_ ? reader_->finish() : Result<void>{};
    }

private:
    const TakePiece& take_;
    bool begun_ = false;
    std::optional<net::MultipartReader> reader_;
};

/// Why the one instance of a store request was not taken. Spec: PS3.18 §I.2
std::string failure_reason(const std::string& body) {
    const auto parsed = fiducial::json::parse(body, kMostBytesOfAList);
    const auto* failed = parsed && parsed->is_object() ? parsed->get_object().if_contains("00081198") : nullptr;
    const auto* items = failed != nullptr && failed->is_object() ? failed->get_object().if_contains("Value") : nullptr;
    if (items == nullptr || !items->is_array() || items->get_array().empty() || !items->get_array()[0].is_object()) return "";
    const auto* reason = items->get_array()[0].get_object().if_contains("00081197");
    return reason == nullptr ? "" : ", failure reason " + json::serialize(reason->is_object() ? reason->get_object().at("Value") : *reason);
}

}  // namespace

DicomWebSource::DicomWebSource(DicomWebSettings settings)
    : settings_(std::move(settings)),
      client_({.ca_file = settings_.ca_file, .user_password = settings_.user_password, .max_answer_bytes = kMostBytesOfAList}) {
    while (settings_.url.ends_with('/')) settings_.url.pop_back();
}

net::HttpClientRequest DicomWebSource::request(std::string method, const std::string& path, std::string accept) const {
    net::HttpClientRequest out;
    out.method = std::move(method);
    out.url = settings_.url + path;
    out.headers.add("Accept", std::move(accept));
    if (!settings_.bearer_token.empty()) out.headers.add("Authorization", "Bearer " + settings_.bearer_token);
    if (!settings_.purpose.empty()) out.headers.add("Fiducial-Purpose", settings_.purpose);
    return out;
}

Result<std::string> DicomWebSource::document(const std::string& path) {
    FID_TRY(auto answer, client_.send(request("GET", path, "application/json"), settings_.stall));
    if (answer.status != 200) return fail(error_of(answer.status, name()));
    return std::move(answer.body);
}

Result<std::string> DicomWebSource::list(const std::string& path) {
    FID_TRY(auto answer, client_.send(request("GET", path, "application/dicom+json"), settings_.stall));
    if (answer.status == 204) return std::string();
    if (answer.status != 200) return fail(error_of(answer.status, name() + ": search"));
    return std::move(answer.body);
}

Result<void> DicomWebSource::each_study(const std::function<Result<bool>(const ListedStudy& study)>& with) {
    for (std::size_t offset = 0;; offset += kPage) {
        FID_TRY(const auto text, list("/studies?limit=" + std::to_string(kPage) + "&offset=" + std::to_string(offset)));
        FID_TRY(const auto page, data_sets(text, name()));
        for (const auto& item : page) {
            if (!item.is_object()) return fail(ErrorCode::malformed, name() + ": a study was expected in its list");
            const auto& study = item.get_object();
            FID_TRY(const auto more, with({text_of(study, kStudy), text_of(study, "00080020"), text_of(study, "00080061")}));
            if (!more) return {};
        }
        if (page.size() < kPage) return {};
    }
}

Result<std::vector<ListedInstance>> DicomWebSource::instances(const std::string& study_uid) {
    std::vector<ListedInstance> found;
    for (std::size_t offset = 0;; offset += kPage) {
        FID_TRY(const auto text, list("/studies/" + net::percent_encode(study_uid) + "/instances?limit=" + std::to_string(kPage) +
                                      "&offset=" + std::to_string(offset)));
        FID_TRY(const auto page, data_sets(text, name()));
        for (const auto& item : page) {
            if (!item.is_object()) return fail(ErrorCode::malformed, name() + ": an instance was expected in its list");
            const auto& one = item.get_object();
            found.push_back({study_uid, text_of(one, kSeries), text_of(one, kSopInstance), text_of(one, kSopClass)});
        }
        if (page.size() < kPage) return found;
    }
}

Result<void> DicomWebSource::fetch(const ListedInstance& instance, const TakePiece& take) {
    PartTaker taker(take);
    const auto asked = request("GET",
                               "/studies/" + net::percent_encode(instance.study_uid) + "/series/" +
                                   net::percent_encode(instance.series_uid) + "/instances/" + net::percent_encode(instance.sop_uid),
                               "multipart/related; type=\"application/dicom\"; transfer-syntax=*");
    net::HttpStreams streams;
    streams.take = [&taker](const net::HttpClientAnswer& answer, ByteView piece) { return taker(answer, piece); };
    FID_TRY(const auto answer, client_.transfer(asked, streams, settings_.stall));
    if (answer.status != 200) return fail(error_of(answer.status, name() + ": instance " + instance.sop_uid));
    return taker.finish();
}

Result<void> DicomWebSource::store(const std::function<Result<std::size_t>(MutableByteView out)>& give) {
    const auto boundary = net::make_boundary();
    net::HeaderFields part;
    part.add("Content-Type", "application/dicom");
    // What is sent: the part's head, its bytes, the end of the parts.
    std::string around = net::multipart_part_head(boundary, true, part);
    enum class Now { head, file, close } now = Now::head;
    net::HttpStreams streams;
    streams.give = [&](MutableByteView out) -> Result<std::size_t> {
        if (now == Now::file) {
            FID_TRY(const auto count, give(out));
            if (count != 0) return count;
            around = net::multipart_close(boundary);
            now = Now::close;
        }
        const auto count = std::min(out.size(), around.size());
        std::copy_n(around.begin(), count, out.begin());
        around.erase(0, count);
        if (now == Now::head && around.empty()) now = Now::file;
        return count;
    };
    auto sent = request("POST", "/studies", "application/dicom+json");
    sent.headers.add("Content-Type", "multipart/related; type=\"application/dicom\"; boundary=" + boundary);
    auto answer = client_.transfer(sent, streams, settings_.stall);
    if (!answer) return fail(std::move(answer.error()));
    const bool taken = answer->status == 200;
    if (taken) return {};
    if (answer->status == 202 || answer->status == 409)
        return fail(ErrorCode::conflict, name() + ": an instance was not taken" + failure_reason(answer->body));
    return fail(error_of(answer->status, name() + ": store"));
}

}  // namespace fiducial::shadow
