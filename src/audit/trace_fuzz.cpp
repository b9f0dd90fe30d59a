#include <stdlib.h>

#include "audit/impl/trace_format.hpp"
#include "audit/trace.hpp"

namespace {

using namespace fiducial;
namespace fs = std::filesystem;

constexpr std::uint64_t kEntries = 12;

crypto::Secret mac_key() {
    return crypto::Secret(32);
}

/// A log of kEntries entries, made once; each input starts from its bytes.
struct Original {
    fs::path folder;
    Bytes log, head;

    Original() {
        const fs::path base = fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
        std::string name = (base / "fiducial-trace-fuzz-XXXXXX").string();
        FID_INVARIANT(::mkdtemp(name.data()) != nullptr, "no folder for the fuzzer");
        folder = name;
        log::set_level(log::Level::error);
        {
            auto trace = audit::Trace::create(folder, mac_key());
            for (std::uint64_t i = 0; i < kEntries; ++i) {
                audit::Entry entry;
                entry.block_number = i;
                FID_INVARIANT((*trace)->append_durable(entry, {}), "the log cannot be made");
            }
        }
        log = read_file(folder / audit::impl::kLogName, 1 << 20).value();
        head = read_file(folder / audit::impl::kHeadName, 1 << 20).value();
    }
    ~Original() { fs::remove_all(folder); }
};

/// Edits the bytes as the input says: overwrite, cut, insert, copy a piece elsewhere.
void edit(Bytes& bytes, ByteReader& input) {
    while (input.remaining() >= 6) {
        const auto what = *input.u8("what");
        const std::size_t at = *input.u16("at") % (bytes.size() + 1);
        const std::size_t count = *input.u16("count") % 256;
        const auto value = *input.u8("value");
        const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
        const auto end = place + static_cast<std::ptrdiff_t>(std::min(count, bytes.size() - at));
        if (what % 5 == 0 && at < bytes.size()) *place = value;
        if (what % 5 == 1) bytes.erase(place, end);
        if (what % 5 == 2) bytes.insert(place, count, value);
        if (what % 5 == 3) bytes.resize(at);
        if (what % 5 == 4) {
            const Bytes piece(place, end);
            const std::size_t to = std::size_t{value} * bytes.size() / 256;
            bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(to), piece.begin(), piece.end());
        }
        if (bytes.size() > 65536) bytes.resize(65536);
    }
}

}  // namespace

// Whatever is done to the two files: a clean report means that every synced entry is what it was, and opening never brings
// back anything else.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Original original;
    if (size == 0) return 0;
    ByteReader input({data, size});
    const bool in_head = *input.u8("file") % 4 == 0;
    Bytes log = original.log, head = original.head;
    edit(in_head ? head : log, input);
    const auto put = [](std::string_view name, ByteView bytes) {
        auto file = File::open(original.folder / name, File::Mode::read_write_create);
        FID_INVARIANT(file && file->write_at(0, bytes) && file->truncate(bytes.size()), "the fuzzer's files cannot be written");
    };
    put(audit::impl::kLogName, log);
    put(audit::impl::kHeadName, head);

    const auto report = audit::Trace::check_folder(original.folder, mac_key());
    FID_INVARIANT(report.has_value(), "a check fails on files that can be read");
    if (report->clean()) {
        const bool kept = log.size() >= original.log.size() && std::equal(original.log.begin(), original.log.end(), log.begin());
        FID_INVARIANT(kept || in_head, "a changed log is called clean");
        FID_INVARIANT(report->size == kEntries, "a clean log lost entries");
    }
    const auto trace = audit::Trace::open(original.folder, mac_key());
    if (trace) {
        (void)(*trace)->for_each(0, [](std::uint64_t index, const audit::StoredEntry& entry) {
            FID_INVARIANT(entry.clear.block_number == index, "another entry is served");
            return true;
        });
    }
    return 0;
}
