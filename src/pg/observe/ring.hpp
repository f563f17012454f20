/*
 * ring.hpp
 *
 * A ring of bytes in shared memory that carries experiences and new plans from
 * backends to the learner (launcher) and to the tables (worker), each of which
 * has its own read position. A writer never waits: when a reader is too far
 * behind, the oldest records are given up for that reader and counted.
 *
 * All functions need state_lock held exclusively by the caller.
 *
 * A record is a RecordHeader followed by its payload, padded to 8 bytes. Records
 * wrap around the end of the buffer byte by byte. Positions only grow; the byte
 * at position p is at p % capacity.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/decide/rules.hpp"
#include "core/learn/experience.hpp"

namespace wlm {

enum class RecordKind : uint32_t { kExperience = 1, kPlan = 2, kRuleAction = 3 };
enum class Reader : int { kLearner = 0, kHistory, kNumReaders };

struct RecordHeader {
	uint32_t bytes;    /* of the payload */
	RecordKind kind;
};

/* The payload of kPlan: the used part of a graph. */
struct PlanRecord {
	uint64_t template_fingerprint;
	uint64_t plan_fingerprint;
	uint64_t query_id;
	float total_cost;
	float planned_workers;
	int16_t num_nodes;
	int16_t num_memory_nodes;
	CommandKind command;
	PlanNode nodes[kMaxPlanNodes];

	size_t BytesUsed() const noexcept
	{
		return offsetof(PlanRecord, nodes) + sizeof(PlanNode) * static_cast<size_t>(num_nodes);
	}
};

/* The payload of kRuleAction: a rule that has fired. */
struct RuleActionRecord {
	int64_t recorded_at;   /* TimestampTz */
	uint64_t query_id;
	double value;          /* of the first predicate's metric */
	uint32_t database_oid;
	uint32_t role_oid;
	int32_t pid;
	int16_t queue;         /* index */
	uint8_t action;        /* RuleAction */
	uint8_t metric;        /* Metric */
	bool applied;          /* the action was carried out */
	char rule[kRuleNameLength];
};

inline constexpr size_t kMaxRecordBytes = sizeof(PlanRecord) > sizeof(Experience) ? sizeof(PlanRecord) : sizeof(Experience);

struct Ring {
	uint64_t capacity;   /* bytes of the buffer that follows */
	uint64_t head;       /* where the next record goes */
	uint64_t tail[static_cast<int>(Reader::kNumReaders)];
	uint64_t lost[static_cast<int>(Reader::kNumReaders)];

	static Ring *Init(std::span<std::byte> memory) noexcept;
	/* False only if the record is larger than the ring. */
	bool Put(RecordKind kind, const void *payload, size_t bytes) noexcept;
	/* The reader's next record into `buffer` (at least kMaxRecordBytes); false when there is none. */
	bool Take(Reader reader, RecordHeader *header, void *buffer) noexcept;
	uint64_t Pending(Reader reader) const noexcept; /* bytes */
	void Discard(Reader reader) noexcept;
};

}  // namespace wlm
