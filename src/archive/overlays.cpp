#include "archive/overlays.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "base/hex.hpp"
#include "base/json.hpp"
#include "crypto/hash.hpp"
#include "dicom/json_model.hpp"

namespace fiducial::archive {
namespace {

constexpr std::size_t kMostHeaderJson = std::size_t{256} << 20;

std::vector<std::string> values_of(const std::string& joined) {
    std::vector<std::string> values;
    for (std::size_t from = 0; !joined.empty();) {
        const auto end = std::min(joined.find('\\', from), joined.size());
        values.push_back(joined.substr(from, end - from));
        if (end == joined.size()) break;
        from = end + 1;
    }
    return values;
}

}  // namespace

Result<std::shared_ptr<const AppliedOverlay>> AppliedOverlay::read(const store::Store& store, const store::ObjectRow& row,
                                                                   const Address& gateway) {
    const auto damaged = [&](const std::string& why) {
        return fail(ErrorCode::corrupt, "the correction of study " + row.study_uid.text() +
                                            " cannot be applied, and nothing of the study is given out without it: " + why);
    };
    if (row.state == store::ObjectState::quarantined) return damaged("it is in quarantine");
    auto reader = store.open_object(row.ref);
    if (!reader) return damaged(reader.error().message);
    Bytes bytes(reader->size());
    const auto got = reader->read(0, bytes);
    if (!got) return damaged(got.error().message);
    auto applied = std::make_shared<AppliedOverlay>();
    applied->sha256 = crypto::sha256(bytes);
    if (applied->sha256 != row.sha256) return damaged("its bytes are not those that were stored");
    auto overlay = evidence::Overlay::decode(bytes);
    if (!overlay) return damaged(overlay.error().message);
    if (auto signed_here = overlay->check_signature(gateway); !signed_here) return damaged(signed_here.error().message);
    if (overlay->study_instance_uid != row.study_uid) return damaged("it is another study's");
    applied->overlay = *std::move(overlay);
    for (const auto& edit : applied->overlay.edits) applied->edits.push_back({edit.tag, edit.vr, edit.value});
    return std::shared_ptr<const AppliedOverlay>(std::move(applied));
}

bool AppliedOverlay::names(dicom::Tag tag) const {
    return std::any_of(edits.begin(), edits.end(), [tag](const dicom::AttributeEdit& edit) { return edit.tag == tag; });
}

Result<dicom::EditedDataSet> AppliedOverlay::plan(std::string_view transfer_syntax, store::ObjectReader& reader) const {
    return dicom::EditedDataSet::plan(reader.size(), transfer_syntax, edits,
                                      [&](std::uint64_t offset, MutableByteView out) { return reader.read(offset, out); });
}

Result<std::string> AppliedOverlay::apply_to_json(std::string_view dicom_json) const {
    const auto corrupt = [](const Error&) { return Error{ErrorCode::corrupt, "metadata that are no JSON object"}; };
    FID_TRY(auto value, fiducial::json::parse(dicom_json, kMostHeaderJson).map_error(corrupt));
    if (!value.is_object()) return fail(ErrorCode::corrupt, "metadata that are no JSON object");
    dicom::Attributes corrected;
    for (const auto& edit : edits) {
        value.get_object().erase(dicom::tag_text(edit.tag));
        if (edit.value) corrected.set(edit.tag, values_of(*edit.value));
    }
    FID_TRY(auto put_in, fiducial::json::parse(dicom::to_dicom_json(corrected), kMostHeaderJson));
    std::map<std::string, boost::json::value> ascending;  // PS3.18 §F.2.1.1
    for (auto* object : {&value.get_object(), &put_in.get_object()}) {
        for (auto& [tag, element] : *object) ascending.emplace(tag, std::move(element));
    }
    boost::json::object out;
    for (auto& [tag, element] : ascending) out.emplace(tag, std::move(element));
    return boost::json::serialize(out);
}

}  // namespace fiducial::archive
