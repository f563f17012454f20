/*
 * trees_data.hpp
 *
 * Samples as the trees see them: rows of features and what they should have
 * said. Bounded: what 100,000 plans would add over some 20,000 is little, so a
 * part of them is chosen, evenly over templates.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/learn/sample.hpp"
#include "core/predict/operator_features.hpp"

namespace wlm::trainer {

inline constexpr size_t kMostTreesPlans = 20000;
inline constexpr size_t kMostTreesPipelines = 200000;
inline constexpr size_t kMostTreesOperators = 100000;

/* Something to learn: y = start + what the trees say. */
struct TreesLabel {
	uint32_t group;      /* template, numbered: what is bootstrapped */
	float start;
	float y;
	float weight;
	float variance = 0;  /* between the executions averaged in y */
	bool bound = false;  /* y is a lower bound: saying more is no error */
};

/* Rows of one target, `num_features` numbers each. */
struct TreesRows {
	int num_features = 0;
	std::vector<float> x;
	std::vector<TreesLabel> labels;

	void Add(const TreesRow &row, const TreesLabel &label);
};

/* A plan whose time is known: its pipelines are [first_pipeline, first_pipeline of the next). */
struct TreesData {
	TreesRows plans;                     /* time: features of the plan, for its variance; start = 0 */
	std::vector<uint32_t> first_pipeline; /* one more than plans */
	std::vector<float> pipelines;        /* features */
	std::vector<float> own_ms;
	TreesRows operators;
	TreesRows temps;
	TreesRows queries;

	TreesData();
	/* False, and nothing added, if it is full; a sample that teaches nothing is no reason. */
	bool Add(const Sample &sample);
	size_t num_groups() const { return groups_.size(); }
	size_t num_samples() const { return samples_; }
	/* With too few templates to leave some out, every plan is a group of its own. To be called before the first Add(). */
	void GroupByPlan() { by_plan_ = true; }

  private:
	void AddTime(const Sample &sample, uint32_t group);
	void AddOperators(const Sample &sample, uint32_t group);

	std::unordered_map<uint64_t, uint32_t> groups_;
	std::unique_ptr<TreesDescription> description_;
	size_t samples_ = 0;
	bool by_plan_ = false;
};

struct PlanKey {
	uint64_t template_fingerprint;
	uint64_t plan_fingerprint;
};

/* At most `most` indices, ascending: one plan of each template, then a second one of each, ... */
std::vector<size_t> ChoosePlans(const std::vector<PlanKey> &plans, size_t most, uint64_t seed);

}  // namespace wlm::trainer
