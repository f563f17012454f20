/*
 * graph_forward.cpp
 *
 * See graph_forward.hpp.
 */
#include "trainer/graph_forward.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace wlm::trainer {

namespace {

using Column = Eigen::Matrix<float, Eigen::Dynamic, 1>;

Eigen::Map<const Matrix<float>> Part(const float *parameters, GraphPart part)
{
	return {parameters + OffsetOf(part), ShapeOf(part).rows, ShapeOf(part).columns};
}

GraphPart MatrixOf(MessageKind message)
{
	return static_cast<GraphPart>(static_cast<int>(GraphPart::kOuter) + static_cast<int>(message));
}

Column Leaky(const Column &values) { return values.array().max(values.array() * kLeak); }

/* One plan, node by node from the root down. */
class Recursion {
  public:
	Recursion(const float *parameters, const GraphData &data, const GraphPlan &plan)
		: parameters_(parameters), data_(data), plan_(plan), nodes_(static_cast<size_t>(plan.num_nodes))
	{
		Up(0);
		pooled_.resize(2 * kHidden);
		pooled_ << nodes_[0].state, sum_ / static_cast<float>(plan_.num_nodes);
		e_ = (Part(parameters_, GraphPart::kRoot) * pooled_ + Part(parameters_, GraphPart::kRootBias)).array().tanh();
	}

	float LogMs() const
	{
		return std::log(ms_) + Part(parameters_, GraphPart::kTimeCorrection).col(0).dot(e_) +
			Part(parameters_, GraphPart::kTimeCorrectionBias)(0, 0);
	}

	void AddGradient(float *gradient)
	{
		gradient_ = gradient;
		const Column one = Column::Ones(1);
		Add(GraphPart::kTimeCorrection, e_, one);
		Add(GraphPart::kTimeCorrectionBias, one, one);
		const Column by_sum = Part(parameters_, GraphPart::kTimeCorrection).col(0).array() * (1 - e_.array().square());
		Add(GraphPart::kRoot, by_sum, pooled_);
		Add(GraphPart::kRootBias, by_sum, one);
		const Column by_pooled = Part(parameters_, GraphPart::kRoot).transpose() * by_sum;
		by_mean_ = by_pooled.tail(kHidden) / static_cast<float>(plan_.num_nodes);
		Down(0, by_pooled.head(kHidden));
	}

  private:
	struct Node {
		Column features;
		Column encoded;
		Column update;
		Column state;
		Column time_hidden;
		Column memory_embedding;
		float ms;
	};

	template <class Visit>
	void ForChildren(int index, Visit visit) const
	{
		for (int child = index + 1; child < plan_.num_nodes && data_.node(plan_, child).parent >= index; child++)
			if (data_.node(plan_, child).parent == index)
				visit(child, data_.node(plan_, child));
	}

	void Up(int index)
	{
		const NodeFeatures &from = data_.node(plan_, index);
		Node &node = nodes_[static_cast<size_t>(index)];
		node.features = Column::Zero(kNumNodeFeatures);
		for (uint64_t left = from.categories; left != 0; left &= left - 1)
			node.features[std::countr_zero(left)] = 1;
		std::copy(from.numbers.begin(), from.numbers.end(), node.features.data() + kNumCategories);
		node.encoded =
			Leaky(Part(parameters_, GraphPart::kEncode) * node.features + Part(parameters_, GraphPart::kEncodeBias));
		node.update = Part(parameters_, GraphPart::kState) * node.encoded + Part(parameters_, GraphPart::kStateBias);
		ForChildren(index, [&](int child, const NodeFeatures &below) {
			Up(child);
			node.update += below.message_scale *
				(Part(parameters_, MatrixOf(below.message)) * nodes_[static_cast<size_t>(child)].state);
		});
		node.update = node.update.array().tanh();
		node.state = node.encoded + node.update;
		sum_ += node.state;
		node.time_hidden = Leaky(Part(parameters_, GraphPart::kTimeHidden) * node.state +
		                         Part(parameters_, GraphPart::kTimeHiddenBias));
		node.ms = std::exp(from.log_own_ms + Part(parameters_, GraphPart::kTimeOut).col(0).dot(node.time_hidden) +
		                   Part(parameters_, GraphPart::kTimeOutBias)(0, 0));
		ms_ += node.ms;
		if (from.memory_slot >= 0)
			node.memory_embedding = (Part(parameters_, GraphPart::kMemoryHidden) * node.state +
			                         Part(parameters_, GraphPart::kMemoryHiddenBias))
										.array()
										.tanh();
	}

	void Add(GraphPart part, const Column &by_result, const Column &input)
	{
		Eigen::Map<Matrix<float>>(gradient_ + OffsetOf(part), by_result.size(), input.size()).noalias() +=
			by_result * input.transpose();
	}

	/* `by_state`: what the parent makes of it. */
	void Down(int index, Column by_state)
	{
		const Column one = Column::Ones(1);
		const Node &node = nodes_[static_cast<size_t>(index)];
		by_state += by_mean_;
		const float by_log_time = node.ms / ms_;
		Add(GraphPart::kTimeOut, node.time_hidden * by_log_time, one);
		Add(GraphPart::kTimeOutBias, one * by_log_time, one);
		const Column by_hidden = Part(parameters_, GraphPart::kTimeOut).col(0) * by_log_time;
		const Column by_time_sum = (node.time_hidden.array() >= 0).select(by_hidden, by_hidden * kLeak);
		Add(GraphPart::kTimeHidden, by_time_sum, node.state);
		Add(GraphPart::kTimeHiddenBias, by_time_sum, one);
		by_state += Part(parameters_, GraphPart::kTimeHidden).transpose() * by_time_sum;
		if (node.memory_embedding.size() > 0) {
			Add(GraphPart::kMemoryOut, node.memory_embedding, one);
			Add(GraphPart::kMemoryOutBias, one, one);
			const Column by_sum =
				Part(parameters_, GraphPart::kMemoryOut).col(0).array() * (1 - node.memory_embedding.array().square());
			Add(GraphPart::kMemoryHidden, by_sum, node.state);
			Add(GraphPart::kMemoryHiddenBias, by_sum, one);
			by_state += Part(parameters_, GraphPart::kMemoryHidden).transpose() * by_sum;
		}
		const Column by_update = by_state.array() * (1 - node.update.array().square());
		ForChildren(index, [&](int child, const NodeFeatures &below) {
			const Column by_message = by_update * below.message_scale;
			Add(MatrixOf(below.message), by_message, nodes_[static_cast<size_t>(child)].state);
			Down(child, Part(parameters_, MatrixOf(below.message)).transpose() * by_message);
		});
		Add(GraphPart::kState, by_update, node.encoded);
		Add(GraphPart::kStateBias, by_update, one);
		const Column by_encoded = by_state + Part(parameters_, GraphPart::kState).transpose() * by_update;
		const Column by_sum = (node.encoded.array() >= 0).select(by_encoded, by_encoded * kLeak);
		Add(GraphPart::kEncode, by_sum, node.features);
		Add(GraphPart::kEncodeBias, by_sum, one);
	}

	const float *parameters_;
	const GraphData &data_;
	const GraphPlan &plan_;
	std::vector<Node> nodes_;
	Column sum_ = Column::Zero(kHidden);
	Column pooled_;
	Column e_;
	Column by_mean_;
	float ms_ = 0;
	float *gradient_ = nullptr;
};

}  // namespace

std::vector<float> ForwardByLevels(const float *parameters, const GraphData &data, std::span<const size_t> indices,
                                   size_t plans_per_batch)
{
	std::vector<float> log_ms;
	GraphBatch<float> batch;
	GraphNetwork<float> network;
	for (size_t begin = 0; begin < indices.size(); begin += plans_per_batch) {
		batch.Fill(data, indices.subspan(begin, std::min(plans_per_batch, indices.size() - begin)));
		network.Forward(parameters, batch);
		const Vector<float> &time = network.outputs().time;
		log_ms.insert(log_ms.end(), time.data(), time.data() + time.size());
	}
	return log_ms;
}

std::vector<float> ForwardRecursively(const float *parameters, const GraphData &data, std::span<const size_t> indices)
{
	std::vector<float> log_ms;
	for (const size_t index : indices)
		log_ms.push_back(Recursion(parameters, data, data.plan(index)).LogMs());
	return log_ms;
}

std::vector<float> GradientsByLevels(const float *parameters, const GraphData &data, std::span<const size_t> indices,
                                     size_t plans_per_batch)
{
	GraphBatch<float> batch;
	GraphNetwork<float> network;
	GraphOutputs<float> by_outputs;
	std::vector<float> gradient(kNumParameters, 0.0f);
	Vector<float> of_batch(kNumParameters);
	for (size_t begin = 0; begin < indices.size(); begin += plans_per_batch) {
		batch.Fill(data, indices.subspan(begin, std::min(plans_per_batch, indices.size() - begin)));
		network.Forward(parameters, batch);
		by_outputs.SetZero(batch);
		by_outputs.time.setOnes();
		by_outputs.memory.setOnes();
		network.Backward(parameters, batch, by_outputs, of_batch.data());
		Eigen::Map<Vector<float>>(gradient.data(), kNumParameters) += of_batch;
	}
	return gradient;
}

std::vector<float> GradientsRecursively(const float *parameters, const GraphData &data, std::span<const size_t> indices)
{
	std::vector<float> gradient(kNumParameters, 0.0f);
	for (const size_t index : indices)
		Recursion(parameters, data, data.plan(index)).AddGradient(gradient.data());
	return gradient;
}

}  // namespace wlm::trainer
