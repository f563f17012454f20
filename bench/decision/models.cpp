/*
 * models.cpp
 *
 * See models.hpp.
 */
#include "models.hpp"

#include <cstdio>
#include <cstring>
#include <exception>

#include "core/predict/gate.hpp"
#include "core/predict/graph_model.hpp"
#include "core/predict/neighbour_store.hpp"
#include "core/predict/planner_expert.hpp"
#include "core/predict/trees_model.hpp"
#include "trainer/train.hpp"

namespace wlm::bench {

namespace {

/* The trainer's model, aligned; nothing, with the reason on stderr, if it could not be made. */
std::vector<uint64_t> Trained(const char *name, decltype(trainer::TrainGraph) *train, const trainer::Samples &samples,
                              const ModelSizes &sizes)
{
	std::vector<uint64_t> model;
	try {
		trainer::Options options;
		options.seed = sizes.seed;
		options.seconds = sizes.seconds;
		trainer::Report report;
		const std::vector<std::byte> bytes = train(samples, options, &report);
		model.resize((bytes.size() + 7) / 8);
		std::memcpy(model.data(), bytes.data(), bytes.size());
		std::fprintf(stderr, "%s: %zu samples, %d rounds in %.1f s, model of %zu kB\n", name, report.samples, report.rounds,
		             report.seconds, bytes.size() / 1024);
	} catch (const std::exception &error) {
		std::fprintf(stderr, "%s: left out: %s\n", name, error.what());
	}
	return model;
}

}  // namespace

void MakeSamples(size_t count, uint64_t seed, trainer::Samples *samples)
{
	Random random(seed);
	auto graph = std::make_unique<PlanGraph>();
	auto experience = std::make_unique<Experience>();
	auto sample = std::make_unique<Sample>();
	while (samples->size() < count) {
		MakePlan(RandomShape(&random), &random, graph.get());
		MakeExperience(*graph, nullptr, &random, experience.get());
		if (MakeSample(*experience, *graph, 1, 1, sample.get()))
			samples->Add(*sample);
	}
}

Models::Models(const ModelSizes &sizes)
{
	InitPlannerModel(&planner_);
	InitAccuracy(&accuracy_);
	recall_.resize(RecallStore::BytesNeeded(sizes.recall_entries) / 8 + 1);
	recall_store_ = RecallStore::Init(std::as_writable_bytes(std::span(recall_)), sizes.recall_entries);
	gate_.resize(sizeof(GateModel) / 8 + 1);
	gate_model_ = reinterpret_cast<GateModel *>(gate_.data());
	InitGate(gate_model_);

	trainer::Samples samples;
	MakeSamples(sizes.samples, sizes.seed, &samples);
	trees_ = Trained("trees", trainer::TrainTrees, samples, sizes);
	graph_ = Trained("graph", trainer::TrainGraph, samples, sizes);
	if (!graph_.empty()) {
		const uint32_t version = GraphModelVersion(*View().graph);
		neighbours_.resize(NeighbourStoreBytes(sizes.neighbours) / 8 + 1);
		neighbour_store_ = InitNeighbourStore(std::as_writable_bytes(std::span(neighbours_)), sizes.neighbours, version);
	}
	/* every plan makes an entry of its own and one of its template */
	Random random(sizes.seed + 1);
	auto graph = std::make_unique<PlanGraph>();
	for (uint32_t i = 0; i < sizes.recall_entries || i < sizes.neighbours; i++) {
		MakePlan(RandomShape(&random), &random, graph.get());
		LearnFrom(*graph, &random);
	}
	std::fprintf(stderr, "recall: %u of %u entries; neighbours: %u\n", recall_store_->used, recall_store_->capacity,
	             neighbour_store_ != nullptr ? NumNeighbours(*neighbour_store_) : 0);
}

ModelView Models::View() const
{
	ModelView view;
	view.planner = &planner_;
	view.recall = recall_store_;
	view.trees = trees_.empty() ? nullptr : reinterpret_cast<const TreesModel *>(trees_.data());
	view.graph = graph_.empty() ? nullptr : reinterpret_cast<const GraphModel *>(graph_.data());
	view.neighbours = neighbour_store_;
	view.gate = gate_model_;
	view.accuracy = &accuracy_;
	view.version = 1;
	return view;
}

void Models::LearnFrom(const PlanGraph &graph, Random *random)
{
	Predict(View(), graph, {4096, 2, true}, forecast_.get());
	MakeExperience(graph, forecast_.get(), random, experience_.get());
	LearningModels models;
	models.planner = &planner_;
	models.recall = recall_store_;
	models.gate = gate_model_;
	models.neighbours = neighbour_store_;
	models.accuracy = &accuracy_;
	Learn(models, *experience_);
}

}  // namespace wlm::bench
