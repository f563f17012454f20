/*
 * models.hpp
 *
 * All experts' models as they are on a server that has run for a while: a full
 * recall store, 2,048 neighbours, trees and a network of the usual size, trained
 * on synthetic samples.
 */
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "core/learn/learner.hpp"
#include "core/predict/expert.hpp"
#include "synthetic.hpp"
#include "trainer/samples.hpp"

namespace wlm::bench {

struct ModelSizes {
	uint32_t recall_entries = 4096;
	uint32_t neighbours = 2048;
	size_t samples = 4000;
	double seconds = 60; /* of training, each */
	uint64_t seed = 1;
};

/* Samples of random plans, one execution each. */
void MakeSamples(size_t count, uint64_t seed, trainer::Samples *samples);

class Models {
  public:
	/* Says on stderr what it does. A trainer that is not there leaves its model away. */
	explicit Models(const ModelSizes &sizes);

	ModelView View() const;
	/* A run of this plan becomes known to recall and neighbours. */
	void LearnFrom(const PlanGraph &graph, Random *random);

  private:

	PlannerModel planner_;
	Accuracy accuracy_;
	std::vector<uint64_t> recall_, trees_, graph_, neighbours_, gate_;
	RecallStore *recall_store_ = nullptr;
	NeighbourStore *neighbour_store_ = nullptr;
	GateModel *gate_model_ = nullptr;
	std::unique_ptr<Forecast> forecast_ = std::make_unique<Forecast>();
	std::unique_ptr<Experience> experience_ = std::make_unique<Experience>();
};

}  // namespace wlm::bench
