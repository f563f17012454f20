/*
 * managed_query.hpp
 *
 * The one object that a query is while it is with us, from ExecutorStart until
 * its executor state is freed. Begun by begin_query.hpp, found again by query_pool.hpp,
 * released by a reset callback on es_query_cxt, which runs at normal end, error, savepoint
 * rollback and portal drop alike; for what a function ran when it failed, not
 * before ROLLBACK. At FATAL before_shmem_exit releases them all.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "executor/execdesc.h"
#include "lib/ilist.h"
#include "portability/instr_time.h"
#include "executor/instrument.h"
}

#include <csignal>

#include "core/grant/grant.hpp"
#include "core/grant/ledger.hpp"
#include "core/decide/policy/policy.hpp"
#include "core/learn/experience.hpp"

namespace wlm {

struct ManagedQuery {
	dlist_node link;                /* in the process's list, or in its pool */
	QueryDesc *query_desc;
	QueryHandle handle;             /* in the policy */
	bool applied;                   /* mode auto */
	bool observed;                  /* ExecutorEnd has filled in the experience */
	bool sampled;                   /* row counts were instrumented for us */
	bool ran_to_end;                /* the executor returned its last row */
	bool elastic;                   /* its hash tables may grow */
	bool superuser;                 /* whose it is, when it began */
	bool watched;                   /* rules look at it: `watch` is filled */
	volatile sig_atomic_t in_stretch; /* the executor is in it, and what the timer's handler reads is whole */
	bool may_release;               /* memory of finished phases may be freed before the end */
	int64 session_work_mem_kb;      /* what nested statements must see again */
	bool was_restartable;           /* ran in attempts (pg/query/restart.hpp), which have observed themselves */
	double started_ms;              /* admission, or of this stretch or attempt */
	double active_ms;               /* time inside the executor so far */
	int64 temp_blocks;              /* written so far, workers included */
	double returned_rows;           /* over all fetches */
	int16 max_plan_node_id;
	int16 most_workers;             /* for each Gather; negative = as planned */
	Grant grant;
	GrantLedger ledger;
	struct RuleWatch *watch;        /* of this place in the pool (pg/query/rules.hpp); null = no rule ever was */
	struct NodeGrants *nodes;       /* wrapped nodes (pg/grant/nodes.hpp), in es_query_cxt; null = none */
	struct LimitedGather *limited_gathers; /* nodes that start fewer workers (pg/grant/workers.hpp), in es_query_cxt; null = none */
	MemoryContextCallback release;
	Experience experience;          /* predictions at the start, outcomes at the end */
	uint8 slot_of_plan_id[kMaxPlanNodeIds]; /* [0, max_plan_node_id] -> memory slot, kNoSlot if none */
};

inline constexpr uint8 kNoSlot = 255;

/* After standard_ExecutorStart: from here on the executor's memory context releases the query. */
void AttachQuery(ManagedQuery *query);

/* Around each ExecutorRun and ExecutorFinish of a managed query. */
void EnterQuery(ManagedQuery *query);
void LeaveQuery(ManagedQuery *query, bool may_return_again);

/* ExecutorEnd, while the plan state still exists: what really happened. */
void FinishQuery(ManagedQuery *query);

/* In a catch block, while a stretch of the query fails: remembers why, for the record. */
void NoteFailure(ManagedQuery *query);

/* Gives everything back and writes the experience. Never raises; safe at any time. */
void ReleaseQuery(ManagedQuery *query, FinalState state);

}  // namespace wlm
