#include "archive/ingest.hpp"

#include "base/log.hpp"

namespace fiducial::archive {
namespace {

bool is_the_archives_fault(ErrorCode code) {
    return code == ErrorCode::io || code == ErrorCode::no_space || code == ErrorCode::permission || code == ErrorCode::unavailable ||
           code == ErrorCode::internal || code == ErrorCode::corrupt || code == ErrorCode::timeout || code == ErrorCode::locked;
}

}  // namespace

std::string_view name_of(Outcome outcome) {
    switch (outcome) {
        case Outcome::stored: return "stored";
        case Outcome::duplicate: return "duplicate";
        case Outcome::new_version: return "new_version";
        case Outcome::set_aside: return "set_aside";
        case Outcome::refused: return "refused";
    }
    return "refused";
}

StoreSession::StoreSession(store::Store& store, Exams& exams, dicom::ScanLimits limits, std::string source, const Clock& clock)
    : store_(store), exams_(exams), limits_(limits), source_(std::move(source)), clock_(clock) {}

Result<void> StoreSession::begin_instance(const InstanceFormat& format) {
    FID_INVARIANT(!incoming_, "an instance is begun before the last one was finished");
    if (format.transfer_syntax_uid.empty()) {
        incoming_.emplace(Incoming{dicom::DataSetScanner(limits_), format, {}, {}, {}, {}});
        return {};
    }
    auto scanner = dicom::DataSetScanner::for_data_set(format.transfer_syntax_uid, limits_);
    incoming_.emplace(Incoming{scanner ? std::move(*scanner) : dicom::DataSetScanner(limits_), format, {}, {}, {}, {}});
    if (!scanner) incoming_->error = scanner.error();
    return {};
}

Result<void> StoreSession::write(ByteView bytes) {
    FID_INVARIANT(incoming_.has_value(), "bytes of no instance");
    auto& now = *incoming_;
    if (now.failure) return fail(*now.failure);
    if (now.error) return fail(*now.error);
    auto pieces = now.scanner.feed(bytes);
    auto taken = pieces ? take(pieces->held) : Result<void>(fail(pieces.error()));
    if (taken && pieces) taken = take(pieces->fresh);
    if (!taken) (is_the_archives_fault(taken.error().code) ? now.failure : now.error) = taken.error();
    return taken;
}

Result<void> StoreSession::take(ByteView piece) {
    if (piece.empty()) return {};
    auto& now = *incoming_;
    if (!now.writer && now.scanner.identity()) FID_CHECK(open_writer());
    if (now.writer) return now.writer->write(piece);
    if (now.waiting.size() + piece.size() > limits_.header_bytes + (1u << 20)) {
        return fail(ErrorCode::limit_exceeded, "no Study Instance UID in the first " + std::to_string(limits_.header_bytes) + " bytes");
    }
    append(now.waiting, piece);
    return {};
}

Result<void> StoreSession::open_writer() {
    auto& now = *incoming_;
    FID_TRY(auto writer, store_.begin_object(now.scanner.identity()->study));
    now.writer.emplace(std::move(writer));
    if (!now.waiting.empty()) FID_CHECK(now.writer->write(now.waiting));
    now.waiting = Bytes();
    return {};
}

void StoreSession::abandon_instance() {
    if (incoming_ && incoming_->writer) incoming_->writer->abandon();
    incoming_.reset();
}

Result<InstanceOutcome> StoreSession::finish_instance() {
    FID_INVARIANT(incoming_.has_value(), "no instance was begun");
    auto& now = *incoming_;
    InstanceOutcome outcome;
    const auto name_it = [&](const dicom::EarlyIdentity& identity) {
        outcome.study_uid = identity.study.text();
        outcome.series_uid = identity.series.text();
        outcome.sop_uid = identity.sop_instance.text();
        outcome.sop_class_uid = identity.sop_class.text();
    };
    if (const auto identity = now.scanner.identity()) name_it(*identity);
    if (now.failure) {
        const Error failure = *now.failure;
        abandon_instance();
        return fail(failure);
    }
    std::optional<dicom::InstanceHeader> header;
    if (!now.error) {
        auto finished = now.scanner.finish();
        if (finished) header = std::move(*finished);
        else now.error = finished.error();
    }
    if (!header) {
        outcome.error = now.error;
        abandon_instance();
        return outcome;
    }
    name_it(header->identity);
    if (!now.format.study_uid.empty() && now.format.study_uid != outcome.study_uid) {
        outcome.error = Error{ErrorCode::conflict, "the instance belongs to another study than the one it was sent for"};
        abandon_instance();
        return outcome;
    }
    auto committed = commit(*header);
    incoming_.reset();
    if (!committed) {
        if (is_the_archives_fault(committed.error().code)) return fail(committed.error());
        outcome.error = committed.error();
        return outcome;
    }
    outcome.outcome = committed->outcome;
    outcome.error = std::move(committed->error);
    outcome.warnings = header->warnings;
    if (outcome.outcome != Outcome::duplicate) touched_.insert(header->identity.study);
    return outcome;
}

store::ObjectDescription StoreSession::describe(const dicom::InstanceHeader& header) const {
    store::ObjectDescription description;
    description.study_uid = header.identity.study;
    description.series_uid = header.identity.series;
    description.sop_uid = header.identity.sop_instance;
    description.sop_class_uid = header.identity.sop_class;
    if (auto syntax = Uid::parse(header.identity.transfer_syntax)) description.transfer_syntax_uid = *syntax;
    description.pixel_sha256 = header.pixel_sha256;
    description.source_sha256 = incoming_->format.source_sha256;
    description.arrival_ms = static_cast<std::uint64_t>(clock_.now().time_since_epoch().count());
    description.source.value = incoming_->format.source.value.empty() ? source_ : incoming_->format.source.value;
    if (description.source.value.size() > 1024) description.source.value.resize(1024);
    description.patient_id = header.identity.patient_id;
    description.issuer = header.identity.issuer;
    description.attributes = header.attributes;
    return description;
}

Result<store::PendingObject> StoreSession::original(const dicom::InstanceHeader& header) {
    FID_TRY(auto writer, store_.begin_object(header.identity.study, store::ObjectKind::source, incoming_->format.original.size()));
    FID_CHECK(writer.write(incoming_->format.original));
    FID_CHECK(writer.finish());
    store::PendingObject object{std::move(writer), describe(header), {}, {}};
    object.description.kind = store::ObjectKind::source;
    return object;
}

Result<InstanceOutcome> StoreSession::commit(const dicom::InstanceHeader& header) {
    auto& now = *incoming_;
    if (!now.writer) FID_CHECK(open_writer());  // a data set shorter than what it takes to know early whose it is
    FID_TRY(const auto fingerprint, now.writer->finish());
    FID_TRY(const auto known, store_.database().read(
                                  [&](database::Transaction& t) { return store_.index().find_all_instances(t, header.identity.sop_instance); }));
    InstanceOutcome outcome;
    for (const auto& instance : known) {  // in every other state: the same bytes again cost nothing
        if (instance.object.sha256 != fingerprint.sha256 || instance.transfer_syntax_uid.text() != header.identity.transfer_syntax) continue;
        const auto state = instance.object.state;
        if (state == store::ObjectState::quarantined || state == store::ObjectState::torn) continue;  // a good copy of what is damaged is welcome
        now.writer->abandon();
        outcome.outcome = Outcome::duplicate;
        if (state == store::ObjectState::set_aside) {
            outcome.outcome = Outcome::set_aside;
            outcome.error = Error{ErrorCode::conflict, "these bytes were set aside before and wait for a custodian"};
        } else if (state == store::ObjectState::discarded) {
            outcome.outcome = Outcome::refused;
            outcome.error = Error{ErrorCode::conflict, "these bytes were set aside before, and a custodian discarded them"};
        }
        return outcome;
    }
    std::vector<store::PendingObject> objects;
    objects.push_back(store::PendingObject{std::move(*now.writer), describe(header), to_bytes(as_bytes(header.dicom_json)), to_bytes(now.scanner.prefix())});
    if (!now.format.original.empty()) {
        FID_TRY(auto source, original(header));
        objects.push_back(std::move(source));
    }
    FID_TRY(const auto stored, store_.commit_many(std::move(objects)));
    switch (stored.front().admission) {
        case store::Admission::stored: outcome.outcome = Outcome::stored; break;
        case store::Admission::new_version: outcome.outcome = Outcome::new_version; break;
        case store::Admission::duplicate: outcome.outcome = Outcome::duplicate; break;
        case store::Admission::set_aside:
            outcome.outcome = Outcome::set_aside;
            outcome.error = Error{ErrorCode::conflict, stored.front().reason};
            break;
    }
    return outcome;
}

Result<void> StoreSession::complete() {
    for (const auto& study : touched_) FID_CHECK(exams_.complete(study));
    touched_.clear();
    return {};
}

}  // namespace fiducial::archive
