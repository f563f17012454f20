/*
 * stored_codes.hpp
 *
 * What the two directions of stored_experience.hpp share: positions of columns
 * and the names that stand for codes. Not for others.
 */
#pragma once

#include "pg/worker/stored_experience.hpp"

namespace wlm::stored {

enum HistoryColumn : int {
	kFinishedAt = 0, kDatabase, kRole, kPid, kQueryId, kTemplate, kFingerprint, kCommand, kQueue, kPriority,
	kLane, kFamiliarity, kNovelty, kFinalState, kForced, kEvicted, kApplied, kHistoryCensored, kTotalCost, kRootRows, kReturnedRows,
	kQueueMs, kPredictedMs, kPredictedLowMs, kPredictedHighMs, kActualMs, kPredictedKb, kPredictedHighKb,
	kReservedKb, kSessionWorkMemKb, kPlanWorkMemKb, kGrantedWorkMemKb, kLackingKb, kCoverage, kGrantLevel, kGrantReason,
	kPeakKb, kTempBytes, kWorkersPlanned, kWorkersGranted, kWorkersLaunched, kWorkerReason, kModelVersion,
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
inline constexpr const char *kLanes[] = {"normal", "express", "maintenance"};

/* As GrantLevelName(), LevelReasonName() and WorkerReasonName() say them. */
inline constexpr const char *kGrantLevels[] = {"own", "some", "most", "all"};
inline constexpr const char *kGrantReasons[] = {"nothing lacks", "predicted", "proven", "withdrawn", "exploring"};
inline constexpr const char *kWorkerReasons[] = {"as planned", "scalability", "load", "withdrawn"};

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
