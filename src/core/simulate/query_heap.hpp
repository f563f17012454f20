/*
 * query_heap.hpp
 *
 * A binary heap of query indices by key, smallest first, equal keys by index
 * (so that runs repeat). Every query knows its place, so any can leave. Keys
 * and places are arrays of the caller with one element for each query; heaps
 * may share them as long as a query is in at most one.
 */
#pragma once

#include <cstdint>

namespace wlm::simulate {

class QueryHeap {
  public:
	QueryHeap(int32_t *items, int32_t *places, const double *keys) noexcept : items_(items), places_(places), keys_(keys) {}

	bool empty() const noexcept { return size_ == 0; }
	int32_t size() const noexcept { return size_; }
	int32_t top() const noexcept { return items_[0]; }
	double top_key() const noexcept { return keys_[items_[0]]; }
	int32_t operator[](int32_t place) const noexcept { return items_[place]; }

	void Push(int32_t query) noexcept { Rise(query, size_++); }
	void Pop() noexcept { Remove(items_[0]); }

	void Remove(int32_t query) noexcept
	{
		const int32_t place = places_[query];
		const int32_t last = items_[--size_];
		if (last == query)
			return;
		if (place > 0 && Before(last, items_[(place - 1) / 2]))
			Rise(last, place);
		else
			Sink(last, place);
	}

  private:
	bool Before(int32_t a, int32_t b) const noexcept { return keys_[a] < keys_[b] || (keys_[a] == keys_[b] && a < b); }

	void Put(int32_t query, int32_t place) noexcept
	{
		items_[place] = query;
		places_[query] = place;
	}

	void Rise(int32_t query, int32_t place) noexcept
	{
		for (; place > 0 && Before(query, items_[(place - 1) / 2]); place = (place - 1) / 2)
			Put(items_[(place - 1) / 2], place);
		Put(query, place);
	}

	void Sink(int32_t query, int32_t place) noexcept
	{
		for (int32_t child = 2 * place + 1; child < size_; child = 2 * place + 1) {
			if (child + 1 < size_ && Before(items_[child + 1], items_[child]))
				child++;
			if (!Before(items_[child], query))
				break;
			Put(items_[child], place);
			place = child;
		}
		Put(query, place);
	}

	int32_t *items_;
	int32_t *places_;
	const double *keys_;
	int32_t size_ = 0;
};

}  // namespace wlm::simulate
