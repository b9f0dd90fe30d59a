#include "store/impl/rekey.hpp"

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "store/impl/convert.hpp"
#include "store/impl/rows.hpp"

namespace fiducial::store {
namespace {

constexpr int kAtOnce = 1000;

/// Puts rows of one database under another key.
class Rekeying {
public:
    Rekeying(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now)
        : transaction_(transaction), former_(former), now_(now) {}

    template <typename Columns>
    bool is_ours(Columns& row) const {
        return row.mac == row_mac(former_, row);
    }
    const crypto::Secret& former() const { return former_; }
    const crypto::Secret& now() const { return now_; }

    /// Rows as they stand, in the order of their keys, whether their MACs fit or not.
    template <typename Columns>
    Result<void> each(const std::function<Result<void>(Columns& row)>& visit, const std::string& condition = "1 = 1") {
        const std::string key(key_column<Columns>());
        std::string after;
        bool first = true;
        while (true) {
            const std::string from = first ? "" : " AND t." + key + " > :after";
            std::vector<Columns> rows;
            {
                Columns row;
                Statement select(transaction_, "SELECT " + column_list<Columns>("t") + " FROM " + std::string(Columns::kTable) +
                                                   " t WHERE " + condition + from + " ORDER BY t." + key + " LIMIT " +
                                                   std::to_string(kAtOnce));
                long long after_number = Columns::kNumbered && !first ? std::stoll(after) : 0;
                if (!first && Columns::kNumbered) select.in(after_number);
                if (!first && !Columns::kNumbered) select.in(after);
                bind_out(select, row);
                FID_CHECK(select.run());
                while (true) {
                    FID_TRY(const bool more, select.next());
                    if (!more) break;
                    rows.push_back(row);
                }
            }
            for (auto& row : rows) {
                after = key_of(row);
                FID_CHECK(visit(row));
            }
            if (rows.size() < kAtOnce) return {};
            first = false;
        }
    }
    /// Under the new key as it stands.
    template <typename Columns>
    Result<void> save(Columns& row) {
        return update_row(transaction_, now_, row);
    }
    template <typename Columns>
    Result<void> table() {
        return each<Columns>([this](Columns& row) { return is_ours(row) ? save(row) : Result<void>(); });
    }
    /// The MAC that stands in a row afterwards.
    template <typename Columns>
    std::string mac_afterwards(Columns& row) const {
        return is_ours(row) ? row_mac(now_, row) : row.mac;
    }
    Result<void> fact(const std::string& name) {
        std::string value;
        Statement select(transaction_, "SELECT value FROM store_facts WHERE name = '" + name + "'");
        select.out(value);
        FID_CHECK(select.run());
        FID_TRY(const bool there, select.next());
        const auto end = value.rfind(' ');
        if (!there || end == std::string::npos || value.substr(end + 1) != fact_mac(former_, name, value.substr(0, end))) return {};
        value = value.substr(0, end + 1) + fact_mac(now_, name, value.substr(0, end));
        Statement update(transaction_, "UPDATE store_facts SET value = :value WHERE name = '" + name + "'");
        update.in(value);
        return update.run();
    }

private:
    template <typename Columns>
    static std::string key_column() {
        std::string name;
        Columns row;
        row.each([&](std::string_view column, auto&) {
            if (name.empty()) name = column;
        });
        return name;
    }
    template <typename Columns>
    static std::string key_of(Columns& row) {
        if constexpr (Columns::kNumbered) {
            return std::to_string(row.id);
        } else {
            std::string value;
            row.each([&](std::string_view, auto& field) {
                if constexpr (std::is_same_v<std::decay_t<decltype(field)>, std::string>) {
                    if (value.empty()) value = field;
                }
            });
            return value;
        }
    }

    database::Transaction& transaction_;
    const crypto::Secret& former_;
    const crypto::Secret& now_;
};

/// A study's row chains the MACs of its current instances: both are looked at before these change.
Result<void> rekey_studies(Rekeying& rekeying) {
    return rekeying.each<StudyColumns>([&](StudyColumns& study) -> Result<void> {
        if (!rekeying.is_ours(study)) return {};
        std::string before, afterwards;
        FID_CHECK(rekeying.each<InstanceColumns>(
            [&](InstanceColumns& instance) -> Result<void> {
                before = chain_next(rekeying.former(), before, instance.mac);
                afterwards = chain_next(rekeying.now(), afterwards, rekeying.mac_afterwards(instance));
                return {};
            },
            "t.study = " + std::to_string(study.id) + " AND t.is_current = 1"));
        if (study.chain == before) study.chain = afterwards;
        return rekeying.save(study);
    });
}

/// The chain over a table's MACs, as it is and as it will be.
template <typename Columns>
Result<void> chain_on(Rekeying& rekeying, std::string& before, std::string& afterwards) {
    return rekeying.each<Columns>([&](Columns& row) -> Result<void> {
        before = chain_next(rekeying.former(), before, row.mac);
        afterwards = chain_next(rekeying.now(), afterwards, rekeying.mac_afterwards(row));
        return {};
    });
}

/// Each change names the MAC of the one before, the state that of the last one, and chains those of what stands here alone.
Result<void> rekey_rights(Rekeying& rekeying) {
    std::string local_before, local_afterwards, last_before, last_afterwards;
    FID_CHECK(chain_on<LocalDenialColumns>(rekeying, local_before, local_afterwards));
    FID_CHECK(chain_on<LocalChangeColumns>(rekeying, local_before, local_afterwards));
    FID_CHECK(rekeying.each<RightsChangeColumns>([&](RightsChangeColumns& change) -> Result<void> {
        const auto before = change.mac;
        if (rekeying.is_ours(change)) {
            if (change.previous_mac == last_before) change.previous_mac = last_afterwards;
            FID_CHECK(rekeying.save(change));
        }
        last_before = before;
        last_afterwards = change.mac;
        return {};
    }));
    FID_CHECK(rekeying.each<RightsStateColumns>([&](RightsStateColumns& state) -> Result<void> {
        if (!rekeying.is_ours(state)) return {};
        if (state.denials == local_before) state.denials = local_afterwards;
        if (state.last_change == last_before) state.last_change = last_afterwards;
        return rekeying.save(state);
    }));
    FID_CHECK(rekeying.table<LocalDenialColumns>());
    return rekeying.table<LocalChangeColumns>();
}

}  // namespace

Result<void> rekey_index(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now) {
    Rekeying rekeying(transaction, former, now);
    FID_CHECK(rekey_studies(rekeying));
    FID_CHECK(rekey_rights(rekeying));
    FID_CHECK(rekeying.table<PatientColumns>());
    FID_CHECK(rekeying.table<SeriesColumns>());
    FID_CHECK(rekeying.table<ObjectColumns>());
    FID_CHECK(rekeying.table<InstanceColumns>());
    FID_CHECK(rekeying.table<VersionColumns>());
    FID_CHECK(rekeying.table<WorklistColumns>());
    FID_CHECK(rekeying.table<PerformedStepColumns>());
    for (const auto* name : {"known_block", "erasing"}) FID_CHECK(rekeying.fact(name));
    return {};
}

}  // namespace fiducial::store
