/*
 * sample_pool_test.cpp
 *
 * What stays when far more comes than fits: coverage before frequency, the few
 * long beside the many short, the newest of each, and no role alone.
 */
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <map>
#include <set>

#include "core/learn/sample_pool.hpp"
#include "sample_builder.hpp"

namespace wlm {
namespace {

using test::JoinSample;

struct Pool {
	explicit Pool(size_t sample_bytes) : memory(SamplePool::BytesNeeded(sample_bytes) / 8 + 1)
	{
		pool = SamplePool::Init(std::as_writable_bytes(std::span(memory)));
	}
	SamplePool *operator->() { return pool; }

	std::vector<uint64_t> memory;
	SamplePool *pool;
};

/* Everything that can be read out is in order. */
void ExpectSound(Pool *pool)
{
	auto sample = std::make_unique<Sample>();
	std::set<uint64_t> fingerprints;
	int64_t seen = INT64_MIN;
	(*pool)->Sort();
	for (int i = 0; i < (*pool)->size(); i++) {
		ASSERT_TRUE((*pool)->Get(i, sample.get())) << i;
		EXPECT_TRUE(fingerprints.insert(sample->plan_fingerprint).second);
		EXPECT_GE(sample->last_seen, seen);
		seen = sample->last_seen;
	}
	EXPECT_FALSE((*pool)->Get((*pool)->size(), sample.get()));
	EXPECT_FALSE((*pool)->Get(-1, sample.get()));
}

TEST(SamplePoolTest, TooSmallOrMisaligned)
{
	std::vector<uint64_t> memory(SamplePool::BytesNeeded(0) / 8 + 1);
	const auto bytes = std::as_writable_bytes(std::span(memory));
	EXPECT_EQ(SamplePool::Init(bytes.first(SamplePool::BytesNeeded(0) - 1)), nullptr);
	EXPECT_EQ(SamplePool::Init(bytes.subspan(4)), nullptr);
	EXPECT_EQ(SamplePool::Init({}), nullptr);
	EXPECT_NE(SamplePool::Init(bytes), nullptr);
}

TEST(SamplePoolTest, OneSamplePerPlan)
{
	Pool pool(1 << 20);
	for (int i = 0; i < 1000; i++)
		pool->Add(*JoinSample(static_cast<uint64_t>(i % 7), 10, i));
	EXPECT_EQ(pool->size(), 7);
	EXPECT_EQ(pool->num_added(), 1000);
	EXPECT_EQ(pool->num_given_up(), 0);
	Sample sample;
	pool->Sort();
	ASSERT_TRUE(pool->Get(6, &sample));
	EXPECT_EQ(sample.last_seen, 999);
	EXPECT_EQ(sample.executions, 143);
	ExpectSound(&pool);
}

TEST(SamplePoolTest, OrdersByWhenAPlanWasSeenFirstAndLast)
{
	Pool pool(1 << 20);
	for (const auto &[plan, time] : {std::pair{1u, 10}, std::pair{2u, 20}, std::pair{1u, 30}})
		pool->Add(*JoinSample(plan, 10, time));
	Sample sample;
	pool->Sort();
	ASSERT_TRUE(pool->Get(1, &sample));
	EXPECT_EQ(sample.last_seen, 30);
	EXPECT_EQ(sample.first_seen, 10);
	pool->SortByFirstSeen();
	ASSERT_TRUE(pool->Get(1, &sample));
	EXPECT_EQ(sample.first_seen, 20);
	ExpectSound(&pool);
}

/* 20 times as many plans as fit, some of them again and again: never beyond its memory, the newest stay. */
TEST(SamplePoolTest, StreamFarLargerThanThePool)
{
	Pool pool(200 * 1000);
	std::mt19937 random(7);
	const int stream = 20 * 200 * 1000 / 420;
	for (int i = 0; i < stream; i++) {
		const uint64_t plan = static_cast<uint64_t>(random() % 4 == 0 ? std::max(i - static_cast<int>(random() % 50), 0) : i);
		pool->Add(*JoinSample(plan, 10, i));
	}
	EXPECT_EQ(pool->num_added(), stream);
	EXPECT_GT(pool->size(), 350); /* of samples of 416 bytes, at most a sixteenth is empty */
	ExpectSound(&pool);
	Sample sample;
	ASSERT_TRUE(pool->Get(0, &sample));
	EXPECT_GT(sample.last_seen, stream - 800);
	ASSERT_TRUE(pool->Get(pool->size() - 1, &sample));
	EXPECT_EQ(sample.last_seen, stream - 1);
}

/* Samples of all lengths, in no order of time. */
TEST(SamplePoolTest, MixedLengthsAndOrder)
{
	Pool pool(100 * 1000);
	std::mt19937 random(9);
	for (uint32_t i = 0; i < 5000; i++) {
		const auto sample = test::RandomSample(static_cast<uint32_t>(random() % 2000));
		const int64_t seen = static_cast<int64_t>(random() % 100000);
		sample->first_seen = sample->last_seen = seen;
		pool->Add(*sample);
		if (i % 1000 == 0)
			ExpectSound(&pool);
	}
	EXPECT_GT(pool->num_given_up(), 500);
	ExpectSound(&pool);
}

/* Folding may need more room than there was (another shape under one fingerprint). */
TEST(SamplePoolTest, FoldThatGrows)
{
	Pool pool(64 * 1024);
	for (uint32_t i = 0; i < 3000; i++) {
		const auto sample = test::RandomSample(i);
		sample->plan_fingerprint = 2 + i % 40 * 2;
		sample->first_seen = sample->last_seen = i;
		pool->Add(*sample);
	}
	EXPECT_LE(pool->size(), 40);
	ExpectSound(&pool);
}

TEST(SamplePoolTest, LongOnesAreNotDrowned)
{
	Pool pool(100 * 1000);
	for (int i = 0; i < 20000; i++)
		pool->Add(*JoinSample(static_cast<uint64_t>(i), i % 500 == 0 ? 60000.0f : i % 50 == 0 ? 900.0f : 2.0f, i));
	std::map<int, int> counts;
	Sample sample;
	for (int i = 0; i < pool->size(); i++) {
		ASSERT_TRUE(pool->Get(i, &sample));
		counts[static_cast<int>(sample.log_ms)]++;
	}
	EXPECT_EQ(counts[static_cast<int>(std::log(60000.0f))], 40) << "all of them";
	EXPECT_GT(counts[static_cast<int>(std::log(900.0f))], 70);
	EXPECT_LT(counts[static_cast<int>(std::log(900.0f))], 130);
	ExpectSound(&pool);
}

TEST(SamplePoolTest, LimitRoles)
{
	Pool pool(1 << 20);
	for (int i = 0; i < 100; i++)
		pool->Add(*JoinSample(static_cast<uint64_t>(i), 10, i, i < 90 ? 1 : 2 + static_cast<uint64_t>(i % 3)));
	pool->Sort();
	pool->LimitRoles();
	double weights[2] = {0, 0};
	Sample sample;
	for (int i = 0; i < pool->size(); i++) {
		ASSERT_TRUE(pool->Get(i, &sample));
		weights[sample.role == 1] += sample.weight;
	}
	EXPECT_NEAR(weights[1] / (weights[0] + weights[1]), kMostRoleShare, 1e-5);
	EXPECT_EQ(weights[0], 10);

	/* alone it may have everything, and below a half nobody is held back */
	Pool alone(1 << 20);
	for (int i = 0; i < 10; i++)
		alone->Add(*JoinSample(static_cast<uint64_t>(i), 10, i));
	alone->LimitRoles();
	ASSERT_TRUE(alone->Get(3, &sample));
	EXPECT_EQ(sample.weight, 1);
	for (int i = 10; i < 21; i++)
		alone->Add(*JoinSample(static_cast<uint64_t>(i), 10, i, 2 + static_cast<uint64_t>(i % 2)));
	alone->LimitRoles();
	for (int i = 0; i < alone->size(); i++) {
		ASSERT_TRUE(alone->Get(i, &sample));
		EXPECT_EQ(sample.weight, 1);
	}
}

/* A role that runs ever new plans gives up its own, not what others brought. */
TEST(SamplePoolTest, OneRoleCannotCrowdOutTheOthers)
{
	Pool pool(100 * 1000);
	for (int i = 0; i < 60; i++)
		pool->Add(*JoinSample(static_cast<uint64_t>(i), 10, i, 2 + static_cast<uint64_t>(i % 3)));
	for (int i = 60; i < 10000; i++)
		pool->Add(*JoinSample(static_cast<uint64_t>(i), 10, i, 1));
	pool->Sort();
	pool->LimitRoles();
	int others = 0;
	double weights[2] = {0, 0};
	Sample sample;
	for (int i = 0; i < pool->size(); i++) {
		ASSERT_TRUE(pool->Get(i, &sample));
		others += sample.role != 1;
		weights[sample.role == 1] += sample.weight;
	}
	EXPECT_EQ(others, 60);
	EXPECT_NEAR(weights[1], weights[0], 1e-3);
}

TEST(SamplePoolTest, Deterministic)
{
	Pool pools[2] = {Pool(50 * 1000), Pool(50 * 1000)};
	for (Pool &pool : pools) {
		std::mt19937 random(3);
		for (int i = 0; i < 3000; i++)
			pool->Add(*test::RandomSample(static_cast<uint32_t>(random() % 1000)));
		pool->Sort();
		pool->LimitRoles();
	}
	ASSERT_EQ(pools[0]->size(), pools[1]->size());
	for (int i = 0; i < pools[0]->size(); i++) {
		const auto a = pools[0]->Encoded(i);
		const auto b = pools[1]->Encoded(i);
		ASSERT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
	}
}

TEST(SamplePoolTest, DamagedMemoryIsNoticed)
{
	Pool pool(1 << 20);
	for (int i = 0; i < 10; i++)
		pool->Add(*JoinSample(static_cast<uint64_t>(i), 10, i));
	const auto bytes = pool->Encoded(4);
	const_cast<std::byte &>(bytes[150]) ^= std::byte{4};
	Sample sample;
	EXPECT_FALSE(pool->Get(4, &sample));
	EXPECT_TRUE(pool->Get(5, &sample));
	pool->Add(*JoinSample(4, 10, 100)); /* replaces what cannot be read */
	pool->Sort();
	EXPECT_TRUE(pool->Get(9, &sample));
	EXPECT_EQ(sample.executions, 1);
	ExpectSound(&pool);
}

/* Fast enough to be fed while a worker reads history: says how fast, fails only far below. */
TEST(SamplePoolTest, Throughput)
{
	std::vector<std::unique_ptr<Sample>> samples;
	for (uint32_t i = 0; i < 2000; i++)
		samples.push_back(test::RandomSample(i));
	for (const bool again : {false, true}) {
		Pool pool(again ? 8 << 20 : 256 << 10);
		const auto start = std::chrono::steady_clock::now();
		constexpr int kRounds = 10;
		for (int round = 0; round < kRounds; round++)
			for (size_t i = 0; i < samples.size(); i++)
				pool->Add(*samples[i]);
		const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
		const double rate = kRounds * static_cast<double>(samples.size()) / seconds.count();
		RecordProperty(again ? "folds_per_second" : "evictions_per_second", static_cast<int>(rate));
		std::printf("%s: %.0f samples a second\n", again ? "seen before" : "ever new", rate);
		EXPECT_GT(rate, 1000);
	}
}

}  // namespace
}  // namespace wlm
