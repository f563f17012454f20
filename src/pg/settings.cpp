/*
 * settings.cpp
 *
 * All settings in one place, in alphabetical order: first what they are where
 * nobody has set them, then what they are called and may be. Hooks that tell other
 * parts of a change belong to those (managed_cost.hpp).
 */
#include "pg/settings.hpp"

#include <climits>
#include <cmath>

extern "C" {
#include "miscadmin.h"
#include "utils/guc.h"
}

#include "core/decide/policy/policy.hpp"
#include "pg/machine/memory_limit.hpp"
#include "pg/managed_cost.hpp"

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
int max_standstill_ms = 300000;
int max_wait_ms = 1800000;
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

/* Nobody can run in less, and 0 could be taken for "no limit" as well as for "nothing". */
bool CheckMemory(int *value, void **, GucSource)
{
	if (*value == -1 || *value >= 64)
		return true;
	GUC_check_errdetail("wlm.memory must be -1 (automatic) or at least 64 kB.");
	return false;
}

/* A number of GB without its unit would stop all admissions: no server runs in so little. */
bool CheckGuardLimit(int *value, void **, GucSource)
{
	if (*value <= 0 || *value >= 16384)
		return true;
	GUC_check_errdetail("wlm.guard_limit must be -1 (automatic), 0 (off) or at least 16 MB.");
	return false;
}

/* The variable's value is the default, which stands above and nowhere else. `brief` and `detail` are for pg_settings. */
void DefineBool(const char *name, bool *variable, GucContext context, const char *brief, const char *detail = nullptr,
                GucBoolAssignHook assign = nullptr)
{
	DefineCustomBoolVariable(name, brief, detail, variable, *variable, context, 0, nullptr, assign, nullptr);
}

void DefineInt(const char *name, int *variable, int least, int most, GucContext context, int flags, const char *brief,
               const char *detail = nullptr, GucIntCheckHook check = nullptr)
{
	DefineCustomIntVariable(name, brief, detail, variable, *variable, least, most, context, flags, check, nullptr, nullptr);
}

void DefineReal(const char *name, double *variable, double least, double most, GucContext context, const char *brief,
                const char *detail = nullptr, GucRealAssignHook assign = nullptr)
{
	DefineCustomRealVariable(name, brief, detail, variable, *variable, least, most, context, 0, nullptr, assign, nullptr);
}

void DefineEnum(const char *name, int *variable, const config_enum_entry *values, GucContext context, const char *brief,
                const char *detail = nullptr, GucEnumAssignHook assign = nullptr)
{
	DefineCustomEnumVariable(name, brief, detail, variable, *variable, values, context, 0, nullptr, assign, nullptr);
}

/* PostgreSQL keeps a copy in the variable: it starts as null. */
void DefineString(const char *name, char **variable, const char *value, GucContext context, int flags, const char *brief,
                  const char *detail = nullptr)
{
	DefineCustomStringVariable(name, brief, detail, variable, value, context, flags, nullptr, nullptr, nullptr);
}

}  // namespace

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
	DefineBool("wlm.bypass", &setting::bypass, PGC_SUSET,
	           "Runs the session's statements past the workload manager.",
	           "No prediction, no queue, no grant, nothing recorded.",
	           AssignBypass);

	DefineString("wlm.database", &setting::database, "postgres", PGC_POSTMASTER, 0,
	             "Database that holds the workload manager's tables.",
	             "The extension must be installed there; it need not be installed elsewhere.");

	DefineBool("wlm.elastic", &setting::elastic, PGC_SUSET,
	           "Lets hash joins and hash aggregates take more memory before they would spill.",
	           "Only what is free of wlm.memory, in steps, up to wlm.max_work_mem.");

	DefineReal("wlm.explore_rate", &setting::explore_rate, 0, 0.5, PGC_SIGHUP,
	           "Part of executions that may try another amount of memory.",
	           "So that the value of memory can be learned; 0 never tries.");

	DefineInt("wlm.express_floor", &setting::express_floor_ms, -1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS,
	          "Statements predicted to be shorter than this are always short.",
	          "Floor of the express lane's cut-off, which follows the recent execution times; -1 closes the lane.");

	DefineInt("wlm.flush_interval", &setting::flush_interval_s, 1, 3600, PGC_SIGHUP, GUC_UNIT_S,
	          "Time between writes of observations to wlm.history.");

	DefineReal("wlm.grant_quantile", &setting::grant_quantile, 0.5, 0.999, PGC_SIGHUP,
	           "Part of executions whose memory need a grant should cover.");

	DefineEnum("wlm.grant_scope", &setting::grant_scope, kGrantScopes, PGC_SUSET,
	           "Whether each operator gets its own memory limit, or all of a statement the same.");

	DefineEnum("wlm.guard_action", &setting::guard_action, kGuardActions, PGC_SIGHUP,
	           "What the memory guard does with the statement furthest over its grant when memory is about to run out.",
	           "It first stops growth and then admissions.");

	DefineInt("wlm.guard_limit", &setting::guard_limit_kb, -1, INT_MAX, PGC_SIGHUP, GUC_UNIT_KB,
	          "Real memory that the memory guard protects.",
	          "-1 takes that of the host and of the server's cgroup, 0 turns the guard off.",
	          CheckGuardLimit);

	DefineInt("wlm.history_days", &setting::history_days, 1, 3650, PGC_SIGHUP, 0,
	          "Days for which observations are kept in wlm.history.");

	DefineInt("wlm.history_rows", &setting::history_rows, 1000, INT_MAX, PGC_SIGHUP, 0,
	          "Largest number of rows kept in wlm.history.");

	DefineBool("wlm.manage_maintenance", &setting::manage_maintenance, PGC_SUSET,
	           "Gives CREATE INDEX, REINDEX and REFRESH MATERIALIZED VIEW maintenance_work_mem from wlm.memory.");

	DefineInt("wlm.max_queries", &setting::max_queries, 0, 100000, PGC_POSTMASTER, 0,
	          "Statements that can be managed at the same time.",
	          "Further ones run unmanaged and are counted. 0 takes twice the number of backends.");

	DefineInt("wlm.max_standstill", &setting::max_standstill_ms, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS,
	          "How long a queue may start nobody in turn before it lets in over the limits who waits longest.",
	          "Then one after the other, of those who have waited for as long. 0 never does: only wlm.max_wait bounds waits.");

	DefineInt("wlm.max_wait", &setting::max_wait_ms, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS,
	          "Longest time a statement waits in a queue before it is admitted over the limits.");

	DefineInt("wlm.max_work_mem", &setting::max_work_mem_kb, 64, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_KB,
	          "Largest work_mem that a statement is given.");

	DefineInt("wlm.memory", &setting::memory_kb, -1, INT_MAX, PGC_SIGHUP, GUC_UNIT_KB,
	          "Memory budget of all managed statements together.",
	          "-1 takes four fifths of the host's or the cgroup's memory, less shared_buffers.",
	          CheckMemory);

	DefineReal("wlm.min_cost", &setting::min_cost, 0, HUGE_VAL, PGC_SIGHUP,
	           "Statements that the planner takes for cheaper than this are not managed.",
	           "In the planner's units, as EXPLAIN shows them.",
	           AssignMinCost);

	DefineInt("wlm.min_work_mem", &setting::min_work_mem_kb, 64, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_KB,
	          "Least work_mem that a statement is raised to.",
	          "Below this, batch buffers of hash joins cost more than a smaller limit saves.");

	DefineEnum("wlm.mode", &setting::mode, kModes, PGC_SUSET,
	           "What the workload manager does.",
	           "\"observe\" predicts and records but changes nothing, \"auto\" also queues statements and gives them memory.",
	           AssignMode);

	DefineInt("wlm.model_memory", &setting::model_memory_kb, 1024, 4 * 1024 * 1024, PGC_POSTMASTER, GUC_UNIT_KB,
	          "Shared memory for the experts' models.");

	DefineReal("wlm.need_factor", &setting::need_factor, 0.1, 10.0, PGC_SUSET,
	           "Factor on predicted memory needs.");

	DefineBool("wlm.now_or_later", &setting::now_or_later, PGC_SIGHUP,
	           "Lets a statement start later if beside what runs now it would cost more than it gains.",
	           "From what was learned of how statements slow each other.");

	DefineReal("wlm.oversubscription", &setting::oversubscription, 0.1, 10.0, PGC_SIGHUP,
	           "Factor on wlm.memory up to which reservations may add up.");

	DefineBool("wlm.plan_memory", &setting::plan_memory, PGC_SUSET,
	           "Lets statements be planned for another work_mem where that has proved faster.");

	DefineBool("wlm.preemption", &setting::preemption, PGC_SIGHUP,
	           "Lets running statements that can be restarted give way to waiting ones of higher priority.",
	           "Only what has sent no row and has no effect; it begins again later.");

	DefineEnum("wlm.priority", &setting::priority, kPriorities, PGC_SUSET,
	           "Priority of the session's statements.",
	           "\"queue\" takes that of their queue; \"critical\" is for superusers.");

	DefineString("wlm.query_group", &setting::query_group, "", PGC_USERSET, 0,
	             "Label by which the session's statements can be routed to a queue.");

	DefineInt("wlm.query_serial", &setting::query_serial, 0, INT_MAX, PGC_SUSET, GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
	          "Tells parallel workers which statement they belong to.");

	DefineInt("wlm.queue_timeout", &setting::queue_timeout_ms, -1, INT_MAX, PGC_SUSET, GUC_UNIT_MS,
	          "Cancels the session's statements that wait longer than this in a queue.",
	          "-1 takes the time-out of the queue, 0 is none.");

	DefineBool("wlm.reduce_workers", &setting::reduce_workers, PGC_SUSET,
	           "Lets statements run with fewer parallel workers than planned.",
	           "Where more are predicted to bring little, or others need the processors.");

	DefineBool("wlm.respect_user_work_mem", &setting::respect_user_work_mem, PGC_SUSET,
	           "Leaves work_mem alone where a session, role or database has set it.");

	DefineInt("wlm.ring_size", &setting::ring_kb, 256, 1024 * 1024, PGC_POSTMASTER, GUC_UNIT_KB,
	          "Shared memory for observations on their way to the learner and to wlm.history.");

	DefineReal("wlm.sample_rate", &setting::sample_rate, 0, 1, PGC_SUSET,
	           "Part of managed statements whose actual row counts are recorded.",
	           "Counting rows costs a few percent of the execution time of such a statement.");

	DefineInt("wlm.slot_count", &setting::slot_count, 1, 1000, PGC_SUSET, 0,
	          "Slots of its queue that each of the session's statements takes.");

	DefineInt("wlm.superuser_slots", &setting::superuser_slots, 0, 1000, PGC_SIGHUP, 0,
	          "Statements of superusers that may run beside all queues.",
	          "For superusers who SET wlm.query_group = 'superuser'.");

	DefineInt("wlm.total_slots", &setting::total_slots, 0, 10000, PGC_SIGHUP, 0,
	          "Slots that all queues without max_slots share.",
	          "0 adapts the number to how full the machine is.");

	DefineInt("wlm.train_interval", &setting::train_interval_s, -1, INT_MAX, PGC_SIGHUP, GUC_UNIT_S,
	          "Least time between two trainings of the experts' models.",
	          "-1 leaves it to wlm.train().");

	DefineInt("wlm.train_memory", &setting::train_memory_kb, 64 * 1024, INT_MAX, PGC_SIGHUP, GUC_UNIT_KB,
	          "Memory that the training program may use.");

	DefineInt("wlm.train_statements", &setting::train_statements, 50, INT_MAX, PGC_SIGHUP, 0,
	          "New statements in wlm.history after which models are trained.");

	DefineInt("wlm.train_timeout", &setting::train_timeout_s, 5, 86400, PGC_SIGHUP, GUC_UNIT_S,
	          "Processor time that one training may take.");

	DefineString("wlm.trainer", &setting::trainer, "pg_wlm_trainer", PGC_SIGHUP, GUC_SUPERUSER_ONLY,
	             "The program that trains the experts' models.",
	             "A name is looked for beside the server's own programs.");

	DefineBool("wlm.tune_express", &setting::tune_express, PGC_SIGHUP,
	           "Moves the cut-off of the express lane by the measured cost of misrouting.");

	MarkGUCPrefixReserved("wlm");
}

}  // namespace wlm
