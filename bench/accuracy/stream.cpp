/*
 * stream.cpp
 *
 * See stream.hpp.
 */
#include "stream.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "core/predict/log_scale.hpp"
#include "core/predict/plan_features.hpp"
#include "core/predict/scalability.hpp"
#include "outcome.hpp"

namespace wlm::accuracy {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kDeviations = 1.959964f; /* of a 95 % interval */

Guess GuessOf(const Estimate &estimate)
{
	if (!IsUsable(estimate))
		return {kNan, kNan, kNan};
	return {estimate.mean, estimate.LogAt(-kDeviations), estimate.LogAt(kDeviations)};
}

Guess Point(float mean) { return {mean, kNan, kNan}; }

/* PostgreSQL says nothing of a whole query; its operators' arithmetic, added up over processes. */
float LogFormulaSum(const PlanGraph &graph)
{
	PlanFeatures features;
	FeaturesOfGraph(graph, true, &features);
	double sum = 0;
	for (int i = 0; i < features.num_operators; i++)
		sum += std::exp(static_cast<double>(features.operators[i].log_formula_kb)) * features.operators[i].copies;
	return sum > 0 ? LogKb(sum) : kNan;
}

class Scorer {
  public:
	Scorer(const Recording &recording, uint16_t number, const TrainedModels &trained, std::vector<Score> *scores)
		: recording_(recording), number_(number), trained_(trained), scores_(scores)
	{
	}

	void Add(size_t index, const Sample &sample, const Experience &experience)
	{
		const uint16_t executions = executions_[sample.plan_fingerprint]++;
		if (scores_ == nullptr)
			return;
		FlatAnswer flat;
		trained_.flat.Ask(sample.graph, &flat);
		Score score{};
		score.plan = sample.plan_fingerprint;
		score.index = static_cast<uint32_t>(index);
		score.recording = number_;
		score.executions = executions;
		score.familiarity = experience.familiarity;
		if (sample.time_weight > 0) {
			Fill(&score, Target::kTime, sample.log_ms, experience.time_answers, experience.time);
			score.guesses[kPostgres] = Point(LogMs(sample.graph.total_cost) + trained_.log_ms_per_cost);
			score.guesses[kFlat] = Point(flat.time);
			score.guesses[kFloor] = Point(recording_.medians.Time(sample));
			scores_->push_back(score);
		}
		if (sample.query_kb_weight > 0) {
			Fill(&score, Target::kQueryMemory, sample.log_query_kb, experience.query_memory_answers, experience.query_memory);
			score.guesses[kPostgres] = Point(LogFormulaSum(sample.graph));
			score.guesses[kFlat] = Point(flat.query_memory);
			score.guesses[kFloor] = Point(recording_.medians.QueryMemory(sample));
			scores_->push_back(score);
		}
		for (int slot = 0; slot < experience.num_operators; slot++) {
			const OperatorExperience &op = experience.operators[slot];
			const OperatorLabel &label = sample.operators[slot];
			if (!(label.needed_weight > 0))
				continue;
			Fill(&score, Target::kOperatorMemory, label.log_needed_kb, op.answers, op.mixture);
			score.guesses[kPostgres] = Point(op.formula_kb > 0 ? LogKb(op.formula_kb) : kNan);
			score.guesses[kFlat] = Point(flat.memory[slot]);
			score.guesses[kFloor] = Point(recording_.medians.OperatorMemory(sample, slot));
			scores_->push_back(score);
		}
	}

  private:
	static void Fill(Score *score, Target target, float truth, const Estimate *answers, const Estimate &mixture)
	{
		score->target = target;
		score->truth = truth;
		for (int expert = 0; expert < kNumExperts; expert++)
			score->guesses[expert] = GuessOf(answers[expert]);
		score->guesses[kMixture] = GuessOf(mixture);
	}

	const Recording &recording_;
	const uint16_t number_;
	const TrainedModels &trained_;
	std::vector<Score> *scores_;
	std::unordered_map<uint64_t, uint16_t> executions_;
};

/* Runs of one plan, by the processes that worked. */
struct Runs {
	std::unordered_map<int, std::vector<size_t>> by_processes;
};

struct Curve {
	float middle, low, high;
};

Curve PredictCurve(const ModelView &models, const Sample &sample, float fewer, float more, Forecast *forecast)
{
	const PlanContext context = {.work_mem_kb = 4096, .hash_mem_multiplier = 2, .ask_everybody = true};
	Predict(models, sample.graph, context, forecast);
	const RelativeTime a = RelativeTimeWith(forecast->parallel_fraction, fewer, kDeviations);
	const RelativeTime b = RelativeTimeWith(forecast->parallel_fraction, more, kDeviations);
	return {static_cast<float>(std::log(b.at / a.at)), static_cast<float>(std::log(b.low / a.low)),
	        static_cast<float>(std::log(b.high / a.high))};
}

}  // namespace

void RunStream(const Recording &recording, uint16_t number, const TrainedModels &trained, OnlineModels *online, const Plan &plan,
               std::vector<Score> *scores)
{
	const auto sample = std::make_unique<Sample>();
	const auto experience = std::make_unique<Experience>();
	Scorer scorer(recording, number, trained, scores);
	for (size_t i = 0; i < recording.samples.size(); i++) {
		recording.samples.Get(i, sample.get());
		const unsigned steps = plan(i, *sample);
		if (steps == kSkip)
			continue;
		RestoreExperience(*sample, experience.get());
		PredictAgain(online->view(), &sample->graph, experience.get());
		if (steps & kAsk)
			scorer.Add(i, *sample, *experience);
		if (steps & kLearn)
			Learn(online->learning(), *experience);
	}
}

void ScoreScalability(const Recording &recording, const TrainedModels &trained, const GateModel *gate,
                      std::vector<ScalabilityScore> *scores)
{
	constexpr size_t kLeastRuns = 2; /* at each number of processes: one to learn from, one to judge by */
	const auto sample = std::make_unique<Sample>();
	const auto forecast = std::make_unique<Forecast>();
	std::unordered_map<uint64_t, Runs> plans;
	std::vector<uint8_t> held_back(recording.samples.size());
	std::vector<float> log_ms(recording.samples.size());
	for (size_t i = 0; i < recording.samples.size(); i++) {
		recording.samples.Get(i, sample.get());
		log_ms[i] = sample->log_ms;
		if (sample->time_weight > 0 && sample->graph.planned_workers > 0)
			plans[sample->plan_fingerprint].by_processes[1 + static_cast<int>(std::lround(sample->workers_launched))].push_back(i);
	}
	struct Case {
		size_t run;
		float fewer, more;
		ScalabilityScore score;
	};
	std::vector<Case> cases;
	const auto median = [&](const std::vector<size_t> &runs) {
		std::vector<double> times;
		for (size_t i = 1; i < runs.size(); i += 2) {
			times.push_back(log_ms[runs[i]]);
			held_back[runs[i]] = 1;
		}
		return static_cast<float>(Quantile(times, 0.5));
	};
	for (const auto &[plan, runs] : plans) {
		std::vector<int> counts;
		for (const auto &[processes, indices] : runs.by_processes)
			if (indices.size() >= kLeastRuns)
				counts.push_back(processes);
		std::sort(counts.begin(), counts.end());
		for (size_t i = 1; i < counts.size(); i++) {
			Case one{};
			one.run = runs.by_processes.at(counts[i]).front();
			one.fewer = static_cast<float>(counts[0]);
			one.more = static_cast<float>(counts[i]);
			one.score.observed = median(runs.by_processes.at(counts[i])) - median(runs.by_processes.at(counts[0]));
			one.score.ideal = std::log(one.fewer / one.more);
			cases.push_back(one);
		}
	}
	OnlineModels online(trained, gate);
	const auto ask = [&](Case *one, float *middle, float *low, float *high) {
		recording.samples.Get(one->run, sample.get());
		const Curve curve = PredictCurve(online.view(), *sample, one->fewer, one->more, forecast.get());
		*middle = curve.middle;
		*low = curve.low;
		*high = curve.high;
	};
	for (Case &one : cases)
		ask(&one, &one.score.before, &one.score.before_low, &one.score.before_high);
	RunStream(recording, 0, trained, &online, [&](size_t i, const Sample &) { return held_back[i] ? kSkip : kLearn; }, nullptr);
	for (Case &one : cases) {
		ask(&one, &one.score.after, &one.score.after_low, &one.score.after_high);
		scores->push_back(one.score);
	}
}

}  // namespace wlm::accuracy
