/*
 * settings.cpp
 *
 * All settings in one place, in alphabetical order.
 */
#include "pg/settings.hpp"

#include <climits>
#include <cmath>

extern "C" {
#include "utils/guc.h"
#include "utils/guc_tables.h"
}

#include "core/decide/policy/policy.hpp"
#include "pg/machine/memory_limit.hpp"
#include "pg/shared_state.hpp"

namespace wlm {

namespace setting {
bool bypass = false;
char *database = nullptr;
bool elastic = true;
double explore_rate = 0.05;
int express_floor_ms = 200;
int flush_interval_s = 2;
double grant_quantile = 0.95;
int grant_scope = static_cast<int>(GrantScope::kOperator);
int guard_action = static_cast<int>(GuardAction::kLog);
int guard_limit_kb = -1;
int history_days = 30;
int history_rows = 100000;
bool manage_maintenance = true;
int max_queries = 0;
int max_wait_ms = 300000;
int max_work_mem_kb = 1024 * 1024;
int memory_kb = -1;
double min_cost = 1000;
int min_work_mem_kb = 1024;
int mode = static_cast<int>(Mode::kObserve);
int model_memory_kb = 24 * 1024;
double need_factor = 1.0;
bool now_or_later = false;
double oversubscription = 1.0;
bool plan_memory = true;
bool preemption = false;
int priority = -1;
char *query_group = nullptr;
int query_serial = 0;
int queue_timeout_ms = -1;
bool reduce_workers = true;
bool respect_user_work_mem = true;
int ring_kb = 4096;
double sample_rate = 0.05;
int slot_count = 1;
int superuser_slots = 3;
int total_slots = 0;
int train_interval_s = 900;
int train_memory_kb = 512 * 1024;
int train_statements = 2000;
int train_timeout_s = 300;
char *trainer = nullptr;
bool tune_express = true;
}  // namespace setting

double managed_cost = HUGE_VAL;

namespace {

/* "on" and "off" are not modes: a value that reads like a boolean would hide which. */
const config_enum_entry kModes[] = {
	{"off", static_cast<int>(Mode::kOff), false},
	{"observe", static_cast<int>(Mode::kObserve), false},
	{"auto", static_cast<int>(Mode::kAuto), false},
	{nullptr, 0, false},
};

const config_enum_entry kGrantScopes[] = {
	{"operator", static_cast<int>(GrantScope::kOperator), false},
	{"query", static_cast<int>(GrantScope::kQuery), false},
	{nullptr, 0, false},
};

const config_enum_entry kGuardActions[] = {
	{"log", static_cast<int>(GuardAction::kLog), false},
	{"cancel", static_cast<int>(GuardAction::kCancel), false},
	{nullptr, 0, false},
};

const config_enum_entry kPriorities[] = {
	{"queue", -1, false},
	{"lowest", static_cast<int>(Priority::kLowest), false},
	{"low", static_cast<int>(Priority::kLow), false},
	{"normal", static_cast<int>(Priority::kNormal), false},
	{"high", static_cast<int>(Priority::kHigh), false},
	{"highest", static_cast<int>(Priority::kHighest), false},
	{"critical", static_cast<int>(Priority::kCritical), false},
	{nullptr, 0, false},
};

double configured_cost = HUGE_VAL;
bool watching_all = false;

/* Assign hooks run before the variable changes, so each passes on what it will be. */
void Recompute(int mode, bool bypass, double min_cost)
{
	const bool active = shared != nullptr && mode != static_cast<int>(Mode::kOff) && !bypass;

	configured_cost = active ? min_cost : HUGE_VAL;
	managed_cost = watching_all ? -HUGE_VAL : configured_cost;
}

/* Nobody can run in less, and 0 could be taken for "no limit" as well as for "nothing". */
bool CheckMemory(int *value, void **, GucSource)
{
	if (*value == -1 || *value >= 64)
		return true;
	GUC_check_errdetail("wlm.memory must be -1 (automatic) or at least 64 kB.");
	return false;
}

void AssignBypass(bool value, void *) { Recompute(setting::mode, value, setting::min_cost); }
void AssignMinCost(double value, void *) { Recompute(setting::mode, setting::bypass, value); }
void AssignMode(int value, void *) { Recompute(value, setting::bypass, setting::min_cost); }

}  // namespace

void ComputeManagedCost() { Recompute(setting::mode, setting::bypass, setting::min_cost); }

bool WatchAllStatements(bool watch)
{
	const bool before = watching_all;

	watching_all = watch;
	managed_cost = watch ? -HUGE_VAL : configured_cost;
	return before;
}

int64 BudgetKb()
{
	if (setting::memory_kb > 0)
		return setting::memory_kb;

	/* What shared_buffers leaves, less a fifth of the machine for page cache and all that is not managed. */
	const int64 machine = MemoryLimitKb();
	const int64 left = machine - machine / 5 - static_cast<int64>(NBuffers) * (BLCKSZ / 1024);
	return left > 64 * 1024 ? left : 64 * 1024;
}

void InitSettings()
{
	DefineCustomBoolVariable("wlm.bypass",
	                         "Runs the session's statements past the workload manager.",
	                         "No prediction, no queue, no grant, nothing recorded.",
	                         &setting::bypass,
	                         false,
	                         PGC_SUSET,
	                         0,
	                         nullptr, AssignBypass, nullptr);

	DefineCustomStringVariable("wlm.database",
	                           "Database that holds the workload manager's tables.",
	                           "The extension must be installed there; it need not be installed elsewhere.",
	                           &setting::database,
	                           "postgres",
	                           PGC_POSTMASTER,
	                           0,
	                           nullptr, nullptr, nullptr);

	DefineCustomBoolVariable("wlm.elastic",
	                         "Lets hash joins and hash aggregates take more memory before they would spill.",
	                         "Only what is free of wlm.memory, in steps, up to wlm.max_work_mem.",
	                         &setting::elastic,
	                         true,
	                         PGC_SUSET,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomRealVariable("wlm.explore_rate",
	                         "Part of executions that may try another amount of memory.",
	                         "So that the value of memory can be learned; 0 never tries.",
	                         &setting::explore_rate,
	                         0.05, 0, 0.5,
	                         PGC_SIGHUP,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.express_floor",
	                        "Statements predicted to be shorter than this are always short.",
	                        "Floor of the express lane's cut-off, which follows the recent execution times; -1 closes the lane.",
	                        &setting::express_floor_ms,
	                        200, -1, INT_MAX,
	                        PGC_SIGHUP,
	                        GUC_UNIT_MS,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.flush_interval",
	                        "Time between writes of observations to wlm.history.",
	                        nullptr,
	                        &setting::flush_interval_s,
	                        2, 1, 3600,
	                        PGC_SIGHUP,
	                        GUC_UNIT_S,
	                        nullptr, nullptr, nullptr);

	DefineCustomRealVariable("wlm.grant_quantile",
	                         "Part of executions whose memory need a grant should cover.",
	                         nullptr,
	                         &setting::grant_quantile,
	                         0.95, 0.5, 0.999,
	                         PGC_SIGHUP,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomEnumVariable("wlm.grant_scope",
	                         "Whether each operator gets its own memory limit, or all of a statement the same.",
	                         nullptr,
	                         &setting::grant_scope,
	                         static_cast<int>(GrantScope::kOperator),
	                         kGrantScopes,
	                         PGC_SUSET,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomEnumVariable("wlm.guard_action",
	                         "What the memory guard does with the statement furthest over its grant when memory is about to run out.",
	                         "It first stops growth and then admissions.",
	                         &setting::guard_action,
	                         static_cast<int>(GuardAction::kLog),
	                         kGuardActions,
	                         PGC_SIGHUP,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.guard_limit",
	                        "Real memory that the memory guard protects.",
	                        "-1 takes that of the host and of the server's cgroup, 0 turns the guard off.",
	                        &setting::guard_limit_kb,
	                        -1, -1, INT_MAX,
	                        PGC_SIGHUP,
	                        GUC_UNIT_KB,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.history_days",
	                        "Days for which observations are kept in wlm.history.",
	                        nullptr,
	                        &setting::history_days,
	                        30, 1, 3650,
	                        PGC_SIGHUP,
	                        0,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.history_rows",
	                        "Largest number of rows kept in wlm.history.",
	                        nullptr,
	                        &setting::history_rows,
	                        100000, 1000, INT_MAX,
	                        PGC_SIGHUP,
	                        0,
	                        nullptr, nullptr, nullptr);

	DefineCustomBoolVariable("wlm.manage_maintenance",
	                         "Gives CREATE INDEX, REINDEX and REFRESH MATERIALIZED VIEW maintenance_work_mem from wlm.memory.",
	                         nullptr,
	                         &setting::manage_maintenance,
	                         true,
	                         PGC_SUSET,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.max_queries",
	                        "Statements that can be managed at the same time.",
	                        "Further ones run unmanaged and are counted. 0 takes twice the number of backends.",
	                        &setting::max_queries,
	                        0, 0, 100000,
	                        PGC_POSTMASTER,
	                        0,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.max_wait",
	                        "Longest time a statement waits in a queue before it is admitted over the limits.",
	                        nullptr,
	                        &setting::max_wait_ms,
	                        300000, 1, INT_MAX,
	                        PGC_SIGHUP,
	                        GUC_UNIT_MS,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.max_work_mem",
	                        "Largest work_mem that a statement is given.",
	                        nullptr,
	                        &setting::max_work_mem_kb,
	                        1024 * 1024, 64, MAX_KILOBYTES,
	                        PGC_SIGHUP,
	                        GUC_UNIT_KB,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.memory",
	                        "Memory budget of all managed statements together.",
	                        "-1 takes four fifths of the host's or the cgroup's memory, less shared_buffers.",
	                        &setting::memory_kb,
	                        -1, -1, INT_MAX,
	                        PGC_SIGHUP,
	                        GUC_UNIT_KB,
	                        CheckMemory, nullptr, nullptr);

	DefineCustomRealVariable("wlm.min_cost",
	                         "Statements that the planner takes for cheaper than this are not managed.",
	                         "In the planner's units, as EXPLAIN shows them.",
	                         &setting::min_cost,
	                         1000, 0, HUGE_VAL,
	                         PGC_SIGHUP,
	                         0,
	                         nullptr, AssignMinCost, nullptr);

	DefineCustomIntVariable("wlm.min_work_mem",
	                        "Least work_mem that a statement is raised to.",
	                        "Below this, batch buffers of hash joins cost more than a smaller limit saves.",
	                        &setting::min_work_mem_kb,
	                        1024, 64, MAX_KILOBYTES,
	                        PGC_SIGHUP,
	                        GUC_UNIT_KB,
	                        nullptr, nullptr, nullptr);

	DefineCustomEnumVariable("wlm.mode",
	                         "What the workload manager does.",
	                         "\"observe\" predicts and records but changes nothing, \"auto\" also queues statements and gives them memory.",
	                         &setting::mode,
	                         static_cast<int>(Mode::kObserve),
	                         kModes,
	                         PGC_SUSET,
	                         0,
	                         nullptr, AssignMode, nullptr);

	DefineCustomIntVariable("wlm.model_memory",
	                        "Shared memory for the experts' models.",
	                        nullptr,
	                        &setting::model_memory_kb,
	                        24 * 1024, 1024, 4 * 1024 * 1024,
	                        PGC_POSTMASTER,
	                        GUC_UNIT_KB,
	                        nullptr, nullptr, nullptr);

	DefineCustomRealVariable("wlm.need_factor",
	                         "Factor on predicted memory needs.",
	                         nullptr,
	                         &setting::need_factor,
	                         1.0, 0.1, 10.0,
	                         PGC_SUSET,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomBoolVariable("wlm.now_or_later",
	                         "Lets a statement start later if beside what runs now it would cost more than it gains.",
	                         "From what was learned of how statements slow each other.",
	                         &setting::now_or_later,
	                         false,
	                         PGC_SIGHUP,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomRealVariable("wlm.oversubscription",
	                         "Factor on wlm.memory up to which reservations may add up.",
	                         nullptr,
	                         &setting::oversubscription,
	                         1.0, 0.1, 10.0,
	                         PGC_SIGHUP,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomBoolVariable("wlm.plan_memory",
	                         "Lets statements be planned for another work_mem where that has proved faster.",
	                         nullptr,
	                         &setting::plan_memory,
	                         true,
	                         PGC_SUSET,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomBoolVariable("wlm.preemption",
	                         "Lets running statements that can be restarted give way to waiting ones of higher priority.",
	                         "Only what has sent no row and has no effect; it begins again later.",
	                         &setting::preemption,
	                         false,
	                         PGC_SIGHUP,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomEnumVariable("wlm.priority",
	                         "Priority of the session's statements.",
	                         "\"queue\" takes that of their queue; \"critical\" is for superusers.",
	                         &setting::priority,
	                         -1,
	                         kPriorities,
	                         PGC_SUSET,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomStringVariable("wlm.query_group",
	                           "Label by which the session's statements can be routed to a queue.",
	                           nullptr,
	                           &setting::query_group,
	                           "",
	                           PGC_USERSET,
	                           0,
	                           nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.query_serial",
	                        "Tells parallel workers which statement they belong to.",
	                        nullptr,
	                        &setting::query_serial,
	                        0, 0, INT_MAX,
	                        PGC_SUSET,
	                        GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.queue_timeout",
	                        "Cancels the session's statements that wait longer than this in a queue.",
	                        "-1 takes the time-out of the queue, 0 is none.",
	                        &setting::queue_timeout_ms,
	                        -1, -1, INT_MAX,
	                        PGC_SUSET,
	                        GUC_UNIT_MS,
	                        nullptr, nullptr, nullptr);

	DefineCustomBoolVariable("wlm.reduce_workers",
	                         "Lets statements run with fewer parallel workers than planned.",
	                         "Where more are predicted to bring little, or others need the processors.",
	                         &setting::reduce_workers,
	                         true,
	                         PGC_SUSET,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomBoolVariable("wlm.respect_user_work_mem",
	                         "Leaves work_mem alone where a session, role or database has set it.",
	                         nullptr,
	                         &setting::respect_user_work_mem,
	                         true,
	                         PGC_SUSET,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.ring_size",
	                        "Shared memory for observations on their way to the learner and to wlm.history.",
	                        nullptr,
	                        &setting::ring_kb,
	                        4096, 256, 1024 * 1024,
	                        PGC_POSTMASTER,
	                        GUC_UNIT_KB,
	                        nullptr, nullptr, nullptr);

	DefineCustomRealVariable("wlm.sample_rate",
	                         "Part of managed statements whose actual row counts are recorded.",
	                         "Counting rows costs a few percent of the execution time of such a statement.",
	                         &setting::sample_rate,
	                         0.05, 0, 1,
	                         PGC_SUSET,
	                         0,
	                         nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.slot_count",
	                        "Slots of its queue that each of the session's statements takes.",
	                        nullptr,
	                        &setting::slot_count,
	                        1, 1, 1000,
	                        PGC_SUSET,
	                        0,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.superuser_slots",
	                        "Statements of superusers that may run beside all queues.",
	                        "For superusers who SET wlm.query_group = 'superuser'.",
	                        &setting::superuser_slots,
	                        3, 0, 1000,
	                        PGC_SIGHUP,
	                        0,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.total_slots",
	                        "Slots that all queues without max_slots share.",
	                        "0 adapts the number to how full the machine is.",
	                        &setting::total_slots,
	                        0, 0, 10000,
	                        PGC_SIGHUP,
	                        0,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.train_interval",
	                        "Least time between two trainings of the experts' models.",
	                        "-1 leaves it to wlm.train().",
	                        &setting::train_interval_s,
	                        900, -1, INT_MAX,
	                        PGC_SIGHUP,
	                        GUC_UNIT_S,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.train_memory",
	                        "Memory that the training program may use.",
	                        nullptr,
	                        &setting::train_memory_kb,
	                        512 * 1024, 64 * 1024, INT_MAX,
	                        PGC_SIGHUP,
	                        GUC_UNIT_KB,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.train_statements",
	                        "New statements in wlm.history after which models are trained.",
	                        nullptr,
	                        &setting::train_statements,
	                        2000, 50, INT_MAX,
	                        PGC_SIGHUP,
	                        0,
	                        nullptr, nullptr, nullptr);

	DefineCustomIntVariable("wlm.train_timeout",
	                        "Processor time that one training may take.",
	                        nullptr,
	                        &setting::train_timeout_s,
	                        300, 5, 86400,
	                        PGC_SIGHUP,
	                        GUC_UNIT_S,
	                        nullptr, nullptr, nullptr);

	DefineCustomStringVariable("wlm.trainer",
	                           "The program that trains the experts' models.",
	                           "A name is looked for beside the server's own programs.",
	                           &setting::trainer,
	                           "pg_wlm_trainer",
	                           PGC_SIGHUP,
	                           GUC_SUPERUSER_ONLY,
	                           nullptr, nullptr, nullptr);

	DefineCustomBoolVariable("wlm.tune_express",
	                         "Moves the cut-off of the express lane by the measured cost of misrouting.",
	                         nullptr,
	                         &setting::tune_express,
	                         true,
	                         PGC_SIGHUP,
	                         0,
	                         nullptr, nullptr, nullptr);

	MarkGUCPrefixReserved("wlm");
}

}  // namespace wlm
