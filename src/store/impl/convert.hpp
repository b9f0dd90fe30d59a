#pragma once
#include "base/json.hpp"

#include "store/impl/rows.hpp"
#include "store/index.hpp"

namespace fiducial::store {

inline long long number(ObjectState state) {
    return static_cast<long long>(state);
}
inline std::string number_text(ObjectState state) {
    return std::to_string(number(state));
}

/// Between rows as they stand in the database and rows as callers see them.
Result<Hash> hash_of(const std::string& hex, std::string_view what);
std::string hex_or_empty(const Hash& hash);   // "" for zeros
Result<Uid> uid_of(const std::string& text);  // empty is fine

PatientRow patient_row(const PatientColumns& columns);
Result<StudyRow> study_row(const StudyColumns& columns, const PatientColumns& patient);
Result<SeriesRow> series_row(const SeriesColumns& columns);
Result<ObjectRow> object_row(const ObjectColumns& columns, const Uid& study_uid);
Result<InstanceRow> instance_row(const InstanceColumns& instance, const ObjectColumns& object, const Uid& study_uid);
Result<StudyVersionRow> version_row(const VersionColumns& columns);
VersionColumns version_columns(const StudyVersionRow& row);

/// {"00100010":["Doe^Jane"], …}
std::string attributes_text(const dicom::Attributes& attributes);
Result<void> add_attributes(dicom::Attributes& to, const std::string& text);

/// What makes a patient one: "<length of issuer>:<issuer><patient id>", or the study's alone where there is no patient id.
std::string patient_key_text(std::string_view patient_id, std::string_view issuer, std::string_view study_uid);

/// One instance with its object, both MACs checked.
struct InstanceAndObject {
    InstanceColumns instance;
    ObjectColumns object;
};
/// … FROM instances i JOIN objects o <rest>.
Result<std::vector<InstanceAndObject>> select_instances(database::Transaction& transaction, const crypto::Secret& row_key,
                                                        const std::string& rest, std::vector<std::string> texts);
/// The correction in force of a study, be it in quarantine.
Result<std::optional<ObjectColumns>> select_overlay(database::Transaction& transaction, const crypto::Secret& row_key, long long study);
/// HMAC(row key, tag "fid.chain1" ‖ chain so far ‖ MAC of the next instance), in hex.
std::string chain_next(const crypto::Secret& row_key, const std::string& chain, const std::string& instance_mac);

/// MAC of a row of store_facts.
std::string fact_mac(const crypto::Secret& row_key, const std::string& name, const std::string& value);

}  // namespace fiducial::store
