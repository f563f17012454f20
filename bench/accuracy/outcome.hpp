/*
 * outcome.hpp
 *
 * A sample of one execution, turned back into the experience that it was made
 * of, as far as it was kept: what happened, without predictions. CopyForecast()
 * or PredictAgain() add those; then it can be judged and learned from.
 *
 * Not kept, and so not repeated: what a query took that spilled (a lower bound on
 * its memory), bytes in temporary files of the whole query, rows returned.
 */
#pragma once

#include "core/learn/experience.hpp"
#include "core/learn/sample.hpp"

namespace wlm::accuracy {

void RestoreExperience(const Sample &sample, Experience *experience);

}  // namespace wlm::accuracy
