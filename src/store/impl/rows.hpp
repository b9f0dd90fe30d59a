#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/secret.hpp"
#include "store/impl/statement.hpp"

namespace fiducial::store {

/// The index's tables as they stand in the database: text and integers, no NULLs. each() names every column but the MAC, the
/// primary key first; the MAC covers them in this order. Spec: docs/formats/index.md
struct PatientColumns {
    static constexpr std::string_view kTable = "patients";
    static constexpr bool kNumbered = true;  // the key numbers itself
    long long id = 0;
    std::string patient_key, patient_id, issuer, name, name_normal, birth_date, sex;
    long long slot = 0;
    std::string attributes, mac;
    template <typename Visitor>
    void each(Visitor&& v) {
        v("id", id), v("patient_key", patient_key), v("patient_id", patient_id), v("issuer", issuer), v("name", name),
            v("name_normal", name_normal);
        v("birth_date", birth_date), v("sex", sex), v("slot", slot), v("attributes", attributes);
    }
};

struct StudyColumns {
    static constexpr std::string_view kTable = "studies";
    static constexpr bool kNumbered = true;
    long long id = 0;
    std::string study_uid;
    long long slot = 0, patient = 0;  // 0: nothing came yet
    std::string date, time, accession_number, description, study_id, referring_physician, referring_normal, description_normal;
    long long instance_count = 0;
    std::string chain;  // over the current instances' MACs
    long long revision = 0, changed_ms = 0;
    std::string attributes, mac;
    template <typename Visitor>
    void each(Visitor&& v) {
        v("id", id), v("study_uid", study_uid), v("slot", slot), v("patient", patient), v("date", date), v("time", time),
            v("accession_number", accession_number);
        v("description", description), v("study_id", study_id), v("referring_physician", referring_physician),
            v("referring_normal", referring_normal);
        v("description_normal", description_normal), v("instance_count", instance_count), v("chain", chain), v("revision", revision);
        v("changed_ms", changed_ms), v("attributes", attributes);
    }
};

struct SeriesColumns {
    static constexpr std::string_view kTable = "series";
    static constexpr bool kNumbered = true;
    long long id = 0, study = 0;
    std::string series_uid, modality, number, description, body_part, date, time, attributes, mac;
    template <typename Visitor>
    void each(Visitor&& v) {
        v("id", id), v("study", study), v("series_uid", series_uid), v("modality", modality), v("number", number),
            v("description", description);
        v("body_part", body_part), v("date", date), v("time", time), v("attributes", attributes);
    }
};

struct ObjectColumns {
    static constexpr std::string_view kTable = "objects";
    static constexpr bool kNumbered = false;
    std::string object_id;
    long long kind = 0, state = 0, state_before = 0, state_ms = 0;
    std::string reason;
    long long study = 0, slot = 0, segment = 0, position = 0, record_size = 0, stored_size = 0, size = 0, prefix_size = 0, arrival_ms = 0;
    std::string elsewhere;  // how many bytes of it lie in other segments, as "3:1048576 4:2097152"; mostly none
    std::string header_hash, chunk_root, sha256, pixel_sha256, source_sha256, prefix_sha256, fragment_sha256, source, mac;
    template <typename Visitor>
    void each(Visitor&& v) {
        v("object_id", object_id), v("kind", kind), v("state", state), v("state_before", state_before), v("state_ms", state_ms),
            v("reason", reason);
        v("study", study), v("slot", slot), v("segment", segment), v("position", position), v("record_size", record_size),
            v("stored_size", stored_size);
        v("elsewhere", elsewhere), v("size", size), v("prefix_size", prefix_size);
        v("arrival_ms", arrival_ms), v("header_hash", header_hash), v("chunk_root", chunk_root), v("sha256", sha256),
            v("pixel_sha256", pixel_sha256);
        v("source_sha256", source_sha256), v("prefix_sha256", prefix_sha256), v("fragment_sha256", fragment_sha256), v("source", source);
    }
};

struct InstanceColumns {
    static constexpr std::string_view kTable = "instances";
    static constexpr bool kNumbered = true;
    long long id = 0;
    std::string object_id;
    long long study = 0, is_current = 0;
    std::string sop_uid, series_uid, sop_class, transfer_syntax, number;
    long long pixel_rows = 0, pixel_columns = 0, frames = 0;
    std::string attributes, mac;
    template <typename Visitor>
    void each(Visitor&& v) {
        v("id", id), v("object_id", object_id), v("study", study), v("is_current", is_current), v("sop_uid", sop_uid),
            v("series_uid", series_uid);
        v("sop_class", sop_class), v("transfer_syntax", transfer_syntax), v("number", number), v("pixel_rows", pixel_rows);
        v("pixel_columns", pixel_columns), v("frames", frames), v("attributes", attributes);
    }
};

struct VersionColumns {
    static constexpr std::string_view kTable = "study_versions";
    static constexpr bool kNumbered = false;
    std::string record_hash, study_uid;
    long long version = 0, count = 0, format = 0, reasons = 0;
    std::string chain_id;  // decimal: 64 bits without a sign
    std::string contract, institution, study_key, previous, root, patient_ref, meta, uploads, manifest;
    long long created_ms = 0, study_revision = 0;
    std::string mac;
    template <typename Visitor>
    void each(Visitor&& v) {
        v("record_hash", record_hash), v("study_uid", study_uid), v("version", version), v("instance_count", count), v("format", format),
            v("reasons", reasons);
        v("chain_id", chain_id), v("contract", contract), v("institution", institution), v("study_key", study_key), v("previous", previous),
            v("root", root);
        v("patient_ref", patient_ref), v("meta", meta), v("uploads", uploads), v("manifest", manifest), v("created_ms", created_ms);
        v("study_revision", study_revision);
    }
};

struct RightsStateColumns {
    static constexpr std::string_view kTable = "rights_state";
    static constexpr bool kNumbered = true;  // one row
    long long id = 0, first_block = 0, latest_block = 0, latest_time = 0, settled_block = 0, answered = 0, changes = 0;
    std::string last_change;  // MAC of the last row of rights_changes
    std::string denials;      // over the MACs of local_denials, then those of local_changes
    std::string mac;
    template <typename Visitor>
    void each(Visitor&& v) {
        v("id", id), v("first_block", first_block), v("latest_block", latest_block), v("latest_time", latest_time),
            v("settled_block", settled_block);
        v("answered", answered), v("changes", changes), v("last_change", last_change), v("denials", denials);
    }
};

struct RightsChangeColumns {
    static constexpr std::string_view kTable = "rights_changes";
    static constexpr bool kNumbered = true;  // 1, 2, 3 … without a gap
    long long id = 0, block = 0, log_index = 0, fact = 0;
    std::string about, patient_key;
    long long ordinal = 0;  // 0, 1, 2 … among those about the same
    std::string item, other;
    long long detail = 0, bits = 0;
    std::string scope;
    long long purpose = 0, from_s = 0, until_s = 0, epoch = 0, is_on = 0;
    std::string previous_mac;  // MAC of the row before
    std::string mac;
    template <typename Visitor>
    void each(Visitor&& v) {
        v("id", id), v("block", block), v("log_index", log_index), v("fact", fact), v("about", about), v("patient_key", patient_key),
            v("ordinal", ordinal);
        v("item", item), v("other", other), v("detail", detail), v("bits", bits), v("scope", scope), v("purpose", purpose),
            v("from_s", from_s);
        v("until_s", until_s), v("epoch", epoch), v("is_on", is_on), v("previous_mac", previous_mac);
    }
};

struct LocalDenialColumns {
    static constexpr std::string_view kTable = "local_denials";
    static constexpr bool kNumbered = true;
    long long id = 0;
    std::string subject, patient_key, reason;
    long long since_s = 0;
    std::string mac;
    template <typename Visitor>
    void each(Visitor&& v) {
        v("id", id), v("subject", subject), v("patient_key", patient_key), v("reason", reason), v("since_s", since_s);
    }
};

struct LocalChangeColumns {
    static constexpr std::string_view kTable = "local_changes";
    static constexpr bool kNumbered = true;
    long long id = 0, fact = 0;
    std::string about, patient_key, item, other;
    long long detail = 0, bits = 0;
    std::string scope;
    long long purpose = 0, from_s = 0, until_s = 0, epoch = 0, is_on = 0;
    std::string person, study_uid, reason, note, salt;
    long long made_s = 0, settled_block = 0;
    std::string mac;
    template <typename Visitor>
    void each(Visitor&& v) {
        v("id", id), v("fact", fact), v("about", about), v("patient_key", patient_key), v("item", item), v("other", other);
        v("detail", detail), v("bits", bits), v("scope", scope), v("purpose", purpose), v("from_s", from_s), v("until_s", until_s);
        v("epoch", epoch), v("is_on", is_on), v("person", person), v("study_uid", study_uid), v("reason", reason), v("note", note);
        v("salt", salt), v("made_s", made_s), v("settled_block", settled_block);
    }
};

struct WorklistColumns {
    static constexpr std::string_view kTable = "worklist";
    static constexpr bool kNumbered = true;
    long long id = 0;
    std::string accession_number, step_id;
    long long state = 0;
    std::string start_date, start_time, source;
    long long changed_ms = 0;
    std::string attributes, mac;
    template <typename Visitor>
    void each(Visitor&& v) {
        v("id", id), v("accession_number", accession_number), v("step_id", step_id), v("state", state), v("start_date", start_date);
        v("start_time", start_time), v("source", source), v("changed_ms", changed_ms), v("attributes", attributes);
    }
};

struct PerformedStepColumns {
    static constexpr std::string_view kTable = "performed_steps";
    static constexpr bool kNumbered = true;
    long long id = 0;
    std::string sop_uid;
    long long state = 0;
    std::string source;
    long long changed_ms = 0;
    std::string document, mac;
    template <typename Visitor>
    void each(Visitor&& v) {
        v("id", id), v("sop_uid", sop_uid), v("state", state), v("source", source), v("changed_ms", changed_ms), v("document", document);
    }
};

/// HMAC(row key, tag "fid.row1" ‖ lp(table) ‖ u32 schema ‖ columns), in hex.
template <typename Columns>
std::string row_mac(const crypto::Secret& row_key, Columns& row);
/// Errors: corrupt, naming table and key.
template <typename Columns>
Result<void> check_mac(const crypto::Secret& row_key, Columns& row);

/// "t.id, t.name, …, t.mac" with the alias given.
template <typename Columns>
std::string column_list(std::string_view alias);
/// Binds every column of column_list().
template <typename Columns>
void bind_out(Statement& statement, Columns& row);

/// Puts the MAC in and inserts; a numbered key must be 0 and is set.
template <typename Columns>
Result<void> insert_row(database::Transaction& transaction, const crypto::Secret& row_key, Columns& row);
/// Puts the MAC in and updates all columns by primary key.
template <typename Columns>
Result<void> update_row(database::Transaction& transaction, const crypto::Secret& row_key, Columns& row);

/// SELECT … FROM table t <rest>, whose placeholders take `texts` in order. Every row's MAC is checked.
template <typename Columns>
Result<std::vector<Columns>> select_rows(database::Transaction& transaction, const crypto::Secret& row_key, const std::string& rest,
                                         std::vector<std::string> texts = {});
template <typename Columns>
Result<std::optional<Columns>> select_row(database::Transaction& transaction, const crypto::Secret& row_key, const std::string& rest,
                                          std::vector<std::string> texts = {}) {
    FID_TRY(auto rows, select_rows<Columns>(transaction, row_key, rest, std::move(texts)));
    if (rows.empty()) return std::optional<Columns>();
    return std::optional<Columns>(std::move(rows.front()));
}

/// Deletes the rows whose MAC does not fit. Requires: a numbered key.
template <typename Columns>
Result<void> drop_damaged(database::Transaction& transaction, const crypto::Secret& row_key) {
    const std::string table(Columns::kTable);
    std::vector<long long> ids;
    long long id = 0;
    Statement select(transaction, "SELECT id FROM " + table + " ORDER BY id");
    select.out(id);
    FID_CHECK(select.run());
    for (;;) {
        FID_TRY(const bool more, select.next());
        if (!more) break;
        ids.push_back(id);
    }
    for (const auto one : ids) {
        const auto row = select_row<Columns>(transaction, row_key, "WHERE t.id = " + std::to_string(one));
        if (row) continue;
        if (row.error().code != ErrorCode::corrupt) return fail(row.error());
        FID_CHECK(execute(transaction, "DELETE FROM " + table + " WHERE id = " + std::to_string(one)));
    }
    return {};
}

}  // namespace fiducial::store
