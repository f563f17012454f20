/*
 * sample_test.cpp
 *
 * What one execution becomes, how executions of a plan are averaged, and
 * samples as bytes.
 */
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <set>
#include <string>

#include "core/learn/sample_format.hpp"
#include "core/plan/restore_graph.hpp"
#include "core/predict/log_scale.hpp"
#include "sample_builder.hpp"

namespace wlm {
namespace {

using test::Bytes;
using test::Encoded;
using test::JoinExperience;
using test::JoinPlan;

class MakeSampleTest : public ::testing::Test {
  protected:
	MakeSampleTest() : plan_(JoinPlan()), experience_(JoinExperience(5, 6, 100, 1000, 500)), sample_(std::make_unique<Sample>())
	{
		experience_->finished_at = 42;
		for (int i = 0; i < 2; i++)
			experience_->operators[i].granted_kb = experience_->operators[i].grown_kb = 4096;
	}
	bool Make() { return MakeSample(*experience_, plan_.Finish(), 7, 8, sample_.get()); }

	test::PlanBuilder plan_;
	std::unique_ptr<Experience> experience_;
	std::unique_ptr<Sample> sample_;
};

TEST_F(MakeSampleTest, CompletedExecution)
{
	experience_->workers_launched = 2;
	ASSERT_TRUE(Make());
	EXPECT_EQ(sample_->plan_fingerprint, 6u);
	EXPECT_EQ(sample_->template_fingerprint, 5u);
	EXPECT_EQ(sample_->database, 7u);
	EXPECT_EQ(sample_->role, 8u);
	EXPECT_EQ(sample_->first_seen, 42);
	EXPECT_EQ(sample_->last_seen, 42);
	EXPECT_EQ(sample_->executions, 1);
	EXPECT_EQ(sample_->weight, 1);
	EXPECT_EQ(sample_->time_weight, 1);
	EXPECT_FLOAT_EQ(sample_->log_ms, std::log(100.0f));
	EXPECT_EQ(sample_->log_ms_variance, 0);
	EXPECT_EQ(sample_->log_ms_bound, kLeastLogMs);
	EXPECT_EQ(sample_->query_kb_weight, 1);
	EXPECT_FLOAT_EQ(sample_->log_query_kb, std::log(2012.0f));
	EXPECT_EQ(sample_->workers_launched, 2);
	const OperatorLabel &sort = sample_->operators[0];
	EXPECT_FLOAT_EQ(sort.log_needed_kb, std::log(1000.0f));
	EXPECT_EQ(sort.needed_weight, 1);
	EXPECT_EQ(sort.log_bound_kb, kLeastLogKb);
	EXPECT_FLOAT_EQ(sort.log_limit_kb, std::log(4096.0f));
	EXPECT_EQ(sort.spills, 0);
}

TEST_F(MakeSampleTest, SpilledNeedIsABound)
{
	experience_->operators[0].flags |= kSpilled;
	experience_->operators[0].temp_kb = 3000;
	ASSERT_TRUE(Make());
	const OperatorLabel &sort = sample_->operators[0];
	EXPECT_EQ(sort.needed_weight, 0);
	EXPECT_FLOAT_EQ(sort.log_bound_kb, std::log(1000.0f));
	EXPECT_FLOAT_EQ(sort.log_temp_kb, std::log(3000.0f));
	EXPECT_EQ(sort.spills, 1);
	EXPECT_EQ(sample_->query_kb_weight, 0) << "what it took under a grant that made it spill is not its need";
	EXPECT_EQ(sample_->operators[1].needed_weight, 1);
	EXPECT_EQ(sample_->time_weight, 1);
}

TEST_F(MakeSampleTest, CutShortGivesBounds)
{
	experience_->final_state = FinalState::kCancelled;
	experience_->operators[0].flags |= kSpilled | kCensored;
	experience_->operators[0].temp_kb = 3000;
	ASSERT_TRUE(Make());
	EXPECT_EQ(sample_->time_weight, 0);
	EXPECT_FLOAT_EQ(sample_->log_ms_bound, std::log(100.0f));
	EXPECT_EQ(sample_->query_kb_weight, 0);
	EXPECT_EQ(sample_->operators[0].spills, 0) << "it would have written more";
	EXPECT_EQ(sample_->operators[0].needed_weight, 0);
}

TEST_F(MakeSampleTest, WhatTeachesNothing)
{
	experience_->final_state = FinalState::kRejected;
	EXPECT_FALSE(Make());
	experience_->final_state = FinalState::kTimedOut;
	EXPECT_FALSE(Make());
	experience_->final_state = FinalState::kCompleted;
	EXPECT_TRUE(Make());
	plan_.graph()->overflow = true;
	EXPECT_FALSE(Make());
	plan_.graph()->overflow = false;
	experience_->time_ms = std::numeric_limits<float>::quiet_NaN();
	experience_->query_memory_kb = 0;
	EXPECT_TRUE(Make());
	for (int i = 0; i < 2; i++)
		experience_->operators[i].needed_kb = -1;
	EXPECT_FALSE(Make());
	PlanGraph empty;
	ResetGraph(&empty);
	experience_->time_ms = 1;
	EXPECT_FALSE(MakeSample(*experience_, empty, 1, 1, sample_.get()));
}

TEST_F(MakeSampleTest, OperatorsOfAnotherPlanAreNotBelieved)
{
	experience_->operators[0].kind = NodeKind::kMaterial;
	experience_->operators[1].memory_slot = 2;
	ASSERT_TRUE(Make());
	EXPECT_EQ(sample_->operators[0].needed_weight, 0);
	EXPECT_EQ(sample_->operators[1].needed_weight, 0);
	experience_->num_operators = 32000;
	experience_->operators[1].memory_slot = -5;
	EXPECT_TRUE(Make());
}

TEST(FoldSampleTest, MeansAndVarianceOverAllExecutions)
{
	auto all = test::JoinSample(1, 10, 100);
	const float times[] = {20, 40, 5};
	double sum = std::log(10.0);
	double squares = sum * sum;
	for (int i = 0; i < 3; i++) {
		FoldSample(all.get(), *test::JoinSample(1, times[i], 200 + i));
		sum += std::log(times[i]);
		squares += std::log(times[i]) * std::log(times[i]);
	}
	EXPECT_EQ(all->executions, 4);
	EXPECT_EQ(all->time_weight, 4);
	EXPECT_NEAR(all->log_ms, sum / 4, 1e-5);
	EXPECT_NEAR(all->log_ms_variance, squares / 4 - sum / 4 * sum / 4, 1e-5);
	EXPECT_EQ(all->first_seen, 100);
	EXPECT_EQ(all->last_seen, 202);
	EXPECT_EQ(all->operators[0].needed_weight, 4);
}

/* In which order executions are folded, one by one or in groups, must not matter. */
TEST(FoldSampleTest, GroupsFoldLikeSingles)
{
	auto singles = test::JoinSample(1, 3, 1);
	auto first = test::JoinSample(1, 3, 1);
	for (int i = 2; i <= 4; i++) {
		FoldSample(singles.get(), *test::JoinSample(1, static_cast<float>(i * i), i));
		FoldSample(first.get(), *test::JoinSample(1, static_cast<float>(i * i), i));
	}
	auto second = test::JoinSample(1, 25, 5);
	FoldSample(second.get(), *test::JoinSample(1, 36, 6));
	FoldSample(singles.get(), *test::JoinSample(1, 25, 5));
	FoldSample(singles.get(), *test::JoinSample(1, 36, 6));
	FoldSample(second.get(), *first);
	EXPECT_EQ(second->executions, singles->executions);
	EXPECT_NEAR(second->log_ms, singles->log_ms, 1e-5);
	EXPECT_NEAR(second->log_ms_variance, singles->log_ms_variance, 1e-5);
	EXPECT_EQ(second->first_seen, 1);
	EXPECT_EQ(second->last_seen, 6);
}

TEST(FoldSampleTest, NewerCardinalitiesStay)
{
	auto sample = test::JoinSample(1, 10, 100, 1, 10000);
	FoldSample(sample.get(), *test::JoinSample(1, 10, 200, 1, 12000));
	EXPECT_EQ(sample->graph.nodes[0].rows, 12000);
	FoldSample(sample.get(), *test::JoinSample(1, 10, 150, 1, 11000));
	EXPECT_EQ(sample->graph.nodes[0].rows, 12000);
}

TEST(FoldSampleTest, BoundsKeepTheLargestAndTruthStaysApart)
{
	auto sample = test::JoinSample(1, 10, 100);
	auto cut = test::JoinSample(1, 10, 200);
	cut->time_weight = 0;
	cut->log_ms = 0;
	cut->log_ms_bound = 5;
	cut->operators[0].needed_weight = 0;
	cut->operators[0].log_needed_kb = 0;
	cut->operators[0].log_bound_kb = 9;
	const float log_ms = sample->log_ms;
	const float log_kb = sample->operators[0].log_needed_kb;
	FoldSample(sample.get(), *cut);
	EXPECT_EQ(sample->log_ms, log_ms);
	EXPECT_EQ(sample->time_weight, 1);
	EXPECT_EQ(sample->log_ms_bound, 5);
	EXPECT_EQ(sample->operators[0].log_needed_kb, log_kb);
	EXPECT_EQ(sample->operators[0].log_bound_kb, 9);
	EXPECT_EQ(sample->executions, 2);
}

TEST(FoldSampleTest, OtherShapeUnderTheSameFingerprint)
{
	auto sample = test::JoinSample(1, 10, 100);
	auto other = test::RandomSample(3);
	other->last_seen = 50;
	FoldSample(sample.get(), *other);
	EXPECT_EQ(sample->executions, 1);
	EXPECT_EQ(sample->graph.num_nodes, 5);
	other->last_seen = 500;
	FoldSample(sample.get(), *other);
	EXPECT_EQ(sample->graph.num_nodes, other->graph.num_nodes);
}

TEST(SampleBytesTest, ComesBackAsItWas)
{
	for (uint32_t seed = 0; seed < 200; seed++) {
		const auto sample = test::RandomSample(seed);
		Bytes bytes = Encoded(*sample);
		ASSERT_LE(bytes.size(), kMostSampleBytes);
		auto other = std::make_unique<Sample>();
		size_t used;
		bytes.resize(bytes.size() + 100); /* the next record's */
		ASSERT_EQ(DecodeSample(bytes, other.get(), &used), SampleStatus::kOk);
		ASSERT_EQ(used, bytes.size() - 100);
		bytes.resize(used);
		EXPECT_EQ(Encoded(*other), bytes);
		EXPECT_EQ(other->plan_fingerprint, sample->plan_fingerprint);
		EXPECT_EQ(other->graph.plan_fingerprint, sample->plan_fingerprint);
		EXPECT_EQ(other->log_ms, sample->log_ms);
		ASSERT_EQ(other->graph.num_memory_nodes, sample->graph.num_memory_nodes);
		for (int i = 0; i < sample->graph.num_nodes; i++) {
			PlanNode expected = sample->graph.nodes[i];
			expected.identity = 0;
			expected.plan_node_id = -1;
			const PlanNode &got = other->graph.nodes[i];
			EXPECT_EQ(got.identity, 0u);
			EXPECT_EQ(got.rows, expected.rows);
			EXPECT_EQ(got.processes, expected.processes);
			EXPECT_EQ(got.pipeline, expected.pipeline);
			EXPECT_EQ(got.memory_slot, expected.memory_slot);
			EXPECT_EQ(got.flags, expected.flags);
		}
	}
}

/* If this fails, the format has changed: raise its version. */
TEST(SampleBytesTest, LayoutIsThatOfVersionOne)
{
	const auto sample = test::JoinSample(1, 10, 100);
	const Bytes bytes = Encoded(*sample);
	EXPECT_EQ(bytes.size(), 112u + 5 * 49 + 2 * 24);
	const unsigned char head[] = {'w', 'l', 'm', 's', 1, 0, 5, 0, 0x95, 1, 0, 0, 0, 0, 2, 0, 4};
	EXPECT_EQ(std::memcmp(bytes.data(), head, sizeof(head)), 0);
	float rows;
	std::memcpy(&rows, bytes.data() + 104, sizeof(rows));
	EXPECT_EQ(rows, 10000);
}

/* Names of relations go into identity, and identity goes nowhere. */
TEST(SampleBytesTest, HoldsNoIdentity)
{
	test::PlanBuilder one = JoinPlan(1000, 7);
	test::PlanBuilder two = JoinPlan(1000, 8);
	const auto experience = JoinExperience(5, 6, 100);
	Sample a;
	Sample b;
	ASSERT_TRUE(MakeSample(*experience, one.Finish(), 1, 1, &a));
	ASSERT_TRUE(MakeSample(*experience, two.Finish(), 1, 1, &b));
	EXPECT_EQ(Encoded(a), Encoded(b));
}

TEST(SampleBytesTest, StatusesSayWhatIsWrong)
{
	const Bytes good = Encoded(*test::JoinSample(1, 10, 100));
	Sample sample;
	size_t used;
	EXPECT_EQ(DecodeSample({}, &sample, &used), SampleStatus::kTruncated);
	EXPECT_EQ(used, 0u);
	EXPECT_EQ(DecodeSample(std::span(good).first(3), &sample, &used), SampleStatus::kTruncated);
	EXPECT_EQ(DecodeSample(std::span(good).first(good.size() - 1), &sample, &used), SampleStatus::kTruncated);
	EXPECT_EQ(used, good.size());
	Bytes bad = good;
	bad[1] ^= std::byte{1};
	EXPECT_EQ(DecodeSample(bad, &sample, &used), SampleStatus::kNotASample);
	EXPECT_EQ(used, 0u);
	bad = good;
	bad[4] = std::byte{9};
	EXPECT_EQ(DecodeSample(bad, &sample, &used), SampleStatus::kForeignVersion);
	bad = good;
	bad[200] ^= std::byte{1};
	EXPECT_EQ(DecodeSample(bad, &sample, &used), SampleStatus::kDamaged);
	auto insane = test::JoinSample(1, 10, 100);
	insane->log_ms = std::numeric_limits<float>::quiet_NaN();
	EXPECT_EQ(DecodeSample(Encoded(*insane), &sample, &used), SampleStatus::kInsane);
	insane = test::JoinSample(1, 10, 100);
	insane->operators[1].log_needed_kb = std::numeric_limits<float>::infinity();
	EXPECT_EQ(DecodeSample(Encoded(*insane), &sample, &used), SampleStatus::kInsane);
	insane = test::JoinSample(1, 10, 100);
	insane->graph.nodes[2].parent = 4;
	EXPECT_EQ(DecodeSample(Encoded(*insane), &sample, &used), SampleStatus::kInsane);
	std::set<std::string> texts;
	for (int i = 0; i <= static_cast<int>(SampleStatus::kInsane); i++)
		texts.insert(SampleStatusText(static_cast<SampleStatus>(i)));
	EXPECT_EQ(texts.size(), 6u);
}

TEST(RestoreGraphTest, GivesWhatWasStored)
{
	for (uint32_t seed = 0; seed < 50; seed++) {
		const PlanGraph before = test::RandomSample(seed)->graph;
		PlanGraph after;
		ASSERT_TRUE(RestoreGraph(std::span(before.nodes).first(static_cast<size_t>(before.num_nodes)), before.command, &after));
		EXPECT_EQ(after.plan_fingerprint, before.plan_fingerprint);
		EXPECT_EQ(after.template_fingerprint, before.template_fingerprint);
		EXPECT_EQ(after.total_cost, before.total_cost);
		EXPECT_EQ(after.num_memory_nodes, before.num_memory_nodes);
		EXPECT_EQ(after.max_plan_node_id, before.num_nodes - 1);
		for (int16_t i = 0; i < before.num_nodes; i++)
			EXPECT_EQ(after.node_of_plan_id[i], i);
	}
}

TEST(RestoreGraphTest, RefusesWhatIsNoPlan)
{
	test::PlanBuilder plan = JoinPlan();
	std::vector<PlanNode> good(plan.graph()->nodes, plan.graph()->nodes + 5);
	PlanGraph graph;
	ASSERT_TRUE(RestoreGraph(good, CommandKind::kSelect, &graph));
	EXPECT_FALSE(RestoreGraph({}, CommandKind::kSelect, &graph));
	EXPECT_FALSE(RestoreGraph(good, static_cast<CommandKind>(6), &graph));
	const auto refused = [&](auto spoil) {
		std::vector<PlanNode> bad = good;
		spoil(&bad);
		EXPECT_FALSE(RestoreGraph(bad, CommandKind::kSelect, &graph));
	};
	refused([](auto *nodes) { nodes->resize(kMaxPlanNodes + 1, nodes->back()); });
	refused([](auto *nodes) { (*nodes)[1].parent = 1; });
	refused([](auto *nodes) { (*nodes)[1].parent = kNoNode; });
	refused([](auto *nodes) { (*nodes)[0].parent = 0; });
	refused([](auto *nodes) { (*nodes)[3].parent = 5; });
	refused([](auto *nodes) { (*nodes)[3].parent = -2; });
	refused([](auto *nodes) { (*nodes)[4].parent = 2; }); /* 2 is no ancestor of 3 */
	refused([](auto *nodes) { (*nodes)[2].kind = NodeKind::kNumKinds; });
	refused([](auto *nodes) { (*nodes)[2].role = static_cast<NodeRole>(200); });
	refused([](auto *nodes) { (*nodes)[2].join = static_cast<JoinKind>(8); });
	refused([](auto *nodes) { (*nodes)[2].aggregate = static_cast<AggKind>(5); });
	refused([](auto *nodes) { (*nodes)[2].memory = MemoryClass::kNumClasses; });
	refused([](auto *nodes) { (*nodes)[2].rows = std::numeric_limits<float>::quiet_NaN(); });
	refused([](auto *nodes) {
		nodes->resize(100, PlanNode{});
		for (size_t i = 5; i < 100; i++) {
			(*nodes)[i].parent = static_cast<int16_t>(i - 1);
			(*nodes)[i].memory = MemoryClass::kSort;
		}
	});
}

TEST(RestoreGraphTest, TamesNumbers)
{
	test::PlanBuilder plan = JoinPlan();
	std::vector<PlanNode> nodes(plan.graph()->nodes, plan.graph()->nodes + 5);
	nodes[2].rows = std::numeric_limits<float>::infinity();
	nodes[2].relation_rows = -1;
	nodes[2].fold_count = 0;
	nodes[2].plan_node_id = 1 << 30;
	nodes[3].plan_node_id = 1;
	PlanGraph graph;
	ASSERT_TRUE(RestoreGraph(nodes, CommandKind::kSelect, &graph));
	EXPECT_EQ(graph.nodes[2].rows, kMostStored);
	EXPECT_EQ(graph.nodes[2].relation_rows, 0);
	EXPECT_EQ(graph.nodes[2].fold_count, 1);
	EXPECT_EQ(graph.node_of_plan_id[1], 1);
	EXPECT_EQ(graph.max_plan_node_id, 4);
}

}  // namespace
}  // namespace wlm
