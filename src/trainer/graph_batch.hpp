/*
 * graph_batch.hpp
 *
 * Many plans as one: their nodes sorted by height above the leaves and, within
 * a height, by the kind of message they send. Every such block then goes through
 * one matrix product, however many plans there are; no product knows of a plan.
 */
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <Eigen/Core>

#include "trainer/graph_data.hpp"

namespace wlm::trainer {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
template <class T>
using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;

/* Columns [begin, end) of one height that send messages of one kind. */
struct GraphBlock {
	int begin;
	int end;
	MessageKind message;
};

template <class T>
struct GraphBatch {
	Matrix<T> features;             /* kNumNodeFeatures x nodes */
	std::vector<GraphBlock> blocks; /* leaves first */
	std::vector<int> level_end;     /* per height: the column behind its last */
	std::vector<int> parent;        /* per node: column of its parent, -1 for a root */
	std::vector<int> plan;          /* per node */
	Vector<T> message_scale;        /* per node */
	Vector<T> log_own_ms;           /* per node */
	std::vector<int> root;          /* per plan: column */
	Vector<T> num_nodes;            /* per plan */
	std::vector<int> memory_column; /* per operator, in the order of plans and their operators */
	std::vector<int> memory_plan;
	Vector<T> log_formula_kb;
	Vector<T> copies;

	int nodes() const { return static_cast<int>(parent.size()); }
	int plans() const { return static_cast<int>(root.size()); }
	int operators() const { return static_cast<int>(memory_column.size()); }

	void Fill(const GraphData &data, std::span<const size_t> indices);
};

extern template struct GraphBatch<float>;
extern template struct GraphBatch<double>;

}  // namespace wlm::trainer
