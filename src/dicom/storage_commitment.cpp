#include "dicom/storage_commitment.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "base/identifiers.hpp"
#include "base/json.hpp"
#include "dicom/data_set_writer.hpp"
#include "dicom/impl/dicom_json.hpp"
#include "dicom/query_retrieve.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

namespace json = boost::json;

constexpr Tag kReferencedSopClass = 0x00081150;
constexpr Tag kReferencedSopInstance = 0x00081155;
constexpr Tag kTransactionUid = 0x00081195;
constexpr Tag kFailureReason = 0x00081197;
constexpr Tag kFailedSopSequence = 0x00081198;
constexpr Tag kReferencedSopSequence = 0x00081199;

ScanLimits commitment_limits() {
    ScanLimits limits;
    limits.header_bytes = kMostCommitmentBytes;
    limits.bulk_threshold = kMostCommitmentBytes;
    limits.json_bytes = 8 * kMostCommitmentBytes;
    limits.inflated_bytes = kMostCommitmentBytes;
    limits.depth = 8;
    return limits;
}

Result<std::string> uid_of(const json::object& data_set, std::string_view tag, std::string_view name) {
    const auto* values = impl::json_values(data_set, tag);
    const auto* text = values != nullptr && !values->empty() ? values->front().if_string() : nullptr;
    if (text == nullptr || !Uid::parse(std::string_view(*text)))
        return fail(ErrorCode::malformed, std::string(name) + " is missing, or is no UID");
    return std::string(*text);
}

void write_sequence(DataSetWriter& out, Tag tag, const Commitment& result, bool failed) {
    const auto counts = [&](const CommittedInstance& one) { return (one.failure != 0) == failed; };
    if (std::none_of(result.instances.begin(), result.instances.end(), counts)) return;
    out.begin_sequence(tag);
    for (const auto& instance : result.instances) {
        if (!counts(instance)) continue;
        out.begin_item();
        out.text(kReferencedSopClass, "UI", instance.sop_class);
        out.text(kReferencedSopInstance, "UI", instance.sop_instance);
        if (failed) out.us(kFailureReason, instance.failure);
        out.end_item();
    }
    out.end_sequence();
}

}  // namespace

Result<Commitment> decode_commitment_request(ByteView data_set, std::string_view transfer_syntax) {
    const auto* syntax = find_transfer_syntax(transfer_syntax);
    if (syntax == nullptr || syntax->deflated || syntax->encapsulated)
        return fail(ErrorCode::unsupported, "a request for storage commitment does not come in this transfer syntax");
    if (data_set.size() > kMostCommitmentBytes) return fail(ErrorCode::limit_exceeded, "the request for storage commitment is too long");
    const auto limits = commitment_limits();
    impl::Tokenizer tokenizer({syntax->explicit_vr, syntax->big_endian}, limits);
    FID_CHECK(tokenizer.feed(data_set));
    FID_CHECK(tokenizer.finish());
    impl::JsonWriter writer(tokenizer, limits);
    FID_CHECK(writer.run());
    FID_TRY(const auto document, fiducial::json::parse(writer.json(), limits.json_bytes));
    const auto& object = document.as_object();
    Commitment out;
    FID_TRY(out.transaction_uid, uid_of(object, "00081195", "Transaction UID (0008,1195)"));
    const auto* items = impl::json_values(object, "00081199");
    if (items == nullptr || items->empty()) return fail(ErrorCode::malformed, "Referenced SOP Sequence (0008,1199) is missing, or empty");
    for (const auto& item : *items) {
        const auto* reference = item.if_object();
        if (reference == nullptr) return fail(ErrorCode::malformed, "Referenced SOP Sequence (0008,1199) is no sequence");
        CommittedInstance instance;
        FID_TRY(instance.sop_class, uid_of(*reference, "00081150", "Referenced SOP Class UID (0008,1150)"));
        FID_TRY(instance.sop_instance, uid_of(*reference, "00081155", "Referenced SOP Instance UID (0008,1155)"));
        out.instances.push_back(std::move(instance));
    }
    return out;
}

Bytes encode_commitment_result(const Commitment& result, std::string_view our_ae_title, std::string_view transfer_syntax) {
    DataSetWriter out(transfer_syntax != kImplicitVrLittleEndian);
    out.text(tags::kRetrieveAeTitle, "AE", our_ae_title);
    out.text(kTransactionUid, "UI", result.transaction_uid);
    write_sequence(out, kFailedSopSequence, result, true);
    write_sequence(out, kReferencedSopSequence, result, false);
    return out.take();
}

}  // namespace fiducial::dicom
