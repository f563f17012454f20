/*
 * trees_train.cpp
 *
 * Trains the ensembles of trees: per member a bootstrap of templates, then each
 * target in turn until the templates left out get no better, then the variance
 * of the errors on these. They stop the boosting and tell the variance both,
 * which flatters the variance a little; the gate's calibration sees to that.
 *
 * Out of time: members that are complete are kept; of the first one what there is.
 */
#include "trainer/trees_train.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>

#include "core/hash.hpp"
#include "trainer/graph_random.hpp"
#include "trainer/limits.hpp"
#include "trainer/trees_booster.hpp"
#include "trainer/trees_objective.hpp"
#include "trainer/trees_pack.hpp"

namespace wlm::trainer {

namespace {

constexpr int kMembers = 4;
constexpr int kPatience = 8;            /* rounds without getting better */
constexpr size_t kLeastLabels = 10;     /* of a target; with fewer it is not learned */
constexpr size_t kLeastGroups = 8;      /* templates; with fewer, plans are bootstrapped */
constexpr size_t kLeastErrors = 20;     /* for a variance that depends on anything */

struct Recipe {
	int rounds;
	int depth;
	float rate;
};
/* By target. Time is asked for every pipeline and has the most to learn; all of it has to be walked in 25 us. */
constexpr Recipe kRecipes[kNumTreesTargets] = {{64, 6, 0.15f}, {48, 5, 0.15f}, {24, 5, 0.2f}, {40, 5, 0.15f}};
constexpr Recipe kVarianceRecipe = {16, 3, 0.2f};

/* The rows of one target as XGBoost holds them; null = too few to learn from. */
struct Target {
	std::unique_ptr<TreesMatrix> rows;
	std::unique_ptr<TreesMatrix> variance_rows; /* of time only; elsewhere `rows` */
	size_t labels = 0;
};

void Release(std::vector<float> *values) { std::vector<float>().swap(*values); }

Target MakeTarget(TreesRows *rows)
{
	Target target;
	target.labels = rows->labels.size();
	if (target.labels >= kLeastLabels)
		target.rows = std::make_unique<TreesMatrix>(rows->x, rows->num_features);
	Release(&rows->x);
	return target;
}

class Trainer {
  public:
	Trainer(TreesData *data, const Options &options, Report *report)
		: data_(*data), options_(options), report_(report), start_(SpentSeconds())
	{
	}

	std::vector<std::byte> Train()
	{
		const std::array<size_t, kNumTreesTargets> samples = MakeTargets();
		std::vector<PackedMember> members;
		double loss = 0;
		for (int member = 0; member < kMembers; member++) {
			PackedMember packed = TrainMember(member);
			if (member > 0 && OutOfTime())
				break;
			members.push_back(std::move(packed));
			loss += loss_;
			report_->kept_apart = std::max(report_->kept_apart, kept_apart_);
		}
		report_->samples = data_.num_samples();
		report_->loss = loss / static_cast<double>(members.size());
		report_->seconds = SpentSeconds() - start_;
		return PackTrees(members, samples);
	}

  private:
	bool OutOfTime() const { return SpentSeconds() - start_ > options_.seconds; }

	const std::vector<TreesLabel> &Labels(int target) const
	{
		switch (static_cast<TreesTarget>(target)) {
			case TreesTarget::kTime: return data_.plans.labels;
			case TreesTarget::kOperatorMemory: return data_.operators.labels;
			case TreesTarget::kOperatorTemp: return data_.temps.labels;
			default: return data_.queries.labels;
		}
	}

	std::array<size_t, kNumTreesTargets> MakeTargets()
	{
		Target &time = targets_[static_cast<int>(TreesTarget::kTime)];
		time.labels = data_.plans.labels.size();
		if (time.labels >= kLeastLabels) {
			time.rows = std::make_unique<TreesMatrix>(data_.pipelines, kNumPipelineFeatures);
			time.variance_rows = std::make_unique<TreesMatrix>(data_.plans.x, kNumQueryFeatures);
		}
		Release(&data_.pipelines);
		Release(&data_.plans.x);
		targets_[static_cast<int>(TreesTarget::kOperatorMemory)] = MakeTarget(&data_.operators);
		targets_[static_cast<int>(TreesTarget::kOperatorTemp)] = MakeTarget(&data_.temps);
		targets_[static_cast<int>(TreesTarget::kQueryMemory)] = MakeTarget(&data_.queries);

		std::array<size_t, kNumTreesTargets> samples{};
		bool any = false;
		for (int target = 0; target < kNumTreesTargets; target++) {
			samples[target] = targets_[target].rows ? targets_[target].labels : 0;
			any = any || samples[target] > 0;
		}
		if (!any)
			throw std::runtime_error("too few samples for trees: at least " + std::to_string(kLeastLabels) + " are needed");
		return samples;
	}

	PackedMember TrainMember(int member)
	{
		const uint64_t seed = Combine(options_.seed, static_cast<uint64_t>(member));
		Random random(seed);
		Multiplicity multiplicity(data_.num_groups());
		for (size_t i = 0; i < multiplicity.size(); i++)
			multiplicity[random.Below(multiplicity.size())]++;

		PackedMember packed;
		for (int target = 0; target < kNumTreesTargets; target++) {
			if (!targets_[target].rows)
				continue;
			done_ = (member + static_cast<double>(target) / kNumTreesTargets) / kMembers;
			TrainTarget(target, multiplicity, Combine(seed, static_cast<uint64_t>(target) + 1), &packed.ensembles[target]);
		}
		return packed;
	}

	void TrainTarget(int target, const Multiplicity &multiplicity, uint64_t seed,
	                 std::array<PackedEnsemble, kNumTreesQuantities> *ensembles)
	{
		const bool is_time = target == static_cast<int>(TreesTarget::kTime);
		const std::vector<TreesLabel> &labels = Labels(target);
		std::unique_ptr<Objective> objective;
		if (is_time)
			objective = std::make_unique<TimeObjective>(data_, multiplicity);
		else
			objective = std::make_unique<RowObjective>(labels, multiplicity);
		std::vector<float> margins;
		const Target &rows = targets_[target];
		const double loss = Boost(*rows.rows, kRecipes[target], LeastChildWeight(labels), seed, objective.get(), &margins,
		                          &(*ensembles)[kTreesMean]);
		if (is_time || data_.plans.labels.size() < kLeastLabels) {
			loss_ = loss;
			kept_apart_ = static_cast<size_t>(std::count_if(labels.begin(), labels.end(), [&](const TreesLabel &label) {
				return multiplicity[label.group] == 0;
			}));
		}

		std::vector<float> squares;
		std::vector<float> weights;
		objective->Errors(margins, &squares, &weights);
		VarianceObjective variance(std::move(squares), std::move(weights));
		(*ensembles)[kTreesLogVariance].bias = variance.Bias();
		if (variance.num_errors() >= kLeastErrors)
			Boost(is_time ? *rows.variance_rows : *rows.rows, kVarianceRecipe, 2 * LeastChildWeight(labels), seed + 1,
			      &variance, &margins, &(*ensembles)[kTreesLogVariance]);
	}

	/* A leaf should hold several queries, but a pool of fifty must still grow trees. */
	static float LeastChildWeight(const std::vector<TreesLabel> &labels)
	{
		double weight = 0;
		for (const TreesLabel &label : labels)
			weight += label.weight;
		const double mean = weight / static_cast<double>(labels.size());
		return static_cast<float>(mean * std::clamp(static_cast<double>(labels.size()) / 150, 1.0, 6.0));
	}

	/* Returns the loss on what was kept apart; *margins are those of the trees that were kept. */
	double Boost(const TreesMatrix &rows, const Recipe &recipe, float least_child_weight, uint64_t seed,
	             Objective *objective, std::vector<float> *margins, PackedEnsemble *ensemble)
	{
		BoosterOptions options;
		options.depth = recipe.depth;
		options.rate = recipe.rate;
		options.least_child_weight = least_child_weight;
		options.seed = seed;
		Booster booster(rows, options);
		std::vector<float> gradients(rows.size());
		std::vector<float> hessians(rows.size());
		std::vector<float> now(rows.size(), 0.0f);
		ensemble->bias = objective->Bias();
		*margins = now;
		double best = objective->Loss(now);
		const bool stops = best >= 0;
		/* nobody to say when to stop: rather too few */
		const int rounds = stops || recipe.depth == kVarianceRecipe.depth ? recipe.rounds : recipe.rounds / 2;
		int kept = 0;
		for (int round = 1; round <= rounds && !OutOfTime(); round++) {
			objective->Gradients(now, gradients, hessians);
			booster.Boost(gradients, hessians);
			const std::span<const float> predicted = booster.Margins();
			now.assign(predicted.begin(), predicted.end());
			report_->rounds++;
			const double loss = objective->Loss(now);
			if (!stops || loss < best) {
				best = loss;
				kept = round;
				*margins = now;
			} else if (round - kept >= kPatience) {
				break;
			}
			if (options_.progress && round % 16 == 0)
				options_.progress(done_ + static_cast<double>(round) / rounds / kNumTreesTargets / kMembers, std::max(best, 0.0));
		}
		ensemble->trees = kept > 0 ? booster.Trees() : std::vector<BoostedTree>{};
		ensemble->trees.resize(std::min(ensemble->trees.size(), static_cast<size_t>(kept)));
		return std::max(best, 0.0);
	}

	TreesData &data_;
	const Options &options_;
	Report *report_;
	double start_;
	double done_ = 0;
	double loss_ = 0;
	size_t kept_apart_ = 0;
	std::array<Target, kNumTreesTargets> targets_;
};

}  // namespace

std::vector<std::byte> TrainTreesOn(TreesData *data, const Options &options, Report *report)
{
	Report ignored;
	return Trainer(data, options, report != nullptr ? report : &ignored).Train();
}

bool HasTreesTrainer() { return HasXgboost(); }

std::vector<std::byte> TrainTrees(const Samples &samples, const Options &options, Report *report)
{
	if (!HasXgboost())
		throw std::runtime_error("pg_wlm_trainer was built without XGBoost");
	const auto sample = std::make_unique<Sample>();
	std::vector<PlanKey> keys;
	std::unordered_map<uint64_t, int> templates;
	for (size_t i = 0; i < samples.size(); i++) {
		samples.Get(i, sample.get());
		keys.push_back({sample->template_fingerprint, sample->plan_fingerprint});
		templates[sample->template_fingerprint]++;
	}
	TreesData data;
	if (templates.size() < kLeastGroups)
		data.GroupByPlan();
	for (const size_t index : ChoosePlans(keys, kMostTreesPlans, options.seed)) {
		samples.Get(index, sample.get());
		if (!data.Add(*sample))
			break;
	}
	return TrainTreesOn(&data, options, report);
}

}  // namespace wlm::trainer
