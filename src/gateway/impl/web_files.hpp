#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace fiducial::gateway::impl {

/// A page of folder web/plain/, compiled in: src/gateway/web_pages.cmake.
struct WebPage {
    std::string_view name;
    std::string_view content;
};
std::span<const WebPage> web_pages();

/// Where the application's page has the nonce of its styles; web/vite.config.ts puts it there.
constexpr std::string_view kNoncePlace = "FIDUCIAL-NONCE";

/// A file that everybody may have.
struct WebFile {
    std::string_view content;    // of one that is compiled in; else empty
    std::filesystem::path path;  // of one that lies in a folder
    std::uint64_t size = 0;
    std::string media_type, entity_tag;
    bool never_changes = false;  // its name holds a hash of what is in it
    bool compressed = false;     // a file of the same name and ".gz" lies beside it
    std::uint64_t compressed_size = 0;
    bool wants_nonce = false;  // each answer gets a nonce of its own in place of kNoncePlace (CSP3 §2.3.1)
};

/// The application of a folder at "/", "/login", "/app/…" and "/web/…", or without one plain pages in its place; and the viewer of a folder
/// below "/ohif/". Looked up by name, never by path: what is not listed when the archive starts does not exist. Threads: safe once made.
class WebFiles {
public:
    /// Folders as deploy/viewer and deploy/web make them; empty: none. Errors: io, not_found; invalid_argument where it is none of those.
    static Result<WebFiles> open(const std::filesystem::path& viewer_folder, const std::filesystem::path& app_folder = {});
    /// Returns: nothing where there is none. Addresses within viewer and application that name no file are their page.
    const WebFile* find(std::string_view path) const;
    bool has_viewer() const { return files_.contains("/ohif/index.html"); }

private:
    Result<void> add_folder(const std::filesystem::path& folder, std::string_view prefix);

    std::map<std::string, WebFile, std::less<>> files_;
};

}  // namespace fiducial::gateway::impl
