/*
 * node_table.cpp
 *
 * Wrapping and unwrapping, and the way from a PlanState to its entry: the table used last is
 * tried first, its first probe nearly always hits.
 */
#include "pg/grant/node_table.hpp"

#include <bit>

namespace wlm {

namespace {

/* Tables alive in this process, the one used last in front. */
NodeGrants *tables = nullptr;

uint32 Place(const NodeGrants *grants, const PlanState *state)
{
	/* plan states are allocated: their low bits say nothing; Fibonacci hashing spreads the others */
	const uint64 key = static_cast<uint64>(reinterpret_cast<uintptr_t>(state)) >> 4;
	return static_cast<uint32>((key * UINT64CONST(0x9E3779B97F4A7C15)) >> 32) & grants->mask;
}

NodeEntry *Probe(const NodeGrants *grants, const PlanState *state)
{
	for (uint32 place = Place(grants, state);; place = (place + 1) & grants->mask) {
		NodeEntry *const entry = &grants->entries[place];
		if (entry->state == state)
			return entry;
		if (entry->state == nullptr)
			return nullptr;
	}
}

/* Not in the first table: moves the table that knows the node to the front. */
NodeEntry *SearchTables(const PlanState *state)
{
	for (NodeGrants **link = &tables; *link != nullptr; link = &(*link)->next) {
		NodeGrants *const grants = *link;
		NodeEntry *const entry = Probe(grants, state);
		if (entry == nullptr)
			continue;
		*link = grants->next;
		grants->next = tables;
		tables = grants;
		return entry;
	}
	return nullptr;
}

void ForgetTable(void *argument)
{
	NodeGrants *const grants = static_cast<NodeGrants *>(argument);

	for (NodeGrants **link = &tables; *link != nullptr; link = &(*link)->next) {
		if (*link == grants) {
			*link = grants->next;
			break;
		}
	}
	/* query objects are never freed, but may serve another query by now */
	if (grants->query != nullptr && grants->query->nodes == grants)
		grants->query->nodes = nullptr;
}

TupleTableSlot *CallReal(NodeEntry *entry, PlanState *state) { return entry->real(state); }

TupleTableSlot *WrappedNode(PlanState *state)
{
	NodeEntry *const entry = FindEntry(state);

	/* cannot be: a plan state lives in the same context as its table */
	if (unlikely(entry == nullptr))
		elog(ERROR, "pg_wlm has lost a plan node");
	return entry->handler(entry, state);
}

void Wrap(NodeEntry *entry)
{
	PlanState *const state = entry->state;

	if (state->ExecProcNodeReal == WrappedNode)
		return;
	entry->real = state->ExecProcNodeReal;
	/* has run already: then nothing stands between the caller and Real, unless it is instrumented */
	if (state->ExecProcNode == state->ExecProcNodeReal)
		state->ExecProcNode = WrappedNode;
	state->ExecProcNodeReal = WrappedNode;
}

void Unwrap(NodeEntry *entry)
{
	PlanState *const state = entry->state;

	/* somebody else's wrapper around ours: stay, and only pass on */
	if (state->ExecProcNodeReal != WrappedNode)
		return;
	if (state->ExecProcNode == WrappedNode)
		state->ExecProcNode = entry->real;
	state->ExecProcNodeReal = entry->real;
}

void ChooseHandler(NodeEntry *entry)
{
	entry->handler = entry->as_child != nullptr ? entry->as_child : entry->as_node != nullptr ? entry->as_node : CallReal;
	if (entry->as_child != nullptr || entry->as_node != nullptr)
		Wrap(entry);
	else
		Unwrap(entry);
}

}  // namespace

NodeGrants *CreateNodeTable(EState *estate, int num_entries)
{
	/* at most half full: probes end soon */
	const uint32 capacity = std::bit_ceil(static_cast<uint32>(num_entries) * 2 + 2);
	NodeGrants *const grants = static_cast<NodeGrants *>(palloc0(sizeof(NodeGrants)));

	grants->entries =
		static_cast<NodeEntry *>(MemoryContextAllocExtended(CurrentMemoryContext, sizeof(NodeEntry) * capacity,
		                                                    MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO));
	grants->mask = capacity - 1;
	grants->estate = estate;
	grants->max_plan_node_id = -1;
	grants->callback.func = ForgetTable;
	grants->callback.arg = grants;
	grants->next = tables;
	tables = grants;
	MemoryContextRegisterResetCallback(estate->es_query_cxt, &grants->callback);
	return grants;
}

NodeEntry *AddEntry(NodeGrants *grants, PlanState *state)
{
	uint32 place = Place(grants, state);

	while (grants->entries[place].state != nullptr && grants->entries[place].state != state)
		place = (place + 1) & grants->mask;

	NodeEntry *const entry = &grants->entries[place];
	if (entry->state == state)
		return entry;
	if (grants->num_entries * 2 > grants->mask)
		return nullptr;
	grants->num_entries++;
	entry->state = state;
	entry->grants = grants;
	entry->real = state->ExecProcNodeReal;
	entry->handler = CallReal;
	entry->slot = kNoSlot;
	return entry;
}

NodeEntry *FindEntry(const PlanState *state)
{
	NodeGrants *const first = tables;

	if (likely(first != nullptr)) {
		NodeEntry *const entry = &first->entries[Place(first, state)];
		if (likely(entry->state == state))
			return entry;
	}
	return SearchTables(state);
}

NodeGrants *FindTable(const EState *estate)
{
	NodeGrants *grants = tables;

	while (grants != nullptr && grants->estate != estate)
		grants = grants->next;
	return grants;
}

void SetNodeHandler(NodeEntry *entry, NodeHandler handler)
{
	entry->as_node = handler;
	ChooseHandler(entry);
}

void SetChildHandler(NodeEntry *entry, NodeEntry *parent, NodeHandler handler)
{
	entry->parent = parent;
	entry->as_child = handler;
	ChooseHandler(entry);
}

uint8 SlotOfNode(const NodeGrants *grants, int32 plan_node_id)
{
	if (plan_node_id < 0 || plan_node_id > grants->max_plan_node_id || plan_node_id >= kMaxPlanNodeIds)
		return kNoSlot;
	const uint8 slot = grants->slot_of_plan_id[plan_node_id];
	return slot < kMaxMemoryNodes ? slot : kNoSlot;
}

}  // namespace wlm
