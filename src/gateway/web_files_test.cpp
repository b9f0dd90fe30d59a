#include "gateway/impl/web_files.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace fiducial::gateway::impl {
namespace {

namespace fs = std::filesystem;

class WebFilesTest : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("web_files_test." + std::to_string(::getpid()));
        fs::create_directories(folder_ / "viewer" / "assets");
        write("viewer/index.html", "<!doctype html>");
        write("viewer/app.bundle.0f6159c501addfe9.js", "long text");
        write("viewer/app.bundle.0f6159c501addfe9.js.gz", "short");
        write("viewer/app-config.js", "window.config = {}");
        write("viewer/assets/a b.png", "png");
        fs::create_directories(folder_ / "web" / "assets");
        write("web/index.html", "<script nonce=FIDUCIAL-NONCE>");
        write("web/assets/index.0f6159c501addfe9.js", "script");
        write("secret.txt", "secret");
        fs::create_symlink(folder_ / "secret.txt", folder_ / "viewer" / "link.txt");
    }
    void TearDown() override { fs::remove_all(folder_); }
    void write(const std::string& name, std::string_view text) { std::ofstream(folder_ / name) << text; }

    fs::path folder_;
};

TEST_F(WebFilesTest, OurOwnPagesAreThereWithoutAViewer) {
    const auto files = WebFiles::open({});
    ASSERT_TRUE(files);
    for (const auto* path : {"/", "/login", "/web/style.css", "/web/studies.js", "/web/login.js"}) {
        const auto* file = files->find(path);
        ASSERT_NE(file, nullptr) << path;
        EXPECT_EQ(file->size, file->content.size());
        EXPECT_FALSE(file->content.empty());
        EXPECT_FALSE(file->never_changes);
    }
    EXPECT_EQ(files->find("/")->media_type, "text/html; charset=utf-8");
    EXPECT_NE(files->find("/web/login.js")->entity_tag, files->find("/web/studies.js")->entity_tag);
    EXPECT_FALSE(files->has_viewer());
    for (const auto* path : {"/ohif", "/ohif/", "/ohif/app-config.js", "/ohif/viewer", "/index.html", "/web/", "/web/index.html", ""})
        EXPECT_EQ(files->find(path), nullptr) << path;
}

TEST_F(WebFilesTest, TheViewersFilesAreThoseOfItsFolder) {
    const auto files = WebFiles::open(folder_ / "viewer");
    ASSERT_TRUE(files) << files.error().message;
    EXPECT_TRUE(files->has_viewer());
    const auto* script = files->find("/ohif/app.bundle.0f6159c501addfe9.js");
    ASSERT_NE(script, nullptr);
    EXPECT_TRUE(script->never_changes);
    EXPECT_TRUE(script->compressed);
    EXPECT_EQ(script->size, 9u);
    EXPECT_EQ(script->media_type, "text/javascript; charset=utf-8");
    const auto* page = files->find("/ohif/index.html");
    ASSERT_NE(page, nullptr);
    EXPECT_FALSE(page->never_changes || page->compressed);
    for (const auto* path : {"/ohif", "/ohif/", "/ohif/viewer", "/ohif/segmentation/1"}) EXPECT_EQ(files->find(path), page) << path;
    EXPECT_NE(files->find("/ohif/app-config.js")->content.find("Fiducial"), std::string_view::npos);  // ours, not the package's
    EXPECT_NE(files->find("/ohif/assets/a b.png"), nullptr);
    for (const auto* path : {"/ohif/link.txt", "/ohif/../secret.txt", "/ohif/app.bundle.0f6159c501addfe9.js.gz", "/ohif/no.js", "/ohifx"})
        EXPECT_EQ(files->find(path), nullptr) << path;
}

TEST_F(WebFilesTest, TheApplicationStandsInThePlacesOfThePlainPages) {
    const auto files = WebFiles::open(folder_ / "viewer", folder_ / "web");
    ASSERT_TRUE(files) << files.error().message;
    for (const auto* path : {"/", "/login", "/app/", "/app/studies/1.2.3"}) {
        const auto* page = files->find(path);
        ASSERT_NE(page, nullptr) << path;
        EXPECT_TRUE(page->wants_nonce);
        EXPECT_EQ(page->path, folder_ / "web/index.html");
    }
    const auto* script = files->find("/web/assets/index.0f6159c501addfe9.js");
    ASSERT_NE(script, nullptr);
    EXPECT_TRUE(script->never_changes);
    EXPECT_FALSE(script->wants_nonce);
    EXPECT_TRUE(files->has_viewer());
    for (const auto* path : {"/app", "/web/index.html", "/web/nothing.js", "/web/assets/"}) EXPECT_EQ(files->find(path), nullptr) << path;
}

TEST_F(WebFilesTest, AFolderThatIsNoViewerIsRefused) {
    EXPECT_EQ(WebFiles::open(folder_ / "viewer" / "assets").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(WebFiles::open({}, folder_ / "viewer" / "assets").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(WebFiles::open(folder_ / "nothing").error().code, ErrorCode::io);
}

}  // namespace
}  // namespace fiducial::gateway::impl
