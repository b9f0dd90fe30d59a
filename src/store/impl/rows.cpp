#include "store/impl/rows.hpp"

#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::store {
namespace {

constexpr std::uint32_t kSchema = 1;

void append_value(Bytes& out, std::string_view text) {
    out.push_back(1);  // 0 would say NULL, which no column holds
    append_be(out, static_cast<std::uint32_t>(text.size()));
    append(out, as_bytes(text));
}
void append_value(Bytes& out, long long number) {
    append_value(out, std::to_string(number));
}

std::string text_of(const std::string& value) {
    return value;
}
std::string text_of(long long value) {
    return std::to_string(value);
}

template <typename Columns>
std::string key_name() {
    std::string name;
    Columns row;
    row.each([&](std::string_view column, auto&) {
        if (name.empty()) name = column;
    });
    return name;
}
template <typename Columns>
std::string key_value(Columns& row) {
    std::string value;
    bool first = true;
    row.each([&](std::string_view, auto& field) {
        if (first) value = text_of(field);
        first = false;
    });
    return value;
}

}  // namespace

template <typename Columns>
std::string row_mac(const crypto::Secret& row_key, Columns& row) {
    Bytes input;
    append_lp(input, as_bytes(Columns::kTable));
    append_be(input, kSchema);
    row.each([&](std::string_view, auto& field) { append_value(input, field); });
    return to_hex(crypto::tagged_hmac_sha256(row_key.view(), "fid.row1", {input}));
}

template <typename Columns>
Result<void> check_mac(const crypto::Secret& row_key, Columns& row) {
    if (crypto::equal_constant_time(as_bytes(row_mac(row_key, row)), as_bytes(row.mac))) return {};
    return fail(ErrorCode::corrupt, "index: the row " + key_value(row) + " of " + std::string(Columns::kTable) +
                                        " was changed behind the archive's back; rebuild the index (fsck --rebuild-index)");
}

template <typename Columns>
std::string column_list(std::string_view alias) {
    std::string list;
    Columns row;
    const auto prefix = std::string(alias) + ".";
    row.each([&](std::string_view column, auto&) { list += prefix + std::string(column) + ", "; });
    return list + prefix + "mac";
}

template <typename Columns>
void bind_out(Statement& statement, Columns& row) {
    row.each([&](std::string_view, auto& field) { statement.out(field); });
    statement.out(row.mac);
}

template <typename Columns>
Result<void> insert_row(database::Transaction& transaction, const crypto::Secret& row_key, Columns& row) {
    if constexpr (Columns::kNumbered) {
        // The MAC covers the number, so that it has to be known first. Writers take turns: nobody else takes it meanwhile.
        Statement highest(transaction, "SELECT COALESCE(MAX(id), 0) + 1 FROM " + std::string(Columns::kTable));
        highest.out(row.id);
        FID_CHECK(highest.run());
        FID_CHECK(highest.next());
    }
    row.mac = row_mac(row_key, row);
    std::string names, marks;
    int number = 0;
    row.each([&](std::string_view column, auto&) {
        names += std::string(column) + ", ";
        marks += ":v" + std::to_string(number++) + ", ";
    });
    Statement insert(transaction, "INSERT INTO " + std::string(Columns::kTable) + " (" + names + "mac) VALUES (" + marks + ":mac)");
    row.each([&](std::string_view, auto& field) { insert.in(field); });
    insert.in(row.mac);
    return insert.run();
}

template <typename Columns>
Result<void> update_row(database::Transaction& transaction, const crypto::Secret& row_key, Columns& row) {
    row.mac = row_mac(row_key, row);
    std::string sets;
    int number = 0;
    row.each([&](std::string_view column, auto&) { sets += std::string(column) + " = :v" + std::to_string(number++) + ", "; });
    Statement update(transaction,
                     "UPDATE " + std::string(Columns::kTable) + " SET " + sets + "mac = :mac WHERE " + key_name<Columns>() + " = :key");
    row.each([&](std::string_view, auto& field) { update.in(field); });
    update.in(row.mac);
    bool first = true;
    row.each([&](std::string_view, auto& field) {
        if (first) update.in(field);
        first = false;
    });
    return update.run();
}

template <typename Columns>
Result<std::vector<Columns>> select_rows(database::Transaction& transaction, const crypto::Secret& row_key, const std::string& rest,
                                         std::vector<std::string> texts) {
    std::vector<Columns> rows;
    Columns row;
    Statement select(transaction, "SELECT " + column_list<Columns>("t") + " FROM " + std::string(Columns::kTable) + " t " + rest);
    for (auto& text : texts) select.in(text);
    bind_out(select, row);
    FID_CHECK(select.run());
    while (true) {
        FID_TRY(const bool more, select.next());
        if (!more) return rows;
        FID_CHECK(check_mac(row_key, row));
        rows.push_back(row);
    }
}

#define FID_INSTANTIATE_ROWS(Columns)                                                                                    \
    template std::string row_mac(const crypto::Secret&, Columns&);                                                       \
    template Result<void> check_mac(const crypto::Secret&, Columns&);                                                    \
    template std::string column_list<Columns>(std::string_view);                                                         \
    template void bind_out(Statement&, Columns&);                                                                        \
    template Result<void> insert_row(database::Transaction&, const crypto::Secret&, Columns&);                           \
    template Result<void> update_row(database::Transaction&, const crypto::Secret&, Columns&);                           \
    template Result<std::vector<Columns>> select_rows(database::Transaction&, const crypto::Secret&, const std::string&, \
                                                      std::vector<std::string>);

FID_INSTANTIATE_ROWS(PatientColumns)
FID_INSTANTIATE_ROWS(StudyColumns)
FID_INSTANTIATE_ROWS(SeriesColumns)
FID_INSTANTIATE_ROWS(ObjectColumns)
FID_INSTANTIATE_ROWS(InstanceColumns)
FID_INSTANTIATE_ROWS(VersionColumns)
FID_INSTANTIATE_ROWS(RightsStateColumns)
FID_INSTANTIATE_ROWS(RightsChangeColumns)
FID_INSTANTIATE_ROWS(LocalDenialColumns)
FID_INSTANTIATE_ROWS(LocalChangeColumns)
FID_INSTANTIATE_ROWS(WorklistColumns)
FID_INSTANTIATE_ROWS(PerformedStepColumns)

}  // namespace fiducial::store
