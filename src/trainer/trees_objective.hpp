/*
 * trees_objective.hpp
 *
 * What the trees of one target are boosted on: gradients and hessians for
 * XGBoost, the loss on what a member was not taught, and the errors there.
 *
 * The loss is pseudo-Huber's, D^2 (sqrt(1 + (r/D)^2) - 1) of the error r in ln: a query that
 * took a hundred times longer than any other like it must not bend everything else. Hessians
 * are majorising: L'(r)/r bounds the curvature from above, for the loss is concave in r^2,
 * so no round can make it worse.
 */
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/trees_data.hpp"

namespace wlm::trainer {

/* How often each template is in a member's bootstrap; 0 = kept apart for it. */
using Multiplicity = std::vector<uint32_t>;

class Objective {
  public:
	virtual ~Objective() = default;
	/* What all rows share: the weighted median of what the bootstrap asks for. */
	virtual float Bias() const = 0;
	/* `margins` without the bias. */
	virtual void Gradients(std::span<const float> margins, std::span<float> gradients, std::span<float> hessians) = 0;
	/* Mean over what was kept apart; negative if nothing was. */
	virtual double Loss(std::span<const float> margins) = 0;
	/* Squared errors and their weights, per label; weight 0 = taught, or a bound. */
	virtual void Errors(std::span<const float> margins, std::vector<float> *squares, std::vector<float> *weights) = 0;
};

/* One row, one label: start + bias + margin should be y. Bounds teach only while they are not reached. */
class RowObjective : public Objective {
  public:
	RowObjective(const std::vector<TreesLabel> &labels, const Multiplicity &multiplicity);
	float Bias() const override { return bias_; }
	void Gradients(std::span<const float> margins, std::span<float> gradients, std::span<float> hessians) override;
	double Loss(std::span<const float> margins) override;
	void Errors(std::span<const float> margins, std::vector<float> *squares, std::vector<float> *weights) override;

  private:
	const std::vector<TreesLabel> &labels_;
	const Multiplicity &multiplicity_;
	float bias_;
};

/*
 * Rows are pipelines, labels whole queries: ln of the sum of own_ms x e^(bias + margin) should be y.
 * With s the pipeline's share of that sum, the gradient is L' s, and a hessian that is safe although
 * all pipelines of a query move at once is s (L'/r + max(L', 0)): by Jensen (sum s v)^2 <= sum s v^2, and
 * the curvature of the logarithm itself is at most s.
 */
class TimeObjective : public Objective {
  public:
	TimeObjective(const TreesData &data, const Multiplicity &multiplicity);
	float Bias() const override { return bias_; }
	void Gradients(std::span<const float> margins, std::span<float> gradients, std::span<float> hessians) override;
	double Loss(std::span<const float> margins) override;
	void Errors(std::span<const float> margins, std::vector<float> *squares, std::vector<float> *weights) override;

  private:
	float Error(size_t plan, std::span<const float> margins); /* and sets parts_ of its pipelines */

	const TreesData &data_;
	const Multiplicity &multiplicity_;
	std::vector<float> parts_;
	float bias_ = 0;
};

/*
 * ln(variance) of errors that were made on what was kept apart: the likelihood of a normal distribution,
 * with Fisher's information for a hessian.
 */
class VarianceObjective : public Objective {
  public:
	VarianceObjective(std::vector<float> squares, std::vector<float> weights);
	float Bias() const override { return bias_; }
	void Gradients(std::span<const float> margins, std::span<float> gradients, std::span<float> hessians) override;
	double Loss(std::span<const float>) override { return -1; }
	void Errors(std::span<const float>, std::vector<float> *, std::vector<float> *) override {}
	size_t num_errors() const { return num_errors_; }

  private:
	std::vector<float> squares_;
	std::vector<float> weights_;
	size_t num_errors_ = 0;
	float bias_;
};

}  // namespace wlm::trainer
