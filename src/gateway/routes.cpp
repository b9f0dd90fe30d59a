#include <algorithm>

#include "base/identifiers.hpp"
#include "gateway/impl/oversight.hpp"
#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {
namespace {

// To open another door over HTTP: write its service in a file of its own, declare it in impl/service.hpp, add its routes here and to
// docs/reference/http.md.
constexpr Route kRoutes[] = {
    {"GET", "/healthz", Access::anonymous, serve_liveness},
    {"POST", "/witness/add-checkpoint", Access::anonymous, serve_witness},
    {"GET", "/readyz", Access::person, serve_readiness},
    {"GET", "/metrics", Access::person, serve_metrics},

    // Browsers
    {"GET", "/", Access::anonymous, serve_page},
    {"GET", "/login", Access::anonymous, serve_page},
    {"GET", "/web/{rest}", Access::anonymous, serve_page},
    {"GET", "/app/{rest}", Access::anonymous, serve_page},
    {"GET", "/ohif", Access::anonymous, serve_viewer},
    {"GET", "/ohif/{rest}", Access::anonymous, serve_viewer},
    {"POST", "/session", Access::anonymous, serve_log_in},
    {"DELETE", "/session", Access::anonymous, serve_log_out},
    {"GET", "/session", Access::person, serve_session},
    {"GET", "/demo", Access::anonymous, serve_demo},
    {"POST", "/demo/flip", Access::person, serve_demo_flip},

    // Accounts: accounts.cpp says what each asks the reception for
    {"POST", "/accounts", Access::anonymous, serve_reception},
    {"POST", "/session/password", Access::anonymous, serve_reception},
    {"POST", "/session/code", Access::anonymous, serve_reception},
    {"POST", "/links", Access::anonymous, serve_reception},
    {"POST", "/links/use", Access::anonymous, serve_reception},
    {"POST", "/session/wallet/message", Access::anonymous, serve_reception},
    {"POST", "/session/wallet", Access::anonymous, serve_reception},
    {"POST", "/session/reset", Access::anonymous, serve_reception},
    {"POST", "/rpc/{rest}", Access::anonymous, serve_rpc},
    {"GET", "/account", Access::person, serve_reception},
    {"POST", "/account/confirmation", Access::person, serve_reception},
    {"POST", "/account/wallet/message", Access::person, serve_reception},
    {"POST", "/account/wallet", Access::person, serve_reception},
    {"POST", "/account/rpc", Access::person, serve_reception},
    {"PUT", "/account/password", Access::person, serve_reception},
    {"POST", "/account/second-factor", Access::person, serve_reception},
    {"GET", "/account/sessions", Access::person, serve_own_sessions},
    {"DELETE", "/account/sessions", Access::person, serve_end_session},
    {"GET", "/account/tokens", Access::person, serve_reception},
    {"POST", "/account/tokens", Access::person, serve_reception},
    {"DELETE", "/account/tokens", Access::person, serve_reception},
    {"GET", "/account/messages", Access::person, serve_reception},
    {"POST", "/account/messages/read", Access::person, serve_reception},
    {"GET", "/people", Access::person, serve_reception},
    {"POST", "/people/activate", Access::person, serve_reception},
    {"POST", "/people/refuse", Access::person, serve_reception},
    {"POST", "/people/deactivate", Access::person, serve_reception},
    {"POST", "/people/invite", Access::person, serve_reception},
    {"POST", "/people/password-link", Access::person, serve_reception},
    {"POST", "/people/second-factor", Access::person, serve_reception},
    {"POST", "/letters", Access::person, serve_reception},

    // WADO-RS, PS3.18 §10.4
    {"GET", "/studies/{uid}", Access::person, serve_retrieve_study},
    {"GET", "/studies/{uid}/series/{uid}", Access::person, serve_retrieve_series},
    {"GET", "/studies/{uid}/series/{uid}/instances/{uid}", Access::person, serve_retrieve_instance},

    {"GET", "/studies/{uid}/metadata", Access::person, serve_study_metadata},
    {"GET", "/studies/{uid}/series/{uid}/metadata", Access::person, serve_series_metadata},
    {"GET", "/studies/{uid}/series/{uid}/instances/{uid}/metadata", Access::person, serve_instance_metadata},
    {"GET", "/studies/{uid}/series/{uid}/instances/{uid}/frames/{frames}", Access::person, serve_frames},
    {"GET", "/studies/{uid}/series/{uid}/instances/{uid}/bulkdata/{rest}", Access::person, serve_bulk_data},

    {"GET", "/studies/{uid}/rendered", Access::person, serve_rendered_study},
    {"GET", "/studies/{uid}/series/{uid}/rendered", Access::person, serve_rendered_series},
    {"GET", "/studies/{uid}/series/{uid}/instances/{uid}/rendered", Access::person, serve_rendered_instance},
    {"GET", "/studies/{uid}/series/{uid}/instances/{uid}/frames/{frames}/rendered", Access::person, serve_rendered_frames},
    {"GET", "/studies/{uid}/thumbnail", Access::person, serve_study_thumbnail},
    {"GET", "/studies/{uid}/series/{uid}/thumbnail", Access::person, serve_series_thumbnail},
    {"GET", "/studies/{uid}/series/{uid}/instances/{uid}/thumbnail", Access::person, serve_instance_thumbnail},
    {"GET", "/studies/{uid}/series/{uid}/instances/{uid}/frames/{frames}/thumbnail", Access::person, serve_frame_thumbnail},

    // WADO-URI, PS3.18 §9; capabilities, §8.9
    {"GET", "/wado", Access::person, serve_wado_uri},
    {"OPTIONS", "/", Access::anonymous, serve_capabilities},

    // QIDO-RS, PS3.18 §10.6
    {"GET", "/studies", Access::person, serve_search_studies},
    {"GET", "/series", Access::person, serve_search_series},
    {"GET", "/instances", Access::person, serve_search_instances},
    {"GET", "/studies/{uid}/series", Access::person, serve_search_series},
    {"GET", "/studies/{uid}/instances", Access::person, serve_search_instances},
    {"GET", "/studies/{uid}/series/{uid}/instances", Access::person, serve_search_instances},

    // STOW-RS, PS3.18 §10.5
    {"POST", "/studies", Access::person, serve_store},
    {"POST", "/studies/{uid}", Access::person, serve_store},

    // An emergency is opened first, and looked at with "Fiducial-Purpose: emergency"
    {"POST", "/studies/{uid}/emergency", Access::person, serve_break_glass},

    // What is taken out of a study, and whose it is
    {"DELETE", "/studies/{uid}", Access::person, serve_remove_study},
    {"DELETE", "/studies/{uid}/series/{uid}", Access::person, serve_remove_series},
    {"DELETE", "/studies/{uid}/series/{uid}/instances/{uid}", Access::person, serve_remove_instance},
    {"POST", "/studies/{uid}/put-back", Access::person, serve_put_back_study},
    {"POST", "/studies/{uid}/series/{uid}/put-back", Access::person, serve_put_back_series},
    {"POST", "/studies/{uid}/series/{uid}/instances/{uid}/put-back", Access::person, serve_put_back_instance},
    {"POST", "/studies/{uid}/move", Access::person, serve_move_study},
    {"POST", "/studies/{uid}/series/{uid}/move", Access::person, serve_move_series},
    {"POST", "/studies/{uid}/series/{uid}/instances/{uid}/move", Access::person, serve_move_instance},
    {"PUT", "/studies/{uid}/patient", Access::person, serve_correct_patient},
    {"DELETE", "/studies/{uid}/patient", Access::person, serve_take_correction_back},

    // What is to be done at the modalities
    {"GET", "/worklist", Access::person, serve_worklist},
    {"POST", "/worklist", Access::person, serve_schedule},
    {"DELETE", "/worklist", Access::person, serve_cancel_scheduled},

    // The peers of DIMSE, for administrators
    {"GET", "/peers", Access::person, serve_peers},
    {"POST", "/peers", Access::person, serve_add_peer},
    {"DELETE", "/peers", Access::person, serve_remove_peer},
    {"POST", "/peers/check", Access::person, serve_check_peers},
    {"GET", "/peers/knocks", Access::person, serve_knocks},

    // For those who watch over the archive
    {"GET", "/trace", Access::person, serve_trace},
    {"GET", "/trace/proof", Access::person, serve_trace_proof},
    {"GET", "/trace/emergencies", Access::person, serve_emergencies},
    {"GET", "/studies/{uid}/looks", Access::person, serve_looks},
    {"GET", "/ledger", Access::person, serve_ledger},
    {"POST", "/ledger/rpc", Access::person, serve_ledger_question},

    // What waits, for administrators
    {"GET", "/queues", Access::person, serve_reception},
    {"POST", "/queues/deliveries/retry", Access::person, serve_reception},
    {"POST", "/queues/mails/retry", Access::person, serve_reception},
    {"POST", "/queues/mails/discard", Access::person, serve_reception},
    {"POST", "/queues/deliveries/discard", Access::person, serve_reception},
    {"POST", "/queues/quarantine/restore", Access::person, serve_reception},

    // Proof
    {"GET", "/studies/{uid}/record", Access::person, serve_study_record},
    {"GET", "/studies/{uid}/evidence", Access::person, serve_study_evidence},
    {"GET", "/studies/{uid}/series/{uid}/instances/{uid}/evidence", Access::person, serve_instance_evidence},
};

bool matches(std::string_view pattern, const std::vector<std::string>& segments, std::vector<std::string>& parameters, std::string& rest) {
    for (const auto& segment : segments) {
        if (pattern == "{rest}") {
            rest += "/" + segment;
            continue;
        }
        if (pattern.empty()) return false;
        pattern.remove_prefix(1);  // '/'
        if (pattern == "{rest}") {
            rest = segment;
            continue;
        }
        const auto end = std::min(pattern.find('/'), pattern.size());
        const auto wanted = pattern.substr(0, end);
        pattern.remove_prefix(end);
        if (wanted == "{uid}") {
            parameters.push_back(segment);
        } else if (wanted == "{frames}") {
            rest = segment;
        } else if (wanted != segment) {
            return false;
        }
    }
    return pattern.empty() || (pattern == "{rest}" && !rest.empty());
}

}  // namespace

std::span<const Route> routes() {
    return kRoutes;
}

RouteMatch find_route(std::string_view method, const net::Target& target) {
    auto segments = target.segments;
    if (segments.size() > 1 && segments.back().empty()) segments.pop_back();  // "/studies/" is "/studies"
    RouteMatch out;
    for (const auto& route : kRoutes) {
        std::vector<std::string> parameters;
        std::string rest;
        if (!matches(route.pattern, segments, parameters, rest)) continue;
        const bool answers = route.method == method || (route.method == "GET" && method == "HEAD");
        if (answers) {
            out.route = &route;
            out.parameters = std::move(parameters);
            out.rest = std::move(rest);
            return out;
        }
        if (!out.allowed.empty()) out.allowed += ", ";
        out.allowed += route.method;
        if (route.method == "GET") out.allowed += ", HEAD";
    }
    return out;
}

}  // namespace fiducial::gateway::impl
