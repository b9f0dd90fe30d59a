#include "gateway/impl/store_report.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "dicom/json_model.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::uint16_t kCoercionOfDataElements = 0xB000;

/// One element of a response data set: a value or a sequence. Enough for what the store service says.
struct Element {
    std::string_view tag, vr;
    std::string text;                           // of UI, UR
    std::uint16_t number = 0;                   // of US
    std::vector<std::vector<Element>> items{};  // of SQ
};
using DataSet = std::vector<Element>;

boost::json::object json_of(const DataSet& data_set) {
    boost::json::object out;
    for (const auto& element : data_set) {
        boost::json::object one;
        one["vr"] = element.vr;
        boost::json::array values;
        if (element.vr == "SQ") {
            for (const auto& item : element.items) values.emplace_back(json_of(item));
        } else if (element.vr == "US") {
            values.emplace_back(element.number);
        } else if (!element.text.empty()) {
            values.emplace_back(element.text);
        }
        if (!values.empty()) one["Value"] = std::move(values);
        out[element.tag] = std::move(one);
    }
    return out;
}

Element text_element(std::string_view tag, std::string_view vr, std::string text) {
    Element out{tag, vr, std::move(text)};
    return out;
}
Element number_element(std::string_view tag, std::uint16_t number) {
    Element out{tag, "US", {}, number};
    return out;
}
Element sequence(std::string_view tag) {
    Element out{tag, "SQ", {}};
    return out;
}

}  // namespace

std::uint16_t failure_reason(ErrorCode code) {
    switch (code) {
        case ErrorCode::unsupported: return 0x0122;  // Referenced SOP Class not supported
        case ErrorCode::denied:
        case ErrorCode::unauthenticated: return 0x0124;  // Not authorized
        case ErrorCode::malformed:
        case ErrorCode::limit_exceeded: return 0xC000;  // Cannot understand
        case ErrorCode::conflict:
        case ErrorCode::invalid_argument: return 0xA900;  // Data set does not match
        case ErrorCode::no_space:
        case ErrorCode::unavailable: return 0xA700;  // Out of resources
        default: return 0x0110;                      // Processing failure
    }
}

void StoreReport::add(const archive::InstanceOutcome& outcome) {
    Item item{outcome.sop_class_uid, outcome.sop_uid, outcome.study_uid, outcome.series_uid};
    item.stored = outcome.outcome != archive::Outcome::refused;
    if (!item.stored) item.reason = failure_reason(outcome.error ? outcome.error->code : ErrorCode::internal);
    item.no_space = !item.stored && outcome.error && outcome.error->code == ErrorCode::no_space;
    if (outcome.outcome == archive::Outcome::set_aside) item.reason = kCoercionOfDataElements;
    ++(item.stored ? stored_ : failed_);
    warned_ += item.stored && item.reason != 0;
    items_.push_back(std::move(item));
}

void StoreReport::add_failure(const Error& error) {
    archive::InstanceOutcome outcome;
    outcome.error = error;
    add(outcome);
}

unsigned StoreReport::status() const {
    // What all failed here for want of space, or of a working disk, the sender may try again as it is.
    const auto ours = [](const Item& item) {
        return item.reason == failure_reason(ErrorCode::no_space) || item.reason == failure_reason(ErrorCode::internal);
    };
    if (stored_ == 0 && !items_.empty() && std::all_of(items_.begin(), items_.end(), [](const Item& item) { return item.no_space; }))
        return 507;
    if (stored_ == 0) return !items_.empty() && std::all_of(items_.begin(), items_.end(), ours) ? 503 : 409;
    return failed_ > 0 || warned_ > 0 ? 202 : 200;
}

namespace {

template <typename Items>
DataSet response_of(const Items& items, std::string_view base_url) {
    std::string study;
    bool one_study = true;
    auto referenced = sequence("00081199");
    auto failures = sequence("00081198");
    auto others = sequence("0008119A");
    for (const auto& item : items) {
        DataSet out;
        if (!item.stored && item.sop_uid.empty()) {
            out.push_back(number_element("00081197", item.reason));
            others.items.push_back(std::move(out));
            continue;
        }
        out.push_back(text_element("00081150", "UI", item.sop_class_uid));
        out.push_back(text_element("00081155", "UI", item.sop_uid));
        if (!item.stored) {
            out.push_back(number_element("00081197", item.reason));
            failures.items.push_back(std::move(out));
            continue;
        }
        const std::string study_url = std::string(base_url) + "/studies/" + item.study_uid;
        out.push_back(text_element("00081190", "UR", study_url + "/series/" + item.series_uid + "/instances/" + item.sop_uid));
        if (item.reason != 0) out.push_back(number_element("00081196", item.reason));
        referenced.items.push_back(std::move(out));
        if (!study.empty() && study != study_url) one_study = false;
        study = study_url;
    }
    DataSet response;
    if (one_study && !study.empty()) response.push_back(text_element("00081190", "UR", study));
    for (auto* one : {&failures, &referenced, &others}) {
        if (!one->items.empty()) response.push_back(std::move(*one));
    }
    return response;
}

}  // namespace

std::string StoreReport::to_json(std::string_view base_url) const {
    return boost::json::serialize(json_of(response_of(items_, base_url)));
}

std::string StoreReport::to_xml(std::string_view base_url) const {
    auto model = dicom::to_native_model(to_json(base_url));
    FID_INVARIANT(model.has_value(), "a report is DICOM JSON");
    return *std::move(model);
}

}  // namespace fiducial::gateway::impl
