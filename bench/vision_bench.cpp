// What a verdict costs on one core, from the bytes of a JPEG of three megapixels, beside the bare network's time.
#include <benchmark/benchmark.h>
#include <sched.h>

#include <cmath>

#include "dicom/rendering.hpp"
#include "dicom/transfer_syntax.hpp"
#include "vision/classifier.hpp"

namespace fiducial::vision {
namespace {

void stay_on_one_core() {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &one);
    FID_INVARIANT(sched_setaffinity(0, sizeof one, &one) == 0, "the benchmark cannot stay on one core");
}

Model& model() {
    static auto product = [] {
        stay_on_one_core();  // before OpenCV counts them
        return Model::of_product();
    }();
    FID_INVARIANT(product.has_value(), "the model cannot be loaded");
    return *product;
}

/// 1,500 × 2,000, of about as many bytes as a film.
Bytes jpeg_of_three_megapixels() {
    dicom::PixelDescription image;
    image.rows = 1'500;
    image.columns = 2'000;
    image.bits_allocated = image.bits_stored = 8;
    image.high_bit = 7;
    image.photometric = "MONOCHROME2";
    Bytes pixels(std::size_t{image.rows} * image.columns);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        const double x = static_cast<double>(i % image.columns), y = static_cast<double>(i / image.columns);
        pixels[i] = static_cast<std::uint8_t>(128 + 60 * std::sin(x / 90) * std::cos(y / 130) +
                                              static_cast<double>(i * 2'654'435'761u >> 20 & 15u));
    }
    dicom::RenderOptions options;
    options.window = dicom::Window{128, 256, dicom::WindowShape::linear};
    auto jpeg = dicom::render_frame(image, dicom::kExplicitVrLittleEndian, pixels, options);
    FID_INVARIANT(jpeg.has_value(), "no JPEG");
    return *jpeg;
}

void verdict_from_jpeg(benchmark::State& state) {
    model();
    const auto jpeg = jpeg_of_three_megapixels();
    for (auto _ : state) {
        const auto film = read_film(jpeg);
        auto assessment = assess(model(), *film, {.any_age = true});
        benchmark::DoNotOptimize(assessment);
    }
    state.counters["bytes"] = static_cast<double>(jpeg.size());
}
BENCHMARK(verdict_from_jpeg)->Unit(benchmark::kMillisecond);

void network_alone(benchmark::State& state) {
    model();
    const Bytes prepared(std::size_t{kSide} * kSide, 100);
    for (auto _ : state) {
        auto seen = model().look(prepared);
        benchmark::DoNotOptimize(seen);
    }
}
BENCHMARK(network_alone)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fiducial::vision

BENCHMARK_MAIN();
