#include "dicom/data_set_scanner.hpp"
#include "dicom/image_import.hpp"

// Any bytes as a JPEG or PNG file: what is taken is an instance that our own scanner reads without a warning.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    using namespace fiducial::dicom;
    static const Bytes secret(32, 1);
    ImageImportOptions options;
    options.pixels = 1u << 18;
    if (size > 0) options.radiograph = (data[size - 1] & 1) != 0 ? RadiographClass::digital : RadiographClass::computed;
    ImportedPatient patient;
    patient.patient_id.value = "1";
    const auto image = import_image({data, size}, patient, secret, options);
    if (!image) return 0;
    Bytes file = image->prefix;
    append(file, image->data_set);
    const auto header = scan_file(file);
    FID_INVARIANT(header.has_value(), "an imported image that cannot be scanned");
    FID_INVARIANT(header->warnings.empty() && header->has_pixel_data && header->identity.sop_instance == image->sop_instance,
                  "an imported image that is not right");
    return 0;
}
