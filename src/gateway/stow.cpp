// STOW-RS: instances stream from the request into the archive; PS3.18 §10.5.
#include "base/log.hpp"
#include "gateway/impl/service.hpp"
#include "gateway/impl/store_report.hpp"
#include "gateway/impl/store_run.hpp"
#include "net/http_syntax.hpp"
#include "net/multipart.hpp"

namespace fiducial::gateway::impl {
namespace {

using Event = net::MultipartReader::Event;

constexpr std::size_t kPieceBytes = 262'144;

/// How the request's body is to be read.
enum class BodyKind : std::uint8_t { file, files, json, xml };
struct BodyForm {
    BodyKind kind = BodyKind::files;
    std::string boundary;
};

/// Spec: PS3.18 §10.5.1: multipart/related of DICOM files, or of metadata and bulk data. A single file as application/dicom is taken as
/// well. Errors: malformed; unsupported (415).
Result<BodyForm> form_of(const net::Request& request) {
    const auto field = request.headers().find("Content-Type");
    if (!field) return fail(ErrorCode::unsupported, "the request has no Content-Type");
    FID_TRY(const auto type, net::parse_media_type(*field));
    BodyForm out;
    if (type.essence() == "application/dicom") {
        out.kind = BodyKind::file;
        return out;
    }
    if (type.essence() != "multipart/related") {
        return fail(ErrorCode::unsupported,
                    "taken are application/dicom, and multipart/related; type=\"application/dicom\", "
                    "type=\"application/dicom+json\" or type=\"application/dicom+xml\"");
    }
    const auto parts = type.parameter("type").value_or("application/dicom");
    if (net::equals_ignoring_case(parts, "application/dicom+json")) {
        out.kind = BodyKind::json;
    } else if (net::equals_ignoring_case(parts, "application/dicom+xml")) {
        out.kind = BodyKind::xml;
    } else if (!net::equals_ignoring_case(parts, "application/dicom")) {
        return fail(ErrorCode::unsupported,
                    "parts of another type than application/dicom, application/dicom+json or application/dicom+xml");
    }
    const auto boundary = type.parameter("boundary");
    if (!boundary) return fail(ErrorCode::malformed, "multipart/related without a boundary");
    out.boundary = *boundary;
    return out;
}

/// Whether the answer is wanted as XML rather than JSON.
Result<bool> wants_xml(const net::Request& request) {
    const auto accept = request.headers().joined("Accept");
    FID_TRY(const auto items, net::parse_accept(accept.value_or("")));
    for (const auto& item : items) {
        const auto essence = item.range.essence();
        if (item.q == 0) continue;
        if (essence == "application/dicom+xml") return true;
        if (essence == "application/dicom+json" || essence == "application/json" || essence == "*/*" || essence == "application/*")
            return false;
    }
    if (items.empty()) return false;
    return fail(ErrorCode::unsupported, "the answer comes as application/dicom+json or application/dicom+xml");
}

/// DICOM files, one a part, or one alone.
class FileRun final : public StoreRun {
public:
    FileRun(std::unique_ptr<archive::IngestSession> session, std::optional<net::MultipartReader> reader, std::string study_uid)
        : StoreRun(std::move(session), std::move(study_uid)), reader_(std::move(reader)) {}

    Result<void> take(ByteView bytes) override {
        if (!reader_) {
            if (!in_part_) begin({});
            if (taken_) write(bytes);
            return {};
        }
        reader_->feed(bytes);
        for (;;) {
            FID_TRY(const auto event, reader_->next());
            switch (event) {
                case Event::part_begin: begin(reader_->headers()); break;
                case Event::part_data:
                    if (taken_) write(reader_->data());
                    break;
                case Event::part_end: end(); break;
                default: return {};
            }
        }
    }

    Result<void> finish() override {
        if (!reader_) {
            if (in_part_) end();
            return {};
        }
        return reader_->finish();
    }

private:
    void begin(const net::HeaderFields& headers) {
        in_part_ = true;
        taken_ = false;
        const auto field = headers.find("Content-Type");
        if (field) {
            const auto type = net::parse_media_type(*field);
            if (!type || type->essence() != "application/dicom") {
                report_.add_failure(Error{ErrorCode::unsupported, "a part that is not application/dicom"});
                return;
            }
        }
        archive::InstanceFormat format;
        format.study_uid = study_uid_;
        taken_ = begin_instance(format);
    }
    void end() {
        in_part_ = false;
        if (taken_) end_instance();
        taken_ = false;
    }

    std::optional<net::MultipartReader> reader_;
    bool in_part_ = false;
    bool taken_ = false;  // the archive takes the part that is being read
};

/// Fills the piece as far as the body goes. Returns: how much there is, 0 at the end.
net::Task<Result<std::size_t>> read_piece(net::Request& request, Bytes& piece) {
    std::size_t size = 0;
    while (size < piece.size()) {
        const auto room = MutableByteView(piece).subspan(size);
        FID_CO_TRY(const auto got, co_await request.read(room));
        if (got == 0) break;
        size += got;
    }
    co_return size;
}

net::Task<Result<void>> take_body(Call& call, StoreRun& run) {
    Bytes piece(kPieceBytes);
    for (;;) {
        FID_CO_TRY(const auto size, co_await read_piece(call.request, piece));
        if (size == 0) break;
        auto take = [&]() { return run.take(ByteView(piece).first(size)); };
        FID_CO_CHECK(co_await call.door.ingesting.run(take));
    }
    auto finish = [&run]() { return run.finish(); };
    co_return co_await call.door.ingesting.run(finish);
}

}  // namespace

void StoreRun::complete() {
    abandon_instance();
    if (report_.stored() > 0) session_->complete_soon();
}

bool StoreRun::begin_instance(const archive::InstanceFormat& format) {
    const auto begun = session_->begin_instance(format);
    if (!begun) report_.add_failure(begun.error());
    in_instance_ = begun.has_value();
    return in_instance_;
}

void StoreRun::end_instance() {
    in_instance_ = false;
    auto named = session_->known_so_far();
    auto outcome = session_->finish_instance();
    if (!outcome) {
        log::error("gateway", "an instance could not be stored", {{"why", outcome.error().message}});
        named.error = outcome.error();
        outcome = std::move(named);
    }
    report_.add(*outcome);
}

void StoreRun::abandon_instance() {
    if (in_instance_) session_->abandon_instance();
    in_instance_ = false;
}

std::unique_ptr<StoreRun> store_files(std::unique_ptr<archive::IngestSession> session, std::optional<net::MultipartReader> reader,
                                      std::string study_uid) {
    return std::make_unique<FileRun>(std::move(session), std::move(reader), std::move(study_uid));
}

net::Task<Result<void>> serve_store(Call& call) {
    call.request.limit_body(call.door.settings.max_store_bytes);
    const auto form = form_of(call.request);
    if (!form) co_return co_await call.refuse(form.error());
    const auto as_xml = wants_xml(call.request);
    if (!as_xml) co_return co_await call.refuse(as_xml.error(), as_xml.error().code == ErrorCode::unsupported ? 406 : 400);
    std::optional<net::MultipartReader> reader;
    if (form->kind != BodyKind::file) {
        FID_CO_TRY(reader, net::MultipartReader::create(form->boundary));
    }
    FID_CO_TRY(const auto ticket, call.door.stores.enter());
    auto begin = [&call]() { return call.door.archive.begin_ingest(call.who, "stow-rs"); };
    FID_CO_TRY(auto session, co_await call.door.ingesting.run(begin));
    auto study_uid = call.parameters.empty() ? std::string() : call.parameters[0];
    const bool documents = form->kind == BodyKind::json || form->kind == BodyKind::xml;
    const auto run = documents ? store_documents(std::move(session), *std::move(reader), std::move(study_uid), form->kind == BodyKind::xml)
                               : store_files(std::move(session), std::move(reader), std::move(study_uid));

    const auto taken = co_await take_body(call, *run);
    auto complete = [&run]() -> Result<void> {
        run->complete();
        return {};
    };
    FID_CO_CHECK(co_await call.door.ingesting.run(complete));
    auto& report = run->report();
    if (!taken) {
        auto error = taken.error();
        if (report.stored() > 0) error.message += "; " + std::to_string(report.stored()) + " instances before that were stored";
        co_return fail(error);
    }
    if (report.stored() + report.failed() == 0) co_return fail(ErrorCode::malformed, "the request holds no instance");
    if (*as_xml) co_return co_await call.answer(report.status(), "application/dicom+xml", report.to_xml(call.base_url()));
    co_return co_await call.answer(report.status(), "application/dicom+json", report.to_json(call.base_url()));
}

}  // namespace fiducial::gateway::impl
