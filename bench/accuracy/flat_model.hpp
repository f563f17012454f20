/*
 * flat_model.hpp
 *
 * What the experts are held against: one plain XGBoost on a flat vector, as
 * Auto-WLM (SIGMOD 2023) describes it: for each kind of operator how many there
 * are and the sums of their rows, costs and widths; for the memory of an operator
 * the same and the operator's own numbers. No pipelines, no memory formula.
 */
#pragma once

#include <memory>

#include "core/learn/sample.hpp"
#include "trainer/samples.hpp"

namespace wlm::accuracy {

struct FlatAnswer {
	float time;                     /* ln(ms), ln(kB); NaN = no opinion */
	float query_memory;
	float memory[kMaxMemoryNodes];
};

class FlatModel {
  public:
	FlatModel();
	~FlatModel();
	FlatModel(FlatModel &&) noexcept;
	FlatModel &operator=(FlatModel &&) noexcept;

	/* No opinion ever, where it is built without XGBoost. */
	void Train(const trainer::Samples &samples);
	void Ask(const PlanGraph &graph, FlatAnswer *answer) const;

  private:
	struct Boosters;
	std::unique_ptr<Boosters> boosters_;
};

}  // namespace wlm::accuracy
