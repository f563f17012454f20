/*
 * settings.hpp
 *
 * The settings wlm.*, as PostgreSQL keeps them. Defined in settings.cpp, in
 * alphabetical order; docs/reference/settings.md describes each.
 */
#pragma once

#include "pg/postgres.hpp"

namespace wlm {

enum class Mode : int { kOff = 0, kObserve, kAuto };
enum class GrantScope : int { kOperator = 0, kQuery };
enum class GuardAction : int { kLog = 0, kCancel };

namespace setting {
extern bool bypass;
extern char *database;
extern int grant_scope;           /* GrantScope */
extern double grant_quantile;
extern bool elastic;
extern double explore_rate;
extern int express_floor_ms;
extern int flush_interval_s;
extern int history_days;
extern int history_rows;
extern int guard_action;          /* GuardAction */
extern int guard_limit_kb;        /* -1 = of host and cgroup */
extern bool manage_maintenance;
extern int max_queries;           /* 0 = from max_connections */
extern int max_standstill_ms;     /* 0 = none */
extern int max_wait_ms;
extern int max_work_mem_kb;
extern int memory_kb;             /* -1 = automatic */
extern double min_cost;
extern int min_work_mem_kb;
extern int mode;                  /* Mode */
extern int model_memory_kb;
extern double need_factor;
extern bool now_or_later;
extern double oversubscription;
extern bool plan_memory;
extern bool preemption;
extern int priority;              /* -1 = that of the queue, else Priority */
extern char *query_group;
WLM_HOT extern int query_serial;  /* private: which query a parallel worker belongs to */
extern int queue_timeout_ms;      /* -1 = that of the queue */
extern bool reduce_workers;
extern bool respect_user_work_mem;
extern int ring_kb;
extern double sample_rate;
extern int slot_count;
extern int superuser_slots;
extern int total_slots;           /* 0 = automatic */
extern int train_interval_s;      /* -1 = only on demand */
extern int train_memory_kb;
extern int train_statements;
extern int train_timeout_s;
extern char *trainer;
extern bool tune_express;
}  // namespace setting

void InitSettings();

/* The budget in kB: wlm.memory, or what host or cgroup leave beside shared_buffers; before oversubscription. */
int64 BudgetKb();

}  // namespace wlm
