/*
 * graph_train.cpp
 *
 * Minibatch Adam with decoupled weight decay over the level-batched network.
 * What is judged and kept is the running average of the parameters; the step
 * is halved when what was kept apart no longer improves, and after a few
 * halvings training ends with the best average. One thread, deterministic.
 */
#include "trainer/graph_train.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>

#include "core/predict/log_scale.hpp"
#include "trainer/limits.hpp"
#include "trainer/graph_loss.hpp"
#include "trainer/graph_random.hpp"
#include "trainer/graph_split.hpp"

namespace wlm::trainer {

namespace {

constexpr uint64_t kSplitSeed = 1;

constexpr size_t kLeastSamples = 16;
constexpr size_t kMostBatch = 64;
constexpr size_t kLeastBatch = 8;
constexpr size_t kBatchesPerRound = 16; /* smaller batches where there are few samples */
constexpr size_t kJudgeBatch = 256;
constexpr int kMostRounds = 300;
constexpr int kPatience = 8; /* rounds without improvement until the step is halved */
constexpr int kMostHalvings = 4;
constexpr double kLeastImprovement = 1e-4;
constexpr float kStep = 3e-3f;
constexpr float kFineStep = 1e-3f;     /* from a model that was trained before */
constexpr float kReadoutLimit = 0.02f; /* of first weights: PostgreSQL's arithmetic is where to start from */
constexpr float kMomentum = 0.9f;
constexpr float kSecondMomentum = 0.999f;
constexpr float kEpsilon = 1e-8f;
constexpr float kDecay = 0.01f;        /* of matrices, per step and unit of step length */
constexpr float kMostNorm = 5;         /* of a gradient */
constexpr float kAverageDecay = 0.98f; /* per batch */
constexpr float kMostSupport = 1000;
constexpr float kLeastModelVariance = 0.05f;
constexpr float kPriorModelVariance = 1.5f; /* of a kind of operator that was kept apart rarely or never */
constexpr float kPriorOperators = 8;        /* weight of that prior */
constexpr float kUnsplitVariance = 1;       /* where the same templates stood on both sides */
constexpr double kCaution = 0.5; /* standard deviations of what few templates can tell, and of having stopped by them */

using Parameters = Vector<float>;

/* Uniform after Glorot and Bengio (2010); what is read out starts near PostgreSQL's own arithmetic. */
void InitParameters(Random *random, float *parameters)
{
	for (size_t part = 0; part < kNumGraphParts; part++) {
		const PartShape shape = kPartShapes[part];
		float *at = parameters + OffsetOf(static_cast<GraphPart>(part));
		float limit = std::sqrt(6.0f / static_cast<float>(shape.rows + shape.columns));
		if (shape.columns == 1)
			limit = shape.rows == kReadout ? kReadoutLimit : 0.0f;
		for (int i = 0; i < shape.rows * shape.columns; i++)
			at[i] = limit * (2 * random->Uniform() - 1);
	}
}

void LearnRanges(const GraphData &data, const std::vector<size_t> &indices, bool anew, GraphModel *model)
{
	for (const size_t index : indices) {
		const GraphPlan &plan = data.plan(index);
		for (int i = 0; i < plan.num_nodes; i++) {
			const NodeFeatures &node = data.node(plan, i);
			model->known_categories |= node.categories;
			for (int number = 0; number < kNumNumbers; number++) {
				const float value = node.numbers[static_cast<size_t>(number)];
				model->least[number] = anew ? value : std::min(model->least[number], value);
				model->most[number] = anew ? value : std::max(model->most[number], value);
			}
			anew = false;
		}
	}
}

class Adam {
  public:
	Adam() : first_(Parameters::Zero(kNumParameters)), second_(first_), decay_(first_)
	{
		for (size_t part = 0; part < kNumGraphParts; part++) {
			const PartShape shape = kPartShapes[part];
			if (shape.columns > 1)
				decay_.segment(OffsetOf(static_cast<GraphPart>(part)), shape.rows * shape.columns).setConstant(kDecay);
		}
	}

	void Step(float step, Parameters *gradient, Parameters *parameters)
	{
		const float norm = gradient->norm();
		if (!std::isfinite(norm))
			return; /* one bad batch is no reason to lose the model */
		if (norm > kMostNorm)
			*gradient *= kMostNorm / norm;
		first_ = kMomentum * first_ + (1 - kMomentum) * *gradient;
		second_ = kSecondMomentum * second_.array() + (1 - kSecondMomentum) * gradient->array().square();
		first_power_ *= kMomentum;
		second_power_ *= kSecondMomentum;
		const float scale = step / (1 - first_power_);
		parameters->array() -= scale * first_.array() / ((second_.array() / (1 - second_power_)).sqrt() + kEpsilon) +
			step * decay_.array() * parameters->array();
	}

  private:
	Parameters first_;
	Parameters second_;
	Parameters decay_;
	float first_power_ = 1;
	float second_power_ = 1;
};

class GraphTrainer {
  public:
	GraphTrainer(GraphData *data, const Options &options);

	void Train(Report *report);
	const GraphModel &model() const { return *model_; }

  private:
	void Centre();
	void Round();
	GraphScore Judge(const Parameters &parameters, const std::vector<size_t> &indices);
	void Trust(const GraphScore &score);
	void Finish(const Parameters &best);
	bool IsOver() const { return SpentSeconds() - began_ > options_.seconds; }

	GraphData *data_;
	const Options &options_;
	const double began_ = SpentSeconds();
	Random random_;
	GraphSplit split_;
	std::vector<float> balance_; /* of split_.learn */
	std::vector<size_t> order_;  /* of split_.learn */
	std::unique_ptr<GraphModel> model_ = std::make_unique<GraphModel>();
	Parameters parameters_;
	Parameters average_;
	Parameters gradient_;
	Adam adam_;
	float step_ = kStep;
	GraphBatch<float> batch_;
	GraphNetwork<float> network_;
	GraphOutputs<float> by_outputs_;
};

GraphTrainer::GraphTrainer(GraphData *data, const Options &options)
	: data_(data), options_(options), random_(options.seed)
{
	if (data_->size() < kLeastSamples)
		throw std::runtime_error("the graph expert needs at least " + std::to_string(kLeastSamples) +
		                         " plans to learn from, not " + std::to_string(data_->size()));
	/* always the same templates apart: a model to go on from has not learned from them either */
	split_ = SplitGraphs(*data_, kSplitSeed);
	if (split_.learn.empty() || split_.apart.empty())
		throw std::runtime_error("too few different plans to learn from and to judge by");
	InitGraphModel(model_.get());
	const bool anew = options_.start.empty();
	if (anew) {
		InitParameters(&random_, model_->parameters);
	} else {
		if (!GraphModelIsSane(options_.start))
			throw std::runtime_error("the model to go on from is no sane graph model of this version");
		std::memcpy(static_cast<void *>(model_.get()), options_.start.data(), sizeof(GraphModel));
		step_ = kFineStep;
	}
	LearnRanges(*data_, split_.learn, anew, model_.get());
	data_->ClampAll(*model_);
	parameters_ = Eigen::Map<const Parameters>(model_->parameters, kNumParameters);
	gradient_.resize(kNumParameters);
	balance_ = BalancedWeights(*data_, split_.learn);
	for (size_t i = 0; i < split_.learn.size(); i++)
		order_.push_back(i);
	if (anew)
		Centre();
	average_ = parameters_;
}

float Median(std::vector<float> *values)
{
	if (values->empty())
		return 0;
	const auto middle = values->begin() + static_cast<std::ptrdiff_t>(values->size() / 2);
	std::nth_element(values->begin(), middle, values->end());
	return *middle;
}

/* Starts from PostgreSQL's arithmetic at the machine's own exchange rate. */
void GraphTrainer::Centre()
{
	std::vector<float> time;
	std::vector<float> memory;
	for (size_t begin = 0; begin < split_.learn.size(); begin += kJudgeBatch) {
		const auto indices = std::span(split_.learn).subspan(begin, std::min(kJudgeBatch, split_.learn.size() - begin));
		batch_.Fill(*data_, indices);
		network_.Forward(parameters_.data(), batch_);
		Eigen::Index op_index = 0;
		for (size_t i = 0; i < indices.size(); i++) {
			const GraphPlan &plan = data_->plan(indices[i]);
			if (plan.time.is_known)
				time.push_back(plan.time.value - network_.outputs().time[static_cast<Eigen::Index>(i)]);
			for (int slot = 0; slot < plan.num_operators; slot++, op_index++)
				if (data_->op(plan, slot).need.is_known)
					memory.push_back(data_->op(plan, slot).need.value - network_.outputs().memory[op_index]);
		}
	}
	parameters_[OffsetOf(GraphPart::kTimeOutBias)] += Median(&time);
	parameters_[OffsetOf(GraphPart::kMemoryOutBias)] += Median(&memory);
}

void GraphTrainer::Round()
{
	const size_t size = std::clamp(order_.size() / kBatchesPerRound, kLeastBatch, kMostBatch);
	random_.Shuffle(&order_);
	std::vector<size_t> indices;
	std::vector<float> weights;
	for (size_t begin = 0; begin < order_.size() && !IsOver(); begin += size) {
		const size_t end = std::min(begin + size, order_.size());
		indices.clear();
		weights.clear();
		for (size_t i = begin; i < end; i++) {
			indices.push_back(split_.learn[order_[i]]);
			weights.push_back(balance_[order_[i]]);
		}
		batch_.Fill(*data_, indices);
		network_.Forward(parameters_.data(), batch_);
		by_outputs_.SetZero(batch_);
		GraphLoss(*data_, indices, weights, network_.outputs(), &by_outputs_, nullptr);
		network_.Backward(parameters_.data(), batch_, by_outputs_, gradient_.data());
		adam_.Step(step_, &gradient_, &parameters_);
		average_ += (1 - kAverageDecay) * (parameters_ - average_);
	}
}

GraphScore GraphTrainer::Judge(const Parameters &parameters, const std::vector<size_t> &indices)
{
	GraphScore score;
	const std::vector<float> weights = BalancedWeights(*data_, indices);
	for (size_t begin = 0; begin < indices.size(); begin += kJudgeBatch) {
		const size_t count = std::min(kJudgeBatch, indices.size() - begin);
		const auto some = std::span(indices).subspan(begin, count);
		batch_.Fill(*data_, some);
		network_.Forward(parameters.data(), batch_);
		GraphLoss(*data_, some, std::span(weights).subspan(begin, count), network_.outputs(), nullptr, &score);
	}
	return score;
}

/*
 * What is wrong beyond what the variances admit, on templates that were kept apart; plus what so
 * few of them may be mistaken by: the variance of a mean of n squares is 2 / n of its square.
 */
float Unexplained(const GraphTermScore &score, double templates)
{
	const double square = score.squares / std::max(score.known, 1.0);
	const double excess = square - score.variance / std::max(score.known, 1.0);
	const double doubt = kCaution * square * std::sqrt(2 / std::max(templates, 1.0));
	return std::clamp(static_cast<float>(excess + doubt), kLeastModelVariance, kMostVariance);
}

void GraphTrainer::Trust(const GraphScore &score)
{
	float known_time = 0;
	float known_query = 0;
	std::array<float, kNumMemoryClasses> known_memory = {};
	for (const size_t index : split_.learn) {
		const GraphPlan &plan = data_->plan(index);
		known_time += plan.time.is_known ? plan.weight : 0;
		known_query += plan.query_memory.is_known ? plan.weight : 0;
		for (int i = 0; i < plan.num_operators; i++)
			if (data_->op(plan, i).need.is_known)
				known_memory[static_cast<size_t>(data_->op(plan, i).memory)] += plan.weight;
	}
	const float extra = split_.by_template ? 0 : kUnsplitVariance;
	const auto trust = [extra](GraphTrust *into, float known, float model_variance) {
		/* a model to go on from has mostly seen the same samples */
		into->support = std::min(std::max(into->support, known), kMostSupport);
		into->model_variance = std::min(model_variance + extra, kMostVariance);
	};
	const auto term = [&score](GraphTerm which) -> const GraphTermScore & {
		return score.terms[static_cast<size_t>(which)];
	};
	std::set<uint64_t> apart;
	for (const size_t index : split_.apart)
		apart.insert(data_->plan(index).template_fingerprint);
	const auto templates = static_cast<double>(apart.size());
	const auto or_prior = [templates](const GraphTermScore &from) {
		return from.known > 0 ? Unexplained(from, templates) : kPriorModelVariance;
	};
	trust(&model_->time, known_time, or_prior(term(GraphTerm::kTime)));
	trust(&model_->query_memory, known_query, or_prior(term(GraphTerm::kQueryMemory)));
	for (size_t i = 0; i < kNumMemoryClasses; i++) {
		const GraphTermScore &of_class = score.memory_classes[i];
		const auto known = static_cast<float>(of_class.known);
		const float seen = known > 0 ? Unexplained(of_class, std::min(templates, of_class.known)) : 0;
		trust(&model_->memory[i], known_memory[i],
		      (known * seen + kPriorOperators * kPriorModelVariance) / (known + kPriorOperators));
	}
}

void GraphTrainer::Finish(const Parameters &best)
{
	Trust(Judge(best, split_.apart));
	Eigen::Map<Parameters>(model_->parameters, kNumParameters) = best;
	model_->version = GraphChecksum(*model_);
}

void GraphTrainer::Train(Report *report)
{
	Parameters best = average_;
	double best_loss = Judge(average_, split_.apart).Loss();
	int round = 0;
	int since_best = 0;
	int halvings = 0;
	while (round < kMostRounds && halvings <= kMostHalvings && !IsOver()) {
		Round();
		round++;
		const double loss = Judge(average_, split_.apart).Loss();
		if (loss < best_loss * (1 - kLeastImprovement)) {
			best_loss = loss;
			best = average_;
			since_best = 0;
		} else if (++since_best >= kPatience) {
			step_ /= 2;
			halvings++;
			since_best = 0;
			parameters_ = average_ = best;
		}
		if (options_.progress) {
			const double by_time = (SpentSeconds() - began_) / std::max(options_.seconds, 1e-3);
			options_.progress(std::min(std::max(static_cast<double>(round) / kMostRounds, by_time), 1.0), best_loss);
		}
	}
	Finish(best);
	*report = {data_->size(), split_.apart.size(), round, best_loss, SpentSeconds() - began_};
}

}  // namespace

std::vector<std::byte> TrainGraphOn(GraphData *data, const Options &options, Report *report)
{
	GraphTrainer trainer(data, options);
	trainer.Train(report);
	const auto bytes = std::as_bytes(std::span(&trainer.model(), 1));
	if (!GraphModelIsSane(bytes))
		throw std::runtime_error("training ended in numbers that make no sane model");
	return {bytes.begin(), bytes.end()};
}

}  // namespace wlm::trainer
