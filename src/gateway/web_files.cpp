#include "gateway/impl/web_files.hpp"

#include <algorithm>
#include <array>
#include <system_error>

#include "base/bytes.hpp"
#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::gateway::impl {
namespace {

namespace fs = std::filesystem;

struct MediaOfName {
    std::string_view extension, media_type;
};
constexpr MediaOfName kMedia[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".jsonc", "application/json"},
    {".wasm", "application/wasm"},
    {".png", "image/png"},
    {".svg", "image/svg+xml"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".xml", "application/xml"},
    {".txt", "text/plain; charset=utf-8"},
};

std::string media_type_of(std::string_view name) {
    for (const auto& [extension, media_type] : kMedia) {
        if (name.ends_with(extension)) return std::string(media_type);
    }
    return "application/octet-stream";
}

/// "app.bundle.0f6159c501addfe9.js", "5130ccb17e3f3f5b.wasm".
bool holds_hash(std::string_view name) {
    constexpr std::size_t kDigits = 16;
    std::size_t digits = 0;
    for (const char c : name) {
        if (c == '.' && digits == kDigits) return true;
        digits = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ? digits + 1 : c == '.' ? 0 : kDigits + 1;
    }
    return false;
}

std::string tag_of(ByteView what) {
    return "\"" + to_hex(ByteView(crypto::sha256(what)).first(16)) + "\"";
}

std::string path_of_page(std::string_view name, bool with_viewer) {
    if (name == "index.html") return "/";
    if (name == "login.html") return "/login";
    if (name == "viewer-config.js") return with_viewer ? "/ohif/app-config.js" : "";  // where the viewer looks for it
    return "/web/" + std::string(name);
}

Result<WebFile> describe_file(const fs::directory_entry& entry) {
    std::error_code problem;
    WebFile file;
    file.path = entry.path();
    file.size = entry.file_size(problem);
    const auto changed = entry.last_write_time(problem).time_since_epoch().count();
    if (problem) return fail(ErrorCode::io, "the file " + entry.path().string() + ": " + problem.message());
    const auto name = entry.path().filename().string();
    file.media_type = media_type_of(name);
    file.never_changes = holds_hash(name);
    file.entity_tag = tag_of(as_bytes(name + " " + std::to_string(file.size) + " " + std::to_string(changed)));
    const auto beside = fs::path(entry.path()) += ".gz";
    file.compressed = fs::is_regular_file(beside, problem);
    if (file.compressed) file.compressed_size = fs::file_size(beside, problem);
    return file;
}

}  // namespace

Result<void> WebFiles::add_folder(const fs::path& folder, std::string_view prefix) {
    std::error_code problem;
    for (auto entry = fs::recursive_directory_iterator(folder, problem); !problem && entry != fs::recursive_directory_iterator();
         entry.increment(problem)) {
        std::error_code ignored;
        if (entry->is_symlink(ignored) || !entry->is_regular_file(ignored) || entry->path().extension() == ".gz") continue;
        FID_TRY(auto file, describe_file(*entry));
        files_.emplace(std::string(prefix) + entry->path().lexically_relative(folder).generic_string(), std::move(file));  // ours stays
    }
    if (problem) return fail(ErrorCode::io, "the folder " + folder.string() + ": " + problem.message());
    return {};
}

Result<WebFiles> WebFiles::open(const fs::path& viewer_folder, const fs::path& app_folder) {
    WebFiles out;
    if (!app_folder.empty()) {
        FID_CHECK(out.add_folder(app_folder, "/web/"));
        const auto page = out.files_.find("/web/index.html");
        if (page == out.files_.end())
            return fail(ErrorCode::invalid_argument, "there is no application in " + app_folder.string() + "; deploy/web installs it");
        page->second.wants_nonce = true;
        for (const auto* path : {"/", "/login", "/app/"}) out.files_.emplace(path, page->second);
        out.files_.erase(page);
    }
    for (const auto& page : web_pages()) {
        WebFile file;
        file.content = page.content;
        file.size = page.content.size();
        file.media_type = media_type_of(page.name);
        file.entity_tag = tag_of(as_bytes(page.content));
        if (const auto path = path_of_page(page.name, !viewer_folder.empty()); !path.empty()) out.files_.emplace(path, std::move(file));
    }
    if (viewer_folder.empty()) return out;
    FID_CHECK(out.add_folder(viewer_folder, "/ohif/"));
    if (!out.has_viewer())
        return fail(ErrorCode::invalid_argument, "there is no viewer in " + viewer_folder.string() + "; deploy/viewer installs it");
    return out;
}

const WebFile* WebFiles::find(std::string_view path) const {
    if (const auto found = files_.find(path); found != files_.end()) return &found->second;
    const auto found = files_.find(path.starts_with("/app/")                       ? "/app/"
                                   : path == "/ohif" || path.starts_with("/ohif/") ? "/ohif/index.html"
                                                                                   : "");
    if (found == files_.end()) return nullptr;
    const bool names_file = path.starts_with("/ohif/") && path.substr(path.rfind('/')).find('.') != std::string_view::npos;
    return names_file ? nullptr : &found->second;
}

}  // namespace fiducial::gateway::impl
