#include "shadow/journal.hpp"

#include <soci/soci.h>

#include <set>

#include "base/hex.hpp"
#include "database/database.hpp"

namespace fiducial::shadow {
namespace {

using database::attempt;
using database::Durability;
using database::Transaction;

constexpr database::Migration kMigrations[] = {{"shadow", 1, R"(
CREATE TABLE runs (
  id {id},
  begun_ms {int} NOT NULL,
  ended_ms {int} NOT NULL,
  listed {int} NOT NULL
);
-- old_run, here_run: the last run in which that archive listed it; 0: never. looked_run: in which its instances were listed.
CREATE TABLE studies (
  study_uid {text} PRIMARY KEY,
  study_date {text} NOT NULL,
  modalities {text} NOT NULL,
  old_run {int} NOT NULL,
  here_run {int} NOT NULL,
  looked_run {int} NOT NULL,
  state {text} NOT NULL
);
CREATE TABLE instances (
  study_uid {text} NOT NULL,
  sop_uid {text} NOT NULL,
  series_uid {text} NOT NULL,
  sop_class {text} NOT NULL,
  old_run {int} NOT NULL,
  here_run {int} NOT NULL,
  copied_run {int} NOT NULL,
  copied_bytes {int} NOT NULL,
  copy_problem {text} NOT NULL,
  compared_ms {int} NOT NULL,
  compared_run {int} NOT NULL,
  outcome {int} NOT NULL,
  detail {text} NOT NULL,
  old_sha256 {text} NOT NULL,
  here_sha256 {text} NOT NULL,
  old_us {int} NOT NULL,
  here_us {int} NOT NULL,
  PRIMARY KEY (study_uid, sop_uid)
);
CREATE INDEX instances_by_turn ON instances (compared_ms);
)"}};

constexpr std::string_view kWhat = "the shadow's journal";
constexpr const char* kStudiesDue = "studies WHERE looked_run < :run AND (old_run = :run OR here_run = :run)";

long long ms(SystemTime time) {
    return time.time_since_epoch().count();
}
SystemTime time_of(long long ms) {
    return SystemTime(std::chrono::milliseconds(ms));
}

template <typename Value>
Value one(Transaction& transaction, const std::string& query, long long run) {
    Value value{};
    soci::indicator found{};
    transaction.sql() << query, soci::use(run, "run"), soci::into(value, found);
    return found == soci::i_null ? Value{} : value;
}

void note(Transaction& transaction, const Run& run, Side side, const ListedInstance& instance) {
    const std::string column = side == Side::old ? "old_run" : "here_run";
    const long long old_run = side == Side::old ? run.number : 0, here_run = side == Side::here ? run.number : 0;
    transaction.sql() << "INSERT INTO instances (study_uid, sop_uid, series_uid, sop_class, old_run, here_run, copied_run, copied_bytes, "
                         "copy_problem, compared_ms, compared_run, outcome, detail, old_sha256, here_sha256, old_us, here_us) "
                         "VALUES (:study, :sop, :series, :class, :old, :here, 0, 0, '', 0, 0, 0, '', '', '', 0, 0) "
                         "ON CONFLICT (study_uid, sop_uid) DO UPDATE SET " +
                             column + " = excluded." + column + ", series_uid = excluded.series_uid, sop_class = excluded.sop_class",
        soci::use(instance.study_uid), soci::use(instance.sop_uid), soci::use(instance.series_uid), soci::use(instance.sop_class_uid),
        soci::use(old_run), soci::use(here_run);
}

/// The newest run, or the newest of those.
std::optional<Run> read_run(Transaction& transaction, const std::string& which) {
    long long id = 0, begun_ms = 0, listed = 0, ended_ms = 0;
    transaction.sql() << "SELECT id, begun_ms, listed, ended_ms FROM runs " + which + " ORDER BY id DESC LIMIT 1", soci::into(id),
        soci::into(begun_ms), soci::into(listed), soci::into(ended_ms);
    if (!transaction.sql().got_data()) return std::nullopt;
    return Run{id, time_of(begun_ms), listed != 0, ended_ms != 0};
}

}  // namespace

Journal::Journal(std::unique_ptr<database::Database> database) : database_(std::move(database)) {}
Journal::~Journal() = default;

Result<std::unique_ptr<Journal>> Journal::open(const std::filesystem::path& file) {
    FID_TRY(auto database, database::Database::open({.path = file, .readers = 2}, kMigrations));
    return std::unique_ptr<Journal>(new Journal(std::move(database)));
}

Result<std::optional<Run>> Journal::last_run() {
    return database_->read([](Transaction& transaction) { return attempt(kWhat, [&] { return read_run(transaction, ""); }); });
}

Result<Run> Journal::begin_or_continue(SystemTime now) {
    return database_->write(Durability::full, [&](Transaction& transaction) {
        return attempt(kWhat, [&]() -> Run {
            if (auto run = read_run(transaction, "WHERE ended_ms = 0")) return *run;
            long long id = 0;
            const long long begun_ms = ms(now);
            transaction.sql() << "INSERT INTO runs (begun_ms, ended_ms, listed) VALUES (:begun, 0, 0) RETURNING id", soci::use(begun_ms),
                soci::into(id);
            return {id, now, false, false};
        });
    });
}

Result<void> Journal::note_study(const Run& run, Side side, const ListedStudy& study) {
    return database_->write(Durability::rebuildable, [&](Transaction& transaction) {
        return attempt(kWhat, [&] {
            const std::string column = side == Side::old ? "old_run" : "here_run";
            const long long old_run = side == Side::old ? run.number : 0, here_run = side == Side::here ? run.number : 0;
            transaction.sql() << "INSERT INTO studies (study_uid, study_date, modalities, old_run, here_run, looked_run, state) "
                                 "VALUES (:uid, :date, :modalities, :old, :here, 0, '') ON CONFLICT (study_uid) DO UPDATE SET " +
                                     column + " = excluded." + column,
                soci::use(study.study_uid), soci::use(study.date), soci::use(study.modalities), soci::use(old_run), soci::use(here_run);
        });
    });
}

Result<void> Journal::all_studies_noted(Run& run) {
    run.listed = true;
    return database_->write(Durability::full, [&](Transaction& transaction) {
        return attempt(kWhat, [&] { transaction.sql() << "UPDATE runs SET listed = 1 WHERE id = :id", soci::use(run.number); });
    });
}

Result<std::optional<Journal::Due>> Journal::next_study(const Run& run) {
    return database_->read([&](Transaction& transaction) {
        return attempt(kWhat, [&]() -> std::optional<Due> {
            Due due;
            long long old_run = 0, here_run = 0;
            transaction.sql() << "SELECT study_uid, old_run, here_run FROM " + std::string(kStudiesDue) +
                                     " ORDER BY study_date DESC, study_uid LIMIT 1",
                soci::use(run.number, "run"), soci::into(due.study_uid), soci::into(old_run), soci::into(here_run);
            if (!transaction.sql().got_data()) return std::nullopt;
            due.old = old_run == run.number;
            due.here = here_run == run.number;
            return due;
        });
    });
}

Result<std::uint64_t> Journal::studies_due(const Run& run) {
    return database_->read([&](Transaction& transaction) {
        return attempt(kWhat, [&] {
            return static_cast<std::uint64_t>(one<long long>(transaction, "SELECT COUNT(*) FROM " + std::string(kStudiesDue), run.number));
        });
    });
}

Result<std::vector<ListedInstance>> Journal::note_instances(const Run& run, const std::vector<ListedInstance>& old,
                                                            const std::vector<ListedInstance>& here) {
    return database_->write(Durability::full, [&](Transaction& transaction) {
        return attempt(kWhat, [&] {
            std::set<std::string> known;
            for (const auto& instance : here) {
                note(transaction, run, Side::here, instance);
                known.insert(instance.sop_uid);
            }
            std::vector<ListedInstance> missing;
            for (const auto& instance : old) {
                note(transaction, run, Side::old, instance);
                if (!known.contains(instance.sop_uid)) missing.push_back(instance);
            }
            return missing;
        });
    });
}

Result<void> Journal::note_looked(const Run& run, const std::string& study_uid) {
    return database_->write(Durability::rebuildable, [&](Transaction& transaction) {
        return attempt(kWhat, [&] {
            transaction.sql() << "UPDATE studies SET looked_run = :run WHERE study_uid = :uid", soci::use(run.number), soci::use(study_uid);
        });
    });
}

Result<void> Journal::note_copy(const Run& run, const ListedInstance& instance, std::uint64_t bytes) {
    return database_->write(Durability::full, [&](Transaction& transaction) {
        return attempt(kWhat, [&] {
            const auto size = static_cast<long long>(bytes);
            note(transaction, run, Side::here, instance);
            transaction.sql() << "UPDATE instances SET copied_run = :run, copied_bytes = :bytes, copy_problem = '' "
                                 "WHERE study_uid = :study AND sop_uid = :sop",
                soci::use(run.number), soci::use(size), soci::use(instance.study_uid), soci::use(instance.sop_uid);
            transaction.sql() << "UPDATE studies SET here_run = :run, state = '' WHERE study_uid = :study", soci::use(run.number),
                soci::use(instance.study_uid);
        });
    });
}

Result<void> Journal::note_failed_copy(const ListedInstance& instance, const std::string& why) {
    return database_->write(Durability::rebuildable, [&](Transaction& transaction) {
        return attempt(kWhat, [&] {
            transaction.sql() << "UPDATE instances SET copy_problem = :why WHERE study_uid = :study AND sop_uid = :sop", soci::use(why),
                soci::use(instance.study_uid), soci::use(instance.sop_uid);
        });
    });
}

Result<std::optional<ListedInstance>> Journal::next_comparison(const Run& run, SystemTime before) {
    return database_->read([&](Transaction& transaction) {
        return attempt(kWhat, [&]() -> std::optional<ListedInstance> {
            const long long before_ms = ms(before);
            soci::rowset<soci::row> rows =
                (transaction.sql().prepare << "SELECT study_uid, series_uid, sop_uid, sop_class FROM instances WHERE compared_ms < :before "
                                              "AND old_run = :run AND here_run = :run ORDER BY compared_ms, study_uid, sop_uid LIMIT 1",
                 soci::use(before_ms, "before"), soci::use(run.number, "run"));
            for (const auto& row : rows)
                return ListedInstance{row.get<std::string>(0), row.get<std::string>(1), row.get<std::string>(2), row.get<std::string>(3)};
            return std::nullopt;
        });
    });
}

Result<std::uint64_t> Journal::comparisons_due(const Run& run, SystemTime before) {
    return database_->read([&](Transaction& transaction) {
        return attempt(kWhat, [&] {
            return static_cast<std::uint64_t>(one<long long>(
                transaction,
                "SELECT COUNT(*) FROM instances WHERE old_run = :run AND here_run = :run AND compared_ms < " + std::to_string(ms(before)),
                run.number));
        });
    });
}

Result<void> Journal::note_comparison(const Run& run, const ListedInstance& instance, SystemTime now, const Comparison& comparison,
                                      const Seen* old, const Seen* here) {
    return database_->write(Durability::rebuildable, [&](Transaction& transaction) {
        return attempt(kWhat, [&] {
            const auto sha = [](const Seen* seen) { return seen == nullptr ? std::string() : to_hex(seen->data_set_sha256); };
            const auto took = [](const Seen* seen) { return seen == nullptr ? 0LL : static_cast<long long>(seen->took.count()); };
            const long long now_ms = ms(now), outcome = static_cast<long long>(comparison.outcome);
            const long long old_us = took(old), here_us = took(here);
            const std::string old_sha = sha(old), here_sha = sha(here);
            transaction.sql() << "UPDATE instances SET compared_ms = :now, compared_run = :run, outcome = :outcome, detail = :detail, "
                                 "old_sha256 = :a, here_sha256 = :b, old_us = :c, here_us = :d WHERE study_uid = :study AND sop_uid = :sop",
                soci::use(now_ms), soci::use(run.number), soci::use(outcome), soci::use(comparison.detail), soci::use(old_sha),
                soci::use(here_sha), soci::use(old_us), soci::use(here_us), soci::use(instance.study_uid), soci::use(instance.sop_uid);
        });
    });
}

Result<std::vector<std::string>> Journal::unsettled(const Run& run) {
    return database_->read([&](Transaction& transaction) {
        return attempt(kWhat,
                       [&] {
                           std::vector<std::string> studies;
                           soci::rowset<std::string> rows =
                               (transaction.sql().prepare
                                    << "SELECT study_uid FROM studies WHERE here_run = :run AND state <> 'settled' ORDER BY study_uid",
                                soci::use(run.number));
                           for (const auto& uid : rows) studies.push_back(uid);
                           return studies;
                       });
    });
}

Result<void> Journal::note_state(const std::string& study_uid, const std::string& state) {
    return database_->write(Durability::rebuildable, [&](Transaction& transaction) {
        return attempt(kWhat, [&] {
            transaction.sql() << "UPDATE studies SET state = :state WHERE study_uid = :uid", soci::use(state), soci::use(study_uid);
        });
    });
}

Result<void> Journal::end(const Run& run, SystemTime now) {
    return database_->write(Durability::full, [&](Transaction& transaction) {
        return attempt(kWhat, [&] {
            const long long now_ms = ms(now);
            transaction.sql() << "UPDATE runs SET ended_ms = :now WHERE id = :id", soci::use(now_ms), soci::use(run.number);
        });
    });
}

Result<Figures> Journal::figures(const Run& run) {
    return database_->read([&](Transaction& transaction) {
        return attempt(kWhat, [&] {
            const auto count = [&](const std::string& from) {
                return static_cast<std::uint64_t>(one<long long>(transaction, "SELECT COUNT(*) FROM " + from, run.number));
            };
            Figures out;
            out.run = run;
            out.old = {count("studies WHERE old_run = :run"), count("instances WHERE old_run = :run")};
            out.here = {count("studies WHERE here_run = :run"), count("instances WHERE here_run = :run")};
            out.studies_to_list = count(kStudiesDue);
            out.copied = count("instances WHERE copied_run = :run");
            out.copied_bytes = static_cast<std::uint64_t>(
                one<long long>(transaction, "SELECT SUM(copied_bytes) FROM instances WHERE copied_run = :run", run.number));
            out.copies_failed = count("instances WHERE copy_problem <> '' AND old_run = :run AND here_run < :run");
            out.compared = count("instances WHERE compared_run = :run");
            out.never_compared = count("instances WHERE compared_ms = 0 AND old_run = :run AND here_run = :run");
            const std::string looked = " AND study_uid IN (SELECT study_uid FROM studies WHERE looked_run = :run)";
            out.missing_old = count("instances WHERE here_run = :run AND old_run < :run" + looked);
            out.vanished = count("instances WHERE here_run = :run AND old_run < :run AND old_run > 0" + looked);
            out.missing_here = count("instances WHERE old_run = :run AND here_run < :run" + looked);
            out.settled = count("studies WHERE here_run = :run AND state = 'settled'");
            long long outcome = 0, instances = 0;
            soci::statement outcomes = (transaction.sql().prepare << "SELECT outcome, COUNT(*) FROM instances WHERE old_run = :run AND "
                                                                     "here_run = :run GROUP BY outcome",
                                        soci::use(run.number, "run"), soci::into(outcome), soci::into(instances));
            outcomes.execute();
            while (outcomes.fetch()) {
                if (outcome >= 0 && static_cast<std::size_t>(outcome) < kOutcomes)
                    out.outcomes[outcome] = static_cast<std::uint64_t>(instances);
            }
            long long old_us = 0, here_us = 0;
            soci::statement times = (transaction.sql().prepare << "SELECT old_us, here_us FROM instances WHERE compared_run = :run AND "
                                                                  "old_us > 0 AND here_us > 0 LIMIT 100000",
                                     soci::use(run.number), soci::into(old_us), soci::into(here_us));
            times.execute();
            while (times.fetch()) out.times_us.emplace_back(old_us, here_us);
            return out;
        });
    });
}

Result<void> Journal::each_finding(const Run& run,
                                   const std::function<Result<void>(const JournalRow& row, const std::string& what)>& with) {
    // Read first, in pages, so that no cursor is open while the callback writes.
    std::string after_study, after_sop;
    for (;;) {
        struct Found {
            JournalRow row;
            std::string what;
        };
        std::vector<Found> page;
        FID_CHECK(database_->read([&](Transaction& transaction) {
            return attempt(
                kWhat, [&] {
                    JournalRow row;
                    std::string copy_problem;
                    long long outcome = 0, old_run = 0, here_run = 0;
                    soci::statement rows =
                        (transaction.sql().prepare
                             << "SELECT i.study_uid, i.series_uid, i.sop_uid, i.sop_class, i.outcome, i.detail, i.old_run, i.here_run, "
                                "i.copy_problem "
                                "FROM instances i JOIN studies s ON s.study_uid = i.study_uid WHERE s.looked_run = :run AND "
                                "(i.study_uid, i.sop_uid) > (:study, :sop) AND ((i.old_run = :run AND i.here_run = :run AND i.outcome "
                                "BETWEEN 4 AND 8) OR "
                                "(i.old_run = :run AND i.here_run < :run) OR (i.here_run = :run AND i.old_run < :run)) "
                                "ORDER BY i.study_uid, i.sop_uid LIMIT 1000",
                         soci::use(run.number, "run"), soci::use(after_study, "study"), soci::use(after_sop, "sop"),
                         soci::into(row.instance.study_uid), soci::into(row.instance.series_uid), soci::into(row.instance.sop_uid),
                         soci::into(row.instance.sop_class_uid), soci::into(outcome), soci::into(row.detail), soci::into(old_run),
                         soci::into(here_run), soci::into(copy_problem));
                    rows.execute();
                    while (rows.fetch()) {
                        Found found{row, ""};
                        found.row.outcome = static_cast<Outcome>(outcome);
                        found.row.was_there = old_run != 0;
                        if (old_run < run.number) {
                            found.what = found.row.was_there ? "missing in the old archive, which listed it before"
                                                             : "never listed by the old archive";
                        } else if (here_run < run.number) {
                            found.what = "missing here";
                            found.row.detail = copy_problem;
                        } else {
                            found.what = std::string(text_of(found.row.outcome));
                        }
                        page.push_back(std::move(found));
                    }
                });
        }));
        if (page.empty()) return {};
        for (const auto& found : page) FID_CHECK(with(found.row, found.what));
        after_study = page.back().row.instance.study_uid;
        after_sop = page.back().row.instance.sop_uid;
    }
}

}  // namespace fiducial::shadow
