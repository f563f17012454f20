/*
 * plan_memory.cpp
 *
 * The store of statements, and what their next plan is made for. The decisions
 * are the writer's (learn/remember_plan.cpp).
 */
#include "core/grant/plan_memory.hpp"

#include <algorithm>
#include <cmath>

#include "core/grant/keyed_store.hpp"
#include "core/grant/plan_trial.hpp"
#include "core/hash.hpp"

namespace wlm {

namespace {

using Table = KeyedStore<PlanMemoryStore, PlanMemory, &PlanMemory::statement>;

constexpr uint32_t kTryEvery = 3;

}  // namespace

const char *PlanTrialName(PlanTrial trial) noexcept
{
	switch (trial) {
		case PlanTrial::kWatching:
			return "watching";
		case PlanTrial::kTrying:
			return "trying";
		case PlanTrial::kSame:
			return "same";
		case PlanTrial::kAccepted:
			return "accepted";
		case PlanTrial::kWithdrawn:
			return "withdrawn";
		default:
			return "unknown";
	}
}

size_t PlanMemoryStore::BytesNeeded(uint32_t capacity) noexcept { return Table::BytesNeeded(capacity); }

PlanMemoryStore *PlanMemoryStore::Init(std::span<std::byte> memory, uint32_t capacity) noexcept
{
	return Table::Init(memory, capacity);
}

bool PlanMemoryStore::Find(uint64_t statement, PlanMemory *copy) const noexcept { return Table::Find(*this, statement, copy); }

void PlanMemoryStore::Clear() noexcept { Table::Clear(this); }

uint64_t StatementKey(uint64_t query_id, uint32_t database_oid) noexcept
{
	if (query_id == 0)
		return 0;
	const uint64_t key = Combine(query_id, database_oid);
	return key != 0 ? key : 1;
}

int64_t WorkMemToPlanWith(const PlanMemory &entry, int64_t session_work_mem_kb, double explore_rate) noexcept
{
	if (!SameSetting(entry.session_kb, static_cast<float>(session_work_mem_kb)) ||
	    !(entry.other_kb > static_cast<float>(session_work_mem_kb)) || !(entry.other_kb < kMostWorkMemKb))
		return 0;
	const int64_t other_kb = std::lround(entry.other_kb);
	if (entry.trial == PlanTrial::kTrying)
		return explore_rate > 0 && entry.executions % kTryEvery == kTryEvery - 1 ? other_kb : 0;
	if (entry.trial != PlanTrial::kAccepted)
		return 0;
	/* now and then the session's own, or nobody would notice that it has become the better one */
	if (!(explore_rate > 0))
		return other_kb;
	const uint32_t every = static_cast<uint32_t>(std::clamp(std::round(1 / explore_rate), 3.0, 1e6));
	return entry.executions % every == every - 1 ? 0 : other_kb;
}

}  // namespace wlm
