/*
 * gate_streams.hpp
 *
 * Synthetic experts for the tests of the gate: what they say and what comes
 * out, query after query, through the loop predict -> score -> learn; and the
 * judgement, by paired bootstrap, whether a single expert beats the mixture.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "core/learn/learner.hpp"
#include "core/predict/gate.hpp"
#include "core/predict/mixture.hpp"

namespace wlm::test {

using Random = std::mt19937;

inline float Normal(Random *random, float deviation = 1)
{
	return deviation * std::normal_distribution<float>()(*random);
}

/* One query: what experts say in ln, relative to the truth, and what they claim. Deviation 0 = no opinion. */
struct Said {
	float error[kNumExperts] = {};
	float claimed[kNumExperts] = {};
};
struct Question {
	int step;
	int template_number;
	Familiarity familiarity = Familiarity::kPlanSeen;
	float novelty = -1;
	float cost = 20000;
	float truth = 5; /* ln(ms) */
	Said said;
};
/* Fills `said`, and may change the rest, of a query whose step and template are set. */
using Stream = std::function<void(Random *, Question *)>;

/* ln q-errors, one per query; negative = no opinion. */
struct Errors {
	std::vector<float> of[kNumExperts + 1];
	std::vector<float> share[kNumExperts];
};

class GateLoop {
  public:
	explicit GateLoop(int templates = 40) : templates_(templates), memory_(RecallStore::BytesNeeded(1024) / 8)
	{
		recall_ = RecallStore::Init(std::as_writable_bytes(std::span(memory_)), 1024);
		InitGate(&gate_);
	}

	Errors Run(const Stream &stream, int steps, unsigned seed)
	{
		Random random(seed);
		Errors errors;
		auto experience = std::make_unique<Experience>();
		for (int step = 0; step < steps; step++) {
			Question question{};
			question.step = step;
			question.template_number = static_cast<int>(random() % static_cast<unsigned>(templates_));
			question.truth = 5 + Normal(&random);
			stream(&random, &question);
			Fill(question, experience.get());
			const Mixer mixer({.recall = recall_, .gate = &gate_}, experience->template_fingerprint,
			                  MakeGateQuery(experience->familiarity, experience->novelty, experience->total_cost, 10));
			experience->time = mixer.Mixed(Target::kTime, experience->time_answers, experience->time_share);
			for (int e = 0; e < kNumExperts; e++) {
				errors.of[e].push_back(question.said.claimed[e] > 0 ? std::fabs(question.said.error[e]) : -1.0f);
				errors.share[e].push_back(experience->time_share[e]);
			}
			errors.of[kNumExperts].push_back(std::fabs(experience->time.mean - question.truth));
			Learn({.recall = recall_, .gate = &gate_}, *experience);
		}
		return errors;
	}
	const GateModel &gate() const { return gate_; }
	GateModel *mutable_gate() { return &gate_; }
	RecallStore *recall() { return recall_; }

  private:
	static void Fill(const Question &question, Experience *experience)
	{
		*experience = Experience{};
		experience->template_fingerprint = static_cast<uint64_t>(question.template_number) + 1;
		experience->plan_fingerprint = (static_cast<uint64_t>(question.template_number) + 1000) * 2;
		experience->final_state = FinalState::kCompleted;
		experience->familiarity = question.familiarity;
		experience->novelty = question.novelty;
		experience->num_nodes = 10;
		experience->total_cost = question.cost;
		experience->time_ms = std::exp(question.truth);
		for (int e = 0; e < kNumExperts; e++)
			if (question.said.claimed[e] > 0)
				experience->time_answers[e] = {question.truth + question.said.error[e],
				                               question.said.claimed[e] * question.said.claimed[e], 0, 5};
	}

	int templates_;
	std::vector<uint64_t> memory_;
	RecallStore *recall_;
	GateModel gate_;
};

inline double Quantile(std::vector<float> values, double probability)
{
	if (values.empty())
		return 0;
	const size_t at = std::min(values.size() - 1, static_cast<size_t>(probability * static_cast<double>(values.size())));
	std::nth_element(values.begin(), values.begin() + static_cast<long>(at), values.end());
	return static_cast<double>(values[at]);
}

/* q-error of the mixture over that of the best single expert: as measured, and what 95 % of resamples exceed. */
struct Ratio {
	double measured = 0;
	double lower = 0;
	int best = -1;
};

/* Over queries [from, to) where all experts that answer at least `least_part` of them do. */
inline Ratio AgainstBest(const Errors &errors, int from, int to, double probability, unsigned seed, double least_part = 0.99)
{
	constexpr int kResamples = 300;
	Ratio worst;
	for (int e = 0; e < kNumExperts; e++) {
		std::vector<float> mine, theirs;
		for (int i = from; i < to; i++)
			if (errors.of[e][static_cast<size_t>(i)] >= 0) {
				theirs.push_back(errors.of[e][static_cast<size_t>(i)]);
				mine.push_back(errors.of[kNumExperts][static_cast<size_t>(i)]);
			}
		if (static_cast<double>(mine.size()) < least_part * (to - from))
			continue;
		const double measured = std::exp(Quantile(mine, probability) - Quantile(theirs, probability));
		if (measured <= worst.measured)
			continue;
		Random random(seed);
		std::vector<float> ratios, some_mine(mine.size()), some_theirs(mine.size());
		for (int r = 0; r < kResamples; r++) {
			for (size_t i = 0; i < mine.size(); i++) {
				const size_t pick = random() % mine.size();
				some_mine[i] = mine[pick];
				some_theirs[i] = theirs[pick];
			}
			ratios.push_back(static_cast<float>(
				std::exp(Quantile(some_mine, probability) - Quantile(some_theirs, probability))));
		}
		worst = {measured, Quantile(ratios, 0.05), e};
	}
	return worst;
}

}  // namespace wlm::test
