#include <algorithm>
#include <charconv>
#include <optional>

#include "base/identifiers.hpp"
#include "gateway/impl/uri_request.hpp"

namespace fiducial::gateway::impl {
namespace {

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
    Number value{};
    const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
    return value;
}

class Parameters {
public:
    explicit Parameters(const net::Query& query) : query_(query) {}

    const std::string* find(std::string_view name) const {
        const auto found = std::find_if(query_.begin(), query_.end(), [&](const auto& one) { return one.first == name; });
        return found == query_.end() ? nullptr : &found->second;
    }
    Result<std::string> uid(std::string_view name) const {
        if (const auto* text = find(name)) {
            if (const auto uid = Uid::parse(*text)) return uid->text();
        }
        return fail(ErrorCode::malformed, std::string(name) + ": wanted is a UID");
    }
    /// Nothing where it is not there. Errors: malformed unless it is a number in this range.
    template <typename Number>
    Result<std::optional<Number>> number(std::string_view name, Number least, Number most) const {
        const auto* text = find(name);
        if (text == nullptr) return std::optional<Number>();
        const auto value = number_of<Number>(*text);
        if (!value || !(*value >= least && *value <= most))
            return fail(ErrorCode::malformed, std::string(name) + ": no such number is taken");
        return value;
    }

private:
    const net::Query& query_;
};

/// Spec: PS3.18 §9.1.2.1.3: the first type that can be given. Errors: malformed; unsupported.
Result<void> read_type(std::string_view types, UriRequest& out) {
    FID_TRY(const auto items, net::parse_accept(types));
    for (const auto& item : items) {
        const auto essence = item.range.essence();
        if (item.q == 0) continue;
        if (essence == "application/dicom") {
            out.as_dicom = true;
            return {};
        }
        out.format = essence == "image/png" ? dicom::PictureFormat::png : dicom::PictureFormat::jpeg;
        if (essence == "image/png" || essence == "image/jpeg" || essence == "image/*" || essence == "*/*") return {};
    }
    if (items.empty()) return {};
    return fail(ErrorCode::unsupported, "given are application/dicom, image/jpeg and image/png");
}

/// Spec: PS3.18 §9.1.2.2.7: left, top, right, bottom.
Result<std::array<double, 4>> read_region(std::string_view text) {
    std::array<double, 4> region{};
    for (std::size_t i = 0; i < region.size(); ++i) {
        const auto end = std::min(text.find(','), text.size());
        const auto value = number_of<double>(text.substr(0, end));
        const bool last = i + 1 == region.size();
        if (!value || !(*value >= 0 && *value <= 1) || (end == text.size()) != last)
            return fail(ErrorCode::malformed, "region: wanted are four parts of the whole, from 0 to 1: left,top,right,bottom");
        region[i] = *value;
        text.remove_prefix(last ? end : end + 1);
    }
    if (region[0] >= region[2] || region[1] >= region[3]) return fail(ErrorCode::malformed, "region: nothing is in it");
    return region;
}

Result<void> read_picture(const Parameters& parameters, UriRequest& out) {
    const auto most = dicom::kMostViewport;
    FID_TRY(const auto rows, parameters.number<std::uint32_t>("rows", 1, most));
    FID_TRY(const auto columns, parameters.number<std::uint32_t>("columns", 1, most));
    if (rows || columns) out.options.viewport = dicom::Viewport{columns.value_or(most), rows.value_or(most)};
    if (const auto* region = parameters.find("region")) {
        FID_TRY(out.options.region, read_region(*region));
    }
    FID_TRY(const auto center, parameters.number<double>("windowCenter", -1e9, 1e9));
    FID_TRY(const auto width, parameters.number<double>("windowWidth", 1, 1e9));
    if (center.has_value() != width.has_value()) return fail(ErrorCode::malformed, "windowCenter and windowWidth come together");
    if (center) out.options.window = dicom::Window{*center, *width, dicom::WindowShape::linear};
    FID_TRY(const auto quality, parameters.number<unsigned>("imageQuality", 1, 100));
    out.options.quality = quality.value_or(out.options.quality);
    FID_TRY(const auto frame, parameters.number<std::uint64_t>("frameNumber", 1, std::uint64_t{1} << 32));
    out.frame = frame.value_or(0);
    return {};
}

}  // namespace

Result<UriRequest> read_uri_request(const net::Query& query, std::string_view accept) {
    const Parameters parameters(query);
    UriRequest out;
    const auto* type = parameters.find("requestType");
    if (type == nullptr || *type != "WADO") return fail(ErrorCode::malformed, "requestType: wanted is WADO");
    out.what.level = archive::Level::instance;
    FID_TRY(out.what.study_uid, parameters.uid("studyUID"));
    FID_TRY(out.what.series_uid, parameters.uid("seriesUID"));
    FID_TRY(out.what.sop_uid, parameters.uid("objectUID"));
    for (const std::string_view changes : {"anonymize", "presentationUID", "presentationSeriesUID", "annotation"}) {
        if (parameters.find(changes) != nullptr)
            return fail(ErrorCode::unsupported, std::string(changes) + ": nothing of that kind is done here");
    }
    const auto* types = parameters.find("contentType");
    FID_CHECK(read_type(types != nullptr ? *types : accept, out));
    if (const auto* syntax = parameters.find("transferSyntax"); syntax != nullptr && out.as_dicom) {
        if (*syntax != "*" && !Uid::parse(*syntax)) return fail(ErrorCode::malformed, "transferSyntax: wanted is a UID, or *");
        out.transfer_syntax = *syntax;
    }
    FID_CHECK(read_picture(parameters, out));
    return out;
}

}  // namespace fiducial::gateway::impl
