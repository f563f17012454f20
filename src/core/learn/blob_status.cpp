/*
 * blob_status.cpp
 *
 * Names of models and of what can be wrong with their blobs.
 */
#include "core/learn/model_blob.hpp"

namespace wlm {

const char *ModelName(ModelId model) noexcept
{
	switch (model) {
		case kPlannerModel: return "planner";
		case kRecallModel: return "recall";
		case kTreesModel: return "trees";
		case kGraphModel: return "graph";
		case kNeighboursModel: return "neighbours";
		case kGateModel: return "gate";
		case kNumModels: break;
	}
	return "unknown";
}

const char *BlobStatusText(BlobStatus status) noexcept
{
	switch (status) {
		case BlobStatus::kOk: return "model is valid";
		case BlobStatus::kTooShort: return "model is shorter than its header";
		case BlobStatus::kNotAModel: return "not a pg_wlm model, or written on a machine with another byte order";
		case BlobStatus::kForeignVersion: return "model has a format version that this pg_wlm does not know";
		case BlobStatus::kOtherExpert: return "model belongs to another expert";
		case BlobStatus::kWrongLength: return "model is truncated or has bytes to spare";
		case BlobStatus::kDamaged: return "model is damaged: its checksum does not match";
		case BlobStatus::kForeignShape: return "model was built for other dimensions than this pg_wlm uses";
		case BlobStatus::kInsane: return "model holds numbers that cannot be right";
		case BlobStatus::kMisaligned: return "model does not stand at a multiple of eight bytes";
		case BlobStatus::kNumStatuses: break;
	}
	return "unknown model status";
}

}  // namespace wlm
