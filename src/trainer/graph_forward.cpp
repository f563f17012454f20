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

Column Leaky(const Column &values) { return values.array().max(values.array() * kLeak); }

/* One plan, node by node from the root down. */
class Recursion {
  public:
	Recursion(const float *parameters, const GraphData &data, const GraphPlan &plan)
		: parameters_(parameters), data_(data), plan_(plan)
	{
	}

	float LogMs()
	{
		const Column root = StateOf(0);
		Column pooled(2 * kHidden);
		pooled << root, sum_ / static_cast<float>(plan_.num_nodes);
		const Column e = (Part(parameters_, GraphPart::kRoot) * pooled + Part(parameters_, GraphPart::kRootBias)).array().tanh();
		const float correction = (Part(parameters_, GraphPart::kTimeCorrection).transpose() * e)(0, 0) +
			Part(parameters_, GraphPart::kTimeCorrectionBias)(0, 0);
		return std::log(ms_) + correction;
	}

  private:
	Column StateOf(int index)
	{
		const NodeFeatures &node = data_.node(plan_, index);
		Column f = Column::Zero(kNumNodeFeatures);
		for (uint64_t left = node.categories; left != 0; left &= left - 1)
			f[std::countr_zero(left)] = 1;
		std::copy(node.numbers.begin(), node.numbers.end(), f.data() + kNumCategories);
		const Column x = Leaky(Part(parameters_, GraphPart::kEncode) * f + Part(parameters_, GraphPart::kEncodeBias));
		Column update = Part(parameters_, GraphPart::kState) * x + Part(parameters_, GraphPart::kStateBias);
		for (int child = index + 1; child < plan_.num_nodes && data_.node(plan_, child).parent >= index; child++) {
			const NodeFeatures &below = data_.node(plan_, child);
			if (below.parent != index)
				continue;
			const int matrix = static_cast<int>(GraphPart::kOuter) + static_cast<int>(below.message);
			update += below.message_scale * (Part(parameters_, static_cast<GraphPart>(matrix)) * StateOf(child));
		}
		const Column h = x + Column(update.array().tanh());
		sum_ += h;
		const Column hidden = Leaky(Part(parameters_, GraphPart::kTimeHidden) * h + Part(parameters_, GraphPart::kTimeHiddenBias));
		ms_ += std::exp(node.log_own_ms + (Part(parameters_, GraphPart::kTimeOut).transpose() * hidden)(0, 0) +
		                Part(parameters_, GraphPart::kTimeOutBias)(0, 0));
		return h;
	}

	const float *parameters_;
	const GraphData &data_;
	const GraphPlan &plan_;
	Column sum_ = Column::Zero(kHidden);
	float ms_ = 0;
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

float GradientsByLevels(const float *parameters, const GraphData &data, std::span<const size_t> indices,
                        size_t plans_per_batch)
{
	GraphBatch<float> batch;
	GraphNetwork<float> network;
	GraphOutputs<float> by_outputs;
	Vector<float> gradient(kNumParameters);
	float checksum = 0;
	for (size_t begin = 0; begin < indices.size(); begin += plans_per_batch) {
		batch.Fill(data, indices.subspan(begin, std::min(plans_per_batch, indices.size() - begin)));
		network.Forward(parameters, batch);
		by_outputs.SetZero(batch);
		by_outputs.time.setOnes();
		by_outputs.memory.setOnes();
		network.Backward(parameters, batch, by_outputs, gradient.data());
		checksum += gradient.sum();
	}
	return checksum;
}

}  // namespace wlm::trainer
