/*
 * sample_builder.hpp
 *
 * Made-up samples for the tests of sample, pool and trainer: plans of a few
 * shapes whose time and memory follow from their sizes, as far as noise allows.
 */
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "core/learn/sample.hpp"
#include "plan_builder.hpp"

namespace wlm::test {

using Bytes = std::vector<std::byte>;

/* One execution of JoinPlan(rows) under fingerprints that follow from `plan`; all in one template per 8 plans. */
inline std::unique_ptr<Sample> JoinSample(uint64_t plan, float ms, int64_t seen, uint64_t role = 1, float rows = 10000)
{
	auto sample = std::make_unique<Sample>();
	PlanBuilder builder = JoinPlan(rows);
	auto experience = JoinExperience(plan / 8 + 1, (plan + 1) * 2, ms, rows / 10, rows / 20);
	experience->finished_at = seen;
	EXPECT_TRUE(MakeSample(*experience, builder.Finish(), 77, role, sample.get()));
	return sample;
}

/* A plan drawn at random: scans, joins, sorts and aggregates, up to some 30 nodes. */
inline void AddRandomSubtree(PlanBuilder *plan, int16_t parent, NodeRole role, int depth, std::mt19937 *random)
{
	const auto pick = [&](int n) { return static_cast<int>((*random)() % static_cast<unsigned>(n)); };
	const float rows = std::exp2(static_cast<float>(pick(20)));
	const int choice = depth == 0 ? 0 : pick(4);
	int16_t node;
	switch (choice) {
		case 1:
			node = plan->AddSort(parent, rows, static_cast<float>(8 + pick(100)));
			(*plan)[node].role = parent == kNoNode ? NodeRole::kRoot : role;
			AddRandomSubtree(plan, node, NodeRole::kOuter, depth - 1, random);
			break;
		case 2:
			node = plan->Add(parent, NodeKind::kHashJoin, rows, role);
			(*plan)[node].join = JoinKind::kInner;
			AddRandomSubtree(plan, node, NodeRole::kOuter, depth - 1, random);
			node = plan->AddHash(node, rows / 4 + 1);
			AddRandomSubtree(plan, node, NodeRole::kOuter, depth - 1, random);
			break;
		case 3:
			node = plan->AddHashAgg(parent, rows / 10 + 1, static_cast<uint8_t>(pick(4)));
			(*plan)[node].role = parent == kNoNode ? NodeRole::kRoot : role;
			AddRandomSubtree(plan, node, NodeRole::kOuter, depth - 1, random);
			break;
		default:
			node = plan->Add(parent, NodeKind::kSeqScan, rows, role);
			(*plan)[node].relation_rows = rows * 2;
			(*plan)[node].relation_pages = rows / 50 + 1;
			(*plan)[node].identity = static_cast<uint64_t>(pick(50));
	}
}

inline std::unique_ptr<Sample> RandomSample(uint32_t seed)
{
	std::mt19937 random(seed);
	std::normal_distribution<float> noise(0, 0.2f);
	PlanBuilder plan;
	AddRandomSubtree(&plan, kNoNode, NodeRole::kRoot, 4, &random);
	float work = 1;
	for (int16_t i = static_cast<int16_t>(plan.graph()->num_nodes - 1); i >= 0; i--) {
		work += plan[i].rows;
		plan[i].total_cost = work * 0.01f;
	}
	const PlanGraph &graph = plan.Finish();
	auto experience = std::make_unique<Experience>();
	experience->plan_fingerprint = graph.plan_fingerprint;
	experience->template_fingerprint = graph.template_fingerprint;
	experience->final_state = FinalState::kCompleted;
	experience->finished_at = seed;
	experience->total_cost = graph.total_cost;
	experience->time_ms = work * 0.001f * std::exp(noise(random));
	experience->num_operators = graph.num_memory_nodes;
	float sum = 100;
	for (int i = 0; i < graph.num_memory_nodes; i++) {
		const PlanNode &node = graph.nodes[graph.memory_node[i]];
		OperatorExperience *op = &experience->operators[i];
		op->memory_slot = static_cast<int16_t>(i);
		op->kind = node.kind;
		op->memory = node.memory;
		op->flags = kObserved;
		op->processes = 1;
		op->granted_kb = op->grown_kb = 4096;
		op->needed_kb = op->peak_kb = node.rows * (node.width + 40) / 1024 * std::exp(noise(random)) + 1;
		op->formula_kb = op->needed_kb;
		if (op->needed_kb > op->granted_kb) {
			op->flags |= kSpilled;
			op->temp_kb = op->needed_kb * 1.1f;
		}
		sum += op->peak_kb;
	}
	experience->query_memory_kb = sum;
	auto sample = std::make_unique<Sample>();
	EXPECT_TRUE(MakeSample(*experience, graph, 77, 1 + seed % 3, sample.get()));
	return sample;
}

inline Bytes Encoded(const Sample &sample)
{
	Bytes bytes(SampleBytes(sample));
	EncodeSample(sample, bytes);
	return bytes;
}

}  // namespace wlm::test
