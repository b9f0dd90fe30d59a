#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace fiducial {

/// Everything an operator can set, with its default. One table in configuration.cpp holds names, texts and bounds; the file
/// that `init` writes and the checks of `config check` come from it.
struct Configuration {
    std::string site_name = "Fiducial archive";

    std::string http_listen = "127.0.0.1:8043";
    std::string http_tls_certificate;
    std::string http_tls_key;
    std::int64_t http_max_connections = 256;
    std::int64_t http_idle_timeout_s = 60;
    std::int64_t http_max_body_mib = 65536;
    std::string http_public_url;
    std::string http_viewer;
    std::int64_t http_session_idle_min = 30;

    std::string dimse_listen;  // empty: no DIMSE
    std::string dimse_ae_title = "FIDUCIAL";
    std::vector<std::string> dimse_peers;
    std::string dimse_tls_certificate;
    std::string dimse_tls_key;
    std::int64_t dimse_max_associations = 64;
    std::int64_t dimse_idle_timeout_s = 600;
    std::vector<std::string> dimse_private_sop_classes;
    std::vector<std::string> dimse_forward;
    std::vector<std::string> dimse_notify;
    std::int64_t dimse_delivery_refusals = 10;
    std::int64_t dimse_delivery_hours = 168;

    std::string hl7_listen;  // empty: no HL7
    std::vector<std::string> hl7_senders;
    std::string hl7_tls_certificate;
    std::string hl7_tls_key;
    std::int64_t worklist_keep_days = 90;

    std::string mail_server;  // empty: no e-mail
    std::int64_t mail_port = 587;
    std::string mail_security = "starttls";
    std::string mail_user;
    std::string mail_password_file;
    std::string mail_from;
    std::string mail_authorities;

    std::string ledger_url;   // empty: the archive's own local node
    std::string ledger_geth;  // empty: looked for
    std::int64_t ledger_poll_ms = 250;
    std::int64_t ledger_batch_flush_ms = 1000;
    std::int64_t ledger_batch_size = 100;
    std::int64_t ledger_away_limit_s = 86400;

    std::int64_t trace_checkpoint_every_s = 600;
    std::int64_t trace_checkpoint_every_entries = 10'000;
    std::vector<std::string> trace_witnesses;
    std::vector<std::string> trace_witness_for;
    std::string trace_timestamp_url;
    std::string trace_syslog;
    std::string trace_authorities;

    std::int64_t ingest_quiet_s = 10;
    std::int64_t ingest_header_mib = 64;

    std::int64_t store_segment_mib = 1024;
    std::int64_t store_warn_free_percent = 10;
    std::int64_t store_warn_free_mib = 51200;
    std::int64_t store_refuse_free_percent = 3;
    std::int64_t store_refuse_free_mib = 5120;
    std::int64_t store_compact_dead_percent = 30;
    std::int64_t store_compact_mib_per_s = 32;
    std::int64_t store_compact_every_s = 600;
    std::int64_t store_retention_days = 3653;
    std::vector<std::string> index_extra_attributes;

    std::string log_level = "info";
    std::string log_file;

    /// Reads a TOML file. Errors: not_found; malformed and invalid_argument name file, line and key; unknown keys are refused.
    static Result<Configuration> load(const std::filesystem::path& path);
    static Result<Configuration> parse(std::string_view toml, std::string_view file_name);
    /// The commented file `init` writes.
    std::string to_toml() const;
    /// The same settings as a JSON object of sections.
    std::string to_json() const;
};

}  // namespace fiducial
