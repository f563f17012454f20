/*
 * model_blob_test.cpp
 *
 * Models that are used in place: wrapped, cut out of a stream, refused with the
 * right reason. That damage is found everywhere is shown with the gate, the
 * smallest of them; hostile contents are in model_blob_fuzz_test.cpp.
 */
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "core/learn/model_blob.hpp"
#include "core/predict/gate.hpp"
#include "core/predict/graph_model.hpp"
#include "core/predict/neighbour_store.hpp"

namespace wlm {
namespace {

using Bytes = std::vector<std::byte>;

Bytes GateBytes()
{
	GateModel gate;
	InitGate(&gate);
	Bytes bytes(sizeof(gate));
	std::memcpy(bytes.data(), static_cast<const void *>(&gate), sizeof(gate));
	return bytes;
}

Bytes Blob(ModelId which, const Bytes &model)
{
	Bytes blob(InPlaceBlobBytes(model.size()));
	WriteInPlaceBlob(which, model, blob);
	return blob;
}

BlobStatus Check(const Bytes &blob, ModelId which)
{
	std::span<const std::byte> model;
	const BlobStatus status = CheckInPlaceBlob(blob, which, &model);
	EXPECT_EQ(status == BlobStatus::kOk, !model.empty());
	return status;
}

TEST(InPlaceBlobTest, ThePayloadIsTheModel)
{
	const Bytes gate = GateBytes();
	const Bytes blob = Blob(kGateModel, gate);
	std::span<const std::byte> model;
	ASSERT_EQ(CheckInPlaceBlob(blob, kGateModel, &model), BlobStatus::kOk);
	EXPECT_EQ(model.data(), blob.data() + 32);
	EXPECT_TRUE(std::equal(model.begin(), model.end(), gate.begin(), gate.end()));
	EXPECT_EQ(BlobModel(blob), kGateModel);
	EXPECT_EQ(BlobLength(blob), blob.size());
}

TEST(InPlaceBlobTest, NeighbourStore)
{
	Bytes memory(NeighbourStoreBytes(16));
	ASSERT_NE(InitNeighbourStore(memory, 16, 7), nullptr);
	const Bytes blob = Blob(kNeighboursModel, memory);
	EXPECT_EQ(Check(blob, kNeighboursModel), BlobStatus::kOk);
	Bytes longer = memory;
	longer.resize(longer.size() + 8);
	EXPECT_NE(Check(Blob(kNeighboursModel, longer), kNeighboursModel), BlobStatus::kOk);
}

TEST(InPlaceBlobTest, DamageIsFoundEverywhere)
{
	const Bytes good = Blob(kGateModel, GateBytes());
	for (size_t i = 0; i < good.size(); i += i < 64 ? 1 : 7) {
		Bytes bad = good;
		bad[i] ^= std::byte{1};
		ASSERT_NE(Check(bad, kGateModel), BlobStatus::kOk) << i;
		bad = good;
		bad.resize(i);
		ASSERT_NE(Check(bad, kGateModel), BlobStatus::kOk) << i;
	}
}

TEST(InPlaceBlobTest, StatusesSayWhatIsWrong)
{
	const Bytes gate = GateBytes();
	const Bytes good = Blob(kGateModel, gate);
	EXPECT_EQ(Check({}, kGateModel), BlobStatus::kTooShort);
	EXPECT_EQ(Check(good, kGraphModel), BlobStatus::kOtherExpert);
	EXPECT_EQ(Check(Blob(kPlannerModel, gate), kPlannerModel), BlobStatus::kOtherExpert) << "is not used in place";
	EXPECT_EQ(Check(good, kNumModels), BlobStatus::kOtherExpert);
	EXPECT_EQ(Check(Blob(kGraphModel, gate), kGraphModel), BlobStatus::kForeignShape);
	EXPECT_EQ(Check(Blob(kTreesModel, Bytes(4)), kTreesModel), BlobStatus::kWrongLength);
	EXPECT_EQ(Check(Blob(kGraphModel, Bytes(GraphModelBytes(), std::byte{0xff})), kGraphModel), BlobStatus::kInsane);
	Bytes bad = good;
	bad.push_back(std::byte{0});
	EXPECT_EQ(Check(bad, kGateModel), BlobStatus::kWrongLength);
	bad = good;
	bad.back() ^= std::byte{1};
	EXPECT_EQ(Check(bad, kGateModel), BlobStatus::kDamaged);
	bad = good;
	bad[8] = std::byte{2};
	EXPECT_EQ(Check(bad, kGateModel), BlobStatus::kForeignVersion);
	bad.insert(bad.begin(), std::byte{0});
	EXPECT_EQ(Check(bad, kGateModel), BlobStatus::kNotAModel);

	Bytes shifted = good;
	shifted.insert(shifted.begin(), 4, std::byte{0});
	std::span<const std::byte> model;
	EXPECT_EQ(CheckInPlaceBlob(std::span(shifted).subspan(4), kGateModel, &model), BlobStatus::kMisaligned);
}

TEST(BlobHeaderTest, ModelAndLength)
{
	const Bytes blob = Blob(kGateModel, GateBytes());
	for (size_t i = 0; i < 32; i++)
		EXPECT_EQ(BlobLength(std::span(blob).first(i)), 0u);
	EXPECT_EQ(BlobLength(std::span(blob).first(32)), blob.size());
	EXPECT_EQ(BlobModel({}), kNumModels);
	Bytes bad = blob;
	bad[12] = std::byte{kNumModels};
	EXPECT_EQ(BlobModel(bad), kNumModels);
	bad = blob;
	bad[8] = std::byte{9};
	EXPECT_EQ(BlobModel(bad), kNumModels);
	EXPECT_EQ(BlobLength(bad), 0u);
	bad = blob;
	std::memset(bad.data() + 16, 0xff, 8);
	EXPECT_EQ(BlobLength(bad), 0u) << "does not wrap around";
}

TEST(ModelNameTest, ThoseOfTheExpertsAndTheGate)
{
	std::set<std::string> names;
	for (int i = 0; i < kNumModels; i++)
		names.insert(ModelName(static_cast<ModelId>(i)));
	EXPECT_EQ(names.size(), static_cast<size_t>(kNumModels));
	for (int i = 0; i < kNumExperts; i++)
		EXPECT_STREQ(ModelName(static_cast<ModelId>(i)), kExperts[i].name);
	EXPECT_STREQ(ModelName(kGateModel), "gate");
	EXPECT_STREQ(ModelName(static_cast<ModelId>(200)), "unknown");
}

}  // namespace
}  // namespace wlm
