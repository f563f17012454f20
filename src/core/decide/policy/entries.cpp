/*
 * entries.cpp
 *
 * The table of queries and its intrusive lists: free entries, the waiting
 * queries of each (queue, priority) in order of their key, and the FIFO of
 * those that were admitted while they waited and whose owner has not been
 * told. An entry is in at most one of them, so they share its links.
 */
#include "core/decide/policy/policy.hpp"

#include "core/decide/policy/constants.hpp"
#include "core/decide/policy/room.hpp"

namespace wlm {

bool Policy::InUse(QueryHandle handle) const noexcept
{
	return handle >= 0 && handle < max_queries_ && entries()[handle].state != QueryState::kFree;
}

QueryHandle Policy::Allocate() noexcept
{
	const QueryHandle handle = free_;
	if (handle == kNoQuery)
		return kNoQuery;
	Entry &entry = entries()[handle];
	free_ = entry.next;
	entry = Entry{};
	entry.previous = kNoQuery;
	entry.next = kNoQuery;
	entry.partner = kNoQuery;
	num_active_++;
	return handle;
}

void Policy::Free(QueryHandle handle) noexcept
{
	Entry &entry = entries()[handle];
	entry = Entry{};
	entry.previous = kNoQuery;
	entry.partner = kNoQuery;
	entry.next = free_;
	free_ = handle;
	num_active_--;
}

void Policy::Append(EntryList &list, QueryHandle handle) noexcept
{
	Entry *const table = entries();
	table[handle].previous = list.tail;
	table[handle].next = kNoQuery;
	(list.tail == kNoQuery ? list.head : table[list.tail].next) = handle;
	list.tail = handle;
	list.length++;
}

void Policy::Remove(EntryList &list, QueryHandle handle) noexcept
{
	Entry *const table = entries();
	Entry &entry = table[handle];
	(entry.previous == kNoQuery ? list.head : table[entry.previous].next) = entry.next;
	(entry.next == kNoQuery ? list.tail : table[entry.next].previous) = entry.previous;
	entry.previous = kNoQuery;
	entry.next = kNoQuery;
	list.length--;
}

/* Keys grow with arrival, so the place of a newcomer is near the tail: search from there. Equal keys keep their order. */
void Policy::Link(QueryHandle handle) noexcept
{
	Entry *const table = entries();
	Entry &entry = table[handle];
	const int level = static_cast<int>(entry.priority);
	QueueState &queue = queues_[entry.queue];
	EntryList &list = queue.waiting[level];

	QueryHandle after = list.tail;
	while (after != kNoQuery && table[after].key > entry.key)
		after = table[after].previous;
	if (after == list.tail)
		Append(list, handle);
	else {
		const QueryHandle before = after == kNoQuery ? list.head : table[after].next;
		entry.previous = after;
		entry.next = before;
		(after == kNoQuery ? list.head : table[after].next) = handle;
		table[before].previous = handle;
		list.length++;
	}

	if (levels_[level].queues == 0)
		LevelBecomesBusy(level);
	levels_[level].queues |= uint64_t{1} << entry.queue;
	queue.counters.num_queued++;
	queue.waiting_slots += entry.slots;
	num_queued_++;
	num_without_memory_ += Wanted(entry) == 0 ? 1 : 0;
	num_lane_waiters_ += (entry.flags & kSuperuserFlag) != 0 ? 1 : 0;
	UpdateWithheld(entry.queue);
}

void Policy::Enqueue(QueryHandle handle) noexcept
{
	entries()[handle].state = QueryState::kQueued;
	Link(handle);
}

/* Out of its list, with its claims. The wait goes on: it is linked again elsewhere, or Dequeue() ends it. */
void Policy::Unlink(QueryHandle handle) noexcept
{
	Entry &entry = entries()[handle];
	const int level = static_cast<int>(entry.priority);
	QueueState &queue = queues_[entry.queue];

	Remove(queue.waiting[level], handle);
	if (queue.waiting[level].length == 0)
		levels_[level].queues &= ~(uint64_t{1} << entry.queue);
	if (queue.claimant == handle)
		queue.claimant = kNoQuery;
	if (claimant_ == handle)
		claimant_ = kNoQuery;
	if (pool_claimant_ == handle)
		pool_claimant_ = kNoQuery;
	queue.counters.num_queued--;
	queue.waiting_slots -= entry.slots;
	Part(handle);
	num_queued_--;
	num_without_memory_ -= Wanted(entry) == 0 ? 1 : 0;
	num_lane_waiters_ -= (entry.flags & kSuperuserFlag) != 0 ? 1 : 0;
	UpdateWithheld(entry.queue);
}

/* The caller gives the entry its next state. */
void Policy::Dequeue(QueryHandle handle) noexcept
{
	Unlink(handle);
	Entry &entry = entries()[handle];
	queues_[entry.queue].counters.total_queue_ms += clock_ms_ - entry.queued_ms;
	entry.waited_ms += clock_ms_ - entry.queued_ms;
	entry.queued_ms = clock_ms_;
}

/* Its owner learns from TakeAdmitted() that it runs. */
void Policy::Tell(QueryHandle handle) noexcept
{
	Append(untaken_, handle);
	entries()[handle].flags |= kUntakenFlag;
}

void Policy::DropUntaken(QueryHandle handle) noexcept
{
	Entry &entry = entries()[handle];
	if ((entry.flags & kUntakenFlag) == 0)
		return;
	Remove(untaken_, handle);
	entry.flags &= static_cast<uint8_t>(~kUntakenFlag);
}

QueryHandle Policy::TakeAdmitted() noexcept
{
	const QueryHandle handle = untaken_.head;
	if (handle != kNoQuery)
		DropUntaken(handle);
	return handle;
}

}  // namespace wlm
