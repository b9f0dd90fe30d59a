#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "dicom/worklist.hpp"
#include "gateway/impl/hl7_message.hpp"

// Orders as messages, into entries of the worklist. Spec: HL7 v2.5.1 §4.4; IHE Radiology TF-2 §4.4 (RAD-4)
namespace fiducial::gateway::impl {

/// What an order message asks for.
struct Hl7Orders {
    struct Cancelled {
        std::string accession_number, step_id;  // without a step: all of the order's
        Hl7Place place;
    };
    std::vector<dicom::Attributes> scheduled;
    std::vector<Cancelled> cancelled;
};

/// Reads ORM^O01 and OMI^O23, or says what is answered: each entry is whole and has values that can be kept.
/// docs/reference/hl7.md says what is taken from where.
std::variant<Hl7Orders, Hl7Answer> read_hl7_orders(const Hl7Message& message);

}  // namespace fiducial::gateway::impl
