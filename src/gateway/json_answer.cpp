#include "gateway/impl/json_answer.hpp"

#include "dicom/json_model.hpp"
#include "net/gzip.hpp"
#include "net/http_syntax.hpp"
#include "net/multipart.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kPieceBytes = 65'536;
constexpr std::size_t kFirstPieceBytes = 8'192;

/// Turns data sets into the bytes of a body. Blocking: runs in the pool.
class ModelBody {
public:
    ModelBody(ModelForm form, bool compressed, NextModel next) : form_(form), next_(std::move(next)), boundary_(net::make_boundary()) {
        if (compressed) gzip_.emplace();
    }

    std::string content_type() const {
        if (form_ == ModelForm::json) return "application/dicom+json";
        return "multipart/related; type=\"application/dicom+xml\"; boundary=" + boundary_;
    }
    bool ended() const { return ended_; }

    /// Puts the next piece of the body into out; nothing at its end. The first one is not waited for until it has become long: a viewer
    /// begins with it.
    Result<void> fill(std::string& out) {
        out.clear();
        if (!gzip_) {
            auto filled = fill_plain(out);
            begun_ = true;
            return filled;
        }
        std::string plain;
        while (!ended_ && out.size() < kPieceBytes) {
            plain.clear();
            FID_CHECK(fill_plain(plain));
            gzip_->write(plain, out);
            if (ended_) gzip_->finish(out);
            if (!ended_ && !begun_) {
                gzip_->flush(out);
                break;
            }
        }
        begun_ = true;
        return {};
    }

private:
    Result<void> fill_plain(std::string& out) {
        while (!ended_ && out.size() < (begun_ ? kPieceBytes : kFirstPieceBytes)) {
            FID_TRY(const auto model, next_());
            if (!model) {
                ended_ = true;
                out += form_ == ModelForm::json ? std::string(first_ ? "[]" : "]") : net::multipart_close(boundary_, first_);
            } else if (form_ == ModelForm::json) {
                out += first_ ? '[' : ',';
                out += *model;
            } else {
                FID_TRY(const auto xml, dicom::to_native_model(*model));
                net::HeaderFields headers;
                headers.add("Content-Type", "application/dicom+xml");
                out += net::multipart_part_head(boundary_, first_, headers) + xml;
            }
            first_ = false;
        }
        return {};
    }

    const ModelForm form_;
    const NextModel next_;
    std::optional<net::GzipWriter> gzip_;
    const std::string boundary_;
    bool begun_ = false;  // a piece was given
    bool first_ = true;
    bool ended_ = false;
};

}  // namespace

Result<ModelForm> negotiate_model(const net::Request& request) {
    std::string wanted = request.headers().joined("Accept").value_or("");
    if (const auto in_query = request.target().query_value("accept")) wanted = *in_query;  // PS3.18 §8.3.3.1
    FID_TRY(const auto items, net::parse_accept(wanted));
    if (items.empty()) return ModelForm::json;
    for (const auto& item : items) {
        if (item.q == 0) continue;
        const auto& range = item.range;
        if (range.type == "*") return ModelForm::json;
        if (range.type == "application" && (range.subtype == "dicom+json" || range.subtype == "json" || range.subtype == "*"))
            return ModelForm::json;
        if (range.essence() == "application/dicom+xml") return ModelForm::xml;
        if (range.type != "multipart" || (range.subtype != "related" && range.subtype != "*")) continue;
        const auto type = range.parameter("type");
        if (!type || net::equals_ignoring_case(*type, "application/dicom+xml")) return ModelForm::xml;
    }
    return fail(ErrorCode::unsupported, "given are application/dicom+json and multipart/related; type=\"application/dicom+xml\"");
}

net::Task<Result<void>> send_models(Call& call, ModelForm form, NextModel next) {
    const bool compressed = net::accepts_gzip(call.request.headers().joined("Accept-Encoding").value_or(""));
    ModelBody body(form, compressed, std::move(next));
    std::string piece;
    auto fill = [&]() { return body.fill(piece); };
    FID_CO_CHECK(co_await call.door.retrieving.run(fill));
    call.response.set_header("Content-Type", body.content_type());
    call.response.set_header("Vary", "Accept, Accept-Encoding");
    if (compressed) call.response.set_header("Content-Encoding", "gzip");
    std::optional<std::uint64_t> length;
    if (body.ended()) length = piece.size();
    FID_CO_CHECK(co_await call.response.begin(length));
    if (call.request.method() == "HEAD") co_return co_await call.response.finish();
    for (bool first = true; !piece.empty(); first = false) {
        const auto bytes = as_bytes(piece);
        FID_CO_CHECK(co_await call.response.write(bytes));
        if (first) FID_CO_CHECK(co_await call.response.flush());
        call.body_bytes += piece.size();
        FID_CO_CHECK(co_await call.door.retrieving.run(fill));  // corrupt here: the answer is broken off
    }
    co_return co_await call.response.finish();
}

}  // namespace fiducial::gateway::impl
