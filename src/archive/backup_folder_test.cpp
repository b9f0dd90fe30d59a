#include "archive/backup_folder.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <thread>

#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

namespace fs = std::filesystem;

class BackupTest : public ::testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "fiducial-backup-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        fs::create_directories(site());
    }
    void TearDown() override { fs::remove_all(folder_); }

    static crypto::Secret key(std::uint8_t byte = 7) { return crypto::Secret::copy_of(Bytes(32, byte)); }
    static Bytes random(std::size_t size) {
        Bytes bytes(size);
        crypto::fill_random(bytes);
        return bytes;
    }
    fs::path site() const { return folder_ / "site"; }
    fs::path place() const { return folder_ / "backup"; }
    Bytes32 site_id() const { return Bytes32{1, 2, 3}; }

    void put(const std::string& name, ByteView bytes) const {
        fs::create_directories((site() / name).parent_path());
        ASSERT_TRUE(write_file_atomically(site() / name, bytes));
    }
    /// As if nobody had touched it for a while.
    void age(const std::string& name) const {
        fs::last_write_time(site() / name, fs::file_time_type::clock::now() - std::chrono::hours(1));
    }
    struct Added {
        std::string name;
        bool sealed = false;
    };
    Result<BackupWriter::Report> back_up(std::vector<Added> files, std::uint64_t piece = 1000) {
        FID_TRY(const auto writer, BackupWriter::open(place(), site_id(), key()));
        for (const auto& file : files)
            FID_CHECK(writer->add_file(file.name, site() / file.name, fs::file_size(site() / file.name), piece, file.sealed));
        return writer->finish(1, 0, {});
    }
    Result<BackupReader> reader() const {
        FID_TRY(auto opened, BackupReader::open(place()));
        FID_CHECK(opened.authenticate(key()));
        return opened;
    }
    Bytes restored(const std::string& name) const { return reader().value().read(name, 1 << 24).value(); }
    std::vector<std::string> damage(const std::string& name) const {
        return reader().value().check(name, nullptr, [](std::uint64_t) { return Result<void>(); }).value();
    }
    std::vector<fs::path> pieces() const {
        std::vector<fs::path> out;
        for (const auto& entry : fs::recursive_directory_iterator(place() / "pieces")) {
            if (entry.is_regular_file()) out.push_back(entry.path());
        }
        return out;
    }

    fs::path folder_;
};

TEST_F(BackupTest, OnlyWhatIsNewIsCopied) {
    auto bytes = random(10'500);
    put("a", bytes);
    const auto first = back_up({{"a"}});
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(first->bytes_copied, bytes.size());
    EXPECT_EQ(restored("a"), bytes);

    append(bytes, random(300));
    put("a", bytes);
    const auto grown = back_up({{"a"}});
    EXPECT_EQ(grown->bytes_copied, 300U);
    EXPECT_EQ(grown->bytes, bytes.size());
    bytes[2'345] ^= 1;  // as an upload that goes on below what was copied
    put("a", bytes);
    EXPECT_EQ(back_up({{"a"}})->bytes_copied, 1'000U);
    EXPECT_EQ(restored("a"), bytes);
    EXPECT_EQ(back_up({{"a"}})->bytes_copied, 0U);

    bytes.resize(1'500);
    put("a", bytes);
    EXPECT_LE(back_up({{"a"}})->bytes_copied, 500U);
    EXPECT_EQ(restored("a"), bytes);
}

TEST_F(BackupTest, AFileOfTheSameTimeIsNotReadAgainAndAYoungOneIs) {
    put("old", random(5'000));
    put("young", random(5'000));
    age("old");
    ASSERT_TRUE(back_up({{"old"}, {"young"}}));
    const auto time = fs::last_write_time(site() / "old");
    const auto before = restored("old");
    for (const auto* name : {"old", "young"}) {
        std::fstream file(site() / name, std::ios::in | std::ios::out | std::ios::binary);
        file.put('!');
    }
    fs::last_write_time(site() / "old", time);
    ASSERT_TRUE(back_up({{"old"}, {"young"}}));
    EXPECT_EQ(restored("old"), before);
    EXPECT_EQ(restored("young").front(), '!');
}

TEST_F(BackupTest, NothingOfASealedFileStandsInTheBackup) {
    const std::string name = "Doe^Jane, a patient whose name is long enough to be found";
    Bytes bytes(3'000, 'x');
    std::copy(name.begin(), name.end(), bytes.begin() + 1'200);
    put("index.db", bytes);
    ASSERT_TRUE(back_up({{"index.db", true}}));
    EXPECT_EQ(restored("index.db"), bytes);
    for (const auto& path : pieces()) {
        const auto stored = read_file(path, 1 << 20).value();
        EXPECT_EQ(as_text(stored).find("Doe"), std::string_view::npos);
        EXPECT_EQ(to_hex(crypto::sha256(stored)), path.filename());
    }
    EXPECT_EQ(back_up({{"index.db", true}})->bytes_copied, 0U) << "sealed with another nonce each time";
    bytes[0] = 'y';
    put("index.db", bytes);
    EXPECT_LT(back_up({{"index.db", true}})->bytes_copied, 1'100U);
    EXPECT_EQ(restored("index.db"), bytes);
}

TEST_F(BackupTest, OneVersionOfTheSecretsIsLeft) {
    put("secrets", random(4'000));
    ASSERT_TRUE(back_up({{"secrets"}}, kMaxPieceBytes));
    const auto former = pieces();
    ASSERT_EQ(former.size(), 1U);
    const auto held = File::open(former[0], File::Mode::read).value();  // what undeletion would find
    put("secrets", random(4'000));
    ASSERT_TRUE(back_up({{"secrets"}}, kMaxPieceBytes));
    EXPECT_EQ(pieces().size(), 1U);
    EXPECT_FALSE(fs::exists(former[0]));
    Bytes left(4'000);
    ASSERT_TRUE(held.read_exactly_at(0, left));
    EXPECT_EQ(left, Bytes(4'000, 0));
}

TEST_F(BackupTest, WhatWasNotFinishedLeavesTheLastOneAsItWas) {
    const auto first = random(2'000);
    put("a", first);
    ASSERT_TRUE(back_up({{"a"}}));
    put("a", random(2'000));
    {
        const auto killed = BackupWriter::open(place(), site_id(), key()).value();
        ASSERT_TRUE(killed->add_file("a", site() / "a", 2'000, 1'000));
        EXPECT_EQ(BackupWriter::open(place(), site_id(), key()).error().code, ErrorCode::locked);
    }
    EXPECT_EQ(restored("a"), first);
    EXPECT_EQ(pieces().size(), 4U);
    // A piece that a killed backup left may be torn: its name proves nothing.
    const auto last = reader();
    for (const auto& path : pieces()) {
        bool named = false;
        for (const auto& piece : last->manifest().files.at("a").pieces) named = named || path.filename() == to_hex(piece.stored);
        if (!named) fs::resize_file(path, 10);
    }
    ASSERT_TRUE(back_up({{"a"}}));
    EXPECT_TRUE(damage("a").empty());
    EXPECT_EQ(pieces().size(), 2U);
}

TEST_F(BackupTest, DamageIsNamed) {
    put("segments/one", random(3'000));
    ASSERT_TRUE(back_up({{"segments/one"}}));
    const auto listed = reader()->manifest().files.at("segments/one").pieces;
    const BackupLayout layout{place()};
    {
        std::fstream file(layout.piece(listed[1].stored), std::ios::in | std::ios::out | std::ios::binary);
        file.put('!');
    }
    fs::remove(layout.piece(listed[2].stored));
    const auto found = damage("segments/one");
    ASSERT_EQ(found.size(), 2U);
    EXPECT_NE(found[0].find("segments/one, bytes 1000 to 2000"), std::string::npos) << found[0];
    EXPECT_NE(found[0].find("is not what was written"), std::string::npos) << found[0];
    EXPECT_NE(found[1].find("is missing"), std::string::npos) << found[1];
    EXPECT_EQ(reader()->read("segments/one", 1 << 20).error().code, ErrorCode::corrupt);
    EXPECT_EQ(reader()->read("segments/two", 1 << 20).error().code, ErrorCode::not_found);
}

TEST_F(BackupTest, TheFolderIsOneSitesAndNobodyElses) {
    put("a", random(100));
    ASSERT_TRUE(back_up({{"a"}}));
    EXPECT_EQ(BackupWriter::open(place(), Bytes32{9}, key()).error().code, ErrorCode::conflict);
    EXPECT_EQ(BackupWriter::open(place(), site_id(), key(8)).error().code, ErrorCode::corrupt);
    EXPECT_EQ(BackupWriter::open(site(), site_id(), key()).error().code, ErrorCode::conflict);
    EXPECT_EQ(BackupReader::open(site()).error().code, ErrorCode::not_found);
}

// As after a change of the site's root key.
TEST_F(BackupTest, ABackupUnderAFormerKeyIsReplacedByAWholeNewOne) {
    put("a", random(2'000));
    put("names", random(2'000));
    age("a");
    ASSERT_TRUE(back_up({{"a"}, {"names", true}}));
    const auto before = pieces();
    const std::vector<crypto::Secret> former = [] {
        std::vector<crypto::Secret> keys;
        keys.push_back(key());
        return keys;
    }();
    {
        const auto killed = BackupWriter::open(place(), site_id(), key(8), former).value();
        EXPECT_TRUE(killed->previous().files.empty()) << "who had the key could have written it";
        ASSERT_TRUE(killed->add_file("names", site() / "names", 2'000, 1000, true));
    }
    EXPECT_EQ(restored("a"), *read_file(site() / "a", 1 << 20)) << "until the new one is whole";
    const auto writer = BackupWriter::open(place(), site_id(), key(8), former).value();
    ASSERT_TRUE(writer->add_file("a", site() / "a", 2'000, 1000, false));
    ASSERT_TRUE(writer->add_file("names", site() / "names", 2'000, 1000, true));
    ASSERT_TRUE(writer->finish(2, 0, {}));
    EXPECT_FALSE(reader());
    auto opened = BackupReader::open(place()).value();
    ASSERT_TRUE(opened.authenticate(key(8)));
    for (const auto* name : {"a", "names"}) EXPECT_EQ(*opened.read(name, 1 << 20), *read_file(site() / name, 1 << 20));
    std::size_t left = 0;
    for (const auto& piece : before) left += fs::exists(piece) ? 1 : 0;
    EXPECT_EQ(left, 2U) << "those of the file that is no secret";
    EXPECT_EQ(pieces().size(), 4U);
}

TEST_F(BackupTest, WhatNoBackupMadeIsNeverTouched) {
    put("a", random(2'000));
    ASSERT_TRUE(back_up({{"a"}}));
    const auto precious = folder_ / "precious";
    const auto words = random(500);
    fs::create_directories(precious / "ab");
    const std::string name = "ab" + std::string(62, '0');
    for (const auto& file : {precious / "ab" / name, precious / "notes.txt"}) ASSERT_TRUE(write_file_atomically(file, words));
    const auto expect_refused = [&](const fs::path& named) {
        const auto before = pieces().size();
        put("a", random(2'000));
        const auto refused = back_up({{"a"}});
        ASSERT_FALSE(refused) << named;
        EXPECT_EQ(refused.error().code, ErrorCode::conflict) << refused.error().message;
        EXPECT_NE(refused.error().message.find(named.string()), std::string::npos) << refused.error().message;
        for (const auto& file : {precious / "ab" / name, precious / "notes.txt"})
            EXPECT_EQ(read_file(file, 1 << 20).value(), words) << named;
        EXPECT_EQ(pieces().size(), before) << named;
        fs::remove_all(named);
        EXPECT_TRUE(back_up({{"a"}})) << named;
    };
    const auto pieces_folder = place() / "pieces";
    const auto links = [&](const fs::path& at, const fs::path& to) {
        fs::create_directories(at.parent_path());
        fs::create_symlink(to, at);
        expect_refused(at);
    };
    fs::remove_all(pieces_folder / "ab");
    links(pieces_folder / "ab", precious / "ab");
    links(pieces_folder / "ab" / name, precious / "ab" / name);
    links(pieces_folder / "ab" / name, folder_ / "dangling");
    EXPECT_FALSE(fs::exists(folder_ / "dangling"));
    fs::remove(place() / "lock");
    links(place() / "lock", precious / "notes.txt");
    for (const auto& foreign : {pieces_folder / "notes.txt", pieces_folder / "ab" / "notes.txt", pieces_folder / "cd" / name}) {
        fs::create_directories(foreign.parent_path());
        fs::copy_file(precious / "notes.txt", foreign);
        expect_refused(foreign);
    }
    fs::create_directories(pieces_folder / "ab" / name);
    expect_refused(pieces_folder / "ab" / name);
    fs::remove_all(place());
    fs::create_directories(place());
    links(pieces_folder, precious);
}

TEST_F(BackupTest, AStreamGoesOnWhereItEnded) {
    const auto write = [&](bool goes_on, std::vector<Bytes> parts) {
        const auto writer = BackupWriter::open(place(), site_id(), key()).value();
        std::size_t at = 0;
        EXPECT_TRUE(writer->add_stream("blocks", goes_on, [&]() -> Result<Bytes> { return at < parts.size() ? parts[at++] : Bytes(); }));
        EXPECT_TRUE(writer->finish(1, 5, Hash{5}));
    };
    const auto one = random(1'000), two = random(2'000), three = random(500);
    write(true, {one, two});
    write(true, {});
    write(true, {three});
    Bytes all = one;
    append(all, two);
    append(all, three);
    EXPECT_EQ(restored("blocks"), all);
    EXPECT_EQ(reader()->manifest().chain_head, 5U);
    write(false, {two});
    EXPECT_EQ(restored("blocks"), two);
}

TEST(BackupManifest, IsReadBackAndStandsUnderItsMac) {
    BackupManifest manifest;
    manifest.site_id = Bytes32{4};
    manifest.made_ms = 1'800'000'000'000;
    manifest.chain_head = 12;
    manifest.chain_hash = Hash{6};
    manifest.files["store/index.db"] = {30, 5, true, {{Hash{1}, 10, Hash{2}}, {Hash{3}, 20, Hash{4}}}};
    manifest.files["empty"] = {};
    const auto key = crypto::Secret::copy_of(Bytes(32, 1));
    const auto file = manifest.encode(key);
    const auto found = FoundManifest::decode(file);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->manifest.body(), manifest.body());
    EXPECT_TRUE(found->authenticate(key));
    EXPECT_EQ(found->authenticate(crypto::Secret::copy_of(Bytes(32, 2))).error().code, ErrorCode::corrupt);
    // docs/formats/backup.md
    EXPECT_EQ(as_text(ByteView(file).first(18)), "fiducial-backup 1 ");
    const auto mac = crypto::hmac_sha256(key.view(), {as_bytes("\x0b"
                                                               "fid.backup1"),
                                                      as_bytes(manifest.body())});
    EXPECT_EQ(as_text(ByteView(file).subspan(18, 64)), to_hex(mac));
    for (std::size_t i = 0; i < file.size(); ++i) {  // every byte counts
        auto changed = file;
        changed[i] ^= 1;
        const auto read = FoundManifest::decode(changed);
        EXPECT_FALSE(read && read->authenticate(key)) << i;
    }
}

TEST(BackupManifest, WhatCannotBeIsRefused) {
    const auto key = crypto::Secret::copy_of(Bytes(32, 1));
    const auto with = [&](const std::string& path, BackupFile file) {
        BackupManifest manifest;
        manifest.files[path] = std::move(file);
        return FoundManifest::decode(manifest.encode(key));
    };
    const BackupPiece piece{Hash{1}, 10, {}};
    ASSERT_TRUE(with("a/b-c_d.e", {10, 0, false, {piece}}));
    for (const auto* path : {"/etc/passwd", "../a", "a/../../b", "a//b", "a/./b", "a/", "", "a\\b", "a b"})
        EXPECT_EQ(with(path, {10, 0, false, {piece}}).error().code, ErrorCode::malformed) << path;
    EXPECT_EQ(with("a", {11, 0, false, {piece}}).error().code, ErrorCode::malformed);
    EXPECT_EQ(with("a", {0, 0, false, {{Hash{1}, 0, {}}}}).error().code, ErrorCode::malformed);
    EXPECT_EQ(with("a", {kMaxPieceBytes + 1, 0, false, {{Hash{1}, kMaxPieceBytes + 1, {}}}}).error().code, ErrorCode::malformed);
    EXPECT_EQ(with("a", {10, -1, false, {piece}}).error().code, ErrorCode::malformed);
    const auto text = [](std::string_view file) { return FoundManifest::decode(as_bytes(file)).error().code; };
    EXPECT_EQ(text(""), ErrorCode::malformed);
    EXPECT_EQ(text("fiducial-backup 2 "), ErrorCode::unsupported);
    EXPECT_EQ(text("fiducial-backup 1 00"), ErrorCode::malformed);
    EXPECT_EQ(text("fiducial-backup 1 " + std::string(64, '0') + "\n"), ErrorCode::malformed);
    EXPECT_EQ(text("fiducial-backup 1 " + std::string(64, '0') + "\n{}"), ErrorCode::malformed);
    EXPECT_EQ(text("fiducial-backup 1 " + std::string(64, 'x') + "\n{}"), ErrorCode::malformed);
}

}  // namespace
}  // namespace fiducial::archive
