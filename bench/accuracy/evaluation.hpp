/*
 * evaluation.hpp
 *
 * The questions that are asked of the recordings; README.md defines them. Each
 * gives scores under a name; report.hpp makes tables of them.
 */
#pragma once

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "models.hpp"
#include "recording.hpp"
#include "score.hpp"
#include "stream.hpp"

namespace wlm::accuracy {

struct Section {
	std::string key;       /* seen, never_seen, other_database, cold_start, drift_..., shipped_... */
	std::string title;
	std::string condition; /* alone, eight */
	std::vector<Score> scores;
};

struct Evaluation {
	std::deque<Section> sections; /* grows while scores are being added */
	std::vector<ScalabilityScore> scalability;
	std::vector<std::string> trainings; /* one sentence each */
};

struct EvaluationOptions {
	TrainingOptions training;
	std::string models;         /* folder with trees.model, graph.model, gate.model: what ships; empty = none */
	bool use_shipped_gate = true; /* start from its gate in every section */
	bool shipped_only = false;
	bool leave_out = true;      /* the sections that train once for each database */
	bool drift = true;
	int folds = 1;              /* of five, for templates never seen */
	size_t cold_start = 200;    /* executions */
};

Evaluation Evaluate(std::span<const Recording> recordings, const EvaluationOptions &options);

}  // namespace wlm::accuracy
