/*
 * graph_network.cpp
 *
 * See graph_network.hpp and core/predict/graph_parameters.hpp.
 */
#include "trainer/graph_network.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/predict/log_scale.hpp"

namespace wlm::trainer {

namespace {

template <class T>
Eigen::Map<const Matrix<T>> Part(const T *parameters, GraphPart part)
{
	return {parameters + OffsetOf(part), ShapeOf(part).rows, ShapeOf(part).columns};
}

template <class T>
Eigen::Map<Matrix<T>> Part(T *gradient, GraphPart part)
{
	return {gradient + OffsetOf(part), ShapeOf(part).rows, ShapeOf(part).columns};
}

GraphPart MatrixOf(MessageKind message)
{
	return static_cast<GraphPart>(static_cast<int>(GraphPart::kOuter) + static_cast<int>(message));
}

template <class T>
void Leak(Matrix<T> *values)
{
	values->array() = values->array().max(values->array() * static_cast<T>(kLeak));
}

/* leaky() keeps the sign, so its slope can be read off its value. */
template <class T>
Matrix<T> ThroughLeak(const Matrix<T> &by_value, const Matrix<T> &value)
{
	return (value.array() >= 0).select(by_value, by_value * static_cast<T>(kLeak));
}

template <class T>
Matrix<T> ThroughTanh(const Matrix<T> &by_value, const Matrix<T> &value)
{
	return by_value.array() * (1 - value.array().square());
}

/* bias + row . values, per column. */
template <class T>
Vector<T> Row(const T *parameters, GraphPart row, GraphPart bias, const Matrix<T> &values)
{
	return (values.transpose() * Part(parameters, row).col(0)).array() + Part(parameters, bias)(0, 0);
}

template <class T>
void RowGradient(const Vector<T> &by_output, const Matrix<T> &values, GraphPart row, GraphPart bias, T *gradient)
{
	Part(gradient, row).col(0).noalias() = values * by_output;
	Part(gradient, bias)(0, 0) = by_output.sum();
}

}  // namespace

template <class T>
void GraphOutputs<T>::SetZero(const GraphBatch<T> &batch)
{
	for (Vector<T> *per_plan : {&time, &time_variance, &query_memory, &query_variance})
		per_plan->setZero(batch.plans());
	memory.setZero(batch.operators());
	memory_variance.setZero(batch.operators());
}

template <class T>
void GraphNetwork<T>::ForwardStates(const T *parameters, const GraphBatch<T> &batch)
{
	encoded_.noalias() = Part(parameters, GraphPart::kEncode) * batch.features;
	encoded_.colwise() += Part(parameters, GraphPart::kEncodeBias).col(0);
	Leak(&encoded_);
	updates_.noalias() = Part(parameters, GraphPart::kState) * encoded_;
	updates_.colwise() += Part(parameters, GraphPart::kStateBias).col(0);
	states_.resize(kHidden, batch.nodes());
	Matrix<T> messages;
	for (const GraphBlock &block : batch.blocks) {
		const int width = block.end - block.begin;
		updates_.middleCols(block.begin, width) = updates_.middleCols(block.begin, width).array().tanh();
		states_.middleCols(block.begin, width) =
			encoded_.middleCols(block.begin, width) + updates_.middleCols(block.begin, width);
		if (block.message == MessageKind::kNone)
			continue;
		messages.noalias() = Part(parameters, MatrixOf(block.message)) * states_.middleCols(block.begin, width);
		for (int i = 0; i < width; i++)
			updates_.col(batch.parent[static_cast<size_t>(block.begin + i)]) +=
				batch.message_scale[block.begin + i] * messages.col(i);
	}
}

template <class T>
void GraphNetwork<T>::ForwardTime(const T *parameters, const GraphBatch<T> &batch)
{
	time_hidden_.noalias() = Part(parameters, GraphPart::kTimeHidden) * states_;
	time_hidden_.colwise() += Part(parameters, GraphPart::kTimeHiddenBias).col(0);
	Leak(&time_hidden_);
	log_times_ = batch.log_own_ms + Row(parameters, GraphPart::kTimeOut, GraphPart::kTimeOutBias, time_hidden_);

	Vector<T> largest = Vector<T>::Constant(batch.plans(), -std::numeric_limits<T>::max());
	for (int i = 0; i < batch.nodes(); i++) {
		T *most = &largest[batch.plan[static_cast<size_t>(i)]];
		*most = std::max(*most, log_times_[i]);
	}
	log_sums_.setZero(batch.plans());
	for (int i = 0; i < batch.nodes(); i++) {
		const int plan = batch.plan[static_cast<size_t>(i)];
		log_sums_[plan] += std::exp(log_times_[i] - largest[plan]);
	}
	log_sums_ = log_sums_.array().log() + largest.array();
}

template <class T>
void GraphNetwork<T>::ForwardMemory(const T *parameters, const GraphBatch<T> &batch)
{
	memory_states_.resize(kHidden, batch.operators());
	for (int i = 0; i < batch.operators(); i++)
		memory_states_.col(i) = states_.col(batch.memory_column[static_cast<size_t>(i)]);
	memory_embedding_.noalias() = Part(parameters, GraphPart::kMemoryHidden) * memory_states_;
	memory_embedding_.colwise() += Part(parameters, GraphPart::kMemoryHiddenBias).col(0);
	memory_embedding_ = memory_embedding_.array().tanh();
	outputs_.memory =
		batch.log_formula_kb + Row(parameters, GraphPart::kMemoryOut, GraphPart::kMemoryOutBias, memory_embedding_);
	outputs_.memory_variance =
		Row(parameters, GraphPart::kMemoryVariance, GraphPart::kMemoryVarianceBias, memory_embedding_);

	query_base_.setConstant(batch.plans(), static_cast<T>(kQueryBaseKb));
	for (int i = 0; i < batch.operators(); i++) {
		const T log_kb = std::clamp(outputs_.memory[i], static_cast<T>(kLeastLogKb), static_cast<T>(kMostLogKb));
		query_base_[batch.memory_plan[static_cast<size_t>(i)]] += batch.copies[i] * std::exp(log_kb);
	}
	query_base_ = query_base_.array().log();
}

template <class T>
void GraphNetwork<T>::ForwardPlans(const T *parameters, const GraphBatch<T> &batch)
{
	pooled_.setZero(2 * kHidden, batch.plans());
	for (int i = 0; i < batch.nodes(); i++)
		pooled_.col(batch.plan[static_cast<size_t>(i)]).tail(kHidden) += states_.col(i);
	for (int i = 0; i < batch.plans(); i++) {
		pooled_.col(i).tail(kHidden) /= batch.num_nodes[i];
		pooled_.col(i).head(kHidden) = states_.col(batch.root[static_cast<size_t>(i)]);
	}
	embedding_.noalias() = Part(parameters, GraphPart::kRoot) * pooled_;
	embedding_.colwise() += Part(parameters, GraphPart::kRootBias).col(0);
	embedding_ = embedding_.array().tanh();
	outputs_.time = log_sums_ + Row(parameters, GraphPart::kTimeCorrection, GraphPart::kTimeCorrectionBias, embedding_);
	outputs_.time_variance = Row(parameters, GraphPart::kTimeVariance, GraphPart::kTimeVarianceBias, embedding_);
	outputs_.query_memory =
		query_base_ + Row(parameters, GraphPart::kQueryCorrection, GraphPart::kQueryCorrectionBias, embedding_);
	outputs_.query_variance = Row(parameters, GraphPart::kQueryVariance, GraphPart::kQueryVarianceBias, embedding_);
}

template <class T>
void GraphNetwork<T>::Forward(const T *parameters, const GraphBatch<T> &batch)
{
	ForwardStates(parameters, batch);
	ForwardTime(parameters, batch);
	ForwardMemory(parameters, batch);
	ForwardPlans(parameters, batch);
}

template <class T>
void GraphNetwork<T>::BackwardPlans(const T *parameters, const GraphBatch<T> &batch, const GraphOutputs<T> &by_outputs,
                                    T *gradient)
{
	RowGradient(by_outputs.time, embedding_, GraphPart::kTimeCorrection, GraphPart::kTimeCorrectionBias, gradient);
	RowGradient(by_outputs.time_variance, embedding_, GraphPart::kTimeVariance, GraphPart::kTimeVarianceBias, gradient);
	RowGradient(by_outputs.query_memory, embedding_, GraphPart::kQueryCorrection, GraphPart::kQueryCorrectionBias,
	            gradient);
	RowGradient(by_outputs.query_variance, embedding_, GraphPart::kQueryVariance, GraphPart::kQueryVarianceBias,
	            gradient);

	const Matrix<T> by_embedding = Part(parameters, GraphPart::kTimeCorrection).col(0) * by_outputs.time.transpose() +
		Part(parameters, GraphPart::kQueryCorrection).col(0) * by_outputs.query_memory.transpose();
	const Matrix<T> by_sum = ThroughTanh(by_embedding, embedding_);
	Part(gradient, GraphPart::kRoot).noalias() = by_sum * pooled_.transpose();
	Part(gradient, GraphPart::kRootBias).col(0) = by_sum.rowwise().sum();

	Matrix<T> by_pooled = Part(parameters, GraphPart::kRoot).transpose() * by_sum;
	for (int i = 0; i < batch.plans(); i++)
		by_pooled.col(i).tail(kHidden) /= batch.num_nodes[i];
	by_states_.resize(kHidden, batch.nodes());
	for (int i = 0; i < batch.nodes(); i++)
		by_states_.col(i) = by_pooled.col(batch.plan[static_cast<size_t>(i)]).tail(kHidden);
	for (int i = 0; i < batch.plans(); i++)
		by_states_.col(batch.root[static_cast<size_t>(i)]) += by_pooled.col(i).head(kHidden);
}

template <class T>
void GraphNetwork<T>::BackwardTime(const T *parameters, const GraphBatch<T> &batch, const GraphOutputs<T> &by_outputs,
                                   T *gradient)
{
	/* a node's part of the sum is its part of the derivative */
	Vector<T> by_log_times(batch.nodes());
	for (int i = 0; i < batch.nodes(); i++) {
		const int plan = batch.plan[static_cast<size_t>(i)];
		by_log_times[i] = by_outputs.time[plan] * std::exp(log_times_[i] - log_sums_[plan]);
	}
	RowGradient(by_log_times, time_hidden_, GraphPart::kTimeOut, GraphPart::kTimeOutBias, gradient);
	const Matrix<T> by_hidden = Part(parameters, GraphPart::kTimeOut).col(0) * by_log_times.transpose();
	const Matrix<T> by_sum = ThroughLeak(by_hidden, time_hidden_);
	Part(gradient, GraphPart::kTimeHidden).noalias() = by_sum * states_.transpose();
	Part(gradient, GraphPart::kTimeHiddenBias).col(0) = by_sum.rowwise().sum();
	by_states_.noalias() += Part(parameters, GraphPart::kTimeHidden).transpose() * by_sum;
}

template <class T>
void GraphNetwork<T>::BackwardMemory(const T *parameters, const GraphBatch<T> &batch, const GraphOutputs<T> &by_outputs,
                                     T *gradient)
{
	RowGradient(by_outputs.memory, memory_embedding_, GraphPart::kMemoryOut, GraphPart::kMemoryOutBias, gradient);
	RowGradient(by_outputs.memory_variance, memory_embedding_, GraphPart::kMemoryVariance,
	            GraphPart::kMemoryVarianceBias, gradient);
	const Matrix<T> by_embedding = Part(parameters, GraphPart::kMemoryOut).col(0) * by_outputs.memory.transpose();
	const Matrix<T> by_sum = ThroughTanh(by_embedding, memory_embedding_);
	Part(gradient, GraphPart::kMemoryHidden).noalias() = by_sum * memory_states_.transpose();
	Part(gradient, GraphPart::kMemoryHiddenBias).col(0) = by_sum.rowwise().sum();
	const Matrix<T> by_memory_states = Part(parameters, GraphPart::kMemoryHidden).transpose() * by_sum;
	for (int i = 0; i < batch.operators(); i++)
		by_states_.col(batch.memory_column[static_cast<size_t>(i)]) += by_memory_states.col(i);
}

template <class T>
void GraphNetwork<T>::BackwardStates(const T *parameters, const GraphBatch<T> &batch, T *gradient)
{
	by_updates_.resize(kHidden, batch.nodes());
	for (int kind = 0; kind < kNumMessageKinds; kind++)
		Part(gradient, MatrixOf(static_cast<MessageKind>(kind))).setZero();
	/* parents stand higher, so that what comes back to a block is complete when it is its turn */
	for (auto block = batch.blocks.rbegin(); block != batch.blocks.rend(); ++block) {
		const int width = block->end - block->begin;
		auto by_states = by_states_.middleCols(block->begin, width);
		const auto states = states_.middleCols(block->begin, width);
		if (block->message != MessageKind::kNone) {
			by_messages_.resize(kHidden, width);
			for (int i = 0; i < width; i++)
				by_messages_.col(i) = batch.message_scale[block->begin + i] *
					by_updates_.col(batch.parent[static_cast<size_t>(block->begin + i)]);
			const GraphPart matrix = MatrixOf(block->message);
			by_states.noalias() += Part(parameters, matrix).transpose() * by_messages_;
			Part(gradient, matrix).noalias() += by_messages_ * states.transpose();
		}
		by_updates_.middleCols(block->begin, width) =
			by_states.array() * (1 - updates_.middleCols(block->begin, width).array().square());
	}
	Part(gradient, GraphPart::kState).noalias() = by_updates_ * encoded_.transpose();
	Part(gradient, GraphPart::kStateBias).col(0) = by_updates_.rowwise().sum();
	by_states_.noalias() += Part(parameters, GraphPart::kState).transpose() * by_updates_;
	const Matrix<T> by_encoded = ThroughLeak(by_states_, encoded_);
	Part(gradient, GraphPart::kEncode).noalias() = by_encoded * batch.features.transpose();
	Part(gradient, GraphPart::kEncodeBias).col(0) = by_encoded.rowwise().sum();
}

template <class T>
void GraphNetwork<T>::Backward(const T *parameters, const GraphBatch<T> &batch, const GraphOutputs<T> &by_outputs,
                               T *gradient)
{
	BackwardPlans(parameters, batch, by_outputs, gradient);
	BackwardTime(parameters, batch, by_outputs, gradient);
	BackwardMemory(parameters, batch, by_outputs, gradient);
	BackwardStates(parameters, batch, gradient);
}

template struct GraphOutputs<float>;
template struct GraphOutputs<double>;
template class GraphNetwork<float>;
template class GraphNetwork<double>;

}  // namespace wlm::trainer
