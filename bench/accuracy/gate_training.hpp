/*
 * gate_training.hpp
 *
 * A gate to begin with: what it learns where trees and graph are as good, or as
 * bad, as they are on a database that they were not trained on.
 */
#pragma once

#include <span>

#include "models.hpp"
#include "recording.hpp"

namespace wlm::accuracy {

struct GateTrainingOptions {
	TrainingOptions training;
	int epochs = 2;
};

/*
 * Trees and graph are trained on one half of the databases, the gate learns on the streams of the other half, and the
 * other way round. Every database begins as a new server does: everybody but the gate's weights is fresh. The weights
 * returned are averaged over the ends of the last epoch's streams. Needs two databases; throws otherwise.
 */
AlignedBytes TrainGate(std::span<const Recording> recordings, const GateTrainingOptions &options);

}  // namespace wlm::accuracy
