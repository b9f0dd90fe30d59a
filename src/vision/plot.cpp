#include "vision/plot.hpp"

#include <cmath>
#include <cstdio>
#include <opencv2/imgproc.hpp>

namespace fiducial::vision {
namespace {

constexpr int kSquare = 400, kLeft = 70, kTop = 40, kBelow = 60, kRight = 20;  // pixels
constexpr int kWidth = kLeft + kSquare + kRight, kHeight = kTop + kSquare + kBelow;

double place_x(double x) {
    return kLeft + x * kSquare;
}
double place_y(double y) {
    return kTop + (1 - y) * kSquare;
}

std::string formatted(const char* format, double a, double b) {
    char text[64];
    std::snprintf(text, sizeof text, format, a, b);
    return text;
}

/// Titles and names of axes are our own; what XML would misread is left out all the same.
std::string plain(const std::string& text) {
    std::string out;
    for (const char c : text) out += (c == '<' || c == '&') ? ' ' : c;
    return out;
}

}  // namespace

std::string svg_of(const Plot& plot) {
    const auto size = std::to_string(kWidth) + "\" height=\"" + std::to_string(kHeight);
    std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + size +
                      "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
    const auto text = [&out](double x, double y, const std::string& anchor, const std::string& what, const std::string& more = "") {
        out += formatted("<text x=\"%.0f\" y=\"%.0f\"", x, y) + " text-anchor=\"" + anchor + "\"" + more + ">" + plain(what) + "</text>\n";
    };
    const auto line = [&out](Evaluation::Point from, Evaluation::Point to, const std::string& style) {
        out += formatted("<line x1=\"%.1f\" y1=\"%.1f\"", place_x(from.x), place_y(from.y)) +
               formatted(" x2=\"%.1f\" y2=\"%.1f\" ", place_x(to.x), place_y(to.y)) + style + "/>\n";
    };
    for (int tick = 0; tick <= 10; tick += 2) {
        const double at = tick / 10.0;
        line({at, 0}, {at, 1}, "stroke=\"#ddd\"");
        line({0, at}, {1, at}, "stroke=\"#ddd\"");
        text(place_x(at), place_y(0) + 18, "middle", formatted("%.1f", at, 0));
        text(place_x(0) - 8, place_y(at) + 4, "end", formatted("%.1f", at, 0));
    }
    if (plot.diagonal) line({0, 0}, {1, 1}, "stroke=\"#999\" stroke-dasharray=\"4\"");
    out += "<polyline fill=\"none\" stroke=\"#0b5cad\" stroke-width=\"2\" points=\"";
    for (const auto& point : plot.points) out += formatted("%.1f,%.1f ", place_x(point.x), place_y(point.y));
    out += "\"/>\n";
    text(kLeft + kSquare / 2.0, 24, "middle", plot.title, " font-size=\"15\"");
    text(kLeft + kSquare / 2.0, kHeight - 16, "middle", plot.x);
    const auto middle = formatted("%.0f %.0f", 20, kTop + kSquare / 2.0);
    text(20, kTop + kSquare / 2.0, "middle", plot.y, " transform=\"rotate(-90 " + middle + ")\"");
    return out + "</svg>\n";
}

dicom::Raster raster_of(const Plot& plot) {
    dicom::Raster out{kHeight, kWidth, 3, Bytes(std::size_t{kHeight} * kWidth * 3, 255)};
    cv::Mat canvas(kHeight, kWidth, CV_8UC3, out.samples.data());  // red first
    const auto at = [](Evaluation::Point point) {
        return cv::Point(static_cast<int>(std::lround(place_x(point.x))), static_cast<int>(std::lround(place_y(point.y))));
    };
    const auto text = [&canvas](cv::Point middle, const std::string& what, double scale) {
        int below = 0;
        const auto size = cv::getTextSize(what, cv::FONT_HERSHEY_SIMPLEX, scale, 1, &below);
        cv::putText(canvas, what, {middle.x - size.width / 2, middle.y}, cv::FONT_HERSHEY_SIMPLEX, scale, {0, 0, 0}, 1, cv::LINE_AA);
    };
    for (int tick = 0; tick <= 10; tick += 2) {
        const double value = tick / 10.0;
        cv::line(canvas, at({value, 0}), at({value, 1}), {221, 221, 221});
        cv::line(canvas, at({0, value}), at({1, value}), {221, 221, 221});
        text(at({value, 0}) + cv::Point(0, 18), formatted("%.1f", value, 0), 0.4);
        text(at({0, value}) + cv::Point(-18, 4), formatted("%.1f", value, 0), 0.4);
    }
    if (plot.diagonal) cv::line(canvas, at({0, 0}), at({1, 1}), {153, 153, 153}, 1, cv::LINE_AA);
    for (std::size_t i = 1; i < plot.points.size(); ++i)
        cv::line(canvas, at(plot.points[i - 1]), at(plot.points[i]), {11, 92, 173}, 2, cv::LINE_AA);
    text({kLeft + kSquare / 2, 24}, plot.title, 0.5);
    text({kLeft + kSquare / 2, kHeight - 16}, plot.x, 0.4);
    cv::Mat name(16, kSquare, CV_8UC3, cv::Scalar::all(255));
    cv::putText(name, plot.y, {kSquare / 4, 12}, cv::FONT_HERSHEY_SIMPLEX, 0.4, {0, 0, 0}, 1, cv::LINE_AA);
    cv::rotate(name, name, cv::ROTATE_90_COUNTERCLOCKWISE);
    name.copyTo(canvas(cv::Rect(8, kTop, name.cols, name.rows)));
    return out;
}

}  // namespace fiducial::vision
