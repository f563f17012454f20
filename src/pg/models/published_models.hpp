/*
 * published_models.hpp
 *
 * The models that are used in place: trees, graph and neighbours. Each has two
 * buffers in shared memory; one is in use, the other is written to. A backend
 * marks which buffers it reads, publishing waits until nobody reads the one that
 * is to be written, so nobody is ever paused and nobody reads half a model.
 *
 * Writers hold learn_lock exclusively. Readers take no lock: a mark is one store
 * and one fence, held for the microseconds of a prediction. Nothing that may
 * raise happens while a mark is set.
 */
#pragma once

#include "pg/postgres.hpp"

#include <cstddef>
#include <span>

#include "core/learn/model_blob.hpp"
#include "core/predict/expert.hpp"

namespace wlm {

/* Of wlm.model_memory, for shared_state.cpp. */
Size PublishedModelsBytes(Size model_memory);
void CreatePublishedModels(char *memory, Size model_memory);
void AttachPublishedModels(char *memory);

inline constexpr ModelId kPublishedModels[] = {kTreesModel, kGraphModel, kNeighboursModel};

/* The models in use, for as long as it lives. One at a time per process. */
class ModelsInUse {
  public:
	ModelsInUse();
	~ModelsInUse();
	ModelsInUse(const ModelsInUse &) = delete;
	ModelsInUse &operator=(const ModelsInUse &) = delete;

	const ModelView &view() const { return view_; }

  private:
	ModelView view_;
};

/*
 * The model that is in use (of the gate too, which is read otherwise); empty if there is none. learn_lock must be held:
 * then nobody replaces it.
 */
std::span<const std::byte> InPlaceLocked(ModelId which);

/* Largest model that fits. */
Size InPlaceCapacity(ModelId which);

/* Examples of plans for which a store of so many bytes has room. */
uint32 NeighboursThatFit(Size bytes);

/*
 * Replaces the model in use, or takes it out of use (empty). learn_lock must be held exclusively. False if it is too
 * large, or if somebody has read the other buffer for a second, which nobody does; then everything stays as it was.
 */
bool ReplaceInPlaceLocked(ModelId which, std::span<const std::byte> model);

/*
 * For small changes: a copy of the model in use in the other buffer, to be changed and then published. Empty if there
 * is none, or the buffer is being read. learn_lock must be held exclusively from the one to the other.
 */
std::span<std::byte> CopyForChangeLocked(ModelId which);
void PublishChangedLocked(ModelId which);

/*
 * Takes the models that came with pg_wlm into use wherever there is none of the server's own, and an empty store of
 * neighbours that fits the graph model in use. learn_lock must be held exclusively, but at creation.
 */
void PublishPretrainedLocked(ModelId which);
void ClearNeighboursLocked();

/* The blob of a model that came with pg_wlm; empty if none did. */
std::span<const std::byte> PretrainedBlob(ModelId which);

}  // namespace wlm
