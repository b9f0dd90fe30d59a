#include "archive/ingest.hpp"

#include <utility>

#include "base/utf8.hpp"

namespace fiducial::archive {
namespace {

constexpr std::size_t kMaxNamed = 20;           // studies in one message
constexpr std::size_t kMaxManifestText = 1024;  // docs/formats/manifest.md

/// What went wrong here, not in the bytes that came: codes that doors take for the sender's fault are not passed on.
Error own_failure(const Error& error) {
    switch (error.code) {
        case ErrorCode::not_found: return {ErrorCode::io, error.message};  // a file of the store is gone
        case ErrorCode::invalid_argument:
        case ErrorCode::malformed:
        case ErrorCode::unsupported:
        case ErrorCode::limit_exceeded:
        case ErrorCode::unauthenticated:
        case ErrorCode::denied:
        case ErrorCode::conflict: return {ErrorCode::internal, error.message};
        default: return error;
    }
}

void name_it(InstanceOutcome& outcome, const dicom::EarlyIdentity& identity) {
    outcome.study_uid = identity.study.text();
    outcome.series_uid = identity.series.text();
    outcome.sop_uid = identity.sop_instance.text();
    outcome.sop_class_uid = identity.sop_class.text();
}

/// What a manifest could not hold must not be acknowledged: its study could never be anchored.
Result<void> check_fits_manifest(const dicom::EarlyIdentity& identity) {
    const auto check = [](const PatientText& text, std::string_view name) -> Result<void> {
        if (text.value.size() <= kMaxManifestText) return {};
        return fail(ErrorCode::limit_exceeded,
                    std::string(name) + " is longer than " + std::to_string(kMaxManifestText) + " bytes; DICOM allows 64 characters");
    };
    FID_CHECK(check(identity.patient_id, "Patient ID (0010,0020)"));
    return check(identity.issuer, "Issuer of Patient ID (0010,0021)");
}

/// Errors: conflict.
Result<void> check_told(const InstanceFormat& told, const InstanceOutcome& found) {
    if (!told.study_uid.empty() && told.study_uid != found.study_uid)
        return fail(ErrorCode::conflict, "the instance belongs to another study than the one it was sent for");
    if (!told.sop_uid.empty() && told.sop_uid != found.sop_uid)
        return fail(ErrorCode::conflict, "the data set is another instance than it was sent as");
    if (!told.sop_class_uid.empty() && !found.sop_class_uid.empty() && told.sop_class_uid != found.sop_class_uid)
        return fail(ErrorCode::conflict, "the data set is of another SOP class than it was sent as");
    return {};
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

StoreSession::StoreSession(store::Store& store, Exams& exams, dicom::ScanLimits limits, std::string source, Reject reject,
                           const Clock& clock)
    : store_(store), exams_(exams), limits_(limits), source_(std::move(source)), reject_(std::move(reject)), clock_(clock) {}

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
    if (!pieces) {
        now.error = pieces.error();
        return fail(*now.error);
    }
    FID_CHECK(take(pieces->held));
    return take(pieces->fresh);
}

Result<void> StoreSession::take(ByteView piece) {
    if (piece.empty()) return {};
    auto& now = *incoming_;
    const auto refuse = [&now](Error why) {
        now.error = std::move(why);
        return fail(*now.error);
    };
    if (!now.writer && now.scanner.identity()) {
        if (auto fits = check_fits_manifest(*now.scanner.identity()); !fits) return refuse(fits.error());
        FID_CHECK(of_store(open_writer()));
    }
    if (now.writer) {
        if (piece.size() > store::kMaxObjectBytes - now.writer->size())
            return refuse({ErrorCode::limit_exceeded, "the data set is larger than " + std::to_string(store::kMaxObjectBytes) + " bytes"});
        return of_store(now.writer->write(piece));
    }
    if (now.waiting.size() + piece.size() > limits_.header_bytes + (1u << 20)) {
        return refuse({ErrorCode::limit_exceeded, "no Study Instance UID in the first " + std::to_string(limits_.header_bytes) + " bytes"});
    }
    append(now.waiting, piece);
    return {};
}

Result<void> StoreSession::of_store(Result<void> done) {
    if (done) return done;
    incoming_->failure = own_failure(done.error());
    return fail(*incoming_->failure);
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

InstanceOutcome StoreSession::known_so_far() const {
    InstanceOutcome outcome;
    if (incoming_) {
        if (const auto identity = incoming_->scanner.identity()) name_it(outcome, *identity);
    }
    return outcome;
}

Result<InstanceOutcome> StoreSession::finish_instance() {
    FID_INVARIANT(incoming_.has_value(), "no instance was begun");
    auto& now = *incoming_;
    auto outcome = known_so_far();
    if (now.failure) {
        const Error failure = *now.failure;
        abandon_instance();
        return fail(failure);
    }
    std::optional<dicom::InstanceHeader> header;
    if (!now.error) {
        auto finished = now.scanner.finish();
        if (auto fits = finished ? check_fits_manifest(finished->identity) : Result<void>(fail(finished.error())); !fits)
            now.error = fits.error();
        else
            header = std::move(*finished);
    }
    if (!header) {
        outcome.error = now.error;
        abandon_instance();
        return outcome;
    }
    name_it(outcome, header->identity);
    if (auto as_told = check_told(now.format, outcome); !as_told) {
        outcome.error = as_told.error();
        abandon_instance();
        return outcome;
    }
    auto committed = commit(*header);
    incoming_.reset();
    if (!committed) return fail(own_failure(committed.error()));
    outcome.outcome = committed->outcome;
    outcome.error = std::move(committed->error);
    outcome.warnings = header->warnings;
    if (outcome.outcome != Outcome::duplicate) touched_.insert(header->identity.study);
    FID_CHECK(apply_rejection(*header, outcome));
    return outcome;
}

/// Acknowledged only when what it names is out: sent again after a failure, as a duplicate, it is applied again.
Result<void> StoreSession::apply_rejection(const dicom::InstanceHeader& header, InstanceOutcome& outcome) {
    const bool is_here =
        outcome.outcome == Outcome::stored || outcome.outcome == Outcome::new_version || outcome.outcome == Outcome::duplicate;
    if (!reject_ || !is_here || header.identity.sop_class.text() != kKeyObjectSelection) return {};
    const auto note = rejection_note_of(header.identity.sop_instance.text(), header.dicom_json);
    if (!note) return {};
    FID_TRY(const auto remarks, reject_(*note));
    outcome.warnings.insert(outcome.warnings.end(), remarks.begin(), remarks.end());
    return {};
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
    description.source.value =
        readable(incoming_->format.source.value.empty() ? source_ : incoming_->format.source.value, kMaxManifestText);
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

/// What stands before the data set in a file of it: as it came; made for one that came as a message, which is no file. A file without it
/// stays without.
Bytes StoreSession::prefix(const dicom::InstanceHeader& header) const {
    const auto& identity = header.identity;
    const bool is_message = !incoming_->format.sop_uid.empty();
    return is_message ? dicom::make_file_prefix(identity.transfer_syntax, identity.sop_class, identity.sop_instance)
                      : to_bytes(incoming_->scanner.prefix());
}

Result<InstanceOutcome> StoreSession::commit(const dicom::InstanceHeader& header) {
    auto& now = *incoming_;
    if (!now.writer) FID_CHECK(open_writer());  // a data set shorter than what it takes to know early whose it is
    FID_TRY(const auto fingerprint, now.writer->finish());
    FID_TRY(const auto known, store_.database().read([&](database::Transaction& t) {
        return store_.index().find_all_instances(t, header.identity.sop_instance);
    }));
    InstanceOutcome outcome;
    for (const auto& instance : known) {  // in every other state: the same bytes again cost nothing
        if (instance.object.sha256 != fingerprint.sha256 || instance.transfer_syntax_uid.text() != header.identity.transfer_syntax)
            continue;
        const auto state = instance.object.state;
        if (state == store::ObjectState::quarantined || state == store::ObjectState::torn)
            continue;  // a good copy of what is damaged is welcome
        now.writer->abandon();
        outcome.outcome = Outcome::duplicate;
        if (state == store::ObjectState::set_aside) {
            outcome.outcome = Outcome::set_aside;
            outcome.error = Error{ErrorCode::conflict, "these bytes were set aside before and wait for a custodian"};
        } else if (state == store::ObjectState::removed) {
            outcome.outcome = Outcome::set_aside;
            outcome.error = Error{ErrorCode::conflict, "this instance was removed from its study; it is kept and can be put back"};
        } else if (state == store::ObjectState::discarded) {
            outcome.outcome = Outcome::refused;
            outcome.error = Error{ErrorCode::conflict, "these bytes were set aside before, and a custodian discarded them"};
        }
        return outcome;
    }
    std::vector<store::PendingObject> objects;
    objects.push_back(
        store::PendingObject{std::move(*now.writer), describe(header), to_bytes(as_bytes(header.dicom_json)), prefix(header)});
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
    std::optional<Error> first;
    std::string why;
    std::size_t failed = 0;
    for (const auto& study : std::exchange(touched_, {})) {
        const auto done = exams_.complete(study);
        if (done) continue;
        if (!first) first = done.error();
        if (++failed <= kMaxNamed) why += (why.empty() ? "" : "; ") + study.text() + " (" + done.error().message + ")";
    }
    if (!first) return {};
    return fail(first->code, std::to_string(failed) + (failed == 1 ? " study is" : " studies are") +
                                 " stored, but without a new record, which is tried again: " + why + (failed > kMaxNamed ? "; …" : ""));
}

void StoreSession::complete_soon() {
    for (const auto& study : std::exchange(touched_, {})) exams_.complete_soon(study);
}

}  // namespace fiducial::archive
