#include "dicom/availability.hpp"

#include <boost/json.hpp>

#include "base/identifiers.hpp"
#include "base/json.hpp"
#include "dicom/data_set_writer.hpp"
#include "dicom/identifier.hpp"
#include "dicom/impl/dicom_json.hpp"
#include "dicom/pdu.hpp"
#include "dicom/query_retrieve.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

namespace json = boost::json;

constexpr Tag kReferencedPerformedProcedureStepSequence = 0x00081111;
constexpr Tag kReferencedSeriesSequence = 0x00081115;
constexpr Tag kReferencedSopSequence = 0x00081199;
constexpr Tag kReferencedSopClass = 0x00081150;
constexpr Tag kReferencedSopInstance = 0x00081155;
constexpr Tag kInstanceAvailability = 0x00080056;
constexpr std::size_t kMostJsonBytes = 8 * kMostIdentifierBytes;

/// An attribute of DICOM JSON that has to be there.
struct Wanted {
    std::string_view tag, name;
};

Result<std::string> text_of(const json::object& data_set, const Wanted& wanted) {
    const auto* array = impl::json_values(data_set, wanted.tag);
    const auto* text = array != nullptr && !array->empty() ? array->front().if_string() : nullptr;
    if (text == nullptr || text->empty()) return fail(ErrorCode::malformed, std::string(wanted.name) + " is missing, or is no text");
    return std::string(*text);
}

Result<std::string> uid_of(const json::object& data_set, const Wanted& wanted) {
    FID_TRY(auto text, text_of(data_set, wanted));
    if (!Uid::parse(text)) return fail(ErrorCode::malformed, std::string(wanted.name) + " is no UID");
    return text;
}

Result<std::vector<const json::object*>> items_of(const json::object& data_set, const Wanted& wanted) {
    const auto* array = impl::json_values(data_set, wanted.tag);
    if (array == nullptr || array->empty()) return fail(ErrorCode::malformed, std::string(wanted.name) + " is missing, or empty");
    std::vector<const json::object*> items;
    for (const auto& item : *array) {
        if (!item.is_object()) return fail(ErrorCode::malformed, std::string(wanted.name) + " is no sequence");
        items.push_back(&item.get_object());
    }
    return items;
}

}  // namespace

Result<Availability> decode_availability(ByteView data_set, std::string_view transfer_syntax) {
    FID_TRY(const auto text, data_set_json(data_set, transfer_syntax));
    FID_TRY(const auto document, fiducial::json::parse(text, kMostJsonBytes));
    const auto& object = document.as_object();
    Availability out;
    FID_TRY(out.study_uid, uid_of(object, {"0020000D", "Study Instance UID (0020,000D)"}));
    FID_TRY(const auto series, items_of(object, {"00081115", "Referenced Series Sequence (0008,1115)"}));
    for (const auto* one : series) {
        FID_TRY(const auto series_uid, uid_of(*one, {"0020000E", "Series Instance UID (0020,000E)"}));
        FID_TRY(const auto references, items_of(*one, {"00081199", "Referenced SOP Sequence (0008,1199)"}));
        for (const auto* reference : references) {
            AvailableInstance instance;
            instance.series_uid = series_uid;
            FID_TRY(instance.sop_class, uid_of(*reference, {"00081150", "Referenced SOP Class UID (0008,1150)"}));
            FID_TRY(instance.sop_instance, uid_of(*reference, {"00081155", "Referenced SOP Instance UID (0008,1155)"}));
            FID_TRY(instance.availability, text_of(*reference, {"00080056", "Instance Availability (0008,0056)"}));
            FID_TRY(instance.retrieve_ae_title, text_of(*reference, {"00080054", "Retrieve AE Title (0008,0054)"}));
            if (!is_ae_title(instance.retrieve_ae_title)) return fail(ErrorCode::malformed, "Retrieve AE Title (0008,0054) is no AE title");
            out.instances.push_back(std::move(instance));
        }
    }
    return out;
}

Bytes encode_availability(const Availability& availability, std::string_view transfer_syntax) {
    DataSetWriter out(transfer_syntax != kImplicitVrLittleEndian);
    out.begin_sequence(kReferencedPerformedProcedureStepSequence);
    out.end_sequence();
    out.begin_sequence(kReferencedSeriesSequence);
    const auto& instances = availability.instances;
    for (std::size_t i = 0; i < instances.size();) {
        const auto& series_uid = instances[i].series_uid;
        out.begin_item();
        out.begin_sequence(kReferencedSopSequence);
        for (; i < instances.size() && instances[i].series_uid == series_uid; ++i) {
            out.begin_item();
            out.text(tags::kRetrieveAeTitle, "AE", instances[i].retrieve_ae_title);
            out.text(kInstanceAvailability, "CS", instances[i].availability);
            out.text(kReferencedSopClass, "UI", instances[i].sop_class);
            out.text(kReferencedSopInstance, "UI", instances[i].sop_instance);
            out.end_item();
        }
        out.end_sequence();
        out.text(tags::kSeriesInstanceUid, "UI", series_uid);
        out.end_item();
    }
    out.end_sequence();
    out.text(tags::kStudyInstanceUid, "UI", availability.study_uid);
    return out.take();
}

}  // namespace fiducial::dicom
