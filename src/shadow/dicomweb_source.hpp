#pragma once
#include <memory>
#include <string>

#include "net/client.hpp"
#include "shadow/source.hpp"

namespace fiducial::shadow {

struct DicomWebSettings {
    std::string url;            // of the services: "https://pacs.example/dicom-web"
    std::string bearer_token;   // a secret; empty: none
    std::string user_password;  // "name:password", of Basic authentication; empty: none
    std::string purpose;        // Fiducial-Purpose, of an archive that knows it
    std::string ca_file;        // PEM; empty: the system's
    std::chrono::seconds stall{60};
};

/// An archive that speaks DICOMweb. Spec: PS3.18 §10.4 (WADO-RS), §10.5 (STOW-RS), §10.6 (QIDO-RS)
class DicomWebSource final : public Source {
public:
    explicit DicomWebSource(DicomWebSettings settings);
    std::string name() const override { return settings_.url; }
    Result<void> each_study(const std::function<Result<bool>(const ListedStudy& study)>& with) override;
    Result<std::vector<ListedInstance>> instances(const std::string& study_uid) override;
    Result<void> fetch(const ListedInstance& instance, const TakePiece& take) override;

    /// Stores one instance, whose file `give` gives piece by piece.
    /// Errors: conflict: it was not taken, for the reason in the message
    Result<void> store(const std::function<Result<std::size_t>(MutableByteView out)>& give);

    /// A JSON document below the services' address. Errors: not_found
    Result<std::string> document(const std::string& path);

private:
    net::HttpClientRequest request(std::string method, const std::string& path, std::string accept) const;
    Result<std::string> list(const std::string& path);

    DicomWebSettings settings_;
    net::HttpClient client_;
};

}  // namespace fiducial::shadow
