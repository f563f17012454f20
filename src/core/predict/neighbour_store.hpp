/*
 * neighbour_store.hpp
 *
 * The neighbours expert's examples: points in the graph expert's embedding and
 * what the graph expert got wrong there. A new kind of query is answered by
 * adding one example, without retraining. Bounded; plain numbers; found by
 * going through all of them, which takes microseconds.
 *
 * A reader may use a store only while nobody writes to it: the server keeps two
 * and publishes the one that was written to.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/learn/experience.hpp"
#include "core/predict/expert.hpp"

namespace wlm {

struct NeighbourStore;

inline constexpr int kNearest = 8; /* examples that an answer rests on */

size_t NeighbourStoreBytes(uint32_t capacity) noexcept; /* plans; it holds twice as many operators */
/* nullptr if the span is too small or misaligned. Examples are points of the graph model of this version. */
NeighbourStore *InitNeighbourStore(std::span<std::byte> memory, uint32_t capacity, uint32_t embedding_version) noexcept;
bool NeighbourStoreIsSane(std::span<const std::byte> store) noexcept;

uint32_t NeighbourCapacity(const NeighbourStore &store) noexcept;
uint32_t NumNeighbours(const NeighbourStore &store) noexcept;
uint32_t NeighbourEmbeddingVersion(const NeighbourStore &store) noexcept;

/*
 * One execution: a new example, or the plan's example moved towards what came out now. False if it teaches
 * nothing: no embedding, one of another version, no answer of the graph expert, not run to its end.
 */
bool AddNeighbour(NeighbourStore *store, const Experience &experience) noexcept;

/* What stands behind an answer, nearest first, for inspection. */
struct Neighbour {
	uint64_t plan_fingerprint;
	float distance;      /* in units of the store's typical distance between neighbours */
	float weight;        /* of the answer, 0..1 */
	float executions;    /* that the example has seen */
	float log_ms;        /* mean outcome */
};
/* Weights are those of the answer for the plan of this fingerprint, `prior` being what the graph expert says of its time. */
int NearestPlans(const NeighbourStore &store, const Embedding &embedding, std::span<Neighbour> nearest,
                 uint64_t plan_fingerprint = 0, const Estimate &prior = Estimate{}) noexcept;

/* Expert::answer (fills the forecast's novelty too) and Expert::price of this expert. */
void AskNeighbours(const ModelView &models, const PlanGraph &graph, const PlanContext &context,
                   Forecast *forecast) noexcept;
float PriceOfNeighbours(const ModelView &models, const PlanGraph &graph) noexcept;

}  // namespace wlm
