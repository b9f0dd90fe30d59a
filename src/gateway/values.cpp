// WADO-RS: values that metadata name by address, and frames of pixel data, as they are stored or decoded; PS3.18 §10.4.1.1.5, §10.4.1.1.6.
#include <algorithm>

#include "dicom/transcoding.hpp"
#include "dicom/transfer_syntax.hpp"
#include "gateway/impl/media_types.hpp"
#include "gateway/impl/pixels.hpp"
#include "gateway/impl/render_request.hpp"
#include "gateway/impl/service.hpp"
#include "net/http_syntax.hpp"
#include "net/multipart.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kPieceBytes = 262'144;

/// How the parts of an answer are given.
struct PartForm {
    bool multipart = true;
    std::string content_type;     // of each part
    std::string transcoded_as{};  // the transfer syntax of frames that are not given as they are stored

    bool transcodes() const { return !transcoded_as.empty(); }
};

/// Whether a range of Accept takes pixels of that type in that transfer syntax. Octets of a compressed image are given as they are to who
/// names its syntax, or any.
bool takes(const net::MediaType& range, std::string_view type, std::string_view media, std::string_view syntax) {
    if (type != "*/*" && !net::equals_ignoring_case(type, media) && !net::equals_ignoring_case(type, kOctets)) return false;
    const auto wanted = range.parameter("transfer-syntax");
    if (wanted) return *wanted == "*" || *wanted == syntax;
    return type == "*/*" || net::equals_ignoring_case(type, media);
}

/// The transfer syntax in which it takes frames that are stored in another one; empty: none. Spec: PS3.18 §8.7.3.3.2: where it names none,
/// that media type's first.
std::string transcoded_for(const net::MediaType& range, std::string_view type, std::string_view stored) {
    std::string wanted(range.parameter("transfer-syntax").value_or(default_syntax_of(type)));
    const bool native = media_of(stored) == kOctets && !dicom::find_transfer_syntax(stored)->encapsulated;
    if (wanted == stored || (native && wanted == dicom::kExplicitVrLittleEndian)) return {};
    return net::equals_ignoring_case(media_of(wanted), type) && dicom::can_transcode(stored, wanted) ? wanted : std::string();
}

/// Spec: PS3.18 §8.7.3.3, §8.7.5. single: whether the answer has one part, which may then stand by itself; transcodable: whether it can be
/// given in another transfer syntax. Errors: malformed; unsupported (406), saying what is stored.
Result<PartForm> negotiate(const net::Request& request, std::string_view media, std::string_view syntax, bool single, bool transcodable) {
    std::string wanted = request.headers().joined("Accept").value_or("");
    if (const auto in_query = request.target().query_value("accept")) wanted = *in_query;  // PS3.18 §8.3.3.1
    FID_TRY(const auto items, net::parse_accept(wanted));
    PartForm form;
    form.content_type = std::string(media) + "; transfer-syntax=" + std::string(syntax);
    if (items.empty()) return form;
    for (const auto& item : items) {
        const auto& range = item.range;
        if (item.q == 0) continue;
        const bool multipart = range.type == "*" || (range.type == "multipart" && (range.subtype == "related" || range.subtype == "*"));
        if (!multipart && !single) continue;
        const auto type = multipart ? std::string(range.parameter("type").value_or("*/*")) : range.essence();
        if (transcodable) form.transcoded_as = transcoded_for(range, type, syntax);
        if (!form.transcodes() && !takes(range, type, media, syntax)) continue;
        form.multipart = multipart;
        if (form.transcodes()) {
            form.content_type = std::string(media_of(form.transcoded_as)) + "; transfer-syntax=" + form.transcoded_as;
            return form;
        }
        if (net::equals_ignoring_case(type, kOctets)) form.content_type = std::string(kOctets) + "; transfer-syntax=" + std::string(syntax);
        return form;
    }
    return fail(ErrorCode::unsupported, "stored as " + std::string(media) + " in transfer syntax " + std::string(syntax) +
                                            ", and not transcoded to what was asked for; ask for multipart/related; type=\"" +
                                            std::string(media) + "\"; transfer-syntax=*");
}

/// Values in the places of one instance as the bytes of a body. Blocking: runs in the pool.
class ValueBody {
public:
    ValueBody(archive::ValueLook& look, std::vector<std::vector<archive::ValuePlace>> parts, PartForm form)
        : look_(look), parts_(std::move(parts)), form_(std::move(form)), boundary_(net::make_boundary()) {}

    std::string content_type() const {
        if (!form_.multipart) return form_.content_type;
        const auto type = form_.content_type.substr(0, form_.content_type.find(';'));
        return "multipart/related; type=\"" + type + "\"; boundary=" + boundary_;
    }
    /// Of a body without multipart, where it is known.
    std::optional<std::uint64_t> length() const {
        if (form_.multipart || form_.transcodes()) return std::nullopt;
        return length_of(parts_.front());
    }

    /// Puts the next piece of the body into out; nothing at its end.
    Result<void> fill(Bytes& out) {
        out.clear();
        while (!ended_ && out.size() < kPieceBytes) {
            if (place_ == 0 && done_ == 0) begin_part(out);
            if (ended_) break;
            FID_CHECK(form_.transcodes() || shares_bytes(parts_[part_]) ? make_frame(out) : copy(out));
        }
        return {};
    }

private:
    void begin_part(Bytes& out) {
        ended_ = part_ == parts_.size();
        if (!form_.multipart) return;
        if (ended_) {
            append(out, as_bytes(net::multipart_close(boundary_)));
            return;
        }
        net::HeaderFields headers;
        headers.add("Content-Type", form_.content_type);
        if (!form_.transcodes()) headers.add("Content-Length", std::to_string(length_of(parts_[part_])));
        append(out, as_bytes(net::multipart_part_head(boundary_, part_ == 0, headers)));
    }

    Result<void> copy(Bytes& out) {
        const auto& places = parts_[part_];
        if (place_ < places.size() && done_ < places[place_].length) {
            const auto had = out.size();
            out.resize(had + static_cast<std::size_t>(std::min<std::uint64_t>(places[place_].length - done_, kPieceBytes)));
            FID_TRY(const auto got, look_.read(places[place_].offset + done_, MutableByteView(out).subspan(had)));
            if (got == 0) return fail(ErrorCode::malformed, "the data set ends within a value");
            out.resize(had + got);
            done_ += got;
        }
        if (place_ < places.size() && done_ == places[place_].length) {
            ++place_;
            done_ = 0;
        }
        if (place_ == places.size()) {
            ++part_;
            place_ = 0;
        }
        return {};
    }

    /// A whole frame that is not the bytes that are stored.
    Result<void> make_frame(Bytes& out) {
        FID_TRY(auto frame, read_places(look_, parts_[part_], kMostFrameBytes));
        if (form_.transcodes()) {
            if (!image_) {
                FID_TRY(const auto header, look_.header());
                FID_TRY(image_, dicom::describe_layout(header));
            }
            FID_TRY(frame, dicom::transcode_frame(*image_, syntax_of_parts(look_), form_.transcoded_as, frame));
        }
        append(out, frame);
        ++part_;
        return {};
    }

    archive::ValueLook& look_;
    std::optional<dicom::PixelDescription> image_;
    const std::vector<std::vector<archive::ValuePlace>> parts_;
    const PartForm form_;
    const std::string boundary_;
    std::size_t part_ = 0, place_ = 0;
    std::uint64_t done_ = 0;  // of the place
    bool ended_ = false;
};

net::Task<Result<void>> send_values(Call& call, ValueBody& body, net::BlockingPool& pool) {
    Bytes piece;
    piece.reserve(kPieceBytes + 4'096);
    auto fill = [&]() { return body.fill(piece); };
    const auto filled = co_await pool.run(fill);
    if (!filled && is_of_pixels(filled.error())) co_return co_await call.refuse(filled.error(), 406);
    if (!filled) co_return filled;
    call.response.set_header("Content-Type", body.content_type());
    const auto length = body.length();
    FID_CO_CHECK(co_await call.response.begin(length));
    if (call.request.method() == "HEAD") co_return co_await call.response.finish();
    while (!piece.empty()) {
        FID_CO_CHECK(co_await call.response.write(piece));
        call.body_bytes += piece.size();
        FID_CO_CHECK(co_await pool.run(fill));  // corrupt here: the answer is broken off
    }
    co_return co_await call.response.finish();
}

using Parts = std::vector<std::vector<archive::ValuePlace>>;
using Find = std::function<Result<Parts>(archive::ValueLook&)>;

net::Task<Result<void>> serve_values(Call& call, bool are_frames, Find find) {
    FID_CO_TRY(const auto ticket, call.door.retrievals.enter());
    const auto what = call.selector(archive::Level::instance);
    auto open = [&]() { return call.door.archive.values(call.who, what); };
    auto look = co_await call.door.retrieving.run(open);
    if (!look && look.error().code == ErrorCode::unsupported) co_return co_await call.refuse(look.error(), 406);
    if (!look) co_return fail(look.error());
    auto places = [&]() { return find(**look); };
    auto parts = co_await call.door.retrieving.run(places);
    if (!parts && parts.error().code == ErrorCode::unsupported) co_return co_await call.refuse(parts.error(), 406);
    if (!parts) co_return fail(parts.error());
    const auto syntax = syntax_of_parts(**look);
    const bool read_through = syntax != (*look)->transfer_syntax_uid();
    const bool transcodable = are_frames && dicom::can_transcode(syntax, dicom::kExplicitVrLittleEndian);
    auto form = negotiate(call.request, are_frames ? media_of(syntax) : kOctets, syntax, parts->size() == 1, transcodable);
    if (!form) co_return co_await call.refuse(form.error(), form.error().code == ErrorCode::unsupported ? 406 : 400);
    const bool made = form->transcodes() || read_through || std::any_of(parts->begin(), parts->end(), shares_bytes);
    call.say_evidence(**look, made);
    auto& pool = made ? call.door.rendering : call.door.retrieving;
    ValueBody body(**look, std::move(*parts), std::move(*form));
    co_return co_await send_values(call, body, pool);
}

}  // namespace

net::Task<Result<void>> serve_frames(Call& call) {
    const auto numbers = read_frame_list(call.rest);
    if (!numbers) co_return fail(numbers.error());
    const Find find = [&](archive::ValueLook& look) -> Result<Parts> {
        Parts parts;
        for (const auto number : *numbers) {
            FID_TRY(auto places, look.find_frame(number));
            parts.push_back(std::move(places));
        }
        return parts;
    };
    co_return co_await serve_values(call, true, find);
}

net::Task<Result<void>> serve_bulk_data(Call& call) {
    const Find find = [&](archive::ValueLook& look) -> Result<Parts> {
        FID_TRY(const auto place, look.find(call.rest));
        return Parts{{place}};
    };
    co_return co_await serve_values(call, false, find);
}

}  // namespace fiducial::gateway::impl
