/*
 * configuration.cpp
 *
 * The tables have constraints, but nothing here relies on them: what makes no
 * sense becomes harmless with a WARNING, because the alternative would be a
 * configuration that nobody can apply. Conditions that name roles or databases
 * which do not exist match nothing. One row of wlm.queue: queue.cpp; rules and
 * priorities of users: rules.cpp.
 */
#include "pg/worker/configuration/configuration.hpp"

#include <algorithm>
#include <cstring>

extern "C" {
#include "executor/spi.h"
}

#include "pg/shared_state.hpp"
#include "pg/worker/configuration/parts.hpp"
#include "pg/worker/configuration/user_priorities.hpp"
#include "pg/worker/worker.hpp"

namespace wlm {

namespace {

/*
 * The queue's index as it was; else one that was never used, so that a record on its way to history
 * still finds the name it was made under; else one that is free again. -1 if all are taken. A name that
 * comes later in the table may own a free index: those are marked in `kept` beforehand.
 */
int ChooseIndex(const Workload &before, Workload *after, const char *name, const bool *kept)
{
	for (int i = 1; i < before.num_queues; i++) {
		if (kept[i] && strcmp(before.limits[i].name, name) == 0)
			return i;
	}
	if (after->num_queues < kMaxQueues)
		return after->num_queues++;
	for (int i = 1; i < kMaxQueues; i++) {
		if (!kept[i] && !after->limits[i].in_use)
			return i;
	}
	return -1;
}

/* Which of the old indices keep their names. */
void MarkKept(const Workload &before, bool *kept)
{
	memset(kept, 0, sizeof(bool) * kMaxQueues);
	for (uint64 row = 0; row < SPI_processed; row++) {
		char name[kNameLength];

		ReadQueueName(row, name);
		for (int i = 1; i < before.num_queues; i++)
			kept[i] = kept[i] || strcmp(before.limits[i].name, name) == 0;
	}
}

/* An index that lost its name stays known by it until it is used again: history may still ask. */
void InheritIndices(const Workload &before, Workload *after)
{
	after->num_queues = std::clamp(before.num_queues, 1, kMaxQueues);
	for (int i = 1; i < after->num_queues; i++)
		strlcpy(after->limits[i].name, before.limits[i].name, kNameLength);
}

void ReadQueues(const Workload &before, Workload *after)
{
	bool kept[kMaxQueues];
	int skipped = 0;

	if (SPI_execute(kQueuesQuery, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read wlm.queue");
	MarkKept(before, kept);
	InheritIndices(before, after);

	for (uint64 row = 0; row < SPI_processed; row++) {
		char name[kNameLength];

		ReadQueueName(row, name);
		if (strcmp(name, after->limits[0].name) == 0) {
			ReadQueueLimits(row, &after->limits[0]);
			/* nobody else would take its statements */
			if (after->limits[0].intake == Intake::kDraining)
				after->limits[0].intake = Intake::kPaused;
			continue;
		}
		const int index = after->num_ordered < kMaxQueues - 1 ? ChooseIndex(before, after, name, kept) : -1;
		if (index < 0) {
			skipped++;
			continue;
		}
		strlcpy(after->limits[index].name, name, kNameLength);
		ReadQueueLimits(row, &after->limits[index]);
		ReadQueueConditions(row, name, &after->conditions[index]);
		after->order[after->num_ordered++] = index;
	}
	if (skipped > 0)
		ereport(WARNING, (errmsg("%d workload queues are ignored", skipped),
		                  errdetail("At most %d queues beside \"default\" can be in use.", kMaxQueues - 1),
		                  errhint("Drop queues that are not needed with wlm.drop_queue().")));
}

}  // namespace

void LoadWorkload(bool extension_present)
{
	Workload *before = static_cast<Workload *>(palloc(sizeof(Workload)));
	Workload *after = static_cast<Workload *>(palloc(sizeof(Workload)));
	PriorityChanges *changes = static_cast<PriorityChanges *>(palloc(sizeof(PriorityChanges)));

	/* Before the snapshot: whoever raises it later has committed something that this may not see. */
	const uint32 generation = pg_atomic_read_u32(&shared->workload_requested);
	pg_read_barrier();
	LWLockAcquire(shared->state_lock, LW_SHARED);
	memcpy(before, &shared->workload, sizeof *before);
	LWLockRelease(shared->state_lock);

	InitWorkload(after);
	BeginWork("loading the configuration");
	if (extension_present) {
		ReadQueues(*before, after);
		ReadRules(after);
		ReadUserPriorities(after);
	} else {
		InheritIndices(*before, after);
	}
	FindPriorityChanges(*before, *after, changes);
	CommitWork();
	after->generation = generation;
	DateQueues(*before, after);

	/* A standby reads it again and again: what has not changed is not for every process to copy. */
	after->generation = before->generation;
	const bool changed = before->generation == 0 || memcmp(before, after, sizeof *after) != 0;
	after->generation = changed ? generation : before->generation;

	LWLockAcquire(shared->state_lock, LW_EXCLUSIVE);
	if (changed) {
		memcpy(&shared->workload, after, sizeof *after);
		pg_atomic_write_u32(&shared->workload_generation, generation);
	}
	pg_atomic_write_u32(&shared->workload_loaded, generation);
	LWLockRelease(shared->state_lock);
	if (changed) {
		ConfigurePolicy();
		ApplyPriorityChanges(*changes);
	}

	pfree(changes);
	pfree(before);
	pfree(after);
}

}  // namespace wlm
