/*
 * stream.hpp
 *
 * One recording, execution by execution, as a server would live through it:
 * everybody is asked, the answers are scored, then the outcome is learned from.
 */
#pragma once

#include <functional>
#include <vector>

#include "models.hpp"
#include "recording.hpp"
#include "score.hpp"

namespace wlm::accuracy {

enum Step : unsigned {
	kSkip = 0,
	kAsk = 1,   /* and score */
	kLearn = 2, /* after having asked */
};

/* What to do with an execution: Step bits. */
using Plan = std::function<unsigned(size_t index, const Sample &sample)>;

/*
 * Scores of whole labels only (a lower bound proves little) are appended; `number` stands in them for the recording.
 * Scores may be null.
 */
void RunStream(const Recording &recording, uint16_t number, const TrainedModels &trained, OnlineModels *online, const Plan &plan,
               std::vector<Score> *scores);

/* How well the curve of Amdahl that is predicted fits plans that ran with different numbers of processes. */
struct ScalabilityScore {
	float observed;                      /* ln(time with more / time with fewer processes) */
	float before, before_low, before_high; /* predicted, with the 95 % interval, before the plan was ever seen ... */
	float after, after_low, after_high;  /* ... and after half of its runs; the other half is `observed` */
	float ideal;                         /* fewer / more */
};
void ScoreScalability(const Recording &recording, const TrainedModels &trained, const GateModel *gate,
                      std::vector<ScalabilityScore> *scores);

}  // namespace wlm::accuracy
