/*
 * trees_expert.cpp
 *
 * The trees expert: gradient-boosted trees over pipelines (time, T3's way),
 * operators (memory, temporary files) and the plan (memory of the query), each
 * correcting PostgreSQL's own arithmetic. The time per tuple of a pipeline is its cost per tuple
 * times e^(sum of its trees), so that its tuples cancel: its time is its cost times that.
 *
 * Several members, each taught on its own bootstrap of query templates. What they disagree
 * about is the model variance; each also says how far off it was on templates it had not been
 * taught. That includes its own model variance, which is therefore taken off, but never more
 * than most of it: together both never say less than what was measured.
 *
 * Support is the geometric mean of the samples in the leaves reached: how many executions like
 * this one, in what matters to the trees, were learned from.
 */
#include "core/predict/trees_model.hpp"

#include <algorithm>
#include <cmath>

#include "core/predict/log_scale.hpp"
#include "core/predict/operator_features.hpp"
#include "core/predict/trees_layout.hpp"

namespace wlm {

namespace {

constexpr float kMostCorrection = 16;          /* ln: nine million times more or less than PostgreSQL thinks */
constexpr float kLeastLogVariance = -6;        /* deviation 5 % */
constexpr float kMostLogVariance = 3.2f;
constexpr float kLeastDataShare = 0.25f;       /* of the measured variance that stays data variance */
constexpr float kLeastModelVariance = 0.01f;
constexpr float kLoneModelVariance = 0.25f;    /* of a single member: nobody to disagree with */

constexpr float kLeastParallel = 0.02f;
constexpr float kParallelDataVariance = 0.5f;
constexpr float kParallelModelVariance = 2;
constexpr float kParallelSupport = 0.2f;       /* no run with another number of workers has been seen for it */

/*
 * Nanoseconds, measured (21 nodes, 9 pipelines, 3 memory operators, a model of 460 kB): description 1.9 us, a tree and
 * row 4 ns with the model in the second-level cache, 20 to 45 ns with all of it in memory: 16 us, or 65 to 150 us.
 */
constexpr float kNsPerPlan = 500;
constexpr float kNsPerNode = 60;
constexpr float kNsPerOperator = 150;
constexpr float kNsPerTree = 6;

/* What the members say of one row. */
struct Opinions {
	float sum = 0, squares = 0; /* of means */
	float variance = 0;         /* sum of e^(ln variance) */
	float cover = 0;            /* sum of mean log2(cover) */

	void Add(float mean, float log_variance, float log_cover) noexcept
	{
		sum += mean;
		squares += mean * mean;
		variance += std::exp(std::clamp(log_variance, kLeastLogVariance, kMostLogVariance));
		cover += log_cover;
	}
};

Estimate Agree(const Opinions &opinions, int members, float least, float most) noexcept
{
	const float n = static_cast<float>(members);
	const float mean = opinions.sum / n;
	const float measured = opinions.variance / n;
	float disagreement = kLoneModelVariance;
	if (members > 1)
		disagreement = std::max((opinions.squares - opinions.sum * mean) / (n - 1), kLeastModelVariance);
	Estimate estimate;
	estimate.mean = std::clamp(mean, least, most);
	estimate.data_variance = std::max(measured - disagreement, kLeastDataShare * measured);
	estimate.model_variance = disagreement;
	estimate.support = std::exp2(opinions.cover / n);
	return estimate;
}

bool Knows(const TreesModel &model, TreesTarget target) noexcept { return model.samples[static_cast<int>(target)] > 0; }

const TreesEnsemble &EnsembleOf(const TreesModel &model, TreesTarget target, int member, TreesQuantity quantity) noexcept
{
	return model.ensembles[static_cast<int>(target)][member][quantity];
}

int Members(const TreesModel &model) noexcept { return std::clamp<int>(static_cast<int>(model.num_members), 1, kMostMembers); }

/* Of one process; of all processes that share the pipeline, of which serial pipelines have one. */
struct Work {
	double parallel = 0;
	double serial = 0;
};

void AnswerTime(const TreesModel &model, const TreesDescription &plan, ExpertAnswer *answer) noexcept
{
	const PipelineTable &pipelines = plan.pipelines;
	const int members = Members(model);
	float corrections[kMaxPipelines];
	float covers[kMaxPipelines];
	Opinions opinions;
	Work work;
	for (int member = 0; member < members; member++) {
		WalkTrees(model, EnsembleOf(model, TreesTarget::kTime, member, kTreesMean), pipelines.rows.data(),
		          pipelines.num_pipelines, corrections, covers);
		float total = 0;
		float cover = 0;
		for (int i = 0; i < pipelines.num_pipelines; i++) {
			const float ms =
				pipelines.own_ms[i] * std::exp(std::clamp(corrections[i], -kMostCorrection, kMostCorrection));
			total += ms;
			cover += ms * covers[i];
			if (pipelines.processes[i] > 1)
				work.parallel += static_cast<double>(ms) * pipelines.processes[i];
			else
				work.serial += ms;
		}
		float log_variance;
		float ignored;
		WalkTrees(model, EnsembleOf(model, TreesTarget::kTime, member, kTreesLogVariance), &plan.query, 1, &log_variance,
		          &ignored);
		opinions.Add(LogMs(total), log_variance, total > 0 ? cover / total : 0.0f);
	}
	answer->time = Agree(opinions, members, kLeastLogMs, kMostLogMs);

	const double all = work.parallel + work.serial;
	if (!(all > 0))
		return;
	const double fraction =
		std::clamp<double>(work.parallel / all, kLeastParallel, 1.0 - static_cast<double>(kLeastParallel));
	answer->parallel_fraction = {static_cast<float>(std::log(fraction / (1 - fraction))), kParallelDataVariance,
	                             kParallelModelVariance, kParallelSupport};
}

/* Rows of one target, each starting from what PostgreSQL's arithmetic says. */
void AnswerRows(const TreesModel &model, TreesTarget target, const TreesRow *rows, const float *starts, int num_rows,
                Estimate *estimates) noexcept
{
	const int members = Members(model);
	Opinions opinions[kMaxMemoryNodes];
	float means[kMaxMemoryNodes];
	float covers[kMaxMemoryNodes];
	float log_variances[kMaxMemoryNodes];
	float ignored[kMaxMemoryNodes];
	for (int member = 0; member < members; member++) {
		WalkTrees(model, EnsembleOf(model, target, member, kTreesMean), rows, num_rows, means, covers);
		WalkTrees(model, EnsembleOf(model, target, member, kTreesLogVariance), rows, num_rows, log_variances, ignored);
		for (int i = 0; i < num_rows; i++)
			opinions[i].Add(starts[i] + std::clamp(means[i], -kMostCorrection, kMostCorrection), log_variances[i],
			                covers[i]);
	}
	for (int i = 0; i < num_rows; i++)
		estimates[i] = Agree(opinions[i], members, kLeastLogKb, kMostLogKb);
}

/* As a grant counts it: hash_mem_multiplier for what hashes, the limits of all participants pooled for a shared table. */
float LogLimitKb(const PlanContext &context, const OperatorFeatures &op, const PlanNode &node) noexcept
{
	double limit = static_cast<double>(context.work_mem_kb);
	switch (op.memory) {
		case MemoryClass::kHash:
		case MemoryClass::kParallelHash:
		case MemoryClass::kHashAgg:
		case MemoryClass::kMemoize:
		case MemoryClass::kUnbounded:
			if (context.hash_mem_multiplier > 0)
				limit *= context.hash_mem_multiplier;
			break;
		default: break;
	}
	if (op.memory == MemoryClass::kParallelHash && node.processes > 1)
		limit *= node.processes;
	return LogKb(limit);
}

}  // namespace

void AskTrees(const ModelView &models, const PlanGraph &graph, const PlanContext &context, Forecast *forecast) noexcept
{
	ExpertAnswer *answer = &forecast->answers[kTreesExpert];
	ClearAnswer(answer, std::clamp<int>(graph.num_memory_nodes, 0, kMaxMemoryNodes));
	if (models.trees == nullptr)
		return;
	TreesDescription plan;
	if (!DescribeForTrees(graph, &plan))
		return;
	const TreesModel &model = *models.trees;
	if (Knows(model, TreesTarget::kTime))
		AnswerTime(model, plan, answer);
	if (Knows(model, TreesTarget::kQueryMemory))
		AnswerRows(model, TreesTarget::kQueryMemory, &plan.query, &plan.log_formula_sum, 1, &answer->query_memory);

	const int operators = plan.plan.num_operators;
	float starts[kMaxMemoryNodes];
	for (int i = 0; i < operators; i++)
		starts[i] = plan.plan.operators[i].log_formula_kb;
	if (operators > 0 && Knows(model, TreesTarget::kOperatorMemory))
		AnswerRows(model, TreesTarget::kOperatorMemory, plan.operators.data(), starts, operators, answer->memory);
	if (operators > 0 && Knows(model, TreesTarget::kOperatorTemp)) {
		for (int i = 0; i < operators; i++)
			AddLimit(starts[i], LogLimitKb(context, plan.plan.operators[i], graph.nodes[graph.memory_node[i]]),
			         &plan.operators[i]);
		AnswerRows(model, TreesTarget::kOperatorTemp, plan.operators.data(), starts, operators, answer->temp);
	}
}

float PriceOfTrees(const ModelView &models, const PlanGraph &graph) noexcept
{
	if (models.trees == nullptr)
		return 0;
	const TreesModel &model = *models.trees;
	const auto trees = [&model](TreesTarget target, TreesQuantity quantity) {
		uint32_t sum = 0;
		for (int member = 0; member < Members(model); member++)
			sum += EnsembleOf(model, target, member, quantity).num_trees;
		return static_cast<float>(sum);
	};
	const auto both = [&trees](TreesTarget target) { return trees(target, kTreesMean) + trees(target, kTreesLogVariance); };
	const float operators = std::clamp<float>(graph.num_memory_nodes, 0, kMaxMemoryNodes);
	const float pipelines = std::clamp<float>(graph.num_pipelines + (graph.planned_workers > 0 ? 1 : 0), 1, kMaxPipelines);
	const float walks = pipelines * trees(TreesTarget::kTime, kTreesMean) + trees(TreesTarget::kTime, kTreesLogVariance) +
		both(TreesTarget::kQueryMemory) +
		operators * (both(TreesTarget::kOperatorMemory) + both(TreesTarget::kOperatorTemp));
	return kNsPerPlan + kNsPerNode * static_cast<float>(graph.num_nodes) + kNsPerOperator * operators + kNsPerTree * walks;
}

}  // namespace wlm
