/*
 * sample.hpp
 *
 * What training sees of one plan: its graph and what came out, averaged over
 * the executions that are folded into it. One execution is a sample of weight
 * one; a pool holds one sample per distinct plan (coverage, not frequency).
 *
 * Fingerprints, database and role serve to split, to balance and to limit the
 * weight of one role. They are never features, and they are hashes: a sample
 * holds no OID, no text and no constant.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/learn/experience.hpp"
#include "core/plan/plan_graph.hpp"

namespace wlm {

/* All logarithms are natural; weights count executions. */
struct OperatorLabel {
	float log_needed_kb;   /* mean over executions that saw the whole need */
	float needed_weight;   /* those executions; 0 = the field above holds nothing */
	float log_bound_kb;    /* largest lower bound seen, kLeastLogKb = none */
	float log_limit_kb;    /* mean limit in force, multiplier included */
	float log_temp_kb;     /* mean of what was written to temporary files, over executions that spilled */
	float spills;          /* those executions */
};

struct Sample {
	uint64_t plan_fingerprint;
	uint64_t template_fingerprint;
	uint64_t database;         /* hashes */
	uint64_t role;
	int64_t first_seen;        /* microseconds since 2000-01-01, of the executions folded in */
	int64_t last_seen;
	float executions;
	float log_ms;              /* mean over completed executions */
	float log_ms_variance;     /* between them; 0 for one */
	float time_weight;         /* those executions; 0 = the fields above hold nothing */
	float log_ms_bound;        /* largest lower bound of executions that were cut short, kLeastLogMs = none */
	float log_query_kb;        /* mean peak of all processes of executions that did not spill */
	float query_kb_weight;
	float workers_launched;    /* mean */
	float weight;              /* in training; 1 unless its role is to be held back */
	OperatorLabel operators[kMaxMemoryNodes]; /* by memory slot; graph.num_memory_nodes of them */
	PlanGraph graph;
};

/* Of one execution; false if it teaches nothing (never ran, no graph). `database` and `role` are hashes of the caller's. */
bool MakeSample(const Experience &experience, const PlanGraph &graph, uint64_t database, uint64_t role,
                Sample *sample) noexcept;

/* Folds another execution, or several, of the same plan into `sample`. The newer graph's cardinalities stay. */
void FoldSample(Sample *sample, const Sample &other) noexcept;

/*
 * Samples as bytes: a self-delimiting record with magic, length and checksum, as wlm.export_samples() returns them
 * and pg_wlm_trainer reads them, one after the other. The format stands at the head of sample_format.cpp.
 */
inline constexpr size_t kMostSampleBytes = 64 * 1024;
size_t SampleBytes(const Sample &sample) noexcept;
void EncodeSample(const Sample &sample, std::span<std::byte> bytes) noexcept; /* SampleBytes() of them */

enum class SampleStatus : uint8_t { kOk = 0, kTruncated, kNotASample, kForeignVersion, kDamaged, kInsane };
const char *SampleStatusText(SampleStatus status) noexcept;

/* Trusts nothing. *used = bytes of the record, 0 unless its length could be read. */
SampleStatus DecodeSample(std::span<const std::byte> bytes, Sample *sample, size_t *used) noexcept;

}  // namespace wlm
