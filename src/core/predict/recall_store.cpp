/*
 * recall_store.cpp
 *
 * The table: buckets of eight candidates, no chains, so that a look-up reads at
 * most eight fingerprints and an insertion never fails. Readers may run beside
 * the one writer; each entry is whole by itself.
 */
#include "core/predict/recall_access.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "core/hash.hpp"
#include "core/predict/moments.hpp"
#include "core/predict/shared_words.hpp"

namespace wlm {

static_assert(sizeof(RecallStore) % 8 == 0 && alignof(RecallEntry) <= 8);
static_assert(sizeof(TemplateLosses) % sizeof(uint32_t) == 0);

namespace {

uint32_t Rounded(uint32_t capacity) noexcept { return std::bit_ceil(std::clamp(capacity, 1u, kMostRecallEntries)); }

uint64_t LoadFingerprint(const RecallEntry &entry) noexcept
{
	return __atomic_load_n(&entry.fingerprint, __ATOMIC_RELAXED);
}

/* Where the fingerprint is; nullptr if it is nowhere. Another may take the place at any time, unless we are the writer. */
const RecallEntry *Locate(const RecallStore &store, uint64_t fingerprint) noexcept
{
	if (fingerprint == 0)
		return nullptr;
	const RecallBucket bucket = BucketOf(store, fingerprint);
	for (uint32_t i = bucket.first; i < bucket.first + bucket.length; i++)
		if (LoadFingerprint(store.entries()[i]) == fingerprint)
			return store.entries() + i;
	return nullptr;
}

}  // namespace

size_t RecallStore::BytesNeeded(uint32_t capacity) noexcept
{
	return sizeof(RecallStore) + static_cast<size_t>(Rounded(capacity)) * sizeof(RecallEntry);
}

RecallStore *RecallStore::Init(std::span<std::byte> memory, uint32_t capacity) noexcept
{
	if (memory.size() < BytesNeeded(capacity) || reinterpret_cast<uintptr_t>(memory.data()) % alignof(RecallStore) != 0)
		return nullptr;
	RecallStore *store = new (memory.data()) RecallStore;
	store->capacity = Rounded(capacity);
	store->padding = 0;
	for (uint32_t i = 0; i < store->capacity; i++)
		new (store->entries() + i) RecallEntry{};
	store->used = 0;
	store->observations = 0;
	store->clock.store(0, std::memory_order_relaxed);
	return store;
}

RecallBucket BucketOf(const RecallStore &store, uint64_t fingerprint) noexcept
{
	const uint32_t length = std::min(store.capacity, kRecallBucket);
	const uint32_t buckets = store.capacity / length;
	return {static_cast<uint32_t>(Mix(fingerprint) & (buckets - 1)) * length, length};
}

void InitEntry(RecallEntry *entry, uint64_t fingerprint) noexcept
{
	entry->last_used = 0;
	entry->fingerprint = fingerprint;
	entry->time = entry->query_memory = entry->temp_bytes = Moments{};
	entry->time_sketch = QuantileSketch{};
	entry->scale_weight = entry->scale_x = entry->scale_y = entry->scale_xx = entry->scale_xy = 0;
	entry->losses = TemplateLosses{};
	entry->num_operators = 0;
	for (OperatorMemory &op : entry->operators) {
		op = OperatorMemory{};
		op.lower_bound = kNoBound;
	}
}

bool RecallStore::Find(uint64_t fingerprint, RecallEntry *copy) const noexcept
{
	const RecallEntry *entry = Locate(*this, fingerprint);
	/* replaced between the look and the copy: the copy is whole, but another's */
	return entry != nullptr && ReadShared(*entry, copy) && copy->fingerprint == fingerprint;
}

bool RecallStore::Has(uint64_t fingerprint) const noexcept { return Locate(*this, fingerprint) != nullptr; }

bool RecallStore::FindLosses(uint64_t template_fingerprint, TemplateLosses *losses) const noexcept
{
	*losses = TemplateLosses{};
	if (template_fingerprint == 0)
		return false;
	const uint64_t key = TemplateKey(template_fingerprint);
	const RecallEntry *entry = Locate(*this, key);
	if (entry == nullptr)
		return false;
	for (int i = 0; i < kSharedReadAttempts; i++) {
		const uint32_t before = entry->sequence.BeginRead();
		const bool same = LoadFingerprint(*entry) == key;
		shared_words::Load(&entry->losses, losses, sizeof(TemplateLosses));
		if (entry->sequence.EndRead(before) && same)
			return true;
	}
	*losses = TemplateLosses{};
	return false;
}

void RememberLosses(RecallStore *store, uint64_t template_fingerprint, const TemplateLosses &losses) noexcept
{
	if (template_fingerprint == 0)
		return;
	const RecallEntry *found = Locate(*store, TemplateKey(template_fingerprint));
	if (found == nullptr)
		return;
	RecallEntry *entry = store->entries() + (found - store->entries());
	entry->sequence.BeginWrite();
	shared_words::Store(&entry->losses, &losses, sizeof(TemplateLosses));
	entry->sequence.EndWrite();
}

void RecallStore::Clear() noexcept
{
	RecallEntry empty;
	InitEntry(&empty, 0);
	for (uint32_t i = 0; i < capacity; i++)
		if (LoadFingerprint(entries()[i]) != 0)
			PublishShared(entries() + i, empty);
	used = 0;
	observations = 0;
	clock.store(0, std::memory_order_relaxed);
}

RecallEntry *PlaceFor(RecallStore *store, uint64_t fingerprint, bool *found) noexcept
{
	const RecallBucket bucket = BucketOf(*store, fingerprint);
	const uint32_t now = store->clock.load(std::memory_order_relaxed);
	RecallEntry *victim = nullptr;
	*found = false;
	for (uint32_t i = bucket.first; i < bucket.first + bucket.length; i++) {
		RecallEntry *entry = store->entries() + i;
		if (entry->fingerprint == fingerprint) {
			*found = true;
			return entry;
		}
		const bool free = entry->fingerprint == 0;
		const bool victim_is_free = victim != nullptr && victim->fingerprint == 0;
		/* ages, not clock values: the clock may wrap */
		if (victim == nullptr || (!victim_is_free && (free || now - entry->last_used > now - victim->last_used)))
			victim = entry;
	}
	return victim;
}

void InsertEntry(RecallStore *store, const RecallEntry &entry) noexcept
{
	bool found;
	RecallEntry *place = PlaceFor(store, entry.fingerprint, &found);
	const uint32_t now = store->clock.load(std::memory_order_relaxed);
	if (place->fingerprint == 0)
		store->used++;
	else if (now - place->last_used <= now - entry.last_used)
		return;
	PublishShared(place, entry);
}

uint64_t TemplateKey(uint64_t template_fingerprint) noexcept
{
	/* plan fingerprints are even (finish_graph.cpp) */
	return Mix(template_fingerprint ^ 0x74656d706c617465u) | 1;
}

}  // namespace wlm
