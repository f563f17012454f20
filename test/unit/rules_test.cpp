/*
 * rules_test.cpp
 *
 * Query monitoring rules: when they hold, which action counts, what is asked for.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "core/decide/rules.hpp"

namespace wlm {
namespace {

class RulesTest : public ::testing::Test {
  protected:
	RulesTest() : rules(std::make_unique<RuleSet>())
	{
		std::memset(rules.get(), 0, sizeof *rules);
		for (double &value : metrics.value)
			value = -1;
	}

	Rule &Add(RuleAction action, int queue = -1)
	{
		Rule &rule = rules->rules[rules->num_rules++];
		rule.action = action;
		rule.queue = queue;
		return rule;
	}

	static Rule &When(Rule &rule, Metric metric, RuleOperator comparison, double value)
	{
		rule.predicates[rule.num_predicates++] = Predicate{metric, comparison, value};
		return rule;
	}

	void Set(Metric metric, double value) { metrics.value[static_cast<int>(metric)] = value; }

	uint32_t Evaluate(int queue = 0, uint32_t fired = 0) { return EvaluateRules(*rules, queue, metrics, fired); }

	std::unique_ptr<RuleSet> rules;
	RuleMetrics metrics;
};

TEST_F(RulesTest, AllPredicatesMustHold)
{
	Rule &rule = Add(RuleAction::kAbort);
	When(rule, Metric::kExecutionTime, RuleOperator::kGreater, 600000);
	When(rule, Metric::kScanRows, RuleOperator::kGreater, 1e9);
	When(rule, Metric::kReturnedRows, RuleOperator::kEqual, 0);

	Set(Metric::kExecutionTime, 600001);
	Set(Metric::kScanRows, 1e9);
	Set(Metric::kReturnedRows, 0);
	EXPECT_EQ(Evaluate(), 0u);
	Set(Metric::kScanRows, 1e9 + 1);
	EXPECT_EQ(Evaluate(), 1u);
	Set(Metric::kReturnedRows, 1);
	EXPECT_EQ(Evaluate(), 0u);
}

TEST_F(RulesTest, NothingHoldsOfWhatIsNotKnown)
{
	When(Add(RuleAction::kLog), Metric::kCpuTime, RuleOperator::kLess, 10);
	EXPECT_EQ(Evaluate(), 0u);
	Set(Metric::kCpuTime, std::nan(""));
	EXPECT_EQ(Evaluate(), 0u);
	Set(Metric::kCpuTime, 0);
	EXPECT_EQ(Evaluate(), 1u);
}

TEST_F(RulesTest, ARuleWithoutPredicatesNeverHolds)
{
	Add(RuleAction::kAbort);
	EXPECT_EQ(Evaluate(), 0u);
}

TEST_F(RulesTest, ARuleConcernsItsQueueOrAll)
{
	Set(Metric::kMemory, 100);
	When(Add(RuleAction::kLog, 3), Metric::kMemory, RuleOperator::kGreater, 10);
	When(Add(RuleAction::kLog), Metric::kMemory, RuleOperator::kGreater, 10);
	When(Add(RuleAction::kLog, 0), Metric::kTempBlocks, RuleOperator::kGreater, 10);

	EXPECT_EQ(Evaluate(3), 3u);
	EXPECT_EQ(Evaluate(0), 2u);
	EXPECT_EQ(MetricsAskedFor(*rules, 3), 1u << static_cast<int>(Metric::kMemory));
	EXPECT_EQ(MetricsAskedFor(*rules, 0), (1u << static_cast<int>(Metric::kMemory)) | (1u << static_cast<int>(Metric::kTempBlocks)));
}

TEST_F(RulesTest, EachFiresOnce)
{
	Set(Metric::kMemory, 100);
	for (int i = 0; i < kMaxRules; i++)
		When(Add(RuleAction::kLog), Metric::kMemory, RuleOperator::kGreater, i * 10);
	EXPECT_EQ(Evaluate(), 0x3ffu);
	EXPECT_EQ(Evaluate(0, 0x155u), 0x2aau);
	EXPECT_EQ(Evaluate(0, 0x3ffu), 0u);
}

TEST_F(RulesTest, TheSeverestActionCountsAndOfThoseTheFirst)
{
	Add(RuleAction::kLog);
	Add(RuleAction::kChangePriority);
	Add(RuleAction::kHop);
	Add(RuleAction::kAbort);
	Add(RuleAction::kAbort);
	Add(RuleAction::kHop);

	EXPECT_EQ(SeverestRule(*rules, 0), -1);
	EXPECT_EQ(SeverestRule(*rules, 1), 0);
	EXPECT_EQ(SeverestRule(*rules, 3), 1);
	EXPECT_EQ(SeverestRule(*rules, 0x27), 2);
	EXPECT_EQ(SeverestRule(*rules, 0x3f), 3);
	EXPECT_EQ(SeverestRule(*rules, ~0u), 3);
}

TEST_F(RulesTest, TheFiringValueIsThatOfTheFirstPredicate)
{
	Rule &rule = Add(RuleAction::kLog);
	EXPECT_LT(FiringValue(rule, metrics), 0);
	When(rule, Metric::kJoinRows, RuleOperator::kGreater, 1);
	When(rule, Metric::kQueueTime, RuleOperator::kGreater, 1);
	Set(Metric::kJoinRows, 17);
	Set(Metric::kQueueTime, 4);
	EXPECT_EQ(FiringValue(rule, metrics), 17);
}

TEST_F(RulesTest, NonsenseStaysWithinTheArrays)
{
	rules->num_rules = 1000;
	for (Rule &rule : rules->rules) {
		rule.num_predicates = 100;
		rule.queue = -1;
		for (Predicate &predicate : rule.predicates)
			predicate = Predicate{static_cast<Metric>(200), static_cast<RuleOperator>(9), 0};
	}
	EXPECT_EQ(Evaluate(), 0u);
	EXPECT_EQ(MetricsAskedFor(*rules, 0), 0u);
	EXPECT_LT(FiringValue(rules->rules[0], metrics), 0);
	EXPECT_STREQ(MetricName(static_cast<Metric>(200)), "unknown");
}

TEST(RuleNames, AreReadAsTheyAreWritten)
{
	for (int i = 0; i < kNumMetrics; i++) {
		Metric metric;
		ASSERT_TRUE(MetricFromName(MetricName(static_cast<Metric>(i)), &metric));
		EXPECT_EQ(static_cast<int>(metric), i);
	}
	for (int i = 0; i <= static_cast<int>(RuleAction::kAbort); i++) {
		RuleAction action;
		ASSERT_TRUE(RuleActionFromName(RuleActionName(static_cast<RuleAction>(i)), &action));
		EXPECT_EQ(static_cast<int>(action), i);
	}
	Metric metric;
	RuleAction action;
	RuleOperator comparison;
	EXPECT_FALSE(MetricFromName("query_execution_tim", &metric));
	EXPECT_FALSE(RuleActionFromName("", &action));
	EXPECT_FALSE(RuleOperatorFromText(">=", &comparison));
	ASSERT_TRUE(RuleOperatorFromText("<", &comparison));
	EXPECT_EQ(comparison, RuleOperator::kLess);
}

}  // namespace
}  // namespace wlm
