/*
 * graph_network_test.cpp
 *
 * The network computed in three ways (by levels, by recursion, by the server's
 * walk) is one network, and its gradients are those of finite differences.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "trainer/graph_forward.hpp"
#include "unit/graph_plans.hpp"

namespace wlm {
namespace {

using test::MakePlan;
using test::SomeModel;
using trainer::GraphBatch;
using trainer::GraphData;
using trainer::GraphNetwork;
using trainer::GraphOutputs;
using trainer::Vector;

constexpr int kPlans = 24;

std::vector<std::unique_ptr<Sample>> SomeSamples()
{
	std::vector<std::unique_ptr<Sample>> samples;
	for (uint64_t i = 0; i < kPlans; i++) {
		samples.push_back(MakePlan(i, 1, 6));
		/* kinds of messages that the maker does not use */
		PlanGraph *graph = &samples.back()->graph;
		for (int16_t node = 1; node < graph->num_nodes; node++) {
			if ((node + static_cast<int>(i)) % 5 == 0)
				graph->nodes[node].role = NodeRole::kMember;
			if ((node + static_cast<int>(i)) % 7 == 0)
				graph->nodes[node].role = NodeRole::kSubPlan;
		}
	}
	return samples;
}

class GraphNetworkTest : public testing::Test {
  protected:
	void SetUp() override
	{
		for (const auto &sample : samples_)
			ASSERT_TRUE(data_.Add(*sample));
		std::iota(indices_.begin(), indices_.end(), size_t{0});
	}

	const std::vector<std::unique_ptr<Sample>> samples_ = SomeSamples();
	const std::unique_ptr<GraphModel> model_ = SomeModel(0.3f);
	GraphData data_;
	std::vector<size_t> indices_ = std::vector<size_t>(kPlans);
};

TEST_F(GraphNetworkTest, LevelsAndRecursionAgree)
{
	const std::vector<float> recursive = trainer::ForwardRecursively(model_->parameters, data_, indices_);
	for (const size_t batch : {size_t{1}, size_t{7}, size_t{kPlans}}) {
		const std::vector<float> levels = trainer::ForwardByLevels(model_->parameters, data_, indices_, batch);
		ASSERT_EQ(levels.size(), recursive.size());
		for (size_t i = 0; i < levels.size(); i++)
			EXPECT_NEAR(levels[i], recursive[i], 1e-4f) << "plan " << i << ", batches of " << batch;
	}
}

TEST_F(GraphNetworkTest, GradientsByLevelsAndByRecursionAgree)
{
	const std::vector<float> recursive = trainer::GradientsRecursively(model_->parameters, data_, indices_);
	const std::vector<float> levels = trainer::GradientsByLevels(model_->parameters, data_, indices_, 10);
	for (size_t i = 0; i < recursive.size(); i++)
		EXPECT_NEAR(levels[i], recursive[i], 1e-3f * std::max(1.0f, std::fabs(recursive[i]))) << "parameter " << i;
}

TEST_F(GraphNetworkTest, TheServerComputesTheSame)
{
	GraphBatch<float> batch;
	batch.Fill(data_, indices_);
	GraphNetwork<float> network;
	network.Forward(model_->parameters, batch);
	const auto forecast = std::make_unique<Forecast>();
	ModelView models;
	models.graph = model_.get();
	Eigen::Index op_index = 0;
	for (int i = 0; i < kPlans; i++) {
		const PlanGraph &graph = samples_[static_cast<size_t>(i)]->graph;
		AskGraph(models, graph, {4096, 2, true}, forecast.get());
		const ExpertAnswer &answer = forecast->answers[kGraphExpert];
		EXPECT_EQ(forecast->embedding_version, GraphModelVersion(*model_));
		EXPECT_NEAR(answer.time.mean, network.outputs().time[i], 1e-4f);
		EXPECT_NEAR(answer.query_memory.mean, network.outputs().query_memory[i], 1e-4f);
		EXPECT_NEAR(std::log(answer.time.data_variance), network.outputs().time_variance[i], 1e-4f);
		for (int k = 0; k < kEmbeddingSize; k++)
			EXPECT_NEAR(forecast->embedding.at[k], network.embeddings()(k, i), 1e-4f);
		for (int slot = 0; slot < graph.num_memory_nodes; slot++, op_index++) {
			EXPECT_NEAR(answer.memory[slot].mean, network.outputs().memory[op_index], 1e-4f);
			for (int k = 0; k < kEmbeddingSize; k++)
				EXPECT_NEAR(forecast->operator_embedding[slot].at[k], network.operator_embeddings()(k, op_index),
				            1e-4f);
		}
	}
}

/* A loss that depends on every output, linearly with fixed weights. */
struct LinearLoss {
	GraphOutputs<double> by_outputs;

	explicit LinearLoss(const GraphBatch<double> &batch)
	{
		trainer::Random random(9);
		by_outputs.SetZero(batch);
		for (Vector<double> *by : {&by_outputs.time, &by_outputs.time_variance, &by_outputs.query_memory,
		                           &by_outputs.query_variance, &by_outputs.memory, &by_outputs.memory_variance})
			for (double &weight : *by)
				weight = static_cast<double>(random.Uniform()) + 0.5;
	}
	/* Means teach everything but through the sum of operators' memory; variances only their rows. */
	double Means(const GraphNetwork<double> &network) const
	{
		const GraphOutputs<double> &outputs = network.outputs();
		return by_outputs.time.dot(outputs.time) + by_outputs.memory.dot(outputs.memory) +
			by_outputs.query_memory.dot(outputs.query_memory - network.summed_memory());
	}
	double Variances(const GraphNetwork<double> &network) const
	{
		const GraphOutputs<double> &outputs = network.outputs();
		return by_outputs.time_variance.dot(outputs.time_variance) +
			by_outputs.query_variance.dot(outputs.query_variance) +
			by_outputs.memory_variance.dot(outputs.memory_variance);
	}
};

bool IsVariance(GraphPart part)
{
	return part == GraphPart::kMemoryVariance || part == GraphPart::kMemoryVarianceBias ||
		part == GraphPart::kTimeVariance || part == GraphPart::kTimeVarianceBias || part == GraphPart::kQueryVariance ||
		part == GraphPart::kQueryVarianceBias;
}

TEST_F(GraphNetworkTest, GradientsAreThoseOfFiniteDifferences)
{
	std::vector<double> parameters(model_->parameters, model_->parameters + kNumParameters);
	GraphBatch<double> batch;
	batch.Fill(data_, std::span(indices_).first(8));
	const LinearLoss loss(batch);
	GraphNetwork<double> network;
	std::vector<double> gradient(kNumParameters, 1e9);
	network.Forward(parameters.data(), batch);
	network.Backward(parameters.data(), batch, loss.by_outputs, gradient.data());

	constexpr double kDelta = 1e-6; /* so small that no sum crosses the kink of leaky() */
	for (size_t p = 0; p < kNumGraphParts; p++) {
		const auto part = static_cast<GraphPart>(p);
		const int count = ShapeOf(part).rows * ShapeOf(part).columns;
		double largest = 0;
		for (int i = 0; i < count; i += std::max(count / 97, 1)) {
			double *parameter = &parameters[static_cast<size_t>(OffsetOf(part) + i)];
			const double kept = *parameter;
			double values[2];
			for (int side = 0; side < 2; side++) {
				*parameter = kept + (side == 0 ? -kDelta : kDelta);
				network.Forward(parameters.data(), batch);
				values[side] = IsVariance(part) ? loss.Variances(network) : loss.Means(network);
			}
			*parameter = kept;
			const double expected = (values[1] - values[0]) / (2 * kDelta);
			EXPECT_NEAR(gradient[static_cast<size_t>(OffsetOf(part) + i)], expected,
			            1e-5 * std::max(1.0, std::fabs(expected)))
				<< "part " << p << ", number " << i;
			largest = std::max(largest, std::fabs(expected));
		}
		EXPECT_GT(largest, 1e-4) << "part " << p << " is not reached at all";
	}
}

}  // namespace
}  // namespace wlm
