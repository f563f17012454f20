/*
 * sample.cpp
 *
 * Samples made, folded, written and read. Format of a record, version 1; numbers
 * are in the byte order and float format of the machine that wrote them (another
 * order does not know the magic); no padding:
 *
 *   offset  bytes  field
 *        0      4  magic, "wlms" as one 32-bit number
 *        4      2  format version
 *        6      2  number of nodes N
 *        8      4  bytes of the whole record: 112 + 49 N + 24 M
 *       12      1  command (CommandKind)
 *       13      1  1 if the plan touches only catalogues, else 0
 *       14      2  number of operators with a memory limit M
 *       16     16  plan and template fingerprint
 *       32     16  hashes of database and role
 *       48     16  first and last time it was seen, microseconds since 2000-01-01
 *       64     36  executions, log_ms, log_ms_variance, time_weight, log_ms_bound,
 *                  log_query_kb, query_kb_weight, workers_launched, weight (floats)
 *      100      4  the graph's total cost (float)
 *      104   49 N  nodes in preorder; each is rows, width, start-up cost, total cost,
 *                  relation rows, relation pages, groups, state bytes, fold count
 *                  (floats), parent (2), and one byte each of kind, role, join,
 *                  aggregate, memory class, flags, workers, keys, quals,
 *                  aggregates, columns
 *             24 M  labels by memory slot, as in OperatorLabel (floats)
 *                8  checksum over all bytes before it
 *
 * PlanNode::identity and plan_node_id are not written: training needs neither, and
 * the identity is a hash of names. What FinishGraph() derives is derived again.
 */
#include "core/learn/sample.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/learn/blob_format.hpp"
#include "core/learn/censoring.hpp"
#include "core/learn/sample_format.hpp"
#include "core/plan/restore_graph.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/plan_features.hpp"

namespace wlm {

namespace {

constexpr uint16_t kVersion = 1;
constexpr size_t kWeightAt = 96;
constexpr size_t kHeadBytes = 104;
constexpr size_t kNodeBytes = 49;
constexpr size_t kLabelBytes = 24;
constexpr size_t kChecksumBytes = 8;
constexpr uint64_t kChecksumSeed = kSampleMagic;
constexpr uint8_t kStoredFlags = kParallelAware | kPartialAgg;

constexpr float kMostExecutions = 1e7f; /* beyond 2^24 a float no longer counts by ones */
constexpr float kMostLogVariance = 300.0f; /* the widest that fits between the least and the most */
constexpr float kMostWorkers = 1024.0f;

constexpr size_t RecordBytes(size_t num_nodes, size_t num_operators) noexcept
{
	return kHeadBytes + num_nodes * kNodeBytes + num_operators * kLabelBytes + kChecksumBytes;
}
static_assert(RecordBytes(1, 0) == kLeastSampleBytes);
static_assert(RecordBytes(kMaxPlanNodes, kMaxMemoryNodes) <= kMostSampleBytes);

/* Mean of two groups of n and m; either may be empty. */
float PooledMean(float mean, float n, float other_mean, float m) noexcept
{
	if (!(m > 0))
		return mean;
	return static_cast<float>(mean + (static_cast<double>(other_mean) - mean) * m / (static_cast<double>(n) + m));
}

float PooledVariance(float variance, float n, float other_variance, float m, double between_means) noexcept
{
	const double all = static_cast<double>(n) + m;
	if (!(all > 0))
		return 0;
	const double pooled = (static_cast<double>(variance) * n + static_cast<double>(other_variance) * m) / all +
		between_means * between_means * n * m / (all * all);
	return std::clamp(static_cast<float>(pooled), 0.0f, kMostLogVariance);
}

/* As fast as recall does: what is older counts as this many executions at most, so that a changed world is learned. */
constexpr float kMostRemembered = 30;

float SumOfWeights(float n, float m) noexcept { return std::min(n + m, kMostExecutions); }

void ClearLabel(OperatorLabel *label) noexcept
{
	*label = OperatorLabel{};
	label->log_bound_kb = kLeastLogKb;
	label->log_limit_kb = kLeastLogKb;
}

/* True if it says something of what the operator needs. */
bool LabelOperator(const OperatorExperience &op, OperatorLabel *label) noexcept
{
	ClearLabel(label);
	if (IsQuantity(op.grown_kb))
		label->log_limit_kb = LogKb(op.grown_kb);
	/* how much would still have been written, had it not been cut short, nobody knows */
	if ((op.flags & kSpilled) && !(op.flags & kCensored) && IsQuantity(op.temp_kb)) {
		label->log_temp_kb = LogKb(op.temp_kb);
		label->spills = 1;
	}
	if (!IsQuantity(op.needed_kb))
		return label->spills > 0;
	if (NeedIsLowerBound(op)) {
		label->log_bound_kb = LogKb(op.needed_kb);
	} else {
		label->log_needed_kb = LogKb(op.needed_kb);
		label->needed_weight = 1;
	}
	return true;
}

bool LabelOperators(const Experience &experience, Sample *sample) noexcept
{
	bool teaches = false;
	for (int i = 0; i < sample->graph.num_memory_nodes; i++)
		ClearLabel(&sample->operators[i]);
	for (int i = 0; i < NumOperators(experience); i++) {
		const OperatorExperience &op = experience.operators[i];
		if (!(op.flags & kObserved) || op.memory_slot < 0 || op.memory_slot >= sample->graph.num_memory_nodes)
			continue;
		const PlanNode &node = sample->graph.nodes[sample->graph.memory_node[op.memory_slot]];
		if (node.kind == op.kind && node.memory == op.memory)
			teaches |= LabelOperator(op, &sample->operators[op.memory_slot]);
	}
	return teaches;
}

/* Only what is in use: most of the arena is not. */
void CopyGraph(const PlanGraph &from, PlanGraph *to) noexcept
{
	std::memcpy(to, &from, offsetof(PlanGraph, nodes));
	std::copy_n(from.nodes, from.num_nodes, to->nodes);
}

bool SameShape(const PlanGraph &a, const PlanGraph &b) noexcept
{
	if (a.num_nodes != b.num_nodes || a.num_memory_nodes != b.num_memory_nodes)
		return false;
	for (int i = 0; i < a.num_nodes; i++)
		if (a.nodes[i].kind != b.nodes[i].kind || a.nodes[i].memory != b.nodes[i].memory ||
		    a.nodes[i].parent != b.nodes[i].parent)
			return false;
	return true;
}

void FoldLabel(OperatorLabel *label, const OperatorLabel &other) noexcept
{
	const float needed = std::min(label->needed_weight, kMostRemembered);
	const float spills = std::min(label->spills, kMostRemembered);
	label->log_needed_kb = PooledMean(label->log_needed_kb, needed, other.log_needed_kb, other.needed_weight);
	label->needed_weight = SumOfWeights(label->needed_weight, other.needed_weight);
	label->log_bound_kb = std::max(label->log_bound_kb, other.log_bound_kb);
	label->log_temp_kb = PooledMean(label->log_temp_kb, spills, other.log_temp_kb, other.spills);
	/* of executions that spilled, like what they wrote */
	label->log_limit_kb = PooledMean(label->log_limit_kb, spills, other.log_limit_kb, other.spills);
	label->spills = SumOfWeights(label->spills, other.spills);
}

void PutNode(BlobWriter *writer, const PlanNode &node) noexcept
{
	for (const float number : {node.rows, node.width, node.startup_cost, node.total_cost, node.relation_rows,
	                           node.relation_pages, node.groups, node.state_bytes, node.fold_count})
		writer->Put(number);
	writer->Put(node.parent);
	writer->Put(node.kind);
	writer->Put(node.role);
	writer->Put(node.join);
	writer->Put(node.aggregate);
	writer->Put(node.memory);
	writer->Put(static_cast<uint8_t>(node.flags & kStoredFlags));
	for (const uint8_t count : {node.workers, node.num_keys, node.num_quals, node.num_aggregates, node.num_columns})
		writer->Put(count);
}

void GetNode(BlobReader *reader, PlanNode *node) noexcept
{
	*node = PlanNode{};
	node->plan_node_id = -1;
	for (float *number : {&node->rows, &node->width, &node->startup_cost, &node->total_cost, &node->relation_rows,
	                      &node->relation_pages, &node->groups, &node->state_bytes, &node->fold_count})
		reader->Get(number);
	reader->Get(&node->parent);
	reader->Get(&node->kind);
	reader->Get(&node->role);
	reader->Get(&node->join);
	reader->Get(&node->aggregate);
	reader->Get(&node->memory);
	reader->Get(&node->flags);
	node->flags &= kStoredFlags;
	for (uint8_t *count :
	     {&node->workers, &node->num_keys, &node->num_quals, &node->num_aggregates, &node->num_columns})
		reader->Get(count);
}

/* In the order in which they stand in the record. */
template <class AnySample>
auto Numbers(AnySample *sample) noexcept
{
	return std::array{
		&sample->executions, &sample->log_ms, &sample->log_ms_variance, &sample->time_weight, &sample->log_ms_bound,
		&sample->log_query_kb, &sample->query_kb_weight, &sample->workers_launched, &sample->weight};
}

/* False for NaN too. */
bool IsWithin(float value, float least, float most) noexcept { return value >= least && value <= most; }

bool IsLogMs(float value) noexcept { return IsWithin(value, kLeastLogMs, kMostLogMs); }
bool IsLogKb(float value) noexcept { return IsWithin(value, kLeastLogKb, kMostLogKb); }
bool IsCount(float value) noexcept { return IsWithin(value, 0, kMostExecutions); }

bool IsSane(const OperatorLabel &label) noexcept
{
	return IsLogKb(label.log_needed_kb) && IsCount(label.needed_weight) && IsLogKb(label.log_bound_kb) &&
		IsLogKb(label.log_limit_kb) && IsLogKb(label.log_temp_kb) && IsCount(label.spills);
}

bool IsSane(const Sample &sample) noexcept
{
	return sample.plan_fingerprint != 0 && sample.first_seen <= sample.last_seen && sample.executions > 0 &&
		IsCount(sample.executions) && IsLogMs(sample.log_ms) && IsWithin(sample.log_ms_variance, 0, kMostLogVariance) &&
		IsCount(sample.time_weight) && IsLogMs(sample.log_ms_bound) && IsLogKb(sample.log_query_kb) &&
		IsCount(sample.query_kb_weight) && IsWithin(sample.workers_launched, 0, kMostWorkers) &&
		IsWithin(sample.weight, 0, 1);
}

struct RecordHead {
	uint32_t magic;
	uint16_t version;
	uint16_t num_nodes;
	uint32_t bytes;
	CommandKind command;
	uint8_t only_catalogs;
	uint16_t num_operators;
};

RecordHead GetHead(BlobReader *reader) noexcept
{
	RecordHead head;
	reader->Get(&head.magic);
	reader->Get(&head.version);
	reader->Get(&head.num_nodes);
	reader->Get(&head.bytes);
	reader->Get(&head.command);
	reader->Get(&head.only_catalogs);
	reader->Get(&head.num_operators);
	return head;
}

/* As far as there are bytes. */
bool StartsLikeASample(std::span<const std::byte> bytes) noexcept
{
	const auto magic = std::as_bytes(std::span(&kSampleMagic, 1));
	const auto length = static_cast<ptrdiff_t>(std::min(magic.size(), bytes.size()));
	return std::equal(magic.begin(), magic.begin() + length, bytes.begin());
}

/* Of a whole, undamaged record. */
bool GetSample(std::span<const std::byte> record, Sample *sample) noexcept
{
	BlobReader reader(record);
	const RecordHead head = GetHead(&reader);
	float total_cost;
	for (uint64_t *hash :
	     {&sample->plan_fingerprint, &sample->template_fingerprint, &sample->database, &sample->role})
		reader.Get(hash);
	reader.Get(&sample->first_seen);
	reader.Get(&sample->last_seen);
	for (float *number : Numbers(sample))
		reader.Get(number);
	reader.Get(&total_cost);
	if (!IsSane(*sample) || head.only_catalogs > 1 || std::isnan(total_cost))
		return false;

	PlanNode nodes[kMaxPlanNodes];
	for (int i = 0; i < head.num_nodes; i++)
		GetNode(&reader, &nodes[i]);
	if (!RestoreGraph(std::span(nodes).first(head.num_nodes), head.command, &sample->graph) ||
	    sample->graph.num_memory_nodes != head.num_operators)
		return false;
	sample->graph.total_cost = std::clamp(total_cost, 0.0f, kMostStored);
	sample->graph.touches_only_catalogs = head.only_catalogs != 0;
	sample->graph.plan_fingerprint = sample->plan_fingerprint;
	sample->graph.template_fingerprint = sample->template_fingerprint;

	for (int i = 0; i < head.num_operators; i++) {
		reader.Get(&sample->operators[i]);
		if (!IsSane(sample->operators[i]))
			return false;
	}
	return reader.ok();
}

}  // namespace

bool MakeSample(const Experience &experience, const PlanGraph &graph, uint64_t database, uint64_t role,
                Sample *sample) noexcept
{
	if (!WasRun(experience) || graph.overflow || graph.num_nodes <= 0 || graph.num_nodes > kMaxPlanNodes)
		return false;
	sample->plan_fingerprint = experience.plan_fingerprint != 0 ? experience.plan_fingerprint : graph.plan_fingerprint;
	sample->template_fingerprint =
		experience.template_fingerprint != 0 ? experience.template_fingerprint : graph.template_fingerprint;
	if (sample->plan_fingerprint == 0)
		return false;
	sample->database = database;
	sample->role = role;
	sample->first_seen = sample->last_seen = experience.finished_at;
	for (float *number : Numbers(sample))
		*number = 0;
	sample->executions = 1;
	sample->weight = 1;
	sample->log_ms_bound = kLeastLogMs;
	sample->workers_launched = std::clamp(static_cast<float>(experience.workers_launched), 0.0f, kMostWorkers);
	CopyGraph(graph, &sample->graph);

	bool teaches = LabelOperators(experience, sample);
	if (IsQuantity(experience.time_ms)) {
		teaches = true;
		if (TimeIsLowerBound(experience)) {
			sample->log_ms_bound = LogMs(experience.time_ms);
		} else {
			sample->log_ms = LogMs(experience.time_ms);
			sample->time_weight = 1;
		}
	}
	if (IsQuantity(experience.query_memory_kb) && !QueryMemoryIsLowerBound(experience)) {
		teaches = true;
		sample->log_query_kb = LogKb(experience.query_memory_kb);
		sample->query_kb_weight = 1;
	}
	return teaches;
}

void FoldSample(Sample *sample, const Sample &other) noexcept
{
	const bool newer = other.last_seen >= sample->last_seen;
	/* two plans under one fingerprint: only one can be right, and later is likelier */
	if (!SameShape(sample->graph, other.graph)) {
		if (newer)
			*sample = other;
		return;
	}
	const float between_means = other.log_ms - sample->log_ms;
	const float times = std::min(sample->time_weight, kMostRemembered);
	const float query_kbs = std::min(sample->query_kb_weight, kMostRemembered);
	const float executions = std::min(sample->executions, kMostRemembered);
	sample->log_ms_variance =
		PooledVariance(sample->log_ms_variance, times, other.log_ms_variance, other.time_weight, between_means);
	sample->log_ms = PooledMean(sample->log_ms, times, other.log_ms, other.time_weight);
	sample->time_weight = SumOfWeights(sample->time_weight, other.time_weight);
	sample->log_ms_bound = std::max(sample->log_ms_bound, other.log_ms_bound);
	sample->log_query_kb =
		PooledMean(sample->log_query_kb, query_kbs, other.log_query_kb, other.query_kb_weight);
	sample->query_kb_weight = SumOfWeights(sample->query_kb_weight, other.query_kb_weight);
	sample->workers_launched =
		PooledMean(sample->workers_launched, executions, other.workers_launched, other.executions);
	for (int i = 0; i < sample->graph.num_memory_nodes; i++)
		FoldLabel(&sample->operators[i], other.operators[i]);

	/* one execution after the other, a plan stays with the role that ran it first: nobody takes it over by repeating it */
	if (other.executions > sample->executions) {
		sample->role = other.role;
		sample->database = other.database;
	}
	sample->executions = SumOfWeights(sample->executions, other.executions);
	sample->first_seen = std::min(sample->first_seen, other.first_seen);
	sample->last_seen = std::max(sample->last_seen, other.last_seen);
	if (newer)
		CopyGraph(other.graph, &sample->graph);
}

size_t SampleBytes(const Sample &sample) noexcept
{
	return RecordBytes(static_cast<size_t>(sample.graph.num_nodes), static_cast<size_t>(sample.graph.num_memory_nodes));
}

void EncodeSample(const Sample &sample, std::span<std::byte> bytes) noexcept
{
	const std::span<std::byte> record = bytes.first(SampleBytes(sample));
	const PlanGraph &graph = sample.graph;
	BlobWriter writer(record.data());
	writer.Put(kSampleMagic);
	writer.Put(kVersion);
	writer.Put(static_cast<uint16_t>(graph.num_nodes));
	writer.Put(static_cast<uint32_t>(record.size()));
	writer.Put(graph.command);
	writer.Put(static_cast<uint8_t>(graph.touches_only_catalogs ? 1 : 0));
	writer.Put(static_cast<uint16_t>(graph.num_memory_nodes));
	for (const uint64_t hash : {sample.plan_fingerprint, sample.template_fingerprint, sample.database, sample.role})
		writer.Put(hash);
	writer.Put(sample.first_seen);
	writer.Put(sample.last_seen);
	for (const float *number : Numbers(&sample))
		writer.Put(*number);
	writer.Put(graph.total_cost);
	for (int i = 0; i < graph.num_nodes; i++)
		PutNode(&writer, graph.nodes[i]);
	for (int i = 0; i < graph.num_memory_nodes; i++)
		writer.Put(sample.operators[i]);
	writer.Put(ChainedChecksum(kChecksumSeed, record.first(record.size() - kChecksumBytes)));
}

SampleStatus DecodeSample(std::span<const std::byte> bytes, Sample *sample, size_t *used) noexcept
{
	*used = 0;
	if (bytes.size() < kLeastSampleBytes)
		return StartsLikeASample(bytes) ? SampleStatus::kTruncated : SampleStatus::kNotASample;
	BlobReader reader(bytes);
	const RecordHead head = GetHead(&reader);
	if (head.magic != kSampleMagic || head.bytes < kLeastSampleBytes || head.bytes > kMostSampleBytes)
		return SampleStatus::kNotASample;
	*used = head.bytes;
	if (head.version != kVersion)
		return SampleStatus::kForeignVersion;
	if (bytes.size() < head.bytes)
		return SampleStatus::kTruncated;

	const std::span<const std::byte> record = bytes.first(head.bytes);
	uint64_t checksum;
	std::memcpy(&checksum, record.data() + record.size() - kChecksumBytes, sizeof(checksum));
	if (checksum != ChainedChecksum(kChecksumSeed, record.first(record.size() - kChecksumBytes)))
		return SampleStatus::kDamaged;
	if (head.num_nodes > kMaxPlanNodes || head.num_operators > kMaxMemoryNodes ||
	    head.bytes != RecordBytes(head.num_nodes, head.num_operators) || !GetSample(record, sample))
		return SampleStatus::kInsane;
	return SampleStatus::kOk;
}

void ReweighEncodedSample(std::span<std::byte> encoded, float weight) noexcept
{
	std::memcpy(encoded.data() + kWeightAt, &weight, sizeof(weight));
	const std::span<std::byte> covered = encoded.first(encoded.size() - kChecksumBytes);
	const uint64_t checksum = ChainedChecksum(kChecksumSeed, covered);
	std::memcpy(covered.data() + covered.size(), &checksum, sizeof(checksum));
}

const char *SampleStatusText(SampleStatus status) noexcept
{
	switch (status) {
		case SampleStatus::kOk: return "sample is valid";
		case SampleStatus::kTruncated: return "sample is truncated";
		case SampleStatus::kNotASample: return "not a pg_wlm sample, or written on a machine with another byte order";
		case SampleStatus::kForeignVersion: return "sample has a format version that this pg_wlm does not know";
		case SampleStatus::kDamaged: return "sample is damaged: its checksum does not match";
		case SampleStatus::kInsane: return "sample holds numbers or a plan that cannot be right";
	}
	return "unknown sample status";
}

}  // namespace wlm
