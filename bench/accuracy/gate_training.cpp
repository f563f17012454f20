/*
 * gate_training.cpp
 *
 * See gate_training.hpp. What the gate keeps of recent errors and of who is best
 * lately belongs to a server, not to a gate that ships: it starts as in a fresh one.
 */
#include "gate_training.hpp"

#include <cstdio>
#include <cstring>
#include <map>
#include <new>
#include <stdexcept>
#include <vector>

#include "score.hpp"
#include "stream.hpp"

namespace wlm::accuracy {

namespace {

void CopyGate(const GateModel &from, GateModel *to)
{
	to->shape = from.shape;
	to->view = from.view;
	std::memcpy(to->gradient_mean, from.gradient_mean, sizeof to->gradient_mean);
	std::memcpy(to->gradient_square, from.gradient_square, sizeof to->gradient_square);
	to->observations = from.observations;
}

AlignedBytes FreshGate()
{
	AlignedBytes bytes(sizeof(GateModel));
	InitGate(new (bytes.data()) GateModel{});
	return bytes;
}

GateModel *GateIn(const AlignedBytes &bytes) { return reinterpret_cast<GateModel *>(bytes.data()); }

void ForgetTheServer(GateModel *gate, const GateModel &fresh)
{
	std::memcpy(gate->view.records, fresh.view.records, sizeof fresh.view.records);
}

/* Adds up weights, to be averaged. */
class WeightSum {
  public:
	void Add(const GateWeights &weights)
	{
		float numbers[kNumGateWeights];
		std::memcpy(numbers, &weights, sizeof numbers);
		for (int i = 0; i < kNumGateWeights; i++)
			sums_[static_cast<size_t>(i)] += numbers[i];
		count_++;
	}
	void Average(GateWeights *weights) const
	{
		float numbers[kNumGateWeights];
		for (int i = 0; i < kNumGateWeights; i++)
			numbers[i] = static_cast<float>(sums_[static_cast<size_t>(i)] / count_);
		std::memcpy(weights, numbers, sizeof numbers);
	}

  private:
	std::vector<double> sums_ = std::vector<double>(kNumGateWeights);
	int count_ = 0;
};

}  // namespace

AlignedBytes TrainGate(std::span<const Recording> recordings, const GateTrainingOptions &options)
{
	std::map<std::string, int> halves;
	for (const Recording &recording : recordings)
		halves.emplace(recording.workload, 0);
	if (halves.size() < 2)
		throw std::runtime_error("a gate needs recordings of at least two databases");
	int position = 0;
	for (auto &[workload, half] : halves)
		half = position++ % 2;

	TrainingOptions training = options.training;
	training.flat = false;
	TrainedModels of_half[2];
	for (int half = 0; half < 2; half++)
		of_half[half] = TrainModels(FoldForTraining(recordings, [&](const Recording &recording, size_t, const Sample &) {
			return halves.at(recording.workload) == half;
		}), training, half == 0 ? "the first half of the databases" : "the second half of the databases");

	const AlignedBytes fresh = FreshGate();
	const AlignedBytes gate = FreshGate();
	WeightSum sum;
	for (int epoch = 0; epoch < options.epochs; epoch++) {
		std::vector<Score> scores;
		for (const auto &[workload, half] : halves) {
			const TrainedModels &models = of_half[1 - half];
			ForgetTheServer(GateIn(gate), *GateIn(fresh));
			OnlineModels online(models, nullptr);
			CopyGate(*GateIn(gate), online.gate());
			for (const Recording &recording : recordings)
				if (recording.workload == workload)
					RunStream(recording, 0, models, &online, [](size_t, const Sample &) { return kAsk | kLearn; }, &scores);
			CopyGate(*online.gate(), GateIn(gate));
			if (epoch == options.epochs - 1)
				sum.Add(GateIn(gate)->view.weights);
		}
		for (const Target target : {Target::kTime, Target::kOperatorMemory}) {
			std::vector<const Score *> of_target;
			for (const Score &score : scores)
				if (score.target == target && score.executions == 0)
					of_target.push_back(&score);
			const Summary mixture = Summarise(of_target, kMixture);
			std::fprintf(stderr, "gate, epoch %d, first executions: %s P50 %.3f P90 %.3f of %zu\n", epoch + 1, TargetName(target),
			             mixture.p50, mixture.p90, mixture.count);
		}
	}
	AlignedBytes result = FreshGate();
	sum.Average(&GateIn(result)->view.weights);
	GateIn(result)->anchor = GateIn(result)->view.weights; /* what a server learns is pulled back to it */
	if (!GateModelIsSane(result.span()))
		throw std::runtime_error("the gate that was learned is not sane");
	return result;
}

}  // namespace wlm::accuracy
