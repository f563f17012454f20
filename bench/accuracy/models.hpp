/*
 * models.hpp
 *
 * The models as a server has them: those trained in batch before (trees,
 * graph, and what they are compared with), and those that learn online.
 */
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/learn/learner.hpp"
#include "core/learn/model_blob.hpp"
#include "core/predict/expert.hpp"
#include "core/predict/gate.hpp"
#include "flat_model.hpp"
#include "trainer/samples.hpp"

namespace wlm::accuracy {

/* Bytes at a multiple of 8, as models want to be read. */
class AlignedBytes {
  public:
	AlignedBytes() = default;
	explicit AlignedBytes(size_t size) : words_(std::make_unique<uint64_t[]>(size / sizeof(uint64_t) + 1)), size_(size) {}
	explicit AlignedBytes(std::span<const std::byte> bytes);

	bool empty() const { return size_ == 0; }
	std::byte *data() const { return reinterpret_cast<std::byte *>(words_.get()); }
	std::span<std::byte> span() const { return {data(), size_}; }

  private:
	std::unique_ptr<uint64_t[]> words_;
	size_t size_ = 0;
};

/* Of a file as `pg_wlm_trainer` or `bench_accuracy gate` writes it. Throws if it holds no sane model of this kind. */
AlignedBytes ReadModel(const std::string &path, ModelId which);
/* As a blob. */
void WriteModel(const std::string &path, ModelId which, std::span<const std::byte> model);

/* Trained before the stream begins. */
struct TrainedModels {
	AlignedBytes trees; /* empty = that expert has no model */
	AlignedBytes graph;
	FlatModel flat;
	float log_ms_per_cost = 0; /* median of ln(ms / planner units) */
	size_t plans = 0;          /* that they were trained on */
	double trees_seconds = 0;
	double graph_seconds = 0;
};

struct TrainingOptions {
	double seconds = 120; /* of each expert */
	uint64_t seed = 1;
	bool flat = true;     /* also what they are compared with */
	bool verbose = true;  /* progress to standard error */
};

/* An expert that cannot be trained (no XGBoost, too little data) is said so on standard error, and has no model. */
TrainedModels TrainModels(const trainer::Samples &samples, const TrainingOptions &options, const std::string &what);

float MedianLogMsPerCost(const trainer::Samples &samples); /* 0 if there are none */

/* Planner, recall, gate, neighbours, calibration; fresh as after CREATE EXTENSION. */
class OnlineModels {
  public:
	/* `trained` must outlive it. `gate` may be null: a fresh one. */
	OnlineModels(const TrainedModels &trained, const GateModel *gate);

	const ModelView &view() const { return view_; }
	const LearningModels &learning() const { return learning_; }
	GateModel *gate() { return gate_; }

  private:
	AlignedBytes planner_bytes_, recall_bytes_, neighbours_bytes_, gate_bytes_, accuracy_bytes_;
	GateModel *gate_;
	ModelView view_;
	LearningModels learning_;
};

}  // namespace wlm::accuracy
