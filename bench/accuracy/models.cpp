/*
 * models.cpp
 *
 * See models.hpp.
 */
#include "models.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <new>
#include <stdexcept>

#include "core/predict/graph_model.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/neighbour_store.hpp"
#include "trainer/train.hpp"

namespace wlm::accuracy {

namespace {

/* What a server has with the default of wlm.model_memory. */
constexpr uint32_t kRecallCapacity = 8192;
constexpr uint32_t kNeighbourCapacity = 2048;

template <class Train>
AlignedBytes TrainOne(const char *expert, const std::string &what, const TrainingOptions &options, double *seconds, const Train &train)
{
	trainer::Options settings;
	trainer::Report report;
	settings.seed = options.seed;
	settings.seconds = options.seconds;
	try {
		const std::vector<std::byte> model = train(settings, &report);
		*seconds = report.seconds;
		if (options.verbose)
			std::fprintf(stderr, "trained %s for %s: %zu plans, %d rounds, loss %.4f, %.1f s\n", expert, what.c_str(), report.samples,
			             report.rounds, report.loss, report.seconds);
		return AlignedBytes(model);
	} catch (const std::runtime_error &error) {
		std::fprintf(stderr, "no model of %s for %s: %s\n", expert, what.c_str(), error.what());
		return {};
	}
}

}  // namespace

AlignedBytes::AlignedBytes(std::span<const std::byte> bytes) : AlignedBytes(bytes.size())
{
	std::copy(bytes.begin(), bytes.end(), data());
}

AlignedBytes ReadModel(const std::string &path, ModelId which)
{
	std::ifstream file(path, std::ios::binary);
	if (!file)
		throw std::runtime_error("could not read " + path);
	const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
	for (auto rest = std::as_bytes(std::span(text)); !rest.empty();) {
		const size_t length = BlobLength(rest);
		if (length == 0 || length > rest.size())
			throw std::runtime_error(path + " does not hold models");
		if (BlobModel(rest) == which) {
			const AlignedBytes blob(rest.first(length));
			std::span<const std::byte> model;
			const BlobStatus status = CheckInPlaceBlob(blob.span(), which, &model);
			if (status != BlobStatus::kOk)
				throw std::runtime_error(path + ": " + BlobStatusText(status));
			return AlignedBytes(model);
		}
		rest = rest.subspan(length);
	}
	throw std::runtime_error(path + " holds no model of " + ModelName(which));
}

void WriteModel(const std::string &path, ModelId which, std::span<const std::byte> model)
{
	const AlignedBytes blob(InPlaceBlobBytes(model.size()));
	WriteInPlaceBlob(which, model, blob.span());
	std::span<const std::byte> checked;
	const BlobStatus status = CheckInPlaceBlob(blob.span(), which, &checked);
	if (status != BlobStatus::kOk)
		throw std::runtime_error(std::string("what was made is refused: ") + BlobStatusText(status));
	std::ofstream file(path, std::ios::binary);
	file.write(reinterpret_cast<const char *>(blob.data()), static_cast<std::streamsize>(blob.span().size()));
	if (!file.flush())
		throw std::runtime_error("could not write " + path);
}

float MedianLogMsPerCost(const trainer::Samples &samples)
{
	std::vector<float> ratios;
	const auto sample = std::make_unique<Sample>();
	for (size_t i = 0; i < samples.size(); i++) {
		samples.Get(i, sample.get());
		if (sample->time_weight > 0 && sample->graph.total_cost > 0)
			ratios.push_back(sample->log_ms - std::log(sample->graph.total_cost));
	}
	if (ratios.empty())
		return 0;
	std::nth_element(ratios.begin(), ratios.begin() + static_cast<ptrdiff_t>(ratios.size() / 2), ratios.end());
	return ratios[ratios.size() / 2];
}

TrainedModels TrainModels(const trainer::Samples &samples, const TrainingOptions &options, const std::string &what)
{
	TrainedModels models;
	models.plans = samples.size();
	models.log_ms_per_cost = MedianLogMsPerCost(samples);
	models.trees = TrainOne("trees", what, options, &models.trees_seconds, [&](const auto &settings, auto *report) {
		return trainer::TrainTrees(samples, settings, report);
	});
	models.graph = TrainOne("graph", what, options, &models.graph_seconds, [&](const auto &settings, auto *report) {
		return trainer::TrainGraph(samples, settings, report);
	});
	if (options.flat)
		models.flat.Train(samples);
	return models;
}

OnlineModels::OnlineModels(const TrainedModels &trained, const GateModel *gate)
	: planner_bytes_(sizeof(PlannerModel)),
	  recall_bytes_(RecallStore::BytesNeeded(kRecallCapacity)),
	  gate_bytes_(sizeof(GateModel)),
	  accuracy_bytes_(sizeof(Accuracy))
{
	auto *planner = new (planner_bytes_.data()) PlannerModel{};
	auto *accuracy = new (accuracy_bytes_.data()) Accuracy{};
	gate_ = new (gate_bytes_.data()) GateModel{};
	InitPlannerModel(planner);
	InitAccuracy(accuracy);
	InitGate(gate_);
	if (gate != nullptr)
		ReplaceGate(gate_, *gate);
	RecallStore *recall = RecallStore::Init(recall_bytes_.span(), kRecallCapacity);
	NeighbourStore *neighbours = nullptr;
	if (!trained.graph.empty()) {
		view_.graph = reinterpret_cast<const GraphModel *>(trained.graph.data());
		neighbours_bytes_ = AlignedBytes(NeighbourStoreBytes(kNeighbourCapacity));
		neighbours = InitNeighbourStore(neighbours_bytes_.span(), kNeighbourCapacity, GraphModelVersion(*view_.graph));
	}
	if (!trained.trees.empty())
		view_.trees = reinterpret_cast<const TreesModel *>(trained.trees.data());
	view_.planner = planner;
	view_.recall = recall;
	view_.neighbours = neighbours;
	view_.gate = gate_;
	view_.accuracy = accuracy;
	learning_ = {.planner = planner, .recall = recall, .gate = gate_, .neighbours = neighbours, .accuracy = accuracy};
}

}  // namespace wlm::accuracy
