// WADO-RS: instances as they were stored, or transcoded for who takes them otherwise only, streamed; PS3.18 §10.4.
#include <algorithm>
#include <thread>

#include "base/buffer_pool.hpp"
#include "base/hex.hpp"
#include "base/identifiers.hpp"
#include "dicom/data_set_scanner.hpp"
#include "dicom/transcoding.hpp"
#include "dicom/transfer_syntax.hpp"
#include "gateway/impl/pixels.hpp"
#include "gateway/impl/service.hpp"
#include "gateway/impl/wado_uri.hpp"
#include "net/http_syntax.hpp"
#include "net/multipart.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kPieceBytes = 655'360;  // a CT slice, and somewhat more

// Pieces of bodies on their way.
BufferPool& pieces() {
    static BufferPool pool(16);
    return pool;
}

/// What the client will take.
struct Acceptable {
    bool multipart = true;
    bool any_syntax = true;
    std::vector<std::string> syntaxes;
    bool or_stored = false;  // where it can be given in none of them

    /// The transfer syntax in which an instance is given: the stored one, if that can be. Empty: none that is taken.
    std::string given_as(const std::string& stored) const {
        if (any_syntax || std::find(syntaxes.begin(), syntaxes.end(), stored) != syntaxes.end()) return stored;
        const auto other = std::find_if(syntaxes.begin(), syntaxes.end(), [&](const auto& to) { return dicom::can_transcode(stored, to); });
        if (other != syntaxes.end()) return *other;
        return or_stored ? stored : std::string();
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

/// A client that names transfer syntaxes gets what is stored in one of them, or is transcoded to one of them, or 406.
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
    /// The transfer syntax in which the instance is given, and whether that is not the stored one.
    const std::string& given_as() const { return given_as_; }
    bool is_transcoded() const { return given_as_ != instance_.transfer_syntax_uid; }

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
        at_ = range.first;
        left_ = range.last - range.first + 1;
    }
    std::uint64_t left() const { return left_; }
    /// Whether fill() has given everything.
    bool at_end() const { return head_.empty() && !transcoding_ && (ended_ || (!acceptable_.multipart && !first_ && left_ == 0)); }

    /// Puts the next piece of the body into out; nothing at its end.
    /// Errors: those of the retrieval; unsupported when an instance is in a transfer syntax that the client does not take; those of
    /// transcoding.
    Result<void> fill(Bytes& out) {
        out.clear();
        append(out, head_);
        head_.clear();
        while (!ended_ && out.size() < kPieceBytes) {
            if (transcoding_) {
                FID_CHECK(transcode(out));
                continue;
            }
            if (left_ == 0) {
                if (!acceptable_.multipart && !first_) return {};  // all of the one
                FID_CHECK(next_instance(out));
                continue;
            }
            const std::size_t had = out.size();
            out.resize(had + static_cast<std::size_t>(next_read()));
            auto got = retrieval_->read(MutableByteView(out).subspan(had));
            if (!got) return fail(got.error());
            if (*got == 0 || *got > left_) return fail(ErrorCode::internal, "an instance is not as long as was said");
            out.resize(had + *got);
            left_ -= *got;
            at_ += *got;
            if (left_ > 0) return {};
        }
        return {};
    }

private:
    /// How much of the file is read next: all that is left, or a piece up to where reading goes on best.
    std::uint64_t next_read() const {
        if (left_ <= kPieceBytes) return left_;
        const auto end = at_ + kPieceBytes;
        return end > instance_.prefix_size ? kPieceBytes - (end - instance_.prefix_size) % archive::Retrieval::kStride : kPieceBytes;
    }

    Result<void> next_instance(Bytes& out) {
        FID_TRY(auto next, retrieval_->next_instance());
        if (!next) {
            ended_ = true;
            if (acceptable_.multipart) append(out, as_bytes(net::multipart_close(boundary_, first_)));
            return {};
        }
        instance_ = *std::move(next);
        if (!Uid::parse(instance_.transfer_syntax_uid)) return fail(ErrorCode::internal, "an instance's transfer syntax is not a UID");
        given_as_ = acceptable_.given_as(instance_.transfer_syntax_uid);
        if (given_as_.empty()) {
            return fail(ErrorCode::unsupported, "stored in transfer syntax " + instance_.transfer_syntax_uid +
                                                    ", which was not asked for; ask for transfer-syntax=*");
        }
        left_ = is_transcoded() ? 0 : instance_.file_size();
        at_ = 0;
        if (acceptable_.multipart) {
            net::HeaderFields headers;
            headers.add("Content-Type", "application/dicom; transfer-syntax=" + given_as_);
            if (is_transcoded()) {
                headers.add("Fiducial-Evidence", "transcoded");
            } else {
                headers.add("Content-Length", std::to_string(left_));
            }
            append(out, as_bytes(net::multipart_part_head(boundary_, first_, headers)));
        }
        first_ = false;
        return is_transcoded() ? begin_transcoding(acceptable_.multipart ? out : head_) : Result<void>();
    }

    Result<void> begin_transcoding(Bytes& out) {
        const auto sop_uid = Uid::parse(instance_.sop_uid), sop_class = Uid::parse(instance_.sop_class_uid);
        if (!sop_uid) return fail(sop_uid.error());
        append(out, dicom::make_file_prefix(given_as_, sop_class.value_or(Uid()), *sop_uid));
        retrieval_->skip(instance_.prefix_size);
        transcoding_.emplace(instance_.transfer_syntax_uid, given_as_, [this](MutableByteView piece) { return retrieval_->read(piece); });
        return {};
    }

    Result<void> transcode(Bytes& out) {
        const std::size_t had = out.size();
        out.resize(had + kPieceBytes);
        FID_TRY(const auto got, transcoding_->read(MutableByteView(out).subspan(had)));
        out.resize(had + got);
        if (got < kPieceBytes) transcoding_.reset();
        return {};
    }

    std::unique_ptr<archive::Retrieval> retrieval_;
    Acceptable acceptable_;
    std::string boundary_;
    archive::RetrievedInstance instance_;
    std::string given_as_;
    std::optional<dicom::Transcoding> transcoding_;
    Bytes head_;              // of a transcoded file that stands by itself
    std::uint64_t left_ = 0;  // of one that is not transcoded
    std::uint64_t at_ = 0;    // in its file
    bool first_ = true;
    bool ended_ = false;
};

net::Task<Result<void>> send_body(Call& call, DicomBody& body, net::BlockingPool& pool, Bytes& piece, std::optional<std::uint64_t> length) {
    FID_CO_CHECK(co_await call.response.begin(length));
    if (call.request.method() == "HEAD") co_return co_await call.response.finish();
    PooledBuffer buffer(pieces());
    Bytes& next = *buffer;
    // Corrupt in these: the answer is broken off.
    auto fill = [&]() { return body.fill(piece); };
    auto fill_next = [&]() { return body.fill(next); };
    while (!piece.empty()) {
        call.body_bytes += piece.size();
        if (!body.at_end() && call.door.retrievals.inside() < std::thread::hardware_concurrency()) {  // a core is idle: it reads on
            auto reading = call.door.reading_on.run(fill_next);
            auto writing = call.response.write(piece);
            const auto [read, written] = co_await net::both(std::move(reading), std::move(writing));
            FID_CO_CHECK(written);
            FID_CO_CHECK(read);
            piece.swap(next);
        } else {
            FID_CO_CHECK(co_await call.response.write(piece));
            piece.clear();
            if (!body.at_end()) FID_CO_CHECK(co_await pool.run(fill));
        }
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

/// One file in another transfer syntax than it is stored in: how long it becomes is not known.
net::Task<Result<void>> send_transcoded(Call& call, DicomBody& body, net::BlockingPool& pool, Bytes& piece) {
    auto fill = [&]() { return body.fill(piece); };
    const auto filled = co_await pool.run(fill);
    if (!filled && is_of_pixels(filled.error())) co_return co_await call.refuse(filled.error(), 406);
    if (!filled) co_return filled;
    call.response.set_header("Vary", "Accept");
    call.response.set_header("Content-Type", "application/dicom; transfer-syntax=" + body.given_as());
    co_return co_await send_body(call, body, pool, piece, std::nullopt);
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
    co_return co_await send_body(call, body, call.door.retrieving, piece, length);
}

bool transcodes(const archive::Retrieval& retrieval, const Acceptable& acceptable) {
    for (std::size_t i = 0; i < retrieval.instance_count(); ++i) {
        const auto stored = retrieval.listed(i).transfer_syntax_uid;
        if (acceptable.given_as(stored) != stored) return true;
    }
    return false;
}

net::Task<Result<void>> give(Call& call, archive::Selector what, Acceptable acceptable) {
    FID_CO_TRY(const auto ticket, call.door.retrievals.enter());
    auto open = [&]() { return call.door.archive.retrieve(call.who, what); };
    FID_CO_TRY(auto retrieval, co_await call.door.retrieving.run(open));
    const bool transcoded = transcodes(*retrieval, acceptable);
    call.say_evidence(*retrieval, transcoded);
    auto& pool = transcoded ? call.door.rendering : call.door.retrieving;
    DicomBody body(std::move(retrieval), acceptable);
    // The first piece comes before the answer's first byte: what fails early fails with a status.
    PooledBuffer buffer(pieces());
    Bytes& piece = *buffer;
    piece.clear();
    piece.reserve(kPieceBytes + 4'096);
    auto begin = [&]() { return acceptable.multipart ? body.fill(piece) : body.begin_single(); };
    const auto begun = co_await pool.run(begin);
    if (!begun && is_of_pixels(begun.error())) co_return co_await call.refuse(begun.error(), 406);
    if (!begun) co_return begun;
    if (!acceptable.multipart && body.is_transcoded()) co_return co_await send_transcoded(call, body, pool, piece);
    if (!acceptable.multipart) co_return co_await send_single(call, body, piece);
    if (body.instance().sop_uid.empty()) co_return fail(ErrorCode::not_found, "no instances");
    call.response.set_header("Content-Type", "multipart/related; type=\"application/dicom\"; boundary=" + body.boundary());
    co_return co_await send_body(call, body, pool, piece, std::nullopt);
}

net::Task<Result<void>> serve_retrieve(Call& call, archive::Selector what) {
    what.original = call.request.target().query_value("original") == "true";
    auto acceptable = negotiate(call.request, what.level);
    if (!acceptable) co_return co_await call.refuse(acceptable.error(), acceptable.error().code == ErrorCode::unsupported ? 406 : 400);
    co_return co_await give(call, std::move(what), *std::move(acceptable));
}

}  // namespace

net::Task<Result<void>> give_instance(Call& call, archive::Selector what, std::string transfer_syntax) {
    Acceptable acceptable;
    acceptable.multipart = false;
    acceptable.any_syntax = transfer_syntax == "*";
    acceptable.or_stored = transfer_syntax.empty();
    acceptable.syntaxes.push_back(transfer_syntax.empty() ? std::string(dicom::kExplicitVrLittleEndian) : std::move(transfer_syntax));
    return give(call, std::move(what), std::move(acceptable));
}

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
