/*
 * recording.hpp
 *
 * What wlm.export_samples() gave of one workload under one condition, one
 * sample per execution in the order in which they ended. Unlike
 * trainer::ReadSamples() nothing is folded and nothing given up.
 *
 * Fingerprints are mixed with the workload's name, so that plans of different
 * databases are never taken for each other.
 */
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "trainer/samples.hpp"

namespace wlm::accuracy {

/* What knowing the true median would have answered; for what was executed at least kLeastExecutions times. */
class Medians {
  public:
	static constexpr size_t kLeastExecutions = 3;

	void Add(const Sample &sample);
	void Finish();
	/* ln; NaN if it was executed too rarely. */
	float Time(const Sample &sample) const;
	float OperatorMemory(const Sample &sample, int slot) const;
	float QueryMemory(const Sample &sample) const;

  private:
	float Get(uint64_t key) const;

	std::unordered_map<uint64_t, std::vector<float>> values_;
	std::unordered_map<uint64_t, float> medians_;
};

struct Recording {
	std::string workload;   /* of the file's name WORKLOAD-CONDITION.samples */
	std::string condition;  /* alone, eight, drift, ... */
	trainer::Samples samples;
	Medians medians;
	int64_t changed_at = 0; /* drift: microseconds since 2000-01-01, from the file WORKLOAD-CONDITION.moment; 0 = unknown */
	size_t damaged = 0;     /* lines that were no samples */
	size_t plans = 0;       /* distinct */
	size_t templates = 0;
};

/* Throws std::runtime_error. */
Recording ReadRecording(const std::string &path);

/* All recordings of a folder, by name. */
std::vector<Recording> ReadRecordings(const std::vector<std::string> &paths);

/* Chosen executions, folded by plan as the server's pool folds them, for the trainers. */
using Choice = std::function<bool(const Recording &recording, size_t index, const Sample &sample)>;
trainer::Samples FoldForTraining(std::span<const Recording> recordings, const Choice &choice);

}  // namespace wlm::accuracy
