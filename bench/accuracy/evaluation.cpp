/*
 * evaluation.cpp
 *
 * See evaluation.hpp. What is trained in batch never saw what it is judged by; what
 * learns online is asked before it is told.
 */
#include "evaluation.hpp"

#include <algorithm>
#include <cstdio>
#include <set>
#include <iterator>
#include <memory>
#include <utility>

#include "core/hash.hpp"

namespace wlm::accuracy {

namespace {

constexpr uint64_t kTemplateFolds = 5;
constexpr uint64_t kFoldSeed = 7;
constexpr size_t kSoonAfter = 200; /* executions after the change */

bool IsDrift(const Recording &recording) { return recording.condition == "drift"; }

bool IsFirstHalf(const Recording &recording, size_t index) { return index < recording.samples.size() / 2; }

bool IsInFold(const Sample &sample, int fold)
{
	return Combine(kFoldSeed, sample.template_fingerprint) % kTemplateFolds == static_cast<uint64_t>(fold);
}

class Evaluator {
  public:
	Evaluator(std::span<const Recording> recordings, const EvaluationOptions &options) : recordings_(recordings), options_(options)
	{
		if (!options.models.empty() && options.use_shipped_gate)
			gate_ = ReadModel(options.models + "/gate.model", kGateModel);
	}

	Evaluation Run()
	{
		if (options_.shipped_only)
			Shipped(MedianLogMsPerCost(FoldForTraining(recordings_, IsInFirstHalf)));
		else
			TrainAndJudge();
		return std::move(evaluation_);
	}

  private:
	const GateModel *gate() const { return gate_.empty() ? nullptr : reinterpret_cast<const GateModel *>(gate_.data()); }

	static bool IsInFirstHalf(const Recording &recording, size_t index, const Sample &)
	{
		return !IsDrift(recording) && IsFirstHalf(recording, index);
	}

	void TrainAndJudge()
	{
		const TrainedModels first_halves = Train("the first half of every recording", IsInFirstHalf);
		Seen(first_halves);
		if (options_.drift)
			Drift(first_halves);
		for (const Recording &recording : recordings_)
			if (!IsDrift(recording))
				ScoreScalability(recording, first_halves, gate(), &evaluation_.scalability);
		for (int fold = 0; fold < options_.folds; fold++)
			NeverSeen(fold);
		if (options_.leave_out)
			OtherDatabases();
		if (!options_.models.empty())
			Shipped(first_halves.log_ms_per_cost);
	}

	/* One section for each key and condition. */
	std::vector<Score> *ScoresOf(const std::string &key, const std::string &title, const std::string &condition)
	{
		for (Section &section : evaluation_.sections)
			if (section.key == key && section.condition == condition)
				return &section.scores;
		evaluation_.sections.push_back({key, title, condition, {}});
		return &evaluation_.sections.back().scores;
	}

	TrainedModels Train(const std::string &what, const Choice &choice)
	{
		const trainer::Samples folded = FoldForTraining(recordings_, choice);
		TrainedModels models = TrainModels(folded, options_.training, what);
		char line[300];
		std::snprintf(line, sizeof line, "%s: %zu plans, trees %.0f s, graph %.0f s", what.c_str(), models.plans, models.trees_seconds,
		              models.graph_seconds);
		evaluation_.trainings.push_back(line);
		return models;
	}

	void Seen(const TrainedModels &models)
	{
		for (size_t r = 0; r < recordings_.size(); r++) {
			const Recording &recording = recordings_[r];
			if (IsDrift(recording))
				continue;
			OnlineModels online(models, gate());
			std::vector<Score> scores;
			RunStream(recording, static_cast<uint16_t>(r), models, &online,
			          [&](size_t index, const Sample &) { return IsFirstHalf(recording, index) ? kLearn : kAsk | kLearn; }, &scores);
			auto *seen = ScoresOf("seen", "Templates seen before (second half of each recording, learning goes on)", recording.condition);
			std::copy_if(scores.begin(), scores.end(), std::back_inserter(*seen),
			             [](const Score &score) { return score.familiarity != Familiarity::kUnseen; });
		}
	}

	void NeverSeen(int fold)
	{
		const auto choice = [&](const Recording &recording, size_t, const Sample &sample) {
			return !IsDrift(recording) && !IsInFold(sample, fold);
		};
		const TrainedModels models = Train("all but a fifth of the templates", choice);
		for (size_t r = 0; r < recordings_.size(); r++) {
			const Recording &recording = recordings_[r];
			if (IsDrift(recording))
				continue;
			OnlineModels online(models, gate());
			RunStream(recording, static_cast<uint16_t>(r), models, &online,
			          [&](size_t, const Sample &sample) { return IsInFold(sample, fold) ? kAsk : kLearn; },
			          ScoresOf("never_seen", "Templates never seen (left out of training and of the stream)", recording.condition));
		}
	}

	void OtherDatabases()
	{
		std::set<std::string> workloads;
		for (const Recording &recording : recordings_)
			workloads.insert(recording.workload);
		if (workloads.size() < 2)
			return;
		for (const std::string &workload : workloads) {
			const auto other = [&](const Recording &recording) { return recording.workload != workload && !IsDrift(recording); };
			const TrainedModels models = Train("all databases but " + workload,
			                                   [&](const Recording &recording, size_t, const Sample &) { return other(recording); });
			for (size_t r = 0; r < recordings_.size(); r++) {
				const Recording &recording = recordings_[r];
				if (recording.workload != workload || IsDrift(recording))
					continue;
				/* as loaded as what is judged: else everybody would expect the wait of the last one */
				OnlineModels online(models, gate());
				for (const Recording &before : recordings_)
					if (other(before) && before.condition == recording.condition)
						RunStream(before, 0, models, &online, [](size_t, const Sample &) { return kLearn; }, nullptr);
				RunStream(recording, static_cast<uint16_t>(r), models, &online, [](size_t, const Sample &) { return kAsk; },
				          ScoresOf("other_database", "Databases never seen (everybody learned on the others, nobody on this one)",
				                   recording.condition));
				if (recording.condition == "alone")
					ColdStart(recording, r, models);
			}
		}
	}

	void ColdStart(const Recording &recording, size_t number, const TrainedModels &models)
	{
		OnlineModels online(models, gate());
		RunStream(recording, static_cast<uint16_t>(number), models, &online,
		          [&](size_t index, const Sample &) { return index < options_.cold_start ? kAsk | kLearn : kSkip; },
		          ScoresOf("cold_start", "Cold start: the first executions (trees and graph from other databases, the rest fresh)",
		                   recording.condition));
	}

	/* Executions before the change; 0 if nobody knows. */
	static size_t NumBeforeChange(const Recording &recording)
	{
		const auto sample = std::make_unique<Sample>();
		size_t before = 0;
		for (size_t i = 0; i < recording.samples.size() && recording.changed_at != 0; i++) {
			recording.samples.Get(i, sample.get());
			before += sample->last_seen < recording.changed_at;
		}
		return before;
	}

	void Drift(const TrainedModels &models)
	{
		for (size_t r = 0; r < recordings_.size(); r++) {
			const Recording &recording = recordings_[r];
			if (!IsDrift(recording))
				continue;
			const size_t change = NumBeforeChange(recording);
			if (change == 0 || change == recording.samples.size()) {
				std::fprintf(stderr, "%s-drift: the moment of the change is not inside of it, left out\n", recording.workload.c_str());
				continue;
			}
			OnlineModels online(models, gate());
			std::vector<Score> scores;
			RunStream(recording, static_cast<uint16_t>(r), models, &online,
			          [&](size_t index, const Sample &) { return index < change / 2 ? kLearn : kAsk | kLearn; }, &scores);
			auto *before = ScoresOf("drift_before", "Drift: before the change (trees and graph trained before)", "alone");
			auto *soon = ScoresOf("drift_soon", "Drift: the first 200 executions after the change (no training since)", "alone");
			auto *later = ScoresOf("drift_later", "Drift: after that (no training since)", "alone");
			for (const Score &score : scores)
				(score.index < change ? before : score.index < change + kSoonAfter ? soon : later)->push_back(score);
		}
	}

	/* As it is after CREATE EXTENSION: nothing but what comes with it. */
	void Shipped(float log_ms_per_cost)
	{
		TrainedModels models;
		models.log_ms_per_cost = log_ms_per_cost; /* in PostgreSQL's favour: it was fitted on these databases */
		models.trees = ReadModel(options_.models + "/trees.model", kTreesModel);
		models.graph = ReadModel(options_.models + "/graph.model", kGraphModel);
		for (size_t r = 0; r < recordings_.size(); r++) {
			const Recording &recording = recordings_[r];
			if (IsDrift(recording))
				continue;
			OnlineModels online(models, gate());
			std::vector<Score> scores;
			RunStream(recording, static_cast<uint16_t>(r), models, &online, [](size_t, const Sample &) { return kAsk | kLearn; }, &scores);
			auto *cold = ScoresOf("shipped_cold", "As shipped: the first executions after CREATE EXTENSION", recording.condition);
			auto *all = ScoresOf("shipped_first", "As shipped: each plan's first execution", recording.condition);
			for (const Score &score : scores) {
				if (score.index < options_.cold_start)
					cold->push_back(score);
				if (score.executions == 0)
					all->push_back(score);
			}
		}
	}

	std::span<const Recording> recordings_;
	const EvaluationOptions &options_;
	AlignedBytes gate_;
	Evaluation evaluation_;
};

}  // namespace

Evaluation Evaluate(std::span<const Recording> recordings, const EvaluationOptions &options)
{
	return Evaluator(recordings, options).Run();
}

}  // namespace wlm::accuracy
