#include "store/index.hpp"

namespace fiducial::store {
namespace {

constexpr std::string_view kFirst = R"sql(
CREATE TABLE patients (
  id {id}, patient_key {text} NOT NULL UNIQUE, patient_id {text} NOT NULL, issuer {text} NOT NULL, name {text} NOT NULL, name_normal {text} NOT NULL,
  birth_date {text} NOT NULL, sex {text} NOT NULL, slot {int} NOT NULL, attributes {text} NOT NULL, mac {text} NOT NULL);
CREATE INDEX patients_id ON patients (patient_id);
CREATE INDEX patients_name ON patients (name_normal);
CREATE INDEX patients_slot ON patients (slot);

CREATE TABLE studies (
  id {id}, study_uid {text} NOT NULL UNIQUE, slot {int} NOT NULL, patient {int} NOT NULL, date {text} NOT NULL, time {text} NOT NULL,
  accession_number {text} NOT NULL, description {text} NOT NULL, study_id {text} NOT NULL, referring_physician {text} NOT NULL,
  referring_normal {text} NOT NULL, description_normal {text} NOT NULL, instance_count {int} NOT NULL, chain {text} NOT NULL,
  revision {int} NOT NULL, changed_ms {int} NOT NULL, attributes {text} NOT NULL, mac {text} NOT NULL);
CREATE INDEX studies_patient ON studies (patient);
CREATE INDEX studies_date ON studies (date, study_uid);
CREATE INDEX studies_accession ON studies (accession_number);
CREATE INDEX studies_changed ON studies (changed_ms);
CREATE INDEX studies_slot ON studies (slot);

CREATE TABLE series (
  id {id}, study {int} NOT NULL, series_uid {text} NOT NULL, modality {text} NOT NULL, number {text} NOT NULL, description {text} NOT NULL,
  body_part {text} NOT NULL, date {text} NOT NULL, time {text} NOT NULL, attributes {text} NOT NULL, mac {text} NOT NULL,
  UNIQUE (study, series_uid));
CREATE INDEX series_modality ON series (modality, study);

CREATE TABLE objects (
  object_id {text} PRIMARY KEY, kind {int} NOT NULL, state {int} NOT NULL, state_before {int} NOT NULL, state_ms {int} NOT NULL, reason {text} NOT NULL,
  study {int} NOT NULL, slot {int} NOT NULL, segment {int} NOT NULL, position {int} NOT NULL, record_size {int} NOT NULL,
  stored_size {int} NOT NULL, elsewhere {text} NOT NULL, size {int} NOT NULL, prefix_size {int} NOT NULL,
  arrival_ms {int} NOT NULL, header_hash {text} NOT NULL, chunk_root {text} NOT NULL, sha256 {text} NOT NULL, pixel_sha256 {text} NOT NULL,
  source_sha256 {text} NOT NULL, prefix_sha256 {text} NOT NULL, fragment_sha256 {text} NOT NULL, source {text} NOT NULL, mac {text} NOT NULL);
CREATE INDEX objects_study ON objects (study);
CREATE INDEX objects_slot ON objects (slot);
CREATE INDEX objects_manifests ON objects (study) WHERE kind = 2;
CREATE INDEX objects_state ON objects (state) WHERE state <> 1;
CREATE INDEX objects_room ON objects (segment, state, stored_size, record_size);
CREATE INDEX objects_elsewhere ON objects (elsewhere) WHERE elsewhere <> '';

CREATE TABLE instances (
  id {id}, object_id {text} NOT NULL UNIQUE, study {int} NOT NULL, is_current {int} NOT NULL, sop_uid {text} NOT NULL, series_uid {text} NOT NULL,
  sop_class {text} NOT NULL, transfer_syntax {text} NOT NULL, number {text} NOT NULL, pixel_rows {int} NOT NULL, pixel_columns {int} NOT NULL,
  frames {int} NOT NULL, attributes {text} NOT NULL, mac {text} NOT NULL);
CREATE UNIQUE INDEX instances_current ON instances (sop_uid) WHERE is_current = 1;
CREATE INDEX instances_sop ON instances (sop_uid);
CREATE INDEX instances_study ON instances (study);

CREATE TABLE study_versions (
  record_hash {text} PRIMARY KEY, study_uid {text} NOT NULL, version {int} NOT NULL, instance_count {int} NOT NULL, format {int} NOT NULL,
  reasons {int} NOT NULL, chain_id {text} NOT NULL, contract {text} NOT NULL, institution {text} NOT NULL, study_key {text} NOT NULL,
  previous {text} NOT NULL, root {text} NOT NULL, patient_ref {text} NOT NULL, meta {text} NOT NULL, uploads {text} NOT NULL,
  manifest {text} NOT NULL, created_ms {int} NOT NULL, study_revision {int} NOT NULL, mac {text} NOT NULL, UNIQUE (study_uid, version, study_key));
CREATE INDEX study_versions_manifest ON study_versions (manifest);

CREATE TABLE store_facts (name {text} PRIMARY KEY, value {text} NOT NULL);
)sql";

constexpr std::string_view kRights = R"sql(
CREATE TABLE rights_state (
  id {id}, first_block {int} NOT NULL, latest_block {int} NOT NULL, latest_time {int} NOT NULL, settled_block {int} NOT NULL, answered {int} NOT NULL,
  changes {int} NOT NULL, last_change {text} NOT NULL, denials {text} NOT NULL, mac {text} NOT NULL);

CREATE TABLE rights_changes (
  id {id}, block {int} NOT NULL, log_index {int} NOT NULL, fact {int} NOT NULL, about {text} NOT NULL, patient_key {text} NOT NULL, ordinal {int} NOT NULL,
  item {text} NOT NULL, other {text} NOT NULL, detail {int} NOT NULL, bits {int} NOT NULL, scope {text} NOT NULL, purpose {int} NOT NULL,
  from_s {int} NOT NULL, until_s {int} NOT NULL, epoch {int} NOT NULL, is_on {int} NOT NULL, previous_mac {text} NOT NULL, mac {text} NOT NULL,
  UNIQUE (block, log_index), UNIQUE (about, patient_key, ordinal));
CREATE INDEX rights_changes_fact ON rights_changes (block) WHERE fact = 90;

CREATE TABLE local_denials (
  id {id}, subject {text} NOT NULL, patient_key {text} NOT NULL, reason {text} NOT NULL, since_s {int} NOT NULL, mac {text} NOT NULL);
)sql";

constexpr std::string_view kLocalChanges = R"sql(
CREATE TABLE local_changes (
  id {id}, fact {int} NOT NULL, about {text} NOT NULL, patient_key {text} NOT NULL, item {text} NOT NULL, other {text} NOT NULL, detail {int} NOT NULL,
  bits {int} NOT NULL, scope {text} NOT NULL, purpose {int} NOT NULL, from_s {int} NOT NULL, until_s {int} NOT NULL, epoch {int} NOT NULL,
  is_on {int} NOT NULL, person {text} NOT NULL, study_uid {text} NOT NULL, reason {text} NOT NULL, note {text} NOT NULL, salt {text} NOT NULL,
  made_s {int} NOT NULL, settled_block {int} NOT NULL, mac {text} NOT NULL);
)sql";

// What lists are narrowed by: names in other writings, series by UID, instances counted by series.
constexpr std::string_view kLists = R"sql(
CREATE INDEX patients_groups ON patients (name_normal) WHERE name_normal LIKE '%=%';
CREATE INDEX series_uids ON series (series_uid);
CREATE INDEX instances_series ON instances (study, series_uid, is_current);
DROP INDEX instances_study;
)sql";

// What is to be done, and what modalities said that they did: store/worklist.hpp.
constexpr std::string_view kWorklist = R"sql(
CREATE TABLE worklist (
  id {id}, accession_number {text} NOT NULL, step_id {text} NOT NULL, state {int} NOT NULL, start_date {text} NOT NULL, start_time {text} NOT NULL,
  source {text} NOT NULL, changed_ms {int} NOT NULL, attributes {text} NOT NULL, mac {text} NOT NULL, UNIQUE (accession_number, step_id));
CREATE INDEX worklist_start ON worklist (start_date);

CREATE TABLE performed_steps (
  id {id}, sop_uid {text} NOT NULL UNIQUE, state {int} NOT NULL, source {text} NOT NULL, changed_ms {int} NOT NULL, document {text} NOT NULL,
  mac {text} NOT NULL);
)sql";

constexpr std::string_view kOverlays = R"sql(
CREATE INDEX objects_overlays ON objects (study) WHERE kind = 4;
CREATE INDEX objects_holds ON objects (study) WHERE kind = 5;
)sql";

constexpr database::Migration kMigrations[] = {{"store", 1, kFirst}, {"store", 2, kRights},   {"store", 3, kLocalChanges},
                                               {"store", 4, kLists}, {"store", 5, kOverlays}, {"worklist", 1, kWorklist}};

}  // namespace

std::span<const database::Migration> index_migrations() {
    return kMigrations;
}

}  // namespace fiducial::store
