// WADO-RS: instances as they were stored, streamed; PS3.18 §10.4.
#include <algorithm>

#include "base/hex.hpp"
#include "base/identifiers.hpp"
#include "gateway/impl/service.hpp"
#include "net/http_syntax.hpp"
#include "net/multipart.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kPieceBytes = 262'144;

/// What the client will take.
struct Acceptable {
    bool multipart = true;
    bool any_syntax = true;
    std::vector<std::string> syntaxes;

    bool takes(std::string_view syntax) const {
        return any_syntax || std::find(syntaxes.begin(), syntaxes.end(), syntax) != syntaxes.end();
    }
};

enum class Form : std::uint8_t { none, multipart, single };

/// Spec: PS3.18 §8.7.5. The form in which an element of Accept wants DICOM files.
Form form_of(const net::MediaType& range, archive::Level level) {
    if (range.type == "*") return Form::multipart;
    if (range.type == "multipart" && (range.subtype == "related" || range.subtype == "*")) {
        const auto type = range.parameter("type");
        return !type || net::equals_ignoring_case(*type, "application/dicom") ? Form::multipart : Form::none;
    }
    const bool dicom = range.type == "application" && (range.subtype == "dicom" || range.subtype == "*");
    return dicom && level == archive::Level::instance ? Form::single : Form::none;
}

/// Nothing is transcoded: a client that names transfer syntaxes gets what is stored in one of them, or 406.
/// Errors: malformed; unsupported when nothing that it takes can be given.
Result<Acceptable> negotiate(const net::Request& request, archive::Level level) {
    std::string wanted = request.headers().joined("Accept").value_or("");
    if (const auto in_query = request.target().query_value("accept")) wanted = *in_query;  // PS3.18 §8.3.3.1
    FID_TRY(const auto items, net::parse_accept(wanted));
    Acceptable out;
    if (items.empty()) return out;
    Form form = Form::none;
    out.any_syntax = false;
    for (const auto& item : items) {
        const auto this_form = item.q == 0 ? Form::none : form_of(item.range, level);
        if (this_form == Form::none || (form != Form::none && this_form != form)) continue;
        form = this_form;
        const auto syntax = item.range.parameter("transfer-syntax");
        if (!syntax || *syntax == "*") {
            out.any_syntax = true;
        } else {
            out.syntaxes.emplace_back(*syntax);
        }
    }
    if (form == Form::none) {
        return fail(ErrorCode::unsupported, level == archive::Level::instance
                                                ? "given are multipart/related; type=\"application/dicom\" and application/dicom"
                                                : "given is multipart/related; type=\"application/dicom\"");
    }
    out.multipart = form == Form::multipart;
    return out;
}

/// Turns a retrieval into the bytes of a body. Blocking: runs in the pool.
class DicomBody {
public:
    DicomBody(std::unique_ptr<archive::Retrieval> retrieval, Acceptable acceptable)
        : retrieval_(std::move(retrieval)), acceptable_(std::move(acceptable)), boundary_(net::make_boundary()) {}

    const std::string& boundary() const { return boundary_; }
    const archive::RetrievedInstance& instance() const { return instance_; }
    /// After a failure: whether it was the transfer syntax.
    bool not_acceptable() const { return not_acceptable_; }

    /// Goes to the one instance of a body without multipart. Errors: as fill(); not_found.
    Result<void> begin_single() {
        Bytes nothing;
        FID_CHECK(next_instance(nothing));
        if (ended_) return fail(ErrorCode::not_found, "no instances");
        return {};
    }
    /// Gives only this part of it.
    void narrow(const net::ByteRange& range) {
        retrieval_->skip(range.first);
        left_ = range.last - range.first + 1;
    }
    std::uint64_t left() const { return left_; }

    /// Puts the next piece of the body into out; nothing at its end.
    /// Errors: those of the retrieval; unsupported when an instance is in a transfer syntax that the client does not take.
    Result<void> fill(Bytes& out) {
        out.clear();
        while (!ended_ && out.size() < kPieceBytes) {
            if (left_ == 0) {
                if (!acceptable_.multipart && !first_) return {};  // all of the one
                FID_CHECK(next_instance(out));
                continue;
            }
            const std::size_t had = out.size();
            out.resize(had + static_cast<std::size_t>(std::min<std::uint64_t>(left_, kPieceBytes)));
            auto got = retrieval_->read(MutableByteView(out).subspan(had));
            if (!got) return fail(got.error());
            if (*got == 0 || *got > left_) return fail(ErrorCode::internal, "an instance is not as long as was said");
            out.resize(had + *got);
            left_ -= *got;
        }
        return {};
    }

private:
    Result<void> next_instance(Bytes& out) {
        FID_TRY(auto next, retrieval_->next_instance());
        if (!next) {
            ended_ = true;
            if (acceptable_.multipart) append(out, as_bytes(net::multipart_close(boundary_, first_)));
            return {};
        }
        instance_ = *std::move(next);
        if (!Uid::parse(instance_.transfer_syntax_uid)) return fail(ErrorCode::internal, "an instance's transfer syntax is not a UID");
        if (!acceptable_.takes(instance_.transfer_syntax_uid)) {
            not_acceptable_ = true;
            return fail(ErrorCode::unsupported, "stored in transfer syntax " + instance_.transfer_syntax_uid +
                                                    ", which was not asked for; ask for transfer-syntax=*");
        }
        left_ = instance_.file_size();
        if (acceptable_.multipart) {
            net::HeaderFields headers;
            headers.add("Content-Type", "application/dicom; transfer-syntax=" + instance_.transfer_syntax_uid);
            headers.add("Content-Length", std::to_string(left_));
            append(out, as_bytes(net::multipart_part_head(boundary_, first_, headers)));
        }
        first_ = false;
        return {};
    }

    std::unique_ptr<archive::Retrieval> retrieval_;
    Acceptable acceptable_;
    std::string boundary_;
    archive::RetrievedInstance instance_;
    std::uint64_t left_ = 0;
    bool first_ = true;
    bool ended_ = false;
    bool not_acceptable_ = false;
};

net::Task<Result<void>> send_body(Call& call, DicomBody& body, Bytes& piece, std::optional<std::uint64_t> length) {
    FID_CO_CHECK(co_await call.response.begin(length));
    if (call.request.method() == "HEAD") co_return co_await call.response.finish();
    auto fill = [&]() { return body.fill(piece); };
    while (!piece.empty()) {
        FID_CO_CHECK(co_await call.response.write(piece));
        call.body_bytes += piece.size();
        FID_CO_CHECK(co_await call.door.retrieving.run(fill));  // corrupt here: the answer is broken off
    }
    co_return co_await call.response.finish();
}

/// What of a file is asked for. Spec: RFC 9110 §13.2.2, §14.2. A Range that cannot be read, or is of several ranges, is let pass.
enum class Part : std::uint8_t { whole, nothing_new, range, none };
struct Wanted {
    Part part = Part::whole;
    net::ByteRange range;
};
Wanted wanted_of(const net::HeaderFields& headers, std::string_view tag, std::uint64_t size) {
    Wanted wanted;
    if (const auto known = headers.find("If-None-Match"); known && net::names_entity_tag(*known, tag)) {
        wanted.part = Part::nothing_new;
        return wanted;
    }
    const auto range = headers.find("Range");
    const auto unless = headers.find("If-Range");
    if (!range || (unless && *unless != tag)) return wanted;
    const auto ranges = net::parse_range(*range, size);
    if (!ranges || ranges->size() > 1) return wanted;
    wanted.part = ranges->empty() ? Part::none : Part::range;
    if (!ranges->empty()) wanted.range = ranges->front();
    return wanted;
}

/// One file, or a part of it.
net::Task<Result<void>> send_single(Call& call, DicomBody& body, Bytes& piece) {
    const auto& instance = body.instance();
    const auto tag = "\"" + to_hex(instance.object_id) + "\"";
    const auto size = std::to_string(instance.file_size());
    const auto wanted = wanted_of(call.request.headers(), tag, instance.file_size());
    call.response.set_header("ETag", tag);
    call.response.set_header("Accept-Ranges", "bytes");
    call.response.set_header("Vary", "Accept");
    if (wanted.part == Part::nothing_new || wanted.part == Part::none) {
        call.status = wanted.part == Part::none ? 416 : 304;
        call.response.set_status(call.status);
        if (wanted.part == Part::none) call.response.set_header("Content-Range", "bytes */" + size);
        co_return co_await call.response.send({});
    }
    call.response.set_header("Content-Type", "application/dicom; transfer-syntax=" + instance.transfer_syntax_uid);
    if (wanted.part == Part::range) {
        body.narrow(wanted.range);
        call.status = 206;
        call.response.set_status(206);
        call.response.set_header("Content-Range",
                                 "bytes " + std::to_string(wanted.range.first) + "-" + std::to_string(wanted.range.last) + "/" + size);
    }
    const auto length = body.left();
    auto fill = [&]() { return body.fill(piece); };
    FID_CO_CHECK(co_await call.door.retrieving.run(fill));
    co_return co_await send_body(call, body, piece, length);
}

net::Task<Result<void>> serve_retrieve(Call& call, archive::Selector what) {
    auto acceptable = negotiate(call.request, what.level);
    if (!acceptable) co_return co_await call.refuse(acceptable.error(), acceptable.error().code == ErrorCode::unsupported ? 406 : 400);
    FID_CO_TRY(const auto ticket, call.door.retrievals.enter());
    auto open = [&]() { return call.door.archive.retrieve(call.who, what); };
    FID_CO_TRY(auto retrieval, co_await call.door.retrieving.run(open));
    call.say_evidence(*retrieval);
    DicomBody body(std::move(retrieval), *acceptable);
    // The first piece comes before the answer's first byte: what fails early fails with a status.
    Bytes piece;
    piece.reserve(kPieceBytes + 4'096);
    auto begin = [&]() { return acceptable->multipart ? body.fill(piece) : body.begin_single(); };
    const auto begun = co_await call.door.retrieving.run(begin);
    if (!begun && body.not_acceptable()) co_return co_await call.refuse(begun.error(), 406);
    if (!begun) co_return begun;
    if (!acceptable->multipart) co_return co_await send_single(call, body, piece);
    if (body.instance().sop_uid.empty()) co_return fail(ErrorCode::not_found, "no instances");
    call.response.set_header("Content-Type", "multipart/related; type=\"application/dicom\"; boundary=" + body.boundary());
    co_return co_await send_body(call, body, piece, std::nullopt);
}

}  // namespace

net::Task<Result<void>> serve_retrieve_study(Call& call) {
    return serve_retrieve(call, call.selector(archive::Level::study));
}

net::Task<Result<void>> serve_retrieve_series(Call& call) {
    return serve_retrieve(call, call.selector(archive::Level::series));
}

net::Task<Result<void>> serve_retrieve_instance(Call& call) {
    return serve_retrieve(call, call.selector(archive::Level::instance));
}

}  // namespace fiducial::gateway::impl
