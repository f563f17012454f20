/*
 * learn_blob_test.cpp
 *
 * Models as bytes: written, read back, read into another size; and every kind
 * of damage found before the target is touched.
 */
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "core/learn/learner.hpp"
#include "core/learn/model_blob.hpp"
#include "core/predict/moments.hpp"
#include "plan_builder.hpp"

namespace wlm {
namespace {

using Bytes = std::vector<std::byte>;

struct Store {
	explicit Store(uint32_t capacity) : memory(RecallStore::BytesNeeded(capacity) / 8)
	{
		store = RecallStore::Init(std::as_writable_bytes(std::span(memory)), capacity);
	}
	std::vector<uint64_t> memory;
	RecallStore *store;
};

void Teach(PlannerModel *planner, RecallStore *recall, int plans)
{
	for (int i = 0; i < plans; i++)
		Learn({.planner = planner, .recall = recall},
		      *test::JoinExperience(static_cast<uint64_t>(i) / 4 + 1, (static_cast<uint64_t>(i) + 100) * 2,
		                            10.0f + static_cast<float>(i)));
}

template <class Model>
Bytes Written(const Model &model)
{
	Bytes blob(BlobBytes(model));
	EXPECT_TRUE(WriteBlob(model, blob));
	return blob;
}

class BlobTest : public ::testing::Test {
  protected:
	BlobTest() : recall_(64)
	{
		InitPlannerModel(&planner_);
		Teach(&planner_, recall_.store, 6);
	}
	PlannerModel planner_;
	Store recall_;
};

TEST_F(BlobTest, PlannerComesBackAsItWas)
{
	const Bytes blob = Written(planner_);
	PlannerModel other;
	InitPlannerModel(&other);
	ASSERT_EQ(ReadBlob(blob, &other), BlobStatus::kOk);
	EXPECT_EQ(other.observations, planner_.observations);
	EXPECT_EQ(other.time.weights[0], planner_.time.weights[0]);
	EXPECT_EQ(Written(other), blob);
}

TEST_F(BlobTest, RecallComesBackAsItWas)
{
	const Bytes blob = Written(*recall_.store);
	Store other(64);
	ASSERT_EQ(ReadBlob(blob, other.store), BlobStatus::kOk);
	EXPECT_EQ(other.store->used, recall_.store->used);
	EXPECT_EQ(other.store->observations, recall_.store->observations);
	EXPECT_EQ(Written(*other.store).size(), blob.size());
	RecallEntry before;
	RecallEntry after;
	ASSERT_TRUE(recall_.store->Find(200, &before));
	ASSERT_TRUE(other.store->Find(200, &after));
	EXPECT_EQ(after.time.mean, before.time.mean);
	EXPECT_EQ(after.time_sketch.centre, before.time_sketch.centre);
	EXPECT_EQ(after.operators[1].needed.mean, before.operators[1].needed.mean);
	EXPECT_EQ(after.operators[1].kind, before.operators[1].kind);
	EXPECT_EQ(after.operators[2].lower_bound, kNoBound);
}

/* If this fails, the format has changed: raise its version. */
TEST_F(BlobTest, LayoutIsThatOfVersionOne)
{
	const Bytes planner = Written(planner_);
	EXPECT_EQ(planner.size(), 32u + 16 + 12 * 22 * 4);
	const unsigned char head[] = {'w', 'l', 'm', 'm', 'o', 'd', 'e', 'l', 1, 0, 0, 0, 0, 0, 0, 0};
	EXPECT_EQ(std::memcmp(planner.data(), head, sizeof(head)), 0);
	float level;
	std::memcpy(&level, planner.data() + 32 + 16, sizeof(level));
	EXPECT_EQ(level, planner_.time.weights[0]);

	Store one(8);
	Remember(one.store, *test::JoinExperience(0, 200, 5));
	const Bytes recall = Written(*one.store);
	EXPECT_EQ(recall.size(), 32u + 28 + (16 + 12 * 4 + 17 * 4 + 5 * 4 + 20 * 4) + 2 * 28);
	uint64_t fingerprint;
	std::memcpy(&fingerprint, recall.data() + 32 + 28, sizeof(fingerprint));
	EXPECT_EQ(fingerprint, 200u);
}

TEST_F(BlobTest, EmptyStore)
{
	Store empty(8);
	const Bytes blob = Written(*empty.store);
	ASSERT_EQ(ReadBlob(blob, recall_.store), BlobStatus::kOk);
	EXPECT_EQ(recall_.store->used, 0u);
	RecallEntry entry;
	EXPECT_FALSE(recall_.store->Find(200, &entry));
}

TEST_F(BlobTest, LargerAndSmallerStores)
{
	Store large(1024);
	Teach(&planner_, large.store, 300);
	const Bytes blob = Written(*large.store);

	Store larger(4096);
	ASSERT_EQ(ReadBlob(blob, larger.store), BlobStatus::kOk);
	EXPECT_EQ(larger.store->used, large.store->used);

	Store small(16);
	ASSERT_EQ(ReadBlob(blob, small.store), BlobStatus::kOk);
	EXPECT_EQ(small.store->used, 16u);
	RecallEntry entry;
	EXPECT_TRUE(small.store->Find((299 + 100) * 2, &entry)); /* the newest survives */
	EXPECT_FALSE(small.store->Find(200, &entry));
	for (uint32_t i = 0; i < 16; i++)
		EXPECT_GT(small.store->entries()[i].last_used, 200u);
	/* and it goes on learning */
	Teach(&planner_, small.store, 3);
	EXPECT_TRUE(small.store->Find(200, &entry));
}

TEST_F(BlobTest, TooSmallABufferIsRefused)
{
	Bytes blob(BlobBytes(planner_) - 1);
	EXPECT_FALSE(WriteBlob(planner_, blob));
	blob.resize(BlobBytes(*recall_.store) - 1);
	EXPECT_FALSE(WriteBlob(*recall_.store, blob));
	blob.resize(BlobBytes(*recall_.store) + 100); /* too large is fine; BlobBytes() counts */
	EXPECT_TRUE(WriteBlob(*recall_.store, blob));
	blob.resize(BlobBytes(*recall_.store));
	EXPECT_EQ(ReadBlob(blob, recall_.store), BlobStatus::kOk);
}

/* Reads a damaged blob; the target must refuse it and stay bit for bit what it was. */
template <class Model>
void ExpectRefused(const Bytes &blob, Model *target, const Bytes &unchanged, size_t at)
{
	ASSERT_NE(ReadBlob(blob, target), BlobStatus::kOk) << "at byte " << at;
	ASSERT_EQ(Written(*target), unchanged) << "at byte " << at;
}

template <class Model>
void DamageEverywhere(const Model &model, Model *target)
{
	const Bytes good = Written(model);
	const Bytes unchanged = Written(*target);
	for (size_t i = 0; i < good.size(); i++) {
		Bytes bad = good;
		bad[i] ^= std::byte{0xff};
		ExpectRefused(bad, target, unchanged, i);
		bad[i] = good[i] ^ std::byte{1};
		ExpectRefused(bad, target, unchanged, i);
		bad = good;
		bad.resize(i);
		ExpectRefused(bad, target, unchanged, i);
	}
	Bytes longer = good;
	longer.push_back(std::byte{0});
	EXPECT_EQ(ReadBlob(longer, target), BlobStatus::kWrongLength);
}

TEST_F(BlobTest, DamagedPlannerIsRefused)
{
	PlannerModel target;
	InitPlannerModel(&target);
	DamageEverywhere(planner_, &target);
}

TEST_F(BlobTest, DamagedRecallIsRefused)
{
	Store target(64);
	Teach(&planner_, target.store, 2);
	DamageEverywhere(*recall_.store, target.store);
}

TEST_F(BlobTest, StatusesSayWhatIsWrong)
{
	const Bytes planner = Written(planner_);
	EXPECT_EQ(ReadBlob(planner, recall_.store), BlobStatus::kOtherExpert);
	EXPECT_EQ(ReadBlob(Written(*recall_.store), &planner_), BlobStatus::kOtherExpert);
	EXPECT_EQ(ReadBlob({}, &planner_), BlobStatus::kTooShort);
	Bytes bad = planner;
	bad[0] ^= std::byte{1};
	EXPECT_EQ(ReadBlob(bad, &planner_), BlobStatus::kNotAModel);
	bad = planner;
	bad[8] = std::byte{2};
	EXPECT_EQ(ReadBlob(bad, &planner_), BlobStatus::kForeignVersion);
	bad = planner;
	bad.back() ^= std::byte{1};
	EXPECT_EQ(ReadBlob(bad, &planner_), BlobStatus::kDamaged);
	bad = planner;
	bad.pop_back();
	EXPECT_EQ(ReadBlob(bad, &planner_), BlobStatus::kWrongLength);

	std::set<std::string> texts;
	for (int i = 0; i < static_cast<int>(BlobStatus::kNumStatuses); i++)
		texts.insert(BlobStatusText(static_cast<BlobStatus>(i)));
	EXPECT_EQ(texts.size(), static_cast<size_t>(BlobStatus::kNumStatuses));
	EXPECT_STREQ(BlobStatusText(static_cast<BlobStatus>(99)), "unknown model status");
}

/* Well-formed and checksummed, but full of nonsense. */
TEST_F(BlobTest, InsaneNumbersAreRefused)
{
	const Bytes unchanged = Written(planner_);
	PlannerModel insane;
	InitPlannerModel(&insane);
	insane.time.weights[0] = std::numeric_limits<float>::infinity();
	EXPECT_EQ(ReadBlob(Written(insane), &planner_), BlobStatus::kInsane);
	EXPECT_EQ(Written(planner_), unchanged);

	const Bytes recall_unchanged = Written(*recall_.store);
	Store other(64);
	const auto refused = [&](auto spoil) {
		other.store->Clear();
		Teach(&planner_, other.store, 1);
		for (uint32_t i = 0; i < other.store->capacity; i++)
			if (other.store->entries()[i].fingerprint != 0)
				spoil(&other.store->entries()[i]);
		EXPECT_EQ(ReadBlob(Written(*other.store), recall_.store), BlobStatus::kInsane);
		EXPECT_EQ(Written(*recall_.store), recall_unchanged);
	};
	const float nan = std::numeric_limits<float>::quiet_NaN();
	refused([nan](RecallEntry *entry) { entry->time.mean = nan; });
	refused([](RecallEntry *entry) { entry->time.weight = -1; });
	refused([](RecallEntry *entry) { entry->query_memory.variance = -1; });
	refused([](RecallEntry *entry) { entry->time_sketch.counts[3] = 1e9f; });
	refused([nan](RecallEntry *entry) { entry->scale_xy = nan; });
	refused([](RecallEntry *entry) { entry->operators[0].kind = 250; });
	refused([](RecallEntry *entry) { entry->operators[0].spill_share = 2; });
	refused([nan](RecallEntry *entry) { entry->operators[1].lower_bound = nan; });
}

}  // namespace
}  // namespace wlm
