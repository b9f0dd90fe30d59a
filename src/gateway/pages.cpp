// What browsers are given: the application or plain pages, and the viewer's files. Anybody may have them; there is nobody's data in them.
#include "base/file.hpp"
#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "gateway/impl/service.hpp"
#include "net/gzip.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kPieceBytes = 262'144;

constexpr const char* kPagesPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'";
constexpr std::size_t kMostPage = 65'536;

/// That of the application: what its widgets write into the page as styles carries the nonce of this one answer; previews are shown from
/// answers that it has read.
std::string app_policy(const std::string& nonce) {
    return "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-" + nonce +
           "'; connect-src 'self'; img-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
}

// OHIF compiles WebAssembly (codecs), starts workers from blobs and writes styles into its pages.
constexpr const char* kViewerPolicy =
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src "
    "'self' "
    "data:; connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'";

net::Task<Result<void>> send_from_disk(Call& call, const WebFile& file, bool compressed) {
    const auto path = compressed ? std::filesystem::path(file.path) += ".gz" : file.path;
    std::optional<File> opened;
    auto open = [&]() -> Result<std::uint64_t> {
        FID_TRY(opened, File::open(path, File::Mode::read));
        return opened->size();
    };
    FID_CO_TRY(const auto size, co_await call.door.retrieving.run(open));
    FID_CO_CHECK(co_await call.response.begin(size));
    if (call.request.method() == "HEAD") co_return co_await call.response.finish();
    Bytes piece(kPieceBytes);
    while (call.body_bytes < size) {
        auto read = [&]() { return opened->read_at(call.body_bytes, piece); };
        FID_CO_TRY(const auto got, co_await call.door.retrieving.run(read));
        if (got == 0) co_return fail(ErrorCode::io, "the file became shorter while it was read");
        const auto part = ByteView(piece).first(got);
        FID_CO_CHECK(co_await call.response.write(part));
        call.body_bytes += got;
    }
    co_return co_await call.response.finish();
}

void isolate(Call& call, const std::string& policy) {
    call.response.set_header("Content-Security-Policy", policy);
    // Both together let a page share memory with its workers, which rendering of volumes needs.
    call.response.set_header("Cross-Origin-Opener-Policy", "same-origin");
    call.response.set_header("Cross-Origin-Embedder-Policy", "require-corp");
    call.response.set_header("Permissions-Policy", "camera=(), microphone=(), geolocation=()");
}

/// The application's page, another one each time.
net::Task<Result<void>> send_with_nonce(Call& call, const WebFile& file) {
    auto read = [&]() { return read_file(file.path, kMostPage); };
    FID_CO_TRY(const auto bytes, co_await call.door.questions.run(read));
    std::string page(as_text(bytes));
    const auto nonce = to_hex(ByteView(crypto::random_bytes32()).first(16));
    for (auto at = page.find(kNoncePlace); at != std::string::npos; at = page.find(kNoncePlace, at))
        page.replace(at, kNoncePlace.size(), nonce);
    isolate(call, app_policy(nonce));
    co_return co_await call.answer(200, file.media_type, std::move(page));
}

net::Task<Result<void>> send_file(Call& call, const WebFile& file, const char* policy) {
    if (file.wants_nonce) co_return co_await send_with_nonce(call, file);
    const bool compressed = file.compressed && net::accepts_gzip(call.request.headers().joined("Accept-Encoding").value_or(""));
    isolate(call, policy);
    call.response.set_header("Cache-Control", file.never_changes ? "public, max-age=31536000, immutable" : "no-cache");
    call.response.set_header("ETag", file.entity_tag);
    call.response.set_header("Vary", "Accept-Encoding");
    if (const auto known = call.request.headers().find("If-None-Match"); known && net::names_entity_tag(*known, file.entity_tag)) {
        call.status = 304;
        call.response.set_status(304);
        co_return co_await call.response.send({});
    }
    if (file.path.empty()) {
        auto content = std::string(file.content);
        co_return co_await call.answer(200, file.media_type, std::move(content));
    }
    call.response.set_header("Content-Type", file.media_type);
    if (compressed) call.response.set_header("Content-Encoding", "gzip");
    FID_CO_TRY(const auto ticket, call.door.retrievals.enter());
    co_return co_await send_from_disk(call, file, compressed);
}

}  // namespace

net::Task<Result<void>> serve_page(Call& call) {
    const auto* file = call.door.web_files.find(call.request.target().path);
    if (file == nullptr) co_return fail(ErrorCode::not_found, "there is no such page");
    co_return co_await send_file(call, *file, kPagesPolicy);
}

net::Task<Result<void>> serve_viewer(Call& call) {
    if (!call.door.web_files.has_viewer()) co_return fail(ErrorCode::not_found, "no viewer is installed; deploy/viewer does that");
    const auto* file = call.door.web_files.find(call.request.target().path);
    if (file == nullptr) co_return fail(ErrorCode::not_found, "the viewer has no such file");
    co_return co_await send_file(call, *file, kViewerPolicy);
}

}  // namespace fiducial::gateway::impl
