/*
 * regression.hpp
 *
 * One step of a recursive Bayesian linear regression: Kalman gain, forgetting
 * by inflating the covariance (never above the prior's), Huber weights against
 * outliers. Whatever is fed in, the state stays finite and positive semidefinite.
 *
 * Source: Ljung and Soederstroem, Theory and Practice of Recursive
 * Identification (1983); Huber, Robust Statistics (1981).
 */
#pragma once

#include "core/predict/planner_model.hpp"

namespace wlm {

struct RegressionPrior {
	float weights[kMaxRegressors];
	float variances[kMaxRegressors]; /* of the weights; 0 = regressor not used */
	float noise_variance;
};

void InitRegression(Regression *regression, const RegressionPrior &prior) noexcept;

/* Mean and variances of y at x; support grows with evidence from one half. */
Estimate PredictRegression(const Regression &regression, const float x[kMaxRegressors]) noexcept;

/* A lower bound moves the regression only if y lies above what is predicted. */
void LearnRegression(Regression *regression, const RegressionPrior &prior, const float x[kMaxRegressors], float y,
                     bool lower_bound) noexcept;

bool RegressionIsSane(const Regression &regression) noexcept;

}  // namespace wlm
