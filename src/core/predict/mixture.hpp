/*
 * mixture.hpp
 *
 * One distribution out of several experts' answers, for Predict() and
 * PredictAgain(): the gate's shares where there is a gate, else precision; and
 * the calibration of what comes out.
 */
#pragma once

#include "core/predict/expert.hpp"
#include "core/predict/forecast.hpp"
#include "core/predict/gate.hpp"
#include "core/predict/target.hpp"

namespace wlm {

inline constexpr float kLeastCalibration = 0.1f;
inline constexpr float kMostCalibration = 20.0f;

/* What the mixture's deviations below and above the middle are multiplied with. */
struct Factors {
	float lower = 1;
	float upper = 1;
};
struct Calibration {
	Factors of[kNumTargets];
};

/* What Accuracy says of this class; 1 where it is absent or absurd. */
Calibration CalibrationOf(const Accuracy *accuracy, Familiarity familiarity) noexcept;

/* Without a gate: soft weights by squared precision and support. Sum to 1, or all 0 when nobody has an opinion. */
void PrecisionShares(const Estimate answers[kNumExperts], float shares[kNumExperts]) noexcept;

/* The distribution with these shares: its mean, what is between the experts counted as model variance. */
Estimate Combine(const Estimate answers[kNumExperts], const float shares[kNumExperts], const Factors &factors) noexcept;

/* PrecisionShares() and Combine(), for what no gate judges. */
Estimate Mix(const Estimate answers[kNumExperts], const Factors &factors, float shares[kNumExperts]) noexcept;

/* Mixes the targets of one query: copies once what the gate and the calibration say. */
class Mixer {
  public:
	/* `query` without its losses: they are looked up in models.recall. */
	Mixer(const ModelView &models, uint64_t template_fingerprint, const GateQuery &query) noexcept;

	Estimate Mixed(Target target, const Estimate answers[kNumExperts], float shares[kNumExperts]) const noexcept;

  private:
	bool has_gate_;
	GateView gate_;
	GateQuery query_;
	Calibration calibration_;
};

/* Plan entry, template entry or nothing; kUnseen without a store. */
Familiarity FamiliarityOf(const RecallStore *recall, uint64_t plan_fingerprint, uint64_t template_fingerprint) noexcept;

/* Averages shares over operators; falls back to those of the query's memory when there is none. */
struct ShareAverage {
	float sums[kNumExperts];
	int count;

	void Add(const float shares[kNumExperts]) noexcept;
	void Get(const float fallback[kNumExperts], float shares[kNumExperts]) const noexcept;
};

}  // namespace wlm
