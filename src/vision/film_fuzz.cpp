#include "vision/film.hpp"

#include "vision/preparation.hpp"

// Any bytes as a file to look at: a film that can be prepared, or an error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    const auto film = vision::read_film({data, size});
    if (!film) return 0;
    FID_INVARIANT(film->pixels.channels == 1 && film->pixels.samples.size() == std::size_t{film->pixels.rows} * film->pixels.columns,
                  "a film that is not what it says");
    FID_INVARIANT(vision::prepare(film->pixels).size() == std::size_t{vision::kSide} * vision::kSide, "a film of another size");
    return 0;
}
