/*
 * graph_network.hpp
 *
 * The network of core/predict/graph_parameters.hpp for a batch of plans, forwards
 * and backwards, level by level. In float to train, in double to check gradients.
 *
 * Gradients of variances reach only the variances' own rows: what is uncertain
 * shall not bend what is predicted. Likewise the memory of the whole query
 * teaches its own correction, not the operators it is summed from.
 */
#pragma once

#include "trainer/graph_batch.hpp"

namespace wlm::trainer {

/* Predictions, or the loss's derivatives by them. Natural logarithms throughout. */
template <class T>
struct GraphOutputs {
	Vector<T> time; /* per plan */
	Vector<T> time_variance;
	Vector<T> query_memory;
	Vector<T> query_variance;
	Vector<T> memory; /* per operator */
	Vector<T> memory_variance;

	void SetZero(const GraphBatch<T> &batch);
};

template <class T>
class GraphNetwork {
  public:
	/* `parameters`: kNumParameters of them. */
	void Forward(const T *parameters, const GraphBatch<T> &batch);
	const GraphOutputs<T> &outputs() const { return outputs_; }
	const Matrix<T> &embeddings() const { return embedding_; }                 /* kEmbeddingSize x plans */
	const Matrix<T> &operator_embeddings() const { return memory_embedding_; } /* kEmbeddingSize x operators */
	const Vector<T> &summed_memory() const { return query_base_; } /* per plan: query memory before its correction */

	/* After Forward() of the same batch and parameters. Sets all of `gradient`. */
	void Backward(const T *parameters, const GraphBatch<T> &batch, const GraphOutputs<T> &by_outputs, T *gradient);

  private:
	void ForwardStates(const T *parameters, const GraphBatch<T> &batch);
	void ForwardMemory(const T *parameters, const GraphBatch<T> &batch);
	void ForwardTime(const T *parameters, const GraphBatch<T> &batch);
	void ForwardPlans(const T *parameters, const GraphBatch<T> &batch);
	void BackwardPlans(const T *parameters, const GraphBatch<T> &batch, const GraphOutputs<T> &by_outputs, T *gradient);
	void BackwardTime(const T *parameters, const GraphBatch<T> &batch, const GraphOutputs<T> &by_outputs, T *gradient);
	void BackwardMemory(const T *parameters, const GraphBatch<T> &batch, const GraphOutputs<T> &by_outputs,
	                    T *gradient);
	void BackwardStates(const T *parameters, const GraphBatch<T> &batch, T *gradient);

	GraphOutputs<T> outputs_;
	Matrix<T> encoded_;       /* x, kHidden x nodes */
	Matrix<T> updates_;       /* the tanh of states; before it is taken, what it is taken of */
	Matrix<T> states_;        /* h */
	Matrix<T> time_hidden_;   /* kReadout x nodes */
	Vector<T> log_times_;     /* r, per node */
	Vector<T> log_sums_;      /* per plan */
	Matrix<T> memory_states_; /* kHidden x operators */
	Matrix<T> memory_embedding_;
	Matrix<T> pooled_; /* [h_root; mean of h], per plan */
	Matrix<T> embedding_;
	Vector<T> query_base_;
	Matrix<T> by_states_; /* the loss's derivatives */
	Matrix<T> by_updates_;
	Matrix<T> by_messages_;
};

extern template class GraphNetwork<float>;
extern template class GraphNetwork<double>;

}  // namespace wlm::trainer
