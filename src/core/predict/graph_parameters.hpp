/*
 * graph_parameters.hpp
 *
 * The network of the graph expert, once for the server and once for the trainer:
 * which parameters there are, where they stand and what they mean.
 *
 *   x_v  = leaky(kEncode f_v + bias)                             f_v: node_features.hpp
 *   h_v  = x_v + tanh(kState x_v + bias + sum over children c of scale_c k<Message>_c h_c)
 *   r_v  = ln(own ms) + kTimeOut leaky(kTimeHidden h_v + bias) + bias
 *   e    = tanh(kRoot [h_root; mean of h] + bias)                the plan's embedding
 *   ln ms = ln(sum of exp r_v) + kTimeCorrection e + bias
 *   e_v  = tanh(kMemoryHidden h_v + bias)                        an operator's embedding
 *   ln kB of an operator = ln(formula) + kMemoryOut e_v + bias
 *   ln kB of the query   = ln(base + sum of copies x kB of operators) + kQueryCorrection e + bias
 *   ln(data variance)    = a row over e or e_v, + bias
 *
 * Time adds up over nodes (in proportion to the planner's own costs) and memory multiplies the
 * planner's own formula: what is learned are bounded corrections, which is what transfers to
 * other databases and to plans of other sizes. tanh keeps states bounded however deep a plan is.
 *
 * Matrices are column-major, as Eigen's are. Any change of features or of this file needs a new kGraphFormat.
 */
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/predict/graph_model.hpp"
#include "core/predict/node_features.hpp"

namespace wlm {

inline constexpr int kHidden = 32;
inline constexpr int kReadout = kEmbeddingSize;
inline constexpr float kLeak = 0.1f;           /* slope of leaky() below zero */
inline constexpr float kQueryBaseKb = 512;     /* executor state of a query without memory operators */
inline constexpr float kLeastLogVariance = -5; /* a twelfth of an e-fold */
inline constexpr float kMostLogVariance = 3;

enum class GraphPart : uint8_t {
	kEncode = 0, kEncodeBias, kState, kStateBias,
	kOuter, kInner, kMember, kSide, /* in the order of MessageKind */
	kTimeHidden, kTimeHiddenBias, kTimeOut, kTimeOutBias,
	kMemoryHidden, kMemoryHiddenBias, kMemoryOut, kMemoryOutBias, kMemoryVariance, kMemoryVarianceBias,
	kRoot, kRootBias,
	kTimeCorrection, kTimeCorrectionBias, kTimeVariance, kTimeVarianceBias,
	kQueryCorrection, kQueryCorrectionBias, kQueryVariance, kQueryVarianceBias,
	kNumParts
};
inline constexpr size_t kNumGraphParts = static_cast<size_t>(GraphPart::kNumParts);

struct PartShape {
	int rows;
	int columns;
};
inline constexpr std::array<PartShape, kNumGraphParts> kPartShapes = {{
	{kHidden, kNumNodeFeatures}, {kHidden, 1}, {kHidden, kHidden}, {kHidden, 1},
	{kHidden, kHidden}, {kHidden, kHidden}, {kHidden, kHidden}, {kHidden, kHidden},
	{kReadout, kHidden}, {kReadout, 1}, {kReadout, 1}, {1, 1},
	{kReadout, kHidden}, {kReadout, 1}, {kReadout, 1}, {1, 1}, {kReadout, 1}, {1, 1},
	{kReadout, 2 * kHidden}, {kReadout, 1},
	{kReadout, 1}, {1, 1}, {kReadout, 1}, {1, 1},
	{kReadout, 1}, {1, 1}, {kReadout, 1}, {1, 1},
}};

constexpr PartShape ShapeOf(GraphPart part) noexcept { return kPartShapes[static_cast<size_t>(part)]; }

/* Index of a part's first number; of kNumParts: how many there are. */
constexpr int OffsetOf(GraphPart part) noexcept
{
	int offset = 0;
	for (size_t i = 0; i < static_cast<size_t>(part); i++)
		offset += kPartShapes[i].rows * kPartShapes[i].columns;
	return offset;
}
inline constexpr int kNumParameters = OffsetOf(GraphPart::kNumParts);

inline constexpr uint32_t kGraphMagic = 0x47504c57; /* "WLPG" */
inline constexpr uint32_t kGraphFormat = 1;
inline constexpr int kNumMemoryClasses = static_cast<int>(MemoryClass::kNumClasses);

/* How far predictions of one kind can be trusted where nothing of the database was seen. */
struct GraphTrust {
	float support;        /* samples that taught it, capped; 0 = no opinion */
	float model_variance; /* squared error on what was kept apart beyond the predicted data variance */
};

struct GraphModel {
	uint32_t magic;
	uint32_t format;
	uint32_t num_categories;
	uint32_t num_numbers;
	uint32_t hidden;
	uint32_t embedding;
	uint32_t num_parameters;
	uint32_t version; /* GraphChecksum() */
	uint64_t known_categories;        /* that training has seen; others are not shown to the network */
	float least[kNumNumbers];         /* range that training has seen; the network sees nothing outside of it */
	float most[kNumNumbers];
	GraphTrust time;
	GraphTrust query_memory;
	GraphTrust memory[kNumMemoryClasses];
	float parameters[kNumParameters];
	float padding; /* to 8 bytes; 0 */
};
static_assert(std::is_trivially_copyable_v<GraphModel> && alignof(GraphModel) <= 8);
static_assert(sizeof(GraphModel) == offsetof(GraphModel, padding) + sizeof(float));
static_assert(offsetof(GraphModel, parameters) ==
              40 + sizeof(float) * (2 * kNumNumbers) + sizeof(GraphTrust) * (2 + kNumMemoryClasses));

/* Zeros with a head that fits: no opinion on anything. */
void InitGraphModel(GraphModel *model) noexcept;

/* Over everything that makes an embedding. Never 0. */
uint32_t GraphChecksum(const GraphModel &model) noexcept;

/*
 * What the network may see of a node: within the model's ranges, so that it never extrapolates. Returns how
 * far the node lay outside: categories never seen, and the numbers' distances from their ranges, added up.
 */
float ClampToSeen(const GraphModel &model, NodeFeatures *node) noexcept;

}  // namespace wlm
