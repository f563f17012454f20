/*
 * graph_trainer.cpp
 *
 * TrainGraph() of train.hpp: decodes the samples once and hands them on.
 */
#include <memory>

#include "trainer/graph_train.hpp"

namespace wlm::trainer {

std::vector<std::byte> TrainGraph(const Samples &samples, const Options &options, Report *report)
{
	GraphData data;
	const auto sample = std::make_unique<Sample>();
	for (size_t i = 0; i < samples.size(); i++) {
		samples.Get(i, sample.get());
		data.Add(*sample);
	}
	return TrainGraphOn(&data, options, report);
}

}  // namespace wlm::trainer
