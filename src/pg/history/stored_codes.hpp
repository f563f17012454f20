/*
 * stored_codes.hpp
 *
 * What the two directions of stored_experience.hpp share: positions of columns
 * and the names that stand for codes. Not for others.
 */
#pragma once

#include <cstring>

#include "core/grant/choose_level.hpp"
#include "core/grant/parallelism.hpp"
#include "pg/history/stored_experience.hpp"

namespace wlm::stored {

enum HistoryColumn : int {
	kFinishedAt = 0, kDatabase, kRole, kPid, kQueryId, kTemplate, kFingerprint, kCommand, kQueue, kPriority,
	kLane, kFamiliarity, kNovelty, kFinalState, kForced, kEvicted, kApplied, kHistoryCensored, kTotalCost, kRootRows, kReturnedRows,
	kQueueMs, kNumPreempted, kWastedMs, kPredictedMs, kPredictedLowMs, kPredictedHighMs, kActualMs, kPredictedKb, kPredictedHighKb,
	kReservedKb, kSessionWorkMemKb, kPlanWorkMemKb, kGrantedWorkMemKb, kLackingKb, kCoverage, kGrantLevel, kGrantReason,
	kPeakKb, kTempBytes, kWorkersPlanned, kWorkersGranted, kWorkersLaunched, kWorkerReason, kLoadBeside, kModelVersion,
	kExpertAnswers, kEndOfHistory
};
static_assert(kEndOfHistory == kNumHistoryColumns);

enum OperatorColumn : int {
	kHistoryId = 0, kPlanNodeId, kOperator, kMemoryClass, kSlot, kProcesses, kEstimatedRows, kActualRows,
	kFormulaKb, kOperatorKb, kOperatorHighKb, kGrantedKb, kGrownKb, kOperatorPeakKb, kNeededKb, kTempKb,
	kOperatorSpilled, kOperatorCensored, kOperatorAnswers, kEndOfOperator
};
static_assert(kEndOfOperator == kNumOperatorColumns);

/* Half the width of the 95 % interval, in standard deviations: what predicted_low and _high mean. */
inline constexpr double kHalfWidth = 1.959964;

inline constexpr const char *kFinalStates[] = {"completed", "cancelled", "failed", "rejected", "timed_out"};
inline constexpr const char *kCommands[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "OTHER"};
inline constexpr const char *kFamiliarities[] = {"plan", "template", "none"};
inline constexpr const char *kLanes[] = {"normal", "express", "maintenance", "superuser"};

/* The code that `name_of` calls so; 0 if none is. */
template <class Code>
Code CodeOf(const char *(*name_of)(Code) noexcept, int count, const char *name)
{
	for (int i = 0; i < count; i++) {
		if (strcmp(name_of(static_cast<Code>(i)), name) == 0)
			return static_cast<Code>(i);
	}
	return static_cast<Code>(0);
}
inline constexpr int kNumLevelReasons = static_cast<int>(LevelReason::kExploring) + 1;
inline constexpr int kNumWorkerReasons = static_cast<int>(WorkerReason::kWithdrawn) + 1;

/* One name for each pair of kind and class, so that it can be read back. */
inline const char *OperatorName(NodeKind kind, MemoryClass memory)
{
	PlanNode node = {};
	node.kind = kind;
	node.memory = memory;
	node.aggregate = memory == MemoryClass::kHashAgg ? AggKind::kHashed : AggKind::kPlain;
	return NodeName(node);
}

}  // namespace wlm::stored
