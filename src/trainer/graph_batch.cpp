/*
 * graph_batch.cpp
 *
 * See graph_batch.hpp. A counting sort of nodes by height and message.
 */
#include "trainer/graph_batch.hpp"

#include <algorithm>
#include <bit>

namespace wlm::trainer {

namespace {

constexpr size_t kKinds = kNumMessageKinds + 1;

/* Position of a node in the sort: heights first, then messages. */
size_t KeyOf(int height, const NodeFeatures &node)
{
	return static_cast<size_t>(height) * kKinds + static_cast<size_t>(node.message);
}

template <class T>
void PutFeatures(const NodeFeatures &node, T *column)
{
	std::fill_n(column, kNumNodeFeatures, T{0});
	for (uint64_t left = node.categories; left != 0; left &= left - 1)
		column[std::countr_zero(left)] = 1;
	std::copy(node.numbers.begin(), node.numbers.end(), column + kNumCategories);
}

/* Of all nodes of the plans, one plan after the other. */
std::vector<int> Heights(const GraphData &data, std::span<const size_t> indices)
{
	std::vector<int> heights;
	for (const size_t index : indices) {
		const GraphPlan &plan = data.plan(index);
		const size_t first = heights.size();
		heights.resize(first + static_cast<size_t>(plan.num_nodes), 0);
		for (int i = plan.num_nodes - 1; i > 0; i--) {
			int *parent = &heights[first + static_cast<size_t>(data.node(plan, i).parent)];
			*parent = std::max(*parent, heights[first + static_cast<size_t>(i)] + 1);
		}
	}
	return heights;
}

}  // namespace

template <class T>
void GraphBatch<T>::Fill(const GraphData &data, std::span<const size_t> indices)
{
	const std::vector<int> heights = Heights(data, indices);
	const auto count = static_cast<Eigen::Index>(heights.size());
	const int num_levels = heights.empty() ? 0 : *std::max_element(heights.begin(), heights.end()) + 1;
	std::vector<int> starts(static_cast<size_t>(num_levels) * kKinds + 1, 0);
	size_t at = 0;
	for (const size_t index : indices)
		for (int i = 0; i < data.plan(index).num_nodes; i++)
			starts[KeyOf(heights[at++], data.node(data.plan(index), i)) + 1]++;
	for (size_t key = 1; key < starts.size(); key++)
		starts[key] += starts[key - 1];

	blocks.clear();
	level_end.clear();
	for (int level = 0; level < num_levels; level++) {
		for (size_t kind = 0; kind < kKinds; kind++) {
			const size_t key = static_cast<size_t>(level) * kKinds + kind;
			if (starts[key + 1] > starts[key])
				blocks.push_back({starts[key], starts[key + 1], static_cast<MessageKind>(kind)});
		}
		level_end.push_back(starts[static_cast<size_t>(level + 1) * kKinds]);
	}

	features.resize(kNumNodeFeatures, count);
	parent.assign(heights.size(), -1);
	plan.assign(heights.size(), 0);
	message_scale.resize(count);
	log_own_ms.resize(count);
	root.clear();
	num_nodes.resize(static_cast<Eigen::Index>(indices.size()));
	memory_column.clear();
	memory_plan.clear();
	std::vector<T> formulas;
	std::vector<T> all_copies;
	std::vector<int> columns;
	at = 0;
	for (const size_t index : indices) {
		const GraphPlan &from = data.plan(index);
		const int number = plans();
		columns.clear();
		for (int i = 0; i < from.num_nodes; i++) {
			const NodeFeatures &node = data.node(from, i);
			const int column = starts[KeyOf(heights[at++], node)]++;
			columns.push_back(column);
			PutFeatures(node, features.col(column).data());
			parent[static_cast<size_t>(column)] = i == 0 ? -1 : columns[static_cast<size_t>(node.parent)];
			plan[static_cast<size_t>(column)] = number;
			message_scale[column] = node.message_scale;
			log_own_ms[column] = node.log_own_ms;
		}
		for (int i = 0; i < from.num_operators; i++) {
			const int node = data.op(from, i).node;
			memory_column.push_back(columns[static_cast<size_t>(node)]);
			memory_plan.push_back(number);
			formulas.push_back(data.node(from, node).log_formula_kb);
			all_copies.push_back(data.node(from, node).copies);
		}
		num_nodes[number] = static_cast<T>(from.num_nodes);
		root.push_back(columns[0]);
	}
	log_formula_kb = Eigen::Map<const Vector<T>>(formulas.data(), static_cast<Eigen::Index>(formulas.size()));
	copies = Eigen::Map<const Vector<T>>(all_copies.data(), static_cast<Eigen::Index>(all_copies.size()));
}

template struct GraphBatch<float>;
template struct GraphBatch<double>;

}  // namespace wlm::trainer
