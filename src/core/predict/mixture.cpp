/*
 * mixture.cpp
 *
 * Mixing is soft: no threshold, no expert is ever shut out for good. Without a
 * gate, weights go with the square of the precision, because recall already
 * holds the planner's answer as its prior, and plain precision would count it
 * twice. The gate's first weights say the same (gate.cpp).
 */
#include "core/predict/mixture.hpp"

#include <algorithm>
#include <cmath>

#include "core/learn/learner.hpp"
#include "core/predict/log_scale.hpp"

namespace wlm {

void PrecisionShares(const Estimate answers[kNumExperts], float shares[kNumExperts]) noexcept
{
	double weights[kNumExperts];
	double total = 0;
	for (int i = 0; i < kNumExperts; i++) {
		weights[i] = 0;
		if (IsUsable(answers[i])) {
			const double precision = 1.0 / std::max(answers[i].Variance(), kLeastMixedVariance);
			weights[i] = precision * precision * answers[i].support / (1.0 + answers[i].support);
		}
		total += weights[i];
	}
	const bool mixed = total > 0 && std::isfinite(total);
	for (int i = 0; i < kNumExperts; i++)
		shares[i] = mixed ? static_cast<float>(weights[i] / total) : 0.0f;
}

Estimate Combine(const Estimate answers[kNumExperts], const float shares[kNumExperts], const Factors &factors) noexcept
{
	Estimate mixed;
	for (int i = 0; i < kNumExperts; i++) {
		if (!(shares[i] > 0))
			continue; /* what is not usable may be NaN */
		mixed.mean += shares[i] * answers[i].mean;
		mixed.data_variance += shares[i] * answers[i].data_variance;
		mixed.model_variance += shares[i] * answers[i].model_variance;
		mixed.support += shares[i] * answers[i].support;
	}
	for (int i = 0; i < kNumExperts; i++) {
		if (!(shares[i] > 0))
			continue;
		const float distance = answers[i].mean - mixed.mean;
		mixed.model_variance += shares[i] * distance * distance;
	}
	mixed.data_variance *= factors.lower * factors.lower;
	mixed.model_variance *= factors.lower * factors.lower;
	mixed.upward = factors.upper / factors.lower;
	return IsUsable(mixed) ? mixed : Estimate{};
}

Estimate Mix(const Estimate answers[kNumExperts], const Factors &factors, float shares[kNumExperts]) noexcept
{
	PrecisionShares(answers, shares);
	return Combine(answers, shares, factors);
}

Mixer::Mixer(const ModelView &models, uint64_t template_fingerprint, const GateQuery &query) noexcept
	: has_gate_(models.gate != nullptr && ReadGate(*models.gate, &gate_)),
	  query_(query),
	  calibration_(CalibrationOf(models.accuracy, query.familiarity))
{
	query_.losses = TemplateLosses{};
	if (has_gate_ && models.recall != nullptr)
		models.recall->FindLosses(template_fingerprint, &query_.losses);
}

Estimate Mixer::Mixed(Target target, const Estimate answers[kNumExperts], float shares[kNumExperts]) const noexcept
{
	if (has_gate_)
		GateShares(gate_, target, query_, answers, shares);
	else
		PrecisionShares(answers, shares);
	return Combine(answers, shares, calibration_.of[static_cast<int>(target)]);
}

Familiarity FamiliarityOf(const RecallStore *recall, uint64_t plan_fingerprint, uint64_t template_fingerprint) noexcept
{
	if (recall != nullptr && recall->Has(plan_fingerprint))
		return Familiarity::kPlanSeen;
	if (recall != nullptr && template_fingerprint != 0 && recall->Has(TemplateKey(template_fingerprint)))
		return Familiarity::kTemplateSeen;
	return Familiarity::kUnseen;
}

void ShareAverage::Add(const float shares[kNumExperts]) noexcept
{
	float total = 0;
	for (int i = 0; i < kNumExperts; i++)
		total += shares[i];
	if (!(total > 0))
		return;
	for (int i = 0; i < kNumExperts; i++)
		sums[i] += shares[i];
	count++;
}

void ShareAverage::Get(const float fallback[kNumExperts], float shares[kNumExperts]) const noexcept
{
	for (int i = 0; i < kNumExperts; i++)
		shares[i] = count > 0 ? sums[i] / static_cast<float>(count) : fallback[i];
}

}  // namespace wlm
