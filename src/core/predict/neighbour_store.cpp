/*
 * neighbour_store.cpp
 *
 * A new store, and whether bytes are one.
 */
#include "core/predict/neighbour_store.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <new>

#include "core/predict/log_scale.hpp"
#include "core/predict/neighbour_search.hpp"

namespace wlm {

namespace {

constexpr uint32_t kMostCapacity = 1u << 16;
/* Before there is evidence: the graph expert errs by a factor of e, no bandwidth is better than another. */
constexpr float kPriorResiduals = 2;
constexpr float kPriorTrials = 8;

void InitLandscape(Landscape *landscape) noexcept
{
	*landscape = Landscape{};
	landscape->residual_square = 1;
	landscape->residuals = kPriorResiduals;
	landscape->trials = kPriorTrials;
	landscape->surprise = 1;
}

bool Within(float value, float least, float most) noexcept { return value >= least && value <= most; }

bool IsSane(const Landscape &landscape) noexcept
{
	return Within(landscape.log_typical, std::log(kLeastDistance) - 1, 20) &&
		Within(landscape.distances, 0, kLandscapeMemory) && Within(landscape.residual_square, 0, kMostSquare) &&
		Within(landscape.residuals, 1, kLandscapeMemory) && Within(landscape.trials, 1, kLandscapeMemory) &&
		Within(landscape.surprise, 0, kMostSurprise) &&
		std::all_of(std::begin(landscape.loss), std::end(landscape.loss),
	                [](float loss) { return Within(loss, -kMostLoss, kMostLoss); });
}

bool IsSane(const PointBlock &block) noexcept
{
	for (const auto &lanes : block.at)
		for (const float x : lanes)
			if (!Within(x, -kMostCoordinate, kMostCoordinate))
				return false;
	return true;
}

bool IsResidual(const Moments &moments) noexcept
{
	return wlm::IsSane(moments) && Within(moments.mean, -kMostResidual, kMostResidual);
}

bool IsSane(const PlanExample &example) noexcept
{
	return example.plan_fingerprint != 0 && IsResidual(example.time) && example.time.weight >= 1 &&
		IsResidual(example.query_memory) && Within(example.log_ms, kLeastLogMs, kMostLogMs) &&
		Within(example.executions, 1, kMostExecutions);
}

bool IsSane(const OperatorExample &example) noexcept
{
	return example.key != 0 && IsResidual(example.need) && example.need.weight >= 1 &&
		Within(example.executions, 1, kMostExecutions);
}

bool OperatorsAreSane(const NeighbourStore &store) noexcept
{
	const auto arrays = ArraysOf(store);
	uint32_t counts[kNumNodeKinds] = {};
	for (uint32_t block = 0; block < store.num_operator_blocks; block++) {
		if (arrays.kinds[block] >= static_cast<uint8_t>(NodeKind::kNumKinds) || arrays.used[block] < 1 ||
		    arrays.used[block] > kLanes || !IsSane(arrays.operator_points[block]))
			return false;
		counts[arrays.kinds[block]] += arrays.used[block];
		for (uint32_t i = block * kLanes; i < block * kLanes + arrays.used[block]; i++)
			if (!IsSane(arrays.operators[i]))
				return false;
	}
	return std::equal(std::begin(counts), std::end(counts), std::begin(store.operators_of));
}

uint32_t Rounded(uint32_t capacity) noexcept
{
	return (std::clamp(capacity, kLanes, kMostCapacity) + kLanes - 1) / kLanes * kLanes;
}

}  // namespace

size_t NeighbourStoreBytes(uint32_t capacity) noexcept
{
	const size_t blocks = Rounded(capacity) / kLanes;
	const size_t head = (sizeof(NeighbourStore) + 7) & ~size_t{7};
	const size_t plans = blocks * (sizeof(PointBlock) + kLanes * sizeof(PlanExample));
	const size_t operators = 2 * blocks * (sizeof(PointBlock) + kLanes * sizeof(OperatorExample) + 2);
	return (head + plans + operators + 7) & ~size_t{7};
}

NeighbourStore *InitNeighbourStore(std::span<std::byte> memory, uint32_t capacity, uint32_t embedding_version) noexcept
{
	const size_t bytes = NeighbourStoreBytes(capacity);
	if (memory.size() < bytes || reinterpret_cast<uintptr_t>(memory.data()) % 8 != 0)
		return nullptr;
	std::memset(memory.data(), 0, bytes);
	NeighbourStore *store = new (memory.data()) NeighbourStore{};
	store->layout = kNeighbourLayout;
	store->capacity = Rounded(capacity);
	store->embedding_version = embedding_version;
	InitLandscape(&store->plans);
	for (Landscape &landscape : store->operators)
		InitLandscape(&landscape);
	return store;
}

bool NeighbourStoreIsSane(std::span<const std::byte> bytes) noexcept
{
	if (bytes.size() < sizeof(NeighbourStore) || reinterpret_cast<uintptr_t>(bytes.data()) % 8 != 0)
		return false;
	const NeighbourStore &store = *reinterpret_cast<const NeighbourStore *>(bytes.data());
	if (store.layout != kNeighbourLayout || store.capacity != Rounded(store.capacity) ||
	    bytes.size() < NeighbourStoreBytes(store.capacity) || store.num_plans > store.capacity ||
	    store.num_operator_blocks > 2 * store.capacity / kLanes || !IsSane(store.plans))
		return false;
	for (const Landscape &landscape : store.operators)
		if (!IsSane(landscape))
			return false;
	const auto arrays = ArraysOf(store);
	for (uint32_t i = 0; i < store.num_plans; i++)
		if (!IsSane(arrays.plans[i]) || (i % kLanes == 0 && !IsSane(arrays.plan_points[i / kLanes])))
			return false;
	return OperatorsAreSane(store);
}

uint32_t NeighbourCapacity(const NeighbourStore &store) noexcept { return store.capacity; }
uint32_t NumNeighbours(const NeighbourStore &store) noexcept { return store.num_plans; }
uint32_t NeighbourEmbeddingVersion(const NeighbourStore &store) noexcept { return store.embedding_version; }

}  // namespace wlm
