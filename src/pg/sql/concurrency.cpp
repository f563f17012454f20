/*
 * concurrency.cpp
 *
 * wlm.concurrency() and wlm.concurrency_changes(): the pool of slots that automatic
 * queues share, how full the machine is, and why the pool was changed. Copied
 * under state_lock (shared), turned into rows after it is free.
 */
#include "pg/guard.hpp"
#include "pg/sql/result_rows.hpp"

#include "pg/shared_state.hpp"

namespace wlm {

namespace {

struct PoolCopy {
	int32 slots;
	int32 used;
	int32 configured;           /* 0 = automatic */
	int32 superusers;
	int32 superuser_slots;
	Saturation saturation;
	double now_ms;
	int num_changes;
	SlotChange changes[kMaxSlotChanges];
};

void CopyPool(PoolCopy *copy)
{
	LWLockAcquire(shared->state_lock, LW_SHARED);
	copy->slots = policy->pool_slots();
	copy->used = policy->pool_used();
	copy->configured = policy->config().total_slots;
	copy->superusers = policy->num_superusers();
	copy->superuser_slots = policy->config().superuser_slots;
	copy->saturation = shared->saturation;
	copy->now_ms = NowMs();
	copy->num_changes = policy->SlotChanges(copy->changes);
	LWLockRelease(shared->state_lock);
}

const char *ReasonName(SlotReason reason)
{
	switch (reason) {
	case SlotReason::kStart:
		return "start";
	case SlotReason::kConfigured:
		return "configured";
	case SlotReason::kDemand:
		return "demand";
	case SlotReason::kSaturated:
		return "saturated";
	}
	return nullptr;
}

const char *ResourceName(Resource resource)
{
	switch (resource) {
	case Resource::kCpu:
		return "cpu";
	case Resource::kIoWait:
		return "io_wait";
	case Resource::kIoStall:
		return "io_stall";
	case Resource::kMemoryStall:
		return "memory_stall";
	case Resource::kMemory:
		return "memory";
	case Resource::kNumResources:
		break;
	}
	return nullptr;
}

/* Null for what is not known. */
void PutReading(RowWriter *row, float reading)
{
	if (reading >= 0)
		row->Float8(static_cast<double>(reading));
	else
		row->Null();
}

/* From the policy's clock to the wall's. */
TimestampTz TimeOf(const PoolCopy &copy, double at_ms)
{
	return GetCurrentTimestamp() - static_cast<TimestampTz>((copy.now_ms - at_ms) * 1000.0);
}

/* What was full matters where the machine decided. */
bool OfMachine(const SlotChange &change)
{
	return (change.reason == SlotReason::kDemand || change.reason == SlotReason::kSaturated) && change.saturation >= 0;
}

}  // namespace

}  // namespace wlm

WLM_FUNCTION(wlm_concurrency)
{
	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	auto *copy = static_cast<wlm::PoolCopy *>(palloc(sizeof(wlm::PoolCopy)));
	wlm::RowWriter row;

	wlm::CopyPool(copy);
	row.Int4(copy->slots);
	row.Int4(copy->used);
	row.Boolean(copy->configured == 0);
	for (const float reading : copy->saturation.of)
		wlm::PutReading(&row, reading);
	row.Int4(copy->superusers);
	row.Int4(copy->superuser_slots);
	if (copy->num_changes > 0) {
		const wlm::SlotChange &last = copy->changes[copy->num_changes - 1];
		row.Put(TimestampTzGetDatum(wlm::TimeOf(*copy, last.at_ms)));
		row.Text(wlm::ReasonName(last.reason));
	} else {
		row.Null();
		row.Null();
	}
	row.Emit(set);
	return static_cast<Datum>(0);
}

WLM_FUNCTION(wlm_concurrency_changes)
{
	wlm::RequireSharedState();
	ReturnSetInfo *set = wlm::BeginRows(fcinfo);
	auto *copy = static_cast<wlm::PoolCopy *>(palloc(sizeof(wlm::PoolCopy)));

	wlm::CopyPool(copy);
	for (int i = 0; i < copy->num_changes; i++) {
		const wlm::SlotChange &change = copy->changes[i];
		wlm::RowWriter row;

		row.Put(TimestampTzGetDatum(wlm::TimeOf(*copy, change.at_ms)));
		row.Int4(change.before);
		row.Int4(change.after);
		row.Text(wlm::ReasonName(change.reason));
		row.Text(wlm::OfMachine(change) ? wlm::ResourceName(change.resource) : nullptr);
		wlm::PutReading(&row, wlm::OfMachine(change) ? change.saturation : -1.0f);
		row.Emit(set);
	}
	return static_cast<Datum>(0);
}
