// WADO-RS: images as pictures for eyes, and thumbnails; PS3.18 §10.4.1.1.3, §10.4.1.1.4.
#include "base/json.hpp"
#include "gateway/impl/pixels.hpp"
#include "gateway/impl/render_request.hpp"
#include "gateway/impl/service.hpp"
#include "gateway/impl/wado_uri.hpp"
#include "net/multipart.hpp"

namespace fiducial::gateway::impl {
namespace {

/// Turns images into pictures, one after the other. Blocking: runs in the pool.
class Pictures {
public:
    Pictures(std::unique_ptr<archive::ImageLook> look, std::string study_uid, std::vector<std::uint64_t> frames,
             const dicom::RenderOptions& options, const PictureForm& form)
        : look_(std::move(look)),
          study_uid_(std::move(study_uid)),
          frames_(std::move(frames)),
          options_(options),
          form_(form),
          boundary_(net::make_boundary()) {
        options_.format = form.format;
    }

    std::string content_type() const {
        const auto type = std::string(media_type_of(form_.format));
        return form_.multipart ? "multipart/related; type=\"" + type + "\"; boundary=" + boundary_ : type;
    }
    bool is_multipart() const { return form_.multipart; }

    /// Puts the next picture into out; nothing at the end.
    Result<void> fill(Bytes& out) {
        out.clear();
        if (ended_) return {};
        FID_TRY(const bool there, next_image());
        if (!there) {
            ended_ = true;
            if (form_.multipart) append(out, as_bytes(net::multipart_close(boundary_, first_)));
            return {};
        }
        const auto frame = frames_.empty() ? representative_ : frames_[frame_++];
        FID_TRY(const auto picture, render(frame));
        if (form_.multipart) {
            net::HeaderFields headers;
            headers.add("Content-Type", std::string(media_type_of(form_.format)));
            headers.add("Content-Length", std::to_string(picture.size()));
            headers.add("Content-Location", "/studies/" + study_uid_ + "/series/" + image_->series_uid() + "/instances/" +
                                                image_->sop_uid() + "/frames/" + std::to_string(frame) + "/rendered");
            append(out, as_bytes(net::multipart_part_head(boundary_, first_, headers)));
        }
        first_ = false;
        append(out, picture);
        return {};
    }

private:
    /// Goes to the image that the next picture is made of. Returns: false at the end.
    Result<bool> next_image() {
        if (image_ && frame_ < frames_.size()) return true;
        FID_TRY(image_, look_->next());
        if (!image_) return false;
        frame_ = 0;
        FID_TRY(header_, image_->header());
        representative_ = representative_of(header_);
        return true;
    }

    /// Spec: PS3.3 §C.7.6.6: Representative Frame Number (0028,6010); 1 where there is none.
    static std::uint64_t representative_of(std::string_view header) {
        constexpr std::string_view kTag = "\"00286010\":{\"vr\":\"US\",\"Value\":[";
        const auto at = header.find(kTag);
        if (at == std::string_view::npos) return 1;
        return std::max<std::uint64_t>(1, std::strtoull(std::string(header.substr(at + kTag.size(), 8)).c_str(), nullptr, 10));
    }

    Result<Bytes> render(std::uint64_t frame) {
        const dicom::ReadValue read_value = [&](std::string_view path, std::size_t most) -> Result<Bytes> {
            FID_TRY(const auto place, image_->find(path));
            return read_places(*image_, {place}, most);
        };
        FID_TRY(const auto description, dicom::describe_pixels(header_, frame, read_value));
        FID_TRY(const auto places, image_->find_frame(frame));
        FID_TRY(const auto bytes, read_places(*image_, places, kMostFrameBytes));
        return dicom::render_frame(description, syntax_of_parts(*image_), bytes, options_);
    }

    const std::unique_ptr<archive::ImageLook> look_;
    const std::string study_uid_;
    const std::vector<std::uint64_t> frames_;  // of the one image; empty: the representative frame of each
    dicom::RenderOptions options_;
    const PictureForm form_;
    const std::string boundary_;
    std::unique_ptr<archive::ValueLook> image_;
    std::string header_;
    std::uint64_t representative_ = 1;
    std::size_t frame_ = 0;
    bool first_ = true;
    bool ended_ = false;
};

net::Task<Result<void>> send_pictures(Call& call, Pictures& pictures) {
    Bytes piece;
    auto fill = [&]() { return pictures.fill(piece); };
    const auto first = co_await call.door.rendering.run(fill);  // what fails here fails with a status
    if (!first && is_of_pixels(first.error())) co_return co_await call.refuse(first.error(), 406);
    if (!first) co_return fail(first.error());
    call.response.set_header("Content-Type", pictures.content_type());
    call.response.set_header("Vary", "Accept");
    std::optional<std::uint64_t> length;
    if (!pictures.is_multipart()) length = piece.size();
    FID_CO_CHECK(co_await call.response.begin(length));
    if (call.request.method() == "HEAD") co_return co_await call.response.finish();
    while (!piece.empty()) {
        FID_CO_CHECK(co_await call.response.write(piece));
        call.body_bytes += piece.size();
        FID_CO_CHECK(co_await call.door.rendering.run(fill));
    }
    co_return co_await call.response.finish();
}

using Negotiate = std::function<Result<PictureForm>(bool single)>;

net::Task<Result<void>> give_pictures(Call& call, archive::Selector what, std::vector<std::uint64_t> frames, bool only_one,
                                      dicom::RenderOptions options, Negotiate negotiate) {
    FID_CO_TRY(const auto ticket, call.door.retrievals.enter());
    auto open = [&]() { return call.door.archive.images(call.who, what, only_one); };
    FID_CO_TRY(auto look, co_await call.door.retrieving.run(open));
    call.say_evidence(*look);
    if (look->image_count() == 0) {
        const Error none{ErrorCode::unsupported, "there is no image in it"};
        co_return co_await call.refuse(none, 406);
    }
    const auto form = negotiate(std::max(look->image_count(), frames.size()) == 1);
    if (!form) co_return co_await call.refuse(form.error(), form.error().code == ErrorCode::unsupported ? 406 : 400);
    Pictures pictures(std::move(look), what.study_uid, std::move(frames), options, *form);
    co_return co_await send_pictures(call, pictures);
}

net::Task<Result<void>> serve_pictures(Call& call, archive::Level level, std::vector<std::uint64_t> frames, bool thumbnail) {
    const auto options = read_render_options(call.request.target().query, thumbnail);
    if (!options) co_return co_await call.refuse(options.error(), 400);
    std::string accept = call.request.headers().joined("Accept").value_or("");
    if (const auto in_query = call.request.target().query_value("accept")) accept = *in_query;  // PS3.18 §8.3.3.1
    const Negotiate negotiate = [accept](bool single) { return negotiate_picture(accept, single); };
    auto what = call.selector(level);
    co_return co_await give_pictures(call, std::move(what), std::move(frames), thumbnail, *options, negotiate);
}

net::Task<Result<void>> serve_frame_pictures(Call& call, bool thumbnail) {
    auto frames = read_frame_list(call.rest);
    if (!frames) co_return co_await call.refuse(frames.error(), 400);
    if (thumbnail && frames->size() > 1) {
        const Error several{ErrorCode::malformed, "a thumbnail is of one frame"};
        co_return co_await call.refuse(several, 400);
    }
    co_return co_await serve_pictures(call, archive::Level::instance, std::move(*frames), thumbnail);
}

}  // namespace

net::Task<Result<void>> give_picture(Call& call, archive::Selector what, std::uint64_t frame, dicom::RenderOptions options,
                                     dicom::PictureFormat format) {
    std::vector<std::uint64_t> frames;
    if (frame != 0) frames.push_back(frame);
    Negotiate negotiate = [format](bool) -> Result<PictureForm> { return PictureForm{format, false}; };
    return give_pictures(call, std::move(what), std::move(frames), false, options, std::move(negotiate));
}

net::Task<Result<void>> serve_rendered_study(Call& call) {
    return serve_pictures(call, archive::Level::study, {}, false);
}
net::Task<Result<void>> serve_rendered_series(Call& call) {
    return serve_pictures(call, archive::Level::series, {}, false);
}
net::Task<Result<void>> serve_rendered_instance(Call& call) {
    return serve_pictures(call, archive::Level::instance, {}, false);
}
net::Task<Result<void>> serve_rendered_frames(Call& call) {
    return serve_frame_pictures(call, false);
}
net::Task<Result<void>> serve_study_thumbnail(Call& call) {
    return serve_pictures(call, archive::Level::study, {}, true);
}
net::Task<Result<void>> serve_series_thumbnail(Call& call) {
    return serve_pictures(call, archive::Level::series, {}, true);
}
net::Task<Result<void>> serve_instance_thumbnail(Call& call) {
    return serve_pictures(call, archive::Level::instance, {}, true);
}
net::Task<Result<void>> serve_frame_thumbnail(Call& call) {
    return serve_frame_pictures(call, true);
}

}  // namespace fiducial::gateway::impl
