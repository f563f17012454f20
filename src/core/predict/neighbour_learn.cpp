/*
 * neighbour_learn.cpp
 *
 * The store's writer: the learning worker, on a store that nobody reads.
 * Executions of a plan that is there move its example; others become new ones.
 * When it is full, what was least recently useful makes room: an example is useful
 * when its plan runs, or when it is what a new plan is nearest to. Time counts
 * less for examples that have seen many executions, so that a stream of
 * one-off queries does not wash out the regular ones.
 */
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/learn/censoring.hpp"
#include "core/predict/log_scale.hpp"
#include "core/predict/neighbour_search.hpp"

namespace wlm {

namespace {

constexpr float kMostLoyalty = 16;     /* executions that still slow an example's ageing */
constexpr float kRedundant = 0.25f;    /* typical distances: nearer plans of a template share one example if it is full */
constexpr float kAlike = 0.3f;         /* of ln(time): and if they err alike */
constexpr float kNotFar = 2;           /* typical distances within which the nearest is of use to a new plan */

/*
 * Steps of ln(typical distance), up and down: a first plan of a new kind is far out and says nothing of how near plans
 * of one kind lie. Where steps are capped, the mean becomes a quantile: 1 / (1 + 1 / 0.25), the lowest fifth.
 */
constexpr float kMostStepUp = 0.25f;
constexpr float kMostStepDown = 1;
constexpr float kFirstDistance = 0.1f; /* of the length of the first point: until a distance has been seen */

void Follow(float *mean, float value, float *count) noexcept
{
	*count = std::min(*count + 1, kLandscapeMemory);
	*mean += (value - *mean) / *count;
}

/* A new example teaches what lies near it, and whether its neighbours would have known; evidence in order of distance. */
void LearnLandscape(Landscape *landscape, const Embedding &point, float residual, const Estimate &prior,
                    const Evidence *evidence, int count) noexcept
{
	if (landscape->distances <= 0) {
		float square = 0;
		for (const float x : point.at)
			square += x * x;
		landscape->log_typical = std::log(std::max(kFirstDistance * std::sqrt(square), kLeastDistance));
		landscape->distances = 1;
	}
	if (count > 0) {
		const float distance = std::sqrt(evidence[0].distance_square);
		if (distance > kLeastDistance) {
			const float step = std::clamp(std::log(distance) - landscape->log_typical, -kMostStepDown, kMostStepUp);
			Follow(&landscape->log_typical, landscape->log_typical + step, &landscape->distances);
		}
		landscape->trials = std::min(landscape->trials + 1, kLandscapeMemory);
		const Correction answer = Weigh(*landscape, prior, evidence, count);
		const float answered = residual - answer.shift;
		const float surprise = answered * answered / (answer.data_variance + answer.model_variance);
		landscape->surprise += (std::min(surprise, kMostSurprise) - landscape->surprise) / landscape->trials;
		for (int i = 0; i < kNumBandwidths; i++) {
			const Correction corrected = Weigh(*landscape, prior, evidence, count, i);
			const float variance = corrected.data_variance + corrected.model_variance;
			const float error = residual - corrected.shift;
			/* not likely at all costs no more than kMostLoss: freaks do not choose */
			const float loss = std::clamp((std::log(variance) + error * error / variance) / 2, -kMostLoss, kMostLoss);
			landscape->loss[i] += (loss - landscape->loss[i]) / landscape->trials;
		}
	}
	Follow(&landscape->residual_square, std::min(residual * residual, kMostSquare), &landscape->residuals);
}

void PutPoint(PointBlock *block, uint32_t lane, const Embedding &point) noexcept
{
	for (int i = 0; i < kEmbeddingSize; i++)
		block->at[i][lane] = point.at[i];
}

/* The plan's estimates have changed a little: its point follows, as its moments do. */
void MovePoint(PointBlock *block, uint32_t lane, const Embedding &point, float weight) noexcept
{
	for (int i = 0; i < kEmbeddingSize; i++)
		block->at[i][lane] += (point.at[i] - block->at[i][lane]) / weight;
}

float Residual(float log_value, const Estimate &answer) noexcept
{
	return std::clamp(log_value - answer.mean, -kMostResidual, kMostResidual);
}

/* How dispensable: the age, divided for what has seen much. */
float Staleness(uint32_t now, uint32_t last_used, float executions) noexcept
{
	return static_cast<float>(now - last_used) / std::min(executions, kMostLoyalty);
}

void FoldPlan(PlanExample *example, const Experience &experience, uint32_t now) noexcept
{
	const float log_ms = LogMs(experience.time_ms);
	Fold(&example->time, Residual(log_ms, experience.time_answers[kGraphExpert]));
	example->log_ms += (log_ms - example->log_ms) / example->time.weight;
	const Estimate &memory = experience.query_memory_answers[kGraphExpert];
	if (IsQuantity(experience.query_memory_kb) && !QueryMemoryIsLowerBound(experience) && IsUsable(memory))
		Fold(&example->query_memory, Residual(LogKb(experience.query_memory_kb), memory));
	example->executions = std::min(example->executions + 1, kMostExecutions);
	example->last_used = now;
}

uint32_t PlanOf(const NeighbourStore &store, uint64_t plan_fingerprint) noexcept
{
	const auto arrays = ArraysOf(store);
	for (uint32_t i = 0; i < store.num_plans; i++)
		if (arrays.plans[i].plan_fingerprint == plan_fingerprint)
			return i;
	return kNoExample;
}

uint32_t StalestPlan(const NeighbourStore &store) noexcept
{
	const auto arrays = ArraysOf(store);
	uint32_t stalest = 0;
	float most = -1;
	for (uint32_t i = 0; i < store.num_plans; i++) {
		const float staleness = Staleness(store.clock, arrays.plans[i].last_used, arrays.plans[i].executions);
		if (staleness > most) {
			most = staleness;
			stalest = i;
		}
	}
	return stalest;
}

/* What is there near a new plan learns of it; where it goes to: an example to share, a free place, another's. */
uint32_t PlaceForPlan(NeighbourStore *store, const Experience &experience, bool *shared) noexcept
{
	auto arrays = ArraysOf(*store);
	NearestFound found;
	FindPlans(*store, experience.embedding, &found);
	Evidence evidence[kNearest];
	for (int i = 0; i < found.count; i++)
		evidence[i] = {found.at[i].distance_square, false, arrays.plans[found.at[i].index].time};
	const Estimate &prior = experience.time_answers[kGraphExpert];
	const float residual = Residual(LogMs(experience.time_ms), prior);
	LearnLandscape(&store->plans, experience.embedding, residual, prior, evidence, found.count);

	*shared = false;
	const bool full = store->num_plans == store->capacity;
	if (found.count > 0) {
		PlanExample *nearest = &arrays.plans[found.at[0].index];
		const float distance = std::sqrt(found.at[0].distance_square) / TypicalDistance(store->plans);
		if (distance < kNotFar)
			nearest->last_used = store->clock;
		*shared = full && distance < kRedundant && nearest->template_fingerprint == experience.template_fingerprint &&
			std::fabs(residual - nearest->time.mean) < kAlike;
		if (*shared)
			return found.at[0].index;
	}
	return full ? StalestPlan(*store) : store->num_plans++;
}

void AddPlan(NeighbourStore *store, const Experience &experience) noexcept
{
	auto arrays = ArraysOf(*store);
	uint32_t index = PlanOf(*store, experience.plan_fingerprint);
	bool known = index != kNoExample;
	if (!known)
		index = PlaceForPlan(store, experience, &known);
	PlanExample *example = &arrays.plans[index];
	PointBlock *block = &arrays.plan_points[index / kLanes];
	if (!known) {
		*example = PlanExample{};
		example->plan_fingerprint = experience.plan_fingerprint;
		example->template_fingerprint = experience.template_fingerprint;
		PutPoint(block, index % kLanes, experience.embedding);
	}
	FoldPlan(example, experience, store->clock);
	MovePoint(block, index % kLanes, experience.embedding, example->time.weight);
}

uint32_t OperatorOf(const NeighbourStore &store, NodeKind kind, uint64_t key) noexcept
{
	const auto arrays = ArraysOf(store);
	for (uint32_t block = 0; block < store.num_operator_blocks; block++)
		if (arrays.kinds[block] == static_cast<uint8_t>(kind))
			for (uint32_t i = block * kLanes; i < block * kLanes + arrays.used[block]; i++)
				if (arrays.operators[i].key == key)
					return i;
	return kNoExample;
}

/* Forgets a block of another kind. */
void TakeBlock(NeighbourStore *store, uint32_t block, NodeKind kind) noexcept
{
	auto arrays = ArraysOf(*store);
	if (block < store->num_operator_blocks)
		store->operators_of[arrays.kinds[block]] -= arrays.used[block];
	else
		store->num_operator_blocks++;
	arrays.kinds[block] = static_cast<uint8_t>(kind);
	arrays.used[block] = 0;
	arrays.operator_points[block] = PointBlock{};
	std::fill_n(arrays.operators + block * kLanes, kLanes, OperatorExample{});
}

/* A free lane of its kind, a free block, or the stalest: of its kind, or a whole block of another. */
uint32_t PlaceForOperator(NeighbourStore *store, NodeKind kind) noexcept
{
	auto arrays = ArraysOf(*store);
	uint32_t open = kNoExample; /* a block with a free lane */
	uint32_t stalest = kNoExample;
	uint32_t stalest_block = kNoExample;
	float staleness = -1;
	float block_staleness = -1;
	for (uint32_t block = 0; block < store->num_operator_blocks; block++) {
		const bool same_kind = arrays.kinds[block] == static_cast<uint8_t>(kind);
		float freshest = std::numeric_limits<float>::infinity();
		for (uint32_t i = block * kLanes; i < block * kLanes + arrays.used[block]; i++) {
			const float now = Staleness(store->clock, arrays.operators[i].last_used, arrays.operators[i].executions);
			freshest = std::min(freshest, now);
			if (same_kind && now > staleness) {
				staleness = now;
				stalest = i;
			}
		}
		if (same_kind && arrays.used[block] < kLanes)
			open = block;
		if (!same_kind && freshest > block_staleness) {
			block_staleness = freshest;
			stalest_block = block;
		}
	}
	if (open == kNoExample) {
		if (store->num_operator_blocks < arrays.operator_blocks)
			open = store->num_operator_blocks;
		else if (stalest_block != kNoExample && block_staleness > staleness)
			open = stalest_block;
		else
			return stalest;
		TakeBlock(store, open, kind);
	}
	store->operators_of[static_cast<int>(kind)]++;
	return open * kLanes + arrays.used[open]++;
}

/* As PlaceForPlan(). */
uint32_t PlaceForNewOperator(NeighbourStore *store, const OperatorExperience &op, float residual) noexcept
{
	const auto arrays = ArraysOf(*store);
	NearestFound found;
	FindOperators(*store, op.kind, op.embedding, &found);
	Evidence evidence[kNearest];
	for (int i = 0; i < found.count; i++)
		evidence[i] = {found.at[i].distance_square, false, arrays.operators[found.at[i].index].need};
	LearnLandscape(&store->operators[static_cast<int>(op.kind)], op.embedding, residual, op.answers[kGraphExpert], evidence, found.count);
	return PlaceForOperator(store, op.kind);
}

void AddOperator(NeighbourStore *store, uint64_t plan_fingerprint, const OperatorExperience &op) noexcept
{
	auto arrays = ArraysOf(*store);
	const uint64_t key = OperatorKey(plan_fingerprint, op.memory_slot);
	const float residual = Residual(LogKb(op.needed_kb), op.answers[kGraphExpert]);
	const uint32_t known = OperatorOf(*store, op.kind, key);
	const uint32_t index = known != kNoExample ? known : PlaceForNewOperator(store, op, residual);
	OperatorExample *example = &arrays.operators[index];
	PointBlock *block = &arrays.operator_points[index / kLanes];
	if (known == kNoExample) {
		*example = OperatorExample{};
		example->key = key;
		PutPoint(block, index % kLanes, op.embedding);
	}
	Fold(&example->need, residual);
	example->executions = std::min(example->executions + 1, kMostExecutions);
	example->last_used = store->clock;
	MovePoint(block, index % kLanes, op.embedding, example->need.weight);
}

bool Teaches(const OperatorExperience &op) noexcept
{
	return (op.flags & kObserved) && !NeedIsLowerBound(op) && IsQuantity(op.needed_kb) && op.memory_slot >= 0 &&
		op.memory_slot < kMaxMemoryNodes && op.kind < NodeKind::kNumKinds && IsUsable(op.answers[kGraphExpert]) &&
		IsPoint(op.embedding);
}

}  // namespace

bool AddNeighbour(NeighbourStore *store, const Experience &experience) noexcept
{
	if (store == nullptr || experience.embedding_version == 0 ||
	    experience.embedding_version != store->embedding_version || experience.plan_fingerprint == 0 ||
	    TimeIsLowerBound(experience) || !IsQuantity(experience.time_ms) ||
	    !IsUsable(experience.time_answers[kGraphExpert]) || !IsPoint(experience.embedding))
		return false;
	store->clock++;
	AddPlan(store, experience);
	const int num_operators = std::clamp<int>(experience.num_operators, 0, kMaxMemoryNodes);
	for (int i = 0; i < num_operators; i++)
		if (Teaches(experience.operators[i]))
			AddOperator(store, experience.plan_fingerprint, experience.operators[i]);
	return true;
}

}  // namespace wlm
