/*
 * graph_expert.cpp
 *
 * The network's forward pass for one plan, in the backend, over a model in
 * shared memory: no allocation (states stand on the stack), no lock, one walk
 * over the preorder array from the leaves up. The network itself is described
 * in graph_parameters.hpp; trainer/graph_network.cpp computes the same by levels.
 */
#include <algorithm>
#include <bit>
#include <cmath>

#include <Eigen/Core>

#include "core/predict/graph_model.hpp"
#include "core/predict/graph_parameters.hpp"
#include "core/predict/log_scale.hpp"

namespace wlm {

namespace {

using State = Eigen::Array<float, kHidden, 1>;
using Readout = Eigen::Array<float, kReadout, 1>;
template <int rows>
using Numbers = Eigen::Map<const Eigen::Array<float, rows, 1>, Eigen::Unaligned>;

/* Measured with SSE2, a quarter of the nodes having memory: 5 nodes 1.8 us, 20 nodes 6.5 us, 100 nodes 33 us. */
constexpr float kNanosecondsPerPlan = 200;
constexpr float kNanosecondsPerNode = 330;

constexpr float kLeastDataVariance = 0.01f;
constexpr float kMostStrange = 8; /* so many times more unsure of what lies outside of all that was seen */
constexpr float kLeastParallel = 0.02f;
constexpr float kParallelDataVariance = 1;
constexpr float kParallelModelVariance = 2;
constexpr float kParallelSupport = 0.2f;

const float *Part(const GraphModel &model, GraphPart part) noexcept { return model.parameters + OffsetOf(part); }

/* out += matrix * in; four columns at a time, which spares loads and stores of `out`. */
template <int rows, int columns>
void AddProduct(const float *matrix, const float *in, Eigen::Array<float, rows, 1> *out) noexcept
{
	static_assert(columns % 4 == 0);
	for (int j = 0; j < columns; j += 4) {
		const float *at = matrix + j * rows;
		*out += (Numbers<rows>(at) * in[j] + Numbers<rows>(at + rows) * in[j + 1]) +
			(Numbers<rows>(at + 2 * rows) * in[j + 2] + Numbers<rows>(at + 3 * rows) * in[j + 3]);
	}
}

template <int rows>
void Leak(Eigen::Array<float, rows, 1> *values) noexcept
{
	*values = values->max(*values * kLeak);
}

float Dot(const float *row, const Readout &values) noexcept { return (Numbers<kReadout>(row) * values).sum(); }

State Encode(const GraphModel &model, const NodeFeatures &node) noexcept
{
	const float *matrix = Part(model, GraphPart::kEncode);
	State x = Numbers<kHidden>(Part(model, GraphPart::kEncodeBias));
	for (uint64_t left = node.categories; left != 0; left &= left - 1)
		x += Numbers<kHidden>(matrix + std::countr_zero(left) * kHidden);
	AddProduct<kHidden, kNumNumbers>(matrix + kNumCategories * kHidden, node.numbers.data(), &x);
	Leak(&x);
	return x;
}

float TimeOfNode(const GraphModel &model, const NodeFeatures &node, const State &h) noexcept
{
	Readout hidden = Numbers<kReadout>(Part(model, GraphPart::kTimeHiddenBias));
	AddProduct<kReadout, kHidden>(Part(model, GraphPart::kTimeHidden), h.data(), &hidden);
	Leak(&hidden);
	return node.log_own_ms + Dot(Part(model, GraphPart::kTimeOut), hidden) + *Part(model, GraphPart::kTimeOutBias);
}

float DataVariance(const GraphModel &model, GraphPart row, GraphPart bias, const Readout &embedding) noexcept
{
	const float log_variance = Dot(Part(model, row), embedding) + *Part(model, bias);
	return std::max(std::exp(std::clamp(log_variance, kLeastLogVariance, kMostLogVariance)), kLeastDataVariance);
}

Estimate Judged(float mean, float data_variance, const GraphTrust &trust, float strangeness) noexcept
{
	Estimate estimate;
	if (!(trust.support > 0) || !std::isfinite(mean) || !std::isfinite(data_variance))
		return estimate;
	const float unsure = 1 + std::min(strangeness, kMostStrange);
	estimate = {mean, data_variance, std::min(trust.model_variance * unsure, kMostVariance), trust.support / unsure};
	return estimate;
}

/* What the walk from the leaves to the root leaves behind. */
struct Walk {
	State root;
	State sum = State::Zero();
	float largest;         /* of log_times */
	float strangeness = 0; /* mean over nodes */
	float log_times[kMaxPlanNodes];
};

/* Returns ln(kB), also where there is too little support to answer. */
float AnswerMemory(const GraphModel &model, const NodeFeatures &node, const State &h, float strangeness,
                   Forecast *forecast) noexcept
{
	Readout e = Numbers<kReadout>(Part(model, GraphPart::kMemoryHiddenBias));
	AddProduct<kReadout, kHidden>(Part(model, GraphPart::kMemoryHidden), h.data(), &e);
	e = e.tanh().eval();
	Eigen::Map<Readout, Eigen::Unaligned>(forecast->operator_embedding[node.memory_slot].at) = e;
	const float mean = std::clamp(node.log_formula_kb + Dot(Part(model, GraphPart::kMemoryOut), e) +
	                                  *Part(model, GraphPart::kMemoryOutBias),
	                              kLeastLogKb, kMostLogKb);
	forecast->answers[kGraphExpert].memory[node.memory_slot] =
		Judged(mean, DataVariance(model, GraphPart::kMemoryVariance, GraphPart::kMemoryVarianceBias, e),
	           model.memory[static_cast<int>(node.memory)], strangeness);
	return mean;
}

/* Returns the memory of all operators together, in kB. */
double WalkUp(const GraphModel &model, GraphDescription *plan, Walk *walk, Forecast *forecast) noexcept
{
	State messages[kMaxPlanNodes];
	for (int i = 0; i < plan->num_nodes; i++)
		messages[i] = Numbers<kHidden>(Part(model, GraphPart::kStateBias));

	double kb = kQueryBaseKb;
	for (int i = plan->num_nodes - 1; i >= 0; i--) {
		NodeFeatures &node = plan->nodes[static_cast<size_t>(i)];
		const float strangeness = ClampToSeen(model, &node);
		walk->strangeness += strangeness / static_cast<float>(plan->num_nodes);
		State h = Encode(model, node);
		AddProduct<kHidden, kHidden>(Part(model, GraphPart::kState), h.data(), &messages[i]);
		h += messages[i].tanh();
		walk->sum += h;
		walk->log_times[i] = TimeOfNode(model, node, h);
		if (node.memory_slot >= 0) {
			const double log_kb = static_cast<double>(AnswerMemory(model, node, h, strangeness, forecast));
			kb += static_cast<double>(node.copies) * std::exp(log_kb);
		}
		if (i > 0) {
			const State scaled = h * node.message_scale;
			const int matrix = static_cast<int>(GraphPart::kOuter) + static_cast<int>(node.message);
			AddProduct<kHidden, kHidden>(Part(model, static_cast<GraphPart>(matrix)), scaled.data(),
			                             &messages[node.parent]);
		} else {
			walk->root = h;
		}
	}
	walk->largest = *std::max_element(walk->log_times, walk->log_times + plan->num_nodes);
	return kb;
}

Readout EmbeddingOf(const GraphModel &model, const Walk &walk, int num_nodes) noexcept
{
	const State mean = walk.sum / static_cast<float>(num_nodes);
	const float *matrix = Part(model, GraphPart::kRoot);
	Readout e = Numbers<kReadout>(Part(model, GraphPart::kRootBias));
	AddProduct<kReadout, kHidden>(matrix, walk.root.data(), &e);
	AddProduct<kReadout, kHidden>(matrix + kHidden * kReadout, mean.data(), &e);
	return e.tanh();
}

/*
 * The nodes' times t are those that elapse in one process. Run by one process alone, what stands below a Gather
 * would take t x processes; so Amdahl's fraction is P / (P + S) with P = sum of t x processes below Gathers and
 * S = sum of t elsewhere. A common factor of all t changes nothing.
 */
Estimate ParallelFraction(const GraphModel &model, const GraphDescription &plan, const Walk &walk) noexcept
{
	double parallel = 0;
	double serial = 0;
	for (int i = 0; i < plan.num_nodes; i++) {
		const double time = std::exp(walk.log_times[i] - walk.largest);
		const double processes = static_cast<double>(plan.nodes[static_cast<size_t>(i)].parallel);
		(processes > 0 ? parallel : serial) += processes > 0 ? time * processes : time;
	}
	const double fraction = std::clamp(parallel / (parallel + serial), static_cast<double>(kLeastParallel),
	                                   1.0 - static_cast<double>(kLeastParallel));
	if (!std::isfinite(fraction) || !(model.time.support > 0))
		return {};
	return {static_cast<float>(std::log(fraction / (1 - fraction))), kParallelDataVariance, kParallelModelVariance,
	        kParallelSupport};
}

float LogSum(const Walk &walk, int num_nodes) noexcept
{
	float sum = 0;
	for (int i = 0; i < num_nodes; i++)
		sum += std::exp(walk.log_times[i] - walk.largest);
	return walk.largest + std::log(sum);
}

}  // namespace

void AskGraph(const ModelView &models, const PlanGraph &graph, const PlanContext &, Forecast *forecast) noexcept
{
	ExpertAnswer *answer = &forecast->answers[kGraphExpert];
	ClearAnswer(answer, std::clamp<int>(graph.num_memory_nodes, 0, kMaxMemoryNodes));
	forecast->embedding_version = 0;
	GraphDescription plan;
	if (models.graph == nullptr || !DescribeGraph(graph, &plan))
		return;
	const GraphModel &model = *models.graph;
	Walk walk;
	const double kb = WalkUp(model, &plan, &walk, forecast);
	const Readout e = EmbeddingOf(model, walk, plan.num_nodes);
	Eigen::Map<Readout, Eigen::Unaligned>(forecast->embedding.at) = e;
	forecast->embedding_version = GraphModelVersion(model);

	const float time = LogSum(walk, plan.num_nodes) + Dot(Part(model, GraphPart::kTimeCorrection), e) +
		*Part(model, GraphPart::kTimeCorrectionBias);
	answer->time = Judged(std::clamp(time, kLeastLogMs, kMostLogMs),
	                      DataVariance(model, GraphPart::kTimeVariance, GraphPart::kTimeVarianceBias, e), model.time,
	                      walk.strangeness);
	const float query_kb = static_cast<float>(std::log(kb)) + Dot(Part(model, GraphPart::kQueryCorrection), e) +
		*Part(model, GraphPart::kQueryCorrectionBias);
	answer->query_memory = Judged(std::clamp(query_kb, kLeastLogKb, kMostLogKb),
	                              DataVariance(model, GraphPart::kQueryVariance, GraphPart::kQueryVarianceBias, e),
	                              model.query_memory, walk.strangeness);
	answer->parallel_fraction = ParallelFraction(model, plan, walk);
}

float PriceOfGraph(const ModelView &models, const PlanGraph &graph) noexcept
{
	if (models.graph == nullptr)
		return 0;
	return kNanosecondsPerPlan +
		kNanosecondsPerNode * static_cast<float>(std::clamp<int>(graph.num_nodes, 0, kMaxPlanNodes));
}

}  // namespace wlm
