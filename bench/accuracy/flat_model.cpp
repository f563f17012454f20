/*
 * flat_model.cpp
 *
 * See flat_model.hpp. One tree ensemble per target with the settings that one
 * takes who does not tune: 300 rounds, depth 6, step 0.1, squared errors of logarithms.
 */
#include "flat_model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#ifdef WLM_HAVE_XGBOOST
#include <xgboost/c_api.h>
#endif

namespace wlm::accuracy {

namespace {

void SayNothing(const PlanGraph &graph, FlatAnswer *answer)
{
	answer->time = answer->query_memory = std::numeric_limits<float>::quiet_NaN();
	std::fill_n(answer->memory, graph.num_memory_nodes, std::numeric_limits<float>::quiet_NaN());
}

}  // namespace

#ifdef WLM_HAVE_XGBOOST

namespace {

constexpr int kRounds = 300;
constexpr int kKinds = static_cast<int>(NodeKind::kNumKinds);
constexpr int kPlanFeatures = 4 * kKinds + 5;
constexpr int kOperatorFeatures = kPlanFeatures + 11;
using Rows = std::vector<float>;

float Log1p(float x) { return std::log1p(std::max(x, 0.0f)); }

void AddPlan(const PlanGraph &graph, Rows *rows)
{
	float sums[kKinds][4] = {};
	float leaves = 0;
	for (int i = 0; i < graph.num_nodes; i++) {
		const PlanNode &node = graph.nodes[i];
		float *sum = sums[std::clamp(static_cast<int>(node.kind), 0, kKinds - 1)];
		sum[0] += 1;
		sum[1] += node.rows;
		sum[2] += node.total_cost;
		sum[3] += node.width;
		leaves += node.relation_rows;
	}
	for (const auto &sum : sums) {
		rows->push_back(sum[0]);
		for (int i = 1; i < 4; i++)
			rows->push_back(Log1p(sum[i]));
	}
	rows->insert(rows->end(), {Log1p(graph.total_cost), static_cast<float>(graph.num_nodes), graph.planned_workers,
	                           static_cast<float>(graph.command), Log1p(leaves)});
}

void AddOperator(const PlanGraph &graph, int slot, Rows *rows)
{
	const int16_t index = graph.memory_node[slot];
	const PlanNode &node = graph.nodes[index];
	float input_rows = 0;
	float input_width = 0;
	for (int i = index + 1; i < graph.num_nodes; i++) {
		if (graph.nodes[i].parent == index) {
			input_rows += graph.nodes[i].rows;
			input_width = std::max(input_width, graph.nodes[i].width);
		}
	}
	AddPlan(graph, rows);
	rows->insert(rows->end(), {static_cast<float>(node.kind), static_cast<float>(node.memory), Log1p(node.rows), Log1p(node.width),
	                           Log1p(node.total_cost), Log1p(node.groups), static_cast<float>(node.num_keys),
	                           static_cast<float>(node.num_aggregates), Log1p(input_rows), Log1p(input_width), node.processes});
}

void Check(int status)
{
	if (status != 0)
		throw std::runtime_error(std::string("XGBoost: ") + XGBGetLastError());
}

class Matrix {
  public:
	Matrix(const Rows &rows, int width)
	{
		const bst_ulong count = rows.size() / static_cast<size_t>(width);
		Check(XGDMatrixCreateFromMat(rows.data(), count, static_cast<bst_ulong>(width), std::numeric_limits<float>::quiet_NaN(), &handle_));
	}
	~Matrix() { XGDMatrixFree(handle_); }
	Matrix(const Matrix &) = delete;
	Matrix &operator=(const Matrix &) = delete;
	DMatrixHandle get() const { return handle_; }

  private:
	DMatrixHandle handle_ = nullptr;
};

class Booster {
  public:
	Booster() = default;
	~Booster()
	{
		if (handle_ != nullptr)
			XGBoosterFree(handle_);
	}
	Booster(const Booster &) = delete;
	Booster &operator=(const Booster &) = delete;

	void Train(const Rows &rows, int width, const std::vector<float> &labels)
	{
		if (labels.size() < 10)
			return;
		const Matrix matrix(rows, width);
		DMatrixHandle handles[] = {matrix.get()};
		Check(XGDMatrixSetFloatInfo(matrix.get(), "label", labels.data(), labels.size()));
		Check(XGBoosterCreate(handles, 1, &handle_));
		for (const auto &[name, value] : {std::pair("objective", "reg:squarederror"), std::pair("tree_method", "hist"),
		                                  std::pair("max_depth", "6"), std::pair("eta", "0.1"), std::pair("nthread", "1"),
		                                  std::pair("seed", "1"), std::pair("verbosity", "0")})
			Check(XGBoosterSetParam(handle_, name, value));
		for (int round = 0; round < kRounds; round++)
			Check(XGBoosterUpdateOneIter(handle_, round, matrix.get()));
	}
	void Ask(const Rows &rows, int width, float *answers, int count) const
	{
		std::fill_n(answers, count, std::numeric_limits<float>::quiet_NaN());
		if (handle_ == nullptr || count == 0)
			return;
		const Matrix matrix(rows, width);
		bst_ulong length = 0;
		const float *predicted = nullptr;
		Check(XGBoosterPredict(handle_, matrix.get(), 0, 0, 0, &length, &predicted));
		std::copy_n(predicted, std::min<bst_ulong>(length, static_cast<bst_ulong>(count)), answers);
	}

  private:
	BoosterHandle handle_ = nullptr;
};

}  // namespace

struct FlatModel::Boosters {
	Booster time;
	Booster query_memory;
	Booster memory;
};

void FlatModel::Train(const trainer::Samples &samples)
{
	Rows time_rows, query_rows, memory_rows;
	std::vector<float> times, queries, memories;
	const auto sample = std::make_unique<Sample>();
	boosters_ = std::make_unique<Boosters>();
	for (size_t i = 0; i < samples.size(); i++) {
		samples.Get(i, sample.get());
		if (sample->time_weight > 0) {
			AddPlan(sample->graph, &time_rows);
			times.push_back(sample->log_ms);
		}
		if (sample->query_kb_weight > 0) {
			AddPlan(sample->graph, &query_rows);
			queries.push_back(sample->log_query_kb);
		}
		for (int slot = 0; slot < sample->graph.num_memory_nodes; slot++) {
			if (sample->operators[slot].needed_weight > 0) {
				AddOperator(sample->graph, slot, &memory_rows);
				memories.push_back(sample->operators[slot].log_needed_kb);
			}
		}
	}
	boosters_->time.Train(time_rows, kPlanFeatures, times);
	boosters_->query_memory.Train(query_rows, kPlanFeatures, queries);
	boosters_->memory.Train(memory_rows, kOperatorFeatures, memories);
}

void FlatModel::Ask(const PlanGraph &graph, FlatAnswer *answer) const
{
	if (boosters_ == nullptr) {
		SayNothing(graph, answer);
		return;
	}
	Rows plan, operators;
	AddPlan(graph, &plan);
	for (int slot = 0; slot < graph.num_memory_nodes; slot++)
		AddOperator(graph, slot, &operators);
	boosters_->time.Ask(plan, kPlanFeatures, &answer->time, 1);
	boosters_->query_memory.Ask(plan, kPlanFeatures, &answer->query_memory, 1);
	boosters_->memory.Ask(operators, kOperatorFeatures, answer->memory, graph.num_memory_nodes);
}

#else

struct FlatModel::Boosters {};

void FlatModel::Train(const trainer::Samples &) {}

void FlatModel::Ask(const PlanGraph &graph, FlatAnswer *answer) const
{
	SayNothing(graph, answer);
}

#endif

FlatModel::FlatModel() = default;
FlatModel::~FlatModel() = default;
FlatModel::FlatModel(FlatModel &&) noexcept = default;
FlatModel &FlatModel::operator=(FlatModel &&) noexcept = default;

}  // namespace wlm::accuracy
