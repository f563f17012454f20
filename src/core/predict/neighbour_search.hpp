/*
 * neighbour_search.hpp
 *
 * What the neighbours' writer (neighbour_learn.cpp) and reader
 * (neighbours_expert.cpp) share: the layout of a store, the search through it
 * and what near examples say together.
 *
 * Layout: NeighbourStore, then points of plans, plan examples, points of
 * operators, operator examples, and of each block of operators its kind and how
 * many of its lanes are in use. Points lie in blocks of eight, dimension by
 * dimension, so that eight distances are computed at once. A block of operators
 * holds one kind only: the search leaves out the others.
 */
#pragma once

#include "core/predict/moments.hpp"
#include "core/predict/neighbour_store.hpp"

namespace wlm {

inline constexpr uint32_t kLanes = 8;
inline constexpr uint32_t kNoExample = UINT32_MAX;
inline constexpr int kNumBandwidths = 5;
inline constexpr int kNumNodeKinds = static_cast<int>(NodeKind::kNumKinds);
inline constexpr float kMostCoordinate = 1e6f;
inline constexpr float kMostResidual = 20; /* of a logarithm: more is not an error to be corrected but nonsense */
inline constexpr float kMostExecutions = 1e6f;
inline constexpr float kLandscapeMemory = 64; /* new examples over which a landscape averages */
inline constexpr float kMostSquare = 4;       /* what one error may add to an average of squares */
inline constexpr float kMostLoss = 4;
inline constexpr float kMostSurprise = 16;    /* what one error may add to an average */
inline constexpr float kLeastDistance = 1e-4f; /* below, points are the same */

struct PointBlock {
	float at[kEmbeddingSize][kLanes];
};

struct PlanExample {
	uint64_t plan_fingerprint;
	uint64_t template_fingerprint;
	Moments time;          /* ln(ms) less the graph expert's answer */
	Moments query_memory;  /* ln(kB) less the graph expert's answer; weight 0 = never seen */
	float log_ms;          /* mean, decayed like the moments */
	float executions;
	uint32_t last_used;    /* the store's clock */
	uint32_t padding;
};

struct OperatorExample {
	uint64_t key;          /* OperatorKey() */
	Moments need;          /* ln(kB) less the graph expert's answer */
	float executions;
	uint32_t last_used;
};

/* What is known of all examples of plans, or of operators of one kind; learned from each new one before it is added. */
struct Landscape {
	float log_typical;     /* ln(distance to the nearest) of a plan that has others of its kind: a low quantile */
	float distances;       /* observations of it; 0 = no example yet */
	float residual_square; /* mean square of the graph expert's errors: what a plan without neighbours must expect */
	float residuals;
	float loss[kNumBandwidths]; /* mean negative log-likelihood of the corrected answer under each bandwidth */
	float trials;
	float surprise;        /* mean of (error of a corrected answer)^2 / its variance, of plans that were new: 1 = as expected */
};

struct NeighbourStore {
	uint32_t layout;       /* kNeighbourLayout */
	uint32_t capacity;     /* plans, a multiple of kLanes */
	uint32_t embedding_version;
	uint32_t num_plans;
	uint32_t num_operator_blocks; /* in use */
	uint32_t clock;
	uint32_t operators_of[kNumNodeKinds];
	Landscape plans;
	Landscape operators[kNumNodeKinds];
};

inline constexpr uint32_t kNeighbourLayout = 0x4e420002u + (kEmbeddingSize << 8);

static_assert(std::is_trivially_copyable_v<NeighbourStore> && alignof(NeighbourStore) <= 8);
static_assert(sizeof(PlanExample) == 64 && sizeof(OperatorExample) == 32 && sizeof(Moments) == 16);

/* The arrays behind the head; Store is NeighbourStore or const NeighbourStore. */
template <class Store, class Byte>
struct NeighbourArrays {
	template <class T>
	using Like = std::conditional_t<std::is_const_v<Store>, const T, T>;

	Like<PointBlock> *plan_points;
	Like<PlanExample> *plans;
	Like<PointBlock> *operator_points;
	Like<OperatorExample> *operators;
	Like<uint8_t> *kinds;  /* of operator blocks: NodeKind */
	Like<uint8_t> *used;   /* of operator blocks: lanes */
	uint32_t operator_blocks;

	explicit NeighbourArrays(Store &store) noexcept
	{
		const size_t plan_blocks = store.capacity / kLanes;
		operator_blocks = static_cast<uint32_t>(2 * plan_blocks);
		Byte *at = reinterpret_cast<Byte *>(&store) + ((sizeof(NeighbourStore) + 7) & ~size_t{7});
		plan_points = Take<PointBlock>(&at, plan_blocks);
		plans = Take<PlanExample>(&at, plan_blocks * kLanes);
		operator_points = Take<PointBlock>(&at, operator_blocks);
		operators = Take<OperatorExample>(&at, operator_blocks * kLanes);
		kinds = Take<uint8_t>(&at, operator_blocks);
		used = Take<uint8_t>(&at, operator_blocks);
	}

  private:
	template <class T>
	static Like<T> *Take(Byte **at, size_t count) noexcept
	{
		Like<T> *array = reinterpret_cast<Like<T> *>(*at);
		*at += count * sizeof(T);
		return array;
	}
};

inline auto ArraysOf(const NeighbourStore &store) noexcept
{
	return NeighbourArrays<const NeighbourStore, const std::byte>(store);
}
inline auto ArraysOf(NeighbourStore &store) noexcept { return NeighbourArrays<NeighbourStore, std::byte>(store); }

uint64_t OperatorKey(uint64_t plan_fingerprint, int memory_slot) noexcept; /* never 0 */
bool IsPoint(const Embedding &embedding) noexcept; /* finite and not absurd */
float TypicalDistance(const Landscape &landscape) noexcept;

/* The nearest, in the order of their distance; equal distances in the order of the store. */
struct Found {
	float distance_square;
	uint32_t index;
};
struct NearestFound {
	int count;
	Found at[kNearest];
};
void FindPlans(const NeighbourStore &store, const Embedding &query, NearestFound *found) noexcept;
void FindOperators(const NeighbourStore &store, NodeKind kind, const Embedding &query, NearestFound *found) noexcept;

/* One example's say: how far it lies, what came out there, whether it is the very plan or operator that is asked for. */
struct Evidence {
	float distance_square;
	bool is_own;
	Moments residual;      /* weight > 0 */
};
struct Correction {
	float shift;           /* to be added to the graph expert's mean */
	float data_variance;
	float model_variance;
	float support;         /* executions, less the farther away; 0 = nothing near */
	float weights[kNearest]; /* of the shift; the rest, up to 1, holds on to the graph expert's answer */
};
/* bandwidth < 0: the one that has done best. `prior` is the graph expert's answer. */
Correction Weigh(const Landscape &landscape, const Estimate &prior, const Evidence *evidence, int count,
                 int bandwidth = -1) noexcept;

}  // namespace wlm
