/*
 * sample_format.cpp
 *
 * Samples written and read. Format of a record, version 1; numbers
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
#include "core/learn/sample_format.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/learn/blob_format.hpp"
#include "core/plan/restore_graph.hpp"
#include "core/predict/log_scale.hpp"

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

constexpr size_t RecordBytes(size_t num_nodes, size_t num_operators) noexcept
{
	return kHeadBytes + num_nodes * kNodeBytes + num_operators * kLabelBytes + kChecksumBytes;
}
static_assert(RecordBytes(1, 0) == kLeastSampleBytes);
static_assert(RecordBytes(kMaxPlanNodes, kMaxMemoryNodes) <= kMostSampleBytes);

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
	for (float *number : SampleNumbers(sample))
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
	for (const float *number : SampleNumbers(&sample))
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
