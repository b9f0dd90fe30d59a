#include "store/shred_store.hpp"

#include <algorithm>
#include <filesystem>
#include <list>
#include <map>
#include <mutex>

#include "base/file.hpp"
#include "base/log.hpp"
#include "store/impl/shred_page.hpp"

namespace fiducial::store {
namespace {

constexpr std::size_t kCachedPages = 64;
using Kind = ShredPage::Kind;

std::string_view word_for(Kind kind) {
    return kind == Kind::study ? "study" : "patient";
}

}  // namespace

Error secrets_missing(std::string_view kind, std::uint64_t slot, std::uint64_t slots) {
    return {ErrorCode::corrupt, "the secrets are missing or older than what is stored (" + std::string(kind) + " slot " +
                                    std::to_string(slot) + " is in use, the pages hold " + std::to_string(slots) +
                                    "): restore store/secrets from a backup; nothing was stored"};
}

struct ShredStore::State {
    std::filesystem::path folder;
    crypto::Secret wrapping_key;
    mutable std::mutex mutex;
    std::map<Kind, std::uint32_t> page_counts;
    std::map<Kind, Slot> next_free;
    std::uint32_t former_until = 0;
    using Key = std::pair<Kind, std::uint32_t>;
    mutable std::map<Key, std::shared_ptr<const ShredPage>> cache;
    mutable std::list<Key> cache_order;

    std::filesystem::path path_of(Kind kind, std::uint32_t number) const {
        auto digits = std::to_string(number);
        digits.insert(0, digits.size() < 6 ? 6 - digits.size() : 0, '0');
        return folder / (std::string(word_for(kind)) + "-" + digits + ".page");
    }

    Result<void> count_pages() {
        for (const auto kind : {Kind::study, Kind::patient}) {
            std::uint32_t count = 0;
            std::error_code error;
            while (std::filesystem::exists(path_of(kind, count), error)) ++count;
            page_counts[kind] = count;
            next_free[kind] = 0;
        }
        // A gap would let slots be made a second time under a number that is in use.
        std::error_code error;
        std::size_t files = 0;
        for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
            if (entry->path().extension() == ".page") ++files;
            if (entry->path().filename().string().find(".page.new-") != std::string::npos) {  // left by a process that was killed
                std::error_code ignored;
                std::filesystem::remove(entry->path(), ignored);
            }
        }
        if (error) return fail(ErrorCode::io, "listing " + folder.string() + ": " + error.message());
        // A page made by a process that ended before it had synced the folder: no slot of it is given out before its name is durable.
        FID_CHECK(sync_folder(folder));
        if (files != page_counts[Kind::study] + page_counts[Kind::patient]) {
            return fail(ErrorCode::corrupt, folder.string() + ": a page of the shred store is missing (" +
                                                std::to_string(page_counts[Kind::study]) + " study and " +
                                                std::to_string(page_counts[Kind::patient]) + " patient pages in sequence, " +
                                                std::to_string(files) + " files); restore it from a backup");
        }
        return {};
    }

    Result<void> look_for_former() {
        for (std::uint32_t number = 0; number < page_counts[Kind::study]; ++number) {
            FID_TRY(const auto file, File::open(path_of(Kind::study, number), File::Mode::read));
            Bytes head(ShredPage::kHeadSize);
            FID_CHECK(file.read_exactly_at(0, head));
            former_until = std::max(former_until, ShredPage::claimed_former_until(head));
        }
        return {};
    }

    Result<std::shared_ptr<const ShredPage>> load(Kind kind, std::uint32_t number) const {  // under the mutex
        const Key key{kind, number};
        if (const auto found = cache.find(key); found != cache.end()) return found->second;
        const auto path = path_of(kind, number);
        FID_TRY(const auto file, read_file(path, kMaxShredPageBytes));
        auto page = ShredPage::open(file, wrapping_key);
        if (!page) {
            auto error = std::move(page).error().with(path.string());
            if (error.code == ErrorCode::malformed) error.code = ErrorCode::corrupt;
            return fail(std::move(error));
        }
        if (page->kind != kind || page->number != number) {
            return fail(ErrorCode::corrupt, path.string() + " is another page under this name (page " + std::to_string(page->number) + ")");
        }
        auto shared = std::make_shared<const ShredPage>(*std::move(page));
        remember(key, shared);
        return shared;
    }

    void remember(const Key& key, std::shared_ptr<const ShredPage> page) const {
        if (!cache.contains(key)) cache_order.push_back(key);
        cache[key] = std::move(page);
        if (cache_order.size() > kCachedPages) {
            cache.erase(cache_order.front());
            cache_order.pop_front();
        }
    }

    Result<void> add_page(Kind kind) {  // under the mutex
        const auto number = page_counts[kind];
        auto page = std::make_shared<const ShredPage>(ShredPage::make(kind, number));
        FID_CHECK(write_file_atomically(path_of(kind, number), page->seal(wrapping_key)));
        page_counts[kind] = number + 1;
        remember({kind, number}, page);
        return {};
    }

    Result<Slot> allocate(Kind kind) {
        const std::lock_guard lock(mutex);
        while (true) {
            const Slot slot = next_free[kind];
            while (slot / kSlotsPerPage >= page_counts[kind]) FID_CHECK(add_page(kind));
            FID_TRY(const auto page, load(kind, slot / kSlotsPerPage));
            next_free[kind] = slot + 1;
            if (!page->is_destroyed(slot % kSlotsPerPage)) return slot;
        }
    }

    void mark_used(Kind kind, Slot highest) {
        const std::lock_guard lock(mutex);
        next_free[kind] = std::max(next_free[kind], highest + 1);
    }

    std::uint64_t slots(Kind kind) const { return std::uint64_t{page_counts.at(kind)} * kSlotsPerPage; }  // under the mutex

    struct Found {
        crypto::Secret secrets;  // of the slot, one after another
        std::uint32_t former_until = 0;
    };
    Result<Found> secrets(Kind kind, Slot slot) const {
        const std::lock_guard lock(mutex);
        const auto number = slot / kSlotsPerPage;
        if (number >= page_counts.at(kind)) return fail(secrets_missing(word_for(kind), slot, slots(kind)));
        FID_TRY(const auto page, load(kind, number));
        if (page->is_destroyed(slot % kSlotsPerPage)) {
            return fail(ErrorCode::not_found,
                        "the secrets of " + std::string(word_for(kind)) + " slot " + std::to_string(slot) + " were destroyed");
        }
        return Found{crypto::Secret::copy_of(page->slot(slot % kSlotsPerPage).subspan(1)), page->former_until};
    }

    static std::filesystem::path former_of(std::filesystem::path path) { return path += ".former"; }

    // A page's former file keeps a name until its bytes are overwritten: what a crash or a failing disk breaks off is done later.
    Result<void> overwrite_former(const std::filesystem::path& path) {
        const auto name = former_of(path);
        auto former = File::open(name, File::Mode::read_write);
        if (!former) return former.error().code == ErrorCode::not_found ? Result<void>() : fail(former.error());
        FID_CHECK(sync_folder(folder));  // the page has its new file, also after a power cut
        std::error_code error;
        const auto names = std::filesystem::hard_link_count(name, error);
        if (error) return fail(error_from_errno(error.value(), "looking at", name));
        if (names == 1) {  // else it is the page still: nothing was written in its place
            FID_TRY(const auto size, former->size());
            FID_CHECK(former->write_at(0, Bytes(std::min<std::uint64_t>(size, kMaxShredPageBytes))));
            FID_CHECK(former->sync_data());
        }
        if (std::filesystem::remove(name, error); error) return fail(error_from_errno(error.value(), "removing", name));
        return {};
    }

    Result<void> finish_overwriting() {
        for (const auto kind : {Kind::study, Kind::patient}) {
            for (std::uint32_t number = 0; number < page_counts[kind]; ++number) FID_CHECK(overwrite_former(path_of(kind, number)));
        }
        return {};
    }

    // Writes a page in place of its file, then overwrites the former file's bytes.
    Result<void> replace(const ShredPage& page, const crypto::Secret& key) {
        const auto path = path_of(page.kind, page.number);
        FID_CHECK(overwrite_former(path));
        std::error_code error;
        std::filesystem::create_hard_link(path, former_of(path), error);
        if (error) return fail(error_from_errno(error.value(), "naming the former file of", path));
        FID_CHECK(write_file_atomically(path, page.seal(key)));
        return overwrite_former(path);
    }

    Result<void> destroy(Kind kind, Slot slot) {
        const std::lock_guard lock(mutex);
        const auto number = slot / kSlotsPerPage;
        if (number >= page_counts[kind]) return fail(secrets_missing(word_for(kind), slot, slots(kind)));
        FID_TRY(const auto page, load(kind, number));
        if (page->is_destroyed(slot % kSlotsPerPage)) return overwrite_former(path_of(kind, number));
        auto changed = std::make_shared<ShredPage>();
        changed->kind = kind;
        changed->number = number;
        changed->generation = page->generation + 1;
        changed->former_until = page->former_until;
        changed->slots = page->slots.clone();
        changed->destroy(slot % kSlotsPerPage);
        FID_CHECK(replace(*changed, wrapping_key));
        remember({kind, number}, changed);
        log::info("store", "secrets destroyed", {{"kind", word_for(kind)}, {"slot", slot}, {"generation", changed->generation}});
        return {};
    }
};

ShredStore::ShredStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
ShredStore::~ShredStore() = default;

Result<std::unique_ptr<ShredStore>> ShredStore::open(const std::filesystem::path& folder, const Keyring& keyring, bool may_make) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return fail(error_from_errno(error.value(), "making the folder", folder));
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
    auto state = std::make_unique<State>();
    state->folder = folder;
    state->wrapping_key = keyring.shred_key().clone();
    FID_CHECK(state->count_pages());
    if (auto done = state->finish_overwriting(); !done) {
        log::warning("store", "the former file of a page of secrets could not be overwritten yet; the next erasure or start tries again",
                     {{"why", done.error().message}});
    }
    FID_CHECK(state->look_for_former());
    for (const auto kind : {Kind::study, Kind::patient}) {
        if (state->page_counts[kind] == 0) {
            if (!may_make) return fail(secrets_missing(word_for(kind), 0, 0).with(folder.string()));
            FID_CHECK(state->add_page(kind));
        } else if (auto first = state->load(kind, 0); !first) {
            auto problem = std::move(first).error();
            if (problem.code == ErrorCode::corrupt) problem.message += " (or the site key is another site's)";
            return fail(std::move(problem));
        }
    }
    return std::unique_ptr<ShredStore>(new ShredStore(std::move(state)));
}

Result<Slot> ShredStore::allocate_study_slot() {
    return state_->allocate(Kind::study);
}
Result<Slot> ShredStore::allocate_patient_slot() {
    return state_->allocate(Kind::patient);
}
void ShredStore::mark_study_slots_used(Slot highest) {
    state_->mark_used(Kind::study, highest);
}
void ShredStore::mark_patient_slots_used(Slot highest) {
    state_->mark_used(Kind::patient, highest);
}

std::uint64_t ShredStore::study_slots() const {
    const std::lock_guard lock(state_->mutex);
    return state_->slots(Kind::study);
}
std::uint64_t ShredStore::patient_slots() const {
    const std::lock_guard lock(state_->mutex);
    return state_->slots(Kind::patient);
}

Result<StudySecretPair> ShredStore::study_secrets(Slot slot) const {
    FID_TRY(const auto found, state_->secrets(Kind::study, slot));
    const auto part = [&](std::size_t number) { return crypto::Secret::copy_of(found.secrets.view().subspan(32 * number, 32)); };
    StudySecretPair pair{part(0), part(1), {}, found.former_until};
    if (found.former_until != 0) pair.former_d = part(2);
    return pair;
}
Result<crypto::Secret> ShredStore::patient_secret(Slot slot) const {
    FID_TRY(auto found, state_->secrets(Kind::patient, slot));
    return std::move(found.secrets);
}

Result<void> ShredStore::destroy_study(Slot slot) {
    return state_->destroy(Kind::study, slot);
}
Result<void> ShredStore::destroy_patient(Slot slot) {
    return state_->destroy(Kind::patient, slot);
}

Result<void> ShredStore::copy_pages(const std::function<Result<void>(const std::string&, ByteView)>& take) const {
    for (const auto kind : {Kind::study, Kind::patient}) {
        for (std::uint32_t number = 0;; ++number) {
            Bytes page;
            const auto path = state_->path_of(kind, number);
            {
                // A page that is replaced has its former file overwritten: nobody may read it meanwhile.
                const std::lock_guard lock(state_->mutex);
                if (number >= state_->page_counts.at(kind)) break;
                FID_TRY(page, read_file(path, kMaxShredPageBytes));
                if (auto sound = ShredPage::open(page, state_->wrapping_key); !sound) return fail(sound.error().with(path.string()));
            }
            FID_CHECK(take(path.filename().string(), page));
        }
    }
    return {};
}

std::uint32_t ShredStore::former_until() const {
    const std::lock_guard lock(state_->mutex);
    return state_->former_until;
}

Result<void> ShredStore::forget_former() {
    const std::lock_guard lock(state_->mutex);
    for (std::uint32_t number = 0; number < state_->page_counts[Kind::study]; ++number) {
        FID_TRY(const auto page, state_->load(Kind::study, number));
        if (page->former_until == 0) {
            FID_CHECK(state_->overwrite_former(state_->path_of(Kind::study, number)));
            continue;
        }
        const auto settled = std::make_shared<const ShredPage>(page->settled());
        FID_CHECK(state_->replace(*settled, state_->wrapping_key));
        state_->remember({Kind::study, number}, settled);
    }
    state_->former_until = 0;
    return {};
}

Result<void> ShredStore::renew(const std::filesystem::path& folder, const Keyring& former, const Keyring& now, const UsedSecrets& used) {
    State state;
    state.folder = folder;
    FID_CHECK(state.count_pages());
    for (const auto kind : {Kind::study, Kind::patient}) {
        const std::uint64_t slots_used = kind == Kind::study ? used.study_slots : used.patient_slots;
        for (std::uint32_t number = 0; number < state.page_counts[kind]; ++number) {
            const auto path = state.path_of(kind, number);
            FID_TRY(const auto file, read_file(path, kMaxShredPageBytes));
            if (ShredPage::open(file, now.shred_key())) {  // an earlier run has been here
                FID_CHECK(state.overwrite_former(path));
                continue;
            }
            auto page = ShredPage::open(file, former.shred_key());
            if (!page) return fail(page.error().with(path.string()));
            if (page->former_until != 0)
                return fail(ErrorCode::conflict, path.string() + ": data that are being encrypted anew come to their end first");
            const std::uint64_t first = std::uint64_t{number} * kSlotsPerPage;
            const auto used_here = slots_used <= first ? 0 : std::min<std::uint64_t>(slots_used - first, kSlotsPerPage);
            FID_CHECK(state.replace(page->renewed(static_cast<std::uint32_t>(used_here), used.segment), now.shred_key()));
        }
    }
    return {};
}

Slot ShredStore::study_slots_used() const {
    const std::lock_guard lock(state_->mutex);
    return state_->next_free.at(Kind::study);
}
Slot ShredStore::patient_slots_used() const {
    const std::lock_guard lock(state_->mutex);
    return state_->next_free.at(Kind::patient);
}

}  // namespace fiducial::store
