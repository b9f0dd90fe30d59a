#pragma once
#include <cstddef>
#include <vector>

namespace fiducial::vision {

/// One film whose truth is known.
struct Judged {
    bool is_ill = false;
    bool is_refused = false;
    double probability = 0;
};

/// A figure, and between what it lies with 95 %.
struct Figure {
    double value = 0, low = 0, high = 0;
};

/// What a model is worth on films whose truth is known. What it refused counts against it: a refused film was judged wrong, and ranks at
/// the wrong end. Figures of a class that has no films are no numbers.
struct Evaluation {
    std::size_t n = 0, refused = 0;
    double threshold = 0;
    Figure auc, pr_auc, ece;                    // intervals by bootstrap over films, the seed fixed
    Figure accuracy, sensitivity, specificity;  // Wilson's intervals
    Figure sensitivity_at_specificity;          // of kWantedSpecificity, by the best cut on these very films
    struct Point {
        double x = 0, y = 0;
    };
    std::vector<Point> roc;          // 1 - specificity, sensitivity
    std::vector<Point> precision;    // sensitivity, positive predictive value
    std::vector<Point> calibration;  // mean probability, share of ill: a point for each tenth that holds films
};
inline constexpr double kWantedSpecificity = 0.88;

Evaluation evaluate(const std::vector<Judged>& films, double threshold);

/// The area under the ROC curve: how often an ill film ranks above a healthy one, ties half. Spec: Mann and Whitney 1947.
double area_under_roc(const std::vector<Judged>& films);
/// Average precision. Films of one probability are one step.
double average_precision(const std::vector<Judged>& films);
/// Expected calibration error, ten bins of equal width; refused films have said nothing and are left out.
double calibration_error(const std::vector<Judged>& films);
/// Spec: Wilson 1927.
Figure proportion(std::size_t hits, std::size_t of);

}  // namespace fiducial::vision
