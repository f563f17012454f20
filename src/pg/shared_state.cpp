/*
 * shared_state.cpp
 *
 * Layout and creation of shared memory, and the small operations on it that
 * every room needs.
 *
 * One allocation, in this order, each part aligned to a cache line:
 *     SharedState | Policy | QuerySlot[] | Ring | PlannerModel | Accuracy | GateModel |
 *     published models | GrantOutcomeStore | PlanMemoryStore | RecallStore
 * Sizes come from one function, so that who creates it and who attaches to it
 * cannot drift apart.
 */
#include "pg/shared_state.hpp"

#include <ctime>
#include <new>

extern "C" {
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/shmem.h"
}

#include "core/grant/outcomes.hpp"
#include "core/grant/plan_memory.hpp"
#include "pg/managed_cost.hpp"
#include "pg/models/published_models.hpp"
#include "pg/query/stop.hpp"
#include "pg/settings.hpp"

namespace wlm {

SharedState *shared = nullptr;
Policy *policy = nullptr;
QuerySlot *query_slots = nullptr;
Ring *ring = nullptr;
PlannerModel *planner_model = nullptr;
RecallStore *recall_store = nullptr;
Accuracy *accuracy = nullptr;
GateModel *gate_model = nullptr;
GrantOutcomeStore *grant_outcomes = nullptr;
PlanMemoryStore *plan_memory_store = nullptr;

namespace {

shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

/* Of the budget, for predicted-short queries alone: they want little, and should find it also when all else is taken. */
constexpr double kExpressShare = 0.1;

/* Templates and statements whose grants and plans are followed: about 1 MB. Those not seen for longest make room. */
constexpr uint32 kOutcomeEntries = 4096;

struct Layout {
	int32 max_queries;
	uint32 recall_capacity;
	Size policy, slots, ring, planner, accuracy, gate, published, outcomes, plan_memory, recall; /* offsets */
	Size model_bytes;
	Size total;
};

Layout ComputeLayout()
{
	Layout layout;
	Size size = CACHELINEALIGN(sizeof(SharedState));
	const auto reserve = [&size](Size bytes) {
		const Size offset = size;
		size = add_size(size, CACHELINEALIGN(bytes));
		return offset;
	};

	/* A backend rarely has more than one managed query: open cursors are the exception. */
	layout.max_queries = setting::max_queries > 0 ? setting::max_queries : 2 * MaxBackends;
	layout.policy = reserve(Policy::BytesNeeded(layout.max_queries));
	layout.slots = reserve(mul_size(sizeof(QuerySlot), static_cast<Size>(layout.max_queries)));
	layout.ring = reserve(static_cast<Size>(setting::ring_kb) * 1024);
	layout.planner = reserve(sizeof(PlannerModel));
	layout.accuracy = reserve(sizeof(Accuracy));
	layout.gate = reserve(sizeof(GateModel));

	layout.model_bytes = static_cast<Size>(setting::model_memory_kb) * 1024;
	const Size published_bytes = PublishedModelsBytes(layout.model_bytes);
	layout.published = reserve(published_bytes);
	layout.outcomes = reserve(GrantOutcomeStore::BytesNeeded(kOutcomeEntries));
	layout.plan_memory = reserve(PlanMemoryStore::BytesNeeded(kOutcomeEntries));

	/* What is left of model_memory goes to recall, in a power of two of entries. */
	const Size others = published_bytes + sizeof(PlannerModel) + sizeof(Accuracy) + sizeof(GateModel);
	layout.recall_capacity = 64;
	while (RecallStore::BytesNeeded(layout.recall_capacity * 2) + others <= layout.model_bytes)
		layout.recall_capacity *= 2;
	layout.recall = reserve(RecallStore::BytesNeeded(layout.recall_capacity));
	layout.total = size;
	return layout;
}

void RequestSharedMemory()
{
	if (previous_request_hook != nullptr)
		previous_request_hook();
	RequestAddinShmemSpace(ComputeLayout().total);
	RequestNamedLWLockTranche("pg_wlm", 2);
}

void InitCounters(Counters *counters)
{
	/* All of one type, declared one after the other. */
	static_assert(sizeof(Counters) % sizeof(pg_atomic_uint64) == 0);
	pg_atomic_uint64 *counter = reinterpret_cast<pg_atomic_uint64 *>(counters);
	for (size_t i = 0; i < sizeof(Counters) / sizeof(pg_atomic_uint64); i++)
		pg_atomic_init_u64(&counter[i], 0);
}

void FillPolicyConfig(const Workload &workload, PolicyConfig *config)
{
	config->budget_kb = static_cast<int64_t>(static_cast<double>(BudgetKb()) * setting::oversubscription);
	config->max_wait_ms = setting::max_wait_ms;
	config->max_standstill_ms = setting::max_standstill_ms;
	config->express_floor_ms = setting::express_floor_ms;
	config->express_share = kExpressShare;
	config->processors = static_cast<int32_t>(sysconf(_SC_NPROCESSORS_ONLN));
	config->total_slots = setting::total_slots;
	config->superuser_slots = setting::superuser_slots;
	config->preemption = setting::preemption;
	config->tune_express = setting::tune_express;
	config->now_or_later = setting::now_or_later;
	config->num_queues = workload.num_queues;
	memcpy(config->queues, workload.limits, sizeof config->queues);
}

void CreateState(char *memory, const Layout &layout)
{
	memset(memory, 0, layout.total);
	shared = reinterpret_cast<SharedState *>(memory);

	LWLockPadded *locks = GetNamedLWLockTranche("pg_wlm");
	shared->state_lock = &locks[0].lock;
	shared->learn_lock = &locks[1].lock;
	shared->launcher_procno = -1;
	InitCounters(&shared->counters);
	pg_atomic_init_u32(&shared->workload_requested, 1); /* the launcher loads it first of all */
	pg_atomic_init_u32(&shared->workload_loaded, 0);
	pg_atomic_init_u32(&shared->workload_generation, 0);
	pg_atomic_init_u32(&shared->model_version, 0);
	pg_atomic_init_u32(&shared->model_resets, 0);
	pg_atomic_init_u32(&shared->flush_requested, 0);
	pg_atomic_init_u32(&shared->flush_done, 0);
	pg_atomic_init_u32(&shared->rules_news, 0);
	pg_atomic_init_u32(&shared->saturation_permille, 0);
	for (float &reading : shared->saturation.of)
		reading = -1;
	for (pg_atomic_uint64 &wanted : shared->wanted_plans)
		pg_atomic_init_u64(&wanted, 0);
	pg_atomic_init_u32(&shared->num_planned_otherwise, 0);
	for (pg_atomic_uint64 &word : shared->planned_otherwise)
		pg_atomic_init_u64(&word, 0);
	InitWorkload(&shared->workload);
	InitInterference(&shared->overlaps);

	PolicyConfig *config = static_cast<PolicyConfig *>(palloc0(sizeof(PolicyConfig)));
	FillPolicyConfig(shared->workload, config);
	Policy::Init({reinterpret_cast<std::byte *>(memory + layout.policy), Policy::BytesNeeded(layout.max_queries)},
	             layout.max_queries, *config);
	pfree(config);

	QuerySlot *slots = reinterpret_cast<QuerySlot *>(memory + layout.slots);
	for (int32 i = 0; i < layout.max_queries; i++) {
		pg_atomic_init_u32(&slots[i].phase, static_cast<uint32>(Phase::kFree));
		pg_atomic_init_u32(&slots[i].admitted, 0);
		pg_atomic_init_u32(&slots[i].cancel_requested, 0);
		pg_atomic_init_u32(&slots[i].stop_requested, 0);
		pg_atomic_init_u32(&slots[i].grown_kb, 0);
		pg_atomic_init_u32(&slots[i].rules_fired, 0);
		pg_atomic_init_u32(&slots[i].rules_done, 0);
		ClearWorkerMetrics(&slots[i].worker_metrics);
		SpinLockInit(&slots[i].mutex);
	}

	Ring::Init({reinterpret_cast<std::byte *>(memory + layout.ring), static_cast<size_t>(setting::ring_kb) * 1024});
	InitPlannerModel(reinterpret_cast<PlannerModel *>(memory + layout.planner));
	InitAccuracy(reinterpret_cast<Accuracy *>(memory + layout.accuracy));
	gate_model = reinterpret_cast<GateModel *>(memory + layout.gate);
	InitGate(gate_model);
	CreatePublishedModels(memory + layout.published, layout.model_bytes);
	GrantOutcomeStore::Init({reinterpret_cast<std::byte *>(memory + layout.outcomes), GrantOutcomeStore::BytesNeeded(kOutcomeEntries)},
	                        kOutcomeEntries);
	PlanMemoryStore::Init({reinterpret_cast<std::byte *>(memory + layout.plan_memory), PlanMemoryStore::BytesNeeded(kOutcomeEntries)},
	                      kOutcomeEntries);
	RecallStore::Init({reinterpret_cast<std::byte *>(memory + layout.recall), RecallStore::BytesNeeded(layout.recall_capacity)},
	                  layout.recall_capacity);
}

void AttachState(char *memory, const Layout &layout)
{
	shared = reinterpret_cast<SharedState *>(memory);
	policy = std::launder(reinterpret_cast<Policy *>(memory + layout.policy));
	query_slots = reinterpret_cast<QuerySlot *>(memory + layout.slots);
	ring = reinterpret_cast<Ring *>(memory + layout.ring);
	planner_model = reinterpret_cast<PlannerModel *>(memory + layout.planner);
	accuracy = reinterpret_cast<Accuracy *>(memory + layout.accuracy);
	gate_model = reinterpret_cast<GateModel *>(memory + layout.gate);
	AttachPublishedModels(memory + layout.published);
	grant_outcomes = reinterpret_cast<GrantOutcomeStore *>(memory + layout.outcomes);
	plan_memory_store = reinterpret_cast<PlanMemoryStore *>(memory + layout.plan_memory);
	recall_store = reinterpret_cast<RecallStore *>(memory + layout.recall);
}

void StartSharedMemory()
{
	if (previous_startup_hook != nullptr)
		previous_startup_hook();

	const Layout layout = ComputeLayout();
	bool found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	char *memory = static_cast<char *>(ShmemInitStruct("pg_wlm", layout.total, &found));
	if (!found)
		CreateState(memory, layout);
	AttachState(memory, layout);
	LWLockRelease(AddinShmemInitLock);

	ComputeManagedCost(); /* from here on the hooks have something to do */
}

/* Marks the admitted; how many could not be remembered in `latches` are woken at once. */
int MarkAdmitted(Latch **latches, int capacity)
{
	int count = 0;
	QueryHandle handle;

	while ((handle = policy->TakeAdmitted()) != kNoQuery) {
		QuerySlot &slot = query_slots[handle];
		Latch *latch = &ProcGlobal->allProcs[slot.procno].procLatch;

		pg_atomic_write_u32(&slot.admitted, 1);
		if (count < capacity)
			latches[count++] = latch;
		else
			SetLatch(latch);
	}
	return count;
}

/* Asks those that the policy wants to give way; their own timers will see it. */
void AskVictims()
{
	QueryHandle handle;

	while ((handle = policy->TakeVictim()) != kNoQuery)
		RequestStopLocked(handle, query_slots[handle].serial, StopReason::kGiveWay);
}

}  // namespace

StateLock::StateLock() { LWLockAcquire(shared->state_lock, LW_EXCLUSIVE); }

StateLock::~StateLock()
{
	Latch *latches[16];
	const int count = MarkAdmitted(latches, 16);

	AskVictims();
	LWLockRelease(shared->state_lock);
	for (int i = 0; i < count; i++)
		SetLatch(latches[i]);
}

void InitSharedState()
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = RequestSharedMemory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = StartSharedMemory;
}

ModelView PublishedModels()
{
	return ModelView{.planner = planner_model, .recall = recall_store, .gate = gate_model, .accuracy = accuracy,
	                 .version = pg_atomic_read_u32(&shared->model_version)};
}

double NowMs()
{
	timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

void ConfigurePolicy()
{
	PolicyConfig *config = static_cast<PolicyConfig *>(palloc0(sizeof(PolicyConfig)));
	Workload *workload = static_cast<Workload *>(palloc(sizeof(Workload)));

	/* Launcher and worker may be here at the same time: an older workload must not come after a newer one. */
	for (bool applied = false; !applied;) {
		LWLockAcquire(shared->state_lock, LW_SHARED);
		memcpy(workload, &shared->workload, sizeof *workload);
		LWLockRelease(shared->state_lock);
		FillPolicyConfig(*workload, config);

		StateLock lock;
		applied = workload->generation == shared->workload.generation;
		if (applied)
			policy->Configure(*config, NowMs());
	}
	pfree(workload);
	pfree(config);
}

void ClearWorkerMetrics(WorkerMetrics *metrics)
{
	/* All of one type, declared one after the other. */
	static_assert(sizeof(WorkerMetrics) % sizeof(pg_atomic_uint64) == 0);
	pg_atomic_uint64 *metric = reinterpret_cast<pg_atomic_uint64 *>(metrics);
	for (size_t i = 0; i < sizeof(WorkerMetrics) / sizeof(pg_atomic_uint64); i++)
		pg_atomic_init_u64(&metric[i], 0);
}

void WakeLauncher()
{
	const int procno = shared->launcher_procno;
	if (procno >= 0)
		SetLatch(&ProcGlobal->allProcs[procno].procLatch);
}

void CountProblem(const char *text) noexcept
{
	if (shared == nullptr)
		return;
	/* Only the first since the server started is logged: a problem on the path of queries comes in thousands. */
	if (pg_atomic_fetch_add_u64(&shared->counters.errors, 1) == 0)
		ereport(LOG, (errmsg("pg_wlm: %s", text),
		              errdetail("The statement concerned runs unmanaged. Further problems are only counted, in wlm.status().")));
}

void RequireSharedState()
{
	if (shared == nullptr)
		ereport(ERROR,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("pg_wlm is not loaded"),
		         errdetail("The workload manager needs shared memory that is allocated when the server starts."),
		         errhint("Add pg_wlm to shared_preload_libraries and restart the server.")));
}

}  // namespace wlm
