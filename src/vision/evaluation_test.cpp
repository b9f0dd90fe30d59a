#include "vision/evaluation.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "vision/plot.hpp"

namespace fiducial::vision {
namespace {

std::vector<Judged> films(const std::vector<std::pair<bool, double>>& those) {
    std::vector<Judged> out;
    for (const auto& [is_ill, probability] : those) out.push_back({is_ill, false, probability});
    return out;
}

// scikit-learn's own example: roc_auc_score([0, 0, 1, 1], [.1, .4, .35, .8]) = .75, average_precision_score = .8333.
TEST(Evaluation, AreasAreThoseOfTheTextbook) {
    const auto four = films({{false, 0.1}, {false, 0.4}, {true, 0.35}, {true, 0.8}});
    EXPECT_DOUBLE_EQ(area_under_roc(four), 0.75);
    EXPECT_NEAR(average_precision(four), 0.8333333, 1e-6);
    EXPECT_DOUBLE_EQ(area_under_roc(films({{false, 0.5}, {true, 0.5}})), 0.5) << "ties count half";
}

TEST(Evaluation, WilsonsIntervalIsThatOfTheTables) {
    const auto figure = proportion(81, 263);  // Newcombe 1998, table I: .2553 to .3662
    EXPECT_NEAR(figure.low, 0.2553, 1e-4);
    EXPECT_NEAR(figure.high, 0.3662, 1e-4);
    EXPECT_DOUBLE_EQ(proportion(0, 20).low, 0);
    EXPECT_DOUBLE_EQ(proportion(20, 20).high, 1);
    EXPECT_TRUE(std::isnan(proportion(0, 0).value));
}

TEST(Evaluation, CalibrationErrorIsTheMeanGap) {
    EXPECT_NEAR(calibration_error(films({{false, 0.25}, {true, 0.25}, {true, 0.95}, {true, 0.95}})), 0.5 * 0.25 + 0.5 * 0.05, 1e-12);
}

TEST(Evaluation, WhatWasRefusedCountsAsWrong) {
    auto some = films({{false, 0.1}, {false, 0.2}, {true, 0.8}, {true, 0.9}});
    const auto all_right = evaluate(some, 0.5);
    EXPECT_DOUBLE_EQ(all_right.auc.value, 1);
    EXPECT_DOUBLE_EQ(all_right.accuracy.value, 1);
    EXPECT_DOUBLE_EQ(all_right.sensitivity_at_specificity.value, 1);
    some[1].is_refused = some[3].is_refused = true;
    const auto refused = evaluate(some, 0.5);
    EXPECT_EQ(refused.refused, 2u);
    EXPECT_DOUBLE_EQ(refused.accuracy.value, 0.5);
    EXPECT_DOUBLE_EQ(refused.sensitivity.value, 0.5);
    EXPECT_DOUBLE_EQ(refused.specificity.value, 0.5);
    EXPECT_DOUBLE_EQ(refused.auc.value, 0.25) << "only the pair where neither was refused is in order";
    EXPECT_DOUBLE_EQ(refused.sensitivity_at_specificity.value, 0) << "half of the healthy ones are false alarms at any cut";
}

TEST(Evaluation, OneClassAloneHasNoArea) {
    EXPECT_TRUE(std::isnan(evaluate(films({{true, 0.9}}), 0.5).auc.value));
    EXPECT_TRUE(std::isnan(evaluate({}, 0.5).accuracy.value));
}

TEST(Evaluation, CurvesAreDrawnInBothForms) {
    const Plot plot{"<Title>", "x", "y", {{0, 0}, {0, 1}, {1, 1}}, true};
    const auto svg = svg_of(plot);
    EXPECT_NE(svg.find("<polyline"), std::string::npos);
    EXPECT_EQ(svg.find("<Title>"), std::string::npos);
    const auto raster = raster_of(plot);
    EXPECT_EQ(raster.samples.size(), std::size_t{raster.rows} * raster.columns * 3);
    EXPECT_GT(std::count(raster.samples.begin(), raster.samples.end(), 11), 300) << "the curve's red";
}

}  // namespace
}  // namespace fiducial::vision
