/*
 * neighbours_test.cpp
 *
 * The neighbours expert on synthetic embeddings: plans come in kinds, each a
 * cloud of points on which the graph expert errs alike.
 */
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "core/predict/neighbour_search.hpp"
#include "unit/plan_builder.hpp"

namespace wlm {
namespace {

constexpr uint32_t kVersion = 77;
constexpr float kGraphLogMs = 5;
constexpr float kGraphLogKb = 8;
constexpr float kGraphVariance = 0.5f;
const float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Kind {
	Embedding centre;
	float residual; /* of ln(time), by the graph expert */
	float memory;   /* of ln(kB) */
};

struct World {
	std::mt19937 random{5};
	std::normal_distribution<float> normal;
	float spread = 0.05f; /* of a kind, each dimension; kinds are 1 apart */
	float noise = 0.1f;   /* of one execution */
	uint64_t next_plan = 2;

	Kind NewKind()
	{
		Kind kind;
		for (float &x : kind.centre.at)
			x = normal(random);
		kind.residual = normal(random);
		kind.memory = normal(random);
		return kind;
	}
	Embedding Near(const Kind &kind)
	{
		Embedding point = kind.centre;
		for (float &x : point.at)
			x += spread * normal(random);
		return point;
	}
};

class NeighboursTest : public ::testing::Test {
  protected:
	explicit NeighboursTest(uint32_t capacity = 256) { Make(capacity); }

	void Make(uint32_t capacity)
	{
		memory_.assign(NeighbourStoreBytes(capacity), std::byte{});
		store_ = InitNeighbourStore(memory_, capacity, kVersion);
		ASSERT_NE(store_, nullptr);
	}
	std::unique_ptr<Experience> Run(uint64_t plan, const Embedding &point, float log_ms, float sort_log_kb = kGraphLogKb)
	{
		auto experience = test::JoinExperience(plan / 1000 + 1, plan, std::exp(log_ms), std::exp(sort_log_kb), 500);
		experience->embedding_version = kVersion;
		experience->embedding = point;
		experience->time_answers[kGraphExpert] = {kGraphLogMs, 0.1f, kGraphVariance - 0.1f, 5};
		experience->query_memory_answers[kGraphExpert] = {kGraphLogKb, 0.1f, kGraphVariance - 0.1f, 5};
		for (int i = 0; i < experience->num_operators; i++) {
			OperatorExperience *op = &experience->operators[i];
			op->embedding = point;
			op->embedding.at[0] += static_cast<float>(i);
			op->answers[kGraphExpert] = {kGraphLogKb, 0.1f, kGraphVariance - 0.1f, 5};
		}
		return experience;
	}
	void RunOf(const Kind &kind)
	{
		const uint64_t plan = world_.next_plan += 2;
		AddNeighbour(store_, *Run(plan, world_.Near(kind),
		                          kGraphLogMs + kind.residual + world_.noise * world_.normal(world_.random),
		                          kGraphLogKb + kind.memory + 0.05f * world_.normal(world_.random)));
	}
	const Forecast &Ask(const Embedding &point, uint64_t plan = 1)
	{
		test::PlanBuilder builder = test::JoinPlan();
		const PlanGraph &graph = builder.Finish();
		*forecast_ = Forecast{};
		forecast_->plan_fingerprint = plan;
		forecast_->novelty = -1;
		forecast_->embedding_version = kVersion;
		forecast_->embedding = point;
		for (int i = 0; i < graph.num_memory_nodes; i++) {
			forecast_->operator_embedding[i] = point;
			forecast_->operator_embedding[i].at[0] += static_cast<float>(i);
			forecast_->answers[kGraphExpert].memory[i] = {kGraphLogKb, 0.1f, kGraphVariance - 0.1f, 5};
		}
		forecast_->answers[kGraphExpert].time = {kGraphLogMs, 0.1f, kGraphVariance - 0.1f, 5};
		forecast_->answers[kGraphExpert].query_memory = {kGraphLogKb, 0.1f, kGraphVariance - 0.1f, 5};
		AskNeighbours(Models(), graph, {}, forecast_.get());
		return *forecast_;
	}
	const ExpertAnswer &Answer(const Embedding &point, uint64_t plan = 1)
	{
		return Ask(point, plan).answers[kNeighboursExpert];
	}
	ModelView Models() const
	{
		ModelView models;
		models.neighbours = store_;
		return models;
	}
	bool IsSane() const { return NeighbourStoreIsSane(memory_); }

	World world_;
	std::vector<std::byte> memory_;
	NeighbourStore *store_ = nullptr;
	std::unique_ptr<Forecast> forecast_ = std::make_unique<Forecast>();
};

TEST_F(NeighboursTest, AnEmptyStoreHasNoOpinion)
{
	const Kind kind = world_.NewKind();
	EXPECT_FALSE(Answer(kind.centre).time.HasOpinion());
	EXPECT_EQ(forecast_->novelty, -1);
	EXPECT_TRUE(IsSane());
	EXPECT_EQ(PriceOfNeighbours(Models(), PlanGraph{}), 0);
	EXPECT_EQ(PriceOfNeighbours({}, PlanGraph{}), 0);
}

TEST_F(NeighboursTest, TheSamePlanIsCorrected)
{
	const Kind kind = world_.NewKind();
	EXPECT_TRUE(AddNeighbour(store_, *Run(100, kind.centre, kGraphLogMs + 1.5f, kGraphLogKb - 1)));
	const ExpertAnswer &answer = Answer(kind.centre, 100);
	EXPECT_NEAR(answer.time.mean, kGraphLogMs + 1.5f, 0.2f);
	EXPECT_NEAR(answer.memory[0].mean, kGraphLogKb - 1, 0.2f);
	EXPECT_TRUE(answer.query_memory.HasOpinion());
	EXPECT_FALSE(answer.temp[0].HasOpinion());
	EXPECT_EQ(forecast_->novelty, 0);
	EXPECT_LT(answer.time.Variance(), kGraphVariance);

	/* many executions: closer, and surer */
	const float before = answer.time.Variance();
	for (int i = 0; i < 30; i++)
		AddNeighbour(store_, *Run(100, kind.centre, kGraphLogMs + 1.5f));
	EXPECT_EQ(NumNeighbours(*store_), 1u);
	EXPECT_NEAR(Answer(kind.centre, 100).time.mean, kGraphLogMs + 1.5f, 0.01f);
	EXPECT_LT(forecast_->answers[kNeighboursExpert].time.Variance(), before / 4);
}

/* The aim: one example of a kind never seen, and the next of that kind is answered within noise. */
TEST_F(NeighboursTest, OneExampleOpensAKind)
{
	for (int kind = 0; kind < 20; kind++) {
		const Kind common = world_.NewKind();
		for (int i = 0; i < 5; i++)
			RunOf(common);
	}
	double before = 0;
	double after = 0;
	double memory_before = 0;
	double memory_after = 0;
	double support_before = 0;
	int covered = 0;
	constexpr int kKinds = 100;
	for (int i = 0; i < kKinds; i++) {
		const Kind kind = world_.NewKind();
		const float expected = kGraphLogMs + kind.residual;
		const float expected_kb = kGraphLogKb + kind.memory;
		Embedding point = world_.Near(kind);
		Estimate time = Answer(point).time;
		EXPECT_GT(forecast_->novelty, 3);
		support_before += time.support;
		EXPECT_LT(time.support, 2);
		before += std::pow((time.HasOpinion() ? time.mean : kGraphLogMs) - expected, 2);
		memory_before += std::pow(kGraphLogKb - expected_kb, 2);

		RunOf(kind);
		point = world_.Near(kind);
		const ExpertAnswer &answer = Answer(point);
		time = answer.time;
		after += std::pow(time.mean - expected, 2);
		memory_after += std::pow(answer.memory[0].mean - expected_kb, 2);
		EXPECT_LT(forecast_->novelty, 2);
		const float error = std::fabs(time.mean - expected);
		covered += error < 1.96f * std::sqrt(time.Variance()) ? 1 : 0;
	}
	std::printf("rms error of ln(time): %.3f before, %.3f after one example (noise of one run %.2f); ln(kB): %.3f, %.3f\n",
	            std::sqrt(before / kKinds), std::sqrt(after / kKinds), static_cast<double>(world_.noise),
	            std::sqrt(memory_before / kKinds), std::sqrt(memory_after / kKinds));
	EXPECT_GT(std::sqrt(before / kKinds), 0.7);
	EXPECT_LT(std::sqrt(after / kKinds), 0.2);
	EXPECT_LT(std::sqrt(memory_after / kKinds), 0.2);
	EXPECT_LT(support_before / kKinds, 0.25);
	EXPECT_GE(covered, 93);
	EXPECT_TRUE(IsSane());
}

TEST_F(NeighboursTest, FarAwayNothingIsCorrected)
{
	const Kind kind = world_.NewKind();
	for (int i = 0; i < 30; i++)
		RunOf(kind);
	Embedding far = kind.centre;
	far.at[3] += 500;
	const Estimate &time = Answer(far).time;
	EXPECT_FALSE(time.HasOpinion() && std::fabs(time.mean - kGraphLogMs) > 0.01f);
	EXPECT_GT(forecast_->novelty, 100);

	/* on the way there: less and less support, more and more variance, less correction */
	float support = 1e9f;
	float variance = 0;
	float shift = 1e9f;
	for (float step = 0; step < 3; step += 0.25f) {
		Embedding point = kind.centre;
		point.at[3] += step;
		const Estimate &there = Answer(point).time;
		if (!there.HasOpinion())
			break;
		EXPECT_LE(there.support, support * 1.001f);
		EXPECT_GE(there.model_variance, variance * 0.999f);
		EXPECT_LE(std::fabs(there.mean - kGraphLogMs), shift + 0.02f);
		support = there.support;
		variance = there.model_variance;
		shift = std::fabs(there.mean - kGraphLogMs);
	}
}

TEST_F(NeighboursTest, DisagreementWidens)
{
	const Kind kind = world_.NewKind();
	for (int i = 0; i < 8; i++)
		AddNeighbour(store_, *Run(static_cast<uint64_t>(2 + 2 * i), world_.Near(kind), kGraphLogMs + 1));
	const float agreed = Answer(kind.centre).time.model_variance;
	Make(256);
	for (int i = 0; i < 8; i++)
		AddNeighbour(store_,
		             *Run(static_cast<uint64_t>(2 + 2 * i), world_.Near(kind), kGraphLogMs + (i % 2 ? 3.0f : -1.0f)));
	EXPECT_GT(Answer(kind.centre).time.model_variance, 4 * agreed);
}

TEST_F(NeighboursTest, OperatorsLearnOnlyFromTheirKind)
{
	const Kind kind = world_.NewKind();
	auto experience = Run(100, kind.centre, kGraphLogMs, kGraphLogKb + 2);
	experience->num_operators = 1; /* the sort */
	experience->operators[0].embedding = kind.centre;
	EXPECT_TRUE(AddNeighbour(store_, *experience));
	const ExpertAnswer &answer = Answer(kind.centre);
	EXPECT_TRUE(answer.memory[0].HasOpinion());
	EXPECT_FALSE(answer.memory[1].HasOpinion()); /* a hash, though just as near */
}

TEST_F(NeighboursTest, OtherVersionsAreNotComparedAndCutRunsTeachNothing)
{
	const Kind kind = world_.NewKind();
	auto experience = Run(100, kind.centre, 6);
	experience->embedding_version = kVersion + 1;
	EXPECT_FALSE(AddNeighbour(store_, *experience));
	experience->embedding_version = 0;
	EXPECT_FALSE(AddNeighbour(store_, *experience));
	experience = Run(100, kind.centre, 6);
	experience->censored = true;
	EXPECT_FALSE(AddNeighbour(store_, *experience));
	experience = Run(100, kind.centre, 6);
	experience->final_state = FinalState::kCancelled;
	EXPECT_FALSE(AddNeighbour(store_, *experience));
	experience = Run(100, kind.centre, 6);
	experience->time_answers[kGraphExpert] = Estimate{};
	EXPECT_FALSE(AddNeighbour(store_, *experience));
	EXPECT_EQ(NumNeighbours(*store_), 0u);
	EXPECT_FALSE(AddNeighbour(nullptr, *Run(100, kind.centre, 6)));

	/* lower bounds of operators are left out, the rest is taken */
	experience = Run(100, kind.centre, 6);
	experience->operators[0].flags = kObserved | kSpilled;
	experience->operators[1].flags = 0;
	EXPECT_TRUE(AddNeighbour(store_, *experience));
	EXPECT_FALSE(Answer(kind.centre).memory[0].HasOpinion());
	EXPECT_FALSE(Answer(kind.centre).query_memory.HasOpinion());
	EXPECT_TRUE(Answer(kind.centre).time.HasOpinion());

	forecast_->embedding_version = kVersion + 1;
	test::PlanBuilder builder = test::JoinPlan();
	AskNeighbours(Models(), builder.Finish(), {}, forecast_.get());
	EXPECT_FALSE(forecast_->answers[kNeighboursExpert].time.HasOpinion());
}

TEST_F(NeighboursTest, NoOpinionWithoutTheGraphExperts)
{
	const Kind kind = world_.NewKind();
	AddNeighbour(store_, *Run(100, kind.centre, 6));
	Ask(kind.centre);
	forecast_->answers[kGraphExpert].time = Estimate{};
	forecast_->answers[kGraphExpert].memory[0].mean = kNaN;
	test::PlanBuilder builder = test::JoinPlan();
	AskNeighbours(Models(), builder.Finish(), {}, forecast_.get());
	EXPECT_FALSE(forecast_->answers[kNeighboursExpert].time.HasOpinion());
	EXPECT_FALSE(forecast_->answers[kNeighboursExpert].memory[0].HasOpinion());
	EXPECT_TRUE(forecast_->answers[kNeighboursExpert].memory[1].HasOpinion());
}

TEST_F(NeighboursTest, HostileEmbeddings)
{
	const Kind kind = world_.NewKind();
	AddNeighbour(store_, *Run(100, kind.centre, 6));
	for (const float bad : {kNaN, std::numeric_limits<float>::infinity(), -1e30f}) {
		Embedding point = kind.centre;
		point.at[7] = bad;
		EXPECT_FALSE(AddNeighbour(store_, *Run(200, point, 6)));
		EXPECT_FALSE(Answer(point).time.HasOpinion());
		Neighbour nearest[kNearest];
		EXPECT_EQ(NearestPlans(*store_, point, nearest), 0);
		auto experience = Run(200, kind.centre, 6);
		experience->operators[0].embedding.at[2] = bad;
		EXPECT_TRUE(AddNeighbour(store_, *experience));
	}
	/* hostile outcomes and answers */
	for (const float bad : {kNaN, std::numeric_limits<float>::infinity(), 0.0f, -1.0f}) {
		auto experience = Run(300, kind.centre, 6);
		experience->time_ms = bad;
		EXPECT_FALSE(AddNeighbour(store_, *experience));
		experience = Run(300, kind.centre, 6);
		experience->operators[0].needed_kb = bad;
		experience->query_memory_kb = bad;
		experience->num_operators = 2;
		EXPECT_TRUE(AddNeighbour(store_, *experience));
	}
	auto experience = Run(300, kind.centre, 6);
	experience->time_answers[kGraphExpert].mean = -1e30f;
	experience->operators[0].kind = static_cast<NodeKind>(200);
	experience->operators[1].memory_slot = -5;
	AddNeighbour(store_, *experience);
	EXPECT_TRUE(IsSane());
}

TEST_F(NeighboursTest, ShowsWhatAnAnswerRestsOn)
{
	const Kind kind = world_.NewKind();
	const Kind other = world_.NewKind();
	for (int i = 0; i < 5; i++) {
		RunOf(kind);
		RunOf(other);
	}
	Neighbour nearest[kNearest];
	ASSERT_EQ(NearestPlans(*store_, kind.centre, nearest), kNearest);
	float sum = 0;
	for (int i = 0; i < kNearest; i++) {
		EXPECT_NE(nearest[i].plan_fingerprint, 0u);
		EXPECT_GE(nearest[i].weight, 0);
		EXPECT_EQ(nearest[i].executions, 1);
		if (i > 0) {
			EXPECT_LE(nearest[i - 1].distance, nearest[i].distance);
		}
		sum += nearest[i].weight;
	}
	EXPECT_LE(sum, 1.0001f);
	EXPECT_GT(sum, 0.8f);
	for (int i = 0; i < 5; i++)
		EXPECT_NEAR(nearest[i].log_ms, kGraphLogMs + kind.residual, 0.4f);
	EXPECT_EQ(NearestPlans(*store_, kind.centre, std::span(nearest).first(3)), 3);
	EXPECT_EQ(NearestPlans(*store_, kind.centre, {}), 0);
}

TEST_F(NeighboursTest, FindsExactlyTheNearest)
{
	std::vector<Embedding> points;
	for (int i = 0; i < 203; i++) {
		points.push_back(world_.NewKind().centre);
		AddNeighbour(store_, *Run(static_cast<uint64_t>(2 + i), points.back(), 5));
	}
	for (int trial = 0; trial < 50; trial++) {
		const Embedding query = world_.NewKind().centre;
		std::vector<float> distances;
		for (const Embedding &point : points) {
			float square = 0;
			for (int i = 0; i < kEmbeddingSize; i++)
				square += (point.at[i] - query.at[i]) * (point.at[i] - query.at[i]);
			distances.push_back(square);
		}
		std::sort(distances.begin(), distances.end());
		NearestFound found;
		FindPlans(*store_, query, &found);
		ASSERT_EQ(found.count, kNearest);
		for (int i = 0; i < kNearest; i++)
			EXPECT_NEAR(found.at[i].distance_square, distances[static_cast<size_t>(i)], 1e-4f);
	}
}

TEST_F(NeighboursTest, IsBoundedAndKeepsWhatIsUseful)
{
	Make(64);
	/* eight regular plans among a stream of others that come once, each a template of its own */
	const Kind regular = world_.NewKind();
	std::array<Embedding, 8> points;
	for (Embedding &point : points)
		point = world_.Near(regular);
	for (int round = 0; round < 200; round++) {
		if (round % 2 == 0)
			for (uint64_t i = 0; i < points.size(); i++)
				AddNeighbour(store_, *Run(1000000 + 1000 * i, points[i], kGraphLogMs + 1));
		for (int i = 0; i < 20; i++)
			AddNeighbour(store_, *Run(static_cast<uint64_t>(1000 * (round * 20 + i) + 2000000), world_.NewKind().centre, 3));
		ASSERT_LE(NumNeighbours(*store_), 64u);
	}
	EXPECT_EQ(NumNeighbours(*store_), 64u);
	for (size_t i = 0; i < points.size(); i++) {
		Neighbour nearest[1];
		ASSERT_EQ(NearestPlans(*store_, points[i], nearest), 1);
		EXPECT_EQ(nearest[0].plan_fingerprint, 1000000 + 1000 * i);
		EXPECT_EQ(nearest[0].executions, 100);
	}
	EXPECT_TRUE(IsSane());
}

TEST_F(NeighboursTest, AFullStoreSharesExamplesOfNearPlans)
{
	Make(16);
	const Kind kind = world_.NewKind();
	for (int i = 0; i < 16; i++)
		AddNeighbour(store_, *Run(static_cast<uint64_t>(1000 * i), world_.NewKind().centre, 3));
	/* two plans of one template that differ in nothing that matters take turns: they do not push each other out */
	Embedding first = kind.centre;
	Embedding second = kind.centre;
	second.at[0] += 1e-3f;
	for (int i = 0; i < 20; i++) {
		AddNeighbour(store_, *Run(500002, first, 4));
		AddNeighbour(store_, *Run(500004, second, 4));
	}
	Neighbour nearest[2];
	ASSERT_EQ(NearestPlans(*store_, first, nearest), 2);
	EXPECT_EQ(nearest[0].executions, 40);
	EXPECT_GT(nearest[1].distance, 0.5f);
}

TEST_F(NeighboursTest, OperatorBlocksChangeHands)
{
	Make(8); /* 16 operators, two blocks */
	const Kind kind = world_.NewKind();
	const auto add = [&](uint64_t plan, NodeKind node) {
		auto experience = Run(plan, world_.Near(kind), 5);
		experience->num_operators = 1;
		experience->operators[0].kind = node;
		EXPECT_TRUE(AddNeighbour(store_, *experience));
		EXPECT_TRUE(IsSane());
	};
	for (uint64_t i = 0; i < 40; i++)
		add(2 + i, NodeKind::kSort);
	for (uint64_t i = 0; i < 40; i++)
		add(100 + i, i % 2 ? NodeKind::kHash : NodeKind::kAgg);
	NearestFound found;
	FindOperators(*store_, NodeKind::kSort, kind.centre, &found);
	EXPECT_EQ(found.count, 0);
	FindOperators(*store_, NodeKind::kHash, kind.centre, &found);
	EXPECT_EQ(found.count, 8);
	FindOperators(*store_, NodeKind::kAgg, kind.centre, &found);
	EXPECT_EQ(found.count, 8);
}

TEST_F(NeighboursTest, IsDeterministic)
{
	const auto run = [this] {
		world_ = World{};
		Make(64);
		for (int i = 0; i < 50; i++) {
			const Kind kind = world_.NewKind();
			for (int j = 0; j < 4; j++)
				RunOf(kind);
		}
		return memory_;
	};
	const std::vector<std::byte> once = run();
	EXPECT_EQ(once, run());
}

TEST_F(NeighboursTest, CopiesAnswerAlike)
{
	const Kind kind = world_.NewKind();
	for (int i = 0; i < 20; i++)
		RunOf(kind);
	const Estimate there = Answer(kind.centre).time;
	std::vector<std::byte> copy = memory_;
	std::fill(memory_.begin(), memory_.end(), std::byte{});
	ASSERT_TRUE(NeighbourStoreIsSane(copy));
	store_ = reinterpret_cast<NeighbourStore *>(copy.data());
	EXPECT_EQ(Answer(kind.centre).time.mean, there.mean);
}

TEST_F(NeighboursTest, Sizes)
{
	std::vector<std::byte> memory(NeighbourStoreBytes(100));
	EXPECT_EQ(InitNeighbourStore(std::span(memory).first(memory.size() - 1), 100, 1), nullptr);
	EXPECT_EQ(InitNeighbourStore(std::span(memory).subspan(4), 1, 1), nullptr);
	const NeighbourStore *store = InitNeighbourStore(memory, 100, 9);
	ASSERT_NE(store, nullptr);
	EXPECT_GE(NeighbourCapacity(*store), 100u);
	EXPECT_EQ(NeighbourEmbeddingVersion(*store), 9u);
	EXPECT_FALSE(NeighbourStoreIsSane(std::span(memory).first(memory.size() - 1)));
	EXPECT_FALSE(NeighbourStoreIsSane({}));
	EXPECT_LT(NeighbourStoreBytes(2048), 700u * 1024);
}

/* Whatever passes the check can be asked, learned into and stays sane. */
TEST_F(NeighboursTest, HostileBytes)
{
	Make(16);
	for (int i = 0; i < 12; i++)
		RunOf(world_.NewKind());
	const std::vector<std::byte> good = memory_;
	const Kind kind = world_.NewKind();
	std::mt19937 random(9);
	int accepted = 0;
	for (int trial = 0; trial < 20000; trial++) {
		memory_ = good;
		const int changes = 1 + static_cast<int>(random() % 3);
		for (int i = 0; i < changes; i++) {
			/* words, often with values that hurt; half of them in the head */
			/* most of the head are operators' landscapes */
			const size_t limit = random() % 2 ? sizeof(NeighbourStore) : memory_.size();
			const size_t at = random() % (limit / 4) * 4;
			const uint32_t values[] = {0, 1, 0xffffffff, 0x7fc00000, 0x7f800000, 0x7f7fffff, 0x80000000,
			                           static_cast<uint32_t>(random())};
			std::memcpy(memory_.data() + at, &values[random() % 8], 4);
		}
		if (!IsSane())
			continue;
		accepted++;
		store_ = reinterpret_cast<NeighbourStore *>(memory_.data());
		for (int i = 0; i < 3; i++) {
			const ExpertAnswer &answer = Answer(world_.Near(kind));
			for (const Estimate &estimate : {answer.time, answer.query_memory, answer.memory[0], answer.memory[1]})
				EXPECT_TRUE(std::isfinite(estimate.mean) && std::isfinite(estimate.Variance()) && estimate.Variance() >= 0);
			RunOf(kind);
			EXPECT_TRUE(IsSane());
		}
	}
	EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace wlm
