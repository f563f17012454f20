/*
 * keyed_store.hpp
 *
 * What GrantOutcomeStore and PlanMemoryStore have in common: a bounded table of
 * entries behind a header, in a buffer of the caller. Buckets of eight
 * candidates, no chains; when all are taken, the one not used for longest makes
 * room. One writer at a time, readers copy under the entry's sequence counter
 * and never wait.
 *
 * `Key` is the member that holds an entry's key; 0 = free. A store has capacity,
 * used, clock and entries().
 */
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <type_traits>

#include "core/hash.hpp"
#include "core/predict/shared_words.hpp"

namespace wlm {

template <class Store, class Entry, uint64_t Entry::*Key>
class KeyedStore {
	static constexpr uint32_t kBucket = 8;
	static constexpr uint32_t kMostEntries = 1u << 20;

	static_assert(sizeof(Store) % 8 == 0 && alignof(Store) <= 8 && sizeof(Entry) % 8 == 0 && alignof(Entry) <= 8);
	static_assert(std::is_trivially_destructible_v<Entry>);

	static uint32_t Rounded(uint32_t capacity) noexcept { return std::bit_ceil(std::clamp(capacity, 1u, kMostEntries)); }
	static uint64_t LoadKey(const Entry &entry) noexcept { return __atomic_load_n(&(entry.*Key), __ATOMIC_RELAXED); }
	static uint32_t BucketLength(const Store &store) noexcept { return std::min(store.capacity, kBucket); }
	static uint32_t BucketStart(const Store &store, uint64_t key) noexcept
	{
		const uint32_t length = BucketLength(store);
		return static_cast<uint32_t>(Mix(key) & (store.capacity / length - 1)) * length;
	}

	/* The entry with this key, else where it may be put: a free place, or the one unused for longest. */
	static Entry *PlaceFor(Store *store, uint64_t key) noexcept
	{
		Entry *bucket = store->entries() + BucketStart(*store, key);
		Entry *victim = nullptr;
		for (Entry *entry = bucket; entry < bucket + BucketLength(*store); entry++) {
			if (entry->*Key == key)
				return entry;
			const bool victim_is_free = victim != nullptr && victim->*Key == 0;
			/* ages, not clock values: the clock may wrap */
			if (victim == nullptr || (!victim_is_free && (entry->*Key == 0 ||
			                                              store->clock - entry->last_used > store->clock - victim->last_used)))
				victim = entry;
		}
		return victim;
	}

  public:
	static size_t BytesNeeded(uint32_t capacity) noexcept
	{
		return sizeof(Store) + static_cast<size_t>(Rounded(capacity)) * sizeof(Entry);
	}

	static Store *Init(std::span<std::byte> memory, uint32_t capacity) noexcept
	{
		if (memory.size() < BytesNeeded(capacity) || reinterpret_cast<uintptr_t>(memory.data()) % alignof(Store) != 0)
			return nullptr;
		Store *store = new (memory.data()) Store{};
		store->capacity = Rounded(capacity);
		for (uint32_t i = 0; i < store->capacity; i++)
			new (store->entries() + i) Entry{};
		return store;
	}

	static bool Find(const Store &store, uint64_t key, Entry *copy) noexcept
	{
		if (key == 0)
			return false;
		const Entry *bucket = store.entries() + BucketStart(store, key);
		for (const Entry *entry = bucket; entry < bucket + BucketLength(store); entry++)
			if (LoadKey(*entry) == key)
				/* replaced between the look and the copy: the copy is whole, but another's */
				return ReadShared(*entry, copy) && copy->*Key == key;
		return false;
	}

	static void Clear(Store *store) noexcept
	{
		const Entry empty{};
		for (uint32_t i = 0; i < store->capacity; i++)
			if (store->entries()[i].*Key != 0)
				PublishShared(store->entries() + i, empty);
		store->used = 0;
		store->clock = 0;
	}

	/* The writer's: `change` gets a copy of the key's entry, empty but for its key if there is none, which is then published. */
	template <class Change>
	static void Update(Store *store, uint64_t key, Change &&change) noexcept
	{
		Entry *place = PlaceFor(store, key);
		Entry entry{};
		if (place->*Key == key)
			ReadOwn(*place, &entry);
		else if (place->*Key == 0)
			store->used++;
		entry.*Key = key;
		entry.last_used = ++store->clock;
		change(&entry);
		PublishShared(place, entry);
	}
};

}  // namespace wlm
